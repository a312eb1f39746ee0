// SPDX-License-Identifier: BSD-3-Clause
/*
 * Numbered CAN frames, for tests and for measuring.
 *
 *	can-load send INTERFACE COUNT RATE	at most RATE a second; 0: as fast as it goes
 *	can-load receive INTERFACE COUNT	until COUNT came, or SIGTERM and all is read
 *	can-load echo INTERFACE			answer each frame with the next identifier
 *	can-load ping INTERFACE COUNT		time the answers
 *	can-load error INTERFACE bus-off|overflow
 *
 * Frame N is the same wherever it is made: kind, identifier, length and data follow from N. So the
 * receiver knows what has to come, and tells what is missing, and what is none of the frames.
 * All modes but echo end with one line of JSON. --classic: no FD frames. --exact: RATE is met to
 * the microsecond, by looking at the clock all the time; sleeping takes too long in a guest.
 */
#include <err.h>
#include <errno.h>
#include <linux/can.h>
#include <linux/can/error.h>
#include <linux/can/raw.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000ULL
#define RECEIVE_BUFFER (256 << 20)
/* Frames that may be missing in a row */
#define MOST_MISSING 1000000
/* Without an answer for so long a ping has failed */
#define PING_MS 20000

static bool classic_only, exact;
static volatile sig_atomic_t over;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
}

static uint64_t mix(uint64_t n)
{
	n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9ULL;
	n = (n ^ n >> 27) * 0x94d049bb133111ebULL;
	return n ^ n >> 31;
}

/* Frame @n: of six kinds; its number is in the identifier. Return: whether it is an FD frame. */
static bool make_frame(uint64_t n, struct canfd_frame *frame)
{
	static const uint8_t fd_lengths[] = { 0, 1, 7, 8, 12, 16, 20, 24, 32, 48, 64 };
	uint64_t random = mix(n + 1);
	unsigned int kind = random % 6, i;
	bool fd = kind >= 4 && !classic_only;

	memset(frame, 0, sizeof(*frame));
	if (kind & 1)
		frame->can_id = (n & CAN_EFF_MASK) | CAN_EFF_FLAG;
	else
		frame->can_id = n & CAN_SFF_MASK;
	random = mix(random);
	if (fd)
		frame->len = fd_lengths[random % sizeof(fd_lengths)];
	else
		frame->len = (uint8_t)(random % 9);
	if (kind == 2 || kind == 3) {
		frame->can_id |= CAN_RTR_FLAG;
		return false;
	}
	for (i = 0; i < frame->len; i += 8) {
		random = mix(random + i);
		memcpy(frame->data + i, &random, frame->len - i < 8 ? frame->len - i : 8);
	}
	return fd;
}

static bool same_frame(uint64_t n, const struct canfd_frame *frame, bool fd)
{
	struct canfd_frame made;
	uint32_t low = frame->can_id & CAN_SFF_MASK;

	if ((n & CAN_SFF_MASK) != low) /* most are told by that */
		return false;
	return make_frame(n, &made) == fd && made.can_id == frame->can_id &&
	       made.len == frame->len &&
	       (made.can_id & CAN_RTR_FLAG || !memcmp(made.data, frame->data, made.len));
}

static int open_can(const char *name)
{
	struct sockaddr_can addr = { .can_family = AF_CAN };
	int sock = socket(PF_CAN, SOCK_RAW, CAN_RAW), fd_frames = !classic_only;
	int room = RECEIVE_BUFFER;

	addr.can_ifindex = (int)if_nametoindex(name);
	if (sock < 0 || !addr.can_ifindex)
		err(1, "%s", name);
	setsockopt(sock, SOL_CAN_RAW, CAN_RAW_FD_FRAMES, &fd_frames, sizeof(fd_frames));
	setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (bind(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		err(1, "%s: bind", name);
	return sock;
}

/* The interface's queue may be full, and does not tell when it no longer is. */
static void send_frame(int sock, const struct canfd_frame *frame, bool fd, uint64_t *full)
{
	static const struct timespec moment = { .tv_nsec = 100000 };

	while (send(sock, frame, fd ? CANFD_MTU : CAN_MTU, 0) < 0) {
		if (errno != ENOBUFS && errno != EINTR)
			err(1, "send");
		if (over)
			errx(1, "ended while the interface's queue was full");
		++*full;
		nanosleep(&moment, NULL);
	}
}

static void wait_until(uint64_t when)
{
	struct timespec ts = { .tv_sec = (time_t)(when / NS), .tv_nsec = (long)(when % NS) };

	if (exact) {
		while (now_ns() < when && !over)
			;
		return;
	}
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR && !over)
		;
}

/* A bus never makes up for time that it lost: who is late by a frame or more has lost it. */
static void send_all(const char *name, uint64_t count, uint64_t rate)
{
	uint64_t n, start, next, now, full = 0;
	int sock = open_can(name);
	double seconds;

	start = next = now_ns();
	for (n = 0; n < count && !over; n++) {
		struct canfd_frame frame;
		bool fd = make_frame(n, &frame);

		if (rate) {
			wait_until(next);
			next += NS / rate;
			now = now_ns();
			next = next < now ? now : next;
		}
		send_frame(sock, &frame, fd, &full);
	}
	seconds = (double)(now_ns() - start) / NS;
	printf("{\"sent\": %llu, \"seconds\": %.3f, \"queue_full\": %llu}\n", (unsigned long long)n,
	       seconds, (unsigned long long)full);
}

static uint32_t socket_drops(int sock)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t size = sizeof(info);

	getsockopt(sock, SOL_SOCKET, SO_MEMINFO, info, &size);
	return info[SK_MEMINFO_DROPS];
}

/* Return: false when nothing comes any more. */
static bool wait_frame(int sock, int timeout_ms)
{
	struct pollfd pfd = { .fd = sock, .events = POLLIN };

	while (poll(&pfd, 1, over ? 0 : timeout_ms) <= 0) {
		if (over || timeout_ms >= 0)
			return false;
	}
	return true;
}

static bool receive_frame(int sock, struct canfd_frame *frame, bool *fd)
{
	ssize_t got = recv(sock, frame, sizeof(*frame), 0);

	if (got < 0)
		err(1, "recv");
	*fd = got == CANFD_MTU;
	return got == CAN_MTU || got == CANFD_MTU;
}

static void receive_all(const char *name, uint64_t count)
{
	uint64_t next = 0, received = 0, missing = 0, wrong = 0, first = 0, last = 0;
	int sock = open_can(name);

	printf("ready\n");
	fflush(stdout);
	while (next < count && wait_frame(sock, -1)) {
		struct canfd_frame frame;
		uint64_t n;
		bool fd;

		if (!receive_frame(sock, &frame, &fd))
			continue;
		last = now_ns();
		first = first ? first : last;
		for (n = next; n < next + MOST_MISSING && !same_frame(n, &frame, fd); n++)
			;
		if (n == next + MOST_MISSING) {
			if (!wrong++)
				fprintf(stderr, "no frame from %llu on: id %#x, %u bytes\n",
					(unsigned long long)next, frame.can_id, frame.len);
			continue;
		}
		if (n > next && !missing)
			fprintf(stderr, "frames from %llu to %llu are missing\n",
				(unsigned long long)next, (unsigned long long)n - 1);
		missing += n - next;
		received++;
		next = n + 1;
	}
	printf("{\"received\": %llu, \"missing\": %llu, \"wrong\": %llu, \"unread\": %u, "
	       "\"seconds\": %.3f}\n",
	       (unsigned long long)received, (unsigned long long)missing,
	       (unsigned long long)wrong, socket_drops(sock), (double)(last - first) / NS);
}

static void echo(const char *name)
{
	int sock = open_can(name);
	struct canfd_frame frame;
	uint64_t full = 0;
	bool fd;

	printf("ready\n");
	fflush(stdout);
	while (wait_frame(sock, -1)) {
		if (!receive_frame(sock, &frame, &fd))
			continue;
		frame.can_id++;
		send_frame(sock, &frame, fd, &full);
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void ping(const char *name, uint64_t count)
{
	uint64_t *ns = calloc(count, sizeof(*ns)), i, full = 0;
	struct can_filter filter = { .can_id = 0x101, .can_mask = CAN_SFF_MASK };
	int sock = open_can(name);

	if (!ns || setsockopt(sock, SOL_CAN_RAW, CAN_RAW_FILTER, &filter, sizeof(filter)) < 0)
		err(1, "%s", name);
	for (i = 0; i < count; i++) {
		struct canfd_frame frame = { .can_id = 0x100, .len = 8 };
		uint64_t start = now_ns();
		bool fd;

		memcpy(frame.data, &i, sizeof(i));
		send_frame(sock, &frame, false, &full);
		do {
			if (!wait_frame(sock, PING_MS))
				errx(1, "no answer to ping %llu", (unsigned long long)i);
		} while (!receive_frame(sock, &frame, &fd) || memcmp(frame.data, &i, sizeof(i)));
		ns[i] = now_ns() - start;
	}
	qsort(ns, count, sizeof(*ns), compare);
	printf("{\"pings\": %llu, \"median_us\": %.1f, \"p99_us\": %.1f, \"least_us\": %.1f}\n",
	       (unsigned long long)count, (double)ns[count / 2] / 1000,
	       (double)ns[count * 99 / 100] / 1000, (double)ns[0] / 1000);
	free(ns);
}

/* What a controller's driver would report; a virtual bus carries it as any other frame. */
static void send_error(const char *name, const char *what)
{
	struct canfd_frame frame = { .can_id = CAN_ERR_FLAG, .len = CAN_ERR_DLC };
	uint64_t full = 0;

	if (!strcmp(what, "bus-off")) {
		frame.can_id |= CAN_ERR_BUSOFF;
	} else {
		frame.can_id |= CAN_ERR_CRTL;
		frame.data[1] = CAN_ERR_CRTL_RX_OVERFLOW;
	}
	send_frame(open_can(name), &frame, false, &full);
	printf("{\"sent\": 1}\n");
}

static void end(int sig)
{
	(void)sig;
	over = 1;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = end };

	prctl(PR_SET_TIMERSLACK, 1); /* or each sleep is 50 us longer, which is half a frame */
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	for (; argc > 1 && !strncmp(argv[1], "--", 2); argc--, argv++) {
		classic_only |= !strcmp(argv[1], "--classic");
		exact |= !strcmp(argv[1], "--exact");
	}
	if (argc == 5 && !strcmp(argv[1], "send"))
		send_all(argv[2], strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0));
	else if (argc == 4 && !strcmp(argv[1], "receive"))
		receive_all(argv[2], strtoull(argv[3], NULL, 0));
	else if (argc == 3 && !strcmp(argv[1], "echo"))
		echo(argv[2]);
	else if (argc == 4 && !strcmp(argv[1], "ping"))
		ping(argv[2], strtoull(argv[3], NULL, 0));
	else if (argc == 4 && !strcmp(argv[1], "error"))
		send_error(argv[2], argv[3]);
	else
		errx(2, "see the head of can-load.c");
	return 0;
}

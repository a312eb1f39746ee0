// SPDX-License-Identifier: BSD-3-Clause
/*
 * Descriptors that nobody takes in: here TCP sockets that whoever closes them last waits for. Each
 * way is tried as on a kernel that can refuse them, and as on one that cannot.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "adapter/control.h"
#include "adapter/display.h"
#include "adapter/frontend.h"
#include "adapter/supervise.h"
#include "check.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/unwanted.h"
#include "common/util.h"
#include "raw-peer.h"

#define LINGER_S 8
#define QUICK_MS 1000
#define SOON_MS 300

/* In the place of the C library's: an old kernel */
static bool old_kernel;

int setsockopt(int fd, int level, int optname, const void *optval, socklen_t optlen)
{
	if (old_kernel && level == SOL_SOCKET && optname == SO_PASSRIGHTS) {
		errno = ENOPROTOOPT;
		return -1;
	}
	return (int)syscall(SYS_setsockopt, fd, level, optname, optval, optlen);
}

static void need_new_kernel(void)
{
	int pair[2], ret;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ret = unwanted_refuse(pair[0], true);
	close(pair[0]);
	close(pair[1]);
	if (!ret)
		return;
	print_message("this kernel cannot refuse descriptors\n");
	skip();
}

/* ---- what is sent ---- */

/* A socket that close() waits for, as long as the other end takes in nothing and is there. */
struct lingering {
	int sock, peer;
};

static void lingering_init(struct lingering *l)
{
	const struct linger linger = { 1, LINGER_S };
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(addr);
	static char bytes[65536];

	l->sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(connect(l->sock, (struct sockaddr *)&addr, len), 0);
	l->peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(l->peer >= 0);
	close(listener);
	assert_int_equal(setsockopt(l->sock, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	while (send(l->sock, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

/* A reset by the peer ends all waits. */
static void lingering_finish(struct lingering *l)
{
	const struct linger reset = { 1, 0 };

	setsockopt(l->peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(l->peer);
	close(l->sock);
}

static long lingering_sent(struct lingering *l, long n)
{
	if (n < 0)
		return -errno;
	close(l->sock);
	l->sock = -1;
	return n;
}

/* From here on the message holds the last references. Return: bytes sent or a negative errno */
static long lingering_send(struct lingering *l, int sock, const void *bytes, size_t len,
			   unsigned int copies)
{
	return lingering_sent(l, raw_peer_send(sock, bytes, len, l->sock, copies));
}

/* The same with a byte out of band, where the kernel knows that for such sockets */
static void lingering_send_urgent(struct lingering *l, int sock, unsigned int copies)
{
	long n = lingering_sent(l, raw_peer_send_urgent(sock, "x", 1, l->sock, copies));

	if (n == -EOPNOTSUPP)
		n = lingering_send(l, sock, "x", 1, copies);
	assert_int_equal(n, 1);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void check_quick(uint64_t since, const char *what)
{
	uint64_t took = now_ms() - since;

	if (took >= QUICK_MS)
		fail_msg("%s: expected less than %u ms, saw %u", what, QUICK_MS,
			 (unsigned int)took);
}

/* ---- what a back-end sends ---- */

/* A connection that is set up, and the back-end's ends of it. */
struct ends {
	struct frontend fe;
	int sock, channel;
	int ours[2]; /* as they were: what stays open is closed with the lingering socket's peer */
};

static void ends_init(struct ends *e)
{
	int sock[2], channel[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
	frontend_init(&e->fe);
	e->ours[0] = e->fe.sock = sock[0];
	e->ours[1] = e->fe.channel = channel[0];
	old_kernel = true;
	unwanted_refuse(e->fe.sock, true);
	unwanted_refuse(e->fe.channel, true);
	old_kernel = false;
	e->fe.protocol = BIT_ULL(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
	e->fe.features = BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES);
	e->sock = sock[1];
	e->channel = channel[1];
}

static int channel_ready(struct frontend *fe)
{
	return frontend_channel_ready(fe);
}

static int socket_ready(struct frontend *fe)
{
	return frontend_socket_ready(fe);
}

static int ping(struct frontend *fe)
{
	return frontend_ping(fe, deadline_after_ms(SOON_MS));
}

static int resume(struct frontend *fe)
{
	return frontend_resume(fe, deadline_after_ms(SOON_MS));
}

static int get_record(struct frontend *fe)
{
	struct inflight inflight = { .fd = -1, .num_queues = 1, .queue_size = 16 };

	return frontend_get_inflight(fe, &inflight, deadline_after_ms(SOON_MS));
}

static const struct lie {
	const char *name;
	uint32_t request, flags;
	bool on_channel;
	unsigned int copies;
	int (*meet)(struct frontend *fe);
} lies[] = {
	{ "VRING_CALL", VHOST_USER_BACKEND_VRING_CALL, 0, true, 1, channel_ready },
	/* this one has always a descriptor */
	{ "SHMEM_MAP", VHOST_USER_BACKEND_SHMEM_MAP, 0, true, 1, channel_ready },
	{ "unasked", VHOST_USER_GET_FEATURES, VHOST_USER_FLAG_REPLY, false, 1, socket_ready },
	{ "another", VHOST_USER_GET_INFLIGHT_FD, VHOST_USER_FLAG_REPLY, false, 1, ping },
	{ "resume", VHOST_USER_GET_FEATURES, VHOST_USER_FLAG_REPLY, false, 1, resume },
	{ "record", VHOST_USER_GET_INFLIGHT_FD, VHOST_USER_FLAG_REPLY, false, 1, get_record },
	{ "records", VHOST_USER_GET_INFLIGHT_FD, VHOST_USER_FLAG_REPLY, false, 2, get_record },
};

/* @urgent: the descriptors come out of band, behind the header */
static void meet(const struct lie *lie, bool urgent)
{
	const struct vhost_user_header header = { lie->request, VHOST_USER_VERSION | lie->flags,
						  8 };
	struct lingering l;
	struct ends e;
	uint64_t start;
	int ret, sock;

	ends_init(&e);
	lingering_init(&l);
	sock = lie->on_channel ? e.channel : e.sock;
	if (urgent) {
		assert_int_equal(send(sock, &header, sizeof(header), 0), sizeof(header));
		lingering_send_urgent(&l, sock, lie->copies);
	} else {
		assert_int_equal(lingering_send(&l, sock, &header, sizeof(header), lie->copies),
				 sizeof(header));
	}
	start = now_ms();
	ret = lie->meet(&e.fe);
	frontend_finish(&e.fe);
	check_quick(start, lie->name);
	/* out of band they come behind what may be wrong by itself */
	if ((urgent ? ret >= 0 : ret != -EBADFD) || !e.fe.left_open)
		fail_msg("%s: expected %d, saw %d", lie->name, -EBADFD, ret);
	close(e.sock);
	close(e.channel);
	lingering_finish(&l);
	/* what stays open, now that nothing has to be waited for any more */
	close_range((unsigned int)MIN(e.ours[0], e.ours[1]), ~0U, 0);
}

/* As the queue can hold them whatever the kernel knows: sent before they were refused. */
static void test_backend(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(lies); i++)
		meet(&lies[i], false);
}

static void test_backend_out_of_band(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(lies); i++)
		meet(&lies[i], true);
}

/* Behind it there can be more, and it need not be the first. */
static void close_out_of_band(const char *before, const char *behind)
{
	struct lingering l;
	uint64_t start;
	int pair[2], ours;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	lingering_init(&l);
	assert_int_equal(send(pair[1], before, strlen(before), 0), strlen(before));
	lingering_send_urgent(&l, pair[1], 1);
	assert_int_equal(send(pair[1], behind, strlen(behind), 0), strlen(behind));
	ours = pair[0];
	start = now_ms();
	assert_int_equal(unwanted_close(&pair[0]), -EBADFD);
	check_quick(start, "unwanted_close");
	assert_true(pair[0] < 0);
	close(pair[1]);
	lingering_finish(&l);
	close(ours);
}

static void test_close_out_of_band(void **state)
{
	(void)state;
	close_out_of_band("", "");
	close_out_of_band("", "behind");
	close_out_of_band("before", "");
	close_out_of_band("before", "behind");
}

/* Closed with something in the queue, behind what was read or would have been. */
static void test_queue_is_closed(void **state)
{
	struct lingering l;
	uint64_t start;
	struct ends e;

	(void)state;
	ends_init(&e);
	lingering_init(&l);
	assert_int_equal(send(e.sock, "nonsense", 8, 0), 8);
	assert_int_equal(lingering_send(&l, e.sock, "x", 1, 1), 1);
	start = now_ms();
	frontend_finish(&e.fe);
	check_quick(start, "frontend_finish");
	assert_true(e.fe.left_open);
	assert_true(e.fe.sock < 0);
	/* ... and nothing more comes in */
	assert_int_equal(raw_peer_send(e.sock, "x", 1, e.channel, 1), -1);
	/* a queue without any is closed as ever */
	assert_true(fcntl(e.ours[0], F_GETFD) >= 0);
	assert_true(fcntl(e.ours[1], F_GETFD) < 0);
	close(e.sock);
	close(e.channel);
	lingering_finish(&l);
	close(e.ours[0]);
}

static void answer(int sock, uint32_t request, uint64_t value)
{
	struct vu_message msg;

	vu_message_init(&msg, VU_REPLY, request);
	vu_message_set_u64(&msg, value);
	assert_int_equal(vu_send(sock, &msg, VU_REPLY, deadline_after_ms(SOON_MS)), 0);
}

static int received_channel(int sock)
{
	struct vu_message msg;

	do {
		assert_int_equal(vu_recv(sock, VU_REQUEST, &msg, deadline_after_ms(SOON_MS)), 0);
	} while (msg.header.request != VHOST_USER_SET_BACKEND_REQ_FD);
	return vu_message_take_fd(&msg, 0);
}

/* From the handshake on. The answers are there before the questions. */
static void test_backend_is_refused(void **state)
{
	const uint64_t protocol = BIT_ULL(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |
				  BIT_ULL(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
	struct vhost_user_header header = { VHOST_USER_GET_INFLIGHT_FD,
					    VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY, 8 };
	struct frontend fe;
	int pair[2], channel;

	(void)state;
	need_new_kernel();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	frontend_init(&fe);
	answer(pair[1], VHOST_USER_GET_FEATURES, BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES));
	answer(pair[1], VHOST_USER_GET_PROTOCOL_FEATURES, protocol);
	assert_int_equal(frontend_handshake(&fe, pair[0], deadline_after_ms(SOON_MS)), 0);
	channel = received_channel(pair[1]);
	assert_true(channel >= 0);
	assert_int_equal(raw_peer_send(channel, &header, sizeof(header), 2, 1), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(raw_peer_send(pair[1], &header, sizeof(header), 2, 1), -1);
	assert_int_equal(errno, EPERM);
	/* the record is asked for, does not come, and after that it may not */
	assert_int_equal(get_record(&fe), -ETIMEDOUT);
	assert_int_equal(raw_peer_send(pair[1], &header, sizeof(header), 2, 1), -1);
	assert_int_equal(errno, EPERM);
	frontend_finish(&fe);
	assert_false(fe.left_open);
	close(pair[1]);
	close(channel);
}

/* ---- what a display sends ---- */

static void test_display(void **state)
{
	struct lingering l;
	struct display d;
	int pair[2], ours;
	uint64_t start;

	(void)state;
	old_kernel = true;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_not_equal(unwanted_refuse(pair[0], true), 0);
	display_init(&d);
	d.sock = ours = pair[0];
	lingering_init(&l);
	assert_int_equal(send(pair[1], "ready", 5, 0), 5);
	assert_int_equal(lingering_send(&l, pair[1], "ready", 5, 1), 5);
	start = now_ms();
	assert_int_equal(display_ready(&d), -ECONNRESET);
	display_finish(&d);
	check_quick(start, "display_ready, display_finish");
	old_kernel = false;
	close(pair[1]);
	lingering_finish(&l);
	close(ours);
}

/* ---- what is sent in the place of an answer ---- */

struct liar {
	struct lingering l;
	int listener;
	unsigned int before; /* packets */
	long sent;
};

static void *lie(void *arg)
{
	struct liar *liar = arg;
	int sock = accept4(liar->listener, NULL, NULL, SOCK_CLOEXEC);
	char order[16];

	if (recv(sock, order, sizeof(order), 0) <= 0)
		return NULL;
	while (liar->before--)
		send(sock, "ok", 2, 0);
	liar->sent = lingering_send(&liar->l, sock, "ok", 2, 1);
	if (liar->sent < 0)
		send(sock, "ok", 2, MSG_NOSIGNAL);
	/* the order is over with the connection's end */
	while (recv(sock, order, sizeof(order), 0) > 0)
		;
	close(sock);
	return NULL;
}

/* Return: what control_order() says */
static int give_order(struct liar *liar, unsigned int before)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char answer[16];
	pthread_t thread;
	uint64_t start;
	int ret;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/vlb-unwanted-%d", getpid());
	liar->before = before;
	liar->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(liar->listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(liar->listener, 1), 0);
	lingering_init(&liar->l);
	assert_int_equal(pthread_create(&thread, NULL, lie, liar), 0);
	start = now_ms();
	ret = control_order(addr.sun_path, "stats", answer, sizeof(answer),
			    deadline_after_ms(LINGER_S * 1000));
	check_quick(start, "control_order");
	pthread_join(thread, NULL);
	unlink(addr.sun_path);
	close(liar->listener);
	lingering_finish(&liar->l);
	return ret;
}

static void test_order(void **state)
{
	struct liar liar;

	(void)state;
	old_kernel = true;
	assert_int_equal(give_order(&liar, 0), -EPROTO);
	/* behind the answer, where nobody reads it */
	assert_int_equal(give_order(&liar, 1), 0);
	old_kernel = false;
}

static void test_order_is_refused(void **state)
{
	struct liar liar;

	(void)state;
	need_new_kernel();
	assert_int_equal(give_order(&liar, 0), 0);
	assert_int_equal(liar.sent, -EPERM);
}

/* The other end of the same: the clients of an adapter */

static void carry_out(void *context, const char *order, bool waits, char *answer, size_t size)
{
	unsigned int *orders = context;

	(void)order;
	(void)waits;
	++*orders;
	snprintf(answer, size, "ok");
}

/* Return: what the client's sendmsg() says */
static long send_order(unsigned int *orders)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), theirs;
	struct control control;
	struct lingering l;
	uint64_t start;
	long sent;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/vlb-unwanted-%d", getpid());
	assert_int_equal(control_init(&control, addr.sun_path), 0);
	assert_int_equal(connect(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	control_accept(&control);
	theirs = control.clients[0];
	assert_true(theirs >= 0);
	lingering_init(&l);
	sent = lingering_send(&l, sock, "stats", 5, 1);
	start = now_ms();
	control_ready(&control, 0, carry_out, orders);
	control_finish(&control);
	check_quick(start, "control_ready");
	close(sock);
	lingering_finish(&l);
	if (fcntl(theirs, F_GETFD) >= 0)
		close(theirs);
	unlink(addr.sun_path);
	return sent;
}

static void test_client(void **state)
{
	unsigned int orders = 0;

	(void)state;
	old_kernel = true;
	assert_int_equal(send_order(&orders), 5);
	old_kernel = false;
	assert_int_equal(orders, 0);
}

static void test_client_is_refused(void **state)
{
	unsigned int orders = 0;

	(void)state;
	need_new_kernel();
	assert_int_equal(send_order(&orders), -EPERM);
}

/* ---- what somebody sends who is in the keeper's place ---- */

static void adopt_stranger(unsigned int copies)
{
	const struct keeper_note note = { .what = NEWS_STATUS };
	struct failure f = { 0 };
	struct supervisor s;
	struct lingering l;
	uint64_t start;
	int pair[2], ret;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	lingering_init(&l);
	assert_int_equal(lingering_send(&l, pair[1], &note, sizeof(note), copies), sizeof(note));
	start = now_ms();
	ret = supervisor_adopt(&s, pair[0], NULL, NULL, true, &f);
	supervisor_leave(&s);
	check_quick(start, "supervisor_adopt, supervisor_leave");
	assert_int_equal(ret, -ECONNRESET);
	assert_true(s.sock < 0);
	close(pair[1]);
	lingering_finish(&l);
	/* what stays open, now that nothing has to be waited for any more */
	close_range((unsigned int)pair[0], ~0U, 0);
}

static void test_keepers_place(void **state)
{
	(void)state;
	adopt_stranger(1);
	adopt_stranger(2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backend),
		cmocka_unit_test(test_backend_out_of_band),
		cmocka_unit_test(test_queue_is_closed),
		cmocka_unit_test(test_close_out_of_band),
		cmocka_unit_test(test_backend_is_refused),
		cmocka_unit_test(test_display),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_order_is_refused),
		cmocka_unit_test(test_client),
		cmocka_unit_test(test_client_is_refused),
		cmocka_unit_test(test_keepers_place),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

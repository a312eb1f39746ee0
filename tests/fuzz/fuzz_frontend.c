// SPDX-License-Identifier: BSD-3-Clause
/*
 * The adapter, whole, between a driver and a back-end that answers as the input says. The input is
 * what the back-end is (struct head), and then, byte by byte, how each request is answered and what
 * happens next.
 *
 * All is one thread. The back-end acts when the adapter waits, and a wait for which nothing comes
 * takes no time: the clock jumps. So a wait without an end is seen as well, and aborts.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "adapter/adapter.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/unix-socket.h"
#include "common/util.h"
#include "kernel.h"

#define MOST_POLLS 20000 /* of one input; each answer costs a few */
#define HEIRS 3
#define MOST_FDS 512

struct head {
	uint8_t type;
	uint8_t options; /* OPTION_* */
	uint8_t queues; /* as GET_QUEUE_NUM has it */
	uint8_t asked; /* --queues */
	uint64_t features;
	uint64_t protocol;
	uint64_t driver; /* what the driver does not accept */
	uint8_t config[40];
};

#define OPTION_PACKED 1
#define OPTION_RECONNECT 2
#define OPTION_KEEP 4
#define OPTION_HEARTBEAT 8
#define OPTION_STUBBORN 16 /* a connection that the adapter gave up stays open */

/* What libFuzzer calls, and what the linker puts in the place of these */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __real_unwanted_close(int *sock);
int __wrap_unwanted_close(int *sock);

static char folder[64], path[96];
static struct adapter adapter;
static struct head head;

/* ---- the input ---- */

static const uint8_t *input;
static size_t input_left;

static uint8_t next(void)
{
	if (!input_left)
		return 0;
	input_left--;
	return *input++;
}

/* Zeroes behind its end. */
static void next_bytes(void *buf, size_t len)
{
	size_t have = MIN(len, input_left);

	memset(buf, 0, len);
	memcpy(buf, input, have);
	input += have;
	input_left -= have;
}

/* ---- the clock ---- */

static bool running; /* the adapter is; else all is as it ever was */
static uint64_t now_ms;
static unsigned int polls;
static bool killed; /* the adapter is, at the wait it is in */
static unsigned int kills;
static bool stays; /* something that the back-end sent, and that is not closed */
static jmp_buf end_of_adapter;

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	if (!running || id != CLOCK_MONOTONIC)
		return __real_clock_gettime(id, ts);
	*ts = (struct timespec){ (time_t)(now_ms / 1000), (long)(now_ms % 1000) * 1000000 };
	return 0;
}

int __wrap_unwanted_close(int *sock)
{
	int ret = __real_unwanted_close(sock);

	stays |= ret == -EBADFD;
	return ret;
}

/* ---- the back-end ---- */

static struct {
	int listener; /* -1: nobody listens */
	bool listens; /* ... or is to */
	int sock, channel;
	struct vu_reader reader;
} peer;

static void peer_close(void)
{
	vu_reader_finish(&peer.reader);
	vu_reader_init(&peer.reader);
	fd_close(&peer.sock);
	fd_close(&peer.channel);
}

/* A file in memory that the input lies in. */
static int make_file(void)
{
	uint8_t bytes[1024];
	size_t len = (next() | (size_t)next() << 8) % sizeof(bytes);
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	next_bytes(bytes, len);
	if (fd < 0 || ftruncate(fd, 8192) < 0 || pwrite(fd, bytes, len, 0) != (ssize_t)len)
		abort();
	return fd;
}

static void say(int sock, const void *bytes, size_t len, int fd)
{
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (fd >= 0) {
		msg.msg_control = control.room;
		msg.msg_controllen = sizeof(control.room);
		cmsg = CMSG_FIRSTHDR(&msg);
		*cmsg = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	if (sock >= 0 && sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

/* The answer of a back-end that is as the head has it, with a descriptor or without. */
static void answer_to(const struct vu_message *msg, struct vu_message *answer, int *fd)
{
	vu_message_init(answer, VU_REPLY, msg->header.request);
	vu_message_set_u64(answer, 0);
	switch (msg->header.request) {
	case VHOST_USER_GET_FEATURES:
		vu_message_set_u64(answer, head.features);
		break;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		vu_message_set_u64(answer, head.protocol);
		break;
	case VHOST_USER_GET_QUEUE_NUM:
		vu_message_set_u64(answer, head.queues);
		break;
	case VHOST_USER_GET_VRING_BASE:
		vu_message_set_state(answer, msg->payload.state.index, 0);
		break;
	case VHOST_USER_GET_CONFIG:
		answer->payload.config = msg->payload.config;
		memcpy(answer->payload.config.data, head.config,
		       MIN((size_t)msg->payload.config.size, sizeof(head.config)));
		vu_message_set_size(answer, msg->header.size);
		break;
	case VHOST_USER_GET_INFLIGHT_FD:
		answer->payload.inflight = msg->payload.inflight;
		answer->payload.inflight.mmap_size = 8192;
		vu_message_set_size(answer, sizeof(answer->payload.inflight));
		*fd = make_file();
		vu_message_add_fd(answer, *fd);
		break;
	}
}

/* Bytes of the input, as many as it says. */
static void say_anything(int sock)
{
	uint8_t bytes[255];
	size_t len = next();
	_cleanup_close_ int fd = len & 64 ? make_file() : -1;

	next_bytes(bytes, len);
	say(sock, bytes, len, fd);
}

/* On its own channel: a change of the configuration, with and without need_reply, or anything. */
static void say_on_channel(void)
{
	uint8_t what = next();
	struct vhost_user_header change = {
		.request = VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
		.flags = what & 1 ? 1 : 1 | VHOST_USER_FLAG_NEED_REPLY,
	};

	if (what & 2)
		say_anything(peer.channel);
	else
		say(peer.channel, &change, sizeof(change), -1);
}

static void answer(const struct vu_message *msg)
{
	_cleanup_close_ int fd = -1;
	struct vu_message reply;
	uint8_t bytes[512], how = next();
	int len;

	if (how & 8)
		say_on_channel();
	answer_to(msg, &reply, &fd);
	if ((how & 7) == 4 && !vu_request_has_reply(VU_REQUEST, msg->header.request))
		reply.payload.u64 = 1; /* it refuses */
	len = vu_message_encode(&reply, VU_REPLY, bytes, sizeof(bytes));
	if (len <= 0)
		abort();
	switch (how & 7) {
	case 3:
		bytes[next() % (size_t)len] ^= next();
		break;
	case 5:
		say_anything(peer.sock);
		return;
	case 6:
		peer_close();
		return;
	case 7:
		killed = how & 16;
		return;
	}
	say(peer.sock, bytes, (size_t)len, fd);
}

static void take_request(struct vu_message *msg)
{
	bool waits = vu_request_has_reply(VU_REQUEST, msg->header.request) ||
		     vu_message_needs_ack(msg, VU_REQUEST);

	if (msg->header.request == VHOST_USER_SET_BACKEND_REQ_FD) {
		fd_close(&peer.channel);
		peer.channel = vu_message_take_fd(msg, 0);
	}
	if (waits)
		answer(msg);
}

/* The listener lasts longer than an input, unless that one wants none. */
static int peer_accept(void)
{
	if (!peer.listens)
		fd_close(&peer.listener);
	else if (peer.listener < 0)
		peer.listener = unix_listen(path);
	return peer.listener < 0 ? -1 : unix_accept(peer.listener);
}

/* Takes connections, and all that was sent. What the adapter sends must be well-formed. */
static void peer_act(void)
{
	struct vu_message msg;
	int ret, sock = peer_accept();

	if (sock >= 0) {
		peer_close();
		peer.sock = sock;
	}
	while (peer.sock >= 0) {
		ret = vu_reader_read(&peer.reader, peer.sock, VU_REQUEST, &msg);
		if (ret == -EPROTO || ret == -EOPNOTSUPP)
			abort();
		if (ret == -ECONNRESET && !(head.options & OPTION_STUBBORN))
			peer_close();
		if (ret)
			break;
		take_request(&msg);
		vu_message_finish(&msg);
	}
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	int ret;

	if (!running)
		return __real_poll(fds, count, timeout);
	if (++polls > MOST_POLLS)
		abort();
	peer_act();
	if (killed)
		longjmp(end_of_adapter, 1);
	ret = __real_poll(fds, count, 0);
	if (ret || !timeout)
		return ret;
	if (timeout < 0)
		abort(); /* nobody is left who could say anything */
	now_ms += (unsigned int)timeout;
	return 0;
}

/* ---- what the driver does, and what happens meanwhile ---- */

static void write_config(void)
{
	struct virtio_loopback_msg *msg = kernel_tell(VIRTIO_LOOPBACK_MSG_SET_CONFIG, true);

	if (!msg)
		return;
	msg->config.offset = next() % 64;
	msg->config.length = next() % 16;
	next_bytes(msg->config.data, msg->config.length);
}

static void set_up_queue(bool enabled)
{
	struct virtio_loopback_msg *msg;
	unsigned int index = next() % KERNEL_QUEUES;

	msg = kernel_tell(enabled ? VIRTIO_LOOPBACK_MSG_QUEUE_ENABLE :
				    VIRTIO_LOOPBACK_MSG_QUEUE_RESET,
			  true);
	if (!msg)
		return;
	msg->queue.index = index;
	kernel_set_enabled(index, enabled);
}

static void tell_broken(void)
{
	struct virtio_loopback_msg *msg = kernel_tell(VIRTIO_LOOPBACK_MSG_BROKEN, false);

	if (msg)
		msg->queue.reason = next() & 1;
}

/* The back-end has all of the shared memory. */
static void scribble(void)
{
	size_t size, at = next() | (size_t)next() << 8;
	uint8_t bytes[64], *pool = kernel_pool(&size);
	size_t len = next() % sizeof(bytes);

	next_bytes(bytes, len);
	if (pool && at + len <= size)
		memcpy(pool + at, bytes, len);
}

static void publish(void)
{
	unsigned int index = next() % KERNEL_QUEUES;

	kernel_publish(index, next() % 8);
	if (adapter.queues && index < adapter.plan.total)
		queues_poke(&adapter, index);
}

static void step(void)
{
	if (!input_left) {
		adapter_end(&adapter);
		return;
	}
	switch (next() % 16) {
	case 0:
		write_config();
		break;
	case 1:
		set_up_queue(false);
		break;
	case 2:
		set_up_queue(true);
		break;
	case 3:
		kernel_probe();
		break;
	case 4:
		now_ms += 100U * next();
		break;
	case 5:
		say_on_channel();
		break;
	case 6:
		say_anything(peer.sock);
		break;
	case 7:
		peer_close();
		break;
	case 8:
		scribble();
		break;
	case 9:
		publish();
		break;
	case 10:
		kernel_take(next() % KERNEL_QUEUES);
		break;
	case 11:
		tell_broken();
		break;
	case 12:
		kernel_tell(VIRTIO_LOOPBACK_MSG_RESUMED, false);
		break;
	case 13:
		adapter_yield(&adapter, SNAPSHOT_VERSION);
		break;
	case 14: /* nobody takes its place, or somebody again */
		peer.listens = !peer.listens;
		break;
	default:
		adapter_end(&adapter);
	}
}

/* ---- one adapter, and those that take over from it ---- */

static void make_options(struct adapter_options *o)
{
	static const char *const types[] = {
		"blk", "net", "console", "rng", "scsi", "input", "vsock", "sound", "fs", "can",
		"gpio", "i2c",
	};
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };

	options_init(o);
	if (device_type_find(types[head.type % ARRAY_SIZE(types)], &o->type))
		abort();
	o->name = "fuzz";
	o->socket = path;
	o->tag = "tag";
	memcpy(o->mac, mac, sizeof(mac));
	o->mtu = head.asked & 128 ? 1400 : 0;
	o->queues = head.asked % (KERNEL_QUEUES + 1);
	o->queue_size = KERNEL_NUM;
	o->packed = head.options & OPTION_PACKED;
	o->pool = 64 << 10;
	o->pool_given = true;
	o->transport = &kernel_transport;
	o->node = "/nonexistent";
	o->state_dir = folder;
	o->ready_fd = -1;
	o->timeout_ms = 1000;
	o->reconnect_ms = head.options & OPTION_RECONNECT ? 5000 : RECONNECT_OFF;
	o->keep_ms = head.options & OPTION_KEEP ? 1000 : 0;
	o->heartbeat_ms = head.options & OPTION_HEARTBEAT ? 2000 : 0;
	o->sandbox = false;
	o->restart = false; /* it would fork */
}

static int begin(bool heir)
{
	int ret;

	if (heir)
		return adapter_takeover(&adapter);
	ret = adapter_open(&adapter);
	if (!ret)
		ret = adapter_connect(&adapter);
	return ret ? ret : adapter_create(&adapter);
}

/* One adapter to its end, of which the device need not hear. */
static void run(bool heir)
{
	sigset_t signals;
	int ret;

	sigprocmask(SIG_SETMASK, NULL, &signals);
	running = true;
	killed = false;
	if (!setjmp(end_of_adapter)) {
		ret = begin(heir);
		adapter.error = ret;
		if (ret)
			adapter.exit_status = 1;
		else
			adapter_run(&adapter);
	} else {
		adapter.leave = true;
		kills++;
	}
	running = false;
	/* those that it takes by its signalfd are libFuzzer's as well */
	sigprocmask(SIG_SETMASK, &signals, NULL);
	adapter_finish(&adapter);
	stays |= adapter.fe.left_open;
}

static void run_all(void)
{
	struct adapter_options options = { 0 }, taken;
	unsigned int i;

	make_options(&options);
	adapter_init(&adapter, &options);
	run(false);
	for (i = 0; i < HEIRS && adapter.leave; i++) {
		taken = (struct adapter_options){
			.name = "fuzz",
			.transport = &kernel_transport,
			.node = "/nonexistent",
			.state_dir = folder,
			.ready_fd = -1,
			.keep_ms = 1000,
			.takeover = true,
		};
		adapter_init(&adapter, &taken);
		run(true);
	}
}

/* Descriptors of this process, below MOST_FDS. */
static void list_fds(bool *open)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	if (!dir)
		abort();
	memset(open, 0, MOST_FDS * sizeof(*open));
	while ((entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		if (fd < MOST_FDS && fd != dirfd(dir))
			open[fd] = true;
	}
	closedir(dir);
}

/* What is open and was not, an adapter that was killed may have left, or one that says so. */
static void check_fds(const bool *before)
{
	bool after[MOST_FDS];
	int fd;

	list_fds(after);
	for (fd = 0; fd < MOST_FDS; fd++) {
		if (!after[fd] || before[fd])
			continue;
		if (!kills && !stays)
			abort();
		close(fd);
	}
}

static void remove_folder(void)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(folder);
}

/* However this process ends, the folder goes: by a child that waits for that. */
static void make_folder(void)
{
	int ends[2];
	pid_t child;
	char byte;

	strcpy(folder, "/dev/shm/vlb-fuzz-XXXXXX");
	if (pipe2(ends, O_CLOEXEC) < 0 || !mkdtemp(folder))
		abort();
	child = fork();
	if (child < 0)
		abort();
	close(ends[child ? 0 : 1]);
	if (child)
		return;
	setsid(); /* what ends the fuzzer is not meant for it */
	while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
		;
	remove_folder();
	_exit(0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_init("fuzz", 0); /* below each level: nothing is written */
	make_folder();
	snprintf(path, sizeof(path), "%s/backend.sock", folder);
	peer.listener = peer.sock = peer.channel = -1;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool fds[MOST_FDS];

	if (size < sizeof(head))
		return 0;
	memcpy(&head, data, sizeof(head));
	input = data + sizeof(head);
	input_left = size - sizeof(head);
	now_ms = 1000000;
	polls = kills = 0;
	stays = false;
	peer.listens = true;
	do {
		peer_close();
		peer.sock = peer_accept(); /* what the last input left */
	} while (peer.sock >= 0);
	list_fds(fds);
	kernel_init(~head.driver, step);
	run_all();
	peer_close();
	kernel_finish();
	if (peer.listener >= 0)
		fds[peer.listener] = true;
	check_fds(fds);
	return 0;
}

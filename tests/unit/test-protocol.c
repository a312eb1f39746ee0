// SPDX-License-Identifier: BSD-3-Clause
/*
 * The adapter with back-ends that know more or less of the vhost-user protocol than others: each
 * protocol feature alone, all combinations of those that the adapter takes, and none. The back-end
 * ends the connection when it is asked for what was not agreed upon.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapter-rig.h"
#include "adapter/adapter.h"
#include "check.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/unwanted.h"
#include "common/util.h"
#include "raw-peer.h"

#define CONFIG BIT_ULL(VHOST_USER_PROTOCOL_F_CONFIG)
/* what the adapter takes, CONFIG apart */
static const unsigned int taken[] = {
	VHOST_USER_PROTOCOL_F_MQ,	   VHOST_USER_PROTOCOL_F_REPLY_ACK,
	VHOST_USER_PROTOCOL_F_MTU,	   VHOST_USER_PROTOCOL_F_BACKEND_REQ,
	VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD, VHOST_USER_PROTOCOL_F_RESET_DEVICE,
};
/* features of a plain device: with protocol features, and without */
#define FEATURES BIT_ULL(VIRTIO_F_VERSION_1)
#define FEATURES_PROTOCOL (FEATURES | BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES))

static uint64_t all_taken(void)
{
	uint64_t all = CONFIG;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(taken); i++)
		all |= BIT_ULL(taken[i]);
	return all;
}

/* The driver is unbound and bound again: all is handed to the back-end anew. */
static void push_rebind(struct mock_kernel *k, struct rig *r)
{
	mock_push(k, VIRTIO_LOOPBACK_MSG_RESET, true);
	mock_push_status(k, 1);
	mock_push_status(k, 3);
	mock_push_status(k, 11);
	r->seq = mock_push_status(k, 15);
}

/* A reset by the driver, requests, and the end. */
static void use_and_reset(struct mock_kernel *k, void *context)
{
	struct rig *r = context;
	unsigned int i;

	if (!r->step++) {
		push_rebind(k, r);
		return;
	}
	assert_int_equal(k->answers[r->seq], 0);
	for (i = 0; i < MOCK_NUM / 2; i++)
		assert_true(mock_submit(k, i & 1, i, (uint8_t)i));
	mock_kick(k);
	assert_true(mock_wait(k, -1, 5000));
	r->reached = true;
	k->idle = NULL;
	adapter_end(&r->adapter);
}

/* Return: the protocol features that were agreed upon */
static uint64_t use(struct rig *r, uint64_t offered)
{
	uint64_t agreed;

	r->backend.options.protocol_features = offered;
	r->backend.forked = true;
	r->reached = false;
	r->step = 0;
	if (rig_run(r, "", use_and_reset) || !r->reached)
		fail_msg("offered %#llx: %s", (unsigned long long)offered,
			 r->adapter.failure.text[0] ? r->adapter.failure.text :
						      "the requests did not come back");
	agreed = r->adapter.fe.protocol;
	rig_finish(r);
	assert_true(r->kernel.is_destroyed);
	assert_false(r->kernel.is_failed);
	return agreed;
}

/* All 64 bits, known or not: taken are those that are known to be of use, and no other. */
static void test_each_feature_alone(void **state)
{
	struct rig *r = *state;
	unsigned int bit;

	for (bit = 0; bit < 64; bit++) {
		uint64_t offered = CONFIG | BIT_ULL(bit);

		if (use(r, offered) != (offered & all_taken()))
			fail_msg("bit %u: saw %#llx", bit,
				 (unsigned long long)r->adapter.fe.protocol);
	}
}

static void test_all_combinations(void **state)
{
	struct rig *r = *state;
	unsigned int set;
	size_t i;

	for (set = 0; set < 1U << ARRAY_SIZE(taken); set++) {
		uint64_t offered = CONFIG;

		for (i = 0; i < ARRAY_SIZE(taken); i++)
			offered |= set & 1U << i ? BIT_ULL(taken[i]) : 0;
		assert_true(use(r, offered) == offered);
		/* ... and beside what is not taken, the bit with two meanings among them */
		assert_true(use(r, offered | ~all_taken()) == offered);
	}
}

/* Without VHOST_USER_F_PROTOCOL_FEATURES: rings begin enabled, and nothing else is to be had. */
static void test_no_protocol_features(void **state)
{
	struct rig *r = *state;

	r->backend.options.features = FEATURES;
	assert_int_equal(rig_run(r, "", use_and_reset), 1);
	assert_non_null(strstr(r->adapter.failure.text, "no configuration space"));
	rig_finish(r);
	device_type_find("rng", &r->options.type);
	assert_true(use(r, 0) == 0);
}

/* ---- without REPLY_ACK ---- */

static void check_open(int fd)
{
	assert_true(fcntl(fd, F_GETFD) >= 0);
}

/* What the back-end was given is still the adapter's, too. */
static void look_at_files(struct mock_kernel *k, void *context)
{
	struct rig *r = context;

	check_open(r->adapter.pool.fd);
	check_open(r->adapter.queues[0].kick_fd);
	check_open(r->adapter.queues[0].call_fd);
	check_open(r->adapter.inflight.fd);
	r->reached = true;
	k->idle = NULL;
	adapter_end(&r->adapter);
}

static void test_files_stay_without_ack(void **state)
{
	struct rig *r = *state;

	r->backend.forked = true;
	r->backend.options.protocol_features =
		CONFIG | BIT_ULL(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
	assert_int_equal(rig_run(r, "", look_at_files), 0);
	assert_true(r->reached);
	rig_finish(r);
}

static void reconnect(struct mock_kernel *k, void *context)
{
	struct rig *r = context;

	if (!r->step++) {
		assert_true(mock_submit(k, true, 0, 1));
		mock_kick(k);
		return;
	}
	assert_true(mock_take(k, -1) >= 0);
	if (k->num_order || !r->adapter.recovery.count)
		return;
	r->reached = true;
	k->idle = NULL;
	adapter_end(&r->adapter);
}

static void test_reconnect_without_ack(void **state)
{
	struct rig *r = *state;

	r->backend.forked = true;
	r->backend.options.protocol_features = CONFIG;
	r->options.reconnect_ms = 2 * TIMEOUT_MS;
	if (rig_run(r, "kick#1: close", reconnect))
		fail_msg("expected the requests back, saw: %s", r->adapter.failure.text);
	assert_true(r->reached);
	rig_finish(r);
}

/* ---- NET_SET_MTU ---- */

static void net_with_mtu(struct rig *r, uint64_t protocol)
{
	device_type_find("net", &r->options.type);
	r->options.mtu = 1400;
	r->backend.options.queues = 2;
	r->backend.options.features = FEATURES_PROTOCOL | BIT_ULL(VIRTIO_NET_F_MTU);
	r->backend.options.protocol_features = BIT_ULL(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
					       BIT_ULL(VHOST_USER_PROTOCOL_F_MQ) | protocol;
}

static void test_mtu(void **state)
{
	struct rig *r = *state;

	net_with_mtu(r, BIT_ULL(VHOST_USER_PROTOCOL_F_MTU));
	assert_int_equal(rig_run(r, "", use_and_reset), 0);
	assert_true(r->reached);
	rig_finish(r);
	/* it is told: a back-end that cannot do it is heard */
	r->step = 0;
	assert_int_equal(rig_run(r, "NET_SET_MTU: fail 1", use_and_reset), 1);
	assert_non_null(strstr(r->adapter.failure.text, "refused NET_SET_MTU"));
	rig_finish(r);
}

static void test_mtu_not_told(void **state)
{
	static const char script[] = "NET_SET_MTU: fail 1";
	struct rig *r = *state;

	/* the back-end does not know the message */
	net_with_mtu(r, 0);
	assert_int_equal(rig_run(r, script, use_and_reset), 0);
	rig_finish(r);
	/* nobody asked for one */
	net_with_mtu(r, BIT_ULL(VHOST_USER_PROTOCOL_F_MTU));
	r->options.mtu = 0;
	r->step = 0;
	assert_int_equal(rig_run(r, script, use_and_reset), 0);
	rig_finish(r);
}

/* ---- the link of a network device ---- */

static void watch_link(struct mock_kernel *k, void *context)
{
	struct rig *r = context;
	const struct virtio_net_config *config = (const void *)k->config;

	if (!r->step++) {
		assert_int_equal(config->status, VIRTIO_NET_S_LINK_UP);
		assert_true(mock_submit(k, true, 0, 1));
		mock_kick(k);
	}
	if (r->adapter.recovery.waiting) {
		assert_int_equal(config->status, 0);
		assert_int_equal(k->config_notified, 1);
		r->reached = true;
	}
	if (!r->adapter.recovery.count)
		return;
	assert_int_equal(config->status, VIRTIO_NET_S_LINK_UP);
	assert_int_equal(k->config_notified, 2);
	k->idle = NULL;
	adapter_end(&r->adapter);
}

static void test_link(void **state)
{
	struct rig *r = *state;

	net_with_mtu(r, 0);
	r->options.reconnect_ms = RECONNECT_FOREVER;
	assert_int_equal(rig_run(r, "complete#1: close", watch_link), 0);
	assert_true(r->reached);
	rig_finish(r);
}

/* ---- what a back-end may ask for ---- */

/* Return: what the front-end answers, or an errno of frontend_channel_ready() */
static int64_t ask(struct frontend *fe, int theirs, uint32_t request)
{
	struct vu_message msg;
	int64_t status;
	int ret;

	vu_message_init(&msg, VU_BACKEND_REQUEST, request);
	switch (request) {
	case VHOST_USER_BACKEND_IOTLB_MSG:
		vu_message_set_size(&msg, sizeof(msg.payload.iotlb));
		break;
	case VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG:
		vu_message_set_size(&msg, sizeof(msg.payload.area));
		msg.payload.area.index = VHOST_USER_VRING_NOFD_MASK;
		break;
	case VHOST_USER_BACKEND_VRING_CALL:
	case VHOST_USER_BACKEND_VRING_ERR:
		vu_message_set_state(&msg, 0, 0);
		break;
	case VHOST_USER_BACKEND_SHARED_OBJECT_ADD:
	case VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE:
	case VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP:
		vu_message_set_size(&msg, sizeof(msg.payload.shared));
		break;
	case VHOST_USER_BACKEND_SHMEM_UNMAP:
		vu_message_set_size(&msg, sizeof(msg.payload.mmap));
		break;
	default:
		break;
	}
	msg.header.flags |= VHOST_USER_FLAG_NEED_REPLY;
	assert_int_equal(vu_send(theirs, &msg, VU_BACKEND_REQUEST, deadline_after_ms(5000)), 0);
	ret = frontend_channel_ready(fe);
	if (ret)
		return ret;
	assert_int_equal(vu_recv_reply(theirs, VU_BACKEND_REPLY, request, &msg,
				       deadline_after_ms(5000)),
			 0);
	status = (int64_t)msg.payload.u64;
	vu_message_finish(&msg);
	return status;
}

static void test_backend_requests(void **state)
{
	struct frontend fe;
	uint32_t request;
	int pair[2];

	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	frontend_init(&fe);
	fe.channel = pair[0];
	fe.protocol = all_taken();
	for (request = 1; request < VHOST_USER_BACKEND_REQUEST_COUNT; request++) {
		bool known = request == VHOST_USER_BACKEND_CONFIG_CHANGE_MSG;
		int64_t status;

		/* it cannot come without a descriptor: see test-unwanted.c */
		if (request == VHOST_USER_BACKEND_SHMEM_MAP)
			continue;
		status = ask(&fe, pair[1], request);
		fe.config_changed = fe.config_changed && known;
		if ((status == 0) != known)
			fail_msg("request %u: saw status %lld", request, (long long)status);
		if (known)
			assert_true(fe.config_changed);
	}
	/* ... which is no news where there is no configuration space */
	fe.protocol &= ~CONFIG;
	fe.config_changed = false;
	assert_int_not_equal(ask(&fe, pair[1], VHOST_USER_BACKEND_CONFIG_CHANGE_MSG), 0);
	assert_false(fe.config_changed);
	frontend_finish(&fe);
	close(pair[1]);
}

/* ---- descriptors that a back-end sends ---- */

/* A connection that is set up, and the back-end's ends of it. */
struct ends {
	struct frontend fe;
	int sock, channel;
};

static int setup_ends(void **state)
{
	static struct ends e;
	int sock[2], channel[2];

	log_set_level(LOG_LEVEL_ERROR);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel))
		return -1;
	frontend_init(&e.fe);
	e.fe.sock = sock[0];
	e.fe.channel = channel[0];
	e.fe.protocol = all_taken();
	e.fe.features = FEATURES_PROTOCOL;
	e.sock = sock[1];
	e.channel = channel[1];
	*state = &e;
	return 0;
}

static int teardown_ends(void **state)
{
	struct ends *e = *state;

	frontend_finish(&e->fe);
	close(e->sock);
	close(e->channel);
	return 0;
}

/*
 * Sends a message's header, and no more of it, with a pipe's end that is kept nowhere else. Return:
 * the other one
 */
static int send_pipe(int sock, uint32_t request, uint32_t flags, uint32_t size)
{
	const struct vhost_user_header header = { request, VHOST_USER_VERSION | flags, size };
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(raw_peer_send(sock, &header, sizeof(header), ends[1], 1),
			 sizeof(header));
	close(ends[1]);
	return ends[0];
}

static int get_inflight(struct ends *e, int fd, struct inflight *inflight)
{
	struct vu_message msg;

	vu_message_init(&msg, VU_REPLY, VHOST_USER_GET_INFLIGHT_FD);
	memset(&msg.payload.inflight, 0, sizeof(msg.payload.inflight));
	msg.payload.inflight.mmap_size = 4096;
	vu_message_set_size(&msg, sizeof(msg.payload.inflight));
	assert_int_equal(vu_message_add_fd(&msg, fd), 0);
	unwanted_refuse(e->fe.sock, false); /* the answer is sent before the question */
	assert_int_equal(vu_send(e->sock, &msg, VU_REPLY, deadline_after_ms(SHORT_MS)), 0);
	*inflight = (struct inflight){ .fd = -1, .num_queues = 1, .queue_size = 16 };
	failure_clear(&e->fe.failure);
	return frontend_get_inflight(&e->fe, inflight, deadline_after_ms(SHORT_MS));
}

/* The one that may come has to be a file in memory. */
static void test_record_is_memory(void **state)
{
	int memory = memfd_create("record", MFD_CLOEXEC);
	struct inflight inflight;
	struct ends *e = *state;

	assert_int_equal(ftruncate(memory, 4096), 0);
	assert_int_equal(get_inflight(e, memory, &inflight), 0);
	assert_true(inflight.fd >= 0);
	inflight_finish(&inflight);
	assert_int_not_equal(get_inflight(e, e->channel, &inflight), 0);
	assert_true(inflight.fd < 0);
	assert_non_null(strstr(e->fe.failure.text, "GET_INFLIGHT_FD"));
	close(memory);
}

/* Asks for the record when what will be the answer, or the beginning of one, is there. */
static int ask_for_record(struct ends *e)
{
	struct inflight inflight = { .fd = -1, .num_queues = 1, .queue_size = 16 };

	return frontend_get_inflight(&e->fe, &inflight, deadline_after_ms(200));
}

/* Neither this process nor the kernel has closed it, and there is to be no second one. */
static void check_left_open(struct ends *e, int pipe_fd, int ret)
{
	struct pollfd pfd = { .fd = pipe_fd };

	frontend_finish(&e->fe);
	assert_int_equal(ret, -EBADFD);
	assert_true(e->fe.left_open);
	assert_int_equal(poll(&pfd, 1, 0), 0);
	close(pipe_fd);
}

static void test_bad_version_with_file(void **state)
{
	struct ends *e = *state;
	int fd = send_pipe(e->sock, VHOST_USER_GET_INFLIGHT_FD, VHOST_USER_FLAG_REPLY | 2, 8);

	check_left_open(e, fd, ask_for_record(e));
}

static void test_wrong_reply_with_file(void **state)
{
	const uint64_t value = 0;
	struct ends *e = *state;
	int fd = send_pipe(e->sock, VHOST_USER_GET_FEATURES, VHOST_USER_FLAG_REPLY, 8);

	assert_int_equal(send(e->sock, &value, sizeof(value), 0), sizeof(value));
	check_left_open(e, fd, ask_for_record(e));
}

/* The size is that of the record, so that its payload is waited for. */
static int send_record_header(struct ends *e)
{
	return send_pipe(e->sock, VHOST_USER_GET_INFLIGHT_FD, VHOST_USER_FLAG_REPLY,
			 sizeof(struct vhost_user_inflight));
}

static void test_silence_with_file(void **state)
{
	struct ends *e = *state;
	int fd = send_record_header(e);

	check_left_open(e, fd, ask_for_record(e));
}

static void test_two_files(void **state)
{
	const struct vhost_user_inflight payload = { .mmap_size = 4096 };
	struct ends *e = *state;
	int fd = send_record_header(e);

	assert_int_equal(raw_peer_send(e->sock, &payload, sizeof(payload), e->sock, 1),
			 sizeof(payload));
	check_left_open(e, fd, ask_for_record(e));
}

static void lose_backend(struct mock_kernel *k, void *context)
{
	struct rig *r = context;

	if (r->step++)
		return;
	r->adapter.fe.left_open = true;
	assert_true(mock_submit(k, true, 0, 1));
	mock_kick(k);
}

/* However the connection ends then: the next one could leave one more. */
static void test_no_other_after_file(void **state)
{
	struct rig *r = *state;

	r->backend.forked = true;
	r->options.reconnect_ms = 2 * TIMEOUT_MS;
	assert_int_equal(rig_run(r, "kick#1: close", lose_backend), 1);
	rig_finish(r);
	assert_true(r->kernel.is_failed);
}

/* ---- a back-end that answers without end what another adapter asked ---- */

#define FLOOD_MS 3000

static void *flood(void *arg)
{
	static struct {
		struct vhost_user_header header;
		uint64_t value;
	} __attribute__((packed)) replies[1000];
	deadline_t until = deadline_after_ms(FLOOD_MS);
	const struct ends *e = arg;
	size_t i, at = 0;

	for (i = 0; i < ARRAY_SIZE(replies); i++)
		replies[i].header = (struct vhost_user_header){
			VHOST_USER_GET_FEATURES, VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY, 8
		};
	while (!deadline_passed(until)) {
		ssize_t n = send(e->sock, (char *)replies + at, sizeof(replies) - at,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			at = (at + (size_t)n) % sizeof(replies);
		else if (errno != EAGAIN)
			break;
	}
	shutdown(e->sock, SHUT_RDWR);
	return NULL;
}

static void test_resume_ends(void **state)
{
	struct ends *e = *state;
	pthread_t thread;
	int ret;

	assert_int_equal(pthread_create(&thread, NULL, flood, e), 0);
	ret = frontend_resume(&e->fe, deadline_after_ms(SHORT_MS));
	shutdown(e->fe.sock, SHUT_RDWR);
	pthread_join(thread, NULL);
	assert_int_equal(ret, -ETIMEDOUT);
	assert_non_null(strstr(e->fe.failure.text, "in time"));
}

int main(void)
{
#define ENDS_TEST(name) cmocka_unit_test_setup_teardown(name, setup_ends, teardown_ends)
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		RIG_TEST(test_each_feature_alone),
		RIG_TEST(test_all_combinations),
		RIG_TEST(test_no_protocol_features),
		RIG_TEST(test_files_stay_without_ack),
		RIG_TEST(test_reconnect_without_ack),
		RIG_TEST(test_mtu),
		RIG_TEST(test_mtu_not_told),
		RIG_TEST(test_link),
		cmocka_unit_test(test_backend_requests),
		ENDS_TEST(test_record_is_memory),
		ENDS_TEST(test_bad_version_with_file),
		ENDS_TEST(test_wrong_reply_with_file),
		ENDS_TEST(test_silence_with_file),
		ENDS_TEST(test_two_files),
		RIG_TEST(test_no_other_after_file),
		ENDS_TEST(test_resume_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

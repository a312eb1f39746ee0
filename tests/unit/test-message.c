// SPDX-License-Identifier: BSD-3-Clause
/*
 * The vhost-user codec: every message type, broken in every way that its rules forbid; the socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "raw-peer.h"
#include "vhost-user/message.h"

#define SOON deadline_after_ms(5000)

static int pair[2];

static int open_pair(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
}

static int close_pair(void **state)
{
	(void)state;
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	return 0;
}

/* ---- forms ---- */

/* A payload that means something, and descriptors, for one message type */
static void fill_request(struct vu_message *msg, uint32_t request)
{
	vu_message_init(msg, VU_REQUEST, request);
	switch (request) {
	case VHOST_USER_SET_MEM_TABLE:
		msg->payload.memory.nregions = 3;
		vu_message_set_size(msg, 8 + 3 * 32);
		vu_message_add_fd(msg, 0);
		vu_message_add_fd(msg, 1);
		vu_message_add_fd(msg, 2);
		break;
	case VHOST_USER_SET_LOG_BASE:
		vu_message_set_size(msg, 16);
		vu_message_add_fd(msg, 0);
		break;
	case VHOST_USER_GET_CONFIG:
	case VHOST_USER_SET_CONFIG:
		vu_message_set_config(msg, 8, "0123456789", 10, 0);
		break;
	case VHOST_USER_SET_VRING_ADDR:
		vu_message_set_size(msg, 40);
		break;
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		vu_message_set_vring_fd(msg, 3, 0);
		break;
	case VHOST_USER_SET_VRING_NUM:
	case VHOST_USER_SET_VRING_BASE:
	case VHOST_USER_GET_VRING_BASE:
	case VHOST_USER_SET_VRING_ENABLE:
	case VHOST_USER_SET_VRING_ENDIAN:
	case VHOST_USER_VRING_KICK:
		vu_message_set_state(msg, 1, 2);
		break;
	case VHOST_USER_SET_FEATURES:
	case VHOST_USER_SET_PROTOCOL_FEATURES:
	case VHOST_USER_SEND_RARP:
	case VHOST_USER_NET_SET_MTU:
	case VHOST_USER_CLOSE_CRYPTO_SESSION:
	case VHOST_USER_SET_STATUS:
		vu_message_set_u64(msg, 0x123456789abcdefULL);
		break;
	case VHOST_USER_IOTLB_MSG:
		vu_message_set_size(msg, 32);
		break;
	case VHOST_USER_GET_INFLIGHT_FD:
		vu_message_set_size(msg, 24);
		break;
	case VHOST_USER_SET_INFLIGHT_FD:
		vu_message_set_size(msg, 24);
		vu_message_add_fd(msg, 0);
		break;
	case VHOST_USER_ADD_MEM_REG:
		vu_message_set_size(msg, 40);
		vu_message_add_fd(msg, 0);
		break;
	case VHOST_USER_REM_MEM_REG:
		vu_message_set_size(msg, 40);
		break;
	case VHOST_USER_GET_SHARED_OBJECT:
		vu_message_set_size(msg, 16);
		break;
	case VHOST_USER_SET_DEVICE_STATE_FD:
		vu_message_set_size(msg, 8);
		vu_message_add_fd(msg, 0);
		break;
	case VHOST_USER_SET_LOG_FD:
	case VHOST_USER_SET_BACKEND_REQ_FD:
	case VHOST_USER_GPU_SET_SOCKET:
		vu_message_add_fd(msg, 0);
		break;
	default: /* without a payload */
		break;
	}
}

static void test_every_request(void **state)
{
	uint8_t wire[sizeof(struct vu_message)];
	uint32_t request;

	(void)state;
	for (request = 1; request < VHOST_USER_REQUEST_COUNT; request++) {
		struct vu_message msg, back;
		int len;

		fill_request(&msg, request);
		len = vu_message_encode(&msg, VU_REQUEST, wire, sizeof(wire));
		if (len < 0)
			fail_msg("%s: %s", vu_request_name(VU_REQUEST, request), strerror(-len));
		assert_int_equal(len, 12 + msg.header.size);
		back.nfds = msg.nfds;
		memcpy(back.fds, msg.fds, sizeof(msg.fds));
		assert_int_equal(vu_message_decode(&back, VU_REQUEST, wire, (size_t)len), 0);
		assert_memory_equal(&back.payload, &msg.payload, msg.header.size);

		/* one byte, one descriptor too many or too few; each type knows its own */
		assert_int_equal(vu_message_decode(&back, VU_REQUEST, wire, (size_t)len - 1),
				 -EPROTO);
		assert_int_equal(vu_message_decode(&back, VU_REQUEST, wire, (size_t)len + 1),
				 -EPROTO);
		msg.nfds = VHOST_USER_MAX_FDS;
		assert_int_equal(vu_message_check(&msg, VU_REQUEST), -EPROTO);
		fill_request(&msg, request);
		if (msg.nfds) {
			msg.nfds--;
			assert_int_equal(vu_message_check(&msg, VU_REQUEST), -EPROTO);
		}
		fill_request(&msg, request);
		msg.header.size = VHOST_USER_MAX_PAYLOAD + 1;
		assert_int_equal(vu_message_check(&msg, VU_REQUEST), -EPROTO);
	}
}

static void test_header(void **state)
{
	struct vu_message msg;

	(void)state;
	fill_request(&msg, VHOST_USER_SET_FEATURES);
	assert_int_equal(vu_message_check(&msg, VU_REQUEST), 0);
	assert_int_equal(vu_message_check(&msg, VU_REPLY), -EPROTO); /* no reply flag */
	msg.header.flags |= VHOST_USER_FLAG_REPLY;
	assert_int_equal(vu_message_check(&msg, VU_REQUEST), -EPROTO);
	assert_int_equal(vu_message_check(&msg, VU_REPLY), 0); /* looks like an acknowledgement */
	msg.header.flags = 2;
	assert_int_equal(vu_message_check(&msg, VU_REQUEST), -EPROTO); /* version */
	msg.header.flags = VHOST_USER_VERSION | 0x10;
	assert_int_equal(vu_message_check(&msg, VU_REQUEST), -EPROTO); /* unknown flag */
	msg.header.flags = VHOST_USER_VERSION;
	msg.header.request = VHOST_USER_REQUEST_COUNT;
	assert_int_equal(vu_message_check(&msg, VU_REQUEST), -EOPNOTSUPP);
	msg.header.request = 0;
	assert_int_equal(vu_message_check(&msg, VU_REQUEST), -EOPNOTSUPP);
	msg.header.request = UINT32_MAX;
	assert_int_equal(vu_message_check(&msg, VU_REQUEST), -EOPNOTSUPP);
	assert_string_equal(vu_request_name(VU_REQUEST, UINT32_MAX), "unknown");
	assert_string_equal(vu_request_name(VU_BACKEND_REQUEST, 2), "CONFIG_CHANGE_MSG");
}

static void test_payload_rules(void **state)
{
	struct vu_message msg;

	(void)state;
	/* more regions than descriptors, than the payload, than there can be */
	fill_request(&msg, VHOST_USER_SET_MEM_TABLE);
	msg.payload.memory.nregions = 2;
	assert_int_equal(vu_message_check(&msg, VU_REQUEST), -EPROTO);
	msg.payload.memory.nregions = 4;
	assert_int_equal(vu_message_check(&msg, VU_REQUEST), -EPROTO);
	msg.payload.memory.nregions = UINT32_MAX;
	assert_int_equal(vu_message_check(&msg, VU_REQUEST), -EPROTO);

	/* config: inner and outer size */
	fill_request(&msg, VHOST_USER_SET_CONFIG);
	msg.payload.config.size = 9;
	assert_int_equal(vu_message_check(&msg, VU_REQUEST), -EPROTO);
	msg.payload.config.size = UINT32_MAX - 11;
	assert_int_equal(vu_message_check(&msg, VU_REQUEST), -EPROTO);
	fill_request(&msg, VHOST_USER_GET_CONFIG);
	msg.header.size = VHOST_USER_CONFIG_HEADER; /* a question without the bytes is fine ... */
	assert_int_equal(vu_message_check(&msg, VU_REQUEST), 0);
	msg.payload.config.size = 0; /* ... about nothing is not */
	assert_int_equal(vu_message_check(&msg, VU_REQUEST), -EPROTO);
	vu_message_init(&msg, VU_REPLY, VHOST_USER_GET_CONFIG);
	assert_int_equal(vu_message_check(&msg, VU_REPLY), 0); /* a refusal */
	msg.header.size = 5;
	assert_int_equal(vu_message_check(&msg, VU_REPLY), -EPROTO);

	/* a descriptor that is announced and not there, and the other way round */
	fill_request(&msg, VHOST_USER_SET_VRING_CALL);
	msg.payload.u64 |= VHOST_USER_VRING_NOFD_MASK;
	assert_int_equal(vu_message_check(&msg, VU_REQUEST), -EPROTO);
	msg.nfds = 0;
	assert_int_equal(vu_message_check(&msg, VU_REQUEST), 0);
	msg.payload.u64 &= ~VHOST_USER_VRING_NOFD_MASK;
	assert_int_equal(vu_message_check(&msg, VU_REQUEST), -EPROTO);

	vu_message_init(&msg, VU_REPLY, VHOST_USER_GET_SHMEM_CONFIG);
	msg.payload.shmem.nregions = 2;
	vu_message_set_size(&msg, 8 + 8);
	assert_int_equal(vu_message_check(&msg, VU_REPLY), -EPROTO);
	vu_message_set_size(&msg, 8 + 16);
	assert_int_equal(vu_message_check(&msg, VU_REPLY), 0);
}

/* The oversized payload of a config set by hand must not run over the structure. */
static void test_config_too_large(void **state)
{
	static const uint8_t data[4096];
	struct vu_message msg;

	(void)state;
	vu_message_init(&msg, VU_REQUEST, VHOST_USER_SET_CONFIG);
	vu_message_set_config(&msg, 0, data, sizeof(data), 0);
	assert_int_equal(vu_message_check(&msg, VU_REQUEST), -EPROTO);
}

/* ---- sockets ---- */

static void test_send_and_receive(void **state)
{
	struct vu_message msg, got;
	int fds = open_fds();
	unsigned int i;

	(void)state;
	fill_request(&msg, VHOST_USER_SET_MEM_TABLE);
	for (i = 0; i < 3; i++)
		msg.payload.memory.regions[i].guest_addr = 0x1000 * i;
	assert_int_equal(vu_send(pair[0], &msg, VU_REQUEST, SOON), 0);
	assert_int_equal(vu_recv(pair[1], VU_REQUEST, &got, SOON), 0);
	assert_int_equal(got.header.request, VHOST_USER_SET_MEM_TABLE);
	assert_int_equal(got.nfds, 3);
	assert_memory_equal(&got.payload, &msg.payload, msg.header.size);
	for (i = 0; i < 3; i++)
		assert_true(fcntl(got.fds[i], F_GETFD) & FD_CLOEXEC);
	i = (unsigned int)vu_message_take_fd(&got, 1);
	assert_int_equal(vu_message_take_fd(&got, 1), -1);
	assert_int_equal(vu_message_take_fd(&got, 7), -1);
	vu_message_finish(&got);
	assert_int_equal(open_fds(), fds + 1); /* the one that was taken */
	close((int)i);
}

/* Two messages in one piece, one in many pieces with another's descriptors behind it. */
static void test_pieces(void **state)
{
	uint8_t wire[512];
	struct vu_message msg, got;
	struct vu_reader reader;
	int len, i;

	(void)state;
	fill_request(&msg, VHOST_USER_SET_VRING_NUM);
	len = vu_message_encode(&msg, VU_REQUEST, wire, sizeof(wire));
	memcpy(wire + len, wire, (size_t)len);
	assert_int_equal(write(pair[0], wire, 2 * (size_t)len), 2 * len);
	assert_int_equal(vu_recv(pair[1], VU_REQUEST, &got, SOON), 0);
	assert_int_equal(vu_recv(pair[1], VU_REQUEST, &got, SOON), 0);
	assert_int_equal(got.payload.state.num, 2);

	vu_reader_init(&reader);
	for (i = 0; i < len; i++) {
		assert_int_equal(vu_reader_read(&reader, pair[1], VU_REQUEST, &got), -EAGAIN);
		assert_int_equal(vu_reader_pending(&reader), i > 0);
		assert_int_equal(write(pair[0], wire + i, 1), 1);
	}
	fill_request(&msg, VHOST_USER_SET_VRING_KICK);
	assert_int_equal(vu_send(pair[0], &msg, VU_REQUEST, SOON), 0);
	assert_int_equal(vu_reader_read(&reader, pair[1], VU_REQUEST, &got), 0);
	assert_int_equal(got.header.request, VHOST_USER_SET_VRING_NUM);
	assert_int_equal(got.nfds, 0);
	assert_int_equal(vu_reader_read(&reader, pair[1], VU_REQUEST, &got), 0);
	assert_int_equal(got.header.request, VHOST_USER_SET_VRING_KICK);
	assert_int_equal(got.nfds, 1);
	vu_message_finish(&got);
}

/* Sends bytes with descriptors, as a hostile peer would: past our own checks. */
static void send_raw(const void *bytes, size_t len, unsigned int nfds)
{
	assert_int_equal(raw_peer_send(pair[0], bytes, len, pair[0], nfds), len);
}

/* Descriptors that nobody asked for are closed, however many and wherever they come. */
static void test_unwanted_descriptors(void **state)
{
	static const unsigned int counts[] = { 1, 8, 9, 64 };
	struct vhost_user_header header = { VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, 8 };
	uint64_t payload = 1;
	struct vu_message got;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		int fds = open_fds();

		send_raw(&header, sizeof(header), counts[i]);
		send_raw(&payload, sizeof(payload), 0);
		assert_int_equal(vu_recv(pair[1], VU_REQUEST, &got, SOON), -EPROTO);
		close_pair(NULL);
		assert_int_equal(open_fds(), fds - 2);
		open_pair(NULL);

		send_raw(&header, sizeof(header), 0);
		send_raw(&payload, sizeof(payload), counts[i]);
		assert_int_equal(vu_recv(pair[1], VU_REQUEST, &got, SOON), -EPROTO);
		close_pair(NULL);
		assert_int_equal(open_fds(), fds - 2);
		open_pair(NULL);
	}
}

/* As many as a message can have, and one more: with them, or behind them. */
static void test_one_descriptor_more(void **state)
{
	static const unsigned int with[][2] = { { 8, 0 }, { 9, 0 }, { 8, 1 } }; /* header, rest */
	struct vu_message msg, got;
	int fds = open_fds();
	size_t i;

	(void)state;
	vu_message_init(&msg, VU_REQUEST, VHOST_USER_SET_MEM_TABLE);
	msg.payload.memory.nregions = VHOST_USER_MAX_FDS;
	vu_message_set_size(&msg, 8 + VHOST_USER_MAX_FDS * 32);
	for (i = 0; i < ARRAY_SIZE(with); i++) {
		send_raw(&msg.header, sizeof(msg.header), with[i][0]);
		send_raw(&msg.payload, msg.header.size, with[i][1]);
		assert_int_equal(vu_recv(pair[1], VU_REQUEST, &got, SOON), i ? -EPROTO : 0);
		if (i == 0)
			vu_message_finish(&got);
		close_pair(NULL);
		assert_int_equal(open_fds(), fds - 2);
		open_pair(NULL);
	}
}

static void test_bad_streams(void **state)
{
	struct vhost_user_header header = { VHOST_USER_SET_FEATURES, VHOST_USER_VERSION,
					    UINT32_MAX };
	struct vu_message got;

	(void)state;
	/* a size that no message has is refused before its payload comes */
	send_raw(&header, sizeof(header), 0);
	assert_int_equal(vu_recv(pair[1], VU_REQUEST, &got, SOON), -EPROTO);
	/* the end in the middle of a header, and of a payload */
	header.size = 8;
	send_raw(&header, 5, 0);
	shutdown(pair[0], SHUT_WR);
	assert_int_equal(vu_recv(pair[1], VU_REQUEST, &got, SOON), -ECONNRESET);
	close_pair(NULL);
	open_pair(NULL);
	send_raw(&header, sizeof(header), 0);
	fd_close(&pair[0]);
	assert_int_equal(vu_recv(pair[1], VU_REQUEST, &got, SOON), -ECONNRESET);
	fill_request(&got, VHOST_USER_SET_OWNER);
	assert_int_equal(vu_send(pair[1], &got, VU_REQUEST, SOON), -ECONNRESET);
}

/* A peer that trickles bytes, or reads none, does not prolong the wait. */
static void test_deadlines(void **state)
{
	struct vhost_user_header header = { VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, 8 };
	struct vu_message msg;
	uint64_t before = now_ns();
	int ret = 0;

	(void)state;
	assert_int_equal(vu_recv(pair[1], VU_REQUEST, &msg, DEADLINE_NOW), -ETIMEDOUT);
	send_raw(&header, 7, 0);
	assert_int_equal(vu_recv(pair[1], VU_REQUEST, &msg, deadline_after_ms(50)), -ETIMEDOUT);
	assert_true(now_ns() - before >= 50000000);
	fill_request(&msg, VHOST_USER_SET_FEATURES);
	before = now_ns();
	while (!ret)
		ret = vu_send(pair[1], &msg, VU_REQUEST, deadline_after_ms(50));
	assert_int_equal(ret, -ETIMEDOUT);
	assert_true(now_ns() - before >= 50000000);
}

/* The other side of a transaction: receives one request, and answers with what it was given. */
struct answer {
	struct vu_message reply;
	struct vu_message request;
	bool silent;
};

static void *answer_one(void *data)
{
	struct answer *answer = data;

	if (vu_recv(pair[1], VU_REQUEST, &answer->request, SOON))
		return NULL;
	if (!answer->silent)
		vu_send(pair[1], &answer->reply, VU_REPLY, SOON);
	return NULL;
}

static int transact(struct vu_message *msg, struct answer *answer, bool ack)
{
	pthread_t thread;
	int ret;

	assert_int_equal(pthread_create(&thread, NULL, answer_one, answer), 0);
	ret = vu_transact(pair[0], msg, VU_REQUEST, ack,
			  deadline_after_ms(answer->silent ? 100 : 5000));
	pthread_join(thread, NULL);
	return ret;
}

static void test_transactions(void **state)
{
	struct answer answer = { 0 };
	struct vu_message msg;

	(void)state;
	/* a reply of its own */
	fill_request(&msg, VHOST_USER_GET_FEATURES);
	vu_message_init(&answer.reply, VU_REPLY, VHOST_USER_GET_FEATURES);
	vu_message_set_u64(&answer.reply, 42);
	assert_int_equal(transact(&msg, &answer, true), 0);
	assert_int_equal(msg.payload.u64, 42);
	assert_false(answer.request.header.flags & VHOST_USER_FLAG_NEED_REPLY);

	/* acknowledged, and refused */
	fill_request(&msg, VHOST_USER_SET_FEATURES);
	vu_message_init(&answer.reply, VU_REPLY, VHOST_USER_SET_FEATURES);
	vu_message_set_u64(&answer.reply, 0);
	assert_int_equal(transact(&msg, &answer, true), 0);
	assert_true(answer.request.header.flags & VHOST_USER_FLAG_NEED_REPLY);
	assert_true(vu_message_needs_ack(&answer.request, VU_REQUEST));
	fill_request(&msg, VHOST_USER_SET_FEATURES);
	vu_message_set_u64(&answer.reply, 7);
	assert_int_equal(transact(&msg, &answer, true), 1);
	assert_int_equal(msg.payload.u64, 7);

	/* without REPLY_ACK nobody waits */
	answer.silent = true;
	fill_request(&msg, VHOST_USER_SET_FEATURES);
	assert_int_equal(transact(&msg, &answer, false), 0);
	fill_request(&msg, VHOST_USER_GET_FEATURES);
	assert_int_equal(transact(&msg, &answer, false), -ETIMEDOUT);

	/* the answer to another question */
	answer.silent = false;
	vu_message_init(&answer.reply, VU_REPLY, VHOST_USER_GET_QUEUE_NUM);
	vu_message_set_u64(&answer.reply, 1);
	fill_request(&msg, VHOST_USER_GET_FEATURES);
	assert_int_equal(transact(&msg, &answer, false), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_request),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_payload_rules),
		cmocka_unit_test(test_config_too_large),
		cmocka_unit_test_setup_teardown(test_send_and_receive, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(test_pieces, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(test_unwanted_descriptors, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(test_one_descriptor_more, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(test_bad_streams, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(test_deadlines, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(test_transactions, open_pair, close_pair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The codec. The first byte says which kind of message is expected and whether the bytes come at
 * once or over a socket, in pieces and with descriptors; the rest is what the peer sends.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "raw-peer.h"
#include "vhost-user/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was accepted must be accepted again, and give the same bytes. */
static void check_round_trip(const struct vu_message *msg, enum vu_kind kind)
{
	uint8_t wire[sizeof(struct vu_message)];
	struct vu_message back;
	int len = vu_message_encode(msg, kind, wire, sizeof(wire));

	if (len < 0)
		abort();
	back.nfds = msg->nfds;
	memcpy(back.fds, msg->fds, sizeof(back.fds));
	if (vu_message_decode(&back, kind, wire, (size_t)len))
		abort();
	if (memcmp(&back.header, &msg->header, sizeof(back.header)) ||
	    memcmp(&back.payload, &msg->payload, msg->header.size))
		abort();
}

static void fuzz_bytes(enum vu_kind kind, unsigned int nfds, const uint8_t *data, size_t size)
{
	struct vu_message msg = { .nfds = nfds };
	unsigned int i;

	for (i = 0; i < nfds; i++)
		msg.fds[i] = -1;
	if (!vu_message_decode(&msg, kind, data, size))
		check_round_trip(&msg, kind);
}

/*
 * Pieces: a byte with length (low nibble and one more) and number of descriptors, then the bytes.
 */
static void fuzz_stream(enum vu_kind kind, const uint8_t *data, size_t size)
{
	struct vu_reader reader;
	struct vu_message msg;
	int pair[2], before, after;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return;
	before = dup(0);
	close(before);
	vu_reader_init(&reader);
	while (size) {
		size_t len = (*data & 15U) + 1;
		unsigned int nfds = *data >> 4;
		int ret;

		data++;
		size--;
		if (len > size)
			len = size;
		if (!len)
			break;
		if (raw_peer_send(pair[0], data, len, pair[0], nfds) < 0)
			break;
		data += len;
		size -= len;
		while (!(ret = vu_reader_read(&reader, pair[1], kind, &msg))) {
			check_round_trip(&msg, kind);
			vu_message_finish(&msg);
		}
		if (ret != -EAGAIN)
			break;
	}
	vu_reader_finish(&reader);
	/* The lowest free descriptor is the same as before, or one has leaked. */
	after = dup(0);
	close(after);
	if (after != before)
		abort();
	close(pair[0]);
	close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum vu_kind kind;

	if (!size)
		return 0;
	kind = data[0] & 3;
	if (data[0] & 4)
		fuzz_stream(kind, data + 1, size - 1);
	else
		fuzz_bytes(kind, data[0] >> 4 > VHOST_USER_MAX_FDS ? 0 : data[0] >> 4, data + 1,
			   size - 1);
	return 0;
}

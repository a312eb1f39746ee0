// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-snd from outside: the program, over its socket, with a driver of our own. */
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/snd/protocol.h"
#include "check.h"
#include "common/deadline.h"
#include "common/util.h"
#include "front-end.h"

#define OUT "test-snd-out.wav"
#define HEADER 44
#define PERIOD 4800 /* bytes of a message: 25 ms of 48 kHz, two channels of 16 bits */
#define PERIOD_MS 25
#define OK VIRTIO_SND_S_OK
#define BAD VIRTIO_SND_S_BAD_MSG
#define NOT_SUPP VIRTIO_SND_S_NOT_SUPP

static const char *program; /* argv[1] */

struct message {
	struct virtio_snd_pcm_xfer *xfer;
	struct virtio_snd_pcm_status *status;
	uint8_t *data;
};

static void start(struct fe *fe, const char *const *extra, uint64_t features)
{
	const char *argv[12] = { program };
	size_t n = 1, i;

	for (i = 0; extra[i]; i++)
		argv[n++] = extra[i];
	assert_int_equal(fe_init(fe, 1 << 20, 4, 64, true), 0);
	assert_int_equal(fe_spawn(fe, argv), 0);
	assert_int_equal(fe_handshake(fe, features), 0);
}

static void start_wav(struct fe *fe)
{
	const char *const extra[] = { "--backend", "wav", "--playback", OUT, NULL };

	start(fe, extra, ~0ULL);
}

static void start_null(struct fe *fe)
{
	const char *const extra[] = { "--backend", "null", NULL };

	start(fe, extra, ~0ULL);
}

static void finish(struct fe *fe)
{
	int status;

	close(fe->sock);
	fe->sock = -1;
	status = fe_wait(fe);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	fe_finish(fe);
	unlink(OUT);
}

/* ---- the control queue ---- */

/* Return: the status; @answer gets what follows it; 0: the answer was too short to hold one */
static uint32_t ask(struct fe *fe, const void *request, uint32_t len, void *answer, uint32_t room,
		    uint32_t *written)
{
	size_t used = fe->mem.used;
	uint8_t *out = drv_alloc(&fe->mem, len ? len : 1, 8);
	uint8_t *in = drv_alloc(&fe->mem, 4 + room, 8);
	/* in several parts, as a driver likes */
	struct drv_buf bufs[] = {
		{ out, len / 2, false }, { out + len / 2, len - len / 2, false },
		{ in, 3, true },	 { in + 3, 1 + room, true },
	};
	uint32_t got, status;
	int head = drv_add(&fe->rings[0], bufs, 4, len % 8 == 0);

	memcpy(out, request, len);
	assert_true(head >= 0);
	drv_kick(&fe->rings[0]);
	assert_int_equal(drv_wait(&fe->rings[0], &got, FE_TIMEOUT_MS), head);
	memcpy(&status, in, sizeof(status));
	if (answer)
		memcpy(answer, in + 4, room);
	if (written)
		*written = got;
	fe->mem.used = used;
	return le32toh(status);
}

static uint32_t query(struct fe *fe, uint32_t code, uint32_t first, uint32_t count, uint32_t size,
		      void *items, uint32_t room)
{
	const struct virtio_snd_query_info request = {
		.hdr.code = htole32(code),
		.start_id = htole32(first),
		.count = htole32(count),
		.size = htole32(size),
	};

	return ask(fe, &request, sizeof(request), items, room, NULL);
}

static uint32_t command(struct fe *fe, uint32_t code, uint32_t stream)
{
	const struct virtio_snd_pcm_hdr request = { { htole32(code) }, htole32(stream) };

	return ask(fe, &request, sizeof(request), NULL, 0, NULL);
}

static uint32_t set_params(struct fe *fe, uint32_t stream, uint32_t buffer, uint32_t period,
			   uint8_t channels, uint8_t format, uint8_t rate)
{
	const struct virtio_snd_pcm_set_params request = {
		.hdr = { { htole32(VIRTIO_SND_R_PCM_SET_PARAMS) }, htole32(stream) },
		.buffer_bytes = htole32(buffer),
		.period_bytes = htole32(period),
		.features = htole32(1U << VIRTIO_SND_PCM_F_EVT_XRUNS),
		.channels = channels,
		.format = format,
		.rate = rate,
	};

	return ask(fe, &request, sizeof(request), NULL, 0, NULL);
}

static void get_ready(struct fe *fe, uint32_t stream)
{
	assert_int_equal(set_params(fe, stream, 4 * PERIOD, PERIOD, 2, VIRTIO_SND_PCM_FMT_S16,
				    VIRTIO_SND_PCM_RATE_48000),
			 OK);
	assert_int_equal(command(fe, VIRTIO_SND_R_PCM_PREPARE, stream), OK);
}

static void test_information(void **state)
{
	struct virtio_snd_jack_info jacks[2];
	struct virtio_snd_pcm_info pcms[3];
	struct virtio_snd_chmap_info maps[10];
	struct snd_config config;
	uint8_t larger[2][40];
	struct fe fe;

	(void)state;
	start_null(&fe);
	assert_int_equal(fe_get_config(&fe, 0, &config, sizeof(config)), 0);
	assert_int_equal(config.jacks, 2);
	assert_int_equal(config.streams, 2);
	assert_int_equal(config.chmaps, 10);
	assert_int_equal(config.controls, 4);
	assert_int_equal(query(&fe, VIRTIO_SND_R_JACK_INFO, 0, 2, sizeof(jacks[0]), jacks,
			       sizeof(jacks)),
			 OK);
	assert_int_equal(jacks[0].connected, 1);
	assert_int_equal(jacks[1].hda_reg_defconf >> 20 & 0xf, 0xa); /* a microphone */
	assert_int_equal(query(&fe, VIRTIO_SND_R_PCM_INFO, 0, 2, sizeof(pcms[0]), pcms,
			       2 * sizeof(pcms[0])),
			 OK);
	assert_int_equal(pcms[0].direction, VIRTIO_SND_D_OUTPUT);
	assert_int_equal(pcms[1].direction, VIRTIO_SND_D_INPUT);
	assert_int_equal(pcms[1].channels_max, 8);
	assert_int_equal(pcms[0].rates, (1U << 14) - 1);
	assert_int_equal(query(&fe, VIRTIO_SND_R_CHMAP_INFO, 0, 10, sizeof(maps[0]), maps,
			       sizeof(maps)),
			 OK);
	assert_int_equal(maps[1].channels, 2);
	assert_int_equal(maps[1].positions[1], VIRTIO_SND_CHMAP_FR);
	assert_int_equal(maps[9].direction, VIRTIO_SND_D_INPUT);
	/* a driver that knows more of an item, and one that knows less */
	memset(larger, 0xaa, sizeof(larger));
	assert_int_equal(query(&fe, VIRTIO_SND_R_PCM_INFO, 0, 2, 40, larger, sizeof(larger)), OK);
	assert_memory_equal(larger[1], &pcms[1], sizeof(pcms[1]));
	assert_int_equal(larger[1][sizeof(pcms[1])], 0);
	assert_int_equal(query(&fe, VIRTIO_SND_R_PCM_INFO, 1, 1, 8, larger, 8), OK);
	assert_memory_equal(larger[0], &pcms[1], 8);
	finish(&fe);
}

static void test_bad_requests(void **state)
{
	const struct virtio_snd_hdr unknown = { htole32(0x666) };
	static uint8_t items[2 * 4097];
	uint32_t written;
	struct fe fe;

	(void)state;
	start_null(&fe);
	assert_int_equal(query(&fe, VIRTIO_SND_R_PCM_INFO, 0, 3, 32, items, 96), BAD);
	assert_int_equal(query(&fe, VIRTIO_SND_R_PCM_INFO, 3, 0, 32, items, 96), BAD);
	assert_int_equal(query(&fe, VIRTIO_SND_R_PCM_INFO, 1, UINT32_MAX, 32, items, 96), BAD);
	assert_int_equal(query(&fe, VIRTIO_SND_R_PCM_INFO, 0, 2, 0, items, 96), BAD);
	assert_int_equal(query(&fe, VIRTIO_SND_R_PCM_INFO, 0, 2, 32, items, 63), BAD);
	assert_int_equal(query(&fe, VIRTIO_SND_R_PCM_INFO, 0, 2, UINT32_MAX, items, 96), BAD);
	/* a driver can name the same memory many times: room alone is no bound */
	assert_int_equal(query(&fe, VIRTIO_SND_R_PCM_INFO, 0, 2, 4096, items, 2 * 4096), OK);
	assert_int_equal(query(&fe, VIRTIO_SND_R_PCM_INFO, 0, 2, 4097, items, 2 * 4097), BAD);
	assert_int_equal(ask(&fe, &unknown, sizeof(unknown), NULL, 0, &written), NOT_SUPP);
	assert_int_equal(written, 4);
	assert_int_equal(ask(&fe, &unknown, 2, NULL, 0, NULL), BAD);
	assert_int_equal(command(&fe, VIRTIO_SND_R_JACK_REMAP, 0), NOT_SUPP);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_PREPARE, 2), BAD);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_PREPARE, UINT32_MAX), BAD);
	/* a SET_PARAMS that ends too early */
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_SET_PARAMS, 0), BAD);
	finish(&fe);
}

/* ---- control elements ---- */

static uint32_t write_control(struct fe *fe, uint32_t control, uint32_t value)
{
	const struct {
		struct snd_ctl_hdr hdr;
		__le32 value[128];
	} request = {
		.hdr = { { htole32(SND_R_CTL_WRITE) }, htole32(control) },
		.value = { htole32(value) },
	};

	return ask(fe, &request, sizeof(request), NULL, 0, NULL);
}

static uint32_t read_control(struct fe *fe, uint32_t control)
{
	const struct snd_ctl_hdr request = { { htole32(SND_R_CTL_READ) }, htole32(control) };
	struct snd_ctl_value value;

	assert_int_equal(ask(fe, &request, sizeof(request), &value, sizeof(value), NULL), OK);
	return le32toh(value.value.integer[0]);
}

static void test_controls(void **state)
{
	const struct snd_ctl_hdr tlv_request = { { htole32(SND_R_CTL_TLV_READ) }, 0 };
	const struct snd_ctl_hdr switch_tlv = { { htole32(SND_R_CTL_TLV_READ) }, htole32(1) };
	struct snd_ctl_info info[4];
	struct snd_ctl_event *event;
	struct drv_buf buf;
	int32_t tlv[4];
	struct fe fe;

	(void)state;
	start_null(&fe);
	assert_int_equal(sizeof(info[0]), 96);
	assert_int_equal(query(&fe, SND_R_CTL_INFO, 0, 4, sizeof(info[0]), info, sizeof(info)), OK);
	assert_string_equal((char *)info[0].name, "Master Playback Volume");
	assert_string_equal((char *)info[3].name, "Capture Switch");
	assert_int_equal(info[0].value.integer.max, 120);
	assert_int_equal(ask(&fe, &tlv_request, sizeof(tlv_request), tlv, sizeof(tlv), NULL), OK);
	assert_int_equal(tlv[2], -6000);
	assert_int_equal(tlv[3], 0x10000 | 50);
	assert_int_equal(ask(&fe, &tlv_request, sizeof(tlv_request), tlv, 15, NULL), BAD);
	assert_int_equal(ask(&fe, &switch_tlv, sizeof(switch_tlv), tlv, sizeof(tlv), NULL),
			 NOT_SUPP);
	assert_int_equal(read_control(&fe, 0), 120);
	assert_int_equal(write_control(&fe, 0, 121), BAD);
	assert_int_equal(write_control(&fe, 1, 2), BAD);
	assert_int_equal(write_control(&fe, 4, 0), BAD);
	/* told before there is a buffer for it: the news waits */
	assert_int_equal(write_control(&fe, 2, 80), OK);
	assert_int_equal(read_control(&fe, 2), 80);
	event = drv_alloc(&fe.mem, 64, 8);
	buf = (struct drv_buf){ event, sizeof(*event), true };
	drv_add(&fe.rings[1], &buf, 1, false);
	drv_kick(&fe.rings[1]);
	assert_true(drv_wait(&fe.rings[1], NULL, FE_TIMEOUT_MS) >= 0);
	assert_int_equal(event->hdr.code, SND_EVT_CTL_NOTIFY);
	assert_int_equal(event->control_id, 2);
	assert_int_equal(event->mask, 1);
	/* no change, no news */
	drv_add(&fe.rings[1], &buf, 1, false);
	drv_kick(&fe.rings[1]);
	assert_int_equal(write_control(&fe, 2, 80), OK);
	assert_int_equal(drv_wait(&fe.rings[1], NULL, 50), -1);
	finish(&fe);
}

static void test_controls_not_negotiated(void **state)
{
	const char *const extra[] = { "--backend", "null", NULL };
	struct fe fe;

	(void)state;
	start(&fe, extra, ~1ULL);
	assert_int_equal(write_control(&fe, 0, 1), NOT_SUPP);
	finish(&fe);
}

/* ---- the states ---- */

static void test_params(void **state)
{
	struct fe fe;

	(void)state;
	start_wav(&fe);
	assert_int_equal(set_params(&fe, 0, 9600, 4800, 2, VIRTIO_SND_PCM_FMT_S16, 7), OK);
	assert_int_equal(set_params(&fe, 0, 9600, 4800, 0, VIRTIO_SND_PCM_FMT_S16, 7), NOT_SUPP);
	assert_int_equal(set_params(&fe, 0, 9600, 4800, 9, VIRTIO_SND_PCM_FMT_S16, 7), NOT_SUPP);
	assert_int_equal(set_params(&fe, 0, 9600, 4800, 2, VIRTIO_SND_PCM_FMT_DSD_U8, 7), NOT_SUPP);
	assert_int_equal(set_params(&fe, 0, 9600, 4800, 2, 0, 7), NOT_SUPP);
	assert_int_equal(set_params(&fe, 0, 9600, 4800, 2, 255, 7), NOT_SUPP);
	assert_int_equal(set_params(&fe, 0, 9600, 4800, 2, VIRTIO_SND_PCM_FMT_S16, 14), NOT_SUPP);
	assert_int_equal(set_params(&fe, 0, 9600, 4800, 2, VIRTIO_SND_PCM_FMT_S16, 255), NOT_SUPP);
	assert_int_equal(set_params(&fe, 0, 9600, 0, 2, VIRTIO_SND_PCM_FMT_S16, 7), BAD);
	assert_int_equal(set_params(&fe, 0, 0, 4800, 2, VIRTIO_SND_PCM_FMT_S16, 7), BAD);
	assert_int_equal(set_params(&fe, 0, 9600, 4000, 2, VIRTIO_SND_PCM_FMT_S16, 7), BAD);
	assert_int_equal(set_params(&fe, 0, 9604, 4802, 2, VIRTIO_SND_PCM_FMT_S16, 7), BAD);
	/* what was refused has changed nothing */
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_PREPARE, 0), OK);
	finish(&fe);
}

static void test_states(void **state)
{
	struct fe fe;

	(void)state;
	start_null(&fe);
	/* not set up yet; a release does no harm, and the Linux driver begins with one */
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_PREPARE, 0), BAD);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_START, 0), BAD);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_STOP, 0), BAD);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_RELEASE, 0), OK);
	get_ready(&fe, 0);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_STOP, 0), BAD);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_PREPARE, 0), OK);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_START, 0), OK);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_START, 0), BAD);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_PREPARE, 0), BAD);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_RELEASE, 0), BAD);
	assert_int_equal(set_params(&fe, 0, 9600, 4800, 2, VIRTIO_SND_PCM_FMT_S16, 7), BAD);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_STOP, 0), OK);
	/* closed while it pauses: the Linux driver stops it twice */
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_STOP, 0), OK);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_START, 0), OK);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_STOP, 0), OK);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_RELEASE, 0), OK);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_START, 0), BAD);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_PREPARE, 0), OK);
	/* after a suspend: set up again without a release */
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_START, 0), OK);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_STOP, 0), OK);
	get_ready(&fe, 0);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_START, 0), OK);
	finish(&fe);
}

/* ---- messages ---- */

static void make(struct fe *fe, struct message *msg, uint32_t stream)
{
	msg->xfer = drv_alloc(&fe->mem, sizeof(*msg->xfer), 8);
	msg->status = drv_alloc(&fe->mem, sizeof(*msg->status), 8);
	msg->data = drv_alloc(&fe->mem, PERIOD, 8);
	msg->xfer->stream_id = htole32(stream);
	msg->status->status = UINT32_MAX;
}

/* The data in three parts, as the Linux driver's pages are. */
static int send_length(struct fe *fe, unsigned int ring, struct message *msg, uint32_t length)
{
	bool in = ring == VIRTIO_SND_VQ_RX;
	uint32_t third = length / 3;
	struct drv_buf bufs[] = {
		{ msg->xfer, sizeof(*msg->xfer), false },
		{ msg->data, third, in },
		{ msg->data + third, third, in },
		{ msg->data + 2UL * third, length - 2 * third, in },
		{ msg->status, sizeof(*msg->status), true },
	};
	int head = drv_add(&fe->rings[ring], bufs, 5, true);

	assert_true(head >= 0);
	drv_kick(&fe->rings[ring]);
	return head;
}

static int send(struct fe *fe, unsigned int ring, struct message *msg)
{
	return send_length(fe, ring, msg, PERIOD);
}

static void fill(struct message *msg, unsigned int seed)
{
	unsigned int i;

	for (i = 0; i < PERIOD; i++)
		msg->data[i] = (uint8_t)(seed * 91 + i * 13 + i / 256);
}

static size_t file_bytes(uint8_t *data, size_t room)
{
	int fd = open(OUT, O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = pread(fd, data, room, HEADER);
	close(fd);
	return n > 0 ? (size_t)n : 0;
}

static void test_played_at_its_pace(void **state)
{
	struct message msgs[4];
	uint8_t seen[5 * PERIOD];
	uint64_t begin;
	uint32_t len;
	struct fe fe;
	int i;

	(void)state;
	start_wav(&fe);
	get_ready(&fe, 0);
	for (i = 0; i < 4; i++) {
		make(&fe, &msgs[i], 0);
		fill(&msgs[i], (unsigned int)i);
		send(&fe, VIRTIO_SND_VQ_TX, &msgs[i]);
	}
	/* not before it is started */
	assert_int_equal(drv_wait(&fe.rings[2], NULL, 60), -1);
	assert_int_equal(file_bytes(seen, sizeof(seen)), 0);
	begin = now_ns();
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_START, 0), OK);
	for (i = 0; i < 4; i++) {
		uint64_t ms;

		assert_true(drv_wait(&fe.rings[2], &len, FE_TIMEOUT_MS) >= 0);
		ms = (now_ns() - begin) / 1000000;
		print_message("message %d after %lu ms\n", i, (unsigned long)ms);
		assert_true(ms >= (unsigned int)(i + 1) * PERIOD_MS);
		assert_int_equal(len, sizeof(*msgs[i].status));
		assert_int_equal(msgs[i].status->status, OK);
		assert_true(msgs[i].status->latency_bytes <= 4 * PERIOD);
	}
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_STOP, 0), OK);
	assert_int_equal(file_bytes(seen, sizeof(seen)), 4 * PERIOD);
	for (i = 0; i < 4; i++)
		assert_memory_equal(seen + (size_t)i * PERIOD, msgs[i].data, PERIOD);
	finish(&fe);
}

/* STOP holds on in the middle of a message; RELEASE gives all back. */
static void test_stop_and_release(void **state)
{
	struct message msgs[3], late;
	struct drv_buf lates[3];
	uint8_t seen[4 * PERIOD];
	size_t played, later;
	struct fe fe;
	int i;

	(void)state;
	start_wav(&fe);
	get_ready(&fe, 0);
	for (i = 0; i < 3; i++) {
		make(&fe, &msgs[i], 0);
		fill(&msgs[i], (unsigned int)i);
		send(&fe, VIRTIO_SND_VQ_TX, &msgs[i]);
	}
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_START, 0), OK);
	assert_true(drv_wait(&fe.rings[2], NULL, FE_TIMEOUT_MS) >= 0);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_STOP, 0), OK);
	played = file_bytes(seen, sizeof(seen));
	while (drv_get(&fe.rings[2], NULL) >= 0)
		;
	assert_int_equal(drv_wait(&fe.rings[2], NULL, 3 * PERIOD_MS), -1);
	later = file_bytes(seen, sizeof(seen));
	assert_int_equal(later, played);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_START, 0), OK);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_STOP, 0), OK);
	/* the kick for this one comes too late */
	make(&fe, &late, 0);
	lates[0] = (struct drv_buf){ late.xfer, sizeof(*late.xfer), false };
	lates[1] = (struct drv_buf){ late.data, PERIOD, false };
	lates[2] = (struct drv_buf){ late.status, sizeof(*late.status), true };
	assert_true(drv_add(&fe.rings[2], lates, 3, true) >= 0);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_RELEASE, 0), OK);
	/* by the time that it is answered the messages are, too */
	while (drv_get(&fe.rings[2], NULL) >= 0)
		;
	assert_int_equal(fe.rings[2].nfree, fe.rings[2].num);
	later = file_bytes(seen, sizeof(seen));
	assert_true(later >= played && later <= 3 * PERIOD && later % 4 == 0);
	for (i = 0; i < 3; i++) {
		size_t part = MIN((size_t)PERIOD, later - MIN(later, (size_t)i * PERIOD));

		assert_memory_equal(seen + (size_t)i * PERIOD, msgs[i].data, part);
		assert_int_equal(msgs[i].status->status, OK);
	}
	finish(&fe);
}

static void test_recorded(void **state)
{
	const char *const extra[] = { "--backend", "null", "--capture", "x", NULL };
	struct message msgs[2];
	unsigned int i;
	uint32_t len;
	struct fe fe;

	(void)state;
	start(&fe, extra, ~0ULL);
	get_ready(&fe, 0);
	for (i = 0; i < 2; i++) {
		make(&fe, &msgs[i], 0);
		memset(msgs[i].data, 0xaa, PERIOD);
		send(&fe, VIRTIO_SND_VQ_RX, &msgs[i]);
	}
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_START, 0), OK);
	assert_true(drv_wait(&fe.rings[3], &len, FE_TIMEOUT_MS) >= 0);
	assert_int_equal(len, PERIOD + sizeof(*msgs[0].status));
	assert_int_equal(msgs[0].status->status, OK);
	for (i = 0; i < PERIOD; i++)
		assert_int_equal(msgs[0].data[i], 0);
	/* half full: the length says how far */
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_STOP, 0), OK);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_RELEASE, 0), OK);
	assert_true(drv_wait(&fe.rings[3], &len, FE_TIMEOUT_MS) >= 0);
	assert_true(len >= sizeof(*msgs[0].status) && len <= PERIOD + sizeof(*msgs[0].status));
	finish(&fe);
}

static uint32_t refused(struct fe *fe, unsigned int ring, struct message *msg, uint32_t length)
{
	msg->status->status = UINT32_MAX;
	send_length(fe, ring, msg, length);
	assert_true(drv_wait(&fe->rings[ring], NULL, FE_TIMEOUT_MS) >= 0);
	return msg->status->status;
}

static void test_bad_messages(void **state)
{
	struct drv_buf lone;
	struct message msg;
	struct fe fe;

	(void)state;
	start_null(&fe);
	make(&fe, &msg, 0);
	assert_int_equal(refused(&fe, VIRTIO_SND_VQ_TX, &msg, PERIOD), BAD); /* not prepared */
	get_ready(&fe, 0);
	assert_int_equal(refused(&fe, VIRTIO_SND_VQ_TX, &msg, PERIOD - 1), BAD); /* torn frames */
	assert_int_equal(refused(&fe, VIRTIO_SND_VQ_RX, &msg, PERIOD), BAD); /* wrong direction */
	msg.xfer->stream_id = htole32(77);
	assert_int_equal(refused(&fe, VIRTIO_SND_VQ_TX, &msg, PERIOD), BAD);
	/* no room for a status; no header */
	lone = (struct drv_buf){ msg.data, 64, false };
	drv_add(&fe.rings[2], &lone, 1, false);
	lone = (struct drv_buf){ msg.data, 64, true };
	drv_add(&fe.rings[3], &lone, 1, false);
	drv_kick(&fe.rings[2]);
	drv_kick(&fe.rings[3]);
	assert_true(drv_wait(&fe.rings[2], NULL, FE_TIMEOUT_MS) >= 0);
	assert_true(drv_wait(&fe.rings[3], NULL, FE_TIMEOUT_MS) >= 0);
	/* and the stream is as good as before */
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_START, 0), OK);
	msg.xfer->stream_id = 0;
	send(&fe, VIRTIO_SND_VQ_TX, &msg);
	assert_true(drv_wait(&fe.rings[2], NULL, FE_TIMEOUT_MS) >= 0);
	assert_int_equal(msg.status->status, OK);
	finish(&fe);
}

/*
 * A queue that is stopped under a running stream, as when a virtual machine pauses: all that was
 * taken is answered, and the stream goes on with the queue.
 */
static void test_queue_stops(void **state)
{
	struct message msgs[3];
	struct drv_ring *tx;
	uint32_t base;
	struct fe fe;
	int i;

	(void)state;
	start_null(&fe);
	tx = &fe.rings[VIRTIO_SND_VQ_TX];
	get_ready(&fe, 0);
	for (i = 0; i < 3; i++) {
		make(&fe, &msgs[i], 0);
		send(&fe, VIRTIO_SND_VQ_TX, &msgs[i]);
	}
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_START, 0), OK);
	assert_int_equal(fe_get_base(&fe, VIRTIO_SND_VQ_TX, &base), 0);
	assert_int_equal(base, drv_base(tx));
	for (i = 0; i < 3; i++)
		assert_true(drv_get(tx, NULL) >= 0);
	assert_int_equal(drv_get(tx, NULL), -1);
	assert_int_equal(fe_start_ring(&fe, VIRTIO_SND_VQ_TX, base), 0);
	assert_int_equal(refused(&fe, VIRTIO_SND_VQ_TX, &msgs[0], PERIOD), OK);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_STOP, 0), OK);
	/* so it does with new memory, as what it was; what the driver says meanwhile counts */
	assert_int_equal(fe_set_memory(&fe), 0);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_START, 0), OK);
	assert_int_equal(fe_get_base(&fe, VIRTIO_SND_VQ_TX, &base), 0);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_PREPARE, 0), BAD);
	get_ready(&fe, 0);
	assert_int_equal(fe_start_ring(&fe, VIRTIO_SND_VQ_TX, base), 0);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_START, 0), OK);
	finish(&fe);
}

/*
 * A front-end that masks an interrupt, as QEMU does when it moves to another CPU, has the call go
 * somewhere else for a moment: nothing is heard of that.
 */
static void test_other_call(void **state)
{
	struct message msgs[3];
	struct drv_ring *tx;
	struct fe fe;
	int i, call = eventfd(0, EFD_CLOEXEC);

	(void)state;
	start_null(&fe);
	tx = &fe.rings[VIRTIO_SND_VQ_TX];
	get_ready(&fe, 0);
	for (i = 0; i < 3; i++) {
		make(&fe, &msgs[i], 0);
		send(&fe, VIRTIO_SND_VQ_TX, &msgs[i]);
	}
	assert_int_equal(fe_set_vring_fd(&fe, VHOST_USER_SET_VRING_CALL, VIRTIO_SND_VQ_TX, call),
			 0);
	assert_int_equal(fe_set_vring_fd(&fe, VHOST_USER_SET_VRING_ERR, VIRTIO_SND_VQ_TX, call),
			 0);
	/* not started yet, so all three are there */
	assert_int_equal(drv_get(tx, NULL), -1);
	close(tx->call_fd);
	tx->call_fd = call;
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_START, 0), OK);
	for (i = 0; i < 3; i++) {
		assert_true(drv_wait(tx, NULL, FE_TIMEOUT_MS) >= 0);
		assert_int_equal(msgs[i].status->status, OK);
	}
	finish(&fe);
}

static void test_xrun_event(void **state)
{
	struct virtio_snd_event *event;
	struct message msg;
	struct drv_buf buf;
	struct fe fe;

	(void)state;
	start_null(&fe);
	event = drv_alloc(&fe.mem, sizeof(*event), 8);
	buf = (struct drv_buf){ event, sizeof(*event), true };
	drv_add(&fe.rings[1], &buf, 1, false);
	get_ready(&fe, 0);
	make(&fe, &msg, 0);
	send(&fe, VIRTIO_SND_VQ_TX, &msg);
	assert_int_equal(command(&fe, VIRTIO_SND_R_PCM_START, 0), OK);
	assert_true(drv_wait(&fe.rings[1], NULL, FE_TIMEOUT_MS) >= 0);
	assert_int_equal(event->hdr.code, VIRTIO_SND_EVT_PCM_XRUN);
	assert_int_equal(event->data, 0);
	/* once, until there was more to play */
	drv_add(&fe.rings[1], &buf, 1, false);
	assert_int_equal(drv_wait(&fe.rings[1], NULL, 4 * PERIOD_MS), -1);
	finish(&fe);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_information),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_controls),
		cmocka_unit_test(test_controls_not_negotiated),
		cmocka_unit_test(test_params),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_played_at_its_pace),
		cmocka_unit_test(test_stop_and_release),
		cmocka_unit_test(test_recorded),
		cmocka_unit_test(test_bad_messages),
		cmocka_unit_test(test_queue_stops),
		cmocka_unit_test(test_other_call),
		cmocka_unit_test(test_xrun_event),
	};

	if (argc < 2) {
		fprintf(stderr, "usage: %s PATH-OF-vhost-user-snd\n", argv[0]);
		return 2;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}

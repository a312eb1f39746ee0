// SPDX-License-Identifier: BSD-3-Clause
/* The parts of vhost-user-snd that need no device: formats, gain, pacing, wav files, the ring. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/snd/byte-ring.h"
#include "backends/snd/format.h"
#include "backends/snd/gain.h"
#include "backends/snd/pacer.h"
#include "backends/snd/snd.h"
#include "backends/snd/wav.h"
#include "check.h"
#include "common/util.h"

#define FILE_NAME "test-snd-parts.wav"
#define SECOND 1000000000ULL

/* ---- formats ---- */

static void test_formats(void **state)
{
	unsigned int i, known = 0;

	(void)state;
	for (i = 0; i < 64; i++) {
		const struct format *format = format_find(i);

		assert_int_equal(format != NULL, FORMAT_ALL >> i & 1);
		if (!format)
			continue;
		known++;
		assert_int_equal(format_by_name(format->name), i);
		assert_true(format->bits <= 8 * format->bytes);
		assert_int_equal(rate_find(i) != 0, RATE_ALL >> i & 1);
	}
	assert_int_equal(known, 24);
	assert_int_equal(format_by_name("S17"), -ENOENT);
	assert_int_equal(rate_number(44100), VIRTIO_SND_PCM_RATE_44100);
	assert_int_equal(rate_number(44101), -ENOENT);
	assert_int_equal(rate_find(VIRTIO_SND_PCM_RATE_384000 + 1), 0);
}

static void check_silence(unsigned int number, const char *expected, size_t len)
{
	uint8_t buf[16];

	memset(buf, 0xee, sizeof(buf));
	format_silence(format_find(number), buf, len);
	assert_memory_equal(buf, expected, len);
	assert_int_equal(buf[len], 0xee);
}

static void test_silence(void **state)
{
	(void)state;
	check_silence(VIRTIO_SND_PCM_FMT_S16, "\0\0\0\0", 4);
	check_silence(VIRTIO_SND_PCM_FMT_U8, "\x80\x80\x80", 3);
	check_silence(VIRTIO_SND_PCM_FMT_U16, "\0\x80\0\x80", 4);
	check_silence(VIRTIO_SND_PCM_FMT_U18_3, "\0\0\x02\0\0\x02", 6);
	check_silence(VIRTIO_SND_PCM_FMT_U20, "\0\0\x08\0", 4);
	check_silence(VIRTIO_SND_PCM_FMT_U24, "\0\0\x80\0", 4);
	check_silence(VIRTIO_SND_PCM_FMT_MU_LAW, "\xff\xff", 2);
	check_silence(VIRTIO_SND_PCM_FMT_FLOAT, "\0\0\0\0", 4);
}

/* ---- gain ---- */

static void check_gain(unsigned int volume, unsigned int number, const char *before,
		       const char *after, size_t len)
{
	const struct gain gain = { .volume = volume, .on = true };
	uint8_t buf[16];

	memcpy(buf, before, len);
	gain_apply(&gain, format_find(number), buf, len);
	assert_memory_equal(buf, after, len);
}

#define MINUS_20_DB (GAIN_STEPS - 40)

static void test_gain(void **state)
{
	(void)state;
	check_gain(GAIN_STEPS, VIRTIO_SND_PCM_FMT_S16, "\x34\x12\xcc\xed", "\x34\x12\xcc\xed", 4);
	/* 1000 and -1000 */
	check_gain(MINUS_20_DB, VIRTIO_SND_PCM_FMT_S16, "\xe8\x03\x18\xfc", "\x64\0\x9c\xff", 4);
	check_gain(MINUS_20_DB, VIRTIO_SND_PCM_FMT_U16, "\xe8\x83\x18\x7c", "\x64\x80\x9c\x7f", 4);
	check_gain(MINUS_20_DB, VIRTIO_SND_PCM_FMT_S24_3, "\xe8\x03\0\x18\xfc\xff", "\x64\0\0\x9c\xff\xff",
		   6);
	/* -1000 as 24 bits in four bytes, the sign carried on or not: the upper is ignored */
	check_gain(MINUS_20_DB, VIRTIO_SND_PCM_FMT_S24, "\x18\xfc\xff\xff\x18\xfc\xff\0",
		   "\x9c\xff\xff\xff\x9c\xff\xff\xff", 8);
	/* the least and the largest there is */
	check_gain(GAIN_STEPS - 1, VIRTIO_SND_PCM_FMT_S8, "\x80\x7f", "\x87\x78", 2);
	check_gain(MINUS_20_DB, VIRTIO_SND_PCM_FMT_S32, "\0\0\0\x80", "\x33\x33\x33\xf3", 4);
	check_gain(0, VIRTIO_SND_PCM_FMT_U8, "\x01\xff", "\x80\x80", 2);
	/* nothing but silence can be made of these */
	check_gain(MINUS_20_DB, VIRTIO_SND_PCM_FMT_A_LAW, "\x01\xff", "\x01\xff", 2);
	check_gain(0, VIRTIO_SND_PCM_FMT_A_LAW, "\x01\xff", "\xd5\xd5", 2);
}

static void test_gain_of_floats(void **state)
{
	const struct gain gain = { .volume = MINUS_20_DB, .on = true };
	const struct gain off = { .volume = GAIN_STEPS };
	float f[2] = { 0.5F, -1.0F };
	double d[1] = { 0.25 };

	(void)state;
	gain_apply(&gain, format_find(VIRTIO_SND_PCM_FMT_FLOAT), f, sizeof(f));
	assert_true(fabsf(f[0] - 0.05F) < 1e-6F && fabsf(f[1] + 0.1F) < 1e-6F);
	gain_apply(&gain, format_find(VIRTIO_SND_PCM_FMT_FLOAT64), d, sizeof(d));
	assert_true(fabs(d[0] - 0.025) < 1e-12);
	gain_apply(&off, format_find(VIRTIO_SND_PCM_FMT_FLOAT), f, sizeof(f));
	assert_true(f[0] == 0 && f[1] == 0);
}

/* ---- pacer ---- */

/* What describes a control to the driver has gaps between its fields: nothing shows in them. */
static void test_control_has_no_gaps(void **state)
{
	static const uint8_t zero[8];
	static struct snd_device snd = { .num_streams = 2, .streams[1].capture = true };
	size_t gap = offsetof(struct snd_ctl_info, name) + SND_CTL_NAME;
	struct snd_ctl_info info;
	unsigned int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		memset(&info, 0xa5, sizeof(info));
		snd_mixer_info(&snd, i, &info);
		assert_in_range(offsetof(struct snd_ctl_info, value) - gap, 1, sizeof(zero));
		assert_memory_equal((const uint8_t *)&info + gap, zero,
				    offsetof(struct snd_ctl_info, value) - gap);
		assert_int_equal(info.value.integer64[2], 0);
	}
}

static void test_pacer(void **state)
{
	struct pacer pacer;

	(void)state;
	pacer_prepare(&pacer, 48000, 0);
	pacer_extend(&pacer, 96000, 5 * SECOND);
	assert_int_equal(pacer_position(&pacer, 100 * SECOND), 0); /* it stands */
	pacer_start(&pacer, 10 * SECOND);
	assert_int_equal(pacer_position(&pacer, 9 * SECOND), 0);
	assert_int_equal(pacer_position(&pacer, 11 * SECOND), 48000);
	assert_int_equal(pacer_due(&pacer, 72000), 10 * SECOND + 3 * SECOND / 2);
	/* what is due has been reached, whatever the rounding */
	assert_int_equal(pacer_position(&pacer, pacer_due(&pacer, 7)), 7);
	assert_int_equal(pacer_position(&pacer, pacer_due(&pacer, 7) - 1), 6);
	/* never past the end */
	assert_int_equal(pacer_position(&pacer, 50 * SECOND), 96000);
	/* more in time: as if it had always been there */
	pacer_extend(&pacer, 144000, 12 * SECOND);
	assert_int_equal(pacer_position(&pacer, 12 * SECOND + SECOND / 2), 120000);
	/* more too late: it goes on from then */
	pacer_extend(&pacer, 192000, 20 * SECOND);
	assert_int_equal(pacer_position(&pacer, 20 * SECOND), 144000);
	assert_int_equal(pacer_position(&pacer, 20 * SECOND + SECOND / 2), 168000);
	/* a pause */
	assert_int_equal(pacer_stop(&pacer, 20 * SECOND + SECOND / 2), 168000);
	assert_int_equal(pacer_position(&pacer, 90 * SECOND), 168000);
	pacer_start(&pacer, 90 * SECOND);
	assert_int_equal(pacer_position(&pacer, 90 * SECOND + SECOND / 4), 180000);
}

/* Whatever the moments at which it is looked at: after a day it is where it has to be. */
static void test_pacer_does_not_drift(void **state)
{
	const uint64_t begin = 123456789, day = 86400 * SECOND;
	uint64_t now = begin, end = 0;
	struct pacer pacer;

	(void)state;
	pacer_prepare(&pacer, 44100, 0);
	pacer_start(&pacer, begin);
	while (now < begin + day) {
		end += 44100; /* a second's worth, always there in time */
		pacer_extend(&pacer, end, now);
		now = MIN(pacer_due(&pacer, end) - 1000 - now % 777, begin + day);
	}
	pacer_extend(&pacer, end + 44100, now);
	assert_int_equal(pacer_position(&pacer, begin + day), 44100ULL * 86400);
}

/* ---- wav ---- */

static uint8_t *slurp(size_t *size)
{
	struct stat st;
	uint8_t *data;
	int fd = open(FILE_NAME, O_RDONLY);

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	*size = (size_t)st.st_size;
	data = malloc(*size + 1);
	assert_int_equal(read(fd, data, *size), *size);
	close(fd);
	return data;
}

static uint32_t le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void test_wav_written(void **state)
{
	const struct wav_format format = { VIRTIO_SND_PCM_FMT_S24_3, 1, 44100 };
	struct wav_file wav, other;
	uint8_t *data;
	size_t size;

	(void)state;
	assert_int_equal(wav_create(&wav, FILE_NAME), 0);
	assert_int_equal(wav_create(&other, FILE_NAME), -EBUSY);
	assert_int_equal(wav_begin(&wav, &format), 0);
	assert_int_equal(wav_append(&wav, "abc", 3), 0);
	data = slurp(&size);
	assert_int_equal(size, 44 + 4); /* to an even length */
	assert_memory_equal(data, "RIFF", 4);
	assert_int_equal(le32(data + 4), size - 8);
	assert_memory_equal(data + 8, "WAVEfmt \x10\0\0\0\1\0\1\0\x44\xac\0\0\xcc\x04\x02\0\3\0\x18\0", 28);
	assert_memory_equal(data + 36, "data\3\0\0\0abc", 12);
	free(data);
	assert_int_equal(wav_append(&wav, "def", 3), 0);
	data = slurp(&size);
	assert_int_equal(size, 44 + 6);
	assert_memory_equal(data + 36, "data\6\0\0\0abcdef", 14);
	free(data);
	wav_close(&wav);
	unlink(FILE_NAME);
}

/* Each format comes back as it was. */
static void test_wav_round_trip(void **state)
{
	unsigned int i, channels;

	(void)state;
	for (i = 0; i < 64; i++) {
		for (channels = 1; channels <= 8 && wav_formats >> i & 1; channels += 1) {
			struct wav_format format = { i, channels, 96000 };
			struct wav_file wav;
			uint8_t in[192], out[200];
			const char *why;
			size_t n = sizeof(in), k;

			n -= n % (format_find(i)->bytes * channels);
			for (k = 0; k < n; k++)
				in[k] = (uint8_t)(k * 7 + i);
			assert_int_equal(wav_create(&wav, FILE_NAME), 0);
			assert_int_equal(wav_begin(&wav, &format), 0);
			assert_int_equal(wav_append(&wav, in, n), 0);
			wav_close(&wav);
			assert_int_equal(wav_open(&wav, FILE_NAME, &why), 0);
			assert_true(wav_same_format(&wav.format, &format));
			assert_int_equal(wav_read(&wav, out, sizeof(out)), n);
			assert_memory_equal(in, out, n);
			assert_int_equal(wav_read(&wav, out, sizeof(out)), 0);
			wav_close(&wav);
			unlink(FILE_NAME);
		}
	}
}

static void check_refused(const char *data, size_t len, const char *words)
{
	struct wav_file wav;
	const char *why;
	int fd = open(FILE_NAME, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	assert_int_equal(write(fd, data, len), len);
	close(fd);
	assert_int_equal(wav_open(&wav, FILE_NAME, &why), -EINVAL);
	assert_non_null(strstr(why, words));
	unlink(FILE_NAME);
}

#define RIFF "RIFF\xff\0\0\0WAVE"
#define FMT(tag, channels, rate, block, bits) \
	"fmt \x10\0\0\0" tag "\0" channels "\0" rate "\0\0" "\0\0\0\0" block "\0" bits "\0"
#define GOOD FMT("\1", "\2", "\x80\xbb", "\4", "\x10")
#define TEXT(text) text, sizeof(text) - 1

static void test_wav_refused(void **state)
{
	struct wav_file wav;
	const char *why;

	(void)state;
	check_refused(TEXT(""), "not a wav file");
	check_refused(TEXT("RIFF\4\0\0\0AVI "), "not a wav file");
	check_refused(TEXT(RIFF), "no samples");
	check_refused(TEXT(RIFF "data\4\0\0\0abcd"), "no samples");
	check_refused(TEXT(RIFF "fmt \4\0\0\0abcd"), "cut off");
	check_refused(TEXT(RIFF "fmt \x10\0\0\0\1\0\2"), "cut off");
	check_refused(TEXT(RIFF FMT("\x55", "\2", "\x80\xbb", "\4", "\x10")), "compressed");
	check_refused(TEXT(RIFF FMT("\1", "\2", "\x80\xbb", "\5", "\x10")), "unusual");
	check_refused(TEXT(RIFF FMT("\1", "\0", "\x80\xbb", "\4", "\x10")), "unusual");
	check_refused(TEXT(RIFF FMT("\1", "\x9", "\x80\xbb", "\x12", "\x10")), "channels");
	check_refused(TEXT(RIFF FMT("\1", "\2", "\x81\xbb", "\4", "\x10")), "frame rate");
	check_refused(TEXT(RIFF GOOD "junk\xff\xff\xff\xff"), "no samples");
	assert_int_equal(wav_open(&wav, "no/such/file.wav", &why), -ENOENT);
	assert_int_equal(wav_open(&wav, "/dev/null", &why), -EINVAL);
	assert_int_equal(wav_create(&wav, "/dev/null"), -EINVAL);
	assert_int_equal(wav_create(&wav, "no/such/file.wav"), -ENOENT);
}

/* Lengths that are wrong are mended; chunks that nobody knows are passed over. */
static void test_wav_mended(void **state)
{
	static const char file[] = RIFF "LIST\3\0\0\0abc\0" GOOD "data\xff\xff\xff\xff" "1234567";
	uint8_t out[16];
	struct wav_file wav;
	const char *why;
	int fd = open(FILE_NAME, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	(void)state;
	assert_int_equal(write(fd, file, sizeof(file) - 1), sizeof(file) - 1);
	close(fd);
	assert_int_equal(wav_open(&wav, FILE_NAME, &why), 0);
	assert_int_equal(wav.format.rate, 48000);
	assert_int_equal(wav_read(&wav, out, sizeof(out)), 4);
	assert_memory_equal(out, "1234", 4);
	wav_close(&wav);
	unlink(FILE_NAME);
}

/* ---- the ring ---- */

static void test_byte_ring(void **state)
{
	uint8_t in[1000], out[1000];
	struct byte_ring ring;
	unsigned int i, put = 0, got = 0;

	(void)state;
	assert_int_equal(byte_ring_init(&ring, 5000), 0);
	assert_int_equal(ring.size, 8192);
	byte_ring_reset(&ring, 1000000);
	for (i = 0; i < 200; i++) {
		size_t n = MIN((size_t)(i * 37 % 1000), byte_ring_room(&ring)), k;

		for (k = 0; k < n; k++)
			in[k] = (uint8_t)(put++ % 251);
		byte_ring_put(&ring, in, n);
		n = MIN((size_t)(i * 53 % 1000), byte_ring_used(&ring));
		byte_ring_take(&ring, out, n);
		for (k = 0; k < n; k++)
			assert_int_equal(out[k], got++ % 251);
	}
	assert_int_equal(byte_ring_put_position(&ring), 1000000 + put);
	assert_int_equal(byte_ring_taken_position(&ring), 1000000 + got);
	byte_ring_finish(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_gain),
		cmocka_unit_test(test_gain_of_floats),
		cmocka_unit_test(test_pacer),
		cmocka_unit_test(test_control_has_no_gaps),
		cmocka_unit_test(test_pacer_does_not_drift),
		cmocka_unit_test(test_wav_written),
		cmocka_unit_test(test_wav_round_trip),
		cmocka_unit_test(test_wav_refused),
		cmocka_unit_test(test_wav_mended),
		cmocka_unit_test(test_byte_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

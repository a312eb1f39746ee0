// SPDX-License-Identifier: BSD-3-Clause
#include "backends/snd/wav.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/snd/format.h"
#include "backends/snd/snd.h"
#include "common/cleanup.h"

#define TAG_PCM 1
#define TAG_FLOAT 3
#define TAG_A_LAW 6
#define TAG_MU_LAW 7
#define TAG_EXTENSIBLE 0xfffe

#define CHUNKS_MAX 64 /* before the samples */
#define BIT(number) (1ULL << VIRTIO_SND_PCM_FMT_##number)

const uint64_t wav_formats = BIT(U8) | BIT(S16) | BIT(S24_3) | BIT(S24) | BIT(S32) | BIT(FLOAT) |
			     BIT(FLOAT64) | BIT(A_LAW) | BIT(MU_LAW);

/* In the file all numbers are little-endian. */
struct chunk {
	char id[4];
	uint32_t size;
} __attribute__((packed));

struct fmt {
	uint16_t tag;
	uint16_t channels;
	uint32_t rate;
	uint32_t bytes_per_second;
	uint16_t block;
	uint16_t bits;
} __attribute__((packed));

/* What follows it with TAG_EXTENSIBLE */
struct fmt_more {
	uint16_t size;
	uint16_t valid_bits;
	uint32_t mask;
	uint16_t tag; /* and the rest of a GUID */
	uint8_t guid[14];
} __attribute__((packed));

struct header {
	struct chunk riff;
	char wave[4];
	struct chunk fmt_chunk;
	struct fmt fmt;
} __attribute__((packed));

/* Files of other formats than TAG_PCM say how many frames there are. */
struct fact {
	uint16_t fmt_more; /* no more of struct fmt */
	struct chunk chunk;
	uint32_t frames;
} __attribute__((packed));

/* ---- writing ---- */

static uint16_t tag_of(unsigned int format)
{
	switch (format) {
	case VIRTIO_SND_PCM_FMT_FLOAT:
	case VIRTIO_SND_PCM_FMT_FLOAT64:
		return TAG_FLOAT;
	case VIRTIO_SND_PCM_FMT_A_LAW:
		return TAG_A_LAW;
	case VIRTIO_SND_PCM_FMT_MU_LAW:
		return TAG_MU_LAW;
	default:
		return TAG_PCM;
	}
}

static unsigned int frame_bytes(const struct wav_format *format)
{
	return format_find(format->format)->bytes * format->channels;
}

static void set_chunk(struct chunk *chunk, const char *id, uint64_t size)
{
	memcpy(chunk->id, id, sizeof(chunk->id));
	chunk->size = htole32((uint32_t)size);
}

static int write_all(int fd, const void *buf, size_t len, uint64_t at, size_t *written)
{
	*written = 0;
	while (*written < len) {
		ssize_t n = pwrite(fd, (const char *)buf + *written, len - *written,
				   (off_t)(at + *written));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		*written += (size_t)n;
	}
	return 0;
}

/* The header for as many bytes as there are, in a place that it has had before. */
static int write_header(struct wav_file *wav)
{
	unsigned int frame = frame_bytes(&wav->format);
	struct {
		struct header header;
		uint8_t rest[sizeof(struct fact) + sizeof(struct chunk)];
	} __attribute__((packed)) file = { 0 };
	uint16_t tag = tag_of(wav->format.format);
	uint8_t *at = file.rest, pad = 0;
	struct fact fact = { 0 };
	struct chunk data;
	size_t written;
	int ret;

	file.header.fmt = (struct fmt){
		.tag = htole16(tag),
		.channels = htole16((uint16_t)wav->format.channels),
		.rate = htole32(wav->format.rate),
		.bytes_per_second = htole32(wav->format.rate * frame),
		.block = htole16((uint16_t)frame),
		.bits = htole16(format_find(wav->format.format)->bits),
	};
	if (tag != TAG_PCM) {
		set_chunk(&fact.chunk, "fact", sizeof(fact.frames));
		fact.frames = htole32((uint32_t)(wav->length / frame));
		memcpy(at, &fact, sizeof(fact));
		at += sizeof(fact);
	}
	set_chunk(&data, "data", wav->length);
	memcpy(at, &data, sizeof(data));
	at += sizeof(data);
	/* cppcheck-suppress autoVariables ; a difference, not an address */
	wav->header = (uint64_t)(at - (uint8_t *)&file);
	set_chunk(&file.header.riff, "RIFF",
		  wav->header - sizeof(struct chunk) + wav->length + wav->length % 2);
	memcpy(file.header.wave, "WAVE", sizeof(file.header.wave));
	set_chunk(&file.header.fmt_chunk, "fmt ",
		  sizeof(file.header.fmt) + (tag != TAG_PCM ? sizeof(fact.fmt_more) : 0));
	ret = write_all(wav->fd, &file, wav->header, 0, &written);
	if (!ret && wav->length % 2) /* chunks have even lengths */
		ret = write_all(wav->fd, &pad, 1, wav->header + wav->length, &written);
	return ret;
}

int wav_begin(struct wav_file *wav, const struct wav_format *format)
{
	wav->format = *format;
	wav->length = 0;
	if (ftruncate(wav->fd, 0) < 0)
		return -errno;
	return write_header(wav);
}

int wav_create(struct wav_file *wav, const char *path)
{
	const struct wav_format format = { VIRTIO_SND_PCM_FMT_S16, 2, 48000 };
	struct stat st;
	int ret;

	*wav = (struct wav_file){ .fd = -1 };
	wav->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
	if (wav->fd < 0 || fstat(wav->fd, &st) < 0)
		ret = -errno;
	else if (!S_ISREG(st.st_mode))
		ret = -EINVAL;
	else if (flock(wav->fd, LOCK_EX | LOCK_NB) < 0)
		ret = errno == EWOULDBLOCK ? -EBUSY : -errno;
	else
		ret = wav_begin(wav, &format);
	if (ret)
		wav_close(wav);
	return ret;
}

int wav_append(struct wav_file *wav, const void *buf, size_t len)
{
	unsigned int frame = frame_bytes(&wav->format);
	uint64_t most = UINT32_MAX - wav->header - 1;
	size_t written;
	int ret, saved;

	if (wav->length + len > most)
		return -EFBIG;
	ret = write_all(wav->fd, buf, len, wav->header + wav->length, &written);
	wav->length += written - written % frame;
	saved = write_header(wav);
	return ret ? ret : saved;
}

/* ---- reading ---- */

static bool read_at(int fd, void *buf, size_t len, uint64_t at)
{
	return pread(fd, buf, len, (off_t)at) == (ssize_t)len;
}

static int number_of(const struct fmt *fmt, uint16_t tag)
{
	unsigned int channels = le16toh(fmt->channels);
	unsigned int bytes = channels ? le16toh(fmt->block) / channels : 0;
	unsigned int bits = le16toh(fmt->bits);
	unsigned int i;

	for (i = 0; i <= VIRTIO_SND_PCM_FMT_IEC958_SUBFRAME; i++) {
		const struct format *format = format_find(i);

		if (wav_formats & 1ULL << i && tag_of(i) == tag && format->bits == bits &&
		    format->bytes == bytes && bytes * channels == le16toh(fmt->block))
			return (int)i;
	}
	return -EINVAL;
}

static const char *read_fmt(struct wav_file *wav, uint64_t at, uint32_t size)
{
	struct fmt_more more;
	struct fmt fmt;
	uint16_t tag;
	int number;

	if (size < sizeof(fmt) || !read_at(wav->fd, &fmt, sizeof(fmt), at))
		return "its header is cut off";
	tag = le16toh(fmt.tag);
	if (tag == TAG_EXTENSIBLE) {
		if (size < sizeof(fmt) + sizeof(more) ||
		    !read_at(wav->fd, &more, sizeof(more), at + sizeof(fmt)))
			return "its header is cut off";
		tag = le16toh(more.tag);
	}
	number = number_of(&fmt, tag);
	if (number < 0)
		return "its samples are compressed, or of an unusual size";
	wav->format.format = (unsigned int)number;
	wav->format.channels = le16toh(fmt.channels);
	wav->format.rate = le32toh(fmt.rate);
	if (wav->format.channels > SND_MAX_CHANNELS)
		return "it has more channels than 8";
	if (rate_number(wav->format.rate) < 0)
		return "its frame rate is none that virtio-snd knows";
	return NULL;
}

/* Goes from chunk to chunk. A length that is wrong, as of a file that was cut off, is mended. */
static const char *find_chunks(struct wav_file *wav, uint64_t file_size)
{
	uint64_t at = sizeof(struct chunk) + 4;
	unsigned int i;

	for (i = 0; i < CHUNKS_MAX; i++) {
		struct chunk chunk;
		const char *why;
		uint32_t size;

		if (!read_at(wav->fd, &chunk, sizeof(chunk), at))
			break;
		at += sizeof(chunk);
		size = le32toh(chunk.size);
		if (!memcmp(chunk.id, "fmt ", 4)) {
			why = read_fmt(wav, at, size);
			if (why)
				return why;
		} else if (!memcmp(chunk.id, "data", 4)) {
			if (!wav->format.channels)
				break;
			wav->header = at;
			wav->length = MIN((uint64_t)size, file_size - MIN(at, file_size));
			wav->length -= wav->length % frame_bytes(&wav->format);
			return NULL;
		}
		at += (uint64_t)size + size % 2;
	}
	return "it has no samples";
}

int wav_open(struct wav_file *wav, const char *path, const char **why)
{
	struct chunk riff;
	struct stat st;
	char wave[4];

	*why = NULL;
	*wav = (struct wav_file){ .fd = -1 };
	wav->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (wav->fd < 0 || fstat(wav->fd, &st) < 0) {
		int ret = -errno;

		wav_close(wav);
		return ret;
	}
	if (!S_ISREG(st.st_mode))
		*why = "it is not a regular file";
	else if (!read_at(wav->fd, &riff, sizeof(riff), 0) ||
		 !read_at(wav->fd, wave, sizeof(wave), sizeof(riff)) ||
		 memcmp(riff.id, "RIFF", 4) != 0 || memcmp(wave, "WAVE", 4) != 0)
		*why = "it is not a wav file";
	else
		*why = find_chunks(wav, (uint64_t)st.st_size);
	if (!*why)
		return 0;
	wav_close(wav);
	return -EINVAL;
}

size_t wav_read(struct wav_file *wav, void *buf, size_t len)
{
	ssize_t n;

	len = MIN((uint64_t)len, wav->length - wav->at);
	do {
		n = pread(wav->fd, buf, len, (off_t)(wav->header + wav->at));
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return 0;
	wav->at += (uint64_t)n;
	return (size_t)n;
}

void wav_close(struct wav_file *wav)
{
	fd_close(&wav->fd);
}

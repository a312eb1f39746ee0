/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files in the WAVE format: written, so that what is there is always a valid file, and read.
 *
 * Samples are in the file as they are in memory. Formats that such a file cannot name are not
 * written; 24 bits in four bytes are named as ALSA's own programs do it.
 */
#ifndef SND_WAV_H
#define SND_WAV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The formats that a file can hold: bits VIRTIO_SND_PCM_FMT_... */
extern const uint64_t wav_formats;

struct wav_format {
	unsigned int format; /* VIRTIO_SND_PCM_FMT_... */
	unsigned int channels;
	unsigned int rate;
};

struct wav_file {
	int fd; /* -1: not open */
	struct wav_format format;
	uint64_t header; /* bytes before the samples */
	uint64_t length; /* bytes of samples */
	uint64_t at; /* of a file that is read: the next byte */
};

/**
 * wav_create() - begin a new file, without samples
 *
 * Return: 0, -EBUSY when another program writes it, -EINVAL when it is not a regular file, or a
 * negative errno.
 */
int wav_create(struct wav_file *wav, const char *path);

/* wav_begin() - forget the samples, if there are any, and go on in that format */
int wav_begin(struct wav_file *wav, const struct wav_format *format);

/*
 * wav_append() - add samples; whole frames; Return: 0, -EFBIG beyond what the format can hold, or a
 * negative errno. What could be written of them was.
 */
int wav_append(struct wav_file *wav, const void *buf, size_t len);

/**
 * wav_open() - open a file to be read
 * @why:	set to what is wrong with it, with -EINVAL
 *
 * Return: 0, -EINVAL, or a negative errno.
 */
int wav_open(struct wav_file *wav, const char *path, const char **why);

/* wav_read() - the next bytes; Return: how many, 0 at the end */
size_t wav_read(struct wav_file *wav, void *buf, size_t len);

/* wav_close() - takes one that is not open */
void wav_close(struct wav_file *wav);

static inline bool wav_same_format(const struct wav_format *a, const struct wav_format *b)
{
	return a->format == b->format && a->channels == b->channels && a->rate == b->rate;
}

#endif

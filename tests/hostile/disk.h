/* SPDX-License-Identifier: BSD-3-Clause */
/* A correct virtio-blk device (virtio 5.2) in memory, or on a mapped file. */
#ifndef HOSTILE_DISK_H
#define HOSTILE_DISK_H

#include <stddef.h>
#include <stdint.h>

#include "ring.h"

#define SECTOR 512

struct disk {
	uint8_t *data;
	uint64_t size; /* bytes, whole sectors */
	bool hollow; /* reads are answered with success, and nothing is written */
	uint64_t requests; /* carried out */
};

/* disk_open() - @image NULL: in memory; @size 0: the file's; 0 or a negative errno */
int disk_open(struct disk *disk, const char *image, uint64_t size);
void disk_close(struct disk *disk);

/* disk_config() - the configuration space; @size bytes of it; @cached: the mode */
void disk_config(const struct disk *disk, unsigned int queues, bool cached, uint8_t *config,
		 size_t size);

/* disk_request() - carry one out. Return: bytes written to its device-writable buffers */
uint32_t disk_request(struct disk *disk, const struct chain *chain);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory of this process that another can be handed as a dmabuf (/dev/udmabuf). */
#ifndef GPU_UDMABUF_H
#define GPU_UDMABUF_H

#include <stddef.h>

struct udmabuf {
	void *map; /* NULL: none */
	size_t size; /* whole pages */
	int fd; /* the dmabuf of it */
};

/**
 * udmabuf_create() - memory, zeroed, and a dmabuf of it
 * @device:	/dev/udmabuf, open
 * @bytes:	rounded up to whole pages; the kernel has a limit of its own (64 MiB by default)
 *
 * Return: 0 or a negative errno.
 */
int udmabuf_create(struct udmabuf *u, int device, size_t bytes);

/* udmabuf_destroy() - whoever was handed the dmabuf keeps it; takes one that is none */
void udmabuf_destroy(struct udmabuf *u);

#endif

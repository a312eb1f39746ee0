/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A GPU (virtio 1.x, 5.7).
 *
 *	main.c		the program, the queues
 *	command.c	one command of the control queue or the cursor queue
 *	resource.c	the driver's resources and their backing pages
 *	scanout.c	what is shown on which head, and the cursors
 *	shared-picture.c	a head's picture in memory that the display has too
 *	udmabuf.c	such memory
 *	link.c		the socket to the display
 *	renderer-2d.c	resources as pixman images
 *	renderer-virgl.c	resources and contexts of virglrenderer
 *	texture.c	what its textures take
 *	virgl-check.c	what that library has to be kept from
 *	gl.c		the OpenGL that it draws with
 *
 * One thread. A command whose end the display decides is held back, and the queue behind it; the
 * display has a few seconds. Commands that wait for the graphics card are held back alone.
 */
#ifndef GPU_GPU_H
#define GPU_GPU_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/common/backend.h"
#include "backends/gpu/link.h"
#include "backends/gpu/renderer.h"
#include "backends/gpu/resource.h"
#include "backends/gpu/scanout.h"

/* What resources may take of this process's memory, and of the graphics card's */
#define GPU_DEFAULT_MEMORY (512ULL << 20)
/* What one request may hold: a command stream, or the pages of a resource */
#define GPU_MAX_REQUEST (16U << 20)
/* The largest answer: a capability set */
#define GPU_MAX_REPLY (64U << 10)

struct gpu {
	struct loop *loop;
	uint64_t features; /* acknowledged */
	const struct mem_table *mem; /* NULL while the queues are stopped */
	const struct gpu_renderer *renderer;
	void *renderer_priv;
	bool no_dmabuf; /* the display is sent pixels only */
	int udmabuf; /* the device that makes dmabufs of memory; -1: none */
	struct link link;
	struct gpu_resources resources;
	struct gpu_scanout scanouts[VGPU_MAX_SCANOUTS];
	bool flushing; /* the command at hand is a FLUSH whose damage has been told */
	uint64_t memory_limit;
	uint64_t memory_used;
	uint8_t reply[GPU_MAX_REPLY]; /* struct virtio_gpu_ctrl_hdr and what follows */
	void (*work)(struct gpu *gpu); /* the queue can go on */
	void (*fenced)(struct gpu *gpu); /* the renderer has finished something */
};

/**
 * gpu_init() - a device without resources
 * @renderer:	what draws; the two queues are the caller's
 *
 * Return: 0 or a negative errno after a line that says why.
 */
int gpu_init(struct gpu *gpu, struct loop *loop, const struct gpu_renderer *renderer,
	     const char *render_node);

/* gpu_finish() - like link_finish(); takes one whose gpu_init() failed */
void gpu_finish(struct gpu *gpu);

/* gpu_reset() - no resource, no context, nothing shown */
void gpu_reset(struct gpu *gpu);

/*
 * gpu_memory_changed() - look all backing pages up again: the memory table is another
 * @mem:	NULL: there is none, no backing may be touched, and no command waits any more
 */
void gpu_memory_changed(struct gpu *gpu, const struct mem_table *mem);

/* ---- command.c ---- */

struct gpu_answer {
	size_t len; /* bytes of gpu->reply */
	bool fence; /* it is to be given when all that was drawn so far is finished */
};

/**
 * gpu_control() - execute one command of the control queue
 * @request:	a copy of it, as the driver wrote it
 * @len:	its bytes
 * @answer:	filled in on 0; the bytes are in gpu->reply
 *
 * Return: 0, or -EAGAIN: the display is waited for; call it again with the same request after
 * progress, and for no other before.
 */
int gpu_control(struct gpu *gpu, const void *request, size_t len, struct gpu_answer *answer);

/* gpu_cursor() - execute one command of the cursor queue; it has no answer */
void gpu_cursor(struct gpu *gpu, const void *request, size_t len);

#endif

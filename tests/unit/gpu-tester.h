/* SPDX-License-Identifier: BSD-3-Clause */
/* A driver of vhost-user-gpu: its commands, its pages, and the pictures that came of them. */
#ifndef UNIT_GPU_TESTER_H
#define UNIT_GPU_TESTER_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_gpu.h>

#include "display-thread.h"
#include "front-end.h"

#define BGRX VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define OK VIRTIO_GPU_RESP_OK_NODATA
#define BAD VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER
#define NO_RESOURCE VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID
#define MEMORY (24U << 20)
#define RING_SIZE 64

extern const char *program; /* argv[1] */
extern bool virgl; /* argv[2] */
extern struct fe fe;
extern struct display_thread dt;
extern char gpu_dir[64], gpu_mode[80];
extern uint8_t *req, *resp;

/* Pages of a resource, scattered: every other one of the memory, from its end backwards */
struct pages {
	uint32_t count;
	uint8_t *page[512];
};

#define SUBMIT(kind, id, ...)                     \
	({                                        \
		struct kind c_ = { __VA_ARGS__ }; \
		c_.hdr.type = htole32(id);        \
		memcpy(req, &c_, sizeof(c_));     \
		gpu_submit(sizeof(c_));           \
	})

int gpu_set_socket(int sock);
void gpu_start(int display);
void gpu_finish(void);
void gpu_start_shown(unsigned int heads);
void gpu_finish_shown(void);
/* The control queue's kick was seen: what is asked of the back-end next, it does after that. */
void gpu_wait_taken(void);
uint32_t gpu_submit(size_t len);
uint32_t gpu_create(uint32_t id, uint32_t format, uint32_t width, uint32_t height);
uint32_t gpu_scanout(uint32_t head, uint32_t id, struct virtio_gpu_rect r);
uint32_t gpu_transfer(uint32_t id, struct virtio_gpu_rect r, uint64_t offset);
uint32_t gpu_flush(uint32_t id, struct virtio_gpu_rect r);
uint32_t gpu_unref(uint32_t id);
void gpu_alloc_pages(struct pages *p, size_t bytes);
uint32_t *gpu_word(const struct pages *p, size_t n);
uint32_t gpu_put_entries(const struct pages *p, uint8_t *at);
uint32_t gpu_attach(uint32_t id, const struct pages *p);
void gpu_draw(const struct pages *p, uint32_t width, uint32_t height, uint32_t seed);
uint8_t *gpu_newest(unsigned int head, uint32_t width, uint32_t height, uint32_t last);
void gpu_check_head(unsigned int head, uint32_t width, uint32_t height, uint32_t x0, uint32_t y0,
		    uint32_t seed);

#endif

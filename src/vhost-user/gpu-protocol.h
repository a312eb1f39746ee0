/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user-gpu protocol: numbers and structures of the socket between a GPU's back-end and
 * the display, as the "Vhost-user-gpu Protocol" document of QEMU (docs/interop/vhost-user-gpu.rst)
 * has them. Names in comments are the document's.
 *
 * The back-end asks, the display answers. Numbers are in the machine's byte order, but for what is
 * taken over from the virtio specification as it stands: struct virtio_gpu_resp_display_info and
 * struct virtio_gpu_resp_edid are little-endian.
 */
#ifndef VHOST_USER_GPU_PROTOCOL_H
#define VHOST_USER_GPU_PROTOCOL_H

#include <assert.h>
#include <stdint.h>

#include <linux/virtio_gpu.h>

enum vgpu_request {
	VGPU_NONE = 0,
	VGPU_GET_PROTOCOL_FEATURES = 1,
	VGPU_SET_PROTOCOL_FEATURES = 2,
	VGPU_GET_DISPLAY_INFO = 3,
	VGPU_CURSOR_POS = 4,
	VGPU_CURSOR_POS_HIDE = 5,
	VGPU_CURSOR_UPDATE = 6,
	VGPU_SCANOUT = 7,
	VGPU_UPDATE = 8,
	VGPU_DMABUF_SCANOUT = 9,
	VGPU_DMABUF_UPDATE = 10,
	VGPU_GET_EDID = 11,
	VGPU_DMABUF_SCANOUT2 = 12,
	VGPU_REQUEST_COUNT
};

#define VGPU_FLAG_REPLY 0x4U

/* Protocol features: bit numbers */
#define VGPU_PROTOCOL_F_EDID 0
#define VGPU_PROTOCOL_F_DMABUF2 1

#define VGPU_MAX_SCANOUTS VIRTIO_GPU_MAX_SCANOUTS /* 16 */
#define VGPU_CURSOR_SIZE 64 /* pixels in width and height */
/* The largest scan-out, and the most pixels of one: 256 MiB a frame, and not more */
#define VGPU_MAX_SIDE 16384U
#define VGPU_MAX_PIXELS (64U * 1024 * 1024)

struct vgpu_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* bytes of payload that follow */
};
static_assert(sizeof(struct vgpu_header) == 12, "vhost-user-gpu header");

/* "VhostUserGpuCursorPos" */
struct vgpu_cursor_pos {
	uint32_t scanout_id;
	uint32_t x;
	uint32_t y;
};

/* "VhostUserGpuCursorUpdate" */
struct vgpu_cursor_update {
	struct vgpu_cursor_pos pos;
	uint32_t hot_x;
	uint32_t hot_y;
	uint32_t data[VGPU_CURSOR_SIZE * VGPU_CURSOR_SIZE]; /* a8r8g8b8 */
};
static_assert(sizeof(struct vgpu_cursor_update) == 20 + 64 * 64 * 4, "cursor update");

/* "VhostUserGpuScanout"; width = height = 0: it is off */
struct vgpu_scanout {
	uint32_t scanout_id;
	uint32_t width;
	uint32_t height;
};

/* "VhostUserGpuUpdate"; the pixels, x8r8g8b8, follow, but with DMABUF_UPDATE */
struct vgpu_update {
	uint32_t scanout_id;
	uint32_t x;
	uint32_t y;
	uint32_t width;
	uint32_t height;
};

/* The kernel's names of formats (drm_fourcc.h): 32 bits a pixel, and their order */
#define VGPU_FOURCC(a, b, c, d) \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
#define VGPU_FOURCC_XR24 VGPU_FOURCC('X', 'R', '2', '4')
#define VGPU_FOURCC_AR24 VGPU_FOURCC('A', 'R', '2', '4')
#define VGPU_FOURCC_XB24 VGPU_FOURCC('X', 'B', '2', '4')
#define VGPU_FOURCC_AB24 VGPU_FOURCC('A', 'B', '2', '4')

/* "VhostUserGpuDMABUFScanout"; with the buffer's descriptor; without one it is off */
struct vgpu_dmabuf_scanout {
	uint32_t scanout_id;
	uint32_t x;
	uint32_t y;
	uint32_t width;
	uint32_t height;
	uint32_t fd_width;
	uint32_t fd_height;
	uint32_t fd_stride;
	uint32_t fd_flags; /* VGPU_DMABUF_BOTTOM_UP */
	uint32_t fd_drm_fourcc;
};
static_assert(sizeof(struct vgpu_dmabuf_scanout) == 40, "dmabuf scan-out");

/* The first line in memory is the lowest on the screen (virglrenderer's Y_0_TOP resource flag) */
#define VGPU_DMABUF_BOTTOM_UP 0x1U

/* "VhostUserGpuDMABUFScanout2" */
struct vgpu_dmabuf_scanout2 {
	struct vgpu_dmabuf_scanout scanout;
	uint64_t modifier;
};
static_assert(sizeof(struct vgpu_dmabuf_scanout2) == 48, "dmabuf scan-out with modifier");

/* "VhostUserGpuEdidRequest" */
struct vgpu_edid_request {
	uint32_t scanout_id;
};

union vgpu_payload {
	uint64_t u64;
	struct vgpu_cursor_pos cursor_pos;
	struct vgpu_cursor_update cursor_update;
	struct vgpu_scanout scanout;
	struct vgpu_update update;
	struct vgpu_dmabuf_scanout dmabuf;
	struct vgpu_dmabuf_scanout2 dmabuf2;
	struct vgpu_edid_request edid_request;
	struct virtio_gpu_resp_display_info display_info;
	struct virtio_gpu_resp_edid edid;
	uint8_t bytes[sizeof(struct vgpu_cursor_update)];
};

#endif

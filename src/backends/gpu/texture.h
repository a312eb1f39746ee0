/* SPDX-License-Identifier: BSD-3-Clause */
/* Textures of virglrenderer's: what they take. */
#ifndef GPU_TEXTURE_H
#define GPU_TEXTURE_H

#include <stdint.h>

#include <linux/virtio_gpu.h>

/*
 * texture_bytes() - a guess at the graphics card's memory: as many texels as it has, half as much
 * again for levels; UINT64_MAX: more than can be counted
 */
uint64_t texture_bytes(const struct virtio_gpu_resource_create_3d *create);

#endif

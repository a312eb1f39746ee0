/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * map - the two ways in which the kernel asks for a mapping, see map_dma.c and map_virtio.c
 */
#ifndef VLB_MAP_H
#define VLB_MAP_H

struct device;
struct virtio_device;

void vlb_map_dma_init(struct device *parent);
void vlb_map_virtio_init(struct virtio_device *vdev);

#endif /* VLB_MAP_H */

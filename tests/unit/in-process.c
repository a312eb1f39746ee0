// SPDX-License-Identifier: BSD-3-Clause
#include "in-process.h"

#include <string.h>

#include "common/util.h"

int ip_memory_init(struct ip_memory *mem)
{
	struct vhost_user_memory_region region = { DRV_GPA, IP_MEMORY, DRV_UVA, 0 };
	int ret;

	memset(mem, 0, sizeof(*mem));
	ret = drv_mem_init(&mem->driver, IP_MEMORY);
	if (ret)
		return ret;
	mem_init(&mem->device);
	return mem_add(&mem->device, &region, mem->driver.fd);
}

void ip_memory_finish(struct ip_memory *mem)
{
	mem_finish(&mem->device);
	drv_mem_finish(&mem->driver);
}

int ip_queue_init(struct ip_queue *queue, struct ip_memory *mem, unsigned int num)
{
	struct vq_setup setup = {
		.num = num,
		.features = BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC),
		.mem = &mem->device,
		.err_fd = -1,
		.inflight = &mem->inflight,
	};
	int ret;

	memset(queue, 0, sizeof(*queue));
	ret = drv_ring_init(&queue->ring, &mem->driver, num, false);
	if (ret)
		return ret;
	setup.desc_uva = drv_uva(&mem->driver, queue->ring.desc);
	setup.avail_uva = drv_uva(&mem->driver, queue->ring.avail);
	setup.used_uva = drv_uva(&mem->driver, queue->ring.used);
	setup.call_fd = queue->ring.call_fd;
	setup.features |= drv_features(&queue->ring);
	setup.base = drv_base(&queue->ring);
	return vq_start(&queue->vq, &setup);
}

void ip_queue_finish(struct ip_queue *queue)
{
	vq_stop(&queue->vq);
	drv_ring_finish(&queue->ring);
}

// SPDX-License-Identifier: BSD-3-Clause
#include "rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"

static const struct inflight_area no_area;
static const char *layout; /* of all rings, NULL: as each input has it */

void rig_init_regions(struct rig *rig, const struct vhost_user_memory_region *regions,
		      unsigned int count)
{
	_cleanup_close_ int fd = memfd_create("fuzz", MFD_CLOEXEC);
	unsigned int i;

	layout = getenv("FUZZ_LAYOUT");
	log_init("fuzz", 0); /* below each level: nothing is written */
	if (fd < 0 || ftruncate(fd, (off_t)rig->size))
		abort();
	mem_init(&rig->mem);
	for (i = 0; i < count; i++)
		if (mem_add(&rig->mem, &regions[i], fd))
			abort();
	rig->memory = rig->mem.regions[0].host;
}

void rig_init(struct rig *rig)
{
	struct vhost_user_memory_region all = { RIG_GPA, rig->size, RIG_UVA, 0 };

	rig_init_regions(rig, &all, 1);
}

void rig_fill(struct rig *rig, const uint8_t *data, size_t size)
{
	unsigned int i;

	for (i = 0; i < rig->mem.nregions; i++) {
		const struct mem_region *region = &rig->mem.regions[i];
		size_t len = MIN(size, (size_t)region->size);

		memcpy(region->host, data, len);
		memset(region->host + len, 0, region->size - len);
		data += len;
		size -= len;
	}
}

uint64_t rig_packed(bool chosen)
{
	if (layout)
		chosen = !strcmp(layout, "packed");
	return chosen ? BIT_ULL(VIRTIO_F_RING_PACKED) : 0;
}

struct vq_setup rig_setup(const struct rig *rig, uint64_t at, uint64_t features)
{
	return (struct vq_setup){
		.num = RIG_NUM,
		.features = features,
		.mem = &rig->mem,
		.desc_uva = RIG_UVA + at,
		.avail_uva = RIG_UVA + at + rig->avail,
		.used_uva = RIG_UVA + at + rig->used,
		.base = features & BIT_ULL(VIRTIO_F_RING_PACKED) ? PACKED_BASE_FRESH : 0,
		.call_fd = -1,
		.err_fd = -1,
		.inflight = &no_area,
	};
}

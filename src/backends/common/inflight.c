// SPDX-License-Identifier: BSD-3-Clause
#include "backends/common/inflight.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "vhost-user/packed-record.h"

#define INFLIGHT_MAX_QUEUE_SIZE 32768

/* Of a split virtqueue */
static size_t region_size(unsigned int queue_size)
{
	return ALIGN_UP(sizeof(struct inflight_region) + queue_size * sizeof(struct inflight_desc),
			INFLIGHT_ALIGN);
}

void inflight_area_init(struct inflight_area *area)
{
	*area = (struct inflight_area){ 0 };
}

void inflight_area_finish(struct inflight_area *area)
{
	if (area->map)
		munmap(area->map, area->map_len);
	inflight_area_init(area);
}

static bool numbers_ok(unsigned int num_queues, unsigned int queue_size)
{
	return num_queues && num_queues <= VHOST_USER_MAX_QUEUES && queue_size &&
	       queue_size <= INFLIGHT_MAX_QUEUE_SIZE;
}

int inflight_area_create(unsigned int num_queues, unsigned int queue_size,
			 struct vhost_user_inflight *desc)
{
	_cleanup_close_ int fd = -1;
	size_t size;

	if (!numbers_ok(num_queues, queue_size))
		return -EINVAL;
	size = num_queues * packed_record_size(queue_size); /* the larger layout */
	fd = memfd_create("vhost-user-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	*desc = (struct vhost_user_inflight){
		.mmap_size = size,
		.num_queues = (uint16_t)num_queues,
		.queue_size = (uint16_t)queue_size,
	};
	return fd_steal(&fd);
}

int inflight_area_attach(struct inflight_area *area, const struct vhost_user_inflight *desc, int fd)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t lead, map_len, size;
	struct stat st;
	uint64_t end;
	void *map;

	if (!numbers_ok(desc->num_queues, desc->queue_size))
		return -EINVAL;
	size = region_size(desc->queue_size) * desc->num_queues;
	if (desc->mmap_size < size ||
	    __builtin_add_overflow(desc->mmap_offset, desc->mmap_size, &end) || end > INT64_MAX ||
	    !IS_ALIGNED(desc->mmap_offset, 8))
		return -EINVAL;
	/* packed rings need more, and no ring more than that */
	size = MIN(desc->mmap_size, packed_record_size(desc->queue_size) * desc->num_queues);
	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size < end)
		return -EINVAL;

	lead = desc->mmap_offset & (page - 1);
	map_len = size + lead;
	map = mmap(NULL, map_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   (off_t)(desc->mmap_offset - lead));
	if (map == MAP_FAILED)
		return -errno;
	inflight_area_finish(area);
	area->map = map;
	area->map_len = map_len;
	area->base = (uint8_t *)map + lead;
	area->len = size;
	area->num_queues = desc->num_queues;
	area->queue_size = desc->queue_size;
	return 0;
}

void inflight_area_clear(const struct inflight_area *area)
{
	if (area->map)
		memset(area->base, 0, area->len);
}

static bool anything_inflight(const struct inflight_region *region, unsigned int num)
{
	unsigned int i;

	for (i = 0; i < num; i++)
		if (READ_ONCE(region->desc[i].inflight))
			return true;
	return false;
}

/*
 * The used index moved and the process died before it had cleared the marks of that batch ("When
 * reconnecting", step 1): the batch is as long as the two indices differ, and linked from its last
 * entry.
 */
static int finish_last_batch(struct inflight_region *region, unsigned int num, uint16_t used_idx)
{
	uint16_t left = (uint16_t)(used_idx - READ_ONCE(region->used_idx));
	uint16_t i = READ_ONCE(region->last_batch_head);

	/* The driver may have begun anew, with rings that the record was not written for. */
	if (!anything_inflight(region, num))
		left = 0;
	if (left > num) /* no batch is that long */
		return -EINVAL;
	for (; left; left--) {
		if (i >= num)
			return -EINVAL;
		WRITE_ONCE(region->desc[i].inflight, 0);
		i = READ_ONCE(region->desc[i].next);
	}
	inflight_barrier();
	WRITE_ONCE(region->used_idx, used_idx);
	return 0;
}

struct replay_entry {
	uint64_t counter;
	uint16_t head;
};

static int compare_counters(const void *a, const void *b)
{
	const struct replay_entry *x = a;
	const struct replay_entry *y = b;

	if (x->counter != y->counter)
		return x->counter < y->counter ? -1 : 1;
	return (int)x->head - (int)y->head;
}

/* Each entry is read once: the front-end could change it between sorting and counting. */
static int collect_replay(struct inflight_queue *q, unsigned int num, uint16_t *replay)
{
	struct replay_entry *entries;
	unsigned int i, n = 0;

	entries = calloc(num, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (i = 0; i < num; i++) {
		uint64_t counter = READ_ONCE(q->region->desc[i].counter);

		if (!READ_ONCE(q->region->desc[i].inflight))
			continue;
		entries[n].counter = counter;
		entries[n++].head = (uint16_t)i;
		if (counter >= q->counter)
			q->counter = counter + 1;
	}
	qsort(entries, n, sizeof(*entries), compare_counters);
	for (i = 0; i < n; i++)
		replay[i] = entries[i].head;
	free(entries);
	return (int)n;
}

int inflight_start(struct inflight_queue *q, const struct inflight_area *area, unsigned int index,
		   unsigned int num, uint16_t used_idx, uint16_t *replay)
{
	struct inflight_region *region;
	int ret;

	*q = (struct inflight_queue){ 0 };
	if (!area->map)
		return 0;
	if (index >= area->num_queues || num > area->queue_size)
		return -EINVAL;
	region = (struct inflight_region *)(void *)(area->base +
						    index * region_size(area->queue_size));
	if (READ_ONCE(region->version) == 0) { /* fresh memory */
		region->features = 0;
		region->desc_num = (uint16_t)area->queue_size;
		region->last_batch_head = 0;
		region->used_idx = used_idx;
		inflight_barrier();
		WRITE_ONCE(region->version, INFLIGHT_VERSION);
	}
	if (READ_ONCE(region->version) != INFLIGHT_VERSION ||
	    READ_ONCE(region->desc_num) != area->queue_size)
		return -EINVAL;
	ret = finish_last_batch(region, num, used_idx);
	if (ret)
		return ret;
	q->region = region;
	q->last_batch_head = READ_ONCE(region->last_batch_head);
	return collect_replay(q, num, replay);
}

// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/vduse-ring.h"

#include <endian.h>
#include <errno.h>
#include <linux/vduse.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/util.h"

/* ---- mapping ---- */

/* 2.7.6 and 2.7.8: flags, index, entries, and the event of the other side */
static uint64_t avail_size(unsigned int num)
{
	return sizeof(uint16_t) * (3ULL + num);
}

static uint64_t used_size(unsigned int num)
{
	return sizeof(uint16_t) * 3ULL + sizeof(struct vring_used_elem) * (uint64_t)num;
}

uint64_t vduse_ring_end(const struct vduse_ring_place *place)
{
	uint64_t end = MAX(place->avail + avail_size(place->num),
			   place->used + used_size(place->num));

	return MAX(end, place->desc + place->num * sizeof(struct vring_desc));
}

int vduse_ring_locate(int node, unsigned int index, struct vduse_ring_place *place)
{
	struct vduse_vq_info info = { .index = index };

	if (ioctl(node, VDUSE_VQ_GET_INFO, &info) < 0)
		return -errno;
	*place = (struct vduse_ring_place){
		.num = info.num,
		.desc = info.desc_addr,
		.avail = info.driver_addr,
		.used = info.device_addr,
	};
	return info.ready && info.num ? 0 : -ENOENT;
}

int vduse_ring_map(struct vduse_ring *ring, const struct pool *pool,
		   const struct vduse_ring_place *place)
{
	const unsigned int num = place->num;
	int ret;

	*ring = (struct vduse_ring){ 0 };
	if (!num || num > VDUSE_QUEUE_SIZE_MAX || (num & (num - 1)))
		return -EINVAL;
	ret = pool_map(pool, place->desc, num * sizeof(*ring->desc), &ring->windows[0]);
	if (!ret)
		ret = pool_map(pool, place->avail, avail_size(num), &ring->windows[1]);
	if (!ret)
		ret = pool_map(pool, place->used, used_size(num), &ring->windows[2]);
	if (ret) {
		vduse_ring_unmap(ring);
		return ret;
	}
	ring->desc = ring->windows[0].data;
	ring->avail = ring->windows[1].data;
	ring->used = ring->windows[2].data;
	ring->num = num;
	return 0;
}

void vduse_ring_unmap(struct vduse_ring *ring)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ring->windows); i++)
		pool_unmap(&ring->windows[i]);
	*ring = (struct vduse_ring){ 0 };
}

/* Ring fields are little-endian: VIRTIO_F_VERSION_1 is always on. */
static uint16_t load_u16(const __virtio16 *p)
{
	return le16toh(__atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE));
}

static uint32_t avail_head(const struct vduse_ring *ring, uint16_t at)
{
	return le16toh(READ_ONCE(ring->avail->ring[at & (ring->num - 1)]));
}

static uint32_t used_head(const struct vduse_ring *ring, uint16_t at)
{
	return le32toh(READ_ONCE(ring->used->ring[at & (ring->num - 1)].id));
}

/* ---- the record ---- */

static void set_busy(struct vduse_record *record, bool busy)
{
	__atomic_store_n(&record->busy, busy, __ATOMIC_SEQ_CST);
}

void vduse_record_begin(struct vduse_record *record)
{
	record->live = false;
	set_busy(record, true);
	memset(record->state, VDUSE_HEAD_FREE, sizeof(record->state));
	record->avail = 0;
	record->used = 0;
	record->out = 0;
	record->whole = true;
	set_busy(record, false);
}

/* struct news - what came to the rings; of each head how much oftener it was published than used */
struct news {
	uint16_t avail, used;
	int8_t change[VDUSE_QUEUE_SIZE_MAX];
};

/* Return: false when entries were overwritten, or are nonsense. */
static bool read_news(const struct vduse_record *record, const struct vduse_ring *ring,
		      struct news *news)
{
	uint16_t i;

	/* In this order: what is used was published before. */
	news->used = load_u16(&ring->used->idx);
	news->avail = load_u16(&ring->avail->idx);
	memset(news->change, 0, ring->num);
	if ((uint16_t)(news->used - record->used) > ring->num ||
	    (uint16_t)(news->avail - record->avail) > ring->num)
		return false;
	for (i = record->avail; i != news->avail; i++) {
		uint32_t head = avail_head(ring, i);

		if (head >= ring->num)
			return false;
		news->change[head]++;
	}
	for (i = record->used; i != news->used; i++) {
		uint32_t head = used_head(ring, i);

		if (head >= ring->num)
			return false;
		news->change[head]--;
	}
	/* Were they still there while they were read? */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return (uint16_t)(load_u16(&ring->used->idx) - record->used) <= ring->num &&
	       (uint16_t)(load_u16(&ring->avail->idx) - record->avail) <= ring->num;
}

static void move_head(struct vduse_record *record, uint32_t head, int change)
{
	uint8_t *state = &record->state[head];

	if (!change)
		return;
	if (*state == VDUSE_HEAD_OUT)
		record->out--;
	if (change == 1 && *state != VDUSE_HEAD_OUT) {
		*state = VDUSE_HEAD_OUT;
		record->out++;
	} else if (change == -1 && *state != VDUSE_HEAD_FREE) {
		*state = VDUSE_HEAD_FREE;
	} else { /* twice the same: the device wrote nonsense */
		*state = VDUSE_HEAD_UNKNOWN;
		record->whole = false;
	}
}

/* Goes over the entries again, so that only heads that moved cost anything. */
static void apply_news(struct vduse_record *record, const struct vduse_ring *ring,
		       struct news *news)
{
	uint16_t i;

	for (i = record->avail; i != news->avail; i++) {
		uint32_t head = avail_head(ring, i) & (ring->num - 1);

		move_head(record, head, news->change[head]);
		news->change[head] = 0;
	}
	for (i = record->used; i != news->used; i++) {
		uint32_t head = used_head(ring, i) & (ring->num - 1);

		move_head(record, head, news->change[head]);
		news->change[head] = 0;
	}
}

static void forget_heads(struct vduse_record *record, unsigned int num, enum vduse_head state)
{
	unsigned int i;

	for (i = 0; i < num; i++) {
		if (state == VDUSE_HEAD_UNKNOWN || record->state[i] == VDUSE_HEAD_UNKNOWN)
			record->state[i] = (uint8_t)state;
	}
}

void vduse_record_look(struct vduse_record *record, const struct vduse_ring *ring)
{
	bool torn = record->busy;
	struct news news;

	set_busy(record, true);
	if (!torn && read_news(record, ring, &news)) {
		apply_news(record, ring, &news);
	} else {
		news.used = load_u16(&ring->used->idx);
		news.avail = load_u16(&ring->avail->idx);
		forget_heads(record, ring->num, VDUSE_HEAD_UNKNOWN);
		record->out = 0;
		record->whole = false;
	}
	record->avail = news.avail;
	record->used = news.used;
	if (!record->whole && record->out == (uint16_t)(news.avail - news.used)) {
		forget_heads(record, ring->num, VDUSE_HEAD_FREE);
		record->whole = true;
	}
	set_busy(record, false);
}

unsigned int vduse_record_list(const struct vduse_record *record, const struct vduse_ring *ring,
			       uint16_t *heads)
{
	uint16_t total = (uint16_t)MIN((unsigned int)(uint16_t)(record->avail - record->used),
				       ring->num);
	uint8_t taken[VDUSE_QUEUE_SIZE_MAX] = { 0 };
	unsigned int i, count = 0;

	for (i = 0; i < ring->num; i++) {
		if (record->state[i] == VDUSE_HEAD_OUT)
			heads[count++] = (uint16_t)i;
	}
	for (i = 1; i <= ring->num && count < total && !record->whole; i++) {
		uint32_t head = avail_head(ring, (uint16_t)(record->avail - i));

		if (head >= ring->num || taken[head] || record->state[head] != VDUSE_HEAD_UNKNOWN)
			continue;
		taken[head] = 1;
		heads[count++] = (uint16_t)head;
	}
	return count;
}

/* ---- failing ---- */

/*
 * Copies by way of the kernel: a page that is not there is an error then, and not the end of this
 * process.
 */
static int copy_memory(void *ours, void *memory, uint64_t size, uint64_t address, size_t length,
		       bool out)
{
	struct iovec local = { .iov_base = ours, .iov_len = length };
	struct iovec there = { .iov_base = (char *)memory + address, .iov_len = length };
	ssize_t n;

	if (address > size || length > size - address)
		return -ERANGE;
	n = out ? process_vm_writev(getpid(), &local, 1, &there, 1, 0) :
		  process_vm_readv(getpid(), &local, 1, &there, 1, 0);
	return n == (ssize_t)length ? 0 : -EFAULT;
}

struct chain {
	uint64_t last; /* address of the last byte that may be written, 0: none */
	uint64_t table; /* of an indirect descriptor, 0: none */
	uint32_t table_size;
};

static void note_descriptor(struct chain *chain, const struct vring_desc *desc)
{
	uint16_t flags = le16toh(desc->flags);

	if ((flags & VRING_DESC_F_WRITE) && desc->len)
		chain->last = le64toh(desc->addr) + le32toh(desc->len) - 1;
}

/* Entries of the ring's own table; the driver may have been led astray by the device. */
static void walk_direct(const struct vduse_ring *ring, uint16_t head, struct chain *chain)
{
	unsigned int i, at = head;

	for (i = 0; i < ring->num && at < ring->num; i++) {
		struct vring_desc desc;

		memcpy(&desc, &ring->desc[at], sizeof(desc));
		if (le16toh(desc.flags) & VRING_DESC_F_INDIRECT) {
			chain->table = le64toh(desc.addr);
			chain->table_size = le32toh(desc.len);
			return;
		}
		note_descriptor(chain, &desc);
		if (!(le16toh(desc.flags) & VRING_DESC_F_NEXT))
			return;
		at = le16toh(desc.next);
	}
}

static void walk_indirect(struct chain *chain, void *memory, uint64_t size)
{
	unsigned int i, at = 0, count = chain->table_size / sizeof(struct vring_desc);

	for (i = 0; i < count && i < VDUSE_QUEUE_SIZE_MAX && at < count; i++) {
		struct vring_desc desc;

		if (copy_memory(&desc, memory, size, chain->table + at * sizeof(desc), sizeof(desc),
				false))
			return;
		note_descriptor(chain, &desc);
		if (!(le16toh(desc.flags) & VRING_DESC_F_NEXT))
			return;
		at = le16toh(desc.next);
	}
}

void vduse_ring_fail(struct vduse_ring *ring, uint16_t head, void *memory, uint64_t size,
		     int status)
{
	uint16_t idx = load_u16(&ring->used->idx);
	struct vring_used_elem *elem = &ring->used->ring[idx & (ring->num - 1)];
	struct chain chain = { 0 };
	uint8_t byte = (uint8_t)status;
	uint32_t length = 0;

	walk_direct(ring, head, &chain);
	if (chain.table)
		walk_indirect(&chain, memory, size);
	if (status >= 0 && chain.last &&
	    !copy_memory(&byte, memory, size, chain.last, sizeof(byte), true))
		length = sizeof(byte);
	elem->id = htole32(head);
	elem->len = htole32(length);
	__atomic_store_n((uint16_t *)&ring->used->idx, htole16((uint16_t)(idx + 1)),
			 __ATOMIC_RELEASE);
}

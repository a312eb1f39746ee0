// SPDX-License-Identifier: BSD-3-Clause
/* The way through the descriptors of one request (virtio 1.x, 2.7.5 and 2.8.6). */
#include <endian.h>
#include <errno.h>

#include "backends/common/virtqueue.h"

/* The descriptors of a split ring or an indirect table. */
struct desc_table {
	const void *direct; /* NULL: read from @gpa */
	uint64_t gpa;
	uint32_t num;
};

/*
 * What happens once for each request or descriptor is put into both layouts' functions: a call
 * costs as much again.
 *
 * A table that crosses the border of memory regions is not contiguous here, and neither is one
 * aligned that begins at an odd address: these are read piece by piece.
 */
static inline __attribute__((always_inline)) int
open_table(struct virtqueue *vq, uint64_t addr, uint32_t len, struct desc_table *table)
{
	uint64_t end;

	if (!vq->indirect)
		return vq_break(vq, "an indirect descriptor, which was not negotiated");
	if (!len || len % sizeof(struct vring_desc) ||
	    len / sizeof(struct vring_desc) > VQ_MAX_SIZE)
		return vq_break(vq, "an indirect table of a wrong size");
	if (__builtin_add_overflow(addr, (uint64_t)len, &end))
		return vq_break(vq, "an indirect table that wraps");
	table->direct = mem_gpa(vq->mem, addr, len);
	if (!IS_ALIGNED((uintptr_t)table->direct, sizeof(uint64_t)))
		table->direct = NULL; /* the driver need not align it (2.7.5.3) */
	table->gpa = addr;
	table->num = len / (uint32_t)sizeof(struct vring_desc);
	return 0;
}

static inline void no_buffers(struct vq_buffers *bufs)
{
	bufs->out_num = 0;
	bufs->in_num = 0;
	bufs->out_len = 0;
	bufs->in_len = 0;
}

/*
 * Adds one descriptor's buffer, in as many parts as there are regions.
 */
static inline __attribute__((always_inline)) int
add_buffer(struct virtqueue *vq, uint64_t gpa, uint32_t len, uint16_t flags,
	   struct vq_buffers *bufs)
{
	bool write = flags & VRING_DESC_F_WRITE;
	uint64_t left = len;

	if (!write && bufs->in_num)
		return vq_break(vq, "a buffer to read behind one to write");
	while (left) {
		unsigned int n = bufs->out_num + bufs->in_num;
		uint64_t part = left;
		void *p = mem_gpa_part(vq->mem, gpa, &part);

		if (unlikely(!p))
			return vq_break(vq, "a buffer outside of the shared memory");
		if (unlikely(n >= bufs->max))
			return vq_break(vq, "a request of more buffers than the device takes");
		bufs->iov[n].iov_base = p;
		bufs->iov[n].iov_len = part;
		if (write)
			bufs->in_num++;
		else
			bufs->out_num++;
		gpa += part;
		left -= part;
	}
	if (write)
		bufs->in_len += len;
	else
		bufs->out_len += len;
	return 0;
}

/* ---- split ---- */

/*
 * The driver may write while we read: each field is taken once, and what was checked is what is
 * used.
 */
static int load_desc(const struct mem_table *mem, const struct desc_table *table, uint32_t i,
		     struct vring_desc *desc)
{
	struct vring_desc raw;

	if (likely(table->direct != NULL)) {
		const struct vring_desc *d = (const struct vring_desc *)table->direct + i;

		desc->addr = le64toh(READ_ONCE(d->addr));
		desc->len = le32toh(READ_ONCE(d->len));
		desc->flags = le16toh(READ_ONCE(d->flags));
		desc->next = le16toh(READ_ONCE(d->next));
		return 0;
	}
	if (mem_read(mem, table->gpa + (uint64_t)i * sizeof(raw), &raw, sizeof(raw)))
		return -EFAULT;
	desc->addr = le64toh(raw.addr);
	desc->len = le32toh(raw.len);
	desc->flags = le16toh(raw.flags);
	desc->next = le16toh(raw.next);
	return 0;
}

int vq_split_chain(struct virtqueue *vq, uint16_t id, struct vq_buffers *bufs)
{
	struct desc_table table = { .direct = vq->split.desc, .num = vq->num };
	bool in_indirect = false;
	uint32_t i = id, seen = 0;
	struct vring_desc desc;

	no_buffers(bufs);
	for (;;) {
		if (unlikely(load_desc(vq->mem, &table, i, &desc)))
			return vq_break(vq, "an indirect table outside of the shared memory");
		/* As many steps as there are descriptors, or it is a loop. */
		if (unlikely(++seen > table.num))
			return vq_break(vq, "a loop of descriptors");
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			if (in_indirect)
				return vq_break(vq, "an indirect descriptor in an indirect table");
			if (desc.flags & VRING_DESC_F_NEXT)
				return vq_break(vq, "an indirect descriptor that continues");
			if (open_table(vq, desc.addr, desc.len, &table))
				return -EPROTO;
			in_indirect = true;
			i = 0;
			seen = 0;
			continue;
		}
		if (add_buffer(vq, desc.addr, desc.len, desc.flags, bufs))
			return -EPROTO;
		if (!(desc.flags & VRING_DESC_F_NEXT))
			return 0;
		i = desc.next;
		if (unlikely(i >= table.num))
			return vq_break(vq, "a descriptor that continues out of range");
	}
}

/* ---- packed ---- */

static int load_packed_desc(const struct mem_table *mem, const struct desc_table *table, uint32_t i,
			    struct vring_packed_desc *desc)
{
	struct vring_packed_desc raw;

	if (likely(table->direct != NULL)) {
		const struct vring_packed_desc *d =
			(const struct vring_packed_desc *)table->direct + i;

		desc->addr = le64toh(READ_ONCE(d->addr));
		desc->len = le32toh(READ_ONCE(d->len));
		desc->flags = le16toh(READ_ONCE(d->flags));
		return 0;
	}
	if (mem_read(mem, table->gpa + (uint64_t)i * sizeof(raw), &raw, sizeof(raw)))
		return -EFAULT;
	desc->addr = le64toh(raw.addr);
	desc->len = le32toh(raw.len);
	desc->flags = le16toh(raw.flags);
	return 0;
}

/* Tables of packed descriptors have no links: all of one is the request (2.8.7). */
static int packed_table(struct virtqueue *vq, uint64_t addr, uint32_t len, struct vq_buffers *bufs)
{
	struct desc_table table = { 0 };
	struct vring_packed_desc desc;
	uint32_t i;

	if (open_table(vq, addr, len, &table))
		return -EPROTO;
	for (i = 0; i < table.num; i++) {
		if (unlikely(load_packed_desc(vq->mem, &table, i, &desc)))
			return vq_break(vq, "an indirect table outside of the shared memory");
		if (unlikely(desc.flags & VRING_DESC_F_INDIRECT))
			return vq_break(vq, "an indirect descriptor in an indirect table");
		if (add_buffer(vq, desc.addr, desc.len, desc.flags, bufs))
			return -EPROTO;
	}
	return 0;
}

int vq_packed_chain(struct virtqueue *vq, uint16_t id, struct vq_buffers *bufs)
{
	const struct packed_record_desc *entries = vq->packed.entries;
	const struct packed_record_desc *desc = &entries[id];
	unsigned int n;

	no_buffers(bufs);
	/* A list has descriptors of one kind, so a table stands alone (2.8.7). */
	if (desc->flags & VRING_DESC_F_INDIRECT) {
		if (entries[id].num > 1)
			return vq_break(vq, "an indirect descriptor that continues");
		return packed_table(vq, desc->addr, desc->len, bufs);
	}
	for (n = entries[id].num; n; n--) {
		if (unlikely(desc->flags & VRING_DESC_F_INDIRECT))
			return vq_break(vq, "an indirect descriptor among others");
		if (add_buffer(vq, desc->addr, desc->len, desc->flags, bufs))
			return -EPROTO;
		if (n > 1)
			desc = &entries[desc->next];
	}
	return 0;
}

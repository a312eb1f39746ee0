// SPDX-License-Identifier: BSD-3-Clause
/* The way through the descriptors of one request (virtio 1.x, 2.7.5). */
#include <endian.h>
#include <errno.h>

#include "backends/common/virtqueue.h"

/*
 * Descriptors in a row: the ring's own or an indirect table. A table that crosses the border of
 * memory regions is not contiguous here and is read piece by piece.
 */
struct desc_table {
	const struct mem_table *mem;
	const struct vring_desc *direct; /* NULL: read from @gpa */
	uint64_t gpa;
	uint32_t num;
};

/*
 * The driver may write while we read: each field is taken once, and what was checked is what is
 * used.
 */
static int load_desc(const struct desc_table *table, uint32_t i, struct vring_desc *desc)
{
	struct vring_desc raw;

	if (likely(table->direct != NULL)) {
		const struct vring_desc *d = &table->direct[i];

		desc->addr = le64toh(READ_ONCE(d->addr));
		desc->len = le32toh(READ_ONCE(d->len));
		desc->flags = le16toh(READ_ONCE(d->flags));
		desc->next = le16toh(READ_ONCE(d->next));
		return 0;
	}
	if (mem_read(table->mem, table->gpa + (uint64_t)i * sizeof(raw), &raw, sizeof(raw)))
		return -EFAULT;
	desc->addr = le64toh(raw.addr);
	desc->len = le32toh(raw.len);
	desc->flags = le16toh(raw.flags);
	desc->next = le16toh(raw.next);
	return 0;
}

static int open_indirect(struct virtqueue *vq, const struct vring_desc *desc,
			 struct desc_table *table)
{
	uint64_t end;

	if (!vq->indirect)
		return vq_break(vq, "an indirect descriptor, which was not negotiated");
	if (desc->flags & VRING_DESC_F_NEXT)
		return vq_break(vq, "an indirect descriptor that continues");
	if (!desc->len || desc->len % sizeof(struct vring_desc) ||
	    desc->len / sizeof(struct vring_desc) > VQ_MAX_SIZE)
		return vq_break(vq, "an indirect table of a wrong size");
	if (__builtin_add_overflow(desc->addr, (uint64_t)desc->len, &end))
		return vq_break(vq, "an indirect table that wraps");
	table->direct = mem_gpa(vq->mem, desc->addr, desc->len);
	if (!IS_ALIGNED((uintptr_t)table->direct, sizeof(uint64_t)))
		table->direct = NULL; /* the driver need not align it (2.7.5.3) */
	table->gpa = desc->addr;
	table->num = desc->len / (uint32_t)sizeof(struct vring_desc);
	return 0;
}

/* Adds one descriptor's buffer, in as many parts as there are regions. */
static int add_buffer(struct virtqueue *vq, const struct vring_desc *desc, struct vq_buffers *bufs)
{
	bool write = desc->flags & VRING_DESC_F_WRITE;
	uint64_t gpa = desc->addr;
	uint64_t left = desc->len;

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
		bufs->in_len += desc->len;
	else
		bufs->out_len += desc->len;
	return 0;
}

int vq_chain(struct virtqueue *vq, uint16_t id, struct vq_buffers *bufs)
{
	struct desc_table table = { .mem = vq->mem, .direct = vq->desc, .num = vq->num };
	bool in_indirect = false;
	uint32_t i = id, seen = 0;
	struct vring_desc desc;

	bufs->out_num = 0;
	bufs->in_num = 0;
	bufs->out_len = 0;
	bufs->in_len = 0;
	for (;;) {
		if (unlikely(load_desc(&table, i, &desc)))
			return vq_break(vq, "an indirect table outside of the shared memory");
		/* As many steps as there are descriptors, or it is a loop. */
		if (unlikely(++seen > table.num))
			return vq_break(vq, "a loop of descriptors");
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			if (in_indirect)
				return vq_break(vq, "an indirect descriptor in an indirect table");
			if (open_indirect(vq, &desc, &table))
				return -EPROTO;
			in_indirect = true;
			i = 0;
			seen = 0;
			continue;
		}
		if (add_buffer(vq, &desc, bufs))
			return -EPROTO;
		if (!(desc.flags & VRING_DESC_F_NEXT))
			return 0;
		i = desc.next;
		if (unlikely(i >= table.num))
			return vq_break(vq, "a descriptor that continues out of range");
	}
}

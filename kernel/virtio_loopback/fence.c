// SPDX-License-Identifier: GPL-2.0-only
#include <linux/virtio_gpu.h>
#include <linux/virtio_ring.h>

#include "bounce.h"
#include "fence.h"

struct vlb_fence_desc {
	u64 addr;
	u32 len;
	u16 flags;
	u16 next;
};

/* Devices of this transport are of virtio 1: little-endian. */
static struct vlb_fence_desc vlb_fence_read(const struct vring_desc *desc)
{
	return (struct vlb_fence_desc){
		.addr = le64_to_cpu((__force __le64)READ_ONCE(desc->addr)),
		.len = le32_to_cpu((__force __le32)READ_ONCE(desc->len)),
		.flags = le16_to_cpu((__force __le16)READ_ONCE(desc->flags)),
		.next = le16_to_cpu((__force __le16)READ_ONCE(desc->next)),
	};
}

/*
 * The first and the last descriptor of a chain in a table of its own. The table is read where
 * the driver has it.
 */
static bool vlb_fence_ends_of_table(struct vlb_bounce *bounce, struct vlb_fence_desc *first,
				    struct vlb_fence_desc *last)
{
	struct vlb_fence_desc table = *first;
	struct vring_desc desc;

	if (table.len < 2 * sizeof(desc) ||
	    !vlb_bounce_peek(bounce, table.addr, 0, &desc, sizeof(desc)))
		return false;
	*first = vlb_fence_read(&desc);
	if (!vlb_bounce_peek(bounce, table.addr, table.len - sizeof(desc), &desc, sizeof(desc)))
		return false;
	*last = vlb_fence_read(&desc);
	return true;
}

/* The same for any chain. The ring is not trusted, and read as one that may have no end. */
static bool vlb_fence_ends(struct vlb_bounce *bounce, const struct vring *vring, u16 head,
			   struct vlb_fence_desc *first, struct vlb_fence_desc *last)
{
	unsigned int i;

	if (head >= vring->num)
		return false;
	*first = vlb_fence_read(&vring->desc[head]);
	if (first->flags & VRING_DESC_F_INDIRECT)
		return vlb_fence_ends_of_table(bounce, first, last);
	*last = *first;
	for (i = 0; i < vring->num && last->flags & VRING_DESC_F_NEXT; i++) {
		if (last->next >= vring->num)
			return false;
		*last = vlb_fence_read(&vring->desc[last->next]);
	}
	return true;
}

/**
 * vlb_fence_answer() - answer a command of virtio_gpu's with an error, its fence with it
 * @bounce: the pool in use, poisoned
 * @vring:  its device side is the kernel alone
 * @head:   of a buffer that is out; not trusted
 *
 * The request is read where the driver has it, and the answer is written there: what the
 * back-end may have put into the pool has no part in it.
 */
void vlb_fence_answer(struct vlb_bounce *bounce, const struct vring *vring, u16 head)
{
	struct virtio_gpu_ctrl_hdr request, answer = { 0 };
	struct vlb_fence_desc first, last;

	if (!vlb_fence_ends(bounce, vring, head, &first, &last) ||
	    !(last.flags & VRING_DESC_F_WRITE) ||
	    !vlb_bounce_peek(bounce, first.addr, 0, &request, sizeof(request)))
		return;
	answer.type = cpu_to_le32(VIRTIO_GPU_RESP_ERR_UNSPEC);
	answer.flags = request.flags;
	answer.fence_id = request.fence_id;
	answer.ctx_id = request.ctx_id;
	answer.ring_idx = request.ring_idx;
	vlb_bounce_answer(bounce, last.addr, &answer, sizeof(answer));
}

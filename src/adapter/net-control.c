// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/net-control.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "common/util.h"

/* Of a field that the other side changes meanwhile; little-endian, VERSION_1 is always on. */
static uint16_t load_u16(const __virtio16 *p)
{
	return le16toh(__atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE));
}

static void store_u16(__virtio16 *p, uint16_t value)
{
	__atomic_store_n((uint16_t *)p, htole16(value), __ATOMIC_RELEASE);
}

int net_control_start(struct net_control *nc, const struct pool *pool,
		      const struct virtio_loopback_queue *queue, bool event_idx)
{
	const uint64_t num = queue->num;
	int ret;

	if (!num || num > VIRTIO_LOOPBACK_QUEUE_SIZE_MAX || (num & (num - 1)))
		return -EINVAL;
	/* 2.7.6 and 2.7.8: flags, index, entries, and the event of the other side */
	ret = pool_map(pool, queue->desc_addr, num * sizeof(*nc->desc), &nc->desc_window);
	if (!ret)
		ret = pool_map(pool, queue->driver_addr, 6 + 2 * num, &nc->avail_window);
	if (!ret)
		ret = pool_map(pool, queue->device_addr, 6 + 8 * num, &nc->used_window);
	if (ret) {
		net_control_stop(nc);
		return ret;
	}
	nc->desc = nc->desc_window.data;
	nc->avail = nc->avail_window.data;
	nc->used = nc->used_window.data;
	nc->num = queue->num;
	nc->event_idx = event_idx;
	nc->seen = load_u16(&nc->used->idx);
	return 0;
}

void net_control_stop(struct net_control *nc)
{
	pool_unmap(&nc->desc_window);
	pool_unmap(&nc->avail_window);
	pool_unmap(&nc->used_window);
	*nc = (struct net_control){ 0 };
}

/* Copies one part to @bytes, as much of it as there is room for. */
static int read_part(const struct pool *pool, const struct vring_desc *desc, uint8_t *bytes,
		     unsigned int room)
{
	uint64_t length = MIN(le32toh(READ_ONCE(desc->len)), room);
	struct pool_window window = { 0 };
	int ret;

	if (!length)
		return 0;
	ret = pool_map(pool, le64toh(READ_ONCE(desc->addr)), length, &window);
	if (ret)
		return ret == -ERANGE ? -EPROTO : ret;
	memcpy(bytes, window.data, length);
	pool_unmap(&window);
	return 0;
}

static int read_command(const struct net_control *nc, const struct pool *pool, unsigned int head,
			struct net_command *command)
{
	uint8_t bytes[4] = { 0 };
	unsigned int steps, at = head;
	uint64_t have = 0;
	int ret;

	for (steps = 0; steps < nc->num && at < nc->num; steps++) {
		const struct vring_desc *desc = &nc->desc[at];
		unsigned int done = (unsigned int)MIN(have, sizeof(bytes));

		ret = read_part(pool, desc, bytes + done, sizeof(bytes) - done);
		if (ret)
			return ret;
		have += le32toh(READ_ONCE(desc->len));
		if (!(le16toh(READ_ONCE(desc->flags)) & VRING_DESC_F_NEXT)) {
			*command = (struct net_command){
				.class = bytes[0],
				.command = bytes[1],
				.data = { bytes[2], bytes[3] },
				.length = (unsigned int)MIN(have, (uint64_t)UINT32_MAX),
			};
			return 1;
		}
		at = le16toh(READ_ONCE(desc->next));
	}
	return -EPROTO;
}

/* Every further command is to be kicked for. Return: whether one came meanwhile. */
static bool arm(struct net_control *nc)
{
	if (nc->event_idx)
		store_u16((__virtio16 *)&nc->used->ring[nc->num], nc->seen);
	/* the wish before the index is read: the kernel does it the other way round */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return load_u16(&nc->avail->idx) != nc->seen;
}

int net_control_take(struct net_control *nc, const struct pool *pool, struct net_command *command)
{
	unsigned int slot = nc->seen & (nc->num - 1);
	uint16_t end = load_u16(&nc->avail->idx);
	unsigned int head;
	int ret;

	if (end == nc->seen && !arm(nc))
		return 0;
	end = load_u16(&nc->avail->idx);
	if ((uint16_t)(end - nc->seen) > nc->num)
		return -EPROTO;
	head = le16toh(READ_ONCE(nc->avail->ring[slot]));
	ret = read_command(nc, pool, head, command);
	if (ret < 0)
		return ret;
	WRITE_ONCE(nc->used->ring[slot].id, htole32(head));
	WRITE_ONCE(nc->used->ring[slot].len, 0);
	nc->seen++;
	return 1;
}

void net_control_done(struct net_control *nc)
{
	if (net_control_started(nc))
		store_u16(&nc->used->idx, nc->seen);
}

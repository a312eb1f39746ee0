/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM virtio_loopback

#if !defined(VLB_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VLB_TRACE_H

#include <linux/tracepoint.h>

#include "device.h"

DECLARE_EVENT_CLASS(vlb_queue_event,
	TP_PROTO(const struct vlb_queue *queue),
	TP_ARGS(queue),
	TP_STRUCT__entry(
		__field(unsigned int, device)
		__field(unsigned int, queue)
	),
	TP_fast_assign(
		__entry->device = queue->dev->number;
		__entry->queue = queue->index;
	),
	TP_printk("device=%u queue=%u", __entry->device, __entry->queue)
);

/* The driver kicks; the back-end's eventfd is about to be signalled. */
DEFINE_EVENT(vlb_queue_event, vlb_kick,
	TP_PROTO(const struct vlb_queue *queue),
	TP_ARGS(queue)
);

/* The back-end called; the driver's callback is about to run. */
DEFINE_EVENT(vlb_queue_event, vlb_call,
	TP_PROTO(const struct vlb_queue *queue),
	TP_ARGS(queue)
);

/* A question to the adapter is over. */
TRACE_EVENT(vlb_message,
	TP_PROTO(const struct vlb_device *dev, const struct virtio_loopback_msg *msg, int error),
	TP_ARGS(dev, msg, error),
	TP_STRUCT__entry(
		__field(unsigned int, device)
		__field(u64, seq)
		__field(u32, type)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->device = dev->number;
		__entry->seq = msg->seq;
		__entry->type = msg->type;
		__entry->error = error;
	),
	TP_printk("device=%u seq=%llu type=%u error=%d", __entry->device, __entry->seq,
		  __entry->type, __entry->error)
);

/* The device enters a state (enum virtio_loopback_device_state). */
TRACE_EVENT(vlb_state,
	TP_PROTO(const struct vlb_device *dev, unsigned int state),
	TP_ARGS(dev, state),
	TP_STRUCT__entry(
		__field(unsigned int, device)
		__field(unsigned int, from)
		__field(unsigned int, to)
	),
	TP_fast_assign(
		__entry->device = dev->number;
		__entry->from = dev->state;
		__entry->to = state;
	),
	TP_printk("device=%u from=%u to=%u", __entry->device, __entry->from, __entry->to)
);

DECLARE_EVENT_CLASS(vlb_window_event,
	TP_PROTO(const struct vlb_window *window, u64 page, unsigned long count),
	TP_ARGS(window, page, count),
	TP_STRUCT__entry(
		__field(unsigned int, device)
		__field(u64, page)
		__field(unsigned long, count)
	),
	TP_fast_assign(
		__entry->device = window->device;
		__entry->page = page;
		__entry->count = count;
	),
	TP_printk("device=%u page=%llu count=%lu", __entry->device, __entry->page,
		  __entry->count)
);

/* The driver mapped pages: they can be seen in the window from here on. */
DEFINE_EVENT(vlb_window_event, vlb_window_map,
	TP_PROTO(const struct vlb_window *window, u64 page, unsigned long count),
	TP_ARGS(window, page, count)
);

/* It unmapped them. */
DEFINE_EVENT(vlb_window_event, vlb_window_unmap,
	TP_PROTO(const struct vlb_window *window, u64 page, unsigned long count),
	TP_ARGS(window, page, count)
);

/* A process touched the window; count pages were entered, 0: a SIGBUS. */
DEFINE_EVENT(vlb_window_event, vlb_window_fault,
	TP_PROTO(const struct vlb_window *window, u64 page, unsigned long count),
	TP_ARGS(window, page, count)
);

#endif /* VLB_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>

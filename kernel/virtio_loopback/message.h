/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * message - what the kernel asks the adapter, and the answers
 *
 * A question (vlb_messages_ask()) waits for its answer, for a bounded time. An event
 * needs no memory and no answer: a bit that read() turns into a message, so it can be
 * raised from any context.
 */
#ifndef VLB_MESSAGE_H
#define VLB_MESSAGE_H

#include <linux/poll.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/virtio_loopback.h>

struct vlb_device;

enum vlb_event {
	VLB_EVENT_REGISTERED,
	VLB_EVENT_UNREGISTERED,
	VLB_EVENT_BROKEN,
	VLB_EVENT_RESUMED,
	VLB_EVENTS,
};

/**
 * struct vlb_messages - the traffic of one device
 * @lock:     protects everything here; taken with interrupts off
 * @wait:     readers
 * @waiting:  questions not yet read, oldest first (struct vlb_question, message.c)
 * @asked:    questions read and not answered
 * @seq:      of the last question
 * @closed:   nobody will answer any more
 * @events:   bits by enum vlb_event
 * @register_error: of VLB_EVENT_REGISTERED
 * @timeouts: questions that were not answered in time, ever
 */
struct vlb_messages {
	spinlock_t lock; /* see @lock above */
	wait_queue_head_t wait;
	struct list_head waiting;
	struct list_head asked;
	u64 seq;
	bool closed;
	unsigned long events;
	int register_error;
	u32 timeouts;
};

void vlb_messages_init(struct vlb_messages *messages);
void vlb_messages_abort(struct vlb_messages *messages, int error);
void vlb_messages_close(struct vlb_messages *messages);
void vlb_messages_requeue(struct vlb_messages *messages);

/**
 * vlb_message_init() - begin a message
 * @msg:  all of it is zeroed, as all of it goes to user space
 * @type: VIRTIO_LOOPBACK_MSG_*
 */
static inline void vlb_message_init(struct virtio_loopback_msg *msg, u32 type)
{
	memset(msg, 0, sizeof(*msg));
	msg->type = type;
}

int vlb_messages_ask(struct vlb_device *dev, struct virtio_loopback_msg *msg);
void vlb_messages_raise(struct vlb_messages *messages, enum vlb_event event);

ssize_t vlb_messages_read(struct vlb_device *dev, char __user *buf, size_t len, bool nonblock);
ssize_t vlb_messages_write(struct vlb_device *dev, const char __user *buf, size_t len);
__poll_t vlb_messages_poll(struct vlb_device *dev, struct file *file, poll_table *wait);

#endif /* VLB_MESSAGE_H */

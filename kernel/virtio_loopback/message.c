// SPDX-License-Identifier: GPL-2.0-only
#include <linux/completion.h>
#include <linux/list.h>
#include <linux/sched.h>
#include <linux/uaccess.h>
#include <linux/virtio_config.h>

#include "device.h"
#include "message.h"
#include "trace.h"

/* How often one who waits looks whether his time runs. */
#define VLB_MESSAGE_SLICE	(HZ / 10)
/* Less than the watchdog of the system's sleep has: it stops the machine. */
#define VLB_ASLEEP_PATIENCE	(30 * HZ)

/**
 * struct vlb_question - lives on the stack of the one who asks
 * @node:  in one of the lists of struct vlb_messages until it is answered or given up
 * @msg:   what is asked
 * @done:  answered, or nobody will
 * @error: the answer
 */
struct vlb_question {
	struct list_head node;
	struct virtio_loopback_msg *msg;
	struct completion done;
	int error;
};

void vlb_messages_init(struct vlb_messages *messages)
{
	spin_lock_init(&messages->lock);
	init_waitqueue_head(&messages->wait);
	INIT_LIST_HEAD(&messages->waiting);
	INIT_LIST_HEAD(&messages->asked);
}

/* The lock is held. */
static void vlb_question_answer(struct vlb_question *question, int error)
{
	list_del_init(&question->node);
	question->error = error;
	complete(&question->done);
}

/**
 * vlb_messages_abort() - the questions of now will not be answered
 * @messages: the device's
 * @error:    what they get instead
 */
void vlb_messages_abort(struct vlb_messages *messages, int error)
{
	struct vlb_question *question, *next;
	unsigned long flags;

	spin_lock_irqsave(&messages->lock, flags);
	list_splice_tail_init(&messages->waiting, &messages->asked);
	list_for_each_entry_safe(question, next, &messages->asked, node)
		vlb_question_answer(question, error);
	spin_unlock_irqrestore(&messages->lock, flags);
}

/**
 * vlb_messages_close() - nobody will answer any more
 * @messages: all questions, present and future, fail with -ENODEV
 */
void vlb_messages_close(struct vlb_messages *messages)
{
	unsigned long flags;

	spin_lock_irqsave(&messages->lock, flags);
	messages->closed = true;
	spin_unlock_irqrestore(&messages->lock, flags);
	vlb_messages_abort(messages, -ENODEV);
	wake_up_poll(&messages->wait, EPOLLERR | EPOLLHUP);
}

/**
 * vlb_messages_requeue() - the adapter went, another may come
 * @messages: what was read and not answered will be read again
 */
void vlb_messages_requeue(struct vlb_messages *messages)
{
	unsigned long flags;

	spin_lock_irqsave(&messages->lock, flags);
	list_splice_init(&messages->asked, &messages->waiting);
	spin_unlock_irqrestore(&messages->lock, flags);
}

static bool vlb_messages_submit(struct vlb_messages *messages, struct vlb_question *question)
{
	unsigned long flags;
	bool open;

	spin_lock_irqsave(&messages->lock, flags);
	open = !messages->closed;
	if (open) {
		question->msg->seq = ++messages->seq;
		question->msg->flags = VIRTIO_LOOPBACK_MSG_NEED_REPLY;
		list_add_tail(&question->node, &messages->waiting);
	}
	spin_unlock_irqrestore(&messages->lock, flags);
	if (open)
		wake_up_interruptible_poll(&messages->wait, EPOLLIN | EPOLLRDNORM);
	return open;
}

/* Time runs out; unless the answer came just now. */
static void vlb_messages_give_up(struct vlb_messages *messages, struct vlb_question *question)
{
	unsigned long flags;

	spin_lock_irqsave(&messages->lock, flags);
	if (!completion_done(&question->done)) {
		vlb_question_answer(question, -ETIMEDOUT);
		messages->timeouts++;
	}
	spin_unlock_irqrestore(&messages->lock, flags);
}

/**
 * vlb_messages_ask() - ask the adapter and wait for its answer
 * @dev: the device
 * @msg: the type and its fields; the rest is filled in here
 *
 * Sleeps, at most for the device's message time-out, and its orphan time-out for all times
 * together in which it waits for another adapter: each alone has an end, but adapters could come
 * and go for ever. The time in which the system goes to sleep and comes back is counted by itself:
 * the adapter may be frozen, and the system waits for who asks.
 *
 * Return: the adapter's answer, -ENODEV (there is none any more) or -ETIMEDOUT.
 */
int vlb_messages_ask(struct vlb_device *dev, struct virtio_loopback_msg *msg)
{
	struct vlb_messages *messages = &dev->messages;
	struct vlb_question question = { .msg = msg };
	unsigned long left = dev->message_timeout, alone = 0, asleep = 0, slice;

	init_completion(&question.done);
	if (!vlb_messages_submit(messages, &question))
		return -ENODEV;
	do {
		slice = min_t(unsigned long, left, VLB_MESSAGE_SLICE);
		if (wait_for_completion_timeout(&question.done, slice))
			goto out;
		if (READ_ONCE(dev->suspended))
			asleep += slice;
		else if (READ_ONCE(dev->state) == VIRTIO_LOOPBACK_ORPHAN)
			alone += slice;
		else
			left -= slice;
	} while (left && alone <= dev->orphan_timeout && asleep <= VLB_ASLEEP_PATIENCE);
	vlb_messages_give_up(messages, &question);
out:
	trace_vlb_message(dev, msg, question.error);
	return question.error;
}

/**
 * vlb_messages_raise() - tell the adapter that something happened
 * @messages: the device's
 * @event:    what; raised twice before it is read, it is told once
 *
 * Any context.
 */
void vlb_messages_raise(struct vlb_messages *messages, enum vlb_event event)
{
	if (!test_and_set_bit(event, &messages->events))
		wake_up_interruptible_poll(&messages->wait, EPOLLIN | EPOLLRDNORM);
}

static u32 vlb_event_type(enum vlb_event event)
{
	switch (event) {
	case VLB_EVENT_REGISTERED:
		return VIRTIO_LOOPBACK_MSG_REGISTERED;
	case VLB_EVENT_UNREGISTERED:
		return VIRTIO_LOOPBACK_MSG_UNREGISTERED;
	case VLB_EVENT_BROKEN:
		return VIRTIO_LOOPBACK_MSG_BROKEN;
	default:
		return VIRTIO_LOOPBACK_MSG_RESUMED;
	}
}

static void vlb_registered_fill(struct vlb_device *dev, struct virtio_loopback_msg *msg)
{
	struct virtio_loopback_state state = { 0 };

	mutex_lock(&dev->lock);
	vlb_device_get_state(dev, &state);
	mutex_unlock(&dev->lock);
	msg->registered.error = READ_ONCE(dev->messages.register_error);
	msg->registered.virtio_index = state.virtio_index;
	msg->registered.bound = !!(state.status & VIRTIO_CONFIG_S_DRIVER_OK);
}

static void vlb_broken_fill(struct vlb_device *dev, struct virtio_loopback_msg *msg)
{
	const struct vlb_queue *queue = vlb_queues_first_broken(dev);

	msg->queue.index = queue->index;
	msg->queue.reason = READ_ONCE(queue->broken_reason);
}

static bool vlb_messages_take_event(struct vlb_device *dev, struct virtio_loopback_msg *msg)
{
	enum vlb_event event;

	for (event = 0; event < VLB_EVENTS; event++)
		if (test_and_clear_bit(event, &dev->messages.events))
			break;
	if (event == VLB_EVENTS)
		return false;
	msg->type = vlb_event_type(event);
	if (event == VLB_EVENT_REGISTERED)
		vlb_registered_fill(dev, msg);
	else if (event == VLB_EVENT_BROKEN)
		vlb_broken_fill(dev, msg);
	return true;
}

static bool vlb_messages_take(struct vlb_device *dev, struct virtio_loopback_msg *msg)
{
	struct vlb_messages *messages = &dev->messages;
	struct vlb_question *question;
	unsigned long flags;

	spin_lock_irqsave(&messages->lock, flags);
	question = list_first_entry_or_null(&messages->waiting, struct vlb_question, node);
	if (question) {
		*msg = *question->msg;
		list_move_tail(&question->node, &messages->asked);
	}
	spin_unlock_irqrestore(&messages->lock, flags);
	return question || vlb_messages_take_event(dev, msg);
}

static bool vlb_messages_pending(struct vlb_messages *messages)
{
	unsigned long flags;
	bool pending;

	spin_lock_irqsave(&messages->lock, flags);
	pending = !list_empty(&messages->waiting) || READ_ONCE(messages->events);
	spin_unlock_irqrestore(&messages->lock, flags);
	return pending;
}

ssize_t vlb_messages_read(struct vlb_device *dev, char __user *buf, size_t len, bool nonblock)
{
	struct vlb_messages *messages = &dev->messages;
	struct virtio_loopback_msg msg;
	int err;

	if (len != sizeof(msg))
		return -EINVAL;
	memset(&msg, 0, sizeof(msg));
	while (!vlb_messages_take(dev, &msg)) {
		if (READ_ONCE(messages->closed))
			return -ENODEV;
		if (nonblock)
			return -EAGAIN;
		err = wait_event_interruptible(messages->wait,
					       vlb_messages_pending(messages) ||
					       READ_ONCE(messages->closed));
		if (err)
			return err;
	}
	/* A question whose bytes do not arrive is given up by its time-out. */
	return copy_to_user(buf, &msg, sizeof(msg)) ? -EFAULT : sizeof(msg);
}

static int vlb_messages_answer(struct vlb_messages *messages,
			       const struct virtio_loopback_reply *reply)
{
	struct vlb_question *question;
	unsigned long flags;
	int err = -ENOENT;

	spin_lock_irqsave(&messages->lock, flags);
	list_for_each_entry(question, &messages->asked, node) {
		if (question->msg->seq == reply->seq) {
			vlb_question_answer(question, reply->error);
			err = 0;
			break;
		}
	}
	spin_unlock_irqrestore(&messages->lock, flags);
	return err;
}

ssize_t vlb_messages_write(struct vlb_device *dev, const char __user *buf, size_t len)
{
	struct virtio_loopback_reply reply;
	int err;

	if (len != sizeof(reply))
		return -EINVAL;
	if (copy_from_user(&reply, buf, sizeof(reply)))
		return -EFAULT;
	if (reply.reserved || reply.error > 0 || reply.error < -MAX_ERRNO)
		return -EINVAL;
	err = vlb_messages_answer(&dev->messages, &reply);
	return err ? err : sizeof(reply);
}

__poll_t vlb_messages_poll(struct vlb_device *dev, struct file *file, poll_table *wait)
{
	struct vlb_messages *messages = &dev->messages;
	__poll_t mask = 0;

	poll_wait(file, &messages->wait, wait);
	if (vlb_messages_pending(messages))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (READ_ONCE(messages->closed))
		mask |= EPOLLERR;
	return mask;
}

// SPDX-License-Identifier: BSD-3-Clause
/* What the driver asks for, as the module's messages tell. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdio.h>
#include <string.h>

#include "adapter/adapter.h"
#include "adapter/manager.h"
#include "common/log.h"
#include "common/util.h"

/* A driver that asks without end must not keep the loop from the rest. */
#define MESSAGE_BURST 32

/*
 * A command to the back-end failed. What it refused in so many words leaves the connection in
 * order; after anything else the connection is lost.
 *
 * Return: 0 when the device goes on without the back-end for now, else what the driver is told.
 */
static int backend_failed(struct adapter *a, int error)
{
	if (error == -EREMOTEIO) {
		log_error("%s", failure_text(&a->fe.failure, error));
		failure_clear(&a->fe.failure);
		return -EIO;
	}
	return backend_lost(a) ? 0 : -EIO;
}

/* The same for what a device cannot do without. */
static int backend_unfit(struct adapter *a, int error)
{
	if (error != -EREMOTEIO)
		return backend_failed(a, error);
	adapter_fail(a, failure_text(&a->fe.failure, error));
	return -EIO;
}

/* virtio 3.1.1, steps 5 and 6 */
static int features_ok(struct adapter *a, uint64_t features)
{
	int ret;

	features &= ~BIT_ULL(VIRTIO_F_ACCESS_PLATFORM);
	if ((features & ~a->offered) || !personality_accepts(a->options, features))
		return -EINVAL;
	a->accepted = features;
	a->features_ok = true;
	if (!frontend_connected(&a->fe))
		return 0;
	ret = frontend_set_features(
		&a->fe, personality_backend_features(a->options, features, a->fe.features),
		adapter_deadline(a));
	return ret ? backend_unfit(a, ret) : 0;
}

static int driver_ok(struct adapter *a)
{
	int ret;

	if (!a->features_ok)
		return -EINVAL;
	a->driver_ok = true;
	if (!frontend_connected(&a->fe))
		return 0; /* the rings are handed over when the back-end is back */
	ret = queues_start_all(a, false, adapter_deadline(a));
	if (!ret)
		return 0;
	/* What failed on this side of the socket is no fault of the back-end. */
	if (a->failure.text[0]) {
		adapter_fail(a, failure_text(&a->failure, ret));
		return ret;
	}
	return backend_unfit(a, ret);
}

static int status_changed(struct adapter *a, uint32_t status, uint64_t features)
{
	uint32_t set = status & ~a->status;
	int ret = 0;

	a->status = status;
	if (set & VIRTIO_CONFIG_S_FEATURES_OK)
		ret = features_ok(a, features);
	if (!ret && (set & VIRTIO_CONFIG_S_DRIVER_OK))
		ret = driver_ok(a);
	return ret;
}

/*
 * The driver takes buffers back now, and the pool's slots get new ones: neither the back-end, which
 * was stopped with @error, nor one that went away before may touch them any more.
 */
static int let_go_of_buffers(struct adapter *a, int error, deadline_t deadline)
{
	if (error == -ECONNRESET) {
		backend_lost(a);
		error = 0;
	}
	/* the device is unplugged: its driver has them back, and the next one gets a new pool */
	if (!error && a->device.fd < 0)
		return 0;
	if (!error && !backend_wait_quiet(a, deadline)) {
		failure_clear(&a->fe.failure);
		error = failure_set(&a->fe.failure, -ETIMEDOUT,
				    "the back-end that went away still has the driver's buffers");
	}
	if (!error)
		return 0;
	adapter_fail(a, failure_text(&a->fe.failure, error));
	return -EIO;
}

/* What a driver has written into the configuration space goes with the reset. */
static int stop_backend(struct adapter *a, deadline_t deadline)
{
	struct config_write kept;
	int ret;

	ret = queues_stop_all(a, deadline);
	if (!ret)
		ret = frontend_reset(&a->fe, deadline);
	if (!ret &&
	    personality_config_kept(a->options, a->accepted, a->config, a->config_size, &kept))
		ret = config_refresh(a, 0, deadline);
	return ret;
}

static int driver_reset(struct adapter *a)
{
	deadline_t deadline = adapter_deadline(a);
	bool used = a->driver_ok;
	int ret = 0;

	a->status = 0;
	a->features_ok = false;
	a->driver_ok = false;
	a->rings_fresh = true;
	if (used && frontend_connected(&a->fe))
		ret = stop_backend(a, deadline);
	/* There is one of them at a time: the next start makes the next. */
	display_disconnect(&a->display);
	net_stop(a);
	inflight_finish(&a->inflight);
	return let_go_of_buffers(a, ret, deadline);
}

static int write_config(struct adapter *a, const struct virtio_loopback_msg *msg)
{
	unsigned int offset = msg->config.offset, length = msg->config.length;
	struct config_write write = { offset, length, msg->config.data };
	deadline_t deadline = adapter_deadline(a);
	int ret;

	if (length > sizeof(msg->config.data) || offset > a->config_size ||
	    length > a->config_size - offset || !length)
		return -EINVAL;
	if (personality_has_display(a->options))
		return gpu_write_config(a, msg);
	if (personality_owns_config(a->options) ||
	    !frontend_has(&a->fe, VHOST_USER_PROTOCOL_F_CONFIG))
		return -EOPNOTSUPP;
	if (!frontend_connected(&a->fe))
		return -EIO;
	if (!personality_config_write(a->options, a->config, a->together, &write))
		return 0;
	ret = frontend_set_config(&a->fe, write.offset, write.data, write.length, deadline);
	/*
	 * What is read may depend on what was written (input: select and subsel), so ask each time.
	 */
	if (!ret)
		ret = config_refresh(a, 0, deadline);
	if (!ret)
		return 0;
	backend_failed(a, ret);
	return -EIO;
}

static int enable_queue(struct adapter *a, unsigned int index)
{
	int ret;

	if (index >= a->plan.total)
		return -EINVAL;
	if (!frontend_connected(&a->fe))
		return 0;
	ret = queues_start_one(a, index, false, adapter_deadline(a));
	return ret ? backend_unfit(a, ret) : 0;
}

static int reset_queue(struct adapter *a, unsigned int index)
{
	deadline_t deadline = adapter_deadline(a);
	int ret = 0;

	if (index >= a->plan.total)
		return -EINVAL;
	if (frontend_connected(&a->fe))
		ret = queues_stop_one(a, index, deadline);
	ret = let_go_of_buffers(a, ret, deadline);
	/* The next back-end would find there what is the driver's again; the module knows. */
	if (!frontend_connected(&a->fe))
		inflight_finish(&a->inflight);
	return ret;
}

static int answer_for(struct adapter *a, const struct virtio_loopback_msg *msg)
{
	switch (msg->type) {
	case VIRTIO_LOOPBACK_MSG_STATUS:
		return status_changed(a, msg->status.status, msg->status.features);
	case VIRTIO_LOOPBACK_MSG_RESET:
		return driver_reset(a);
	case VIRTIO_LOOPBACK_MSG_SET_CONFIG:
		return write_config(a, msg);
	case VIRTIO_LOOPBACK_MSG_QUEUE_ENABLE:
		return enable_queue(a, msg->queue.index);
	case VIRTIO_LOOPBACK_MSG_QUEUE_RESET:
		return reset_queue(a, msg->queue.index);
	default:
		return -EOPNOTSUPP;
	}
}

static void question(struct adapter *a, const struct virtio_loopback_msg *msg)
{
	int answer, ret;

	/* Left before it is told: what the kernel was answered is not asked again. */
	handover_begin(a);
	answer = answer_for(a, msg);
	handover_end(a);
	log_debug("%s: %s", device_message_name(msg->type), answer ? strerror(-answer) : "done");
	if (a->device.fd < 0)
		return; /* unplugged: nobody waits for the answer any more */
	ret = device_reply(&a->device, msg, answer);
	if (ret == -ENOENT)
		log_warning("%s: the answer came too late for the kernel",
			    device_message_name(msg->type));
	else if (ret)
		log_error("%s: cannot answer: %s", device_message_name(msg->type), strerror(-ret));
	/* A driver may have kicked before the back-end saw its rings, as early as its probe. */
	if (!answer && a->driver_ok)
		queues_kick_again(a);
}

static void registered(struct adapter *a, const struct virtio_loopback_msg *msg)
{
	a->virtio_index = msg->registered.virtio_index;
	if (msg->registered.error) {
		failure_set(&a->failure, msg->registered.error,
			    "the device cannot be registered with the virtio bus: %s",
			    strerror(-msg->registered.error));
		adapter_fail(a, a->failure.text);
		return;
	}
	adapter_registered(a, msg->registered.bound);
}

static void broken(struct adapter *a, const struct virtio_loopback_msg *msg)
{
	char why[96];

	/* It may come to itself, or another may serve better: its driver starts over then. */
	if (msg->queue.reason == VIRTIO_LOOPBACK_BROKEN_FULL) {
		failure_set(&a->fe.failure, -ECONNRESET,
			    "virtqueue %u: the back-end does not take what the driver sends",
			    msg->queue.index);
		backend_lost(a);
		return;
	}
	snprintf(why, sizeof(why),
		 "virtqueue %u: the driver gave it up: the back-end wrote nonsense into it",
		 msg->queue.index);
	adapter_fail(a, why);
}

static void news(struct adapter *a, const struct virtio_loopback_msg *msg)
{
	switch (msg->type) {
	case VIRTIO_LOOPBACK_MSG_REGISTERED:
		registered(a, msg);
		break;
	case VIRTIO_LOOPBACK_MSG_UNREGISTERED:
		if (a->phase == ADAPTER_STOPPING)
			a->phase = ADAPTER_OVER;
		break;
	case VIRTIO_LOOPBACK_MSG_BROKEN:
		broken(a, msg);
		break;
	case VIRTIO_LOOPBACK_MSG_RESUMED:
		queues_kick_again(a);
		break;
	default:
		log_debug("news of type %u from the kernel: not known", msg->type);
		break;
	}
}

void driver_ready(struct adapter *a)
{
	deadline_t until = deadline_after_ms(ADAPTER_BURST_MS);
	struct virtio_loopback_msg msg;
	int i, ret;

	for (i = 0; i < MESSAGE_BURST && a->phase != ADAPTER_OVER && !deadline_passed(until); i++) {
		ret = device_read(&a->device, &msg);
		if (ret == -EAGAIN)
			return;
		if (ret) {
			adapter_fail(a, "the kernel has ended the device");
			return;
		}
		if (msg.flags & VIRTIO_LOOPBACK_MSG_NEED_REPLY)
			question(a, &msg);
		else
			news(a, &msg);
		manager_run(a);
		if (a->device.fd < 0)
			return; /* it went meanwhile */
	}
}

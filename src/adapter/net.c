// SPDX-License-Identifier: BSD-3-Clause
/* The front-end's part of a network device: its control queue, and so which pairs are in use. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <unistd.h>

#include "adapter/adapter.h"
#include "adapter/manager.h"
#include "common/log.h"
#include "common/util.h"

/* A driver that asks without end must not keep the loop from the rest. */
#define COMMAND_BURST 32

static unsigned int control_index(const struct adapter *a)
{
	return personality_control_queue(a->options, &a->plan);
}

bool net_queue_in_use(const struct adapter *a, unsigned int index)
{
	return control_index(a) == a->plan.total || index / 2 < a->net_pairs;
}

int net_kick_fd(const struct adapter *a)
{
	return net_control_started(&a->net_control) ? a->queues[control_index(a)].kick_fd : -1;
}

int net_start(struct adapter *a)
{
	unsigned int index = control_index(a);
	struct virtio_loopback_queue state;
	int ret;

	if (index == a->plan.total)
		return 0;
	ret = device_get_queue(&a->device, index, &state);
	if (!ret && (state.flags & VIRTIO_LOOPBACK_QUEUE_ENABLED) &&
	    !net_control_started(&a->net_control))
		ret = net_control_start(&a->net_control, &a->pool, &state,
					a->accepted & BIT_ULL(VIRTIO_RING_F_EVENT_IDX));
	if (ret)
		return failure_set(&a->failure, ret, "virtqueue %u, the control queue: %s", index,
				   strerror(-ret));
	queues_poke(a, index); /* what came while nobody listened */
	return 0;
}

void net_stop(struct adapter *a)
{
	net_control_stop(&a->net_control);
	a->net_pairs = 1;
}

/* Those that come into use or go out of it, in the back-end. */
static int change_pairs(struct adapter *a, unsigned int pairs, deadline_t deadline)
{
	unsigned int i, before = a->net_pairs;
	int ret = 0;

	a->net_pairs = pairs;
	if (!frontend_connected(&a->fe))
		return 0; /* the next one gets them so */
	for (i = 2 * MIN(before, pairs); i < 2 * MAX(before, pairs) && !ret; i++) {
		if (a->queues[i].started)
			ret = frontend_enable_ring(&a->fe, i, pairs > before, deadline);
	}
	if (!ret)
		ret = frontend_settle(&a->fe, deadline);
	/* a back-end need not have looked into what was not in use */
	if (!ret)
		queues_kick_again(a);
	return ret;
}

/*
 * 5.1.6.5.5; nothing else is offered. The driver was told that all went well, and it has to.
 *
 * Return: 1, or -EPROTO for what no driver asks for
 */
static int obey(struct adapter *a, const struct net_command *command)
{
	unsigned int pairs = command->data[0] | command->data[1] << 8;
	unsigned int most = a->plan.served / 2;

	if (command->class != VIRTIO_NET_CTRL_MQ ||
	    command->command != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET || command->length != 4 || !pairs ||
	    pairs > most) {
		log_ratelimited(LOG_LEVEL_WARNING,
				"the command %u.%u with %u bytes is none that was offered",
				command->class, command->command, command->length);
		return -EPROTO;
	}
	if (pairs == a->net_pairs)
		return 1;
	log_ratelimited(LOG_LEVEL_DEBUG, "%u of %u pairs of virtqueues", pairs, most);
	if (change_pairs(a, pairs, adapter_deadline(a)))
		backend_lost(a);
	return 1;
}

void net_work(struct adapter *a)
{
	deadline_t until = deadline_after_ms(ADAPTER_BURST_MS);
	struct net_command command;
	uint64_t kicks;
	int i, ret = 1;

	if (!net_control_started(&a->net_control))
		return;
	if (read(net_kick_fd(a), &kicks, sizeof(kicks)) < 0 && errno != EAGAIN)
		log_warning("the kick of the control queue: %s", strerror(errno));
	handover_begin(a);
	for (i = 0; i < COMMAND_BURST && ret > 0 && !deadline_passed(until); i++) {
		ret = net_control_take(&a->net_control, &a->pool, &command);
		if (ret > 0)
			ret = obey(a, &command);
		manager_run(a);
		if (!net_control_started(&a->net_control))
			ret = 0; /* it went with the back-end */
	}
	if (ret < 0)
		adapter_fail(a, "the control queue holds nonsense: the back-end wrote into it");
	else if (ret)
		queues_poke(a, control_index(a)); /* the rest when the loop comes round */
	handover_end(a);
	/* Now a successor knows of them: until here it would carry them out once more. */
	net_control_done(&a->net_control);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the device is for its driver, worked out from what the type is, what the back-end offers
 * and what the user asked for: feature bits, configuration space and number of virtqueues.
 *
 * Generic but for the few types where the vhost-user protocol leaves a part to the front-end:
 * there the table in personality.c has an entry.
 */
#ifndef ADAPTER_PERSONALITY_H
#define ADAPTER_PERSONALITY_H

#include <stdbool.h>
#include <stdint.h>

#include "adapter/options.h"
#include "common/failure.h"

#define CONFIG_SIZE_MAX 256 /* VHOST_USER_MAX_CONFIG_SIZE */

/**
 * personality_features() - the feature bits that the driver may use
 * @options:	the type
 * @backend:	what the back-end offers
 * @transport:	what the module can carry (virtio_loopback_info.transport_features)
 *
 * All bits of the device type pass (virtio 6: 0 to 23 and 50 to 63), so that a new feature needs
 * no new adapter. Of the transport's own bits those pass that module, adapter and back-end know.
 */
uint64_t personality_features(const struct adapter_options *options, uint64_t backend,
			      uint64_t transport);

/* personality_accepts() - can the device be served with these accepted bits, and not more */
bool personality_accepts(const struct adapter_options *options, uint64_t accepted);

/* personality_backend_features() - of the accepted bits those that the back-end is to know of */
uint64_t personality_backend_features(const struct adapter_options *options, uint64_t accepted,
				      uint64_t backend);

/* personality_owns_config() - the configuration space comes from the front-end, not the back-end */
bool personality_owns_config(const struct adapter_options *options);

/* personality_config_size() - bytes of configuration space */
unsigned int personality_config_size(const struct adapter_options *options, uint64_t backend);

/**
 * personality_check_kernel() - can the type's driver be served on this kernel?
 * @options:	the type
 * @release:	as uname() says it
 *
 * Buffers are copied when the driver queues them. A driver that writes into them later cannot be
 * served, and neither a feature bit nor anything else tells such a driver from a mended one: so it
 * is the version that counts. One that cannot be read is taken for a new one.
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int personality_check_kernel(const struct adapter_options *options, const char *release,
			     struct failure *failure);

/* personality_own_config() - fill in the configuration space that the front-end owns */
void personality_own_config(const struct adapter_options *options, uint8_t *config,
			    unsigned int size);

/* personality_set_link() - show whether there is a link. Return: false where a type has none */
bool personality_set_link(const struct adapter_options *options, bool up, uint8_t *config,
			  unsigned int size);

/* personality_mtu() - the MTU that the driver took from us, 0: none */
unsigned int personality_mtu(const struct adapter_options *options, uint64_t accepted);

/* Most bytes that personality_config_write() keeps */
#define CONFIG_TOGETHER_MAX 2

struct config_write {
	unsigned int offset;
	unsigned int length;
	const uint8_t *data;
};

/**
 * personality_config_write() - the driver's write as the back-end is to get it
 * @options:	the type
 * @config:	as the back-end gave it last
 * @together:	the last values of what goes together, kept here from write to write
 * @write:	changed
 *
 * Drivers write field by field. Of an input device the first two, select and subsel, make one
 * question, and there are back-ends that take whatever is written for both of them, from the
 * beginning. The driver of a SCSI device writes the sizes that it reads; back-ends know no such
 * message from QEMU, which keeps it to itself.
 *
 * Return: whether there is something to tell the back-end.
 */
bool personality_config_write(const struct adapter_options *options, const uint8_t *config,
			      uint8_t together[CONFIG_TOGETHER_MAX], struct config_write *write);

/**
 * personality_config_kept() - what the driver has written, and relies on until it resets the device
 * @options:	the type
 * @accepted:	features
 * @config:	as it stands
 * @size:	bytes of it
 * @kept:	where in it
 *
 * 5.2.5: of a disk whether a write that is answered is stable, without a flush.
 *
 * Return: whether there is anything.
 */
bool personality_config_kept(const struct adapter_options *options, uint64_t accepted,
			     const uint8_t *config, unsigned int size, struct config_write *kept);

/**
 * struct queue_plan - how many virtqueues, and how large a request may be
 * @total:	as the driver sees them
 * @served:	of these the back-end serves the first
 * @counted:	what stands in the configuration space, 0: nothing does
 * @segments:	most segments of a request, 0: not settled
 * @segment:	most bytes of one
 */
struct queue_plan {
	unsigned int total;
	unsigned int served;
	unsigned int counted;
	unsigned int segments;
	unsigned int segment;
};

/*
 * personality_queue_flags() - VIRTIO_LOOPBACK_QF_* of one virtqueue: how its driver waits for its
 * buffers
 */
uint16_t personality_queue_flags(const struct adapter_options *options, unsigned int index,
				 const struct queue_plan *plan);

/* personality_can_pack() - can its virtqueues be of the packed layout? Those with such flags not */
bool personality_can_pack(const struct adapter_options *options, const struct queue_plan *plan);

/* personality_control_queue() - which one the adapter serves itself; plan->total: none */
unsigned int personality_control_queue(const struct adapter_options *options,
				       const struct queue_plan *plan);

/*
 * personality_serves() - a back-end that says @told to GET_QUEUE_NUM (0: nothing) has enough for
 * this
 */
bool personality_serves(const struct adapter_options *options, const struct queue_plan *plan,
			unsigned int told);

/**
 * personality_plan_queues() - settle the number of virtqueues
 * @options:	the type, and --queues
 * @features:	what the back-end offers
 * @config:	its configuration space
 * @config_size: bytes of it
 * @backend_max: what GET_QUEUE_NUM said, 0: nothing
 * @limit:	most that the module has
 * @cpus:	more queues than CPUs serve nobody
 * @plan:	filled in
 * @failure:	the reason in words
 */
int personality_plan_queues(const struct adapter_options *options, uint64_t features,
			    const uint8_t *config, unsigned int config_size,
			    unsigned int backend_max, unsigned int limit, unsigned int cpus,
			    struct queue_plan *plan, struct failure *failure);

/**
 * personality_pool() - how large the pool is to be
 * @options:	--pool, which holds if it was given
 * @plan:	the queues
 * @page_size:	the kernel's
 * @queue_size:	entries of a virtqueue
 *
 * A console has buffers of its driver for every port, all the time.
 */
uint64_t personality_pool(const struct adapter_options *options, const struct queue_plan *plan,
			  uint64_t page_size, unsigned int queue_size);

/**
 * personality_plan_segments() - settle how many segments a request may have, and how long ones
 * @options:	--pool
 * @page_size:	the kernel's
 * @queue_size:	entries of a virtqueue
 * @plan:	@segments and @segment are filled in
 *
 * A request that is larger than the pool would be tried again for ever. Half of the pool, so that
 * what others hold of it does not keep the largest request waiting until all of it is free.
 */
void personality_plan_segments(const struct adapter_options *options, uint64_t page_size,
			       unsigned int queue_size, struct queue_plan *plan);

/**
 * personality_patch_config() - write what was settled into a fresh copy
 * @options:	the type
 * @features:	what the back-end offers
 * @plan:	number of queues, size of requests
 * @config:	configuration space
 * @size:	bytes of it
 */
void personality_patch_config(const struct adapter_options *options, uint64_t features,
			      const struct queue_plan *plan, uint8_t *config, unsigned int size);

/* personality_has_window() - its driver maps pages by itself, which the back-end is to see */
bool personality_has_window(const struct adapter_options *options);

/* personality_has_display() - the front-end shows its pictures, and owns its events */
bool personality_has_display(const struct adapter_options *options);

/* personality_patch_events() - write events_read into a GPU's configuration space */
void personality_patch_events(uint32_t events, uint8_t *config, unsigned int size);

#endif

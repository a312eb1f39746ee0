// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/personality.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_gpu.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_loopback.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"

/* virtio 6, "Reserved Feature Bits": 24 to 49 belong to the transport */
#define TRANSPORT_MASK (BIT_ULL(50) - BIT_ULL(24))

/*
 * Of these, what this adapter knows how to pass on. NOTIFICATION_DATA cannot travel through an
 * eventfd, SR_IOV is PCI's, SUSPEND needs the status byte in the back-end.
 */
#define TRANSPORT_KNOWN                                                            \
	(BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) | BIT_ULL(VIRTIO_RING_F_EVENT_IDX) | \
	 BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_RING_PACKED) |             \
	 BIT_ULL(VIRTIO_F_IN_ORDER) | BIT_ULL(VIRTIO_F_ORDER_PLATFORM) |           \
	 BIT_ULL(VIRTIO_F_RING_RESET))

#ifndef VIRTIO_F_IN_ORDER
#define VIRTIO_F_IN_ORDER 35
#endif

#define VIRTIO_NET_F_CTRL_BITS                                                    \
	(BIT_ULL(VIRTIO_NET_F_CTRL_VQ) | BIT_ULL(VIRTIO_NET_F_CTRL_RX) |          \
	 BIT_ULL(VIRTIO_NET_F_CTRL_VLAN) | BIT_ULL(VIRTIO_NET_F_GUEST_ANNOUNCE) | \
	 BIT_ULL(VIRTIO_NET_F_CTRL_MAC_ADDR) | BIT_ULL(VIRTIO_NET_F_MQ) |         \
	 BIT_ULL(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | BIT_ULL(VIRTIO_NET_F_RSS) |  \
	 BIT_ULL(VIRTIO_NET_F_HASH_REPORT) | BIT_ULL(VIRTIO_NET_F_NOTF_COAL) |    \
	 BIT_ULL(50) /* DEVICE_STATS */ | BIT_ULL(52) /* VQ_NOTF_COAL */)

/* With several pairs of virtqueues; one without the other makes no sense here. */
#define NET_PAIRS_BITS (BIT_ULL(VIRTIO_NET_F_CTRL_VQ) | BIT_ULL(VIRTIO_NET_F_MQ))

struct personality {
	uint32_t id;
	uint64_t without; /* features that nobody would serve */
	uint64_t with; /* features that the front-end serves */
	void (*config)(const struct adapter_options *options, uint8_t *config, unsigned int size);
};

static void put_le(uint8_t *at, unsigned int width, uint64_t value)
{
	while (width--) {
		*at++ = (uint8_t)value;
		value >>= 8;
	}
}

static uint64_t get_le(const uint8_t *at, unsigned int width)
{
	uint64_t value = 0;

	while (width--)
		value = value << 8 | at[width];
	return value;
}

/* 5.1.4 */
static void net_config(const struct adapter_options *options, uint8_t *config, unsigned int size)
{
	struct virtio_net_config net = { 0 };

	memcpy(net.mac, options->mac, sizeof(net.mac));
	put_le((uint8_t *)&net.status, sizeof(net.status), VIRTIO_NET_S_LINK_UP);
	put_le((uint8_t *)&net.mtu, sizeof(net.mtu), options->mtu);
	memcpy(config, &net, MIN((size_t)size, sizeof(net)));
}

/* 5.11.4: "The tag is encoded in UTF-8 and padded with NUL bytes if shorter than the field" */
static void fs_config(const struct adapter_options *options, uint8_t *config, unsigned int size)
{
	struct virtio_fs_config fs = { 0 };
	const char *tag = options->tag ? options->tag : options->name;

	memcpy(fs.tag, tag, strnlen(tag, sizeof(fs.tag)));
	memcpy(config, &fs, MIN((size_t)size, sizeof(fs)));
}

/*
 * net: the control queue is the front-end's to serve, and this one serves it for several pairs of
 * virtqueues alone, see personality_features(); what else needs it goes. The MAC address is the
 * front-end's, and so is the link: it is up while there is a back-end.
 */
static const struct personality personalities[] = {
	{ VIRTIO_ID_NET,
	  VIRTIO_NET_F_CTRL_BITS | BIT_ULL(VIRTIO_NET_F_STANDBY) |
		  BIT_ULL(VIRTIO_NET_F_SPEED_DUPLEX),
	  BIT_ULL(VIRTIO_NET_F_MAC) | BIT_ULL(VIRTIO_NET_F_STATUS), net_config },
	{ VIRTIO_ID_FS, 0, 0, fs_config },
};

static const struct personality *personality_find(uint32_t id)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(personalities); i++) {
		if (personalities[i].id == id)
			return &personalities[i];
	}
	return NULL;
}

uint64_t personality_features(const struct adapter_options *options, uint64_t backend,
			      uint64_t transport)
{
	const struct personality *own = personality_find(options->type.id);
	uint64_t features;

	features = backend & (~TRANSPORT_MASK | (TRANSPORT_KNOWN & transport));
	if (own)
		features = (features & ~own->without) | own->with;
	if (!options->packed)
		features &= ~BIT_ULL(VIRTIO_F_RING_PACKED);
	if (options->type.id == VIRTIO_ID_NET && !options->mtu)
		features &= ~BIT_ULL(VIRTIO_NET_F_MTU);
	if (options->type.id == VIRTIO_ID_NET && options->queues > 1)
		features |= backend & BIT_ULL(VIRTIO_NET_F_MQ) ? NET_PAIRS_BITS : 0;
	return features;
}

/* 5.1.2: without MQ the control queue would be another one than what it was made as. */
bool personality_accepts(const struct adapter_options *options, uint64_t accepted)
{
	const uint64_t pairs = accepted & NET_PAIRS_BITS;

	return options->type.id != VIRTIO_ID_NET || !pairs || pairs == NET_PAIRS_BITS;
}

uint64_t personality_backend_features(const struct adapter_options *options, uint64_t accepted,
				      uint64_t backend)
{
	/*
	 * Back-ends have no IOMMU to translate with: the addresses are already those of the table.
	 */
	uint64_t ours = BIT_ULL(VIRTIO_F_ACCESS_PLATFORM);

	if (options->type.id == VIRTIO_ID_NET)
		ours |= BIT_ULL(VIRTIO_NET_F_CTRL_VQ);
	return accepted & backend & ~ours;
}

/*
 * Without the protocol feature MQ a back-end does not tell how many virtqueues it has: then it is
 * what the type has at least.
 */
static unsigned int backend_queues(unsigned int told, unsigned int at_least)
{
	return told ? told : at_least;
}

/*
 * 5.3.2: all odd queues are for output. The driver waits for control messages (queue 3) under a
 * spinlock and does not send one twice; for what an hvc terminal puts out with interrupts off.
 */
static uint16_t console_flags(unsigned int index, unsigned int total)
{
	if (index % 2 == 0)
		return 0;
	if (index == 3 && total > 2)
		return VIRTIO_LOOPBACK_QF_POSTED | VIRTIO_LOOPBACK_QF_STRICT;
	return VIRTIO_LOOPBACK_QF_POSTED;
}

uint16_t personality_queue_flags(const struct adapter_options *options, unsigned int index,
				 const struct queue_plan *plan)
{
	if (options->type.layout == QUEUES_CONSOLE)
		return console_flags(index, plan->total);
	/* The driver spins for its answers, and does not try again. */
	if (index == personality_control_queue(options, plan))
		return VIRTIO_LOOPBACK_QF_POSTED | VIRTIO_LOOPBACK_QF_STRICT;
	return 0;
}

bool personality_can_pack(const struct adapter_options *options, const struct queue_plan *plan)
{
	unsigned int i;

	for (i = 0; i < plan->total; i++) {
		if (personality_queue_flags(options, i, plan))
			return false;
	}
	return !personality_has_display(options);
}

unsigned int personality_control_queue(const struct adapter_options *options,
				       const struct queue_plan *plan)
{
	return options->type.layout == QUEUES_PAIRS ? plan->served : plan->total;
}

/* The back-ends of network devices count pairs, as QEMU has always taken it. */
bool personality_serves(const struct adapter_options *options, const struct queue_plan *plan,
			unsigned int told)
{
	if (options->type.layout == QUEUES_PAIRS)
		return plan->served / 2 <= backend_queues(told, 1);
	return plan->served <= backend_queues(told, plan->served);
}

bool personality_owns_config(const struct adapter_options *options)
{
	const struct personality *own = personality_find(options->type.id);

	return own && own->config;
}

bool personality_set_link(const struct adapter_options *options, bool up, uint8_t *config,
			  unsigned int size)
{
	const size_t at = offsetof(struct virtio_net_config, status);

	if (options->type.id != VIRTIO_ID_NET || size < at + 2)
		return false;
	put_le(config + at, 2, up ? VIRTIO_NET_S_LINK_UP : 0);
	return true;
}

unsigned int personality_mtu(const struct adapter_options *options, uint64_t accepted)
{
	if (options->type.id != VIRTIO_ID_NET || !(accepted & BIT_ULL(VIRTIO_NET_F_MTU)))
		return 0;
	return options->mtu;
}

bool personality_config_write(const struct adapter_options *options, const uint8_t *config,
			      uint8_t together[CONFIG_TOGETHER_MAX], struct config_write *write)
{
	if (options->type.id == VIRTIO_ID_SCSI)
		return memcmp(config + write->offset, write->data, write->length) != 0;
	if (options->type.id != VIRTIO_ID_INPUT || write->offset >= CONFIG_TOGETHER_MAX)
		return true;
	memcpy(together + write->offset, write->data,
	       MIN(write->length, CONFIG_TOGETHER_MAX - write->offset));
	*write = (struct config_write){ .length = CONFIG_TOGETHER_MAX, .data = together };
	return true;
}

bool personality_config_kept(const struct adapter_options *options, uint64_t accepted,
			     const uint8_t *config, unsigned int size, struct config_write *kept)
{
	const unsigned int at = offsetof(struct virtio_blk_config, wce);

	if (options->type.id != VIRTIO_ID_BLOCK || at >= size ||
	    !(accepted & BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE)))
		return false;
	*kept = (struct config_write){ .offset = at, .length = 1, .data = config + at };
	return true;
}

unsigned int personality_config_size(const struct adapter_options *options, uint64_t backend)
{
	if (options->type.layout == QUEUES_BACKEND)
		return options->config_size;
	return device_type_config_size(&options->type, backend);
}

void personality_own_config(const struct adapter_options *options, uint8_t *config,
			    unsigned int size)
{
	personality_find(options->type.id)->config(options, config, size);
}

int personality_check_kernel(const struct adapter_options *options, const char *release,
			     struct failure *failure)
{
	const struct device_type *type = &options->type;
	unsigned long major, minor;
	char *end;

	if (!type->driver_since)
		return 0;
	major = strtoul(release, &end, 10);
	if (end == release || *end != '.')
		return 0;
	minor = strtoul(end + 1, NULL, 10);
	if (major > type->driver_since >> 8 ||
	    (major == type->driver_since >> 8 && minor >= (type->driver_since & 0xff)))
		return 0;
	return failure_set(failure, -EOPNOTSUPP,
			   "the driver %s of Linux before %u.%u %s, which cannot be copied then: a "
			   "device of type %s needs a newer kernel than this %s",
			   type->module, type->driver_since >> 8, type->driver_since & 0xff,
			   type->driver_trouble, type->name, release);
}

/* ---- virtqueues ---- */

static bool has_feature(uint64_t features, int bit)
{
	return bit == DEVICE_NO_FEATURE || (features & BIT_ULL(bit));
}

static int plan_fixed(const struct adapter_options *options, uint64_t features,
		      unsigned int backend_max, struct queue_plan *plan, struct failure *failure)
{
	const struct device_type *type = &options->type;

	plan->total = type->queues;
	if (!has_feature(features, type->queue_feature))
		plan->total--;
	if (options->queues && options->queues != plan->total)
		return failure_set(failure, -EINVAL,
				   "--queues %u: a device of type %s has %u virtqueues here",
				   options->queues, type->name, plan->total);
	plan->served = MIN(plan->total, backend_queues(backend_max, plan->total));
	if (plan->served < plan->total - type->unserved)
		return failure_set(
			failure, -EINVAL,
			"the back-end serves %u virtqueues, a device of type %s has %u: is "
			"the type right?",
			backend_max, type->name, plan->total);
	return 0;
}

/* 5.1.2. More than one pair only when asked for: GET_QUEUE_NUM says what a back-end could do. */
static int plan_pairs(const struct adapter_options *options, uint64_t features,
		      unsigned int backend_max, struct queue_plan *plan, struct failure *failure)
{
	unsigned int pairs = options->queues ? options->queues : 1;
	unsigned int most = has_feature(features, options->type.queue_feature) ?
				    backend_queues(backend_max, 1) :
				    1;

	if (pairs > most)
		return failure_set(
			failure, -EINVAL,
			"--queues %u: the back-end serves at most %u pairs of virtqueues%s",
			pairs, most, most > 1 ? "" : " (with VIRTIO_NET_F_MQ it might be more)");
	plan->served = 2 * pairs;
	plan->total = plan->served + (pairs > 1);
	plan->counted = pairs > 1 ? pairs : 0;
	return 0;
}

static int plan_counted(const struct adapter_options *options, uint64_t features,
			const uint8_t *config, unsigned int config_size, unsigned int backend_max,
			unsigned int cpus, struct queue_plan *plan, struct failure *failure)
{
	const struct device_type *type = &options->type;
	bool counted = has_feature(features, type->queue_feature) &&
		       type->count_offset + type->count_width <= config_size;
	unsigned int most = backend_queues(backend_max, type->queues + 1U);

	if (most <= type->queues)
		return failure_set(
			failure, -EINVAL,
			"the back-end serves %u virtqueues, a device of type %s has at least "
			"%u: is the type right?",
			backend_max, type->name, type->queues + 1U);
	most -= type->queues;
	if (!counted) {
		most = 1;
	} else if (!personality_owns_config(options)) { /* the back-end's own word on it */
		uint64_t told = get_le(config + type->count_offset, type->count_width);

		most = told < most ? MAX((unsigned int)told, 1U) : most;
	}
	if (options->queues > most)
		return failure_set(failure, -EINVAL,
				   "--queues %u: the back-end serves at most %u request virtqueues",
				   options->queues, most);
	if (options->queues)
		plan->counted = options->queues;
	else
		plan->counted = most < cpus || !cpus ? most : cpus;
	plan->total = type->queues + plan->counted;
	plan->served = plan->total;
	if (!counted)
		plan->counted = 0;
	return 0;
}

/* 5.3.2 and 5.3.4: with MULTIPORT, max_nr_ports says how many pairs there are */
static int plan_console(const struct adapter_options *options, uint64_t features,
			const uint8_t *config, unsigned int config_size, unsigned int backend_max,
			unsigned int limit, struct queue_plan *plan, struct failure *failure)
{
	bool multiport = has_feature(features, options->type.queue_feature) &&
			 config_size >= options->type.config_size;
	unsigned int least = multiport ? 4 : 2;
	unsigned int most = MIN(backend_queues(backend_max, least), limit);
	uint64_t ports;

	if (most < least)
		return failure_set(
			failure, -EINVAL,
			"the back-end serves %u virtqueues, a console has at least %u here: "
			"is the type right?",
			backend_max, least);
	ports = multiport ? MAX(get_le(config + 4, 4), (uint64_t)1) : 0;
	ports = MIN(ports, (uint64_t)most / 2 - 1);
	plan->total = (unsigned int)(ports + 1) * 2;
	plan->served = plan->total;
	plan->counted = (unsigned int)ports;
	if (options->queues && options->queues != plan->total)
		return failure_set(failure, -EINVAL,
				   "--queues %u: the ports of this console have %u virtqueues",
				   options->queues, plan->total);
	return 0;
}

static int plan_backend(const struct adapter_options *options, unsigned int backend_max,
			unsigned int limit, struct queue_plan *plan, struct failure *failure)
{
	unsigned int most = MIN(backend_queues(backend_max, 1), limit);

	if (options->queues > most)
		return failure_set(failure, -EINVAL,
				   "--queues %u: the back-end serves at most %u virtqueues",
				   options->queues, most);
	plan->total = options->queues ? options->queues : most;
	plan->served = plan->total;
	return 0;
}

int personality_plan_queues(const struct adapter_options *options, uint64_t features,
			    const uint8_t *config, unsigned int config_size,
			    unsigned int backend_max, unsigned int limit, unsigned int cpus,
			    struct queue_plan *plan, struct failure *failure)
{
	int ret = -EINVAL;

	*plan = (struct queue_plan){ 0 };
	switch (options->type.layout) {
	case QUEUES_FIXED:
		ret = plan_fixed(options, features, backend_max, plan, failure);
		break;
	case QUEUES_PAIRS:
		ret = plan_pairs(options, features, backend_max, plan, failure);
		break;
	case QUEUES_COUNTED:
		ret = plan_counted(options, features, config, config_size, backend_max, cpus, plan,
				   failure);
		break;
	case QUEUES_CONSOLE:
		ret = plan_console(options, features, config, config_size, backend_max, limit, plan,
				   failure);
		break;
	case QUEUES_BACKEND:
		ret = plan_backend(options, backend_max, limit, plan, failure);
		break;
	}
	if (!ret && plan->total > limit)
		ret = failure_set(
			failure, -EINVAL,
			"%u virtqueues are more than the kernel module has (%u): take fewer "
			"--queues",
			plan->total, limit);
	return ret;
}

/* ---- what a request may be ---- */

#define MIB (1ULL << 20)

/* The module's longest segment: so many of them are in a pool, or it is as long as this. */
#define POOL_SEGMENTS 256
#define SEGMENT_MAX (256ULL << 10)
/* of the descriptors of a request those that are no segments: a header and a status */
#define REQUEST_EXTRA 2

/* Where the configuration space limits requests, in 32 bits: which of the plan's figures holds */
static const struct request_limit {
	uint32_t id;
	int8_t feature;
	uint8_t offset;
	size_t figure; /* in struct queue_plan */
	bool zero_too; /* is no limit */
} request_limits[] = {
	/* 5.2.4 size_max. Some back-ends offer the bit with 0 in it: Linux then takes 64 KiB. */
	{ VIRTIO_ID_BLOCK, VIRTIO_BLK_F_SIZE_MAX, 8, offsetof(struct queue_plan, segment), true },
	/* 5.2.4 seg_max */
	{ VIRTIO_ID_BLOCK, VIRTIO_BLK_F_SEG_MAX, 12, offsetof(struct queue_plan, segments), false },
	/* 5.6.4 seg_max */
	{ VIRTIO_ID_SCSI, DEVICE_NO_FEATURE, 4, offsetof(struct queue_plan, segments), false },
};

/* Linux: a page for each buffer of input, and up to 32 KiB for each of output. */
#define CONSOLE_OUTPUT (32ULL << 10)
#define CONSOLE_POOL_EXTRA (1ULL << 20)

uint64_t personality_pool(const struct adapter_options *options, const struct queue_plan *plan,
			  uint64_t page_size, unsigned int queue_size)
{
	uint64_t most = 0;

	if (options->pool_given || options->type.layout != QUEUES_CONSOLE)
		return options->pool;
	/* and what a posted queue takes: an area, and rings */
	most = (plan->total / 2) * (uint64_t)queue_size * (page_size + CONSOLE_OUTPUT) +
	       (uint64_t)plan->total * (4 * page_size + (64ULL << 10)) + CONSOLE_POOL_EXTRA;
	most = (most + MIB - 1) / MIB * MIB;
	return MAX(most, options->pool);
}

static uint64_t longest_segment(uint64_t pool, uint64_t page_size)
{
	uint64_t length = page_size;

	while (length * 2 <= MIN(pool / POOL_SEGMENTS, SEGMENT_MAX))
		length *= 2;
	return length;
}

void personality_plan_segments(const struct adapter_options *options, uint64_t page_size,
			       unsigned int queue_size, struct queue_plan *plan)
{
	uint64_t segment = longest_segment(options->pool, page_size);
	uint64_t fit = options->pool / 2 / segment;

	plan->segment = (unsigned int)segment;
	fit = MIN(fit, (uint64_t)queue_size); /* 2.7.5.3: no chain is longer than the queue */
	plan->segments = fit > REQUEST_EXTRA ? (unsigned int)fit - REQUEST_EXTRA : 1;
}

static void patch_limit(const struct request_limit *limit, const struct queue_plan *plan,
			uint8_t *config, unsigned int size)
{
	unsigned int most = *(const unsigned int *)((const char *)plan + limit->figure);
	uint64_t told;

	if (limit->offset + 4U > size)
		return;
	told = get_le(config + limit->offset, 4);
	if (told > most || (!told && limit->zero_too))
		put_le(config + limit->offset, 4, most);
}

void personality_patch_config(const struct adapter_options *options, uint64_t features,
			      const struct queue_plan *plan, uint8_t *config, unsigned int size)
{
	const struct device_type *type = &options->type;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(request_limits) && plan->segments; i++) {
		if (request_limits[i].id == type->id &&
		    has_feature(features, request_limits[i].feature))
			patch_limit(&request_limits[i], plan, config, size);
	}
	if (type->id == VIRTIO_ID_GPU && size >= sizeof(struct virtio_gpu_config))
		put_le(config + offsetof(struct virtio_gpu_config, num_scanouts), 4,
		       options->heads);
	if (!plan->counted)
		return;
	if (type->layout == QUEUES_CONSOLE)
		put_le(config + 4, 4, plan->counted);
	else if (type->count_offset + type->count_width <= size)
		put_le(config + type->count_offset, type->count_width, plan->counted);
}

/* ---- GPU ---- */

bool personality_has_window(const struct adapter_options *options)
{
	return options->type.id == VIRTIO_ID_GPU;
}

bool personality_has_display(const struct adapter_options *options)
{
	return options->type.id == VIRTIO_ID_GPU;
}

void personality_patch_events(uint32_t events, uint8_t *config, unsigned int size)
{
	if (size < sizeof(struct virtio_gpu_config))
		return;
	put_le(config + offsetof(struct virtio_gpu_config, events_read), 4, events);
	put_le(config + offsetof(struct virtio_gpu_config, events_clear), 4, 0);
}

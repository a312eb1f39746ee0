// SPDX-License-Identifier: GPL-2.0-only
#include <linux/ctype.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <uapi/linux/virtio_net.h>

#include "compat.h"
#include "create.h"
#include "device.h"
#include "transport.h"

#define VLB_MAX_MESSAGE_TIMEOUT_MS	120000
#define VLB_MAX_ORPHAN_TIMEOUT_MS	3600000
/* As far as this kernel's DMA addresses go, with room for rings behind the pool. */
#define VLB_POOL_BASE_MAX		((dma_addr_t)~0ULL >> 1)

/* Feature bits that belong to the transport (virtio 6); the others are the type's. */
#define VLB_TRANSPORT_FEATURES		GENMASK_ULL(49, 24)

#define VLB_MAX_TYPES			64

static unsigned int vlb_allowed_types[VLB_MAX_TYPES];
static int vlb_num_allowed_types;
module_param_array_named(allowed_types, vlb_allowed_types, uint, &vlb_num_allowed_types, 0444);
MODULE_PARM_DESC(allowed_types, "virtio device ids that may be created (default: all but balloon, 5)");

/**
 * vlb_name_is_valid() - may a device be called so?
 * @name: VIRTIO_LOOPBACK_NAME_MAX bytes
 *
 * Return: true if it may; then it ends with a NUL.
 */
bool vlb_name_is_valid(const char *name)
{
	size_t len = strnlen(name, VIRTIO_LOOPBACK_NAME_MAX), i;

	if (!len || len == VIRTIO_LOOPBACK_NAME_MAX || name[0] == '.')
		return false;
	for (i = 0; i < len; i++)
		if (!isascii(name[i]) || !(isalnum(name[i]) || strchr("-_.", name[i])))
			return false;
	return true;
}

static int vlb_check_type(u32 device_id, u64 features)
{
	int i;

	if (!device_id)
		return -EINVAL;
	/* The kernel may have to be its device, and knows the split ring only (see sink.h). */
	if (device_id == VIRTIO_ID_GPU && (features & BIT_ULL(VIRTIO_F_RING_PACKED)))
		return -EOPNOTSUPP;
	/* Their drivers take the configuration's addresses for the machine's own memory. */
	if (device_id == VIRTIO_ID_MEM || device_id == VIRTIO_ID_PMEM)
		return -EOPNOTSUPP;
	/* Its driver takes any device that has no IOMMU by its firmware for one of its own. */
	if (device_id == VIRTIO_ID_IOMMU)
		return -EOPNOTSUPP;
	/* virtio_gpu maps its pages on the parent device. */
	if (device_id == VIRTIO_ID_GPU && !VLB_HAVE_DMA_OPS)
		return -EOPNOTSUPP;
	for (i = 0; i < vlb_num_allowed_types; i++)
		if (vlb_allowed_types[i] == device_id)
			return 0;
	/* Its driver gives the device as much of the machine's memory as it asks for. */
	if (device_id == VIRTIO_ID_BALLOON)
		return -EPERM;
	return vlb_num_allowed_types ? -EPERM : 0;
}

/**
 * vlb_create_check() - may there be such a device?
 * @args: not trusted, but for what is reserved
 *
 * Return: 0 or a negative errno as the UAPI says of VIRTIO_LOOPBACK_CREATE.
 */
int vlb_create_check(const struct virtio_loopback_create *args)
{
	u64 foreign = VLB_TRANSPORT_FEATURES & ~vlb_transport_features() &
		      ~BIT_ULL(VIRTIO_F_ACCESS_PLATFORM);

	if (!vlb_name_is_valid(args->name) || (args->features & foreign) ||
	    !(args->features & BIT_ULL(VIRTIO_F_VERSION_1)) ||
	    args->config_size > VIRTIO_LOOPBACK_CONFIG_MAX ||
	    !args->num_queues || args->num_queues > VIRTIO_LOOPBACK_QUEUES_MAX ||
	    !args->pool_base || !PAGE_ALIGNED(args->pool_base) ||
	    args->pool_base > VLB_POOL_BASE_MAX ||
	    args->message_timeout_ms > VLB_MAX_MESSAGE_TIMEOUT_MS ||
	    args->orphan_timeout_ms > VLB_MAX_ORPHAN_TIMEOUT_MS)
		return -EINVAL;
	return vlb_check_type(args->device_id, args->features);
}

static int vlb_fetch_sizes(u16 *sizes, const struct virtio_loopback_create *args)
{
	bool packed = args->features & BIT_ULL(VIRTIO_F_RING_PACKED);
	unsigned int i;

	if (copy_from_user(sizes, u64_to_user_ptr(args->queue_sizes),
			   args->num_queues * sizeof(*sizes)))
		return -EFAULT;
	for (i = 0; i < args->num_queues; i++)
		if (sizes[i] && ((!packed && !is_power_of_2(sizes[i])) ||
				 sizes[i] > VIRTIO_LOOPBACK_QUEUE_SIZE_MAX))
			return -EINVAL;
	return 0;
}

static int vlb_fetch_flags(u16 *flags, const u16 *sizes, const struct virtio_loopback_create *args)
{
	/* Whose other side in the kernel is that of a split ring. */
	bool packed = args->features & BIT_ULL(VIRTIO_F_RING_PACKED);
	const u16 known = VIRTIO_LOOPBACK_QF_POSTED | VIRTIO_LOOPBACK_QF_STRICT;
	unsigned int i;

	if (!args->queue_flags)
		return 0;
	if (copy_from_user(flags, u64_to_user_ptr(args->queue_flags),
			   args->num_queues * sizeof(*flags)))
		return -EFAULT;
	for (i = 0; i < args->num_queues; i++)
		if ((flags[i] & ~known) || flags[i] == VIRTIO_LOOPBACK_QF_STRICT ||
		    (flags[i] && (sizes[i] < 2 || packed)))
			return -EINVAL;
	return 0;
}

/*
 * Which is the control queue of a network device its configuration says, and vlb_setup_vq() looks.
 * Where none is said to be it the driver need not try, whose failure leaks memory in Linux 6.12.
 */
static int vlb_check_flags(const u16 *flags, const struct virtio_loopback_create *args)
{
	const u16 control = VIRTIO_LOOPBACK_QF_POSTED | VIRTIO_LOOPBACK_QF_STRICT;
	unsigned int i;

	if (args->device_id != VIRTIO_ID_NET ||
	    !(args->features & BIT_ULL(VIRTIO_NET_F_CTRL_VQ)))
		return 0;
	for (i = 0; i < args->num_queues; i++)
		if (flags[i] == control)
			return 0;
	return -EINVAL;
}

/**
 * vlb_create_fetch_queues() - what is said of each queue
 * @args:  checked
 * @sizes: filled in, an entry for each queue
 * @flags: the same; zeroed by the caller
 *
 * Return: 0, -EFAULT or -EINVAL.
 */
int vlb_create_fetch_queues(const struct virtio_loopback_create *args, u16 *sizes, u16 *flags)
{
	int err;

	err = vlb_fetch_sizes(sizes, args);
	if (!err)
		err = vlb_fetch_flags(flags, sizes, args);
	return err ?: vlb_check_flags(flags, args);
}

// SPDX-License-Identifier: BSD-3-Clause
#include "common/device-types.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/parse.h"
#include "common/util.h"

#define DEVICE_ID_MAX 0xffff

#define FIXED(n) .layout = QUEUES_FIXED, .queues = (n), .queue_feature = DEVICE_NO_FEATURE
#define FIXED_WITH(n, bit) .layout = QUEUES_FIXED, .queues = (n), .queue_feature = (bit)
#define COUNTED(n, bit, offset, width)                                                             \
	.layout = QUEUES_COUNTED, .queues = (n), .queue_feature = (bit), .count_offset = (offset), \
	.count_width = (width)
#define MIB 1024

/* clang-format off */
static const struct device_type device_types[] = {
	/* 5.1, VIRTIO_NET_F_MQ */
	{ 1, "net", "virtio_net", "CONFIG_VIRTIO_NET", 12,
	  .layout = QUEUES_PAIRS, .queue_feature = 22, .count_offset = 8, .count_width = 2,
	  .queue_size = 256, .pool = 16 * MIB, .recovery = RECOVER_REPLAY },
	/* 5.2, VIRTIO_BLK_F_MQ; longer with F_SECURE_ERASE and F_ZONED */
	{ 2, "blk", "virtio_blk", "CONFIG_VIRTIO_BLK", 60, { { 16, 72 }, { 17, 96 } },
	  COUNTED(0, 12, 34, 2),
	  .queue_size = 128, .pool = 32 * MIB, .recovery = RECOVER_REPLAY },
	/* 5.3 */
	{ 3, "console", "virtio_console", "CONFIG_VIRTIO_CONSOLE", 12,
	  .layout = QUEUES_CONSOLE, .queue_feature = 1,
	  .queue_size = 32, .pool = 4 * MIB, .recovery = RECOVER_REPLUG },
	/* 5.4 */
	{ 4, "rng", "virtio_rng", "CONFIG_HW_RANDOM_VIRTIO", 0, FIXED(1),
	  .queue_size = 64, .pool = 1 * MIB, .recovery = RECOVER_REPLAY },
	/* 5.6 */
	{ 8, "scsi", "virtio_scsi", "CONFIG_SCSI_VIRTIO", 36, COUNTED(2, DEVICE_NO_FEATURE, 0, 4),
	  .queue_size = 128, .pool = 32 * MIB, .recovery = RECOVER_REPLAY },
	/* 5.7 */
	{ 16, "gpu", "virtio-gpu", "CONFIG_DRM_VIRTIO_GPU", 16, FIXED(2),
	  .queue_size = 256, .pool = 64 * MIB, .recovery = RECOVER_REPLUG },
	/* 5.23, VIRTIO_RTC_F_ALARM */
	{ 17, "rtc", "virtio_rtc", "CONFIG_VIRTIO_RTC", 0, FIXED_WITH(2, 0),
	  .queue_size = 64, .pool = 1 * MIB, .recovery = RECOVER_REPLUG },
	/* 5.8 */
	{ 18, "input", "virtio_input", "CONFIG_VIRTIO_INPUT", 136, FIXED(2),
	  .queue_size = 64, .pool = 1 * MIB, .recovery = RECOVER_REPLUG },
	/* 5.10; some back-ends leave the event queue to the front-end */
	{ 19, "vsock", "vmw_vsock_virtio_transport", "CONFIG_VIRTIO_VSOCKETS", 8, FIXED(3),
	  .unserved = 1, .queue_size = 128, .pool = 16 * MIB, .recovery = RECOVER_REPLUG },
	/* 5.9 */
	{ 20, "crypto", "virtio_crypto", "CONFIG_CRYPTO_DEV_VIRTIO", 56,
	  COUNTED(1, DEVICE_NO_FEATURE, 4, 4),
	  .queue_size = 128, .pool = 16 * MIB, .recovery = RECOVER_REPLUG },
	/* 5.14, VIRTIO_SND_F_CTLS adds four bytes */
	{ 25, "sound", "virtio_snd", "CONFIG_SND_VIRTIO", 12, { { 0, 16 } }, FIXED(4),
	  .queue_size = 64, .pool = 8 * MIB, .recovery = RECOVER_REPLUG,
	  .driver_since = 6 << 8 | 7,
	  .driver_trouble = "queues a period before its sound is written" },
	/* 5.11, VIRTIO_FS_F_NOTIFICATION is not offered */
	{ 26, "fs", "virtiofs", "CONFIG_VIRTIO_FS", 40, COUNTED(1, DEVICE_NO_FEATURE, 36, 4),
	  .queue_size = 128, .pool = 64 * MIB, .recovery = RECOVER_REPLUG },
	/* 5.17, VIRTIO_SCMI_F_P2A_CHANNELS */
	{ 32, "scmi", "scmi_transport_virtio", "CONFIG_ARM_SCMI_TRANSPORT_VIRTIO", 0, FIXED_WITH(2, 0),
	  .queue_size = 64, .pool = 1 * MIB, .recovery = RECOVER_REPLUG },
	/* 5.20 */
	{ 34, "i2c", "i2c-virtio", "CONFIG_I2C_VIRTIO", 0, FIXED(1),
	  .queue_size = 64, .pool = 1 * MIB, .recovery = RECOVER_REPLUG },
	{ 36, "can", "virtio_can", "CONFIG_CAN_VIRTIO_CAN", 2, FIXED(3),
	  .queue_size = 64, .pool = 1 * MIB, .recovery = RECOVER_REPLUG },
	/* 5.18, VIRTIO_GPIO_F_IRQ */
	/* ... the eventq holds a buffer for each line whose interrupt is waited for */
	{ 41, "gpio", "gpio-virtio", "CONFIG_GPIO_VIRTIO", 8, FIXED_WITH(2, 0),
	  .queue_size = 256, .pool = 1 * MIB, .recovery = RECOVER_REPLUG },
	{ 45, "spi", "spi-virtio", "CONFIG_SPI_VIRTIO", 32, FIXED(1),
	  .queue_size = 64, .pool = 2 * MIB, .recovery = RECOVER_REPLUG },
	{ 48, "media", "virtio-media", "CONFIG_MEDIA_VIRTIO", 40, FIXED(2),
	  .queue_size = 256, .pool = 64 * MIB, .recovery = RECOVER_REPLUG },
};
/* clang-format on */

const struct device_type *device_type_by_id(uint32_t id)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(device_types); i++) {
		if (device_types[i].id == id)
			return &device_types[i];
	}
	return NULL;
}

unsigned int device_type_config_size(const struct device_type *type, uint64_t features)
{
	unsigned int size = type->config_size;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(type->config_more); i++) {
		unsigned int more = type->config_more[i].size;

		if (more > size && (features & BIT_ULL(type->config_more[i].feature)))
			size = more;
	}
	return size;
}

static const struct device_type *device_type_by_name(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(device_types); i++) {
		if (!strcmp(device_types[i].name, name))
			return &device_types[i];
	}
	return NULL;
}

int device_type_find(const char *text, struct device_type *type)
{
	const struct device_type *known = device_type_by_name(text);
	unsigned int id;
	int ret;

	if (!known) {
		ret = parse_uint(text, 1, DEVICE_ID_MAX, &id);
		if (ret)
			return ret == -ERANGE ? -ERANGE : -ENOENT;
		known = device_type_by_id(id);
	}
	if (known) {
		*type = *known;
		return 0;
	}
	*type = (struct device_type){
		.id = id,
		.layout = QUEUES_BACKEND,
		.queue_feature = DEVICE_NO_FEATURE,
		.queue_size = 64,
		.pool = 8 * MIB,
		.recovery = RECOVER_REPLUG,
	};
	return 0;
}

const char *device_type_name(uint32_t id, char *buf, size_t size)
{
	const struct device_type *type = device_type_by_id(id);

	if (type)
		return type->name;
	snprintf(buf, size, "%u", id);
	return buf;
}

const char *device_type_names(void)
{
	static char names[256];
	size_t i, used = 0;

	if (names[0])
		return names;
	for (i = 0; i < ARRAY_SIZE(device_types) && used < sizeof(names); i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
					 device_types[i].name);
	return names;
}

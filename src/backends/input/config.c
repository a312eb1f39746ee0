// SPDX-License-Identifier: BSD-3-Clause
/* The config space (virtio 1.x, 5.8.5): its content is what was selected last. */
#include <endian.h>
#include <string.h>

#include "backends/input/input.h"
#include "common/util.h"

static uint8_t put_string(struct virtio_input_config *config, const char *text)
{
	size_t len = strnlen(text, sizeof(config->u.string));

	memcpy(config->u.string, text, len);
	return (uint8_t)len;
}

/* Up to the last bit that is set: that there are none at all is a size of 0. */
static uint8_t put_bitmap(struct virtio_input_config *config, const uint8_t *bits, size_t size)
{
	while (size && !bits[size - 1])
		size--;
	memcpy(config->u.bitmap, bits, size);
	return (uint8_t)size;
}

static uint8_t put_ids(struct virtio_input_config *config, const struct input_id *id)
{
	config->u.ids.bustype = htole16(id->bustype);
	config->u.ids.vendor = htole16(id->vendor);
	config->u.ids.product = htole16(id->product);
	config->u.ids.version = htole16(id->version);
	return sizeof(config->u.ids);
}

static uint8_t put_abs(struct virtio_input_config *config, const struct input_info *info,
		       unsigned int axis)
{
	const struct input_absinfo *abs;

	if (axis >= ABS_CNT || !input_test_bit(info->codes[EV_ABS], axis))
		return 0;
	abs = &info->abs[axis];
	config->u.abs.min = htole32((uint32_t)abs->minimum);
	config->u.abs.max = htole32((uint32_t)abs->maximum);
	config->u.abs.fuzz = htole32((uint32_t)abs->fuzz);
	config->u.abs.flat = htole32((uint32_t)abs->flat);
	config->u.abs.res = htole32((uint32_t)abs->resolution);
	return sizeof(config->u.abs);
}

static uint8_t put_selected(const struct input_device *input, struct virtio_input_config *config)
{
	const struct input_info *info = &input->info;
	uint8_t subsel = input->subsel;

	if (input->select == VIRTIO_INPUT_CFG_EV_BITS)
		return subsel < INPUT_TYPES ? put_bitmap(config, info->codes[subsel],
							 sizeof(info->codes[subsel])) :
					      0;
	if (input->select == VIRTIO_INPUT_CFG_ABS_INFO)
		return put_abs(config, info, subsel);
	if (subsel)
		return 0;
	switch (input->select) {
	case VIRTIO_INPUT_CFG_ID_NAME:
		return put_string(config, info->name);
	case VIRTIO_INPUT_CFG_ID_SERIAL:
		return put_string(config, info->serial);
	case VIRTIO_INPUT_CFG_ID_DEVIDS:
		return put_ids(config, &info->id);
	case VIRTIO_INPUT_CFG_PROP_BITS:
		return put_bitmap(config, info->props, sizeof(info->props));
	default:
		return 0;
	}
}

void input_config(const struct input_device *input, struct virtio_input_config *config)
{
	memset(config, 0, sizeof(*config));
	config->select = input->select;
	config->subsel = input->subsel;
	config->size = put_selected(input, config);
}

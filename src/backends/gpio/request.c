// SPDX-License-Identifier: BSD-3-Clause
/* The requestq (virtio 1.x, 5.18.6). */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_gpio.h>
#include <string.h>

#include "backends/common/iov.h"
#include "backends/gpio/gpio.h"
#include "common/log.h"

/* Return: the value of the answer, or a negative errno */
static int do_request(struct gpio_device *gpio, unsigned int type, unsigned int n, uint32_t value)
{
	if (n >= gpio->num_lines)
		return -EINVAL;
	switch (type) {
	case VIRTIO_GPIO_MSG_GET_DIRECTION:
		return gpio_line_get_direction(gpio, n);
	case VIRTIO_GPIO_MSG_SET_DIRECTION:
		return gpio_line_set_direction(gpio, n, value);
	case VIRTIO_GPIO_MSG_GET_VALUE:
		return gpio_line_get_value(gpio, n);
	case VIRTIO_GPIO_MSG_SET_VALUE:
		return gpio_line_set_value(gpio, n, value);
	case VIRTIO_GPIO_MSG_IRQ_TYPE:
		return gpio->no_interrupts ? -EOPNOTSUPP : gpio_line_set_irq_type(gpio, n, value);
	default:
		return -EOPNOTSUPP;
	}
}

/* Return: bytes written */
static size_t answer(const struct vq_buffers *bufs, int value)
{
	struct virtio_gpio_response response = {
		.status = value < 0 ? VIRTIO_GPIO_STATUS_ERR : VIRTIO_GPIO_STATUS_OK,
		.value = value < 0 ? 0 : (uint8_t)value,
	};

	return iov_from_buf(bufs->iov + bufs->out_num, bufs->in_num, 0, &response,
			    sizeof(response));
}

static size_t answer_names(const struct gpio_device *gpio, const struct vq_buffers *bufs)
{
	const struct iovec *iov = bufs->iov + bufs->out_num;
	uint8_t status = VIRTIO_GPIO_STATUS_OK;

	if (!gpio->names_size || bufs->in_len < sizeof(status) + gpio->names_size)
		return answer(bufs, -EINVAL);
	iov_from_buf(iov, bufs->in_num, 0, &status, sizeof(status));
	return sizeof(status) + iov_from_buf(iov, bufs->in_num, sizeof(status), gpio->names,
					     gpio->names_size);
}

static size_t serve(struct gpio_device *gpio, const struct vq_buffers *bufs)
{
	struct virtio_gpio_request request;
	unsigned int type, n;
	int value;

	if (iov_to_buf(bufs->iov, bufs->out_num, 0, &request, sizeof(request)) != sizeof(request))
		return answer(bufs, -EINVAL);
	type = le16toh(request.type);
	n = le16toh(request.gpio);
	if (type == VIRTIO_GPIO_MSG_GET_NAMES)
		return answer_names(gpio, bufs);
	value = do_request(gpio, type, n, le32toh(request.value));
	if (value == -ENODEV)
		gpio_gone(gpio);
	if (value < 0)
		log_ratelimited(LOG_LEVEL_INFO, "request %u for line %u, value %u: %s", type, n,
				le32toh(request.value), strerror(-value));
	return answer(bufs, value);
}

bool gpio_requestq_work(struct gpio_device *gpio, struct virtqueue *vq)
{
	struct iovec iov[GPIO_MAX_IOVS];
	struct vq_buffers bufs = { .iov = iov, .max = GPIO_MAX_IOVS };
	unsigned int taken = 0;
	uint16_t id;

	do {
		vq_suppress(vq);
		while (vq_pop(vq, &id) > 0) {
			if (vq_chain(vq, id, &bufs))
				return false;
			vq_push(vq, id, (uint32_t)serve(gpio, &bufs));
			/* one at a time: each has somebody waiting for it */
			vq_flush(vq);
			if (++taken == VU_TURN)
				return true;
		}
	} while (vq_arm(vq));
	return false;
}

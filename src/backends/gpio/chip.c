// SPDX-License-Identifier: BSD-3-Clause
#include "backends/gpio/chip.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <linux/virtio_gpio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"

#define CONSUMER "vhost-user-gpio"
/*
 * The kernel keeps 16 edges of a line, and drops older ones. Whoever makes them faster than they
 * are read here must not keep this loop for ever.
 */
#define EDGES_AT_ONCE 16
#define READS_AT_MOST 8

/* ---- a line that is held ---- */

static uint64_t line_flags(const struct line_setup *setup)
{
	uint64_t flags;

	if (setup->direction == VIRTIO_GPIO_DIRECTION_OUT)
		return GPIO_V2_LINE_FLAG_OUTPUT;
	/* one that nobody uses must not drive what it is connected to */
	flags = GPIO_V2_LINE_FLAG_INPUT;
	if (setup->edges & EDGES_RISING)
		flags |= GPIO_V2_LINE_FLAG_EDGE_RISING;
	if (setup->edges & EDGES_FALLING)
		flags |= GPIO_V2_LINE_FLAG_EDGE_FALLING;
	return flags;
}

static int chip_setup(void *data, unsigned int line, const struct line_setup *setup)
{
	const struct chip *chip = data;
	struct gpio_v2_line_config config = { .flags = line_flags(setup) };

	if (setup->direction == VIRTIO_GPIO_DIRECTION_OUT) {
		config.num_attrs = 1;
		config.attrs[0].mask = 1;
		config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES;
		config.attrs[0].attr.values = setup->value;
	}
	if (ioctl(chip->fds[line], GPIO_V2_LINE_SET_CONFIG_IOCTL, &config) < 0)
		return -errno;
	return 0;
}

static int chip_get_direction(void *data, unsigned int line)
{
	const struct chip *chip = data;
	struct gpio_v2_line_info info = { .offset = chip->lines.offsets[line] };

	if (ioctl(chip->fd, GPIO_V2_GET_LINEINFO_IOCTL, &info) < 0)
		return -errno;
	return info.flags & GPIO_V2_LINE_FLAG_OUTPUT ? VIRTIO_GPIO_DIRECTION_OUT :
						       VIRTIO_GPIO_DIRECTION_IN;
}

static int chip_get_value(void *data, unsigned int line)
{
	const struct chip *chip = data;
	struct gpio_v2_line_values values = { .mask = 1 };

	if (ioctl(chip->fds[line], GPIO_V2_LINE_GET_VALUES_IOCTL, &values) < 0)
		return -errno;
	return (int)(values.bits & 1);
}

static int chip_set_value(void *data, unsigned int line, int value)
{
	const struct chip *chip = data;
	struct gpio_v2_line_values values = { .mask = 1, .bits = value ? 1 : 0 };

	return ioctl(chip->fds[line], GPIO_V2_LINE_SET_VALUES_IOCTL, &values) < 0 ? -errno : 0;
}

static int chip_take_edges(void *data, unsigned int line)
{
	const struct chip *chip = data;
	struct gpio_v2_line_event events[EDGES_AT_ONCE];
	int edges = 0, reads;

	for (reads = 0; reads < READS_AT_MOST; reads++) {
		ssize_t n = read(chip->fds[line], events, sizeof(events));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return -errno;
		if (n <= 0)
			break;
		edges += (int)((size_t)n / sizeof(events[0]));
		if ((size_t)n < sizeof(events))
			break;
	}
	return edges;
}

static int chip_event_fd(void *data, unsigned int line)
{
	const struct chip *chip = data;

	return chip->fds[line];
}

const struct chip_ops chip_ops = {
	.setup = chip_setup,
	.get_direction = chip_get_direction,
	.get_value = chip_get_value,
	.set_value = chip_set_value,
	.take_edges = chip_take_edges,
	.event_fd = chip_event_fd,
};

/* ---- taking hold of them ---- */

static int no_line(const struct chip *chip, const struct gpio_v2_line_info *info, int error)
{
	if (error == -EBUSY)
		log_error("%s: line %u is in use (%.31s); choose others by --lines", chip->path,
			  info->offset, info->consumer[0] ? info->consumer : "by the kernel");
	else
		log_error("%s: line %u: %s", chip->path, info->offset, strerror(-error));
	return error;
}

/* As it is: neither direction nor value change. */
static int hold_line(struct chip *chip, unsigned int line)
{
	struct gpio_v2_line_info info = { .offset = chip->lines.offsets[line] };
	struct gpio_v2_line_request request = {
		.offsets = { info.offset },
		.num_lines = 1,
		.consumer = CONSUMER,
	};
	size_t room = sizeof(info.name) + 1;
	int flags;

	if (ioctl(chip->fd, GPIO_V2_GET_LINEINFO_IOCTL, &info) < 0)
		return no_line(chip, &info, -errno);
	if (ioctl(chip->fd, GPIO_V2_GET_LINE_IOCTL, &request) < 0)
		return no_line(chip, &info, -errno);
	chip->fds[line] = request.fd;
	flags = fcntl(request.fd, F_GETFL);
	if (flags < 0 || fcntl(request.fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return no_line(chip, &info, -errno);
	memccpy(chip->names + chip->names_size, info.name, '\0', room - 1);
	chip->names_size += (uint32_t)strlen(chip->names + chip->names_size) + 1;
	return 0;
}

/* One descriptor a line, and a few for the rest. */
static void allow_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_debug("the limit of open files stays as it is: %m");
}

static int hold_lines(struct chip *chip)
{
	unsigned int i, count = chip->lines.count;
	int ret;

	chip->fds = malloc(count * sizeof(*chip->fds));
	for (i = 0; chip->fds && i < count; i++)
		chip->fds[i] = -1;
	/* zeroed: all names end */
	chip->names = calloc(count, GPIO_MAX_NAME_SIZE + 1);
	if (!chip->fds || !chip->names) {
		log_error("no memory for %u lines", count);
		return -ENOMEM;
	}
	allow_files();
	for (i = 0; i < count; i++) {
		ret = hold_line(chip, i);
		if (ret)
			return ret;
	}
	/* nothing but the ends of names: there are none */
	if (chip->names_size == count)
		chip->names_size = 0;
	return 0;
}

int chip_open(struct chip *chip, const char *path, const char *list)
{
	struct gpiochip_info info = { 0 };
	int ret;

	*chip = (struct chip){ .path = path, .fd = open(path, O_RDWR | O_CLOEXEC) };
	if (chip->fd < 0) {
		ret = -errno;
		log_error("%s: %m", path);
		return ret;
	}
	if (ioctl(chip->fd, GPIO_GET_CHIPINFO_IOCTL, &info) < 0) {
		ret = -errno;
		log_error("%s: is no GPIO chip (%m)", path);
		return ret;
	}
	ret = lines_parse(list, info.lines, &chip->lines);
	return ret ? ret : hold_lines(chip);
}

void chip_close(struct chip *chip)
{
	unsigned int i;

	for (i = 0; chip->fds && i < chip->lines.count; i++)
		fd_close(&chip->fds[i]);
	fd_close(&chip->fd);
	free(chip->fds);
	free(chip->names);
	lines_finish(&chip->lines);
	chip->fds = NULL;
	chip->names = NULL;
}

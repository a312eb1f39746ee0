// SPDX-License-Identifier: BSD-3-Clause
#include "backends/input/evdev.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"

static int evdev_read(void *data, struct input_event *events, unsigned int max)
{
	const struct evdev *dev = data;
	ssize_t n;

	do {
		n = read(dev->fd, events, max * sizeof(*events));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return (int)((size_t)n / sizeof(*events));
}

static int evdev_write(void *data, const struct input_event *events, unsigned int count)
{
	const struct evdev *dev = data;
	ssize_t n = write(dev->fd, events, count * sizeof(*events));

	return n < 0 ? -errno : 0;
}

static int evdev_event_fd(void *data)
{
	const struct evdev *dev = data;

	return dev->fd;
}

/* ---- how it stands ---- */

static void get_slots(const struct evdev *dev, const struct input_info *info,
		      struct input_state *state)
{
	struct {
		uint32_t code;
		int32_t values[INPUT_SLOTS_MAX];
	} request = { 0 };
	unsigned int axis;

	for (axis = 0; axis < INPUT_MT_AXES; axis++) {
		request.code = INPUT_MT_FIRST + axis;
		if (input_test_bit(info->codes[EV_ABS], request.code) &&
		    ioctl(dev->fd, EVIOCGMTSLOTS(sizeof(request)), &request) >= 0)
			memcpy(state->mt[axis], request.values, sizeof(request.values));
	}
}

static void evdev_get_state(void *data, const struct input_info *info, struct input_state *state)
{
	const struct evdev *dev = data;
	struct input_absinfo abs;
	unsigned int axis;

	if (ioctl(dev->fd, EVIOCGKEY(sizeof(state->keys)), state->keys) < 0 ||
	    ioctl(dev->fd, EVIOCGSW(sizeof(state->switches)), state->switches) < 0)
		log_debug("%s: keys or switches cannot be read: %m", dev->path);
	for (axis = 0; axis < ABS_CNT; axis++) {
		if (input_test_bit(info->codes[EV_ABS], axis) &&
		    ioctl(dev->fd, EVIOCGABS(axis), &abs) >= 0)
			state->abs[axis] = abs.value;
	}
	state->slot = state->abs[ABS_MT_SLOT];
	if (input_slots(info))
		get_slots(dev, info, state);
}

const struct evdev_ops evdev_ops = {
	.read = evdev_read,
	.write = evdev_write,
	.get_state = evdev_get_state,
	.event_fd = evdev_event_fd,
};

unsigned int input_slots(const struct input_info *info)
{
	int32_t most = info->abs[ABS_MT_SLOT].maximum;

	if (!input_test_bit(info->codes[EV_ABS], ABS_MT_SLOT) || most < 0)
		return 0;
	return MIN((unsigned int)most + 1U, (unsigned int)INPUT_SLOTS_MAX);
}

/* ---- what it is ---- */

/* Repeat has no bitmap of its own in evdev, force feedback is more than events. */
static void get_codes(int fd, struct input_info *info)
{
	static const uint8_t types[] = { EV_KEY, EV_REL, EV_ABS, EV_MSC, EV_SW, EV_LED, EV_SND };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		uint8_t *codes = info->codes[types[i]];

		if (input_test_bit(info->types, types[i]) &&
		    ioctl(fd, EVIOCGBIT(types[i], sizeof(info->codes[0])), codes) < 0)
			memset(codes, 0, sizeof(info->codes[0]));
	}
	if (input_test_bit(info->types, EV_REP))
		info->codes[EV_REP][0] = 1U << REP_DELAY | 1U << REP_PERIOD;
}

static int get_info(int fd, struct input_info *info)
{
	unsigned int axis;

	memset(info, 0, sizeof(*info));
	if (ioctl(fd, EVIOCGBIT(0, sizeof(info->types)), info->types) < 0 ||
	    ioctl(fd, EVIOCGID, &info->id) < 0)
		return -errno;
	/* Not every device has these. */
	if (ioctl(fd, EVIOCGNAME(sizeof(info->name) - 1), info->name) < 0)
		info->name[0] = '\0';
	if (ioctl(fd, EVIOCGUNIQ(sizeof(info->serial) - 1), info->serial) < 0)
		info->serial[0] = '\0';
	if (ioctl(fd, EVIOCGPROP(sizeof(info->props)), info->props) < 0)
		memset(info->props, 0, sizeof(info->props));
	get_codes(fd, info);
	for (axis = 0; axis < ABS_CNT; axis++) {
		if (input_test_bit(info->codes[EV_ABS], axis) &&
		    ioctl(fd, EVIOCGABS(axis), &info->abs[axis]) < 0)
			return -errno;
	}
	return 0;
}

int evdev_open(struct evdev *dev, const char *path, bool grab, struct input_info *info)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int ret;

	*dev = (struct evdev){ .path = path, .fd = -1 };
	if (fd < 0 && errno == EACCES) {
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0)
			log_notice("%s: cannot be written: the driver's LEDs stay dark", path);
	}
	if (fd < 0) {
		ret = -errno;
		log_error("%s: %m", path);
		return ret;
	}
	ret = get_info(fd, info);
	if (ret) {
		log_error("%s: is no input device (%s)", path, strerror(-ret));
		return ret;
	}
	if (grab && ioctl(fd, EVIOCGRAB, 1) < 0) {
		ret = -errno;
		log_error("%s: cannot be grabbed: %s", path,
			  ret == -EBUSY ? "another program has it" : strerror(-ret));
		return ret;
	}
	dev->fd = fd_steal(&fd);
	return 0;
}

void evdev_close(struct evdev *dev)
{
	fd_close(&dev->fd);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * late-driver - no driver is called after it has reset its device, nor before DRIVER_OK
 *
 * The device of the driver vlb_late is unbound. When the driver has reset it, the device side
 * answers the buffer and calls nevertheless, and then goes away, which is the end of I/O. Another
 * one calls while the driver has its queue and has not said DRIVER_OK, and answers when it has. Two
 * threads call a third one at once, and its configuration changes while its driver is still in its
 * probe. Its ring is a packed one: of a split one a call without an answer goes no further than the
 * module. Prints "late N, early N, then
 * called, overlapping N, changes N" with the calls that came in each case; exits with 1 when
 * something did not happen at all. Needs root and vlb_late.ko.
 */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "raw-device.h"

#define DEVICE_ID  0xfff1
#define NAME	   "late"
#define DRIVER	   "/sys/bus/virtio/drivers/vlb_late"
#define CALLS	   20000
#define PARAMETERS "/sys/module/vlb_late/parameters/"

static void create(struct raw_device *dev, uint64_t features)
{
	struct virtio_loopback_create args = raw_args(-1, NAME);

	args.device_id = DEVICE_ID;
	args.features |= features;
	raw_create_with(dev, &args);
	dev->serve = false;
	raw_run(dev);
	if (ioctl(dev->fd, VIRTIO_LOOPBACK_START))
		err(1, "START");
}

static void parameter(const char *name, char *value, size_t size)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	file = fopen(path, "re");
	if (!file || !fgets(value, (int)size, file))
		err(1, "%s", path);
	fclose(file);
	value[strcspn(value, "\n")] = 0;
}

static bool is_set(const char *name)
{
	char value[16];

	parameter(name, value, sizeof(value));
	return value[0] == 'Y';
}

static void set(const char *name, const char *value)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	file = fopen(path, "we");
	if (!file || fputs(value, file) < 0 || fclose(file))
		err(1, "%s", path);
}

/* Returns when the driver has let go, which it does after the end of I/O. */
static void *unbind(void *arg)
{
	int fd = open(DRIVER "/unbind", O_WRONLY | O_CLOEXEC);
	const char *name = arg;

	if (fd < 0 || write(fd, name, strlen(name)) < 0)
		warn(DRIVER "/unbind: %s", name);
	close(fd);
	return NULL;
}

static void find_device(char *name, size_t size)
{
	DIR *dir = opendir(DRIVER);
	struct dirent *entry;

	name[0] = 0;
	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "virtio", 6))
			snprintf(name, size, "%s", entry->d_name);
	if (dir)
		closedir(dir);
	if (!name[0])
		errx(1, DRIVER ": no device");
}

static void call(struct raw_device *dev)
{
	uint64_t one = 1;

	if (write(dev->call, &one, sizeof(one)) != sizeof(one))
		err(1, "call");
}

/* As a device would that has answered one buffer, whether it may or not. */
static void answer(struct raw_device *dev, const struct vring *vring)
{
	vring->used->ring[0] = (vring_used_elem_t){ vring->avail->ring[0], 8 };
	__atomic_store_n(&vring->used->idx, 1, __ATOMIC_RELEASE);
	call(dev);
}

/* The same in the first lap of a packed ring (virtio 2.8.1) */
static void answer_packed(struct raw_device *dev)
{
	struct vring_packed_desc *desc = (void *)dev->vring.desc;

	desc->len = 8;
	__atomic_store_n(&desc->flags, 1 << VRING_PACKED_DESC_F_AVAIL | 1 << VRING_PACKED_DESC_F_USED,
			 __ATOMIC_RELEASE);
	call(dev);
}

static void wait_for(const char *name, const char *what)
{
	for (int tries = 0; !is_set(name); tries++) {
		if (tries == 2000)
			errx(1, "the driver has not %s", what);
		usleep(5000);
	}
}

static void check_gone(void)
{
	if (!raw_wait_gone(NAME, 20000))
		errx(1, "the device has not gone with its file");
}

static void call_after_reset(void)
{
	struct raw_device dev;
	struct vring vring;
	pthread_t thread;
	char name[256];

	create(&dev, 0);
	if (!raw_wait_message(&dev, VIRTIO_LOOPBACK_MSG_REGISTERED, 1, 10000) ||
	    !dev.registered.registered.bound)
		errx(1, "no driver has bound: is vlb_late.ko loaded?");
	vring = dev.vring;
	find_device(name, sizeof(name));
	if (pthread_create(&thread, NULL, unbind, name))
		errx(1, "pthread_create");
	wait_for("reset", "reset the device");
	if (!vring.avail->idx)
		errx(1, "the driver has offered no buffer");
	answer(&dev, &vring);
	raw_close(&dev);
	pthread_join(thread, NULL);
	check_gone();
	if (!is_set("ended"))
		errx(1, "the driver has not seen the end of I/O");
}

static int number(const char *name)
{
	char value[16];

	parameter(name, value, sizeof(value));
	return atoi(value);
}

/* Returns whether it is called then. */
static bool call_before_ready(void)
{
	int before = number("calls");
	struct raw_device dev;

	set("linger_ms", "2000");
	create(&dev, 0);
	wait_for("lingers", "come to its queue");
	call(&dev);
	if (!raw_wait_message(&dev, VIRTIO_LOOPBACK_MSG_REGISTERED, 1, 20000))
		errx(1, "the driver has not come to its end");
	answer(&dev, &dev.vring);
	for (int tries = 0; tries < 400 && number("calls") == before; tries++)
		usleep(5000);
	raw_close(&dev);
	check_gone();
	return number("calls") > before;
}

static void *call_again_and_again(void *arg)
{
	for (int i = 0; i < CALLS; i++)
		call(arg);
	return NULL;
}

/* Whatever the device side does with its eventfd, a driver is called as by one interrupt. */
static void call_twice_at_once(void)
{
	struct virtio_loopback_config change = {
		.size = sizeof(change),
		.flags = VIRTIO_LOOPBACK_CONFIG_NOTIFY,
	};
	pthread_t threads[2];
	struct raw_device dev;

	set("linger_ms", "0");
	set("stay_ms", "1000");
	create(&dev, 1ULL << VIRTIO_F_RING_PACKED);
	wait_for("stays", "come to its DRIVER_OK");
	if (ioctl(dev.fd, VIRTIO_LOOPBACK_SET_CONFIG, &change))
		err(1, "SET_CONFIG");
	/* which it never takes back, so that there is something to call it for each time */
	answer_packed(&dev);
	for (int i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, call_again_and_again, &dev))
			errx(1, "pthread_create");
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	if (!raw_wait_message(&dev, VIRTIO_LOOPBACK_MSG_REGISTERED, 1, 20000))
		errx(1, "the driver has not come to its end");
	raw_close(&dev);
	check_gone();
}

int main(void)
{
	bool called;

	call_after_reset();
	called = call_before_ready();
	call_twice_at_once();
	printf("late %d, early %d, then %s, overlapping %d, changes %d\n", number("late"),
	       number("early"), called ? "called" : "not called", number("overlapping"),
	       number("changes"));
	return 0;
}

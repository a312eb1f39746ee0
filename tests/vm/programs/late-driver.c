// SPDX-License-Identifier: BSD-3-Clause
/*
 * late-driver - no driver is called after it has reset its device
 *
 * The device of the driver vlb_late is unbound. When the driver has reset it, the device side
 * answers the buffer and calls nevertheless, and then goes away, which is the end of I/O. Prints
 * "late N" with the calls that came then; exits with 1 when something did not happen at all. Needs
 * root and vlb_late.ko.
 */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "raw-device.h"

#define DEVICE_ID  0xfff1
#define NAME	   "late"
#define DRIVER	   "/sys/bus/virtio/drivers/vlb_late"
#define PARAMETERS "/sys/module/vlb_late/parameters/"

static void create(struct raw_device *dev)
{
	raw_create_as(dev, DEVICE_ID, NAME, 5000, 0);
	dev->serve = false;
	raw_run(dev);
	if (ioctl(dev->fd, VIRTIO_LOOPBACK_START))
		err(1, "START");
	if (!raw_wait_message(dev, VIRTIO_LOOPBACK_MSG_REGISTERED, 1, 10000) ||
	    !dev->registered.registered.bound)
		errx(1, "no driver has bound: is vlb_late.ko loaded?");
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

/* As a device would, though it has been reset. */
static void answer(struct raw_device *dev, const struct vring *vring)
{
	uint64_t one = 1;

	if (!vring->avail->idx)
		errx(1, "the driver has offered no buffer");
	vring->used->ring[0] = (vring_used_elem_t){ vring->avail->ring[0], 8 };
	__atomic_store_n(&vring->used->idx, 1, __ATOMIC_RELEASE);
	if (write(dev->call, &one, sizeof(one)) != sizeof(one))
		err(1, "call");
}

int main(void)
{
	struct raw_device dev;
	char name[256], late[16];
	struct vring vring;
	pthread_t thread;
	int tries;

	create(&dev);
	vring = dev.vring;
	find_device(name, sizeof(name));
	if (pthread_create(&thread, NULL, unbind, name))
		errx(1, "pthread_create");
	for (tries = 0; !is_set("reset"); tries++) {
		if (tries == 2000)
			errx(1, "the driver has not reset the device");
		usleep(5000);
	}
	answer(&dev, &vring);
	raw_close(&dev);
	pthread_join(thread, NULL);
	if (!raw_wait_gone(NAME, 20000))
		errx(1, "the device has not gone with its file");
	if (!is_set("ended"))
		errx(1, "the driver has not seen the end of I/O");
	parameter("late", late, sizeof(late));
	printf("late %s\n", late);
	return 0;
}

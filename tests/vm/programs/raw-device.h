/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device made by hand: the UAPI without the adapter, an entropy device
 * (virtio 5.4) without a back-end. For tests of the module alone.
 */
#ifndef RAW_DEVICE_H
#define RAW_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>

#include <linux/virtio_loopback.h>
#include <linux/virtio_ring.h>

#define RAW_POOL_BASE	0x100000000ULL
#define RAW_QUEUE_SIZE	16

/**
 * struct raw_device - one device and the thread that answers for it
 * @fd:      /dev/virtio-loopback
 * @memfd:   the pool
 * @pool:    its mapping
 * @size:    its bytes
 * @kick:    eventfd
 * @call:    eventfd
 * @vring:   the queue, once the driver has set it up
 * @flags:   of the queue, when the driver had set it up
 * @seen:    place in the available ring
 * @used:    place in the used ring
 * @answer:  whether messages are answered
 * @serve:   whether requests are
 * @late:    does not touch the ring before raw_take_ring() is called
 * @fill:    byte that requests are filled with
 * @dirty:   bytes that were not zero in the buffers of requests before they were filled
 * @served:  requests filled
 * @messages: messages seen, by type (types above 127 do not count)
 * @registered: the last MSG_REGISTERED
 * @stop:    asks the thread to end
 */
struct raw_device {
	int fd, memfd;
	uint8_t *pool;
	size_t size;
	int kick, call;
	struct vring vring;
	uint32_t flags;
	uint16_t seen, used;
	volatile bool answer, serve, late;
	volatile uint8_t fill;
	volatile size_t dirty, served;
	volatile unsigned int messages[128];
	struct virtio_loopback_msg registered;
	volatile bool stop;
	pthread_t thread;
	bool running;
};

int raw_open(void);
int raw_memfd(size_t size, unsigned int seals);
struct virtio_loopback_create raw_args(int memfd, const char *name);

void raw_create(struct raw_device *dev, const char *name, uint32_t timeout_ms, uint32_t orphan_ms);
/* raw_create_as() - the same with another type than that of an entropy device */
void raw_create_as(struct raw_device *dev, uint32_t device_id, const char *name,
		   uint32_t timeout_ms, uint32_t orphan_ms);
/* raw_create_with() - the same with any arguments; the pool is added to them */
void raw_create_with(struct raw_device *dev, struct virtio_loopback_create *args);
/* raw_begin() and raw_create_on() - the two halves of that: its pool is there, and then the device */
void raw_begin(struct raw_device *dev);
void raw_create_on(struct raw_device *dev, struct virtio_loopback_create *args);
void raw_queue_fds(struct raw_device *dev);
void raw_run(struct raw_device *dev);
/* raw_start() - run it until a driver has bound; ends the program when none does within @ms */
void raw_start(struct raw_device *dev, const char *driver, int ms);
void raw_halt(struct raw_device *dev);
void raw_close(struct raw_device *dev);
void raw_take_ring(struct raw_device *dev);
/* raw_take_ring_of() - the same of a virtqueue by its number */
void raw_take_ring_of(struct raw_device *dev, uint32_t index);
bool raw_wait_message(struct raw_device *dev, unsigned int type, unsigned int count, int ms);
bool raw_wait_gone(const char *name, int ms);
bool raw_sysfs(const char *name, const char *attribute, char *value, size_t size);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Level interrupts of vhost-user-gpio, over its socket: the kernel gives programs edges only, so
 * this is a driver of its own. Usage: gpio-levels PROGRAM CHIP PULL, where PULL is the file that
 * moves line 0 of a simulated chip.
 */
#include <endian.h>
#include <fcntl.h>
#include <linux/virtio_gpio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"
#include "front-end.h"

#define QUIET_MS 300

static struct world {
	struct fe fe;
	int pull;
	struct virtio_gpio_request *request;
	struct virtio_gpio_response *response;
	struct virtio_gpio_irq_request *irq;
	struct virtio_gpio_irq_response *status;
} w;

static void check(int seen, int expected, const char *what)
{
	if (seen == expected)
		return;
	printf("%s: expected %d, saw %d\n", what, expected, seen);
	exit(1);
}

static void move(int level)
{
	const char *text = level ? "pull-up" : "pull-down";

	check((int)pwrite(w.pull, text, strlen(text), 0), (int)strlen(text), "write");
}

static void ask(unsigned int type, uint32_t value)
{
	struct drv_buf bufs[] = { { w.request, sizeof(*w.request), false },
				  { w.response, sizeof(*w.response), true } };

	*w.request = (struct virtio_gpio_request){ .type = htole16((uint16_t)type),
						   .value = htole32(value) };
	check(drv_add(&w.fe.rings[0], bufs, 2, false) >= 0, 1, "request added");
	drv_kick(&w.fe.rings[0]);
	check(drv_wait(&w.fe.rings[0], NULL, FE_TIMEOUT_MS) >= 0, 1, "request answered");
	check(w.response->status, VIRTIO_GPIO_STATUS_OK, "status of the answer");
}

static void unmask(void)
{
	struct drv_buf bufs[] = { { w.irq, sizeof(*w.irq), false },
				  { w.status, sizeof(*w.status), true } };

	w.status->status = 0x55;
	check(drv_add(&w.fe.rings[1], bufs, 2, false) >= 0, 1, "buffer added");
	drv_kick(&w.fe.rings[1]);
}

static void interrupt(const char *what)
{
	check(drv_wait(&w.fe.rings[1], NULL, FE_TIMEOUT_MS) >= 0, 1, what);
	check(w.status->status, VIRTIO_GPIO_IRQ_STATUS_VALID, what);
}

static void no_interrupt(const char *what)
{
	check(drv_wait(&w.fe.rings[1], NULL, QUIET_MS), -1, what);
}

static void check_type(uint32_t type, int active)
{
	int i;

	move(!active);
	ask(VIRTIO_GPIO_MSG_IRQ_TYPE, type);
	unmask();
	no_interrupt("interrupt before the level");
	move(active);
	for (i = 0; i < 5; i++) {
		interrupt("interrupt of the level");
		unmask();
	}
	interrupt("interrupt of the level");
	for (i = 0; i < 50; i++)
		move(i & 1 ? !active : active);
	unmask();
	no_interrupt("interrupt after the level");
	move(active);
	interrupt("interrupt when the level is back");
	unmask();
	interrupt("interrupt while the level lasts");
	move(!active);
	unmask();
	no_interrupt("interrupt after that");
	ask(VIRTIO_GPIO_MSG_IRQ_TYPE, VIRTIO_GPIO_IRQ_TYPE_NONE);
	check(drv_wait(&w.fe.rings[1], NULL, FE_TIMEOUT_MS) >= 0, 1, "buffer given back");
	check(w.status->status, VIRTIO_GPIO_IRQ_STATUS_INVALID, "status of the buffer given back");
}

int main(int argc, char **argv)
{
	const char *backend[] = { argv[1], "--chip", argc == 4 ? argv[2] : NULL, NULL };

	w.pull = argc == 4 ? open(argv[3], O_WRONLY | O_CLOEXEC) : -1;
	if (w.pull < 0) {
		fprintf(stderr, "usage: gpio-levels PROGRAM CHIP PULL\n");
		return 2;
	}
	check(fe_init(&w.fe, 1 << 20, 2, 16, true), 0, "fe_init");
	check(fe_spawn(&w.fe, backend), 0, "fe_spawn");
	check(fe_handshake(&w.fe, ~0ULL), 0, "handshake");
	w.request = drv_alloc(&w.fe.mem, sizeof(*w.request), 64);
	w.response = drv_alloc(&w.fe.mem, sizeof(*w.response), 64);
	w.irq = drv_alloc(&w.fe.mem, sizeof(*w.irq), 64);
	w.status = drv_alloc(&w.fe.mem, sizeof(*w.status), 64);
	ask(VIRTIO_GPIO_MSG_SET_DIRECTION, VIRTIO_GPIO_DIRECTION_IN);
	check_type(VIRTIO_GPIO_IRQ_TYPE_LEVEL_HIGH, 1);
	check_type(VIRTIO_GPIO_IRQ_TYPE_LEVEL_LOW, 0);
	fe_finish(&w.fe);
	printf("levels: high and low as they should be\n");
	return 0;
}

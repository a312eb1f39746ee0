// SPDX-License-Identifier: BSD-3-Clause
/*
 * The first and only program of a guest whose keyboard, GPIO chip, port and CAN interface QEMU has
 * from our back-ends: says what it finds, uses it, and reports on the console.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/can.h>
#include <linux/can/raw.h>
#include <linux/gpio.h>
#include <linux/input.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"

#define KEYS 20
#define FRAMES 20

/* The input device of this name: there may be others. */
static int open_keyboard(void)
{
	char path[32], name[64];
	int n, tries;

	for (tries = 0; tries < 600; tries++) {
		for (n = 0; n < 8; n++) {
			int fd;

			snprintf(path, sizeof(path), "/dev/input/event%d", n);
			fd = open(path, O_RDWR | O_CLOEXEC);
			if (fd >= 0 && ioctl(fd, EVIOCGNAME(sizeof(name)), name) > 0 &&
			    !strcmp(name, "Interop keyboard"))
				return fd;
			close(fd);
		}
		usleep(50000);
	}
	return -1;
}

static void use_keyboard(void)
{
	struct input_event led = { .type = EV_LED, .code = LED_CAPSL, .value = 1 };
	struct input_event event;
	struct input_id id = { 0 };
	int fd = open_keyboard();
	unsigned int keys = 0;

	if (fd < 0) {
		printf("keyboard: none\n");
		return;
	}
	ioctl(fd, EVIOCGID, &id);
	printf("keyboard: %04x:%04x\n", id.vendor, id.product);
	fflush(stdout);
	while (keys < KEYS && read(fd, &event, sizeof(event)) == sizeof(event)) {
		if (event.type != EV_KEY)
			continue;
		printf("key %u: %u %d\n", keys++, event.code, event.value);
		fflush(stdout);
	}
	if (write(fd, &led, sizeof(led)) != sizeof(led))
		printf("LED: %s\n", strerror(errno));
	printf("LED set\n");
	fflush(stdout);
	close(fd);
}

static int request_line(int chip, unsigned int line, uint64_t flags)
{
	struct gpio_v2_line_request request = {
		.offsets = { line },
		.num_lines = 1,
		.consumer = "interop",
		.config.flags = flags,
	};

	return ioctl(chip, GPIO_V2_GET_LINE_IOCTL, &request) < 0 ? -errno : request.fd;
}

static void use_chip(void)
{
	struct gpio_v2_line_values one = { .bits = 1, .mask = 1 };
	struct gpiochip_info info = { 0 };
	struct gpio_v2_line_info line = { .offset = 1 };
	struct gpio_v2_line_event event;
	int chip = -1, fd, tries;

	for (tries = 0; tries < 600 && chip < 0; tries++) {
		chip = open("/dev/gpiochip0", O_RDWR | O_CLOEXEC);
		if (chip < 0)
			usleep(50000);
	}
	if (chip < 0 || ioctl(chip, GPIO_GET_CHIPINFO_IOCTL, &info) < 0 ||
	    ioctl(chip, GPIO_V2_GET_LINEINFO_IOCTL, &line) < 0) {
		printf("chip: %s\n", strerror(errno));
		return;
	}
	printf("chip: %u lines, line 1 is %s\n", info.lines, line.name);
	fd = request_line(chip, 0, GPIO_V2_LINE_FLAG_OUTPUT);
	if (fd < 0 || ioctl(fd, GPIO_V2_LINE_SET_VALUES_IOCTL, &one) < 0)
		printf("output: %s\n", strerror(errno));
	printf("output set\n");
	fflush(stdout);
	/* the host answers by pulling line 1 up */
	close(fd);
	for (tries = 0; tries < 600; tries++) {
		struct gpio_v2_line_values value = { .mask = 1 };

		fd = request_line(chip, 1, GPIO_V2_LINE_FLAG_INPUT);
		if (fd < 0 || ioctl(fd, GPIO_V2_LINE_GET_VALUES_IOCTL, &value) < 0 || value.bits & 1)
			break;
		close(fd);
		usleep(50000);
	}
	printf("input: %s\n", fd < 0 || tries == 600 ? "never up" : "up");
	close(fd);
	fd = request_line(chip, 1, GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_EDGE_RISING |
					   GPIO_V2_LINE_FLAG_EDGE_FALLING);
	if (fd < 0) {
		printf("edges: not offered (%s)\n", strerror(-fd));
		return;
	}
	printf("edges: waiting\n");
	fflush(stdout);
	for (tries = 0; tries < 4 && read(fd, &event, sizeof(event)) == sizeof(event); tries++) {
		printf("edge %d: %s\n", tries,
		       event.id == GPIO_V2_LINE_EVENT_RISING_EDGE ? "rising" : "falling");
		fflush(stdout);
	}
}

/* The driver numbers its devices by their place on the bus, and hears of ports later. */
static int open_port(void)
{
	int fd = -1, tries;

	for (tries = 0; tries < 600 && fd < 0; tries++) {
		glob_t found = { 0 };

		if (!glob("/dev/vport*p0", 0, NULL, &found))
			fd = open(found.gl_pathv[0], O_RDWR | O_CLOEXEC);
		globfree(&found);
		if (fd < 0)
			usleep(50000);
	}
	return fd;
}

static void use_port(void)
{
	static const char answer[] = "to the host\n";
	struct pollfd pfd = { .fd = open_port() };
	int fd = pfd.fd, tries;
	char text[64];
	ssize_t n;

	if (fd < 0) {
		printf("port: %s\n", strerror(errno));
		return;
	}
	/* until the driver knows of the host's client */
	for (tries = 0; tries < 600 && poll(&pfd, 1, 0) > 0; tries++)
		usleep(50000);
	printf("port: open\n");
	fflush(stdout);
	n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	printf("port: got %s", text);
	if (write(fd, answer, sizeof(answer) - 1) < 0)
		printf("port: %s\n", strerror(errno));
	fflush(stdout);
	close(fd);
}

static int open_bus(void)
{
	struct sockaddr_can addr = { .can_family = AF_CAN };
	struct ifreq request = { .ifr_name = "can0" };
	int sock = socket(PF_CAN, SOCK_RAW, CAN_RAW);

	addr.can_ifindex = (int)if_nametoindex("can0");
	if (sock < 0 || !addr.can_ifindex || ioctl(sock, SIOCGIFFLAGS, &request) < 0)
		return -1;
	request.ifr_flags |= IFF_UP;
	if (ioctl(sock, SIOCSIFFLAGS, &request) < 0 ||
	    bind(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -1;
	return sock;
}

static void use_bus(void)
{
	struct can_frame frame = { .can_dlc = 1 };
	int sock = open_bus();
	unsigned int n;

	if (sock < 0) {
		printf("can: %s\n", strerror(errno));
		return;
	}
	printf("can: up\n");
	fflush(stdout);
	for (n = 0; n < FRAMES; n++) {
		frame.can_id = 0x100 + n;
		frame.data[0] = (__u8)n;
		/* the interface's queue is full, and does not tell when it no longer is */
		while (write(sock, &frame, sizeof(frame)) < 0 && errno == ENOBUFS)
			usleep(1000);
	}
	for (n = 0; n < FRAMES && read(sock, &frame, sizeof(frame)) == sizeof(frame); n++) {
		printf("can frame %u: %x %u\n", n, frame.can_id, frame.data[0]);
		fflush(stdout);
	}
	close(sock);
}

int main(void)
{
	guest_begin();
	use_keyboard();
	use_chip();
	if (guest_told("any")) {
		use_port();
		use_bus();
	}
	return guest_end();
}

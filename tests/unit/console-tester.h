/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of vhost-user-console share: the program, its driver. Failures end the test. */
#ifndef TEST_CONSOLE_TESTER_H
#define TEST_CONSOLE_TESTER_H

#include <linux/virtio_console.h>

#include "check.h"
#include "front-end.h"

#define RINGS 6 /* two ports */
#define NUM 8
#define BUFFER 4096
#define CONTROL_RX 2
#define CONTROL_TX 3

extern char console_unix[40], console_pty[40]; /* paths, of this process */

/* A port, which is a socket, and a terminal, a pseudo-terminal; and that one alone, a port */
extern const char *const two_ports[];
extern const char *const pty_alone[];

struct tester {
	struct fe fe;
	uint8_t *rx[NUM]; /* of port 0 */
	uint8_t *messages[NUM];
	uint8_t *out;
	struct virtio_console_control *said;
};

void start(struct tester *t, const char *const *extra, unsigned int rings, uint64_t features);

/* finish() - the connection ends: so must the program, with status 0; nothing is left behind */
void finish(struct tester *t);

void add_buffer(struct drv_ring *ring, uint8_t *p, uint32_t len);

/* say() - the driver says something */
void say(struct tester *t, uint32_t id, uint16_t event, uint16_t value);

/* hear() - the driver gives a buffer, and hears this; Return: what follows the header */
const uint8_t *hear(struct tester *t, uint32_t id, uint16_t event, uint16_t value, uint32_t more);

/* bring_up() - everything up to ports that the driver has; nobody is at the other ends */
void bring_up(struct tester *t);

/* client() - somebody connects to port 0 */
int client(void);

/* expect() - these bytes come from there next */
void expect(int fd, const void *what, size_t len);

/* put_out() - the first bytes of t->out, on a ring */
void put_out(struct tester *t, unsigned int ring, uint32_t len);

/* console_main() - run tests with the program that the command line names */
#define console_main(tests, argc, argv) \
	(console_arguments(argc, argv) ? 2 : cmocka_run_group_tests(tests, NULL, NULL))
int console_arguments(int argc, char **argv);

#endif

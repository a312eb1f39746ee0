/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of vhost-user-blk share: the program, its image, requests. Failures end the test.
 */
#ifndef TEST_BLK_TESTER_H
#define TEST_BLK_TESTER_H

#include <linux/virtio_blk.h>

#include "check.h"
#include "common/util.h"
#include "front-end.h"

#define MEMORY (64U << 20)
#define IMAGE_SIZE (32U << 20)
#define SECTOR 512U
#define ALL_FEATURES (~0ULL & ~BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE))

extern const char *bt_program; /* path of vhost-user-blk */
extern char bt_image[64]; /* path of the image, or what else --image takes */

struct request {
	struct virtio_blk_outhdr *header;
	uint8_t *data;
	uint8_t *status;
};

/* bt_make_request() - memory for a request with up to @data bytes */
void bt_make_request(struct fe *fe, struct request *req, size_t data);

/*
 * bt_submit_cut() - put it on a ring, the data in pieces of @cut bytes; Return: its head, -1: full
 */
int bt_submit_cut(struct fe *fe, unsigned int ring, struct request *req, uint32_t type,
		  uint64_t sector, uint32_t len, uint32_t cut);

/* bt_submit() - the same on ring 0, the data in one piece */
int bt_submit(struct fe *fe, struct request *req, uint32_t type, uint64_t sector, uint32_t len);

/* bt_run() - one request on ring 0, to its end; Return: its status */
int bt_run(struct fe *fe, struct request *req, uint32_t type, uint64_t sector, uint32_t len);

void bt_make_image(size_t size);

/* bt_spawn() - start the program on the image, with more options; NULL ends them */
void bt_spawn(struct fe *fe, const char *const *extra);

/* bt_start_with(), bt_start() - image, program, and rings that run */
void bt_start_with(struct fe *fe, const char *const *extra, uint64_t features, unsigned int rings);
void bt_start(struct fe *fe, const char *const *extra);

/* bt_finish() - the connection ends: so must the program, with status 0 */
void bt_finish(struct fe *fe);

void bt_fill(uint8_t *data, size_t len, unsigned int seed);
void bt_image_read(uint64_t offset, void *buf, size_t len);

/* bt_main() - run tests with the program and the folder that the command line names */
#define bt_main(tests, argc, argv) \
	(bt_arguments(argc, argv) ? 2 : cmocka_run_group_tests(tests, NULL, NULL))
int bt_arguments(int argc, char **argv);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Load for a vhost-user-blk back-end, over its socket, without a kernel module: to see what it
 * costs by itself. Prints requests a second, time a request, and the CPU time of the back-end.
 *
 *	ring-load PATH-OF-SOCKET PID read|write SIZE DEPTH SECONDS
 *
 * Not a test: it measures. The kicks and calls are eventfds, as they are with the module.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_blk.h>

#include "common/deadline.h"
#include "common/parse.h"
#include "common/unix-socket.h"
#include "common/util.h"
#include "front-end.h"

#define MEMORY (256U << 20)
#define NUM 256
#define SPAN (1ULL << 29) /* bytes of the disk that are used */

struct load {
	struct virtio_blk_outhdr *header[NUM];
	uint8_t *data[NUM];
	uint8_t *status[NUM];
	uint32_t type;
	uint32_t size;
	unsigned int depth;
	unsigned int slot_of[NUM];
	uint64_t seed;
};

static uint64_t cpu_ticks(const char *pid)
{
	unsigned long long user = 0, system = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	f = fopen(path, "r");
	if (!f)
		return 0;
	if (fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
		   &system) != 2)
		user = 0;
	fclose(f);
	return user + system;
}

static void submit(struct fe *fe, struct load *load, unsigned int slot)
{
	struct drv_buf bufs[3] = {
		{ load->header[slot], sizeof(*load->header[slot]), false },
		{ load->data[slot], load->size, load->type == VIRTIO_BLK_T_IN },
		{ load->status[slot], 1, true },
	};
	int head;

	load->seed = load->seed * 6364136223846793005ULL + 1442695040888963407ULL;
	load->header[slot]->type = load->type;
	load->header[slot]->sector = (load->seed >> 20) % (SPAN / load->size) * (load->size / 512);
	*load->status[slot] = 0xff;
	head = drv_add(&fe->rings[0], bufs, 3, true);
	if (head >= 0)
		load->slot_of[head] = slot;
}

static int prepare(struct fe *fe, struct load *load)
{
	unsigned int i;

	for (i = 0; i < load->depth; i++) {
		load->header[i] = drv_alloc(&fe->mem, sizeof(*load->header[i]), 16);
		load->data[i] = drv_alloc(&fe->mem, load->size, 4096);
		load->status[i] = drv_alloc(&fe->mem, 1, 1);
		if (!load->header[i] || !load->data[i] || !load->status[i])
			return -1;
	}
	return 0;
}

static uint64_t run(struct fe *fe, struct load *load, deadline_t until)
{
	uint64_t done = 0;
	unsigned int i;

	for (i = 0; i < load->depth; i++)
		submit(fe, load, i);
	drv_kick(&fe->rings[0]);
	for (;;) {
		int head = drv_wait(&fe->rings[0], NULL, FE_TIMEOUT_MS);
		bool more = !deadline_passed(until);

		if (head < 0) {
			fprintf(stderr, "ring-load: no answer (%d)\n", head);
			exit(1);
		}
		do {
			if (*load->status[load->slot_of[head]]) {
				fprintf(stderr, "ring-load: a request failed\n");
				exit(1);
			}
			done++;
			if (more)
				submit(fe, load, load->slot_of[head]);
		} while ((head = drv_get(&fe->rings[0], NULL)) >= 0);
		if (more)
			drv_kick(&fe->rings[0]);
		else if (fe->rings[0].nfree == NUM)
			return done;
	}
}

int main(int argc, char **argv)
{
	static struct load load = { .seed = 1 };
	uint64_t size, before, ns, ticks, done;
	unsigned int seconds;
	struct fe fe;
	int ret;

	if (argc != 7 || parse_size(argv[4], &size) || size % 512 ||
	    parse_uint(argv[5], 1, NUM, &load.depth) || parse_uint(argv[6], 1, 3600, &seconds)) {
		fprintf(stderr, "usage: ring-load SOCKET PID read|write SIZE DEPTH SECONDS\n");
		return 2;
	}
	load.type = strcmp(argv[3], "write") ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT;
	load.size = (uint32_t)size;
	ret = fe_init(&fe, MEMORY, 1, NUM, true);
	fe.sock = unix_connect(argv[1], deadline_after_ms(FE_TIMEOUT_MS));
	if (fe.sock < 0)
		ret = fe.sock;
	if (!ret)
		ret = fe_handshake(&fe, ~BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE));
	if (ret || prepare(&fe, &load)) {
		fprintf(stderr, "ring-load: %s: %s\n", argv[1], strerror(-ret));
		return 1;
	}
	ticks = cpu_ticks(argv[2]);
	before = now_ns();
	done = run(&fe, &load, deadline_after_ms(seconds * 1000ULL));
	ns = now_ns() - before;
	ticks = cpu_ticks(argv[2]) - ticks;
	printf("%" PRIu64
	       " requests, %.0f a second, %.2f us each, back-end CPU %.2f us each, %.3f kicks each\n",
	       done, (double)done * 1e9 / (double)ns, (double)ns / 1e3 / (double)done,
	       (double)ticks * 1e6 / (double)sysconf(_SC_CLK_TCK) / (double)done,
	       (double)fe.rings[0].kicks / (double)done);
	fe_finish(&fe);
	return 0;
}

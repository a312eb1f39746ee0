// SPDX-License-Identifier: BSD-3-Clause
/*
 * A plugin for QEMU's emulation: how often each piece of straight code (a translation block) was
 * executed by the guest.
 *
 *     -plugin count.so,out=PREFIX
 *
 * Each time the guest executes the instruction of mark.h, what was counted since the last time is
 * written to PREFIX.0, PREFIX.1 and so on: a line for each block, with its guest-virtual address in
 * hexadecimal, its instructions, and how often it was begun. For a guest of one CPU: the counters
 * are not atomic.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mark.h"
#include "qemu-plugin-api.h"

#define BLOCKS (1U << 20)

struct block {
	uint64_t address;
	uint64_t instructions;
	uint64_t begun;
};

/* Open addressing. A block stays where it is: translated code adds to its counter. */
static struct block *blocks[BLOCKS];
static unsigned int nblocks;
static const unsigned char mark_bytes[] = { MARK_BYTES };
static char *prefix;
static unsigned int nmarks;

int qemu_plugin_version = QEMU_PLUGIN_API;

/* The same code is translated again and again; what it is depends on these two only. */
static struct block *find(uint64_t address, uint64_t instructions)
{
	uint64_t hash = (address ^ instructions << 56) * 0x9e3779b97f4a7c15ULL;
	unsigned int i = hash >> 44;

	while (blocks[i] &&
	       (blocks[i]->address != address || blocks[i]->instructions != instructions))
		i = (i + 1) % BLOCKS;
	if (blocks[i])
		return blocks[i];
	if (nblocks == BLOCKS / 2) {
		fprintf(stderr, "count: more than %u blocks\n", nblocks);
		exit(1);
	}
	blocks[i] = calloc(1, sizeof(*blocks[i]));
	if (!blocks[i]) {
		fprintf(stderr, "count: no memory\n");
		exit(1);
	}
	blocks[i]->address = address;
	blocks[i]->instructions = instructions;
	nblocks++;
	return blocks[i];
}

static void marked(unsigned int cpu, void *data)
{
	char path[4096];
	unsigned int i;
	FILE *out;

	(void)cpu;
	(void)data;
	snprintf(path, sizeof(path), "%s.%u", prefix, nmarks++);
	out = fopen(path, "w");
	if (!out) {
		fprintf(stderr, "count: %s: %m\n", path);
		return;
	}
	for (i = 0; i < BLOCKS; i++) {
		struct block *b = blocks[i];

		if (!b || !b->begun)
			continue;
		fprintf(out, "%" PRIx64 " %" PRIu64 " %" PRIu64 "\n", b->address, b->instructions,
			b->begun);
		b->begun = 0;
	}
	if (fclose(out))
		fprintf(stderr, "count: %s: %m\n", path);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t i, n = qemu_plugin_tb_n_insns(tb);
	struct block *block = find(qemu_plugin_tb_vaddr(tb), n);

	(void)id;
	qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_ADD_U64, &block->begun, 1);
	for (i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		if (qemu_plugin_insn_size(insn) == sizeof(mark_bytes) &&
		    !memcmp(qemu_plugin_insn_data(insn), mark_bytes, sizeof(mark_bytes)))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, marked, QEMU_PLUGIN_NO_REGS,
							       NULL);
	}
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4) != 0) {
		fprintf(stderr, "count: expected out=PREFIX\n");
		return 1;
	}
	prefix = strdup(argv[0] + 4);
	if (!prefix)
		return 1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}

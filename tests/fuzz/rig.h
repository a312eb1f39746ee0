/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the fuzzers of virtqueues stand on: the driver's memory, which the input is laid over, and
 * queues of RIG_NUM descriptors somewhere in it. And the log is silent.
 *
 * A fuzzer has one rig, static, with its sizes filled in; it lasts as long as the process. The rig
 * owns the memory. What is started on it is the fuzzer's to stop, before the next input is filled
 * in.
 *
 * Sizes and offsets are in bytes. Offsets count from the start of the memory as the driver sees
 * it: offset 0 is RIG_GPA in descriptors, RIG_UVA for the front-end.
 */
#ifndef FUZZ_RIG_H
#define FUZZ_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_config.h>

#include "backends/common/memory.h"
#include "backends/common/virtqueue.h"

#define RIG_NUM 8 /* descriptors of each queue */
#define RIG_GPA 0x1000ULL /* as tests/fuzz/make-corpus has it */
#define RIG_UVA 0x700000ULL

struct rig {
	size_t size; /* the fuzzer's: of the memory */
	size_t avail; /* the fuzzer's: from a queue's descriptors to its available ring */
	size_t used; /* ... and to its used ring */

	struct mem_table mem; /* what the device is given */
	uint8_t *memory; /* the first region, of which there is but one after rig_init() */
};

/* What libFuzzer calls */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* rig_init() - silence, and the memory as one region; aborts where that cannot be */
void rig_init(struct rig *rig);

/* rig_init_regions() - the same with these regions of a file of rig->size bytes */
void rig_init_regions(struct rig *rig, const struct vhost_user_memory_region *regions,
		      unsigned int count);

/**
 * rig_fill() - lay an input over the memory
 * @rig:	the rig
 * @data:	@size bytes, which go into the regions in their order
 * @size:	what there is no room for is left out, and the rest of the memory is zero
 */
void rig_fill(struct rig *rig, const uint8_t *data, size_t size);

/**
 * rig_packed() - the layout of rings: a feature bit or nothing
 * @chosen:	as the input has it; FUZZ_LAYOUT=split or packed in the environment goes before
 *		that, so that tests/fuzz/hours can tell how long each was fuzzed
 */
uint64_t rig_packed(bool chosen);

/**
 * rig_setup() - what a queue is started with
 * @rig:	the rig, to which the setup refers
 * @at:		offset of its descriptors
 * @features:	acknowledged; a packed ring has its event suppression where a split one has its
 *		available and used rings
 *
 * Return: the setup of queue 0 from its beginning, without call and in-flight record; the caller
 * changes what is to be otherwise, and hands it to vq_start().
 */
struct vq_setup rig_setup(const struct rig *rig, uint64_t at, uint64_t features);

#endif

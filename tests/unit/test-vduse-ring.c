// SPDX-License-Identifier: BSD-3-Clause
/* Which requests are outstanding, found out by looking at the rings now and then; their failure. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "adapter/vduse-ring.h"
#include "check.h"
#include "common/util.h"

#define NUM 16
#define MEMORY (64 << 10)
#define STEPS 200000

struct state {
	struct vduse_ring ring;
	struct vduse_record record;
	bool out[NUM]; /* the truth */
	unsigned int count;
	uint8_t *memory;
};

static int setup(void **state)
{
	struct state *s = calloc(1, sizeof(*s));

	s->ring.num = NUM;
	s->ring.desc = calloc(NUM, sizeof(*s->ring.desc));
	s->ring.avail = calloc(1, 6 + 2 * NUM);
	s->ring.used = calloc(1, 6 + 8 * NUM);
	s->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	vduse_record_begin(&s->record);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct state *s = *state;

	munmap(s->memory, MEMORY);
	free(s->ring.desc);
	free(s->ring.avail);
	free(s->ring.used);
	free(s);
	return 0;
}

static void publish(struct state *s, uint16_t head)
{
	uint16_t idx = le16toh(s->ring.avail->idx);

	assert_false(s->out[head]);
	s->ring.avail->ring[idx % NUM] = htole16(head);
	s->ring.avail->idx = htole16((uint16_t)(idx + 1));
	s->out[head] = true;
	s->count++;
}

static void complete(struct state *s, uint16_t head)
{
	uint16_t idx = le16toh(s->ring.used->idx);

	assert_true(s->out[head]);
	s->ring.used->ring[idx % NUM].id = htole32(head);
	s->ring.used->idx = htole16((uint16_t)(idx + 1));
	s->out[head] = false;
	s->count--;
}

/* The list is what is outstanding, in whatever order. */
static void check_list(const struct state *s)
{
	bool seen[NUM] = { false };
	uint16_t heads[NUM];
	unsigned int i, count = vduse_record_list(&s->record, &s->ring, heads);

	assert_int_equal(count, s->count);
	for (i = 0; i < count; i++) {
		assert_true(heads[i] < NUM && !seen[heads[i]]);
		seen[heads[i]] = true;
		assert_true(s->out[heads[i]]);
	}
}

static void look(struct state *s)
{
	vduse_record_look(&s->record, &s->ring);
}

static void out_of_order(void **state)
{
	struct state *s = *state;
	uint16_t i;

	look(s);
	check_list(s);
	for (i = 0; i < NUM; i++)
		publish(s, i);
	look(s);
	check_list(s);
	complete(s, 9);
	complete(s, 3);
	publish(s, 3); /* used and published again between two looks */
	look(s);
	assert_true(s->record.whole);
	check_list(s);
}

/* One step of a driver and a device that does as it likes. */
static void step(struct state *s)
{
	uint16_t head = (uint16_t)(rand() % NUM); /* NOLINT(cert-msc30-c,cert-msc50-cpp) */

	if (s->out[head])
		complete(s, head);
	else
		publish(s, head);
}

/* As long as no more than a ring full of news comes at a time, it is always exact. */
static void looks_often_enough(void **state)
{
	struct state *s = *state;
	unsigned int i, since = 0;

	srand(7);
	for (i = 0; i < STEPS; i++) {
		step(s);
		if (++since < NUM && rand() % 8) /* NOLINT(cert-msc30-c,cert-msc50-cpp) */
			continue;
		since = 0;
		look(s);
		assert_true(s->record.whole);
		check_list(s);
	}
}

/* After entries were missed it never claims to be exact when it is not, and gets there again. */
static void missed_and_found_again(void **state)
{
	struct state *s = *state;
	unsigned int i, lost = 0, found = 0;
	bool whole = true;

	srand(11);
	for (i = 0; i < STEPS; i++) {
		/* NOLINTNEXTLINE(cert-msc30-c,cert-msc50-cpp) */
		unsigned int n = rand() % 50 ? 4 : 5 * NUM;

		while (n--)
			step(s);
		look(s);
		if (s->record.whole)
			check_list(s);
		lost += whole && !s->record.whole;
		found += !whole && s->record.whole;
		whole = s->record.whole;
	}
	assert_true(lost > 100);
	assert_true(found + 1 >= lost);
}

/* A process that was killed while it looked leaves a record that is not relied on. */
static void torn(void **state)
{
	struct state *s = *state;

	publish(s, 5);
	publish(s, 6);
	complete(s, 5);
	s->record.busy = 1;
	s->record.avail = 1;
	look(s);
	assert_int_equal(s->record.busy, 0);
	/* the youngest entry is the one that is left, as of a device that works in order */
	assert_false(s->record.whole);
	check_list(s);
}

static void nonsense(void **state)
{
	struct state *s = *state;
	uint16_t heads[NUM];
	unsigned int i;

	publish(s, 1);
	s->ring.used->ring[0].id = htole32(NUM + 7);
	s->ring.used->idx = htole16(1);
	look(s);
	assert_true(vduse_record_list(&s->record, &s->ring, heads) <= NUM);
	/* the same head twice, more used than published, indices far away */
	s->ring.used->ring[1].id = htole32(1);
	s->ring.used->ring[2].id = htole32(1);
	s->ring.used->idx = htole16(3);
	look(s);
	s->ring.used->idx = htole16(40000);
	look(s);
	for (i = 0; i < 3; i++) {
		look(s);
		assert_true(vduse_record_list(&s->record, &s->ring, heads) <= NUM);
	}
}

static void describe(struct vring_desc *desc, uint64_t addr, uint32_t len, uint16_t flags,
		     uint16_t next)
{
	*desc = (struct vring_desc){
		.addr = htole64(addr),
		.len = htole32(len),
		.flags = htole16(flags),
		.next = htole16(next),
	};
}

/* As virtio-blk has them: header, data, status; the last byte to be written is the status. */
static void describe_request(struct vring_desc *table, uint16_t first)
{
	describe(&table[first], 0x100, 16, VRING_DESC_F_NEXT, (uint16_t)(first + 1));
	describe(&table[first + 1], 0x1000, 512, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
		 (uint16_t)(first + 2));
	describe(&table[first + 2], 0x2000, 1, VRING_DESC_F_WRITE, 0);
}

static void fails(void **state)
{
	struct state *s = *state;
	struct vring_desc *indirect = (struct vring_desc *)(s->memory + 0x4000);

	describe_request(s->ring.desc, 4);
	vduse_ring_fail(&s->ring, 4, s->memory, MEMORY, 1);
	assert_int_equal(s->memory[0x2000], 1);
	assert_int_equal(le16toh(s->ring.used->idx), 1);
	assert_int_equal(le32toh(s->ring.used->ring[0].id), 4);

	s->memory[0x2000] = 0;
	describe_request(indirect, 0);
	describe(&s->ring.desc[0], 0x4000, 3 * sizeof(*indirect), VRING_DESC_F_INDIRECT, 0);
	vduse_ring_fail(&s->ring, 0, s->memory, MEMORY, 1);
	assert_int_equal(s->memory[0x2000], 1);
	assert_int_equal(le32toh(s->ring.used->ring[1].id), 0);

	/* other types have no such byte */
	s->memory[0x2000] = 0;
	vduse_ring_fail(&s->ring, 0, s->memory, MEMORY, -1);
	assert_int_equal(s->memory[0x2000], 0);
	assert_int_equal(le16toh(s->ring.used->idx), 3);
}

/* The device may have written into the tables: it ends, and nothing outside is touched. */
static void fails_with_nonsense(void **state)
{
	struct state *s = *state;
	struct vring_desc *indirect = (struct vring_desc *)(s->memory + 0x4000);
	void *hole = s->memory + MEMORY / 2;

	assert_int_equal(munmap(hole, 4096), 0);
	describe(&s->ring.desc[0], MEMORY - 1, 2, VRING_DESC_F_WRITE, 0);
	vduse_ring_fail(&s->ring, 0, s->memory, MEMORY, 1);
	describe(&s->ring.desc[0], UINT64_MAX, 2, VRING_DESC_F_WRITE, 0);
	vduse_ring_fail(&s->ring, 0, s->memory, MEMORY, 1);
	/* a page that is not there, for the status and for the table */
	describe(&s->ring.desc[0], MEMORY / 2, 1, VRING_DESC_F_WRITE, 0);
	vduse_ring_fail(&s->ring, 0, s->memory, MEMORY, 1);
	describe(&s->ring.desc[0], MEMORY / 2, 1024, VRING_DESC_F_INDIRECT, 0);
	vduse_ring_fail(&s->ring, 0, s->memory, MEMORY, 1);
	/* chains without an end */
	describe(&s->ring.desc[0], 0x1000, 1, VRING_DESC_F_NEXT, 0);
	vduse_ring_fail(&s->ring, 0, s->memory, MEMORY, 1);
	describe(&s->ring.desc[0], 0x1000, 1, VRING_DESC_F_NEXT, 60000);
	vduse_ring_fail(&s->ring, 0, s->memory, MEMORY, 1);
	describe(&indirect[0], 0x1000, 1, VRING_DESC_F_NEXT, 0);
	describe(&s->ring.desc[0], 0x4000, UINT32_MAX, VRING_DESC_F_INDIRECT, 0);
	vduse_ring_fail(&s->ring, 0, s->memory, MEMORY, 1);
	assert_int_equal(le16toh(s->ring.used->idx), 7);
	mmap(hole, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(out_of_order),
		CASE(looks_often_enough),
		CASE(missed_and_found_again),
		CASE(torn),
		CASE(nonsense),
		CASE(fails),
		CASE(fails_with_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-3-Clause
/* Buffers into the pool and out of it: the right bytes, and no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "bounce.h"
#include "pool.h"
#include "shim/shim.h"


#define POOL_SIZE	(1UL << 20)
#define BASE		0x200000000ULL
#define RINGS		(4 * PAGE_SIZE)

struct fixture {
	struct vlb_pool pool;
	struct vlb_bounce bounce;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->pool.size = POOL_SIZE;
	f->pool.vaddr = aligned_alloc(PAGE_SIZE, POOL_SIZE);
	/* What an earlier owner left. */
	memset(f->pool.vaddr, 0xbb, POOL_SIZE);
	*state = f;
	return vlb_bounce_init(&f->bounce, &f->pool, BASE, RINGS);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	vlb_bounce_finish(&f->bounce);
	free(f->pool.vaddr);
	free(f);
	return 0;
}

static u8 *device_sees(struct fixture *f, dma_addr_t addr)
{
	assert_true(addr >= BASE + RINGS && addr < BASE + POOL_SIZE);
	return (u8 *)f->pool.vaddr + (addr - BASE);
}

static void test_directions(void **state)
{
	struct fixture *f = *state;
	u8 buffer[10000];
	dma_addr_t addr;

	for (size_t len = 1; len <= sizeof(buffer); len += len < 600 ? 1 : 977) {
		memset(buffer, 0x11, sizeof(buffer));
		addr = vlb_bounce_map(&f->bounce, (uintptr_t)buffer, len, DMA_TO_DEVICE, 0);
		assert_memory_equal(device_sees(f, addr), buffer, len);
		memset(device_sees(f, addr), 0x99, len);
		vlb_bounce_unmap(&f->bounce, addr, 0);
		assert_int_equal(buffer[0], 0x11);

		addr = vlb_bounce_map(&f->bounce, (uintptr_t)buffer, len, DMA_FROM_DEVICE, 0);
		for (size_t i = 0; i < len; i++)
			assert_int_equal(device_sees(f, addr)[i], 0);
		memset(device_sees(f, addr), 0x22, len);
		vlb_bounce_unmap(&f->bounce, addr, 0);
		for (size_t i = 0; i < sizeof(buffer); i++)
			assert_int_equal(buffer[i], i < len ? 0x22 : 0x11);

		addr = vlb_bounce_map(&f->bounce, (uintptr_t)buffer, len, DMA_BIDIRECTIONAL, 0);
		assert_memory_equal(device_sees(f, addr), buffer, len);
		memset(device_sees(f, addr), 0x33, len);
		vlb_bounce_unmap(&f->bounce, addr, 0);
		assert_int_equal(buffer[len - 1], 0x33);
	}
	assert_int_equal(vlb_bounce_live(&f->bounce), 0);
}

/* A driver that copies by itself, and only a part. */
static void test_sync(void **state)
{
	struct fixture *f = *state;
	u8 buffer[3000];
	dma_addr_t addr;

	memset(buffer, 0x44, sizeof(buffer));
	addr = vlb_bounce_map(&f->bounce, (uintptr_t)buffer, sizeof(buffer), DMA_BIDIRECTIONAL,
			      DMA_ATTR_SKIP_CPU_SYNC);
	assert_int_equal(device_sees(f, addr)[0], 0);
	vlb_bounce_sync_for_device(&f->bounce, addr + 1000, 500);
	assert_int_equal(device_sees(f, addr)[999], 0);
	assert_int_equal(device_sees(f, addr)[1000], 0x44);
	assert_int_equal(device_sees(f, addr)[1499], 0x44);
	assert_int_equal(device_sees(f, addr)[1500], 0);
	memset(device_sees(f, addr), 0x55, sizeof(buffer));
	vlb_bounce_sync_for_cpu(&f->bounce, addr + 2999, 4000);
	assert_int_equal(buffer[2998], 0x44);
	assert_int_equal(buffer[2999], 0x55);
	vlb_bounce_unmap(&f->bounce, addr, DMA_ATTR_SKIP_CPU_SYNC);
	assert_int_equal(buffer[0], 0x44);
}

/* After the end: small buffers are errors, large ones stay as they were, nothing is added. */
static struct vlb_bounce *watched;
static unsigned int looks, copy_locks, locks;

static void look_at_locks(void)
{
	looks++;
	locks += watched->lock.held;
	for (unsigned int i = 0; i < VLB_COPY_LOCKS; i++)
		copy_locks += watched->copies[i].held;
}

/* The buffer may go when it is unmapped: whoever copies to it or from it holds that off. */
static void test_locks(void **state)
{
	struct fixture *f = *state;
	u8 buffer[4096] __attribute__((aligned(4096)));
	static const size_t sizes[] = { 1, 512, 513, sizeof(buffer) };

	watched = &f->bounce;
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		bool large = sizes[i] > 512;
		dma_addr_t addr = vlb_bounce_map(&f->bounce, (uintptr_t)buffer, sizes[i],
						 DMA_BIDIRECTIONAL, 0);

		looks = copy_locks = locks = 0;
		shim_on_kmap = look_at_locks;
		vlb_bounce_sync_for_cpu(&f->bounce, addr, sizes[i]);
		vlb_bounce_sync_for_device(&f->bounce, addr, sizes[i]);
		vlb_bounce_unmap(&f->bounce, addr, 0);
		shim_on_kmap = NULL;
		assert_int_equal(looks, 3);
		assert_int_equal(copy_locks, large ? 3 : 0);
		assert_int_equal(locks, large ? 0 : 3);
	}
}

/* What is not mapped, or not any more, is told of, and changes nothing. */
static unsigned int strays;

static void count_stray(struct vlb_bounce *bounce)
{
	(void)bounce;
	strays++;
}

static void test_stray(void **state)
{
	static const size_t sizes[] = { 16, 4096 };
	struct fixture *f = *state;
	u8 buffer[4096];

	f->bounce.stray = count_stray;
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		dma_addr_t addr = vlb_bounce_map(&f->bounce, (uintptr_t)buffer, sizes[i],
						 DMA_FROM_DEVICE, 0);

		strays = 0;
		vlb_bounce_unmap(&f->bounce, addr + VLB_GRANULE_SIZE, 0);
		assert_int_equal(strays, 1);
		assert_int_equal(vlb_bounce_live(&f->bounce), 1);
		vlb_bounce_unmap(&f->bounce, addr, 0);
		memset(buffer, 0x44, sizeof(buffer));
		memset(device_sees(f, addr), 0x55, sizes[i]);
		vlb_bounce_unmap(&f->bounce, addr, 0);
		vlb_bounce_sync_for_cpu(&f->bounce, addr, sizes[i]);
		assert_int_equal(strays, 3);
		assert_int_equal(buffer[0], 0x44);
		assert_int_equal(vlb_bounce_live(&f->bounce), 0);
	}
}

static void test_poison(void **state)
{
	struct fixture *f = *state;
	u8 status = 0x44, data[4096];
	dma_addr_t one, two;

	memset(data, 0x44, sizeof(data));
	one = vlb_bounce_map(&f->bounce, (uintptr_t)&status, 1, DMA_FROM_DEVICE, 0);
	two = vlb_bounce_map(&f->bounce, (uintptr_t)data, sizeof(data), DMA_FROM_DEVICE, 0);
	memset(device_sees(f, two), 0x66, sizeof(data));
	vlb_bounce_close(&f->bounce);
	vlb_bounce_poison(&f->bounce);
	assert_true(vlb_bounce_map(&f->bounce, (uintptr_t)data, 1, DMA_TO_DEVICE, 0) ==
		    DMA_MAPPING_ERROR);
	vlb_bounce_unmap(&f->bounce, one, 0);
	vlb_bounce_unmap(&f->bounce, two, 0);
	assert_int_equal(status, 0xff);
	assert_int_equal(data[0], 0x44);
}

static void test_limits(void **state)
{
	struct fixture *f = *state;
	u8 *data = malloc(2 << 20);
	dma_addr_t addr;

	assert_true(vlb_bounce_map(&f->bounce, (uintptr_t)data, 0, DMA_TO_DEVICE, 0) ==
		    DMA_MAPPING_ERROR);
	assert_true(vlb_bounce_map(&f->bounce, (uintptr_t)data, (1 << 20) + 1, DMA_TO_DEVICE, 0) ==
		    DMA_MAPPING_ERROR);
	f->bounce.stray = count_stray;
	strays = 0;
	/* Addresses that are none: a driver is wrong. */
	vlb_bounce_unmap(&f->bounce, BASE, 0);
	vlb_bounce_unmap(&f->bounce, BASE + RINGS, 0);
	vlb_bounce_unmap(&f->bounce, BASE + POOL_SIZE, 0);
	vlb_bounce_unmap(&f->bounce, 0, 0);
	vlb_bounce_unmap(&f->bounce, ~0ULL, 0);
	addr = vlb_bounce_map(&f->bounce, (uintptr_t)data, 4096, DMA_TO_DEVICE, 0);
	vlb_bounce_unmap(&f->bounce, addr + 512, 0);
	assert_int_equal(strays, 6);
	vlb_bounce_unmap(&f->bounce, addr, 0);
	assert_int_equal(strays, 6);
	assert_int_equal(vlb_bounce_live(&f->bounce), 0);
	free(data);
}

/* The addresses of rings that the device does not see end somewhere, and none is the pool's. */
static void test_private_addresses(void **state)
{
	struct fixture *f = *state;
	const dma_addr_t room = 4 * PAGE_SIZE;
	void *ring, *kept;
	dma_addr_t addr, first;

	f->bounce.base = ~(dma_addr_t)0 - POOL_SIZE - room;
	f->bounce.private_rings = true;
	kept = vlb_bounce_alloc_coherent(&f->bounce, PAGE_SIZE, &first);
	assert_non_null(kept);
	assert_int_equal(first, f->bounce.base + POOL_SIZE);
	for (int i = 0; i < 16; i++) {
		ring = vlb_bounce_alloc_coherent(&f->bounce, 2 * PAGE_SIZE - 1, &addr);
		assert_non_null(ring);
		assert_true(addr >= first && addr + 2 * PAGE_SIZE <= first + room);
		vlb_bounce_free_ring(&f->bounce, 2 * PAGE_SIZE - 1, ring);
	}
	vlb_bounce_free_ring(&f->bounce, PAGE_SIZE, kept);

	/* those that it sees are given as before */
	f->bounce.private_rings = false;
	ring = vlb_bounce_alloc_coherent(&f->bounce, RINGS, &addr);
	assert_ptr_equal(ring, f->pool.vaddr);
	assert_null(vlb_bounce_alloc_coherent(&f->bounce, 1, &addr));
	vlb_bounce_free_ring(&f->bounce, RINGS, ring);
	assert_ptr_equal(vlb_bounce_alloc_coherent(&f->bounce, RINGS, &addr), ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_directions, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sync, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_locks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stray, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_poison, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_private_addresses, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

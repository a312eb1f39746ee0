/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * As much of the kernel as slots.c and bounce.c of the module need, so that they
 * run in a test program, under the sanitizers. A physical address is a pointer here. One
 * thread: locks only check that they are taken and given back in turn.
 */
#ifndef KERNEL_SHIM_H
#define KERNEL_SHIM_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <linux/const.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef uint64_t phys_addr_t;
typedef uint64_t dma_addr_t;
typedef unsigned int gfp_t;

#define U16_MAX		UINT16_MAX
#define U32_MAX		UINT32_MAX
#define __force
#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#define READ_ONCE(x)	(*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))
#define smp_rmb()	__atomic_thread_fence(__ATOMIC_ACQUIRE)
#define le16_to_cpu(x)	(x)
#define le32_to_cpu(x)	(x)
#define cpu_to_le16(x)	(x)
#define cpu_to_le32(x)	(x)
#define le64_to_cpu(x)	(x)

#define min(a, b)	((a) < (b) ? (a) : (b))
#define max(a, b)	((a) > (b) ? (a) : (b))
#define min_t(type, a, b) min((type)(a), (type)(b))
#define max_t(type, a, b) max((type)(a), (type)(b))
#define clamp_t(type, value, low, high) min_t(type, max_t(type, value, low), high)
#define BIT(n)		(1UL << (n))

/* memory */
#define GFP_KERNEL	0
#define GFP_KERNEL_ACCOUNT 0
#define PAGE_SHIFT	12
#define PAGE_SIZE	(1UL << PAGE_SHIFT)
#define PAGE_ALIGN(x)	(((x) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1))
#define SZ_64K		0x10000
#define SZ_256K		0x40000
#define PHYS_PFN(x)	((x) >> PAGE_SHIFT)
#define offset_in_page(x) ((x) & (PAGE_SIZE - 1))
#define pfn_to_page(pfn) ((struct page *)((pfn) << PAGE_SHIFT))
/* A test may look at what is held while buffers are copied. */
__attribute__((weak)) void (*shim_on_kmap)(void);
#define kmap_local_page(page) (shim_on_kmap ? shim_on_kmap() : (void)0, (void *)(page))
#define kunmap_local(address) ((void)(address))
struct page;

static inline void *kcalloc(size_t n, size_t size, gfp_t gfp)
{
	(void)gfp;
	return calloc(n, size);
}

static inline void *kvmalloc_array(size_t n, size_t size, gfp_t gfp)
{
	(void)gfp;
	return malloc(n * size);
}

#define kvcalloc	kcalloc
#define kvzalloc(size, gfp)	kcalloc(1, size, gfp)
#define kfree(p)	free(p)
#define kvfree(p)	free(p)

static inline unsigned int fls_long(unsigned long x)
{
	return x ? 64 - __builtin_clzl(x) : 0;
}

static inline unsigned long rounddown_pow_of_two(unsigned long x)
{
	return 1UL << (fls_long(x) - 1);
}

/* locks */
typedef struct {
	bool held;
} spinlock_t;

static inline void spin_lock_init(spinlock_t *lock)
{
	lock->held = false;
}

static inline void shim_lock(spinlock_t *lock)
{
	assert(!lock->held);
	lock->held = true;
}

static inline void shim_unlock(spinlock_t *lock)
{
	assert(lock->held);
	lock->held = false;
}

#define smp_load_acquire(p) (*(p))
#define smp_store_release(p, value) (*(p) = (value))
#define spin_lock(lock) shim_lock(lock)
#define spin_unlock(lock) shim_unlock(lock)
#define spin_lock_irqsave(lock, flags) ((flags) = 0, shim_lock(lock))
#define spin_unlock_irqrestore(lock, flags) ((void)(flags), shim_unlock(lock))

/* bitmaps, plainly */
static inline unsigned long *bitmap_zalloc(unsigned int bits, gfp_t gfp)
{
	(void)gfp;
	return calloc((bits + 63) / 64 + 1, 8);
}

#define bitmap_free(map) free(map)

static inline bool shim_test_bit(const unsigned long *map, unsigned long bit)
{
	return map[bit / 64] >> (bit % 64) & 1;
}

static inline void bitmap_set(unsigned long *map, unsigned int start, unsigned int count)
{
	for (; count--; start++)
		map[start / 64] |= 1UL << (start % 64);
}

static inline void bitmap_clear(unsigned long *map, unsigned int start, unsigned int count)
{
	for (; count--; start++)
		map[start / 64] &= ~(1UL << (start % 64));
}

static inline unsigned long bitmap_find_next_zero_area(const unsigned long *map,
						       unsigned long size, unsigned long start,
						       unsigned int count, unsigned long align_mask)
{
	unsigned int run;

	for (start = (start + align_mask) & ~align_mask; start + count <= size;
	     start += align_mask + 1) {
		for (run = 0; run < count && !shim_test_bit(map, start + run); run++)
			;
		if (run == count)
			return start;
	}
	return size + 1;
}

static inline void sort(void *base, size_t num, size_t size,
			int (*cmp)(const void *, const void *), void *unused)
{
	(void)unused;
	qsort(base, num, size, cmp);
}

/* the DMA API's words */
enum dma_data_direction {
	DMA_BIDIRECTIONAL,
	DMA_TO_DEVICE,
	DMA_FROM_DEVICE,
};

#define DMA_MAPPING_ERROR	(~(dma_addr_t)0)
#define DMA_ATTR_SKIP_CPU_SYNC	(1UL << 5)

#endif

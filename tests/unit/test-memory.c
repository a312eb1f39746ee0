// SPDX-License-Identifier: BSD-3-Clause
/* The memory table: what may be mapped, and which addresses are in it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/common/memory.h"
#include "check.h"

#define PAGE 4096ULL

static int fd;
static struct mem_table mem;

static int setup(void **state)
{
	(void)state;
	mem_init(&mem);
	fd = memfd_create("test", 0);
	return fd < 0 || ftruncate(fd, 16 * PAGE) < 0;
}

static int teardown(void **state)
{
	(void)state;
	mem_finish(&mem);
	close(fd);
	return 0;
}

static int add(uint64_t gpa, uint64_t uva, uint64_t size, uint64_t offset)
{
	struct vhost_user_memory_region region = { gpa, size, uva, offset };

	return mem_add(&mem, &region, fd);
}

static void test_lookup(void **state)
{
	uint8_t byte = 0x77;
	uint64_t part;
	uint8_t *p;

	(void)state;
	assert_int_equal(add(0x10000, 0x900000, 4 * PAGE, PAGE), 0);
	assert_int_equal(pwrite(fd, &byte, 1, PAGE + 5), 1);
	p = mem_gpa(&mem, 0x10005, 1);
	assert_non_null(p);
	assert_int_equal(*p, 0x77);
	assert_ptr_equal(mem_uva(&mem, 0x900005, 1), p);
	/* the whole of it, and no byte more, on either side */
	assert_non_null(mem_gpa(&mem, 0x10000, 4 * PAGE));
	assert_null(mem_gpa(&mem, 0x10000, 4 * PAGE + 1));
	assert_null(mem_gpa(&mem, 0x10001, 4 * PAGE));
	assert_null(mem_gpa(&mem, 0x10000 - 1, 1));
	assert_null(mem_gpa(&mem, 0x10000 + 4 * PAGE, 1));
	assert_null(mem_gpa(&mem, 0x10001, UINT64_MAX));
	assert_null(mem_gpa(&mem, UINT64_MAX, 2));
	assert_null(mem_uva(&mem, 0x10005, 1));
	assert_null(mem_uva(&mem, 0x900000, 4 * PAGE + 1));
	part = 100 * PAGE;
	assert_non_null(mem_gpa_part(&mem, 0x10000 + PAGE, &part));
	assert_int_equal(part, 3 * PAGE);
}

static void test_across(void **state)
{
	uint8_t want[64], got[64];
	unsigned int i;

	(void)state;
	/* two regions side by side that are not so in the file */
	assert_int_equal(add(0x10000, 0x900000, PAGE, 8 * PAGE), 0);
	assert_int_equal(add(0x10000 + PAGE, 0x900000 + PAGE, PAGE, 0), 0);
	for (i = 0; i < sizeof(want); i++)
		want[i] = (uint8_t)i;
	assert_int_equal(pwrite(fd, want, 32, 9 * PAGE - 32), 32);
	assert_int_equal(pwrite(fd, want + 32, 32, 0), 32);
	assert_int_equal(mem_read(&mem, 0x10000 + PAGE - 32, got, sizeof(got)), 0);
	assert_memory_equal(want, got, sizeof(got));
	assert_null(mem_gpa(&mem, 0x10000 + PAGE - 32, 64));
	assert_int_equal(mem_read(&mem, 0x10000 + 2 * PAGE - 32, got, sizeof(got)), -EFAULT);
}

static void test_refused(void **state)
{
	(void)state;
	assert_int_equal(add(0, 0, 0, 0), -EINVAL);
	assert_int_equal(add(0, 0, 17 * PAGE, 0), -EINVAL); /* longer than the file */
	assert_int_equal(add(0, 0, 16 * PAGE, 1), -EINVAL);
	assert_int_equal(add(0, 0, PAGE, UINT64_MAX - PAGE + 1), -EINVAL);
	assert_int_equal(add(0, 0, PAGE, INT64_MAX), -EINVAL);
	assert_int_equal(add(UINT64_MAX, 0, PAGE, 0), -EINVAL);
	assert_int_equal(add(0, UINT64_MAX, PAGE, 0), -EINVAL);
	assert_int_equal(add(0, 0, UINT64_MAX, 1), -EINVAL);
	assert_int_equal(mem.nregions, 0);
	assert_int_equal(add(0x10000, 0x10000, 4 * PAGE, 0), 0);
	assert_int_equal(add(0x10000 + 3 * PAGE, 0x90000, PAGE, 0),
			 -EINVAL); /* overlaps by either address */
	assert_int_equal(add(0x90000, 0x10000, PAGE, 0), -EINVAL);
	assert_int_equal(add(0x10000 - PAGE, 0x90000, 8 * PAGE, 0), -EINVAL);
	assert_int_equal(mem.nregions, 1);
}

static void test_many_and_remove(void **state)
{
	struct vhost_user_memory_region region = { 0x10000 + 5 * PAGE, PAGE, 0x900000 + 5 * PAGE,
						   0 };
	unsigned int i;

	(void)state;
	for (i = 0; i < MEM_MAX_REGIONS; i++)
		assert_int_equal(
			add(0x10000 + i * PAGE, 0x900000 + i * PAGE, PAGE, (i % 16) * PAGE), 0);
	assert_int_equal(add(0x10000 + i * PAGE, 0x900000 + i * PAGE, PAGE, 0), -ENOSPC);
	assert_int_equal(mem_remove(&mem, &region), 0);
	assert_null(mem_gpa(&mem, region.guest_addr, 1));
	assert_non_null(mem_gpa(&mem, region.guest_addr + PAGE, 1));
	assert_int_equal(mem_remove(&mem, &region), -ENOENT);
	region.guest_addr += PAGE; /* half of a region's description is not that region */
	assert_int_equal(mem_remove(&mem, &region), -ENOENT);
}

/* A region that begins in the middle of a page. */
static void test_unaligned_offset(void **state)
{
	uint8_t *p;

	(void)state;
	assert_int_equal(pwrite(fd, "x", 1, PAGE + 100), 1);
	assert_int_equal(add(0x10000, 0x900000, PAGE, PAGE + 100), 0);
	p = mem_gpa(&mem, 0x10000, PAGE);
	assert_non_null(p);
	assert_int_equal(*p, 'x');
}

static unsigned int count_maps(const char *name)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned int n = 0;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, name) != NULL;
	fclose(f);
	return n;
}

/* A huge page's mapping can be removed as a whole only. None is touched: there need not be any. */
static void test_huge_pages(void **state)
{
	struct vhost_user_memory_region region = { 0x10000, PAGE, 0x900000, 0 };
	int huge = memfd_create("test-huge", MFD_HUGETLB), ret;
	unsigned int left;

	(void)state;
	if (huge < 0 || ftruncate(huge, 1 << 30) < 0) {
		print_message("no huge pages here\n");
		skip();
	}
	ret = mem_add(&mem, &region, huge);
	if (!ret) {
		assert_int_equal(count_maps("test-huge"), 1);
		ret = mem_remove(&mem, &region);
	}
	left = count_maps("test-huge");
	close(huge);
	assert_int_equal(ret, 0);
	if (left)
		fail_msg("expected no mapping left behind, saw %u", left);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lookup, setup, teardown),
		cmocka_unit_test_setup_teardown(test_across, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_and_remove, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unaligned_offset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_huge_pages, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-3-Clause
#include "missing-page.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct uffdio_range range_of(void *page)
{
	return (struct uffdio_range){ (uintptr_t)page, (uint64_t)sysconf(_SC_PAGESIZE) };
}

void *missing_page(int *uffd)
{
	struct uffdio_register args = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_api api = { .api = UFFD_API };
	void *page;

	*uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (*uffd < 0)
		return NULL;
	page = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return NULL;
	args.range = range_of(page);
	if (ioctl(*uffd, UFFDIO_API, &api) || ioctl(*uffd, UFFDIO_REGISTER, &args))
		return NULL;
	return page;
}

int missing_page_comes(int uffd, void *page)
{
	struct uffdio_zeropage args = { .range = range_of(page) };

	return ioctl(uffd, UFFDIO_ZEROPAGE, &args);
}

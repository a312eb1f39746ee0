// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/doctor.h"
#include "common/cleanup.h"
#include "common/util.h"

#define CONFIG_MAX_BYTES (1 << 20)

/* 6.12 is 612: nobody compares with more */
static unsigned int version(const struct doctor *d)
{
	char *end;
	unsigned long major = strtoul(d->release, &end, 10);
	unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;

	return (unsigned int)(major * 100 + MIN(minor, 99UL));
}

void doctor_check_kernel(struct doctor *d)
{
	if (version(d) >= 601)
		doctor_say(d, FINDING_OK, "kernel", NULL, "Linux %s", d->release);
	else
		doctor_say(d, FINDING_BAD, "kernel", "apt install linux-image-<newer>, and reboot",
			   "Linux %s is too old: 6.1 is the oldest", d->release);
}

/* The kernel's configuration as text; the caller frees. NULL: it is nowhere. */
static char *read_config(const struct doctor *d)
{
	static const char *const places[] = { "/boot/config-%s", "/lib/modules/%s/config",
					      "/usr/lib/modules/%s/config" };
	_cleanup_free_ char *text = malloc(CONFIG_MAX_BYTES);
	char path[PATH_MAX];
	size_t i;

	if (!text)
		return NULL;
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		snprintf(path, sizeof(path), places[i], d->release);
		if (doctor_read(d, path, text, CONFIG_MAX_BYTES) > 0)
			return ptr_steal(text);
	}
	if (doctor_exists(d, "/proc/config.gz")) {
		char whole[PATH_MAX];
		const char *words[] = { "gzip", "-dc",
					doctor_path(d, whole, "/proc/config.gz"), NULL };

		if (doctor_capture(words, text, CONFIG_MAX_BYTES) > 0)
			return ptr_steal(text);
	}
	return NULL;
}

/* Built in, or a module. */
static bool is_set(const char *config, const char *option)
{
	size_t length = strlen(option);
	const char *p = config;

	while ((p = strstr(p, option))) {
		if ((p == config || p[-1] == '\n') && p[length] == '=' &&
		    (p[length + 1] == 'y' || p[length + 1] == 'm'))
			return true;
		p += length;
	}
	return false;
}

static bool check_option(struct doctor *d, const char *config, const char *option,
			 const char *remedy, const char *why)
{
	if (is_set(config, option))
		return true;
	doctor_say(d, FINDING_BAD, "options", remedy, "%s is not set in this kernel: %s", option,
		   why);
	return false;
}

void doctor_check_options(struct doctor *d)
{
	static const char rebuild[] = "build the kernel with the option, or take Debian's";
	static const char xen[] = "build the kernel with CONFIG_XEN (x86: or CONFIG_GART_IOMMU), "
				  "which selects it, or take Debian's";
	_cleanup_free_ char *config = read_config(d);
	bool good;

	if (!config) {
		doctor_say(d, FINDING_NOTE, "options", "modprobe configs",
			   "what options Linux %s has cannot be told: no /boot/config-%s, no "
			   "/proc/config.gz",
			   d->release, d->release);
		return;
	}
	good = check_option(d, config, "CONFIG_VIRTIO", rebuild, "there are no virtio drivers");
	good &= check_option(d, config, "CONFIG_EVENTFD", rebuild, "kicks and calls are eventfds");
	good &= check_option(d, config, "CONFIG_MEMFD_CREATE", rebuild, "the pool is a memfd");
	if (version(d) < 611)
		good &= check_option(d, config, "CONFIG_DMA_OPS", xen,
				     "the module cannot be built without it");
	else if (version(d) < 618)
		good &= check_option(d, config, "CONFIG_ARCH_HAS_DMA_OPS", xen,
				     "the module cannot be built without it before Linux 6.18");
	else if (!is_set(config, "CONFIG_ARCH_HAS_DMA_OPS"))
		doctor_say(d, FINDING_NOTE, "options", xen,
			   "CONFIG_ARCH_HAS_DMA_OPS is not set: there can be no devices of type gpu");
	if (good)
		doctor_say(d, FINDING_OK, "options", NULL, "the kernel has the options that are needed");
}

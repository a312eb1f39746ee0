// SPDX-License-Identifier: BSD-3-Clause
#include <string.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "common/device-types.h"
#include "common/find-program.h"
#include "common/util.h"

/* For which there are back-ends of this project. */
static const char *const served[] = { "blk",   "console", "rng", "gpu",
				      "input", "sound",	  "can", "gpio" };

static bool loaded(const struct doctor *d, const char *module)
{
	char name[64], *p;

	snprintf(name, sizeof(name), "%s", module);
	for (p = name; *p; p++) {
		if (*p == '-')
			*p = '_';
	}
	return doctor_exists(d, "/sys/module/%s", name);
}

static bool too_old(const struct doctor *d, const struct device_type *type)
{
	unsigned int major = 0, minor = 0;

	/* NOLINTNEXTLINE(cert-err34-c): what is no number is 0, and too old */
	return sscanf(d->release, "%u.%u", &major, &minor) != 2 ||
	       (major << 8 | minor) < type->driver_since;
}

static void missing(struct doctor *d, const struct device_type *type)
{
	bool wanted = doctor_wants(d, type->id);
	char remedy[192];

	if (strstr(d->release, "-cloud-"))
		snprintf(remedy, sizeof(remedy), "apt install linux-image-<without cloud>");
	else if (!strcmp(type->name, "can"))
		snprintf(remedy, sizeof(remedy),
			 "apt install virtio-loopback-dkms (it brings virtio_can), or build the "
			 "kernel with %s=m",
			 type->option);
	else
		snprintf(remedy, sizeof(remedy), "build the kernel with %s=m", type->option);
	doctor_say(d, wanted ? FINDING_BAD : FINDING_NOTE, "drivers", remedy,
		   "%s: the driver %s is not there%s", type->name, type->module,
		   wanted ? ", and a configuration file wants it" : "");
}

static void check_driver(struct doctor *d, const struct device_type *type, char *there,
			 size_t size)
{
	size_t used = strlen(there);
	char path[PATH_MAX];

	if (!loaded(d, type->module) && !doctor_module_file(d, type->module, path)) {
		missing(d, type);
		return;
	}
	if (type->driver_since && too_old(d, type)) {
		doctor_say(d, doctor_wants(d, type->id) ? FINDING_BAD : FINDING_NOTE, "drivers",
			   "apt install linux-image-<newer>, and reboot",
			   "%s: needs Linux %u.%u: the driver of this one %s", type->name,
			   type->driver_since >> 8, type->driver_since & 0xff,
			   type->driver_trouble);
		return;
	}
	snprintf(there + used, size - used, "%s%s", used ? ", " : "", type->name);
}

static bool is_served(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(served); i++) {
		if (!strcmp(served[i], name))
			return true;
	}
	return false;
}

static void check_adapter(struct doctor *d)
{
	char path[PATH_MAX];
	const char *found = find_program(path, sizeof(path), "adapter", "virtio-loopback-adapter");

	if (found == path)
		doctor_say(d, FINDING_OK, "programs", NULL, "%s", path);
	else
		doctor_say(d, FINDING_BAD, "programs", "apt install --reinstall virtio-loopback",
			   "virtio-loopback-adapter is not beside this program, nor where it was "
			   "installed");
}

static void check_vduse(struct doctor *d)
{
	static const char *const modules[] = { "vduse", "virtio_vdpa" };
	static const char *const options[] = { "CONFIG_VDPA_USER", "CONFIG_VIRTIO_VDPA" };
	char path[PATH_MAX], remedy[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(modules); i++) {
		if (loaded(d, modules[i]) || doctor_module_file(d, modules[i], path))
			continue;
		snprintf(remedy, sizeof(remedy), "build the kernel with %s=m", options[i]);
		doctor_say(d, FINDING_BAD, "drivers", remedy,
			   "there is no %s, and a configuration file wants the transport vduse",
			   modules[i]);
	}
}

void doctor_check_drivers(struct doctor *d)
{
	char there[256] = "";
	uint32_t id;

	for (id = 1; id < 128; id++) {
		const struct device_type *type = device_type_by_id(id);

		if (type && (is_served(type->name) || doctor_wants(d, id)))
			check_driver(d, type, there, sizeof(there));
	}
	if (there[0])
		doctor_say(d, FINDING_OK, "drivers", NULL, "there are those of %s", there);
	if (doctor_wants_vduse(d))
		check_vduse(d);
	check_adapter(d);
}

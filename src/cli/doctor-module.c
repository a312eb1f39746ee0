// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "common/cleanup.h"
#include "common/util.h"

#define MODULE "virtio_loopback"
#define LIST_MAX_BYTES (4 << 20)
#define SIGNED_MARK "~Module signature appended~\n"
#define SECURE_BOOT "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

/* ---- the file ---- */

/* The line of a list whose file is the module's; names have '-' or '_'. */
static bool find_line(const char *list, const char *module, char *line, size_t size)
{
	size_t length = strlen(module);

	while (*list) {
		const char *end = strchrnul(list, '\n');
		size_t n = strcspn(list, ":\n"), i;
		const char *base = memrchr(list, '/', n);

		base = base ? base + 1 : list;
		for (i = 0; i < length; i++) {
			char a = base[i] == '-' ? '_' : base[i];
			char b = module[i] == '-' ? '_' : module[i];

			if (a != b)
				break;
		}
		if (i == length && !strncmp(base + length, ".ko", 3) && n < size) {
			memcpy(line, list, n);
			line[n] = '\0';
			return true;
		}
		list = *end ? end + 1 : end;
	}
	return false;
}

bool doctor_module_file(const struct doctor *d, const char *module, char path[PATH_MAX])
{
	_cleanup_free_ char *list = malloc(LIST_MAX_BYTES);
	char name[PATH_MAX], line[PATH_MAX / 2];

	path[0] = '\0';
	if (!list)
		return false;
	snprintf(name, sizeof(name), "/lib/modules/%s/modules.builtin", d->release);
	if (doctor_read(d, name, list, LIST_MAX_BYTES) > 0 &&
	    find_line(list, module, line, sizeof(line)))
		return true;
	snprintf(name, sizeof(name), "/lib/modules/%s/modules.dep", d->release);
	if (doctor_read(d, name, list, LIST_MAX_BYTES) <= 0 ||
	    !find_line(list, module, line, sizeof(line)))
		return false;
	doctor_path(d, path, "/lib/modules/%s/%s", d->release, line);
	return true;
}

struct image {
	const char *data;
	size_t size;
};

static bool map_image(const char *path, struct image *image)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *data;

	if (fd < 0 || fstat(fd, &st) < 0 || !st.st_size)
		return false;
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return false;
	*image = (struct image){ .data = data, .size = (size_t)st.st_size };
	return true;
}

/* A field of modinfo; "" when it has none. Return: false when that cannot be told. */
static bool module_field(const char *path, const char *field, char *value, size_t size)
{
	const char *words[] = { "modinfo", "-F", field, path, NULL };
	char key[32];
	struct image image;
	const char *found;

	value[0] = '\0';
	if (strcmp(path + strlen(path) - MIN(strlen(path), (size_t)3), ".ko") != 0) {
		/* it is packed */
		if (doctor_capture(words, value, size) < 0)
			return false;
		value[strcspn(value, "\n")] = '\0';
		return true;
	}
	if (!map_image(path, &image))
		return false;
	/* NUL-terminated strings one behind the other */
	snprintf(key, sizeof(key), "%c%s=", 0, field);
	found = memmem(image.data, image.size, key, strlen(field) + 2);
	if (found) {
		size_t left = image.size - (size_t)(found - image.data) - strlen(field) - 2;

		snprintf(value, size, "%.*s", (int)MIN(left, size - 1), found + strlen(field) + 2);
	}
	munmap((void *)image.data, image.size);
	return true;
}

static bool is_signed(const char *path)
{
	size_t length = strlen(SIGNED_MARK);
	char signer[128];
	struct image image;
	bool marked;

	if (strcmp(path + strlen(path) - MIN(strlen(path), (size_t)3), ".ko") != 0)
		return module_field(path, "signer", signer, sizeof(signer)) && signer[0];
	if (!map_image(path, &image))
		return false;
	marked = image.size > length &&
		 !memcmp(image.data + image.size - length, SIGNED_MARK, length);
	munmap((void *)image.data, image.size);
	return marked;
}

/* ---- installed ---- */

static void not_installed(struct doctor *d)
{
	enum finding_level level = d->loaded ? FINDING_NOTE : FINDING_BAD;
	char path[PATH_MAX], remedy[256];
	glob_t found = { 0 };
	bool dkms;

	doctor_path(d, path, "/usr/src/virtio-loopback-*/dkms.conf");
	dkms = glob(path, 0, NULL, &found) == 0;
	globfree(&found);
	if (!doctor_exists(d, "/lib/modules/%s/build", d->release)) {
		snprintf(remedy, sizeof(remedy), "apt install linux-headers-%s%s", d->release,
			 dkms ? "" : " virtio-loopback-dkms");
		doctor_say(d, level, "module", remedy,
			   "%s is not installed for Linux %s, and that kernel's headers, which it is "
			   "built with, are not there",
			   MODULE, d->release);
		return;
	}
	snprintf(remedy, sizeof(remedy),
		 dkms ? "dkms autoinstall -k %s" : "apt install virtio-loopback-dkms", d->release);
	doctor_say(d, level, "module", remedy, "%s is not installed for Linux %s", MODULE,
		   d->release);
}

/* A line of modprobe.d that keeps it from being loaded by its name. */
static bool kept_out(const struct doctor *d, char *where, size_t size)
{
	char path[PATH_MAX], line[512];
	glob_t found = { 0 };
	bool out = false;
	size_t i;

	doctor_path(d, path, "/etc/modprobe.d/*.conf");
	if (glob(path, 0, NULL, &found))
		return false;
	for (i = 0; i < found.gl_pathc && !out; i++) {
		FILE *f = fopen(found.gl_pathv[i], "re");

		while (f && fgets(line, sizeof(line), f)) {
			char verb[16], module[64];

			if (sscanf(line, "%15s %63s", verb, module) == 2 &&
			    !strcmp(verb, "install") && !strcmp(module, MODULE))
				out = true;
		}
		if (f)
			fclose(f);
		if (out)
			snprintf(where, size, "%s", found.gl_pathv[i] + strlen(d->root));
	}
	globfree(&found);
	return out;
}

/* ---- signed ---- */

static bool secure_boot(const struct doctor *d)
{
	char value[8];

	/* four bytes of attributes, then the value */
	return doctor_read(d, SECURE_BOOT, value, sizeof(value)) == 5 && value[4] == 1;
}

static bool enforced(const struct doctor *d)
{
	char text[64];

	if (doctor_read(d, "/sys/module/module/parameters/sig_enforce", text, sizeof(text)) > 0 &&
	    text[0] == 'Y')
		return true;
	return doctor_read(d, "/sys/kernel/security/lockdown", text, sizeof(text)) > 0 &&
	       !strstr(text, "[none]");
}

static void check_signature(struct doctor *d, const char *file)
{
	bool needed = enforced(d);
	const char *why = secure_boot(d) ? " (Secure Boot)" : "";

	if (is_signed(file))
		doctor_say(d, FINDING_OK, "module", NULL, "it is signed%s",
			   needed ? ", as this kernel wants it" : "");
	else if (needed)
		doctor_say(d, FINDING_BAD, "module",
			   doctor_exists(d, "/var/lib/dkms/mok.pub") ?
				   "mokutil --import /var/lib/dkms/mok.pub, reboot and enrol the key; "
				   "then dkms autoinstall --force" :
				   "sign it with a key that the machine trusts: "
				   "/lib/modules/<release>/build/scripts/sign-file",
			   "this kernel takes signed modules only%s, and %s is not signed", why,
			   file + strlen(d->root));
	else
		doctor_say(d, FINDING_OK, "module", NULL, "this kernel takes it without a signature");
}

/* ---- loaded ---- */

static void check_versions(struct doctor *d, const char *file)
{
	char loaded[64] = "", installed[64];

	if (doctor_read(d, "/sys/module/" MODULE "/srcversion", loaded, sizeof(loaded)) <= 0 ||
	    !module_field(file, "srcversion", installed, sizeof(installed)) || !installed[0])
		return;
	loaded[strcspn(loaded, "\n")] = '\0';
	if (strcmp(loaded, installed) != 0)
		doctor_say(d, FINDING_BAD, "module",
			   "virtio-loopback detach --all && modprobe -r " MODULE
			   " && modprobe " MODULE,
			   "what is loaded is not what is installed: it was updated since");
}

static void check_package(struct doctor *d)
{
	char version[64];

	if (doctor_read(d, "/sys/module/" MODULE "/version", version, sizeof(version)) <= 0)
		return;
	version[strcspn(version, "\n")] = '\0';
	if (!strcmp(version, PACKAGE_VERSION))
		doctor_say(d, FINDING_OK, "module", NULL, MODULE " %s is loaded", version);
	else
		doctor_say(d, FINDING_BAD, "module",
			   "install both from one version, then virtio-loopback detach --all && "
			   "modprobe -r " MODULE " && modprobe " MODULE,
			   MODULE " %s is loaded, this is virtio-loopback " PACKAGE_VERSION,
			   version);
}

void doctor_check_module(struct doctor *d)
{
	char file[PATH_MAX], where[128], remedy[192];
	bool installed = doctor_module_file(d, MODULE, file);

	d->loaded = doctor_exists(d, "/sys/module/" MODULE);
	if (!installed) {
		not_installed(d);
	} else if (file[0] && access(file, F_OK) < 0) {
		snprintf(remedy, sizeof(remedy), "depmod -a %s", d->release);
		doctor_say(d, FINDING_BAD, "module", remedy,
			   "modules.dep names %s, and there is no such file",
			   file + strlen(d->root));
		installed = false;
	} else if (file[0]) {
		check_signature(d, file);
	}
	if (kept_out(d, where, sizeof(where))) {
		snprintf(remedy, sizeof(remedy), "sed -i '/^install *" MODULE "/d' %s", where);
		doctor_say(d, FINDING_BAD, "module", remedy, "%s keeps modprobe from loading it",
			   where);
	}
	if (d->loaded) {
		check_package(d);
		if (installed && file[0])
			check_versions(d, file);
	} else if (installed) {
		doctor_say(d, d->uid ? FINDING_BAD : FINDING_NOTE, "module", "modprobe " MODULE,
			   d->uid ? MODULE " is not loaded, and %s may not load it" :
				    MODULE " is not loaded; attach, and the units, do that as %s",
			   d->user);
	}
}

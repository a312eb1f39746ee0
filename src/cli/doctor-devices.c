// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapter/config-file.h"
#include "adapter/transport.h"
#include "cli/devices.h"
#include "cli/doctor.h"
#include "common/cleanup.h"
#include "common/parse.h"
#include "common/util.h"
#include "common/word-split.h"

#define UNITS "/etc/systemd/system"
#define POOL_OF_A_DISK (32ULL << 20)

/* ---- configuration files ---- */

static void say_mistake(void *context, const char *text)
{
	struct doctor *d = context;
	char remedy[256];

	text += strlen(d->root);
	snprintf(remedy, sizeof(remedy), "edit %.*s, see virtio-loopback.conf(5)",
		 (int)strcspn(text, ":"), text);
	doctor_say(d, FINDING_BAD, "config", remedy, "%s", text);
}

static bool program_there(const struct doctor *d, const char *program)
{
	char path[PATH_MAX], dirs[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	char *dir, *rest = NULL;

	if (strchr(program, '/'))
		return access(doctor_path(d, path, "%s", program), X_OK) == 0;
	/* the units' own PATH */
	for (dir = strtok_r(dirs, ":", &rest); dir; dir = strtok_r(NULL, ":", &rest)) {
		if (access(doctor_path(d, path, "%s/%s", dir, program), X_OK) == 0)
			return true;
	}
	return false;
}

static void check_program(struct doctor *d, const char *where, const char *command)
{
	char **words = NULL, remedy[128] = "";

	if (!command || word_split(command, &words) <= 0)
		return;
	if (!program_there(d, words[0])) {
		if (!strncmp(words[0], "vhost-user-", strlen("vhost-user-")))
			snprintf(remedy, sizeof(remedy), "apt install %s",
				 !strcmp(words[0], "vhost-user-snd") ? "virtio-loopback-snd" :
				 !strcmp(words[0], "vhost-user-gpu") ? "virtio-loopback-gpu" :
								       "virtio-loopback-backends");
		else
			snprintf(remedy, sizeof(remedy), "edit exec in %.90s", where);
		doctor_say(d, FINDING_BAD, "config", remedy, "%s: exec: there is no program %s",
			   where, words[0]);
	}
	word_list_free(words);
}

static void want(struct doctor *d, const struct adapter_options *o)
{
	uint64_t pool = o->pool ? o->pool : (uint64_t)o->type.pool << 10;
	bool vduse = o->transport == &transport_vduse;
	uint64_t *types = vduse ? d->types_by_vduse : d->types;

	if (o->type.id < 128)
		types[o->type.id / 64] |= 1ULL << (o->type.id % 64);
	if (!vduse)
		d->pool = MAX(d->pool, pool);
}

/* Whether the units of a device, with those of a back-end of its own, are started at boot. */
static void check_units(struct doctor *d, const struct config_file *file, const char *where)
{
	bool device = doctor_exists(d, UNITS "/multi-user.target.wants/virtio-loopback@%s.service",
				    file->name);
	bool backend = !file->backend ||
		       doctor_exists(d, UNITS "/sockets.target.wants/virtio-loopback-backend@%s.socket",
				     file->name);
	char socket[80] = "", remedy[192];

	if (file->backend)
		snprintf(socket, sizeof(socket), "virtio-loopback-backend@%s.socket ", file->name);
	snprintf(remedy, sizeof(remedy), "systemctl enable %svirtio-loopback@%s.service", socket,
		 file->name);
	if (!device)
		doctor_say(d, FINDING_NOTE, "config", remedy, "%s: the device is not made at boot",
			   where);
	else if (!backend)
		doctor_say(d, FINDING_NOTE, "config", remedy,
			   "%s: the device is made at boot, and the socket of its [backend] is not",
			   where);
	else
		doctor_say(d, FINDING_OK, "config", NULL, "%s", where);
}

static void check_config(struct doctor *d, const char *path)
{
	struct config_file file = { .mistake = say_mistake, .context = d };
	const char *where = path + strlen(d->root);
	struct adapter_options options;

	options_init(&options);
	if (config_load(&file, path, &options)) {
		config_free(&file);
		return;
	}
	want(d, &options);
	check_program(d, where, options.exec);
	check_program(d, where, file.backend);
	check_units(d, &file, where);
	config_free(&file);
}

void doctor_check_configs(struct doctor *d)
{
	char path[PATH_MAX];
	glob_t found = { 0 };
	size_t i;

	d->pool = POOL_OF_A_DISK;
	doctor_path(d, path, CONFIG_DIR "/*" CONFIG_SUFFIX);
	if (!glob(path, 0, NULL, &found)) {
		for (i = 0; i < found.gl_pathc; i++)
			check_config(d, found.gl_pathv[i]);
	}
	globfree(&found);
}

/* ---- devices ---- */

/* The module's parameter, a list of numbers; nothing: all. */
static void check_allowed(struct doctor *d)
{
	char text[512], list[512], *number, *rest = NULL;
	uint64_t allowed[2] = { 0 };
	unsigned int id;

	if (doctor_read(d, "/sys/module/virtio_loopback/parameters/allowed_types", text,
			sizeof(text)) <= 1)
		return;
	strcpy(list, text);
	for (number = strtok_r(list, ",\n", &rest); number; number = strtok_r(NULL, ",\n", &rest)) {
		if (!parse_uint(number, 1, 127, &id))
			allowed[id / 64] |= 1ULL << (id % 64);
	}
	text[strcspn(text, "\n")] = '\0';
	for (id = 1; id < 128; id++) {
		if (!((d->types[id / 64] & ~allowed[id / 64]) >> (id % 64) & 1))
			continue;
		doctor_say(d, FINDING_BAD, "config",
			   "grep -r allowed_types /etc/modprobe.d, add the number, load it anew",
			   "a configuration file wants virtio id %u, and the module's parameter "
			   "allowed_types permits %s only",
			   id, text);
	}
}

static void check_device(struct doctor *d, const struct device_entry *e)
{
	char remedy[128];

	if (!strcmp(e->state, "orphan")) {
		snprintf(remedy, sizeof(remedy), "virtio-loopback upgrade %s", e->name);
		doctor_say(d, FINDING_BAD, "devices", remedy, "%s has lost its adapter", e->name);
	} else if (!strcmp(e->state, "failed") || !strcmp(e->state, "dead")) {
		snprintf(remedy, sizeof(remedy), "virtio-loopback detach --force %s", e->name);
		doctor_say(d, FINDING_BAD, "devices", remedy, "%s is %s: " STATE_DIR
			   "/%s.log, or the journal, says why", e->name, e->state, e->name);
	} else if (!strcmp(e->state, "waiting")) {
		snprintf(remedy, sizeof(remedy), "start it again, or virtio-loopback detach --force %s",
			 e->name);
		doctor_say(d, FINDING_BAD, "devices", remedy,
			   "%s waits for its back-end, %.120s", e->name, e->backend);
	} else {
		doctor_say(d, FINDING_OK, "devices", NULL, "%s is %s", e->name, e->state);
	}
}

void doctor_check_devices(struct doctor *d)
{
	_cleanup_free_ struct device_entry *entries = NULL;
	int count = devices_list(&entries), i;

	for (i = 0; i < count; i++)
		check_device(d, &entries[i]);
}

void doctor_check_files(struct doctor *d)
{
	doctor_check_configs(d);
	doctor_check_kernel(d);
	doctor_check_options(d);
	doctor_check_module(d);
	check_allowed(d);
	doctor_check_drivers(d);
	doctor_check_node(d);
	doctor_check_state_dir(d);
	doctor_check_limits(d);
}

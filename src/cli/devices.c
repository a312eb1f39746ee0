// SPDX-License-Identifier: BSD-3-Clause
#include "cli/devices.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "adapter/option-value.h"
#include "adapter/transport.h"
#include "common/util.h"

#define CLEAN_MS 200
#define INIT_PID_NAMESPACE 0xEFFFFFFCU /* PROC_PID_INIT_INO of the kernel */

/* The kernel's numbers of processes are ours, unless this is a container. */
static bool numbers_are_ours(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == INIT_PID_NAMESPACE;
}

/* What the adapter wrote down, as far as there is an adapter. */
static void add_record(struct device_entry *entry)
{
	bool alive = state_alive(STATE_DIR, entry->name);
	struct state_record record;

	bool orphan = entry->parent >= 0 && !entry->adapter_pid;

	entry->pid_of_kernel = entry->adapter_pid > 0 && numbers_are_ours();
	if (!alive && !entry->pid_of_kernel)
		entry->adapter_pid = 0;
	if (state_read(STATE_DIR, entry->name, &record))
		return;
	snprintf(entry->backend, sizeof(entry->backend), "%s", record.backend);
	if (entry->parent < 0)
		memcpy(entry->transport, record.transport, sizeof(entry->transport));
	entry->owner = record.owner;
	if (!alive)
		return;
	entry->keeper_pid = record.keeper_pid;
	/* The kernel knows whether there is one; by what number it is called here it may not. */
	if (!orphan && !entry->pid_of_kernel)
		entry->adapter_pid = record.adapter_pid;
	if (record.waiting && (entry->parent < 0 || !strcmp(entry->state, "running")))
		snprintf(entry->state, sizeof(entry->state), "waiting");
	if (entry->parent >= 0)
		return;
	entry->device_id = record.device_id;
	entry->queues = record.queues;
	entry->pool = record.pool;
}

static void from_kernel(struct device_entry *entry, const struct loopback_device *device)
{
	*entry = (struct device_entry){
		.parent = device->parent,
		.virtio_index = device->virtio_index,
		.device_id = device->device_id,
		.queues = device->num_queues,
		.pool = device->pool_size,
		.adapter_pid = device->adapter_pid,
	};
	memcpy(entry->name, device->name, sizeof(entry->name));
	snprintf(entry->transport, sizeof(entry->transport), "%s", transport_loopback.name);
	memcpy(entry->state, device->state, sizeof(entry->state));
	memcpy(entry->driver, device->driver, sizeof(entry->driver));
	sysfs_nodes(device, NULL, &entry->nodes);
	add_record(entry);
}

int devices_load(const struct device_entry *entry, struct loopback_device *device)
{
	if (!strcmp(entry->transport, transport_vduse.name))
		return sysfs_load_vdpa(entry->name, device);
	return entry->parent < 0 ? -ENOENT : sysfs_load(entry->parent, device);
}

/* One of another transport than our module: it is known by its adapter, and shown elsewhere. */
static void add_elsewhere(struct device_entry *entry)
{
	struct loopback_device device;

	if (devices_load(entry, &device))
		return;
	entry->virtio_index = device.virtio_index;
	memcpy(entry->driver, device.driver, sizeof(entry->driver));
	if (strcmp(entry->state, "waiting") != 0)
		memcpy(entry->state, device.state, sizeof(entry->state));
	sysfs_nodes(&device, NULL, &entry->nodes);
}

/* A device that only its adapter knows at the moment. */
static int from_record(struct device_entry *entry, const char *name)
{
	*entry = (struct device_entry){ .parent = -1, .virtio_index = -1 };
	if (strlen(name) >= sizeof(entry->name) || !state_alive(STATE_DIR, name))
		return -ENOENT;
	strcpy(entry->name, name);
	snprintf(entry->state, sizeof(entry->state), "starting");
	add_record(entry);
	add_elsewhere(entry);
	return 0;
}

int devices_find(const char *name, struct device_entry *entry)
{
	struct loopback_device device;

	if (sysfs_find(name, &device))
		return from_record(entry, name);
	from_kernel(entry, &device);
	return 0;
}

static int add(struct device_entry **entries, int count, const struct device_entry *entry)
{
	struct device_entry *more = reallocarray(*entries, (size_t)count + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	more[count] = *entry;
	*entries = more;
	return count + 1;
}

static bool listed(const struct device_entry *entries, int count, const char *name)
{
	int i;

	for (i = 0; i < count; i++) {
		if (!strcmp(entries[i].name, name))
			return true;
	}
	return false;
}

static int add_kernel(struct device_entry **entries, int count)
{
	struct loopback_device device;
	struct device_entry entry;
	int next = 0;

	while (count >= 0 && !sysfs_next(next, &device)) {
		next = device.parent + 1;
		from_kernel(&entry, &device);
		count = add(entries, count, &entry);
	}
	return count;
}

static int add_records(struct device_entry **entries, int count)
{
	/* for those who look at a lock, of all devices: who has one for longer is passed over */
	deadline_t deadline = deadline_after_ms(CLEAN_MS);
	struct dirent *file;
	DIR *dir = opendir(STATE_DIR);

	while (dir && count >= 0 && (file = readdir(dir))) {
		char *suffix = strrchr(file->d_name, '.');
		struct device_entry entry;

		if (!suffix || strcmp(suffix, ".lock") != 0)
			continue;
		*suffix = '\0';
		/* who may write to the directory may call a file as no device is called */
		if (option_value_name(file->d_name))
			continue;
		if (listed(*entries, count, file->d_name))
			continue;
		if (!from_record(&entry, file->d_name))
			count = add(entries, count, &entry);
		else /* the log says why it died, until the name is used again */
			state_clean_dead(STATE_DIR, file->d_name, true, deadline);
	}
	if (dir)
		closedir(dir);
	return count;
}

static int compare(const void *a, const void *b)
{
	return strverscmp(((const struct device_entry *)a)->name,
			  ((const struct device_entry *)b)->name);
}

int devices_list(struct device_entry **entries)
{
	int count;

	*entries = NULL;
	count = add_kernel(entries, 0);
	if (count >= 0)
		count = add_records(entries, count);
	if (count < 0) {
		free(*entries);
		*entries = NULL;
	} else if (count > 1) {
		qsort(*entries, (size_t)count, sizeof(**entries), compare);
	}
	return count;
}

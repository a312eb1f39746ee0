// SPDX-License-Identifier: BSD-3-Clause
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/transport.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/devices.h"
#include "common/cleanup.h"
#include "common/device-types.h"
#include "common/json-writer.h"
#include "common/log.h"
#include "common/printable.h"
#include "common/util.h"

static void list_usage(void)
{
	printf("Usage: virtio-loopback list [--json]\n"
	       "\n"
	       "Shows the devices of virtio-loopback, also those whose adapter is dead.\n");
}

static void list_json(const struct device_entry *entries, int count)
{
	struct json_writer w;
	char number[16];
	unsigned int n;
	int i;

	json_init(&w, stdout);
	json_array_begin(&w, NULL);
	for (i = 0; i < count; i++) {
		const struct device_entry *e = &entries[i];

		json_object_begin(&w, NULL);
		json_string(&w, "name", e->name);
		json_string(&w, "type", device_type_name(e->device_id, number, sizeof(number)));
		json_u64(&w, "virtio_id", e->device_id);
		json_string(&w, "transport", e->transport[0] ? e->transport : NULL);
		json_string(&w, "state", e->state);
		json_string(&w, "driver", e->driver[0] ? e->driver : NULL);
		if (e->virtio_index >= 0)
			json_i64(&w, "virtio_index", e->virtio_index);
		else
			json_null(&w, "virtio_index");
		json_array_begin(&w, "nodes");
		for (n = 0; n < e->nodes.count; n++)
			json_string(&w, NULL, e->nodes.name[n]);
		json_end(&w);
		json_string(&w, "backend", e->backend[0] ? e->backend : NULL);
		if (e->adapter_pid > 0)
			json_i64(&w, "adapter_pid", e->adapter_pid);
		else
			json_null(&w, "adapter_pid");
		json_u64(&w, "queues", e->queues);
		json_u64(&w, "pool", e->pool);
		json_end(&w);
	}
	json_end(&w);
}

/* ---- as a table ---- */

#define COLUMNS 7
#define CELL_MAX (NODES_MAX * NODE_NAME_MAX)

/* The text of one cell; of the headings when @e is NULL. */
static const char *cell(const struct device_entry *e, unsigned int column, char buf[CELL_MAX])
{
	static const char *const headings[COLUMNS] = { "NAME",	 "TYPE",  "STATE",  "VIRTIO",
						       "DRIVER", "NODES", "BACKEND" };
	size_t used = 0;
	unsigned int n;

	if (!e)
		return headings[column];
	buf[0] = '\0';
	switch (column) {
	case 0:
		return e->name;
	case 1:
		return device_type_name(e->device_id, buf, CELL_MAX);
	case 2:
		return e->state;
	case 3:
		if (e->virtio_index >= 0)
			snprintf(buf, CELL_MAX, "virtio%d%s", e->virtio_index,
				 strcmp(e->transport, transport_vduse.name) ? "" : " (vduse)");
		break;
	case 4:
		return e->driver[0] ? e->driver : "-";
	case 5:
		for (n = 0; n < e->nodes.count && used < CELL_MAX; n++)
			used += (size_t)snprintf(buf + used, CELL_MAX - used, "%s%s", n ? "," : "",
						 e->nodes.name[n]);
		break;
	default:
		return e->backend[0] ? e->backend : "-";
	}
	return buf[0] ? buf : "-";
}

static void list_text(const struct device_entry *entries, int count)
{
	size_t width[COLUMNS] = { 0 };
	char buf[CELL_MAX];
	unsigned int column;
	int i;

	if (!count)
		return;
	for (i = -1; i < count; i++) {
		for (column = 0; column < COLUMNS; column++)
			width[column] = MAX(width[column],
					    strlen(cell(i < 0 ? NULL : &entries[i], column, buf)));
	}
	for (i = -1; i < count; i++) {
		/* nothing follows the last one, so nothing fills it up */
		for (column = 0; column < COLUMNS - 1; column++)
			printf("%-*s  ", (int)width[column],
			       cell(i < 0 ? NULL : &entries[i], column, buf));
		printf("%s\n", cell(i < 0 ? NULL : &entries[i], column, buf));
	}
}

int command_list(int argc, char **argv)
{
	bool json = false;
	const struct arguments_flag flags[] = { { "json", &json, NULL }, { NULL, NULL, NULL } };
	_cleanup_free_ struct device_entry *entries = NULL;
	int status, count, i;

	status = arguments_read(argc, argv, flags, ARGUMENTS_NO_NAME, NULL, list_usage);
	if (status >= 0)
		return status;
	count = devices_list(&entries);
	if (count < 0) {
		log_error("list: %s", strerror(-count));
		return 1;
	}
	if (json) {
		list_json(entries, count);
		return 0;
	}
	/* the words of adapters that may be other users' */
	for (i = 0; i < count; i++)
		printable(entries[i].backend);
	list_text(entries, count);
	return 0;
}

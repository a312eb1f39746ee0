// SPDX-License-Identifier: BSD-3-Clause
#include "cli/backend-list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/capabilities.h"
#include "cli/descriptor.h"
#include "common/cleanup.h"
#include "common/device-types.h"
#include "common/json-writer.h"
#include "common/log.h"
#include "common/util.h"
#include "common/word-split.h"

/* What there is of one, its program asked. */
struct backend {
	struct descriptor *descriptor;
	char **features; /* NULL: it is of no use */
};

/* 0 or -ENOMEM; what is wrong with one is its own. */
static int ask_all(struct descriptor_list *list, struct backend *backends)
{
	size_t i;
	int ret;

	for (i = 0; i < list->count; i++) {
		struct descriptor *d = &list->entries[i];

		backends[i].descriptor = d;
		if (d->problem.text[0])
			continue;
		ret = capabilities_ask(d->binary, d->type, &backends[i].features, &d->problem);
		if (ret == -ENOMEM)
			return ret;
		if (ret)
			failure_set(&d->problem, ret, "%s", strerror(-ret));
	}
	return 0;
}

static void show_json(const struct backend *backends, size_t count)
{
	struct json_writer w;
	char number[16];
	size_t i, n;

	json_init(&w, stdout);
	json_array_begin(&w, NULL);
	for (i = 0; i < count; i++) {
		const struct descriptor *d = backends[i].descriptor;
		char **features = backends[i].features;

		json_object_begin(&w, NULL);
		if (d->virtio_id) {
			json_string(&w, "type",
				    device_type_name(d->virtio_id, number, sizeof(number)));
			json_u64(&w, "virtio_id", d->virtio_id);
		} else {
			json_null(&w, "type");
			json_null(&w, "virtio_id");
		}
		json_string(&w, "binary", d->binary);
		json_string(&w, "description", d->description);
		json_array_begin(&w, "features");
		for (n = 0; features && features[n]; n++)
			json_string(&w, NULL, features[n]);
		json_end(&w);
		json_string(&w, "descriptor", d->path);
		json_string(&w, "problem", d->problem.text[0] ? d->problem.text : NULL);
		json_end(&w);
	}
	json_end(&w);
}

/* ---- as a table ---- */

#define COLUMNS 4
#define CELL_MAX 256

/* The text of one cell; of the headings when @b is NULL. */
static const char *cell(const struct backend *b, unsigned int column, char buf[CELL_MAX])
{
	static const char *const headings[COLUMNS] = { "TYPE", "BINARY", "FEATURES", "DESCRIPTOR" };
	size_t used = 0, n;

	if (!b)
		return headings[column];
	switch (column) {
	case 0:
		return device_type_name(b->descriptor->virtio_id, buf, CELL_MAX);
	case 1:
		return b->descriptor->binary;
	case 2:
		if (!b->features[0])
			return "-";
		for (n = 0; b->features[n] && used < CELL_MAX; n++)
			used += (size_t)snprintf(buf + used, CELL_MAX - used, "%s%s", n ? "," : "",
						 b->features[n]);
		return buf;
	default:
		return b->descriptor->path;
	}
}

static void show_line(const struct backend *b, const size_t width[COLUMNS])
{
	char buf[CELL_MAX];
	unsigned int column;

	/* nothing follows the last one, so nothing fills it up */
	for (column = 0; column < COLUMNS - 1; column++)
		printf("%-*s  ", (int)width[column], cell(b, column, buf));
	printf("%s\n", cell(b, column, buf));
}

static void show_table(const struct backend *backends, size_t count)
{
	size_t width[COLUMNS] = { 0 }, i;
	char buf[CELL_MAX];
	unsigned int column, shown = 0;

	for (column = 0; column < COLUMNS; column++) {
		width[column] = strlen(cell(NULL, column, buf));
		for (i = 0; i < count; i++) {
			if (backends[i].features)
				width[column] = MAX(width[column],
						    strlen(cell(&backends[i], column, buf)));
		}
	}
	for (i = 0; i < count; i++) {
		if (!backends[i].features)
			continue;
		if (!shown++)
			show_line(NULL, width);
		show_line(&backends[i], width);
	}
}

/* Return: the exit status, or -ENOMEM. */
static int show(struct descriptor_list *list, bool json)
{
	struct backend *backends = calloc(list->count + 1, sizeof(*backends));
	int ret = backends ? ask_all(list, backends) : -ENOMEM;
	bool useless = false;
	size_t i;

	if (!ret && json)
		show_json(backends, list->count);
	else if (!ret)
		show_table(backends, list->count);
	for (i = 0; !ret && i < list->count; i++) {
		const struct descriptor *d = &list->entries[i];

		if (d->problem.text[0])
			log_error("backends: %s: %s", d->path, d->problem.text);
		useless |= d->problem.text[0] != '\0';
	}
	for (i = 0; backends && i < list->count; i++)
		word_list_free(backends[i].features);
	free(backends);
	return ret ? ret : useless;
}

int backend_list_show(bool json)
{
	_cleanup_(word_list_cleanup) char **folders = NULL;
	struct descriptor_list list;
	int ret = descriptor_folders(&folders);

	if (!ret)
		ret = descriptor_list_read(folders, &list);
	if (!ret) {
		ret = show(&list, json);
		descriptor_list_free(&list);
	}
	if (ret >= 0)
		return ret;
	log_error("backends: %s", strerror(-ret));
	return 1;
}

// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adapter/control.h"
#include "cli/adapter-client.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/devices.h"
#include "cli/prometheus.h"
#include "common/cleanup.h"
#include "common/json-writer.h"
#include "common/log.h"
#include "common/parse.h"

#define ANSWER_MS 500
#define STATS_MAX 8192

static void stats_usage(void)
{
	printf("Usage: virtio-loopback stats NAME [--json] [--watch]\n"
	       "       virtio-loopback stats --prometheus [NAME]\n"
	       "\n"
	       "Shows the counters of a device: the kernel's, each virtqueue's, the adapter's.\n"
	       "\n"
	       "  --json        as a JSON object\n"
	       "  --watch       again each second, with what was added in it, until interrupted or the\n"
	       "                device is gone\n"
	       "  --prometheus  in Prometheus' text format, of all devices or one\n");
}

/* "key value": a number stays one */
static void put_value(struct json_writer *w, const char *key, const char *value)
{
	uint64_t n;

	if (!strncmp(value, "0x", 2) || parse_u64(value, 0, UINT64_MAX, &n))
		json_string(w, key, value);
	else
		json_u64(w, key, n);
}

/* ---- what was added since the last time, for --watch ---- */

#define KNOWN_MAX 600

static struct known {
	char key[40];
	uint64_t value;
} known[KNOWN_MAX];
static unsigned int known_count;
static bool watching;

/* " +N" in @buf; "" when it is the same, or seen for the first time */
static const char *added(const char *key, uint64_t value, char *buf, size_t size)
{
	unsigned int i = 0;
	uint64_t before;

	buf[0] = '\0';
	if (!watching)
		return buf;
	while (i < known_count && strcmp(known[i].key, key) != 0)
		i++;
	if (i == KNOWN_MAX)
		return buf;
	before = known[i].value;
	if (i == known_count) {
		snprintf(known[known_count++].key, sizeof(known[i].key), "%s", key);
		before = value;
	}
	known[i].value = value;
	if (value > before)
		snprintf(buf, size, "  +%" PRIu64, value - before);
	else if (value < before)
		snprintf(buf, size, "  -%" PRIu64, before - value);
	return buf;
}

static void print_value(const char *key, const char *value)
{
	char more[32] = "";
	uint64_t n;

	if (!parse_u64(value, 0, UINT64_MAX, &n) && strncmp(value, "0x", 2) != 0)
		added(key, n, more, sizeof(more));
	printf("  %-22s %s%s\n", key, value, more);
}

/* Lines of "key value", one by one. @w NULL: as text */
static void put_lines(struct json_writer *w, char *text)
{
	char *line, *rest = NULL;

	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *value = strchr(line, ' ');

		if (!value)
			continue;
		*value++ = '\0';
		if (w)
			put_value(w, line, value);
		else
			print_value(line, value);
	}
}

static void print_queue(unsigned int index, uint64_t kicks, uint64_t calls)
{
	char key[40], more[2][32];

	snprintf(key, sizeof(key), "kicks of %u", index);
	added(key, kicks, more[0], sizeof(more[0]));
	snprintf(key, sizeof(key), "calls of %u", index);
	added(key, calls, more[1], sizeof(more[1]));
	printf("  virtqueue %-12u kicks %" PRIu64 "%s, calls %" PRIu64 "%s\n", index, kicks,
	       more[0], calls, more[1]);
}

/* "index kicks calls" */
static void put_queues(struct json_writer *w, char *text)
{
	char *line, *rest = NULL;

	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		uint64_t kicks, calls;
		unsigned int index;

		/* the kernel's own numbers fit */
		/* NOLINTNEXTLINE(cert-err34-c) */
		if (sscanf(line, "%u %" SCNu64 " %" SCNu64, &index, &kicks, &calls) != 3)
			continue;
		if (!w) {
			print_queue(index, kicks, calls);
			continue;
		}
		json_object_begin(w, NULL);
		json_u64(w, "index", index);
		json_u64(w, "kicks", kicks);
		json_u64(w, "calls", calls);
		json_end(w);
	}
}

static void put_kernel(struct json_writer *w, const struct device_entry *e)
{
	char text[STATS_MAX];

	if (e->parent < 0 || sysfs_read(e->parent, "stats", text, sizeof(text)))
		text[0] = '\0';
	if (w)
		json_object_begin(w, "kernel");
	put_lines(w, text);
	snprintf(text, sizeof(text), "pool_size %" PRIu64 "\n", e->pool);
	put_lines(w, text);
	if (e->parent >= 0 && !sysfs_read(e->parent, "pool_used", text + 10, sizeof(text) - 10)) {
		memcpy(text, "pool_used ", 10);
		put_lines(w, text);
	}
	if (e->parent >= 0 &&
	    !sysfs_read(e->parent, "message_timeouts", text + 17, sizeof(text) - 17)) {
		memcpy(text, "message_timeouts ", 17);
		put_lines(w, text);
	}
	if (w)
		json_end(w);
	if (e->parent < 0 || sysfs_read_queues(e->parent, e->queues, text, sizeof(text)))
		text[0] = '\0';
	if (w)
		json_array_begin(w, "queues");
	put_queues(w, text);
	if (w)
		json_end(w);
}

static void put_adapter(struct json_writer *w, const struct device_entry *e)
{
	char text[CONTROL_PACKET_MAX + 1];
	int ret = adapter_order(STATE_DIR, e->name, "stats", text, sizeof(text),
				deadline_after_ms(ANSWER_MS));
	/* otherwise it is dead, or busy with a back-end that does not answer */
	const char *why = adapter_may_not_ask(ret) ?
				  "permission denied: it is another user's: run as root" :
				  "does not answer";

	if (ret && !w)
		printf("  %-22s %s\n", "adapter", why);
	else if (ret)
		json_null(w, "adapter");
	else if (w)
		json_object_begin(w, "adapter");
	if (!ret)
		put_lines(w, text);
	if (!ret && w)
		json_end(w);
	if (w)
		json_string(w, "adapter_error", ret ? why : NULL);
}

/* 0, or -ENOENT: it is gone */
static int show(const char *name, bool json)
{
	struct json_writer writer = { 0 }, *w = json ? &writer : NULL;
	struct device_entry e;

	if (devices_find(name, &e))
		return -ENOENT;
	if (w) {
		json_init(w, stdout);
		json_object_begin(w, NULL);
		json_string(w, "name", e.name);
		json_string(w, "state", e.state);
	} else {
		printf("%s: %s\n", e.name, e.state);
	}
	put_kernel(w, &e);
	put_adapter(w, &e);
	if (w)
		json_end(w);
	return 0;
}

static int watch(const char *name, bool json)
{
	struct timespec next;

	watching = true;
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (;;) {
		if (!json && isatty(STDOUT_FILENO))
			printf("\033[H\033[J"); /* at the top of an empty screen */
		if (show(name, json) || fflush(stdout))
			break;
		next.tv_sec++;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	return 0; /* it ended, as devices do */
}

static int prometheus(const char *name)
{
	_cleanup_free_ struct device_entry *all = NULL;
	struct device_entry one;
	int count, ret;

	if (name && devices_find(name, &one)) {
		log_error("stats: %s: there is no such device", name);
		return 1;
	}
	count = name ? 1 : devices_list(&all);
	ret = count < 0 ? count : prometheus_print(name ? &one : all, count, stdout);
	if (!ret)
		return 0;
	log_error("stats: %s", strerror(-ret));
	return 1;
}

int command_stats(int argc, char **argv)
{
	bool json = false, again = false, text = false;
	const struct arguments_flag flags[] = {
		{ "json", &json, NULL },
		{ "watch", &again, NULL },
		{ "prometheus", &text, NULL },
		{ NULL, NULL, NULL },
	};
	struct device_entry e;
	const char *name;
	int status = arguments_read(argc, argv, flags, ARGUMENTS_MAYBE_A_NAME, &name, stats_usage);

	if (status >= 0)
		return status;
	if (text && (json || again)) {
		log_error("stats: --prometheus goes with neither --json nor --watch");
		return EXIT_USAGE;
	}
	if (text)
		return prometheus(name);
	if (!name) {
		log_error("stats: the name of one device, please");
		return EXIT_USAGE;
	}
	if (devices_find(name, &e)) {
		log_error("stats: %s: there is no such device", name);
		return 1;
	}
	return again ? watch(name, json) : show(name, json) ? 1 : 0;
}

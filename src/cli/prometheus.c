// SPDX-License-Identifier: BSD-3-Clause
#include "cli/prometheus.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/control.h"
#include "cli/adapter-client.h"
#include "common/device-types.h"
#include "common/log.h"
#include "common/parse.h"
#include "common/state-dir.h"
#include "common/util.h"

#define PREFIX "virtio_loopback_"
#define ANSWER_MS 500
#define TEXT_MAX 8192

/* What goes down as well as up; all else the kernel counts. */
static const char *const gauges[] = { "maps_live", "window_live", "window_bytes", "pool_size",
				      "pool_used" };

struct sample {
	char metric[48]; /* without the prefix */
	char labels[160];
	uint64_t value;
	bool gauge;
	bool printed;
};

struct samples {
	struct sample *all;
	size_t count;
	unsigned int unasked; /* adapters that this user may not ask */
	bool failed;
};

/* A label's value: backslash, quote and newline are escaped. */
static void put_label(char *buf, size_t size, const char *key, const char *value)
{
	size_t used = strlen(buf);
	int n = snprintf(buf + used, size - used, "%s%s=\"", used ? "," : "", key);

	for (used += (size_t)MAX(n, 0); *value && used + 4 < size; value++) {
		if (strchr("\\\"", *value))
			buf[used++] = '\\';
		buf[used++] = *value == '\n' ? ' ' : *value;
	}
	if (used + 1 < size)
		strcpy(buf + used, "\"");
}

static void add(struct samples *s, const char *metric, bool gauge, const char *labels,
		uint64_t value)
{
	struct sample *more = reallocarray(s->all, s->count + 1, sizeof(*more));

	if (!more) {
		s->failed = true;
		return;
	}
	s->all = more;
	more[s->count] = (struct sample){ .value = value, .gauge = gauge };
	snprintf(more[s->count].metric, sizeof(more[s->count].metric), "%s%s", metric,
		 gauge ? "" : "_total");
	snprintf(more[s->count].labels, sizeof(more[s->count].labels), "%s", labels);
	s->count++;
}

static bool is_gauge(const char *key)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(gauges); i++) {
		if (!strcmp(gauges[i], key))
			return true;
	}
	return false;
}

/* kicks and calls are told queue by queue: their sum would count them twice */
static bool told_by_queue(const char *key)
{
	return !strcmp(key, "kicks") || !strcmp(key, "calls");
}

/* Lines of "key number". */
static void add_lines(struct samples *s, const char *labels, char *text)
{
	char *line, *rest = NULL;

	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *value = strchr(line, ' ');
		uint64_t n;

		if (!value)
			continue;
		*value++ = '\0';
		if (!told_by_queue(line) && !parse_u64(value, 0, UINT64_MAX, &n))
			add(s, line, is_gauge(line), labels, n);
	}
}

static void add_number(struct samples *s, const struct device_entry *e, const char *labels,
		       const char *file)
{
	char text[32];
	uint64_t n;

	if (!sysfs_read(e->parent, file, text, sizeof(text)) && !parse_u64(text, 0, UINT64_MAX, &n))
		add(s, file, is_gauge(file), labels, n);
}

/* Lines of "index kicks calls". */
static void add_queues(struct samples *s, const char *labels, char *text)
{
	char *line, *rest = NULL, with_queue[160];

	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		uint64_t kicks, calls;
		char index[16];

		/* the kernel's own numbers fit */
		/* NOLINTNEXTLINE(cert-err34-c) */
		if (sscanf(line, "%15s %" SCNu64 " %" SCNu64, index, &kicks, &calls) != 3)
			continue;
		snprintf(with_queue, sizeof(with_queue), "%s", labels);
		put_label(with_queue, sizeof(with_queue), "queue", index);
		add(s, "kicks", false, with_queue, kicks);
		add(s, "calls", false, with_queue, calls);
	}
}

static void add_adapter(struct samples *s, const struct device_entry *e, const char *labels)
{
	char text[CONTROL_PACKET_MAX + 1], *p;
	uint64_t n;
	int ret = adapter_order(STATE_DIR, e->name, "stats", text, sizeof(text),
				deadline_after_ms(ANSWER_MS));

	/* it may be as sound as any: nothing is known of it */
	if (adapter_may_not_ask(ret)) {
		s->unasked++;
		return;
	}
	add(s, "adapter_answers", true, labels, !ret);
	if (ret)
		return;
	add(s, "backend_connected", true, labels, strstr(text, "backend connected\n") != NULL);
	p = strstr(text, "reconnects ");
	if (!p)
		return;
	p += strlen("reconnects ");
	p[strcspn(p, "\n")] = '\0';
	if (!parse_u64(p, 0, UINT64_MAX, &n))
		add(s, "reconnects", false, labels, n);
}

static void add_device(struct samples *s, const struct device_entry *e)
{
	char labels[160] = "", info[160], number[16], text[TEXT_MAX];

	put_label(labels, sizeof(labels), "device", e->name);
	strcpy(info, labels);
	put_label(info, sizeof(info), "type",
		  device_type_name(e->device_id, number, sizeof(number)));
	put_label(info, sizeof(info), "state", e->state);
	add(s, "info", true, info, 1);
	add(s, "running", true, labels, !strcmp(e->state, "running"));
	add_adapter(s, e, labels);
	if (e->parent < 0)
		return;
	add(s, "pool_size", true, labels, e->pool);
	add_number(s, e, labels, "pool_used");
	add_number(s, e, labels, "message_timeouts");
	if (!sysfs_read(e->parent, "stats", text, sizeof(text)))
		add_lines(s, labels, text);
	if (!sysfs_read_queues(e->parent, e->queues, text, sizeof(text)))
		add_queues(s, labels, text);
}

static void print_metric(struct samples *s, size_t first, FILE *out)
{
	const char *metric = s->all[first].metric;
	size_t i;

	fprintf(out, "# TYPE " PREFIX "%s %s\n", metric, s->all[first].gauge ? "gauge" : "counter");
	for (i = first; i < s->count; i++) {
		struct sample *sample = &s->all[i];

		if (sample->printed || strcmp(sample->metric, metric) != 0)
			continue;
		sample->printed = true;
		fprintf(out, PREFIX "%s%s%s%s %" PRIu64 "\n", metric,
			sample->labels[0] ? "{" : "", sample->labels, sample->labels[0] ? "}" : "",
			sample->value);
	}
}

int prometheus_print(const struct device_entry *entries, int count, FILE *out)
{
	struct samples s = { 0 };
	size_t n;
	int i;

	add(&s, "devices", true, "", (uint64_t)count);
	for (i = 0; i < count; i++)
		add_device(&s, &entries[i]);
	for (n = 0; n < s.count && !s.failed; n++) {
		if (!s.all[n].printed)
			print_metric(&s, n, out);
	}
	free(s.all);
	if (s.unasked)
		log_warning("stats: %u adapter(s): permission denied: they are another user's: run "
			    "as root", s.unasked);
	return s.failed ? -ENOMEM : 0;
}

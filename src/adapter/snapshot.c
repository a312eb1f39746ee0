// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/snapshot.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <linux/virtio_loopback.h>

#include "adapter/option-value.h"
#include "adapter/pool.h"
#include "common/parse.h"
#include "common/util.h"

#define TITLE "virtio-loopback-snapshot "
#define TIME_MAX_MS (366ULL * 24 * 3600 * 1000)

/* struct field - one key: a text of up to @max bytes with its NUL, or a number up to @max */
struct field {
	const char *key;
	size_t offset;
	uint64_t max;
	bool text;
	bool optional; /* an older writer may not know it: then it is 0 or empty */
};

#define NUMBER(name, most)                                                         \
	{                                                                          \
		.key = #name, .offset = offsetof(struct snapshot, name), .max = most \
	}
/* What older adapters do not write. */
#define LATER_NUMBER(name, most)                                                     \
	{                                                                            \
		.key = #name, .offset = offsetof(struct snapshot, name), .max = most, \
		.optional = true                                                     \
	}
#define TEXT(name)                                                                           \
	{                                                                                    \
		.key = #name, .offset = offsetof(struct snapshot, name), .text = true,       \
		.max = sizeof(((struct snapshot *)0)->name)                                  \
	}

static const struct field fields[] = {
	NUMBER(type, UINT32_MAX),
	NUMBER(queues, VIRTIO_LOOPBACK_QUEUES_MAX),
	NUMBER(queue_size, VIRTIO_LOOPBACK_QUEUE_SIZE_MAX),
	NUMBER(pool, POOL_SIZE_MAX),
	NUMBER(reconnect_ms, UINT64_MAX),
	NUMBER(timeout_ms, TIME_MAX_MS),
	NUMBER(heartbeat_ms, TIME_MAX_MS),
	NUMBER(type_config_size, CONFIG_SIZE_MAX),
	NUMBER(mac, (1ULL << 48) - 1),
	NUMBER(mtu, UINT16_MAX),
	LATER_NUMBER(packed, 1),
	NUMBER(sandbox, 1),
	NUMBER(verbose, 1),
	NUMBER(restart, 1),
	LATER_NUMBER(pool_given, 1),
	LATER_NUMBER(keep_ms, UINT32_MAX),
	TEXT(name),
	TEXT(socket),
	TEXT(exec),
	TEXT(tag),
	TEXT(node),
	TEXT(state_dir),
	TEXT(log),
	NUMBER(reported, 1),
	NUMBER(offered, UINT64_MAX),
	NUMBER(accepted, UINT64_MAX),
	NUMBER(features_ok, 1),
	NUMBER(driver_ok, 1),
	LATER_NUMBER(rings_fresh, 1),
	NUMBER(status, UINT8_MAX),
	NUMBER(total, SNAPSHOT_QUEUES_MAX),
	NUMBER(served, SNAPSHOT_QUEUES_MAX),
	NUMBER(counted, UINT16_MAX),
	NUMBER(segments, VIRTIO_LOOPBACK_QUEUE_SIZE_MAX),
	NUMBER(segment, UINT32_MAX),
	NUMBER(ring_size, VIRTIO_LOOPBACK_QUEUE_SIZE_MAX),
	LATER_NUMBER(net_pairs, SNAPSHOT_QUEUES_MAX / 2),
	NUMBER(config_size, CONFIG_SIZE_MAX),
	LATER_NUMBER(together, UINT16_MAX),
	TEXT(config),
	TEXT(started),
	NUMBER(backend_features, UINT64_MAX),
	NUMBER(protocol, UINT64_MAX),
	NUMBER(max_queues, UINT32_MAX),
	NUMBER(inflight_size, UINT64_MAX),
	NUMBER(inflight_offset, UINT64_MAX),
	NUMBER(inflight_queues, SNAPSHOT_QUEUES_MAX),
	NUMBER(inflight_queue_size, VIRTIO_LOOPBACK_QUEUE_SIZE_MAX),
	NUMBER(waiting, 1),
	NUMBER(backend_pid, INT32_MAX),
	NUMBER(keeper_pid, INT32_MAX),
	NUMBER(quiet_by, UINT64_MAX),
	NUMBER(give_up, UINT64_MAX),
	NUMBER(reconnects, UINT32_MAX),
};

/* ---- writing ---- */

struct writer {
	char *at;
	size_t left;
	bool full;
};

static void put_char(struct writer *w, char c)
{
	if (!w->left) {
		w->full = true;
		return;
	}
	*w->at++ = c;
	w->left--;
}

static void put(struct writer *w, const char *text)
{
	while (*text)
		put_char(w, *text++);
}

/* A value is one line: a newline or a backslash in it is written as \n or \\. */
static void put_value(struct writer *w, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n') {
			put(w, "\\n");
		} else {
			if (*text == '\\')
				put_char(w, '\\');
			put_char(w, *text);
		}
	}
}

static void put_number(struct writer *w, uint64_t value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRIu64, value);
	put(w, digits);
}

int snapshot_write(const struct snapshot *snapshot, char *text, size_t size)
{
	struct writer w = { .at = text, .left = size };
	size_t i;

	put(&w, TITLE);
	put_number(&w, SNAPSHOT_VERSION);
	put_char(&w, '\n');
	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		const char *at = (const char *)snapshot + fields[i].offset;

		put(&w, fields[i].key);
		put_char(&w, ' ');
		if (fields[i].text)
			put_value(&w, at);
		else
			put_number(&w, *(const uint64_t *)at);
		put_char(&w, '\n');
	}
	return w.full ? -ENOSPC : (int)(w.at - text);
}

/* ---- reading ---- */

/* A line is neither ended by a NUL nor free of one. */
struct line {
	const char *key;
	size_t key_length;
	const char *value;
	size_t length;
};

static bool next_line(const char **text, const char *end, struct line *line)
{
	const char *newline = memchr(*text, '\n', (size_t)(end - *text));
	const char *blank;

	if (!newline)
		return false;
	blank = memchr(*text, ' ', (size_t)(newline - *text));
	line->key = *text;
	line->key_length = (size_t)((blank ? blank : newline) - *text);
	line->value = blank ? blank + 1 : newline;
	line->length = (size_t)(newline - line->value);
	*text = newline + 1;
	return true;
}

static int get_number(uint64_t *out, uint64_t max, const struct line *line)
{
	char digits[24];

	if (line->length >= sizeof(digits) || memchr(line->value, '\0', line->length))
		return -EINVAL;
	memcpy(digits, line->value, line->length);
	digits[line->length] = '\0';
	return parse_u64(digits, 0, max, out);
}

static int get_text(char *out, size_t size, const struct line *line)
{
	size_t i, n = 0;

	for (i = 0; i < line->length; i++) {
		char c = line->value[i];

		if (c == '\\') {
			if (++i == line->length)
				return -EINVAL;
			c = line->value[i] == 'n' ? '\n' : line->value[i];
		}
		if (!c || n + 1 >= size)
			return -EINVAL;
		out[n++] = c;
	}
	out[n] = '\0';
	return 0;
}

static int take(struct snapshot *snapshot, const struct line *line, bool *seen)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		char *at = (char *)snapshot + fields[i].offset;

		if (strlen(fields[i].key) != line->key_length ||
		    memcmp(fields[i].key, line->key, line->key_length) != 0)
			continue;
		if (seen[i])
			return -EINVAL;
		seen[i] = true;
		return fields[i].text ? get_text(at, fields[i].max, line) :
					get_number((uint64_t *)at, fields[i].max, line);
	}
	return 0; /* of a newer adapter */
}

static int check_version(const char **text, const char *end)
{
	struct line line;
	uint64_t version;

	if (!next_line(text, end, &line) || line.key_length != strlen(TITLE) - 1 ||
	    memcmp(line.key, TITLE, line.key_length) != 0 ||
	    get_number(&version, UINT32_MAX, &line))
		return -EINVAL;
	return version == SNAPSHOT_VERSION ? 0 : -EPROTONOSUPPORT;
}

static bool is_power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

static bool config_is_sound(const struct snapshot *s)
{
	size_t i, length = strlen(s->config);

	if (length != 2 * s->config_size)
		return false;
	for (i = 0; i < length; i++) {
		if (!isxdigit((unsigned char)s->config[i]))
			return false;
	}
	return true;
}

/* What a ring of the layout that was asked for can have */
static bool size_is_sound(const struct snapshot *s, uint64_t size)
{
	return s->packed ? size > 0 : is_power_of_two(size);
}

static bool queues_are_sound(const struct snapshot *s)
{
	return s->total && s->served <= s->total && size_is_sound(s, s->ring_size) &&
	       strlen(s->started) == s->total && strspn(s->started, "01") == s->total &&
	       size_is_sound(s, s->queue_size) && s->inflight_queues <= s->total &&
	       s->net_pairs <= MAX(s->served / 2, (uint64_t)1);
}

/* What the parts say of each other. */
static const char *contradiction(const struct snapshot *s)
{
	if (!s->type || option_value_name(s->name))
		return "type or name";
	if (!s->socket[0] == !s->exec[0])
		return "back-end";
	if (!s->node[0] || !s->state_dir[0])
		return "paths";
	if (s->pool < POOL_SIZE_MIN || !s->timeout_ms)
		return "pool or time-out";
	if (!queues_are_sound(s))
		return "virtqueues";
	if (!config_is_sound(s))
		return "configuration space";
	if ((s->accepted & ~s->offered) || (s->driver_ok && !s->features_ok))
		return "features";
	return NULL;
}

int snapshot_parse(struct snapshot *snapshot, const char *text, size_t length,
		   struct failure *failure)
{
	bool seen[ARRAY_SIZE(fields)] = { false };
	const char *end = text + length, *wrong;
	struct line line;
	size_t i;
	int ret;

	memset(snapshot, 0, sizeof(*snapshot));
	ret = check_version(&text, end);
	if (ret)
		return failure_set(failure, ret,
				   ret == -EINVAL ? "the old adapter's description of the device "
						    "is none" :
						    "the old adapter describes its device in a "
						    "way that this one does not know: take a "
						    "newer adapter");
	while (next_line(&text, end, &line)) {
		if (take(snapshot, &line, seen))
			return failure_set(failure, -EINVAL,
					   "the description of the device: %.*s makes no sense",
					   (int)MIN(line.key_length, (size_t)40), line.key);
	}
	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		if (!seen[i] && !fields[i].optional)
			return failure_set(failure, -EINVAL,
					   "the description of the device lacks %s", fields[i].key);
	}
	wrong = contradiction(snapshot);
	if (wrong)
		return failure_set(failure, -EINVAL,
				   "the description of the device contradicts itself (%s)", wrong);
	return text == end ? 0 : failure_set(failure, -EINVAL,
					     "the description of the device is cut off");
}

// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/option-value.h"

#include <ctype.h>
#include <errno.h>
#include <linux/virtio_gpu.h>
#include <linux/virtio_loopback.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/options.h"
#include "adapter/personality.h"
#include "adapter/pool.h"
#include "common/parse.h"
#include "common/util.h"
#include "vhost-user/edid.h"

#define RECONNECT_MAX_S (365U * 24 * 3600)
#define TAG_MAX 36 /* virtio 5.11.4 */

/* ---- numbers ---- */

static const struct bounds {
	const char *key;
	unsigned int min, max;
	const char *unit;
} numbers[] = {
	{ "queues", 1, VIRTIO_LOOPBACK_QUEUES_MAX, "" },
	{ "queue-size", 2, VIRTIO_LOOPBACK_QUEUE_SIZE_MAX, "" },
	{ "reconnect", 0, RECONNECT_MAX_S, " seconds" },
	{ "timeout", 1, 60, " seconds" },
	{ "heartbeat", 0, 60, " seconds" },
	{ "config-size", 0, CONFIG_SIZE_MAX, " bytes" },
	{ "mtu", 68, 65535, " bytes" }, /* IPv4's least, and the field's most */
	{ "heads", 1, VIRTIO_GPU_MAX_SCANOUTS, "" },
	{ "ready-fd", 0, INT32_MAX, "" },
};

static const struct bounds *bounds_of(const char *key)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (!strcmp(numbers[i].key, key))
			return &numbers[i];
	}
	return NULL;
}

int option_value_number(const char *key, const char *text, unsigned int *value)
{
	const struct bounds *bounds = bounds_of(key);

	return bounds ? parse_uint(text, bounds->min, bounds->max, value) : -EINVAL;
}

int option_value_reconnect(const char *text, uint64_t *ms)
{
	unsigned int seconds;
	int ret;

	if (!strcmp(text, "off")) {
		*ms = RECONNECT_OFF;
		return 0;
	}
	if (!strcmp(text, "forever")) {
		*ms = RECONNECT_FOREVER;
		return 0;
	}
	ret = option_value_number("reconnect", text, &seconds);
	if (!ret)
		*ms = (uint64_t)seconds * 1000;
	return ret;
}

int option_value_pool(const char *text, uint64_t *bytes)
{
	uint64_t size;
	int ret = parse_size(text, &size);

	if (ret)
		return ret;
	if (size < POOL_SIZE_MIN || size > POOL_SIZE_MAX)
		return -ERANGE;
	*bytes = size;
	return 0;
}

/* Each within what a driver and its EDID can hold. */
int option_value_resolution(const char *text, const char **resolution, uint32_t *pixels)
{
	const char *x = strchr(text, 'x');
	unsigned int width, height;
	char first[16];
	int ret;

	if (!x || x - text >= (ptrdiff_t)sizeof(first))
		return -EINVAL;
	memcpy(first, text, (size_t)(x - text));
	first[x - text] = '\0';
	ret = parse_uint(first, EDID_MIN_SIDE, EDID_MAX_SIDE, &width);
	if (!ret)
		ret = parse_uint(x + 1, EDID_MIN_SIDE, EDID_MAX_SIDE, &height);
	if (ret)
		return ret;
	*resolution = text;
	*pixels = width * height;
	return 0;
}

/* xx:xx:xx:xx:xx:xx, and no multicast address */
int option_value_mac(const char *text, uint8_t mac[6])
{
	uint8_t bytes[6];
	int i;

	for (i = 0; i < 6; i++) {
		char *end;

		if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]))
			return -EINVAL;
		bytes[i] = (uint8_t)strtoul(text, &end, 16);
		if (end != text + 2 || *end != (i < 5 ? ':' : '\0'))
			return -EINVAL;
		text = end + 1;
	}
	if (bytes[0] & 1)
		return -EINVAL;
	memcpy(mac, bytes, sizeof(bytes));
	return 0;
}

/* ---- words ---- */

int option_value_name(const char *text)
{
	const char *p;

	if (!text[0] || strchr("-.", text[0]) || strlen(text) >= VIRTIO_LOOPBACK_NAME_MAX)
		return -EINVAL;
	for (p = text; *p; p++) {
		if (!isascii((unsigned char)*p) ||
		    (!isalnum((unsigned char)*p) && !strchr("-_.", *p)))
			return -EINVAL;
	}
	return 0;
}

int option_value_text(const char *text, const char **value)
{
	if (!text[0])
		return -EINVAL;
	*value = text;
	return 0;
}

int option_value_tag(const char *text, const char **tag)
{
	return strlen(text) > TAG_MAX ? -ERANGE : option_value_text(text, tag);
}

int option_value_display(const char *text, const char **display)
{
	bool plain = !strcmp(text, "sdl") || !strcmp(text, "vnc") || !strcmp(text, "none");
	bool place = !strncmp(text, "vnc=", 4) || !strncmp(text, "png=", 4);

	if (!plain && !(place && text[4]))
		return -EINVAL;
	*display = text;
	return 0;
}

/* ---- what they are, in words ---- */

static void put_size(char *buf, size_t size, uint64_t bytes)
{
	static const char units[] = "KMG";
	unsigned int unit = 0;

	for (bytes >>= 10; unit + 1 < strlen(units) && !(bytes & 1023); unit++)
		bytes >>= 10;
	snprintf(buf, size, "%u%c", (unsigned int)bytes, units[unit]);
}

static void put_pool(char *buf, size_t size)
{
	char least[16], most[16];

	put_size(least, sizeof(least), POOL_SIZE_MIN);
	put_size(most, sizeof(most), POOL_SIZE_MAX);
	snprintf(buf, size, "%s to %s", least, most);
}

static const char *rule_of_word(const char *key)
{
	static const char *const rules[][2] = {
		{ "mac", "six bytes as in 02:00:00:00:00:01, and no multicast address" },
		{ "display", "sdl, vnc, vnc=HOST:PORT, png=FOLDER or none" },
		{ "socket", "it is empty" },
		{ "exec", "it is empty" },
		{ "display-input", "it is empty" },
		{ "display-program", "it is empty" },
		{ "display-render-node", "it is empty" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rules); i++) {
		if (!strcmp(rules[i][0], key))
			return rules[i][1];
	}
	return "";
}

void option_value_rule(const char *key, char *buf, size_t size)
{
	const struct bounds *bounds = bounds_of(key);

	if (bounds)
		snprintf(buf, size, "%s%u to %u%s", strcmp(key, "reconnect") ? "" : "forever, off or ",
			 bounds->min, bounds->max, bounds->unit);
	else if (!strcmp(key, "pool"))
		put_pool(buf, size);
	else if (!strcmp(key, "resolution"))
		snprintf(buf, size, "WxH, each %u to %u", EDID_MIN_SIDE, EDID_MAX_SIDE);
	else if (!strcmp(key, "tag"))
		snprintf(buf, size, "1 to %d bytes", TAG_MAX);
	else if (!strcmp(key, "name"))
		snprintf(buf, size,
			 "up to %d letters, digits, '-', '_' and '.', and neither '-' nor '.' first",
			 VIRTIO_LOOPBACK_NAME_MAX - 1);
	else if (!strcmp(key, "transport"))
		snprintf(buf, size, "%s or %s", transport_loopback.name, transport_vduse.name);
	else
		snprintf(buf, size, "%s", rule_of_word(key));
}

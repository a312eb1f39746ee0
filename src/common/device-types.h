/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the virtio document (section 5) and the Linux drivers say about each device type: its name,
 * its driver, its configuration space and its virtqueues. A back-end never tells its type: the
 * user names it.
 *
 * Types that are not listed work as well, by number: with the queues that the back-end has, and the
 * configuration size that the user gives.
 */
#ifndef VL_COMMON_DEVICE_TYPES_H
#define VL_COMMON_DEVICE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many virtqueues a device of this type has. */
enum queue_layout {
	/* @queues; one less while feature bit @queue_feature is given and not offered */
	QUEUES_FIXED,
	/*
	 * @queues + n: n is in the configuration space at @count_offset (with @queue_feature, else
	 * 1)
	 */
	QUEUES_COUNTED,
	/*
	 * virtio-console, section 5.3.2: two a port, and two for control when there can be several
	 */
	QUEUES_CONSOLE,
	/*
	 * virtio-net, section 5.1.2: pairs, and with @queue_feature one for control, and the
	 * number of pairs in the configuration space at @count_offset
	 */
	QUEUES_PAIRS,
	/* not known: what the back-end has */
	QUEUES_BACKEND,
};

/* What a device keeps in its back-end besides the virtqueues decides what a restart may do. */
enum device_recovery {
	RECOVER_REPLAY, /* nothing: outstanding requests are given to the next back-end */
	RECOVER_REPLUG, /* state that is lost: the driver has to start over */
};

#define DEVICE_NO_FEATURE (-1)

struct device_type {
	uint32_t id;
	const char *name;
	const char *module; /* of the Linux driver */
	const char *option; /* the kernel option that builds it */
	uint16_t config_size; /* bytes that every device of the type has */
	struct {
		int8_t feature;
		uint8_t size; /* bytes with that feature */
	} config_more[2];
	enum queue_layout layout;
	int8_t queue_feature;
	uint8_t queues; /* fixed part */
	uint8_t count_offset; /* QUEUES_COUNTED, QUEUES_PAIRS */
	uint8_t count_width; /* bytes, little-endian */
	uint8_t unserved; /* of the last queues, so many may be unknown to the back-end */
	uint16_t queue_size;
	uint32_t pool; /* default size in KiB */
	enum device_recovery recovery;
	/*
	 * The first Linux whose driver can be served, major << 8 | minor (0: all), and what is
	 * wrong with those before: "the driver ..."
	 */
	uint16_t driver_since;
	const char *driver_trouble;
};

/**
 * device_type_find() - the type that a user named
 * @text:	a name, or a number (decimal, or hexadecimal with 0x)
 * @type:	filled in; for a number that is not in the table with what holds for any type
 *
 * Return: 0, -ENOENT for a name that is none, -ERANGE for a number that is no device id.
 */
int device_type_find(const char *text, struct device_type *type);

/**
 * device_type_config_size() - how long the configuration space is
 * @type:	the type
 * @features:	what the back-end offers
 *
 * Back-ends refuse to be asked for more than they have, or read past it.
 */
unsigned int device_type_config_size(const struct device_type *type, uint64_t features);

/* device_type_by_id() - the table's entry, or NULL */
const struct device_type *device_type_by_id(uint32_t id);

/* device_type_name() - the name, or the number as text in @buf */
const char *device_type_name(uint32_t id, char *buf, size_t size);

/* device_type_names() - all names, separated by commas, for messages and --help */
const char *device_type_names(void);

#endif

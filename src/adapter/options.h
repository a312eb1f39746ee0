/* SPDX-License-Identifier: BSD-3-Clause */
/* The adapter's command line. */
#ifndef ADAPTER_OPTIONS_H
#define ADAPTER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "adapter/transport.h"
#include "common/device-types.h"
#include "common/failure.h"
#include "common/run-as.h"

#define RECONNECT_OFF 0
#define RECONNECT_FOREVER UINT64_MAX

struct adapter_options {
	const char *name;
	struct device_type type;
	const char *socket; /* or */
	const char *exec;
	unsigned int queues; /* 0: as the back-end has them */
	unsigned int queue_size; /* 0: as usual for the type */
	bool packed; /* the driver gets virtqueues of the packed layout */
	uint64_t pool; /* bytes */
	bool pool_given; /* by the user */
	uint64_t reconnect_ms; /* RECONNECT_* or a time */
	unsigned int timeout_ms; /* for what the back-end has to do at the driver's request */
	unsigned int heartbeat_ms; /* how often it is asked for a sign of life; 0: never */
	unsigned int config_size; /* of types that are not in the table */
	const char *tag; /* fs */
	uint8_t mac[6]; /* net; zeroes: make one up */
	unsigned int mtu; /* net; 0: not said */
	const char *display; /* gpu: sdl, vnc[=ADDRESS], png=FOLDER, none */
	const char *display_program; /* NULL: virtio-loopback-display */
	const char *resolution; /* WxH, NULL: the display's choice */
	uint32_t head_pixels; /* of that */
	unsigned int heads;
	const char *display_input; /* where vhost-user-input finds what is typed there; NULL: not */
	const char *display_render_node; /* reads what the CPU cannot; NULL: nothing does */
	const struct transport *transport;
	const char *node;
	const char *state_dir;
	const char *log; /* NULL: standard error */
	int ready_fd; /* -1: none */
	unsigned int keep_ms; /* how long the device outlives its adapter; 0: not at all */
	bool restart; /* ... and the keeper starts another one */
	bool takeover; /* go on with a device of this name that has lost its adapter */
	bool replace; /* ... or has one, which is asked to yield */
	bool sandbox;
	struct run_as user; /* whom it becomes; not given: SERVICE_USER */
	bool hearsay; /* socket and exec are what an old adapter left, and nobody else said */
	bool verbose;
	const char *config; /* the file that options were read from, or NULL */
	bool help, version;
};

/**
 * options_parse() - read the command line
 * @options:	filled in; strings stay where they are
 * @argc:	as main() has them
 * @argv:	as main() has them
 * @failure:	the reason in words
 */
int options_parse(struct adapter_options *options, int argc, char **argv, struct failure *failure);

/* options_read() - the first half of it: word by word */
int options_read(struct adapter_options *options, int argc, char **argv, struct failure *failure);

/* options_complete() - the other half: is it whole? What was not said is filled in */
int options_complete(struct adapter_options *options, struct failure *failure);

/**
 * options_set() - one option by its name, as from a file
 * @options:	begun by options_init()
 * @key:	an option that describes the device, without its dashes
 * @value:	kept, not copied; of an option without one: yes or no
 * @failure:	the reason in words, without the name of the option
 *
 * Return: 0, -ENOENT: there is no such option, or none for a file; or another negative errno.
 */
int options_set(struct adapter_options *options, const char *key, const char *value,
		struct failure *failure);

/* options_init() - as when nothing was said */
void options_init(struct adapter_options *options);

/**
 * options_check_together() - does what was said go together?
 * @options:	all of it
 * @mistake:	called for each mistake: the option that it is about, without its dashes, and what
 *		is wrong, in the words of a command line
 * @context:	its own
 *
 * Return: how many mistakes.
 */
unsigned int options_check_together(const struct adapter_options *options,
				    void (*mistake)(void *context, const char *key,
						    const char *text),
				    void *context);

/* options_check_type() - does a device of this type have the option @key? 0 or -EINVAL */
int options_check_type(const char *key, const struct device_type *type, struct failure *failure);

void options_usage(void);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device-side library: a vhost-user back-end program is a struct vu_device with its callbacks,
 * handed to vu_main().
 *
 * The library speaks the protocol, keeps the memory table and the rings, follows the back-end
 * program conventions of the vhost-user document (--socket-path, --fd, --print-capabilities,
 * SIGTERM), and keeps the in-flight record.
 *
 * Threads. All callbacks come from the main thread. A device has the choice, for all its queues:
 *
 *	- queue_kick is set: the library watches the kicks, and calls it from the main loop;
 *	- queue_kick is NULL: queue_start starts a thread of the device's own that waits for
 *	  queue->kick_fd, and queue_stop ends it.
 *
 * Between queue_start and queue_stop the virtqueue belongs to whoever works on it. queue_stop
 * returns only when all requests taken have been answered with vq_push(), or given back with
 * vq_untake(), and no I/O touches the shared memory any more: after it, the memory can go. Queues
 * are stopped for each change of memory table, ring or features and started again, so a device may
 * see several rounds; requests are not lost in them.
 */
#ifndef VU_BACKEND_H
#define VU_BACKEND_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include "backends/common/loop.h"
#include "backends/common/virtqueue.h"
#include "common/confine.h"
#include "vhost-user/message.h"

struct vu_backend;

/* Most queues of one device */
#define VU_MAX_QUEUES 64

struct vu_queue {
	struct virtqueue vq;
	unsigned int index;
	int kick_fd; /* an eventfd; its counter means nothing */
	uint64_t features; /* acknowledged */
	struct vu_backend *backend;
	void *priv; /* the device's own */
};

/*
 * Callbacks; @dev is struct vu_device.dev. Those that can be NULL are marked. Errors are negative
 * errnos.
 */
struct vu_device_ops {
	/*
	 * device-type feature bits (0-23, 50-127 of which 64 fit); the library adds those of the
	 * ring
	 */
	uint64_t (*features)(void *dev);

	/* NULL: a device without a config space. Copies @size bytes; the range was checked. */
	void (*get_config)(void *dev, void *buf, uint32_t offset, uint32_t size);

	/* NULL: nothing in it can be written. -EINVAL refuses. */
	int (*set_config)(void *dev, const void *buf, uint32_t offset, uint32_t size);

	/* NULL: no need. The queue has been set up. An error stops it. */
	int (*queue_start)(void *dev, struct vu_queue *queue);
	void (*queue_stop)(void *dev, struct vu_queue *queue);

	/* NULL: the device waits for kicks itself. Also called once after each start. */
	void (*queue_kick)(void *dev, struct vu_queue *queue);

	/* NULL: no need. The front-end resets the device or has gone; queues are stopped. */
	void (*reset)(void *dev);

	/* NULL: none. A request of one device type, e.g. GPU_SET_SOCKET. -EOPNOTSUPP: not known. */
	int (*request)(void *dev, struct vu_message *msg);

	/* NULL: ignored. SIGHUP. */
	void (*hangup)(void *dev);
};

struct vu_device {
	const struct vu_device_ops *ops;
	void *dev;
	unsigned int num_queues;
	unsigned int max_queue_size; /* a power of two; SET_VRING_NUM beyond it is refused */
	uint32_t config_size; /* bytes of config space */
	uint64_t protocol_features; /* BIT_ULL()s on top of the library's own */
	bool no_inflight; /* replaying requests would be wrong for this device */
};

/*
 * Requests of one queue in a row, in the main loop. A driver on another CPU can have the next one
 * there each time that it is looked; other queues, the front-end and signals have their turn too.
 */
#define VU_TURN 64

/* vu_queue_again() - queue_kick is to be called again, after the others; takes NULL */
void vu_queue_again(const struct vu_queue *queue);

/* vu_loop() - the main loop, for a device's own descriptors */
struct loop *vu_loop(struct vu_backend *backend);

/**
 * vu_config_changed() - tell the front-end that the config space changed
 * @backend:	the back-end
 *
 * From the main thread.
 *
 * Return: 0, -ENOTCONN without a front-end or without BACKEND_REQ, or a negative errno.
 */
int vu_config_changed(struct vu_backend *backend);

/* ---- programs ---- */

/* Values of a program's own long options are from here on. */
#define VU_OPTION_FIRST 1000

#define VU_GROUPS_MAX 16

/* What a program goes on to need beside its connections; all else is given up (confine.h). */
struct vu_needs {
	unsigned int kinds; /* CONFINE_LISTEN and so on */
	bool wide; /* of a library whose system calls cannot be listed */
	bool override; /* CAP_DAC_OVERRIDE: files of other users */
	bool network; /* connections to servers, by TCP as well */
	struct confine_path *paths;
	size_t num_paths;
	gid_t groups[VU_GROUPS_MAX];
	size_t num_groups;
	int error; /* there was no memory for one of them */
};

/* @path: NULL: nothing to add */
void vu_needs_path(struct vu_needs *needs, const char *path, unsigned int access);

/* vu_needs_removal() - @path is removed in the end */
void vu_needs_removal(struct vu_needs *needs, const char *path);

/* vu_needs_groups() - @pattern, as of a shell, is of devices that their groups may open */
void vu_needs_groups(struct vu_needs *needs, const char *pattern);

struct vu_program {
	const char *name; /* vhost-user-TYPE */
	const char *capabilities; /* JSON for --print-capabilities */
	const char *usage; /* the options' lines of --help */
	const struct option *options; /* ends with an empty one */

	/* One option. -EINVAL after a line that says why. */
	int (*parse)(void *dev, int option, const char *value);

	/*
	 * After all options: open what the device needs and fill in @device (but for @dev, which is
	 * set). Errors are told by the program in one line; -EINTR after vu_interrupted() is none.
	 */
	int (*open)(void *dev, struct vu_backend *backend, struct vu_device *device);

	/* NULL: nothing more. The device is open and its socket there; no message has come yet. */
	void (*needs)(void *dev, struct vu_needs *needs);

	/* NULL: no need. After the queues have stopped, or when open failed half-way. */
	void (*close)(void *dev);
};

/* vu_interrupted() - for what open waits for: SIGTERM or SIGINT has come */
bool vu_interrupted(void);

/**
 * vu_main() - be that program
 * @program:	what it is
 * @dev:	handed to all callbacks
 *
 * Return: the exit status: 0 after SIGTERM or SIGINT, or when the front-end of --fd has gone.
 */
int vu_main(const struct vu_program *program, void *dev, int argc, char **argv);

#endif

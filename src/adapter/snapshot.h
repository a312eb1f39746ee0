/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All that an adapter knows of its device, in a form that the next one understands: what was asked
 * for, what was agreed upon with the back-end and the driver, and how far things are.
 *
 * It is text, lines of "key value" after a first line with the version. A newer adapter may write
 * keys that an older one does not know; those are skipped. What changes the meaning of a key, or
 * cannot be done without, raises the version.
 *
 * Who reads it has privileges that its writer had given up before somebody may have taken it over.
 * So nothing in it decides which program is executed, which file is opened and what the reader
 * gives up (takeover.c).
 */
#ifndef ADAPTER_SNAPSHOT_H
#define ADAPTER_SNAPSHOT_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "adapter/personality.h"
#include "common/failure.h"
#include "common/state-dir.h"

#define SNAPSHOT_VERSION 1
#define SNAPSHOT_TEXT_MAX (48U << 10) /* bytes of text */
#define SNAPSHOT_EXEC_MAX 16384
#define SNAPSHOT_QUEUES_MAX 256

/**
 * struct snapshot - numbers and texts, see struct adapter and struct adapter_options
 *
 * Numbers that are flags are 0 or 1. Deadlines are of CLOCK_MONOTONIC, and so hold for as long as
 * the device. @config is hexadecimal; @started has a '0' or a '1' for each virtqueue.
 */
struct snapshot {
	/* what was asked for */
	uint64_t type, queues, queue_size, pool, reconnect_ms, timeout_ms, heartbeat_ms;
	uint64_t type_config_size, mac, mtu, packed, sandbox, verbose, restart;
	uint64_t pool_given, keep_ms;
	char name[STATE_NAME_MAX];
	char socket[PATH_MAX];
	char exec[SNAPSHOT_EXEC_MAX];
	char tag[40];
	char node[PATH_MAX];
	char state_dir[PATH_MAX];
	char log[PATH_MAX];

	/* the device */
	uint64_t reported, offered, accepted, features_ok, driver_ok, rings_fresh;
	uint64_t status;
	uint64_t total, served, counted, segments, segment, ring_size, net_pairs;
	uint64_t config_size, together;
	char config[2 * CONFIG_SIZE_MAX + 1];
	char started[SNAPSHOT_QUEUES_MAX + 1];

	/* the back-end */
	uint64_t backend_features, protocol, max_queues;
	uint64_t inflight_size, inflight_offset, inflight_queues, inflight_queue_size;
	uint64_t waiting, backend_pid, keeper_pid, quiet_by, give_up, reconnects;
};

/**
 * snapshot_write() - as text
 * @snapshot:	to be written
 * @text:	where to; no NUL at the end
 * @size:	room there
 *
 * Return: bytes written, or -ENOSPC.
 */
int snapshot_write(const struct snapshot *snapshot, char *text, size_t size);

/**
 * snapshot_parse() - read it, and refuse what cannot be true
 * @snapshot:	filled in
 * @text:	need not end in a NUL
 * @length:	bytes of it
 * @failure:	the reason in words
 *
 * Return: 0, -EPROTONOSUPPORT for another version, -EINVAL.
 */
int snapshot_parse(struct snapshot *snapshot, const char *text, size_t length,
		   struct failure *failure);

#endif

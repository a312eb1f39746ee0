/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The connection to a PipeWire server: it is made at the start, and made again when the server went
 * away and came back.
 */
#ifndef SND_PIPEWIRE_LINK_H
#define SND_PIPEWIRE_LINK_H

#include <pipewire/pipewire.h>

#include "backends/snd/snd.h"

struct pipewire_link {
	struct snd_device *snd;
	struct pw_loop *loop; /* runs within the main loop */
	struct pw_context *context;
	struct pw_core *core; /* NULL: no server */
	struct spa_hook core_listener;
	struct spa_source *retry;
	struct spa_source *ended; /* an event: the connection has broken */
	bool broken;
	int sync; /* of link_has_node() */
	bool synced;
	const char *wanted;
	bool found;
};

/* link_open() - connect; errors are told in one line; Return: 0 or a negative errno */
int link_open(struct pipewire_link *link, struct snd_device *snd);

/* link_close() - takes one that failed to open */
void link_close(struct pipewire_link *link);

/*
 * link_has_node() - ask the server for a node of this name, or with this serial number; Return: 1,
 * 0, or a negative errno
 */
int link_has_node(struct pipewire_link *link, const char *name);

/* pipewire_lost(), pipewire_found() - of sink-pipewire.c: the server went, or is back */
void pipewire_lost(struct snd_device *snd);
void pipewire_found(struct snd_device *snd);

#endif

// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapter/device.h"
#include "cli/adapter-client.h"
#include "cli/command.h"
#include "cli/devices.h"
#include "cli/end-servers.h"
#include "cli/in-use.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"

#define ANSWER_MS 2000
#define ADAPTER_MS 20000 /* an adapter that has not ended by then is made to */
#define TOTAL_MS 28000
#define POLL_MS 5
#define CLEAN_MS 100 /* for one who looks at the lock */

enum stage {
	STAGE_UNHEARD, /* the adapter is to be asked again */
	STAGE_ASKED, /* it ends the device */
	STAGE_KILLED, /* the kernel ends it */
	STAGE_GONE,
	STAGE_FAILED,
};

struct victim {
	struct device_entry entry;
	enum stage stage;
};

static void detach_usage(void)
{
	printf("Usage: virtio-loopback detach NAME... | --all [--force]\n"
	       "\n"
	       "Ends devices, whatever their back-ends do. Refuses while a device is in use.\n"
	       "\n"
	       "  --all    all devices\n"
	       "  --force  also those in use: their I/O ends in errors\n");
}

/*
 * An adapter may be waiting for its back-end, as long as --timeout lets it. It finds the order when
 * it comes round, unless there was no room for it (EAGAIN). It is not repeated without need: a
 * second one ends the device at once. One that leaves the device to another adapter says so, or
 * ends before it answers (ECONNRESET).
 */
static void ask(struct victim *v)
{
	char answer[64] = "";
	int ret = adapter_order(STATE_DIR, v->entry.name, "detach", answer, sizeof(answer),
				deadline_after_ms(ANSWER_MS));

	if (adapter_may_not_ask(ret)) {
		log_error("detach: %s: it is another user's: run as root", v->entry.name);
		v->stage = STAGE_FAILED;
	} else if (ret == -EAGAIN || ret == -ECONNRESET || (!ret && !strncmp(answer, "error", 5))) {
		v->stage = STAGE_UNHEARD;
	} else if (!ret || (ret == -ETIMEDOUT && v->entry.adapter_pid > 0)) {
		v->stage = STAGE_ASKED;
	} else {
		end_servers(&v->entry);
		v->stage = STAGE_KILLED;
	}
}

/*
 * A device that waits for an adapter gets one that ends it. Another one's file is open, where
 * nobody may find it: the kernel ends all that can be ended.
 */
static void end_orphan(const struct device_entry *entry)
{
	const struct transport_place place = { .node = DEVICE_NODE, .fd = -1 };
	struct device device = { .fd = -1 };
	int ret;

	if (device_open(&device, &transport_loopback, &place, NULL))
		return;
	ret = device_takeover(&device, entry->name);
	if (!ret) {
		device_fail(&device);
		device_destroy(&device);
	}
	device_close(&device);
	if (ret == -EBUSY)
		sysfs_fail(entry->parent);
}

static bool gone(const struct victim *v)
{
	return !state_alive(STATE_DIR, v->entry.name) &&
	       (v->entry.parent < 0 || !sysfs_exists(v->entry.parent));
}

static bool pending(const struct victim *v)
{
	return v->stage == STAGE_UNHEARD || v->stage == STAGE_ASKED || v->stage == STAGE_KILLED;
}

static void check(struct victim *v, deadline_t kill_at)
{
	struct device_entry now;

	if (gone(v)) {
		/* what a killed adapter could not remove */
		if (v->stage == STAGE_KILLED)
			state_clean_dead(STATE_DIR, v->entry.name, false,
					 deadline_after_ms(CLEAN_MS));
		v->stage = STAGE_GONE;
	} else if (v->stage == STAGE_KILLED) {
		end_orphan(&v->entry);
		/* a keeper that nobody could name has started another one, which is sound */
		if (!devices_find(v->entry.name, &now) && now.adapter_pid > 0 &&
		    now.adapter_pid != v->entry.adapter_pid) {
			v->entry = now;
			v->stage = STAGE_UNHEARD;
		}
	} else if (deadline_passed(kill_at)) {
		/* it may be another adapter's by now */
		if (!devices_find(v->entry.name, &now))
			v->entry = now;
		end_servers(&v->entry);
		v->stage = STAGE_KILLED;
	} else if (v->stage == STAGE_UNHEARD) {
		ask(v);
	}
}

static void wait_all(struct victim *victims, size_t count)
{
	deadline_t deadline = deadline_after_ms(TOTAL_MS);
	deadline_t kill_at = deadline_after_ms(ADAPTER_MS);
	unsigned int left;
	size_t i;

	for (;;) {
		left = 0;
		for (i = 0; i < count; i++) {
			if (pending(&victims[i]))
				check(&victims[i], kill_at);
			left += pending(&victims[i]);
		}
		if (!left || deadline_passed(deadline))
			return;
		poll(NULL, 0, POLL_MS);
	}
}

static int refuse_if_used(const struct device_entry *entry)
{
	struct loopback_device device;
	struct nodes nodes;
	char why[256];

	if (devices_load(entry, &device))
		return 0;
	sysfs_nodes(&device, NULL, &nodes);
	if (!in_use(&device, &nodes, why, sizeof(why)))
		return 0;
	log_error("detach: %s is in use: %s (--force ends it all the same)", entry->name, why);
	return -EBUSY;
}

static int detach(struct victim *victims, size_t count, bool force)
{
	int status = 0;
	size_t i;

	for (i = 0; i < count; i++) {
		if (!force && refuse_if_used(&victims[i].entry))
			victims[i].stage = STAGE_FAILED;
	}
	for (i = 0; i < count; i++) {
		if (victims[i].stage != STAGE_FAILED)
			ask(&victims[i]);
	}
	wait_all(victims, count);
	for (i = 0; i < count; i++) {
		if (pending(&victims[i]))
			log_error("detach: %s: the kernel has not let go of it yet",
				  victims[i].entry.name);
		if (victims[i].stage != STAGE_GONE)
			status = 1;
	}
	return status;
}

static bool found(const struct victim *victims, int count, const char *name)
{
	int i;

	for (i = 0; i < count; i++) {
		if (!strcmp(victims[i].entry.name, name))
			return true;
	}
	return false;
}

/* Each once: a second order ends the device at once. */
static int find_named(struct victim *victims, int argc, char **argv, int first)
{
	int i, n = 0;

	for (i = first; i < argc; i++) {
		if (found(victims, n, argv[i]))
			continue;
		if (devices_find(argv[i], &victims[n].entry)) {
			log_error("detach: %s: there is no such device", argv[i]);
			return -ENOENT;
		}
		n++;
	}
	return n;
}

static int find_all(struct victim **victims)
{
	struct device_entry *entries;
	int i, n = devices_list(&entries);

	if (n <= 0)
		return n;
	*victims = calloc((size_t)n, sizeof(**victims));
	for (i = 0; *victims && i < n; i++)
		(*victims)[i].entry = entries[i];
	free(entries);
	return *victims ? n : -ENOMEM;
}

int command_detach(int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "force", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	_cleanup_free_ struct victim *victims = NULL;
	bool all = false, force = false;
	int opt, n;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'a':
			all = true;
			break;
		case 'f':
			force = true;
			break;
		case 'h':
			detach_usage();
			return 0;
		default:
			return EXIT_USAGE;
		}
	}
	if (all == (optind < argc)) {
		log_error("detach: either names or --all");
		return EXIT_USAGE;
	}
	if (all) {
		n = find_all(&victims);
	} else {
		victims = calloc((size_t)(argc - optind), sizeof(*victims));
		n = victims ? find_named(victims, argc, argv, optind) : -ENOMEM;
	}
	if (n < 0)
		return 1;
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
	return n ? detach(victims, (size_t)n, force) : 0;
}

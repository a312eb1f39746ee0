// SPDX-License-Identifier: BSD-3-Clause
#include "backends/snd/pipewire-link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <spa/utils/result.h>

#include "common/deadline.h"
#include "common/log.h"

#define RETRY_MS 500
/* How long the server may take for a question at the start */
#define ASK_MS 3000

static void loop_ready(void *data, uint32_t events)
{
	struct pipewire_link *link = data;

	(void)events;
	pw_loop_iterate(link->loop, 0);
}

static void set_retry(struct pipewire_link *link, bool on)
{
	struct timespec when = { 0, on ? RETRY_MS * 1000000L : 0 };

	pw_loop_update_timer(link->loop, link->retry, &when, on ? &when : NULL, false);
}

/* The connection cannot be closed from within its own callback. */
static void core_error(void *data, uint32_t id, int seq, int res, const char *message)
{
	struct pipewire_link *link = data;

	(void)seq;
	if (id != PW_ID_CORE || res != -EPIPE) {
		log_debug("PipeWire: object %u: %s: %s", id, spa_strerror(res), message);
		return;
	}
	link->broken = true;
	if (link->ended)
		pw_loop_signal_event(link->loop, link->ended);
}

static void core_done(void *data, uint32_t id, int seq)
{
	struct pipewire_link *link = data;

	if (id == PW_ID_CORE && seq == link->sync)
		link->synced = true;
}

static const struct pw_core_events core_events = {
	PW_VERSION_CORE_EVENTS,
	.done = core_done,
	.error = core_error,
};

static int connect_core(struct pipewire_link *link)
{
	struct pw_properties *props = pw_properties_new(NULL, NULL);

	if (!props)
		return -ENOMEM;
	if (link->snd->remote)
		pw_properties_set(props, PW_KEY_REMOTE_NAME, link->snd->remote);
	link->broken = false;
	link->core = pw_context_connect(link->context, props, 0);
	if (!link->core)
		return -errno;
	pw_core_add_listener(link->core, &link->core_listener, &core_events, link);
	return 0;
}

static void disconnect_core(struct pipewire_link *link)
{
	if (!link->core)
		return;
	spa_hook_remove(&link->core_listener);
	pw_core_disconnect(link->core);
	link->core = NULL;
}

static void connection_ended(void *data, uint64_t count)
{
	struct pipewire_link *link = data;

	(void)count;
	if (!link->broken || !link->core)
		return;
	log_error("PipeWire is gone: what is played is not heard until it is back");
	pipewire_lost(link->snd);
	disconnect_core(link);
	set_retry(link, true);
}

static void retry(void *data, uint64_t count)
{
	struct pipewire_link *link = data;

	(void)count;
	if (link->core || connect_core(link))
		return;
	log_notice("PipeWire is back");
	set_retry(link, false);
	pipewire_found(link->snd);
}

static int make_loop(struct pipewire_link *link)
{
	link->loop = pw_loop_new(NULL);
	if (!link->loop)
		return -errno;
	pw_loop_enter(link->loop);
	link->retry = pw_loop_add_timer(link->loop, retry, link);
	link->ended = pw_loop_add_event(link->loop, connection_ended, link);
	if (!link->retry || !link->ended)
		return -errno;
	link->context = pw_context_new(
		link->loop, pw_properties_new(PW_KEY_CONFIG_NAME, "client-rt.conf", NULL), 0);
	if (!link->context)
		return -errno;
	if (!loop_add(link->snd->loop, pw_loop_get_fd(link->loop), EPOLLIN, loop_ready, link))
		return -errno;
	return 0;
}

int link_open(struct pipewire_link *link, struct snd_device *snd)
{
	int ret;

	*link = (struct pipewire_link){ .snd = snd };
	ret = make_loop(link);
	if (ret) {
		log_error("PipeWire's library cannot be used: %s", strerror(-ret));
		return ret;
	}
	ret = connect_core(link);
	if (ret)
		log_error("no PipeWire at %s: %s (is it running, and XDG_RUNTIME_DIR that of its "
			  "user?)",
			  snd->remote ? snd->remote : "the default socket", strerror(-ret));
	return ret;
}

void link_close(struct pipewire_link *link)
{
	disconnect_core(link);
	if (link->context)
		pw_context_destroy(link->context);
	if (link->retry)
		pw_loop_destroy_source(link->loop, link->retry);
	if (link->ended)
		pw_loop_destroy_source(link->loop, link->ended);
	if (link->loop) {
		pw_loop_leave(link->loop);
		pw_loop_destroy(link->loop);
	}
	*link = (struct pipewire_link){ 0 };
}

/* ---- questions ---- */

static void global_seen(void *data, uint32_t id, uint32_t permissions, const char *type,
			uint32_t version, const struct spa_dict *props)
{
	struct pipewire_link *link = data;
	const char *name, *serial;

	(void)id;
	(void)permissions;
	(void)version;
	if (!props || strcmp(type, PW_TYPE_INTERFACE_Node) != 0)
		return;
	name = spa_dict_lookup(props, PW_KEY_NODE_NAME);
	serial = spa_dict_lookup(props, PW_KEY_OBJECT_SERIAL);
	if ((name && !strcmp(name, link->wanted)) || (serial && !strcmp(serial, link->wanted)))
		link->found = true;
}

static const struct pw_registry_events registry_events = {
	PW_VERSION_REGISTRY_EVENTS,
	.global = global_seen,
};

static int wait_synced(struct pipewire_link *link)
{
	deadline_t deadline = deadline_after_ms(ASK_MS);

	link->synced = false;
	link->sync = pw_core_sync(link->core, PW_ID_CORE, 0);
	while (!link->synced && !link->broken) {
		if (pw_loop_iterate(link->loop, deadline_poll_ms(deadline)) < 0)
			return -EIO;
		if (deadline_passed(deadline))
			return -ETIMEDOUT;
	}
	return link->broken ? -EPIPE : 0;
}

int link_has_node(struct pipewire_link *link, const char *name)
{
	struct pw_registry *registry = pw_core_get_registry(link->core, PW_VERSION_REGISTRY, 0);
	struct spa_hook listener;
	int ret;

	if (!registry)
		return -errno;
	spa_zero(listener);
	link->wanted = name;
	link->found = false;
	pw_registry_add_listener(registry, &listener, &registry_events, link);
	ret = wait_synced(link);
	spa_hook_remove(&listener);
	pw_proxy_destroy((struct pw_proxy *)registry);
	return ret ? ret : link->found;
}

// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "adapter/adapter.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define PAGE_MAGIC "VLBHAND"
#define PAGE_LAYOUT 1

/*
 * struct handover_page - shared memory; who is killed leaves it as it is
 * @active: which of the two texts is whole; the other one is being written
 * @busy: enum handover_busy
 */
struct handover_page {
	char magic[8];
	uint32_t layout;
	uint32_t active;
	uint32_t busy;
	uint32_t length[2];
	char text[2][SNAPSHOT_TEXT_MAX];
};

void handover_init(struct handover *h)
{
	*h = (struct handover){ .fd = -1 };
}

void handover_finish(struct handover *h)
{
	if (h->page)
		munmap(h->page, sizeof(*h->page));
	h->page = NULL;
	h->depth = 0;
	fd_close(&h->fd);
}

/* Sealed: nobody can cut it off, and nobody but this mapping writes to it. */
static int make_page(struct handover *h, enum handover_busy busy)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
	_cleanup_close_ int fd = -1;
	void *map;

	fd = memfd_create("virtio-loopback handover", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, sizeof(*h->page)) < 0)
		return -errno;
	map = mmap(NULL, sizeof(*h->page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	if (fcntl(fd, F_ADD_SEALS, seals) < 0) {
		int error = errno;

		munmap(map, sizeof(*h->page));
		return -error;
	}
	h->page = map;
	h->fd = fd_steal(&fd);
	memcpy(h->page->magic, PAGE_MAGIC, sizeof(h->page->magic));
	h->page->layout = PAGE_LAYOUT;
	h->page->busy = busy;
	return 0;
}

/* ---- what is left ---- */

static void put_mac(struct snapshot *s, const uint8_t mac[6])
{
	unsigned int i;

	for (i = 0; i < 6; i++)
		s->mac = s->mac << 8 | mac[i];
}

static void put_text(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text ? text : "");
}

static void put_options(struct snapshot *s, const struct adapter_options *o)
{
	s->type = o->type.id;
	s->queues = o->queues;
	s->queue_size = o->queue_size;
	s->pool = o->pool;
	s->reconnect_ms = o->reconnect_ms;
	s->timeout_ms = o->timeout_ms;
	s->heartbeat_ms = o->heartbeat_ms;
	s->type_config_size = o->config_size;
	put_mac(s, o->mac);
	s->mtu = o->mtu;
	s->packed = o->packed;
	s->sandbox = o->sandbox;
	s->verbose = o->verbose;
	s->restart = o->restart;
	s->pool_given = o->pool_given;
	s->keep_ms = o->keep_ms;
	put_text(s->name, sizeof(s->name), o->name);
	put_text(s->socket, sizeof(s->socket), o->socket);
	put_text(s->exec, sizeof(s->exec), o->exec);
	put_text(s->tag, sizeof(s->tag), o->tag);
	put_text(s->node, sizeof(s->node), o->node);
	put_text(s->state_dir, sizeof(s->state_dir), o->state_dir);
	put_text(s->log, sizeof(s->log), o->log);
}

static void put_device(struct snapshot *s, const struct adapter *a)
{
	unsigned int i;

	s->reported = a->reported;
	s->offered = a->offered;
	s->accepted = a->accepted;
	s->features_ok = a->features_ok;
	s->driver_ok = a->driver_ok;
	s->rings_fresh = a->rings_fresh;
	s->status = a->status;
	s->total = a->plan.total;
	s->served = a->plan.served;
	s->counted = a->plan.counted;
	s->segments = a->plan.segments;
	s->segment = a->plan.segment;
	s->net_pairs = a->net_pairs;
	s->config_size = a->config_size;
	s->together = (uint64_t)a->together[0] << 8 | a->together[1];
	for (i = 0; i < a->config_size; i++)
		snprintf(s->config + 2 * i, 3, "%02x", a->config[i]);
	for (i = 0; a->queues && i < a->plan.total && i < SNAPSHOT_QUEUES_MAX; i++) {
		s->ring_size = a->queues[i].size;
		s->started[i] = a->queues[i].started ? '1' : '0';
	}
}

static void put_backend(struct snapshot *s, const struct adapter *a)
{
	s->backend_features = a->fe.features;
	s->protocol = a->fe.protocol;
	s->max_queues = a->fe.max_queues;
	if (a->inflight.fd >= 0) {
		s->inflight_size = a->inflight.mmap_size;
		s->inflight_offset = a->inflight.mmap_offset;
		s->inflight_queues = a->inflight.num_queues;
		s->inflight_queue_size = a->inflight.queue_size;
	}
	s->waiting = a->recovery.waiting;
	s->backend_pid = (uint64_t)a->recovery.pid;
	s->keeper_pid = (uint64_t)a->supervisor.keeper;
	s->quiet_by = a->recovery.quiet_by;
	s->give_up = a->recovery.give_up;
	s->reconnects = a->recovery.count;
}

static int write_page(struct adapter *a)
{
	static struct snapshot snapshot; /* large, and there is one adapter a process */
	struct handover_page *page = a->handover.page;
	uint32_t other;
	int length;

	if (!page)
		return 0;
	other = !page->active;
	memset(&snapshot, 0, sizeof(snapshot));
	put_options(&snapshot, a->options);
	put_device(&snapshot, a);
	put_backend(&snapshot, a);
	length = snapshot_write(&snapshot, page->text[other], sizeof(page->text[other]));
	if (length < 0)
		return length;
	page->length[other] = (uint32_t)length;
	__atomic_store_n(&page->active, other, __ATOMIC_SEQ_CST);
	return 0;
}

static int put_all(struct adapter *a)
{
	const struct {
		enum handover_slot slot;
		int fd;
	} all[] = {
		/* before the one that it was: a back-end that is let go of is not forgotten */
		{ HANDOVER_CLOSING, a->recovery.closing },
		{ HANDOVER_BACKEND, a->fe.sock },
		{ HANDOVER_CHANNEL, a->fe.channel },
		{ HANDOVER_INFLIGHT, a->inflight.fd },
		{ HANDOVER_KEEPER, a->supervisor.sock },
		{ HANDOVER_LOCK, a->lock },
		{ HANDOVER_CONTROL, a->control.listener },
		{ HANDOVER_PROCESS, a->recovery.backend },
		{ HANDOVER_LOG, a->options->log ? STDERR_FILENO : -1 },
	};
	unsigned int i;
	int ret = 0;

	for (i = 0; i < ARRAY_SIZE(all) && !ret; i++) {
		ret = device_store(&a->device, all[i].slot, all[i].fd);
		/* files of some file systems are not kept: the next one writes another log */
		if (ret && all[i].slot == HANDOVER_LOG)
			ret = device_store(&a->device, HANDOVER_LOG, -1);
	}
	for (i = 0; a->queues && i < a->plan.total && !ret; i++) {
		ret = device_store(&a->device, HANDOVER_QUEUES + 2 * i, a->queues[i].kick_fd);
		if (!ret)
			ret = device_store(&a->device, HANDOVER_QUEUES + 2 * i + 1,
					   a->queues[i].call_fd);
	}
	return ret;
}

int handover_open(struct adapter *a, enum handover_busy busy)
{
	struct handover *h = &a->handover;
	int ret = 0;

	if (!a->options->keep_ms)
		return 0;
	if (!h->page)
		ret = make_page(h, busy);
	if (!ret)
		ret = write_page(a);
	if (!ret)
		ret = put_all(a);
	/* last: what it describes is there */
	if (!ret)
		ret = device_store(&a->device, HANDOVER_SNAPSHOT, h->fd);
	return ret ? failure_set(&a->failure, ret,
				 "cannot leave the device for another adapter: %s",
				 strerror(-ret)) :
		     0;
}

/* ---- sections ---- */

static void set_busy(struct handover *h, enum handover_busy busy)
{
	if (h->page)
		__atomic_store_n(&h->page->busy, busy, __ATOMIC_SEQ_CST);
}

void handover_begin(struct adapter *a)
{
	if (!a->handover.depth++)
		set_busy(&a->handover, HANDOVER_CHANGING);
}

/* Half a message that was taken from a socket is lost with this process. */
static enum handover_busy at_rest(const struct adapter *a)
{
	bool pieces = vu_reader_pending(&a->fe.reader) ||
		      vu_reader_pending(&a->fe.channel_reader);

	return pieces ? HANDOVER_CHANGING : HANDOVER_IDLE;
}

void handover_ask(struct adapter *a)
{
	if (!a->handover.depth)
		set_busy(&a->handover, HANDOVER_ASKING);
}

void handover_end(struct adapter *a)
{
	int ret = 0;

	if (--a->handover.depth || !a->handover.page)
		return;
	/* the descriptors go with a device; one that is unplugged has none */
	if (a->device.fd >= 0)
		ret = put_all(a);
	if (!ret)
		ret = write_page(a);
	if (ret) /* it stays busy: a successor starts with a new connection */
		log_ratelimited(LOG_LEVEL_WARNING, "what another adapter would need is not kept: %s",
				strerror(-ret));
	else
		set_busy(&a->handover, at_rest(a));
}

void handover_asked(struct adapter *a)
{
	if (!a->handover.depth && a->handover.page && !write_page(a))
		set_busy(&a->handover, at_rest(a));
}

bool handover_is_whole(const struct adapter *a)
{
	const struct handover *h = &a->handover;

	return h->page && !h->depth && !__atomic_load_n(&h->page->busy, __ATOMIC_SEQ_CST);
}

void handover_put(struct adapter *a, enum handover_slot slot, int fd)
{
	int ret = 0;

	if (a->handover.page && a->device.fd >= 0)
		ret = device_store(&a->device, slot, fd);
	if (ret && ret != -ENODEV) /* of a device that has failed nobody takes it over */
		log_ratelimited(LOG_LEVEL_WARNING, "what another adapter would need is not kept: %s",
				strerror(-ret));
}

/* ---- reading ---- */

static const struct handover_page *map_page(int fd)
{
	const int want = F_SEAL_SHRINK | F_SEAL_GROW;
	int seals = fcntl(fd, F_GET_SEALS);
	void *map;

	if (seals < 0 || (seals & want) != want ||
	    lseek(fd, 0, SEEK_END) != (off_t)sizeof(struct handover_page))
		return NULL;
	map = mmap(NULL, sizeof(struct handover_page), PROT_READ, MAP_SHARED, fd, 0);
	return map == MAP_FAILED ? NULL : map;
}

int handover_read(int fd, struct snapshot *snapshot, enum handover_busy *busy,
		  struct failure *failure)
{
	const struct handover_page *page = map_page(fd);
	static char text[SNAPSHOT_TEXT_MAX];
	uint32_t active, word, length = 0;
	int ret = -EINVAL;

	if (!page)
		return failure_set(failure, -EINVAL,
				   "what the old adapter left is no description of a device");
	active = __atomic_load_n(&page->active, __ATOMIC_SEQ_CST);
	word = __atomic_load_n(&page->busy, __ATOMIC_SEQ_CST);
	*busy = word < HANDOVER_CHANGING ? (enum handover_busy)word : HANDOVER_CHANGING;
	if (!memcmp(page->magic, PAGE_MAGIC, sizeof(page->magic)) && page->layout == PAGE_LAYOUT &&
	    active <= 1)
		length = READ_ONCE(page->length[active]);
	if (length && length <= SNAPSHOT_TEXT_MAX) {
		/* a copy: it is read more than once, and nobody is trusted to leave it alone */
		memcpy(text, page->text[active], length);
		ret = snapshot_parse(snapshot, text, length, failure);
	}
	munmap((void *)page, sizeof(*page));
	return ret ? failure_set(failure, ret,
				 "what the old adapter left is no description of a device") :
		     0;
}

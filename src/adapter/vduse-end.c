// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/vduse-end.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vduse.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapter/vdpa.h"
#include "adapter/vduse-steward.h"
#include "common/cleanup.h"
#include "common/deadline.h"
#include "common/log.h"
#include "common/state-dir.h"
#include "common/util.h"

/*
 * A back-end whose connection has just ended may still complete what it has begun. Two that write
 * into a used ring at once would complete a request twice.
 */
#define QUIET_MS 500
#define OPEN_MS 3000
#define TOTAL_MS 60000
#define TICK_MS 2
#define POLL_MS 10
#define FAIL_NOTHING (-1)

/* ---- the bus ---- */

void vduse_work_start(struct vduse_end *end, enum vduse_work work)
{
	int pair[2], result;

	if (end->work != VDUSE_WORK_NONE || pipe2(pair, O_CLOEXEC) < 0)
		return;
	end->worker = fork();
	if (end->worker == 0) {
		/* it may stay in the kernel for long: nobody is to wait for it by a descriptor */
		close_range(STDERR_FILENO + 1, (unsigned int)pair[1] - 1, 0);
		close_range((unsigned int)pair[1] + 1, ~0U, 0);
		result = work == VDUSE_WORK_ADD ? vdpa_add(end->name) : vdpa_remove(end->name);
		if (write(pair[1], &result, sizeof(result)) < 0)
			_exit(1);
		_exit(0);
	}
	close(pair[1]);
	if (end->worker < 0) {
		close(pair[0]);
		return;
	}
	end->work = work;
	end->work_fd = pair[0];
	if (work == VDUSE_WORK_ADD)
		end->on_bus = true;
}

int vduse_work_take(struct vduse_end *end)
{
	enum vduse_work work = end->work;
	int result = -EIO;

	if (read(end->work_fd, &result, sizeof(result)) != sizeof(result))
		result = -EIO;
	fd_close(&end->work_fd);
	waitpid(end->worker, NULL, 0);
	end->work = VDUSE_WORK_NONE;
	/*
	 * One that cannot be removed was removed by somebody else. One that could not be added may
	 * be there without a driver.
	 */
	if (work == VDUSE_WORK_REMOVE)
		end->on_bus = false;
	return result;
}

/* ---- in the place of the back-end ---- */

/* struct stand_in - serves the driver until it has let go: every request fails */
struct stand_in {
	struct vduse_end *end;
	int node;
	int domain; /* the device's memory */
	void *memory; /* ... of the buffers in it */
	struct pool pool; /* the same, for the rings */
	struct vduse_ring rings[VDUSE_QUEUES_MAX];
};

int vduse_node_open(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), VDUSE_NODES "/%s", name);
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void unmap_rings(struct stand_in *s)
{
	unsigned int i;

	for (i = 0; i < s->end->num_queues; i++)
		vduse_ring_unmap(&s->rings[i]);
}

static void note_status(struct stand_in *s, uint8_t status)
{
	unsigned int i;

	if (!status)
		unmap_rings(s); /* the driver takes them back */
	for (i = 0; i < s->end->num_queues; i++) {
		if (!status)
			vduse_record_begin(&s->end->records[i]);
		else if (status & VIRTIO_CONFIG_S_DRIVER_OK)
			s->end->records[i].live = true;
	}
}

static void answer(struct stand_in *s, const struct vduse_dev_request *request)
{
	struct vduse_dev_response response = { .request_id = request->request_id };

	if (request->type == VDUSE_SET_STATUS)
		note_status(s, request->s.status);
	if (request->type != VDUSE_SET_STATUS ||
	    (request->s.status & (VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)) ==
		    VIRTIO_CONFIG_S_FEATURES_OK)
		response.result = VDUSE_REQ_RESULT_FAILED;
	if (write(s->node, &response, sizeof(response)) < 0)
		log_debug("answer: %s", strerror(errno));
}

static int map_memory(struct stand_in *s, uint64_t address)
{
	struct vduse_iotlb_entry entry = { .start = address, .last = address };

	if (s->domain >= 0)
		return 0;
	s->domain = ioctl(s->node, VDUSE_IOTLB_GET_FD, &entry);
	if (s->domain < 0)
		return -errno;
	s->memory = mmap(NULL, s->end->pool, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			 s->domain, 0);
	if (s->memory == MAP_FAILED)
		s->memory = NULL;
	s->pool = (struct pool){
		.fd = s->domain,
		.size = VDUSE_MEMORY_MAX,
		.page_size = (size_t)sysconf(_SC_PAGESIZE),
	};
	return 0;
}

static int map_ring(struct stand_in *s, unsigned int index)
{
	struct vduse_ring_place place;
	int ret = vduse_ring_locate(s->node, index, &place);

	if (!ret)
		ret = map_memory(s, place.desc);
	return ret ? ret : vduse_ring_map(&s->rings[index], &s->pool, &place);
}

/* Return: how many requests there were. */
static unsigned int fail_requests(struct stand_in *s, unsigned int index)
{
	int status = s->end->device_id == VIRTIO_ID_BLOCK ? VIRTIO_BLK_S_IOERR : FAIL_NOTHING;
	struct vduse_record *record = &s->end->records[index];
	struct vduse_ring *ring = &s->rings[index];
	uint16_t heads[VDUSE_QUEUE_SIZE_MAX];
	unsigned int i, count;

	vduse_record_look(record, ring);
	count = vduse_record_list(record, ring, heads);
	if (count)
		log_ratelimited(LOG_LEVEL_NOTICE, "virtqueue %u: %u requests fail%s", index, count,
				record->whole ? "" : ", which ones is a guess");
	for (i = 0; i < count; i++)
		vduse_ring_fail(ring, heads[i], s->memory, s->memory ? s->end->pool : 0, status);
	return count;
}

static void serve_queue(struct stand_in *s, unsigned int index)
{
	struct vduse_record *record = &s->end->records[index];
	bool fresh = !s->rings[index].num;
	__u32 number = index;
	uint16_t before;

	if (!record->live || (fresh && map_ring(s, index)))
		return;
	before = record->used;
	/* A call also for what the back-end completed, and nobody passed on. */
	if (!fail_requests(s, index) && !fresh && record->used == before)
		return;
	if (ioctl(s->node, VDUSE_VQ_INJECT_IRQ, &number) < 0)
		log_debug("virtqueue %u: %s", index, strerror(errno));
}

static void serve_once(struct stand_in *s)
{
	struct pollfd fds[2] = {
		{ .fd = s->node, .events = POLLIN },
		{ .fd = s->end->work_fd, .events = POLLIN },
	};
	struct vduse_dev_request request;
	unsigned int i;

	poll(fds, 2, TICK_MS);
	if (fds[1].revents)
		vduse_work_take(s->end);
	if (s->node < 0)
		return;
	while (read(s->node, &request, sizeof(request)) == sizeof(request))
		answer(s, &request);
	for (i = 0; i < s->end->num_queues; i++)
		serve_queue(s, i);
}

/* A killed adapter's file closes a little later than its socket. */
static int open_again(const char *name)
{
	deadline_t deadline = deadline_after_ms(OPEN_MS);
	int fd;

	while ((fd = vduse_node_open(name)) == -EBUSY && !deadline_passed(deadline))
		poll(NULL, 0, POLL_MS);
	return fd;
}

static void let_driver_go(struct vduse_end *end)
{
	static struct stand_in s; /* large */
	deadline_t deadline = deadline_after_ms(TOTAL_MS);

	poll(NULL, 0, QUIET_MS);
	s = (struct stand_in){ .end = end, .domain = -1, .node = open_again(end->name) };
	if (s.node < 0)
		log_error("%s: its requests cannot be ended: %s", end->name, strerror(-s.node));
	while (end->on_bus && !deadline_passed(deadline)) {
		vduse_work_start(end, VDUSE_WORK_REMOVE);
		serve_once(&s);
	}
	if (end->on_bus)
		log_error("%s: its driver does not let go of it", end->name);
	unmap_rings(&s);
	if (s.memory)
		munmap(s.memory, end->pool);
	fd_close(&s.domain);
	fd_close(&s.node);
}

/* ---- all of it ---- */

void vduse_end_destroy(struct vduse_end *end)
{
	char name[VDUSE_NAME_MAX] = "";
	deadline_t deadline = deadline_after_ms(OPEN_MS);

	snprintf(name, sizeof(name), "%s", end->name);
	while (ioctl(end->control, VDUSE_DESTROY_DEV, name) < 0) {
		if (errno != EBUSY || deadline_passed(deadline)) {
			log_error("%s: VDUSE does not end the device: %s", end->name,
				  strerror(errno));
			return;
		}
		poll(NULL, 0, POLL_MS);
	}
	end->created = false;
}

void vduse_end_run(struct vduse_end *end)
{
	if (end->on_bus)
		let_driver_go(end);
	if (end->created && !end->on_bus)
		vduse_end_destroy(end);
	if (end->locked && !end->orderly)
		state_clean(end->state_dir, end->name, true);
}

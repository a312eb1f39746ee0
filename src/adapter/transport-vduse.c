// SPDX-License-Identifier: BSD-3-Clause
/*
 * The transport of VDUSE (CONFIG_VDPA_USER) and virtio_vdpa: what VDUSE says is put into the words
 * of our own module.
 *
 * Kicks go from the driver to the back-end by an eventfd that both hold. For calls VDUSE has a
 * system call only, so they go by this process. The back-end sees the kernel's own bounce pages and
 * rings, by a descriptor of the kernel's that has no size.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/vduse.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "adapter/device.h"
#include "adapter/options.h"
#include "adapter/vdpa.h"
#include "adapter/vduse-ring.h"
#include "adapter/vduse-steward.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"

#define POOL_MIN (1ULL << 20)
#define POOL_MAX (1ULL << 30)
#define EVENTS 16
#define EVENT_NODE VDUSE_QUEUES_MAX
#define EVENT_STEWARD (VDUSE_QUEUES_MAX + 1)
/* The kernel takes calls once it has got the answer to DRIVER_OK: how often that is waited for. */
#define CALL_TRIES 20
/* Of the front-end's own addresses: behind all that VDUSE has, and without an end of their own. */
#define TABLES_SHIFT 40
#define TABLES_MASK 0x7fffU

struct vduse_queue {
	int kick_fd, call_fd; /* the adapter's */
	struct vduse_ring ring;
};

struct vduse {
	struct steward steward;
	int node; /* /dev/vduse/NAME */
	int domain; /* the device's memory, by DMA address; -1: not known yet */
	uint64_t pool; /* bytes for buffers, from address 0 on */
	unsigned int num_queues;
	struct vduse_queue *queues;
	bool driver_ok;
	unsigned int tables; /* of memory, that were sent */
	bool node_ready, steward_ready; /* epoll said so, and it was not read yet */
};

static struct vduse *vduse_of(const struct device *device)
{
	return device->own;
}

static int node_call(const struct vduse *v, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(v->node, request, arg);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

/* ---- what can be had ---- */

static int vduse_check(const struct adapter_options *o, struct failure *failure)
{
	if (o->type.id != VIRTIO_ID_BLOCK && o->type.id != VIRTIO_ID_NET)
		return failure_set(failure, -EINVAL,
				   "--transport vduse serves the types blk and net, and no others");
	if (o->type.id == VIRTIO_ID_NET && o->queues > 1)
		return failure_set(failure, -EINVAL,
				   "--transport vduse: one pair of --queues only, it has no "
				   "control virtqueue");
	if (o->packed)
		return failure_set(failure, -EINVAL,
				   "--transport vduse: no --packed, its virtqueues are split");
	if (o->queue_size > VDUSE_QUEUE_SIZE_MAX)
		return failure_set(failure, -EINVAL, "--transport vduse: --queue-size up to %d",
				   VDUSE_QUEUE_SIZE_MAX);
	if (o->pool_given && (o->pool < POOL_MIN || o->pool > POOL_MAX))
		return failure_set(failure, -EINVAL, "--transport vduse: --pool from 1M to 1G");
	return 0;
}

/* Configuration space is read-only to the driver, and there is no control queue. */
static uint64_t vduse_features(uint32_t device_id, uint64_t features)
{
	if (device_id == VIRTIO_ID_BLOCK)
		features &= ~BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE);
	return features;
}

static void describe(struct virtio_loopback_info *info)
{
	*info = (struct virtio_loopback_info){
		.size = sizeof(*info),
		.abi = VIRTIO_LOOPBACK_ABI,
		.transport_features = BIT_ULL(VIRTIO_F_VERSION_1) |
				      BIT_ULL(VIRTIO_RING_F_EVENT_IDX) |
				      BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC),
		.page_size = (uint32_t)sysconf(_SC_PAGESIZE),
		.max_queues = VDUSE_QUEUES_MAX,
		.max_queue_size = VDUSE_QUEUE_SIZE_MAX,
		.max_config_size = VDUSE_CONFIG_MAX,
	};
}

static int open_failed(int error, struct failure *failure)
{
	if (error == EACCES || error == EPERM)
		return failure_set(failure, -error,
				   VDUSE_CONTROL ": permission denied: run as root");
	if (error == ENOENT || error == ENODEV || error == ENXIO)
		return failure_set(failure, -error,
				   VDUSE_CONTROL " is not there: the kernel module vduse is not "
						 "loaded (modprobe vduse), or this kernel has none "
						 "(CONFIG_VDPA_USER)");
	return failure_set(failure, -error, VDUSE_CONTROL ": %s", strerror(error));
}

static int vduse_open(struct device *device, const struct transport_place *place,
		      struct failure *failure)
{
	_cleanup_close_ int control = open(VDUSE_CONTROL, O_RDWR | O_CLOEXEC);
	_cleanup_close_ int poller = -1;
	struct steward steward;
	struct vduse *v;
	int ret;

	if (control < 0)
		return open_failed(errno, failure);
	if (access(VDPA_BUS "/drivers/" VDPA_DRIVER, F_OK) < 0)
		return failure_set(failure, -ENODEV,
				   "the kernel module virtio_vdpa is not loaded (modprobe "
				   "virtio_vdpa), or this kernel has none (CONFIG_VIRTIO_VDPA)");
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (poller < 0)
		return failure_set(failure, -errno, "epoll: %s", strerror(errno));
	ret = steward_start(&steward, control, place, failure);
	if (ret)
		return ret;
	v = malloc(sizeof(*v));
	if (!v) {
		steward_end(&steward);
		return -ENOMEM;
	}
	*v = (struct vduse){ .steward = steward, .node = -1, .domain = -1 };
	*device = (struct device){
		.transport = &transport_vduse,
		.own = v,
		.fd = fd_steal(&poller),
	};
	describe(&device->info);
	return 0;
}

/* ---- calls ---- */

static void call_driver(struct vduse *v, unsigned int index)
{
	const struct vduse_queue *queue = &v->queues[index];
	__u32 number = index;
	int try, ret;

	if (!v->driver_ok)
		return;
	if (queue->ring.num)
		vduse_record_look(&v->steward.records[index], &queue->ring);
	for (try = 0; try < CALL_TRIES; try++) {
		ret = node_call(v, VDUSE_VQ_INJECT_IRQ, &number);
		if (ret != -EINVAL)
			break;
		poll(NULL, 0, 1);
	}
	if (ret)
		log_ratelimited(LOG_LEVEL_WARNING, "virtqueue %u: a call is lost: %s", index,
				strerror(-ret));
}

static void called(struct vduse *v, unsigned int index)
{
	uint64_t count;

	if (read(v->queues[index].call_fd, &count, sizeof(count)) == sizeof(count))
		call_driver(v, index);
}

/* ---- set-up ---- */

static int watch(const struct device *device, int fd, uint32_t what)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = what };

	return epoll_ctl(device->fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int vduse_make_pool(struct device *device, struct pool *pool, const char *name,
			   uint64_t size, struct failure *failure)
{
	(void)name;
	(void)failure;
	*pool = (struct pool){ .fd = -1, .page_size = device->info.page_size };
	pool->size = MAX(ALIGN_UP(size, pool->page_size), POOL_MIN);
	vduse_of(device)->pool = pool->size;
	return 0;
}

static int make_queues(struct vduse *v, unsigned int count)
{
	unsigned int i;

	v->queues = calloc(count, sizeof(*v->queues));
	if (!v->queues)
		return -ENOMEM;
	v->num_queues = count;
	for (i = 0; i < count; i++) {
		v->queues[i].kick_fd = -1;
		v->queues[i].call_fd = -1;
		vduse_record_begin(&v->steward.records[i]);
	}
	return 0;
}

static int vduse_create(struct device *device, struct virtio_loopback_create *create,
			struct failure *failure)
{
	struct vduse *v = vduse_of(device);
	struct steward_create order = {
		.device_id = create->device_id,
		.vendor_id = create->vendor_id,
		.features = create->features | BIT_ULL(VIRTIO_F_ACCESS_PLATFORM),
		.pool = v->pool,
		.num_queues = create->num_queues,
		.config_size = create->config_size,
	};
	int ret;

	if (create->num_queues > VDUSE_QUEUES_MAX || create->config_size > VDUSE_CONFIG_MAX)
		return failure_set(failure, -EINVAL, "%u virtqueues: VDUSE is given %d at most",
				   create->num_queues, VDUSE_QUEUES_MAX);
	memcpy(order.queue_sizes, (const void *)(uintptr_t)create->queue_sizes,
	       create->num_queues * sizeof(order.queue_sizes[0]));
	memcpy(order.config, (const void *)(uintptr_t)create->config, create->config_size);
	ret = steward_create(&v->steward, &order, &v->pool, failure);
	if (ret < 0)
		return ret;
	v->node = ret;
	ret = make_queues(v, create->num_queues);
	if (!ret)
		ret = watch(device, v->node, EVENT_NODE);
	return ret ? ret : watch(device, v->steward.sock, EVENT_STEWARD);
}

static int set_kick(const struct vduse *v, unsigned int index)
{
	struct vduse_vq_eventfd eventfd = { .index = index, .fd = v->queues[index].kick_fd };

	return node_call(v, VDUSE_VQ_SETUP_KICKFD, &eventfd);
}

static int vduse_set_queue_fds(struct device *device, unsigned int index, int kick_fd, int call_fd)
{
	struct vduse *v = vduse_of(device);
	struct vduse_queue *queue = &v->queues[index];
	int ret;

	/* it lives on in the back-end, and would be heard here */
	if (queue->call_fd >= 0)
		epoll_ctl(device->fd, EPOLL_CTL_DEL, queue->call_fd, NULL);
	queue->kick_fd = kick_fd;
	queue->call_fd = -1;
	ret = watch(device, call_fd, index);
	if (!ret)
		queue->call_fd = call_fd;
	/* a reset of the device takes them away: they are set when the driver is ready */
	if (!ret && v->driver_ok)
		ret = set_kick(v, index);
	/* what the last back-end has used, it may not have called for, or nobody has heard */
	if (!ret)
		call_driver(v, index);
	return ret;
}

static int vduse_start(struct device *device)
{
	return steward_add(&vduse_of(device)->steward);
}

static int vduse_stop(struct device *device)
{
	return steward_remove(&vduse_of(device)->steward);
}

/* Both are what becomes of a device whose adapter ends, see steward_end(). */
static int vduse_fail(struct device *device)
{
	(void)device;
	return 0;
}

static int vduse_destroy(struct device *device)
{
	(void)device;
	return 0;
}

static void forget_rings(struct vduse *v)
{
	unsigned int i;

	for (i = 0; i < v->num_queues; i++) {
		vduse_ring_unmap(&v->queues[i].ring);
		vduse_record_begin(&v->steward.records[i]);
	}
}

static void vduse_close(struct device *device)
{
	struct vduse *v = vduse_of(device);
	unsigned int i;

	/* what is in the record is what the steward fails */
	for (i = 0; i < v->num_queues; i++)
		vduse_ring_unmap(&v->queues[i].ring);
	fd_close(&v->domain);
	fd_close(&v->node);
	steward_end(&v->steward);
	free(v->queues);
	free(v);
	device->own = NULL;
	fd_close(&device->fd);
}

/* ---- memory ---- */

/*
 * Before the first request only the rings can be asked for. It is the same file for all of the
 * memory, and a page of it is there as soon as the driver has put something into it.
 */
static int open_domain(struct vduse *v, uint64_t address)
{
	struct vduse_iotlb_entry entry = { .start = address, .last = address };
	int fd;

	if (v->domain >= 0)
		return 0;
	fd = node_call(v, VDUSE_IOTLB_GET_FD, &entry);
	if (fd < 0)
		return fd;
	v->domain = fd;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	return 0;
}

struct ring_range {
	uint64_t first, end;
};

static int map_ring(struct vduse *v, unsigned int index, struct pool *pool,
		    struct ring_range *range)
{
	struct vduse_queue *queue = &v->queues[index];
	struct vduse_ring_place place;
	int ret = vduse_ring_locate(v->node, index, &place);

	if (ret)
		return ret == -ENOENT ? 0 : ret;
	ret = open_domain(v, place.desc);
	if (!ret && pool->fd < 0) {
		pool->fd = fcntl(v->domain, F_DUPFD_CLOEXEC, 0);
		ret = pool->fd < 0 ? -errno : 0;
	}
	if (!ret && !queue->ring.num)
		ret = vduse_ring_map(&queue->ring, pool, &place);
	range->first = MIN(range->first, MIN(place.desc, MIN(place.avail, place.used)));
	range->end = MAX(range->end, vduse_ring_end(&place));
	return ret;
}

static int vduse_memory(struct device *device, struct pool *pool, const struct window *window,
			struct memory_map *map)
{
	struct ring_range range = { .first = VDUSE_MEMORY_MAX };
	struct vduse *v = vduse_of(device);
	unsigned int i;
	int ret = 0;

	(void)window;
	pool->size = v->pool;
	pool->behind = VDUSE_MEMORY_MAX - v->pool;
	for (i = 0; i < v->num_queues && !ret; i++)
		ret = map_ring(v, i, pool, &range);
	if (ret || !range.end)
		return ret ? ret : -ENODATA;
	range.first &= ~(uint64_t)(pool->page_size - 1);
	range.end = ALIGN_UP(range.end, pool->page_size);
	if (range.first < v->pool || range.end > VDUSE_MEMORY_MAX)
		return -ERANGE;
	/*
	 * A driver that starts over has other pages at the same addresses: a back-end that finds
	 * the table to be the old one would go on with those of before.
	 */
	map->user_offset = (uint64_t)(++v->tables & TABLES_MASK) << TABLES_SHIFT;
	memory_map_add(map, v->domain, 0, 0, v->pool);
	memory_map_add(map, v->domain, range.first, range.first, range.end - range.first);
	return 0;
}

/* ---- what is asked ---- */

static int vduse_get_queue(struct device *device, unsigned int index,
			   struct virtio_loopback_queue *queue)
{
	struct vduse_vq_info info = { .index = index };
	int ret = node_call(vduse_of(device), VDUSE_VQ_GET_INFO, &info);

	if (ret)
		return ret;
	*queue = (struct virtio_loopback_queue){
		.size = sizeof(*queue),
		.index = index,
		.flags = info.ready ? VIRTIO_LOOPBACK_QUEUE_ENABLED : 0,
		.num = info.num,
		.desc_addr = info.desc_addr,
		.driver_addr = info.driver_addr,
		.device_addr = info.device_addr,
	};
	return 0;
}

static int vduse_get_state(struct device *device, struct virtio_loopback_state *state)
{
	*state = (struct virtio_loopback_state){
		.size = sizeof(*state),
		.parent = (uint32_t)-1,
		.virtio_index = -1,
		.num_queues = vduse_of(device)->num_queues,
	};
	return 0;
}

static int vduse_set_config(struct device *device, unsigned int offset, const void *data,
			    unsigned int length, uint32_t flags)
{
	const struct vduse *v = vduse_of(device);
	union {
		struct vduse_config_data config;
		uint8_t room[sizeof(struct vduse_config_data) + VDUSE_CONFIG_MAX];
	} args;
	int ret;

	if (length > VDUSE_CONFIG_MAX)
		return -EINVAL;
	args.config.offset = offset;
	args.config.length = length;
	memcpy(args.config.buffer, data, length);
	ret = node_call(v, VDUSE_DEV_SET_CONFIG, &args);
	/* without a driver there is nobody to tell */
	if (!ret && (flags & VIRTIO_LOOPBACK_CONFIG_NOTIFY) && v->driver_ok)
		ret = node_call(v, VDUSE_DEV_INJECT_CONFIG_IRQ, NULL);
	return ret;
}

/* ---- messages ---- */

static int status_message(struct vduse *v, const struct vduse_dev_request *request,
			  struct virtio_loopback_msg *msg)
{
	uint8_t status = request->s.status;
	__u64 features = 0;
	unsigned int i;
	int ret = 0;

	msg->type = status ? VIRTIO_LOOPBACK_MSG_STATUS : VIRTIO_LOOPBACK_MSG_RESET;
	if (!status)
		return 0;
	ret = node_call(v, VDUSE_DEV_GET_FEATURES, &features);
	msg->status.status = status;
	msg->status.features = features;
	if (!(status & VIRTIO_CONFIG_S_DRIVER_OK) || v->driver_ok)
		return ret;
	v->driver_ok = true;
	for (i = 0; i < v->num_queues && !ret; i++) {
		v->steward.records[i].live = true;
		ret = set_kick(v, i);
	}
	return ret;
}

static int answer(const struct vduse *v, uint64_t id, int error)
{
	const struct vduse_dev_response response = {
		.request_id = (uint32_t)id,
		.result = error ? VDUSE_REQ_RESULT_FAILED : VDUSE_REQ_RESULT_OK,
	};

	return write(v->node, &response, sizeof(response)) < 0 ? -errno : 0;
}

static int read_node(struct vduse *v, struct virtio_loopback_msg *msg)
{
	struct vduse_dev_request request;
	ssize_t n = read(v->node, &request, sizeof(request));

	v->node_ready = false;
	if (n < 0)
		return -errno;
	if (n != sizeof(request))
		return -EIO;
	*msg = (struct virtio_loopback_msg){
		.seq = request.request_id,
		.flags = VIRTIO_LOOPBACK_MSG_NEED_REPLY,
	};
	if (request.type == VDUSE_SET_STATUS)
		return status_message(v, &request, msg);
	/* what only vhost_vdpa asks for, which gets no such device */
	answer(v, request.request_id, -EOPNOTSUPP);
	return -EAGAIN;
}

static int read_steward(struct vduse *v, struct virtio_loopback_msg *msg)
{
	struct steward_note note;
	int ret = steward_news(&v->steward, &note);

	v->steward_ready = false;
	if (ret)
		return ret;
	*msg = (struct virtio_loopback_msg){ .type = VIRTIO_LOOPBACK_MSG_UNREGISTERED };
	if (note.what != STEWARD_ADDED)
		return 0;
	msg->type = VIRTIO_LOOPBACK_MSG_REGISTERED;
	msg->registered.error = note.error;
	msg->registered.virtio_index = note.virtio_index;
	msg->registered.bound = note.bound;
	return 0;
}

static int take_events(struct device *device)
{
	struct vduse *v = vduse_of(device);
	struct epoll_event events[EVENTS];
	int i, n = epoll_wait(device->fd, events, EVENTS, 0);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	for (i = 0; i < n; i++) {
		uint32_t what = events[i].data.u32;

		if (what == EVENT_STEWARD)
			v->steward_ready = true;
		else if (what != EVENT_NODE)
			called(v, what);
		else if (events[i].events & EPOLLERR) /* it was not answered in time */
			return -EIO;
		else
			v->node_ready = true;
	}
	return 0;
}

static int vduse_read(struct device *device, struct virtio_loopback_msg *msg)
{
	struct vduse *v = vduse_of(device);
	int ret = take_events(device);

	if (!ret && v->node_ready)
		return read_node(v, msg);
	if (!ret && v->steward_ready)
		return read_steward(v, msg);
	return ret ? ret : -EAGAIN;
}

static int vduse_reply(struct device *device, const struct virtio_loopback_msg *msg, int error)
{
	struct vduse *v = vduse_of(device);

	/* the driver takes its rings back when it has the answer */
	if (msg->type == VIRTIO_LOOPBACK_MSG_RESET) {
		v->driver_ok = false;
		forget_rings(v);
	}
	/*
	 * A driver goes on whatever the answer, and VDUSE takes no calls, not even those that end
	 * its requests in errors, of a device that refused this.
	 */
	if (msg->type == VIRTIO_LOOPBACK_MSG_STATUS &&
	    (msg->status.status & VIRTIO_CONFIG_S_DRIVER_OK))
		error = 0;
	return answer(v, msg->seq, error);
}

const struct transport transport_vduse = {
	.name = "vduse",
	.release_first = true,
	.epoll = true,
	.check = vduse_check,
	.open = vduse_open,
	.close = vduse_close,
	.create = vduse_create,
	.features = vduse_features,
	.make_pool = vduse_make_pool,
	.memory = vduse_memory,
	.start = vduse_start,
	.stop = vduse_stop,
	.fail = vduse_fail,
	.destroy = vduse_destroy,
	.set_queue_fds = vduse_set_queue_fds,
	.set_config = vduse_set_config,
	.get_queue = vduse_get_queue,
	.get_state = vduse_get_state,
	.read = vduse_read,
	.reply = vduse_reply,
};

// SPDX-License-Identifier: BSD-3-Clause
/* The adapter's side, and what the process does as long as there is an adapter. */
#include "adapter/vduse-steward.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vduse.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapter/sandbox.h"
#include "adapter/vdpa.h"
#include "adapter/vduse-end.h"
#include "common/cleanup.h"
#include "common/deadline.h"
#include "common/log.h"
#include "common/parse.h"
#include "common/unwanted.h"
#include "common/util.h"
#include "vhost-user/socket.h"

#define PROCESS_NAME "vl-vduse"
#define VQ_ALIGN 4096
#define CREATE_MS 10000
#define END_MS 15000
#define NODE_MS 3000
#define POLL_MS 10
#define MESSAGE_SECONDS "600"

/* What is open in the process, by number; the rest of the adapter's is closed. */
enum {
	FD_SOCK = 3,
	FD_CONTROL,
	FD_LOCK,
	FD_FIRST_FREE,
};
#define HIGH_FDS 64

enum steward_order {
	ORDER_CREATE,
	ORDER_ADD,
	ORDER_REMOVE,
	ORDER_END,
};

struct steward_request {
	uint32_t order;
	uint32_t padding;
	struct steward_create create;
};

/* ---- the process: orders ---- */

static void tell(const struct steward_note *note, int fd)
{
	struct iovec iov = { .iov_base = (void *)note, .iov_len = sizeof(*note) };

	/* whoever does not read it is gone, which is seen next */
	if (socket_send(FD_SOCK, &iov, 1, &fd, fd >= 0) < 0)
		return;
}

static int say(struct steward_note *note, int error, const char *text)
{
	note->error = error;
	if (!note->text[0])
		snprintf(note->text, sizeof(note->text), "%s", text);
	return error;
}

static int refused(struct steward_note *note, const struct steward_create *create)
{
	int error = errno;

	switch (error) {
	case EEXIST:
		return say(note, -error, "the name is taken by another device of VDUSE");
	case EINVAL:
		snprintf(note->text, sizeof(note->text),
			 "this kernel's VDUSE takes no device of type %u with features %#llx",
			 create->device_id, (unsigned long long)create->features);
		break;
	case EPERM:
		return say(note, -error, "VDUSE: permission denied: run as root");
	default:
		break;
	}
	return say(note, -error, "");
}

static int make_device(const char *name, const struct steward_create *create,
		       struct steward_note *note)
{
	_cleanup_free_ struct vduse_dev_config *config =
		calloc(1, sizeof(*config) + create->config_size);
	uint64_t version = VDUSE_API_VERSION;

	if (!config)
		return say(note, -ENOMEM, "");
	snprintf(config->name, sizeof(config->name), "%s", name);
	config->device_id = create->device_id;
	config->vendor_id = create->vendor_id;
	config->features = create->features;
	config->vq_num = create->num_queues;
	config->vq_align = VQ_ALIGN;
	config->config_size = create->config_size;
	memcpy(config->config, create->config, create->config_size);
	if (ioctl(FD_CONTROL, VDUSE_SET_API_VERSION, &version) < 0 || /* NOLINT */
	    ioctl(FD_CONTROL, VDUSE_CREATE_DEV, config) < 0)
		return refused(note, create);
	return 0;
}

/*
 * When a question is not answered in time the kernel gives the device up, and takes not even calls
 * from then on: requests would wait for ever. Somebody answers: the adapter, or this process.
 */
static void set_patience(const char *name)
{
	_cleanup_close_ int fd = -1;
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/vduse/%s/msg_timeout", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, MESSAGE_SECONDS, strlen(MESSAGE_SECONDS)) < 0)
		log_debug("%s: %s", path, strerror(errno));
}

/* Kernels that have no such file have one size. */
static int set_pool(const char *name, const struct steward_create *create,
		    struct steward_note *note)
{
	char path[128], text[32] = "";
	_cleanup_close_ int fd = -1;
	ssize_t n;

	note->pool = 64ULL << 20;
	snprintf(path, sizeof(path), "/sys/class/vduse/%s/bounce_size", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return 0;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)create->pool);
	if (create->pool && write(fd, text, strlen(text)) < 0)
		return say(note, -errno, "--pool: VDUSE takes 1M to 1G");
	n = pread(fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return say(note, -EIO, "");
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text, 1, UINT32_MAX, &note->pool) ? say(note, -EIO, "") : 0;
}

static int open_node(const char *name, struct steward_note *note)
{
	deadline_t deadline = deadline_after_ms(NODE_MS);
	int fd;

	for (;;) {
		fd = vduse_node_open(name);
		if (fd >= 0)
			return fd;
		/* devtmpfs or udev makes it in its own time */
		if (fd != -ENOENT || deadline_passed(deadline))
			return say(note, fd, "the node of the device cannot be opened");
		poll(NULL, 0, POLL_MS);
	}
}

static int set_queues(int node, const struct steward_create *create, struct steward_note *note)
{
	unsigned int i;

	for (i = 0; i < create->num_queues; i++) {
		struct vduse_vq_config config = {
			.index = i,
			.max_size = create->queue_sizes[i],
		};

		if (ioctl(node, VDUSE_VQ_SETUP, &config) < 0)
			return say(note, -errno, "VDUSE does not take the virtqueues");
	}
	return 0;
}

/* Nothing of it stays when one step fails. */
static void create(struct vduse_end *end, const struct steward_create *create)
{
	struct steward_note note = { .what = STEWARD_CREATED };
	_cleanup_close_ int node = -1;

	if (create->num_queues > VDUSE_QUEUES_MAX || create->config_size > VDUSE_CONFIG_MAX)
		return;
	end->device_id = create->device_id;
	end->num_queues = create->num_queues;
	if (!make_device(end->name, create, &note)) {
		end->created = true;
		set_patience(end->name);
		if (!set_pool(end->name, create, &note)) {
			node = open_node(end->name, &note);
			if (node >= 0)
				set_queues(node, create, &note);
		}
	}
	end->pool = note.pool;
	if (note.error && end->created) {
		fd_close(&node);
		vduse_end_destroy(end);
	}
	tell(&note, node);
}

/* ---- the process: news of the bus ---- */

static void tell_added(const struct vduse_end *end, int error)
{
	struct steward_note note = { .what = STEWARD_ADDED, .error = error, .virtio_index = -1 };
	bool bound = false;

	if (!error) {
		note.virtio_index = vdpa_virtio(end->name, &bound);
		note.bound = bound;
		if (note.virtio_index < 0)
			note.error = -ENODEV;
	}
	tell(&note, -1);
}

static void worker_ready(struct vduse_end *end)
{
	enum vduse_work done = end->work;
	int error = vduse_work_take(end);

	if (done == VDUSE_WORK_ADD) {
		tell_added(end, error);
		if (end->unwanted && end->on_bus)
			vduse_work_start(end, VDUSE_WORK_REMOVE);
	} else {
		const struct steward_note note = { .what = STEWARD_REMOVED };

		tell(&note, -1);
	}
}

/* Return: false when there is no adapter any more. @end->orderly: it said so. */
static bool order_ready(struct vduse_end *end)
{
	struct steward_request request;
	ssize_t n = unwanted_recv(FD_SOCK, &request, sizeof(request));

	if (n == -EAGAIN)
		return true;
	if (n != sizeof(request))
		return false;
	switch (request.order) {
	case ORDER_CREATE:
		create(end, &request.create);
		return true;
	case ORDER_ADD:
		vduse_work_start(end, VDUSE_WORK_ADD);
		return true;
	case ORDER_REMOVE:
		end->unwanted = true;
		vduse_work_start(end, VDUSE_WORK_REMOVE);
		return true;
	default:
		end->orderly = true;
		return false;
	}
}

static _Noreturn void steward_main(struct vduse_end *end)
{
	bool go_on = true;

	prctl(PR_SET_NAME, PROCESS_NAME);
	/* the requests that it ends may be of what the system swaps to */
	sandbox_lock_memory();
	while (go_on) {
		struct pollfd fds[2] = {
			{ .fd = FD_SOCK, .events = POLLIN },
			{ .fd = end->work_fd, .events = POLLIN },
		};

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			worker_ready(end);
		if (fds[0].revents)
			go_on = order_ready(end);
	}
	vduse_end_run(end);
	_exit(0);
}

/* ---- the adapter's side ---- */

/* In the child: what it needs under numbers of its own, and nothing else. */
static void keep_fds(int sock, int control, int lock)
{
	const int wanted[] = { sock, control, lock };
	int high[ARRAY_SIZE(wanted)];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wanted); i++)
		high[i] = wanted[i] < 0 ? -1 : fcntl(wanted[i], F_DUPFD_CLOEXEC, HIGH_FDS);
	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (high[i] >= 0)
			dup3(high[i], FD_SOCK + (int)i, O_CLOEXEC);
		else
			close(FD_SOCK + (int)i);
	}
	close_range(FD_FIRST_FREE, ~0U, 0);
}

static int fork_steward(struct steward *steward, int control, const struct transport_place *place)
{
	static struct vduse_end end;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	unwanted_refuse(pair[1], true);
	end = (struct vduse_end){
		.name = place->name,
		.state_dir = place->state_dir,
		.locked = place->lock >= 0,
		.control = FD_CONTROL,
		.work_fd = -1,
		.records = steward->records,
	};
	steward->pid = fork();
	if (steward->pid == 0) {
		keep_fds(pair[1], control, place->lock);
		steward_main(&end);
	}
	close(pair[1]);
	if (steward->pid < 0) {
		steward->pid = 0;
		close(pair[0]);
		return -EAGAIN;
	}
	steward->sock = pair[0];
	return 0;
}

static size_t records_size(void)
{
	return VDUSE_QUEUES_MAX * sizeof(struct vduse_record);
}

int steward_start(struct steward *steward, int control, const struct transport_place *place,
		  struct failure *failure)
{
	int ret;

	*steward = (struct steward){ .sock = -1 };
	steward->records = mmap(NULL, records_size(), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (steward->records == MAP_FAILED) {
		steward->records = NULL;
		return failure_set(failure, -errno, "mmap: %s", strerror(errno));
	}
	ret = fork_steward(steward, control, place);
	if (!ret)
		return 0;
	munmap(steward->records, records_size());
	steward->records = NULL;
	return failure_set(failure, ret, "the process that ends the device: %s", strerror(-ret));
}

static int order(struct steward *steward, enum steward_order what,
		 const struct steward_create *create)
{
	struct steward_request request = { .order = what };
	struct iovec iov = { .iov_base = &request, .iov_len = sizeof(request) };
	const int none = -1;
	ssize_t n;

	if (create)
		request.create = *create;
	n = socket_send(steward->sock, &iov, 1, &none, 0);
	return n < 0 ? (int)n : 0;
}

static int take_note(struct steward *steward, struct steward_note *note, int *fd)
{
	unsigned int count = 0;
	ssize_t n = socket_receive(steward->sock, note, sizeof(*note), fd, &count, 1);

	if (n < 0)
		return (int)n;
	note->text[sizeof(note->text) - 1] = '\0';
	return n == sizeof(*note) ? 0 : -EPROTO;
}

int steward_create(struct steward *steward, const struct steward_create *create, uint64_t *pool,
		   struct failure *failure)
{
	struct steward_note note = { 0 };
	int ret, fd = -1;

	ret = order(steward, ORDER_CREATE, create);
	if (!ret)
		ret = poll_fd(steward->sock, POLLIN, deadline_after_ms(CREATE_MS));
	if (ret >= 0)
		ret = take_note(steward, &note, &fd);
	if (!ret && (note.error || fd < 0))
		ret = note.error ? note.error : -EPROTO;
	if (ret) {
		fd_close(&fd);
		return failure_set(failure, ret, "%s", note.text[0] ? note.text : strerror(-ret));
	}
	*pool = note.pool;
	return fd;
}

int steward_add(struct steward *steward)
{
	return order(steward, ORDER_ADD, NULL);
}

int steward_remove(struct steward *steward)
{
	return order(steward, ORDER_REMOVE, NULL);
}

int steward_news(struct steward *steward, struct steward_note *note)
{
	int fd = -1, ret = take_note(steward, note, &fd);

	fd_close(&fd);
	return ret;
}

void steward_end(struct steward *steward)
{
	deadline_t deadline = deadline_after_ms(END_MS);
	struct steward_note note;
	int ret = 0;

	if (steward->sock >= 0 && !order(steward, ORDER_END, NULL)) {
		/* its end of the socket closes with it */
		do {
			ret = poll_fd(steward->sock, POLLIN, deadline);
			if (ret >= 0)
				ret = steward_news(steward, &note);
		} while (!ret || ret == -EAGAIN);
	}
	fd_close(&steward->sock);
	while (steward->pid && waitpid(steward->pid, NULL, WNOHANG) == 0 &&
	       !deadline_passed(deadline))
		poll(NULL, 0, POLL_MS);
	steward->pid = 0;
	if (steward->records)
		munmap(steward->records, records_size());
	steward->records = NULL;
}

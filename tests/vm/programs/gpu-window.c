// SPDX-License-Identifier: BSD-3-Clause
/*
 * gpu-window - a GPU back-end that tries what it may and may not do with the driver's pages
 *
 * The first RESOURCE_FLUSH of a resource inverts every bit of its backing: who drew it sees that,
 * if both sides have the same pages. Then come the tricks; --log has a line for each, "ok TRICK" or
 * "FAIL TRICK: ...". After RESOURCE_UNREF the pages are touched until that is a SIGBUS, here, in a
 * child made before, and at an address that they were moved to.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/virtio_gpu.h>

#include "backends/common/backend.h"
#include "backends/common/iov.h"
#include "backends/common/memory.h"

#define QUEUE_SIZE 256
#define IOVS 64
#define RESOURCES 64
#define PAGE 4096U
#define REVOKED_S 10
#define LARGE (256U << 10) /* bytes of a resource that is worth the tricks */

struct resource {
	uint32_t id;
	uint8_t *pages; /* the first entry of its backing */
	size_t bytes;
	unsigned int entries;
	bool flushed;
	uint8_t *moved; /* one page of it, at another place */
	pid_t child;
	int go; /* tells the child to try */
};

struct state {
	const char *log_path;
	FILE *log;
	struct resource resources[RESOURCES];
};

/* ---- a SIGBUS is an answer ---- */

static sigjmp_buf back;
static volatile sig_atomic_t trying;

static void on_bus(int number)
{
	if (!trying) {
		signal(number, SIG_DFL);
		raise(number);
		return;
	}
	siglongjmp(back, 1);
}

static bool is_there(volatile uint8_t *p)
{
	bool there = false;

	if (!sigsetjmp(back, 1)) {
		trying = 1;
		*p;
		there = true;
	}
	trying = 0;
	return there;
}

static bool goes_away(volatile uint8_t *p)
{
	struct timespec pause = { 0, 1000000 };
	time_t end = time(NULL) + REVOKED_S;

	while (is_there(p)) {
		if (time(NULL) > end)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

/* ---- the log ---- */

static void result(struct state *s, bool well, const char *trick, const char *format, ...)
{
	va_list args;

	fprintf(s->log, "%s %s", well ? "ok" : "FAIL", trick);
	if (!well) {
		fputs(": ", s->log);
		va_start(args, format);
		vfprintf(s->log, format, args);
		va_end(args);
	}
	fputc('\n', s->log);
	fflush(s->log);
}

static void refused(struct state *s, const char *trick, long got, int expected)
{
	int error = got < 0 ? errno : 0;

	result(s, error == expected, trick, "expected %s, saw %s", strerrorname_np(expected),
	       error ? strerrorname_np(error) : "success");
}

/* ---- tricks ---- */

static void pin(struct state *s, struct resource *r)
{
	char copy[PAGE];
	struct iovec theirs = { r->pages, PAGE }, ours = { copy, PAGE };
	int ends[2];

	refused(s, "pin-process-vm", process_vm_readv(getpid(), &ours, 1, &theirs, 1, 0), EFAULT);
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return result(s, false, "pin-vmsplice", "no pipe");
	refused(s, "pin-vmsplice", vmsplice(ends[1], &theirs, 1, SPLICE_F_GIFT | SPLICE_F_NONBLOCK),
		EFAULT);
	result(s, write(ends[1], r->pages, PAGE) == PAGE, "copy", "a write() of it: %m");
	close(ends[0]);
	close(ends[1]);
}

static void remap(struct state *s, struct resource *r)
{
	uint8_t *page = r->pages + 5UL * PAGE, *place;

	refused(s, "grow", mremap(page, PAGE, 2UL * PAGE, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0,
		EFAULT);
	refused(s, "double", mremap(page, 0, PAGE, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0, EFAULT);
	refused(s, "execute", mprotect(page, PAGE, PROT_READ | PROT_EXEC), EACCES);
	place = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	r->moved = mremap(page, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place);
	result(s, r->moved == place && is_there(place), "move", "%m");
}

static void beget(struct state *s, struct resource *r)
{
	int ends[2];
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return result(s, false, "fork", "no socket");
	r->child = fork();
	if (r->child == 0) {
		close(ends[1]);
		if (!is_there(r->pages + PAGE) || write(ends[0], "", 1) != 1 ||
		    read(ends[0], &byte, 1) != 0)
			_exit(3);
		_exit(goes_away(r->pages + PAGE) ? 0 : 1);
	}
	close(ends[0]);
	r->go = ends[1];
	/* It has to have looked before the pages go. */
	result(s, read(r->go, &byte, 1) == 1, "child", "%m");
}

static void try_tricks(struct state *s, struct resource *r)
{
	const struct sigaction action = { .sa_handler = on_bus, .sa_flags = SA_NODEFER };

	sigaction(SIGBUS, &action, NULL);
	result(s, r->entries == 1, "backing", "%u entries", r->entries);
	pin(s, r);
	beget(s, r);
	remap(s, r);
}

static void check_revoked(struct state *s, struct resource *r)
{
	int status = -1;

	result(s, goes_away(r->pages), "revoked", "still there after %d s", REVOKED_S);
	result(s, goes_away(r->pages + r->bytes - 1), "revoked-end", "still there");
	result(s, goes_away(r->moved), "revoked-moved", "still there");
	close(r->go);
	waitpid(r->child, &status, 0);
	result(s, status == 0, "revoked-child", "status %#x", status);
	fprintf(s->log, "over\n");
	fflush(s->log);
}

/* ---- the device ---- */

static struct resource *find(struct state *s, uint32_t id)
{
	for (int i = 0; i < RESOURCES; i++)
		if (s->resources[i].id == id)
			return &s->resources[i];
	return NULL;
}

static void attach_backing(struct state *s, struct vu_queue *queue, const struct vq_buffers *bufs)
{
	struct virtio_gpu_resource_attach_backing cmd;
	struct virtio_gpu_mem_entry entry;
	struct resource *r;

	iov_to_buf(bufs->iov, bufs->out_num, 0, &cmd, sizeof(cmd));
	iov_to_buf(bufs->iov, bufs->out_num, sizeof(cmd), &entry, sizeof(entry));
	r = find(s, cmd.resource_id);
	if (!r)
		return;
	r->pages = mem_gpa(queue->vq.mem, entry.addr, entry.length);
	r->bytes = entry.length;
	r->entries = cmd.nr_entries;
}

static void flush(struct state *s, uint32_t id)
{
	struct resource *r = find(s, id);
	size_t i;

	if (!r || r->flushed || !r->pages)
		return;
	r->flushed = true;
	for (i = 0; i < r->bytes; i++)
		r->pages[i] ^= 0xff;
	if (r->bytes >= LARGE)
		try_tricks(s, r);
}

static void display_info(const struct vq_buffers *bufs)
{
	struct virtio_gpu_resp_display_info info = { .hdr.type = VIRTIO_GPU_RESP_OK_DISPLAY_INFO };

	info.pmodes[0].r.width = 640;
	info.pmodes[0].r.height = 480;
	info.pmodes[0].enabled = 1;
	iov_from_buf(bufs->iov + bufs->out_num, bufs->in_num, 0, &info, sizeof(info));
}

static void answer(struct vu_queue *queue, uint16_t id, const struct vq_buffers *bufs,
		   const struct virtio_gpu_ctrl_hdr *request)
{
	struct virtio_gpu_ctrl_hdr hdr = { .type = VIRTIO_GPU_RESP_OK_NODATA };

	if (request->type == VIRTIO_GPU_CMD_GET_DISPLAY_INFO)
		hdr.type = VIRTIO_GPU_RESP_OK_DISPLAY_INFO;
	if (request->flags & VIRTIO_GPU_FLAG_FENCE) {
		hdr.flags = VIRTIO_GPU_FLAG_FENCE;
		hdr.fence_id = request->fence_id;
	}
	iov_from_buf(bufs->iov + bufs->out_num, bufs->in_num, 0, &hdr, sizeof(hdr));
	vq_push(&queue->vq, id, (uint32_t)bufs->in_len);
	vq_flush(&queue->vq);
}

static void handle(struct state *s, struct vu_queue *queue, uint16_t id,
		   const struct vq_buffers *bufs)
{
	union {
		struct virtio_gpu_ctrl_hdr hdr;
		struct virtio_gpu_resource_create_2d create;
		struct virtio_gpu_resource_flush flush;
		struct virtio_gpu_resource_unref unref;
	} cmd = { 0 };
	struct resource *r = NULL, gone;

	iov_to_buf(bufs->iov, bufs->out_num, 0, &cmd, sizeof(cmd));
	switch (cmd.hdr.type) {
	case VIRTIO_GPU_CMD_GET_DISPLAY_INFO:
		display_info(bufs);
		break;
	case VIRTIO_GPU_CMD_RESOURCE_CREATE_2D:
		r = find(s, 0);
		if (r)
			r->id = cmd.create.resource_id;
		r = NULL;
		break;
	case VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING:
		attach_backing(s, queue, bufs);
		break;
	case VIRTIO_GPU_CMD_RESOURCE_FLUSH:
		flush(s, cmd.flush.resource_id);
		break;
	case VIRTIO_GPU_CMD_RESOURCE_UNREF:
		r = find(s, cmd.unref.resource_id);
		break;
	default:
		break;
	}
	if (r) {
		gone = *r;
		memset(r, 0, sizeof(*r));
	}
	answer(queue, id, bufs, &cmd.hdr);
	/* The driver lets go of the pages once it has that answer. */
	if (r && gone.child)
		check_revoked(s, &gone);
}

static void queue_kick(void *dev, struct vu_queue *queue)
{
	struct iovec iov[IOVS];
	uint16_t id;

	do {
		vq_suppress(&queue->vq);
		while (vq_pop(&queue->vq, &id) > 0) {
			struct vq_buffers bufs = { .iov = iov, .max = IOVS };

			if (vq_chain(&queue->vq, id, &bufs))
				return;
			if (queue->index == 0)
				handle(dev, queue, id, &bufs);
			else
				vq_push(&queue->vq, id, 0);
		}
	} while (vq_arm(&queue->vq));
	vq_flush(&queue->vq);
}

static uint64_t features(void *dev)
{
	(void)dev;
	return 0;
}

static void get_config(void *dev, void *buf, uint32_t offset, uint32_t size)
{
	(void)dev;
	(void)offset;
	memset(buf, 0, size);
}

/* The display gets nothing to show. */
static int request(void *dev, struct vu_message *msg)
{
	(void)dev;
	return msg->header.request == VHOST_USER_GPU_SET_SOCKET ? 0 : -EOPNOTSUPP;
}

static const struct vu_device_ops ops = {
	.features = features,
	.get_config = get_config,
	.queue_kick = queue_kick,
	.request = request,
};

static int parse(void *dev, int option, const char *value)
{
	struct state *s = dev;

	(void)option;
	s->log_path = value;
	return 0;
}

static int open_device(void *dev, struct vu_backend *backend, struct vu_device *device)
{
	struct state *s = dev;

	(void)backend;
	s->log = fopen(s->log_path ? s->log_path : "/dev/null", "we");
	if (!s->log)
		return -errno;
	*device = (struct vu_device){
		.ops = &ops,
		.dev = dev,
		.num_queues = 2,
		.max_queue_size = QUEUE_SIZE,
		.config_size = sizeof(struct virtio_gpu_config),
		.no_inflight = true,
	};
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "log", required_argument, NULL, VU_OPTION_FIRST },
						 { NULL, 0, NULL, 0 } };
	static const struct vu_program program = {
		.name = "gpu-window",
		.capabilities = "{ \"type\": \"gpu\" }",
		.usage = "      --log FILE             what was tried, and what came of it\n",
		.options = options,
		.parse = parse,
		.open = open_device,
	};
	static struct state state;

	return vu_main(&program, &state, argc, argv);
}

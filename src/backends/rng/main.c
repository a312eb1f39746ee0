// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-rng: an entropy device (virtio 1.x, 5.4). One queue of buffers to fill. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <unistd.h>

#include "backends/common/backend.h"
#include "backends/common/iov.h"
#include "backends/rng/bucket.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/parse.h"

#define RNG_QUEUE_SIZE 1024
/*
 * Buffers of one request, and bytes given at a time: an answer may be shorter than its buffer
 * (5.4.6.1)
 */
#define RNG_MAX_IOVS 64
#define RNG_CHUNK 4096
/* How long to wait before a source that has nothing is asked again */
#define RNG_RETRY_MS 50

enum {
	OPT_SOURCE = VU_OPTION_FIRST,
	OPT_RATE,
};

struct rng_device {
	struct vu_backend *backend;
	const char *source;
	uint64_t rate; /* bytes a second, 0: as fast as it goes */

	int source_fd; /* -1: getrandom() */
	bool source_is_device;
	int timer_fd;
	struct loop_source *timer;
	struct bucket bucket;
	struct vu_queue *queue; /* NULL while it is stopped */

	/* A request taken that waits for tokens or for the source */
	bool waiting;
	uint16_t waiting_id;
};

static const struct option options[] = {
	{ "source", required_argument, NULL, OPT_SOURCE },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ 0 },
};

static const char usage[] =
	"An entropy device.\n"
	"\n"
	"      --source FILE          where the bytes come from: a device or a file\n"
	"                             (default: the kernel's getrandom())\n"
	"      --rate BYTES           most bytes a second, e.g. 512 or 64K (default: no limit)\n";

static int parse(void *dev, int option, const char *value)
{
	struct rng_device *rng = dev;

	if (option == OPT_SOURCE) {
		rng->source = value;
		return 0;
	}
	if (parse_size(value, &rng->rate) || !rng->rate) {
		log_error("--rate %s: a number of bytes a second is needed", value);
		return -EINVAL;
	}
	return 0;
}

static uint64_t features(void *dev)
{
	(void)dev;
	return 0; /* the type has none (5.4.3) */
}

/* Wakes rng_work() again after a while. */
static void set_timer(struct rng_device *rng, uint64_t ns)
{
	struct itimerspec when = {
		.it_value = {
			.tv_sec = (time_t)(ns / 1000000000U),
			.tv_nsec = (long)(ns % 1000000000U),
		},
	};

	if (timerfd_settime(rng->timer_fd, 0, &when, NULL) < 0)
		log_error("the timer cannot be set: %m");
}

/* Return: bytes, 0 when there are none for now, or a negative errno. */
static ssize_t read_source(const struct rng_device *rng, void *buf, size_t len)
{
	ssize_t n;

	do {
		if (rng->source_fd < 0)
			n = getrandom(buf, len, GRND_NONBLOCK);
		else
			n = read(rng->source_fd, buf, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return n;
}

/*
 * What has hung up, as a serial port that was unplugged, reads as ended for ever. It is not opened
 * again: it may come back by another name, or as something else.
 */
static bool source_gone(const struct rng_device *rng)
{
	struct pollfd pfd = { .fd = rng->source_fd };

	return rng->source_is_device && poll(&pfd, 1, 0) == 1 &&
	       pfd.revents & (POLLHUP | POLLERR);
}

/* Nothing can be had: it is tried again, if there is any use in it. */
static void no_bytes(struct rng_device *rng)
{
	if (!source_gone(rng)) {
		set_timer(rng, RNG_RETRY_MS * 1000000ULL);
		return;
	}
	log_error("%s has gone", rng->source);
	loop_quit(vu_loop(rng->backend), -ENODEV);
}

/*
 * Fills one request as far as tokens and source allow. Something is always given in the end: the
 * driver asks again for the rest.
 *
 * Return: true when it has been answered, false when it has to wait.
 */
static bool fill(struct rng_device *rng, struct virtqueue *vq, uint16_t id)
{
	struct iovec iov[RNG_MAX_IOVS];
	struct vq_buffers bufs = { .iov = iov, .max = RNG_MAX_IOVS };
	uint8_t chunk[RNG_CHUNK];
	uint64_t wait_ns;
	size_t want;
	ssize_t n;

	if (vq_chain(vq, id, &bufs))
		return false;
	want = bufs.in_len < sizeof(chunk) ? (size_t)bufs.in_len : sizeof(chunk);
	want = bucket_take(&rng->bucket, now_ns(), want, &wait_ns);
	if (!want && bufs.in_len) {
		set_timer(rng, wait_ns);
		return false;
	}
	n = read_source(rng, chunk, want);
	if (n < 0) {
		log_ratelimited(LOG_LEVEL_ERROR, "%s: %s", rng->source ? rng->source : "getrandom",
				strerror((int)-n));
		n = 0;
	}
	bucket_return(&rng->bucket, want - (size_t)n);
	if (!n && bufs.in_len) { /* also the end of a file: bytes are not given out twice */
		no_bytes(rng);
		return false;
	}
	iov_from_buf(bufs.iov + bufs.out_num, bufs.in_num, 0, chunk, (size_t)n);
	explicit_bzero(chunk, sizeof(chunk));
	vq_push(vq, id, (uint32_t)n);
	return true;
}

static void rng_work(struct rng_device *rng)
{
	struct virtqueue *vq = &rng->queue->vq;

	do {
		vq_suppress(vq);
		while (!vq->broken) {
			if (!rng->waiting && vq_pop(vq, &rng->waiting_id) <= 0)
				break;
			rng->waiting = !fill(rng, vq, rng->waiting_id) && !vq->broken;
			if (rng->waiting)
				goto out; /* the timer goes on from here */
		}
	} while (vq_arm(vq));
out:
	vq_flush(vq);
}

static void queue_kick(void *dev, struct vu_queue *queue)
{
	struct rng_device *rng = dev;

	(void)queue;
	rng_work(rng);
}

static int queue_start(void *dev, struct vu_queue *queue)
{
	struct rng_device *rng = dev;

	rng->queue = queue;
	rng->waiting = false;
	return 0;
}

/*
 * A request that has to wait is left to whoever works on the queue next: a driver that is given no
 * bytes at all (5.4.6.2) may not ask again. One of an earlier instance stays in the record.
 */
static void queue_stop(void *dev, struct vu_queue *queue)
{
	struct rng_device *rng = dev;

	if (rng->waiting)
		vq_untake(&queue->vq, rng->waiting_id);
	rng->waiting = false;
	rng->queue = NULL;
}

static void timer_ready(void *data, uint32_t events)
{
	struct rng_device *rng = data;
	uint64_t count;

	(void)events;
	if (read(rng->timer_fd, &count, sizeof(count)) < 0)
		return;
	if (rng->queue)
		rng_work(rng);
}

static const struct vu_device_ops ops = {
	.features = features,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.queue_kick = queue_kick,
};

/*
 * A generator at a serial port: what it sends is no text. As one, line ends would be others, and
 * control characters would be gone, with what stands before them; and it would be sent back.
 *
 * Return: 0, or -1 with errno set.
 */
static int make_raw(int fd)
{
	struct termios mode;

	if (!isatty(fd))
		return 0;
	if (tcgetattr(fd, &mode) < 0)
		return -1;
	cfmakeraw(&mode);
	mode.c_cflag |= CREAD | CLOCAL; /* its wires for modems mean nothing either */
	if (tcsetattr(fd, TCSANOW, &mode) < 0)
		return -1;
	return tcflush(fd, TCIFLUSH); /* what came before, as text */
}

static int open_source(struct rng_device *rng)
{
	struct stat st;

	if (!rng->source)
		return 0;
	rng->source_fd = open(rng->source, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (rng->source_fd < 0 || fstat(rng->source_fd, &st) < 0 || make_raw(rng->source_fd)) {
		log_error("%s: %m", rng->source);
		return -EINVAL;
	}
	if (S_ISDIR(st.st_mode)) {
		log_error("%s: is a directory", rng->source);
		return -EINVAL;
	}
	rng->source_is_device = S_ISCHR(st.st_mode);
	return 0;
}

static int open_device(void *dev, struct vu_backend *backend, struct vu_device *device)
{
	struct rng_device *rng = dev;
	int ret;

	ret = open_source(rng);
	if (ret)
		return ret;
	rng->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (rng->timer_fd >= 0)
		rng->timer = loop_add(vu_loop(backend), rng->timer_fd, EPOLLIN, timer_ready, rng);
	if (!rng->timer) {
		log_error("no timer: %m");
		return -errno;
	}
	bucket_init(&rng->bucket, rng->rate, RNG_CHUNK, now_ns());
	rng->backend = backend;
	*device = (struct vu_device){
		.ops = &ops,
		.dev = dev,
		.num_queues = 1,
		.max_queue_size = RNG_QUEUE_SIZE,
	};
	return 0;
}

static void close_device(void *dev)
{
	struct rng_device *rng = dev;

	fd_close(&rng->source_fd);
	fd_close(&rng->timer_fd);
}

int main(int argc, char **argv)
{
	static const struct vu_program program = {
		.name = "vhost-user-rng",
		.capabilities = "{ \"type\": \"rng\" }",
		.usage = usage,
		.options = options,
		.parse = parse,
		.open = open_device,
		.close = close_device,
	};
	struct rng_device rng = { .source_fd = -1, .timer_fd = -1 };

	return vu_main(&program, &rng, argc, argv);
}

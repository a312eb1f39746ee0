// SPDX-License-Identifier: BSD-3-Clause
#include "adapter-rig.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "common/log.h"
#include "common/unix-socket.h"
#include "common/util.h"

/* ---- the back-end, in a thread or a process of its own ---- */

static void *backend_main(void *arg)
{
	struct hostile *h = malloc(sizeof(*h));
	struct backend *b = arg;

	hostile_init(h, &b->options, &b->disk);
	for (;;) {
		struct pollfd fds[2] = {
			{ .fd = b->listener, .events = POLLIN },
			{ .fd = b->stop[0], .events = POLLIN },
		};
		int sock;

		poll(fds, 2, -1);
		if (fds[1].revents)
			break;
		sock = unix_accept(b->listener);
		if (sock >= 0)
			hostile_serve(h, sock);
	}
	hostile_finish(h);
	free(h);
	return NULL;
}

/* The child, with the files that it serves and no other: it ends when stop[1] is closed. */
static void backend_fork(struct backend *b)
{
	int fd, most = (int)sysconf(_SC_OPEN_MAX);

	b->pid = fork();
	assert_true(b->pid >= 0);
	if (!b->pid) {
		/* a failing test leaves it alone */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (fd = STDERR_FILENO + 1; fd < MIN(most, 1024); fd++) {
			if (fd != b->listener && fd != b->stop[0])
				close(fd);
		}
		backend_main(b);
		_exit(0);
	}
}

void backend_start(struct backend *b, const char *dir, const char *script)
{
	char why[80];

	snprintf(b->path, sizeof(b->path), "%s/backend.sock", dir);
	assert_int_equal(script_parse(&b->options.script, script, why, sizeof(why)), 0);
	if (!b->options.queues)
		b->options.queues = 1;
	assert_int_equal(disk_open(&b->disk, NULL, DISK_SIZE), 0);
	b->listener = unix_listen(b->path);
	assert_true(b->listener >= 0);
	assert_int_equal(pipe(b->stop), 0);
	if (b->forked)
		backend_fork(b);
	else
		assert_int_equal(pthread_create(&b->thread, NULL, backend_main, b), 0);
}

void backend_stop(struct backend *b)
{
	char lock[112];

	close(b->stop[1]); /* the other end polls readable */
	if (b->forked)
		assert_int_equal(waitpid(b->pid, NULL, 0), b->pid);
	else
		pthread_join(b->thread, NULL);
	close(b->stop[0]);
	close(b->listener);
	disk_close(&b->disk);
	unlink(b->path);
	snprintf(lock, sizeof(lock), "%s.lock", b->path);
	unlink(lock);
}

/* ---- the whole ---- */

int rig_setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	*state = r;
	strcpy(r->dir, "/tmp/vlb-adapter-XXXXXX");
	if (!mkdtemp(r->dir))
		return -1;
	device_type_find("blk", &r->options.type);
	r->options.transport = &transport_loopback;
	r->options.name = "unit";
	r->options.queue_size = MOCK_NUM;
	r->options.pool = 64 << 10;
	r->options.timeout_ms = TIMEOUT_MS;
	r->options.state_dir = r->dir;
	r->options.ready_fd = -1;
	r->options.reconnect_ms = RECONNECT_OFF;
	/* nothing of the product writes to standard error but the log */
	log_set_level(LOG_LEVEL_ERROR);
	r->fds = open_fds();
	return 0;
}

/* Whatever happened: no file and no descriptor stays. */
int rig_teardown(void **state)
{
	struct rig *r = *state;
	int ret = 0;

	if (rmdir(r->dir)) {
		print_error("%s is not empty\n", r->dir);
		ret = -1;
	}
	if (open_fds() != r->fds) {
		print_error("%d descriptors before, %d after\n", r->fds, open_fds());
		ret = -1;
	}
	free(r);
	return ret;
}

/* Sets up and runs to the end. Return: the exit status */
int rig_run(struct rig *r, const char *script, void (*idle)(struct mock_kernel *k, void *context))
{
	struct adapter *a = &r->adapter;
	int ret;

	backend_start(&r->backend, r->dir, script);
	r->options.socket = r->backend.path;
	adapter_init(a, &r->options);
	mock_init(&r->kernel, &a->device);
	/* a driver without event index takes every call */
	r->kernel.driver_features = ~BIT_ULL(VIRTIO_RING_F_EVENT_IDX);
	r->kernel.quiet = r->quiet;
	r->kernel.context = r;
	r->kernel.idle = idle;
	ret = adapter_open(a);
	if (!ret)
		ret = adapter_connect(a);
	if (!ret)
		ret = adapter_create(a);
	a->error = ret;
	a->exit_status = ret ? 1 : adapter_run(a);
	return a->exit_status;
}

void rig_finish(struct rig *r)
{
	adapter_finish(&r->adapter);
	mock_finish(&r->kernel);
	backend_stop(&r->backend);
}

void rig_pack(struct rig *r)
{
	struct hostile_options *o = &r->backend.options;

	o->features = BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES) |
		      BIT_ULL(VIRTIO_F_RING_PACKED);
	o->protocol_features = BIT_ULL(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
			       BIT_ULL(VHOST_USER_PROTOCOL_F_CONFIG) |
			       BIT_ULL(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
	r->options.packed = true;
}

int rig_connect_control(const struct rig *r)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/unit.ctl", r->dir);
	assert_int_equal(connect(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return sock;
}

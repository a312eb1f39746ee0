// SPDX-License-Identifier: BSD-3-Clause
#include "front-end.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "common/cleanup.h"
#include "common/unwanted.h"
#include "common/util.h"

#define MAX_ARGS 32

int fe_init(struct fe *fe, size_t memory, unsigned int nrings, unsigned int num, bool event_idx)
{
	unsigned int i;
	int ret;

	*fe = (struct fe){
		.sock = -1, .request_fd = -1, .inflight_fd = -1, .nregions = 1, .nrings = nrings
	};
	ret = drv_mem_init(&fe->mem, memory);
	for (i = 0; i < nrings && !ret; i++)
		ret = drv_ring_init(&fe->rings[i], &fe->mem, num, event_idx);
	return ret;
}

void fe_finish(struct fe *fe)
{
	unsigned int i;

	fd_close(&fe->sock);
	fd_close(&fe->request_fd);
	fd_close(&fe->inflight_fd);
	if (fe->pid)
		fe_kill(fe, SIGKILL);
	for (i = 0; i < fe->nrings; i++)
		drv_ring_finish(&fe->rings[i]);
	drv_mem_finish(&fe->mem);
}

int fe_spawn(struct fe *fe, const char *const *argv)
{
	const char *args[MAX_ARGS + 3] = { NULL };
	char number[16];
	int pair[2];
	size_t n = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return -errno;
	while (n < MAX_ARGS && argv[n]) {
		args[n] = argv[n];
		n++;
	}
	snprintf(number, sizeof(number), "%d", pair[1]);
	args[n++] = "--fd";
	args[n++] = number;
	fe->pid = fork();
	if (fe->pid == 0) {
		close(pair[0]);
		execv(args[0], (char *const *)(uintptr_t)args);
		perror(args[0]);
		_exit(127);
	}
	close(pair[1]);
	fd_close(&fe->sock);
	fe->sock = pair[0];
	return fe->pid < 0 ? -errno : 0;
}

int fe_wait(struct fe *fe)
{
	int fd = (int)syscall(SYS_pidfd_open, fe->pid, 0);
	int status = -1;

	if (fd < 0)
		return -1;
	if (poll_fd(fd, POLLIN, deadline_after_ms(FE_TIMEOUT_MS)) > 0)
		waitpid(fe->pid, &status, 0);
	if (status != -1)
		fe->pid = 0;
	close(fd);
	return status;
}

int fe_kill(struct fe *fe, int sig)
{
	kill(fe->pid, sig);
	return fe_wait(fe);
}

static int transact(struct fe *fe, struct vu_message *msg)
{
	return vu_transact(fe->sock, msg, VU_REQUEST,
			   fe->protocol_features & BIT_ULL(VHOST_USER_PROTOCOL_F_REPLY_ACK),
			   deadline_after_ms(FE_TIMEOUT_MS));
}

int fe_set_u64(struct fe *fe, uint32_t request, uint64_t value)
{
	struct vu_message msg;

	vu_message_init(&msg, VU_REQUEST, request);
	vu_message_set_u64(&msg, value);
	return transact(fe, &msg);
}

int fe_set_state(struct fe *fe, uint32_t request, uint32_t index, uint32_t num)
{
	struct vu_message msg;

	vu_message_init(&msg, VU_REQUEST, request);
	vu_message_set_state(&msg, index, num);
	return transact(fe, &msg);
}

int fe_get_u64(struct fe *fe, uint32_t request, uint64_t *value)
{
	struct vu_message msg;
	int ret;

	vu_message_init(&msg, VU_REQUEST, request);
	ret = transact(fe, &msg);
	if (!ret)
		*value = msg.payload.u64;
	return ret;
}

int fe_get_base(struct fe *fe, uint32_t index, uint32_t *base)
{
	struct vu_message msg;
	int ret;

	vu_message_init(&msg, VU_REQUEST, VHOST_USER_GET_VRING_BASE);
	vu_message_set_state(&msg, index, 0);
	ret = transact(fe, &msg);
	if (!ret)
		*base = msg.payload.state.num;
	return ret;
}

int fe_get_config(struct fe *fe, uint32_t offset, void *buf, uint32_t size)
{
	struct vu_message msg;
	int ret;

	vu_message_init(&msg, VU_REQUEST, VHOST_USER_GET_CONFIG);
	vu_message_set_config(&msg, offset, NULL, size, 0);
	ret = transact(fe, &msg);
	if (ret)
		return ret;
	if (!msg.header.size)
		return 1;
	if (msg.payload.config.size != size)
		return -EPROTO;
	memcpy(buf, msg.payload.config.data, size);
	return 0;
}

int fe_set_config(struct fe *fe, uint32_t offset, const void *buf, uint32_t size)
{
	struct vu_message msg;

	vu_message_init(&msg, VU_REQUEST, VHOST_USER_SET_CONFIG);
	vu_message_set_config(&msg, offset, buf, size, 0);
	return transact(fe, &msg);
}

static struct vhost_user_memory_region region_of(const struct fe *fe, unsigned int i)
{
	uint64_t part = fe->mem.size / fe->nregions;

	return (struct vhost_user_memory_region){
		.guest_addr = DRV_GPA + i * part,
		.size = part,
		.user_addr = DRV_UVA + i * part,
		.mmap_offset = i * part,
	};
}

int fe_set_memory(struct fe *fe)
{
	struct vhost_user_memory *memory;
	struct vu_message msg;
	unsigned int i;

	vu_message_init(&msg, VU_REQUEST, VHOST_USER_SET_MEM_TABLE);
	memory = &msg.payload.memory;
	memory->nregions = fe->nregions;
	for (i = 0; i < fe->nregions; i++) {
		memory->regions[i] = region_of(fe, i);
		vu_message_add_fd(&msg, fe->mem.fd);
	}
	vu_message_set_size(&msg, 8 + fe->nregions * sizeof(memory->regions[0]));
	return transact(fe, &msg);
}

int fe_change_memory(struct fe *fe, uint32_t request, unsigned int part)
{
	struct vu_message msg;

	vu_message_init(&msg, VU_REQUEST, request);
	msg.payload.region.region = region_of(fe, part);
	vu_message_set_size(&msg, sizeof(msg.payload.region));
	if (request == VHOST_USER_ADD_MEM_REG)
		vu_message_add_fd(&msg, fe->mem.fd);
	return transact(fe, &msg);
}

int fe_set_vring_fd(struct fe *fe, uint32_t request, unsigned int index, int fd)
{
	struct vu_message msg;

	vu_message_init(&msg, VU_REQUEST, request);
	vu_message_set_vring_fd(&msg, index, fd);
	return transact(fe, &msg);
}

static int set_vring_addr(struct fe *fe, unsigned int index)
{
	const struct drv_ring *ring = &fe->rings[index];
	struct vu_message msg;

	vu_message_init(&msg, VU_REQUEST, VHOST_USER_SET_VRING_ADDR);
	msg.payload.addr.index = index;
	msg.payload.addr.descriptor = drv_uva(&fe->mem, ring->desc);
	msg.payload.addr.available = drv_uva(&fe->mem, ring->avail);
	msg.payload.addr.used = drv_uva(&fe->mem, ring->used);
	vu_message_set_size(&msg, sizeof(msg.payload.addr));
	return transact(fe, &msg);
}

int fe_start_ring(struct fe *fe, unsigned int index, uint32_t base)
{
	const struct drv_ring *ring = &fe->rings[index];
	int ret;

	ret = fe_set_state(fe, VHOST_USER_SET_VRING_NUM, index, ring->num);
	if (!ret && base != FE_NO_BASE)
		ret = fe_set_state(fe, VHOST_USER_SET_VRING_BASE, index, base);
	if (!ret)
		ret = set_vring_addr(fe, index);
	if (!ret)
		ret = fe_set_vring_fd(fe, VHOST_USER_SET_VRING_CALL, index, ring->call_fd);
	if (!ret)
		ret = fe_set_vring_fd(fe, VHOST_USER_SET_VRING_KICK, index, ring->kick_fd);
	if (!ret)
		ret = fe_set_state(fe, VHOST_USER_SET_VRING_ENABLE, index, 1);
	return ret;
}

static int set_request_fd(struct fe *fe)
{
	struct vu_message msg;
	int pair[2], ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	vu_message_init(&msg, VU_REQUEST, VHOST_USER_SET_BACKEND_REQ_FD);
	vu_message_add_fd(&msg, pair[1]);
	ret = transact(fe, &msg);
	close(pair[1]);
	fd_close(&fe->request_fd);
	fe->request_fd = pair[0];
	return ret;
}

static int set_inflight(struct fe *fe)
{
	struct vu_message msg;
	int ret;

	if (fe->inflight_fd < 0) {
		unwanted_refuse(fe->sock, false);
		vu_message_init(&msg, VU_REQUEST, VHOST_USER_GET_INFLIGHT_FD);
		msg.payload.inflight.num_queues = (uint16_t)fe->nrings;
		msg.payload.inflight.queue_size = (uint16_t)fe->rings[0].num;
		vu_message_set_size(&msg, sizeof(msg.payload.inflight));
		ret = transact(fe, &msg);
		if (ret)
			return ret;
		fe->inflight = msg.payload.inflight;
		fe->inflight_fd = vu_message_take_fd(&msg, 0);
	}
	vu_message_init(&msg, VU_REQUEST, VHOST_USER_SET_INFLIGHT_FD);
	msg.payload.inflight = fe->inflight;
	vu_message_set_size(&msg, sizeof(msg.payload.inflight));
	vu_message_add_fd(&msg, fe->inflight_fd);
	return transact(fe, &msg);
}

static int negotiate(struct fe *fe, uint64_t mask)
{
	struct vu_message msg;
	uint64_t protocol;
	int ret;

	fe->protocol_features = 0;
	ret = fe_get_u64(fe, VHOST_USER_GET_FEATURES, &fe->features);
	if (ret)
		return ret;
	if (!(fe->features & BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES)))
		return -EPROTO;
	ret = fe_get_u64(fe, VHOST_USER_GET_PROTOCOL_FEATURES, &protocol);
	if (!ret)
		ret = fe_set_u64(fe, VHOST_USER_SET_PROTOCOL_FEATURES, protocol);
	if (ret)
		return ret;
	fe->protocol_features = protocol; /* REPLY_ACK counts from the next message on */
	vu_message_init(&msg, VU_REQUEST, VHOST_USER_SET_OWNER);
	ret = transact(fe, &msg);
	if (ret)
		return ret;
	mask |= BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES) | BIT_ULL(VIRTIO_F_VERSION_1);
	/* the rings are laid out already */
	if (!fe->nrings || !fe->rings[0].is_packed)
		mask &= ~BIT_ULL(VIRTIO_F_RING_PACKED);
	else if (!(fe->features & BIT_ULL(VIRTIO_F_RING_PACKED)))
		return -EPROTO;
	fe->acked = fe->features & mask;
	return fe_set_u64(fe, VHOST_USER_SET_FEATURES, fe->acked);
}

int fe_handshake(struct fe *fe, uint64_t mask)
{
	unsigned int i;
	int ret;

	ret = negotiate(fe, mask);
	if (!ret && fe->protocol_features & BIT_ULL(VHOST_USER_PROTOCOL_F_BACKEND_REQ))
		ret = set_request_fd(fe);
	if (!ret)
		ret = fe_set_memory(fe);
	if (!ret && !fe->no_record &&
	    fe->protocol_features & BIT_ULL(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD))
		ret = set_inflight(fe);
	for (i = 0; i < fe->nrings && !ret; i++)
		ret = fe_start_ring(fe, i, drv_base(&fe->rings[i]));
	return ret;
}

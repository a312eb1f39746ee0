// SPDX-License-Identifier: GPL-2.0-only
/*
 * The interface of virtio_loopback, called rightly and wrongly. There is no
 * back-end: what is shown is what a device can be made of, and what is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_loopback.h>

#include "../kselftest_harness.h"

#define NODE		"/dev/virtio-loopback"
#define POOL_SIZE	0x100000

static const uint16_t sizes[] = { 16 };

FIXTURE(device)
{
	int fd;
	int memfd;
	struct virtio_loopback_create args;
};

FIXTURE_SETUP(device)
{
	self->fd = open(NODE, O_RDWR | O_CLOEXEC);
	if (self->fd < 0)
		SKIP(return, "%s: %s (modprobe virtio_loopback, as root)", NODE, strerror(errno));
	self->memfd = memfd_create("pool", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	ASSERT_GE(self->memfd, 0);
	ASSERT_EQ(ftruncate(self->memfd, POOL_SIZE), 0);
	ASSERT_EQ(fcntl(self->memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	self->args = (struct virtio_loopback_create) {
		.size = sizeof(self->args),
		.name = "selftest",
		.device_id = VIRTIO_ID_RNG,
		.features = 1ULL << VIRTIO_F_VERSION_1,
		.num_queues = 1,
		.queue_sizes = (uintptr_t)sizes,
		.pool_base = 1ULL << 32,
		.pool_fd = self->memfd,
		.message_timeout_ms = 1000,
	};
}

FIXTURE_TEARDOWN(device)
{
	close(self->memfd);
	close(self->fd);
}

static int create(int fd, const struct virtio_loopback_create *args)
{
	return ioctl(fd, VIRTIO_LOOPBACK_CREATE, args) < 0 ? errno : 0;
}

TEST_F(device, info)
{
	struct virtio_loopback_info info = { .size = sizeof(info) };

	ASSERT_EQ(ioctl(self->fd, VIRTIO_LOOPBACK_GET_INFO, &info), 0);
	EXPECT_EQ(info.abi, VIRTIO_LOOPBACK_ABI);
	EXPECT_EQ(info.page_size, (uint32_t)getpagesize());
	EXPECT_GE(info.max_queues, 1);
	EXPECT_NE(info.transport_features & (1ULL << VIRTIO_F_VERSION_1), 0);
	info.size = sizeof(info) - 1;
	EXPECT_EQ(ioctl(self->fd, VIRTIO_LOOPBACK_GET_INFO, &info), -1);
	EXPECT_EQ(errno, EINVAL);
}

TEST_F(device, created_once)
{
	EXPECT_EQ(create(self->fd, &self->args), 0);
	EXPECT_NE(create(self->fd, &self->args), 0);
}

TEST_F(device, size_is_checked)
{
	self->args.size = 8;
	EXPECT_EQ(create(self->fd, &self->args), EINVAL);
}

TEST_F(device, reserved_fields_are_refused)
{
	self->args.reserved[0] = 1;
	EXPECT_EQ(create(self->fd, &self->args), EINVAL);
	self->args.reserved[0] = 0;
	self->args.flags = 0x80000000;
	EXPECT_EQ(create(self->fd, &self->args), EINVAL);
	self->args.flags = 0;
	self->args.name[0] = '/';
	EXPECT_EQ(create(self->fd, &self->args), EINVAL);
}

TEST_F(device, unknown_transport_feature_is_refused)
{
	self->args.features |= 1ULL << VIRTIO_F_SR_IOV;
	EXPECT_EQ(create(self->fd, &self->args), EINVAL);
	self->args.features = 0;
	EXPECT_EQ(create(self->fd, &self->args), EINVAL);
}

TEST_F(device, pool_has_to_be_sealed)
{
	int memfd = memfd_create("open", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	ASSERT_GE(memfd, 0);
	ASSERT_EQ(ftruncate(memfd, POOL_SIZE), 0);
	self->args.pool_fd = memfd;
	EXPECT_NE(create(self->fd, &self->args), 0);
	ASSERT_EQ(fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	EXPECT_EQ(create(self->fd, &self->args), 0);
	close(memfd);
}

TEST_F(device, order_is_checked)
{
	EXPECT_EQ(ioctl(self->fd, VIRTIO_LOOPBACK_START), -1);
	ASSERT_EQ(create(self->fd, &self->args), 0);
	EXPECT_EQ(ioctl(self->fd, VIRTIO_LOOPBACK_STOP), -1);
	EXPECT_EQ(errno, EINVAL);
}

TEST_F(device, holes_in_the_pool_are_seen)
{
	ASSERT_EQ(create(self->fd, &self->args), 0);
	EXPECT_EQ(ioctl(self->fd, VIRTIO_LOOPBACK_CHECK_POOL), 0);
	ASSERT_EQ(fallocate(self->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			    POOL_SIZE), 0);
	EXPECT_EQ(ioctl(self->fd, VIRTIO_LOOPBACK_CHECK_POOL), -1);
	EXPECT_EQ(errno, ESTALE);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: BSD-3-Clause
/* The adapter's command line, and what a device becomes by its type, its back-end and its user. */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_gpu.h>
#include <linux/virtio_config.h>
#include <linux/virtio_loopback.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "adapter/options.h"
#include "adapter/personality.h"
#include "adapter/pool.h"
#include "check.h"
#include "common/util.h"
#include "vhost-user/protocol.h"

#define ALL_TRANSPORT (BIT_ULL(50) - BIT_ULL(24))

/* ---- options ---- */

static int parse(struct adapter_options *o, struct failure *failure, const char *line)
{
	static char copy[512], name[] = "adapter";
	char *argv[32] = { name }, *word, *rest = NULL;
	int argc = 1;

	failure_clear(failure);
	snprintf(copy, sizeof(copy), "%s", line);
	for (word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		argv[argc++] = word;
	argv[argc] = NULL;
	return options_parse(o, argc, argv, failure);
}

/* What each transport says to what it is asked for. */
static void test_transport(void **state)
{
	static const struct {
		const char *words, *says;
	} bad[] = {
		{ "--type console", "blk and net, and no others" },
		{ "--type blk --pool 64K", "--pool from 1M to 1G" },
		{ "--type blk --pool 2G", "--pool from 1M to 1G" },
		{ "--type blk --queue-size 2048", "--queue-size up to 1024" },
		{ "--type blk --packed", "no --packed" },
		{ "--type net --queues 2", "one pair of --queues" },
		{ "--type blk --replace", "cannot be taken over" },
		{ "--takeover", "cannot be taken over" },
	};
	struct adapter_options o;
	struct failure f = { 0 };
	char line[128];
	size_t i;

	(void)state;
	assert_int_equal(parse(&o, &f, "--type blk --name d --socket /s"), 0);
	assert_ptr_equal(o.transport, &transport_loopback);
	assert_true(o.keep_ms > 0);
	assert_int_equal(parse(&o, &f, "--type blk --name d --socket /s --transport vduse"), 0);
	assert_ptr_equal(o.transport, &transport_vduse);
	assert_int_equal(parse(&o, &f,
			       "--type blk --name d --socket /s --transport vduse --takeover"),
			 0); /* as a unit says it: go on, or begin */
	/* nobody can follow its adapter */
	assert_int_equal(o.keep_ms, 0);
	assert_int_equal(parse(&o, &f, "--type blk --name d --socket /s --transport x"), -EINVAL);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(line, sizeof(line), "--name d --socket /s --transport vduse %s",
			 bad[i].words);
		assert_int_equal(parse(&o, &f, line), -EINVAL);
		if (!strstr(f.text, bad[i].says))
			fail_msg("%s: expected '%s', saw '%s'", bad[i].words, bad[i].says, f.text);
	}
}

static void test_options(void **state)
{
	struct adapter_options o;
	struct failure f = { 0 };

	(void)state;
	assert_int_equal(dup2(STDOUT_FILENO, 9), 9);
	assert_int_equal(parse(&o, &f,
			       "--type blk --name d0 --socket /s --queues 4 --queue-size 256 "
			       "--pool 1M --reconnect 7 --timeout 2 --ready-fd 9"),
			 0);
	/* no program that the adapter starts has it */
	assert_int_equal(fcntl(9, F_GETFD), FD_CLOEXEC);
	close(9);
	assert_int_equal(o.type.id, 2);
	assert_string_equal(o.name, "d0");
	assert_string_equal(o.socket, "/s");
	assert_null(o.exec);
	assert_int_equal(o.queues, 4);
	assert_int_equal(o.queue_size, 256);
	assert_true(o.pool == 1 << 20);
	assert_true(o.reconnect_ms == 7000);
	assert_int_equal(o.timeout_ms, 2000);
	assert_int_equal(o.ready_fd, 9);
	assert_int_equal(parse(&o, &f, "--type 4 --name r --exec cmd --reconnect off"), 0);
	assert_true(o.reconnect_ms == RECONNECT_OFF);
	assert_true(o.pool > 0);
	assert_true(o.queue_size > 0);
	assert_int_equal(parse(&o, &f, "--type rng --name r --exec cmd"), 0);
	assert_true(o.reconnect_ms == RECONNECT_FOREVER);
	assert_int_equal(o.timeout_ms, 5000);
	assert_int_equal(parse(&o, &f,
			       "--type gpu --name g --exec cmd --display png=/x "
			       "--resolution 800x600 --heads 16"),
			 0);
	assert_string_equal(o.display, "png=/x");
	assert_string_equal(o.resolution, "800x600");
	assert_int_equal(o.heads, 16);
	assert_int_equal(parse(&o, &f, "--type gpu --name g --exec cmd"), 0);
	assert_string_equal(o.display, "none");
	assert_int_equal(o.heads, 1);
	assert_int_equal(o.timeout_ms, 20000);
	assert_int_equal(parse(&o, &f, "--type gpu --name g --exec cmd --display vnc=:1"), 0);
	assert_int_equal(parse(&o, &f,
			       "--type gpu --name g --exec cmd --heads 4 --resolution 4095x4095"),
			 0);
}

static void test_bad_options(void **state)
{
	static const char *const bad[] = {
		"--type blk --name d0",
		"--type blk --name d0 --socket /s --exec x",
		"--name d0 --socket /s",
		"--type blk --socket /s",
		"--type disk --name d0 --socket /s",
		"--type 0 --name d0 --socket /s",
		"--type blk --name d0 --socket /s --queues 0",
		"--type blk --name d0 --socket /s --queues 257",
		"--type blk --name d0 --socket /s --queues 2x",
		"--type blk --name d0 --socket /s --queue-size 100",
		"--type blk --name d0 --socket /s --queue-size 65536",
		"--type blk --name d0 --socket /s --pool 1",
		"--type blk --name d0 --socket /s --pool 5G",
		"--type blk --name d0 --socket /s --pool -1",
		"--type blk --name d0 --socket /s --reconnect soon",
		"--type blk --name d0 --socket /s --reconnect -1",
		"--type blk --name .d0 --socket /s",
		"--type blk --name ../d0 --socket /s",
		"--type blk --name -d0 --socket /s",
		"--type blk --name a/b --socket /s",
		"--type blk --name 0123456789012345678901234567890x --socket /s",
		"--type blk --name d0 --socket /s more",
		"--type blk --name d0 --socket",
		"--type blk --name d0 --socket /s --nonsense",
		"--type net --name d0 --socket /s --mac 01:02:03:04:05:06",
		"--type net --name d0 --socket /s --mac 02:02:03:04:05",
		"--type net --name d0 --socket /s --mtu 10",
		"--type gpu --name d0 --socket /s --display x11",
		"--type gpu --name d0 --socket /s --display png=",
		"--type gpu --name d0 --socket /s --display sdl=1",
		"--type gpu --name d0 --socket /s --heads 0",
		"--type gpu --name d0 --socket /s --heads 17",
		"--type gpu --name d0 --socket /s --heads 5 --resolution 4095x4095",
		"--type gpu --name d0 --socket /s --resolution 800",
		"--type gpu --name d0 --socket /s --resolution x600",
		"--type gpu --name d0 --socket /s --resolution 800x600x2",
		"--type gpu --name d0 --socket /s --resolution 8x6",
		"--type gpu --name d0 --socket /s --resolution 4096x2160",
		"--type gpu --name d0 --socket /s --resolution 123456789012345678x600",
		"--type blk --name d0 --socket /s --display none",
		"--type blk --name d0 --socket /s --heads 1",
		"--type blk --name d0 --socket /s --mac 02:00:00:00:00:01",
		"--type blk --name d0 --socket /s --mtu 1400",
		"--type net --name d0 --socket /s --tag t",
		"--type spi --name d0 --socket /s --config-size 16",
		"--type 45 --name d0 --socket /s --config-size 16",
	};
	struct adapter_options o;
	struct failure f = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (!parse(&o, &f, bad[i]))
			fail_msg("'%s' is taken", bad[i]);
		if (!f.text[0])
			fail_msg("'%s' is refused without a word", bad[i]);
	}
}

/* Who gives a value that is not taken is told what is. */
static void test_rules(void **state)
{
	static const struct {
		const char *words, *says;
	} bad[] = {
		{ "--timeout 0", "--timeout 0: out of range: 1 to 60 seconds" },
		{ "--timeout 61", "out of range: 1 to 60 seconds" },
		{ "--timeout soon", "--timeout soon: not understood: 1 to 60 seconds" },
		{ "--heartbeat 61", "out of range: 0 to 60 seconds" },
		{ "--queues 257", "out of range: 1 to 256" },
		{ "--queue-size 1", "out of range: 2 to 32768" },
		{ "--pool 63K", "out of range: 64K to 4G" },
		{ "--pool 5G", "out of range: 64K to 4G" },
		{ "--reconnect 31536001", "forever, off or 0 to 31536000 seconds" },
		{ "--config-size 257", "out of range: 0 to 256 bytes" },
		{ "--mtu 67", "out of range: 68 to 65535 bytes" },
		{ "--heads 17", "out of range: 1 to 16" },
		{ "--resolution 800x4096", "WxH, each 16 to 4095" },
		{ "--transport tcp", "loopback or vduse" },
		{ "--display x11", "sdl, vnc, vnc=HOST:PORT, png=FOLDER or none" },
		{ "--mac 01:02:03:04:05:06", "no multicast address" },
		{ "--tag 0123456789012345678901234567890123456", "out of range: 1 to 36 bytes" },
		{ "--name -x", "neither '-' nor '.' first" },
		{ "--name 01234567890123456789012345678901", "up to 31 letters, digits" },
	};
	struct adapter_options o;
	struct failure f = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_not_equal(parse(&o, &f, bad[i].words), 0);
		if (!strstr(f.text, bad[i].says))
			fail_msg("%s: expected '%s', saw '%s'", bad[i].words, bad[i].says, f.text);
	}
	/* the ends of each are taken */
	assert_int_equal(parse(&o, &f, "--type net --name 0123456789012345678901234567890 --exec x "
				       "--timeout 60 --heartbeat 0 --queues 256 --queue-size 32768 "
				       "--pool 64K --reconnect 31536000 --mtu 68"),
			 0);
	assert_int_equal(parse(&o, &f, "--type 42 --name _-. --exec x --timeout 1 --heartbeat 60 "
				       "--queues 1 --queue-size 2 --pool 4G --reconnect 0 "
				       "--config-size 256"),
			 0);
}

/* ---- features ---- */

static void test_features(void **state)
{
	struct adapter_options o = { 0 };
	uint64_t all = UINT64_MAX, got;

	(void)state;
	device_type_find("gpio", &o.type);
	got = personality_features(&o, all, ALL_TRANSPORT);
	/* every bit of the device's own, known or not */
	assert_true((got & (BIT_ULL(24) - 1)) == BIT_ULL(24) - 1);
	assert_true((got >> 50) == BIT_ULL(14) - 1);
	assert_true(got & BIT_ULL(VIRTIO_F_VERSION_1));
	assert_false(got & BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES));
	assert_false(got & BIT_ULL(26)); /* VHOST_F_LOG_ALL */
	assert_false(got & BIT_ULL(VIRTIO_F_ACCESS_PLATFORM));
	assert_false(got & BIT_ULL(38)); /* NOTIFICATION_DATA does not fit into an eventfd */
	/* of the transport's only what the module can */
	got = personality_features(&o, all, BIT_ULL(VIRTIO_F_VERSION_1));
	assert_true((got & ALL_TRANSPORT) == BIT_ULL(VIRTIO_F_VERSION_1));
	/* ... and the back-end has */
	assert_true(personality_features(&o, 1, ALL_TRANSPORT) == 1);
	/* ... and of the packed layout, that the user wants */
	assert_false(personality_features(&o, all, ALL_TRANSPORT) & BIT_ULL(VIRTIO_F_RING_PACKED));
	o.packed = true;
	assert_true(personality_features(&o, all, ALL_TRANSPORT) & BIT_ULL(VIRTIO_F_RING_PACKED));
	assert_true(personality_backend_features(&o, BIT_ULL(33) | BIT_ULL(32) | 6,
						 BIT_ULL(33) | BIT_ULL(32) | 3) ==
		    (BIT_ULL(32) | 2));
}

/* Several pairs of virtqueues: what the driver has is the adapter's to serve. */
static void test_net_pairs(void **state)
{
	const uint64_t mq = BIT_ULL(VIRTIO_NET_F_MQ), control = BIT_ULL(VIRTIO_NET_F_CTRL_VQ);
	struct adapter_options o = { .queues = 4 };
	uint8_t config[CONFIG_SIZE_MAX] = { 0 };
	struct queue_plan plan;
	struct failure f = { 0 };
	unsigned int i;

	(void)state;
	device_type_find("net", &o.type);
	assert_true((personality_features(&o, mq, 0) & (mq | control)) == (mq | control));
	/* ... and nothing else that would need the control queue */
	assert_false(personality_features(&o, UINT64_MAX, 0) & BIT_ULL(VIRTIO_NET_F_CTRL_RX));
	assert_false(personality_features(&o, ~mq, 0) & control);
	assert_true(personality_accepts(&o, mq | control));
	assert_true(personality_accepts(&o, 0));
	assert_false(personality_accepts(&o, control));
	assert_false(personality_accepts(&o, mq));
	assert_true(personality_backend_features(&o, mq | control | 1, UINT64_MAX) == (mq | 1));

	assert_int_equal(personality_plan_queues(&o, mq, config, 12, 8, 256, 1, &plan, &f), 0);
	personality_patch_config(&o, mq, &plan, config, 12);
	assert_int_equal(config[8] | config[9] << 8, 4);
	assert_int_equal(personality_control_queue(&o, &plan), 8);
	for (i = 0; i < 8; i++)
		assert_int_equal(personality_queue_flags(&o, i, &plan), 0);
	assert_int_equal(personality_queue_flags(&o, 8, &plan),
			 VIRTIO_LOOPBACK_QF_POSTED | VIRTIO_LOOPBACK_QF_STRICT);
	assert_true(personality_serves(&o, &plan, 4));
	assert_false(personality_serves(&o, &plan, 3));
	assert_false(personality_serves(&o, &plan, 0));

	o.queues = 0;
	config[8] = 0;
	assert_false(personality_features(&o, mq | control, 0) & (mq | control));
	assert_int_equal(personality_plan_queues(&o, mq, config, 12, 8, 256, 8, &plan, &f), 0);
	personality_patch_config(&o, mq, &plan, config, 12);
	assert_int_equal(config[8], 0);
	assert_int_equal(personality_control_queue(&o, &plan), plan.total);
	assert_int_equal(personality_queue_flags(&o, 1, &plan), 0);
	assert_true(personality_serves(&o, &plan, 1));
	assert_true(personality_serves(&o, &plan, 0));
}

static void test_net(void **state)
{
	struct adapter_options o = { .mac = { 2, 3, 4, 5, 6, 7 }, .mtu = 1400 };
	uint8_t config[CONFIG_SIZE_MAX] = { 0 };
	uint64_t got;

	(void)state;
	device_type_find("net", &o.type);
	got = personality_features(&o, UINT64_MAX, ALL_TRANSPORT);
	/* nobody serves a control queue */
	assert_false(got & BIT_ULL(VIRTIO_NET_F_CTRL_VQ));
	assert_false(got & BIT_ULL(VIRTIO_NET_F_MQ));
	assert_true(got & BIT_ULL(VIRTIO_NET_F_MTU));
	assert_true(personality_features(&o, 0, 0) & BIT_ULL(VIRTIO_NET_F_MAC));
	assert_true(personality_owns_config(&o));
	personality_own_config(&o, config, personality_config_size(&o, 0));
	assert_memory_equal(config, o.mac, 6);
	assert_int_equal(config[10] | config[11] << 8, 1400);
	assert_int_equal(personality_mtu(&o, BIT_ULL(VIRTIO_NET_F_MTU)), 1400);
	assert_int_equal(personality_mtu(&o, 0), 0); /* the driver did not take it */
	o.mtu = 0;
	assert_false(personality_features(&o, UINT64_MAX, 0) & BIT_ULL(VIRTIO_NET_F_MTU));
	/* the link is the front-end's to tell, whatever the back-end offers */
	assert_true(personality_features(&o, 0, 0) & BIT_ULL(VIRTIO_NET_F_STATUS));
	assert_int_equal(config[6] | config[7] << 8, VIRTIO_NET_S_LINK_UP);
	assert_true(personality_set_link(&o, false, config, 12));
	assert_int_equal(config[6] | config[7] << 8, 0);
	assert_false(personality_set_link(&o, true, config, 7));
	assert_true(personality_set_link(&o, true, config, 12));
	assert_int_equal(config[6] | config[7] << 8, VIRTIO_NET_S_LINK_UP);
	device_type_find("blk", &o.type);
	assert_false(personality_set_link(&o, false, config, 60));
	assert_int_equal(personality_mtu(&o, BIT_ULL(VIRTIO_NET_F_MTU)), 0);
}

static void test_fs(void **state)
{
	struct adapter_options o = { .name = "home0" };
	uint8_t config[CONFIG_SIZE_MAX];
	struct queue_plan plan;
	struct failure f = { 0 };

	(void)state;
	memset(config, 0xff, sizeof(config));
	device_type_find("fs", &o.type);
	personality_own_config(&o, config, 40);
	assert_memory_equal(config, "home0\0\0\0\0", 9);
	o.tag = "012345678901234567890123456789012345";
	personality_own_config(&o, config, 40);
	assert_memory_equal(config, o.tag, 36);
	o.queues = 3;
	assert_int_equal(personality_plan_queues(&o, 0, config, 40, 8, 256, 2, &plan, &f), 0);
	assert_int_equal(plan.total, 4);
	personality_patch_config(&o, 0, &plan, config, 40);
	assert_int_equal(config[36], 3);
}

/* ---- virtqueues ---- */

struct expected {
	const char *type;
	unsigned int queues; /* --queues */
	uint64_t features;
	unsigned int backend; /* GET_QUEUE_NUM */
	unsigned int count; /* in the configuration space, where the type has it */
	unsigned int cpus;
	int total; /* -1: refused */
	unsigned int served;
};

static void put_count(const struct device_type *type, uint8_t *config, unsigned int count)
{
	unsigned int at = type->layout == QUEUES_CONSOLE ? 4 : type->count_offset;

	config[at] = (uint8_t)count;
	config[at + 1] = (uint8_t)(count >> 8);
	config[at + 2] = (uint8_t)(count >> 16);
	config[at + 3] = type->count_width == 2 ? 0 : (uint8_t)(count >> 24);
}

static void test_queues(void **state)
{
	static const uint64_t mq = 1ULL << VIRTIO_BLK_F_MQ, net = 1ULL << VIRTIO_NET_F_MQ;
	static const struct expected cases[] = {
		/* blk: the least of what the back-end serves, says, and there are CPUs */
		{ "blk", 0, mq, 8, 4, 16, 4, 4 },
		{ "blk", 0, mq, 8, 4, 2, 2, 2 },
		{ "blk", 0, mq, 2, 4, 16, 2, 2 },
		{ "blk", 3, mq, 8, 4, 1, 3, 3 },
		{ "blk", 5, mq, 8, 4, 16, -1, 0 },
		{ "blk", 2, 0, 8, 4, 16, -1, 0 },
		{ "blk", 0, 0, 8, 4, 16, 1, 1 },
		{ "blk", 0, mq, 0, 4, 16, 1, 1 },
		{ "blk", 0, mq, 8, 0, 16, 1, 1 },
		{ "blk", 0, mq, 256, 65535, 999, 256, 256 },
		{ "scsi", 0, 0, 3, 1, 4, 3, 3 },
		{ "scsi", 0, 0, 2, 1, 4, -1, 0 },
		{ "rng", 0, 0, 1, 0, 4, 1, 1 },
		{ "rng", 0, 0, 0, 0, 4, 1, 1 },
		{ "rng", 2, 0, 4, 0, 4, -1, 0 },
		{ "gpio", 0, 1, 2, 0, 4, 2, 2 },
		{ "gpio", 0, 0, 2, 0, 4, 1, 1 },
		{ "gpio", 0, 1, 1, 0, 4, -1, 0 },
		{ "can", 0, 0, 3, 0, 4, 3, 3 },
		{ "can", 0, 0, 2, 0, 4, -1, 0 },
		{ "vsock", 0, 0, 2, 0, 4, 3, 2 },
		{ "vsock", 0, 0, 1, 0, 4, -1, 0 },
		/* net: pairs, and with several a control queue, which the adapter serves */
		{ "net", 0, net, 128, 0, 4, 2, 2 },
		{ "net", 1, 0, 1, 0, 4, 2, 2 },
		{ "net", 0, 0, 0, 0, 4, 2, 2 },
		{ "net", 4, net, 128, 0, 2, 9, 8 },
		{ "net", 4, net, 3, 0, 4, -1, 0 },
		{ "net", 4, net, 0, 0, 4, -1, 0 },
		{ "net", 2, 0, 128, 0, 4, -1, 0 },
		{ "net", 127, net, 128, 0, 4, 255, 254 },
		{ "net", 128, net, 128, 0, 4, -1, 0 },
		/* console: port 0, and with MULTIPORT control and the others */
		{ "console", 0, 0, 4, 1, 4, 2, 2 },
		{ "console", 0, 2, 4, 1, 4, 4, 4 },
		{ "console", 0, 2, 8, 31, 4, 8, 8 },
		{ "console", 0, 2, 2, 1, 4, -1, 0 },
		{ "console", 0, 2, 256, 0xffffffff, 4, 256, 256 },
		{ "99", 0, 0, 5, 0, 4, 5, 5 },
		{ "99", 4, 0, 5, 0, 4, 4, 4 },
		{ "99", 6, 0, 5, 0, 4, -1, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct expected *e = &cases[i];
		struct adapter_options o = { .queues = e->queues };
		uint8_t config[CONFIG_SIZE_MAX] = { 0 };
		struct queue_plan plan;
		struct failure f = { 0 };
		int ret;

		device_type_find(e->type, &o.type);
		put_count(&o.type, config, e->count);
		ret = personality_plan_queues(&o, e->features, config, 96, e->backend, 256, e->cpus,
					      &plan, &f);
		if (e->total < 0 ? !ret || !f.text[0] :
				   ret || (int)plan.total != e->total || plan.served != e->served)
			fail_msg("case %zu (%s): %d, %u virtqueues, %u served: %s", i, e->type, ret,
				 plan.total, plan.served, f.text);
	}
}

static void test_patch(void **state)
{
	struct adapter_options o = { .queues = 2, .pool = 1 << 20 };
	uint8_t config[CONFIG_SIZE_MAX] = { 0 };
	struct virtio_blk_config *blk = (void *)config;
	struct queue_plan plan;
	struct failure f = { 0 };

	(void)state;
	device_type_find("blk", &o.type);
	blk->num_queues = 9;
	blk->seg_max = 1000;
	blk->capacity = 77;
	assert_int_equal(personality_plan_queues(&o, BIT_ULL(VIRTIO_BLK_F_MQ), config, 60, 16, 256,
						 4, &plan, &f),
			 0);
	personality_plan_segments(&o, 4096, 128, &plan);
	personality_patch_config(&o, BIT_ULL(VIRTIO_BLK_F_SEG_MAX), &plan, config, 60);
	assert_int_equal(blk->num_queues, 2);
	assert_int_equal(blk->capacity, 77);
	/* a chain is no longer than its queue, nor a request larger than half the pool */
	assert_true(blk->seg_max <= 126);
	assert_true((blk->seg_max + 2) * 4096ULL <= o.pool / 2);
}

/* 5.7.4: num_capsets is the back-end's, all else the front-end's */
static void test_gpu(void **state)
{
	struct adapter_options o = { .heads = 3, .pool = 1 << 20 };
	struct virtio_gpu_config config = {
		.events_read = 7,
		.events_clear = 7,
		.num_scanouts = 9,
		.num_capsets = 2,
	};
	struct queue_plan plan;
	struct failure f = { 0 };

	(void)state;
	device_type_find("gpu", &o.type);
	assert_true(personality_has_window(&o));
	assert_true(personality_has_display(&o));
	assert_false(personality_owns_config(&o));
	assert_int_equal(personality_plan_queues(&o, 0, (void *)&config, sizeof(config), 2, 256, 4,
						 &plan, &f),
			 0);
	assert_int_equal(plan.total, 2);
	personality_patch_config(&o, 0, &plan, (void *)&config, sizeof(config));
	personality_patch_events(VIRTIO_GPU_EVENT_DISPLAY, (void *)&config, sizeof(config));
	assert_int_equal(config.events_read, VIRTIO_GPU_EVENT_DISPLAY);
	assert_int_equal(config.events_clear, 0);
	assert_int_equal(config.num_scanouts, 3);
	assert_int_equal(config.num_capsets, 2);
}

/* ---- pool ---- */

static void test_kernel(void **state)
{
	static const char *const fit[] = { "6.7.0", "6.12.117+deb12-amd64", "7.0-rc1", "10.1", "6.7",
					   "strange", "" };
	static const char *const unfit[] = { "6.6.99", "6.1.0-56-amd64", "5.15.0", "6.6" };
	struct adapter_options o = { 0 };
	struct failure f = { 0 };
	size_t i;

	(void)state;
	assert_int_equal(device_type_find("sound", &o.type), 0);
	for (i = 0; i < ARRAY_SIZE(fit); i++)
		assert_int_equal(personality_check_kernel(&o, fit[i], &f), 0);
	for (i = 0; i < ARRAY_SIZE(unfit); i++) {
		failure_clear(&f);
		assert_int_equal(personality_check_kernel(&o, unfit[i], &f), -EOPNOTSUPP);
		assert_non_null(strstr(f.text, "before 6.7"));
		assert_non_null(strstr(f.text, unfit[i]));
	}
	assert_int_equal(device_type_find("blk", &o.type), 0);
	assert_int_equal(personality_check_kernel(&o, "6.1.0", &f), 0);
}

static void test_pool(void **state)
{
	struct pool_window w = { 0 };
	struct failure f = { 0 };
	struct pool pool;

	(void)state;
	assert_int_equal(pool_init(&pool, "t", 100001, 4096, &f), 0);
	assert_true(pool.size == 102400);
	assert_int_equal(lseek(pool.fd, 0, SEEK_END), 102400);
	assert_int_equal(ftruncate(pool.fd, 4096), -1);
	assert_int_equal(ftruncate(pool.fd, 1 << 20), -1);
	/* nobody adds a seal that would take the kernel's access */
	assert_int_equal(fcntl(pool.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(pool_map(&pool, pool.base + 5000, 8000, &w), 0);
	memset(w.data, 0x77, 8000);
	pool_unmap(&w);
	assert_int_equal(pool_map(&pool, pool.base, 102400, &w), 0);
	assert_int_equal(((uint8_t *)w.data)[4999], 0);
	assert_int_equal(((uint8_t *)w.data)[5000], 0x77);
	assert_int_equal(((uint8_t *)w.data)[12999], 0x77);
	pool_unmap(&w);
	pool_unmap(&w); /* twice does no harm */
	assert_int_equal(pool_map(&pool, pool.base - 1, 1, &w), -ERANGE);
	assert_int_equal(pool_map(&pool, pool.base + 102400, 1, &w), -ERANGE);
	assert_int_equal(pool_map(&pool, pool.base + 102399, 2, &w), -ERANGE);
	assert_int_equal(pool_map(&pool, pool.base + 1, UINT64_MAX, &w), -ERANGE);
	assert_int_equal(pool_map(&pool, pool.base, 0, &w), -ERANGE);
	pool_finish(&pool);
	assert_int_equal(pool_init(&pool, "t", 1ULL << 60, 4096, &f), -ENOMEM);
	assert_non_null(strstr(f.text, "--pool"));
	assert_int_equal(pool.fd, -1);
}

/* An input device's select and subsel go together; nothing else does. */
static void test_config_write(void **state)
{
	static const uint8_t select[] = { 0x12 }, subsel[] = { 0x35 }, all[] = { 1, 2, 3 };
	static const uint8_t config[8] = { 0 };
	uint8_t together[CONFIG_TOGETHER_MAX] = { 0 };
	struct config_write write = { 0, 1, select };
	struct adapter_options o = { 0 };

	(void)state;
	device_type_find("input", &o.type);
	assert_true(personality_config_write(&o, config, together, &write));
	assert_int_equal(write.offset, 0);
	assert_int_equal(write.length, 2);
	assert_memory_equal(write.data, "\x12\0", 2);
	write = (struct config_write){ 1, 1, subsel };
	assert_true(personality_config_write(&o, config, together, &write));
	assert_int_equal(write.offset, 0);
	assert_int_equal(write.length, 2);
	assert_memory_equal(write.data, "\x12\x35", 2);
	write = (struct config_write){ 0, 3, all };
	assert_true(personality_config_write(&o, config, together, &write));
	assert_int_equal(write.length, 2);
	assert_memory_equal(write.data, "\1\2", 2);
	write = (struct config_write){ 2, 1, subsel };
	assert_true(personality_config_write(&o, config, together, &write));
	assert_int_equal(write.offset, 2);
	assert_ptr_equal(write.data, subsel);
	device_type_find("blk", &o.type);
	write = (struct config_write){ 0, 1, select };
	assert_true(personality_config_write(&o, config, together, &write));
	assert_int_equal(write.length, 1);
	assert_ptr_equal(write.data, select);
}

/* A SCSI back-end hears of sizes that are others; an input device is asked each time. */
static void test_config_same(void **state)
{
	static const uint8_t config[8] = { 0, 0, 0, 0, 96 };
	static const uint8_t same[] = { 96, 0, 0, 0 }, other[] = { 97 };
	static const struct {
		const char *type;
		struct config_write write;
		bool told;
	} cases[] = {
		{ "scsi", { 4, 4, same }, false }, { "scsi", { 4, 1, other }, true },
		{ "scsi", { 0, 4, same }, true },  { "blk", { 4, 4, same }, true },
		{ "console", { 4, 4, same }, true }, { "input", { 4, 4, same }, true },
	};
	uint8_t together[CONFIG_TOGETHER_MAX] = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config_write write = cases[i].write;
		struct adapter_options o = { 0 };

		device_type_find(cases[i].type, &o.type);
		assert_int_equal(personality_config_write(&o, config, together, &write),
				 cases[i].told);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_write),
		cmocka_unit_test(test_config_same),
		cmocka_unit_test(test_options),	 cmocka_unit_test(test_bad_options),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_transport),
		cmocka_unit_test(test_features), cmocka_unit_test(test_net),
		cmocka_unit_test(test_net_pairs),
		cmocka_unit_test(test_fs),	 cmocka_unit_test(test_queues),
		cmocka_unit_test(test_patch),	 cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_pool),	 cmocka_unit_test(test_gpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-3-Clause
/* What the command finds in sysfs, on a tree made for it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "cli/adapter-client.h"
#include "cli/prometheus.h"
#include "cli/sysfs.h"
#include "common/util.h"

static char root[64], platform[80], hwrng[80], vdpa[80];

static void make_folder(const char *below)
{
	char path[PATH_MAX], *p;

	snprintf(path, sizeof(path), "%s/%s", root, below);
	for (p = path + strlen(root) + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
	assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
}

static void make_file(const char *below, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, below);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void make_device(int parent, const char *name, const char *id, int virtio)
{
	static const char *const files[][2] = { { "state", "running\n" },
						{ "num_queues", "2\n" },
						{ "pool_size", "1048576\n" },
						{ "pool_used", "512\n" },
						{ "adapter_pid", "77\n" } };
	char below[128], path[PATH_MAX], text[64];
	size_t i;

	snprintf(below, sizeof(below), "platform/virtio-loopback.%d/virtio%d", parent, virtio);
	make_folder(below);
	snprintf(path, sizeof(path), "%s/%s/driver", root, below);
	assert_int_equal(symlink("../../../../bus/virtio/drivers/virtio_test", path), 0);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(below, sizeof(below), "platform/virtio-loopback.%d/%s", parent,
			 files[i][0]);
		make_file(below, files[i][1]);
	}
	snprintf(below, sizeof(below), "platform/virtio-loopback.%d/name", parent);
	snprintf(text, sizeof(text), "%s\n", name);
	make_file(below, text);
	snprintf(below, sizeof(below), "platform/virtio-loopback.%d/device_id", parent);
	make_file(below, id);
}

static int make_root(void **state)
{
	(void)state;
	strcpy(root, "/tmp/vlb-sysfs-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(platform, sizeof(platform), "%s/platform", root);
	snprintf(hwrng, sizeof(hwrng), "%s/hwrng", root);
	sysfs_platform = platform;
	sysfs_hwrng = hwrng;
	snprintf(vdpa, sizeof(vdpa), "%s/vdpa", root);
	sysfs_vdpa = vdpa;
	return 0;
}

static int remove_root(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

static void test_none(void **state)
{
	struct loopback_device d;

	(void)state;
	assert_int_equal(sysfs_next(0, &d), -ENOENT);
	make_folder("platform/serial8250");
	make_folder("platform/virtio-loopback.x");
	make_folder("platform/virtio-loopback.3"); /* on its way: no name yet */
	assert_int_equal(sysfs_next(0, &d), -ENOENT);
	assert_int_equal(sysfs_find("blk0", &d), -ENOENT);
}

static void test_load(void **state)
{
	struct loopback_device d;

	(void)state;
	make_device(10, "ten", "2\n", 4);
	make_device(9, "nine", "4\n", 12);
	assert_int_equal(sysfs_next(0, &d), 0);
	assert_int_equal(d.parent, 9);
	assert_int_equal(sysfs_next(10, &d), 0);
	assert_string_equal(d.name, "ten");
	assert_int_equal(sysfs_next(11, &d), -ENOENT);
	assert_int_equal(sysfs_find("nine", &d), 0);
	assert_int_equal(d.device_id, 4);
	assert_int_equal(d.virtio_index, 12);
	assert_string_equal(d.driver, "virtio_test");
	assert_string_equal(d.state, "running");
	assert_int_equal(d.num_queues, 2);
	assert_true(d.pool_size == 1 << 20);
	assert_true(d.pool_used == 512);
	assert_int_equal(d.adapter_pid, 77);
	assert_true(sysfs_exists(9));
	assert_false(sysfs_exists(8));
}

static void check_nodes(int parent, const char *id, const char *folder, const char *expected)
{
	char below[256], text[256] = "";
	struct loopback_device d;
	struct nodes nodes;
	unsigned int i;

	make_device(parent, "x", id, 1);
	snprintf(below, sizeof(below), "platform/virtio-loopback.%d/virtio1/%s", parent, folder);
	make_folder(below);
	/* what every device has, and is nobody's node */
	snprintf(below, sizeof(below), "platform/virtio-loopback.%d/virtio1/power", parent);
	make_folder(below);
	assert_int_equal(sysfs_load(parent, &d), 0);
	sysfs_nodes(&d, NULL, &nodes);
	for (i = 0; i < nodes.count; i++) {
		strcat(text, i ? " " : "");
		strcat(text, nodes.name[i]);
	}
	if (strcmp(text, expected) != 0)
		fail_msg("%s: expected '%s', saw '%s'", folder, expected, text);
}

static void test_nodes(void **state)
{
	(void)state;
	check_nodes(1, "2\n", "block/vda/vda1", "/dev/vda");
	check_nodes(2, "1\n", "net/eth7/queues/rx-0", "eth7");
	check_nodes(3, "18\n", "input/input5/event3", "/dev/input/event3");
	check_nodes(4, "41\n", "gpiochip4", "/dev/gpiochip4");
	check_nodes(5, "41\n", "gpio/gpiochip512", "");
	check_nodes(6, "25\n", "sound/card1/pcmC1D0p", "hw:1");
	check_nodes(7, "16\n", "drm/card0/card0-Virtual-1", "/dev/dri/card0");
	check_nodes(8, "3\n", "virtio-ports/vport1p1", "/dev/vport1p1");
	check_nodes(9, "8\n", "host2/target2:0:0/2:0:0:0/block/sdb", "/dev/sdb");
	check_nodes(10, "36\n", "net/can0", "can0");
	check_nodes(11, "26\n", "power", "x");
	check_nodes(12, "4\n", "power", "");
	make_folder("hwrng");
	make_file("hwrng/rng_available", "tpm-rng-0 virtio_rng.0\n");
	check_nodes(13, "4\n", "power", "/dev/hwrng");
}

/* An attach waits until there is something that can be opened. */
static void test_wait(void **state)
{
	struct loopback_device d;
	struct nodes nodes;

	(void)state;
	make_device(1, "b", "2\n", 1);
	assert_int_equal(sysfs_load(1, &d), 0);
	assert_false(sysfs_nodes(&d, NULL, &nodes)); /* a disk, and no node yet */
	make_folder("platform/virtio-loopback.1/virtio1/block/vlbnone");
	assert_false(sysfs_nodes(&d, NULL, &nodes)); /* in sysfs, and not in /dev */
	make_device(2, "n", "1\n", 2);
	assert_int_equal(sysfs_load(2, &d), 0);
	make_folder("platform/virtio-loopback.2/virtio2/net/eth0");
	assert_true(sysfs_nodes(&d, NULL, &nodes)); /* interfaces are in no folder */
	make_device(3, "u", "99\n", 3);
	assert_int_equal(sysfs_load(3, &d), 0);
	assert_true(sysfs_nodes(&d, NULL, &nodes)); /* nothing known that it should have */
	d.driver[0] = '\0';
	assert_false(sysfs_nodes(&d, NULL, &nodes)); /* nobody drives it */
}

/* A device of the transport vduse has no folder of our module's. */
static void test_vdpa(void **state)
{
	struct loopback_device d;
	struct nodes nodes;
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(sysfs_load_vdpa("disk", &d), -ENOENT);
	make_folder("vdpa/disk/power");
	assert_int_equal(sysfs_load_vdpa("disk", &d), -ENOENT); /* no driver of the bus has it */
	make_folder("vdpa/disk/virtio7/block/vlbnone");
	make_file("vdpa/disk/virtio7/device", "0x0002\n");
	assert_int_equal(sysfs_load_vdpa("disk", &d), 0);
	assert_string_equal(d.name, "disk");
	assert_int_equal(d.parent, -1);
	assert_int_equal(d.virtio_index, 7);
	assert_int_equal(d.device_id, 2);
	assert_string_equal(d.driver, "");
	assert_false(sysfs_nodes(&d, NULL, &nodes));
	snprintf(path, sizeof(path), "%s/vdpa/disk/virtio7/driver", root);
	assert_int_equal(symlink("../../../bus/virtio/drivers/virtio_blk", path), 0);
	assert_int_equal(sysfs_load_vdpa("disk", &d), 0);
	assert_string_equal(d.driver, "virtio_blk");
	sysfs_nodes(&d, NULL, &nodes);
	assert_int_equal(nodes.count, 1);
	assert_string_equal(nodes.name[0], "/dev/vlbnone");
}

static void test_prometheus(void **state)
{
	struct device_entry devices[2] = {
		{ .name = "nine", .device_id = 2, .parent = 9, .state = "running", .pool = 4096 },
		{ .name = "ten", .device_id = 999, .parent = -1, .state = "waiting" },
	};
	char *text = NULL;
	size_t size;
	FILE *f;

	(void)state;
	make_device(9, "nine", "2\n", 12);
	make_file("platform/virtio-loopback.9/stats", "kicks 7\nmaps 5\nmaps_live 1\n");
	make_file("platform/virtio-loopback.9/queues", "0 3 2\n1 4 5\n");
	f = open_memstream(&text, &size);
	assert_int_equal(prometheus_print(devices, 2, f), 0);
	fclose(f);
	assert_non_null(strstr(text, "# TYPE virtio_loopback_devices gauge\n"
				     "virtio_loopback_devices 2\n"));
	/* all samples of a metric stand together */
	assert_non_null(strstr(text, "# TYPE virtio_loopback_running gauge\n"
				     "virtio_loopback_running{device=\"nine\"} 1\n"
				     "virtio_loopback_running{device=\"ten\"} 0\n"));
	assert_non_null(strstr(text, "virtio_loopback_info{device=\"ten\",type=\"999\","
				     "state=\"waiting\"} 1\n"));
	assert_non_null(strstr(text, "# TYPE virtio_loopback_maps_total counter\n"
				     "virtio_loopback_maps_total{device=\"nine\"} 5\n"));
	assert_non_null(strstr(text, "# TYPE virtio_loopback_maps_live gauge\n"));
	assert_non_null(strstr(text, "virtio_loopback_pool_used{device=\"nine\"} 512\n"));
	assert_non_null(strstr(text, "virtio_loopback_kicks_total{device=\"nine\",queue=\"0\"} 3\n"
				     "virtio_loopback_kicks_total{device=\"nine\",queue=\"1\"} 4\n"));
	assert_null(strstr(text, "virtio_loopback_kicks_total{device=\"nine\"}"));
	free(text);
}

/* An attribute is a page at most: the last number of one that is full may be half a number. */
static void test_queues_cut(void **state)
{
	struct device_entry device = { .name = "nine", .device_id = 2, .parent = 9, .queues = 3,
				       .state = "running" };
	char *text = NULL;
	size_t size;
	FILE *f;

	(void)state;
	make_device(9, "nine", "2\n", 12);
	make_file("platform/virtio-loopback.9/queues", "0 3 2\n1 4 5\n2 100 98");
	f = open_memstream(&text, &size);
	assert_int_equal(prometheus_print(&device, 1, f), 0);
	fclose(f);
	assert_non_null(strstr(text, "calls_total{device=\"nine\",queue=\"1\"} 5\n"));
	if (strstr(text, "queue=\"2\""))
		fail_msg("half a line is taken for a whole one:\n%s", text);
	free(text);
}

/* ---- what an adapter says of its set-up ---- */

/* Some of it is a back-end's, and goes to a terminal. */
static void test_ready(void **state)
{
	static const char line[] = "error 5 it said: \033[2Jno such disk\n";
	struct adapter_started started = { 0 };
	struct failure f = { 0 };
	int pair[2];

	(void)state;
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(write(pair[1], line, strlen(line)), strlen(line));
	started.ready_fd = pair[0];
	assert_int_equal(adapter_wait_ready(&started, deadline_after_ms(5000), &f), -EIO);
	assert_string_equal(f.text, "it said: ?[2Jno such disk");
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_none, make_root, remove_root),
		cmocka_unit_test_setup_teardown(test_load, make_root, remove_root),
		cmocka_unit_test_setup_teardown(test_vdpa, make_root, remove_root),
		cmocka_unit_test_setup_teardown(test_prometheus, make_root, remove_root),
		cmocka_unit_test_setup_teardown(test_queues_cut, make_root, remove_root),
		cmocka_unit_test_setup_teardown(test_nodes, make_root, remove_root),
		cmocka_unit_test_setup_teardown(test_wait, make_root, remove_root),
		cmocka_unit_test(test_ready),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

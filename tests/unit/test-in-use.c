// SPDX-License-Identifier: BSD-3-Clause
/* Whether a device is in use, by its nodes. */
#include <fcntl.h>
#include <linux/virtio_ids.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "cli/in-use.h"
#include "own-run.h"

#define NODE "/run/node"
#define SILENT "/run/silent"

static bool node_of_in_use(uint32_t device_id, const char *node)
{
	const struct loopback_device device = { .device_id = device_id };
	struct nodes nodes = { .count = 1 };
	char why[256];

	snprintf(nodes.name[0], sizeof(nodes.name[0]), "%s", node);
	return in_use(&device, &nodes, why, sizeof(why));
}

static bool node_in_use(void)
{
	return node_of_in_use(VIRTIO_ID_CONSOLE, NODE);
}

static void check_in_use(bool expected, const char *what)
{
	pid_t child = fork();
	int status;

	if (!child) {
		alarm(5);
		_exit(node_in_use() ? 42 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != (expected ? 42 : 0))
		fail_msg("%s: expected %s, saw wait status %#x", what,
			 expected ? "that it is in use" : "that it is not", (unsigned int)status);
}

/* Any process can have a file open on a file system that does not answer. */
static void test_in_use(void **state)
{
	int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC), node, silent;
	char options[96];

	(void)state;
	own_run_need();
	if (fuse < 0) {
		print_message("needs /dev/fuse\n");
		skip();
	}
	/* a number that no driver has */
	assert_int_equal(mknod(NODE, S_IFCHR | 0600, makedev(240, 77)), 0);
	snprintf(options, sizeof(options), "fd=%d,rootmode=100000,user_id=0,group_id=0", fuse);
	close(open(SILENT, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(mount("silent", SILENT, "fuse", 0, options), 0);
	silent = open(SILENT, O_PATH | O_CLOEXEC);
	assert_true(silent >= 0);
	check_in_use(false, "a file whose file system is silent");
	node = open(NODE, O_PATH | O_CLOEXEC);
	check_in_use(true, "the node, and such a file");
	close(node);
	close(fuse); /* this ends it */
	close(silent);
	assert_int_equal(umount2(SILENT, MNT_DETACH), 0);
	unlink(SILENT);
	unlink(NODE);
}

/* In the child. Return: 0 when it is in use by a node that is not the one of its name */
static int have_other_nodes(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/dev", "tmpfs", 0, NULL) < 0 ||
	    mount("none", "/sys/class", "tmpfs", 0, NULL) < 0)
		return 2;
	if (mkdir("/dev/dri", 0700) < 0 ||
	    mknod("/dev/i2c-7", S_IFCHR | 0600, makedev(240, 80)) < 0 ||
	    mknod("/dev/dri/card7", S_IFCHR | 0600, makedev(240, 78)) < 0 ||
	    mknod("/dev/dri/renderD77", S_IFCHR | 0600, makedev(240, 79)) < 0 ||
	    mkdir("/sys/class/drm", 0700) < 0 || mkdir("/sys/class/drm/card7", 0700) < 0 ||
	    mkdir("/sys/class/drm/card7/device", 0700) < 0 ||
	    mkdir("/sys/class/drm/card7/device/drm", 0700) < 0 ||
	    mkdir("/sys/class/drm/card7/device/drm/card7", 0700) < 0 ||
	    mkdir("/sys/class/drm/card7/device/drm/renderD77", 0700) < 0)
		return 2;
	if (node_of_in_use(VIRTIO_ID_GPU, "/dev/dri/card7") ||
	    node_of_in_use(VIRTIO_ID_I2C_ADAPTER, "i2c-7"))
		return 3;
	if (open("/dev/dri/renderD77", O_PATH | O_CLOEXEC) < 0 ||
	    open("/dev/i2c-7", O_PATH | O_CLOEXEC) < 0)
		return 2;
	return !node_of_in_use(VIRTIO_ID_GPU, "/dev/dri/card7") ||
	       !node_of_in_use(VIRTIO_ID_I2C_ADAPTER, "i2c-7");
}

/* A card has another node, that of what renders, and a bus is called by its number. */
static void test_other_nodes_in_use(void **state)
{
	pid_t child;
	int status;

	(void)state;
	own_run_need();
	child = fork();
	if (!child)
		_exit(have_other_nodes());
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status)
		fail_msg("expected that card and bus are in use, saw wait status %#x",
			 (unsigned int)status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_use),
		cmocka_unit_test(test_other_nodes_in_use),
	};

	return cmocka_run_group_tests(tests, own_run_make, NULL);
}

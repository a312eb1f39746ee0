// SPDX-License-Identifier: BSD-3-Clause
/* What one adapter leaves for the next: written and read again, and refused when it is not true. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "adapter/handover.h"
#include "adapter/snapshot.h"
#include "check.h"
#include "common/util.h"

static struct snapshot sample(void)
{
	struct snapshot s = {
		.type = 2,
		.queue_size = 256,
		.pool = 32 << 20,
		.reconnect_ms = UINT64_MAX,
		.timeout_ms = 5000,
		.heartbeat_ms = 5000,
		.mac = 0x020304050607,
		.sandbox = 1,
		.restart = 1,
		.pool_given = 1,
		.keep_ms = 60000,
		.name = "blk0",
		.exec = "sh -c 'a\\b\nc' ",
		.node = "/dev/virtio-loopback",
		.state_dir = "/run/virtio-loopback",
		.log = "/run/virtio-loopback/blk0.log",
		.reported = 1,
		.offered = 0x130006654,
		.accepted = 0x130000654,
		.features_ok = 1,
		.driver_ok = 1,
		.rings_fresh = 1,
		.status = 15,
		.total = 4,
		.served = 4,
		.counted = 4,
		.segments = 126,
		.segment = 131072,
		.ring_size = 256,
		.config_size = 4,
		.together = 0x11a2,
		.config = "00ffa50f",
		.started = "1101",
		.backend_features = UINT64_MAX,
		.protocol = 0x1209,
		.max_queues = 4,
		.inflight_size = 8192,
		.inflight_queues = 4,
		.inflight_queue_size = 256,
		.backend_pid = 77,
		.give_up = UINT64_MAX,
		.reconnects = 3,
	};

	return s;
}

static char text[SNAPSHOT_TEXT_MAX];
static struct snapshot seen;

static int parse(size_t length)
{
	struct failure f = { 0 };
	int ret = snapshot_parse(&seen, text, length, &f);

	/* an error is worded, and nothing else is */
	assert_int_equal(!ret, !f.text[0]);
	return ret;
}

static size_t write_sample(const struct snapshot *s)
{
	int length = snapshot_write(s, text, sizeof(text));

	assert_true(length > 0);
	return (size_t)length;
}

static void test_round_trip(void **state)
{
	struct snapshot s = sample();

	(void)state;
	assert_int_equal(parse(write_sample(&s)), 0);
	assert_memory_equal(&seen, &s, sizeof(s));
}

static void test_no_room(void **state)
{
	struct snapshot s = sample();
	size_t size, length = write_sample(&s);
	char *small;

	(void)state;
	for (size = 0; size < length; size += 7) {
		small = malloc(size + 1); /* for the sanitizer to watch its end */
		assert_int_equal(snapshot_write(&s, small, size), -ENOSPC);
		free(small);
	}
	assert_int_equal(snapshot_write(&s, text, length), (int)length);
}

/* Cut off anywhere it is refused: something is missing, or a line has no end. */
static void test_cut_off(void **state)
{
	struct snapshot s = sample();
	size_t i, length = write_sample(&s);

	(void)state;
	for (i = 0; i < length; i++)
		assert_int_not_equal(parse(i), 0);
}

static void replace_line(struct snapshot *s, const char *key, const char *line)
{
	size_t length = write_sample(s);
	char *at, *end;

	text[length] = '\0';
	at = strstr(text, key);
	assert_non_null(at);
	end = strchr(at + 1, '\n') + 1; /* a key may begin with the end of the line before */
	memmove(at + strlen(line), end, strlen(end) + 1);
	memcpy(at, line, strlen(line));
}

/* With one line replaced by another. */
static void check_line(const char *key, const char *line, int expected)
{
	struct snapshot s = sample();
	int ret;

	replace_line(&s, key, line);
	ret = parse(strlen(text));
	if (ret != expected)
		fail_msg("'%s' for '%s': expected %d, saw %d", line, key, expected, ret);
}

static void test_versions(void **state)
{
	(void)state;
	check_line("virtio-loopback-snapshot", "virtio-loopback-snapshot 2\n", -EPROTONOSUPPORT);
	check_line("virtio-loopback-snapshot", "virtio-loopback-snapshot 0\n", -EPROTONOSUPPORT);
	check_line("virtio-loopback-snapshot", "virtio-loopback-snapshot\n", -EINVAL);
	check_line("virtio-loopback-snapshot", "something else 1\n", -EINVAL);
	check_line("virtio-loopback-snapshot", "", -EINVAL);
	/* what a newer one adds without a new version is not looked at */
	check_line("total ", "total 4\nfresh 1\n", 0);
	check_line("total ", "total 4\nfresh\n\n", 0);
}

/* What an older one does not write yet is zero. */
static void test_older(void **state)
{
	(void)state;
	check_line("\npool_given ", "\n", 0);
	assert_int_equal(seen.pool_given, 0);
	check_line("\nkeep_ms ", "\n", 0);
	assert_int_equal(seen.keep_ms, 0);
	check_line("\ntogether ", "\n", 0);
	assert_int_equal(seen.together, 0);
}

/* A packed ring may have any size, a split one not. */
static void test_packed_sizes(void **state)
{
	struct snapshot s = sample();

	(void)state;
	s.packed = 1;
	s.queue_size = 100;
	s.ring_size = 100;
	assert_int_equal(parse(write_sample(&s)), 0);
	assert_memory_equal(&seen, &s, sizeof(s));
	s.ring_size = 0;
	assert_int_not_equal(parse(write_sample(&s)), 0);
	s.ring_size = 100;
	s.packed = 0;
	assert_int_not_equal(parse(write_sample(&s)), 0);
}

static void test_hostile_lines(void **state)
{
	static const struct {
		const char *key, *line;
	} lines[] = {
		{ "\ntotal ", "\n" }, /* missing */
		{ "\nname ", "\n" },
		{ "\ntotal ", "\ntotal 4\ntotal 4\n" }, /* twice */
		{ "\ntotal ", "\ntotal 257\n" }, /* too much */
		{ "\ntotal ", "\ntotal 0\n" },
		{ "\ntotal ", "\ntotal -1\n" },
		{ "\ntotal ", "\ntotal 4 \n" },
		{ "\ntotal ", "\ntotal 99999999999999999999999999\n" },
		{ "\nserved ", "\nserved 5\n" }, /* more than there are */
		{ "\nring_size ", "\nring_size 255\n" }, /* no power of two */
		{ "\nring_size ", "\nring_size 0\n" },
		{ "\nring_size ", "\nring_size 65536\n" },
		{ "\nqueue_size ", "\nqueue_size 3\n" },
		{ "\nstarted ", "\nstarted 110\n" },
		{ "\nstarted ", "\nstarted 11012\n" },
		{ "\nstarted ", "\nstarted 110x\n" },
		{ "\nconfig_size ", "\nconfig_size 257\n" },
		{ "\nconfig_size ", "\nconfig_size 5\n" },
		{ "\nconfig ", "\nconfig 00ffa50g\n" },
		{ "\nconfig ", "\nconfig 00ffa50\n" },
		{ "\naccepted ", "\naccepted 18446744073709551615\n" }, /* not offered */
		{ "\nfeatures_ok ", "\nfeatures_ok 0\n" }, /* and DRIVER_OK */
		{ "\nfeatures_ok ", "\nfeatures_ok 2\n" },
		{ "\nname ", "\nname ../../etc\n" },
		{ "\nname ", "\nname 0123456789012345678901234567890123456789\n" },
		{ "\nexec ", "\nexec \n" }, /* neither --exec nor --socket */
		{ "\nsocket ", "\nsocket /s\n" }, /* both */
		{ "\nexec ", "\nexec x\\\n" }, /* an escape of nothing */
		{ "\nnode ", "\nnode \n" },
		{ "\nstate_dir ", "\nstate_dir \n" },
		{ "\npool ", "\npool 1\n" },
		{ "\ntimeout_ms ", "\ntimeout_ms 0\n" },
		{ "\ntype ", "\ntype 0\n" },
		{ "\nmac ", "\nmac 281474976710656\n" },
		{ "\ninflight_queues ", "\ninflight_queues 5\n" },
		{ "\nnet_pairs ", "\nnet_pairs 3\n" }, /* of 4 virtqueues */
		{ "\nbackend_pid ", "\nbackend_pid 2147483648\n" },
		{ "\npool_given ", "\npool_given 2\n" },
		{ "\ntogether ", "\ntogether 65536\n" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		struct snapshot s = sample();

		replace_line(&s, lines[i].key, lines[i].line);
		if (!parse(strlen(text)))
			fail_msg("accepted: %s", lines[i].line + 1);
	}
}

static void test_nul(void **state)
{
	struct snapshot s = sample();
	size_t length = write_sample(&s);
	char *at;

	(void)state;
	text[length] = '\0';
	at = strstr(text, "blk0");
	at[2] = '\0';
	assert_int_equal(parse(length), -EINVAL);
}

/* Random damage: refused, or within all bounds. */
static void test_damage(void **state)
{
	struct snapshot s = sample();
	unsigned int seed = 1, round, i;
	size_t length;

	(void)state;
	for (round = 0; round < 20000; round++) {
		length = write_sample(&s);
		for (i = 0; i < 1 + round % 4; i++)
			text[(unsigned int)rand_r(&seed) % length] = (char)rand_r(&seed);
		if (parse(length))
			continue;
		assert_in_range(seen.total, 1, SNAPSHOT_QUEUES_MAX);
		assert_true(seen.served <= seen.total);
		assert_true(seen.net_pairs <= 1 || seen.net_pairs <= seen.served / 2);
		assert_int_equal(strlen(seen.started), seen.total);
		assert_int_equal(strlen(seen.config), 2 * seen.config_size);
		assert_true(strlen(seen.name) < sizeof(seen.name));
		assert_int_equal(seen.accepted & ~seen.offered, 0);
	}
}

/* ---- the memfd ---- */

/* As handover.c lays it out; a change there breaks takeovers between versions. */
struct page {
	char magic[8];
	uint32_t layout, active, busy, length[2];
	char text[2][SNAPSHOT_TEXT_MAX];
};

static int make_memfd(const struct page *page, size_t size, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(pwrite(fd, page, MIN(size, sizeof(*page)), 0),
			 (ssize_t)MIN(size, sizeof(*page)));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static int read_page(const struct page *page, size_t size, int seals, enum handover_busy *busy)
{
	int fd = make_memfd(page, size, seals);
	struct failure f = { 0 };
	int ret;

	ret = handover_read(fd, &seen, busy, &f);
	assert_int_equal(!ret, !f.text[0]);
	close(fd);
	return ret;
}

static void test_page(void **state)
{
	static struct page page = { .magic = "VLBHAND", .layout = 1, .active = 1, .busy = 1 };
	const int sealed = F_SEAL_SHRINK | F_SEAL_GROW;
	struct snapshot s = sample();
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), fds = open_fds();
	struct failure f = { 0 };
	enum handover_busy busy = HANDOVER_IDLE;

	(void)state;
	page.length[1] = (uint32_t)write_sample(&s);
	memcpy(page.text[1], text, sizeof(text));
	assert_int_equal(read_page(&page, sizeof(page), sealed, &busy), 0);
	assert_memory_equal(&seen, &s, sizeof(s));
	assert_int_equal(busy, HANDOVER_ASKING);
	page.busy = 99; /* whatever that is, it is not idle */
	assert_int_equal(read_page(&page, sizeof(page), sealed, &busy), 0);
	assert_int_equal(busy, HANDOVER_CHANGING);
	page.busy = 0;
	assert_int_equal(read_page(&page, sizeof(page), sealed, &busy), 0);
	assert_int_equal(busy, HANDOVER_IDLE);
	/* who could cut it off under the reader's mapping is not trusted */
	assert_int_equal(read_page(&page, sizeof(page), F_SEAL_GROW, &busy), -EINVAL);
	assert_int_equal(read_page(&page, sizeof(page) - 1, sealed, &busy), -EINVAL);
	assert_int_equal(read_page(&page, 0, sealed, &busy), -EINVAL);
	assert_int_equal(handover_read(null, &seen, &busy, &f), -EINVAL);
	page.length[1] = SNAPSHOT_TEXT_MAX + 1;
	assert_int_equal(read_page(&page, sizeof(page), sealed, &busy), -EINVAL);
	page.length[1] = UINT32_MAX;
	assert_int_equal(read_page(&page, sizeof(page), sealed, &busy), -EINVAL);
	page.active = 0; /* nothing there */
	assert_int_equal(read_page(&page, sizeof(page), sealed, &busy), -EINVAL);
	page.active = 7;
	assert_int_equal(read_page(&page, sizeof(page), sealed, &busy), -EINVAL);
	page.active = 1;
	page.length[1] = 100;
	page.layout = 2;
	assert_int_equal(read_page(&page, sizeof(page), sealed, &busy), -EINVAL);
	page.layout = 1;
	page.magic[0] = 'X';
	assert_int_equal(read_page(&page, sizeof(page), sealed, &busy), -EINVAL);
	assert_int_equal(open_fds(), fds);
	close(null);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_cut_off),	      cmocka_unit_test(test_versions),
		cmocka_unit_test(test_older),
		cmocka_unit_test(test_hostile_lines), cmocka_unit_test(test_nul),
		cmocka_unit_test(test_damage),	      cmocka_unit_test(test_page),
		cmocka_unit_test(test_packed_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

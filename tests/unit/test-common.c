// SPDX-License-Identifier: BSD-3-Clause
/* src/common: numbers, deadlines, sockets; and the token bucket of the entropy device. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "backends/common/iov.h"
#include "backends/rng/bucket.h"
#include "check.h"
#include "common/cleanup.h"
#include "common/deadline.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/parse.h"
#include "common/unix-socket.h"
#include "common/util.h"

static void test_numbers(void **state)
{
	uint64_t v = 99;
	unsigned int u = 99;

	(void)state;
	assert_int_equal(parse_u64("0", 0, 10, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(parse_u64("0x1F", 0, UINT64_MAX, &v), 0);
	assert_int_equal(v, 31);
	assert_int_equal(parse_u64("18446744073709551615", 0, UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	v = 99;
	assert_int_equal(parse_u64("18446744073709551616", 0, UINT64_MAX, &v), -ERANGE);
	assert_int_equal(parse_u64("", 0, 10, &v), -EINVAL);
	assert_int_equal(parse_u64("-1", 0, UINT64_MAX, &v), -EINVAL);
	assert_int_equal(parse_u64("+1", 0, 10, &v), -EINVAL);
	assert_int_equal(parse_u64(" 1", 0, 10, &v), -EINVAL);
	assert_int_equal(parse_u64("1 ", 0, 10, &v), -EINVAL);
	assert_int_equal(parse_u64("1x", 0, 10, &v), -EINVAL);
	assert_int_equal(parse_u64("a", 0, 10, &v), -EINVAL);
	assert_int_equal(parse_u64("0x", 0, 10, &v), -EINVAL);
	assert_int_equal(parse_u64("11", 0, 10, &v), -ERANGE);
	assert_int_equal(v, 99);
	assert_int_equal(parse_uint("7", 8, 10, &u), -ERANGE);
	assert_int_equal(parse_uint("8", 8, 10, &u), 0);
	assert_int_equal(u, 8);
}

static void test_sizes(void **state)
{
	uint64_t v = 99;

	(void)state;
	assert_int_equal(parse_size("512", &v), 0);
	assert_int_equal(v, 512);
	assert_int_equal(parse_size("4k", &v), 0);
	assert_int_equal(v, 4096);
	assert_int_equal(parse_size("3M", &v), 0);
	assert_int_equal(v, 3 << 20);
	assert_int_equal(parse_size("1T", &v), 0);
	assert_true(v == 1ULL << 40);
	v = 99;
	assert_int_equal(parse_size("8388608T", &v), -ERANGE);
	assert_int_equal(parse_size("1KB", &v), -EINVAL);
	assert_int_equal(parse_size("1P", &v), -EINVAL);
	assert_int_equal(parse_size("K", &v), -EINVAL);
	assert_int_equal(v, 99);
}

static void test_deadlines(void **state)
{
	uint64_t now = now_ns();
	deadline_t next = deadline_every_ms(500);

	(void)state;
	/* the same moment whoever asks */
	assert_int_equal(next % 500000000, 0);
	assert_true(next > now && next <= now_ns() + 500000000);
	assert_true(deadline_every_ms(UINT64_MAX) == DEADLINE_NEVER);
	assert_true(deadline_passed(DEADLINE_NOW));
	assert_false(deadline_passed(DEADLINE_NEVER));
	assert_int_equal(deadline_poll_ms(DEADLINE_NEVER), -1);
	assert_int_equal(deadline_poll_ms(DEADLINE_NOW), 0);
	assert_true(deadline_after_ms(UINT64_MAX) == DEADLINE_NEVER);
	assert_true(deadline_poll_ms(deadline_after_ms(1000)) > 900);
}

static void test_listen(void **state)
{
	const char *path = "test-common.sock";
	char long_path[200];
	int a, b, c;

	(void)state;
	unlink(path);
	assert_int_equal(unix_connect(path, deadline_after_ms(100)), -ENOENT);
	a = unix_listen(path);
	assert_true(a >= 0);
	assert_int_equal(unix_listen(path), -EADDRINUSE);
	assert_int_equal(unix_accept(a) >= 0, 1); /* the probe of the second */
	assert_int_equal(unix_accept(a), -EAGAIN);
	b = unix_connect(path, deadline_after_ms(100));
	assert_true(b >= 0);
	c = unix_accept(a);
	assert_true(c >= 0);
	close(a);
	close(b);
	close(c);
	/* nobody listens any more: refused, and replaced */
	assert_int_equal(unix_connect(path, deadline_after_ms(100)), -ECONNREFUSED);
	a = unix_listen(path);
	assert_true(a >= 0);
	close(a);
	unlink(path);
	/* what is no socket is left alone */
	a = open(path, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(unix_listen(path), -ENOTSOCK);
	assert_int_equal(access(path, F_OK), 0);
	close(a);
	unlink(path);
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(unix_listen(long_path), -ENAMETOOLONG);
	assert_int_equal(unix_connect(long_path, DEADLINE_NOW), -ENAMETOOLONG);
	assert_int_equal(unix_listen("no-such-folder/x"), -ENOENT);
}

/* A listener that takes nobody in: connecting ends at its deadline. */
static void test_full_listener(void **state)
{
	const char *path = "test-common-full.sock";
	uint64_t before = now_ns();
	int fds[64], listener, n = 0;

	(void)state;
	unlink(path);
	listener = unix_listen(path);
	do {
		fds[n] = unix_connect(path, deadline_after_ms(100));
	} while (fds[n] >= 0 && ++n < 63);
	assert_int_equal(fds[n], -ETIMEDOUT);
	assert_true(now_ns() - before >= 100000000);
	while (n--)
		close(fds[n]);
	close(listener);
	unlink(path);
}

static void test_notify(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "test-notify.sock" };
	char buf[32] = { 0 };
	int fd, fds;

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_send("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify_send("READY=1"), -EINVAL);
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	memcpy(addr.sun_path, "\0test-notify-abstract", 22);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 21)),
			 0);
	setenv("NOTIFY_SOCKET", "@test-notify-abstract", 1);
	assert_int_equal(notify_send("READY=1"), 1);
	assert_int_equal(recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT), 7);
	assert_string_equal(buf, "READY=1");

	/* kept from children, and used all the same */
	setenv("WATCHDOG_USEC", "30000000", 1);
	notify_take();
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_USEC"));
	assert_int_equal(notify_watchdog_ms(), 30000);
	assert_int_equal(notify_sendf("STATUS=%d", 7), 1);
	assert_int_equal(recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT), 8);
	assert_memory_equal(buf, "STATUS=7", 8);

	/* by a socket that is connected since then; and if nobody is there any more */
	fds = open_fds();
	assert_int_equal(notify_send("READY=1"), 1);
	assert_int_equal(open_fds(), fds);
	close(fd);
	assert_int_equal(notify_send("READY=1"), -ECONNREFUSED);
	notify_drop();
	assert_int_equal(open_fds(), fds - 2);
	assert_int_equal(notify_send("READY=1"), 0);
}

static void test_log_rate(void **state)
{
	struct log_rate rate = { 0 };
	unsigned int dropped, passed = 0, i;

	(void)state;
	for (i = 0; i < 100; i++)
		passed += log_rate_pass(&rate, 5, &dropped);
	/* the second can turn over once in the middle */
	assert_true(passed == 5 || passed == 10);
	rate.window--;
	assert_true(log_rate_pass(&rate, 5, &dropped));
	assert_true(dropped >= 90);
}

static void test_iov(void **state)
{
	char a[4] = "abc", b[6] = "defgh", out[16] = { 0 };
	struct iovec iov[] = { { a, 3 }, { b, 5 } }, *p = iov;
	unsigned int n = 2;

	(void)state;
	assert_int_equal(iov_to_buf(iov, 2, 2, out, 16), 6);
	assert_memory_equal(out, "cdefgh", 6);
	assert_int_equal(iov_to_buf(iov, 2, 8, out, 16), 0);
	assert_int_equal(iov_from_buf(iov, 2, 1, "XYZ", 3), 3);
	assert_memory_equal(a, "aXY", 3);
	assert_memory_equal(b, "Zefgh", 5);
	assert_int_equal(iov_zero(iov, 2, 7, 5), 1);
	assert_memory_equal(b, "Zefg\0", 5);
	assert_int_equal(iov_drop_back(iov, &n, 1), 1);
	assert_int_equal(iov[1].iov_len, 4);
	assert_int_equal(iov_drop_front(&p, &n, 3), 3);
	assert_int_equal(n, 1);
	assert_ptr_equal(p, &iov[1]);
	assert_int_equal(iov_drop_front(&p, &n, 1), 1);
	assert_memory_equal(p->iov_base, "efg", 3);
	assert_int_equal(iov_drop_back(p, &n, 99), 3);
	assert_int_equal(n, 0);
	assert_int_equal(iov_drop_front(&p, &n, 1), 0);
}

/* Over ten seconds of asking at odd times no more than the rate and one burst, and hardly less. */
static void check_rate(uint64_t rate, uint64_t burst)
{
	uint64_t now = 12345, end = now + 10000000000ULL, total = 0, wait = 0;
	struct bucket bucket;

	bucket_init(&bucket, rate, burst, now);
	while (now < end) {
		size_t got = bucket_take(&bucket, now, 1 << 20, &wait);

		total += got;
		if (!got)
			assert_true(wait > 0 && wait <= 1000000001 + 20000000);
		now += got ? 777777 : wait;
	}
	if (total > 10 * rate + bucket.burst || total < 10 * rate * 9 / 10)
		fail_msg("rate %lu: %lu bytes in 10 s", (unsigned long)rate, (unsigned long)total);
}

static void test_bucket(void **state)
{
	struct bucket bucket;
	uint64_t wait;

	(void)state;
	check_rate(1, 4096);
	check_rate(10, 4096);
	check_rate(1000, 4096);
	check_rate(1000000, 4096);
	bucket_init(&bucket, 0, 4096, 0);
	assert_int_equal(bucket_take(&bucket, 0, 1 << 20, &wait), 1 << 20);
	bucket_init(&bucket, 100, 4096, 0);
	assert_int_equal(bucket_take(&bucket, 0, 4096, &wait), 100);
	bucket_return(&bucket, 30);
	assert_int_equal(bucket_take(&bucket, 0, 4096, &wait), 30);
	/* time that goes backwards gives nothing */
	assert_int_equal(bucket_take(&bucket, 0, 4096, &wait), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),	      cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_deadlines),     cmocka_unit_test(test_listen),
		cmocka_unit_test(test_full_listener), cmocka_unit_test(test_notify),
		cmocka_unit_test(test_log_rate),      cmocka_unit_test(test_iov),
		cmocka_unit_test(test_bucket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

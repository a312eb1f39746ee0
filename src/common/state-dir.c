// SPDX-License-Identifier: BSD-3-Clause
#include "common/state-dir.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/deadline.h"
#include "common/log.h"
#include "common/parse.h"
#include "common/util.h"

/* Of a state file: a value may be twice as long in it as PATH_MAX, and the others are short. */
#define TEXT_MAX (4 * PATH_MAX)
#define LOOK_MS 100
#define LOOK_POLL_MS 5

int state_path(char *path, size_t size, const char *dir, const char *name, const char *suffix)
{
	int n = snprintf(path, size, "%s/%s.%s", dir, name, suffix);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/*
 * The members of the group, if there is one, see the state of all devices, and keep that of their
 * own; the sticky bit leaves each their own files. Best effort: it is root's alone otherwise.
 */
static void share(void)
{
	struct group *group = getgrnam(SERVICE_GROUP);
	_cleanup_close_ int fd = -1;

	if (!group)
		return;
	fd = open(STATE_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchown(fd, 0, group->gr_gid) < 0 || fchmod(fd, STATE_DIR_MODE) < 0)
		log_info(STATE_DIR " stays root's: %s", strerror(errno));
}

int state_dir_make(const char *dir, struct failure *failure)
{
	struct stat st;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return failure_set(failure, -errno, "%s: cannot make the state directory: %s", dir,
				   strerror(errno));
	if (!strcmp(dir, STATE_DIR) && geteuid() == 0)
		share(); /* one from before there was the group, too */
	if (stat(dir, &st) < 0)
		return failure_set(failure, -errno, "%s: %s", dir, strerror(errno));
	/*
	 * In a directory that others write to, names could be changed under us. A group may, where
	 * the sticky bit leaves each its own names.
	 */
	if (!S_ISDIR(st.st_mode) || (st.st_mode & 0002) ||
	    ((st.st_mode & 0020) && !(st.st_mode & S_ISVTX)) ||
	    (st.st_uid != geteuid() && st.st_uid != 0))
		return failure_set(failure, -EPERM,
				   "%s: not a directory that only its owner can write to", dir);
	if (access(dir, W_OK | X_OK) < 0)
		return failure_set(failure, -errno,
				   "%s: %s: run as root, or join the group that it belongs to", dir,
				   strerror(errno));
	return 0;
}

/*
 * Others may write to the directory. What stands there under our names is opened without waiting
 * for anybody (a pipe's other end, the holder of a lease), and it is a file or it is refused.
 */
static int open_regular(const char *path, int flags)
{
	_cleanup_close_ int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? fd_steal(&fd) : -EINVAL;
}

/* Whoever only looks at the lock has it for a moment, too: that is no device. */
static int take_lock(int fd, deadline_t deadline)
{
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return -errno;
		if (deadline_passed(deadline))
			return -EEXIST;
		poll(NULL, 0, LOOK_POLL_MS);
	}
	return 0;
}

static int lock_until(const char *dir, const char *name, deadline_t deadline)
{
	char path[PATH_MAX];
	int ret;

	ret = state_path(path, sizeof(path), dir, name, "lock");
	if (ret)
		return ret;
	for (;;) {
		_cleanup_close_ int fd = -1;
		struct stat mine, there;

		/*
		 * With O_CREAT not even root may open another one's file in a directory that a
		 * group writes to (fs.protected_regular).
		 */
		fd = open_regular(path, O_RDWR);
		if (fd == -ENOENT) {
			fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
			if (fd < 0)
				fd = -errno;
		}
		if (fd == -EEXIST)
			continue;
		if (fd < 0)
			return fd;
		ret = take_lock(fd, deadline);
		if (ret)
			return ret;
		/*
		 * The one before us removes the file last: then this is no longer the file of that
		 * name.
		 */
		if (fstat(fd, &mine) < 0)
			return -errno;
		if (stat(path, &there) == 0 && mine.st_ino == there.st_ino &&
		    mine.st_dev == there.st_dev)
			return fd_steal(&fd);
	}
}

int state_lock(const char *dir, const char *name)
{
	return lock_until(dir, name, deadline_after_ms(LOOK_MS));
}

bool state_alive(const char *dir, const char *name)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];

	if (state_path(path, sizeof(path), dir, name, "lock"))
		return false;
	fd = open_regular(path, O_RDONLY);
	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* ---- the state file ---- */

/* A value is one line: a newline or a backslash in it is written as \n or \\. */
static void put_text(FILE *f, const char *key, const char *value)
{
	fprintf(f, "%s=", key);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", f);
		else if (*value == '\\')
			fputs("\\\\", f);
		else
			fputc(*value, f);
	}
	fputc('\n', f);
}

static void get_text(char *out, size_t size, const char *value)
{
	size_t n = 0;

	for (; *value && n + 1 < size; value++) {
		if (*value == '\\' && value[1])
			out[n++] = *++value == 'n' ? '\n' : *value;
		else
			out[n++] = *value;
	}
	out[n] = '\0';
}

int state_write(const char *dir, const char *name, const struct state_record *record)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	FILE *f;
	int fd, ret;

	ret = state_path(path, sizeof(path), dir, name, "state");
	if (!ret)
		ret = state_path(fresh, sizeof(fresh), dir, name, "state.new");
	if (ret)
		return ret;
	unlink(fresh); /* of one that was killed while it wrote */
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return -errno;
	f = fdopen(fd, "w");
	if (!f) {
		ret = -errno;
		close(fd);
		return ret;
	}
	fprintf(f, "adapter_pid=%d\ndevice_id=%" PRIu32 "\nparent=%d\n", (int)record->adapter_pid,
		record->device_id, record->parent);
	fprintf(f, "keeper_pid=%d\n", (int)record->keeper_pid);
	fprintf(f, "queues=%u\nqueue_size=%u\npool=%" PRIu64 "\n", record->queues,
		record->queue_size, record->pool);
	fprintf(f, "waiting=%d\n", record->waiting);
	put_text(f, "transport", record->transport);
	put_text(f, "reconnect", record->reconnect);
	put_text(f, "backend", record->backend);
	ret = ferror(f) ? -EIO : 0;
	if (fclose(f) != 0 && !ret)
		ret = -errno;
	if (!ret && rename(fresh, path) < 0)
		ret = -errno;
	if (ret)
		unlink(fresh);
	return ret;
}

static void read_line(struct state_record *record, const char *key, const char *value)
{
	unsigned int n;

	if (!strcmp(key, "reconnect"))
		get_text(record->reconnect, sizeof(record->reconnect), value);
	else if (!strcmp(key, "transport"))
		get_text(record->transport, sizeof(record->transport), value);
	else if (!strcmp(key, "backend"))
		get_text(record->backend, sizeof(record->backend), value);
	else if (!strcmp(key, "pool"))
		parse_u64(value, 0, UINT64_MAX, &record->pool);
	else if (parse_uint(value, 0, INT_MAX, &n))
		return; /* from a newer version, or not there yet */
	else if (!strcmp(key, "adapter_pid"))
		record->adapter_pid = (pid_t)n;
	else if (!strcmp(key, "keeper_pid"))
		record->keeper_pid = (pid_t)n;
	else if (!strcmp(key, "device_id"))
		record->device_id = n;
	else if (!strcmp(key, "parent"))
		record->parent = (int)n;
	else if (!strcmp(key, "queues"))
		record->queues = n;
	else if (!strcmp(key, "queue_size"))
		record->queue_size = n;
	else if (!strcmp(key, "waiting"))
		record->waiting = n;
}

/* What is in the file, NUL-terminated; -EFBIG: no adapter writes so much. */
static int read_text(int fd, char **text)
{
	_cleanup_free_ char *buf = malloc(TEXT_MAX + 1);
	size_t size = 0;
	ssize_t n;

	if (!buf)
		return -ENOMEM;
	do {
		n = read(fd, buf + size, TEXT_MAX + 1 - size);
		if (n < 0)
			return -errno;
		size += (size_t)n;
	} while (n > 0 && size <= TEXT_MAX);
	if (size > TEXT_MAX)
		return -EFBIG;
	buf[size] = '\0';
	*text = ptr_steal(buf);
	return 0;
}

int state_read(const char *dir, const char *name, struct state_record *record)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX], *line, *rest = NULL;
	struct stat st;
	int ret;

	*record = (struct state_record){ .parent = -1 };
	ret = state_path(path, sizeof(path), dir, name, "state");
	if (ret)
		return ret;
	fd = open_regular(path, O_RDONLY);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	ret = read_text(fd, &text);
	if (ret)
		return ret;
	record->owner = st.st_uid;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *value = strchr(line, '=');

		if (!value)
			continue;
		*value++ = '\0';
		read_line(record, line, value);
	}
	return 0;
}

/* ---- all of one name ---- */

/* no NAME.sock.lock: it is the lock of a device that is called NAME.sock */
static const char *const suffixes[] = { "state", "state.new", "ctl", "sock", "log", "lock" };

/*
 * Others may have left something there, which stays in the way of whoever is not root. A link is
 * not followed, and a file with other names may be anybody's by those: of these the name goes.
 */
static int give(const char *path, uid_t uid)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return rmdir(path) < 0 ? -errno : 0;
	if (st.st_nlink != 1 || (!S_ISREG(st.st_mode) && !S_ISSOCK(st.st_mode)))
		return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
	return fchownat(fd, "", uid, (gid_t)-1, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

int state_give(const char *dir, const char *name, uid_t uid)
{
	char path[PATH_MAX];
	int ret = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(suffixes) && !ret; i++) {
		if (!strcmp(suffixes[i], "sock"))
			continue; /* the back-end's */
		ret = state_path(path, sizeof(path), dir, name, suffixes[i]);
		if (!ret)
			ret = give(path, uid);
	}
	return ret;
}

void state_clean(const char *dir, const char *name, bool keep_log)
{
	char path[PATH_MAX];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(suffixes); i++) {
		if (keep_log && !strcmp(suffixes[i], "log"))
			continue;
		if (!state_path(path, sizeof(path), dir, name, suffixes[i]))
			unlink(path);
	}
}

void state_clean_dead(const char *dir, const char *name, bool keep_log, deadline_t deadline)
{
	_cleanup_close_ int lock = lock_until(dir, name, deadline);

	if (lock >= 0)
		state_clean(dir, name, keep_log);
}

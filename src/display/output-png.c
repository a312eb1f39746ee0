// SPDX-License-Identifier: BSD-3-Clause
/*
 * Pictures as files: DIR/head0-000001.png and so on, and DIR/head0.png is the newest. Each is
 * renamed into place, so whoever reads one reads a whole one.
 *
 * A frame is written when updates pause, and five times a second at most: sizes that change faster
 * lose some. One that is the same as the last is not written again.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/deadline.h"
#include "common/log.h"
#include "common/util.h"
#include "display/display.h"

/* How long no update must come, and how long a frame waits for that */
#define QUIET_NS 50000000ULL
#define LONGEST_NS 200000000ULL
/* So many files in PERIOD_NS, whatever the back-end does */
#define MOST_FILES 5
#define PERIOD_NS 1000000000ULL
#define TEMPORARY ".virtio-loopback-display.tmp"

struct png_head {
	bool dirty;
	deadline_t quiet; /* when updates have paused for long enough */
	deadline_t longest;
	unsigned int count; /* files written */
	deadline_t free_at[MOST_FILES]; /* when the last ones do not count any more */
	unsigned int oldest; /* of them */
	uint8_t *last; /* the pixels of the last one, 8-bit RGB; NULL: none of this size */
};

struct png_output {
	int dir;
	bool made; /* here */
	int timer_fd;
	struct loop_source *timer;
	struct png_head heads[VGPU_MAX_SCANOUTS];
};

/* ---- one file ---- */

static uint8_t *to_rgb(const struct head *head)
{
	size_t n = (size_t)head->width * head->height, i;
	const struct rect all = head_rect(head);
	uint32_t *pixels = malloc(n * sizeof(*pixels));
	uint8_t *rgb = malloc(n * 3);

	if (!pixels || !rgb) {
		free(pixels);
		free(rgb);
		return NULL;
	}
	head_compose(head, &all, pixels, head->width);
	for (i = 0; i < n; i++) {
		rgb[3 * i] = (uint8_t)(pixels[i] >> 16);
		rgb[3 * i + 1] = (uint8_t)(pixels[i] >> 8);
		rgb[3 * i + 2] = (uint8_t)pixels[i];
	}
	free(pixels);
	return rgb;
}

static int write_image(int fd, const struct head *head, const uint8_t *rgb)
{
	png_image image = {
		.version = PNG_IMAGE_VERSION,
		.width = head->width,
		.height = head->height,
		.format = PNG_FORMAT_RGB,
		.flags = PNG_IMAGE_FLAG_FAST,
	};
	FILE *file = fdopen(fd, "w");
	int ret = 0;

	if (!file) {
		ret = -errno;
		fd_close(&fd);
		return ret;
	}
	errno = 0;
	if (!png_image_write_to_stdio(&image, file, 0, rgb, 0, NULL))
		ret = errno ? -errno : -EIO;
	png_image_free(&image);
	if (fclose(file) && !ret)
		ret = -errno;
	return ret;
}

/* Under both names; where the file system has no hard links the newest is written by itself. */
static int put_file(const struct png_output *png, const struct head *head, const uint8_t *rgb,
		    const char *name)
{
	int fd, ret;

	unlinkat(png->dir, TEMPORARY, 0);
	fd = openat(png->dir, TEMPORARY, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	ret = write_image(fd, head, rgb);
	if (!ret && renameat(png->dir, TEMPORARY, png->dir, name) < 0)
		ret = -errno;
	if (ret)
		unlinkat(png->dir, TEMPORARY, 0);
	return ret;
}

static int put_newest(const struct png_output *png, const struct head *head, const uint8_t *rgb,
		      const char *numbered)
{
	char name[32];

	snprintf(name, sizeof(name), "head%u.png", head->index);
	unlinkat(png->dir, TEMPORARY, 0);
	if (linkat(png->dir, numbered, png->dir, TEMPORARY, 0) < 0)
		return put_file(png, head, rgb, name);
	return renameat(png->dir, TEMPORARY, png->dir, name) < 0 ? -errno : 0;
}

static deadline_t next_file(const struct png_head *own)
{
	return own->free_at[own->oldest];
}

static void count_file(struct png_head *own)
{
	own->free_at[own->oldest] = now_ns() + PERIOD_NS;
	own->oldest = (own->oldest + 1) % MOST_FILES;
}

static void write_frame(struct png_output *png, const struct head *head)
{
	struct png_head *own = &png->heads[head->index];
	size_t bytes = (size_t)head->width * head->height * 3;
	uint8_t *rgb;
	char name[40];
	int ret;

	own->dirty = false;
	rgb = to_rgb(head);
	if (!rgb) {
		log_ratelimited(LOG_LEVEL_WARNING, "head %u: no memory for a picture", head->index);
		return;
	}
	if (own->last && !memcmp(own->last, rgb, bytes)) {
		free(rgb);
		return;
	}
	count_file(own);
	snprintf(name, sizeof(name), "head%u-%06u.png", head->index, own->count + 1);
	ret = put_file(png, head, rgb, name);
	if (!ret)
		ret = put_newest(png, head, rgb, name);
	if (ret)
		log_ratelimited(LOG_LEVEL_WARNING, "%s cannot be written: %s", name,
				strerror(-ret));
	else
		own->count++;
	free(own->last);
	own->last = rgb;
}

/* ---- when ---- */

static deadline_t due(const struct png_head *own)
{
	return MAX(MIN(own->quiet, own->longest), next_file(own));
}

static void set_timer(struct png_output *png)
{
	struct itimerspec when = { 0 };
	deadline_t next = DEADLINE_NEVER;
	unsigned int i;

	for (i = 0; i < VGPU_MAX_SCANOUTS; i++) {
		if (png->heads[i].dirty)
			next = MIN(next, due(&png->heads[i]));
	}
	if (next != DEADLINE_NEVER) {
		when.it_value.tv_sec = (time_t)(next / 1000000000U);
		when.it_value.tv_nsec = (long)(next % 1000000000U);
	}
	if (timerfd_settime(png->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
		log_error("the timer cannot be set: %m");
}

static void timer_ready(void *data, uint32_t events)
{
	struct output *output = data;
	struct png_output *png = output->priv;
	struct display *display = output->display;
	uint64_t count;
	unsigned int i;

	(void)events;
	if (read(png->timer_fd, &count, sizeof(count)) < 0)
		return;
	for (i = 0; i < display->nheads; i++) {
		if (png->heads[i].dirty && deadline_passed(due(&png->heads[i])))
			write_frame(png, &display->heads[i]);
	}
	set_timer(png);
}

static void png_damage(struct output *output, struct head *head, const struct rect *rect)
{
	struct png_output *png = output->priv;
	struct png_head *own = &png->heads[head->index];
	uint64_t now = now_ns();

	(void)rect;
	if (!own->dirty)
		own->longest = now + LONGEST_NS;
	own->dirty = true;
	own->quiet = now + QUIET_NS;
	set_timer(png);
}

/* In a burst of sizes the last picture stays, which is written in its turn. */
static void png_settle(struct output *output, struct head *head)
{
	struct png_output *png = output->priv;
	const struct png_head *own = &png->heads[head->index];

	if (own->dirty && deadline_passed(next_file(own)))
		write_frame(png, head);
}

/* What was written before has another size. */
static void png_mode(struct output *output, struct head *head)
{
	struct png_output *png = output->priv;
	struct png_head *own = &png->heads[head->index];

	free(own->last);
	own->last = NULL;
	own->dirty = false;
	set_timer(png);
}

/* ---- opening ---- */

/* Where root writes, a link of somebody else's is not to say. */
static bool is_own_link(int parent, const char *name)
{
	struct stat st;

	return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode) &&
	       (st.st_uid == 0 || st.st_uid == geteuid());
}

/*
 * What was made here becomes another user's: so it is that folder that is opened, and not what
 * somebody else has put into its place, or into that of a folder above, since.
 */
static int make_folder(const char *path, bool *made)
{
	char above[PATH_MAX], name[PATH_MAX];
	_cleanup_close_ int parent = -1;
	const char *last;
	int fd;

	if (snprintf(above, sizeof(above), "%s", path) >= (int)sizeof(above))
		return -ENAMETOOLONG;
	strcpy(name, above);
	last = basename(name);
	parent = open(dirname(above), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return -errno;
	*made = mkdirat(parent, last, 0755) == 0;
	if (!*made && errno != EEXIST)
		return -errno;
	fd = openat(parent, last, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && !*made && is_own_link(parent, last))
		fd = openat(parent, last, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int open_folder(const char *path, bool *made, struct failure *failure)
{
	int fd = make_folder(path, made);

	if (fd < 0)
		return failure_set(failure, fd, "%s: cannot be made, or opened: %s", path,
				   strerror(-fd));
	if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0) {
		int ret = failure_set(failure, -errno, "%s: cannot be written to: %s", path,
				      strerror(errno));

		fd_close(&fd);
		return ret;
	}
	return fd;
}

static void png_close(struct output *output)
{
	struct png_output *png = output->priv;
	struct display *display = output->display;
	unsigned int i;

	for (i = 0; i < VGPU_MAX_SCANOUTS; i++) {
		if (png->heads[i].dirty && display->heads[i].width)
			write_frame(png, &display->heads[i]);
		free(png->heads[i].last);
	}
	loop_remove(display->loop, png->timer);
	fd_close(&png->timer_fd);
	fd_close(&png->dir);
	free(png);
}

static int png_open(struct output *output, const char *arg, struct failure *failure)
{
	struct png_output *png = calloc(1, sizeof(*png));
	int ret;

	if (!png)
		return -ENOMEM;
	png->timer_fd = -1;
	png->dir = open_folder(arg, &png->made, failure);
	if (png->dir < 0) {
		ret = png->dir;
		goto err;
	}
	png->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (png->timer_fd >= 0)
		png->timer = loop_add(output->display->loop, png->timer_fd, EPOLLIN, timer_ready,
				      output);
	if (!png->timer) {
		ret = failure_set(failure, -errno, "no timer: %s", strerror(errno));
		goto err_files;
	}
	output->priv = png;
	return 0;

err_files:
	fd_close(&png->timer_fd);
	fd_close(&png->dir);
err:
	free(png);
	return ret;
}

static int png_folder(const struct output *output)
{
	const struct png_output *png = output->priv;

	return png->dir;
}

/* Root writes into a user's folder by CAP_DAC_OVERRIDE only. */
static bool png_needs_override(struct output *output)
{
	const struct png_output *png = output->priv;
	struct stat st;

	if (fstat(png->dir, &st) < 0)
		return false;
	if (st.st_uid == geteuid())
		return !(st.st_mode & S_IWUSR);
	return !(st.st_mode & S_IWOTH);
}

/* Into a folder of somebody else's than root whoever it is writes by CAP_DAC_OVERRIDE. */
static bool png_give(struct output *output, uid_t uid)
{
	const struct png_output *png = output->priv;
	struct stat st;

	if (png->made)
		return fchown(png->dir, uid, (gid_t)-1) == 0;
	return fstat(png->dir, &st) == 0 && (st.st_uid != geteuid() || (st.st_mode & S_IWOTH));
}

const struct output_ops output_png = {
	.name = "png",
	.arg = "DIR",
	.arg_needed = true,
	.folder = png_folder,
	.open = png_open,
	.mode = png_mode,
	.damage = png_damage,
	.settle = png_settle,
	.close = png_close,
	.give = png_give,
	.needs_override = png_needs_override,
};

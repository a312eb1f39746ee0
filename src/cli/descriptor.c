// SPDX-License-Identifier: BSD-3-Clause
#include "cli/descriptor.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/virtio_ids.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cli/json-text.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "common/word-split.h"

#define BELOW "/qemu/vhost-user"
#define SUFFIX ".json"
#define NULL_DEVICE makedev(1, 3)

/* VHostUserBackendType */
static const struct {
	const char *name;
	uint32_t virtio_id;
} types[] = {
	{ "9p", VIRTIO_ID_9P },
	{ "balloon", VIRTIO_ID_BALLOON },
	{ "block", VIRTIO_ID_BLOCK },
	{ "caif", VIRTIO_ID_CAIF },
	{ "console", VIRTIO_ID_CONSOLE },
	{ "crypto", VIRTIO_ID_CRYPTO },
	{ "gpu", VIRTIO_ID_GPU },
	{ "input", VIRTIO_ID_INPUT },
	{ "net", VIRTIO_ID_NET },
	{ "rng", VIRTIO_ID_RNG },
	{ "rpmsg", VIRTIO_ID_RPMSG },
	{ "rproc-serial", VIRTIO_ID_RPROC_SERIAL },
	{ "scsi", VIRTIO_ID_SCSI },
	{ "vsock", VIRTIO_ID_VSOCK },
	{ "fs", VIRTIO_ID_FS },
};

const char *descriptor_type_name(uint32_t virtio_id)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		if (types[i].virtio_id == virtio_id)
			return types[i].name;
	}
	return NULL;
}

static uint32_t type_id(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		if (!strcmp(types[i].name, name))
			return types[i].virtio_id;
	}
	return 0;
}

/* ---- where they are ---- */

static int add_folder(char ***folders, const char *base, const char *middle)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%s%s" BELOW, base, middle) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return word_list_append(folders, path);
}

/* XDG's rule: what is no absolute path counts as not set. */
static int add_users_folder(char ***folders)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	if (config && config[0] == '/')
		return add_folder(folders, config, "");
	return home && home[0] == '/' ? add_folder(folders, home, "/.config") : 0;
}

int descriptor_folders(char ***folders)
{
	_cleanup_(word_list_cleanup) char **list = calloc(1, sizeof(*list));
	int ret;

	if (!list)
		return -ENOMEM;
	ret = add_folder(&list, "/usr/share", "");
	/* where a build for another place has put its own */
	if (!ret && strcmp(PREFIX_DATADIR, "/usr/share") != 0)
		ret = add_folder(&list, PREFIX_DATADIR, "");
	if (!ret)
		ret = add_folder(&list, "/etc", "");
	if (!ret)
		ret = add_users_folder(&list);
	if (!ret)
		*folders = ptr_steal(list);
	return ret; /* NOLINT(clang-analyzer-unix.Malloc) */
}

/* ---- one of them ---- */

static void descriptor_finish(struct descriptor *d)
{
	free(d->path);
	free(d->type);
	free(d->binary);
	free(d->description);
}

static bool has_control_character(const char *text)
{
	for (; *text; text++) {
		if (iscntrl((unsigned char)*text))
			return true;
	}
	return false;
}

/* A member that is shown and used: *@copy stays NULL when it is not there. */
static int take_string(struct json_object *object, const char *key, char **copy,
		       struct failure *failure)
{
	const char *value;
	int ret = json_text_string(object, key, &value, failure);

	if (ret || !value)
		return ret;
	if (has_control_character(value))
		return failure_set(failure, -EINVAL, "\"%s\": a control character in it", key);
	*copy = strdup(value);
	return *copy ? 0 : -ENOMEM;
}

static int check_binary(struct descriptor *d)
{
	struct stat st;
	int ret = 0;

	if (!d->binary)
		return failure_set(&d->problem, -EINVAL, "\"binary\" is missing");
	if (d->binary[0] != '/')
		return failure_set(&d->problem, -EINVAL, "\"binary\": %.200s is no absolute path",
				   d->binary);
	if (stat(d->binary, &st) < 0)
		ret = -errno;
	else if (!S_ISREG(st.st_mode) || access(d->binary, X_OK) < 0)
		ret = -EACCES;
	if (ret)
		failure_set(&d->problem, ret, "its program %.200s %s: install it, or remove this file",
			    d->binary, ret == -EACCES ? "cannot be executed" : "is not there");
	return ret;
}

/* Of a type that is not asked for nothing more matters: its type comes first. */
static int understand(struct descriptor *d, struct json_object *object)
{
	int ret = take_string(object, "type", &d->type, &d->problem);

	if (ret)
		return ret;
	if (!d->type)
		return failure_set(&d->problem, -EINVAL, "\"type\" is missing");
	d->virtio_id = type_id(d->type);
	ret = take_string(object, "binary", &d->binary, &d->problem);
	if (!ret)
		ret = take_string(object, "description", &d->description, &d->problem);
	if (ret)
		return ret;
	if (!d->virtio_id)
		return failure_set(&d->problem, -EINVAL,
				   "vhost-user.json has no type \"%.64s\": its program is for --exec",
				   d->type);
	return check_binary(d);
}

/* Opens nothing that could make it wait. -ENOENT: it is there to hide others. */
static int read_text(const char *path, char **text, size_t *size, struct failure *failure)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *room = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return failure_set(failure, -EIO, "%s", strerror(errno));
	if (S_ISCHR(st.st_mode) && st.st_rdev == NULL_DEVICE)
		return -ENOENT;
	if (!S_ISREG(st.st_mode))
		return failure_set(failure, -EINVAL, "no regular file");
	if (st.st_size == 0)
		return -ENOENT;
	room = malloc(JSON_TEXT_MAX + 1);
	if (!room)
		return -ENOMEM;
	n = read(fd, room, JSON_TEXT_MAX + 1); /* of a file: all that is there */
	if (n < 0)
		return failure_set(failure, -EIO, "%s", strerror(errno));
	*size = (size_t)n;
	*text = ptr_steal(room);
	return 0;
}

/* Return: 0, also when it is of no use; -ENOENT: it hides others; -ENOMEM. */
static int load(struct descriptor *d)
{
	_cleanup_(json_text_cleanup) struct json_object *object = NULL;
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	int ret;

	if (d->problem.text[0]) /* a folder */
		return 0;
	ret = read_text(d->path, &text, &size, &d->problem);
	if (ret == -ENOENT || ret == -ENOMEM)
		return ret;
	if (!ret)
		ret = json_text_parse(text, size, &object, &d->problem);
	if (!ret)
		ret = understand(d, object);
	return ret == -ENOMEM ? ret : 0;
}

/* ---- all of them ---- */

static const char *file_name(const struct descriptor *d)
{
	return strrchr(d->path, '/') + 1;
}

static struct descriptor *add_entry(struct descriptor_list *list, char *path)
{
	struct descriptor *more;

	more = reallocarray(list->entries, list->count + 1, sizeof(*more));
	if (!more)
		return NULL;
	list->entries = more;
	more += list->count++;
	*more = (struct descriptor){ .path = path };
	return more;
}

/* A file: for one of its name that was found before, or one more. */
static int note_file(struct descriptor_list *list, const char *folder, const char *name)
{
	char *path;
	size_t i;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		return -ENOMEM;
	for (i = 0; i < list->count; i++) {
		struct descriptor *d = &list->entries[i];

		if (!d->problem.text[0] && !strcmp(file_name(d), name)) {
			free(d->path);
			d->path = path;
			return 0;
		}
	}
	if (add_entry(list, path))
		return 0;
	free(path);
	return -ENOMEM;
}

/* What is hidden, or has another ending, is an editor's or a package manager's. */
static bool is_descriptor(const char *name)
{
	size_t length = strlen(name), suffix = strlen(SUFFIX);

	return name[0] != '.' && length > suffix && !strcmp(name + length - suffix, SUFFIX);
}

static int note_folder_problem(struct descriptor_list *list, const char *folder, int error)
{
	char *path = strdup(folder);
	struct descriptor *d = path ? add_entry(list, path) : NULL;

	if (!d) {
		free(path);
		return -ENOMEM;
	}
	failure_set(&d->problem, -error, "the folder cannot be read: %s", strerror(error));
	return 0;
}

static int note_folder(struct descriptor_list *list, const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int ret = 0;

	if (!dir)
		return errno == ENOENT ? 0 : note_folder_problem(list, folder, errno);
	for (;;) {
		errno = 0;
		entry = readdir(dir);
		if (!entry)
			break;
		if (is_descriptor(entry->d_name))
			ret = note_file(list, folder, entry->d_name);
		if (ret)
			break;
	}
	if (!entry && errno)
		ret = note_folder_problem(list, folder, errno);
	closedir(dir);
	return ret;
}

/* Folders that cannot be read come first: what they have might have been taken. */
static int compare(const void *left, const void *right)
{
	const struct descriptor *a = left, *b = right;

	if (!a->problem.text[0] != !b->problem.text[0])
		return a->problem.text[0] ? -1 : 1;
	return strcmp(file_name(a), file_name(b));
}

static int load_all(struct descriptor_list *list)
{
	size_t i, kept = 0;
	int ret = 0;

	for (i = 0; i < list->count; i++) {
		struct descriptor *d = &list->entries[i];
		int loaded = ret ? -ENOENT : load(d);

		if (loaded) {
			descriptor_finish(d);
			ret = loaded == -ENOENT ? ret : loaded;
		} else {
			list->entries[kept++] = *d;
		}
	}
	list->count = kept;
	return ret;
}

int descriptor_list_read(char *const *folders, struct descriptor_list *list)
{
	int ret = 0;

	*list = (struct descriptor_list){ 0 };
	for (; *folders && !ret; folders++)
		ret = note_folder(list, *folders);
	if (!ret && list->count) {
		qsort(list->entries, list->count, sizeof(*list->entries), compare);
		ret = load_all(list);
	}
	if (ret)
		descriptor_list_free(list);
	return ret;
}

void descriptor_list_free(struct descriptor_list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		descriptor_finish(&list->entries[i]);
	free(list->entries);
	*list = (struct descriptor_list){ 0 };
}

// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/vdpa.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/vdpa.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/parse.h"

#define MANAGEMENT_DEVICE "vduse"
#define VIRTIO_PREFIX "virtio"

/* ---- netlink ---- */

struct request {
	struct nlmsghdr header;
	struct genlmsghdr genl;
	char attributes[512];
};

union answer {
	struct nlmsghdr header;
	char bytes[8192];
};

static void begin(struct request *r, uint16_t family, uint8_t command, uint8_t version)
{
	*r = (struct request){
		.header = { .nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN),
			    .nlmsg_type = family,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
			    .nlmsg_seq = 1 },
		.genl = { .cmd = command, .version = version },
	};
}

/* Names are short here: there is room for all that is put. */
static void put_text(struct request *r, uint16_t type, const char *text)
{
	struct nlattr *attr = (struct nlattr *)((char *)r + NLMSG_ALIGN(r->header.nlmsg_len));
	size_t length = strlen(text) + 1;

	attr->nla_type = type;
	attr->nla_len = (uint16_t)(NLA_HDRLEN + length);
	memcpy((char *)attr + NLA_HDRLEN, text, length);
	r->header.nlmsg_len = NLMSG_ALIGN(r->header.nlmsg_len) + NLA_ALIGN(attr->nla_len);
}

static uint16_t find_u16(const struct nlmsghdr *header, uint16_t type)
{
	const char *at = (const char *)NLMSG_DATA(header) + GENL_HDRLEN;
	const char *end = (const char *)header + header->nlmsg_len;

	while (end - at >= NLA_HDRLEN) {
		const struct nlattr *attr = (const struct nlattr *)at;
		uint16_t value;

		if (attr->nla_len < NLA_HDRLEN || attr->nla_len > end - at)
			break;
		if ((attr->nla_type & NLA_TYPE_MASK) == type &&
		    attr->nla_len >= NLA_HDRLEN + sizeof(value)) {
			memcpy(&value, at + NLA_HDRLEN, sizeof(value));
			return value;
		}
		at += NLA_ALIGN(attr->nla_len);
	}
	return 0;
}

/*
 * Takes answers up to the acknowledgement. @family: filled in from an answer that names one; or
 * NULL
 */
static int take_answers(int sock, uint16_t *family)
{
	union answer answer;

	for (;;) {
		ssize_t n = recv(sock, &answer, sizeof(answer), 0);
		struct nlmsghdr *h = &answer.header;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
			if (family && h->nlmsg_type == GENL_ID_CTRL)
				*family = find_u16(h, CTRL_ATTR_FAMILY_ID);
		}
	}
}

static int ask(int sock, const struct request *r, uint16_t *family)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	if (sendto(sock, r, r->header.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	return take_answers(sock, family);
}

static int find_family(int sock, uint16_t *family)
{
	struct request r;

	*family = 0;
	begin(&r, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
	put_text(&r, CTRL_ATTR_FAMILY_NAME, VDPA_GENL_NAME);
	return ask(sock, &r, family);
}

static int command(uint8_t number, const char *name, const char *parent)
{
	_cleanup_close_ int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	struct request r;
	uint16_t family;
	int ret;

	if (sock < 0)
		return -errno;
	ret = find_family(sock, &family);
	if (ret)
		return ret;
	begin(&r, family, number, VDPA_GENL_VERSION);
	put_text(&r, VDPA_ATTR_DEV_NAME, name);
	if (parent)
		put_text(&r, VDPA_ATTR_MGMTDEV_DEV_NAME, parent);
	return ask(sock, &r, NULL);
}

/* ---- sysfs ---- */

/* The driver of the bus that has it, "": none. */
static void find_driver(const char *name, char *driver, size_t size)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *last;
	ssize_t n;

	driver[0] = '\0';
	snprintf(path, sizeof(path), VDPA_BUS "/devices/%s/driver", name);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return;
	target[n] = '\0';
	last = strrchr(target, '/');
	snprintf(driver, size, "%.63s", last ? last + 1 : target);
}

static int put_line(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* Each driver of the bus takes any device: the one that was loaded first had it. */
static int claim(const char *name)
{
	char path[PATH_MAX], driver[64];
	int ret;

	find_driver(name, driver, sizeof(driver));
	if (!strcmp(driver, VDPA_DRIVER))
		return 0;
	snprintf(path, sizeof(path), VDPA_BUS "/devices/%s/driver_override", name);
	ret = put_line(path, VDPA_DRIVER);
	if (!ret && driver[0]) {
		snprintf(path, sizeof(path), VDPA_BUS "/drivers/%s/unbind", driver);
		ret = put_line(path, name);
	}
	return ret ? ret : put_line(VDPA_BUS "/drivers_probe", name);
}

int vdpa_add(const char *name)
{
	int ret = command(VDPA_CMD_DEV_NEW, name, MANAGEMENT_DEVICE);

	return ret ? ret : claim(name);
}

/* A name is one device's on the whole bus, and that need not be one of VDUSE. */
static bool is_of_vduse(const char *name)
{
	char path[PATH_MAX], target[PATH_MAX], end[PATH_MAX];
	ssize_t n, length;

	snprintf(path, sizeof(path), VDPA_BUS "/devices/%s", name);
	length = snprintf(end, sizeof(end), "/vduse/%s/%s", name, name);
	n = readlink(path, target, sizeof(target));
	return n >= length && !memcmp(target + n - length, end, (size_t)length);
}

int vdpa_remove(const char *name)
{
	if (!is_of_vduse(name))
		return -ENODEV;
	return command(VDPA_CMD_DEV_DEL, name, NULL);
}

int vdpa_virtio(const char *name, bool *bound)
{
	const size_t length = strlen(VIRTIO_PREFIX);
	char path[PATH_MAX];
	struct dirent *entry;
	unsigned int n;
	int index = -1;
	DIR *dir;

	*bound = false;
	snprintf(path, sizeof(path), VDPA_BUS "/devices/%s", name);
	dir = opendir(path);
	if (!dir)
		return -1;
	while (index < 0 && (entry = readdir(dir))) {
		if (!strncmp(entry->d_name, VIRTIO_PREFIX, length) &&
		    !parse_uint(entry->d_name + length, 0, INT_MAX, &n))
			index = (int)n;
	}
	closedir(dir);
	if (index < 0)
		return -1;
	snprintf(path, sizeof(path), VDPA_BUS "/devices/%s/" VIRTIO_PREFIX "%d/driver", name,
		 index);
	*bound = access(path, F_OK) == 0;
	return index;
}

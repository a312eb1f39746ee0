// SPDX-License-Identifier: BSD-3-Clause
/*
 * display-probe - stands where virtio-loopback-display does, and lets tests look on
 *
 * Same options and control socket. --mode png=FOLDER writes FOLDER/head0.raw (a line "WIDTH HEIGHT"
 * and x8r8g8b8 pixels) and FOLDER/counts (lines of name and number), each renamed into place.
 * SIGUSR1: the window gets the size that stands in FOLDER/resize.
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/virtio_gpu.h>

enum {
	GET_PROTOCOL_FEATURES = 1,
	SET_PROTOCOL_FEATURES,
	GET_DISPLAY_INFO,
	CURSOR_POS,
	CURSOR_POS_HIDE,
	CURSOR_UPDATE,
	SCANOUT,
	UPDATE,
	DMABUF_SCANOUT,
	DMABUF_UPDATE,
	GET_EDID,
	DMABUF_SCANOUT2,
	REQUESTS,
};

static const char *const names[REQUESTS] = {
	[GET_PROTOCOL_FEATURES] = "get_protocol_features",
	[SET_PROTOCOL_FEATURES] = "set_protocol_features",
	[GET_DISPLAY_INFO] = "get_display_info",
	[CURSOR_POS] = "cursor_pos",
	[CURSOR_POS_HIDE] = "cursor_pos_hide",
	[CURSOR_UPDATE] = "cursor_update",
	[SCANOUT] = "scanout",
	[UPDATE] = "update",
	[DMABUF_SCANOUT] = "dmabuf_scanout",
	[DMABUF_UPDATE] = "dmabuf_update",
	[GET_EDID] = "get_edid",
	[DMABUF_SCANOUT2] = "dmabuf_scanout2",
};

struct header {
	uint32_t request, flags, size;
};
#define FLAG_REPLY 4U
#define PAYLOAD_MAX (256U << 20)

struct rectangle {
	uint32_t scanout, x, y, width, height;
};

struct dmabuf_scanout {
	struct rectangle r;
	uint32_t fd_width, fd_height, fd_stride, fd_flags;
	int32_t fourcc;
};

static int control, gpu = -1, gpu_fd = -1;
static const char *folder;
static unsigned int width = 1024, height = 768, heads = 1;
static unsigned int counts[REQUESTS], sockets;
static struct {
	uint32_t width, height;
	uint32_t *pixels;
	uint8_t *dmabuf;
	size_t dmabuf_size, stride;
} head0;

/* ---- what is seen ---- */

static FILE *begin(const char *name, char *path, size_t size)
{
	FILE *f;

	snprintf(path, size, "%s/.%s", folder, name);
	f = fopen(path, "we");
	if (!f)
		err(1, "%s", path);
	return f;
}

static void end(FILE *f, const char *name, const char *path)
{
	char final[512];

	snprintf(final, sizeof(final), "%s/%s", folder, name);
	if (fclose(f) || rename(path, final))
		err(1, "%s", final);
}

static void write_counts(void)
{
	char path[512];
	FILE *f;

	if (!folder)
		return;
	f = begin("counts", path, sizeof(path));
	for (int i = 1; i < REQUESTS; i++)
		fprintf(f, "%s %u\n", names[i], counts[i]);
	fprintf(f, "sockets %u\nwidth %u\nheight %u\n", sockets, head0.width, head0.height);
	end(f, "counts", path);
}

static void write_pixels(void)
{
	char path[512];
	FILE *f;

	if (!folder || !head0.pixels)
		return;
	f = begin("head0.raw", path, sizeof(path));
	fprintf(f, "%u %u\n", head0.width, head0.height);
	fwrite(head0.pixels, 4, (size_t)head0.width * head0.height, f);
	end(f, "head0.raw", path);
}

static void set_scanout(uint32_t w, uint32_t h)
{
	if (head0.dmabuf)
		munmap(head0.dmabuf, head0.dmabuf_size);
	head0.dmabuf = NULL;
	free(head0.pixels);
	head0.width = w;
	head0.height = h;
	head0.pixels = w && h ? calloc((size_t)w * h, 4) : NULL;
}

static void set_dmabuf(const struct dmabuf_scanout *s)
{
	void *map;

	set_scanout(s->r.width, s->r.height);
	if (gpu_fd < 0 || !s->r.width)
		return;
	head0.stride = s->fd_stride;
	head0.dmabuf_size = (size_t)s->fd_stride * s->fd_height;
	map = mmap(NULL, head0.dmabuf_size, PROT_READ, MAP_SHARED, gpu_fd, 0);
	if (map == MAP_FAILED)
		warn("dmabuf");
	else
		head0.dmabuf = map;
}

static bool inside(const struct rectangle *r)
{
	return head0.pixels && r->x <= head0.width && r->width <= head0.width - r->x &&
	       r->y <= head0.height && r->height <= head0.height - r->y;
}

static void update(const struct rectangle *r, const uint8_t *data, size_t stride)
{
	if (!inside(r))
		return warnx("update outside of the scan-out");
	for (uint32_t y = 0; y < r->height; y++)
		memcpy(&head0.pixels[(size_t)(r->y + y) * head0.width + r->x], data + y * stride,
		       4 * (size_t)r->width);
	write_pixels();
}

/* ---- EDID: VESA E-EDID 1.4 with one detailed timing, no more than a driver needs ---- */

static void make_edid(struct virtio_gpu_resp_edid *edid)
{
	uint8_t *b = edid->edid, sum = 0;
	unsigned int hblank = 160, vblank = 35;
	unsigned int clock = (width + hblank) * (height + vblank) * 60 / 10000;
	static const uint8_t head[] = { 0, 255, 255, 255, 255, 255, 255, 0, 0x5a, 0x63, 1, 0, 1, 0, 0, 0,
					1, 30, 1, 4, 0xa5, 32, 24, 120, 6 };

	edid->hdr.type = VIRTIO_GPU_RESP_OK_EDID;
	edid->size = 128;
	memcpy(b, head, sizeof(head));
	memset(b + 38, 1, 16);
	b[54] = clock & 255;
	b[55] = clock >> 8;
	b[56] = width & 255;
	b[57] = hblank;
	b[58] = (uint8_t)(width >> 8 << 4);
	b[59] = height & 255;
	b[60] = (uint8_t)vblank;
	b[61] = (uint8_t)(height >> 8 << 4);
	b[62] = 48;
	b[63] = 32;
	b[64] = 3 << 4 | 5;
	b[66] = 64;
	b[67] = 240;
	b[71] = 0x18;
	for (int i = 72; i < 126; i += 18)
		b[i + 3] = 0x10; /* dummy descriptors */
	for (int i = 0; i < 127; i++)
		sum += b[i];
	b[127] = (uint8_t)-sum;
}

/* ---- the display socket ---- */

static void receive(void *buf, size_t size)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} c;
	uint8_t *p = buf;

	while (size) {
		struct iovec iov = { p, size };
		struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.buf,
				     .msg_controllen = sizeof(c.buf) };
		ssize_t n = recvmsg(gpu, &mh, MSG_CMSG_CLOEXEC);
		struct cmsghdr *cmsg;

		if (n <= 0) {
			close(gpu);
			gpu = -1;
			memset(p, 0, size);
			return;
		}
		cmsg = CMSG_FIRSTHDR(&mh);
		if (cmsg && cmsg->cmsg_type == SCM_RIGHTS)
			memcpy(&gpu_fd, CMSG_DATA(cmsg), sizeof(gpu_fd));
		p += n;
		size -= (size_t)n;
	}
}

static void reply(uint32_t request, const void *data, uint32_t size)
{
	const struct header h = { request, FLAG_REPLY, size };

	if (send(gpu, &h, sizeof(h), MSG_NOSIGNAL) < 0 ||
	    (size && send(gpu, data, size, MSG_NOSIGNAL) < 0))
		warn("reply %u", request);
}

static void display_info(void)
{
	struct virtio_gpu_resp_display_info info = { .hdr.type = VIRTIO_GPU_RESP_OK_DISPLAY_INFO };

	for (unsigned int i = 0; i < heads; i++) {
		info.pmodes[i].r.width = width;
		info.pmodes[i].r.height = height;
		info.pmodes[i].enabled = 1;
	}
	reply(GET_DISPLAY_INFO, &info, sizeof(info));
}

static void edid(void)
{
	struct virtio_gpu_resp_edid resp = { 0 };

	make_edid(&resp);
	reply(GET_EDID, &resp, sizeof(resp));
}

static void handle(uint32_t request, const uint8_t *data, uint32_t size)
{
	const struct rectangle *r = (const void *)data;
	uint64_t features = 3; /* EDID, DMABUF2 */

	switch (request) {
	case GET_PROTOCOL_FEATURES:
		return reply(request, &features, sizeof(features));
	case GET_DISPLAY_INFO:
		return display_info();
	case GET_EDID:
		return edid();
	case SCANOUT:
		if (size >= 12 && !r->scanout)
			set_scanout(r->x, r->y); /* here these two are width and height */
		break;
	case UPDATE:
		if (size >= sizeof(*r) && !r->scanout && (size - sizeof(*r)) / 4 >= (uint64_t)r->width * r->height)
			update(r, data + sizeof(*r), 4 * (size_t)r->width);
		break;
	case DMABUF_SCANOUT:
	case DMABUF_SCANOUT2:
		if (size >= sizeof(struct dmabuf_scanout) && !r->scanout)
			set_dmabuf((const void *)data);
		break;
	case DMABUF_UPDATE:
		if (size >= sizeof(*r) && !r->scanout && head0.dmabuf && inside(r))
			update(r, head0.dmabuf + r->y * head0.stride + 4 * (size_t)r->x, head0.stride);
		return reply(request, NULL, 0);
	}
}

static void gpu_ready(void)
{
	struct header h;
	uint8_t *data;

	gpu_fd = -1;
	receive(&h, sizeof(h));
	if (gpu < 0)
		return;
	if (h.size > PAYLOAD_MAX)
		errx(1, "request %u: %u bytes", h.request, h.size);
	data = malloc(h.size + 1);
	if (!data)
		err(1, "malloc");
	receive(data, h.size);
	if (gpu >= 0 && h.request < REQUESTS) {
		counts[h.request]++;
		handle(h.request, data, h.size);
		write_counts();
	}
	free(data);
	if (gpu_fd >= 0)
		close(gpu_fd);
}

/* ---- the control socket ---- */

static bool control_ready(void)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} c;
	char what = 0;
	struct iovec iov = { &what, 1 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.buf,
			     .msg_controllen = sizeof(c.buf) };
	struct cmsghdr *cmsg;

	if (recvmsg(control, &mh, MSG_CMSG_CLOEXEC) <= 0 || what == 'Q')
		return false;
	cmsg = CMSG_FIRSTHDR(&mh);
	if (what != 'S' || !cmsg || cmsg->cmsg_type != SCM_RIGHTS)
		errx(1, "control: expected S and a descriptor, saw %#x", what);
	if (gpu >= 0)
		close(gpu);
	memcpy(&gpu, CMSG_DATA(cmsg), sizeof(gpu));
	sockets++;
	write_counts();
	return true;
}

static void resized(void)
{
	char path[512], line[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/resize", folder ? folder : ".");
	f = fopen(path, "re");
	if (!f || fscanf(f, "%u %u", &width, &height) != 2)
		err(1, "%s", path);
	fclose(f);
	snprintf(line, sizeof(line), "resize 0 %u %u\n", width, height);
	if (send(control, line, strlen(line), MSG_NOSIGNAL) < 0)
		err(1, "control");
}

static void options(int argc, char **argv)
{
	static const struct option known[] = { { "control-fd", 1, NULL, 'c' }, { "mode", 1, NULL, 'm' },
					       { "resolution", 1, NULL, 'r' }, { "heads", 1, NULL, 'h' },
					       { "user", 1, NULL, 'u' }, { 0 } };
	int opt;

	while ((opt = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (opt == 'c')
			control = atoi(optarg);
		else if (opt == 'm' && !strncmp(optarg, "png=", 4))
			folder = optarg + 4;
		else if (opt == 'r' && sscanf(optarg, "%ux%u", &width, &height) != 2)
			errx(2, "--resolution %s", optarg);
		else if (opt == 'h')
			heads = (unsigned int)atoi(optarg);
		else if (opt == 'u' && setresuid(-1, -1, (uid_t)atoi(optarg))) /* who may end it */
			err(1, "--user %s", optarg);
		else if (opt == '?')
			exit(2);
	}
}

int main(int argc, char **argv)
{
	struct signalfd_siginfo info;
	sigset_t set;
	int signals;

	options(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	write_counts();
	if (send(control, "ready\n", 6, MSG_NOSIGNAL) < 0)
		err(1, "--control-fd %d", control);
	for (;;) {
		struct pollfd fds[] = { { control, POLLIN, 0 }, { gpu, POLLIN, 0 }, { signals, POLLIN, 0 } };

		if (poll(fds, 3, -1) < 0 && errno != EINTR)
			err(1, "poll");
		if (fds[2].revents && read(signals, &info, sizeof(info)) == sizeof(info))
			resized();
		if (fds[1].revents && fds[1].fd >= 0)
			gpu_ready();
		if (fds[0].revents && !control_ready())
			return 0;
	}
}

// SPDX-License-Identifier: BSD-3-Clause
/* Pictures for VNC viewers (RFB), by libvncserver: a server for each head, on ports in a row. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <rfb/rfb.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/parse.h"
#include "common/util.h"
#include "display/display.h"
#include "display/keys.h"
#include "display/patience.h"

#define DEFAULT_HOST "127.0.0.1"
#define DEFAULT_PORT 5900
/* Damage is gathered for this long before viewers are told. */
#define GATHER_NS 10000000L
/* A viewer that is waited for longer, for a message or in a picture, is let go of. */
#define VIEWER_WAIT_MS 3000
/* Less than this is no wait of which anything must be said. */
#define SHORT_WAIT_NS 10000000U
/* Of one head. Each costs descriptors and a copy of what it is sent. */
#define MOST_VIEWERS 16
/*
 * A viewer that understands other sizes and asks for the whole picture is told the size in a
 * message of its own, and the library then leaves the pixels to the next time.
 */
#define LOOKS 2

struct vnc_viewer {
	struct vnc_head *own;
	rfbClientPtr client; /* NULL: nobody */
	/*
	 * The library closes its own number for the socket before it says so, and by then that
	 * can be another's. So this one is watched.
	 */
	int fd;
	unsigned int looks; /* that are still to come for something to send */
};

struct vnc_head {
	struct vnc_output *vnc;
	struct head *head;
	rfbScreenInfoPtr screen;
	int listen_fd;
	struct loop_source *listener;
	struct rect damage;
	struct vnc_viewer viewers[MOST_VIEWERS];
	int buttons; /* as the viewers' pointer events have them */
};

struct vnc_output {
	struct display *display;
	int timer_fd;
	bool armed;
	struct loop_source *timer;
	int epoll_fd; /* the viewers of all heads */
	struct loop_source *viewers;
	int rest_fd; /* a timer: none is served before */
	struct loop_source *rest;
	struct vnc_head heads[VGPU_MAX_SCANOUTS];
};

static void library_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void library_log(const char *format, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	text[strcspn(text, "\n")] = '\0';
	log_debug("libvncserver: %s", text);
}

/* ---- viewers ---- */

static struct vnc_viewer *find_place(struct vnc_head *own)
{
	unsigned int i;

	for (i = 0; i < MOST_VIEWERS; i++) {
		if (!own->viewers[i].client)
			return &own->viewers[i];
	}
	return NULL;
}

/* To look for something to send costs, so there are so many looks, and then none before news. */
static void watch(struct vnc_viewer *viewer, unsigned int looks)
{
	struct epoll_event event = {
		.events = EPOLLIN | (looks ? EPOLLOUT : 0),
		.data.ptr = viewer,
	};
	bool same = !looks == !viewer->looks;

	viewer->looks = looks;
	if (!same && epoll_ctl(viewer->own->vnc->epoll_fd, EPOLL_CTL_MOD, viewer->fd, &event) < 0)
		log_error("head %u: a viewer cannot be watched: %m", viewer->own->head->index);
}

static void have_news(struct vnc_head *own)
{
	unsigned int i;

	for (i = 0; i < MOST_VIEWERS; i++) {
		if (own->viewers[i].client)
			watch(&own->viewers[i], LOOKS);
	}
}

static void let_go(rfbClientPtr client)
{
	if (client->sock >= 0)
		rfbCloseClient(client);
	rfbClientConnectionGone(client);
}

/*
 * The library waits for all of a message, and until all of a picture is on its way.
 *
 * Return: how long it waited, in nanoseconds.
 */
static uint64_t serve(struct vnc_viewer *viewer, uint32_t events)
{
	rfbClientPtr client = viewer->client;
	unsigned int looks = viewer->looks;
	uint64_t waited = 0;

	if (patience_begin(viewer->fd, VIEWER_WAIT_MS)) {
		log_ratelimited(LOG_LEVEL_WARNING, "head %u: no timer for a viewer: %m",
				viewer->own->head->index);
		let_go(client);
		return 0;
	}
	if (events & ~(uint32_t)EPOLLOUT) {
		rfbProcessClientMessage(client);
		looks = LOOKS;
	}
	if (events & EPOLLOUT && client->sock >= 0 && looks) {
		rfbUpdateClient(client);
		looks--;
	}
	if (patience_end(&waited))
		log_ratelimited(LOG_LEVEL_WARNING,
				"head %u: a viewer is let go of: it kept the display waiting for %d s",
				viewer->own->head->index, VIEWER_WAIT_MS / 1000);
	if (client->sock >= 0)
		watch(viewer, looks);
	else
		let_go(client);
	return waited;
}

/* Viewers are left alone for as long as one of them made the others wait. */
static void rest(struct vnc_output *vnc, uint64_t ns)
{
	const struct itimerspec when = {
		.it_value = {
			.tv_sec = (time_t)(ns / 1000000000U),
			.tv_nsec = (long)(ns % 1000000000U),
		},
	};

	if (timerfd_settime(vnc->rest_fd, 0, &when, NULL) == 0)
		loop_change(vnc->display->loop, vnc->viewers, 0);
}

/* One of all viewers a turn, so that the back-end and the adapter wait for one at the most. */
static void viewers_ready(void *data, uint32_t events)
{
	struct vnc_output *vnc = data;
	struct epoll_event event;
	uint64_t waited;

	(void)events;
	if (epoll_wait(vnc->epoll_fd, &event, 1, 0) != 1)
		return;
	waited = serve(event.data.ptr, event.events);
	if (waited >= SHORT_WAIT_NS)
		rest(vnc, waited);
}

static void rest_is_over(void *data, uint32_t events)
{
	struct vnc_output *vnc = data;
	uint64_t count;

	(void)events;
	if (read(vnc->rest_fd, &count, sizeof(count)) > 0)
		loop_change(vnc->display->loop, vnc->viewers, EPOLLIN);
}

static void viewer_gone(rfbClientPtr client)
{
	struct vnc_viewer *viewer = client->clientData;
	struct vnc_head *own = viewer->own;

	epoll_ctl(own->vnc->epoll_fd, EPOLL_CTL_DEL, viewer->fd, NULL);
	fd_close(&viewer->fd);
	viewer->client = NULL;
	own->buttons = 0;
	input_release(&own->vnc->display->input);
	log_info("head %u: a viewer has gone", own->head->index);
}

/*
 * The library first looks whether a browser has come (WebSocket), or TLS, and that has no end when
 * less than a word comes (0.9.14); it does not look at whose page a browser shows, either. So it is
 * shown a socket on which somebody begins as a viewer does, and gets the viewer's in its place when
 * it has looked.
 */
static rfbClientPtr introduce(struct vnc_head *own, int fd)
{
	char version[sz_rfbProtocolVersionMsg];
	_cleanup_close_ int other = -1;
	rfbClientPtr client;
	int pair[2];
	ssize_t n;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return NULL;
	other = pair[1];
	if (send(other, "RFB ", 4, MSG_NOSIGNAL) != 4) {
		fd_close(&pair[0]);
		return NULL;
	}
	client = rfbNewClient(own->screen, pair[0]);
	if (!client)
		return NULL;
	n = recv(other, version, sizeof(version), MSG_DONTWAIT);
	if (n > 0 && send(fd, version, (size_t)n, MSG_NOSIGNAL) == n &&
	    dup3(fd, client->sock, O_CLOEXEC) >= 0)
		return client;
	let_go(client);
	return NULL;
}

static void listener_ready(void *data, uint32_t events)
{
	struct vnc_head *own = data;
	struct vnc_viewer *viewer = find_place(own);
	struct sockaddr_in from = { 0 };
	socklen_t len = sizeof(from);
	_cleanup_close_ int fd = accept4(own->listen_fd, (struct sockaddr *)&from, &len,
					 SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = viewer };
	const int one = 1;
	rfbClientPtr client;

	(void)events;
	if (fd < 0)
		return;
	if (!viewer) {
		log_ratelimited(LOG_LEVEL_WARNING,
				"head %u: a viewer from %s refused: there are enough",
				own->head->index, inet_ntoa(from.sin_addr));
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	client = introduce(own, fd);
	if (!client)
		return;
	if (epoll_ctl(own->vnc->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		let_go(client);
		return;
	}
	*viewer = (struct vnc_viewer){ .own = own, .client = client, .fd = fd_steal(&fd) };
	client->clientData = viewer;
	client->clientGoneHook = viewer_gone;
	log_info("head %u: a viewer from %s", own->head->index, inet_ntoa(from.sin_addr));
}

/* RFC 6143, 7.5.4 and 7.5.5 */
static void viewer_typed(rfbBool down, rfbKeySym symbol, rfbClientPtr viewer)
{
	const struct vnc_head *own = viewer->screen->screenData;

	input_key(&own->vnc->display->input, keys_of_symbol(symbol), down);
}

/* The wheels are buttons, a press is a click of them. */
static void viewer_pointed(int buttons, int x, int y, rfbClientPtr viewer)
{
	static const uint16_t codes[] = { BTN_LEFT, BTN_MIDDLE, BTN_RIGHT };
	struct vnc_head *own = viewer->screen->screenData;
	struct input *input = &own->vnc->display->input;
	int pressed = buttons & ~own->buttons;
	int changed = buttons ^ own->buttons;
	unsigned int i;

	own->buttons = buttons;
	input_point(input, own->head, x, y);
	for (i = 0; i < ARRAY_SIZE(codes); i++) {
		if (changed & 1 << i)
			input_key(input, codes[i], buttons & 1 << i);
	}
	input_wheel(input, !!(pressed & 1 << 3) - !!(pressed & 1 << 4),
		    !!(pressed & 1 << 6) - !!(pressed & 1 << 5));
}

/* A viewer's window got another size (the SetDesktopSize message). */
static int viewer_resized(int width, int height, int count, struct rfbExtDesktopScreen *screens,
			  rfbClientPtr viewer)
{
	struct vnc_head *own = viewer->screen->screenData;

	(void)screens;
	/* the others may be told */
	have_news(own);
	if (count != 1 || width <= 0 || height <= 0)
		return rfbExtDesktopSize_InvalidScreenLayout;
	return display_resized(own->vnc->display, own->head, (uint32_t)width, (uint32_t)height) ?
		       rfbExtDesktopSize_OutOfResources :
		       rfbExtDesktopSize_Success;
}

/* ---- pictures ---- */

static void set_format(rfbScreenInfoPtr screen)
{
	screen->serverFormat.redShift = 16;
	screen->serverFormat.greenShift = 8;
	screen->serverFormat.blueShift = 0;
}

static void show(struct vnc_head *own)
{
	const struct head *head = own->head;
	struct rect r = own->damage;

	own->damage = (struct rect){ 0 };
	if (!rect_within(&r, head->width, head->height))
		return;
	head_compose(head, &r,
		     (uint32_t *)(void *)own->screen->frameBuffer + (size_t)r.y * head->width + r.x,
		     head->width);
	rfbMarkRectAsModified(own->screen, (int)r.x, (int)r.y, (int)(r.x + r.width),
			      (int)(r.y + r.height));
	have_news(own);
}

static void timer_ready(void *data, uint32_t events)
{
	struct output *output = data;
	struct vnc_output *vnc = output->priv;
	uint64_t count;
	unsigned int i;

	(void)events;
	if (read(vnc->timer_fd, &count, sizeof(count)) < 0)
		return;
	vnc->armed = false;
	for (i = 0; i < output->display->nheads; i++)
		show(&vnc->heads[i]);
}

static void vnc_damage(struct output *output, struct head *head, const struct rect *rect)
{
	const struct itimerspec when = { .it_value = { .tv_nsec = GATHER_NS } };
	struct vnc_output *vnc = output->priv;
	struct vnc_head *own = &vnc->heads[head->index];

	own->damage = rect_join(own->damage, *rect);
	if (!vnc->armed && timerfd_settime(vnc->timer_fd, 0, &when, NULL) == 0)
		vnc->armed = true;
}

static int resize(rfbScreenInfoPtr screen, uint32_t width, uint32_t height)
{
	char *before = screen->frameBuffer, *pixels = calloc((size_t)width * height, 4);

	if (!pixels)
		return -ENOMEM;
	rfbNewFramebuffer(screen, pixels, (int)width, (int)height, 8, 3, 4);
	set_format(screen);
	free(before);
	return 0;
}

/*
 * A head that is off is black, in the size that it had. But its pixels count no more (see
 * display_mode()), so of a large one no more is kept than was offered.
 */
static void switch_off(const struct head *head, rfbScreenInfoPtr screen)
{
	size_t pixels = (size_t)screen->width * (size_t)screen->height;

	if (pixels > (size_t)head->wanted_width * head->wanted_height &&
	    !resize(screen, head->wanted_width, head->wanted_height))
		return;
	memset(screen->frameBuffer, 0, pixels * 4);
	rfbMarkRectAsModified(screen, 0, 0, screen->width, screen->height);
}

static void vnc_mode(struct output *output, struct head *head)
{
	struct vnc_output *vnc = output->priv;
	struct vnc_head *own = &vnc->heads[head->index];

	own->damage = (struct rect){ 0 };
	if (!head->width) {
		switch_off(head, own->screen);
	} else if (resize(own->screen, head->width, head->height)) {
		/* the old picture has another size: what comes must not be put there */
		log_error("head %u: no memory for viewers", head->index);
		display_mode(output->display, head, 0, 0);
		return;
	}
	have_news(own);
}

/* ---- opening ---- */

/* HOST:PORT, either may be missing. */
static int parse_address(const char *arg, struct in_addr *host, unsigned int *port)
{
	char text[INET_ADDRSTRLEN] = DEFAULT_HOST;
	const char *colon = arg ? strrchr(arg, ':') : NULL;
	size_t len;

	*port = DEFAULT_PORT;
	if (arg) {
		len = colon ? (size_t)(colon - arg) : strlen(arg);
		if (len >= sizeof(text))
			return -EINVAL;
		if (len) {
			memcpy(text, arg, len);
			text[len] = '\0';
		}
	}
	if (colon && parse_uint(colon + 1, 1, UINT16_MAX - VGPU_MAX_SCANOUTS, port))
		return -EINVAL;
	if (!strcmp(text, "localhost"))
		strcpy(text, DEFAULT_HOST);
	return inet_pton(AF_INET, text, host) == 1 ? 0 : -EINVAL;
}

/* Not the library's, which would take in whoever comes without an end to it: see introduce(). */
static int listen_on(struct in_addr host, unsigned int port)
{
	const struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = host,
	};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(fd, MOST_VIEWERS) < 0)
		return -errno;
	return fd_steal(&fd);
}

static int open_head(struct vnc_output *vnc, struct head *head, struct in_addr host,
		     unsigned int port, struct failure *failure)
{
	struct vnc_head *own = &vnc->heads[head->index];
	rfbScreenInfoPtr screen;

	own->vnc = vnc;
	own->head = head;
	screen = rfbGetScreen(NULL, NULL, (int)head->wanted_width, (int)head->wanted_height, 8, 3,
			      4);
	if (!screen)
		return -ENOMEM;
	own->screen = screen;
	screen->frameBuffer = calloc((size_t)head->wanted_width * head->wanted_height, 4);
	if (!screen->frameBuffer)
		return -ENOMEM;
	set_format(screen);
	screen->screenData = own;
	screen->desktopName = "virtio-loopback";
	screen->alwaysShared = TRUE;
	screen->port = 0;
	screen->ipv6port = 0;
	screen->deferUpdateTime = 0;
	screen->cursor = NULL;
	screen->setDesktopSizeHook = viewer_resized;
	screen->kbdAddEvent = viewer_typed;
	screen->ptrAddEvent = viewer_pointed;
	rfbInitServer(screen);
	own->listen_fd = listen_on(host, port);
	if (own->listen_fd < 0)
		return failure_set(failure, own->listen_fd, "vnc: cannot listen on %s port %u: %s",
				   inet_ntoa(host), port, strerror(-own->listen_fd));
	own->listener =
		loop_add(vnc->display->loop, own->listen_fd, EPOLLIN, listener_ready, own);
	return own->listener ? 0 : -errno;
}

static void destroy(struct vnc_output *vnc)
{
	unsigned int i;

	for (i = 0; i < VGPU_MAX_SCANOUTS; i++) {
		struct vnc_head *own = &vnc->heads[i];

		loop_remove(vnc->display->loop, own->listener);
		fd_close(&own->listen_fd);
		if (!own->screen)
			continue;
		rfbShutdownServer(own->screen, TRUE);
		free(own->screen->frameBuffer);
		rfbScreenCleanup(own->screen);
	}
	loop_remove(vnc->display->loop, vnc->timer);
	loop_remove(vnc->display->loop, vnc->rest);
	loop_remove(vnc->display->loop, vnc->viewers);
	fd_close(&vnc->timer_fd);
	fd_close(&vnc->rest_fd);
	fd_close(&vnc->epoll_fd);
	patience_finish();
	free(vnc);
}

/* The library waits by select(), which writes out of bounds for a descriptor that is larger. */
static int limit_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (limit.rlim_cur <= FD_SETSIZE)
		return 0;
	limit.rlim_cur = FD_SETSIZE;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

static struct vnc_output *create(struct display *display)
{
	struct vnc_output *vnc = calloc(1, sizeof(*vnc));
	unsigned int i;

	if (!vnc)
		return NULL;
	vnc->display = display;
	vnc->timer_fd = -1;
	vnc->rest_fd = -1;
	vnc->epoll_fd = -1;
	for (i = 0; i < VGPU_MAX_SCANOUTS; i++)
		vnc->heads[i].listen_fd = -1;
	return vnc;
}

static int open_timers(struct vnc_output *vnc, struct output *output)
{
	struct loop *loop = vnc->display->loop;

	vnc->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (vnc->timer_fd >= 0)
		vnc->timer = loop_add(loop, vnc->timer_fd, EPOLLIN, timer_ready, output);
	if (!vnc->timer)
		return -errno;
	vnc->rest_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (vnc->rest_fd >= 0)
		vnc->rest = loop_add(loop, vnc->rest_fd, EPOLLIN, rest_is_over, vnc);
	if (!vnc->rest)
		return -errno;
	vnc->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (vnc->epoll_fd >= 0)
		vnc->viewers = loop_add(loop, vnc->epoll_fd, EPOLLIN, viewers_ready, vnc);
	return vnc->viewers ? patience_init() : -errno;
}

static int vnc_open(struct output *output, const char *arg, struct failure *failure)
{
	struct display *display = output->display;
	struct vnc_output *vnc;
	struct in_addr host;
	unsigned int port, i;
	int ret;

	if (parse_address(arg, &host, &port))
		return failure_set(failure, -EINVAL,
				   "--mode vnc=%s: an IPv4 address and a port are needed, such as %s:%u",
				   arg, DEFAULT_HOST, DEFAULT_PORT);
	ret = limit_descriptors();
	if (ret)
		return failure_set(failure, ret, "vnc: RLIMIT_NOFILE: %s", strerror(-ret));
	vnc = create(display);
	if (!vnc)
		return -ENOMEM;
	rfbLog = library_log;
	rfbErr = library_log;
	rfbMaxClientWait = VIEWER_WAIT_MS;
	ret = open_timers(vnc, output);
	if (ret)
		failure_set(failure, ret, "vnc: no timer: %s", strerror(-ret));
	for (i = 0; i < display->nheads && !ret; i++)
		ret = open_head(vnc, &display->heads[i], host, port + i, failure);
	if (ret) {
		destroy(vnc);
		return ret;
	}
	output->priv = vnc;
	log_notice("VNC viewers can connect to %s, port %u", inet_ntoa(host), port);
	return 0;
}

static void vnc_close(struct output *output)
{
	destroy(output->priv);
}

const struct output_ops output_vnc = {
	.name = "vnc",
	.arg = "HOST:PORT",
	.input = true,
	.wide = true,
	.open = vnc_open,
	.mode = vnc_mode,
	.damage = vnc_damage,
	.close = vnc_close,
};

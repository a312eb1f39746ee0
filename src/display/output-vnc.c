// SPDX-License-Identifier: BSD-3-Clause
/* Pictures for VNC viewers (RFB), by libvncserver: a server for each head, on ports in a row. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <rfb/rfb.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/parse.h"
#include "common/util.h"
#include "display/display.h"
#include "display/keys.h"

#define DEFAULT_HOST "127.0.0.1"
#define DEFAULT_PORT 5900
/* Damage is gathered for this long before viewers are told. */
#define GATHER_NS 10000000L
/* A viewer that takes nothing for this long, in the middle of a picture, is let go of. */
#define VIEWER_WAIT_MS 2000
/* Of one head. Each costs descriptors and a copy of what it is sent. */
#define MOST_VIEWERS 16

struct vnc_head {
	struct vnc_output *vnc;
	struct head *head;
	rfbScreenInfoPtr screen;
	struct loop_source *listener;
	struct rect damage;
	unsigned int viewers;
	int buttons; /* as the viewers' pointer events have them */
};

struct vnc_output {
	struct display *display;
	int timer_fd;
	bool armed;
	struct loop_source *timer;
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

/*
 * The library closes a viewer's socket before it says so, and by then the number can be another
 * viewer's. So a duplicate is watched.
 */
struct vnc_viewer {
	int fd;
	struct loop_source *source;
};

/*
 * A viewer that understands other sizes and asks for the whole picture is told the size in a
 * message of its own, and the library then leaves the pixels to the next time.
 */
static void process(rfbScreenInfoPtr screen)
{
	rfbProcessEvents(screen, 0);
	rfbProcessEvents(screen, 0);
}

static void viewer_ready(void *data, uint32_t events)
{
	const struct vnc_head *own = data;

	(void)events;
	process(own->screen);
}

static void viewer_gone(rfbClientPtr viewer)
{
	struct vnc_head *own = viewer->screen->screenData;
	struct vnc_viewer *watched = viewer->clientData;

	loop_remove(own->vnc->display->loop, watched->source);
	fd_close(&watched->fd);
	free(watched);
	viewer->clientData = NULL;
	own->viewers--;
	own->buttons = 0;
	input_release(&own->vnc->display->input);
	log_info("head %u: a viewer has gone", own->head->index);
}

/*
 * A browser connects to this machine for any page that it shows, and the library, which answers
 * it, does not look at whose page that is.
 */
static bool from_a_browser(rfbClientPtr viewer)
{
#ifdef LIBVNCSERVER_WITH_WEBSOCKETS
	bool found = viewer->wsctx || viewer->sslctx;

	/* which the library would lose */
	free(viewer->wsctx);
	viewer->wsctx = NULL;
	return found;
#else
	(void)viewer;
	return false;
#endif
}

static struct vnc_viewer *watch_viewer(struct vnc_head *own, rfbClientPtr viewer)
{
	struct vnc_viewer *watched = calloc(1, sizeof(*watched));

	if (!watched)
		return NULL;
	watched->fd = fcntl(viewer->sock, F_DUPFD_CLOEXEC, 0);
	if (watched->fd >= 0)
		watched->source = loop_add(own->vnc->display->loop, watched->fd, EPOLLIN,
					   viewer_ready, own);
	if (watched->source)
		return watched;
	fd_close(&watched->fd);
	free(watched);
	return NULL;
}

static enum rfbNewClientAction viewer_came(rfbClientPtr viewer)
{
	struct vnc_head *own = viewer->screen->screenData;
	bool browser = from_a_browser(viewer);

	if (browser || own->viewers >= MOST_VIEWERS) {
		log_ratelimited(LOG_LEVEL_WARNING, "head %u: a viewer from %s refused: %s",
				own->head->index, viewer->host,
				browser ? "it is a browser (WebSocket)" : "there are enough");
		return RFB_CLIENT_REFUSE;
	}
	viewer->clientData = watch_viewer(own, viewer);
	if (!viewer->clientData)
		return RFB_CLIENT_REFUSE;
	viewer->clientGoneHook = viewer_gone;
	own->viewers++;
	log_info("head %u: a viewer from %s", own->head->index, viewer->host);
	return RFB_CLIENT_ACCEPT;
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
	const struct vnc_head *own = viewer->screen->screenData;

	(void)screens;
	if (count != 1 || width <= 0 || height <= 0)
		return rfbExtDesktopSize_InvalidScreenLayout;
	display_resized(own->vnc->display, own->head, (uint32_t)width, (uint32_t)height);
	return rfbExtDesktopSize_Success;
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
	process(own->screen);
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

/* A head that is off is black, in the size that it had. */
static void vnc_mode(struct output *output, struct head *head)
{
	struct vnc_output *vnc = output->priv;
	rfbScreenInfoPtr screen = vnc->heads[head->index].screen;
	char *before = screen->frameBuffer, *pixels;

	vnc->heads[head->index].damage = (struct rect){ 0 };
	if (!head->width) {
		memset(before, 0, (size_t)screen->width * (size_t)screen->height * 4);
		rfbMarkRectAsModified(screen, 0, 0, screen->width, screen->height);
	} else {
		pixels = calloc((size_t)head->width * head->height, 4);
		if (!pixels) {
			/* the old picture has another size: what comes must not be put there */
			log_error("head %u: no memory for viewers", head->index);
			display_mode(output->display, head, 0, 0);
			return;
		}
		rfbNewFramebuffer(screen, pixels, (int)head->width, (int)head->height, 8, 3, 4);
		set_format(screen);
		free(before);
	}
	process(screen);
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
	screen->listenInterface = host.s_addr;
	screen->port = (int)port;
	screen->ipv6port = 0;
	screen->deferUpdateTime = 0;
	screen->cursor = NULL;
	screen->newClientHook = viewer_came;
	screen->setDesktopSizeHook = viewer_resized;
	screen->kbdAddEvent = viewer_typed;
	screen->ptrAddEvent = viewer_pointed;
	rfbInitServer(screen);
	if (screen->listenSock < 0)
		return failure_set(failure, -EADDRINUSE,
				   "vnc: cannot listen on %s port %u (is it taken?)",
				   inet_ntoa(host), port);
	own->listener =
		loop_add(vnc->display->loop, screen->listenSock, EPOLLIN, viewer_ready, own);
	return own->listener ? 0 : -errno;
}

static void destroy(struct vnc_output *vnc)
{
	unsigned int i;

	for (i = 0; i < VGPU_MAX_SCANOUTS; i++) {
		struct vnc_head *own = &vnc->heads[i];

		loop_remove(vnc->display->loop, own->listener);
		if (!own->screen)
			continue;
		rfbShutdownServer(own->screen, TRUE);
		free(own->screen->frameBuffer);
		rfbScreenCleanup(own->screen);
	}
	loop_remove(vnc->display->loop, vnc->timer);
	fd_close(&vnc->timer_fd);
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
	vnc = calloc(1, sizeof(*vnc));
	if (!vnc)
		return -ENOMEM;
	rfbLog = library_log;
	rfbErr = library_log;
	rfbMaxClientWait = VIEWER_WAIT_MS;
	vnc->display = display;
	vnc->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (vnc->timer_fd >= 0)
		vnc->timer = loop_add(display->loop, vnc->timer_fd, EPOLLIN, timer_ready, output);
	if (!vnc->timer)
		ret = failure_set(failure, -errno, "no timer: %s", strerror(errno));
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

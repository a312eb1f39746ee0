// SPDX-License-Identifier: BSD-3-Clause
/* Windows on this machine's own desktop, by SDL2: X11, Wayland and what else SDL knows. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <SDL.h>

#include "common/cleanup.h"
#include "common/deadline.h"
#include "common/log.h"
#include "common/util.h"
#include "display/display.h"
#include "display/keys.h"

/* SDL's events have no descriptor that could be waited for: they are looked for this often. */
#define TICK_NS 16666667L
/* Of one tick; what is left has the next, and the back-end and the adapter are heard in between. */
#define TICK_EVENTS 256
/* A window that is being dragged to another size has many on the way: only the last counts. */
#define RESIZE_NS 300000000ULL

struct sdl_head {
	SDL_Window *window;
	struct rect damage;
	bool redraw; /* all of it, without damage */
	deadline_t resize_at; /* 0: no resize under way */
	uint32_t width, height; /* of the last mode that the window was given the size of */
};

struct sdl_output {
	int timer_fd;
	struct loop_source *timer;
	struct sdl_head heads[VGPU_MAX_SCANOUTS];
};

/* ---- pictures ---- */

/* The picture as an SDL surface, on pixels that the caller frees after it; NULL: no memory. */
static SDL_Surface *picture(const struct head *head, uint32_t **pixels)
{
	const struct rect all = head_rect(head);
	SDL_Surface *surface;

	*pixels = malloc((size_t)head->width * head->height * 4);
	if (!*pixels)
		return NULL;
	head_compose(head, &all, *pixels, head->width);
	surface = SDL_CreateRGBSurfaceWithFormatFrom(*pixels, (int)head->width, (int)head->height,
						     32, (int)head->width * 4,
						     SDL_PIXELFORMAT_RGB888);
	if (surface)
		SDL_SetSurfaceBlendMode(surface, SDL_BLENDMODE_NONE);
	return surface;
}

/* A window of another size than the picture shows it scaled, until the driver follows. */
static void draw(const struct sdl_head *own, const struct head *head)
{
	SDL_Surface *screen = SDL_GetWindowSurface(own->window), *surface = NULL;
	uint32_t *pixels = NULL;

	if (!screen) {
		log_ratelimited(LOG_LEVEL_WARNING, "head %u: no surface: %s", head->index,
				SDL_GetError());
		return;
	}
	if (!head->width) {
		SDL_FillRect(screen, NULL, 0);
	} else {
		surface = picture(head, &pixels);
		if (surface && SDL_BlitScaled(surface, NULL, screen, NULL) < 0)
			log_ratelimited(LOG_LEVEL_WARNING, "head %u: %s", head->index,
					SDL_GetError());
	}
	SDL_FreeSurface(surface);
	free(pixels);
	SDL_UpdateWindowSurface(own->window);
}

static void sdl_damage(struct output *output, struct head *head, const struct rect *rect)
{
	struct sdl_output *sdl = output->priv;
	struct sdl_head *own = &sdl->heads[head->index];

	own->damage = rect_join(own->damage, *rect);
}

/*
 * Only another mode changes the window: with the same one again it may be on its way to a size
 * that somebody has given it.
 */
static void sdl_mode(struct output *output, struct head *head)
{
	struct sdl_output *sdl = output->priv;
	struct sdl_head *own = &sdl->heads[head->index];
	bool other = head->width != own->width || head->height != own->height;

	if (head->width && other && !own->resize_at) {
		SDL_SetWindowSize(own->window, (int)head->width, (int)head->height);
		own->width = head->width;
		own->height = head->height;
	}
	draw(own, head);
}

/* ---- events ---- */

static struct sdl_head *find_window(struct sdl_output *sdl, uint32_t id)
{
	unsigned int i;

	for (i = 0; i < VGPU_MAX_SCANOUTS; i++) {
		if (sdl->heads[i].window && SDL_GetWindowID(sdl->heads[i].window) == id)
			return &sdl->heads[i];
	}
	return NULL;
}

static void window_event(struct output *output, const SDL_WindowEvent *event)
{
	struct sdl_head *own = find_window(output->priv, event->windowID);

	if (!own)
		return;
	switch (event->event) {
	case SDL_WINDOWEVENT_RESIZED:
		own->resize_at = now_ns() + RESIZE_NS;
		own->redraw = true;
		break;
	case SDL_WINDOWEVENT_EXPOSED:
	case SDL_WINDOWEVENT_SIZE_CHANGED:
		own->redraw = true;
		break;
	case SDL_WINDOWEVENT_FOCUS_LOST:
		input_release(&output->display->input);
		break;
	case SDL_WINDOWEVENT_CLOSE:
		log_notice("a window was closed: the display ends");
		loop_quit(output->display->loop, 0);
		break;
	default:
		break;
	}
}

/* SDL's scan codes are usages of HID's keyboard page, those beyond it are of other pages. */
static void key_event(struct output *output, const SDL_KeyboardEvent *event)
{
	if (!event->repeat)
		input_key(&output->display->input, keys_of_usage(event->keysym.scancode),
			  event->type == SDL_KEYDOWN);
}

static void motion_event(struct output *output, const SDL_MouseMotionEvent *event)
{
	struct sdl_output *sdl = output->priv;
	struct sdl_head *own = find_window(sdl, event->windowID);
	const struct head *head;
	int width, height;

	if (!own)
		return;
	head = &output->display->heads[own - sdl->heads];
	SDL_GetWindowSize(own->window, &width, &height);
	/* the window shows the picture scaled until the driver follows */
	if (width > 0 && height > 0)
		input_point(&output->display->input, head,
			    (int)((int64_t)event->x * head->width / width),
			    (int)((int64_t)event->y * head->height / height));
}

static void button_event(struct output *output, const SDL_MouseButtonEvent *event)
{
	static const uint16_t codes[] = {
		[SDL_BUTTON_LEFT] = BTN_LEFT, [SDL_BUTTON_MIDDLE] = BTN_MIDDLE,
		[SDL_BUTTON_RIGHT] = BTN_RIGHT, [SDL_BUTTON_X1] = BTN_SIDE,
		[SDL_BUTTON_X2] = BTN_EXTRA,
	};

	if (event->button < ARRAY_SIZE(codes))
		input_key(&output->display->input, codes[event->button],
			  event->type == SDL_MOUSEBUTTONDOWN);
}

static void take_event(struct output *output, const SDL_Event *event)
{
	switch (event->type) {
	case SDL_WINDOWEVENT:
		window_event(output, &event->window);
		break;
	case SDL_KEYDOWN:
	case SDL_KEYUP:
		key_event(output, &event->key);
		break;
	case SDL_MOUSEMOTION:
		motion_event(output, &event->motion);
		break;
	case SDL_MOUSEBUTTONDOWN:
	case SDL_MOUSEBUTTONUP:
		button_event(output, &event->button);
		break;
	case SDL_MOUSEWHEEL:
		input_wheel(&output->display->input, event->wheel.y, event->wheel.x);
		break;
	default:
		break;
	}
}

static void settle_resize(struct output *output, unsigned int index)
{
	struct sdl_output *sdl = output->priv;
	struct sdl_head *own = &sdl->heads[index];
	int width, height;

	own->resize_at = 0;
	SDL_GetWindowSize(own->window, &width, &height);
	display_resized(output->display, &output->display->heads[index], (uint32_t)width,
			(uint32_t)height);
}

static void tick(void *data, uint32_t events)
{
	struct output *output = data;
	struct sdl_output *sdl = output->priv;
	SDL_Event event;
	uint64_t count;
	unsigned int i;

	(void)events;
	if (read(sdl->timer_fd, &count, sizeof(count)) < 0)
		return;
	for (i = 0; i < TICK_EVENTS && SDL_PollEvent(&event); i++)
		take_event(output, &event);
	for (i = 0; i < output->display->nheads; i++) {
		struct sdl_head *own = &sdl->heads[i];

		if (own->resize_at && deadline_passed(own->resize_at))
			settle_resize(output, i);
		if (own->damage.width || own->redraw)
			draw(own, &output->display->heads[i]);
		own->damage = (struct rect){ 0 };
		own->redraw = false;
	}
}

/* ---- opening ---- */

static void destroy(struct output *output, struct sdl_output *sdl)
{
	unsigned int i;

	for (i = 0; i < VGPU_MAX_SCANOUTS; i++) {
		if (sdl->heads[i].window)
			SDL_DestroyWindow(sdl->heads[i].window);
	}
	loop_remove(output->display->loop, sdl->timer);
	fd_close(&sdl->timer_fd);
	free(sdl);
	SDL_Quit();
}

static int open_windows(struct output *output, struct sdl_output *sdl, struct failure *failure)
{
	unsigned int i;

	for (i = 0; i < output->display->nheads; i++) {
		const struct head *head = &output->display->heads[i];
		char title[48];

		snprintf(title, sizeof(title), "virtio-loopback: head %u", i);
		sdl->heads[i].window =
			SDL_CreateWindow(title, SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED,
					 (int)head->wanted_width, (int)head->wanted_height,
					 SDL_WINDOW_RESIZABLE);
		if (!sdl->heads[i].window)
			return failure_set(failure, -ENODEV, "no window: %s", SDL_GetError());
		sdl->heads[i].width = head->wanted_width;
		sdl->heads[i].height = head->wanted_height;
		draw(&sdl->heads[i], head);
	}
	return 0;
}

static int open_timer(struct output *output, struct sdl_output *sdl, struct failure *failure)
{
	const struct itimerspec when = { { 0, TICK_NS }, { 0, TICK_NS } };

	sdl->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (sdl->timer_fd >= 0 && timerfd_settime(sdl->timer_fd, 0, &when, NULL) == 0)
		sdl->timer = loop_add(output->display->loop, sdl->timer_fd, EPOLLIN, tick, output);
	if (!sdl->timer)
		return failure_set(failure, -errno, "no timer: %s", strerror(errno));
	return 0;
}

static int sdl_open(struct output *output, const char *arg, struct failure *failure)
{
	struct sdl_output *sdl;
	int ret;

	(void)arg;
	/* Signals are the loop's. */
	SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
	SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
	SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
	SDL_SetMainReady();
	if (SDL_Init(SDL_INIT_VIDEO) < 0)
		return failure_set(failure, -ENODEV,
				   "no desktop to show a window on (%s): set DISPLAY or WAYLAND_DISPLAY, or choose png or vnc",
				   SDL_GetError());
	sdl = calloc(1, sizeof(*sdl));
	if (!sdl) {
		SDL_Quit();
		return -ENOMEM;
	}
	sdl->timer_fd = -1;
	ret = open_windows(output, sdl, failure);
	if (!ret)
		ret = open_timer(output, sdl, failure);
	if (ret) {
		destroy(output, sdl);
		return ret;
	}
	output->priv = sdl;
	return 0;
}

static void sdl_close(struct output *output)
{
	destroy(output, output->priv);
}

const struct output_ops output_sdl = {
	.name = "sdl",
	.input = true,
	.wide = true,
	.connects = true,
	.open = sdl_open,
	.mode = sdl_mode,
	.damage = sdl_damage,
	.close = sdl_close,
};

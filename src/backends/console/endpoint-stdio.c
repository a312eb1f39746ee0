// SPDX-License-Identifier: BSD-3-Clause
/* Standard input and output, a terminal mostly: raw, and its size follows SIGWINCH. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "backends/console/endpoint.h"
#include "common/cleanup.h"
#include "common/log.h"

#define STDIO_ESCAPE 0x1d /* Ctrl-] */

struct stdio_end {
	int signals;
	struct loop_source *source;
	int watched; /* the terminal once more, or -1 */
	bool terminal; /* its mode is to be put back */
	struct termios mode;
	int in_flags; /* before O_NONBLOCK, which is shared with others who have the file */
	int out_flags;
};

static void window_changed(void *data, uint32_t events)
{
	struct endpoint *ep = data;
	struct stdio_end *s = ep->priv;
	struct signalfd_siginfo info;

	(void)events;
	if (read(s->signals, &info, sizeof(info)) == sizeof(info))
		endpoint_look_at_size(ep, STDIN_FILENO);
}

static int watch_window(struct endpoint *ep, struct stdio_end *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0)
		return -errno;
	s->source = loop_add(ep->loop, s->signals, EPOLLIN, window_changed, ep);
	return s->source ? 0 : -errno;
}

static void terminal_gone(void *data, uint32_t events)
{
	struct endpoint *ep = data;

	(void)events;
	log_info("the terminal has gone");
	loop_quit(ep->loop, 0);
}

/*
 * Not every terminal that goes sends SIGHUP: another session's does not. By a descriptor of its
 * own, as the other is watched only while something is waited for.
 */
static int watch_terminal(struct endpoint *ep, struct stdio_end *s)
{
	s->watched = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (s->watched < 0 || !loop_add(ep->loop, s->watched, 0, terminal_gone, ep))
		return -errno;
	return 0;
}

static void make_raw(struct stdio_end *s)
{
	struct termios raw;

	raw = s->mode;
	cfmakeraw(&raw);
	raw.c_lflag |= ISIG; /* Ctrl-] ends this program; all else is the port's */
	raw.c_cc[VINTR] = STDIO_ESCAPE;
	raw.c_cc[VQUIT] = _POSIX_VDISABLE;
	raw.c_cc[VSUSP] = _POSIX_VDISABLE;
	s->terminal = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static void stdio_close(struct endpoint *ep)
{
	struct stdio_end *s = ep->priv;

	fd_close(&s->signals);
	fd_close(&s->watched);
	if (s->terminal)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &s->mode);
	if (s->in_flags >= 0)
		fcntl(STDIN_FILENO, F_SETFL, s->in_flags);
	if (s->out_flags >= 0)
		fcntl(STDOUT_FILENO, F_SETFL, s->out_flags);
	free(s);
	ep->priv = NULL;
}

static int stdio_open(struct endpoint *ep)
{
	struct stdio_end *s = malloc(sizeof(*s));
	bool terminal;
	int ret = 0;

	if (!s)
		return -ENOMEM;
	*s = (struct stdio_end){
		.signals = -1,
		.watched = -1,
		.in_flags = fcntl(STDIN_FILENO, F_GETFL),
		.out_flags = fcntl(STDOUT_FILENO, F_GETFL),
	};
	ep->priv = s;
	terminal = tcgetattr(STDIN_FILENO, &s->mode) == 0;
	if (s->in_flags < 0 || s->out_flags < 0 ||
	    fcntl(STDIN_FILENO, F_SETFL, s->in_flags | O_NONBLOCK) < 0 ||
	    fcntl(STDOUT_FILENO, F_SETFL, s->out_flags | O_NONBLOCK) < 0)
		ret = -errno;
	if (!ret)
		ret = watch_window(ep, s);
	if (!ret && terminal)
		ret = watch_terminal(ep, s);
	if (ret) {
		log_error("standard input and output cannot be used: %s", strerror(-ret));
		stdio_close(ep);
		return ret;
	}
	if (terminal)
		make_raw(s);
	endpoint_look_at_size(ep, STDIN_FILENO);
	endpoint_connected(ep, STDIN_FILENO, STDOUT_FILENO);
	return 0;
}

const struct endpoint_kind endpoint_stdio = {
	.name = "stdio",
	.open = stdio_open,
	.close = stdio_close,
	.left = endpoint_left,
};

// SPDX-License-Identifier: BSD-3-Clause
#include "display/control.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "display/display.h"
#include "vhost-user/socket.h"

void control_init(struct control *control, struct display *display)
{
	control->display = display;
	control->sock = -1;
	control->source = NULL;
}

/* Return: the order, 0 when there is none, or a negative errno. */
static int receive(struct control *control, int *fd)
{
	unsigned int nfds = 0;
	char order;
	ssize_t n = socket_receive(control->sock, &order, 1, fd, &nfds, 1);

	if (n < 0)
		return n == -EAGAIN ? 0 : (int)n;
	return (unsigned char)order;
}

static void control_event(void *data, uint32_t events)
{
	struct control *control = data;
	struct display *display = control->display;
	_cleanup_close_ int fd = -1;
	int order, ret;

	(void)events;
	order = receive(control, &fd);
	switch (order) {
	case 0:
		return;
	case 'S':
		if (fd < 0) {
			log_warning("the adapter sent no socket with its order");
			return;
		}
		ret = client_start(&display->client, fd_steal(&fd));
		if (ret)
			log_warning("cannot use the back-end's socket: %s", strerror(-ret));
		return;
	case 'Q':
		break;
	default:
		if (order > 0) {
			log_warning("the adapter sent an order that is not known: %#x", order);
			return;
		}
		log_info("the adapter has gone");
	}
	loop_quit(display->loop, 0);
}

int control_start(struct control *control, int sock)
{
	socklen_t len = sizeof(int);
	int type = 0;

	if (getsockopt(sock, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return -errno;
	if (type != SOCK_SEQPACKET)
		return -EPROTOTYPE;
	control->source = loop_add(control->display->loop, sock, EPOLLIN, control_event, control);
	if (!control->source)
		return -errno;
	control->sock = sock;
	return 0;
}

void control_finish(struct control *control)
{
	loop_remove(control->display->loop, control->source);
	control->source = NULL;
	fd_close(&control->sock);
}

/* An adapter that does not read misses something; the next change of size tells it anew. */
static void tell(struct control *control, const char *text)
{
	if (control->sock >= 0 &&
	    send(control->sock, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("the adapter was not told \"%s\": %s", text, strerror(errno));
}

void control_ready(struct control *control)
{
	tell(control, "ready");
}

void control_resize(struct control *control, const struct head *head)
{
	char text[64];

	snprintf(text, sizeof(text), "resize %u %u %u", head->index, head->wanted_width,
		 head->wanted_height);
	tell(control, text);
}

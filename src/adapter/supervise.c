// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/unwanted.h"
#include "common/util.h"
#include "common/word-split.h"
#include "vhost-user/socket.h"

#define CONNECT_RETRY_MS 20
#define ANSWER_MS 2000 /* the keeper has much less to do for one */
/* the keeper ends its back-end within this time, whatever that does */
#define FINISH_MS (KEEPER_ASKED_MS * (KEEPER_KILLS_MAX + 2))

/* Puts the socket into the command line, in the way that it asks for. */
static int prepare_words(struct supervisor *s, const char *path)
{
	char number[16];
	int found;

	found = word_list_replace(s->words, "{socket}", path);
	if (found < 0)
		return found;
	if (found) {
		s->path = path;
		return 0;
	}
	snprintf(number, sizeof(number), "%d", KEEPER_BACKEND_FD);
	found = word_list_replace(s->words, "{fd}", number);
	if (found)
		return found < 0 ? found : 0;
	found = word_list_append(&s->words, "--fd");
	return found ? found : word_list_append(&s->words, number);
}

/* In the child: leaves nothing open but the socket. */
static _Noreturn void become_keeper(const struct supervisor *s, int sock,
				    const struct keeper_device *device,
				    const struct keeper_restart *restart, pid_t adapter)
{
	if (sock != KEEPER_FD && dup3(sock, KEEPER_FD, O_CLOEXEC) < 0)
		_exit(1);
	close_range(KEEPER_FD + 1, ~0U, 0);
	keeper_main(s->words, s->path, device, restart, adapter);
}

static int fork_keeper(struct supervisor *s, const struct keeper_device *device,
		       const struct keeper_restart *restart)
{
	pid_t self = getpid();
	int pair[2], on = 1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	unwanted_refuse(pair[1], true);
	/* the kernel tells the keeper who sends */
	if (setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) {
		int error = errno;

		close(pair[0]);
		close(pair[1]);
		return -error;
	}
	s->keeper = fork();
	if (s->keeper == 0)
		become_keeper(s, pair[1], device, restart, self);
	close(pair[1]);
	if (s->keeper < 0) {
		s->keeper = 0;
		close(pair[0]);
		return -EAGAIN;
	}
	s->sock = pair[0];
	s->child = true;
	s->reaches = s->path != NULL;
	return 0;
}

static int understand(struct supervisor *s, const char *command, const char *path,
		      struct failure *failure)
{
	int ret;

	*s = SUPERVISOR_NONE;
	s->user = geteuid();
	if (!command) {
		s->path = path;
		return 0;
	}
	ret = word_split(command, &s->words);
	if (ret == -EINVAL || ret == 0)
		return failure_set(failure, -EINVAL, "--exec '%s': %s", command,
				   ret ? "a quote is not closed" : "no program is named");
	if (ret > 0)
		ret = prepare_words(s, path);
	return ret ? failure_set(failure, ret, "--exec: %s", strerror(-ret)) : 0;
}

int supervisor_init(struct supervisor *s, const char *command, const char *path,
		    const struct keeper_device *device, const struct keeper_restart *restart,
		    struct failure *failure)
{
	int ret;

	ret = understand(s, command, path, failure);
	if (!ret) {
		ret = fork_keeper(s, device, restart);
		if (ret)
			failure_set(failure, ret, "the process that keeps the device: %s",
				    strerror(-ret));
	}
	if (ret)
		supervisor_finish(s);
	return ret;
}

static int send_order(struct supervisor *s, int what, int value)
{
	const struct keeper_note note = { .what = what, .value = value };

	return send(s->sock, &note, sizeof(note), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static bool socket_is(int fd, int option, int expected)
{
	socklen_t len = sizeof(int);
	int value = -1;

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 && value == expected;
}

/* Whether what came is what a keeper sends. No file system is asked for that. */
static bool is_connection(int fd)
{
	return socket_is(fd, SO_DOMAIN, AF_UNIX) && socket_is(fd, SO_TYPE, SOCK_STREAM) &&
	       socket_is(fd, SO_ACCEPTCONN, 0);
}

static bool is_node(int fd)
{
	struct statx st;

	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) == 0 &&
	       S_ISCHR(st.stx_mode);
}

static bool is_expected(const struct keeper_note *note, int fd)
{
	return note->what == NEWS_NODE ? is_node(fd) : is_connection(fd);
}

/*
 * Takes one note, and what comes with it, if there is one: 1, 0, or -ECONNRESET. An adapter that
 * was taken over can have left another socket than the keeper's: what comes there, and is none of
 * the keeper's, can take for ever to close, and stays open with that socket.
 */
static int take_note(struct supervisor *s, struct keeper_note *note)
{
	unsigned int nfds = 0;
	ssize_t n;

	/* that of an answer that nobody waits for any longer; the peer has sent what is in it */
	unwanted_close(&s->descriptor);
	n = socket_receive_all(s->sock, note, sizeof(*note), &s->descriptor, &nfds, 1);
	if (n == -EAGAIN)
		return 0;
	if (n == -EBADFD || (nfds && (n != sizeof(*note) || !is_expected(note, s->descriptor)))) {
		s->descriptor = -1;
		s->strange = true;
		return -ECONNRESET;
	}
	if (n != sizeof(*note))
		return -ECONNRESET;
	if (note->what == NEWS_STARTED) {
		s->backend = note->value;
		s->ending = false;
	} else if (note->what == NEWS_ENDED) {
		s->backend = 0;
		s->status = note->value;
	} else if (note->what == NEWS_STATUS) {
		s->backend = note->value;
	} else if (note->what == NEWS_REACHES) {
		s->reaches = note->value;
	}
	return 1;
}

int supervisor_ready(struct supervisor *s)
{
	struct keeper_note note;
	int ret;

	do {
		ret = take_note(s, &note);
	} while (ret > 0);
	return ret;
}

static int wait_note(struct supervisor *s, struct keeper_note *note, deadline_t deadline)
{
	int ret;

	do {
		ret = poll_fd(s->sock, POLLIN, deadline);
		if (ret >= 0)
			ret = take_note(s, note);
	} while (ret == 0);
	return ret < 0 ? ret : 0;
}

static int wait_started(struct supervisor *s, deadline_t deadline, struct failure *failure)
{
	struct keeper_note note = { 0 };
	int ret;

	do {
		ret = wait_note(s, &note, deadline);
	} while (!ret && note.what != NEWS_STARTED && note.what != NEWS_FAILED);
	if (ret)
		return failure_set(failure, ret, "%s: could not be started: %s", s->words[0],
				   strerror(-ret));
	if (note.what == NEWS_FAILED)
		return failure_set(failure, -note.value, "%s: cannot be started: %s", s->words[0],
				   strerror(note.value));
	return 0;
}

/*
 * Others may write to the folder of the path, and whoever is there first is connected to. The
 * back-end runs as the keeper's user, or gets more by itself; the kernel tells as whom it listens.
 */
static bool is_ours(const struct supervisor *s, int sock, uid_t *uid)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(peer);
	bool known = getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0;

	*uid = peer.uid;
	return known && (peer.uid == s->user || peer.uid == 0);
}

/*
 * Asks for a descriptor. The number is to tell the answer from that to an earlier question, which
 * nobody waited for.
 */
static int ask(struct supervisor *s, int order, int news, struct keeper_note *note)
{
	deadline_t deadline = deadline_after_ms(ANSWER_MS);
	int ret;

	s->asked = s->asked == INT_MAX ? 0 : s->asked + 1;
	ret = send_order(s, order, s->asked);
	while (!ret) {
		ret = wait_note(s, note, deadline);
		if (!ret && note->what == news && note->number == s->asked)
			break;
	}
	if (!ret && !note->value && s->descriptor < 0)
		ret = -EPROTO;
	return ret;
}

/* One try. -EAGAIN: its queue of connections is full. */
static int connect_once(struct supervisor *s)
{
	struct keeper_note note;
	int ret = ask(s, ORDER_CONNECT, NEWS_CONNECTED, &note);

	if (ret)
		return ret;
	if (note.value)
		return note.value == ETIMEDOUT ? -EAGAIN : -note.value;
	return fd_steal(&s->descriptor);
}

int supervisor_connect(struct supervisor *s, deadline_t deadline)
{
	int ret = connect_once(s);

	/* poll() does not tell when there is room again (unix(7)) */
	while (ret == -EAGAIN && !deadline_passed(deadline)) {
		poll(NULL, 0, CONNECT_RETRY_MS);
		ret = connect_once(s);
	}
	return ret == -EAGAIN ? -ETIMEDOUT : ret;
}

/* To the back-end; -EPERM with @failure set when it is a stranger who listens. */
static int connect_ours(struct supervisor *s, deadline_t deadline, struct failure *failure)
{
	_cleanup_close_ int sock = supervisor_connect(s, deadline);
	uid_t uid;

	if (sock < 0)
		return sock;
	if (is_ours(s, sock, &uid))
		return fd_steal(&sock);
	failure_clear(failure);
	return failure_set(failure, -EPERM, "%s: a process of user %u listens there in the place "
			   "of the back-end: it is not connected to", s->path, (unsigned int)uid);
}

/* Waits for a back-end that listens by itself. What is said of a stranger stays said. */
static int connect_started(struct supervisor *s, deadline_t deadline, struct failure *failure)
{
	struct failure stranger = { 0 };
	char how[64];
	bool ended;
	int ret;

	for (;;) {
		ret = connect_ours(s, deadline, &stranger);
		if (ret >= 0)
			return ret;
		ended = supervisor_ready(s) < 0 || !s->backend;
		if (stranger.text[0] && (ended || deadline_passed(deadline)))
			return failure_set(failure, -EPERM, "%s", stranger.text);
		if (ret != -ENOENT && ret != -ECONNREFUSED && !stranger.text[0])
			return failure_set(failure, ret, "%s: %s", s->path, strerror(-ret));
		if (ended)
			return failure_set(failure, -ECONNREFUSED,
					   "%s: the back-end %s before it listened", s->words[0],
					   supervisor_describe(s->status, how, sizeof(how)));
		if (deadline_passed(deadline))
			return failure_set(failure, -ETIMEDOUT,
					   "%s: the back-end runs and does not listen on %s",
					   s->words[0], s->path);
		poll(NULL, 0, CONNECT_RETRY_MS);
	}
}

int supervisor_start(struct supervisor *s, deadline_t deadline, struct failure *failure)
{
	int ret;

	ret = send_order(s, ORDER_START, 0);
	if (ret)
		return failure_set(failure, ret, "the process that starts back-ends is gone");
	ret = wait_started(s, deadline, failure);
	if (ret)
		return ret;
	if (s->path)
		return connect_started(s, deadline, failure);
	if (s->descriptor < 0)
		return failure_set(failure, -EPROTO, "the process that starts back-ends: no connection");
	return fd_steal(&s->descriptor);
}

int supervisor_open_node(struct supervisor *s)
{
	struct keeper_note note;
	int ret;

	if (s->sock < 0)
		return -ENOTCONN;
	ret = ask(s, ORDER_NODE, NEWS_NODE, &note);
	if (ret)
		return ret;
	return note.value ? -note.value : fd_steal(&s->descriptor);
}

int supervisor_release_console(struct supervisor *s, int parent)
{
	deadline_t deadline = deadline_after_ms(ANSWER_MS);
	struct keeper_note note = { 0 };
	int ret;

	if (s->sock < 0)
		return -ENOTCONN;
	ret = send_order(s, ORDER_CONSOLE, parent);
	while (!ret && note.what != NEWS_RELEASED)
		ret = wait_note(s, &note, deadline);
	return ret;
}

bool supervisor_end_backend(struct supervisor *s)
{
	/* without the keeper there is no back-end either: it would have been killed */
	if (supervisor_ready(s) || !s->backend)
		return true;
	if (!s->ending)
		s->ending = !send_order(s, ORDER_STOP, 0);
	return false;
}

int supervisor_stop(struct supervisor *s, deadline_t deadline)
{
	struct keeper_note note;
	int ret = 0;

	while (!ret && !supervisor_end_backend(s))
		ret = wait_note(s, &note, deadline);
	return ret == -ECONNRESET ? 0 : ret;
}

static void forget(struct supervisor *s)
{
	unwanted_close(&s->descriptor);
	if (s->strange)
		s->sock = -1;
	fd_close(&s->sock);
	word_list_free(s->words);
	s->words = NULL;
	s->reaches = false;
}

void supervisor_finish(struct supervisor *s)
{
	deadline_t deadline = deadline_after_ms(FINISH_MS);
	struct keeper_note note;
	int ret;

	if (s->sock >= 0 && !send_order(s, ORDER_END, 0)) {
		/* its end of the socket closes with it */
		do {
			ret = wait_note(s, &note, deadline);
		} while (!ret);
	}
	forget(s);
	/* Nor is one waited for for ever that does not end: somebody may have stopped it. */
	while (s->child && waitpid(s->keeper, NULL, WNOHANG) == 0 && !deadline_passed(deadline))
		poll(NULL, 0, CONNECT_RETRY_MS);
}

/* Who made the pair of sockets: another user's back-ends are not this adapter's user's. */
static uid_t keeper_user(int sock, uid_t otherwise)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(peer);

	return getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? peer.uid : otherwise;
}

int supervisor_adopt(struct supervisor *s, int sock, const char *command, const char *path,
		     bool sandbox, struct failure *failure)
{
	deadline_t deadline = deadline_after_ms(ANSWER_MS);
	struct keeper_note note = { 0 };
	int ret;

	ret = understand(s, command, path, failure);
	s->sock = sock;
	if (ret)
		return ret;
	s->user = keeper_user(sock, s->user);
	ret = send_order(s, ORDER_ADOPT, sandbox);
	/* what it told the last adapter may wait there still */
	while (!ret && note.what != NEWS_STATUS)
		ret = wait_note(s, &note, deadline);
	return ret ? failure_set(failure, ret, "the process that keeps the device: %s",
				 strerror(-ret)) :
		     0;
}

int supervisor_yield(struct supervisor *s)
{
	return s->sock < 0 ? 0 : send_order(s, ORDER_YIELD, 0);
}

void supervisor_leave(struct supervisor *s)
{
	forget(s);
	if (s->child)
		waitpid(s->keeper, NULL, WNOHANG);
}

const char *supervisor_describe(int status, char *buf, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(buf, size, "was killed by signal %d", WTERMSIG(status));
	else
		snprintf(buf, size, "exited with status %d", WEXITSTATUS(status));
	return buf;
}

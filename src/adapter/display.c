// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/display.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapter/user.h"
#include "common/cleanup.h"
#include "common/find-program.h"
#include "common/log.h"
#include "common/unwanted.h"
#include "common/util.h"
#include "vhost-user/socket.h"

#define CONTROL_FD 3 /* in the display: its end of the socket */
#define LINE_MAX_BYTES 128
#define LINES_BURST 16 /* then others have their turn */
#define END_MS 2000
#define END_POLL_MS 10
#define WORDS_MAX 16

void display_init(struct display *display)
{
	*display = (struct display){ .sock = -1, .link = -1 };
}

/* ---- starting ---- */

static void make_words(const struct adapter_options *o, const struct run_as *user,
		       const char *program, const char **words)
{
	static char heads[16], whom[USER_WORD_SIZE];
	unsigned int n = 0;

	words[n++] = program;
	words[n++] = "--control-fd";
	words[n++] = "3";
	words[n++] = "--mode";
	words[n++] = o->display;
	words[n++] = "--heads";
	snprintf(heads, sizeof(heads), "%u", o->heads);
	words[n++] = heads;
	if (o->resolution) {
		words[n++] = "--resolution";
		words[n++] = o->resolution;
	}
	if (o->display_input) {
		words[n++] = "--input";
		words[n++] = o->display_input;
	}
	if (o->display_render_node) {
		words[n++] = "--render-node";
		words[n++] = o->display_render_node;
	}
	if (user->given) {
		words[n++] = "--user";
		words[n++] = user_word(user, whom);
	}
	words[n] = NULL;
}

/* In the child. What goes wrong is told through @errors. */
static _Noreturn void become_display(const char **words, int sock, int errors, pid_t parent)
{
	sigset_t none;
	int error, null;

	setpgid(0, 0);
	/* It ends with the adapter, however that came. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	/* above what CONTROL_FD replaces */
	errors = fcntl(errors, F_DUPFD_CLOEXEC, CONTROL_FD + 1);
	sock = fcntl(sock, F_DUPFD_CLOEXEC, CONTROL_FD + 1);
	if (sock < 0 || errors < 0 || dup2(sock, CONTROL_FD) < 0)
		_exit(127);
	/* What the caller left open is none of the display's, which may be taken over. */
	close_range(CONTROL_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	execvp(words[0], (char *const *)words);
	error = errno;
	if (write(errors, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

/* Return: 0, or a negative errno when the program cannot be started. */
static int spawn(struct display *display, const char **words)
{
	_cleanup_close_ int ours = -1;
	_cleanup_close_ int theirs = -1;
	_cleanup_close_ int result = -1;
	int pair[2], pipes[2], error = 0;
	pid_t parent = getpid();

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	unwanted_refuse(ours, true);
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	result = pipes[0];
	display->pid = fork();
	if (display->pid == 0)
		become_display(words, theirs, pipes[1], parent);
	error = display->pid < 0 ? errno : 0;
	close(pipes[1]);
	/* the pipe closes with a successful execve() */
	if (!error && read(result, &error, sizeof(error)) == sizeof(error))
		waitpid(display->pid, NULL, 0);
	if (error) {
		display->pid = 0;
		return -error;
	}
	display->sock = fd_steal(&ours);
	return 0;
}

/* One packet: 1 with a line, 0 when there is none, -ECONNRESET. */
static int take_line(struct display *display, char *line)
{
	ssize_t n = unwanted_recv(display->sock, line, LINE_MAX_BYTES - 1);

	if (n <= 0)
		return n == -EAGAIN ? 0 : -ECONNRESET;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return 1;
}

static int wait_ready(struct display *display, const char *program, deadline_t deadline,
		      struct failure *failure)
{
	char line[LINE_MAX_BYTES];
	int ret;

	do {
		ret = poll_fd(display->sock, POLLIN, deadline);
		if (ret >= 0)
			ret = take_line(display, line);
		/* one that has always something to say lets no wait run out */
		if (ret >= 0 && deadline_passed(deadline))
			ret = -ETIMEDOUT;
		if (ret == -ETIMEDOUT)
			return failure_set(failure, ret, "%s does not come up", program);
		if (ret < 0)
			return failure_set(failure, ret, "%s ended before it could show anything",
					   program);
	} while (!ret || strcmp(line, "ready") != 0);
	return 0;
}

int display_start(struct display *display, const struct adapter_options *options,
		  const struct run_as *user, deadline_t deadline, struct failure *failure)
{
	const char *words[WORDS_MAX], *program = options->display_program;
	char path[PATH_MAX];
	int ret;

	if (!program)
		program = find_program(path, sizeof(path), "display", DISPLAY_PROGRAM);
	make_words(options, user, program, words);
	ret = spawn(display, words);
	if (ret)
		return failure_set(failure, ret, "%s cannot be started: %s", program,
				   strerror(-ret));
	return wait_ready(display, program, deadline, failure);
}

/* ---- the socket between display and back-end ---- */

static int send_socket(struct display *display, int fd)
{
	char what = 'S';
	struct iovec iov = { .iov_base = &what, .iov_len = 1 };
	/* a display that takes in nothing is not waited for */
	ssize_t n = socket_send(display->sock, &iov, 1, &fd, 1);

	return n < 0 ? (int)n : 0;
}

int display_connect(struct display *display, struct failure *failure)
{
	_cleanup_close_ int ours = -1;
	_cleanup_close_ int theirs = -1;
	int pair[2], ret;

	display_disconnect(display);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return failure_set(failure, -errno, "socketpair: %s", strerror(errno));
	ours = pair[0];
	theirs = pair[1];
	unwanted_refuse(theirs, true); /* only the back-end's messages have descriptors */
	ret = send_socket(display, ours);
	if (ret)
		return failure_set(failure, ret, "the display takes no socket: %s", strerror(-ret));
	display->link = fd_steal(&ours);
	return fd_steal(&theirs);
}

void display_disconnect(struct display *display)
{
	/*
	 * The display has it too, or has given it up: with a buffer in its queue that nobody has
	 * taken in yet it stays open, until this process ends.
	 */
	if (unwanted_close(&display->link))
		log_debug("the back-end's last buffer was not taken in by the display");
}

/* ---- while it runs ---- */

int display_ready(struct display *display)
{
	unsigned int i, head, width, height;
	char line[LINE_MAX_BYTES], rest;
	int ret = 1;

	for (i = 0; i < LINES_BURST && (ret = take_line(display, line)) > 0; i++) {
		/* the numbers are the display's: the driver asks it, by the back-end */
		/* NOLINTNEXTLINE(cert-err34-c) */
		if (sscanf(line, "resize %u %u %u%c", &head, &width, &height, &rest) == 3) {
			log_debug("display: head %u is %ux%u now", head, width, height);
			display->changed = true;
		} else {
			log_ratelimited(LOG_LEVEL_WARNING, "the display says what is not known");
		}
	}
	return MIN(ret, 0);
}

void display_finish(struct display *display)
{
	deadline_t deadline = deadline_after_ms(END_MS);

	display_disconnect(display);
	if (display->sock >= 0)
		send(display->sock, "Q", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	unwanted_close_packets(&display->sock);
	/* one that does not end is killed by the kernel when this process ends */
	while (display->pid && waitpid(display->pid, NULL, WNOHANG) == 0 &&
	       !deadline_passed(deadline))
		poll(NULL, 0, END_POLL_MS);
	display->pid = 0;
}

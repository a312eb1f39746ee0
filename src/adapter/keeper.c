// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/virtio_loopback.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapter/console.h"
#include "adapter/sandbox.h"
#include "common/child.h"
#include "common/cleanup.h"
#include "common/confine.h"
#include "common/deadline.h"
#include "common/log.h"
#include "common/unix-socket.h"
#include "common/util.h"
#include "vhost-user/socket.h"

#define LOW_FDS 10 /* the keeper keeps the numbers below free of its own descriptors */
#define DELAY_MIN_MS 50U
#define DELAY_MAX_MS 1000U
#define SETTLED_MS 2000 /* an adapter that lives for so long did not fail at its start */
#define SUCCESSOR_MS 10000 /* how long one that was announced, or started, may take */
#define TRIES_MAX 30
#define GROUP_POLL_MS 20
/* How long the file system of a program, or of a path, may take. Who listens is not waited for. */
#define EXECUTE_MS 5000
#define CONNECT_MS 1000

struct keeper {
	/* the back-end */
	char **words;
	const char *path; /* where it listens, NULL: nowhere */
	pid_t child; /* 0: none; and its process group */
	bool reaped; /* it has ended, and processes of its group are left */
	int status; /* how */
	deadline_t group_until;
	deadline_t kill_at;
	unsigned int kills;

	/* the adapter */
	const struct keeper_device *device;
	const struct keeper_restart *restart;
	char program[PATH_MAX];
	bool sandbox;
	pid_t adapter_pid; /* who is heard */
	int adapter; /* pidfd; -1: it is gone, or not known */
	int former; /* the one before, which ends; -1: it has */
	deadline_t former_until;
	pid_t heir; /* one that was started here and is no adapter yet, 0: none */
	bool yielded;
	deadline_t restart_at;
	deadline_t settled;
	unsigned int delay_ms;
	unsigned int tries;

	int signals;
	bool over; /* nobody is left to serve */
	bool asked; /* ... as the adapter has said, which waits, and keeps the name for so long */
};

/* ---- talking ---- */

/*
 * @fd: goes with it, -1: none. What a dead adapter does not read is not missed: the next one is
 * told how things are when it says ADOPT.
 */
static void tell_with(struct keeper_note note, int fd)
{
	struct iovec iov = { .iov_base = &note, .iov_len = sizeof(note) };

	socket_send(KEEPER_FD, &iov, 1, &fd, fd >= 0);
}

static void tell(int what, int value)
{
	tell_with((struct keeper_note){ .what = what, .value = value }, -1);
}

/* A descriptor above the low ones, close-on-exec. */
static int move_up(int fd)
{
	int up = fcntl(fd, F_DUPFD_CLOEXEC, LOW_FDS);

	close(fd);
	return up;
}

static void unblock_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* ---- the back-end ---- */

/* In the child: becomes the back-end. What goes wrong is told through @errors. */
static _Noreturn void become_backend(char **words, int connection, int errors, pid_t parent)
{
	int error, null;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	unblock_signals();
	signal(SIGPIPE, SIG_DFL);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	if (connection >= 0 && dup2(connection, KEEPER_BACKEND_FD) < 0)
		_exit(127);
	execvp(words[0], words);
	error = errno;
	if (write(errors, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

/* Return: 0: it is the back-end now; or an errno: EIO, the program's file system does not answer */
static int backend_executed(pid_t child, int errors)
{
	int error = 0;

	/* the pipe closes with a successful execve() */
	if (poll_fd(errors, POLLIN, deadline_after_ms(EXECUTE_MS)) <= 0) {
		child_kill(child);
		return EIO;
	}
	if (read(errors, &error, sizeof(error)) == sizeof(error))
		waitpid(child, NULL, 0);
	return error;
}

/* Return: 0 or an errno. @connection: what it inherits, -1: nothing. */
static int backend_fork(struct keeper *k, int connection)
{
	_cleanup_close_ int errors = -1;
	pid_t parent = getpid(), child;
	int pair[2], error = 0;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return errno;
	errors = move_up(pair[0]);
	pair[1] = move_up(pair[1]);
	child = fork();
	if (child == 0)
		become_backend(k->words, connection, pair[1], parent);
	error = child < 0 ? errno : 0;
	close(pair[1]);
	if (!error)
		error = backend_executed(child, errors);
	if (error)
		return error;
	k->child = child;
	k->reaped = false;
	k->kills = 0;
	k->kill_at = DEADLINE_NEVER;
	return 0;
}

static void backend_start(struct keeper *k)
{
	_cleanup_close_ int ours = -1;
	_cleanup_close_ int theirs = -1;
	int pair[2], error = 0;

	if (k->path) {
		unlink(k->path); /* the last one's */
	} else {
		error = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ? errno : 0;
		if (!error) {
			ours = move_up(pair[0]);
			theirs = move_up(pair[1]);
		}
	}
	if (!error)
		error = backend_fork(k, theirs);
	if (error)
		tell(NEWS_FAILED, error);
	else
		tell_with((struct keeper_note){ NEWS_STARTED, k->child, 0 }, ours);
}

/* In the child, which is the adapter's user then, and may go where root may. */
static _Noreturn void connect_as(const struct run_as *user, int sock, const char *path)
{
	int ret = run_as_become(user, NULL, 0, NULL);

	confine_effective(1U << CAP_DAC_OVERRIDE);
	if (!ret)
		ret = unix_connect_to(sock, path, DEADLINE_NOW);
	_exit(-ret);
}

/*
 * The other side sees who connected, and may believe root: what is listened to at the path is for
 * whoever may write to its folder to say. Return: 0 or an errno; EIO, the path's file system does
 * not answer.
 */
static int connect_sock(const struct keeper *k, int sock)
{
	pid_t child = fork();
	int ret;

	if (child == 0)
		connect_as(&k->device->user, sock, k->path);
	if (child < 0)
		return errno;
	ret = child_wait(child, deadline_after_ms(CONNECT_MS));
	return ret < 0 ? -ret : ret;
}

/* One try: who wants another one asks again. */
static void backend_connect(const struct keeper *k, int number)
{
	_cleanup_close_ int sock = k->path ? unix_stream() : -ENOTCONN;
	const int error = sock < 0 ? -sock : connect_sock(k, sock);

	tell_with((struct keeper_note){ NEWS_CONNECTED, error, number }, error ? -1 : sock);
}

/*
 * The device is then of whom the keeper is, and not of whom the adapter has become. So is every
 * other one of root's, which is none of this adapter's business.
 */
static int open_restricted(const struct keeper_device *device)
{
	struct virtio_loopback_restrict restricted = { .size = sizeof(restricted) };
	_cleanup_close_ int fd = open(device->node, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (strlen(device->name) >= sizeof(restricted.name))
		return -ENAMETOOLONG;
	strcpy(restricted.name, device->name);
	/* ENOTTY: of a module from before there was the call */
	if (ioctl(fd, VIRTIO_LOOPBACK_RESTRICT, &restricted) < 0 && errno != ENOTTY)
		return -errno;
	return fd_steal(&fd);
}

static void open_node(const struct keeper *k, int number)
{
	_cleanup_close_ int fd = open_restricted(k->device);
	const int error = fd < 0 ? -fd : 0;

	tell_with((struct keeper_note){ NEWS_NODE, error, number }, fd);
}

/* The whole group: the command may be a shell that started the back-end. */
static void backend_signal(struct keeper *k, int signal)
{
	if (!k->child)
		return;
	if (kill(-k->child, signal) < 0 && !k->reaped)
		kill(k->child, signal);
}

static void backend_stop(struct keeper *k)
{
	if (!k->child || k->reaped)
		return; /* nobody to ask */
	backend_signal(k, SIGTERM);
	/* a stopped process takes its SIGTERM when it goes on */
	backend_signal(k, SIGCONT);
	k->kill_at = deadline_after_ms(KEEPER_ASKED_MS);
}

/*
 * The command may be a shell, and the back-end its child. Of both nothing is left when the group is
 * empty: until then a process may be on its way out, and its I/O with it, in memory that the next
 * back-end gets. This looks, and is to be called again.
 */
static void backend_look(struct keeper *k)
{
	bool empty = kill(-k->child, 0) < 0 && errno == ESRCH;

	if (!empty && !deadline_passed(k->group_until))
		return;
	if (!empty)
		log_warning("%s: a process of the back-end's does not end, and is not waited for "
			    "any longer", k->words[0]);
	k->child = 0;
	k->reaped = false;
	tell(NEWS_ENDED, k->status);
}

static void backend_ended(struct keeper *k, int status)
{
	k->reaped = true;
	k->status = status;
	k->kill_at = DEADLINE_NEVER;
	k->group_until = deadline_after_ms(KEEPER_GROUP_MS);
	backend_signal(k, SIGKILL); /* what it may have left in its group */
}

/* ---- the adapter ---- */

/* In the child: becomes an adapter that takes over the device of this name. */
static _Noreturn void become_adapter(const struct keeper *k)
{
	const struct keeper_restart *r = k->restart;
	const struct keeper_device *d = k->device;
	const char *args[18] = { k->program,	"--takeover", "--name",	  d->name,
				 "--state-dir", d->state_dir, "--node", d->node };
	size_t n = 8;

	if (r->socket || r->exec) {
		args[n++] = r->socket ? "--socket" : "--exec";
		args[n++] = r->socket ? r->socket : r->exec;
	}
	if (r->user) {
		args[n++] = "--user";
		args[n++] = r->user;
	}
	if (!k->sandbox)
		args[n++] = "--no-sandbox";
	if (r->verbose)
		args[n++] = "--verbose";
	unblock_signals();
	execv(k->program, (char **)args);
	log_error("%s: another adapter cannot be started: %s", k->program, strerror(errno));
	_exit(127);
}

static void adapter_try_later(struct keeper *k)
{
	k->delay_ms = MIN(MAX(k->delay_ms * 2, DELAY_MIN_MS), DELAY_MAX_MS);
	k->restart_at = deadline_after_ms(k->delay_ms);
}

static void adapter_restart(struct keeper *k)
{
	pid_t heir;

	if (k->heir) { /* it does not come to the point */
		kill(k->heir, SIGKILL);
		k->restart_at = DEADLINE_NEVER; /* until it is reaped */
		return;
	}
	if (k->tries++ >= TRIES_MAX) {
		log_error("%s: no adapter takes the device over: given up", k->device->name);
		k->restart_at = DEADLINE_NEVER; /* unless one comes by itself */
		return;
	}
	heir = fork();
	if (heir == 0)
		become_adapter(k);
	if (heir < 0) {
		adapter_try_later(k);
		return;
	}
	k->heir = heir;
	k->restart_at = deadline_after_ms(SUCCESSOR_MS);
}

/* It ended before it became the adapter. */
static void heir_failed(struct keeper *k, int status)
{
	k->heir = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NOTHING_TO_TAKE_OVER)
		k->restart_at = DEADLINE_NEVER; /* or another one has it, and will say so */
	else
		adapter_try_later(k);
}

/*
 * The one that was announced is given time; one that lived for a while is followed at once, and one
 * that died at its start after a pause.
 */
static void adapter_gone(struct keeper *k)
{
	fd_close(&k->adapter);
	if (k->yielded)
		k->restart_at = deadline_after_ms(SUCCESSOR_MS);
	else if (deadline_passed(k->settled))
		k->restart_at = DEADLINE_NOW;
	else
		adapter_try_later(k);
	k->yielded = false;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/*
 * The program of the one that was installed last is the next one's, too: the first one's may be
 * gone. The number may be another process's by now: of another user, or of another program.
 */
static void adapter_program(struct keeper *k, int pidfd, const struct ucred *from)
{
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	char proc[32], path[PATH_MAX];
	struct stat st;
	ssize_t n;

	snprintf(proc, sizeof(proc), "/proc/%d", (int)from->pid);
	if (stat(proc, &st) < 0 || st.st_uid != from->uid)
		return;
	snprintf(proc, sizeof(proc), "/proc/%d/exe", (int)from->pid);
	n = readlink(proc, path, sizeof(path) - 1);
	if (n < 0 || poll(&ended, 1, 0) != 0)
		return;
	path[n] = '\0';
	if (!strcmp(last_part(path), last_part(k->program)))
		snprintf(k->program, sizeof(k->program), "%s", path);
}

/* The device is another one's now. What it still has open of it is to go. */
static void adapter_former(struct keeper *k)
{
	fd_close(&k->former);
	k->former = fd_steal(&k->adapter);
	k->former_until = k->former < 0 ? DEADLINE_NEVER : deadline_after_ms(KEEPER_ASKED_MS);
}

static void former_look(struct keeper *k, bool ended)
{
	if (!ended && !deadline_passed(k->former_until))
		return;
	if (!ended) {
		log_warning("%s: the former adapter does not end: it is killed", k->device->name);
		syscall(SYS_pidfd_send_signal, k->former, SIGKILL, NULL, 0);
	}
	fd_close(&k->former);
	k->former_until = DEADLINE_NEVER;
}

/* @from: who says so, by the kernel's word */
static void adapter_adopt(struct keeper *k, const struct keeper_note *note,
			  const struct ucred *from)
{
	int pidfd = -1;

	if (from->pid > 0 && (from->uid == getuid() || from->uid == 0))
		pidfd = (int)syscall(SYS_pidfd_open, from->pid, 0);
	if (pidfd < 0) {
		log_warning("process %d says that it is the adapter, and is gone or another user's",
			    (int)from->pid);
		return;
	}
	if (from->pid != k->adapter_pid)
		adapter_former(k);
	fd_close(&k->adapter);
	k->adapter = move_up(pidfd);
	k->adapter_pid = from->pid;
	adapter_program(k, k->adapter, from);
	if (note->value)
		k->sandbox = true;
	k->heir = 0; /* it may be this one: then it is reaped as any other child */
	k->yielded = false;
	k->restart_at = DEADLINE_NEVER;
	k->settled = deadline_after_ms(SETTLED_MS);
	k->tries = 0;
	tell(NEWS_REACHES, k->path != NULL);
	tell(NEWS_STATUS, k->child);
}

/* ---- orders ---- */

static void carry_out(struct keeper *k, const struct keeper_note *note, const struct ucred *from)
{
	if (note->what != ORDER_ADOPT && from->pid != k->adapter_pid)
		return; /* a former one, which ends */
	switch (note->what) {
	case ORDER_START:
		if (!k->child && k->words)
			backend_start(k);
		break;
	case ORDER_STOP:
		backend_stop(k);
		break;
	case ORDER_CONNECT:
		backend_connect(k, note->value);
		break;
	case ORDER_ADOPT:
		adapter_adopt(k, note, from);
		break;
	case ORDER_NODE:
		open_node(k, note->value);
		break;
	case ORDER_CONSOLE:
		console_release(note->value);
		tell(NEWS_RELEASED, 0);
		break;
	case ORDER_YIELD:
		k->yielded = true;
		break;
	case ORDER_END:
		k->over = true;
		k->asked = true;
		break;
	}
}

/* Return: the length, or a negative errno: -EBADFD, there is a descriptor with it */
static ssize_t receive(struct keeper_note *note, struct ucred *from, int flags)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(*from))];
	} control;
	struct iovec iov = { .iov_base = note, .iov_len = sizeof(*note) };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	ssize_t n = recvmsg(KEEPER_FD, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | flags);
	const struct cmsghdr *cmsg;

	if (n < 0)
		return -errno;
	cmsg = CMSG_FIRSTHDR(&mh);
	if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_CREDENTIALS)
		memcpy(from, CMSG_DATA(cmsg), sizeof(*from));
	return mh.msg_flags & MSG_CTRUNC ? -EBADFD : n;
}

/*
 * Takes an order, or notices that nobody gives any more. No adapter sends a descriptor. One that
 * is there stays in the queue: where the kernel cannot refuse it, to take it out is to wait for it.
 */
static void take_order(struct keeper *k)
{
	struct keeper_note note = { 0 };
	struct ucred from = { 0 };
	ssize_t n = receive(&note, &from, MSG_PEEK);

	if (n == sizeof(note))
		n = receive(&note, &from, 0);
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n == sizeof(note))
		carry_out(k, &note, &from);
	else
		k->over = true;
}

/* ---- the loop ---- */

static void take_signals(struct keeper *k)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(k->signals, &info, sizeof(info)) == sizeof(info)) {
		/* the device is being ended by force: an adapter that is killed is not missed */
		if (info.ssi_signo == SIGTERM)
			k->restart = NULL;
	}
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == k->child && !k->reaped)
			backend_ended(k, status);
		else if (pid == k->heir)
			heir_failed(k, status);
	}
}

static void init(struct keeper *k)
{
	ssize_t n = readlink("/proc/self/exe", k->program, sizeof(k->program) - 1);
	sigset_t set;

	/* the device that it brings back may be what the system swaps to */
	sandbox_lock_memory();
	k->program[MAX(n, 0)] = '\0';
	k->settled = deadline_after_ms(SETTLED_MS);
	prctl(PR_SET_NAME, KEEPER_NAME);
	/* what a shell leaves is ours to reap: a group with a dead process in it is not empty */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	k->signals = move_up(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
	fcntl(k->signals, F_SETFL, O_NONBLOCK);
}

static void wait_for_something(struct keeper *k)
{
	deadline_t restart_at = k->restart && !k->over ? k->restart_at : DEADLINE_NEVER;
	deadline_t look_at = k->reaped ? deadline_after_ms(GROUP_POLL_MS) : DEADLINE_NEVER;
	deadline_t until = MIN(MIN(k->kill_at, look_at), MIN(restart_at, k->former_until));
	struct pollfd fds[4] = {
		{ .fd = k->signals, .events = POLLIN },
		{ .fd = k->over ? -1 : KEEPER_FD, .events = POLLIN },
		{ .fd = k->over ? -1 : k->adapter, .events = POLLIN },
		{ .fd = k->former, .events = POLLIN },
	};

	poll(fds, ARRAY_SIZE(fds), deadline_poll_ms(until));
	/* orders first: one that ended in good order, or for another one, has said so */
	if (fds[1].revents)
		take_order(k);
	else if (fds[2].revents)
		adapter_gone(k);
	if (fds[0].revents)
		take_signals(k);
	if (k->former >= 0)
		former_look(k, fds[3].revents);
	if (k->reaped)
		backend_look(k);
	if (k->restart && !k->over && deadline_passed(k->restart_at))
		adapter_restart(k);
}

/* The number is of a process that lives: it has forked this one. */
static int open_adapter(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 || getppid() != pid ? -1 : move_up(fd);
}

void keeper_main(char **words, const char *path, const struct keeper_device *device,
		 const struct keeper_restart *restart, pid_t adapter)
{
	static struct keeper keeper;
	struct keeper *k = &keeper;
	bool stopped = false;

	*k = (struct keeper){
		.words = words,
		.path = path,
		.device = device,
		.kill_at = DEADLINE_NEVER,
		.restart = restart,
		.sandbox = restart && restart->sandbox,
		.restart_at = DEADLINE_NEVER,
		.adapter_pid = adapter,
		.adapter = open_adapter(adapter),
		.former = -1,
		.former_until = DEADLINE_NEVER,
	};
	init(k);
	while (!k->over || (k->child && k->kills < KEEPER_KILLS_MAX)) {
		wait_for_something(k);
		if (k->over && !stopped) {
			stopped = true;
			backend_stop(k);
		}
		if (k->child && deadline_passed(k->kill_at)) {
			backend_signal(k, SIGKILL);
			k->kills++;
			k->kill_at = deadline_after_ms(KEEPER_ASKED_MS);
		}
	}
	if (k->words && k->path && k->asked)
		unlink(k->path);
	_exit(0);
}

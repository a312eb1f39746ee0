// SPDX-License-Identifier: BSD-3-Clause
/* The program around a device: command line, signals, sockets ("Backend program conventions"). */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libgen.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/common/internal.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/parse.h"
#include "common/run-as.h"
#include "common/sanitizer.h"
#include "common/standard-fds.h"
#include "common/unix-socket.h"

enum {
	OPT_SOCKET_PATH = 1,
	OPT_FD,
	OPT_CAPABILITIES,
	OPT_VERSION,
	OPT_HELP,
	OPT_VERBOSE,
	OPT_NO_SANDBOX,
	OPT_USER,
};

static const struct option common_options[] = {
	{ "socket-path", required_argument, NULL, OPT_SOCKET_PATH },
	{ "fd", required_argument, NULL, OPT_FD },
	{ "print-capabilities", no_argument, NULL, OPT_CAPABILITIES },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "verbose", no_argument, NULL, OPT_VERBOSE },
	{ "no-sandbox", no_argument, NULL, OPT_NO_SANDBOX },
	{ "user", required_argument, NULL, OPT_USER },
};

struct program_options {
	const char *socket_path;
	int fd;
	bool no_sandbox;
	struct run_as user;
};

static void print_usage(const struct vu_program *program)
{
	printf("Usage: %s --socket-path PATH | --fd N [OPTION...]\n"
	       "\n"
	       "%s\n"
	       "      --socket-path PATH     listen at PATH; serve one front-end after the other\n"
	       "      --fd N                 use the inherited socket N; end with its front-end\n"
	       "      --print-capabilities   what this program can do, as JSON\n"
	       "      --user USER[:GROUP]    whom it becomes once it listens, where root starts it\n"
	       "                             (default: " RUN_AS_DEFAULT "); root: it stays root\n"
	       "      --no-sandbox           keep all privileges (for debugging)\n"
	       "      --verbose              say more; twice: each message\n"
	       "      --version\n"
	       "      --help\n",
	       program->name, program->usage);
}

/* The common options and the program's own, as getopt_long() wants them; the caller frees. */
static struct option *join_options(const struct option *own)
{
	size_t n = 0, common = ARRAY_SIZE(common_options);
	struct option *all;

	while (own && own[n].name)
		n++;
	all = calloc(common + n + 1, sizeof(*all));
	if (!all)
		return NULL;
	memcpy(all, common_options, sizeof(common_options));
	if (n)
		memcpy(all + common, own, n * sizeof(*own));
	return all;
}

static int parse_fd(const char *value, int *fd)
{
	unsigned int n;

	if (parse_uint(value, 0, INT32_MAX, &n) || fcntl((int)n, F_GETFD) < 0) {
		log_error("--fd %s: not an open file descriptor", value);
		return -EINVAL;
	}
	*fd = (int)n;
	return 0;
}

/* Returns 0 to go on, 1 when all is done, or a negative errno after a line that says why. */
static int handle_option(const struct vu_program *program, void *dev, int opt,
			 struct program_options *options)
{
	switch (opt) {
	case OPT_SOCKET_PATH:
		options->socket_path = optarg;
		return 0;
	case OPT_FD:
		return parse_fd(optarg, &options->fd);
	case OPT_VERSION:
		printf("%s (%s) %s\n", program->name, PACKAGE_NAME, PACKAGE_VERSION);
		return 1;
	case OPT_HELP:
		print_usage(program);
		return 1;
	case OPT_NO_SANDBOX:
		options->no_sandbox = true;
		return 0;
	case OPT_USER:
		return run_as_option(&options->user, optarg);
	case OPT_VERBOSE:
		log_set_level(log_enabled(LOG_LEVEL_INFO) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
		return 0;
	default:
		return program->parse ? program->parse(dev, opt, optarg) : -EINVAL;
	}
}

/*
 * --print-capabilities is to be answered whatever else is on the command line, which may be from a
 * later version of the conventions.
 */
static bool wants_capabilities(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--print-capabilities"))
			return true;
	return false;
}

static int parse_each(const struct vu_program *program, void *dev, int argc, char **argv,
		      const struct option *all, struct program_options *options)
{
	int opt, ret;

	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":", all, NULL)) != -1) {
		if (opt == '?' || opt == ':') {
			log_error("%s: %s (see --help)", argv[optind - 1],
				  opt == ':' ? "a value is missing" : "no such option");
			return -EINVAL;
		}
		ret = handle_option(program, dev, opt, options);
		if (ret)
			return ret;
	}
	return 0;
}

static int parse_options(const struct vu_program *program, void *dev, int argc, char **argv,
			 struct program_options *options)
{
	struct option *all;
	int ret;

	if (wants_capabilities(argc, argv)) {
		puts(program->capabilities);
		return 1;
	}
	all = join_options(program->options);
	if (!all)
		return -ENOMEM;
	ret = parse_each(program, dev, argc, argv, all, options);
	free(all);
	if (ret)
		return ret;
	if (optind < argc) {
		log_error("%s: what is this for? (see --help)", argv[optind]);
		return -EINVAL;
	}
	if (!options->socket_path == (options->fd < 0)) {
		log_error("give one of --socket-path PATH and --fd N (see --help)");
		return -EINVAL;
	}
	return 0;
}

/* ---- signals ---- */

/*
 * The front-end can truncate a file whose memory it shared, unless that is sealed. There is no way
 * on from the middle of a copy, but there is a line to say why.
 */
static void handle_sigbus(int sig)
{
	static const char text[] =
		"memory shared by the front-end was truncated under us (SIGBUS): giving up\n";

	(void)sig;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(EXIT_FAILURE);
	_exit(EXIT_FAILURE);
}

struct signals {
	int fd;
	struct vu_backend *backend;
	struct loop_source *source;
};

static void signal_ready(void *data, uint32_t events)
{
	struct signals *signals = data;
	struct vu_backend *backend = signals->backend;
	struct signalfd_siginfo info;

	(void)events;
	if (read(signals->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo != SIGHUP)
		loop_quit(backend->loop, 0);
	else if (backend->device.ops->hangup)
		backend->device.ops->hangup(backend->device.dev);
}

bool vu_interrupted(void)
{
	sigset_t set;

	return sigpending(&set) == 0 && (sigismember(&set, SIGTERM) || sigismember(&set, SIGINT));
}

/* Before any thread is started, so that all of them block what the loop takes in. */
static int signals_init(struct signals *signals, struct vu_backend *backend)
{
	struct sigaction bus = { .sa_handler = handle_sigbus };
	sigset_t set;

	signals->backend = backend;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || sigaction(SIGBUS, &bus, NULL) < 0)
		return -errno;
	signal(SIGPIPE,
	       SIG_IGN); /* sockets are written with MSG_NOSIGNAL, a device's pipes may not be */
	signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals->fd < 0)
		return -errno;
	signals->source = loop_add(backend->loop, signals->fd, EPOLLIN, signal_ready, signals);
	return signals->source ? 0 : -errno;
}

/* ---- sockets ---- */

static void remove_path(const char *path)
{
	if (path && unlink(path) < 0 && errno != ENOENT)
		log_info("%s stays there: %s", path, strerror(errno));
}

static int open_path(struct vu_backend *backend, const char *path)
{
	int ret, fd = unix_listen(path);

	if (fd == -EADDRINUSE) {
		log_error("%s: another program listens there", path);
		return fd;
	}
	if (fd < 0) {
		log_error("%s: cannot listen: %s", path, strerror(-fd));
		return fd;
	}
	ret = vu_backend_listen(backend, fd);
	if (ret)
		remove_path(path);
	return ret;
}

static int open_fd(struct vu_backend *backend, int fd)
{
	socklen_t len = sizeof(int);
	int listening = 0, type = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_STREAM ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0) {
		log_error("--fd %d: not a stream socket", fd);
		return -EINVAL;
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (!listening)
		return vu_backend_attach(backend, fd);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return vu_backend_listen(backend, fd);
}

static int open_socket(struct vu_backend *backend, const struct program_options *options)
{
	int ret;

	ret = options->socket_path ? open_path(backend, options->socket_path) :
				     open_fd(backend, options->fd);
	if (ret)
		return ret;
	ret = notify_send("READY=1");
	if (ret < 0)
		log_warning("cannot tell the service manager that we are ready: %s",
			    strerror(-ret));
	return 0;
}

/* ---- what is given up ---- */

void vu_needs_path(struct vu_needs *needs, const char *path, unsigned int access)
{
	struct confine_path *grown, *entry;

	if (!path)
		return;
	grown = reallocarray(needs->paths, needs->num_paths + 1, sizeof(*grown));
	if (!grown) {
		needs->error = -ENOMEM;
		return;
	}
	needs->paths = grown;
	entry = &grown[needs->num_paths];
	entry->access = access;
	entry->path = strdup(path);
	if (!entry->path) {
		needs->error = -ENOMEM;
		return;
	}
	needs->num_paths++;
}

void vu_needs_removal(struct vu_needs *needs, const char *path)
{
	char *copy;

	if (!path)
		return;
	copy = strdup(path);
	if (copy)
		vu_needs_path(needs, dirname(copy), CONFINE_REMOVE);
	else
		needs->error = -ENOMEM;
	free(copy);
}

static void add_group(struct vu_needs *needs, const char *path)
{
	struct stat st;
	size_t i;

	/* not root's: that is what is given up */
	if (stat(path, &st) < 0 || !st.st_gid || !(st.st_mode & (S_IRGRP | S_IWGRP)))
		return;
	for (i = 0; i < needs->num_groups; i++)
		if (needs->groups[i] == st.st_gid)
			return;
	if (needs->num_groups < ARRAY_SIZE(needs->groups))
		needs->groups[needs->num_groups++] = st.st_gid;
}

void vu_needs_groups(struct vu_needs *needs, const char *pattern)
{
	glob_t found;
	size_t i;

	if (glob(pattern, 0, NULL, &found))
		return;
	for (i = 0; i < found.gl_pathc; i++)
		add_group(needs, found.gl_pathv[i]);
	globfree(&found);
}

/*
 * A user who was named has what it needs. What its user cannot remove by itself the program
 * removes by capabilities, unless it may read all files: these would make it all users' files.
 */
static uint32_t kept_capabilities(const struct vu_needs *needs, const struct run_as *user)
{
	bool named = user->given && user->uid;
	uint32_t keep = needs->override && !named ? 1U << CAP_DAC_OVERRIDE : 0;
	size_t i;

	for (i = 0; i < needs->num_paths && !needs->wide; i++)
		if (needs->paths[i].access == CONFINE_REMOVE &&
		    !run_as_removes(needs->paths[i].path))
			keep |= 1U << CAP_DAC_OVERRIDE | 1U << CAP_FOWNER;
	return keep;
}

static int give_up(const struct vu_needs *needs, const struct run_as *user,
		   struct failure *failure)
{
	int ret = needs->error;

	if (!ret && !WITH_SANITIZER)
		ret = run_as_become(user, needs->groups, needs->num_groups, failure);
	if (!ret)
		ret = confine_privileges(kept_capabilities(needs, user), failure);
	if (!ret)
		ret = confine_files(needs->paths, needs->num_paths,
				    CONFINE_KEEP_ABSTRACT | (needs->network ? CONFINE_KEEP_TCP : 0),
				    failure);
	if (ret)
		return ret;
	return needs->wide ? confine_calls_wide(needs->network, failure) :
			     confine_kinds(needs->kinds, failure);
}

static int confine(const struct vu_program *program, void *dev,
		   const struct program_options *options)
{
	struct vu_needs needs = { .kinds = CONFINE_LISTEN };
	struct failure failure = { 0 };
	size_t i;
	int ret;

	if (options->no_sandbox)
		return 0;
	vu_needs_removal(&needs, options->socket_path);
	if (program->needs)
		program->needs(dev, &needs);
	ret = give_up(&needs, &options->user, &failure);
	if (ret)
		log_error("%s", failure_text(&failure, ret));
	for (i = 0; i < needs.num_paths; i++)
		free((char *)needs.paths[i].path);
	free(needs.paths);
	return ret;
}

/* ---- main ---- */

static int serve(struct vu_backend *backend)
{
	int ret = loop_run(backend->loop);

	if (ret)
		log_error("the event loop ended: %s", strerror(-ret));
	return ret;
}

static int run(const struct vu_program *program, void *dev, struct vu_backend *backend,
	       const struct program_options *options)
{
	struct signals signals = { .fd = -1 };
	int ret;

	ret = signals_init(&signals, backend);
	if (ret) {
		log_error("cannot set up signals: %s", strerror(-ret));
		goto out;
	}
	backend->device.dev = dev;
	ret = program->open(dev, backend, &backend->device);
	if (ret == -EINTR && vu_interrupted()) {
		ret = 0;
		goto out_device;
	}
	if (ret)
		goto out_device;
	ret = open_socket(backend, options);
	if (ret)
		goto out_device;
	ret = confine(program, dev, options);
	if (ret)
		confine_effective(UINT32_MAX); /* its folder may not be this user's any more */
	else
		ret = serve(backend);
	/* Gone from the file system before the last I/O: nobody is to connect any more. */
	remove_path(options->socket_path);
out_device:
	vu_backend_finish(backend);
	if (program->close)
		program->close(dev);
out:
	fd_close(&signals.fd);
	return ret;
}

int vu_main(const struct vu_program *program, void *dev, int argc, char **argv)
{
	struct program_options options = { .fd = -1 };
	struct vu_backend *backend;
	int ret;

	standard_fds_fill();
	log_init(program->name, LOG_LEVEL_NOTICE);
	ret = parse_options(program, dev, argc, argv, &options);
	if (ret)
		return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	backend = malloc(sizeof(*backend));
	if (!backend || vu_backend_init(backend)) {
		log_error("cannot start: %m");
		free(backend);
		return EXIT_FAILURE;
	}
	ret = run(program, dev, backend, &options);
	free(backend);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}

// SPDX-License-Identifier: BSD-3-Clause
/* virtio-loopback-display: shows what a GPU's back-end sends it. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <linux/capability.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/log.h"
#include "common/parse.h"
#include "common/run-as.h"
#include "common/standard-fds.h"
#include "common/util.h"
#include "display/display.h"
#include "vhost-user/edid.h"

#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif

#define PROGRAM "virtio-loopback-display"

enum {
	OPT_CONTROL_FD = 1,
	OPT_MODE,
	OPT_RESOLUTION,
	OPT_HEADS,
	OPT_INPUT,
	OPT_RENDER_NODE,
	OPT_USER,
	OPT_VERBOSE,
	OPT_VERSION,
	OPT_HELP
};

struct display_options {
	int control_fd;
	const char *mode;
	uint32_t width;
	uint32_t height;
	unsigned int heads;
	const char *input;
	const char *render_node;
	struct run_as user;
};

static const struct option options[] = {
	{ "control-fd", required_argument, NULL, OPT_CONTROL_FD },
	{ "mode", required_argument, NULL, OPT_MODE },
	{ "resolution", required_argument, NULL, OPT_RESOLUTION },
	{ "heads", required_argument, NULL, OPT_HEADS },
	{ "input", required_argument, NULL, OPT_INPUT },
	{ "render-node", required_argument, NULL, OPT_RENDER_NODE },
	{ "user", required_argument, NULL, OPT_USER },
	{ "verbose", no_argument, NULL, OPT_VERBOSE },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static void print_usage(void)
{
	printf("Usage: " PROGRAM " --control-fd N --mode MODE [OPTION...]\n"
	       "\n"
	       "Shows what a GPU's back-end sends. It is started by virtio-loopback-adapter.\n"
	       "\n"
	       "      --control-fd N         the inherited socket to the adapter\n"
	       "      --mode MODE            %s\n"
	       "      --resolution WxH       the mode that is offered (default %dx%d)\n"
	       "      --heads N              1 to %d (default 1)\n"
	       "      --input PATH           listen there for vhost-user-input: what is typed\n"
	       "      --render-node PATH     the graphics card that reads buffers which the CPU cannot\n"
	       "      --user USER[:GROUP]    whom it becomes once it is set up, if it can go on as such\n"
	       "      --verbose              say more; twice: each message\n"
	       "      --version\n"
	       "      --help\n",
	       output_names(), DISPLAY_DEFAULT_WIDTH, DISPLAY_DEFAULT_HEIGHT, VGPU_MAX_SCANOUTS);
}

static int parse_resolution(const char *value, struct display_options *o)
{
	char text[16];
	char *x;

	if (strlen(value) >= sizeof(text))
		return -EINVAL;
	strcpy(text, value);
	x = strchr(text, 'x');
	if (!x)
		return -EINVAL;
	*x = '\0';
	return parse_uint(text, EDID_MIN_SIDE, EDID_MAX_SIDE, &o->width) ||
			       parse_uint(x + 1, EDID_MIN_SIDE, EDID_MAX_SIDE, &o->height) ?
		       -EINVAL :
		       0;
}

/* 0 to go on, 1 when all is done, or a negative errno after a line that says why */
static int handle_option(int opt, struct display_options *o)
{
	unsigned int n;

	switch (opt) {
	case OPT_CONTROL_FD:
		if (parse_uint(optarg, 0, INT32_MAX, &n) || fcntl((int)n, F_GETFD) < 0) {
			log_error("--control-fd %s: not an open file descriptor", optarg);
			return -EINVAL;
		}
		o->control_fd = (int)n;
		return 0;
	case OPT_MODE:
		o->mode = optarg;
		return 0;
	case OPT_RESOLUTION:
		if (!parse_resolution(optarg, o))
			return 0;
		log_error("--resolution %s: WIDTHxHEIGHT is needed, each %u to %u", optarg,
			  EDID_MIN_SIDE, EDID_MAX_SIDE);
		return -EINVAL;
	case OPT_HEADS:
		if (!parse_uint(optarg, 1, VGPU_MAX_SCANOUTS, &o->heads))
			return 0;
		log_error("--heads %s: a number from 1 to %u is needed", optarg, VGPU_MAX_SCANOUTS);
		return -EINVAL;
	case OPT_INPUT:
		o->input = optarg;
		return 0;
	case OPT_RENDER_NODE:
		o->render_node = optarg;
		return 0;
	case OPT_USER:
		return run_as_option(&o->user, optarg);
	case OPT_VERBOSE:
		log_set_level(log_enabled(LOG_LEVEL_INFO) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
		return 0;
	case OPT_VERSION:
		printf(PROGRAM " %s\n", PACKAGE_VERSION);
		return 1;
	default:
		print_usage();
		return 1;
	}
}

static int parse_options(int argc, char **argv, struct display_options *o)
{
	int opt, ret;

	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (opt == '?' || opt == ':') {
			log_error("%s: %s (see --help)", argv[optind - 1],
				  opt == ':' ? "a value is missing" : "no such option");
			return -EINVAL;
		}
		ret = handle_option(opt, o);
		if (ret)
			return ret;
	}
	if (optind < argc || o->control_fd < 0 || !o->mode) {
		log_error("--control-fd N and --mode MODE are needed, and nothing else (see --help)");
		return -EINVAL;
	}
	if ((uint64_t)o->heads * o->width * o->height > VGPU_MAX_PIXELS) {
		log_error("--heads %u: with --resolution %ux%u they have more than %u pixels together",
			  o->heads, o->width, o->height, VGPU_MAX_PIXELS);
		return -EINVAL;
	}
	return 0;
}

/* ---- the process ---- */

#ifdef HAVE_SECCOMP
/* What writing pictures takes, beyond the loop and the sockets */
static const int file_calls[] = {
	SCMP_SYS(openat),   SCMP_SYS(ioctl),  SCMP_SYS(linkat),	  SCMP_SYS(unlinkat),
	SCMP_SYS(renameat), SCMP_SYS(rename), SCMP_SYS(renameat2), SCMP_SYS(fstatfs),
};
#else
static const int file_calls[1];
#endif

/* Some of its libraries use more of the kernel than can be listed. */
static bool is_wide(const struct output_ops *ops, const struct display_options *o)
{
	return ops->wide || o->render_node;
}

static int confine_paths_wide(const struct confine_path *own, const struct display_options *o,
			      struct failure *failure)
{
	char socket[PATH_MAX];
	struct confine_path paths[5 + CONFINE_CARD_NODES] = {
		*own,
		/* the socket of the input, in its folder */
		{ NULL, CONFINE_REMOVE },
		/* what windows and graphics cards may take */
		{ "/", CONFINE_READ },
		{ "/dev/shm", CONFINE_WRITE | CONFINE_CHANGE },
		{ getenv("XDG_RUNTIME_DIR"), CONFINE_WRITE | CONFINE_CHANGE },
	};
	size_t i;

	if (o->input) {
		snprintf(socket, sizeof(socket), "%s", o->input);
		paths[1].path = dirname(socket);
	}
	for (i = 0; i < CONFINE_CARD_NODES; i++)
		paths[5 + i] = (struct confine_path){ confine_card_nodes[i], CONFINE_WRITE };
	return confine_files(paths, ARRAY_SIZE(paths),
			     CONFINE_KEEP_TCP | CONFINE_KEEP_ABSTRACT, failure);
}

static int confine_paths(const struct output *output, const struct display_options *o,
			 struct failure *failure)
{
	const struct output_ops *ops = output->ops;
	/* what the output writes: by its name it may be another folder by now */
	char path[32];
	const struct confine_path own = {
		ops->folder ? path : NULL, CONFINE_READ | CONFINE_WRITE | CONFINE_CHANGE,
	};

	if (ops->folder)
		snprintf(path, sizeof(path), "/proc/self/fd/%d", ops->folder(output));
	return is_wide(ops, o) ? confine_paths_wide(&own, o, failure) :
				 confine_files(&own, 1, CONFINE_KEEP_ABSTRACT, failure);
}

/*
 * The adapter's user. Where a desktop or a graphics card may have to be reached again, a socket is
 * to be removed, or root's files are written, it stays who it is. By the saved id the adapter can
 * end it nevertheless, as the kernel does at the adapter's end where this process hangs.
 */
static int become_user(struct output *output, const struct display_options *o,
		       struct failure *failure)
{
	const struct output_ops *ops = output->ops;

	if (!o->user.given)
		return 0;
	if (!ops->connects && !o->render_node && !o->input &&
	    (!ops->give || ops->give(output, o->user.uid)))
		return run_as_become(&o->user, NULL, 0, failure);
	if (setresuid((uid_t)-1, (uid_t)-1, o->user.uid) < 0)
		return failure_set(failure, -errno, "--user %u: %s", (unsigned int)o->user.uid,
				   strerror(errno));
	return 0;
}

/* For become_user(), once it is confined otherwise. */
#define TO_BECOME (1U << CAP_SETUID | 1U << CAP_SETGID | 1U << CAP_CHOWN | 1U << CAP_DAC_OVERRIDE)

static int confine(struct display *display, const struct display_options *o,
		   struct failure *failure)
{
	const struct output_ops *ops = display->output.ops;
	bool override;
	int ret;

	ret = confine_privileges(TO_BECOME, failure);
	/* by their names they may be that user's no more */
	if (!ret)
		ret = confine_paths(&display->output, o, failure);
	if (!ret)
		ret = become_user(&display->output, o, failure);
	if (ret)
		return ret;
	override = ops->needs_override && ops->needs_override(&display->output);
	ret = confine_privileges(override ? 1U << CAP_DAC_OVERRIDE : 0, failure);
	if (ret)
		return ret;
	if (is_wide(ops, o))
		return confine_calls_wide(ops->connects, failure);
	return confine_calls(file_calls, ARRAY_SIZE(file_calls), failure);
}

struct signals {
	int fd;
	struct display *display;
};

static void signal_ready(void *data, uint32_t events)
{
	struct signals *signals = data;
	struct signalfd_siginfo info;

	(void)events;
	if (read(signals->fd, &info, sizeof(info)) == sizeof(info))
		loop_quit(signals->display->loop, 0);
}

static int signals_init(struct signals *signals)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals->fd < 0 ||
	    !loop_add(signals->display->loop, signals->fd, EPOLLIN, signal_ready, signals))
		return -errno;
	return 0;
}

static int start_input(struct display *display, const char *path, struct failure *failure)
{
	if (!path)
		return 0;
	if (!display->output.ops->input)
		return failure_set(failure, -EINVAL, "--input: nobody can type at --mode %s",
				   display->output.ops->name);
	return input_listen(&display->input, path, failure);
}

static int start(struct display *display, const struct display_options *o, struct signals *signals,
		 struct failure *failure)
{
	int ret;

	ret = display_init(display, o->heads, o->width, o->height);
	if (ret)
		return ret;
	signals->display = display;
	ret = signals_init(signals);
	if (!ret)
		ret = output_open(display, o->mode, failure);
	if (!ret)
		ret = start_input(display, o->input, failure);
	if (!ret && o->render_node)
		ret = display_import(display, o->render_node, failure);
	if (!ret)
		ret = confine(display, o, failure);
	if (ret)
		return ret;
	fcntl(o->control_fd, F_SETFD, FD_CLOEXEC);
	ret = control_start(&display->control, o->control_fd);
	if (ret)
		return failure_set(failure, ret, "--control-fd %d: no SOCK_SEQPACKET socket: %s",
				   o->control_fd, strerror(-ret));
	control_ready(&display->control);
	return 0;
}

int main(int argc, char **argv)
{
	struct display_options o = {
		.control_fd = -1,
		.width = DISPLAY_DEFAULT_WIDTH,
		.height = DISPLAY_DEFAULT_HEIGHT,
		.heads = 1,
	};
	static struct display display;
	struct signals signals = { .fd = -1 };
	struct failure failure = { 0 };
	int ret;

	standard_fds_fill();
	log_init(PROGRAM, LOG_LEVEL_NOTICE);
	ret = parse_options(argc, argv, &o);
	if (ret)
		return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	ret = start(&display, &o, &signals, &failure);
	if (ret)
		log_error("%s", failure_text(&failure, ret));
	else
		ret = loop_run(display.loop);
	display_finish(&display);
	fd_close(&signals.fd);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}

// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapter/options.h"
#include "cli/adapter-client.h"
#include "cli/backend-search.h"
#include "cli/command.h"
#include "cli/modules.h"
#include "cli/sysfs.h"
#include "common/child.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/state-dir.h"
#include "common/util.h"

#define READY_MS 90000
#define NODES_MS 10000
#define NODES_POLL_MS 5
#define LOOK_MS 100
#define SETTLE_MS 200
#define UNDO_MS 15000
#define NUMBERS_MAX 1000 /* devices of one type that are named for the user */

/* execve() takes words that could be written to */
static char name_option[] = "--name";
static char log_option[] = "--log";
static char ready_option[] = "--ready-fd";
static char display_option[] = "--display";
static char display_input_option[] = "--display-input";
static char display_node_option[] = "--display-render-node";
static char no_takeover_option[] = "--no-takeover";
static char exec_option[] = "--exec";
static char socket_option[] = "--socket";
static char node_option[] = "--node";
static char state_option[] = "--state-dir";

static void attach_usage(void)
{
	printf("Usage: virtio-loopback attach --type TYPE [--name NAME]\n"
	       "         [--socket PATH | --exec 'BACKEND ARG...'] [OPTION...] [-- BACKEND-ARG...]\n"
	       "       virtio-loopback attach --config FILE [OPTION...]\n"
	       "\n"
	       "Makes a vhost-user back-end a virtio device of this kernel. Prints NAME virtioN NODE...\n"
	       "when its driver is bound and its nodes are there.\n"
	       "\n"
	       "  --config FILE        read options from there: virtio-loopback.conf(5)\n"
	       "  --type TYPE          %s,\n"
	       "                       or a virtio device id\n"
	       "  --transport loopback|vduse\n"
	       "                       how the device comes into the kernel (loopback): vduse needs no\n"
	       "                       module of ours, and serves blk and net\n"
	       "  --name NAME          by default the type and the first free number\n"
	       "  --socket PATH        where the back-end listens\n"
	       "  --exec 'CMD ARG...'  start the back-end, and end it with the device; {fd} becomes the\n"
	       "                       number of a connected socket, {socket} the path that it is to\n"
	       "                       listen on; with neither, --fd N is appended\n"
	       "                       Without --socket and --exec a back-end that is installed for TYPE\n"
	       "                       is started: the first that virtio-loopback backends shows and\n"
	       "                       that has what is given of\n"
	       "  --blk-file PATH, --read-only     blk\n"
	       "  --evdev-path PATH, --no-grab     input\n"
	       "  --render-node PATH, --virgl      gpu\n"
	       "                       and with the words behind --\n"
	       "  --queues N           request virtqueues (as many as the back-end has, and CPUs); of net\n"
	       "                       pairs of virtqueues (1)\n"
	       "  --queue-size N       largest size of each, a power of two unless --packed\n"
	       "  --packed             virtqueues of the packed layout\n"
	       "  --pool SIZE          memory shared with the back-end; K, M, G\n"
	       "  --reconnect SECONDS|forever|off\n"
	       "                       how long the device waits for a back-end that went away\n"
	       "                       (forever)\n"
	       "  --timeout SECONDS    how long the back-end may take for one command\n"
	       "  --heartbeat SECONDS  how often it is asked for a sign of life; 0: never\n"
	       "  --config-size N      bytes of configuration space, for a type given by number\n"
	       "  --tag TEXT           fs: what to mount (the name)\n"
	       "  --mac ADDRESS, --mtu N   net\n"
	       "  --display sdl|vnc[=HOST:PORT]|png=FOLDER|none\n"
	       "                       gpu: where its pictures go (none)\n"
	       "  --resolution WxH, --heads N   gpu: size of each head, and how many\n"
	       "  --display-input PATH gpu: vhost-user-input finds there what is typed at sdl or vnc\n"
	       "  --display-render-node PATH   gpu: the graphics card that reads buffers which the CPU\n"
	       "                       cannot\n"
	       "  --display-program PATH   gpu: what is started to show them\n"
	       "  --foreground         stay, show messages, end the device with this process\n"
	       "  --user USER[:GROUP], --no-takeover, --no-sandbox, --verbose   the adapter's, and its\n"
	       "                       other options: see virtio-loopback-adapter(8)\n",
	       device_type_names());
}

struct attach {
	char **args; /* of the adapter; the caller's words and ours */
	unsigned int count;
	struct adapter_options options; /* the same, understood */
	struct backend_options backend; /* of one that is looked for */
	bool search; /* for it */
	char *exec; /* the command line of the one that was found */
	bool foreground;
	bool help;
	char name[STATE_NAME_MAX];
	char log[PATH_MAX];
	char socket[PATH_MAX];
	char node[PATH_MAX];
	char state_dir[PATH_MAX];
	char ready[16];
	char display[PATH_MAX];
	char display_input[PATH_MAX];
	char display_node[PATH_MAX];
	char config[PATH_MAX + 16];
};

/* Room for what is added to the caller's words. */
#define ARGS_ADDED 24

/* What is this command's own is kept, all else is the adapter's. */
static int sort_words(struct attach *at, int argc, char **argv, struct failure *failure)
{
	int i, taken;

	at->args[at->count++] = argv[0];
	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--")) {
			at->backend.more = &argv[i + 1];
			break;
		}
		if (!strcmp(argv[i], "--foreground")) {
			at->foreground = true;
			continue;
		}
		taken = backend_options_take(&at->backend, &argv[i], failure);
		if (taken < 0)
			return taken;
		if (taken)
			i += taken - 1;
		else
			at->args[at->count++] = argv[i];
	}
	return 0;
}

/*
 * The adapter's own parser says what is wrong with its words, before anything is loaded or started.
 * Something else stands for what is missing, and may be.
 */
static int parse_words(struct attach *at, struct failure *failure)
{
	static const char placeholder[] = "x";
	struct adapter_options *o = &at->options;
	const char *name;
	int ret;

	ret = options_read(o, (int)at->count, at->args, failure);
	if (ret || !o->type.id)
		return ret ? ret : options_complete(o, failure);
	at->search = !o->socket && !o->exec && !o->config && !o->takeover;
	name = o->name;
	if (!name)
		o->name = placeholder;
	if (at->search)
		o->exec = placeholder;
	ret = options_complete(o, failure);
	o->name = name;
	if (at->search)
		o->exec = NULL;
	return ret;
}

static int attach_parse(struct attach *at, int argc, char **argv, struct failure *failure)
{
	const char *given;
	int ret;

	at->args = calloc((size_t)argc + ARGS_ADDED, sizeof(*at->args));
	if (!at->args)
		return -ENOMEM;
	ret = sort_words(at, argc, argv, failure);
	if (!ret)
		ret = parse_words(at, failure);
	if (ret || at->options.help || at->options.version)
		return ret;
	given = backend_options_first(&at->backend);
	if (given && !at->search)
		return failure_set(failure, -EINVAL,
				   "%s is for a back-end that is looked for: one of --exec has its "
				   "options among its words, one of --socket when it is started",
				   given);
	return backend_options_check(&at->backend, &at->options.type, failure);
}

/* From here on it is as if the user had named it. */
static int find_backend(struct attach *at, struct failure *failure)
{
	int ret;

	if (!at->search)
		return 0;
	ret = backend_search(&at->backend, &at->options.type, NULL, &at->exec, failure);
	if (ret)
		return ret;
	at->args[at->count++] = exec_option;
	at->args[at->count++] = at->exec;
	at->args[at->count] = NULL;
	return parse_words(at, failure);
}

/* Of a device that is over: it is not this user's to write, as the log of one that failed. */
static bool left_by_another(const struct attach *at, const char *name)
{
	static const char *const suffixes[] = { "lock", "log" };
	char path[PATH_MAX];
	size_t i;

	/* who may not even look into the folder is told so, and not of names */
	if (faccessat(AT_FDCWD, at->options.state_dir, X_OK, AT_EACCESS) < 0)
		return false;
	for (i = 0; i < ARRAY_SIZE(suffixes); i++) {
		if (!state_path(path, sizeof(path), at->options.state_dir, name, suffixes[i]) &&
		    faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0 && errno == EACCES)
			return true;
	}
	return false;
}

static bool name_taken(const struct attach *at, const char *name)
{
	struct loopback_device device;

	return state_alive(at->options.state_dir, name) || !sysfs_find(name, &device) ||
	       left_by_another(at, name);
}

/* The adapter runs elsewhere: a path that begins in this folder, behind @prefix, is completed. */
static int complete_path(struct attach *at, char *option, const char *prefix, const char *value,
			 char *whole, struct failure *failure)
{
	size_t skip = strlen(prefix);
	char here[PATH_MAX];

	if (!value || strncmp(value, prefix, skip) != 0 || !value[skip] || value[skip] == '/')
		return 0;
	if (!getcwd(here, sizeof(here)) ||
	    snprintf(whole, PATH_MAX, "%s%s/%s", prefix, here, value + skip) >= PATH_MAX)
		return failure_set(failure, -ENAMETOOLONG, "%s %s: too long", option, value);
	at->args[at->count++] = option;
	at->args[at->count++] = whole;
	at->args[at->count] = NULL;
	return 0;
}

static int complete_paths(struct attach *at, struct failure *failure)
{
	const struct adapter_options *o = &at->options;
	const struct {
		char *option;
		const char *prefix, *value;
		char *whole;
	} paths[] = {
		{ display_option, "png=", o->display, at->display },
		{ display_input_option, "", o->display_input, at->display_input },
		{ display_node_option, "", o->display_render_node, at->display_node },
		/* where a file of its own says it, that is no word of who calls here */
		{ socket_option, "", o->config ? NULL : o->socket, at->socket },
		{ node_option, "", o->node, at->node },
		{ state_option, "", o->state_dir, at->state_dir },
		{ log_option, "", o->log, at->log },
	};
	int ret = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(paths) && !ret; i++)
		ret = complete_path(at, paths[i].option, paths[i].prefix, paths[i].value,
				    paths[i].whole, failure);
	return ret;
}

static int complete_config(struct attach *at, struct failure *failure)
{
	const char *file = at->options.config;
	char here[PATH_MAX];
	unsigned int i;

	if (!file || file[0] == '/')
		return 0;
	if (!getcwd(here, sizeof(here)) ||
	    snprintf(at->config, sizeof(at->config), "--config=%s/%s", here, file) >=
		    (int)sizeof(at->config))
		return failure_set(failure, -ENAMETOOLONG, "--config %s: too long", file);
	/* as one word or as two: the second is a word of its own that is there no more */
	for (i = 1; i < at->count; i++) {
		char *word = at->args[i], *value = strchr(word, '=');

		if (strncmp(word, "--c", 3) != 0 || !strcmp(word, "--config-size") ||
		    strcmp(value ? value + 1 : at->args[i + 1], file) != 0)
			continue;
		at->args[i] = at->config;
		if (value)
			return 0;
		at->count--;
		memmove(&at->args[i + 1], &at->args[i + 2],
			(at->count - i) * sizeof(*at->args));
		return 0;
	}
	return 0;
}

/* The arguments that depend on the name. */
static void set_name(struct attach *at, const char *name)
{
	unsigned int n = at->count;

	if (!at->options.name) {
		at->args[n++] = name_option;
		at->args[n++] = at->name;
	}
	if (name != at->name)
		snprintf(at->name, sizeof(at->name), "%s", name);
	if (!at->foreground && !at->options.log) {
		state_path(at->log, sizeof(at->log), at->options.state_dir, at->name, "log");
		at->args[n++] = log_option;
		at->args[n++] = at->log;
	}
	if (at->foreground) /* it ends with this process */
		at->args[n++] = no_takeover_option;
	at->args[n++] = ready_option;
	at->args[n++] = at->ready;
	at->args[n] = NULL;
}

/* The kernel ends a device in its own time, after its adapter. */
static void wait_gone(const char *name)
{
	deadline_t deadline = deadline_after_ms(UNDO_MS);
	struct loopback_device device;

	while (!sysfs_find(name, &device) && !deadline_passed(deadline))
		poll(NULL, 0, NODES_POLL_MS);
}

/* ---- a device that is not to be ---- */

static volatile sig_atomic_t interrupted;

static void note_signal(int signal)
{
	interrupted = signal;
}

/*
 * Who interrupts an attach wants no device, and its adapter is a process of its own: it is told to
 * end its device. A second signal does not wait for that.
 */
static void catch_signals(void)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
	const struct sigaction action = { .sa_handler = note_signal, .sa_flags = SA_RESETHAND };
	struct sigaction before;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		/* as nohup has it */
		if (sigaction(ends[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(ends[i], &action, NULL);
	}
}

static int check_interrupted(const struct attach *at, struct failure *failure)
{
	if (!interrupted)
		return 0;
	return failure_set(failure, -EINTR, "interrupted: %s is not attached", at->name);
}

/* Nothing stays behind: the adapter ends its device when it is told to. */
static void undo(const struct attach *at, const struct adapter_started *started)
{
	deadline_t deadline = deadline_after_ms(UNDO_MS);

	kill(started->pid, SIGTERM);
	while (waitpid(started->pid, NULL, WNOHANG) == 0) {
		if (deadline_passed(deadline)) {
			child_kill(started->pid);
			break;
		}
		poll(NULL, 0, NODES_POLL_MS);
	}
	while (sysfs_exists(started->parent) && !deadline_passed(deadline))
		poll(NULL, 0, NODES_POLL_MS);
	state_clean_dead(at->options.state_dir, at->name, false, deadline);
}

/* ---- the start ---- */

/* The adapter says something, which adapter_wait_ready() reads, or somebody interrupts. */
static int wait_word(const struct attach *at, struct adapter_started *started,
		     deadline_t deadline, struct failure *failure)
{
	struct pollfd pfd = { .fd = started->ready_fd, .events = POLLIN };
	int ret;

	while (!interrupted && !deadline_passed(deadline) && poll(&pfd, 1, LOOK_MS) <= 0)
		;
	ret = check_interrupted(at, failure);
	if (ret) /* it ends its device, too, when nobody is there to hear of it */
		fd_close(&started->ready_fd);
	return ret;
}

static int start(struct attach *at, const char *name, struct adapter_started *started,
		 struct failure *failure)
{
	deadline_t deadline = deadline_after_ms(READY_MS);
	int ret;

	set_name(at, name);
	ret = adapter_spawn(at->args, at->ready, sizeof(at->ready), at->foreground, started,
			    failure);
	if (ret)
		return ret;
	ret = wait_word(at, started, deadline, failure);
	if (!ret)
		ret = adapter_wait_ready(started, deadline, failure);
	if (ret) {
		if (ret == -EINTR)
			undo(at, started);
		else
			child_kill(started->pid);
		if (ret != -EEXIST) /* that one is somebody else's */
			wait_gone(at->name);
	}
	return ret;
}

/* The first free number; another attach may take it at the same time, then the next. */
static int start_numbered(struct attach *at, struct adapter_started *started,
			  struct failure *failure)
{
	char number[16], name[STATE_NAME_MAX];
	const char *type = device_type_name(at->options.type.id, number, sizeof(number));
	const char *dash = type == number ? "-" : "";
	unsigned int i;
	int ret;

	for (i = 0; i < NUMBERS_MAX; i++) {
		snprintf(name, sizeof(name), "%s%s%u", type, dash, i);
		if (name_taken(at, name))
			continue;
		failure_clear(failure);
		ret = start(at, name, started, failure);
		if (ret != -EEXIST)
			return ret;
	}
	return failure_set(failure, -EEXIST, "all names %s%s0 to %s%s%u are taken", type, dash,
			   type, dash, NUMBERS_MAX - 1);
}

/* ---- after the start ---- */

static int no_driver(const struct attach *at, struct failure *failure)
{
	const struct device_type *type = &at->options.type;

	if (!type->module)
		return failure_set(failure, -ENODEV,
				   "no driver of this kernel takes virtio device type %u",
				   type->id);
	return failure_set(
		failure, -ENODEV,
		"no driver of this kernel takes a device of type %s: it needs the module %s "
		"(%s); if that is there, dmesg says why it refused",
		type->name, type->module, type->option);
}

/*
 * The driver of a console adds a port, and makes it a terminal when it is told so later on. Nothing
 * says that nothing more is to come.
 */
static bool settled(const struct loopback_device *device, const struct nodes *nodes)
{
	static struct nodes before;
	static deadline_t since;

	if (device->device_id != VIRTIO_ID_CONSOLE)
		return true;
	if (before.count != nodes->count || memcmp(&before, nodes, sizeof(before)) != 0) {
		before = *nodes;
		since = deadline_after_ms(SETTLE_MS);
	}
	return deadline_passed(since);
}

static int load_device(const struct attach *at, const struct adapter_started *started,
		       struct loopback_device *device)
{
	if (at->options.transport == &transport_vduse)
		return sysfs_load_vdpa(at->name, device);
	return sysfs_load(started->parent, device);
}

static int wait_nodes(const struct attach *at, const struct adapter_started *started,
		      struct loopback_device *device, struct nodes *nodes, struct failure *failure)
{
	deadline_t deadline = deadline_after_ms(NODES_MS);

	if (!started->bound)
		return no_driver(at, failure);
	for (;;) {
		if (load_device(at, started, device))
			return failure_set(failure, -ENODEV, "the device is gone again; see %s",
					   at->log[0] ? at->log : "the messages above");
		if (sysfs_nodes(device, at->options.tag, nodes) && settled(device, nodes))
			return 0;
		if (check_interrupted(at, failure))
			return -EINTR;
		if (deadline_passed(deadline))
			break;
		poll(NULL, 0, NODES_POLL_MS);
	}
	if (!device->driver[0])
		return no_driver(at, failure);
	return failure_set(failure, -ETIMEDOUT,
			   "the driver %s is bound to virtio%d, and no node of it appears",
			   device->driver, device->virtio_index);
}

/* A device that nobody is told of would be left behind. */
static int print_line(const struct attach *at, const struct loopback_device *device,
		      const struct nodes *nodes, struct failure *failure)
{
	unsigned int i;
	int error;

	printf("%s virtio%d", at->name, device->virtio_index);
	for (i = 0; i < nodes->count; i++)
		printf(" %s", nodes->name[i]);
	printf("\n");
	if (!fflush(stdout))
		return 0;
	error = errno;
	clearerr(stdout); /* it is told here */
	/* a signal, which ends the device already */
	if (error == EINTR && at->foreground)
		return 0;
	if (check_interrupted(at, failure))
		return -EINTR;
	return failure_set(failure, -error, "standard output: %s: %s is not attached, as nobody "
			   "would know", strerror(error), at->name);
}

static pid_t foreground_child;

static void pass_on(int signal)
{
	kill(foreground_child, signal);
}

/* A signal ends the adapter, and this process after it; also while it still has things to say. */
static void pass_signals_on(const struct adapter_started *started)
{
	struct sigaction action = { .sa_handler = pass_on };

	foreground_child = started->pid;
	sigaction(SIGTERM, &action, NULL);
	/* from a terminal the adapter has it already */
	signal(SIGINT, SIG_IGN);
}

/* Until the adapter ends, which it does at a signal, a detach, or the end of its back-end. */
static int stay(const struct adapter_started *started)
{
	int status;

	while (waitpid(started->pid, &status, 0) < 0) {
		if (errno != EINTR)
			return 1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int attach(struct attach *at, struct failure *failure)
{
	struct adapter_started started;
	struct loopback_device device = { 0 };
	struct nodes nodes = { 0 };
	int ret;

	ret = find_backend(at, failure);
	if (!ret)
		ret = complete_paths(at, failure);
	if (!ret)
		ret = complete_config(at, failure);
	if (!ret)
		ret = modules_load_transport(&at->options, failure);
	if (ret)
		return ret;
	modules_load_driver(&at->options.type);
	if (!at->foreground)
		catch_signals();
	if (at->options.name)
		ret = start(at, at->options.name, &started, failure);
	else
		ret = start_numbered(at, &started, failure);
	if (ret)
		return ret;
	if (at->foreground)
		pass_signals_on(&started);
	ret = wait_nodes(at, &started, &device, &nodes, failure);
	if (!ret)
		ret = print_line(at, &device, &nodes, failure);
	if (ret) {
		undo(at, &started);
		return ret;
	}
	return at->foreground ? stay(&started) : 0;
}

int command_attach(int argc, char **argv)
{
	struct attach at = { 0 };
	struct failure failure = { 0 };
	int ret;

	ret = attach_parse(&at, argc, argv, &failure);
	if (!ret && at.options.help) {
		attach_usage();
	} else if (!ret && at.options.version) {
		printf("virtio-loopback %s\n", PACKAGE_VERSION);
	} else if (ret) {
		log_error("attach: %s", failure_text(&failure, ret));
		ret = EXIT_USAGE;
	} else {
		ret = attach(&at, &failure);
		if (ret < 0) {
			log_error("attach: %s", failure_text(&failure, ret));
			ret = 1;
		}
	}
	free(at.exec);
	free(at.args);
	return ret;
}

// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "adapter/config-file.h"
#include "adapter/device.h"
#include "adapter/option-value.h"
#include "adapter/personality.h"
#include "adapter/snapshot.h"
#include "common/state-dir.h"
#include "common/util.h"
#include "vhost-user/gpu-protocol.h"

#define TIMEOUT_DEFAULT_MS 5000U
/* It may have to compile what draws before it answers, on a CPU that then draws as well. */
#define TIMEOUT_GPU_MS 20000U
#define HEARTBEAT_DEFAULT_MS 5000U
#define KEEP_MS 60000U

enum {
	OPT_CONFIG = 256,
	OPT_NAME,
	OPT_TYPE,
	OPT_TRANSPORT,
	OPT_SOCKET,
	OPT_EXEC,
	OPT_QUEUES,
	OPT_QUEUE_SIZE,
	OPT_PACKED,
	OPT_POOL,
	OPT_RECONNECT,
	OPT_TIMEOUT,
	OPT_HEARTBEAT,
	OPT_CONFIG_SIZE,
	OPT_TAG,
	OPT_MAC,
	OPT_MTU,
	OPT_DISPLAY,
	OPT_DISPLAY_PROGRAM,
	OPT_RESOLUTION,
	OPT_HEADS,
	OPT_DISPLAY_INPUT,
	OPT_DISPLAY_RENDER_NODE,
	OPT_NODE,
	OPT_STATE_DIR,
	OPT_LOG,
	OPT_READY_FD,
	OPT_TAKEOVER,
	OPT_REPLACE,
	OPT_NO_TAKEOVER,
	OPT_NO_RESTART,
	OPT_USER,
	OPT_NO_SANDBOX,
	OPT_VERBOSE,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "type", required_argument, NULL, OPT_TYPE },
	{ "transport", required_argument, NULL, OPT_TRANSPORT },
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "exec", required_argument, NULL, OPT_EXEC },
	{ "queues", required_argument, NULL, OPT_QUEUES },
	{ "queue-size", required_argument, NULL, OPT_QUEUE_SIZE },
	{ "packed", no_argument, NULL, OPT_PACKED },
	{ "pool", required_argument, NULL, OPT_POOL },
	{ "reconnect", required_argument, NULL, OPT_RECONNECT },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "heartbeat", required_argument, NULL, OPT_HEARTBEAT },
	{ "config-size", required_argument, NULL, OPT_CONFIG_SIZE },
	{ "tag", required_argument, NULL, OPT_TAG },
	{ "mac", required_argument, NULL, OPT_MAC },
	{ "mtu", required_argument, NULL, OPT_MTU },
	{ "display", required_argument, NULL, OPT_DISPLAY },
	{ "display-program", required_argument, NULL, OPT_DISPLAY_PROGRAM },
	{ "resolution", required_argument, NULL, OPT_RESOLUTION },
	{ "heads", required_argument, NULL, OPT_HEADS },
	{ "display-input", required_argument, NULL, OPT_DISPLAY_INPUT },
	{ "display-render-node", required_argument, NULL, OPT_DISPLAY_RENDER_NODE },
	{ "node", required_argument, NULL, OPT_NODE },
	{ "state-dir", required_argument, NULL, OPT_STATE_DIR },
	{ "log", required_argument, NULL, OPT_LOG },
	{ "ready-fd", required_argument, NULL, OPT_READY_FD },
	{ "takeover", no_argument, NULL, OPT_TAKEOVER },
	{ "replace", no_argument, NULL, OPT_REPLACE },
	{ "no-takeover", no_argument, NULL, OPT_NO_TAKEOVER },
	{ "no-restart", no_argument, NULL, OPT_NO_RESTART },
	{ "user", required_argument, NULL, OPT_USER },
	{ "no-sandbox", no_argument, NULL, OPT_NO_SANDBOX },
	{ "verbose", no_argument, NULL, OPT_VERBOSE },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

void options_usage(void)
{
	printf("Usage: virtio-loopback-adapter --type TYPE --name NAME (--socket PATH | --exec 'CMD')\n"
	       "       virtio-loopback-adapter --config FILE\n"
	       "\n"
	       "Connects a vhost-user back-end to the drivers of this kernel, as one virtio device.\n"
	       "\n"
	       "  --config FILE        read options from there: virtio-loopback.conf(5)\n"
	       "  --type TYPE          %s,\n"
	       "                       or a virtio device id\n"
	       "  --transport loopback|vduse\n"
	       "                       how the device comes into the kernel (loopback)\n"
	       "  --name NAME          name of the device\n"
	       "  --socket PATH        the back-end's socket\n"
	       "  --exec 'CMD ARG...'  start the back-end; {fd} becomes a connected socket's number,\n"
	       "                       {socket} the path that it is to listen on; with neither, --fd N\n"
	       "                       is appended\n"
	       "  --queues N           virtqueues (of types that can have several for requests: those;\n"
	       "                       of net: pairs)\n"
	       "  --queue-size N       largest size of each, a power of two unless --packed\n"
	       "  --packed             virtqueues of the packed layout\n"
	       "  --pool SIZE          memory shared with the back-end; K, M, G\n"
	       "  --reconnect SECONDS|forever|off\n"
	       "                       how long the device waits for a back-end that went away\n"
	       "                       (forever)\n"
	       "  --timeout SECONDS    how long the back-end may take for one command\n"
	       "                       (%u; gpu: %u)\n"
	       "  --heartbeat SECONDS  how often the back-end is asked for a sign of life; 0: never (%u)\n"
	       "  --config-size N      bytes of configuration space, for a type given by number\n"
	       "  --tag TEXT           fs: what to mount (the name)\n"
	       "  --mac ADDRESS        net: MAC address (a random local one)\n"
	       "  --mtu N              net: MTU\n"
	       "  --display sdl|vnc[=HOST:PORT]|png=FOLDER|none\n"
	       "                       gpu: where its pictures go (none)\n"
	       "  --resolution WxH     gpu: size of each head in the beginning\n"
	       "  --heads N            gpu: how many (1)\n"
	       "  --display-input PATH gpu: vhost-user-input finds there what is typed at sdl or vnc\n"
	       "  --display-render-node PATH\n"
	       "                       gpu: the graphics card that reads buffers which the CPU cannot\n"
	       "  --display-program PATH\n"
	       "                       gpu: what is started to show them (virtio-loopback-display)\n"
	       "  --node PATH          the module's node (%s)\n"
	       "  --state-dir DIR      where state is shown (%s)\n"
	       "  --log FILE           write messages there\n"
	       "  --ready-fd N         write one line with the outcome there, then close it\n"
	       "  --takeover           go on with the device of this name that lost its adapter; if there\n"
	       "                       is none, and the other options are given, begin a new one\n"
	       "  --replace            the same with a device that has an adapter: that one yields\n"
	       "  --no-takeover        the device ends with its adapter, however that ends\n"
	       "  --no-restart         an adapter that was killed is started again by somebody else\n"
	       "  --user USER[:GROUP]  whom it becomes once it is set up, where root starts it\n"
	       "                       (" SERVICE_USER ", if there is that user)\n"
	       "  --no-sandbox         keep all privileges, and the user (for debugging)\n"
	       "  --verbose            say more\n"
	       "  --help, --version\n",
	       device_type_names(), TIMEOUT_DEFAULT_MS / 1000, TIMEOUT_GPU_MS / 1000,
	       HEARTBEAT_DEFAULT_MS / 1000, DEVICE_NODE, STATE_DIR);
}

static int parse_type(struct adapter_options *o, const char *text, struct failure *failure)
{
	int ret = device_type_find(text, &o->type);

	if (!ret)
		return 0;
	return failure_set(failure, ret,
			   "--type %s: no such device type; known are %s, and numbers", text,
			   device_type_names());
}

static int parse_transport(struct adapter_options *o, const char *text)
{
	const struct transport *transport = transport_find(text);

	if (!transport)
		return -EINVAL;
	o->transport = transport;
	return 0;
}

/* It came by an execve(), and goes by none: what is said there is believed. */
static int parse_ready_fd(struct adapter_options *o, const char *text)
{
	unsigned int fd;
	int ret = option_value_number("ready-fd", text, &fd);

	if (ret)
		return ret;
	o->ready_fd = (int)fd;
	/* one that is not open is no failure: nobody waits there */
	if (o->ready_fd > STDERR_FILENO)
		fcntl(o->ready_fd, F_SETFD, FD_CLOEXEC);
	return 0;
}

/* Seconds, kept as milliseconds */
static int parse_seconds(const char *key, const char *text, unsigned int *ms)
{
	unsigned int seconds;
	int ret = option_value_number(key, text, &seconds);

	if (!ret)
		*ms = seconds * 1000;
	return ret;
}

/* What becomes of the device when its adapter goes. */
static int parse_succession(struct adapter_options *o, int opt)
{
	switch (opt) {
	case OPT_TAKEOVER:
		o->takeover = true;
		return 0;
	case OPT_REPLACE:
		o->takeover = true;
		o->replace = true;
		return 0;
	case OPT_NO_TAKEOVER:
		o->keep_ms = 0;
		return 0;
	case OPT_NO_RESTART:
		o->restart = false;
		return 0;
	default:
		return -ENOENT;
	}
}

/* Those of a GPU. -ENOENT: it is none of them. */
static int parse_gpu(struct adapter_options *o, int opt, const char *arg)
{
	switch (opt) {
	case OPT_DISPLAY:
		return option_value_display(arg, &o->display);
	case OPT_DISPLAY_INPUT:
		return option_value_text(arg, &o->display_input);
	case OPT_DISPLAY_RENDER_NODE:
		return option_value_text(arg, &o->display_render_node);
	case OPT_DISPLAY_PROGRAM:
		return option_value_text(arg, &o->display_program);
	case OPT_RESOLUTION:
		return option_value_resolution(arg, &o->resolution, &o->head_pixels);
	case OPT_HEADS:
		return option_value_number("heads", arg, &o->heads);
	default:
		return -ENOENT;
	}
}

/* One option and its value. -EINVAL and -ERANGE are worded by the caller. */
static int parse_option(struct adapter_options *o, int opt, const char *arg,
			struct failure *failure)
{
	int ret;

	switch (opt) {
	case OPT_CONFIG:
		return config_read(o, arg, failure);
	case OPT_NAME:
		o->name = arg;
		return option_value_name(arg);
	case OPT_TYPE:
		return parse_type(o, arg, failure);
	case OPT_TRANSPORT:
		return parse_transport(o, arg);
	case OPT_SOCKET:
		return option_value_text(arg, &o->socket);
	case OPT_EXEC:
		return option_value_text(arg, &o->exec);
	case OPT_QUEUES:
		return option_value_number("queues", arg, &o->queues);
	case OPT_QUEUE_SIZE:
		return option_value_number("queue-size", arg, &o->queue_size);
	case OPT_PACKED:
		o->packed = true;
		return 0;
	case OPT_POOL:
		ret = option_value_pool(arg, &o->pool);
		o->pool_given |= !ret;
		return ret;
	case OPT_RECONNECT:
		return option_value_reconnect(arg, &o->reconnect_ms);
	case OPT_TIMEOUT:
		return parse_seconds("timeout", arg, &o->timeout_ms);
	case OPT_HEARTBEAT:
		return parse_seconds("heartbeat", arg, &o->heartbeat_ms);
	case OPT_CONFIG_SIZE:
		return option_value_number("config-size", arg, &o->config_size);
	case OPT_TAG:
		return option_value_tag(arg, &o->tag);
	case OPT_MAC:
		return option_value_mac(arg, o->mac);
	case OPT_MTU:
		return option_value_number("mtu", arg, &o->mtu);
	case OPT_NODE:
		o->node = arg;
		return 0;
	case OPT_STATE_DIR:
		o->state_dir = arg;
		return 0;
	case OPT_LOG:
		o->log = arg;
		return 0;
	case OPT_READY_FD:
		return parse_ready_fd(o, arg);
	case OPT_USER:
		return run_as_parse(&o->user, arg, failure);
	case OPT_NO_SANDBOX:
		o->sandbox = false;
		return 0;
	case OPT_VERBOSE:
		o->verbose = true;
		return 0;
	case OPT_HELP:
		o->help = true;
		return 0;
	case OPT_VERSION:
		o->version = true;
		return 0;
	default:
		ret = parse_gpu(o, opt, arg);
		return ret == -ENOENT ? parse_succession(o, opt) : ret;
	}
}

/* A value that was refused without a word: what it may be. */
static int refuse_value(const char *key, int error, struct failure *failure)
{
	char rule[128];

	option_value_rule(key, rule, sizeof(rule));
	return failure_set(failure, error, "%s%s%s",
			   error == -ERANGE ? "out of range" : "not understood",
			   rule[0] ? ": " : "", rule);
}

/* locally administered, not multicast */
static int make_up_mac(uint8_t mac[6])
{
	if (getrandom(mac, 6, 0) != 6)
		return -EIO;
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02);
	return 0;
}

int options_check_type(const char *key, const struct device_type *type, struct failure *failure)
{
	static const struct {
		const char *key;
		uint32_t id;
	} own[] = {
		{ "mac", VIRTIO_ID_NET },
		{ "mtu", VIRTIO_ID_NET },
		{ "tag", VIRTIO_ID_FS },
		{ "display", VIRTIO_ID_GPU },
		{ "display-input", VIRTIO_ID_GPU },
		{ "display-program", VIRTIO_ID_GPU },
		{ "display-render-node", VIRTIO_ID_GPU },
		{ "resolution", VIRTIO_ID_GPU },
		{ "heads", VIRTIO_ID_GPU },
	};
	size_t i;

	if (!strcmp(key, "config-size") && type->layout != QUEUES_BACKEND)
		return failure_set(failure, -EINVAL,
				   "--config-size is for a type that is known by its number only");
	for (i = 0; i < ARRAY_SIZE(own); i++) {
		if (!strcmp(own[i].key, key) && own[i].id != type->id)
			return failure_set(failure, -EINVAL, "--%s is for --type %s only", key,
					   device_type_by_id(own[i].id)->name);
	}
	return 0;
}

/* What would be taken, and not do anything. */
static int check_own(const struct adapter_options *o, struct failure *failure)
{
	const struct {
		const char *key;
		bool given;
	} own[] = {
		{ "config-size", o->config_size },
		{ "mac", memcmp(o->mac, (uint8_t[6]){ 0 }, 6) != 0 },
		{ "mtu", o->mtu },
		{ "tag", o->tag },
		{ "display", o->display },
		{ "display-input", o->display_input },
		{ "display-program", o->display_program },
		{ "display-render-node", o->display_render_node },
		{ "resolution", o->resolution },
		{ "heads", o->heads },
	};
	int ret = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(own) && !ret; i++) {
		if (own[i].given)
			ret = options_check_type(own[i].key, &o->type, failure);
	}
	return ret;
}

/* ---- what goes together ---- */

/* virtio 2.7 and 2.8 */
static int check_queue_size(const struct adapter_options *o, struct failure *failure)
{
	if (o->packed || !(o->queue_size & (o->queue_size - 1)))
		return 0;
	return failure_set(failure, -EINVAL, "--queue-size %u: a power of two, or with --packed",
			   o->queue_size);
}

static int check_display_input(const struct adapter_options *o, struct failure *failure)
{
	if (o->type.id != VIRTIO_ID_GPU || !o->display_input ||
	    (o->display && (!strncmp(o->display, "vnc", 3) || !strcmp(o->display, "sdl"))))
		return 0;
	return failure_set(failure, -EINVAL,
			   "--display-input needs --display sdl or vnc: nobody types elsewhere");
}

static int check_heads(const struct adapter_options *o, struct failure *failure)
{
	if ((uint64_t)o->head_pixels * o->heads <= VGPU_MAX_PIXELS)
		return 0;
	return failure_set(failure, -EINVAL,
			   "--heads %u: with --resolution %s they have more than %u pixels together",
			   o->heads, o->resolution, VGPU_MAX_PIXELS);
}

static int check_transport(const struct adapter_options *o, struct failure *failure)
{
	return o->type.id && o->transport->check ? o->transport->check(o, failure) : 0;
}

unsigned int options_check_together(const struct adapter_options *options,
				    void (*mistake)(void *context, const char *key,
						    const char *text),
				    void *context)
{
	static const struct {
		const char *key;
		int (*check)(const struct adapter_options *o, struct failure *failure);
	} checks[] = {
		{ "queue-size", check_queue_size },
		{ "display-input", check_display_input },
		{ "heads", check_heads },
		{ "transport", check_transport },
	};
	unsigned int mistakes = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(checks); i++) {
		struct failure failure = { 0 };

		if (!checks[i].check(options, &failure))
			continue;
		mistakes++;
		mistake(context, checks[i].key, failure.text);
	}
	return mistakes;
}

/* A command line is told of one mistake, the first. */
static void take_mistake(void *context, const char *key, const char *text)
{
	(void)key;
	failure_set(context, -EINVAL, "%s", text);
}

int options_complete(struct adapter_options *o, struct failure *failure)
{
	int ret;

	if (o->help || o->version)
		return 0;
	/* with --takeover the old adapter left all the rest */
	if (!o->type.id && !o->takeover)
		return failure_set(failure, -EINVAL, "--type is missing");
	if (!o->name)
		return failure_set(failure, -EINVAL, "--name is missing");
	if (!o->timeout_ms)
		o->timeout_ms = o->type.id == VIRTIO_ID_GPU ? TIMEOUT_GPU_MS : TIMEOUT_DEFAULT_MS;
	if (!o->transport->succession && (o->replace || !o->type.id))
		return failure_set(failure, -EINVAL,
				   "a device of the transport %s cannot be taken over",
				   o->transport->name);
	if (!o->type.id)
		return 0;
	if (!o->socket == !o->exec)
		return failure_set(failure, -EINVAL, "one of --socket and --exec is needed");
	ret = check_own(o, failure);
	if (ret)
		return ret;
	if (options_check_together(o, take_mistake, failure))
		return -EINVAL;
	if (!o->display)
		o->display = "none";
	if (!o->heads)
		o->heads = 1;
	if (o->exec && strlen(o->exec) >= SNAPSHOT_EXEC_MAX)
		return failure_set(failure, -EINVAL, "--exec: more than %d characters",
				   SNAPSHOT_EXEC_MAX - 1);
	/* A device that does not wait for its back-end does not wait for its adapter either. */
	o->keep_ms = (unsigned int)MIN((uint64_t)o->keep_ms, o->reconnect_ms);
	/* Its pictures and its pages cannot be handed on: such a device ends with its adapter. */
	if (personality_has_display(o) || personality_has_window(o))
		o->keep_ms = 0;
	if (!o->pool)
		o->pool = (uint64_t)o->type.pool << 10;
	if (!o->queue_size)
		o->queue_size = o->type.queue_size;
	if (!o->transport->succession)
		o->keep_ms = 0;
	if (o->type.id == VIRTIO_ID_NET && !memcmp(o->mac, (uint8_t[6]){ 0 }, 6))
		return make_up_mac(o->mac);
	return 0;
}

/* ---- options from a file ---- */

/* What describes a device, and not where this process finds things. */
static bool for_file(int opt)
{
	return opt == OPT_NO_TAKEOVER || opt == OPT_USER || opt == OPT_NO_SANDBOX ||
	       opt == OPT_VERBOSE || (opt >= OPT_TYPE && opt < OPT_NODE);
}

int options_set(struct adapter_options *options, const char *key, const char *value,
		struct failure *failure)
{
	const struct option *o = long_options;
	int ret;

	while (o->name && (!for_file(o->val) || strcmp(o->name, key) != 0))
		o++;
	if (!o->name)
		return -ENOENT;
	if (o->has_arg) {
		ret = parse_option(options, o->val, value, failure);
	} else if (!strcmp(value, "yes")) {
		ret = parse_option(options, o->val, NULL, failure);
	} else {
		ret = strcmp(value, "no") != 0 ? -EINVAL : 0;
		if (ret)
			failure_set(failure, ret, "yes or no, please");
	}
	return ret ? refuse_value(key, ret, failure) : 0;
}

void options_init(struct adapter_options *options)
{
	*options = (struct adapter_options){
		.reconnect_ms = RECONNECT_FOREVER,
		.heartbeat_ms = HEARTBEAT_DEFAULT_MS,
		.transport = &transport_loopback,
		.node = DEVICE_NODE,
		.state_dir = STATE_DIR,
		.ready_fd = -1,
		.keep_ms = KEEP_MS,
		.restart = true,
		.sandbox = true,
	};
}

/* A word that getopt_long() refuses. */
static int refuse_word(int opt, const char *word, struct failure *failure)
{
	/* a letter may be one of several in its word */
	if (opt == '?' && optopt && optopt < OPT_CONFIG)
		return failure_set(failure, -EINVAL, "-%c: unknown option; see --help", optopt);
	return failure_set(failure, -EINVAL, "%.100s: %s; see --help", word,
			   opt == ':' ? "its value is missing" :
			   optopt     ? "it takes no value" :
					"unknown option");
}

int options_read(struct adapter_options *options, int argc, char **argv, struct failure *failure)
{
	struct failure why = { 0 };
	int opt, index, ret;

	options_init(options);
	opterr = 0;
	optind = 0; /* start over, also when called again */
	while ((opt = getopt_long(argc, argv, ":", long_options, &index)) != -1) {
		if (opt == '?' || opt == ':')
			return refuse_word(opt, argv[optind - 1], failure);
		ret = parse_option(options, opt, optarg, failure);
		if (!ret)
			continue;
		refuse_value(long_options[index].name, ret, &why);
		return failure_set(failure, ret, "--%s %.100s: %s", long_options[index].name,
				   optarg ? optarg : "", why.text);
	}
	if (optind < argc)
		return failure_set(failure, -EINVAL, "%s: not understood; see --help",
				   argv[optind]);
	return 0;
}

int options_parse(struct adapter_options *options, int argc, char **argv, struct failure *failure)
{
	int ret = options_read(options, argc, argv, failure);

	return ret ? ret : options_complete(options, failure);
}

// SPDX-License-Identifier: BSD-3-Clause
/* hostile-backend: a vhost-user-blk back-end for tests, as bad as its script. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/parse.h"
#include "common/unix-socket.h"
#include "hostile.h"

#define SIZE_DEFAULT (64ULL << 20)

static void usage(void)
{
	printf("Usage: hostile-backend (--socket-path PATH | --fd N) [OPTION...]\n"
	       "\n"
	       "  --script 'EVENT[#N]: ACTION [NUMBER]; ...'   see tests/hostile/README.md\n"
	       "  --size SIZE, --image FILE    the disk: in memory (64M), or a mapped file\n"
	       "  --order fifo|lifo|random     of completions\n"
	       "  --hold N                     complete when N wait, or none came for a while\n"
	       "  --delay MS                   between a request and its completion\n"
	       "  --suppress                   want no kicks\n"
	       "  --queues N                   (1)\n"
	       "  --features N, --protocol-features N   offered\n"
	       "  --seed N                     of the rubbish\n"
	       "  --hollow                     reads are answered with success and no data\n"
	       "  --once                       end with the first connection\n"
	       "  --verbose\n");
}

struct arguments {
	struct hostile_options options;
	const char *path;
	const char *image;
	uint64_t size;
	unsigned int fd;
	bool have_fd;
	bool hollow;
	bool once;
};

enum {
	OPT_SOCKET = 256,
	OPT_FD,
	OPT_SCRIPT,
	OPT_SIZE,
	OPT_IMAGE,
	OPT_ORDER,
	OPT_HOLD,
	OPT_DELAY,
	OPT_SUPPRESS,
	OPT_QUEUES,
	OPT_FEATURES,
	OPT_PROTOCOL,
	OPT_SEED,
	OPT_HOLLOW,
	OPT_ONCE,
	OPT_VERBOSE,
	OPT_HELP,
};

static const struct option long_options[] = {
	{ "socket-path", required_argument, NULL, OPT_SOCKET },
	{ "fd", required_argument, NULL, OPT_FD },
	{ "script", required_argument, NULL, OPT_SCRIPT },
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "image", required_argument, NULL, OPT_IMAGE },
	{ "order", required_argument, NULL, OPT_ORDER },
	{ "hold", required_argument, NULL, OPT_HOLD },
	{ "delay", required_argument, NULL, OPT_DELAY },
	{ "suppress", no_argument, NULL, OPT_SUPPRESS },
	{ "queues", required_argument, NULL, OPT_QUEUES },
	{ "features", required_argument, NULL, OPT_FEATURES },
	{ "protocol-features", required_argument, NULL, OPT_PROTOCOL },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "hollow", no_argument, NULL, OPT_HOLLOW },
	{ "once", no_argument, NULL, OPT_ONCE },
	{ "verbose", no_argument, NULL, OPT_VERBOSE },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static int parse_order(const char *text, enum order *order)
{
	if (!strcmp(text, "fifo"))
		*order = ORDER_FIFO;
	else if (!strcmp(text, "lifo"))
		*order = ORDER_LIFO;
	else if (!strcmp(text, "random"))
		*order = ORDER_RANDOM;
	else
		return -EINVAL;
	return 0;
}

static int parse_script(struct hostile_options *o, const char *text)
{
	char why[80] = "";
	int ret = script_parse(&o->script, text, why, sizeof(why));

	if (ret)
		log_error("--script: '%s' is not understood", why);
	return ret;
}

static int parse_option(struct arguments *a, int opt, const char *arg)
{
	struct hostile_options *o = &a->options;

	switch (opt) {
	case OPT_SOCKET:
		a->path = arg;
		return 0;
	case OPT_FD:
		a->have_fd = true;
		return parse_uint(arg, 0, INT32_MAX, &a->fd);
	case OPT_SCRIPT:
		return parse_script(o, arg);
	case OPT_SIZE:
		return parse_size(arg, &a->size);
	case OPT_IMAGE:
		a->image = arg;
		return 0;
	case OPT_ORDER:
		return parse_order(arg, &o->order);
	case OPT_HOLD:
		return parse_uint(arg, 0, RING_MAX, &o->hold);
	case OPT_DELAY:
		return parse_uint(arg, 0, INT32_MAX, &o->delay_ms);
	case OPT_SUPPRESS:
		o->suppress = true;
		return 0;
	case OPT_QUEUES:
		return parse_uint(arg, 1, QUEUES_MAX, &o->queues);
	case OPT_FEATURES:
		return parse_u64(arg, 0, UINT64_MAX, &o->features);
	case OPT_PROTOCOL:
		return parse_u64(arg, 0, UINT64_MAX, &o->protocol_features);
	case OPT_SEED:
		return parse_u64(arg, 1, UINT64_MAX, &o->seed);
	case OPT_HOLLOW:
		a->hollow = true;
		return 0;
	case OPT_ONCE:
		a->once = true;
		return 0;
	case OPT_VERBOSE:
		o->verbose = true;
		return 0;
	case OPT_HELP:
		usage();
		exit(0);
	default:
		return -EINVAL;
	}
}

static int parse_arguments(struct arguments *a, int argc, char **argv)
{
	int opt, index = 0;

	*a = (struct arguments){ .options.queues = 1 };
	while ((opt = getopt_long(argc, argv, "", long_options, &index)) != -1) {
		if (opt == '?')
			return -EINVAL;
		if (parse_option(a, opt, optarg)) {
			log_error("--%s %s: not understood", long_options[index].name,
				  optarg ? optarg : "");
			return -EINVAL;
		}
	}
	if (!a->path == !a->have_fd || optind < argc) {
		log_error("one of --socket-path and --fd is needed; see --help");
		return -EINVAL;
	}
	if (!a->size && !a->image)
		a->size = SIZE_DEFAULT;
	return 0;
}

static int serve_path(struct hostile *h, const struct arguments *a)
{
	_cleanup_close_ int listener = unix_listen(a->path);
	int ret = 0;

	if (listener < 0) {
		log_error("%s: %s", a->path, strerror(-listener));
		return 1;
	}
	do {
		int sock;

		if (poll_fd(listener, POLLIN, DEADLINE_NEVER) < 0)
			return 1;
		sock = unix_accept(listener);
		if (sock >= 0)
			ret = hostile_serve(h, sock);
		if (ret)
			log_error("the front-end: %s", strerror(-ret));
	} while (!a->once);
	unlink(a->path);
	return ret ? 1 : 0;
}

int main(int argc, char **argv)
{
	static struct hostile hostile;
	struct arguments a;
	struct disk disk;
	int ret;

	log_init("hostile-backend", LOG_LEVEL_NOTICE);
	signal(SIGPIPE, SIG_IGN);
	if (parse_arguments(&a, argc, argv))
		return 2;
	if (a.options.verbose)
		log_set_level(LOG_LEVEL_INFO);
	ret = disk_open(&disk, a.image, a.size);
	if (ret) {
		log_error("%s: %s", a.image ? a.image : "disk", strerror(-ret));
		return 1;
	}
	disk.hollow = a.hollow;
	hostile_init(&hostile, &a.options, &disk);
	if (a.have_fd)
		ret = hostile_serve(&hostile, (int)a.fd) ? 1 : 0;
	else
		ret = serve_path(&hostile, &a);
	hostile_finish(&hostile);
	disk_close(&disk);
	return ret;
}

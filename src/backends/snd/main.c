// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-snd: a sound card that plays to, and records from, what this system has. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "backends/snd/chmap.h"
#include "backends/snd/sink.h"
#include "common/cleanup.h"
#include "common/log.h"

#define SND_RT_PRIORITY 5 /* below sound servers and the kernel's threads for interrupts */
#define SND_NICE (-11) /* as sound servers have it */
/* Most time at that without a pause; playing takes a thousandth of it */
#define SND_RT_CPU_US 1000000U
#define SOUND_NODES "/dev/snd"

enum {
	OPT_BACKEND = VU_OPTION_FIRST,
	OPT_PLAYBACK,
	OPT_CAPTURE,
	OPT_REMOTE,
	OPT_NAME,
	OPT_ROLE,
};

static const struct option options[] = {
	{ "backend", required_argument, NULL, OPT_BACKEND },
	{ "playback", required_argument, NULL, OPT_PLAYBACK },
	{ "capture", required_argument, NULL, OPT_CAPTURE },
	{ "remote", required_argument, NULL, OPT_REMOTE },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "role", required_argument, NULL, OPT_ROLE },
	{ 0 },
};

static const char usage[] =
	"A sound card.\n"
	"\n"
	"      --backend NAME         pipewire, alsa, wav (files), or null (nothing is heard)\n"
	"      --playback DEV         what is played to: for pipewire the name of a node, for alsa\n"
	"                             that of a PCM, for wav a file\n"
	"      --capture DEV          what is recorded from, likewise\n"
	"                             Each of the two can be given up to four times: the card has a\n"
	"                             PCM device for each. With neither it has one of each, and uses\n"
	"                             the default devices.\n"
	"      --remote NAME          pipewire: the name or the path of the server's socket\n"
	"                             (default: the environment's)\n"
	"      --name NAME            pipewire: what the card is called there\n"
	"                             (default: vhost-user-snd)\n"
	"      --role ROLE            pipewire: the media role, by which its session manager sets\n"
	"                             priorities (default: Music)\n";

static const struct {
	const char *name;
	const struct snd_sink_ops *ops;
} sinks[] = {
	{ "pipewire",
#ifdef HAVE_PIPEWIRE
	  &sink_pipewire
#else
	  NULL
#endif
	},
	{ "alsa",
#ifdef HAVE_ALSA
	  &sink_alsa
#else
	  NULL
#endif
	},
	{ "wav", &sink_wav },
	{ "null", &sink_null },
};

static int parse_backend(struct snd_device *snd, const char *value)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sinks); i++) {
		if (strcmp(value, sinks[i].name) != 0)
			continue;
		if (!sinks[i].ops) {
			log_error("--backend %s: this program was built without it (meson option "
				  "snd-%s)",
				  value, value);
			return -EINVAL;
		}
		snd->ops = sinks[i].ops;
		return 0;
	}
	log_error("--backend %s: not known; there are pipewire, alsa, wav and null", value);
	return -EINVAL;
}

static int add_stream(struct snd_device *snd, bool capture, const char *target)
{
	struct snd_stream *stream = &snd->streams[snd->num_streams];
	uint32_t same = 0;
	unsigned int i;

	for (i = 0; i < snd->num_streams; i++)
		same += snd->streams[i].capture == capture;
	if (same >= SND_MAX_PER_DIRECTION) {
		log_error("--%s %s: a card has at most %d of them",
			  capture ? "capture" : "playback", target, SND_MAX_PER_DIRECTION);
		return -EINVAL;
	}
	*stream = (struct snd_stream){
		.snd = snd,
		.id = snd->num_streams++,
		.nid = same,
		.capture = capture,
		.target = target,
		.timer_fd = -1,
	};
	return 0;
}

static int parse(void *dev, int option, const char *value)
{
	struct snd_device *snd = dev;

	switch (option) {
	case OPT_BACKEND:
		return parse_backend(snd, value);
	case OPT_PLAYBACK:
	case OPT_CAPTURE:
		if (!*value) {
			log_error("--%s: which one?",
				  option == OPT_CAPTURE ? "capture" : "playback");
			return -EINVAL;
		}
		return add_stream(snd, option == OPT_CAPTURE, value);
	case OPT_REMOTE:
		snd->remote = value;
		return 0;
	case OPT_NAME:
		snd->name = value;
		return 0;
	case OPT_ROLE:
		snd->role = value;
		return 0;
	default:
		return -EINVAL;
	}
}

/* ---- the device ---- */

static uint64_t features(void *dev)
{
	(void)dev;
	return BIT_ULL(SND_F_CTLS);
}

static void get_config(void *dev, void *buf, uint32_t offset, uint32_t size)
{
	const struct snd_device *snd = dev;
	const struct snd_config config = {
		.jacks = htole32(snd->num_streams),
		.streams = htole32(snd->num_streams),
		.chmaps = htole32(chmap_count(snd)),
		.controls = htole32(SND_NUM_CONTROLS(snd)),
	};

	memcpy(buf, (const char *)&config + offset, size);
}

static int queue_start(void *dev, struct vu_queue *queue)
{
	struct snd_device *snd = dev;

	snd->queues[queue->index] = queue;
	snd->features = queue->features;
	snd_io_resume(snd, queue);
	return 0;
}

static void queue_stop(void *dev, struct vu_queue *queue)
{
	struct snd_device *snd = dev;

	snd_io_cancel(snd, queue);
	snd->queues[queue->index] = NULL;
}

static void queue_kick(void *dev, struct vu_queue *queue)
{
	struct snd_device *snd = dev;

	switch (queue->index) {
	case VIRTIO_SND_VQ_CONTROL:
		snd_control_work(snd);
		break;
	case VIRTIO_SND_VQ_EVENT:
		snd_events_flush(snd);
		break;
	default:
		snd_io_work(snd, queue);
		break;
	}
}

static void reset(void *dev)
{
	struct snd_device *snd = dev;
	unsigned int i;

	for (i = 0; i < snd->num_streams; i++)
		snd_stream_reset(&snd->streams[i]);
	snd->features = 0;
	snd->jack_events = 0;
	snd->xrun_events = 0;
	snd->control_events = 0;
	snd_mixer_reset(snd);
}

static const struct vu_device_ops ops = {
	.features = features,
	.get_config = get_config,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.queue_kick = queue_kick,
	.reset = reset,
};

/* ---- the program ---- */

static int default_streams(struct snd_device *snd)
{
	if (snd->num_streams)
		return 0;
	if (snd->ops->needs_target) {
		log_error("--backend %s: which file? Give --playback FILE, --capture FILE or both",
			  snd->ops->name);
		return -EINVAL;
	}
	add_stream(snd, false, NULL);
	add_stream(snd, true, NULL);
	return 0;
}

static int open_streams(struct snd_device *snd)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < snd->num_streams && !ret; i++) {
		snd->streams[i].available = true;
		ret = timed_open(&snd->streams[i]);
		if (ret)
			log_error("no timer: %s", strerror(-ret));
		else
			ret = snd->ops->stream_open(&snd->streams[i]);
	}
	return ret;
}

static void too_busy(void *data, uint32_t events)
{
	static const struct sched_param none;
	struct snd_device *snd = data;
	struct signalfd_siginfo info;

	(void)events;
	if (read(snd->busy_fd, &info, sizeof(info)) != sizeof(info))
		return;
	/* the flag stays: to take that back is a privilege */
	if (sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &none) < 0)
		log_ratelimited(LOG_LEVEL_ERROR, "the real-time policy cannot be given up: %m");
	else
		log_warning("busy for a second without a pause, by its driver or front-end: no "
			    "real-time policy any more");
}

/*
 * A driver can keep the main loop busy for as long as it likes. At a real-time priority that would
 * be at the cost of the whole machine, so that is over when the kernel says that it has been too
 * long. The limit is for threads that libraries start as well.
 */
static int limit_priority(struct snd_device *snd)
{
	struct rlimit limit;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGXCPU);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	snd->busy_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (snd->busy_fd < 0 || !loop_add(snd->loop, snd->busy_fd, EPOLLIN, too_busy, snd) ||
	    getrlimit(RLIMIT_RTTIME, &limit) < 0)
		return -errno;
	limit.rlim_cur = MIN(limit.rlim_max, (rlim_t)SND_RT_CPU_US);
	return setrlimit(RLIMIT_RTTIME, &limit) < 0 ? -errno : 0;
}

/*
 * Sound is the thing that people notice first when a machine has much to do, and ALSA gives up a
 * card that is late. Where a real-time policy is not allowed, a priority has to do; where that is
 * not either, it goes without.
 */
static void ask_for_priority(struct snd_device *snd)
{
	const struct sched_param param = { .sched_priority = SND_RT_PRIORITY };
	int ret = limit_priority(snd);

	if (ret)
		log_warning("no real-time policy without a limit: %s", strerror(-ret));
	else if (!sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &param))
		return;
	else
		log_debug("no real-time policy: %m");
	if (setpriority(PRIO_PROCESS, 0, SND_NICE) < 0)
		log_debug("no priority of %d: %m", SND_NICE);
}

static int open_device(void *dev, struct vu_backend *backend, struct vu_device *device)
{
	struct snd_device *snd = dev;
	int ret;

	if (!snd->ops) {
		log_error("which sound? Give --backend pipewire, alsa, wav or null (see --help)");
		return -EINVAL;
	}
	snd->backend = backend;
	snd->loop = vu_loop(backend);
	ask_for_priority(snd);
	snd_mixer_reset(snd);
	ret = default_streams(snd);
	if (!ret && snd->ops->open)
		ret = snd->ops->open(snd);
	if (!ret)
		ret = open_streams(snd);
	if (ret)
		return ret;
	snd_mixer_reset(snd);
	*device = (struct vu_device){
		.ops = &ops,
		.dev = dev,
		.num_queues = SND_QUEUES,
		.max_queue_size = SND_QUEUE_SIZE,
		.config_size = sizeof(struct snd_config),
		/* messages that are played again would be heard again */
		.no_inflight = true,
	};
	return 0;
}

static void needs(void *dev, struct vu_needs *needs)
{
	struct snd_device *snd = dev;

	if (!snd->ops->wide) {
		needs->kinds |= CONFINE_DATA | CONFINE_SCHED;
		return;
	}
	/*
	 * The libraries open devices and read configuration whenever a stream begins; a sound
	 * server's socket may be another user's.
	 */
	needs->wide = true;
	needs->override = true;
	needs->network = true;
	vu_needs_path(needs, "/", CONFINE_READ);
	vu_needs_path(needs, "/dev/null", CONFINE_WRITE);
	/* what is not there cannot be allowed by its name; it comes with the first card */
	vu_needs_path(needs, access(SOUND_NODES, F_OK) ? "/dev" : SOUND_NODES, CONFINE_WRITE);
	vu_needs_path(needs, "/dev/shm", CONFINE_WRITE | CONFINE_CHANGE);
	vu_needs_groups(needs, SOUND_NODES "/*");
}

static void close_device(void *dev)
{
	struct snd_device *snd = dev;
	unsigned int i;

	if (!snd->ops) /* none was named */
		return;
	for (i = 0; i < snd->num_streams; i++) {
		if (snd->ops->stream_close)
			snd->ops->stream_close(&snd->streams[i]);
		timed_close(&snd->streams[i]);
	}
	if (snd->ops->close)
		snd->ops->close(snd);
	fd_close(&snd->busy_fd);
}

int main(int argc, char **argv)
{
	static const struct vu_program program = {
		.name = "vhost-user-snd",
		.capabilities = "{ \"type\": \"sound\" }",
		.usage = usage,
		.options = options,
		.parse = parse,
		.open = open_device,
		.needs = needs,
		.close = close_device,
	};
	static struct snd_device snd = { .busy_fd = -1 };

	return vu_main(&program, &snd, argc, argv);
}

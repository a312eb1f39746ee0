// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-gpu: a GPU that draws in this process's memory, or by OpenGL on this machine's. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "backends/gpu/queue.h"
#include "common/log.h"
#include "common/parse.h"


#define GPU_QUEUES 2
#define GPU_QUEUE_SIZE 1024
/* with it, what the display is to show needs no socket */
#define UDMABUF_NODE "/dev/udmabuf"

enum {
	OPT_VIRGL = VU_OPTION_FIRST,
	OPT_RENDER_NODE,
	OPT_MEMORY,
	OPT_NO_DMABUF,
};

struct gpu_program {
	struct gpu gpu;
	struct gpu_queues queues;
	bool virgl;
	bool no_dmabuf;
	const char *render_node;
	uint64_t memory;
	bool new_socket; /* since the control queue stopped */
	bool stopped_behind; /* its ring has gone on from its start */
};

static const struct option options[] = {
	{ "virgl", no_argument, NULL, OPT_VIRGL },
	{ "render-node", required_argument, NULL, OPT_RENDER_NODE },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "no-dmabuf", no_argument, NULL, OPT_NO_DMABUF },
	{ 0 },
};

static const char usage[] =
	"A GPU. What it shows goes to the display that the front-end connects.\n"
	"\n"
	"      --virgl                OpenGL for the driver, by virglrenderer\n"
	"      --render-node PATH     the graphics card for it, such as /dev/dri/renderD128\n"
	"                             (default: the first that works, or the CPU)\n"
	"      --memory SIZE          most memory for the driver's resources (default 512M)\n"
	"      --no-dmabuf            send the display the pixels, also where it could have a dmabuf\n";

static int parse(void *dev, int option, const char *value)
{
	struct gpu_program *program = dev;

	switch (option) {
	case OPT_VIRGL:
#ifdef HAVE_VIRGL
		program->virgl = true;
		return 0;
#else
		log_error("--virgl: this build has no virglrenderer");
		return -EINVAL;
#endif
	case OPT_RENDER_NODE:
		program->render_node = value;
		return 0;
	case OPT_NO_DMABUF:
		program->no_dmabuf = true;
		return 0;
	default:
		if (!parse_size(value, &program->memory) && program->memory >= 1 << 20)
			return 0;
		log_error("--memory %s: a size of 1M or more is needed", value);
		return -EINVAL;
	}
}

/* ---- the device ---- */

static uint64_t features(void *dev)
{
	const struct gpu_program *program = dev;

	return BIT_ULL(VIRTIO_GPU_F_EDID) | BIT_ULL(VIRTIO_GPU_F_RESOURCE_BLOB) |
	       program->gpu.renderer->features;
}

/* The front-end knows better of events and heads (the vhost-user-gpu document). */
static void get_config(void *dev, void *buf, uint32_t offset, uint32_t size)
{
	struct gpu_program *program = dev;
	struct gpu *gpu = &program->gpu;
	struct virtio_gpu_config config = {
		.num_scanouts = htole32(1),
		.num_capsets = htole32(gpu->renderer->capsets(gpu)),
	};

	memcpy(buf, (const char *)&config + offset, size);
}

/* events_clear, which is the front-end's */
static int set_config(void *dev, const void *buf, uint32_t offset, uint32_t size)
{
	(void)dev;
	(void)buf;
	return offset == offsetof(struct virtio_gpu_config, events_clear) &&
			       size == sizeof(uint32_t) ?
		       0 :
		       -EINVAL;
}

/*
 * A queue also stops for a change of the memory table, and for a virtual machine that pauses: then
 * it goes on where it was, and resources live on. A driver that starts over begins a ring anew.
 */
static bool starts_over(const struct gpu_program *program, const struct vu_queue *queue)
{
	return vq_at_start(&queue->vq) && (program->stopped_behind || program->new_socket);
}

static int queue_start(void *dev, struct vu_queue *queue)
{
	struct gpu_program *program = dev;

	if (queue->index == GPU_CONTROL_QUEUE) {
		if (starts_over(program, queue))
			gpu_reset(&program->gpu);
		program->new_socket = false;
	}
	gpu_queues_start(&program->queues, queue);
	return 0;
}

static void queue_stop(void *dev, struct vu_queue *queue)
{
	struct gpu_program *program = dev;

	gpu_queues_stop(&program->queues, queue);
	if (queue->index == GPU_CONTROL_QUEUE)
		program->stopped_behind = !vq_at_start(&queue->vq);
}

static void queue_kick(void *dev, struct vu_queue *queue)
{
	struct gpu_program *program = dev;

	gpu_queues_kick(&program->queues, queue);
}

static void reset(void *dev)
{
	struct gpu_program *program = dev;

	link_stop(&program->gpu.link);
	gpu_reset(&program->gpu);
}

static int request(void *dev, struct vu_message *msg)
{
	struct gpu_program *program = dev;
	int ret;

	if (msg->header.request != VHOST_USER_GPU_SET_SOCKET)
		return -EOPNOTSUPP;
	ret = link_start(&program->gpu.link, vu_message_take_fd(msg, 0));
	program->new_socket = true;
	return ret;
}

static const struct vu_device_ops ops = {
	.features = features,
	.get_config = get_config,
	.set_config = set_config,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.queue_kick = queue_kick,
	.reset = reset,
	.request = request,
};

/* ---- the program ---- */

static void work(struct gpu *gpu)
{
	gpu_queues_work(&container_of(gpu, struct gpu_program, gpu)->queues);
}

static void fenced(struct gpu *gpu)
{
	gpu_queues_fenced(&container_of(gpu, struct gpu_program, gpu)->queues);
}

static void open_udmabuf(struct gpu *gpu)
{
	gpu->udmabuf = open(UDMABUF_NODE, O_RDWR | O_CLOEXEC);
	if (gpu->udmabuf < 0)
		log_info("%s: %m: pictures are sent through the display's socket, which is slower",
			 UDMABUF_NODE);
}

static int open_device(void *dev, struct vu_backend *backend, struct vu_device *device)
{
	struct gpu_program *program = dev;
	const struct gpu_renderer *renderer = &gpu_renderer_2d;
	int ret;

	if (program->render_node && !program->virgl) {
		log_error("--render-node is for --virgl");
		return -EINVAL;
	}
#ifdef HAVE_VIRGL
	if (program->virgl)
		renderer = &gpu_renderer_virgl;
#endif
	ret = gpu_init(&program->gpu, vu_loop(backend), renderer, program->render_node);
	if (ret)
		return ret;
	program->gpu.no_dmabuf = program->no_dmabuf;
	if (!program->no_dmabuf)
		open_udmabuf(&program->gpu);
	program->gpu.memory_limit = program->memory;
	program->gpu.work = work;
	program->gpu.fenced = fenced;
	gpu_queues_init(&program->queues, &program->gpu);
	*device = (struct vu_device){
		.ops = &ops,
		.dev = dev,
		.num_queues = GPU_QUEUES,
		.max_queue_size = GPU_QUEUE_SIZE,
		.config_size = sizeof(struct virtio_gpu_config),
		.no_inflight = true, /* resources and contexts end with this process */
	};
	return 0;
}

static void needs(void *dev, struct vu_needs *needs)
{
	struct gpu_program *program = dev;
	size_t i;

	/* memory that is shared with the display */
	needs->kinds |= CONFINE_DEVICES;
	if (!program->virgl)
		return;
	/* OpenGL's drivers open what they like: libraries, configuration, the card. */
	needs->wide = true;
	vu_needs_path(needs, "/", CONFINE_READ);
	for (i = 0; i < CONFINE_CARD_NODES; i++) {
		vu_needs_path(needs, confine_card_nodes[i], CONFINE_WRITE);
		vu_needs_groups(needs, confine_card_nodes[i]);
	}
	vu_needs_groups(needs, "/dev/dri/*");
	vu_needs_path(needs, "/dev/shm", CONFINE_WRITE | CONFINE_CHANGE);
}

static void close_device(void *dev)
{
	struct gpu_program *program = dev;

	gpu_finish(&program->gpu);
	gpu_queues_finish(&program->queues);
}

int main(int argc, char **argv)
{
	static const struct vu_program about = {
		.name = "vhost-user-gpu",
#ifdef HAVE_VIRGL
		.capabilities =
			"{ \"type\": \"gpu\", \"features\": [ \"render-node\", \"virgl\" ] }",
#else
		.capabilities = "{ \"type\": \"gpu\" }",
#endif
		.usage = usage,
		.options = options,
		.parse = parse,
		.open = open_device,
		.needs = needs,
		.close = close_device,
	};
	static struct gpu_program program = { .memory = GPU_DEFAULT_MEMORY };

	return vu_main(&about, &program, argc, argv);
}

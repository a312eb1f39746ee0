// SPDX-License-Identifier: BSD-3-Clause
/*
 * Resources and contexts of virglrenderer: the driver's OpenGL, drawn by this machine's.
 *
 * What is shown goes to the display as a dmabuf where the graphics card gives out a linear one;
 * else, above all where there is no card, it is read back and sent as pixels.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <virglrenderer.h>

#include "backends/gpu/gl.h"
#include "backends/gpu/gpu.h"
#include "backends/gpu/pixels.h"
#include "backends/gpu/texture.h"
#include "backends/gpu/virgl-check.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"

/* Of Gallium, which the protocol is made of */
#define BUFFER 0 /* PIPE_BUFFER */
#define TEXTURE_2D 2 /* PIPE_TEXTURE_2D */
#define FORMAT_R8_UNORM 64
#define MAX_CONTEXTS 1024
#define MAX_LEVELS 15
#define FENCE_MASK 0x7fffffffU
/* Without a descriptor that tells of fences they are looked for this often. */
#define POLL_NS 2000000L

/* virglrenderer declares it without its fields. */
struct virgl_box {
	uint32_t x, y, z;
	uint32_t w, h, d;
};

struct virgl {
	struct virgl_renderer_callbacks callbacks;
	const char *node; /* of the graphics card, NULL: the CPU draws */
	struct gl *gl; /* on the CPU */
	int poll_fd; /* the library's, -1: none */
	int timer_fd; /* instead of it */
	uint64_t made; /* fences */
	uint64_t finished;
	unsigned int ncontexts;
	uint32_t contexts[MAX_CONTEXTS];
};

static struct virgl *virgl_of(const struct gpu *gpu)
{
	return gpu->renderer_priv;
}

/* ---- fences ---- */

/* The library has 31 bits of a number. */
static void write_fence(void *cookie, uint32_t fence)
{
	struct virgl *virgl = virgl_of(cookie);
	uint64_t passed = virgl->made - (((uint32_t)virgl->made - fence) & FENCE_MASK);

	if (passed > virgl->finished && passed <= virgl->made)
		virgl->finished = passed;
}

static void set_timer(const struct virgl *virgl)
{
	struct itimerspec when = { 0 };

	if (virgl->poll_fd >= 0)
		return;
	if (virgl->finished < virgl->made)
		when.it_value.tv_nsec = POLL_NS;
	if (timerfd_settime(virgl->timer_fd, 0, &when, NULL) < 0)
		log_error("the timer cannot be set: %m");
}

static void poll_ready(void *data, uint32_t events)
{
	struct gpu *gpu = data;
	struct virgl *virgl = virgl_of(gpu);
	uint64_t count;

	(void)events;
	if (virgl->poll_fd < 0 && read(virgl->timer_fd, &count, sizeof(count)) < 0)
		return;
	virgl_renderer_poll();
	set_timer(virgl);
	if (gpu->fenced)
		gpu->fenced(gpu);
}

static uint64_t fence(struct gpu *gpu)
{
	struct virgl *virgl = virgl_of(gpu);

	if (virgl_renderer_create_fence((int)((virgl->made + 1) & FENCE_MASK), 0))
		return 0;
	virgl->made++;
	set_timer(virgl);
	return virgl->made;
}

static uint64_t finished(struct gpu *gpu)
{
	return virgl_of(gpu)->finished;
}

/* ---- resources ---- */

static uint32_t create(struct gpu_resource *res, struct virgl_renderer_resource_create_args *args)
{
	int ret;

	args->handle = res->id;
	ret = virgl_renderer_resource_create(args, NULL, 0);
	if (!ret) {
		res->priv = res; /* the library has it */
		return VIRTIO_GPU_RESP_OK_NODATA;
	}
	return ret == ENOMEM || ret == -ENOMEM ? VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY :
						 VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
}

static uint32_t create_2d(struct gpu *gpu, struct gpu_resource *res)
{
	struct virgl_renderer_resource_create_args args = {
		.target = TEXTURE_2D,
		.format = res->format,
		.bind = VIRGL_RES_BIND_RENDER_TARGET,
		.width = res->width,
		.height = res->height,
		.depth = 1,
		.array_size = 1,
		.flags = VIRTIO_GPU_RESOURCE_FLAG_Y_0_TOP,
	};

	(void)gpu;
	return create(res, &args);
}

static void destroy(struct gpu *gpu, struct gpu_resource *res)
{
	(void)gpu;
	if (res->priv)
		virgl_renderer_resource_unref(res->id);
}

/* A blob becomes one of the library's with its pages, so that contexts can use it. */
static uint32_t attach(struct gpu *gpu, struct gpu_resource *res)
{
	struct virgl_renderer_resource_create_blob_args args = {
		.res_handle = res->id,
		.blob_mem = VIRGL_RENDERER_BLOB_MEM_GUEST,
		.size = res->backing.len,
		.iovecs = res->backing.iov,
		.num_iovs = res->backing.niov,
	};
	int ret;

	(void)gpu;
	if (res->kind == GPU_RESOURCE_BLOB && !res->priv) {
		ret = virgl_renderer_resource_create_blob(&args);
		if (!ret)
			res->priv = res;
	} else {
		ret = virgl_renderer_resource_attach_iov((int)res->id, res->backing.iov,
							 (int)res->backing.niov);
	}
	return ret ? VIRTIO_GPU_RESP_ERR_UNSPEC : VIRTIO_GPU_RESP_OK_NODATA;
}

static void detach(struct gpu *gpu, struct gpu_resource *res)
{
	struct iovec *iov = NULL;
	int n = 0;

	(void)gpu;
	virgl_renderer_resource_detach_iov((int)res->id, &iov, &n);
}

static uint32_t transfer(struct gpu *gpu, struct gpu_resource *res, const struct gpu_box *box,
			 uint64_t offset)
{
	struct virgl_box b = { box->x, box->y, 0, box->width, box->height, 1 };
	uint64_t stride = (uint64_t)res->width * GPU_PIXEL_BYTES;
	uint64_t end;

	(void)gpu;
	if (__builtin_add_overflow(offset,
				   stride * (box->height - 1) +
					   (uint64_t)box->width * GPU_PIXEL_BYTES,
				   &end) ||
	    end > res->backing.len)
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	if (virgl_renderer_transfer_write_iov(res->id, 0, 0, (uint32_t)stride, 0, &b, offset, NULL,
					      0))
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static int read_pixels(struct gpu *gpu, struct gpu_resource *res, const struct gpu_box *box,
		       const struct pixels *dst, bool alpha)
{
	struct virgl_box b = { box->x, box->y, 0, box->width, box->height, 1 };
	size_t line = (size_t)box->width * GPU_PIXEL_BYTES;
	struct iovec iov = { .iov_base = dst->at,
			     .iov_len = dst->stride * (box->height - 1) + line };

	(void)gpu;
	if (!pixels_format(res->format))
		return -EOPNOTSUPP;
	if (virgl_renderer_transfer_read_iov(res->id, 0, 0, (uint32_t)dst->stride, 0, &b, 0, &iov,
					     1))
		return -EIO;
	return pixels_convert(dst, dst->at, dst->stride, res->format, box->width, box->height,
			      alpha);
}

/* A display maps the buffer: it must be one without tiles. */
static int export(struct gpu *gpu, struct gpu_resource *res, struct vgpu_dmabuf_scanout *dmabuf)
{
	struct virgl_renderer_export_query query = {
		.hdr = { .stype = VIRGL_RENDERER_STRUCTURE_TYPE_EXPORT_QUERY,
			 .size = sizeof(query) },
		.in_resource_id = res->id,
		.in_export_fds = 1,
	};
	struct virgl_renderer_resource_info info;
	unsigned int i;

	(void)gpu;
	if (virgl_renderer_execute(&query, sizeof(query)) || !query.out_num_fds)
		return -EOPNOTSUPP;
	if (query.out_num_fds > 1 || query.out_offsets[0] || query.out_modifier ||
	    query.out_fds[0] < 0 || virgl_renderer_resource_get_info((int)res->id, &info)) {
		for (i = 0; i < MIN(query.out_num_fds, 4U); i++)
			fd_close(&query.out_fds[i]);
		return -EOPNOTSUPP;
	}
	dmabuf->fd_width = info.width;
	dmabuf->fd_height = info.height;
	dmabuf->fd_stride = query.out_strides[0];
	dmabuf->fd_flags = info.flags & VIRTIO_GPU_RESOURCE_FLAG_Y_0_TOP;
	dmabuf->fd_drm_fourcc = query.out_fourcc;
	return query.out_fds[0];
}

/* ---- 3D commands ---- */

static uint32_t create_3d(struct gpu *gpu, const void *request)
{
	const struct virtio_gpu_resource_create_3d *c = request;
	struct virgl_renderer_resource_create_args args = {
		.target = le32toh(c->target),
		.format = le32toh(c->format),
		.bind = le32toh(c->bind),
		.width = le32toh(c->width),
		.height = le32toh(c->height),
		.depth = le32toh(c->depth),
		.array_size = le32toh(c->array_size),
		.last_level = le32toh(c->last_level),
		.nr_samples = le32toh(c->nr_samples),
		.flags = le32toh(c->flags),
	};
	struct gpu_resource *res;
	uint64_t bytes;
	uint32_t ret;

	if (args.last_level > MAX_LEVELS || !args.width)
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	/*
	 * The library takes the width of a buffer for bytes where it makes and maps one, and for
	 * texels where it reads one back. Only with this format, which Mesa gives all of them, are
	 * the two the same.
	 */
	if (args.target == BUFFER)
		args.format = FORMAT_R8_UNORM;
	bytes = args.target == BUFFER ? args.width : texture_bytes(c);
	ret = resource_create(gpu, le32toh(c->resource_id), GPU_RESOURCE_3D, bytes, &res);
	if (ret != VIRTIO_GPU_RESP_OK_NODATA)
		return ret;
	/* only what can be shown has a size that counts */
	if (args.target != BUFFER && args.width <= GPU_MAX_SIDE && args.height <= GPU_MAX_SIDE) {
		res->width = args.width;
		res->height = args.height;
		res->format = args.format;
	}
	ret = create(res, &args);
	if (ret != VIRTIO_GPU_RESP_OK_NODATA)
		resource_forget(gpu, res);
	return ret;
}

static unsigned int find_context(const struct virgl *virgl, uint32_t id)
{
	unsigned int i;

	for (i = 0; i < virgl->ncontexts && virgl->contexts[i] != id; i++)
		;
	return i;
}

static bool has_context(const struct virgl *virgl, uint32_t id)
{
	return find_context(virgl, id) < virgl->ncontexts;
}

static uint32_t ctx_create(struct gpu *gpu, const void *request)
{
	const struct virtio_gpu_ctx_create *c = request;
	uint32_t id = le32toh(c->hdr.ctx_id), nlen = le32toh(c->nlen), capset;
	char name[sizeof(c->debug_name) + 1] = "";
	struct virgl *virgl = virgl_of(gpu);

	capset = gpu->features & BIT_ULL(VIRTIO_GPU_F_CONTEXT_INIT) ?
			 le32toh(c->context_init) & VIRTIO_GPU_CONTEXT_INIT_CAPSET_ID_MASK :
			 0;
	if (!id || has_context(virgl, id))
		return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	if (nlen > sizeof(c->debug_name) || capset > VIRTIO_GPU_CAPSET_VIRGL2) {
		log_ratelimited(LOG_LEVEL_WARNING, "a context of capability set %u refused", capset);
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	if (virgl->ncontexts == MAX_CONTEXTS)
		return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
	memcpy(name, c->debug_name, nlen);
	if (capset ? virgl_renderer_context_create_with_flags(id, capset, nlen, name) :
		     virgl_renderer_context_create(id, nlen, name))
		return VIRTIO_GPU_RESP_ERR_UNSPEC;
	virgl->contexts[virgl->ncontexts++] = id;
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t ctx_destroy(struct gpu *gpu, const void *request)
{
	const struct virtio_gpu_ctx_destroy *c = request;
	struct virgl *virgl = virgl_of(gpu);
	unsigned int i = find_context(virgl, le32toh(c->hdr.ctx_id));

	if (i == virgl->ncontexts)
		return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	virgl_renderer_context_destroy(virgl->contexts[i]);
	virgl->contexts[i] = virgl->contexts[--virgl->ncontexts];
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t ctx_resource(struct gpu *gpu, const void *request)
{
	const struct virtio_gpu_ctx_resource *c = request;
	uint32_t id = le32toh(c->hdr.ctx_id), res = le32toh(c->resource_id);

	if (!has_context(virgl_of(gpu), id))
		return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	if (!resource_find(gpu, res))
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	if (le32toh(c->hdr.type) == VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE)
		virgl_renderer_ctx_attach_resource((int)id, (int)res);
	else
		virgl_renderer_ctx_detach_resource((int)id, (int)res);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

/*
 * The library checks boxes, offsets and strides against resource and backing, but for what
 * virgl-check.h names, and as texels of the resource's format: for a buffer that holds by what
 * create_3d() makes of it.
 */
static uint32_t transfer_3d(struct gpu *gpu, const void *request)
{
	const struct virtio_gpu_transfer_host_3d *t = request;
	struct virgl_box box = { le32toh(t->box.x), le32toh(t->box.y), le32toh(t->box.z),
				 le32toh(t->box.w), le32toh(t->box.h), le32toh(t->box.d) };
	const struct virgl_transfer transfer = { box.z, box.h, box.d, le32toh(t->stride),
						 le32toh(t->layer_stride) };
	uint32_t id = le32toh(t->resource_id), ctx = le32toh(t->hdr.ctx_id);
	struct gpu_resource *res = resource_find(gpu, id);
	int ret;

	if (!res)
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	if (ctx && !has_context(virgl_of(gpu), ctx))
		return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	if (!res->backing.iov || le32toh(t->level) > MAX_LEVELS || !virgl_check_transfer(&transfer))
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	if (le32toh(t->hdr.type) == VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D)
		ret = virgl_renderer_transfer_write_iov(id, ctx, (int)le32toh(t->level),
							le32toh(t->stride),
							le32toh(t->layer_stride), &box,
							le64toh(t->offset), NULL, 0);
	else
		ret = virgl_renderer_transfer_read_iov(id, ctx, le32toh(t->level),
						       le32toh(t->stride),
						       le32toh(t->layer_stride), &box,
						       le64toh(t->offset), NULL, 0);
	return ret ? VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER : VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t submit_3d(struct gpu *gpu, const struct virtio_gpu_cmd_submit *s, size_t len)
{
	uint32_t size = le32toh(s->size), ctx = le32toh(s->hdr.ctx_id);

	if (!has_context(virgl_of(gpu), ctx))
		return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	if (size % 4 || size > len - sizeof(*s) || !virgl_check_stream(s + 1, size / 4))
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	/* the library only reads it */
	return virgl_renderer_submit_cmd((void *)(uintptr_t)(s + 1), (int)ctx, (int)(size / 4)) ?
		       VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER :
		       VIRTIO_GPU_RESP_OK_NODATA;
}

/* ---- capability sets ---- */

static uint32_t capsets(struct gpu *gpu)
{
	uint32_t version, size;

	(void)gpu;
	virgl_renderer_get_cap_set(VIRTIO_GPU_CAPSET_VIRGL2, &version, &size);
	return size ? 2 : 1;
}

static uint32_t capset_info(struct gpu *gpu, const void *request, struct gpu_answer *answer)
{
	const struct virtio_gpu_get_capset_info *get = request;
	uint32_t index = le32toh(get->capset_index), id, version, size;
	struct virtio_gpu_resp_capset_info info = { 0 };

	if (index >= capsets(gpu))
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	id = index ? VIRTIO_GPU_CAPSET_VIRGL2 : VIRTIO_GPU_CAPSET_VIRGL;
	virgl_renderer_get_cap_set(id, &version, &size);
	info.capset_id = htole32(id);
	info.capset_max_version = htole32(version);
	info.capset_max_size = htole32(size);
	memcpy(gpu->reply, &info, sizeof(info));
	answer->len = sizeof(info);
	return VIRTIO_GPU_RESP_OK_CAPSET_INFO;
}

static uint32_t capset(struct gpu *gpu, const void *request, struct gpu_answer *answer)
{
	const struct virtio_gpu_get_capset *get = request;
	uint32_t id = le32toh(get->capset_id), version, size;
	const size_t header = sizeof(struct virtio_gpu_resp_capset);

	if (id != VIRTIO_GPU_CAPSET_VIRGL && id != VIRTIO_GPU_CAPSET_VIRGL2)
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	virgl_renderer_get_cap_set(id, &version, &size);
	if (!size || size > sizeof(gpu->reply) - header || le32toh(get->capset_version) > version)
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	memset(gpu->reply, 0, header + size);
	virgl_renderer_fill_caps(id, le32toh(get->capset_version), gpu->reply + header);
	answer->len = header + size;
	return VIRTIO_GPU_RESP_OK_CAPSET;
}

/* ---- dispatch ---- */

static size_t command_size(uint32_t type)
{
	switch (type) {
	case VIRTIO_GPU_CMD_GET_CAPSET_INFO:
		return sizeof(struct virtio_gpu_get_capset_info);
	case VIRTIO_GPU_CMD_GET_CAPSET:
		return sizeof(struct virtio_gpu_get_capset);
	case VIRTIO_GPU_CMD_CTX_CREATE:
		return sizeof(struct virtio_gpu_ctx_create);
	case VIRTIO_GPU_CMD_CTX_DESTROY:
		return sizeof(struct virtio_gpu_ctx_destroy);
	case VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE:
	case VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE:
		return sizeof(struct virtio_gpu_ctx_resource);
	case VIRTIO_GPU_CMD_RESOURCE_CREATE_3D:
		return sizeof(struct virtio_gpu_resource_create_3d);
	case VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D:
	case VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D:
		return sizeof(struct virtio_gpu_transfer_host_3d);
	case VIRTIO_GPU_CMD_SUBMIT_3D:
		return sizeof(struct virtio_gpu_cmd_submit);
	default:
		return SIZE_MAX;
	}
}

/* @request is the start of a heap block, so its fields are aligned. */
static uint32_t command(struct gpu *gpu, uint32_t type, const void *request, size_t len,
			struct gpu_answer *answer)
{
	size_t needed = command_size(type);

	if (needed == SIZE_MAX)
		return VIRTIO_GPU_RESP_ERR_UNSPEC;
	if (len < needed)
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	switch (type) {
	case VIRTIO_GPU_CMD_GET_CAPSET_INFO:
		return capset_info(gpu, request, answer);
	case VIRTIO_GPU_CMD_GET_CAPSET:
		return capset(gpu, request, answer);
	case VIRTIO_GPU_CMD_CTX_CREATE:
		return ctx_create(gpu, request);
	case VIRTIO_GPU_CMD_CTX_DESTROY:
		return ctx_destroy(gpu, request);
	case VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE:
	case VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE:
		return ctx_resource(gpu, request);
	case VIRTIO_GPU_CMD_RESOURCE_CREATE_3D:
		return create_3d(gpu, request);
	case VIRTIO_GPU_CMD_SUBMIT_3D:
		return submit_3d(gpu, request, len);
	default:
		return transfer_3d(gpu, request);
	}
}

/* ---- life ---- */

/* The library closes what it is given. */
static int get_drm_fd(void *cookie)
{
	return open(virgl_of(cookie)->node, O_RDWR | O_CLOEXEC);
}

static virgl_renderer_gl_context create_context(void *cookie, int scanout,
						struct virgl_renderer_gl_ctx_param *param)
{
	(void)scanout;
	return gl_context_create(virgl_of(cookie)->gl, param->shared, param->major_ver,
				 param->minor_ver);
}

static void destroy_context(void *cookie, virgl_renderer_gl_context context)
{
	gl_context_destroy(virgl_of(cookie)->gl, context);
}

static int make_current(void *cookie, int scanout, virgl_renderer_gl_context context)
{
	(void)scanout;
	return gl_make_current(virgl_of(cookie)->gl, context);
}

/* What the library says of the driver's mistakes, the driver can make it say again and again. */
static void library_log(const char *format, va_list ap)
{
	char text[256];

	vsnprintf(text, sizeof(text), format, ap);
	text[strcspn(text, "\n")] = '\0';
	log_ratelimited(LOG_LEVEL_INFO, "virglrenderer: %s", text);
}

static int watch_fences(struct gpu *gpu, struct virgl *virgl)
{
	int fd;

	virgl->poll_fd = virgl_renderer_get_poll_fd();
	if (virgl->poll_fd < 0) {
		virgl->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
		if (virgl->timer_fd < 0)
			return -errno;
	}
	fd = virgl->poll_fd >= 0 ? virgl->poll_fd : virgl->timer_fd;
	return loop_add(gpu->loop, fd, EPOLLIN, poll_ready, gpu) ? 0 : -errno;
}

/* By the library's own EGL on the card's node, or by ours on the CPU */
static int start_library(struct gpu *gpu, const char *node)
{
	int flags = VIRGL_RENDERER_THREAD_SYNC | (node ? VIRGL_RENDERER_USE_EGL : 0);
	struct virgl *virgl = virgl_of(gpu);

	virgl->node = node;
	return virgl_renderer_init(gpu, flags, &virgl->callbacks);
}

static int start_on_node(struct gpu *gpu, const char *node)
{
	int ret = gl_check_node(node);

	if (ret)
		return ret;
	ret = start_library(gpu, node);
	if (!ret)
		return 0;
	log_error("--render-node %s: OpenGL cannot be used there (virglrenderer: %d)", node, ret);
	return -ENODEV;
}

static int start_on_cpu(struct gpu *gpu)
{
	struct virgl *virgl = virgl_of(gpu);
	int ret;

	virgl->gl = gl_create();
	if (!virgl->gl)
		return -ENODEV;
	ret = start_library(gpu, NULL);
	if (!ret)
		return 0;
	log_error("--virgl: OpenGL of the CPU is not enough (virglrenderer: %d)", ret);
	gl_destroy(virgl->gl);
	return -ENODEV;
}

/* The first card that does, or the CPU */
static int start_anywhere(struct gpu *gpu)
{
	static char path[64]; /* the callback opens it again */
	unsigned int i;

	for (i = 0; !gl_find_node(i, path, sizeof(path)); i++)
		if (!access(path, R_OK | W_OK) && !start_library(gpu, path))
			return 0;
	return start_on_cpu(gpu);
}

static int init(struct gpu *gpu, const char *node)
{
	struct virgl *virgl = calloc(1, sizeof(*virgl));
	int ret;

	if (!virgl)
		return -ENOMEM;
	virgl->callbacks.version = 2;
	virgl->callbacks.write_fence = write_fence;
	virgl->callbacks.create_gl_context = create_context;
	virgl->callbacks.destroy_gl_context = destroy_context;
	virgl->callbacks.make_current = make_current;
	virgl->callbacks.get_drm_fd = get_drm_fd;
	virgl->timer_fd = -1;
	gpu->renderer_priv = virgl;
	virgl_set_debug_callback(library_log);
	ret = node ? start_on_node(gpu, node) : start_anywhere(gpu);
	if (ret)
		goto err;
	ret = watch_fences(gpu, virgl);
	if (!ret)
		return 0;
	log_error("fences cannot be watched: %s", strerror(-ret));
	virgl_renderer_cleanup(gpu);
	gl_destroy(virgl->gl);
err:
	free(virgl);
	gpu->renderer_priv = NULL;
	return ret;
}

static void reset(struct gpu *gpu)
{
	struct virgl *virgl = virgl_of(gpu);

	while (virgl->ncontexts)
		virgl_renderer_context_destroy(virgl->contexts[--virgl->ncontexts]);
	virgl->finished = virgl->made;
}

static void finish(struct gpu *gpu)
{
	struct virgl *virgl = virgl_of(gpu);

	virgl_renderer_cleanup(gpu);
	gl_destroy(virgl->gl);
	fd_close(&virgl->timer_fd);
	free(virgl);
	gpu->renderer_priv = NULL;
}

const struct gpu_renderer gpu_renderer_virgl = {
	.features = 1ULL << VIRTIO_GPU_F_VIRGL | 1ULL << VIRTIO_GPU_F_CONTEXT_INIT,
	.init = init,
	.finish = finish,
	.reset = reset,
	.capsets = capsets,
	.create_2d = create_2d,
	.destroy = destroy,
	.attach = attach,
	.detach = detach,
	.transfer = transfer,
	.read = read_pixels,
	.command = command,
	.fence = fence,
	.finished = finished,
	.export = export,
};

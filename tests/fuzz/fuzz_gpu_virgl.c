// SPDX-License-Identifier: BSD-3-Clause
/*
 * The GPU's commands where resources and contexts are virglrenderer's, which is another one here:
 * it draws nothing, and aborts at what the real one must not be asked for. It touches all memory
 * that it was given and has not been told to let go of.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <virglrenderer.h>

#include "backends/gpu/gl.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "gpu-steps.h"

#define MOST 512 /* resources, and contexts: more than there are steps */
/* Nothing larger is made: it would be refused, or it is the real library's to check. */
#define MOST_SIDE 4096
#define BUFFER 0 /* the target */
#define FORMAT_R8_UNORM 64

struct virgl_box {
	uint32_t x, y, z;
	uint32_t w, h, d;
};

struct resource {
	uint32_t id; /* 0: none */
	uint32_t width, height, flags;
	const struct iovec *iov; /* the caller's, until it takes them back */
	unsigned int niov;
};

static struct {
	void *cookie; /* NULL: the library is not in use */
	struct virgl_renderer_callbacks *callbacks;
	int poll_fd;
	uint32_t fence;
	struct resource resources[MOST];
	uint32_t contexts[MOST];
} lib;

const struct gpu_renderer *const fuzzed_renderer = &gpu_renderer_virgl;

/* ---- the library's own ---- */

static struct resource *find(uint32_t id)
{
	unsigned int i;

	for (i = 0; i < MOST; i++) {
		if (lib.resources[i].id == id)
			return &lib.resources[i];
	}
	return NULL;
}

/* One that the caller must know. */
static struct resource *get(uint32_t id)
{
	struct resource *res = id ? find(id) : NULL;

	if (!res)
		abort();
	return res;
}

static uint32_t *find_context(uint32_t id)
{
	unsigned int i;

	for (i = 0; i < MOST; i++) {
		if (lib.contexts[i] == id)
			return &lib.contexts[i];
	}
	return NULL;
}

static struct resource *make(uint32_t id)
{
	struct resource *res = find(0);

	if (!id || find(id) || !res)
		abort();
	*res = (struct resource){ .id = id };
	return res;
}

static void touch(const struct iovec *iov, unsigned int niov, bool fill)
{
	static volatile uint8_t sink;
	unsigned int i;
	size_t at;

	for (i = 0; i < niov; i++) {
		if (fill)
			memset(iov[i].iov_base, 0x5a, iov[i].iov_len);
		for (at = 0; at < iov[i].iov_len; at++)
			sink = ((const uint8_t *)iov[i].iov_base)[at];
	}
	(void)sink;
}

/* ---- resources ---- */

int virgl_renderer_resource_create(struct virgl_renderer_resource_create_args *args,
				   struct iovec *iov, uint32_t niov)
{
	struct resource *res;

	if (iov || niov)
		abort();
	/* of a wider format it would read back more than there is */
	if (args->target == BUFFER && args->format != FORMAT_R8_UNORM)
		abort();
	if (args->format > 200)
		return ENOMEM;
	if (!args->width || args->width > MOST_SIDE || args->height > MOST_SIDE)
		return EINVAL;
	res = make(args->handle);
	res->width = args->width;
	res->height = args->height;
	res->flags = args->flags;
	return 0;
}

int virgl_renderer_resource_create_blob(const struct virgl_renderer_resource_create_blob_args *args)
{
	struct resource *res;

	if (args->blob_mem != VIRGL_RENDERER_BLOB_MEM_GUEST)
		abort();
	if (args->num_iovs == 3)
		return -EINVAL;
	res = make(args->res_handle);
	res->iov = args->iovecs;
	res->niov = args->num_iovs;
	return 0;
}

void virgl_renderer_resource_unref(uint32_t id)
{
	struct resource *res = get(id);

	if (res->iov)
		abort(); /* the caller is about to free them */
	res->id = 0;
}

int virgl_renderer_resource_attach_iov(int id, struct iovec *iov, int niov)
{
	struct resource *res = get((uint32_t)id);

	if (res->iov)
		abort();
	if (niov == 5)
		return EINVAL;
	res->iov = iov;
	res->niov = (unsigned int)niov;
	return 0;
}

void virgl_renderer_resource_detach_iov(int id, struct iovec **iov, int *niov)
{
	struct resource *res = get((uint32_t)id);

	if (!res->iov)
		abort();
	touch(res->iov, res->niov, false);
	*iov = NULL;
	*niov = 0;
	res->iov = NULL;
}

int virgl_renderer_resource_get_info(int id, struct virgl_renderer_resource_info *info)
{
	const struct resource *res = get((uint32_t)id);

	*info = (struct virgl_renderer_resource_info){
		.handle = res->id,
		.width = res->width,
		.height = res->height,
		.flags = res->flags,
	};
	return 0;
}

/* By its id: it has none, one, one with tiles, or two. */
int virgl_renderer_execute(void *args, uint32_t size)
{
	struct virgl_renderer_export_query *query = args;
	unsigned int i;

	if (size != sizeof(*query))
		abort();
	get(query->in_resource_id);
	query->out_num_fds = query->in_resource_id % 3;
	query->out_modifier = query->in_resource_id % 5 ? 0 : 1;
	for (i = 0; i < query->out_num_fds; i++) {
		query->out_fds[i] = memfd_create("fuzz", MFD_CLOEXEC);
		query->out_strides[i] = 256;
	}
	return query->in_resource_id % 7 ? 0 : EINVAL;
}

/* ---- commands ---- */

static int transfer(uint32_t id, uint32_t ctx, uint32_t stride, const struct virgl_box *box,
		    const struct iovec *iov, unsigned int niov, bool fill)
{
	const struct resource *res = get(id);

	if ((ctx && !find_context(ctx)) || box->z > INT32_MAX || box->d > INT32_MAX)
		abort();
	if (stride % 4)
		return EINVAL;
	if (!iov) {
		iov = res->iov;
		niov = res->niov;
	}
	if (!iov)
		abort();
	touch(iov, niov, fill);
	return 0;
}

int virgl_renderer_transfer_read_iov(uint32_t id, uint32_t ctx, uint32_t level, uint32_t stride,
				     uint32_t layer_stride, struct virgl_box *box, uint64_t offset,
				     struct iovec *iov, int niov)
{
	(void)level;
	(void)layer_stride;
	(void)offset;
	return transfer(id, ctx, stride, box, iov, (unsigned int)niov, true);
}

int virgl_renderer_transfer_write_iov(uint32_t id, uint32_t ctx, int level, uint32_t stride,
				      uint32_t layer_stride, struct virgl_box *box, uint64_t offset,
				      struct iovec *iov, unsigned int niov)
{
	(void)level;
	(void)layer_stride;
	(void)offset;
	return transfer(id, ctx, stride, box, iov, niov, false);
}

int virgl_renderer_submit_cmd(void *buffer, int ctx, int ndw)
{
	const struct iovec iov = { buffer, (size_t)ndw * 4 };

	if (ndw < 0 || !ctx || !find_context((uint32_t)ctx))
		abort();
	touch(&iov, 1, false);
	return ndw % 3 == 2 ? EINVAL : 0;
}

int virgl_renderer_context_create(uint32_t id, uint32_t nlen, const char *name)
{
	uint32_t *place = find_context(0);

	if (!id || find_context(id) || !place || strnlen(name, nlen + 1) > nlen)
		abort();
	if (nlen == 7)
		return EINVAL;
	*place = id;
	return 0;
}

int virgl_renderer_context_create_with_flags(uint32_t id, uint32_t flags, uint32_t nlen,
					     const char *name)
{
	if (flags & ~(uint32_t)VIRGL_RENDERER_CONTEXT_FLAG_CAPSET_ID_MASK)
		abort();
	return virgl_renderer_context_create(id, nlen, name);
}

void virgl_renderer_context_destroy(uint32_t id)
{
	uint32_t *place = id ? find_context(id) : NULL;

	if (!place)
		abort();
	*place = 0;
}

void virgl_renderer_ctx_attach_resource(int ctx, int id)
{
	get((uint32_t)id);
	if (!ctx || !find_context((uint32_t)ctx))
		abort();
}

void virgl_renderer_ctx_detach_resource(int ctx, int id)
{
	virgl_renderer_ctx_attach_resource(ctx, id);
}

/* ---- capability sets, fences ---- */

void virgl_renderer_get_cap_set(uint32_t set, uint32_t *version, uint32_t *size)
{
	*version = set;
	*size = set == 1 ? 308 : set == 2 ? 1376 : 0;
}

void virgl_renderer_fill_caps(uint32_t set, uint32_t version, void *caps)
{
	uint32_t most, size;

	virgl_renderer_get_cap_set(set, &most, &size);
	if (version > most)
		abort();
	memset(caps, 0x5a, size);
}

int virgl_renderer_create_fence(int fence, uint32_t ctx)
{
	(void)ctx;
	if (fence < 0)
		abort();
	if (fence % 32 == 31)
		return EINVAL;
	lib.fence = (uint32_t)fence;
	return 0;
}

void virgl_renderer_poll(void)
{
	lib.callbacks->write_fence(lib.cookie, lib.fence);
}

int virgl_renderer_get_poll_fd(void)
{
	return lib.poll_fd;
}

/* ---- life ---- */

int virgl_renderer_init(void *cookie, int flags, struct virgl_renderer_callbacks *callbacks)
{
	struct virgl_renderer_gl_ctx_param param = { .major_ver = 4, .minor_ver = 5 };
	void *context;

	if (lib.cookie || flags & VIRGL_RENDERER_USE_EGL)
		abort(); /* there is no graphics card */
	lib.cookie = cookie;
	lib.callbacks = callbacks;
	lib.poll_fd = eventfd(1, EFD_CLOEXEC); /* there is always something to look at */
	lib.fence = 0;
	context = callbacks->create_gl_context(cookie, 0, &param);
	if (lib.poll_fd < 0 || !context || callbacks->make_current(cookie, 0, context))
		abort();
	callbacks->destroy_gl_context(cookie, context);
	return 0;
}

void virgl_renderer_cleanup(void *cookie)
{
	unsigned int i;

	if (!cookie || cookie != lib.cookie)
		abort();
	for (i = 0; i < MOST; i++) {
		if (lib.resources[i].id || lib.contexts[i])
			abort();
	}
	lib.cookie = NULL;
	fd_close(&lib.poll_fd);
}

virgl_debug_callback_type virgl_set_debug_callback(virgl_debug_callback_type callback)
{
	(void)callback;
	return NULL;
}

/* ---- OpenGL (backends/gpu/gl.h) ---- */

struct gl {
	unsigned int contexts;
};

int gl_find_node(unsigned int number, char *path, size_t size)
{
	(void)number;
	(void)path;
	(void)size;
	return -ENODEV;
}

int gl_check_node(const char *path)
{
	(void)path;
	return -ENODEV;
}

struct gl *gl_create(void)
{
	return calloc(1, sizeof(struct gl));
}

void gl_destroy(struct gl *gl)
{
	if (gl && gl->contexts)
		abort();
	free(gl);
}

void *gl_context_create(struct gl *gl, bool shared, int major, int minor)
{
	(void)shared;
	(void)major;
	(void)minor;
	gl->contexts++;
	return gl;
}

void gl_context_destroy(struct gl *gl, void *context)
{
	if (context != gl || !gl->contexts--)
		abort();
}

int gl_make_current(struct gl *gl, void *context)
{
	return context == gl ? 0 : -EIO;
}

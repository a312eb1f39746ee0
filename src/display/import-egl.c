// SPDX-License-Identifier: BSD-3-Clause
/* EGL_EXT_image_dma_buf_import: a buffer becomes a texture, and a framebuffer to read it from. */
#include "display/import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <epoxy/egl.h>
#include <epoxy/gl.h>
#include <gbm.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "display/dmabuf.h"

#define MOST_ATTRIBUTES 24

struct importer {
	int fd;
	struct gbm_device *gbm;
	EGLDisplay display;
	EGLContext context;
	bool modifiers; /* a layout can be named */
};

struct imported {
	struct importer *importer;
	EGLImageKHR image;
	GLuint texture;
	GLuint framebuffer;
};

/* ---- the card ---- */

static const char *open_display(struct importer *importer)
{
	const EGLint wanted[] = { EGL_CONTEXT_MAJOR_VERSION_KHR, 2, EGL_NONE };
	EGLDisplay display;

	importer->display = eglGetPlatformDisplayEXT(EGL_PLATFORM_GBM_KHR, importer->gbm, NULL);
	if (!importer->display || !eglInitialize(importer->display, NULL, NULL))
		return "it has no EGL driver";
	display = importer->display;
	if (!epoxy_has_egl_extension(display, "EGL_EXT_image_dma_buf_import"))
		return "its driver imports no buffers";
	if (!epoxy_has_egl_extension(display, "EGL_KHR_surfaceless_context") ||
	    !epoxy_has_egl_extension(display, "EGL_KHR_no_config_context") ||
	    !epoxy_has_egl_extension(display, "EGL_KHR_create_context") ||
	    !epoxy_has_egl_extension(display, "EGL_KHR_image_base") ||
	    !eglBindAPI(EGL_OPENGL_ES_API))
		return "its driver cannot draw without a surface";
	importer->modifiers =
		epoxy_has_egl_extension(display, "EGL_EXT_image_dma_buf_import_modifiers");
	importer->context = eglCreateContext(importer->display, EGL_NO_CONFIG_KHR, EGL_NO_CONTEXT,
					     wanted);
	if (!importer->context || !eglMakeCurrent(importer->display, EGL_NO_SURFACE, EGL_NO_SURFACE,
						  importer->context))
		return "its driver has no OpenGL ES 2";
	return epoxy_has_gl_extension("GL_OES_EGL_image") ? NULL :
							    "its driver makes no textures of buffers";
}

struct importer *importer_create(const char *node, struct failure *failure)
{
	struct importer *importer = calloc(1, sizeof(*importer));
	const char *why;

	if (!importer) {
		failure_set(failure, -ENOMEM, "--render-node %s: no memory", node);
		return NULL;
	}
	importer->fd = open(node, O_RDWR | O_CLOEXEC);
	if (importer->fd < 0) {
		failure_set(failure, -errno, "--render-node %s: %s", node, strerror(errno));
		goto err_destroy;
	}
	importer->gbm = gbm_create_device(importer->fd);
	why = importer->gbm ? open_display(importer) : "it is no graphics card";
	if (!why) {
		log_info("%s: %s", node, (const char *)glGetString(GL_RENDERER));
		return importer;
	}
	failure_set(failure, -EOPNOTSUPP, "--render-node %s: %s", node, why);
err_destroy:
	importer_destroy(importer);
	return NULL;
}

void importer_destroy(struct importer *importer)
{
	if (!importer)
		return;
	if (importer->display) {
		eglMakeCurrent(importer->display, EGL_NO_SURFACE, EGL_NO_SURFACE, EGL_NO_CONTEXT);
		if (importer->context)
			eglDestroyContext(importer->display, importer->context);
		eglTerminate(importer->display);
	}
	if (importer->gbm)
		gbm_device_destroy(importer->gbm);
	fd_close(&importer->fd);
	free(importer);
}

/* ---- a buffer ---- */

static EGLImageKHR make_image(const struct importer *importer, const struct vgpu_dmabuf_scanout *s,
			      uint64_t modifier, int fd)
{
	EGLint list[MOST_ATTRIBUTES] = {
		EGL_WIDTH, (EGLint)s->fd_width,
		EGL_HEIGHT, (EGLint)s->fd_height,
		EGL_LINUX_DRM_FOURCC_EXT, (EGLint)s->fd_drm_fourcc,
		EGL_DMA_BUF_PLANE0_FD_EXT, fd,
		EGL_DMA_BUF_PLANE0_OFFSET_EXT, 0,
		EGL_DMA_BUF_PLANE0_PITCH_EXT, (EGLint)s->fd_stride,
	};
	unsigned int n = 12;

	if (modifier != DMABUF_IMPLICIT && importer->modifiers) {
		list[n++] = EGL_DMA_BUF_PLANE0_MODIFIER_LO_EXT;
		list[n++] = (EGLint)(uint32_t)modifier;
		list[n++] = EGL_DMA_BUF_PLANE0_MODIFIER_HI_EXT;
		list[n++] = (EGLint)(uint32_t)(modifier >> 32);
	} else if (modifier != DMABUF_IMPLICIT && modifier != DMABUF_LINEAR) {
		return EGL_NO_IMAGE_KHR;
	}
	list[n] = EGL_NONE;
	return eglCreateImageKHR(importer->display, EGL_NO_CONTEXT, EGL_LINUX_DMA_BUF_EXT, NULL,
				 list);
}

static void forget_errors(void)
{
	int most = 16;

	while (glGetError() != GL_NO_ERROR && most--)
		;
}

/* Drivers take buffers that they turn out not to read: a pixel tells. */
static int make_framebuffer(struct imported *imported)
{
	uint32_t pixel;

	forget_errors();
	glGenTextures(1, &imported->texture);
	glBindTexture(GL_TEXTURE_2D, imported->texture);
	glEGLImageTargetTexture2DOES(GL_TEXTURE_2D, imported->image);
	glGenFramebuffers(1, &imported->framebuffer);
	glBindFramebuffer(GL_FRAMEBUFFER, imported->framebuffer);
	glFramebufferTexture2D(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D,
			       imported->texture, 0);
	if (glGetError() != GL_NO_ERROR ||
	    glCheckFramebufferStatus(GL_FRAMEBUFFER) != GL_FRAMEBUFFER_COMPLETE ||
	    imported_read(imported, 0, 0, 1, 1, &pixel))
		return -EOPNOTSUPP;
	return 0;
}

int importer_import(struct importer *importer, const struct vgpu_dmabuf_scanout *scanout,
		    uint64_t modifier, int fd, struct imported **imported)
{
	struct imported *made = calloc(1, sizeof(*made));

	if (!made)
		return -ENOMEM;
	made->importer = importer;
	made->image = make_image(importer, scanout, modifier, fd);
	if (made->image == EGL_NO_IMAGE_KHR || make_framebuffer(made)) {
		imported_release(made);
		return -EOPNOTSUPP;
	}
	*imported = made;
	return 0;
}

void imported_release(struct imported *imported)
{
	if (!imported)
		return;
	glDeleteFramebuffers(1, &imported->framebuffer);
	glDeleteTextures(1, &imported->texture);
	if (imported->image)
		eglDestroyImageKHR(imported->importer->display, imported->image);
	free(imported);
}

int imported_read(struct imported *imported, uint32_t x, uint32_t y, uint32_t width,
		  uint32_t height, void *dst)
{
	glBindFramebuffer(GL_FRAMEBUFFER, imported->framebuffer);
	glReadPixels((GLint)x, (GLint)y, (GLsizei)width, (GLsizei)height, GL_RGBA, GL_UNSIGNED_BYTE,
		     dst);
	return glGetError() == GL_NO_ERROR ? 0 : -EIO;
}

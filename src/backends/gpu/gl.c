// SPDX-License-Identifier: BSD-3-Clause
#include "backends/gpu/gl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <epoxy/egl.h>

#include "common/cleanup.h"
#include "common/log.h"

#define DRM_MAJOR 226 /* of character devices: Linux's admin-guide/devices.txt */
#define FIRST_NODE 128
#define LAST_NODE 191
#define MOST_DEVICES 32

/* ---- graphics cards ---- */

/*
 * A card that is driven by its device's own driver. That of a loopback card has none, as the
 * driver is the virtio device's below it; nor have those that only pass buffers on (vgem), which
 * newer kernels put on a bus of their own instead.
 */
static bool is_card(unsigned int node)
{
	char path[64], bus[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/class/drm/renderD%u/device/driver", node);
	if (access(path, F_OK) < 0)
		return false;
	snprintf(path, sizeof(path), "/sys/class/drm/renderD%u/device/subsystem", node);
	len = readlink(path, bus, sizeof(bus) - 1);
	if (len < 0)
		return false;
	bus[len] = '\0';
	return strcmp(strrchr(bus, '/') ? strrchr(bus, '/') : bus, "/faux") != 0;
}

int gl_find_node(unsigned int number, char *path, size_t size)
{
	unsigned int node;

	for (node = FIRST_NODE; node <= LAST_NODE; node++) {
		if (is_card(node) && !number--) {
			snprintf(path, size, "/dev/dri/renderD%u", node);
			return 0;
		}
	}
	return -ENODEV;
}

/* Of anything else EGL makes nothing, and then draws on the CPU, which was not asked for. */
int gl_check_node(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int ret;

	if (fd < 0 || fstat(fd, &st) < 0) {
		ret = -errno;
		log_error("--render-node %s: %m", path);
		return ret;
	}
	if (S_ISCHR(st.st_mode) && major(st.st_rdev) == DRM_MAJOR)
		return 0;
	log_error("--render-node %s: no graphics card's node, such as /dev/dri/renderD128", path);
	return -ENODEV;
}

/* ---- the CPU ---- */

struct gl {
	EGLDisplay display;
};

static bool named(const char *list, const char *name)
{
	return list && strstr(list, name);
}

static EGLDeviceEXT find_cpu(void)
{
	const char *client = eglQueryString(EGL_NO_DISPLAY, EGL_EXTENSIONS);
	EGLDeviceEXT devices[MOST_DEVICES];
	EGLint n = 0, i;

	if (!named(client, "EGL_EXT_platform_device") ||
	    !named(client, "EGL_EXT_device_enumeration") ||
	    !eglQueryDevicesEXT(MOST_DEVICES, devices, &n))
		return EGL_NO_DEVICE_EXT;
	for (i = 0; i < n; i++)
		if (named(eglQueryDeviceStringEXT(devices[i], EGL_EXTENSIONS),
			  "EGL_MESA_device_software"))
			return devices[i];
	return EGL_NO_DEVICE_EXT;
}

static int open_display(struct gl *gl, EGLDeviceEXT device)
{
	const char *has;

	gl->display = eglGetPlatformDisplayEXT(EGL_PLATFORM_DEVICE_EXT, device, NULL);
	if (!gl->display || !eglInitialize(gl->display, NULL, NULL))
		return -ENODEV;
	has = eglQueryString(gl->display, EGL_EXTENSIONS);
	return named(has, "EGL_KHR_surfaceless_context") &&
			       named(has, "EGL_KHR_no_config_context") &&
			       named(has, "EGL_KHR_create_context") && eglBindAPI(EGL_OPENGL_API) ?
		       0 :
		       -EOPNOTSUPP;
}

struct gl *gl_create(void)
{
	EGLDeviceEXT device = find_cpu();
	struct gl *gl = calloc(1, sizeof(*gl));

	if (gl && device != EGL_NO_DEVICE_EXT && !open_display(gl, device))
		return gl;
	log_error("OpenGL on the CPU cannot be used here: is an EGL driver for it installed, such as libgl1-mesa-dri?");
	gl_destroy(gl);
	return NULL;
}

void gl_destroy(struct gl *gl)
{
	if (!gl)
		return;
	if (gl->display)
		eglTerminate(gl->display);
	free(gl);
}

void *gl_context_create(struct gl *gl, bool shared, int major, int minor)
{
	const EGLint wanted[] = { EGL_CONTEXT_MAJOR_VERSION_KHR, major,
				  EGL_CONTEXT_MINOR_VERSION_KHR, minor, EGL_NONE };

	return eglCreateContext(gl->display, EGL_NO_CONFIG_KHR,
				shared ? eglGetCurrentContext() : EGL_NO_CONTEXT, wanted);
}

void gl_context_destroy(struct gl *gl, void *context)
{
	eglDestroyContext(gl->display, context);
}

int gl_make_current(struct gl *gl, void *context)
{
	return eglMakeCurrent(gl->display, EGL_NO_SURFACE, EGL_NO_SURFACE, context) ? 0 : -EIO;
}

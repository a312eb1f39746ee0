// SPDX-License-Identifier: BSD-3-Clause
/*
 * gl-picture CARD - OpenGL ES on a DRM card: what is drawn and read back, then what is shown
 * gl-picture --find CARD - the same without a screen, by the render node that EGL finds for it
 * gl-picture --wayland - the same on the card that EGL chooses below a Wayland desktop (DRI_PRIME)
 *
 * Draws four quarters of known colours by the GPU and reads them back with glReadPixels; uploads a
 * texture of numbers, draws it pixel by pixel, and reads it back. Then it shows the four quarters
 * in the first mode until it is killed. Each line says what was expected and seen where it differs.
 */
#include <err.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <epoxy/egl.h>
#include <epoxy/gl.h>
#include <gbm.h>

#include "drm-card.h"

#define SIDE 256 /* of the texture */

#ifndef EGL_DRM_RENDER_NODE_FILE_EXT /* newer than Debian 12's libepoxy */
#define EGL_DRM_RENDER_NODE_FILE_EXT 0x3377
#endif

static struct drm_card card;

/* Lower left, lower right, upper left, upper right */
static const uint8_t quarters[4][4] = {
	{ 255, 0, 0, 255 }, { 0, 255, 0, 255 }, { 0, 0, 255, 255 }, { 255, 255, 0, 255 },
};

static void show(struct gbm_bo *bo)
{
	struct drm_mode_fb_cmd fb = { .width = card.mode.hdisplay, .height = card.mode.vdisplay,
				      .pitch = gbm_bo_get_stride(bo), .bpp = 32, .depth = 24,
				      .handle = gbm_bo_get_handle(bo).u32 };

	DRM_CARD_CALL(&card, MODE_ADDFB, &fb);
	drm_card_show(&card, fb.fb_id);
}

/* ---- OpenGL ---- */

static EGLDisplay display;
static EGLSurface surface;

static EGLConfig find_config(void)
{
	static const EGLint wanted[] = { EGL_RED_SIZE, 8, EGL_GREEN_SIZE, 8, EGL_BLUE_SIZE, 8, EGL_ALPHA_SIZE, 0,
					 EGL_RENDERABLE_TYPE, EGL_OPENGL_ES2_BIT, EGL_SURFACE_TYPE, EGL_WINDOW_BIT,
					 EGL_NONE };
	EGLConfig configs[64];
	EGLint n = 0, format;

	eglChooseConfig(display, wanted, configs, 64, &n);
	for (EGLint i = 0; i < n; i++) {
		if (eglGetConfigAttrib(display, configs[i], EGL_NATIVE_VISUAL_ID, &format) &&
		    format == GBM_FORMAT_XRGB8888)
			return configs[i];
	}
	errx(1, "no EGL configuration for XRGB8888 among %d", n);
}

static struct gbm_surface *start(void)
{
	static const EGLint version[] = { EGL_CONTEXT_CLIENT_VERSION, 2, EGL_NONE };
	struct gbm_device *gbm = gbm_create_device(card.fd);
	struct gbm_surface *target;
	EGLContext context;
	EGLConfig config;

	if (!gbm)
		errx(1, "gbm_create_device");
	display = eglGetPlatformDisplayEXT(EGL_PLATFORM_GBM_KHR, gbm, NULL);
	if (!eglInitialize(display, NULL, NULL) || !eglBindAPI(EGL_OPENGL_ES_API))
		errx(1, "eglInitialize: %#x", eglGetError());
	config = find_config();
	target = gbm_surface_create(gbm, card.mode.hdisplay, card.mode.vdisplay, GBM_FORMAT_XRGB8888,
				    GBM_BO_USE_SCANOUT | GBM_BO_USE_RENDERING);
	context = eglCreateContext(display, config, EGL_NO_CONTEXT, version);
	surface = eglCreateWindowSurface(display, config, (EGLNativeWindowType)target, NULL);
	if (!context || !surface || !eglMakeCurrent(display, surface, surface, context))
		errx(1, "EGL: %#x", eglGetError());
	printf("renderer %s\n", (const char *)glGetString(GL_RENDERER));
	return target;
}

/* On no surface: what is drawn goes to a texture. @device: whose display it is, or NULL: ask it */
static void start_bare(EGLDeviceEXT device)
{
	static const EGLint version[] = { EGL_CONTEXT_CLIENT_VERSION, 2, EGL_NONE };
	EGLAttrib chosen = 0;
	EGLContext context;
	GLuint target, fb;
	const char *name;

	if (!eglInitialize(display, NULL, NULL) || !eglBindAPI(EGL_OPENGL_ES_API))
		errx(1, "eglInitialize: %#x", eglGetError());
	if (!device && eglQueryDisplayAttribEXT(display, EGL_DEVICE_EXT, &chosen))
		device = (EGLDeviceEXT)chosen;
	name = device ? eglQueryDeviceStringEXT(device, EGL_DRM_RENDER_NODE_FILE_EXT) : NULL;
	printf("node %s\n", name ? name : "none");
	context = eglCreateContext(display, EGL_NO_CONFIG_KHR, EGL_NO_CONTEXT, version);
	if (!context || !eglMakeCurrent(display, EGL_NO_SURFACE, EGL_NO_SURFACE, context))
		errx(1, "EGL: %#x", eglGetError());
	printf("renderer %s\n", (const char *)glGetString(GL_RENDERER));
	glGenTextures(1, &target);
	glBindTexture(GL_TEXTURE_2D, target);
	glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA, SIDE, SIDE, 0, GL_RGBA, GL_UNSIGNED_BYTE, NULL);
	glGenFramebuffers(1, &fb);
	glBindFramebuffer(GL_FRAMEBUFFER, fb);
	glFramebufferTexture2D(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, target, 0);
}

/* As a program does that is told a card and wants to compute on it. */
static void start_device(const char *path)
{
	EGLDeviceEXT devices[16];
	EGLint n = 0, i;
	const char *name;

	if (!eglQueryDevicesEXT(16, devices, &n))
		errx(1, "eglQueryDevicesEXT: %#x", eglGetError());
	for (i = 0; i < n; i++) {
		name = eglQueryDeviceStringEXT(devices[i], EGL_DRM_DEVICE_FILE_EXT);
		if (name && !strcmp(name, path))
			break;
	}
	if (i == n)
		errx(1, "none of EGL's %d devices is %s", n, path);
	display = eglGetPlatformDisplayEXT(EGL_PLATFORM_DEVICE_EXT, devices[i], NULL);
	start_bare(devices[i]);
}

/* As any client of a desktop does. */
static void start_wayland(void)
{
	display = eglGetPlatformDisplayEXT(EGL_PLATFORM_WAYLAND_KHR, NULL, NULL);
	start_bare(NULL);
}

static bool close_to(const uint8_t *seen, const uint8_t *expected)
{
	return abs(seen[0] - expected[0]) <= 1 && abs(seen[1] - expected[1]) <= 1 && abs(seen[2] - expected[2]) <= 1;
}

static void draw_quarters(int width, int height)
{
	glEnable(GL_SCISSOR_TEST);
	for (int i = 0; i < 4; i++) {
		const uint8_t *c = quarters[i];

		glScissor(i % 2 * (width / 2), i / 2 * (height / 2), width / 2, height / 2);
		glClearColor(c[0] / 255.0F, c[1] / 255.0F, c[2] / 255.0F, 1);
		glClear(GL_COLOR_BUFFER_BIT);
	}
	glDisable(GL_SCISSOR_TEST);
}

static int check_quarters(int width, int height)
{
	uint8_t *pixels = malloc((size_t)width * height * 4);
	int wrong = 0;

	memset(pixels, 0x5a, (size_t)width * height * 4);
	glReadPixels(0, 0, width, height, GL_RGBA, GL_UNSIGNED_BYTE, pixels);
	for (int y = 0; y < height; y++) {
		for (int x = 0; x < width; x++) {
			const uint8_t *seen = pixels + 4 * ((size_t)y * width + x);
			const uint8_t *c = quarters[y / (height / 2) * 2 + x / (width / 2)];

			if (!close_to(seen, c) && wrong++ < 5)
				printf("at %d, %d: expected %u %u %u, saw %u %u %u\n", x, y, c[0], c[1], c[2], seen[0],
				       seen[1], seen[2]);
		}
	}
	free(pixels);
	printf("quarters: %d of %d pixels are wrong\n", wrong, width * height);
	return wrong;
}

static GLuint compile(GLenum type, const char *source)
{
	GLuint shader = glCreateShader(type);
	GLint done = 0;

	glShaderSource(shader, 1, &source, NULL);
	glCompileShader(shader);
	glGetShaderiv(shader, GL_COMPILE_STATUS, &done);
	if (!done)
		errx(1, "the shader does not compile");
	return shader;
}

/* One texel a pixel, in the corner of the target */
static void draw_texture(const uint8_t *texels)
{
	static const float corners[] = { -1, -1, 1, -1, -1, 1, 1, 1 };
	GLuint program = glCreateProgram(), texture;

	glAttachShader(program, compile(GL_VERTEX_SHADER, "attribute vec2 p; varying vec2 t;\n"
				"void main() { t = p * 0.5 + 0.5; gl_Position = vec4(p, 0.0, 1.0); }"));
	glAttachShader(program, compile(GL_FRAGMENT_SHADER, "precision highp float; varying vec2 t;\n"
				"uniform sampler2D s; void main() { gl_FragColor = texture2D(s, t); }"));
	glBindAttribLocation(program, 0, "p");
	glLinkProgram(program);
	glUseProgram(program);
	glGenTextures(1, &texture);
	glBindTexture(GL_TEXTURE_2D, texture);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MAG_FILTER, GL_NEAREST);
	glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA, SIDE, SIDE, 0, GL_RGBA, GL_UNSIGNED_BYTE, texels);
	glViewport(0, 0, SIDE, SIDE);
	glVertexAttribPointer(0, 2, GL_FLOAT, GL_FALSE, 0, corners);
	glEnableVertexAttribArray(0);
	glDrawArrays(GL_TRIANGLE_STRIP, 0, 4);
}

static int check_texture(void)
{
	static uint8_t texels[SIDE * SIDE * 4], seen[SIDE * SIDE * 4];
	int wrong = 0;

	for (uint32_t i = 0; i < sizeof(texels); i++)
		texels[i] = i % 4 == 3 ? 255 : (uint8_t)(i * 2654435761U >> 13);
	draw_texture(texels);
	glReadPixels(0, 0, SIDE, SIDE, GL_RGBA, GL_UNSIGNED_BYTE, seen);
	for (size_t i = 0; i < sizeof(texels); i += 4) {
		if (!close_to(seen + i, texels + i) && wrong++ < 5)
			printf("texel %zu: expected %u %u %u, saw %u %u %u\n", i / 4, texels[i], texels[i + 1],
			       texels[i + 2], seen[i], seen[i + 1], seen[i + 2]);
	}
	printf("texture: %d of %d pixels are wrong\n", wrong, SIDE * SIDE);
	return wrong;
}

static int check_bare(void)
{
	int wrong;

	draw_quarters(SIDE, SIDE);
	wrong = check_quarters(SIDE, SIDE);
	return check_texture() || wrong;
}

static int show_on(const char *path)
{
	struct gbm_surface *target;
	int wrong;

	drm_card_open(&card, path);
	target = start();
	wrong = check_texture();
	draw_quarters(card.mode.hdisplay, card.mode.vdisplay);
	wrong += check_quarters(card.mode.hdisplay, card.mode.vdisplay);
	if (wrong)
		return 1;
	eglSwapBuffers(display, surface);
	show(gbm_surface_lock_front_buffer(target));
	printf("shown\n");
	pause();
	return 0;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(argv[1], "--find")) {
		start_device(argv[2]);
		return check_bare();
	}
	if (argc != 2)
		errx(2, "usage: gl-picture CARD | --find CARD | --wayland");
	if (strcmp(argv[1], "--wayland") != 0)
		return show_on(argv[1]);
	start_wayland();
	return check_bare();
}

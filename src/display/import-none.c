// SPDX-License-Identifier: BSD-3-Clause
/* A build without EGL: there is no importer, and so nothing is imported. */
#include "display/import.h"

#include <errno.h>

struct importer *importer_create(const char *node, struct failure *failure)
{
	failure_set(failure, -EOPNOTSUPP, "--render-node %s: this build has no EGL", node);
	return NULL;
}

void importer_destroy(struct importer *importer)
{
	(void)importer;
}

int importer_import(struct importer *importer, const struct vgpu_dmabuf_scanout *scanout,
		    uint64_t modifier, int fd, struct imported **imported)
{
	(void)importer;
	(void)scanout;
	(void)modifier;
	(void)fd;
	(void)imported;
	return -EOPNOTSUPP;
}

void imported_release(struct imported *imported)
{
	(void)imported;
}

int imported_read(struct imported *imported, uint32_t x, uint32_t y, uint32_t width,
		  uint32_t height, void *dst)
{
	(void)imported;
	(void)x;
	(void)y;
	(void)width;
	(void)height;
	(void)dst;
	return -EIO;
}

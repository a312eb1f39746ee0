// SPDX-License-Identifier: BSD-3-Clause
/*
 * For LD_PRELOAD: connectors have one mode only, that of the size in $ONE_MODE (WIDTHxHEIGHT), if
 * they have such. So that a program which takes the largest mode takes the same on every card.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <xf86drmMode.h>

typedef drmModeConnectorPtr (*get_connector_fn)(int fd, uint32_t id);

static void keep_one(drmModeConnectorPtr connector, unsigned int width, unsigned int height)
{
	int i;

	for (i = 0; i < connector->count_modes; i++) {
		if (connector->modes[i].hdisplay != width || connector->modes[i].vdisplay != height)
			continue;
		connector->modes[0] = connector->modes[i];
		connector->count_modes = 1;
		return;
	}
}

drmModeConnectorPtr drmModeGetConnector(int fd, uint32_t id)
{
	const char *size = getenv("ONE_MODE");
	drmModeConnectorPtr connector;
	get_connector_fn get_connector;
	unsigned int width, height;

	/* ISO C has no conversion from an object's address to a function's */
	*(void **)&get_connector = dlsym(RTLD_NEXT, "drmModeGetConnector");
	connector = get_connector ? get_connector(fd, id) : NULL;
	if (connector && size && sscanf(size, "%ux%u", &width, &height) == 2)
		keep_one(connector, width, height);
	return connector;
}

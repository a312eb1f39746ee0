/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What back-ends are installed: each comes with a JSON file that tells its type and its program, as
 * VhostUserBackend of QEMU's docs/interop/vhost-user.json says.
 */
#ifndef CLI_DESCRIPTOR_H
#define CLI_DESCRIPTOR_H

#include <stddef.h>
#include <stdint.h>

#include "common/failure.h"

struct descriptor {
	char *path; /* of the file; of a folder that cannot be read */
	char *type; /* as the schema names it; NULL: not told */
	uint32_t virtio_id; /* 0: the schema has no such type */
	char *binary, *description; /* NULL: not told */
	struct failure problem; /* why it is of no use, without the path; "": nothing */
};

struct descriptor_list {
	struct descriptor *entries; /* the first that fits is the one to take */
	size_t count;
};

/* descriptor_type_name() - what the schema calls this device type; NULL: nothing */
const char *descriptor_type_name(uint32_t virtio_id);

/**
 * descriptor_folders() - where to look, from general to specific
 * @folders:	on 0 for word_list_free()
 *
 * Return: 0 or -ENOMEM.
 */
int descriptor_folders(char ***folders);

/**
 * descriptor_list_read() - all descriptors, those of no use among them
 * @folders:	from general to specific; one that is not there is passed over
 * @list:	on 0 for descriptor_list_free()
 *
 * In the order of the files' names. A file stands for those of its name in more general folders,
 * and hides them when it is empty.
 *
 * Return: 0 or -ENOMEM.
 */
int descriptor_list_read(char *const *folders, struct descriptor_list *list);

void descriptor_list_free(struct descriptor_list *list);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is wrong with this machine, and what mends it. Each file has the checks of one subject; they
 * only look, and need no root for most.
 *
 * doctor.c		the command
 * doctor-kernel.c	version and options of the kernel
 * doctor-module.c	the module: installed, signed, loaded, of this version
 * doctor-drivers.c	drivers, and the programs of back-ends
 * doctor-access.c	permissions and limits
 * doctor-devices.c	configuration files, and devices that are in trouble
 * doctor-report.c	findings
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum finding_level {
	FINDING_OK,
	FINDING_NOTE, /* worth knowing; nothing needs it now */
	FINDING_BAD,
};

struct finding {
	enum finding_level level;
	const char *check; /* the subject, a word */
	char text[256];
	char remedy[256]; /* a command, or ""; words in <> are the reader's to choose */
};

struct doctor {
	const char *root; /* "", or where a tree stands that is looked at instead */
	const char *release; /* of the kernel */
	const char *user; /* name */
	uid_t uid;
	uint64_t memlock, nofile; /* limits */

	/* found on the way, for the checks that follow */
	bool loaded; /* the module */
	uint64_t types[2]; /* a bit for each virtio id that a configuration file wants */
	uint64_t types_by_vduse[2]; /* the same, of those with transport = vduse; not in types */
	uint64_t pool; /* the largest that they, or a disk, want */

	struct finding *findings;
	unsigned int count;
	bool failed; /* no memory */
};

/* ---- doctor-report.c ---- */

/* doctor_say() - note a finding; @remedy NULL: there is none to give */
void doctor_say(struct doctor *d, enum finding_level level, const char *check, const char *remedy,
		const char *fmt, ...) __attribute__((format(printf, 5, 6)));

unsigned int doctor_bad(const struct doctor *d);

/* @all: also what is ok */
void doctor_print(const struct doctor *d, bool all, FILE *out);
void doctor_print_json(const struct doctor *d, bool all, FILE *out);

void doctor_finish(struct doctor *d);

/* doctor_path() - a path below the root; returns @path */
const char *doctor_path(const struct doctor *d, char path[PATH_MAX], const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* doctor_exists() - is it there? */
bool doctor_exists(const struct doctor *d, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* doctor_read() - the beginning of a file, NUL-terminated; its length, or a negative errno */
ssize_t doctor_read(const struct doctor *d, const char *path, char *buf, size_t size);

/* doctor_capture() - what a program writes, NUL-terminated; its length, or a negative errno */
ssize_t doctor_capture(const char *const *words, char *buf, size_t size);

/* doctor_wants() - is a device of this virtio id in a configuration file? */
static inline bool doctor_wants(const struct doctor *d, uint32_t id)
{
	return id < 128 && ((d->types[id / 64] | d->types_by_vduse[id / 64]) >> (id % 64) & 1);
}

/* doctor_wants_vduse() - is any in one with that transport? */
static inline bool doctor_wants_vduse(const struct doctor *d)
{
	return d->types_by_vduse[0] || d->types_by_vduse[1];
}

/* ---- the checks, in their order ---- */

void doctor_check_configs(struct doctor *d); /* first: says which types are wanted */
void doctor_check_kernel(struct doctor *d);
void doctor_check_options(struct doctor *d);
void doctor_check_module(struct doctor *d);
void doctor_check_drivers(struct doctor *d);
void doctor_check_node(struct doctor *d);
void doctor_check_state_dir(struct doctor *d);
void doctor_check_limits(struct doctor *d);
void doctor_check_devices(struct doctor *d);

/* doctor_check_files() - all of these but the last, which asks the running kernel */
void doctor_check_files(struct doctor *d);

/*
 * doctor_module_file() - the file of a module for this kernel. Return: false when there is none;
 * @path is "" when it is built in
 */
bool doctor_module_file(const struct doctor *d, const char *module, char path[PATH_MAX]);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/* What stands for backend-search.c and backend-list.c in a build without json-c. */
#include <errno.h>

#include "cli/backend-list.h"
#include "cli/backend-search.h"
#include "common/log.h"

int backend_search(const struct backend_options *wanted, const struct device_type *type,
		   char *const *folders, char **command, struct failure *failure)
{
	(void)wanted;
	(void)type;
	(void)folders;
	*command = NULL;
	return failure_set(failure, -ENOSYS,
			   "one of --socket and --exec is needed: without json-c in the build, "
			   "back-ends cannot be looked for");
}

int backend_list_show(bool json)
{
	(void)json;
	log_error("backends: without json-c in the build, descriptors cannot be read");
	return 1;
}

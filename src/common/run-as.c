// SPDX-License-Identifier: BSD-3-Clause
#include "common/run-as.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"
#include "common/parse.h"

#define ENTRY_MAX 4096 /* of the system's lists; a group may have many members */
#define NAME_SIZE 64
/* -1 is "leave it" to the calls */
#define ID_MAX (UINT32_MAX - 1)

/* ---- names ---- */

int run_as_find(struct run_as *who, const char *name)
{
	static char buf[ENTRY_MAX];
	struct passwd entry, *found = NULL;

	getpwnam_r(name, &entry, buf, sizeof(buf), &found);
	if (!found)
		return -ENOENT;
	*who = (struct run_as){ .given = true, .uid = found->pw_uid, .gid = found->pw_gid };
	return 0;
}

/* @alone: no group was given. To ask the system may be to wait for its disk, or for its network. */
static int find_user(const char *name, bool alone, struct run_as *who)
{
	static char buf[ENTRY_MAX];
	struct passwd entry, *found = NULL;
	unsigned int id;

	if (parse_uint(name, 0, ID_MAX, &id))
		return run_as_find(who, name);
	if (alone)
		getpwuid_r(id, &entry, buf, sizeof(buf), &found);
	*who = (struct run_as){ .given = true, .uid = id };
	who->gid = found ? found->pw_gid : (gid_t)-1;
	return 0;
}

static int find_group(const char *name, struct run_as *who)
{
	static char buf[4 * ENTRY_MAX];
	struct group entry, *found = NULL;
	unsigned int id;

	if (!parse_uint(name, 0, ID_MAX, &id)) {
		who->gid = id;
		return 0;
	}
	getgrnam_r(name, &entry, buf, sizeof(buf), &found);
	if (!found)
		return -ENOENT;
	who->gid = found->gr_gid;
	return 0;
}

int run_as_parse(struct run_as *who, const char *value, struct failure *failure)
{
	const char *colon = strchrnul(value, ':');
	char user[NAME_SIZE];

	if ((size_t)(colon - value) >= sizeof(user))
		return failure_set(failure, -EINVAL, "--user %s: too long", value);
	memcpy(user, value, (size_t)(colon - value));
	user[colon - value] = '\0';
	if (find_user(user, !*colon, who))
		return failure_set(failure, -EINVAL, "--user %s: there is no such user", value);
	if (*colon && find_group(colon + 1, who))
		return failure_set(failure, -EINVAL, "--user %s: there is no such group", value);
	if (who->gid == (gid_t)-1)
		return failure_set(failure, -EINVAL,
				   "--user %s: of which group? The system does not know this "
				   "user: give USER:GROUP",
				   value);
	return 0;
}

int run_as_option(struct run_as *who, const char *value)
{
	struct failure failure = { 0 };
	int ret = run_as_parse(who, value, &failure);

	if (ret)
		log_error("%s", failure_text(&failure, ret));
	return ret;
}

static struct run_as default_user(void)
{
	struct run_as who = { 0 };

	if (run_as_find(&who, RUN_AS_DEFAULT))
		who.uid = who.gid = RUN_AS_DEFAULT_ID;
	return who;
}

/* ---- becoming it ---- */

static bool may_change(void)
{
	const uint32_t both = 1U << CAP_SETUID | 1U << CAP_SETGID;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	return syscall(SYS_capget, &header, data) == 0 && (data[0].effective & both) == both;
}

/* By the C library's calls, which do it for all threads. */
static int change(const struct run_as *who, const gid_t *groups, size_t n)
{
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(n, groups) < 0 ||
	    setresgid(who->gid, who->gid, who->gid) < 0 ||
	    setresuid(who->uid, who->uid, who->uid) < 0)
		return -errno;
	return 0;
}

/* The kernel forgets with the user that the process is to end with its parent. */
static void end_with_parent(int sig, pid_t parent)
{
	if (!sig)
		return;
	prctl(PR_SET_PDEATHSIG, sig);
	if (getppid() != parent)
		raise(sig);
}

int run_as_become(const struct run_as *who, const gid_t *groups, size_t n,
		  struct failure *failure)
{
	const struct run_as target = who->given ? *who : default_user();
	const pid_t parent = getppid();
	int ret, sig = 0;

	if (geteuid() != 0 && !who->given)
		return 0;
	if (geteuid() == target.uid && getegid() == target.gid)
		return 0;
	ret = may_change() ? 0 : -EPERM;
	prctl(PR_GET_PDEATHSIG, &sig);
	if (!ret)
		ret = change(&target, groups, n);
	if (!ret) {
		end_with_parent(sig, parent);
		return 0;
	}
	if (who->given)
		return failure_set(failure, ret, "cannot become user %u, group %u: %s",
				   (unsigned int)target.uid, (unsigned int)target.gid,
				   strerror(-ret));
	log_info("still user %u: %s may not be taken here: %s", (unsigned int)geteuid(),
		 RUN_AS_DEFAULT, strerror(-ret));
	return 0;
}

bool run_as_removes(const char *folder)
{
	struct stat st;

	if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) < 0 || stat(folder, &st) < 0)
		return false;
	return !(st.st_mode & S_ISVTX) || st.st_uid == geteuid();
}

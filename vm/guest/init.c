// SPDX-License-Identifier: BSD-3-Clause
/*
 * The first program of the throw-away guest.
 *
 * It runs from the initramfs: loads the modules that reach the root file
 * system, puts a temporary overlay over it, runs one command there, carries
 * the command's output and exit status to the host, and powers off.
 *
 * All that it is told, and all that it tells, is in the directory that the
 * host shares under the 9p tag "ctl":
 *
 *   config   lines of "word argument…", see configure()
 *   argv     the command, each argument ended by a zero byte
 *   env      its environment, likewise
 *   stdout, stderr   what the command wrote
 *   state    one line for each step: running, status N, failed TEXT, off
 *
 * A guest that is to sleep cannot keep that up: the 9p client does not come back from it.
 * It copies what it needs, lets go of all shared folders before the command, and tells in the
 * end, by a serial port, what it would have told by the channel.
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define NEWROOT		"/newroot"
#define NINEP		"trans=virtio,version=9p2000.L,msize=512000,"
#define MAX_WORDS	4096
#define MAX_OVERLAYS	16
#define MAX_KEPT	64
#ifdef __aarch64__
#define SERIAL		"ttyAMA1"
#else
#define SERIAL		"ttyS1"
#endif
#define LOCAL_CTL	"/rw/ctl"	/* stands in for the channel meanwhile */
/* How long output may stay away after the command's processes were killed. */
#define DRAIN_MS	3000
/* kmemleak reports nothing that is younger than five seconds. */
#define LEAK_AGE_S	6

static int ctl_fd = -1;
static int state_fd = -1;
static int out_fd = -1;

static struct {
	char root[16];
	char cwd[PATH_MAX];
	char release[256];
	char out[PATH_MAX];
	char overlay_tag[MAX_OVERLAYS][32];
	char overlay_path[MAX_OVERLAYS][PATH_MAX];
	int overlays;
	int timeout;
	bool leak_check;
	bool ours;
	bool sleep;
	char keep[MAX_KEPT][PATH_MAX];
	int kept;
	char modules[PATH_MAX];
} conf;

/* The command and its environment, from when the channel was there. */
static char **command_argv, **command_env;

static void power_off(void)
{
	/* After a sleep the machine may not power off any more; QEMU ends at a reset as well. */
	reboot(conf.sleep ? RB_AUTOBOOT : RB_POWER_OFF);
	for (;;)
		pause();
}

__attribute__((format(printf, 1, 2)))
static void log_kernel(const char *fmt, ...)
{
	char line[1024] = "vm-init: ";
	size_t len = strlen(line);
	va_list ap;
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	va_start(ap, fmt);
	vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	va_end(ap);
	/* Not dprintf(), which seeks first: this file refuses that. */
	if (fd < 0)
		return;
	while (write(fd, line, strlen(line)) < 0 && errno == EINTR)
		;
	close(fd);
}

/* The guest is of no use: tell the host why, and end. */
__attribute__((format(printf, 1, 2), noreturn))
static void fail(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log_kernel("failed: %s", line);
	if (state_fd >= 0)
		dprintf(state_fd, "failed %s\n", line);
	power_off();
	abort();
}

static void make_path(const char *path, mode_t mode)
{
	char copy[PATH_MAX * 2];

	snprintf(copy, sizeof(copy), "%s", path);
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		mkdir(copy, mode);
		*p = '/';
	}
	mkdir(copy, mode);
}

static void must_mount(const char *what, const char *where, const char *type,
		       unsigned long flags, const char *opts)
{
	make_path(where, 0755);
	if (mount(what, where, type, flags, opts))
		fail("cannot mount %s (%s) on %s: %s", what, type, where, strerror(errno));
}

static void may_mount(const char *what, const char *where, const char *type,
		      unsigned long flags, const char *opts)
{
	make_path(where, 0755);
	if (mount(what, where, type, flags, opts) && errno != ENODEV && errno != ENOENT)
		log_kernel("%s is not mounted: %s", where, strerror(errno));
}

static char *read_all(int dir, const char *name, size_t *len)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	size_t size = 0, room = 65536;
	char *buf = malloc(room + 1);
	ssize_t n;

	if (fd < 0 || !buf)
		fail("cannot read %s: %s", name, strerror(errno));
	while ((n = read(fd, buf + size, room - size)) > 0) {
		size += n;
		if (size == room && !(buf = realloc(buf, (room *= 2) + 1)))
			fail("no memory for %s", name);
	}
	close(fd);
	buf[size] = '\0';
	if (len)
		*len = size;
	return buf;
}

/* Split zero-ended strings into a vector. */
static char **read_words(const char *name)
{
	char **words = calloc(MAX_WORDS + 1, sizeof(*words));
	size_t len, n = 0;
	char *buf = read_all(ctl_fd, name, &len);

	for (char *p = buf; words && p < buf + len; p += strlen(p) + 1) {
		if (n == MAX_WORDS)
			fail("more than %d words in %s", MAX_WORDS, name);
		words[n++] = p;
	}
	return words;
}

static void configure(void)
{
	char *text = read_all(ctl_fd, "config", NULL), *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *arg = strchr(line, ' ');

		if (!arg)
			continue;
		*arg++ = '\0';
		if (!strcmp(line, "root"))
			snprintf(conf.root, sizeof(conf.root), "%s", arg);
		else if (!strcmp(line, "cwd"))
			snprintf(conf.cwd, sizeof(conf.cwd), "%s", arg);
		else if (!strcmp(line, "release"))
			snprintf(conf.release, sizeof(conf.release), "%s", arg);
		else if (!strcmp(line, "out"))
			snprintf(conf.out, sizeof(conf.out), "%s", arg);
		else if (!strcmp(line, "timeout"))
			conf.timeout = atoi(arg);
		else if (!strcmp(line, "ours"))
			conf.ours = atoi(arg);
		else if (!strcmp(line, "sleep"))
			conf.sleep = atoi(arg);
		else if (!strcmp(line, "keep") && conf.kept < MAX_KEPT)
			snprintf(conf.keep[conf.kept++], PATH_MAX, "%s", arg);
		else if (!strcmp(line, "leak-check"))
			conf.leak_check = atoi(arg);
		else if (!strcmp(line, "overlay") && conf.overlays < MAX_OVERLAYS &&
			 sscanf(arg, "%31s %4095[^\n]", conf.overlay_tag[conf.overlays],
				conf.overlay_path[conf.overlays]) == 2)
			conf.overlays++;
		else
			fail("configuration not understood: %s %s", line, arg);
	}
}

static void load_modules(void)
{
	char *text = read_all(AT_FDCWD, "/modules/order", NULL), *save = NULL;
	char path[PATH_MAX];

	for (char *name = strtok_r(text, "\n", &save); name; name = strtok_r(NULL, "\n", &save)) {
		int fd;

		snprintf(path, sizeof(path), "/modules/%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
			fail("the module %s does not load: %s", name, strerror(errno));
		close(fd);
	}
}

static void open_channel(void)
{
	must_mount("ctl", "/ctl", "9p", 0, NINEP "cache=none");
	ctl_fd = open("/ctl", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	state_fd = openat(ctl_fd, "state", O_WRONLY | O_APPEND | O_CLOEXEC);
	if (ctl_fd < 0 || state_fd < 0)
		fail("cannot open the channel to the host: %s", strerror(errno));
}

/* Lay a temporary writable layer over one or more read-only ones. */
static void mount_overlay(const char *lower, const char *where)
{
	static int count;
	char upper[64], work[64], opts[PATH_MAX];

	snprintf(upper, sizeof(upper), "/rw/%d/upper", count);
	snprintf(work, sizeof(work), "/rw/%d/work", count);
	count++;
	make_path(upper, 0755);
	make_path(work, 0755);
	snprintf(opts, sizeof(opts), "lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work);
	must_mount("overlay", where, "overlay", 0, opts);
}

/* The disk with the root, which is not always the first. */
static const char *wait_for_disk(void)
{
	static const char *const disks[] = { "nvme0n1", "nvme1n1" };
	struct timespec step = { .tv_nsec = 10000000 };
	static char node[32];

	for (int i = 0; i < 3000; i++) {
		for (int d = 0; d < 2; d++) {
			char path[64], serial[32] = "";
			FILE *f;

			snprintf(path, sizeof(path), "/sys/block/%s/device/serial", disks[d]);
			f = fopen(path, "re");
			if (f && fgets(serial, sizeof(serial), f) && !strncmp(serial, "root", 4))
				snprintf(node, sizeof(node), "/dev/%s", disks[d]);
			if (f)
				fclose(f);
			if (node[0] && !access(node, F_OK))
				return node;
			node[0] = '\0';
		}
		nanosleep(&step, NULL);
	}
	fail("there is no disk with the root");
}

static void mount_root(void)
{
	must_mount("tmpfs", "/rw", "tmpfs", 0, "size=80%,mode=755");
	if (!strcmp(conf.root, "image")) {
		must_mount(wait_for_disk(), "/lower", "squashfs", MS_RDONLY, NULL);
	} else {
		must_mount("root", "/lower", "9p", MS_RDONLY, NINEP "cache=loose");
	}
	mount_overlay("/lower", NEWROOT);
}

/* The folders of the host that are shown besides the root. */
static void mount_folders(void)
{
	char where[PATH_MAX + 16], lower[64];

	for (int i = 0; i < conf.overlays; i++) {
		snprintf(lower, sizeof(lower), "/folder/%s", conf.overlay_tag[i]);
		snprintf(where, sizeof(where), NEWROOT "%s", conf.overlay_path[i]);
		must_mount(conf.overlay_tag[i], lower, "9p", MS_RDONLY, NINEP "cache=loose");
		mount_overlay(lower, where);
	}
	if (conf.out[0]) {
		snprintf(where, sizeof(where), NEWROOT "%s", conf.out);
		must_mount("out", where, "9p", 0, NINEP "cache=mmap");
		out_fd = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
}

/* The kernel's modules, with ours laid over them when there is one. */
static void mount_modules(void)
{
	char where[PATH_MAX];
	const char *lib = access(NEWROOT "/usr/lib/modules", F_OK) ? "/lib" : "/usr/lib";

	snprintf(where, sizeof(where), NEWROOT "%s/modules/%s", lib, conf.release);
	snprintf(conf.modules, sizeof(conf.modules), "%s", where + strlen(NEWROOT));
	must_mount("modules", "/folder/modules", "9p", MS_RDONLY, NINEP "cache=loose");
	if (conf.ours) {
		must_mount("ours", "/folder/ours", "9p", MS_RDONLY, NINEP "cache=loose");
		mount_overlay("/folder/ours:/folder/modules", where);
	} else {
		mount_overlay("/folder/modules", where);
	}
}

static void mount_kernel_file_systems(void)
{
	static const char *const moved[] = { "/proc", "/sys", "/dev" };

	for (size_t i = 0; i < sizeof(moved) / sizeof(*moved); i++) {
		char where[64];

		snprintf(where, sizeof(where), NEWROOT "%s", moved[i]);
		must_mount(moved[i], where, NULL, MS_MOVE, NULL);
	}
	must_mount("tmpfs", NEWROOT "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755");
	may_mount("devpts", NEWROOT "/dev/pts", "devpts", 0, "mode=620,ptmxmode=666");
	may_mount("tmpfs", NEWROOT "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	may_mount("debugfs", NEWROOT "/sys/kernel/debug", "debugfs", 0, NULL);
	may_mount("tracefs", NEWROOT "/sys/kernel/tracing", "tracefs", 0, NULL);
	may_mount("configfs", NEWROOT "/sys/kernel/config", "configfs", 0, NULL);
	may_mount("cgroup2", NEWROOT "/sys/fs/cgroup", "cgroup2", 0, NULL);
	mkdir(NEWROOT "/run/lock", 01777);
	symlink("/proc/self/fd", NEWROOT "/dev/fd");
	symlink("/proc/self/fd/0", NEWROOT "/dev/stdin");
	symlink("/proc/self/fd/1", NEWROOT "/dev/stdout");
	symlink("/proc/self/fd/2", NEWROOT "/dev/stderr");
}

/*
 * The nodes by which a module is loaded when it is first opened (loop-control,
 * uinput, fuse, …): what kmod static-nodes makes on a system with udev.
 */
static void make_static_nodes(void)
{
	char line[256], name[128], type, path[PATH_MAX];
	unsigned int major, minor;
	FILE *f;

	f = fopen("/folder/modules/modules.devname", "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %127s %c%u:%u", name, &type, &major, &minor) != 4)
			continue;
		snprintf(path, sizeof(path), "/dev/%s", name);
		if (strchr(name, '/')) {
			*strrchr(path, '/') = '\0';
			make_path(path, 0755);
			snprintf(path, sizeof(path), "/dev/%s", name);
		}
		mknod(path, (type == 'b' ? S_IFBLK : S_IFCHR) | 0600, makedev(major, minor));
	}
	if (f)
		fclose(f);
}

/* A program in the root file system, to its end. */
static void run_in_root(char *const argv[])
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		if (chroot(NEWROOT) || chdir("/"))
			_exit(126);
		setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		fail("%s %s … %s: status %#x", argv[0], argv[1], argv[2], status);
}

static void let_go(const char *where)
{
	if (umount2(where, 0))
		fail("cannot unmount %s: %s", where, strerror(errno));
}

/* The folder is copied beside, its mount undone, and the copy put in its place. */
static void keep_copies(void)
{
	char path[PATH_MAX + 64];

	make_path(NEWROOT "/keep", 0755);
	for (int i = 0; i < conf.kept; i++)
		run_in_root((char *[]){ "cp", "-a", "--parents", conf.keep[i], "/keep", NULL });
	/* The tree of modules is too large to copy: what the tests need is loaded now. */
	run_in_root((char *[]){ "modprobe", "-a", "virtio_blk", "ext4", NULL });
	/* not every kernel has these */
	run_in_root((char *[]){ "sh", "-c", "modprobe -aq vcan can-raw virtio_can virtio_snd || :",
				NULL });
	snprintf(path, sizeof(path), NEWROOT "%s", conf.modules);
	let_go(path);
	if (conf.out[0]) {
		close(out_fd);
		out_fd = -1;
		snprintf(path, sizeof(path), NEWROOT "%s", conf.out);
		let_go(path);
	}
	for (int i = conf.overlays - 1; i >= 0; i--) {
		snprintf(path, sizeof(path), NEWROOT "%s", conf.overlay_path[i]);
		let_go(path);
		snprintf(path, sizeof(path), "/folder/%s", conf.overlay_tag[i]);
		let_go(path);
	}
	if (conf.ours)
		let_go("/folder/ours");
	let_go("/folder/modules");
	run_in_root((char *[]){ "cp", "-a", "/keep/.", "/", NULL });
	run_in_root((char *[]){ "rm", "-rf", "/keep", NULL });
}

static void open_local_channel(void)
{
	make_path(LOCAL_CTL, 0755);
	ctl_fd = open(LOCAL_CTL, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(openat(ctl_fd, "stdout", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	close(openat(ctl_fd, "stderr", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	state_fd = openat(ctl_fd, "state", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (state_fd < 0)
		fail(LOCAL_CTL ": %s", strerror(errno));
}

static void leave_host(void)
{
	keep_copies();
	dprintf(state_fd, "running\n");
	close(state_fd);
	close(ctl_fd);
	let_go("/ctl");
	open_local_channel();
}

/* What would have gone to the channel, by the second serial port: name, length, bytes. */
static void tell_by_serial(void)
{
	static const char *const names[] = { "stdout", "stderr", "state" };
	int fd = open("/dev/" SERIAL, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	struct termios raw;

	if (fd < 0 || tcgetattr(fd, &raw))
		fail("/dev/" SERIAL ": %s", strerror(errno));
	cfmakeraw(&raw);
	cfsetspeed(&raw, B115200);
	tcsetattr(fd, TCSANOW, &raw);
	for (int i = 0; i < 3; i++) {
		size_t len;
		char *text = read_all(ctl_fd, names[i], &len), *at = text;

		dprintf(fd, "%s %zu\n", names[i], len);
		while (len) {
			ssize_t n = write(fd, at, len);

			if (n <= 0)
				fail("/dev/" SERIAL ": %s", strerror(errno));
			at += n;
			len -= n;
		}
		free(text);
	}
	tcdrain(fd);
	close(fd);
}

static void enter_root(void)
{
	if (chdir(NEWROOT) || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		fail("cannot enter the root file system: %s", strerror(errno));
}

static void set_up_host(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	sethostname("guest", 5);
	if (fd >= 0) {
		ioctl(fd, SIOCSIFFLAGS, &ifr);
		close(fd);
	}
}

struct stream {
	int from;
	int to;
};

/* Move what is there; returns false at the end of the stream. */
static bool relay(struct stream *s)
{
	static char buf[65536];
	ssize_t n = read(s->from, buf, sizeof(buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	for (ssize_t done = 0; done < n;) {
		ssize_t w = write(s->to, buf + done, n - done);

		if (w < 0 && errno != EINTR)
			fail("cannot pass on output: %s", strerror(errno));
		if (w > 0)
			done += w;
	}
	return n > 0;
}

static void open_stream(struct stream *s, int *write_end, const char *name)
{
	int p[2];

	s->to = openat(ctl_fd, name, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (s->to < 0 || pipe2(p, O_CLOEXEC))
		fail("cannot open the channel for %s: %s", name, strerror(errno));
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	s->from = p[0];
	*write_end = p[1];
}

__attribute__((noreturn))
static void become_command(int out, int err)
{
	struct rlimit no_core = { 0, RLIM_INFINITY };
	char **argv = command_argv, **env = command_env;
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	dup2(null, 0);
	dup2(out, 1);
	dup2(err, 2);
	if (null > 2)
		close(null);
	setrlimit(RLIMIT_CORE, &no_core);
	umask(022);
	if (chdir(conf.cwd)) {
		dprintf(2, "%s: %s\n", conf.cwd, strerror(errno));
		_exit(126);
	}
	environ = env;
	execvpe(argv[0], argv, env);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* Reap everything that has ended; returns the status of the command once it has. */
static int reap(pid_t command)
{
	int status, result = -1;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == command)
			result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return result;
}

static void sysrq(char key)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, &key, 1) < 0)
		log_kernel("sysrq %c: %s", key, strerror(errno));
	close(fd);
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* A timer that never comes when seconds is 0. */
static int open_timer(int seconds)
{
	struct itimerspec when = { .it_value.tv_sec = seconds };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	timerfd_settime(fd, 0, &when, NULL);
	return fd;
}

/* Kill what the command left running, and pass on its last words. */
static void finish_streams(struct stream streams[2])
{
	bool open[2] = { true, true };

	kill(-1, SIGKILL);
	while (open[0] || open[1]) {
		struct pollfd fds[2] = {
			{ .fd = open[0] ? streams[0].from : -1, .events = POLLIN },
			{ .fd = open[1] ? streams[1].from : -1, .events = POLLIN },
		};

		if (poll(fds, 2, DRAIN_MS) == 0) {
			log_kernel("a process does not end and keeps the output open");
			break;
		}
		for (int i = 0; i < 2; i++)
			if (fds[i].revents)
				open[i] = relay(&streams[i]);
	}
}

static int supervise(pid_t command, struct stream streams[2])
{
	int signals = open_signals(), timer = open_timer(conf.timeout), status = -1;
	struct pollfd fds[4] = {
		{ .fd = streams[0].from, .events = POLLIN },
		{ .fd = streams[1].from, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
		{ .fd = timer, .events = POLLIN },
	};

	/* The command may have ended before its signal could be seen. */
	status = reap(command);
	while (status < 0) {
		struct signalfd_siginfo info;

		if (poll(fds, 4, -1) < 0)
			continue;
		for (int i = 0; i < 2; i++)
			if (fds[i].revents && !relay(&streams[i]))
				fds[i].fd = -1;
		if (fds[2].revents) {
			while (read(signals, &info, sizeof(info)) > 0)
				;
			status = reap(command);
		}
		if (fds[3].revents && status < 0) {
			log_kernel("the time ran out; the tasks that are blocked:");
			sysrq('w');
			status = 124;
		}
	}
	return status;
}

static int run_command(void)
{
	struct stream streams[2];
	int out, err, status;
	pid_t command;

	open_stream(&streams[0], &out, "stdout");
	open_stream(&streams[1], &err, "stderr");
	dprintf(state_fd, "running\n");
	command = fork();
	if (command < 0)
		fail("cannot fork: %s", strerror(errno));
	if (command == 0)
		become_command(out, err);
	close(out);
	close(err);
	status = supervise(command, streams);
	finish_streams(streams);
	return status;
}

/* Let kmemleak look, where the kernel has it; what it finds goes to the kernel's log. */
static void check_leaks(void)
{
	char line[512];
	FILE *f;

	for (int pass = 0; pass < 2; pass++) {
		int fd = open("/sys/kernel/debug/kmemleak", O_WRONLY | O_CLOEXEC);

		if (fd < 0)
			return;
		/* A first scan only notes check sums; the second one reports. */
		if (pass)
			sleep(LEAK_AGE_S);
		if (write(fd, "scan", 4) < 0)
			log_kernel("kmemleak: %s", strerror(errno));
		close(fd);
	}
	f = fopen("/sys/kernel/debug/kmemleak", "re");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		log_kernel("kmemleak: %s", line);
	}
	if (f)
		fclose(f);
}

#ifdef __x86_64__
/* The counter and the clock, read as closely together as many tries allow. */
static void read_both(unsigned long long *ticks, struct timespec *now)
{
	unsigned long long best = ~0ULL;

	for (int i = 0; i < 200; i++) {
		struct timespec ts;
		unsigned long long before = __builtin_ia32_rdtsc(), after;

		clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
		after = __builtin_ia32_rdtsc();
		if (after - before < best) {
			best = after - before;
			*ticks = before + best / 2;
			*now = ts;
		}
	}
}

/*
 * On the host, where this is not the first process: print how many kHz the time
 * stamp counter has, which is the guest's as well under TCG. A guest that finds
 * it out by itself on a busy machine can be wrong by a factor.
 */
static int print_tsc_khz(void)
{
	unsigned long long first, last;
	struct timespec start, end, pause = { .tv_nsec = 200000000 };
	double seconds;

	read_both(&first, &start);
	nanosleep(&pause, NULL);
	read_both(&last, &end);
	seconds = (end.tv_sec - start.tv_sec) + (end.tv_nsec - start.tv_nsec) / 1e9;
	printf("%.0f\n", (last - first) / seconds / 1000);
	return 0;
}
#else
static int print_tsc_khz(void)
{
	return 1;
}
#endif

int main(int argc, char **argv)
{
	int status;

	if (getpid() != 1)
		return print_tsc_khz();

	/* Only a probe of whether a guest comes up at all. */
	if (argc > 1 && !strcmp(argv[1], "vm-probe"))
		power_off();

	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	load_modules();
	open_channel();
	configure();
	command_argv = read_words("argv");
	command_env = read_words("env");
	mount_root();
	mount_folders();
	mount_modules();
	make_static_nodes();
	mount_kernel_file_systems();
	if (conf.sleep)
		leave_host();
	enter_root();
	set_up_host();
	status = run_command();
	dprintf(state_fd, "status %d\n", status);
	if (conf.leak_check)
		check_leaks();
	if (out_fd >= 0)
		syncfs(out_fd);
	dprintf(state_fd, "off\n");
	if (conf.sleep)
		tell_by_serial();
	power_off();
	return 0;
}

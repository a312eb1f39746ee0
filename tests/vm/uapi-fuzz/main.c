// SPDX-License-Identifier: BSD-3-Clause
/*
 * uapi-fuzz - programs of calls of /dev/virtio-loopback, made up without end
 *
 * Each program is carried out by three threads on four files, whose descriptors are closed at any
 * moment. After it all is closed, and the module must be without users in some seconds. What the
 * kernel says meanwhile is for its log, and whoever reads that. On a kernel with KCOV the programs
 * that come to new places of the module are kept, and changed further; without it they are made up
 * blindly from those of the corpus.
 *
 * The program that runs is in the file of --last beforehand; --replay runs one again.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glob.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <linux/virtio_loopback.h>

#include "calls.h"
#include "coverage.h"
#include "sides.h"

#define CORPUS_MAX	1024
/* After this part of the patience a program's files are closed, whatever its threads wait for. */
#define PROGRAM_PART	100

struct options {
	double seconds;
	uint64_t seed;
	const char *corpus;
	const char *save;
	const char *last;
	const char *replay;
	const char *places;
	unsigned int times;
	double patience;
};

struct worker {
	pthread_t thread;
	unsigned int number;
	sem_t begin, end;
};

static struct worker workers[THREADS];
static struct program current;
static bool with_coverage;

static struct program corpus[CORPUS_MAX];
static unsigned int corpus_size, corpus_seeds;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* ---- threads ---- */

/* The fault that is due could be that the way back from here is not there. */
static void on_interrupt(int number)
{
	(void)number;
	calls_settle();
}

static void on_bus_error(int number)
{
	if (sides_escape())
		return;
	signal(number, SIG_DFL);
	raise(number);
}

static void interrupt(unsigned int thread)
{
	pthread_kill(workers[thread].thread, SIGUSR1);
}

static void run_share(unsigned int thread)
{
	unsigned int i;

	coverage_begin(thread);
	for (i = 0; i < current.n; i++)
		if (current.steps[i].thread == thread)
			calls_run(&current.steps[i]);
	calls_settle();
}

static void *work(void *arg)
{
	struct worker *worker = arg;

	if (!coverage_open(worker->number) && !worker->number)
		with_coverage = false;
	for (;;) {
		sem_post(&worker->end);
		while (sem_wait(&worker->begin))
			;
		run_share(worker->number);
	}
	return NULL;
}

/* Whether it was over by then; time is of CLOCK_REALTIME. */
static bool wait_for(struct worker *worker, double seconds)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += (seconds - (long)seconds) * 1e9;
	until.tv_sec += (long)seconds + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (sem_timedwait(&worker->end, &until))
		if (errno == ETIMEDOUT)
			return false;
	return true;
}

static void start_workers(void)
{
	const struct sigaction nothing = { .sa_handler = on_interrupt };
	const struct sigaction bus = { .sa_handler = on_bus_error, .sa_flags = SA_NODEFER };
	unsigned int i;

	sigaction(SIGUSR1, &nothing, NULL);
	sigaction(SIGBUS, &bus, NULL);
	signal(SIGPIPE, SIG_IGN);
	calls_set_interrupt(interrupt);
	with_coverage = true;
	for (i = 0; i < THREADS; i++) {
		workers[i].number = i;
		sem_init(&workers[i].begin, 0, 0);
		sem_init(&workers[i].end, 0, 0);
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			errx(2, "pthread_create");
		if (!wait_for(&workers[i], 10))
			errx(2, "a thread does not start");
	}
}

/* ---- one program ---- */

static void close_files(void)
{
	unsigned int i;
	int fd;

	for (i = 0; i < FILES; i++) {
		fd = atomic_exchange(&files[i].fd, -1);
		if (fd < 0)
			continue;
		ioctl(fd, VIRTIO_LOOPBACK_DESTROY);
		close(fd);
	}
}

/* The threads of a program end by themselves, or when its devices do. */
static bool end_threads(double patience)
{
	double limit = now() + patience, soft = now() + patience / PROGRAM_PART;
	unsigned int i;

	for (i = 0; i < THREADS; i++) {
		while (!wait_for(&workers[i], now() < soft ? soft - now() : 0.01)) {
			if (now() > limit)
				return false;
			close_files();
			interrupt(i);
		}
	}
	return true;
}

/* Every device, every registration of one and every mapping holds the module. */
static bool wait_for_module(double patience)
{
	double limit = now() + patience;
	int fd = open("/sys/module/virtio_loopback/refcnt", O_RDONLY | O_CLOEXEC);
	char text[16];
	bool free = false;

	if (fd < 0)
		err(2, "/sys/module/virtio_loopback/refcnt");
	while (!free && now() < limit) {
		memset(text, 0, sizeof(text));
		if (pread(fd, text, sizeof(text) - 1, 0) > 0)
			free = !atoi(text);
		if (!free)
			usleep(1000);
	}
	close(fd);
	return free;
}

static void note_last(const char *path)
{
	FILE *out = path ? fopen(path, "we") : NULL;

	if (!out)
		return;
	program_print(&current, out);
	fclose(out);
}

static void finding(const char *what)
{
	printf("FINDING: %s; the program was:\n", what);
	program_print(&current, stdout);
	exit(1);
}

/* Returns how many places of the module were new. */
static unsigned int run_program(const struct program *program, const struct options *o)
{
	unsigned int i;

	current = *program;
	note_last(o->last);
	calls_begin();
	for (i = 0; i < THREADS; i++)
		sem_post(&workers[i].begin);
	if (!end_threads(o->patience))
		finding("a thread does not come back from its call");
	close_files();
	calls_end();
	if (!wait_for_module(o->patience))
		finding("the module is in use after all files were closed");
	return with_coverage ? coverage_collect() : 0;
}

/* ---- the corpus ---- */

static void load_corpus(const char *folder)
{
	char pattern[4096];
	glob_t found;
	size_t i;

	if (!folder)
		return;
	snprintf(pattern, sizeof(pattern), "%s/*.txt", folder);
	if (glob(pattern, 0, NULL, &found))
		errx(2, "%s: no programs", folder);
	for (i = 0; i < found.gl_pathc && corpus_size < CORPUS_MAX; i++)
		if (!program_read(&corpus[corpus_size++], found.gl_pathv[i]))
			errx(2, "%s: no program", found.gl_pathv[i]);
	globfree(&found);
	corpus_seeds = corpus_size;
}

static void keep(const struct program *program, const char *folder)
{
	char path[4096];
	FILE *out;

	if (corpus_size == CORPUS_MAX)
		return;
	corpus[corpus_size++] = *program;
	if (!folder)
		return;
	snprintf(path, sizeof(path), "%s/found-%04u.txt", folder, corpus_size - corpus_seeds);
	out = fopen(path, "we");
	if (!out)
		err(2, "%s", path);
	program_print(program, out);
	fclose(out);
}

static void next_program(struct program *program, struct dice *dice)
{
	/* What was found last is the most promising. */
	unsigned int newest = dice_pick(dice, 2) ? 0 : corpus_size * 3 / 4;

	if (!corpus_size || !dice_pick(dice, 20)) {
		program_invent(program, dice);
		return;
	}
	*program = corpus[newest + dice_pick(dice, corpus_size - newest)];
	program_mutate(program, &corpus[dice_pick(dice, corpus_size)], dice);
}

static unsigned int fuzz(const struct options *o)
{
	struct dice dice = { .state = o->seed };
	double end = now() + o->seconds;
	struct program program;
	unsigned int done = 0;

	for (; now() < end; done++) {
		if (done < corpus_seeds)
			program = corpus[done];
		else
			next_program(&program, &dice);
		if (run_program(&program, o) && done >= corpus_seeds)
			keep(&program, o->save);
	}
	return done;
}

static unsigned int replay(const struct options *o)
{
	struct program program;
	unsigned int i;

	if (!program_read(&program, o->replay))
		errx(2, "%s: no program", o->replay);
	for (i = 0; i < o->times; i++)
		run_program(&program, o);
	return o->times;
}

/* ---- the command ---- */

static const char usage[] =
	"Usage: uapi-fuzz [OPTION…]\n"
	"  --seconds N      how long (default 10)\n"
	"  --seed N         what is made up (default: the time)\n"
	"  --corpus FOLDER  programs to begin with\n"
	"  --save FOLDER    programs that came to new places are written there\n"
	"  --last FILE      holds the program that is being run\n"
	"  --replay FILE    run this program, and no other\n"
	"  --times N        so often (default 1)\n"
	"  --faults         allocations of the kernel may fail (CONFIG_FAULT_INJECTION)\n"
	"  --places FILE    the places of the module's code that were come to\n"
	"  --patience S     for a thread, and for the module, to be done (default 20)\n";

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option options[] = {
		{ "seconds", 1, NULL, 's' }, { "seed", 1, NULL, 'e' }, { "corpus", 1, NULL, 'c' },
		{ "save", 1, NULL, 'v' }, { "last", 1, NULL, 'l' }, { "replay", 1, NULL, 'r' },
		{ "times", 1, NULL, 't' }, { "faults", 0, NULL, 'f' }, { "places", 1, NULL, 'p' },
		{ "patience", 1, NULL, 'w' }, { 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 's': o->seconds = atof(optarg); break;
		case 'e': o->seed = strtoull(optarg, NULL, 0); break;
		case 'c': o->corpus = optarg; break;
		case 'v': o->save = optarg; break;
		case 'l': o->last = optarg; break;
		case 'r': o->replay = optarg; break;
		case 't': o->times = atoi(optarg); break;
		case 'f': calls_faults = true; break;
		case 'p': o->places = optarg; break;
		case 'w': o->patience = atof(optarg); break;
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct options o = { .seconds = 10, .seed = time(NULL), .times = 1, .patience = 20 };
	unsigned int done;
	double begin;
	FILE *out;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(argc, argv, &o);
	load_corpus(o.corpus);
	start_workers();
	printf("seed %llu\n", (unsigned long long)o.seed);
	begin = now();
	done = o.replay ? replay(&o) : fuzz(&o);
	calls_report(stdout);
	if (with_coverage)
		printf("places: %u\n", coverage_places());
	printf("%u programs in %.0f s, %u kept\n", done, now() - begin, corpus_size - corpus_seeds);
	out = o.places ? fopen(o.places, "we") : NULL;
	if (out) {
		coverage_print(out);
		fclose(out);
	}
	return 0;
}

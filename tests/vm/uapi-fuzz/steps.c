// SPDX-License-Identifier: BSD-3-Clause
#include <string.h>

#include "calls.h"
#include "steps.h"

/* splitmix64 */
uint64_t dice_roll(struct dice *dice)
{
	uint64_t z = (dice->state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static struct step make_step(struct dice *dice)
{
	return (struct step){
		.thread = dice_pick(dice, THREADS),
		.file = dice_pick(dice, 8) ? 0 : dice_pick(dice, FILES),
		.call = calls_choose(dice_roll(dice)),
		.value = dice_roll(dice),
	};
}

void program_invent(struct program *program, struct dice *dice)
{
	unsigned int i;

	program->n = 4 + dice_pick(dice, STEPS_MAX - 4);
	for (i = 0; i < program->n; i++)
		program->steps[i] = make_step(dice);
}

static void insert_step(struct program *program, unsigned int at, struct step step)
{
	if (program->n == STEPS_MAX)
		program->n--;
	if (at > program->n)
		at = program->n;
	memmove(&program->steps[at + 1], &program->steps[at],
		(program->n - at) * sizeof(program->steps[0]));
	program->steps[at] = step;
	program->n++;
}

static void remove_step(struct program *program, unsigned int at)
{
	if (program->n < 2)
		return;
	program->n--;
	memmove(&program->steps[at], &program->steps[at + 1],
		(program->n - at) * sizeof(program->steps[0]));
}

static void splice(struct program *program, const struct program *other, struct dice *dice)
{
	unsigned int from = dice_pick(dice, other->n);
	unsigned int count = 1 + dice_pick(dice, other->n - from);
	unsigned int at = dice_pick(dice, program->n + 1), i;

	for (i = 0; i < count && i < STEPS_MAX / 2; i++)
		insert_step(program, at + i, other->steps[from + i]);
}

static void mutate_once(struct program *program, const struct program *other, struct dice *dice)
{
	unsigned int at = dice_pick(dice, program->n);
	struct step *step = &program->steps[at];

	switch (dice_pick(dice, 9)) {
	case 0:
		insert_step(program, at, make_step(dice));
		break;
	case 1:
		remove_step(program, at);
		break;
	case 2:
		insert_step(program, dice_pick(dice, program->n), *step);
		break;
	case 3:
		step->value = dice_roll(dice);
		break;
	case 4:
		step->value ^= 1U << dice_pick(dice, 32);
		break;
	case 5:
		step->thread = dice_pick(dice, THREADS);
		break;
	case 6:
		step->file = dice_pick(dice, FILES);
		break;
	case 7:
		step->call = calls_choose(dice_roll(dice));
		break;
	default:
		splice(program, other, dice);
	}
}

void program_mutate(struct program *program, const struct program *other, struct dice *dice)
{
	unsigned int times = 1 + dice_pick(dice, 6);

	while (times--)
		mutate_once(program, other, dice);
}

static bool read_step(const char *line, struct step *step)
{
	unsigned int thread, file, value;
	char name[32];
	int call;

	if (sscanf(line, "%u %u %31s %x", &thread, &file, name, &value) != 4)
		return false;
	call = calls_find(name);
	if (thread >= THREADS || file >= FILES || call < 0)
		return false;
	*step = (struct step){ thread, file, call, value };
	return true;
}

bool program_read(struct program *program, const char *path)
{
	FILE *in = fopen(path, "re");
	bool good = in != NULL;
	char line[128];

	program->n = 0;
	while (good && fgets(line, sizeof(line), in)) {
		if (line[0] == '#' || line[0] == '\n')
			continue;
		good = program->n < STEPS_MAX && read_step(line, &program->steps[program->n++]);
		if (!good)
			fprintf(stderr, "%s: not a step: %s", path, line);
	}
	if (in)
		fclose(in);
	return good && program->n;
}

void program_print(const struct program *program, FILE *out)
{
	unsigned int i;

	for (i = 0; i < program->n; i++) {
		const struct step *step = &program->steps[i];

		fprintf(out, "%u %u %s 0x%x\n", step->thread, step->file, calls_name(step->call),
			step->value);
	}
}

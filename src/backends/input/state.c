// SPDX-License-Identifier: BSD-3-Clause
/* What the driver has been told, and what it lacks. */
#include <string.h>

#include "backends/input/input.h"
#include "common/util.h"

static bool is_mt_axis(const struct input_device *input, unsigned int axis)
{
	return axis >= INPUT_MT_FIRST && input_slots(&input->info);
}

static void follow_abs(struct input_device *input, uint16_t code, int32_t value)
{
	struct input_state *told = &input->told;

	if (!is_mt_axis(input, code)) {
		told->abs[code] = value;
		if (code == ABS_MT_SLOT)
			told->slot = value;
	} else if (told->slot >= 0 && told->slot < INPUT_SLOTS_MAX) {
		told->mt[code - INPUT_MT_FIRST][told->slot] = value;
	}
}

void input_follow(struct input_device *input, uint16_t type, uint16_t code, int32_t value)
{
	if (type == EV_KEY && code < KEY_CNT)
		input_assign_bit(input->told.keys, code, value);
	else if (type == EV_SW && code < SW_CNT)
		input_assign_bit(input->told.switches, code, value);
	else if (type == EV_ABS && code < ABS_CNT)
		follow_abs(input, code, value);
}

static void catch_up_bits(struct input_device *input, uint16_t type, const uint8_t *now,
			  const uint8_t *told, unsigned int count)
{
	unsigned int code;

	for (code = 0; code < count; code++) {
		if (input_test_bit(now, code) != input_test_bit(told, code))
			input_send(input, type, (uint16_t)code, input_test_bit(now, code));
	}
}

static void catch_up_slot(struct input_device *input, const struct input_state *now,
			  unsigned int slot)
{
	unsigned int axis;

	for (axis = 0; axis < INPUT_MT_AXES; axis++) {
		int32_t value = now->mt[axis][slot];

		if (value == input->told.mt[axis][slot])
			continue;
		if (input->told.slot != (int32_t)slot)
			input_send(input, EV_ABS, ABS_MT_SLOT, (int32_t)slot);
		input_send(input, EV_ABS, (uint16_t)(INPUT_MT_FIRST + axis), value);
	}
}

static void catch_up_axes(struct input_device *input, const struct input_state *now)
{
	unsigned int i, slots = input_slots(&input->info);

	for (i = 0; i < slots; i++)
		catch_up_slot(input, now, i);
	/* The events that follow are for the slot that evdev named last. */
	if (slots && input->told.slot != now->slot)
		input_send(input, EV_ABS, ABS_MT_SLOT, now->slot);
	for (i = 0; i < ABS_MT_SLOT; i++) {
		if (now->abs[i] != input->told.abs[i])
			input_send(input, EV_ABS, (uint16_t)i, now->abs[i]);
	}
}

void input_catch_up(struct input_device *input, bool keys)
{
	struct input_state now = input->told;
	size_t i;

	input->ops->get_state(input->dev, &input->info, &now);
	catch_up_axes(input, &now);
	catch_up_bits(input, EV_SW, now.switches, input->told.switches, SW_CNT);
	for (i = 0; i < sizeof(now.keys) && !keys; i++)
		now.keys[i] &= input->told.keys[i];
	catch_up_bits(input, EV_KEY, now.keys, input->told.keys, KEY_CNT);
	if (input->frame)
		input_send(input, EV_SYN, SYN_REPORT, 0);
}

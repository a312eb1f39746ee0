// SPDX-License-Identifier: BSD-3-Clause
/* A device whose driver starts over with the next back-end: it is ended, and created anew. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "adapter-rig.h"
#include "adapter/transport-loopback.h"
#include "check.h"
#include "common/util.h"

static struct rig *rig; /* the transport has no room for a pointer of ours */
static struct transport transport;
static unsigned int openings;

/* A new device comes into being: until then the adapter has none, and waits for its back-end. */
static int open_anew(struct device *device, const struct transport_place *place,
		     struct failure *failure)
{
	(void)place;
	(void)failure;
	openings++;
	assert_true(rig->adapter.recovery.waiting);
	assert_int_equal(rig->adapter.phase, ADAPTER_RUNNING);
	assert_true(rig->adapter.phase_until == DEADLINE_NEVER);
	mock_replug(&rig->kernel, device);
	return 0;
}

static unsigned int refusals; /* of what there is none of for now */
static unsigned int taken_ms; /* the name, by the device that was unplugged */

static int open_later(struct device *device, const struct transport_place *place,
		      struct failure *failure)
{
	int ret;

	if (refusals) {
		refusals--;
		return failure_set(failure, -EMFILE, "the node: %s", strerror(EMFILE));
	}
	ret = open_anew(device, place, failure);
	if (taken_ms)
		rig->kernel.name_taken_until = deadline_after_ms(taken_ms);
	taken_ms = 0;
	return ret;
}

static void prepare(struct rig *r)
{
	rig = r;
	openings = 0;
	transport = transport_loopback;
	transport.open = open_later;
	r->options.transport = &transport;
	r->options.type.recovery = RECOVER_REPLUG;
	r->options.reconnect_ms = RECONNECT_FOREVER;
}

/* The back-end goes at the first kick; when a driver has it again that is the end. */
static void until_back(struct mock_kernel *k, void *context)
{
	struct rig *r = context;

	if (!r->step++) {
		assert_true(mock_submit(k, true, 0, 1));
		mock_kick(k);
	}
	if (!r->adapter.recovery.count || r->adapter.recovery.waiting)
		return;
	r->reached = true;
	k->idle = NULL;
	adapter_end(&r->adapter);
}

static void check_comes_back(struct rig *r, const char *script, unsigned int expected)
{
	prepare(r);
	if (rig_run(r, script, until_back))
		fail_msg("expected the device back, saw: %s", r->adapter.failure.text);
	assert_true(r->reached);
	if (openings != expected)
		fail_msg("expected %u devices after the first, saw %u", expected, openings);
	rig_finish(r);
}

static void test_comes_back(void **state)
{
	check_comes_back(*state, "kick#1: close", 1);
}

/* It goes again while the new device's driver probes: that device is unplugged too. */
static void test_lost_while_probing(void **state)
{
	check_comes_back(*state, "kick#1: close; SET_VRING_KICK#2: close; SET_MEM_TABLE#3: close",
			 3);
}

/* One that does not get as far as a device, or cannot be one, is not the last that is tried. */
static void test_next_one_is_tried(void **state)
{
	check_comes_back(*state,
			 "kick#1: close; GET_CONFIG#2: close; GET_CONFIG#3: size 0;"
			 "GET_FEATURES#4: value 0x40000000; GET_PROTOCOL_FEATURES#5: value 0",
			 5);
}

/* Its driver lets go of the device as the back-end goes. */
static void reset_until_back(struct mock_kernel *k, void *context)
{
	struct rig *r = context;

	if (!r->step++)
		mock_push(k, VIRTIO_LOOPBACK_MSG_RESET, true);
	if (!r->adapter.recovery.count || r->adapter.recovery.waiting)
		return;
	r->reached = true;
	k->idle = NULL;
	adapter_end(&r->adapter);
}

/* Nobody waits for the buffers any more, who would have the device fail if that takes too long. */
static void test_lost_at_reset(void **state)
{
	struct rig *r = *state;

	prepare(r);
	r->options.timeout_ms = 500;
	if (rig_run(r, "GET_VRING_BASE#1: close", reset_until_back))
		fail_msg("expected the device back, saw: %s", r->adapter.failure.text);
	assert_true(r->reached);
	rig_finish(r);
}

/* Somebody has a node of it open for longer than a new device waits for the name. */
static void test_name_is_free_later(void **state)
{
	taken_ms = 6000;
	check_comes_back(*state, "kick#1: close", 2);
}

static void test_descriptors_are_short(void **state)
{
	refusals = 1;
	check_comes_back(*state, "kick#1: close", 1);
}

int main(void)
{
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		RIG_TEST(test_comes_back),
		RIG_TEST(test_lost_while_probing),
		RIG_TEST(test_next_one_is_tried),
		RIG_TEST(test_lost_at_reset),
		RIG_TEST(test_name_is_free_later),
		RIG_TEST(test_descriptors_are_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

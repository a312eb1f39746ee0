// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-gpio from inside: requests. */
#include "gpio-rig.h"

static void test_directions(void **state)
{
	(void)state;
	/* a line that the driver does not use: how it stands */
	assert_int_equal(ask(VIRTIO_GPIO_MSG_GET_DIRECTION, 1, 0), VIRTIO_GPIO_DIRECTION_IN);
	mock.line[1].setup.direction = VIRTIO_GPIO_DIRECTION_OUT;
	assert_int_equal(ask(VIRTIO_GPIO_MSG_GET_DIRECTION, 1, 0), VIRTIO_GPIO_DIRECTION_OUT);
	assert_int_equal(set_direction(1, VIRTIO_GPIO_DIRECTION_IN), 0);
	assert_int_equal(ask(VIRTIO_GPIO_MSG_GET_DIRECTION, 1, 0), VIRTIO_GPIO_DIRECTION_IN);
	assert_int_equal(mock.line[1].setup.direction, VIRTIO_GPIO_DIRECTION_IN);
	move(1, 1);
	assert_int_equal(ask(VIRTIO_GPIO_MSG_GET_VALUE, 1, 0), 1);
	/* the value first, then the direction: the line never shows another one */
	assert_int_equal(ask(VIRTIO_GPIO_MSG_SET_VALUE, 1, 1), 0);
	assert_int_equal(mock.line[1].value_set, -1);
	assert_int_equal(set_direction(1, VIRTIO_GPIO_DIRECTION_OUT), 0);
	assert_int_equal(mock.line[1].setup.value, 1);
	assert_int_equal(ask(VIRTIO_GPIO_MSG_SET_VALUE, 1, 0), 0);
	assert_int_equal(mock.line[1].value_set, 0);
	assert_int_equal(ask(VIRTIO_GPIO_MSG_GET_VALUE, 1, 0), 0);
	assert_int_equal(set_direction(1, VIRTIO_GPIO_DIRECTION_NONE), 0);
	/* the next one does not begin with the last one's value */
	assert_int_equal(ask(VIRTIO_GPIO_MSG_SET_VALUE, 2, 1), 0);
	gpio_lines_reset(&w.gpio);
	assert_int_equal(set_direction(2, VIRTIO_GPIO_DIRECTION_OUT), 0);
	assert_int_equal(mock.line[2].setup.value, 0);
}

static void test_refused(void **state)
{
	(void)state;
	assert_int_equal(ask(VIRTIO_GPIO_MSG_GET_VALUE, LINES, 0), -1);
	assert_int_equal(ask(VIRTIO_GPIO_MSG_GET_DIRECTION, 0xffff, 0), -1);
	assert_int_equal(ask(0, 0, 0), -1);
	assert_int_equal(ask(7, 0, 0), -1);
	assert_int_equal(set_direction(0, 3), -1);
	assert_int_equal(set_direction(0, 0x100), -1);
	assert_int_equal(ask(VIRTIO_GPIO_MSG_SET_VALUE, 0, 2), -1);
	/* no interrupt without an input, no output with an interrupt */
	assert_int_equal(set_irq(0, VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING), -1);
	assert_int_equal(set_direction(0, VIRTIO_GPIO_DIRECTION_IN), 0);
	assert_int_equal(set_irq(0, 5), -1);
	assert_int_equal(set_irq(0, VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING), 0);
	assert_int_equal(set_direction(0, VIRTIO_GPIO_DIRECTION_OUT), -1);
	assert_int_equal(mock.line[0].setup.edges, EDGES_RISING);
	/* an input that is made one again keeps its interrupt, one that is let go does not */
	assert_int_equal(set_direction(0, VIRTIO_GPIO_DIRECTION_IN), 0);
	assert_int_equal(mock.line[0].setup.edges, EDGES_RISING);
	assert_int_equal(set_direction(0, VIRTIO_GPIO_DIRECTION_NONE), 0);
	assert_int_equal(mock.line[0].setup.edges, EDGES_NONE);
	/* what the chip refuses */
	mock.fail = -EIO;
	assert_int_equal(set_direction(1, VIRTIO_GPIO_DIRECTION_IN), -1);
	assert_int_equal(w.gpio.lines[1].direction, VIRTIO_GPIO_DIRECTION_NONE);
	mock.fail = -EIO;
	assert_int_equal(ask(VIRTIO_GPIO_MSG_GET_VALUE, 1, 0), -1);
}

static unsigned int to_come; /* requests of a driver that never rests */

static void add_another(void)
{
	struct drv_buf bufs[] = { { w.out, sizeof(*w.out), false }, { w.in, sizeof(*w.in), true } };

	while (drv_get(&w.request.ring, NULL) >= 0)
		;
	if (to_come && drv_add(&w.request.ring, bufs, 2, true) >= 0)
		to_come--;
}

/* One whose next request is always there before the last one is answered has its turn, no more. */
static void test_turns(void **state)
{
	const unsigned int all = 3 * VU_TURN + 10;
	unsigned int turns = 0;

	(void)state;
	set_direction(0, VIRTIO_GPIO_DIRECTION_IN);
	w.out->type = htole16(VIRTIO_GPIO_MSG_GET_VALUE);
	w.out->gpio = 0;
	to_come = all;
	mock.asked = add_another;
	add_another();
	while (gpio_requestq_work(&w.gpio, &w.request.vq)) {
		turns++;
		assert_int_equal(to_come, all - turns * VU_TURN - 1);
	}
	print_message("%u turns, %u requests left\n", turns, to_come);
	assert_int_equal(turns, 3);
	assert_int_equal(to_come, 0);
}

static void test_names(void **state)
{
	struct drv_buf bufs[] = { { w.out, sizeof(*w.out), false },
				  { w.in, 1 + w.gpio.names_size, true } };
	uint32_t len;

	(void)state;
	w.out->type = htole16(VIRTIO_GPIO_MSG_GET_NAMES);
	assert_true(drv_add(&w.request.ring, bufs, 2, false) >= 0);
	gpio_requestq_work(&w.gpio, &w.request.vq);
	assert_true(drv_get(&w.request.ring, &len) >= 0);
	assert_int_equal(len, 1 + w.gpio.names_size);
	assert_int_equal(w.in->status, VIRTIO_GPIO_STATUS_OK);
	assert_memory_equal((uint8_t *)w.in + 1, w.gpio.names, w.gpio.names_size);
	/* a buffer too short for them */
	bufs[1].len = w.gpio.names_size;
	assert_true(drv_add(&w.request.ring, bufs, 2, false) >= 0);
	gpio_requestq_work(&w.gpio, &w.request.vq);
	assert_true(drv_get(&w.request.ring, &len) >= 0);
	assert_int_equal(w.in->status, VIRTIO_GPIO_STATUS_ERR);
	w.gpio.names_size = 0;
	assert_int_equal(ask(VIRTIO_GPIO_MSG_GET_NAMES, 0, 0), -1);
}

/* Requests of other shapes than that of the document are answered, with what has room. */
static void test_shapes(void **state)
{
	struct drv_buf one[] = { { w.out, 7, false }, { w.in, 1, true } };
	struct drv_buf split[] = { { w.out, 3, false },
				   { (uint8_t *)w.out + 3, 5, false },
				   { w.in, 1, true },
				   { (uint8_t *)w.in + 1, 1, true } };
	uint32_t len;

	(void)state;
	*w.out = (struct virtio_gpio_request){ .type = htole16(VIRTIO_GPIO_MSG_GET_VALUE) };
	assert_true(drv_add(&w.request.ring, one, 2, false) >= 0);
	gpio_requestq_work(&w.gpio, &w.request.vq);
	assert_true(drv_get(&w.request.ring, &len) >= 0);
	assert_int_equal(len, 1);
	assert_int_equal(w.in->status, VIRTIO_GPIO_STATUS_ERR);
	mock.line[0].level = 1;
	assert_true(drv_add(&w.request.ring, split, 4, false) >= 0);
	gpio_requestq_work(&w.gpio, &w.request.vq);
	assert_true(drv_get(&w.request.ring, &len) >= 0);
	assert_int_equal(len, 2);
	assert_int_equal(w.in->status, VIRTIO_GPIO_STATUS_OK);
	assert_int_equal(w.in->value, 1);
	assert_true(drv_add(&w.request.ring, one, 1, false) >= 0);
	gpio_requestq_work(&w.gpio, &w.request.vq);
	assert_true(drv_get(&w.request.ring, &len) >= 0);
	assert_int_equal(len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GPIO_TEST(test_directions),
		GPIO_TEST(test_refused),
		GPIO_TEST(test_turns),
		GPIO_TEST(test_names),
		GPIO_TEST(test_shapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

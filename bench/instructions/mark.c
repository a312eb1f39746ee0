// SPDX-License-Identifier: BSD-3-Clause
/* bench-mark: in the guest, have the plugin (count.c) write down what it has counted so far. */
#include "mark.h"

int main(void)
{
	mark();
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The instruction by which a program in the guest tells the plugin to write down what it has
 * counted: an x86-64 nop with an operand that no compiler emits.
 */
#ifndef BENCH_MARK_H
#define BENCH_MARK_H

#define MARK_BYTES 0x0f, 0x1f, 0x84, 0x00, 0x76, 0x6c, 0x62, 0x21
#define MARK_TEXT(...)	MARK_TEXT_(__VA_ARGS__)
#define MARK_TEXT_(...) #__VA_ARGS__

static inline void mark(void)
{
#ifdef __x86_64__
	__asm__ __volatile__(".byte " MARK_TEXT(MARK_BYTES));
#endif
}

#endif

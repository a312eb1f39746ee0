/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers and sizes from command lines and files: the whole string, within bounds, or refused. */
#ifndef VL_COMMON_PARSE_H
#define VL_COMMON_PARSE_H

#include <stdint.h>

/**
 * parse_u64() - a decimal, or with 0x hexadecimal, number
 * @text:	the whole string must be the number: no sign, no blank
 * @min:	smallest value accepted
 * @max:	largest value accepted
 * @value:	where the number goes; untouched on error
 *
 * Return: 0, -EINVAL for what is no number, -ERANGE for one out of bounds.
 */
int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *value);

/* parse_uint() - the same for an unsigned int */
int parse_uint(const char *text, unsigned int min, unsigned int max, unsigned int *value);

/**
 * parse_size() - a number of bytes: digits and at most one of K, M, G, T (powers of 1024)
 * @text:	e.g. "4096", "64K", "1G"
 * @value:	where the bytes go; untouched on error
 *
 * Return: 0, -EINVAL, or -ERANGE when it does not fit 63 bits.
 */
int parse_size(const char *text, uint64_t *value);

#endif

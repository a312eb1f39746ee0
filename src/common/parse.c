// SPDX-License-Identifier: BSD-3-Clause
#include "common/parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

static int parse_digits(const char *text, int base, uint64_t *value, const char **end)
{
	char *stop;

	/* strtoull() takes blanks and a minus sign, of which neither belongs in a number here */
	if (!isxdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	*value = strtoull(text, &stop, base);
	if (errno)
		return -errno;
	if (stop == text)
		return -EINVAL;
	*end = stop;
	return 0;
}

int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	const char *end = text;
	uint64_t v = 0;
	int ret;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		ret = parse_digits(text + 2, 16, &v, &end);
	else
		ret = parse_digits(text, 10, &v, &end);
	if (ret)
		return ret;
	if (*end)
		return -EINVAL;
	if (v < min || v > max)
		return -ERANGE;
	*value = v;
	return 0;
}

int parse_uint(const char *text, unsigned int min, unsigned int max, unsigned int *value)
{
	uint64_t v;
	int ret = parse_u64(text, min, max, &v);

	if (!ret)
		*value = (unsigned int)v;
	return ret;
}

int parse_size(const char *text, uint64_t *value)
{
	unsigned int shift = 0;
	const char *end = text;
	uint64_t v = 0;
	int ret;

	ret = parse_digits(text, 10, &v, &end);
	if (ret)
		return ret;
	switch (toupper((unsigned char)*end)) {
	case '\0':
		break;
	case 'K':
		shift = 10;
		break;
	case 'M':
		shift = 20;
		break;
	case 'G':
		shift = 30;
		break;
	case 'T':
		shift = 40;
		break;
	default:
		return -EINVAL;
	}
	if (shift && end[1])
		return -EINVAL;
	if (v > (uint64_t)INT64_MAX >> shift)
		return -ERANGE;
	*value = v << shift;
	return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
#include "backends/common/iov.h"

#include <string.h>

#include "common/util.h"

enum iov_op { IOV_READ, IOV_WRITE, IOV_ZERO };

static size_t iov_walk(const struct iovec *iov, unsigned int n, size_t offset, char *buf,
		       size_t len, enum iov_op op)
{
	size_t done = 0;
	unsigned int i;

	for (i = 0; i < n && done < len; i++) {
		size_t part;
		char *p;

		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		p = (char *)iov[i].iov_base + offset;
		part = MIN(len - done, iov[i].iov_len - offset);
		offset = 0;
		if (op == IOV_READ)
			memcpy(buf + done, p, part);
		else if (op == IOV_WRITE)
			memcpy(p, buf + done, part);
		else
			memset(p, 0, part);
		done += part;
	}
	return done;
}

size_t iov_to_buf(const struct iovec *iov, unsigned int n, size_t offset, void *buf, size_t len)
{
	return iov_walk(iov, n, offset, buf, len, IOV_READ);
}

size_t iov_from_buf(const struct iovec *iov, unsigned int n, size_t offset, const void *buf,
		    size_t len)
{
	/* only read from in this mode */
	return iov_walk(iov, n, offset, (char *)(uintptr_t)buf, len, IOV_WRITE);
}

size_t iov_zero(const struct iovec *iov, unsigned int n, size_t offset, size_t len)
{
	return iov_walk(iov, n, offset, NULL, len, IOV_ZERO);
}

size_t iov_drop_front(struct iovec **iov, unsigned int *n, size_t len)
{
	size_t left = len;

	while (*n && left >= (*iov)->iov_len) {
		left -= (*iov)->iov_len;
		(*iov)++;
		(*n)--;
	}
	if (*n && left) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + left;
		(*iov)->iov_len -= left;
		left = 0;
	}
	return len - left;
}

size_t iov_drop_back(struct iovec *iov, unsigned int *n, size_t len)
{
	size_t left = len;

	while (*n && left >= iov[*n - 1].iov_len)
		left -= iov[--(*n)].iov_len;
	if (*n && left) {
		iov[*n - 1].iov_len -= left;
		left = 0;
	}
	return len - left;
}

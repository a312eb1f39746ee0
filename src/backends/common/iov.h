/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes in and out of scattered buffers, and cutting them at either end. */
#ifndef VU_IOV_H
#define VU_IOV_H

#include <stddef.h>
#include <sys/uio.h>

/* iov_to_buf() - copy from @offset on; Return: bytes copied, fewer than @len at the end */
size_t iov_to_buf(const struct iovec *iov, unsigned int n, size_t offset, void *buf, size_t len);

/* iov_from_buf() - copy to @offset on; Return: bytes copied, fewer than @len at the end */
size_t iov_from_buf(const struct iovec *iov, unsigned int n, size_t offset, const void *buf,
		    size_t len);

/* iov_zero() - clear @len bytes from @offset on; Return: bytes cleared */
size_t iov_zero(const struct iovec *iov, unsigned int n, size_t offset, size_t len);

/**
 * iov_drop_front() - cut bytes off the front
 * @iov:	first buffer; changed
 * @n:		number of buffers; changed
 * @len:	bytes to cut
 *
 * Return: bytes cut.
 */
size_t iov_drop_front(struct iovec **iov, unsigned int *n, size_t len);

/* iov_drop_back() - cut bytes off the back; Return: bytes cut */
size_t iov_drop_back(struct iovec *iov, unsigned int *n, size_t len);

#endif

// SPDX-License-Identifier: BSD-3-Clause
#include "backends/blk/request.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "backends/common/iov.h"
#include "common/log.h"

/* iovecs for buffers that cross the border of memory regions, beyond one a segment */
#define EXTRA_IOVS 16
#define ZEROES_SIZE (256U * 1024)
/*
 * Most memory that a request is given to align its data; a power of two. A driver can name the same
 * memory many times, so what it has is no bound.
 */
#define BOUNCE_SIZE (128U * 1024)

/* What WRITE_ZEROES falls back to where the file system cannot do better; aligned for direct I/O */
static const uint8_t zeroes[ZEROES_SIZE] __attribute__((aligned(4096)));

int blk_requests_init(struct blk_requests *requests, const struct blk_device *blk,
		      struct virtqueue *vq, uint64_t features)
{
	*requests = (struct blk_requests){
		.blk = blk,
		.vq = vq,
		.features = features,
		.iov_stride = blk->seg_max + 2 + EXTRA_IOVS,
	};
	requests->table = calloc(vq->num, sizeof(*requests->table));
	requests->iovs = calloc((size_t)vq->num * requests->iov_stride, sizeof(*requests->iovs));
	if (!requests->table || !requests->iovs) {
		blk_requests_finish(requests);
		return -ENOMEM;
	}
	return 0;
}

void blk_requests_finish(struct blk_requests *requests)
{
	free(requests->table);
	free(requests->iovs);
	requests->table = NULL;
	requests->iovs = NULL;
}

static int finish(struct blk_requests *requests, struct blk_request *req, uint8_t status)
{
	if (unlikely(req->bounce != NULL)) {
		free(req->bounce);
		req->bounce = NULL;
	}
	*req->status = status;
	vq_push(requests->vq, req->id, req->written);
	return 0;
}

static int fail(struct blk_requests *requests, struct blk_request *req, const char *why)
{
	log_ratelimited(LOG_LEVEL_WARNING, "request of type %u fails: %s", req->type, why);
	return finish(requests, req, VIRTIO_BLK_S_IOERR);
}

/* ---- reads and writes ---- */

static bool within(const struct blk_device *blk, uint64_t sector, uint64_t len)
{
	uint64_t size = blk_image_size(&blk->image);

	return sector <= size >> BLK_SECTOR_SHIFT && len <= size - (sector << BLK_SECTOR_SHIFT);
}

static bool buffers_aligned(const struct blk_request *req, uint32_t align)
{
	unsigned int i;

	for (i = 0; i < req->niov; i++)
		if (!IS_ALIGNED((uintptr_t)req->iov[i].iov_base | req->iov[i].iov_len, align))
			return false;
	return true;
}

/* The next piece of what is left goes through the aligned buffer. */
static void bounce_piece(struct blk_request *req)
{
	struct blk_io *io = &req->io;

	req->bounce_iov.iov_base = req->bounce;
	req->bounce_iov.iov_len = MIN(io->len, (uint64_t)BOUNCE_SIZE);
	if (io->op == BLK_OP_WRITE)
		iov_to_buf(req->iov, req->niov, 0, req->bounce, req->bounce_iov.iov_len);
	io->iov = &req->bounce_iov;
	io->niov = 1;
}

/*
 * Direct I/O on buffers that lie crooked goes through one that does not. The rare way, so it may
 * allocate.
 */
static int bounce(struct blk_request *req, uint32_t align)
{
	size_t len = MIN(req->io.len, (uint64_t)BOUNCE_SIZE);

	if (posix_memalign(&req->bounce, MAX(align, (uint32_t)sizeof(void *)), len)) {
		req->bounce = NULL;
		return -ENOMEM;
	}
	bounce_piece(req);
	return 0;
}

/*
 * The cache has been turned off since this queue wrote last: what any of them wrote before is
 * stable before something is that may refer to it.
 */
static void begin_stable(struct blk_requests *requests, struct blk_request *req)
{
	const struct blk_device *blk = requests->blk;

	req->cache_offs = __atomic_load_n(&blk->cache_offs, __ATOMIC_SEQ_CST);
	if (unlikely(requests->cache_offs != req->cache_offs))
		req->io.op = BLK_OP_SYNC;
}

static int begin_rw(struct blk_requests *requests, struct blk_request *req, enum blk_op op,
		    uint64_t sector, uint64_t len)
{
	const struct blk_device *blk = requests->blk;
	const struct blk_image *image = &blk->image;
	struct blk_io *io = &req->io;

	if (unlikely(op == BLK_OP_WRITE && image->read_only))
		return fail(requests, req, "the image is read-only");
	if (unlikely(len % BLK_SECTOR_SIZE))
		return fail(requests, req, "not a whole number of sectors");
	if (unlikely(!within(blk, sector, len)))
		return fail(requests, req, "beyond the end of the image");
	if (unlikely(!len))
		return finish(requests, req, VIRTIO_BLK_S_OK);
	io->op = op;
	io->offset = sector << BLK_SECTOR_SHIFT;
	io->len = len;
	io->iov = req->iov;
	io->niov = req->niov;
	io->stable = op == BLK_OP_WRITE && !blk_writeback(blk, requests->features);
	if (image->direct) {
		if (unlikely((io->offset | len) & (image->logical_block - 1)))
			return fail(requests, req, "not a multiple of the block size");
		if (!buffers_aligned(req, image->memory_align) && bounce(req, image->memory_align))
			return fail(requests, req, "no memory to align it");
	}
	if (io->stable)
		begin_stable(requests, req);
	return 1;
}

static int step_last(struct blk_requests *requests, struct blk_request *req, int64_t result)
{
	if (result < 0)
		return fail(requests, req, strerror((int)-result));
	return finish(requests, req, VIRTIO_BLK_S_OK);
}

/*
 * All is moved. The cache may have been turned off since the write was begun: then its driver does
 * not flush any more.
 */
static int finish_rw(struct blk_requests *requests, struct blk_request *req)
{
	struct blk_io *io = &req->io;

	if (io->op == BLK_OP_WRITE && !io->stable &&
	    unlikely(!blk_writeback(requests->blk, requests->features))) {
		io->op = BLK_OP_SYNC;
		io->len = 0;
		return 1;
	}
	return finish(requests, req, VIRTIO_BLK_S_OK);
}

/* A flush with a write: before it, or after */
static int step_sync(struct blk_requests *requests, struct blk_request *req, int64_t result)
{
	if (result < 0 || !req->io.len)
		return step_last(requests, req, result);
	requests->cache_offs = req->cache_offs;
	req->io.op = BLK_OP_WRITE;
	return 1;
}

static int step_rw(struct blk_requests *requests, struct blk_request *req, int64_t result)
{
	struct blk_io *io = &req->io;

	if (unlikely(io->op == BLK_OP_SYNC))
		return step_sync(requests, req, result);
	if (unlikely(result < 0))
		return fail(requests, req, strerror((int)-result));
	if (unlikely(result == 0))
		return fail(requests, req, "the image ends before its size");
	if (unlikely(req->bounce && io->op == BLK_OP_READ))
		iov_from_buf(req->iov, req->niov, 0, req->bounce, (size_t)result);
	if (unlikely((uint64_t)result < io->len)) {
		iov_drop_front(&req->iov, &req->niov, (size_t)result);
		io->iov = req->iov;
		io->niov = req->niov;
		io->offset += (uint64_t)result;
		io->len -= (uint64_t)result;
		if (req->bounce)
			bounce_piece(req);
		return 1;
	}
	return finish_rw(requests, req);
}

/* ---- flush ---- */

static int begin_flush(struct blk_requests *requests, struct blk_request *req)
{
	if (requests->blk->image.read_only)
		return finish(requests, req, VIRTIO_BLK_S_OK);
	req->io.op = BLK_OP_SYNC;
	return 1;
}

/* ---- discard and write zeroes: a list of segments, one after the other ---- */

static int start_segment(struct blk_requests *requests, struct blk_request *req)
{
	bool zeroes_wanted = req->type == VIRTIO_BLK_T_WRITE_ZEROES;
	uint32_t most = zeroes_wanted ? BLK_MAX_ZEROES_SECTORS : BLK_MAX_DISCARD_SECTORS;
	struct virtio_blk_discard_write_zeroes segment;
	uint32_t sectors, flags;
	uint64_t sector;

	/* Read when its turn comes, and once: the driver's memory may change at any time. */
	iov_to_buf(req->iov, req->niov, req->segment * sizeof(segment), &segment, sizeof(segment));
	sector = le64toh(segment.sector);
	sectors = le32toh(segment.num_sectors);
	flags = le32toh(segment.flags);
	if (flags & ~(zeroes_wanted ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0U))
		return finish(requests, req, VIRTIO_BLK_S_UNSUPP);
	if (sectors > most)
		return fail(requests, req, "more sectors than a segment can have");
	if (!within(requests->blk, sector, (uint64_t)sectors << BLK_SECTOR_SHIFT))
		return fail(requests, req, "beyond the end of the image");
	req->unmap = flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	/*
	 * A hole in a block device is zeroes to the kernel. Not all that can discard can write
	 * those (LVM's thin volumes, eMMC), and what can need not give any space back by it.
	 */
	req->io.op = !zeroes_wanted && requests->blk->image.kind == BLK_IMAGE_DEVICE ?
			     BLK_OP_DISCARD :
			     BLK_OP_FALLOCATE;
	req->io.offset = sector << BLK_SECTOR_SHIFT;
	req->io.len = (uint64_t)sectors << BLK_SECTOR_SHIFT;
	req->io.mode = FALLOC_FL_KEEP_SIZE;
	if (zeroes_wanted && !req->unmap)
		req->io.mode |= FALLOC_FL_ZERO_RANGE;
	else
		req->io.mode |= FALLOC_FL_PUNCH_HOLE;
	return 1;
}

/* The next segment that is not empty; after the last, stable storage where that is due. */
static int next_segment(struct blk_requests *requests, struct blk_request *req)
{
	while (req->segment < req->segments) {
		int ret = start_segment(requests, req);

		if (ret <= 0 || req->io.len)
			return ret;
		req->segment++;
	}
	if (blk_writeback(requests->blk, requests->features) || req->io.op == BLK_OP_SYNC)
		return finish(requests, req, VIRTIO_BLK_S_OK);
	req->io.op = BLK_OP_SYNC;
	return 1;
}

static int begin_segments(struct blk_requests *requests, struct blk_request *req, uint64_t len)
{
	unsigned int most = req->type == VIRTIO_BLK_T_WRITE_ZEROES ? BLK_MAX_ZEROES_SEGMENTS :
								     BLK_MAX_DISCARD_SEGMENTS;

	if (requests->blk->image.read_only)
		return fail(requests, req, "the image is read-only");
	if (!len || len % sizeof(struct virtio_blk_discard_write_zeroes) ||
	    len / sizeof(struct virtio_blk_discard_write_zeroes) > most)
		return fail(requests, req, "a list of segments of a wrong size");
	req->segment = 0;
	req->segments = (unsigned int)(len / sizeof(struct virtio_blk_discard_write_zeroes));
	return next_segment(requests, req);
}

/* Plain writes of zeroes, a piece at a time. */
static int write_zeroes(struct blk_request *req)
{
	struct blk_io *io = &req->io;

	req->bounce_iov.iov_base = (void *)(uintptr_t)zeroes; /* only written from */
	req->bounce_iov.iov_len = MIN(io->len, (uint64_t)ZEROES_SIZE);
	io->op = BLK_OP_WRITE;
	io->stable = false; /* next_segment() syncs once at the end */
	io->iov = &req->bounce_iov;
	io->niov = 1;
	return 1;
}

/* What cannot be done that way is tried in the next: hole, zeroed range, plain writes. */
static int segment_refused(struct blk_requests *requests, struct blk_request *req)
{
	if (req->type == VIRTIO_BLK_T_DISCARD) { /* a hint */
		req->segment++;
		return next_segment(requests, req);
	}
	if (req->io.mode & FALLOC_FL_PUNCH_HOLE) {
		req->io.mode = FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE;
		return 1;
	}
	return write_zeroes(req);
}

static int step_segment(struct blk_requests *requests, struct blk_request *req, int64_t result)
{
	struct blk_io *io = &req->io;

	if ((io->op == BLK_OP_FALLOCATE || io->op == BLK_OP_DISCARD) &&
	    (result == -EOPNOTSUPP || result == -ENOSYS))
		return segment_refused(requests, req);
	if (result < 0)
		return fail(requests, req, strerror((int)-result));
	if (io->op == BLK_OP_WRITE) {
		if (!result)
			return fail(requests, req, "the image cannot be written");
		io->offset += (uint64_t)result;
		io->len -= (uint64_t)result;
		if (io->len)
			return write_zeroes(req);
	}
	if (io->op != BLK_OP_SYNC)
		req->segment++;
	return next_segment(requests, req);
}

/* ---- the rest ---- */

static int get_id(struct blk_requests *requests, struct blk_request *req)
{
	char id[VIRTIO_BLK_ID_BYTES] = { 0 };
	size_t len = strlen(requests->blk->serial);

	memcpy(id, requests->blk->serial, MIN(len, sizeof(id)));
	iov_from_buf(req->iov, req->niov, 0, id, sizeof(id));
	return finish(requests, req, VIRTIO_BLK_S_OK);
}

static int begin_type(struct blk_requests *requests, struct blk_request *req, uint64_t sector,
		      uint64_t len)
{
	switch (req->type) {
	case VIRTIO_BLK_T_IN:
		return begin_rw(requests, req, BLK_OP_READ, sector, len);
	case VIRTIO_BLK_T_OUT:
		return begin_rw(requests, req, BLK_OP_WRITE, sector, len);
	case VIRTIO_BLK_T_FLUSH:
		return begin_flush(requests, req);
	case VIRTIO_BLK_T_GET_ID:
		return get_id(requests, req);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return begin_segments(requests, req, len);
	default:
		return finish(requests, req, VIRTIO_BLK_S_UNSUPP);
	}
}

int blk_request_begin(struct blk_requests *requests, uint16_t id, struct blk_request **request)
{
	struct blk_request *req = &requests->table[id];
	struct virtio_blk_outhdr header;
	struct iovec *in, *out, *last;
	struct vq_buffers bufs = {
		.iov = requests->iovs + (size_t)id * requests->iov_stride,
		.max = requests->iov_stride,
	};

	*request = req;
	if (unlikely(vq_chain(requests->vq, id, &bufs)))
		return -EPROTO;
	if (unlikely(bufs.in_len < 1 || bufs.in_len > UINT32_MAX))
		return vq_refuse(requests->vq, id, "a request without room for its status");
	if (unlikely(bufs.out_len < sizeof(header)))
		return vq_refuse(requests->vq, id, "a request without a header");

	/*
	 * The header is the first 16 bytes to read, the status the last to write, however they are
	 * cut.
	 */
	out = bufs.iov;
	in = bufs.iov + bufs.out_num;
	last = &in[bufs.in_num - 1];
	req->status = (uint8_t *)last->iov_base + last->iov_len - 1;
	iov_drop_back(in, &bufs.in_num, 1);
	iov_to_buf(out, bufs.out_num, 0, &header, sizeof(header));
	iov_drop_front(&out, &bufs.out_num, sizeof(header));

	req->id = id;
	req->type = le32toh(header.type);
	req->bounce = NULL;
	req->written = (uint32_t)bufs.in_len;
	req->io.op = BLK_OP_NONE;
	if (req->type &
	    VIRTIO_BLK_T_OUT) { /* of the types those with data to read are the odd ones */
		req->iov = out;
		req->niov = bufs.out_num;
		return begin_type(requests, req, le64toh(header.sector),
				  bufs.out_len - sizeof(header));
	}
	req->iov = in;
	req->niov = bufs.in_num;
	return begin_type(requests, req, le64toh(header.sector), bufs.in_len - 1);
}

int blk_request_step(struct blk_requests *requests, struct blk_request *req, int64_t result)
{
	if (unlikely(result == -EINTR)) /* nothing of the step was done */
		return 1;
	switch (req->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		return step_rw(requests, req, result);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return step_segment(requests, req, result);
	default:
		return step_last(requests, req, result);
	}
}

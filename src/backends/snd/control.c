// SPDX-License-Identifier: BSD-3-Clause
/* The control queue (5.14.6): a header and what belongs to it, answered by a header and more. */
#include <endian.h>
#include <string.h>

#include "backends/common/iov.h"
#include "backends/snd/chmap.h"
#include "backends/snd/sink.h"
#include "common/log.h"

/* Parts of one request: the driver's are in one piece each, but for what it has of ours */
#define CONTROL_IOVS 1024

/*
 * The most that a driver can know of an item. It names its buffers, and can name the same memory
 * many times: what is filled with zeroes for a driver that knows more has to have a bound.
 */
#define ITEM_MOST 4096

/* High Definition Audio, 7.3.3.31 and 7.3.4.9 */
#define DEFCONF_REAR (1U << 24)
#define DEFCONF_LINE_OUT (0U << 20)
#define DEFCONF_MIC (0xaU << 20)
#define DEFCONF_ASSOCIATION(n) ((n) << 4)
#define PINCAP_PRESENCE (1U << 2)
#define PINCAP_OUT (1U << 4)
#define PINCAP_IN (1U << 5)

/* The longest request: a value to be written */
union request {
	struct virtio_snd_hdr hdr;
	struct virtio_snd_query_info query;
	struct virtio_snd_jack_hdr jack;
	struct virtio_snd_pcm_hdr pcm;
	struct virtio_snd_pcm_set_params params;
	struct {
		struct snd_ctl_hdr hdr;
		struct snd_ctl_value value;
	} control;
};

/* Where the answer goes */
struct reply {
	const struct iovec *iov;
	unsigned int num;
	uint64_t room;
	uint64_t used; /* behind the header */
};

static void reply_add(struct reply *reply, const void *data, size_t len)
{
	iov_from_buf(reply->iov, reply->num, sizeof(struct virtio_snd_hdr) + reply->used, data,
		     len);
	reply->used += len;
}

static bool reply_has_room(const struct reply *reply, uint64_t len)
{
	return len <= reply->room - sizeof(struct virtio_snd_hdr) - reply->used;
}

/* ---- *_INFO ---- */

typedef void (*info_fn)(const struct snd_device *snd, unsigned int item, void *info);

/*
 * 5.14.6.2: items from @start_id on, each in @size bytes: an older driver knows less of an item, a
 * newer one more.
 */
static uint32_t query(const struct snd_device *snd, const union request *req, unsigned int items,
		      size_t own_size, info_fn fill, struct reply *reply)
{
	uint32_t start = le32toh(req->query.start_id), count = le32toh(req->query.count);
	uint32_t size = le32toh(req->query.size);
	union {
		struct virtio_snd_jack_info jack;
		struct virtio_snd_pcm_info pcm;
		struct virtio_snd_chmap_info chmap;
		struct snd_ctl_info control;
	} info;
	uint32_t i;

	if (start > items || count > items - start || !size || size > ITEM_MOST ||
	    !reply_has_room(reply, (uint64_t)count * size))
		return VIRTIO_SND_S_BAD_MSG;
	for (i = start; i < start + count; i++) {
		memset(&info, 0, sizeof(info));
		fill(snd, i, &info);
		reply_add(reply, &info, MIN((size_t)size, own_size));
		if (size <= own_size)
			continue;
		iov_zero(reply->iov, reply->num, sizeof(struct virtio_snd_hdr) + reply->used,
			 size - own_size);
		reply->used += size - own_size;
	}
	return VIRTIO_SND_S_OK;
}

static void jack_info(const struct snd_device *snd, unsigned int item, void *data)
{
	const struct snd_stream *stream = &snd->streams[item];
	struct virtio_snd_jack_info *info = data;

	info->hdr.hda_fn_nid = htole32(stream->nid);
	info->hda_reg_defconf = htole32(DEFCONF_REAR | DEFCONF_ASSOCIATION(item + 1) |
					(stream->capture ? DEFCONF_MIC : DEFCONF_LINE_OUT));
	info->hda_reg_caps =
		htole32(PINCAP_PRESENCE | (stream->capture ? PINCAP_IN : PINCAP_OUT));
	info->connected = stream->available;
}

static void pcm_info(const struct snd_device *snd, unsigned int item, void *data)
{
	const struct snd_stream *stream = &snd->streams[item];
	struct virtio_snd_pcm_info *info = data;

	info->hdr.hda_fn_nid = htole32(stream->nid);
	info->features = htole32(1U << VIRTIO_SND_PCM_F_EVT_XRUNS);
	info->formats = htole64(stream->caps.formats);
	info->rates = htole64(stream->caps.rates);
	info->direction = stream->capture ? VIRTIO_SND_D_INPUT : VIRTIO_SND_D_OUTPUT;
	info->channels_min = stream->caps.channels_min;
	info->channels_max = stream->caps.channels_max;
}

static void chmap_info(const struct snd_device *snd, unsigned int item, void *data)
{
	struct virtio_snd_chmap_info *info = data;
	const struct snd_stream *stream;
	const uint8_t *positions;

	chmap_find(snd, item, &stream, &info->channels, &positions);
	info->hdr.hda_fn_nid = htole32(stream->nid);
	info->direction = stream->capture ? VIRTIO_SND_D_INPUT : VIRTIO_SND_D_OUTPUT;
	memcpy(info->positions, positions, info->channels);
}

static void control_info(const struct snd_device *snd, unsigned int item, void *data)
{
	snd_mixer_info(snd, item, data);
}

static uint32_t handle_jack_info(struct snd_device *snd, const union request *req,
				 struct reply *reply)
{
	return query(snd, req, snd->num_streams, sizeof(struct virtio_snd_jack_info), jack_info,
		     reply);
}

static uint32_t handle_pcm_info(struct snd_device *snd, const union request *req,
				struct reply *reply)
{
	return query(snd, req, snd->num_streams, sizeof(struct virtio_snd_pcm_info), pcm_info,
		     reply);
}

static uint32_t handle_chmap_info(struct snd_device *snd, const union request *req,
				  struct reply *reply)
{
	return query(snd, req, chmap_count(snd), sizeof(struct virtio_snd_chmap_info), chmap_info,
		     reply);
}

static uint32_t handle_control_info(struct snd_device *snd, const union request *req,
				    struct reply *reply)
{
	return query(snd, req, SND_NUM_CONTROLS(snd), sizeof(struct snd_ctl_info), control_info,
		     reply);
}

/* ---- streams ---- */

static struct snd_stream *find_stream(struct snd_device *snd, const union request *req)
{
	uint32_t id = le32toh(req->pcm.stream_id);

	return id < snd->num_streams ? &snd->streams[id] : NULL;
}

static uint32_t handle_set_params(struct snd_device *snd, const union request *req,
				  struct reply *reply)
{
	struct snd_stream *stream = find_stream(snd, req);

	(void)reply;
	return stream ? snd_stream_set_params(stream, &req->params) : VIRTIO_SND_S_BAD_MSG;
}

static uint32_t handle_prepare(struct snd_device *snd, const union request *req,
			       struct reply *reply)
{
	struct snd_stream *stream = find_stream(snd, req);

	(void)reply;
	return stream ? snd_stream_prepare(stream) : VIRTIO_SND_S_BAD_MSG;
}

/* 5.14.6.6.5.1: nothing is pending when it is answered, also of what is still in the virtqueue. */
static uint32_t handle_release(struct snd_device *snd, const union request *req,
			       struct reply *reply)
{
	struct snd_stream *stream = find_stream(snd, req);
	struct vu_queue *queue;

	(void)reply;
	if (!stream)
		return VIRTIO_SND_S_BAD_MSG;
	queue = snd->queues[stream->capture ? VIRTIO_SND_VQ_RX : VIRTIO_SND_VQ_TX];
	if (queue)
		snd_io_work(snd, queue);
	return snd_stream_release(stream);
}

static uint32_t handle_start(struct snd_device *snd, const union request *req, struct reply *reply)
{
	struct snd_stream *stream = find_stream(snd, req);

	(void)reply;
	return stream ? snd_stream_start(stream) : VIRTIO_SND_S_BAD_MSG;
}

static uint32_t handle_stop(struct snd_device *snd, const union request *req, struct reply *reply)
{
	struct snd_stream *stream = find_stream(snd, req);

	(void)reply;
	return stream ? snd_stream_stop(stream) : VIRTIO_SND_S_BAD_MSG;
}

/* ---- control elements ---- */

static uint32_t handle_control_read(struct snd_device *snd, const union request *req,
				    struct reply *reply)
{
	uint32_t control = le32toh(req->control.hdr.control_id);
	struct snd_ctl_value value = { 0 };
	uint32_t n, code;

	if (control >= SND_NUM_CONTROLS(snd) || !reply_has_room(reply, sizeof(value)))
		return VIRTIO_SND_S_BAD_MSG;
	code = snd_mixer_read(snd, control, &n);
	value.value.integer[0] = htole32(n);
	reply_add(reply, &value, sizeof(value));
	return code;
}

static uint32_t handle_control_write(struct snd_device *snd, const union request *req,
				     struct reply *reply)
{
	uint32_t control = le32toh(req->control.hdr.control_id);

	(void)reply;
	if (control >= SND_NUM_CONTROLS(snd))
		return VIRTIO_SND_S_BAD_MSG;
	return snd_mixer_write(snd, control, le32toh(req->control.value.value.integer[0]));
}

static uint32_t handle_tlv_read(struct snd_device *snd, const union request *req,
				struct reply *reply)
{
	uint32_t control = le32toh(req->control.hdr.control_id);
	__le32 tlv[4];
	size_t len;

	if (control >= SND_NUM_CONTROLS(snd))
		return VIRTIO_SND_S_BAD_MSG;
	len = snd_mixer_tlv(snd, control, tlv);
	if (!len)
		return VIRTIO_SND_S_NOT_SUPP;
	if (!reply_has_room(reply, len))
		return VIRTIO_SND_S_BAD_MSG;
	reply_add(reply, tlv, len);
	return VIRTIO_SND_S_OK;
}

/* ---- dispatch ---- */

static const struct handler {
	uint32_t code;
	size_t length; /* of the request, at least */
	bool controls; /* only with SND_F_CTLS */
	uint32_t (*handle)(struct snd_device *snd, const union request *req, struct reply *reply);
} handlers[] = {
	{ VIRTIO_SND_R_JACK_INFO, sizeof(struct virtio_snd_query_info), false, handle_jack_info },
	{ VIRTIO_SND_R_PCM_INFO, sizeof(struct virtio_snd_query_info), false, handle_pcm_info },
	{ VIRTIO_SND_R_PCM_SET_PARAMS, sizeof(struct virtio_snd_pcm_set_params), false,
	  handle_set_params },
	{ VIRTIO_SND_R_PCM_PREPARE, sizeof(struct virtio_snd_pcm_hdr), false, handle_prepare },
	{ VIRTIO_SND_R_PCM_RELEASE, sizeof(struct virtio_snd_pcm_hdr), false, handle_release },
	{ VIRTIO_SND_R_PCM_START, sizeof(struct virtio_snd_pcm_hdr), false, handle_start },
	{ VIRTIO_SND_R_PCM_STOP, sizeof(struct virtio_snd_pcm_hdr), false, handle_stop },
	{ VIRTIO_SND_R_CHMAP_INFO, sizeof(struct virtio_snd_query_info), false, handle_chmap_info },
	{ SND_R_CTL_INFO, sizeof(struct virtio_snd_query_info), true, handle_control_info },
	{ SND_R_CTL_READ, sizeof(struct snd_ctl_hdr), true, handle_control_read },
	{ SND_R_CTL_WRITE, sizeof(struct snd_ctl_hdr) + sizeof(__le32), true,
	  handle_control_write },
	{ SND_R_CTL_TLV_READ, sizeof(struct snd_ctl_hdr), true, handle_tlv_read },
};

static uint32_t dispatch(struct snd_device *snd, const union request *req, size_t length,
			 struct reply *reply)
{
	uint32_t code;
	size_t i;

	if (length < sizeof(req->hdr))
		return VIRTIO_SND_S_BAD_MSG;
	code = le32toh(req->hdr.code);
	for (i = 0; i < ARRAY_SIZE(handlers); i++) {
		if (handlers[i].code != code)
			continue;
		if (handlers[i].controls && !(snd->features & BIT_ULL(SND_F_CTLS)))
			break;
		if (length < handlers[i].length)
			return VIRTIO_SND_S_BAD_MSG;
		return handlers[i].handle(snd, req, reply);
	}
	return VIRTIO_SND_S_NOT_SUPP;
}

static int answer(struct snd_device *snd, struct virtqueue *vq, uint16_t id)
{
	static struct iovec iov[CONTROL_IOVS];
	struct vq_buffers bufs = { .iov = iov, .max = CONTROL_IOVS };
	struct virtio_snd_hdr status;
	union request req;
	struct reply reply;
	size_t length;

	if (vq_chain(vq, id, &bufs))
		return -1;
	if (bufs.in_len < sizeof(status)) { /* nowhere to put an answer */
		vq_push(vq, id, 0);
		return 0;
	}
	memset(&req, 0, sizeof(req));
	length = iov_to_buf(iov, bufs.out_num, 0, &req, sizeof(req));
	reply = (struct reply){
		.iov = iov + bufs.out_num,
		.num = bufs.in_num,
		.room = bufs.in_len,
	};
	status.code = htole32(dispatch(snd, &req, length, &reply));
	iov_from_buf(reply.iov, reply.num, 0, &status, sizeof(status));
	log_debug("request %#x: %#x", le32toh(req.hdr.code), le32toh(status.code));
	vq_push(vq, id, (uint32_t)(sizeof(status) + reply.used));
	return 0;
}

void snd_control_work(struct snd_device *snd)
{
	struct vu_queue *queue = snd->queues[VIRTIO_SND_VQ_CONTROL];
	struct virtqueue *vq = &queue->vq;
	unsigned int taken = 0;
	uint16_t id;

	do {
		vq_suppress(vq);
		while (vq_pop(vq, &id) > 0 && !answer(snd, vq, id)) {
			vq_flush(vq);
			if (++taken == VU_TURN) {
				vu_queue_again(queue);
				return;
			}
		}
	} while (vq_arm(vq));
}

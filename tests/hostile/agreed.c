// SPDX-License-Identifier: BSD-3-Clause
#include "agreed.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"

/* The protocol feature that a message belongs to */
static const struct {
	uint32_t request;
	unsigned int feature;
} belongs[] = {
	{ VHOST_USER_GET_QUEUE_NUM, VHOST_USER_PROTOCOL_F_MQ },
	{ VHOST_USER_SET_BACKEND_REQ_FD, VHOST_USER_PROTOCOL_F_BACKEND_REQ },
	{ VHOST_USER_GET_CONFIG, VHOST_USER_PROTOCOL_F_CONFIG },
	{ VHOST_USER_SET_CONFIG, VHOST_USER_PROTOCOL_F_CONFIG },
	{ VHOST_USER_NET_SET_MTU, VHOST_USER_PROTOCOL_F_MTU },
	{ VHOST_USER_GET_INFLIGHT_FD, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD },
	{ VHOST_USER_SET_INFLIGHT_FD, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD },
	{ VHOST_USER_RESET_DEVICE, VHOST_USER_PROTOCOL_F_RESET_DEVICE },
};

bool agreed_allows(const struct hostile *h, const struct vu_message *msg)
{
	const bool protocol = h->offered & BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES);
	uint32_t request = msg->header.request;
	size_t i;

	if (vu_message_needs_ack(msg, VU_REQUEST) &&
	    !(h->protocol & BIT_ULL(VHOST_USER_PROTOCOL_F_REPLY_ACK)))
		return false;
	for (i = 0; i < ARRAY_SIZE(belongs); i++) {
		if (belongs[i].request == request)
			return h->protocol & BIT_ULL(belongs[i].feature);
	}
	switch (request) {
	case VHOST_USER_SET_FEATURES:
		return !(msg->payload.u64 & ~h->offered);
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		return protocol && !(msg->payload.u64 & ~h->protocol_offered);
	case VHOST_USER_GET_PROTOCOL_FEATURES:
	case VHOST_USER_SET_VRING_ENABLE:
		return protocol;
	default:
		return true;
	}
}

void agreed_note(struct hostile *h, const struct vu_message *msg, const struct rule *rule)
{
	bool told = rule && rule->action == ACTION_VALUE;
	uint64_t offer = told ? (uint64_t)rule->number : msg->payload.u64;

	if (msg->header.request == VHOST_USER_GET_FEATURES)
		h->offered = offer;
	else if (msg->header.request == VHOST_USER_GET_PROTOCOL_FEATURES)
		h->protocol_offered = offer;
}

int agreed_inflight(struct hostile *h, struct vu_message *msg)
{
	struct vhost_user_inflight *inflight = &msg->payload.inflight;

	if (!(h->options->protocol_features & BIT_ULL(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD)))
		return -EOPNOTSUPP;
	fd_close(&h->inflight_fd);
	h->inflight_fd = memfd_create("inflight", MFD_CLOEXEC);
	inflight->mmap_size = 4096ULL * inflight->num_queues;
	inflight->mmap_offset = 0;
	return h->inflight_fd < 0 || ftruncate(h->inflight_fd, (off_t)inflight->mmap_size) ? -EIO :
											     0;
}

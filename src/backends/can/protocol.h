/* SPDX-License-Identifier: BSD-3-Clause */
/* The CAN device of virtio 1.4 on the wire. The kernel's header came late, and drafts differ. */
#ifndef CAN_PROTOCOL_H
#define CAN_PROTOCOL_H

#include <stdint.h>

enum {
	CAN_TXQ,
	CAN_RXQ,
	CAN_CTRLQ,
	CAN_QUEUES,
};

#define VIRTIO_CAN_F_CAN_CLASSIC 0
#define VIRTIO_CAN_F_CAN_FD 1
#define VIRTIO_CAN_F_RTR_FRAMES 2 /* needs CAN_CLASSIC */
#define VIRTIO_CAN_F_LATE_TX_ACK 3
/*
 * Not of the specification, which cannot tell the driver of frames that were lost on their way to
 * it: the Rxq can hold struct virtio_can_rx_lost as well. A driver that does not know it does not
 * acknowledge it.
 */
#define VIRTIO_CAN_F_RX_LOST 23

/* status of the config space */
#define VIRTIO_CAN_S_CTRL_BUSOFF 1

#define VIRTIO_CAN_TX 0x0001
#define VIRTIO_CAN_RX 0x0101
#define VIRTIO_CAN_RX_LOST 0x0181
#define VIRTIO_CAN_SET_CTRL_MODE_START 0x0201
#define VIRTIO_CAN_SET_CTRL_MODE_STOP 0x0202

#define VIRTIO_CAN_FLAGS_RTR 0x2000
#define VIRTIO_CAN_FLAGS_FD 0x4000
#define VIRTIO_CAN_FLAGS_EXTENDED 0x8000

#define VIRTIO_CAN_RESULT_OK 0
#define VIRTIO_CAN_RESULT_NOT_OK 1

/* virtio_can_tx_out and virtio_can_rx are alike; the data follow. All fields are little-endian. */
struct virtio_can_frame {
	uint16_t msg_type;
	uint16_t length;
	uint8_t reserved_classic_dlc;
	uint8_t padding;
	uint16_t reserved_xl_priority;
	uint32_t flags;
	uint32_t can_id;
};

struct virtio_can_rx_lost {
	uint16_t msg_type;
	uint16_t reserved;
	uint32_t count; /* frames lost since the last such message */
};

struct virtio_can_config {
	uint16_t status;
};

#endif

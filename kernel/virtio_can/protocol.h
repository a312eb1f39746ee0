/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The CAN device of the virtio specification, version 1.4: what the rings and
 * the config space hold. Kernels before 7 have no header for it.
 */
#ifndef VIRTIO_CAN_PROTOCOL_H
#define VIRTIO_CAN_PROTOCOL_H

#include <linux/bits.h>
#include <linux/types.h>

/* Virtqueues */
enum {
	VIRTIO_CAN_TXQ,
	VIRTIO_CAN_RXQ,
	VIRTIO_CAN_CTRLQ,
	VIRTIO_CAN_QUEUES,
};

/* Feature bits */
#define VIRTIO_CAN_F_CAN_CLASSIC	0
#define VIRTIO_CAN_F_CAN_FD		1
#define VIRTIO_CAN_F_RTR_FRAMES		2	/* needs CAN_CLASSIC */
#define VIRTIO_CAN_F_LATE_TX_ACK	3
/*
 * Not of the specification, which has no way to tell the driver of frames that
 * were lost: the Rxq can hold struct virtio_can_rx_lost as well. A device and a
 * driver that do not both know it never see it.
 */
#define VIRTIO_CAN_F_RX_LOST		23

struct virtio_can_config {
	__le16 status;
};

#define VIRTIO_CAN_S_CTRL_BUSOFF	BIT(0)

/* Message types */
#define VIRTIO_CAN_TX			0x0001
#define VIRTIO_CAN_RX			0x0101
#define VIRTIO_CAN_RX_LOST		0x0181
#define VIRTIO_CAN_SET_CTRL_MODE_START	0x0201
#define VIRTIO_CAN_SET_CTRL_MODE_STOP	0x0202

/* Flags of a frame; any other bit is an error */
#define VIRTIO_CAN_FLAGS_RTR		0x2000
#define VIRTIO_CAN_FLAGS_FD		0x4000
#define VIRTIO_CAN_FLAGS_EXTENDED	0x8000
#define VIRTIO_CAN_FLAGS_ALL \
	(VIRTIO_CAN_FLAGS_RTR | VIRTIO_CAN_FLAGS_FD | VIRTIO_CAN_FLAGS_EXTENDED)

#define VIRTIO_CAN_RESULT_OK		0

/* One layout for struct virtio_can_tx_out and struct virtio_can_rx; the data follow. */
struct virtio_can_frame {
	__le16 msg_type;
	__le16 length;
	u8 reserved_classic_dlc;
	u8 padding;
	__le16 reserved_xl_priority;
	__le32 flags;
	__le32 can_id;
};

/* Frames that the device has lost since it last said so */
struct virtio_can_rx_lost {
	__le16 msg_type;
	__le16 reserved;
	__le32 count;
};

struct virtio_can_control_out {
	__le16 msg_type;
};

#endif

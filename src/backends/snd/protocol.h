/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The messages of a sound device (virtio 1.x, 5.14): the kernel's header, and what headers before
 * Linux 6.9 lack of it, under names of our own.
 */
#ifndef SND_PROTOCOL_H
#define SND_PROTOCOL_H

#include <linux/virtio_snd.h>

/* 5.14.3: the device has control elements */
#define SND_F_CTLS 0

/* 5.14.4 */
struct snd_config {
	__le32 jacks;
	__le32 streams;
	__le32 chmaps;
	__le32 controls; /* with SND_F_CTLS */
};

/* 5.14.6.10: requests on control elements */
enum {
	SND_R_CTL_INFO = 0x0300,
	SND_R_CTL_ENUM_ITEMS,
	SND_R_CTL_READ,
	SND_R_CTL_WRITE,
	SND_R_CTL_TLV_READ,
	SND_R_CTL_TLV_WRITE,
	SND_R_CTL_TLV_COMMAND,

	SND_EVT_CTL_NOTIFY = 0x1200,
};

enum { SND_CTL_ROLE_VOLUME = 1, SND_CTL_ROLE_MUTE };
enum { SND_CTL_TYPE_BOOLEAN, SND_CTL_TYPE_INTEGER };
enum { SND_CTL_ACCESS_READ, SND_CTL_ACCESS_WRITE, SND_CTL_ACCESS_TLV_READ = 4 };
enum { SND_CTL_EVT_MASK_VALUE };

struct snd_ctl_hdr {
	struct virtio_snd_hdr hdr;
	__le32 control_id;
};

#define SND_CTL_NAME 44

struct snd_ctl_info {
	struct virtio_snd_info hdr;
	__le32 role;
	__le32 type;
	__le32 access;
	__le32 count;
	__le32 index;
	__u8 name[SND_CTL_NAME];
	union {
		struct {
			__le32 min;
			__le32 max;
			__le32 step;
		} integer;
		__le64 integer64[3]; /* gives the union the size and the place that Linux has */
	} value;
};

struct snd_ctl_value {
	union {
		__le32 integer[128];
		__le64 integer64[64];
		__u8 bytes[512];
	} value;
};

struct snd_ctl_event {
	struct virtio_snd_hdr hdr;
	__le16 control_id;
	__le16 mask;
};

/* What a TLV of a volume is: ALSA's SNDRV_CTL_TLVT_DB_SCALE, in hundredths of a decibel */
#define SND_TLV_DB_SCALE 1
#define SND_TLV_DB_MUTE 0x10000 /* the least value is silence */

#endif

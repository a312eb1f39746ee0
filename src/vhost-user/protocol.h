/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user protocol: numbers and structures, as the "Vhost-user Protocol" document of QEMU
 * (docs/interop/vhost-user.rst) has them. Names in comments are the document's.
 *
 * All numbers on the wire are in the machine's native byte order (section "Message
 * Specification"), so these structures are read and written as they are. Both ends are on one
 * machine by definition.
 */
#ifndef VHOST_USER_PROTOCOL_H
#define VHOST_USER_PROTOCOL_H

#include <assert.h>
#include <stdint.h>

/* Header flags */
#define VHOST_USER_VERSION 0x1U
#define VHOST_USER_VERSION_MASK 0x3U
#define VHOST_USER_FLAG_REPLY 0x4U /* on each reply */
/* With PROTOCOL_F_REPLY_ACK: answer with a u64, 0 for success */
#define VHOST_USER_FLAG_NEED_REPLY 0x8U
#define VHOST_USER_FLAGS_KNOWN 0xfU

/* The virtio feature bit that says that protocol features can be negotiated */
#define VHOST_USER_F_PROTOCOL_FEATURES 30

/* Most descriptors with one message (a memory table of eight regions) */
#define VHOST_USER_MAX_FDS 8
/* Most regions of SET_MEM_TABLE; with CONFIGURE_MEM_SLOTS there can be more, one message each */
#define VHOST_USER_MEMORY_BASELINE_REGIONS 8
/* Most bytes of config space in one GET_CONFIG or SET_CONFIG */
#define VHOST_USER_MAX_CONFIG_SIZE 256
/* Shared memory regions in the answer to GET_SHMEM_CONFIG: the index is the shmid */
#define VHOST_USER_MAX_SHMEM_REGIONS 256
/* Most bytes of payload that any message has */
#define VHOST_USER_MAX_PAYLOAD 4096
/*
 * An index in a vring message must be below this: messages with a descriptor have eight bits for
 * it
 */
#define VHOST_USER_MAX_QUEUES 256

/* Front-end message types */
enum vhost_user_request {
	VHOST_USER_NONE = 0,
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4, /* deprecated */
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_LOG_BASE = 6,
	VHOST_USER_SET_LOG_FD = 7,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SEND_RARP = 19,
	VHOST_USER_NET_SET_MTU = 20,
	VHOST_USER_SET_BACKEND_REQ_FD = 21,
	VHOST_USER_IOTLB_MSG = 22,
	VHOST_USER_SET_VRING_ENDIAN = 23,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG = 25,
	VHOST_USER_CREATE_CRYPTO_SESSION = 26,
	VHOST_USER_CLOSE_CRYPTO_SESSION = 27,
	VHOST_USER_POSTCOPY_ADVISE = 28,
	VHOST_USER_POSTCOPY_LISTEN = 29,
	VHOST_USER_POSTCOPY_END = 30,
	VHOST_USER_GET_INFLIGHT_FD = 31,
	VHOST_USER_SET_INFLIGHT_FD = 32,
	VHOST_USER_GPU_SET_SOCKET = 33,
	VHOST_USER_RESET_DEVICE = 34,
	VHOST_USER_VRING_KICK = 35,
	VHOST_USER_GET_MAX_MEM_SLOTS = 36,
	VHOST_USER_ADD_MEM_REG = 37,
	VHOST_USER_REM_MEM_REG = 38,
	VHOST_USER_SET_STATUS = 39,
	VHOST_USER_GET_STATUS = 40,
	VHOST_USER_GET_SHARED_OBJECT = 41,
	VHOST_USER_SET_DEVICE_STATE_FD = 42,
	VHOST_USER_CHECK_DEVICE_STATE = 43,
	VHOST_USER_GET_SHMEM_CONFIG = 44,
	VHOST_USER_REQUEST_COUNT
};

/* Back-end message types (on the channel that SET_BACKEND_REQ_FD hands over) */
enum vhost_user_backend_request {
	VHOST_USER_BACKEND_NONE = 0,
	VHOST_USER_BACKEND_IOTLB_MSG = 1,
	VHOST_USER_BACKEND_CONFIG_CHANGE_MSG = 2,
	VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG = 3,
	VHOST_USER_BACKEND_VRING_CALL = 4,
	VHOST_USER_BACKEND_VRING_ERR = 5,
	VHOST_USER_BACKEND_SHARED_OBJECT_ADD = 6,
	VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE = 7,
	VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP = 8,
	VHOST_USER_BACKEND_SHMEM_MAP = 9,
	VHOST_USER_BACKEND_SHMEM_UNMAP = 10,
	VHOST_USER_BACKEND_REQUEST_COUNT
};

/* Protocol features: bit numbers */
enum vhost_user_protocol_feature {
	VHOST_USER_PROTOCOL_F_MQ = 0,
	VHOST_USER_PROTOCOL_F_LOG_SHMFD = 1,
	VHOST_USER_PROTOCOL_F_RARP = 2,
	VHOST_USER_PROTOCOL_F_REPLY_ACK = 3,
	VHOST_USER_PROTOCOL_F_MTU = 4,
	VHOST_USER_PROTOCOL_F_BACKEND_REQ = 5,
	VHOST_USER_PROTOCOL_F_CROSS_ENDIAN = 6,
	VHOST_USER_PROTOCOL_F_CRYPTO_SESSION = 7,
	VHOST_USER_PROTOCOL_F_PAGEFAULT = 8,
	VHOST_USER_PROTOCOL_F_CONFIG = 9,
	VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD = 10,
	VHOST_USER_PROTOCOL_F_HOST_NOTIFIER = 11,
	VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD = 12,
	VHOST_USER_PROTOCOL_F_RESET_DEVICE = 13,
	VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS = 14,
	VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
	VHOST_USER_PROTOCOL_F_STATUS = 16,
	VHOST_USER_PROTOCOL_F_XEN_MMAP = 17,
	VHOST_USER_PROTOCOL_F_SHARED_OBJECT = 18,
	VHOST_USER_PROTOCOL_F_DEVICE_STATE = 19,
	VHOST_USER_PROTOCOL_F_GET_VRING_BASE_INFLIGHT = 20,
	VHOST_USER_PROTOCOL_F_GPA_ADDRESSES =
		21, /* older back-ends mean another thing: never take it blindly */
	VHOST_USER_PROTOCOL_F_SHMEM = 22,
	VHOST_USER_PROTOCOL_F_COUNT
};

struct vhost_user_header {
	uint32_t request;
	uint32_t flags; /* VHOST_USER_VERSION, VHOST_USER_FLAG_* */
	uint32_t size; /* bytes of payload that follow */
};
static_assert(sizeof(struct vhost_user_header) == 12, "vhost-user header");

/* "A vring state description" */
struct vhost_user_vring_state {
	uint32_t index;
	uint32_t num;
};
static_assert(sizeof(struct vhost_user_vring_state) == 8, "vring state");

/* "A vring address description": addresses are user addresses of the memory table (no IOMMU) */
struct vhost_user_vring_addr {
	uint32_t index;
	uint32_t flags; /* bit 0: log writes to the used ring */
	uint64_t descriptor;
	uint64_t used;
	uint64_t available;
	uint64_t log;
};
static_assert(sizeof(struct vhost_user_vring_addr) == 40, "vring address");

/*
 * The u64 of SET_VRING_KICK, SET_VRING_CALL and SET_VRING_ERR: the queue, and whether a descriptor
 * comes with the message.
 */
#define VHOST_USER_VRING_INDEX_MASK 0xffULL
#define VHOST_USER_VRING_NOFD_MASK 0x100ULL

struct vhost_user_memory_region {
	uint64_t guest_addr;
	uint64_t size;
	uint64_t user_addr;
	uint64_t mmap_offset;
};
static_assert(sizeof(struct vhost_user_memory_region) == 32, "memory region");

/* "Memory regions description": the payload ends with the last region used */
struct vhost_user_memory {
	uint32_t nregions;
	uint32_t padding;
	struct vhost_user_memory_region regions[VHOST_USER_MEMORY_BASELINE_REGIONS];
};
static_assert(sizeof(struct vhost_user_memory) == 8 + 8 * 32, "memory table");

/* "Single memory region description" */
struct vhost_user_single_region {
	uint64_t padding;
	struct vhost_user_memory_region region;
};
static_assert(sizeof(struct vhost_user_single_region) == 40, "single memory region");

/* "Log description" */
struct vhost_user_log {
	uint64_t size;
	uint64_t offset;
};
static_assert(sizeof(struct vhost_user_log) == 16, "log");

/*
 * "An IOTLB message"; the document's fields take 26 bytes, the C structure in use is padded to 32
 */
struct vhost_user_iotlb {
	uint64_t iova;
	uint64_t size;
	uint64_t user_addr;
	uint8_t permission;
	uint8_t type;
	uint8_t padding[6];
};
static_assert(sizeof(struct vhost_user_iotlb) == 32, "iotlb");

/* "Virtio device config space" */
#define VHOST_USER_CONFIG_FLAG_WRITABLE 0
#define VHOST_USER_CONFIG_FLAG_MIGRATION 1

struct vhost_user_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t data[VHOST_USER_MAX_CONFIG_SIZE];
};
#define VHOST_USER_CONFIG_HEADER 12
static_assert(sizeof(struct vhost_user_config) == 12 + 256, "config");

/* "Vring area description" */
struct vhost_user_vring_area {
	uint64_t index; /* VHOST_USER_VRING_INDEX_MASK, VHOST_USER_VRING_NOFD_MASK */
	uint64_t size;
	uint64_t offset;
};
static_assert(sizeof(struct vhost_user_vring_area) == 24, "vring area");

/*
 * "Inflight description"; the document's fields take 20 bytes, the C structure in use is padded to
 * 24
 */
struct vhost_user_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t num_queues;
	uint16_t queue_size;
	uint8_t padding[4];
};
static_assert(sizeof(struct vhost_user_inflight) == 24, "inflight");

/* "VhostUserShared" */
struct vhost_user_shared {
	uint8_t uuid[16];
};

/* "Device state transfer parameters" */
struct vhost_user_transfer_state {
	uint32_t direction; /* 0 save, 1 load */
	uint32_t phase; /* 0 stopped */
};

/* "MMAP request" */
struct vhost_user_mmap {
	uint8_t shmid;
	uint8_t padding[7];
	uint64_t fd_offset;
	uint64_t shm_offset;
	uint64_t len;
	uint64_t flags; /* 0 read-only, 1 read-write */
};
static_assert(sizeof(struct vhost_user_mmap) == 40, "mmap");

/* "VIRTIO Shared Memory Region configuration" */
struct vhost_user_shmem_config {
	uint32_t nregions;
	uint32_t padding;
	uint64_t sizes[VHOST_USER_MAX_SHMEM_REGIONS];
};

union vhost_user_payload {
	uint64_t u64;
	struct vhost_user_vring_state state;
	struct vhost_user_vring_addr addr;
	struct vhost_user_memory memory;
	struct vhost_user_single_region region;
	struct vhost_user_log log;
	struct vhost_user_iotlb iotlb;
	struct vhost_user_config config;
	struct vhost_user_vring_area area;
	struct vhost_user_inflight inflight;
	struct vhost_user_shared shared;
	struct vhost_user_transfer_state transfer;
	struct vhost_user_mmap mmap;
	struct vhost_user_shmem_config shmem;
	uint8_t bytes[VHOST_USER_MAX_PAYLOAD];
};

#endif

/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * virtio-loopback: virtio devices of this kernel whose device side is a process.
 *
 * One open file description of /dev/virtio-loopback is one device. The process
 * that holds it (the adapter) creates the device, answers what its driver asks,
 * and hands queues, kicks and calls to a vhost-user back-end. Requests and
 * their data never pass through this interface: they travel in the pool, a
 * memfd that the adapter makes and that the kernel copies buffers into.
 *
 * Conventions
 *  - All integers are in host byte order; the configuration space is bytes, in
 *    the little-endian layout of the virtio document.
 *  - A structure that starts with @size carries its own length: set it to
 *    sizeof. A larger structure than the kernel knows is accepted when the
 *    unknown rest is zero (else E2BIG); a smaller one is read as if padded with
 *    zeroes, down to its first published length (else EINVAL).
 *  - The length of its structure is part of a call's number. A number with a
 *    larger length than the kernel knows is the same call.
 *  - Reserved fields and unknown flag bits must be zero, else EINVAL.
 *  - File descriptors that are passed in are borrowed: the kernel takes its own
 *    reference. File descriptors that are passed out are new, close-on-exec, and
 *    the caller's.
 *  - A call that fails has changed nothing, unless its text says otherwise.
 */
#ifndef _UAPI_LINUX_VIRTIO_LOOPBACK_H
#define _UAPI_LINUX_VIRTIO_LOOPBACK_H

#include <linux/ioctl.h>
#include <linux/types.h>

/** VIRTIO_LOOPBACK_ABI - number of this interface; raised only when it breaks. */
#define VIRTIO_LOOPBACK_ABI		1

#define VIRTIO_LOOPBACK_NAME_MAX	32	/* bytes, with the closing NUL */
#define VIRTIO_LOOPBACK_CONFIG_MAX	4096	/* bytes of configuration space */
#define VIRTIO_LOOPBACK_QUEUES_MAX	256	/* virtqueues a device */
#define VIRTIO_LOOPBACK_QUEUE_SIZE_MAX	32768	/* entries a virtqueue, virtio 2.7 */
#define VIRTIO_LOOPBACK_STORE_MAX	(VIRTIO_LOOPBACK_QUEUES_MAX * 2 + 16)
#define VIRTIO_LOOPBACK_MSG_DATA_MAX	256	/* bytes of configuration in one message */

/* Bits of virtio_loopback_info.capabilities. */
/* ring buffers can be mapped (by dma_map_ops or by virtio_map_ops) */
#define VIRTIO_LOOPBACK_CAP_RING_MAP	(1ULL << 0)
/* drivers that map on the parent device (virtio-gpu) can be served */
#define VIRTIO_LOOPBACK_CAP_PARENT_MAP	(1ULL << 1)
/* a device can outlive its adapter, see VIRTIO_LOOPBACK_TAKEOVER */
#define VIRTIO_LOOPBACK_CAP_TAKEOVER	(1ULL << 2)
/* VIRTIO_LOOPBACK_GET_OUTSTANDING answers */
#define VIRTIO_LOOPBACK_CAP_OUTSTANDING	(1ULL << 3)
/* VIRTIO_LOOPBACK_WINDOW_FD answers: zero copy of long-lived pages */
#define VIRTIO_LOOPBACK_CAP_WINDOW	(1ULL << 4)
/* virtio_loopback_create.queue_flags is known */
#define VIRTIO_LOOPBACK_CAP_POSTED	(1ULL << 5)

/**
 * struct virtio_loopback_info - what this kernel module can do
 * @size:               sizeof(struct virtio_loopback_info)
 * @abi:                out: VIRTIO_LOOPBACK_ABI of the module
 * @capabilities:       out: VIRTIO_LOOPBACK_CAP_* bits
 * @transport_features: out: the feature bits 24 to 49 (virtio 6, "Reserved
 *                      Feature Bits") that may be offered to the driver. Bits
 *                      outside that range belong to the device type and may all
 *                      be offered
 * @page_size:          out: bytes; the pool's size and base are multiples of it
 * @max_queues:         out: virtqueues a device
 * @max_queue_size:     out: entries a virtqueue
 * @max_config_size:    out: bytes
 * @reserved:           zero
 */
struct virtio_loopback_info {
	__u32 size;
	__u32 abi;
	__u64 capabilities;
	__u64 transport_features;
	__u32 page_size;
	__u32 max_queues;
	__u32 max_queue_size;
	__u32 max_config_size;
	__u64 reserved[4];
};

/* Bits of an entry of virtio_loopback_create.queue_flags. */
/*
 * The driver of this queue can wait for its buffers without sleeping, as virtio_console
 * does: the kernel takes each buffer over in the kick, and it is used when the kick
 * returns. What the device reads of it is copied to an area of the pool, and the back-end is
 * given a ring of the kernel's own that points there (GET_QUEUE). What the device writes is
 * zeroes (for a control queue of virtio-net, 5.1.6.5: VIRTIO_NET_OK). Nothing is lost: when
 * the area is full, a driver that sleeps waits for the back-end, and one that spins finds its
 * ring full. The size must be at least 2, and VIRTIO_F_RING_PACKED not among the features.
 * It is to be said of the odd queues of a console and of the control queue of a network device,
 * and of no others, or the driver does not bind: the kernel knows which of its drivers wait so.
 */
#define VIRTIO_LOOPBACK_QF_POSTED	(1U << 0)
/*
 * With POSTED: a driver that spins here does not try again when it finds its ring full. When
 * there is no room the queue is broken instead, and VIRTIO_LOOPBACK_MSG_BROKEN says so. To be
 * said of queue 3 of a console and of the control queue of a network device; one with
 * VIRTIO_NET_F_CTRL_VQ and no such queue is refused (EINVAL).
 */
#define VIRTIO_LOOPBACK_QF_STRICT	(1U << 1)

/**
 * struct virtio_loopback_create - describe the device; nothing is visible yet
 * @size:               sizeof(struct virtio_loopback_create)
 * @flags:              zero
 * @name:               NUL-terminated name, unique among the living devices;
 *                      letters, digits, '-', '_', '.', not starting with '.'
 * @device_id:          virtio device id (virtio 5), not 0
 * @vendor_id:          virtio vendor id
 * @features:           feature bits 0 to 63 that the driver may use.
 *                      VIRTIO_F_VERSION_1 is required; VIRTIO_F_ACCESS_PLATFORM is
 *                      added by the kernel (mask it on the way to the back-end)
 * @features_high:      feature bits 64 to 127, zero for now
 * @config:             user address of @config_size bytes: configuration space
 * @config_size:        bytes, 0 to max_config_size
 * @num_queues:         virtqueues, 1 to max_queues
 * @queue_sizes:        user address of @num_queues __u16: largest size of each,
 *                      a power of two unless VIRTIO_F_RING_PACKED is offered, which a
 *                      driver that can is to accept; 0: this queue does not exist
 * @pool_base:          DMA address of the pool's first byte, a multiple of the page
 *                      size, not 0; the back-end's region has this guest address
 * @pool_fd:            a memfd, sealed with F_SEAL_SHRINK and F_SEAL_GROW; its size
 *                      is the pool's. Its pages are charged to RLIMIT_MEMLOCK
 * @message_timeout_ms: how long the kernel waits for the answer to a message, 0
 *                      for 10 s, at most 120 s. A message that is not answered breaks
 *                      the device. While it is an orphan the time stands still
 * @orphan_timeout_ms:  how long the device waits for VIRTIO_LOOPBACK_TAKEOVER after
 *                      its file was closed without VIRTIO_LOOPBACK_DESTROY and
 *                      without VIRTIO_LOOPBACK_STOP; 0: not at all, at most one hour
 * @reserved0:          zero
 * @queue_flags:        user address of @num_queues __u16: VIRTIO_LOOPBACK_QF_* of each; 0:
 *                      none (needs VIRTIO_LOOPBACK_CAP_POSTED)
 * @reserved:           zero
 *
 * Errors: EPERM (the type is not allowed here, or the caller may not; a balloon is not
 * allowed unless the administrator names it), EEXIST
 * (name), EBUSY (this file has a device), ENOMEM, EFBIG (the pool exceeds
 * RLIMIT_MEMLOCK), EBADF or EINVAL (the pool is no sealed memfd), ENOSPC (the pool
 * is too small for the rings), EOPNOTSUPP (this kernel cannot map for this type, or
 * the type cannot have packed virtqueues).
 */
struct virtio_loopback_create {
	__u32 size;
	__u32 flags;
	char name[VIRTIO_LOOPBACK_NAME_MAX];
	__u32 device_id;
	__u32 vendor_id;
	__u64 features;
	__u64 features_high;
	__u64 config;
	__u32 config_size;
	__u32 num_queues;
	__u64 queue_sizes;
	__u64 pool_base;
	__s32 pool_fd;
	__u32 message_timeout_ms;
	__u32 orphan_timeout_ms;
	__u32 reserved0;
	__u64 queue_flags;
	__u64 reserved[5];
};

/**
 * struct virtio_loopback_queue_fds - eventfds of one virtqueue
 * @size:    sizeof(struct virtio_loopback_queue_fds)
 * @index:   virtqueue
 * @kick_fd: eventfd that the kernel signals when the driver kicks, or -1: none
 * @call_fd: eventfd that the back-end signals to call the driver, or -1: none
 * @flags:   zero
 * @reserved: zero
 *
 * May be called at any time; the old eventfds are let go. Replacing the call fd
 * calls the driver once, so that no call is lost between the two.
 */
struct virtio_loopback_queue_fds {
	__u32 size;
	__u32 index;
	__s32 kick_fd;
	__s32 call_fd;
	__u32 flags;
	__u32 reserved[3];
};

/* Bits of virtio_loopback_config.flags. */
/* tell the driver: raises the generation and the configuration interrupt */
#define VIRTIO_LOOPBACK_CONFIG_NOTIFY	(1U << 0)

/**
 * struct virtio_loopback_config - change the configuration space the driver reads
 * @size:   sizeof(struct virtio_loopback_config)
 * @offset: first byte
 * @length: bytes; offset + length must not exceed the config_size at creation
 * @flags:  VIRTIO_LOOPBACK_CONFIG_*
 * @data:   user address of @length bytes
 * @reserved: zero
 */
struct virtio_loopback_config {
	__u32 size;
	__u32 offset;
	__u32 length;
	__u32 flags;
	__u64 data;
	__u64 reserved;
};

/* Bits of virtio_loopback_queue.flags. */
#define VIRTIO_LOOPBACK_QUEUE_ENABLED	(1U << 0)	/* the driver uses it */
#define VIRTIO_LOOPBACK_QUEUE_BROKEN	(1U << 1)	/* the driver gave it up */
#define VIRTIO_LOOPBACK_QUEUE_QUIET	(1U << 2)	/* the driver has not kicked it yet */

/**
 * struct virtio_loopback_queue - what the driver made of one virtqueue
 * @size:         sizeof(struct virtio_loopback_queue)
 * @index:        in: virtqueue
 * @flags:        out: VIRTIO_LOOPBACK_QUEUE_*
 * @num:          out: entries
 * @desc_addr:    out: DMA address of the descriptor area (virtio 2.6)
 * @driver_addr:  out: DMA address of the driver area (available ring)
 * @device_addr:  out: DMA address of the device area (used ring)
 * @used_index:   out: index up to which used buffers were taken, by the driver or for it;
 *                0 for a packed virtqueue
 * @reserved:     zero
 */
struct virtio_loopback_queue {
	__u32 size;
	__u32 index;
	__u32 flags;
	__u32 num;
	__u64 desc_addr;
	__u64 driver_addr;
	__u64 device_addr;
	__u32 used_index;
	__u32 reserved[5];
};

/**
 * enum virtio_loopback_device_state - life of a device
 * @VIRTIO_LOOPBACK_NEW:     the file has no device yet
 * @VIRTIO_LOOPBACK_CREATED: described, not visible to drivers
 * @VIRTIO_LOOPBACK_RUNNING: registered with the virtio bus (or being so)
 * @VIRTIO_LOOPBACK_ORPHAN:  running without an adapter, waits for takeover
 * @VIRTIO_LOOPBACK_FAILED:  all its I/O ends in errors; the driver is still bound
 * @VIRTIO_LOOPBACK_DEAD:    on its way out
 */
enum virtio_loopback_device_state {
	VIRTIO_LOOPBACK_NEW = 0,
	VIRTIO_LOOPBACK_CREATED = 1,
	VIRTIO_LOOPBACK_RUNNING = 2,
	VIRTIO_LOOPBACK_ORPHAN = 3,
	VIRTIO_LOOPBACK_FAILED = 4,
	VIRTIO_LOOPBACK_DEAD = 5,
};

/* Bits of virtio_loopback_state.flags. */
#define VIRTIO_LOOPBACK_STATE_SUSPENDED	(1U << 0)	/* the system is about to sleep */

/**
 * struct virtio_loopback_state - the device as a whole
 * @size:            sizeof(struct virtio_loopback_state)
 * @state:           out: enum virtio_loopback_device_state
 * @flags:           out: VIRTIO_LOOPBACK_STATE_*
 * @status:          out: device status byte (virtio 2.1)
 * @features:        out: feature bits 0 to 63 the driver accepted, without
 *                   VIRTIO_F_ACCESS_PLATFORM; valid from FEATURES_OK on
 * @features_high:   out: feature bits 64 to 127
 * @parent:          out: number N of the parent device "virtio-loopback.N"
 * @virtio_index:    out: number N of "virtioN", -1 while not registered
 * @num_queues:      out: as created
 * @config_size:     out: as created
 * @device_id:       out: as created
 * @generation:      out: configuration generation
 * @pool_base:       out: as created
 * @pool_size:       out: bytes
 * @reserved:        zero
 */
struct virtio_loopback_state {
	__u32 size;
	__u32 state;
	__u32 flags;
	__u32 status;
	__u64 features;
	__u64 features_high;
	__u32 parent;
	__s32 virtio_index;
	__u32 num_queues;
	__u32 config_size;
	__u32 device_id;
	__u32 generation;
	__u64 pool_base;
	__u64 pool_size;
	__u64 reserved[4];
};

/**
 * struct virtio_loopback_outstanding - buffers the driver waits for
 * @size:  sizeof(struct virtio_loopback_outstanding)
 * @index: in: virtqueue
 * @count: in: room in @heads, in entries; out: how many there are (it may be more
 *         than the room: call again)
 * @flags: zero
 * @heads: in: user address of @count __u16, filled with descriptor heads in the
 *         order in which the driver made them available
 * @reserved: zero
 *
 * The kernel's own record of what the device was given and has not given back: complete
 * under suppressed kicks and calls and under completion out of order, and out of the
 * device side's reach. It goes up to what was seen of the device's used ring, used_index
 * (struct virtio_loopback_queue): a head that was used since is in the record too, and is
 * found in that ring. EOPNOTSUPP: a posted queue (VIRTIO_LOOPBACK_QF_POSTED), where the
 * driver waits for nothing; or a device that VIRTIO_F_RING_PACKED was offered for: there is
 * no record of packed virtqueues.
 */
struct virtio_loopback_outstanding {
	__u32 size;
	__u32 index;
	__u32 count;
	__u32 flags;
	__u64 heads;
	__u64 reserved;
};

/**
 * struct virtio_loopback_takeover - become the adapter of a device without one
 * @size:   sizeof(struct virtio_loopback_takeover)
 * @flags:  zero
 * @name:   the device's name
 * @reserved: zero
 *
 * On a new file only. The device must be in VIRTIO_LOOPBACK_ORPHAN (else EBUSY). The
 * file must have been opened by the same user as the one that it was created on, or with
 * CAP_SYS_ADMIN (else EPERM). Messages that the previous adapter had not answered are
 * delivered again. ENOENT: no such device.
 */
struct virtio_loopback_takeover {
	__u32 size;
	__u32 flags;
	char name[VIRTIO_LOOPBACK_NAME_MAX];
	__u64 reserved[3];
};

/**
 * struct virtio_loopback_restrict - which device an open file may become
 * @size:   sizeof(struct virtio_loopback_restrict)
 * @flags:  zero
 * @name:   the device's name
 * @reserved: zero
 *
 * On a new file only, and once (else EBUSY). By this file, CREATE and TAKEOVER of another
 * name fail with EPERM from then on. For who opens it for a process with less privileges.
 */
struct virtio_loopback_restrict {
	__u32 size;
	__u32 flags;
	char name[VIRTIO_LOOPBACK_NAME_MAX];
	__u64 reserved[3];
};

/* Slots of the store that the kernel fills itself. */
#define VIRTIO_LOOPBACK_STORE_POOL	0	/* the pool's memfd */
/* From here on the adapter decides. */
#define VIRTIO_LOOPBACK_STORE_USER	1

/**
 * struct virtio_loopback_store - file descriptors kept for the next adapter
 * @size:  sizeof(struct virtio_loopback_store)
 * @slot:  0 to VIRTIO_LOOPBACK_STORE_MAX - 1; VIRTIO_LOOPBACK_STORE_POOL can only be
 *         fetched
 * @fd:    STORE: the descriptor to keep, or -1 to empty the slot; FETCH, out: a new
 *         descriptor of the same file (ENOENT: the slot is empty)
 * @flags: zero
 * @tag:   STORE: any value; FETCH, out: that value
 * @reserved: zero
 *
 * What is kept lives until the device has failed or is dead: the connection to the
 * back-end, the in-flight record, eventfds. Then it is let go of at once, also while users
 * of the device keep its remains, and nothing more is kept (ENODEV). A file of this very
 * driver cannot be kept (EINVAL), nor a socket that is not an AF_UNIX one, nor a file that
 * a process serves (FUSE).
 */
struct virtio_loopback_store {
	__u32 size;
	__u32 slot;
	__s32 fd;
	__u32 flags;
	__u64 tag;
	__u64 reserved;
};

/**
 * struct virtio_loopback_fail - end all I/O of the device in errors
 * @size:   sizeof(struct virtio_loopback_fail)
 * @flags:  zero
 * @reserved: zero
 *
 * The back-end's access to the pool ends first (its mapping of the memfd shows
 * other pages from then on), then every outstanding buffer is completed as failed
 * and the device is broken for its driver. It stays registered until it is
 * destroyed; there is no way back. Returns when that is done, within the message
 * time-out.
 */
struct virtio_loopback_fail {
	__u32 size;
	__u32 flags;
	__u64 reserved[3];
};

/**
 * struct virtio_loopback_backend - which process serves the device
 * @size:  sizeof(struct virtio_loopback_backend)
 * @pid:   a process in the caller's pid namespace, 0: none
 * @flags: zero
 * @reserved: zero
 *
 * When the system goes to sleep, tasks are frozen in no order; one that waits for the
 * device can only be frozen after its request is done. So this process, and the adapter,
 * are frozen by what they do - nothing, when nobody asks - and not by the system: they
 * go on until everyone else stands still. The process must have the user id of the caller,
 * or of who opened the file, or the file have been opened with CAP_SYS_ADMIN (else EPERM,
 * as for a kernel thread). ESRCH: no such process.
 */
struct virtio_loopback_backend {
	__u32 size;
	__s32 pid;
	__u32 flags;
	__u32 reserved[5];
};

/**
 * struct virtio_loopback_window - the driver's own pages, to be seen by the back-end
 * @size:   sizeof(struct virtio_loopback_window)
 * @flags:  zero
 * @base:   in: DMA address of the window's first byte, a multiple of the page size, not 0,
 *          apart from the pool; on a device that has a window 0 or its base. Out: the base
 * @length: in: bytes, a multiple of the page size, at most 2^40; 0: 4 GiB; on a device that
 *          has a window 0 or its length. Out: the length
 * @fd:     in: zero; out: a new descriptor of the window
 * @reserved: zero
 *
 * Buffers that a driver maps by itself, on the parent device and in lists of whole pages
 * (dma_map_sg(); virtio-gpu does so with its resources), are not copied into the pool any
 * more: their pages are shown in the window, at the DMA addresses that the driver puts into
 * its requests. Everything else goes by the pool as before. A window is address space, not
 * memory: it costs nothing but the addresses, which are used again as late as possible.
 *
 * The descriptor answers lseek(SEEK_END) and mmap() with MAP_SHARED, from any offset; it is
 * the back-end's second memory region. A page appears where it is touched while the driver
 * has it mapped; all else is a SIGBUS. When the driver unmaps, and when the device ends, the
 * pages are taken out of every mapping; until that is done they get no other owner. They
 * cannot be pinned by way of the window: direct I/O to them fails with EFAULT.
 *
 * The first call makes the window, in VIRTIO_LOOPBACK_CREATED only (else EINVAL); further
 * ones, at any time, give further descriptors of it. Do not ask for a window for types whose
 * driver does not map so: with one, drivers are told that mappings may be of any length.
 *
 * Errors: EOPNOTSUPP (without VIRTIO_LOOPBACK_CAP_WINDOW), EINVAL, ENODEV (the device has
 * ended), ENOMEM, EMFILE (a window that was made stays).
 */
struct virtio_loopback_window {
	__u32 size;
	__u32 flags;
	__u64 base;
	__u64 length;
	__s32 fd;
	__u32 reserved[5];
};

#define VIRTIO_LOOPBACK_IOC		0xD4

#define VIRTIO_LOOPBACK_GET_INFO	\
	_IOWR(VIRTIO_LOOPBACK_IOC, 0x00, struct virtio_loopback_info)
#define VIRTIO_LOOPBACK_CREATE		\
	_IOW(VIRTIO_LOOPBACK_IOC, 0x01, struct virtio_loopback_create)
#define VIRTIO_LOOPBACK_SET_QUEUE_FDS	\
	_IOW(VIRTIO_LOOPBACK_IOC, 0x02, struct virtio_loopback_queue_fds)
/*
 * VIRTIO_LOOPBACK_START - register the device with the virtio bus.
 *
 * Returns at once: the driver's probe sends messages that the caller has to answer.
 * VIRTIO_LOOPBACK_MSG_REGISTERED tells the outcome. EINVAL unless in
 * VIRTIO_LOOPBACK_CREATED.
 */
#define VIRTIO_LOOPBACK_START		_IO(VIRTIO_LOOPBACK_IOC, 0x03)
#define VIRTIO_LOOPBACK_SET_CONFIG	\
	_IOW(VIRTIO_LOOPBACK_IOC, 0x04, struct virtio_loopback_config)
#define VIRTIO_LOOPBACK_GET_QUEUE	\
	_IOWR(VIRTIO_LOOPBACK_IOC, 0x05, struct virtio_loopback_queue)
#define VIRTIO_LOOPBACK_GET_STATE	\
	_IOWR(VIRTIO_LOOPBACK_IOC, 0x06, struct virtio_loopback_state)
/*
 * VIRTIO_LOOPBACK_CHECK_POOL - are the pool's pages still the memfd's?
 *
 * A back-end can punch holes into the memfd; what it maps afterwards is no longer what
 * the driver uses. 0: all in place; ESTALE: no, hand this memfd to no other back-end.
 */
#define VIRTIO_LOOPBACK_CHECK_POOL	_IO(VIRTIO_LOOPBACK_IOC, 0x07)
#define VIRTIO_LOOPBACK_GET_OUTSTANDING	\
	_IOWR(VIRTIO_LOOPBACK_IOC, 0x08, struct virtio_loopback_outstanding)
#define VIRTIO_LOOPBACK_TAKEOVER	\
	_IOW(VIRTIO_LOOPBACK_IOC, 0x09, struct virtio_loopback_takeover)
#define VIRTIO_LOOPBACK_STORE_FD	\
	_IOW(VIRTIO_LOOPBACK_IOC, 0x0a, struct virtio_loopback_store)
#define VIRTIO_LOOPBACK_FETCH_FD	\
	_IOWR(VIRTIO_LOOPBACK_IOC, 0x0b, struct virtio_loopback_store)
#define VIRTIO_LOOPBACK_FAIL		_IOW(VIRTIO_LOOPBACK_IOC, 0x0c, struct virtio_loopback_fail)
/*
 * VIRTIO_LOOPBACK_DESTROY - the device goes when this file is closed.
 *
 * Overrides orphan_timeout_ms. The driver is unbound after the close, in the
 * background; /sys/devices/platform/virtio-loopback.N disappears when it is over.
 */
#define VIRTIO_LOOPBACK_DESTROY		_IO(VIRTIO_LOOPBACK_IOC, 0x0d)
/*
 * VIRTIO_LOOPBACK_STOP - unbind the driver and unregister the device, in good order.
 *
 * Returns at once: the driver's removal sends messages that the caller has to answer.
 * VIRTIO_LOOPBACK_MSG_UNREGISTERED tells when it is over; the device is then in
 * VIRTIO_LOOPBACK_CREATED and can be started again: its driver begins anew. EINVAL
 * unless in VIRTIO_LOOPBACK_RUNNING.
 */
#define VIRTIO_LOOPBACK_STOP		_IO(VIRTIO_LOOPBACK_IOC, 0x0e)

#define VIRTIO_LOOPBACK_SET_BACKEND	\
	_IOW(VIRTIO_LOOPBACK_IOC, 0x0f, struct virtio_loopback_backend)
#define VIRTIO_LOOPBACK_WINDOW_FD	\
	_IOWR(VIRTIO_LOOPBACK_IOC, 0x10, struct virtio_loopback_window)
#define VIRTIO_LOOPBACK_RESTRICT	\
	_IOW(VIRTIO_LOOPBACK_IOC, 0x11, struct virtio_loopback_restrict)

/**
 * enum virtio_loopback_msg_type - what the kernel tells the adapter
 * @VIRTIO_LOOPBACK_MSG_STATUS:     the driver writes the device status (virtio 2.1);
 *      answer 0 to accept. FEATURES_OK refused: the driver's probe fails.
 *      DRIVER_OK: set up every enabled queue (GET_QUEUE) and answer when all of
 *      them are enabled in the back-end; refused: the device breaks
 * @VIRTIO_LOOPBACK_MSG_RESET:      the driver resets the device; answer when the
 *      back-end touches no ring and no buffer any more
 * @VIRTIO_LOOPBACK_MSG_SET_CONFIG: the driver writes the configuration space. Bring
 *      the readable copy up to date with SET_CONFIG before the answer
 * @VIRTIO_LOOPBACK_MSG_QUEUE_ENABLE: one queue is set up again after a queue reset
 *      (virtio 2.6.1)
 * @VIRTIO_LOOPBACK_MSG_QUEUE_RESET: the driver resets one queue; answer when the
 *      back-end no longer touches it. It is not ENABLED from here on
 * @VIRTIO_LOOPBACK_MSG_REGISTERED: START is over; no answer
 * @VIRTIO_LOOPBACK_MSG_UNREGISTERED: STOP is over; no answer
 * @VIRTIO_LOOPBACK_MSG_BROKEN:     a queue is given up, see
 *      VIRTIO_LOOPBACK_BROKEN_*; no answer
 * @VIRTIO_LOOPBACK_MSG_RESUMED:    the system is back from sleep; kick what waits;
 *      no answer
 */
enum virtio_loopback_msg_type {
	VIRTIO_LOOPBACK_MSG_STATUS = 1,
	VIRTIO_LOOPBACK_MSG_RESET = 2,
	VIRTIO_LOOPBACK_MSG_SET_CONFIG = 3,
	VIRTIO_LOOPBACK_MSG_QUEUE_ENABLE = 4,
	VIRTIO_LOOPBACK_MSG_QUEUE_RESET = 5,
	VIRTIO_LOOPBACK_MSG_REGISTERED = 64,
	VIRTIO_LOOPBACK_MSG_UNREGISTERED = 65,
	VIRTIO_LOOPBACK_MSG_BROKEN = 66,
	VIRTIO_LOOPBACK_MSG_RESUMED = 67,
};

/* Bits of virtio_loopback_msg.flags. */
#define VIRTIO_LOOPBACK_MSG_NEED_REPLY	(1U << 0)

/* Values of virtio_loopback_msg.queue.reason. */
#define VIRTIO_LOOPBACK_BROKEN_NONSENSE	0	/* the device side wrote nonsense into it */
#define VIRTIO_LOOPBACK_BROKEN_FULL	1	/* it does not take what is posted, see QF_STRICT */

/**
 * struct virtio_loopback_msg - one message, as read() returns it
 * @seq:    sequence number, to be named in the reply
 * @type:   enum virtio_loopback_msg_type
 * @flags:  VIRTIO_LOOPBACK_MSG_*
 * @status: STATUS: the new device status and the features accepted so far
 * @queue:  QUEUE_ENABLE, QUEUE_RESET, BROKEN: which virtqueue, and for BROKEN why
 * @config: SET_CONFIG: @length bytes for @offset
 * @registered: REGISTERED: @error 0 or a negative errno, @virtio_index as in
 *          struct virtio_loopback_state, @bound 1 when a driver took the device
 * @pad:    keeps the size; zero
 *
 * read() returns whole messages of exactly this size, one a call; it blocks unless
 * O_NONBLOCK (EAGAIN), and a buffer of another size is EINVAL. poll() tells POLLIN
 * when a message waits and POLLERR when the device is dead.
 */
struct virtio_loopback_msg {
	__u64 seq;
	__u32 type;
	__u32 flags;
	union {
		struct {
			__u32 status;
			__u32 reserved;
			__u64 features;
			__u64 features_high;
		} status;
		struct {
			__u32 index;
			__u32 reason;
		} queue;
		struct {
			__u32 offset;
			__u32 length;
			__u8 data[VIRTIO_LOOPBACK_MSG_DATA_MAX];
		} config;
		struct {
			__s32 error;
			__s32 virtio_index;
			__u32 bound;
			__u32 reserved;
		} registered;
		__u64 pad[38];
	};
};

/**
 * struct virtio_loopback_reply - the answer, as write() takes it
 * @seq:      the message's
 * @error:    0, or a negative errno
 * @reserved: zero
 *
 * One reply a call. ENOENT: no message of that number waits (it timed out, or was
 * answered).
 */
struct virtio_loopback_reply {
	__u64 seq;
	__s32 error;
	__u32 reserved;
};

#endif /* _UAPI_LINUX_VIRTIO_LOOPBACK_H */

# SPDX-License-Identifier: BSD-3-Clause
"""
A disk: data and requests, with our back-end and with qemu-storage-daemon.

Every change takes a pairwise slice of the product of kernels, back-ends and ways
of doing I/O; make check-long takes all of it.
"""

import os
from itertools import product
from pathlib import Path

from disks import (BACKENDS, KERNELS, KIB, MIB, Disk, Job, allocated, counters, fill_ext4, fio,
                   holes_checked, pairwise, portions, room, same)
from harness import LIKE, Case, test

# Bit of virtio 6
RING_PACKED = 34

# With the series for mainline in their tree.
MAINLINE = ("mainline-6.12", "mainline-7.2")
LONG_KERNELS = KERNELS + ("plain", "debian-6.12-cloud")

WAYS = {"engine": ("libaio", "io_uring"), "pattern": ("random", "sequential"),
        "bs": (512, 4 * KIB, 64 * KIB, MIB, 4 * MIB), "depth": (1, 8, 64)}
SLICE = pairwise({"kernel": KERNELS + ("debug",), "backend": BACKENDS, "queues": (1, 4), **WAYS})


# Data

def data_cases():
    """One case a back-end and number of queues, on the kernels that the slice has rows for."""
    cases = {}
    for backend, queues in product(BACKENDS, (1, 4)):
        kernels = sorted({row["kernel"] for row in SLICE
                          if (row["backend"], row["queues"]) == (backend, queues)})
        if kernels:
            cases[f"{backend}-{queues}q"] = Case({"backend": backend, "queues": queues},
                                                 kernels=tuple(kernels))
    return cases


def job_of(row, tasks):
    return Job(row["engine"], row["pattern"], row["bs"], row["depth"], tasks)


def verify(t, backend, queues, jobs, timeout):
    # With one queue in memory, where our back-end does its I/O at once, else not.
    groups = list(portions(jobs))
    size = max(room(group) for group in groups)
    image = Path("/dev/shm/disk.img") if queues == 1 else t.image(size)
    if queues == 1:
        t.at_end(image.unlink)
        with open(image, "wb") as f:
            f.truncate(size)
    disk = Disk(t, backend, image, queues=queues)
    t.equal(len(list((disk.sys / "mq").iterdir())), min(queues, os.cpu_count()),
            "virtqueues that the driver uses (no more than CPUs)")
    for group in groups:
        fio(t, disk.node, group, timeout)
        # Both ways to the same wrong place would have passed; the image itself does not lie.
        same(t, disk, timeout=max(60, timeout // 5))
    disk.end()


@test(timeout=120, needs=("fio",), tags=("data",), cases=data_cases())
def data(t, backend, queues):
    """fio writes and verifies, then the image is compared with the disk: a pairwise slice."""
    kernel = LIKE.get(t.kernel, t.kernel)
    jobs = [job_of(row, min(queues, os.cpu_count())) for row in SLICE
            if (row["kernel"], row["backend"], row["queues"]) == (kernel, backend, queues)]
    verify(t, backend, queues, jobs, timeout=90)


# A quarter of an hour on two CPUs that have nothing else to do.
@test(timeout=3600, tier="long", kernels=LONG_KERNELS, needs=("fio",), tags=("data",),
      cases={f"{b}-{q}q-{p}": {"backend": b, "queues": q, "pattern": p}
             for b, q, p in product(BACKENDS, (1, 4), WAYS["pattern"])})
def data_in_full(t, backend, queues, pattern):
    """The same with every engine, block size and depth."""
    names = list(WAYS)
    rows = [dict(zip(names, row)) for row in product(*WAYS.values())]
    jobs = [job_of(row, min(queues, os.cpu_count())) for row in rows
            if row["pattern"] == pattern]
    verify(t, backend, queues, jobs, timeout=3400)


@test(timeout=120, kernels=KERNELS + ("debian-6.12-arm64", "debug"), needs=("fio",), tags=("data",),
      cases={"128": {"size": 128}, "100": {"size": 100}})
def packed(t, size):
    """Packed virtqueues, also of a size that is no power of two: data, and what is refused."""
    image = t.image(64 * MIB)
    disk = Disk(t, "ours", image, queues=4, packed=True, queue_size=size)
    said = t.run("virtio-loopback", "stats", disk.device.name)
    words = dict(line.split(None, 1) for line in said.splitlines() if len(line.split()) == 2)
    t.equal(int(words["features_driver"], 16) >> RING_PACKED & 1, 1, "VIRTIO_F_RING_PACKED")
    t.equal(int(disk.attribute("mq/0/nr_tags")), size, "requests that the driver has at once")
    tasks = min(4, os.cpu_count())
    for job in (Job("libaio", "random", 4 * KIB, 64, tasks), Job("io_uring", "sequential", MIB, 8, 1)):
        fio(t, disk.node, [job], 60)
        same(t, disk)
    disk.end()


@test(timeout=120, needs=("fio",), tags=("data",),
      cases={f"{b}{name}": Case({"backend": b}, kernels=kernels, tier=tier) for b in BACKENDS
             for name, kernels, tier in (("", ("debian-6.12-arm64*",), "check"),
                                         ("-mainline", MAINLINE, "long"))})
def data_elsewhere(t, backend):
    """The data of another architecture and of the tree's own module, in two sizes."""
    verify(t, backend, 1, [Job("libaio", "random", 4 * KIB, 16), Job("io_uring", "sequential",
                                                                     MIB, 4)], timeout=90)


# The slice of everything else: each of them with each kernel and with each back-end, and each
# back-end with each kernel.

def sliced(number):
    """Cases of the feature with this number: those in the slice, and the rest for later."""
    cases = {}
    for b, backend in enumerate(BACKENDS):
        now = tuple(k for n, k in enumerate(KERNELS + ("debug",))
                    if k == "debian-6.12" or (number + b + n) % 2 == 0)
        rest = tuple(k for k in LONG_KERNELS + MAINLINE if k not in now)
        cases[backend] = Case({"backend": backend}, kernels=now)
        cases[f"{backend}-rest"] = Case({"backend": backend}, kernels=rest, tier="long")
    return cases


@test(timeout=120, needs=("mkfs.ext4", "e2fsck"), cases=sliced(0))
def ext4(t, backend):
    """A file system is made, filled, read back, checked, and sound in the image too."""
    disk = Disk(t, backend, t.image(128 * MIB), queues=2)
    fill_ext4(t, disk)
    disk.end()
    t.run("e2fsck", "-fn", disk.image)


@test(timeout=60, needs=("blkdiscard", "fallocate"), cases=sliced(1))
def discard(t, backend):
    """What is discarded is a hole in the image, and nothing next to it is."""
    image = t.image(16 * MIB, fill=0xa5)
    disk = Disk(t, backend, image)
    t.check(int(disk.attribute("queue/discard_max_bytes")), "expected a disk that can discard")
    before = allocated(image)
    t.run("blkdiscard", "-o", MIB, "-l", 4 * MIB, disk.node)
    t.equal(before - allocated(image), 4 * MIB, "bytes of storage given back")
    whole = [(MIB, 0xa5), (4 * MIB, 0), (11 * MIB, 0xa5)]
    holes_checked(t, image, whole, "the image")
    disk.forget_cache()
    holes_checked(t, disk.node, whole, "the disk")
    # All of it: more than one request may carry.
    t.run("blkdiscard", disk.node)
    t.equal(allocated(image), 0, "bytes of storage left after all was discarded")
    disk.end()


@test(timeout=60, needs=("blkdiscard", "fallocate"), cases=sliced(2))
def write_zeroes(t, backend):
    """Zeroes without data on the way, by sector, and nothing next to them."""
    image = t.image(16 * MIB, fill=0xa5)
    disk = Disk(t, backend, image)
    t.check(int(disk.attribute("queue/write_zeroes_max_bytes")),
            "expected a disk that can write zeroes")
    before, stats = allocated(image), counters(disk)
    t.run("blkdiscard", "-z", "-o", MIB + 512, "-l", 4 * MIB - 1024, disk.node)
    if backend == "ours":
        t.equal(allocated(image), before, "bytes of storage: zeroes that must not unmap keep them")
    t.run("fallocate", "-z", "-o", 8 * MIB, "-l", MIB, disk.node)
    t.run("fallocate", "-p", "-o", 10 * MIB, "-l", MIB, disk.node)
    t.check(allocated(image) <= before - MIB, "zeroes that may unmap: expected at least "
            f"{MIB} bytes of {before} given back, saw {allocated(image)} left")
    copied = counters(disk)["bytes_to_device"] - stats["bytes_to_device"]
    t.check(copied < 64 * KIB, f"6 MiB of zeroes: expected no data copied, saw {copied} bytes")
    whole = [(MIB + 512, 0xa5), (4 * MIB - 1024, 0), (512 + 3 * MIB, 0xa5), (MIB, 0),
             (MIB, 0xa5), (MIB, 0), (5 * MIB, 0xa5)]
    holes_checked(t, image, whole, "the image")
    disk.forget_cache()
    holes_checked(t, disk.node, whole, "the disk")
    disk.end()


def resized(t, disk, size):
    """
    The disk has the new size: at once where the back-end tells of it, else when that is started
    and attached again.
    """
    disk.resize(size)
    if not disk.tells_of_resize():
        disk.end()
        disk.backend.terminate()
        disk.backend = disk.start()
        disk.attach()
    t.within(10, lambda: disk.size == size, f"a disk of {size} bytes")


@test(timeout=60, cases=sliced(3))
def resize(t, backend):
    """A disk that grows and shrinks while it is open, and can be used up to its new end."""
    image = t.image(8 * MIB, fill=0x11)
    disk = Disk(t, backend, image)
    t.equal(disk.size, 8 * MIB, "size at first")
    opened = [os.open(disk.node, os.O_RDWR | os.O_SYNC)] if disk.tells_of_resize() else []
    resized(t, disk, 24 * MIB)
    fd = opened[0] if opened else os.open(disk.node, os.O_RDWR | os.O_SYNC)
    t.equal(os.pwrite(fd, b"\x22" * MIB, 23 * MIB), MIB, "bytes written at the new end")
    holes_checked(t, image, [(8 * MIB, 0x11), (15 * MIB, 0), (MIB, 0x22)], "the image")
    if not opened:
        os.close(fd)
    resized(t, disk, 4 * MIB)
    if opened:
        t.equal(os.pread(fd, MIB, 4 * MIB), b"", "what is read beyond the end")
        os.close(fd)
    disk.end()


@test(timeout=60, needs=("dd",), cases=sliced(4))
def read_only(t, backend):
    """A disk that is only to be read is told to be one, and no write gets through."""
    image = t.image(4 * MIB, fill=0x5a)
    disk = Disk(t, backend, image, read_only=True)
    t.equal(disk.attribute("ro"), "1", "the disk's ro attribute")
    said = t.run("dd", "if=/dev/zero", f"of={disk.node}", "bs=4k", "count=1", "oflag=direct",
                 status=None)
    t.check(t.last_status != 0, f"writing: expected a refusal, saw status 0: {said}")
    holes_checked(t, disk.node, [(4 * MIB, 0x5a)], "the disk")
    holes_checked(t, image, [(4 * MIB, 0x5a)], "the image")
    disk.end()


@test(timeout=60, cases=sliced(5))
def identity(t, backend):
    """The serial number, which the driver asks for by a request of its own (GET_ID)."""
    image = t.image(MIB)
    if backend == "qsd":
        # It has one for all disks.
        t.equal(Disk(t, backend, image).attribute("serial"), "vhost_user_blk", "serial number")
        return
    for given, expected in ((None, "disk.img"), ("S/N 0815", "S/N 0815"), ("x" * 20, "x" * 20)):
        disk = Disk(t, backend, image, serial=given)
        t.equal(disk.attribute("serial"), expected, f"serial number, --serial {given}")
        disk.end()


# Images that are no plain files in memory

def loop(t, path, *options):
    """A loop device over a file."""
    t.run("modprobe", "loop")
    node = t.run("losetup", "-f", "--show", *options, path).strip()
    t.at_end(t.run, "losetup", "-d", node)
    return Path(node)


def open_flags(pid, path):
    """The flags that a process has a file open with, one for each descriptor."""
    found = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(fd) == str(path):
                info = Path(f"/proc/{pid}/fdinfo/{fd.name}").read_text()
                found.append(int(info.split("flags:")[1].split()[0], 8))
        except FileNotFoundError:
            pass
    return found


@test(timeout=90, needs=("fio", "losetup", "mkfs.ext4"), cases=sliced(6))
def direct(t, backend):
    """
    An image past the page cache, on a file system whose blocks are of 4 KiB: the disk has
    such blocks too, and requests of any alignment in memory arrive.
    """
    jobs = [Job("libaio", "random", 4 * KIB, 8), Job("io_uring", "sequential", MIB, 4)]
    under = loop(t, t.image(64 * MIB, "under.img"), "--sector-size", 4096)
    mount = t.tmp / "mnt"
    mount.mkdir()
    t.run("mkfs.ext4", "-q", "-F", under)
    t.run("mount", under, mount)
    t.at_end(t.run, "umount", mount)
    image = mount / "disk.img"
    with open(image, "wb") as f:
        f.truncate(room(jobs))
    disk = Disk(t, backend, image, direct=True)
    flags = open_flags(disk.backend.pid, image)
    t.check(any(f & os.O_DIRECT for f in flags),
            f"expected the back-end to have the image open with O_DIRECT, saw {flags}")
    if backend == "ours":
        t.equal(disk.attribute("queue/logical_block_size"), "4096", "logical block size")
    fio(t, disk.node, jobs, timeout=60)
    same(t, disk)
    disk.end()
    if backend == "qsd":
        disk.backend.terminate()


@test(timeout=60, needs=("fio", "losetup", "blkdiscard"), cases=sliced(7))
def block_device(t, backend):
    """A block device for an image: its size, its data, its discard."""
    jobs = [Job("libaio", "random", 4 * KIB, 8)]
    under = t.image(8 * MIB, "under.img", fill=0x77)
    disk = Disk(t, backend, loop(t, under), direct=True)
    t.equal(disk.size, 8 * MIB, "size")
    fio(t, disk.node, jobs, timeout=40)
    t.run("blkdiscard", "-o", 4 * MIB, "-l", 2 * MIB, disk.node)
    disk.forget_cache()
    t.run("cmp", disk.node, under)
    with open(under, "rb") as f:
        f.seek(4 * MIB)
        t.equal(f.read(2 * MIB).count(0), 2 * MIB, "zeroes where it was discarded")
        t.equal(f.read().count(0x77), 2 * MIB, "bytes left alone behind it")
    t.check(allocated(under) <= 6 * MIB,
            f"expected at most {6 * MIB} bytes of storage, saw {allocated(under)}")
    disk.end()
    if backend == "qsd":
        disk.backend.terminate()


@test(timeout=60, needs=("blkdiscard",), kernels=("debian-6.12",))
def discard_alone(t):
    """A block device that discards and cannot write zeroes, as LVM's thin volumes: it is told to."""
    t.run("modprobe", "null_blk", "nr_devices=1", "gb=1", "memory_backed=1", "discard=1")
    t.at_end(t.run, "rmmod", "null_blk")
    node, queue = Path("/dev/nullb0"), Path("/sys/block/nullb0/queue")
    t.equal((queue / "write_zeroes_max_bytes").read_text().strip(), "0", "zeroes at once")
    disk = Disk(t, "ours", node)
    t.run("dd", f"if={t.image(2 * MIB, 'seed.img', fill=0x5a)}", f"of={disk.node}", "bs=1M",
          "oflag=direct")
    t.run("blkdiscard", "-l", MIB, disk.node)
    # Discards that were done, and their sectors: Documentation/block/stat.rst
    done = [int(word) for word in Path("/sys/block/nullb0/stat").read_text().split()][11:14]
    t.check(done[0] > 0 and done[2] == MIB // 512,
            f"expected discards of {MIB // 512} sectors in all, saw {done[0]} of {done[2]}")
    with open(node, "rb") as f:
        t.equal(f.read(MIB).count(0), MIB, "zeroes where it was discarded")
        t.equal(f.read(MIB).count(0x5a), MIB, "bytes left alone behind it")
    disk.end()


@test(timeout=60, needs=("fio",), kernels=("debian-6.12", "debian-6.1"))
def short_queue(t):
    """A queue shorter than a request has segments: requests are cut to fit it."""
    jobs = [Job("libaio", "sequential", MIB, 4)]
    disk = Disk(t, "ours", t.image(room(jobs)), queue_size=16)
    t.check(int(disk.attribute("queue/max_segments")) <= 14,
            "segments of a request in a queue of 16: expected at most 14, saw "
            + disk.attribute("queue/max_segments"))
    fio(t, disk.node, jobs, timeout=40)
    same(t, disk)
    disk.end()

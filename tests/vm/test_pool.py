# SPDX-License-Identifier: BSD-3-Clause
"""Pools that are too small for comfort: slow is fine, standing still is not."""

from pathlib import Path

from disks import KERNELS, KIB, MIB, Disk, Job, counters, fill_ext4, fio, room, same
from harness import ALL, test

EVERYWHERE = KERNELS + ("debug",)


def pool_used(disk):
    """Bytes of the pool that hold buffers of requests."""
    return int((disk.parent / "pool_used").read_text())


def crowd(t, disk, jobs, timeout, together=False, full=True):
    """
    Many requests, all of which must end in time; where they are more than the pool holds, some
    must have had to wait for room. They leave none taken.
    """
    refused = counters(disk)["maps_refused"]
    fio(t, disk.node, jobs, timeout, together=together)
    if full:
        t.check(counters(disk)["maps_refused"] > refused,
                "expected requests that found the pool full, saw none: the test tests nothing")
    same(t, disk)
    t.within(5, lambda: pool_used(disk) == 0,
             f"all of the pool free again (saw {pool_used(disk)} bytes taken)")


@test(timeout=120, needs=("fio",), tags=("data",),
      cases={"4k": {"bs": 4 * KIB, "full": False}, "1m": {"bs": MIB, "full": True}})
def small(t, bs, full):
    """
    A pool of 1 MiB under 32 requests at a time from each of two CPUs: it holds those of 4 KiB,
    and one or two of 1 MiB (in pieces).
    """
    jobs = [Job("libaio", "random", bs, 32, tasks=2)]
    disk = Disk(t, "ours", t.image(room(jobs)), queues=2, pool="1M")
    t.equal(disk.device.info()["pool"], MIB, "bytes of the pool")
    crowd(t, disk, jobs, timeout=90, full=full)
    disk.end()


@test(timeout=120, needs=("fio",), tags=("data",), kernels=EVERYWHERE)
def small_with_another_backend(t):
    jobs = [Job("libaio", "random", MIB, 32, tasks=2)]
    disk = Disk(t, "qsd", t.image(room(jobs)), queues=2, pool="1M")
    crowd(t, disk, jobs, timeout=90)
    disk.end()


@test(timeout=120, needs=("fio",), tags=("data",),
      cases={"in-turn": {"together": False}, "together": {"together": True}})
def mixed(t, together):
    """Buffers of one size do not keep the room from those of another."""
    jobs = [Job("libaio", "random", bs, 32) for bs in (512, 64 * KIB, 4 * KIB, MIB)]
    disk = Disk(t, "ours", t.image(room(jobs)), queues=2, pool="1M")
    crowd(t, disk, jobs, timeout=90, together=together)
    disk.end()


@test(timeout=120, needs=("fio",), tags=("data",),
      cases={"128k": {"pool": 128 * KIB}, "256k": {"pool": 256 * KIB}})
def tiny(t, pool):
    """A pool that the largest request of the back-end would never fit: the driver makes none."""
    jobs = [Job("libaio", "sequential", MIB, 4), Job("libaio", "random", 4 * KIB, 32)]
    disk = Disk(t, "ours", t.image(room(jobs)), pool=pool)
    segments = int(disk.attribute("queue/max_segments"))
    length = int(disk.attribute("queue/max_segment_size"))
    t.check(segments * length <= pool // 2, f"the largest request: expected at most {pool // 2} "
            f"bytes, saw {segments} segments of {length}")
    crowd(t, disk, jobs, timeout=90)
    disk.end()


@test(timeout=120, needs=("fio",), tags=("data",))
def large_requests(t):
    """As many segments as the back-end can be told to have are still cut to what the pool holds."""
    jobs = [Job("libaio", "sequential", 4 * MIB, 8)]
    disk = Disk(t, "ours", t.image(room(jobs)), pool="2M", program=("--seg-max", 1022))
    (disk.sys / "queue/max_sectors_kb").write_text(disk.attribute("queue/max_hw_sectors_kb"))
    crowd(t, disk, jobs, timeout=90)
    disk.end()


@test(timeout=120, needs=("mkfs.ext4", "e2fsck"))
def ext4(t):
    """A file system over a pool of 1 MiB."""
    disk = Disk(t, "ours", t.image(128 * MIB), queues=2, pool="1M")
    fill_ext4(t, disk)
    disk.end()


@test(timeout=60, kernels=ALL)
def too_small(t):
    """A pool with no room beside the rings is refused in one line that says what to do."""
    backend = t.backend("vhost-user-blk", "--image", t.image(MIB))
    said = t.run("virtio-loopback", "attach", "--type", "blk", "--name", "blk0", "--socket",
                 backend.socket, "--pool", "64K", status=None)
    t.check(t.last_status != 0, f"expected a refusal, saw status 0: {said}")
    t.equal(len(said.splitlines()), 1, f"lines of the refusal ({said!r})")
    t.check("--pool" in said, f"expected a line that names --pool, saw {said!r}")
    t.equal(t.devices(), [], "devices left")
    t.equal(list(Path("/sys/devices/platform").glob("virtio-loopback.*")), [], "parents left")

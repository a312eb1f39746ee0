# SPDX-License-Identifier: BSD-3-Clause
"""Disks for tests: two back-ends behind one face, fio with its verdict, images looked into."""

import fcntl
import json
import os
import random
import shutil
import socket
from itertools import combinations
from pathlib import Path

from harness import Failed, Skipped

KIB, MIB = 1 << 10, 1 << 20
BACKENDS = ("ours", "qsd")
KERNELS = ("debian-6.12", "debian-6.12-rt", "debian-6.1", "debian-7")
BLKFLSBUF = 0x1261


# Back-ends

class Qmp:
    """The control socket of qemu-storage-daemon."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("r")
        self.lines.readline()
        self.call("qmp_capabilities")

    def call(self, command, **arguments):
        request = {"execute": command, "arguments": arguments}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            answer = json.loads(self.lines.readline())
            if "error" in answer:
                raise Failed(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]


class Disk:
    """An image, the back-end that serves it and the device that the driver made of it."""

    def __init__(self, t, kind, image, queues=1, direct=False, read_only=False, serial=None,
                 program=(), **attach):
        self.t, self.kind, self.image, self.queues = t, kind, Path(image), queues
        self.start = lambda: (self._ours if kind == "ours" else self._qsd)(
            direct, read_only, serial, list(program))
        self.backend = self.start()
        self.attach(**attach)

    def _ours(self, direct, read_only, serial, more):
        argv = ["--image", self.image, "--queues", self.queues] + more
        argv += ["--direct"] if direct else []
        argv += ["--read-only"] if read_only else []
        argv += ["--serial", serial] if serial is not None else []
        return self.t.backend("vhost-user-blk", *argv)

    def _qsd(self, direct, read_only, serial, more):
        if not shutil.which("qemu-storage-daemon"):
            raise Skipped("qemu-storage-daemon is not in the guest")
        control = self.t.tmp / "qmp.sock"
        block = self.image.is_block_device()
        backend = self.t.backend(
            "qemu-storage-daemon",
            "--blockdev", f"driver={'host_device' if block else 'file'},node-name=file,"
            f"filename={self.image},discard=unmap,read-only={'on' if read_only else 'off'},"
            f"cache.direct={'on' if direct else 'off'}",
            "--export", "type=vhost-user-blk,id=export,node-name=file,addr.type=unix,"
            f"addr.path={{socket}},writable={'off' if read_only else 'on'},"
            f"num-queues={self.queues}",
            "--chardev", f"socket,id=control,path={control},server=on,wait=off",
            "--monitor", "chardev=control", *more)
        self.t.within(10, control.is_socket, "qemu-storage-daemon's control socket")
        return backend

    def attribute(self, name):
        return (self.sys / name).read_text().strip()

    @property
    def parent(self):
        """The platform device, which has the transport's attributes."""
        return (self.sys / "device").resolve().parent

    @property
    def size(self):
        """Bytes, as the block layer sees it."""
        return int(self.attribute("size")) * 512

    def resize(self, size):
        """Another size for the image, and word of it to the back-end."""
        if self.kind == "ours":
            os.truncate(self.image, size)
            self.backend.signal(1)
        else:
            control = Qmp(self.t.tmp / "qmp.sock")
            control.call("block_resize", **{"node-name": "file", "size": size})

    def tells_of_resize(self):
        """
        Whether the back-end sends CONFIG_CHANGE_MSG. qemu-storage-daemon 7.2 keeps the size that
        an export began with.
        """
        if self.kind == "ours":
            return True
        word = self.t.run("qemu-storage-daemon", "--version").split()[2]
        return int(word.split(".")[0]) >= 9

    def attach(self, packed=False, **attach):
        """The device alone; the back-end is the one that runs."""
        self.device = self.t.attach("blk", *["--packed"] * packed, socket=self.backend.socket,
                                    queues=self.queues, **attach)
        self.node = Path(self.device.node)
        self.sys = Path("/sys/block") / self.node.name

    def forget_cache(self):
        """Write back what the kernel holds of the disk, and drop it."""
        fd = os.open(self.node, os.O_RDONLY)
        os.fsync(fd)
        fcntl.ioctl(fd, BLKFLSBUF, 0)
        os.close(fd)

    def end(self):
        """Detach, and end the back-end as its conventions say."""
        self.device.detach()
        if self.kind == "ours":
            self.backend.terminate()


def holes_checked(t, path, expected, what):
    """
    Compare a file with what it should hold, given as (length, byte) in a row; the first
    difference is told.
    """
    with open(path, "rb") as f:
        offset = 0
        for length, byte in expected:
            left = length
            while left:
                chunk = f.read(min(left, MIB))
                t.check(chunk, f"{what}: {path} ends at {f.tell()}")
                if chunk.count(byte) != len(chunk):
                    at = next(i for i, b in enumerate(chunk) if b != byte)
                    t.fail(f"{what}: {path}: at byte {f.tell() - len(chunk) + at} expected "
                           f"{byte:#04x}, saw {chunk[at]:#04x} (in {length} bytes of {byte:#04x} "
                           f"from {offset} on)")
                left -= len(chunk)
            offset += length


def allocated(path):
    """Bytes of a file that storage is taken for."""
    return os.stat(path).st_blocks * 512


def counters(disk):
    """The transport's own figures of this device."""
    lines = (disk.parent / "stats").read_text().splitlines()
    return {key: int(value) for key, value in (line.split() for line in lines)}


def tree(t):
    """A folder of some hundred files of all sizes."""
    for name in ("/usr/lib/python3.11/encodings", "/usr/lib/python3.13/encodings"):
        if Path(name).is_dir():
            return Path(name)
    t.skip("Python's library is not in the guest")


def fill_ext4(t, disk):
    """A file system is made and filled, read back from the disk, and found sound."""
    source, mount = tree(t), t.tmp / "mnt"
    mount.mkdir()
    t.run("mkfs.ext4", "-q", "-F", disk.node)
    t.run("mount", disk.node, mount)
    t.at_end(t.run, "sh", "-c", f"umount {mount} 2>/dev/null", status=None)
    t.run("cp", "-a", source, mount / "tree")
    t.run("umount", mount)
    disk.forget_cache()
    t.run("mount", disk.node, mount)
    t.run("diff", "-r", "--no-dereference", source, mount / "tree")
    t.run("umount", mount)
    t.run("e2fsck", "-fn", disk.node)


def same(t, disk, length=None, timeout=60):
    """The disk, read from the driver's side, is byte for byte the image."""
    disk.forget_cache()
    t.run("cmp", *(("-n", length) if length else ()), disk.node, disk.image,
          timeout=timeout)


# fio

class Job:
    """One pass of writing and verifying, in a region of its own."""

    # Bytes of a job by block size: enough requests to find mistakes, few enough to be quick.
    SIZE = {512: 512 * KIB, 4 * KIB: 4 * MIB, 64 * KIB: 8 * MIB, MIB: 16 * MIB, 4 * MIB: 32 * MIB}

    def __init__(self, engine, pattern, bs, depth, tasks=1):
        self.engine, self.pattern, self.bs, self.depth = engine, pattern, bs, depth
        self.tasks = tasks
        # So that the depth is reached, as far as 64 MiB allow: a request of 4 MiB
        # is many for the device.
        self.size = max(self.SIZE[bs], min(64 * MIB, bs * depth))

    @property
    def name(self):
        return f"{self.pattern}-{self.engine}-{self.bs}-x{self.depth}"

    def lines(self, offset):
        rw = {"random": "randwrite", "sequential": "write"}[self.pattern]
        lines = [f"[{self.name}]", f"rw={rw}", f"ioengine={self.engine}",
                 f"bs={self.bs}", f"blockalign={self.bs}", f"iodepth={self.depth}",
                 f"offset={offset}", f"size={self.size}"]
        if self.tasks > 1:
            lines += [f"numjobs={self.tasks}", f"offset_increment={self.size}",
                      f"cpus_allowed=0-{os.cpu_count() - 1}", "cpus_allowed_policy=split"]
        return lines


def room(jobs):
    """Bytes that the jobs' regions take, one after the other."""
    return sum(job.size * job.tasks for job in jobs)


def portions(jobs, most=512 * MIB):
    """The jobs in groups whose regions fit into so many bytes: the guest's disk is its memory."""
    group = []
    for job in jobs:
        if group and room(group + [job]) > most:
            yield group
            group = []
        group.append(job)
    yield group


def fio(t, node, jobs, timeout, together=False, seed=1):
    """
    Write and verify with crc32c, one job after the other or all at once; every job must have moved
    all of its bytes, both ways.
    """
    lines = ["[global]", f"filename={node}", "direct=1", "verify=crc32c", "do_verify=1",
             "verify_fatal=1", "thread=1", "randrepeat=1", f"randseed={seed}"]
    offset = 0
    for job in jobs:
        lines += job.lines(offset) + ([] if together else ["stonewall"])
        offset += job.size * job.tasks
    path = t.tmp / "jobs.fio"
    path.write_text("\n".join(lines) + "\n")
    report = t.tmp / "fio.json"
    said = t.run("fio", path, "--output-format=json", f"--output={report}", status=None,
                 timeout=timeout)
    status = t.last_status
    text = report.read_text() if report.exists() else ""
    try:
        result = json.loads(text[text.index("{"):])
    except ValueError:
        raise Failed(f"fio: status {status}, no report: {said[-400:] or text[-400:]}") from None
    _judge(t, jobs, result, status, said + text[:text.index("{")])
    return result


def _judge(t, jobs, result, status, said):
    seen = {}
    for entry in result["jobs"]:
        one = seen.setdefault(entry["jobname"], [0, 0, 0])
        one[0] = one[0] or entry["error"]
        one[1] += entry["write"]["io_bytes"]
        one[2] += entry["read"]["io_bytes"]
        t.log(f"{entry['jobname']}: wrote {entry['write']['io_bytes']} in "
              f"{entry['write']['runtime']} ms, read {entry['read']['io_bytes']} in "
              f"{entry['read']['runtime']} ms, error {entry['error']}")
    for job in jobs:
        total = job.size * job.tasks
        t.equal(seen.get(job.name), [0, total, total],
                f"fio {job.name}: error, bytes written, bytes verified ({said.strip()[-300:]})")
    t.equal(status, 0, f"fio's exit status ({said.strip()[-300:]})")


# Slices of a product

def pairwise(factors, seed=20, tries=4):
    """
    Rows of a product of factors {name: values} such that each pair of values of two factors is
    in one of them. Greedy: the best of a few random rows, until no pair is left.
    """
    draw = random.Random(seed)
    names = list(factors)
    left = {(a, x, b, y) for a, b in combinations(names, 2)
            for x in factors[a] for y in factors[b]}

    def pairs(row):
        return {(a, row[a], b, row[b]) for a, b in combinations(names, 2)
                if a in row and b in row}

    def grow():
        a, x, b, y = draw.choice(sorted(left, key=str))
        row = {a: x, b: y}
        for name in draw.sample(names, len(names)):
            if name not in row:
                row[name] = max(draw.sample(factors[name], len(factors[name])),
                                key=lambda v: len(pairs({**row, name: v}) & left))
        return row

    rows = []
    while left:
        row = max((grow() for _ in range(tries)), key=lambda r: len(pairs(r) & left))
        left -= pairs(row)
        rows.append(row)
    return rows


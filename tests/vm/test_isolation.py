# SPDX-License-Identifier: BSD-3-Clause
"""What a back-end can reach: the pool, and in it nothing but what was sent to it."""

import mmap
import os
import re
import threading
from pathlib import Path

from disks import KERNELS, KIB, MIB, Disk
from harness import Case, test

EVERYWHERE = KERNELS + ("debug",)
# The other back-end adds little on kernels but the first.
SIDES = {"ours": Case({"backend": "ours"}, kernels=EVERYWHERE), "qsd": {"backend": "qsd"}}
MARK = b"what another process kept to itself"
# The marker at each of so many bytes: no sector without one.
STRIDE = 128
POOL = "/memfd:virtio-loopback"


def marked(size):
    return (MARK + bytes(STRIDE - len(MARK))) * (size // STRIDE)


def held(pid):
    """The open files of a process: {descriptor: what it is}."""
    found = {}
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(fd.name)] = os.readlink(fd)
        except FileNotFoundError:
            pass
    return found


def mapped(pid):
    """What is mapped with a name: {what: [(start, end), …]}."""
    found = {}
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        words = line.split(maxsplit=5)
        if len(words) == 6:
            start, end = (int(n, 16) for n in words[0].split("-"))
            found.setdefault(words[5], []).append((start, end))
    return found


def pools(pid):
    """The pools that a process has mapped, or holds without mapping them: paths to open them by."""
    found = [f"/proc/{pid}/map_files/{start:x}-{end:x}" for what, areas in mapped(pid).items()
             if what.startswith(POOL) for start, end in areas]
    return found or [f"/proc/{pid}/fd/{fd}" for fd, what in held(pid).items()
                     if what.startswith(POOL)]


class Pool:
    """The pool as the back-end has it."""

    def __init__(self, t, pid):
        paths = pools(pid)
        t.equal(len(paths), 1, f"pools of process {pid}, which holds {held(pid)}")
        fd = os.open(paths[0], os.O_RDONLY)
        self.size = os.fstat(fd).st_size
        self.map = mmap.mmap(fd, self.size, mmap.MAP_SHARED, mmap.PROT_READ)
        os.close(fd)
        t.at_end(self.map.close)

    def count(self, what=MARK):
        return len(re.findall(re.escape(what), self.map))

    def pointers(self):
        """Words that look like addresses of the kernel."""
        return [m.start() // 8 * 8 for m in re.finditer(rb"[\x80-\xff]\xff\xff", self.map)
                if m.start() % 8 == 5 and self.map[m.start() // 8 * 8:][:8] != b"\xff" * 8]


@test(timeout=60, cases=SIDES)
def memfd_alone(t, backend):
    """Being attached brings a back-end the pool and eventfds; it can map nothing else."""
    image = t.image(MIB)
    disk = Disk(t, backend, image, queues=2, pool="2M")
    pid = disk.backend.pid
    disk.device.detach()
    t.within(5, lambda: not pools(pid), "the back-end without the pool again")
    before, mapped_before = held(pid), mapped(pid)
    disk.attach(pool="2M")
    now = held(pid)
    new = [what for fd, what in now.items() if before.get(fd) != what]
    t.log(f"new descriptors: {new}")
    allowed = r"/memfd:|anon_inode:\[(eventfd|eventpoll|io_uring|timerfd)\]|socket:|" + re.escape(
        str(image))
    foreign = [what for what in new if not re.match(allowed, what)]
    t.equal(foreign, [], "descriptors that are neither the pool nor of this device's queues")
    t.check(sum(what.startswith(POOL) for what in new) <= 1, f"expected one pool, saw {new}")
    grown = {what: areas for what, areas in mapped(pid).items()
             if len(areas) > len(mapped_before.get(what, []))
             and not re.match(r"\[|anon_inode:\[io_uring", what)}
    t.log(f"new mappings: {grown}")
    strange = [what for what in grown if not what.startswith("/memfd:")]
    t.equal(strange, [], "mappings that are neither its own memory nor the pool")
    sizes = [end - start for what, areas in grown.items() if what.startswith(POOL)
             for start, end in areas]
    t.equal(sizes, [2 * MIB], "bytes of the pool that it has mapped")
    t.equal(Pool(t, pid).size, 2 * MIB, "bytes of the memfd")
    disk.end()


def leave_marks(t, size):
    """Memory full of marks, given back to the system: of a process, and of its files."""
    path = t.tmp / "marks"
    t.run("python3", "-c", f"import os\nm = {marked(STRIDE)!r} * {size // STRIDE}\n"
          f"open({str(path)!r}, 'wb').write(m)\nos.unlink({str(path)!r})")


def aligned(data):
    """A buffer at the start of a page."""
    area = mmap.mmap(-1, max(len(data), 4 * KIB))
    area.write(data)
    return area


@test(timeout=90, cases=SIDES)
def nothing_of_others(t, backend):
    """
    Neither the pool of a new device, nor one in use for other data, holds what was in that
    memory before, in the rest of a page that is sent, or in a buffer that is to be read into.
    """
    size = 64 * MIB
    leave_marks(t, size)
    keeper = aligned(marked(8 * MIB))  # somebody has such memory all the time
    disk = Disk(t, backend, t.image(16 * MIB), pool=size)
    pool = Pool(t, disk.backend.pid)
    t.equal((pool.size, pool.count()), (size, 0), "bytes of the pool, marks in a fresh one")
    fd = os.open(disk.node, os.O_RDWR | os.O_DIRECT)
    t.at_end(os.close, fd)
    # One sector out of a page full of marks.
    page = aligned(b"D" * 512 + marked(4 * KIB - 512))
    for sector in range(64):
        os.pwritev(fd, [memoryview(page)[:512]], sector * 512)
    # Reads that wait at a back-end that sleeps, into buffers full of marks.
    disk.backend.stop()
    buffers = [aligned(marked(256 * KIB)) for _ in range(8)]
    readers = [threading.Thread(target=os.preadv, args=(fd, [b], n * 256 * KIB))
               for n, b in enumerate(buffers)]
    for reader in readers:
        reader.start()
    used = disk.parent / "pool_used"
    t.within(10, lambda: int(used.read_text()) >= 8 * 256 * KIB, "8 reads in the pool")
    t.equal(pool.count(), 0, "marks in the pool while reads wait")
    disk.backend.resume()
    for reader in readers:
        reader.join()
    t.equal(pool.count(), 0, "marks in the pool after other data were written and read")
    t.equal(pool.pointers(), [], "offsets of words that look like the kernel's addresses")
    t.check(pool.count(b"D" * 512), "expected the sectors written in the pool, saw none: not the "
            "memory that requests go through")
    # That marks would be seen: now they are sent.
    os.pwritev(fd, [keeper], 0)
    t.check(pool.count() > 0, "expected the marks that were written to the disk, saw none")


@test(timeout=60, kernels=EVERYWHERE, needs=("hostile-backend",))
def hollow_reads(t):
    """
    A device that says it has read and has written nothing: who reads gets zeroes, not what
    its place in the pool held before, which somebody else had written.
    """
    size = 8 * MIB
    for hollow in (False, True):
        backend = t.backend("hostile-backend", "--size", size, *(["--hollow"] if hollow else []))
        device = t.attach("blk", socket=backend.socket, pool="4M")
        pool = Pool(t, backend.pid)
        fd = os.open(device.node, os.O_RDWR | os.O_DIRECT)
        os.pwritev(fd, [aligned(marked(size))], 0)
        t.check(pool.count() > 1000, f"expected a pool full of marks, saw {pool.count()}")
        for length in (512, 4 * KIB, 64 * KIB, MIB):
            into = aligned(b"\xee" * length)
            count = os.preadv(fd, [memoryview(into)[:length]], 0)
            t.equal(count, length, "bytes that were said to be read")
            expected = bytes(length) if hollow else marked(length)
            at = next((i for i in range(length) if into[i] != expected[i]), None) \
                if into[:length] != expected else None
            t.equal(at, None, f"where {length} bytes read {'without' if hollow else 'with'} data "
                    f"first differ from {'zeroes' if hollow else 'what was written'}")
        os.close(fd)
        device.detach()
        backend.kill()

# SPDX-License-Identifier: BSD-3-Clause
"""An entropy device: what /dev/hwrng gives is what the back-end gave."""

import os
import re
import signal
import struct
import time
from pathlib import Path

from harness import ALL, test

HWRNG = Path("/dev/hwrng")
CURRENT = Path("/sys/class/misc/hw_random/rng_current")
# Of 1000 blocks of true random bits 0.8 fail the FIPS 140-2 checks.
BLOCKS, TOLERATED = 40, 2


def attach(t, *options):
    """The back-end and the device, which is the one that /dev/hwrng reads from."""
    backend = t.backend("vhost-user-rng", *options)
    device = t.attach("rng", socket=backend.socket)
    t.equal(device.nodes, [str(HWRNG)], "nodes that attach tells")
    is_current(t)
    return backend, device


def is_current(t):
    """/dev/hwrng reads from a device such as this."""
    t.check(CURRENT.read_text().startswith("virtio_rng"),
            f"{CURRENT}: expected virtio_rng.N, saw {CURRENT.read_text().strip()!r}")


def read(count, seconds):
    """
    Up to count bytes, as many as come in that time. (Even a read() that must not block waits
    while the kernel itself reads from a device that has nothing.)
    """
    def over(number, frame):
        raise TimeoutError

    data = b""
    fd = os.open(HWRNG, os.O_RDONLY | os.O_NONBLOCK)
    signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        while len(data) < count:
            try:
                data += os.read(fd, min(count - len(data), 4096))
            except BlockingIOError:
                time.sleep(0.01)
    except TimeoutError:
        pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    os.close(fd)
    return data


def rngtest(t):
    """Blocks that fail the FIPS 140-2 checks."""
    said = t.run("sh", "-c", f"rngtest -c {BLOCKS} < {HWRNG}", status=None, timeout=40)
    seen = dict(re.findall(r"FIPS 140-2 (successes|failures): (\d+)", said))
    t.equal(sum(int(n) for n in seen.values()), BLOCKS, "blocks checked")
    return int(seen["failures"])


@test(kernels=ALL, timeout=60, needs=("rngtest",))
def fips(t):
    """Bytes of the kernel's own generator, brought round, pass the FIPS 140-2 checks."""
    backend, device = attach(t)
    failures = rngtest(t)
    t.check(failures <= TOLERATED,
            f"blocks that fail: expected at most {TOLERATED} of {BLOCKS}, saw {failures}")
    device.detach()
    backend.terminate()


@test(timeout=60, needs=("rngtest",))
def fips_fails_where_it_should(t):
    """A source of zeroes is found out, so the bytes checked are the back-end's."""
    attach(t, "--source", "/dev/zero")
    t.equal(rngtest(t), BLOCKS, "blocks of zeroes that fail")


# The upper half of each word of the file that is read: what is none of them is seen.
MARK = b"\xc0\xde\xfa\xce"
# Words of one request of the driver. The kernel hands out a part of them from the back, so that
# some are torn and some swapped where a read() ends; and it may have bytes of a device before.
TOGETHER = 8
TORN = 256


def numbered(total):
    """A file of so many such words, which words() knows again."""
    return b"".join(MARK + struct.pack(">I", n) for n in range(total))


def words(t, data, total):
    """The file is a row of numbers: those that were read of it, in order and none twice."""
    numbers = [int.from_bytes(n, "big") for n in
               re.findall(re.escape(MARK) + rb"(\x00\x00..)", data, re.DOTALL)]
    foreign = len(data) - 8 * len(numbers)
    t.check(foreign <= TORN, f"expected at most {TORN} of {len(data)} bytes that are no whole word "
            f"of the file, saw {foreign}")
    t.equal(len(numbers) - len(set(numbers)), 0, "numbers that came twice")
    t.check(max(numbers) < total, f"expected numbers below {total}, saw {max(numbers)}")
    for before, after in zip(numbers, numbers[1:]):
        t.check(after > before - TOGETHER,
                f"expected numbers that rise, saw {before} and then {after}")
    return numbers


@test(kernels=ALL, timeout=60)
def source(t):
    """
    The bytes are those of the file, in order, each once; at its end there are none. (The
    kernel takes some for itself in between.)
    """
    total = 4096
    path = t.tmp / "source"
    path.write_bytes(numbered(total))
    backend, device = attach(t, "--source", path)
    data = read(16384, 20 * t.slow)
    t.equal(len(data), 16384, "bytes read")
    data += read(1 << 20, 3 * t.slow)
    numbers = words(t, data, total)
    t.check(len(numbers) > 2048, f"expected more than 2048 of {total} numbers, saw {len(numbers)}")
    # The driver's request waits at the back-end, which has nothing to give.
    device.detach()
    backend.terminate()


@test(timeout=60)
def rate(t):
    """--rate: never faster, and not much slower either."""
    attach(t, "--rate", "2K")
    start = time.monotonic()
    data = read(8192, 30 * t.slow)
    seconds = time.monotonic() - start
    t.equal(len(data), 8192, "bytes read")
    # A second's worth may come at once.
    t.check(seconds >= 2.8, f"8 KiB at 2 KiB/s: expected about 3 s or more, saw {seconds:.2f} s")
    t.check(seconds < 12 * t.slow, f"8 KiB at 2 KiB/s: expected about 4 s, saw {seconds:.2f} s")

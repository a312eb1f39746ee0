# SPDX-License-Identifier: BSD-3-Clause
"""The initramfs: one static program and the modules that it loads."""

import hashlib
import os
from pathlib import Path

from . import kernel as kernels
from . import paths, report

CC = {"amd64": ("gcc", "gcc libc6-dev"),
      "arm64": ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross")}


def guest_init(arch) -> Path:
    """The guest's first program, compiled once for each version of its source."""
    source = paths.VM / "guest" / "init.c"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    target = paths.cache_dir() / "init" / f"{arch}-{digest}"
    if target.exists():
        return target
    cc, package = CC[arch]
    report.need(cc, package)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    report.run([cc, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static",
                "-o", partial, source], "the build of the guest's init")
    partial.rename(target)
    return target


class Cpio:
    """A newc archive, as Documentation/driver-api/early-userspace describes it."""

    def __init__(self):
        self.parts, self.inode = [], 0

    def add(self, name, mode, data=b"", rdev=(0, 0)):
        self.inode += 1
        raw = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + raw
        self.parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]

    def bytes(self):
        self.add("TRAILER!!!", 0)
        return b"".join(self.parts)


def build(kernel, modules, extra, target: Path, init=None):
    """
    Write the initramfs with the named modules, then the module files in extra; init: another first
    program than the throw-away guest's.
    """
    cpio = Cpio()
    for name in ("dev", "proc", "sys", "modules", "ctl", "lower", "rw", "newroot"):
        cpio.add(name, 0o040755)
    cpio.add("dev/console", 0o020600, rdev=(5, 1))
    cpio.add("init", 0o100755, (init or guest_init(kernel.arch)).read_bytes())
    order = []
    for path in kernel.module_files(modules) + list(extra):
        name = path.name.removesuffix(".xz")
        cpio.add(f"modules/{name}", 0o100644, kernels.module_bytes(path))
        order.append(name)
    cpio.add("modules/order", 0o100644, "".join(n + "\n" for n in order).encode())
    target.write_bytes(cpio.bytes())

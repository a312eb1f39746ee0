# SPDX-License-Identifier: BSD-3-Clause
"""Guest kernels: what they are (vm/kernels/NAME) and their files in the cache."""

import lzma
import os
import re
from pathlib import Path

from . import paths, report
from .report import VmError


def names():
    return sorted(p.name for p in (paths.VM / "kernels").iterdir()
                  if p.is_file() and not p.name.endswith(".config"))


def describe(name):
    """The key = value lines of vm/kernels/NAME."""
    path = paths.VM / "kernels" / name
    if name not in names():
        raise VmError(f"there is no kernel '{name}'; known are: {', '.join(names())}")
    desc = {}
    for line in path.read_text().splitlines():
        line = line.strip()
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            desc[key.strip()] = value.strip()
    return desc


class Kernel:
    """One guest kernel: boot image, modules, and headers to build against."""

    def __init__(self, name):
        self.name = name
        self.desc = describe(name)
        self.arch = self.desc.get("arch", "amd64")
        self.source = self.desc["source"]
        # Whether virtio_loopback is one of the kernel's own modules.
        self.in_tree = self.desc.get("in-tree") == "yes"

    # The files, once fetch() has run.

    @property
    def root(self) -> Path:
        return self._provider().location(self)

    @property
    def release(self) -> str:
        return (self.root / "release").read_text().strip()

    @property
    def vmlinuz(self) -> Path:
        return self.root / "vmlinuz"

    @property
    def modules(self) -> Path:
        return self.root / "modules"

    @property
    def kdir(self) -> Path:
        """The directory for make -C KDIR M=…"""
        return Path((self.root / "kdir").read_text().strip().replace("@ROOT@", str(self.root)))

    @property
    def chroot(self):
        """Where the compiler for this kernel lives, if not on the machine itself."""
        path = self.root / "chroot"
        return path if path.exists() else None

    @property
    def version(self) -> str:
        """The package version, or what else identifies the build."""
        return (self.root / "version").read_text().strip()

    def _provider(self):
        from . import debkernel, ownkernel
        return {"deb": debkernel, "own": ownkernel}[self.source]

    def fetch(self):
        """Get the kernel into the cache, unless it is there."""
        from . import extra
        if not self.root.exists() or not extra.ready(self):
            with paths.locked(paths.cache_dir() / "kernels" / f".{self.name}.lock"):
                if not self.root.exists():
                    self._provider().fetch(self)
                if not extra.ready(self):
                    extra.build(self)
        return self

    def module_files(self, wanted):
        """The files of the wanted modules and all they depend on, in loading order.

        A module that the kernel has built in, or does not have, yields nothing;
        the guest notices what it really lacks.
        """
        deps = {}
        for line in (self.modules / "modules.dep").read_text().splitlines():
            file, _, rest = line.partition(":")
            name = re.sub(r"\.ko(\.\w+)?$", "", os.path.basename(file)).replace("-", "_")
            deps[name] = (file, rest.split())
        order = []
        for name in wanted:
            if name not in deps:
                continue
            file, needs = deps[name]
            # modules.dep lists what is needed first last.
            for path in list(reversed(needs)) + [file]:
                if path not in order:
                    order.append(path)
        return [self.modules / path for path in order]


def module_bytes(path: Path) -> bytes:
    """A module's content, unpacked: not every kernel can do that itself."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data

# SPDX-License-Identifier: BSD-3-Clause
"""Root file system images for the guest, made by mmdebstrap from a package list.

Programs that only tests need live here and not on the machine. An image is
keyed by its package list; make a new one by changing vm/image/ARCH.packages.
"""

import functools
import hashlib
import re
import subprocess
import tempfile
import time
from pathlib import Path

from . import apt, paths, report
from .report import VmError

# The format of the image: a new number makes new ones.
VERSION = 2
# Removed at unpacking: half of the image, and no test reads them.
EXCLUDE = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*",
           "/usr/share/icons/*", "/usr/share/lintian/*"]
APT_OPTIONS = ['--aptopt=Acquire::Check-Valid-Until "false"', '--aptopt=Acquire::Retries "3"',
               '--aptopt=APT::Sandbox::User "root"']


@functools.lru_cache(maxsize=None)
def suite():
    """The machine's own release: what is built on it must run in the image."""
    try:
        text = Path("/etc/os-release").read_text()
    except FileNotFoundError:
        text = ""
    name = re.search(r"^VERSION_CODENAME=(\w+)", text, re.M)
    return name.group(1) if name and name.group(1) in ("bookworm", "trixie") else "trixie"


def _lines(arch, kinds):
    found = []
    for line in (paths.VM / "image" / f"{arch}.packages").read_text().splitlines():
        kind, _, name = line.strip().rpartition(": ")
        if name and not line.startswith("#") and kind in kinds:
            found.append(name)
    return found


def packages(arch):
    """The list for this architecture; a line "SUITE: PACKAGE" counts for that suite alone."""
    return _lines(arch, ("", suite()))


def unpacked(arch):
    """Lines "unpack: PACKAGE": its files, without the packages that it depends on."""
    return _lines(arch, ("unpack",))


def location(arch) -> Path:
    words = [str(VERSION)] + EXCLUDE + packages(arch) + [f"={p}" for p in unpacked(arch)]
    digest = hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]
    return paths.cache_dir() / "images" / f"{suite()}-{arch}-{digest}.squashfs"


def fetch(arch) -> Path:
    target = location(arch)
    if target.exists():
        return target
    with paths.locked(target.parent / f".{arch}.lock"):
        if not target.exists():
            _make(arch, target)
    return target


def _hook(arch):
    """What is only unpacked comes to no hook after that."""
    return "--customize-hook" if arch == "amd64" else "--extract-hook"


def _unpack_hooks(arch, folder):
    if not unpacked(arch):
        return []
    source = apt.Suite(suite(), arch)
    source.update()
    debs = source.download(unpacked(arch), folder)
    return [f'{_hook(arch)}=dpkg-deb -x {deb} "$1"' for deb in debs]


def _command(arch, sources, tree, hooks):
    argv = [report.need("mmdebstrap", "mmdebstrap"), "--format=tar", "--quiet",
            f"--architectures={arch}", f"--include={','.join(packages(arch))}"]
    argv += APT_OPTIONS + [f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDE]
    if arch == "amd64":
        argv += ["--variant=apt"]
    else:
        # Nothing of a foreign architecture can run here, so nothing is configured.
        argv += ["--variant=extract",
                 "--extract-hook=cp \"$1/usr/share/base-passwd/passwd.master\" \"$1/etc/passwd\"",
                 "--extract-hook=cp \"$1/usr/share/base-passwd/group.master\" \"$1/etc/group\"",
                 "--extract-hook=ln -sf mawk \"$1/usr/bin/awk\""]
    return argv + hooks + [suite(), str(tree), str(sources)]


def _make(arch, target):
    """mmdebstrap writes a tar archive, which becomes a squashfs: no root is needed."""
    sqfstar = report.need("sqfstar", "squashfs-tools")
    report.progress(f"making the root image for {arch}: {len(packages(arch))} packages and what "
                    "they need, about a minute")
    target.parent.mkdir(parents=True, exist_ok=True)
    sources = target.parent / f".{arch}.list"
    sources.write_text(apt.Suite(suite(), arch).sources())
    log = target.parent / f"{arch}.log"
    partial = target.with_name(f".{target.name}.new")
    partial.unlink(missing_ok=True)
    start = time.monotonic()
    with open(log, "w") as out, tempfile.TemporaryDirectory() as folder:
        command = _command(arch, sources, "-", _unpack_hooks(arch, Path(folder)))
        maker = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=out)
        packer = subprocess.Popen([sqfstar, "-quiet", "-no-progress", "-comp", "lz4",
                                   str(partial)], stdin=maker.stdout, stdout=out, stderr=out)
        maker.stdout.close()
        statuses = _wait([maker, packer], arch, start)
    if any(statuses):
        tail = "\n    ".join(log.read_text(errors="replace").splitlines()[-15:])
        partial.unlink(missing_ok=True)
        raise VmError(f"making the image for {arch} failed, see {log}:\n    {tail}")
    partial.rename(target)
    report.progress(f"the root image for {arch} has {target.stat().st_size // 1000000} MB, made in "
                    f"{time.monotonic() - start:.0f} s")


def _wait(processes, arch, start):
    while any(p.poll() is None for p in processes):
        for p in processes:
            try:
                p.wait(timeout=20)
            except subprocess.TimeoutExpired:
                report.progress(f"image {arch}: {time.monotonic() - start:.0f} s")
                break
    return [p.returncode for p in processes]

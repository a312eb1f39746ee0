# SPDX-License-Identifier: BSD-3-Clause
"""Building the modules below kernel/ for a guest kernel, out of tree and off the sources.

Each folder below kernel/ with a Kbuild file is a module of the folder's name. One that its Kbuild
leaves out, because the kernel has what it would bring or lacks what it needs, is not there then.

build/kernel/K/ mirrors the checkout with symbolic links, so that what a
Kbuild file reaches by a relative path (../../include/uapi) is there as well:

    build/kernel/K/kernel/virtio_loopback/   links to the sources; make's output
    build/kernel/K/include                   link to the checkout's include/
    build/kernel/K/virtio_loopback.ko        a result
    build/kernel/K/modules/                  what is laid over /lib/modules/RELEASE
"""

import hashlib
import os
import re
import shutil
from pathlib import Path

from . import chroot, paths, report
from .report import VmError

KERNEL = paths.TOP / "kernel"
# Without this one there is nothing to test.
MAIN = "virtio_loopback"


def folders():
    """The sources of each module."""
    return sorted(p.parent for p in KERNEL.glob("*/Kbuild"))


def ko_path(kernel) -> Path:
    return paths.BUILD / "kernel" / kernel.name / f"{MAIN}.ko"


def overlay_dir(kernel) -> Path:
    return paths.BUILD / "kernel" / kernel.name / "modules"


def _sources(bases):
    found = []
    for base in bases:
        for path in sorted(base.rglob("*")):
            if path.is_file() and (path.suffix in (".c", ".h", ".S")
                                   or path.name in ("Kbuild", "Makefile")):
                found.append(path)
    return found


def _fingerprint(kernel):
    digest = hashlib.sha256(f"{kernel.version} {kernel.kdir} {paths.TOP}\n".encode())
    for path in _sources(folders() + [paths.TOP / "include" / "uapi"]):
        digest.update(f"{path} ".encode() + path.read_bytes())
    return digest.hexdigest()


def _mirror(source, top):
    """Lay out the links; a source that is gone takes its link and objects with it."""
    work = top / "kernel" / source.name
    work.mkdir(parents=True, exist_ok=True)
    wanted = {p.relative_to(source) for p in _sources([source])}
    for link in work.rglob("*"):
        if link.is_symlink() and link.relative_to(work) not in wanted:
            link.unlink()
            link.with_suffix(".o").unlink(missing_ok=True)
    for rel in wanted:
        link = work / rel
        if not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(source / rel)
    include = top / "include"
    if not include.is_symlink():
        include.symlink_to(paths.TOP / "include")
    return work


def _compiler(kernel):
    """The gcc that the kernel was built with where it is installed, else the machine's."""
    variables = Path(kernel.kdir) / ".kernelvariables"
    prefix = "aarch64-linux-gnu-" if kernel.arch == "arm64" else ""
    if kernel.chroot or not variables.exists():
        return None
    own = re.search(r"gcc-\d+", variables.read_text())
    if own and shutil.which(prefix + own.group(0)):
        return None
    return f"CC={prefix}gcc"


def make_command(kernel, work):
    # Type information for BPF would need pahole, and nothing asks for it.
    argv = ["make", "-C", kernel.kdir, f"M={work}", f"VLB_TOP={paths.TOP}", "W=1",
            "CONFIG_DEBUG_INFO_BTF_MODULES=", f"-j{os.cpu_count() or 1}"]
    if kernel.arch == "arm64":
        argv += ["ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-"]
    compiler = _compiler(kernel)
    return argv + ([compiler] if compiler else [])


def run_make(kernel, work, words, what):
    argv = make_command(kernel, work) + words
    if kernel.chroot:
        argv = chroot.command(kernel.chroot, paths.TOP, argv)
    return report.run(argv, what)


def _make_all(kernel, top, words, where):
    """Make each module; returns those that there are."""
    made = []
    for source in folders():
        work = _mirror(source, top)
        ko = work / f"{source.name}.ko"
        ko.unlink(missing_ok=True)
        run_make(kernel, work, words, f"the build of {ko.name} for {where}")
        if ko.exists():
            made.append(ko)
        elif source.name == MAIN:
            raise VmError(f"the build of {ko.name} for {where} made no such file")
    return made


def build(kernel, force=False):
    """(Re)build the modules where their sources are newer; returns the .ko of the main one."""
    if kernel.in_tree:
        return next(kernel.modules.rglob(f"{MAIN}.ko"))
    if KERNEL / MAIN not in folders():
        raise VmError(f"there are no module sources in {KERNEL / MAIN}; --no-module boots without")
    ko = ko_path(kernel)
    stamp = ko.with_name("stamp")
    with paths.locked(ko.parent / ".lock"):
        want = _fingerprint(kernel)
        if not force and ko.exists() and stamp.exists() and stamp.read_text() == want:
            return ko
        report.need("make", "make")
        report.progress(f"building the modules for {kernel.name} ({kernel.release})")
        stamp.unlink(missing_ok=True)
        _install(kernel, _make_all(kernel, ko.parent, ["modules"], kernel.name), ko.parent)
        stamp.write_text(want)
    return ko


class NativeKernel:
    """The machine's own kernel, for make and make install."""

    # Nothing is cross-compiled: make finds the architecture out by itself.
    arch, chroot = "native", None

    def __init__(self, kdir):
        self.kdir = Path(kdir).resolve()
        self.release = report.run(["make", "-s", "-C", self.kdir, "kernelrelease"],
                                  "make kernelrelease").strip().splitlines()[-1]
        self.name = f"native-{self.release}"


def build_native(kdir):
    """Build the modules for the machine's own kernel."""
    kernel = NativeKernel(kdir)
    top = paths.BUILD / "kernel" / kernel.name
    with paths.locked(top / ".lock"):
        report.progress(f"building the modules for Linux {kernel.release}")
        for old in top.glob("*.ko"):
            old.unlink()
        made = _make_all(kernel, top, ["modules"], f"Linux {kernel.release}")
        return [Path(shutil.copy2(ko, top)) for ko in made]


def _native_modules(kernel, destdir):
    """Each module that build_native() built, and its place under DESTDIR."""
    target = Path(f"{destdir}/lib/modules/{kernel.release}/updates")
    built = sorted((paths.BUILD / "kernel" / kernel.name).glob("*.ko"))
    return [(ko, target / ko.name) for ko in built]


def _list_native(kernel, destdir):
    """Refresh the dependency lists."""
    if not destdir:
        report.run([report.need("depmod", "kmod"), kernel.release], "depmod")


def install_native(kdir, destdir):
    """Install what build_native() built under DESTDIR."""
    kernel = NativeKernel(kdir)
    modules = _native_modules(kernel, destdir)
    for ko, place in modules:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ko, place)
    _list_native(kernel, destdir)
    return [place for _, place in modules]


def uninstall_native(kdir, destdir):
    """Remove what install_native() installed."""
    kernel = NativeKernel(kdir)
    there = [place for _, place in _native_modules(kernel, destdir) if place.exists()]
    for place in there:
        place.unlink()
    _list_native(kernel, destdir)
    return there


def _complaints(kernel, source, top):
    work = _mirror(source, top)
    run_make(kernel, work, ["clean"], "make clean")
    out = run_make(kernel, work, ["C=2", "CF=-D__CHECK_ENDIAN__", "modules"],
                   f"the checked build of {source.name}.ko for {kernel.name}")
    ours = (str(work), str(source), str(paths.TOP / "include"), source.name)
    # Newer kernels build in our folder, so that its files are named without a path.
    return [line for line in out.splitlines()
            if re.search(r"\b(warning|error|note):", line, re.I)
            and (line.startswith(ours) or re.match(r"[\w-]+\.[ch]:\d", line))]


def check(kernel):
    """Build with sparse and W=1 from nothing; returns the lines that complain of our sources."""
    report.need("sparse", "sparse")
    kernel.fetch()
    top = paths.BUILD / "kernel" / kernel.name
    with paths.locked(top / ".lock"):
        return [line for source in folders()
                for line in _complaints(kernel, source, top / "check")]


def _install(kernel, made, target):
    """Put the modules where modprobe finds them, with dependency lists that know them."""
    top = overlay_dir(kernel)
    shutil.rmtree(top, ignore_errors=True)
    tree = top.with_name("modules.new")
    shutil.rmtree(tree, ignore_errors=True)
    real = tree / "lib/modules" / kernel.release
    (real / "updates").mkdir(parents=True)
    for ko in made:
        shutil.copy2(ko, real / "updates")
    for item in kernel.modules.iterdir():
        if item.is_dir():
            (real / item.name).symlink_to(item)
        elif item.name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            shutil.copy2(item, real)
    report.run([report.need("depmod", "kmod"), "-b", tree, kernel.release], "depmod")
    for item in real.iterdir():
        if item.is_symlink():
            item.unlink()
    real.rename(top)
    shutil.rmtree(tree)
    for old in set(target.glob("*.ko")) - {target / ko.name for ko in made}:
        old.unlink()
    for ko in made:
        partial = target / f"{ko.name}.new"
        shutil.copy2(ko, partial)
        partial.rename(target / ko.name)

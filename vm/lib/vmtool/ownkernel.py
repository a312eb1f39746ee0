# SPDX-License-Identifier: BSD-3-Clause
"""Kernels that we build ourselves from Debian's source package.

The cache is keyed by the source's version, the configuration fragments and the
compiler. A build that was broken off is taken up again where it stood.

With `in-tree = yes` in vm/kernels/K the tree has the series for mainline in it, and the
module is the tree's own: the key has the module's sources too, and a change of
them builds on in the same folder.
"""

import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from . import apt, paths, report
from .report import VmError

SERIES = "tools/mainline-series"
SELFTESTS = "tools/testing/selftests/virtio_loopback"
TOOLS = {"gcc": "gcc", "make": "make", "flex": "flex", "bison": "bison", "bc": "bc",
         "xz": "xz-utils", "depmod": "kmod"}


def _fragments(kernel):
    return [paths.VM / "kernels" / name for name in kernel.desc["config"].split()]


def _source_dir(package, version) -> Path:
    return paths.cache_dir() / "src" / f"{package}-{version.replace('~', '_')}"


def _source_version(kernel):
    """The version that is in the cache, else the newest that the archive has."""
    return _version_of(kernel.desc["package"], kernel.desc["suite"])


@functools.lru_cache(maxsize=None)
def _version_of(package, suite_name):
    known = paths.cache_dir() / "src" / f"{package}.version"
    if known.exists() and _source_dir(package, known.read_text().strip()).exists():
        return known.read_text().strip()
    suite = apt.Suite(suite_name, "amd64")
    suite.update()
    version = suite.show(package, "Version")
    if not version:
        raise VmError(f"no package {package} in {suite.name}")
    known.parent.mkdir(parents=True, exist_ok=True)
    known.write_text(version + "\n")
    return version


@functools.lru_cache(maxsize=None)
def _compiler():
    report.need("gcc", "gcc")
    return subprocess.run(["gcc", "--version"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout.splitlines()[0]


def location(kernel) -> Path:
    version = _source_version(kernel)
    digest = hashlib.sha256(_compiler().encode())
    for fragment in _fragments(kernel):
        digest.update(fragment.read_bytes())
    name = f"{version.replace('~', '_')}-{digest.hexdigest()[:12]}"
    if kernel.in_tree:
        name += f"-{_series_digest()}"
    return paths.cache_dir() / "kernels" / kernel.name / name


@functools.lru_cache(maxsize=None)
def _series_digest():
    """What the series is made of."""
    digest = hashlib.sha256()
    for place in ("kernel/virtio_loopback", "include/uapi", "packaging/mainline", SERIES):
        place = paths.TOP / place
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file():
                digest.update(f"{path.relative_to(paths.TOP)} ".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _source(kernel) -> Path:
    """The unpacked source tree, shared by all own kernels."""
    package = kernel.desc["package"]
    target = _source_dir(package, _source_version(kernel))
    with paths.locked(paths.cache_dir() / "src" / ".lock"):
        if target.exists():
            return target
        suite = apt.Suite(kernel.desc["suite"], "amd64")
        suite.update()
        with paths.published(target) as work, \
                tempfile.TemporaryDirectory(dir=paths.cache_dir(), prefix=".src-") as tmp:
            tmp = Path(tmp)
            for deb in suite.download([package], tmp):
                apt.unpack(deb, tmp)
            tar = next(tmp.glob("usr/src/linux-source-*.tar.*"))
            report.progress(f"unpacking {tar.name}")
            report.run(["tar", "-xf", tar, "-C", work, "--strip-components=1"], "unpacking")
    return target


def _patched(source) -> Path:
    """The tree with the series in it, beside the tree."""
    target = source.with_name(f"{source.name}-series")
    with paths.locked(target.with_name(f".{target.name}.lock")), \
            tempfile.TemporaryDirectory(dir=paths.cache_dir(), prefix=".series-") as tmp:
        report.progress(f"the series for mainline into {target.name}")
        report.run([paths.TOP / SERIES, "--name", "vm", "--email", "vm@localhost", "--into", target,
                    source, tmp], "tools/mainline-series")
    return target


def _make(source, build):
    argv = ["make", "-C", str(source), f"O={build}", f"-j{os.cpu_count() or 1}",
            "KBUILD_BUILD_TIMESTAMP=2000-01-01", "KBUILD_BUILD_USER=vm",
            "KBUILD_BUILD_HOST=guest"]
    if shutil.which("ccache"):
        argv += ["CC=ccache gcc", "HOSTCC=ccache gcc"]
    return argv


def _configure(kernel, source, build):
    merged = build / "fragment"
    wanted = {}
    for fragment in _fragments(kernel):
        for line in fragment.read_text().splitlines():
            if line.startswith("CONFIG_"):
                key, value = line.split("=", 1)
                wanted[key] = value
    merged.write_text("".join(f"{k}={v}\n" for k, v in wanted.items()))
    report.run(_make(source, build) + [f"KCONFIG_ALLCONFIG={merged}", "allnoconfig"],
               f"the configuration of {kernel.name}")
    have = dict(re.findall(r"^(CONFIG_\w+)=(.*)$", (build / ".config").read_text(), re.M))
    lost = [f"{k}={v}" for k, v in wanted.items() if have.get(k, "n") != v]
    if lost:
        raise VmError(f"{kernel.name}: these options did not take: {', '.join(lost)}")


def _compile(kernel, source, build):
    """Run make, and say now and then how far it is."""
    report.progress(f"building the kernel {kernel.name}: about {kernel.desc['objects']} files, "
                    "10 to 20 minutes on two cores")
    log = build / "make.log"
    start = last = time.monotonic()
    done = 0
    with open(log, "w") as out, subprocess.Popen(
            _make(source, build) + ["bzImage", "modules"], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as make:
        for line in make.stdout:
            out.write(line)
            done += line.startswith(("  CC ", "  AS "))
            if time.monotonic() - last > 30:
                last = time.monotonic()
                report.progress(f"{kernel.name}: {done} files compiled in "
                                f"{(last - start) / 60:.1f} min")
    if make.returncode:
        tail = "\n    ".join(log.read_text().splitlines()[-15:])
        raise VmError(f"the build of {kernel.name} failed, see {log}:\n    {tail}")
    report.progress(f"{kernel.name}: built in {(time.monotonic() - start) / 60:.1f} min, "
                    f"{done} files")


def _slim(build):
    """Drop what building a module does not need: most of the gigabyte."""
    for path in build.rglob("*"):
        rel = path.relative_to(build)
        if rel.parts[0] in ("scripts", "tools") or path.is_symlink() or not path.is_file():
            continue
        if path.suffix in (".o", ".a", ".ko", ".cmd", ".mod") or path.name == "vmlinux":
            path.unlink()


def _selftests(source, build, target):
    """The selftests of the series, as the tree builds them."""
    report.run(_make(source, build) + ["headers"], "make headers")
    target.mkdir()
    report.run(["make", "-C", source / SELFTESTS, f"OUTPUT={target}",
                f"KHDR_INCLUDES=-isystem {build}/usr/include"], "the build of the selftests")


def fetch(kernel):
    for program, package in TOOLS.items():
        report.need(program, package)
    source = _source(kernel)
    target = location(kernel)
    build = target.with_name(target.name + ".build")
    if kernel.in_tree:
        source = _patched(source)
        build = target.with_name(target.name.removesuffix(f"-{_series_digest()}") + ".build")
    build.mkdir(parents=True, exist_ok=True)
    _configure(kernel, source, build)
    _compile(kernel, source, build)
    with paths.published(target) as work:
        report.run(_make(source, build) + [f"INSTALL_MOD_PATH={work}/root", "modules_install"],
                   "modules_install")
        release = (build / "include/config/kernel.release").read_text().strip()
        moddir = work / "root/lib/modules" / release
        for link in ("build", "source"):
            (moddir / link).unlink(missing_ok=True)
        report.run([report.need("depmod", "kmod"), "-b", work / "root", release], "depmod")
        if kernel.in_tree:
            _selftests(source, build, moddir / "selftests")
        shutil.move(moddir, work / "modules")
        shutil.copy2(build / "arch/x86/boot/bzImage", work / "vmlinuz")
        shutil.copy2(build / "System.map", work / "System.map")
        shutil.copy2(build / ".config", work / "config")
        (work / "release").write_text(release + "\n")
        (work / "version").write_text(target.name + "\n")
        (work / "kdir").write_text(f"{build}\n")
        if not kernel.in_tree:
            _slim(build)


def tree(package, suite) -> Path:
    """The unpacked sources of a Debian package of the kernel; not to be written to."""
    return _source(SimpleNamespace(desc={"package": package, "suite": suite}))

# SPDX-License-Identifier: BSD-3-Clause
"""Kernels from Debian's packages."""

import re
import shutil
import tempfile
from pathlib import Path

from . import apt, chroot, paths, report
from .report import VmError


def location(kernel) -> Path:
    """Keyed by the pinned package: a new pin in vm/kernels is a new entry."""
    pin = kernel.desc["pin"].replace("linux-image-", "")
    return paths.cache_dir() / "kernels" / kernel.name / pin


def _choose(kernel, suite):
    """The pinned image where the archive still has it, else the newest of the series."""
    have = suite.names(kernel.desc["series"])
    pin = kernel.desc["pin"]
    if pin in have:
        return pin
    if not have:
        raise VmError(f"{kernel.name}: no package {kernel.desc['series']} in {suite.name}")
    report.progress(f"{kernel.name}: {pin} is gone from the archive, taking {have[-1]}")
    return have[-1]


def _image_packages(suite, image):
    """The image, and its parts where the suite has split it."""
    release = image.replace("linux-image-", "").replace("-unsigned", "")
    parts = suite.names(rf"linux-(base|binary|modules)-{re.escape(release)}")
    return [image] + parts


def _headers(image):
    return image.replace("linux-image-", "linux-headers-").replace("-unsigned", "")


def _header_packages(suite, image):
    """The packages needed to build a module for this image."""
    depends = suite.show(_headers(image), "Depends")
    wanted = [_headers(image)]
    wanted += re.findall(r"(linux-headers-\S*-common\S*)", depends)
    kbuild = re.findall(r"(linux-kbuild-[^ ,:]+)", depends)
    return list(dict.fromkeys(wanted)), kbuild[:1]


def fetch(kernel):
    suite = apt.Suite(kernel.desc["suite"], kernel.arch)
    suite.update()
    image = _choose(kernel, suite)
    release = image.replace("linux-image-", "")
    target = location(kernel)
    with paths.published(target) as work, \
            tempfile.TemporaryDirectory(dir=paths.cache_dir(), prefix=".deb-") as tmp:
        for deb in suite.download(_image_packages(suite, image), Path(tmp)):
            apt.unpack(deb, work / "root")
        _take_image(kernel, work, release)
        if "chroot" in kernel.desc:
            tools = kernel.desc["chroot"].split()
            chroot.make(suite, tools + [_headers(image)], work / "chroot")
            kdir = f"/usr/src/linux-headers-{release}"
        else:
            _fetch_headers(kernel, suite, image, Path(tmp), work)
            _mend_headers(work, target, release)
            kdir = f"@ROOT@/root/usr/src/linux-headers-{release}"
        (work / "kdir").write_text(kdir + "\n")
        (work / "release").write_text(release + "\n")
        (work / "version").write_text(suite.show(image, "Version") + "\n")


def _fetch_headers(kernel, suite, image, tmp, work):
    """The headers, with kbuild's programs for the machine that builds."""
    headers, kbuild = _header_packages(suite, image)
    debs = suite.download(headers, tmp)
    native = suite if kernel.arch == "amd64" else apt.Suite(suite.name, "amd64")
    native.update()
    debs += native.download(kbuild, tmp)
    for deb in debs:
        apt.unpack(deb, work / "root")


def _take_image(kernel, work, release):
    """Boot image and modules out of the unpacked packages."""
    root = work / "root"
    for name in (f"boot/vmlinuz-{release}", f"usr/lib/modules/{release}/vmlinuz"):
        if (root / name).exists():
            shutil.move(root / name, work / "vmlinuz")
            break
    else:
        raise VmError(f"{kernel.name}: the packages hold no vmlinuz of {release}")
    base = next((b for b in ("lib/modules", "usr/lib/modules")
                 if (root / b / release / "kernel").exists()), None)
    if not base:
        raise VmError(f"{kernel.name}: the packages hold no modules of {release}")
    if base == "usr/lib/modules":
        # depmod -b looks in lib/modules.
        (root / "lib").mkdir(exist_ok=True)
        shutil.move(root / base, root / "lib/modules")
    moddir = root / "lib/modules" / release
    for link in ("build", "source"):
        (moddir / link).unlink(missing_ok=True)
    report.progress(f"{kernel.name}: depmod")
    report.run([report.need("depmod", "kmod"), "-b", root, release], "depmod")
    shutil.move(moddir, work / "modules")


def _mend_headers(work, target, release):
    """Make the headers work from where they are."""
    headers = work / f"root/usr/src/linux-headers-{release}"
    makefile = headers / "Makefile"
    makefile.write_text(makefile.read_text().replace(
        "/usr/src/", f"{target}/root/usr/src/"))

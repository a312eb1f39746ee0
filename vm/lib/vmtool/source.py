# SPDX-License-Identifier: BSD-3-Clause
"""Single files and folders out of Debian's source package of the kernel."""

import shutil
import tempfile
from pathlib import Path

from . import apt, paths, report

PACKAGE, SUITE = "linux-source-6.12", "bookworm"


def take(members, into: Path, package=PACKAGE, suite=SUITE):
    """Copy these paths of the kernel's tree into a folder, at the same places."""
    with tempfile.TemporaryDirectory(dir=paths.cache_dir(), prefix=".src-") as tmp:
        tmp = Path(tmp)
        archive = apt.Suite(suite)
        archive.update()
        for deb in archive.download([package], tmp):
            apt.unpack(deb, tmp)
        tar = next(tmp.glob("usr/src/linux-source-*.tar.*"))
        top = tar.name.split(".tar")[0]
        report.progress(f"unpacking {', '.join(members)} of {top}")
        report.run(["tar", "-xf", tar, "-C", tmp] + [f"{top}/{m}" for m in members], "unpacking")
        for member in members:
            (into / member).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(tmp / top / member, into / member)

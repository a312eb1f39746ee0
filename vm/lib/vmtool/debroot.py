# SPDX-License-Identifier: BSD-3-Clause
"""Whole Debian systems with the project's packages in them, and guests that boot them."""

import shutil
import subprocess
from pathlib import Path

from . import apt, image, report
from .report import VmError


def newest(suite, patterns):
    """The newest package of each pattern, by its whole name."""
    suite.update()
    found = []
    for pattern in patterns:
        names = suite.names(pattern)
        if not names:
            raise VmError(f"{suite.name} has no package {pattern} for {suite.arch}")
        found.append(names[-1])
    return found


def copy_packages(folder: Path, into: Path, arch, leave=()):
    """What the folder has for the architecture, but for debugging symbols and those to leave."""
    into.mkdir(parents=True)
    for deb in sorted(folder.glob("*.deb")):
        name, _, rest = deb.name.partition("_")
        if not name.endswith("-dbgsym") and name not in leave \
                and rest.endswith((f"_{arch}.deb", "_all.deb")):
            shutil.copy(deb, into)
    if not list(into.glob("virtio-loopback_*.deb")):
        raise VmError(f"{folder} has no packages for {arch}: make deb, or tools/deb-arm64")


def make(suite: apt.Suite, include, hooks, work: Path, foreign=()):
    """
    Make a root in work/root with these packages; hooks: more options; foreign: architectures whose
    packages can be added to it. It, and what was said.
    """
    root, log, sources = work / "root", work / "mmdebstrap.log", work / "sources.list"
    sources.write_text(suite.sources())
    argv = [report.need("mmdebstrap", "mmdebstrap"), "--variant=apt",
            f"--architectures={','.join([suite.arch, *foreign])}", f"--include={','.join(include)}",
            *image.APT_OPTIONS, *hooks, suite.name, str(root), str(sources)]
    with open(log, "w") as out:
        made = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    text = log.read_text(errors="replace")
    if made.returncode:
        raise VmError("mmdebstrap failed:\n    " + "\n    ".join(text.splitlines()[-25:]))
    return root, text


def run_guest(argv, seconds):
    """Run QEMU until its guest powers off or reboots; False if the time runs out before."""
    guest = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL)
    try:
        return guest.wait(timeout=seconds) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        guest.kill()
        guest.wait()

# SPDX-License-Identifier: BSD-3-Clause
"""A folder with another Debian suite in it, to run that suite's compiler from."""

import os
import shutil
import subprocess
from pathlib import Path

from . import apt, image, report
from .report import VmError

# Bind what the build needs, then run it in there; all of it ends with the process.
ENTER = """
root=$1; top=$2; shift 2
mkdir -p "$root$top" "$root/proc" "$root/dev"
mount --rbind "$top" "$root$top" && mount --rbind /proc "$root/proc" &&
mount --rbind /dev "$root/dev" && exec chroot "$root" "$@"
"""


def make(suite: apt.Suite, packages, target: Path):
    """Unpack the packages and what they need into target; no root is needed."""
    report.progress(f"making a chroot of {suite.name} with {', '.join(packages)}")
    sources = target.with_name("chroot.list")
    sources.write_text(suite.sources())
    log = target.with_name("chroot.log")
    target.mkdir()
    argv = [report.need("mmdebstrap", "mmdebstrap"), "--format=tar", "--variant=apt",
            f"--architectures={suite.arch}", f"--include={','.join(packages)}"]
    argv += image.APT_OPTIONS + [f"--dpkgopt=path-exclude={p}" for p in image.EXCLUDE]
    with open(log, "w") as out:
        maker = subprocess.Popen(argv + [suite.name, "-", str(sources)], stdout=subprocess.PIPE,
                                 stdin=subprocess.DEVNULL, stderr=out)
        unpacked = subprocess.run(["tar", "-x", "-C", str(target), "--exclude=./dev/*"],
                                  stdin=maker.stdout, stderr=out)
    if maker.wait() or unpacked.returncode:
        tail = "\n    ".join(log.read_text(errors="replace").splitlines()[-15:])
        raise VmError(f"making the chroot of {suite.name} failed:\n    {tail}")


def command(root: Path, top: Path, argv):
    """The command line that runs argv in the chroot, with the folder top shown in it."""
    if not shutil.which("unshare"):
        raise VmError("unshare is not installed: apt install util-linux")
    unshare = ["unshare", "--mount"]
    if os.geteuid() != 0:
        unshare.append("--map-root-user")
    return unshare + ["sh", "-c", ENTER, "sh", str(root), str(top)] + [str(a) for a in argv]

# SPDX-License-Identifier: BSD-3-Clause
"""The guest's clock: how fast its time stamp counter runs.

An x86 guest measures that at boot against an emulated timer. On a busy machine
it can be wrong by a factor, and so would be all of its time. Under TCG the
counter is the host's own (with --icount, a nanosecond a tick): the guest is told.
"""

import os
import subprocess
from pathlib import Path

from . import initramfs, paths

ICOUNT_KHZ = 1000000


def append(kernel, accel, icount):
    """Words for the kernel's command line."""
    if kernel.arch != "amd64" or os.uname().machine != "x86_64" or accel != "tcg":
        return ""
    khz = ICOUNT_KHZ if icount else _host_khz()
    return f" tsc_early_khz={khz}" if khz else ""


def _host_khz():
    """Measured once for each start of the machine."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    known = paths.cache_dir() / "clock" / boot
    with paths.locked(known.parent / ".lock"):
        if not known.exists():
            res = subprocess.run([str(initramfs.guest_init("amd64"))], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, text=True)
            if res.returncode or not res.stdout.strip().isdigit():
                return None
            known.write_text(res.stdout)
        return int(known.read_text())

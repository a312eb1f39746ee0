# SPDX-License-Identifier: BSD-3-Clause
"""TCG or KVM: /dev/kvm being there does not mean that it runs a stock kernel.

So a probe boots the kernel once under KVM, into an init that powers off at
once. What came of it is remembered until the machine is started anew.
"""

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from . import initramfs, paths, report
from .machine import Machine

HOST = {"x86_64": "amd64", "aarch64": "arm64"}
PROBE_S = 20
# Given to init as its first argument; see main() in vm/guest/init.c.
PROBE_WORD = "vm-probe"


def choose(kernel, wish):
    """The accelerator for this guest."""
    if wish != "auto":
        return wish
    if HOST.get(os.uname().machine) != kernel.arch or not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    return "kvm" if _works(kernel) else "tcg"


def _works(kernel):
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    key = hashlib.sha256(f"{boot}{kernel.root}{os.geteuid()}".encode()).hexdigest()[:16]
    known = paths.cache_dir() / "kvm" / key
    with paths.locked(known.parent / ".lock"):
        if not known.exists():
            report.progress("probing whether KVM works here")
            works = _probe(kernel)
            report.progress("KVM works" if works else "KVM does not work here, using TCG")
            known.write_text("works\n" if works else "fails\n")
        return known.read_text() == "works\n"


def _probe(kernel):
    """Whether the kernel boots under KVM and powers off."""
    with tempfile.TemporaryDirectory(prefix="vm-probe-") as tmp:
        log = Path(tmp) / "log"
        machine = Machine(kernel, smp=2, mem=512, accel="kvm")
        initramfs.build(kernel, [], [], Path(tmp) / "initramfs")
        machine.initramfs(Path(tmp) / "initramfs")
        machine.kernel_log(log)
        machine.append += f" {PROBE_WORD}"
        try:
            res = subprocess.run(machine.command(), stdin=subprocess.DEVNULL, timeout=PROBE_S,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return False
        return res.returncode == 0 and "Power down" in log.read_text(errors="replace")

# SPDX-License-Identifier: BSD-3-Clause
"""Modules that a test needs: the kernel's own, or those of vm/lib/vmtool/aid.py."""

from pathlib import Path


def _loaded(name):
    return Path("/sys/module", name.replace("-", "_")).exists()


def load(t, name):
    """Load a module, which is unloaded after the test; skips where there is none."""
    if _loaded(name):
        return
    t.run("modprobe", name, status=None)
    if t.last_status == 0:
        if _loaded(name):  # else it is built in
            t.at_end(t.run, "modprobe", "-r", name)
        return
    ko = t.top / "build/aids" / t.kernel / f"{name}.ko"
    if not ko.exists():
        t.skip(f"the kernel has no {name}, and it was not built for the tests")
    own = t.run("modinfo", "-F", "name", ko).strip()
    if _loaded(own):
        return
    for needed in t.run("modinfo", "-F", "depends", ko).strip().split(","):
        if needed:
            t.run("modprobe", needed)
    t.run("insmod", ko)
    t.at_end(t.run, "rmmod", own)

# SPDX-License-Identifier: BSD-3-Clause
"""Modules that a test needs: the kernel's own, or those of vm/lib/vmtool/aid.py."""

from pathlib import Path


def _loaded(name):
    return Path("/sys/module", name.replace("-", "_")).exists()


def _built(t, name):
    ko = t.top / "build/aids" / t.kernel / f"{name}.ko"
    if not ko.exists():
        t.skip(f"the kernel has no {name}, and it was not built for the tests")
    return ko


def load(t, name):
    """Load a module, which is unloaded after the test; skips where there is none."""
    if _loaded(name):
        return
    t.run("modprobe", name, status=None)
    if t.last_status == 0:
        if _loaded(name):  # else it is built in
            t.at_end(t.run, "modprobe", "-r", name)
        return
    ko = _built(t, name)
    own = t.run("modinfo", "-F", "name", ko).strip()
    if _loaded(own):
        return
    for needed in t.run("modinfo", "-F", "depends", ko).strip().split(","):
        if needed:
            t.run("modprobe", needed)
    t.run("insmod", ko)
    t.at_end(t.run, "rmmod", own)


def by_name(t, name):
    """Have modprobe know a module that was built for the tests, for commands that load it."""
    t.run("modprobe", "-n", name, status=None)
    if t.last_status == 0:
        return
    ko = _built(t, name)
    needed = [n for n in t.run("modinfo", "-F", "depends", ko).strip().split(",") if n]
    conf = Path("/etc/modprobe.d") / f"{name}.conf"
    conf.parent.mkdir(exist_ok=True)
    conf.write_text(f"install {name} modprobe -a {' '.join(needed)} && insmod {ko}\n" if needed
                    else f"install {name} insmod {ko}\n")
    t.at_end(conf.unlink)
    own = t.run("modinfo", "-F", "name", ko).strip()
    t.at_end(lambda: t.run("rmmod", own) if _loaded(own) else None)

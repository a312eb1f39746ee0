# SPDX-License-Identifier: BSD-3-Clause
"""Drivers that tests need and a kernel does not have: test aids.

vm/kernels/K names them (aids). Most are the kernel's own that Debian leaves out, of the source
package that is named there too (aid-source): nothing of them becomes part of the project. The
others are the tests' (tests/vm/module). They are built when tests or demonstrations are prepared:

    CACHE/aids/...            as they were built, keyed by kernel, source and recipe
    build/aids/K/NAME.ko      for the guest, which does not load them by itself: a test does
"""

import hashlib
import re
import shutil
from dataclasses import dataclass

from . import chroot, module, paths, report, source


@dataclass
class Recipe:
    """
    Files that make one module, and what has to be changed in them; of the kernel's tree, or our
    own.
    """
    files: tuple
    edits: tuple = ()
    own: bool = False

    def key(self, kernel):
        """Of this the module is made."""
        if self.own:
            return "".join((paths.TOP / file).read_text() for file in self.files)
        return f"{kernel.desc['aid-source']} {self}"


RECIPES = {
    "gpio-virtio": Recipe(("drivers/gpio/gpio-virtio.c",)),
    "i2c-virtio": Recipe(("drivers/i2c/busses/i2c-virtio.c",)),
    # Mainline's driver, to compare ours with.
    "virtio_can": Recipe(("drivers/net/can/virtio_can.c",)),
    # Debian's kernel has no interrupt simulator, so it becomes part of the module; irq_to_desc()
    # is not exported to modules.
    "gpio-sim": Recipe(("drivers/gpio/gpio-sim.c", "kernel/irq/irq_sim.c"),
                       ((r"irq_to_desc\((\w+)\)", r"irq_data_to_desc(irq_get_irq_data(\1))"),)),
    "vlb_late": Recipe(("tests/vm/module/vlb_late.c",), own=True),
}


def names(kernel):
    return kernel.desc.get("aids", "").split()


def folder(kernel):
    """Where the guest finds them."""
    return paths.BUILD / "aids" / kernel.name


def _cached(kernel, name):
    key = hashlib.sha256(
        f"{kernel.version} {RECIPES[name].key(kernel)}".encode()).hexdigest()
    return paths.cache_dir() / "aids" / kernel.name / f"{name}-{key[:12]}.ko"


def build(kernel):
    """Have the aids of this kernel in place. What needs one that cannot be had is skipped."""
    cached = {name: _cached(kernel, name) for name in names(kernel)}
    if not cached:
        return
    try:
        with paths.locked(paths.cache_dir() / "aids" / f".{kernel.name}.lock"):
            missing = [name for name, ko in cached.items() if not ko.exists()]
            if missing:
                _make(kernel, missing, cached)
    except report.VmError as e:
        report.progress(f"{kernel.name}: {', '.join(missing)} cannot be built, tests that need "
                        f"them are skipped: {e}")
        return
    folder(kernel).mkdir(parents=True, exist_ok=True)
    for name, ko in cached.items():
        target = folder(kernel) / f"{name}.ko"
        if not target.exists() or target.stat().st_mtime != ko.stat().st_mtime:
            shutil.copy2(ko, target)


def _make(kernel, missing, cached):
    # Below the checkout: a chroot shows nothing else.
    work = paths.BUILD / "aids" / f".{kernel.name}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        files = [file for name in missing for file in RECIPES[name].files
                 if not RECIPES[name].own]
        if files:
            source.take(files, work / "tree", kernel.desc["aid-source"], kernel.desc["suite"])
        for name in missing:
            tree = paths.TOP if RECIPES[name].own else work / "tree"
            ko = _compile(kernel, name, tree, work / name)
            cached[name].parent.mkdir(parents=True, exist_ok=True)
            partial = cached[name].with_suffix(".new")
            shutil.copy2(ko, partial)
            partial.rename(cached[name])
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _compile(kernel, name, tree, work):
    work.mkdir()
    objects = []
    for path in RECIPES[name].files:
        text = (tree / path).read_text()
        for pattern, replacement in RECIPES[name].edits:
            text = re.sub(pattern, replacement, text)
        file = work / path.rsplit("/", 1)[-1]
        file.write_text(text)
        objects.append(file.stem + ".o")
    target, kbuild = work / f"{name}.ko", f"obj-m += {objects[0]}\n"
    if len(objects) > 1:
        target = work / f"{name}-aid.ko"
        kbuild = f"obj-m += {name}-aid.o\n{name}-aid-y := {' '.join(objects)}\n"
    (work / "Kbuild").write_text(kbuild)
    report.progress(f"{kernel.name}: building {name}, which tests need")
    argv = [a for a in module.make_command(kernel, work) if a != "W=1"] + ["modules"]
    if kernel.chroot:
        argv = chroot.command(kernel.chroot, paths.TOP, argv)
    report.run(argv, f"the build of {name}")
    return target

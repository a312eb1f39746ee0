# SPDX-License-Identifier: BSD-3-Clause
"""Modules that a Debian kernel leaves out, built from the source package of its series.

vm/kernels/K names the folders of the kernel's tree (extra) and the options that
their Makefiles look at (extra-options). Nothing of it becomes part of the project.
"""

import shutil

from . import module, paths, report, source


def ready(kernel):
    return "extra" not in kernel.desc or (kernel.modules / "extra").exists()


def build(kernel):
    """Build them and put them next to the kernel's own modules."""
    folders = kernel.desc["extra"].split()
    options = kernel.desc["extra-options"].split()
    work = kernel.root / "extra"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    source.take(folders, work)
    (work / "Kbuild").write_text("".join(f"obj-y += {f}/\n" for f in folders))
    report.progress(f"{kernel.name}: building {', '.join(folders)}")
    argv = module.make_command(kernel, work) + [f"CONFIG_{o}=m" for o in options] + ["modules"]
    report.run([a for a in argv if a != "W=1"], f"the build of {', '.join(folders)}")
    new = kernel.modules / "extra.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    for ko in work.rglob("*.ko"):
        shutil.copy2(ko, new)
    # depmod -b wants the tree at lib/modules/RELEASE.
    base = work / "depmod/lib/modules"
    base.mkdir(parents=True)
    new.rename(kernel.modules / "extra")
    try:
        (base / kernel.release).symlink_to(kernel.modules)
        report.run([report.need("depmod", "kmod"), "-b", work / "depmod", kernel.release], "depmod")
    except Exception:
        shutil.rmtree(kernel.modules / "extra")
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)

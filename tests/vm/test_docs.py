# SPDX-License-Identifier: BSD-3-Clause
"""The documents are true: their commands are run, and so is what make demo shows."""

import importlib.machinery
import importlib.util
from pathlib import Path

from harness import test
from viewers import XServer

TOP = Path(__file__).resolve().parents[2]


def load(path):
    """docs-check is a program; its functions are used here as well."""
    loader = importlib.machinery.SourceFileLoader("docs_check", str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("docs_check", loader))
    loader.exec_module(module)
    return module


docs_check = load(TOP / "tests/docs-check")
WITH_COMMANDS = {name: {"name": name} for name in docs_check.documents()
                 if any(block.runs() for block in docs_check.blocks((TOP / name).read_text()))}


# What documents and demonstrations take for granted, and Debian's kernel has not.
MODULES = {"gpio": ("gpio-sim", "gpio-virtio")}


@test(kernels=("debian-6.12",), timeout=120, tags=("docs",), cases=WITH_COMMANDS)
def commands(t, name):
    """One session for each document; bash names the line that fails."""
    for module in MODULES.get(Path(name).stem, ()):
        t.module(module)
    if Path(name).stem == "gpu":
        XServer(t)  # it shows a window
    session = t.tmp / name.replace("/", "-")
    session.write_text(docs_check.script((TOP / name).read_text()))
    t.at_end(t.run, "virtio-loopback", "detach", "--all", "--force", timeout=60)
    t.run("bash", "-eux", "-o", "pipefail", session, timeout=100)
    t.equal(t.devices(), [], f"devices after the commands of {name}")


DEVICES = ("blk", "rng", "console", "gpio", "input", "can", "sound", "gpu")


@test(kernels=("debian-6.12",), timeout=120, tags=("docs",), cases={d: {"device": d} for d in DEVICES})
def demonstration(t, device):
    """What make demo shows; its own steps say what they expected."""
    t.at_end(t.run, "virtio-loopback", "detach", "--all", "--force", timeout=60)
    for module in MODULES.get(device, ()):
        t.module(module)
    said = t.run(t.top / "demo" / device, timeout=100)
    t.check("FAILED" not in said, "expected no step that failed, saw one")
    if device == "blk":
        t.equal(said.count("look for the file in the image itself: the same sum"), 2,
                "back-ends whose image held what was written")
    t.equal(t.devices(), [], "devices after the demonstration")

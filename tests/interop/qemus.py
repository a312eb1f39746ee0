# SPDX-License-Identifier: BSD-3-Clause
"""QEMU for the interop tests: the machine's own, or that of another Debian suite in a chroot."""

import hashlib
import json
import re
import subprocess

from vmtool import apt, chroot, paths

PACKAGE, PROGRAM = "qemu-system-x86", "qemu-system-x86_64"


def fetch(suite):
    """The folder with that suite's QEMU in it, made where it is missing."""
    archive = apt.Suite(suite)
    archive.update()
    version = archive.show(PACKAGE, "Version")
    key = hashlib.sha256(f"{PACKAGE} {version}".encode()).hexdigest()[:12]
    root = paths.cache_dir() / "qemu" / f"{suite}-{key}"
    with paths.locked(root.parent / f".{suite}.lock"):
        if not root.exists():
            root.parent.mkdir(parents=True, exist_ok=True)
            with paths.published(root) as work:
                chroot.make(archive, [PACKAGE], work / "root")
    return root / "root"


def command(root, folder, words):
    """The command line of QEMU with these words; @folder is where its sockets are."""
    argv = [PROGRAM, *(str(w) for w in words)]
    return chroot.command(root, folder, argv) if root else argv


def tell(root, folder, device, driven):
    """A row of docs/interop.md, for whoever started this: see tests/lib/interop.py."""
    print("VLB-PEER", json.dumps({"peer": "QEMU", "version": version(root, folder) or "?",
                                  "side": "front-end", "device": device, "driven": driven}))


def version(root, folder):
    found = re.search(r"version (\d+\.\d+\.\d+)", ask(root, folder, "-version"))
    return found[1] if found else ""


def reconnect(root, folder):
    """The words after a socket's path by which QEMU connects to it again, each second."""
    numbers = [int(n) for n in version(root, folder).split(".")]
    return "reconnect-ms=1000" if numbers >= [9, 2] else "reconnect=1"


def ask(root, folder, *words):
    """What QEMU says to such a question as -version or -device help."""
    got = subprocess.run(command(root, folder, words), stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return got.stdout

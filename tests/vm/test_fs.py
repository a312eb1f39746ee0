# SPDX-License-Identifier: BSD-3-Clause
"""virtio-fs on the machine itself: both virtiofsd, that of QEMU 7.2 and the newest of Debian's.

The folder that is shared lies beside: what is done on the mount is looked for there too.
"""

import os
import shutil
from pathlib import Path

from fsstress import stress
from harness import Case, test
from peers import Newer

OLD = Path("/usr/lib/qemu/virtiofsd")
SECONDS = 8


class Shared:
    """A folder, a back-end that shows it, and the mount."""

    def __init__(self, t, kind, *words):
        self.t, self.newer = t, Newer(t)
        t.tmp.chmod(0o755)
        self.folder, self.mount = t.tmp / "shared", t.tmp / "mount"
        self.folder.mkdir()
        self.mount.mkdir()
        self.socket = t.tmp / "fs.sock"
        getattr(self, kind)(words)
        self.device = t.attach("fs", "--tag", "interop", socket=self.socket)
        t.run("mount", "-t", "virtiofs", "interop", self.mount)
        t.at_end(t.run, "sh", "-c", f"umount {self.mount} 2>/dev/null", status=None)

    def new(self, words):
        self.t.peer("virtiofsd", self.newer.version("virtiofsd"), "fs")
        self.process = self.newer.backend(
            self.socket, "/usr/libexec/virtiofsd", "--socket-path", str(self.socket),
            "--shared-dir", str(self.folder), "--xattr", *words)

    def old(self, _):
        if not OLD.exists():
            self.t.skip(f"{OLD} is not in the guest")
        said = self.t.run("qemu-storage-daemon", "--version").split()
        self.t.peer("virtiofsd of QEMU", said[2], "fs")
        self.process = self.t.backend(OLD, "--socket-path={socket}", "-f", "-o",
                                      f"source={self.folder}", "-o", "xattr", "-o", "cache=auto",
                                      socket=self.socket)

    def end(self):
        self.t.run("umount", self.mount)
        self.device.detach()
        self.process.wait(20)  # it ends with its only front-end


KINDS = {"virtiofsd": {"kind": "new"}, "qemu": {"kind": "old"}}


@test(timeout=120, tier="interop", kernels=("debian-6.12",), tags=("fs",), cases=KINDS)
def load(t, kind):
    """A file in every way (fsx), then names and files by three processes at once, compared on both sides."""
    fs = Shared(t, kind)
    t.run("fsx", fs.mount / "fsx", SECONDS, timeout=60)
    t.run("cmp", fs.mount / "fsx", fs.folder / "fsx")
    done = stress(fs.mount, fs.folder, SECONDS)
    t.log(f"{done} operations")
    t.check(done > 300, f"expected more than 300 operations in {SECONDS} s, saw {done}")
    t.run("diff", "-r", "--no-dereference", fs.mount, fs.folder, timeout=60)
    fs.end()


def sources(t, folder):
    """A repository of the project's own code, with what builds a part of it."""
    for name in ("src/vhost-user", "src/common", "include/uapi/linux"):
        shutil.copytree(t.top / name, folder / name)
    shutil.copy(t.top / "tests/vm/programs/fsx.c", folder / "fsx.c")
    (folder / "Makefile").write_text("""\
OBJECTS = $(patsubst %.c,%.o,$(wildcard src/vhost-user/*.c) src/common/deadline.c)
CFLAGS = -std=gnu11 -D_GNU_SOURCE -O1 -Isrc -Iinclude/uapi
all: fsx codec.a
fsx: fsx.c
codec.a: $(OBJECTS)
\tar rcs $@ $^
""")


@test(timeout=300, tier="interop", kernels=("debian-6.12",), tags=("fs",),
      cases={name: Case(args) for name, args in KINDS.items()})
def build(t, kind):
    """A git repository is made elsewhere, cloned onto the mount, built there, and found sound."""
    fs = Shared(t, kind)
    newer, origin, clone = fs.newer, t.tmp / "origin", fs.mount / "clone"
    origin.mkdir()
    sources(t, origin)
    git = ("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-c",
           "safe.directory=*", "-c", "init.defaultBranch=main")
    newer.run(*git, "-C", str(origin), "init", "-q")
    newer.run(*git, "-C", str(origin), "add", "-A")
    newer.run(*git, "-C", str(origin), "commit", "-q", "-m", "sources")
    newer.run(*git, "clone", "-q", "--no-local", str(origin), str(clone), timeout=90)
    newer.run(*git, "-C", str(clone), "fsck", "--full", timeout=60)
    t.run("diff", "-r", "--exclude=.git", origin, clone)
    newer.run("make", "-C", str(clone), "-j2", timeout=200)
    t.check((fs.folder / "clone/codec.a").stat().st_size > 10000, "expected a library, saw none")
    newer.run(str(clone / "fsx"), str(clone / "data"), "2", timeout=60)
    newer.run("make", "-C", str(clone), "-q", timeout=60)
    t.equal(newer.run(*git, "-C", str(clone), "status", "--porcelain", "--untracked-files=no",
                      timeout=60), "", "git status")
    t.run("diff", "-r", clone, fs.folder / "clone", timeout=60)
    os.sync()
    fs.end()

# SPDX-License-Identifier: BSD-3-Clause
"""Peers of a newer Debian, and what drives them: a root file system that the guest mounts.

tests/interop/debian-peers makes it before the guest boots; where it could not, the tests are skipped. A
program of it runs with that root as its own, and with the guest's /dev, /proc, /sys, /run and /tmp. The root
is changed by pivot_root: a process under chroot may not make the user namespaces that sandboxes are made of.
"""

import json
from pathlib import Path

BUILD = Path(__file__).resolve().parents[2] / "build/peers"

ENTER = """
root=$1; shift
for folder in dev proc sys run tmp; do mount --rbind /$folder "$root/$folder" || exit 70; done
cd "$root" && pivot_root . mnt && cd / && exec "$@"
"""


class Newer:
    """That root, mounted for one test."""

    def __init__(self, t):
        squashfs, why = BUILD / "debian.squashfs", BUILD / "debian.why"
        if why.exists() or not squashfs.exists():
            t.skip(f"no peers of a newer Debian: "
                   f"{why.read_text().strip() if why.exists() else 'they were not fetched'}")
        self.t, self.root = t, t.tmp / "newer/root"
        self.versions = json.loads((BUILD / "debian.json").read_text())
        self._mount(t.tmp / "newer", squashfs)

    def _mount(self, folder, squashfs):
        """The root may be written to, and what is written there is forgotten."""
        self.t.run("modprobe", "-a", "loop", "squashfs", "overlay")
        lower, changed = folder / "lower", folder / "changed"
        for path in (self.root, lower, changed):
            path.mkdir(parents=True)
        self._mount_one("-t", "squashfs", "-o", "loop,ro", squashfs, lower)
        self._mount_one("-t", "tmpfs", "-o", "mode=755", "changes", changed)
        for name in ("upper", "work"):
            (changed / name).mkdir(mode=0o755)
        self._mount_one("-t", "overlay", "-o", f"lowerdir={lower},upperdir={changed}/upper,"
                        f"workdir={changed}/work", "newer", self.root)

    def _mount_one(self, *words):
        self.t.run("mount", *words)
        self.t.at_end(self.t.run, "umount", "-l", words[-1])

    def version(self, package):
        """As the authors count, without Debian's own counting: an epoch and a revision."""
        return self.versions[package].split(":")[-1].rsplit("-", 1)[0]

    def words(self, *argv, netns=None):
        """The command line that runs a program of that root, in a network namespace by its name."""
        enter = ["unshare", "--mount", "sh", "-c", ENTER, "sh", self.root]
        return (["ip", "netns", "exec", netns] if netns else []) + enter + list(argv)

    def run(self, *argv, netns=None, **kw):
        return self.t.run(*self.words(*argv, netns=netns), **kw)

    def start(self, *argv, netns=None, **kw):
        return self.t.start(*self.words(*argv, netns=netns), **kw)

    def backend(self, socket, *argv, netns=None, ready=20):
        """A program that listens at that socket, started."""
        process = self.start(*argv, netns=netns)
        process.socket = Path(socket)
        self.t.within(ready, lambda: process.listens(socket) or not process.alive(),
                      f"{argv[0]} to listen at {socket}")
        self.t.check(process.alive(), f"{argv[0]} ended at once: {process.said()[-400:]}")
        return process


class Namespace:
    """A network namespace with an interface of the machine's moved into it."""

    def __init__(self, t, name, interface=None):
        self.t, self.name = t, name
        t.run("ip", "netns", "add", name)
        t.at_end(t.run, "ip", "netns", "delete", name)
        self.ip("link", "set", "lo", "up")
        if interface:
            t.run("ip", "link", "set", interface, "netns", name)

    def ip(self, *words):
        return self.t.run("ip", "-n", self.name, *words)

    def read(self, path):
        """A file as it is seen there; sysfs shows the interfaces of whoever mounted it."""
        return self.t.run("ip", "netns", "exec", self.name, "cat", path).strip()



# SPDX-License-Identifier: BSD-3-Clause
"""What the kernel has to say after a test: complaints, stuck processes, left-overs."""

import os
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "vm" / "lib"))

from vmtool import complaints  # noqa: E402

MODULE = Path("/sys/module/virtio_loopback")


class Log:
    """The kernel's log from now on."""

    def __init__(self):
        self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(self.fd, 0, os.SEEK_END)
        self.kept = []

    def read(self):
        """The lines that have come since the last call."""
        self.keep()
        lines, self.kept = self.kept, []
        return lines

    def keep(self):
        """Take in what is there, before the kernel overwrites it."""
        while True:
            try:
                record = os.read(self.fd, 16384).decode(errors="replace")
            except BlockingIOError:
                return
            except BrokenPipeError:
                # Overwritten before we came to it.
                continue
            head, _, text = record.partition(";")
            if int(head.split(",")[0]) >> 3:
                # Not the kernel's own: somebody wrote to /dev/kmsg.
                continue
            stamp = int(head.split(",")[2]) / 1e6
            self.kept.append(f"[{stamp:12.6f}] {text.splitlines()[0]}")

    def say(self, text):
        with open("/dev/kmsg", "w") as f:
            f.write(f"test: {text}\n")


def complaints_in(lines):
    return complaints.find("\n".join(lines))


def _stat(pid):
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    name, rest = re.match(r"\d+ \((.*)\) (.*)", text, re.S).groups()
    fields = rest.split()
    return {"name": name, "state": fields[0], "flags": int(fields[6])}


def _blocked_now():
    """The threads of user space in uninterruptible sleep."""
    found = set()
    for task in Path("/proc").glob("[0-9]*/task/[0-9]*"):
        stat = _stat(f"{task.parts[2]}/task/{task.parts[4]}")
        if stat and stat["state"] == "D" and not stat["flags"] & 0x00200000:  # PF_KTHREAD
            found.add((int(task.parts[4]), stat["name"]))
    return found


def blocked(patience):
    """The threads that stay in D state for as long as patience lasts."""
    stuck = _blocked_now()
    limit = time.monotonic() + patience
    while stuck and time.monotonic() < limit:
        time.sleep(0.1)
        stuck &= _blocked_now()
    return sorted(stuck)


def stack(pid):
    try:
        return Path(f"/proc/{pid}/stack").read_text()
    except OSError:
        return ""


def sysrq(key):
    Path("/proc/sysrq-trigger").write_text(key)


def module_users(patience):
    """How many still hold the module, after waiting for teardown to run its course."""
    limit = time.monotonic() + patience
    while True:
        try:
            users = int((MODULE / "refcnt").read_text())
        except FileNotFoundError:
            return 0
        if users == 0 or time.monotonic() > limit:
            return users
        time.sleep(0.05)


class Counters:
    """Kernel-side numbers that must come back to what they were."""

    def __init__(self):
        self.values = self.read()

    @staticmethod
    def read():
        values = {"virtio devices": len(list(Path("/sys/bus/virtio/devices").glob("*"))),
                  "block devices": len(list(Path("/sys/block").glob("*"))),
                  "open files": int(Path("/proc/sys/fs/file-nr").read_text().split()[0])}
        for line in Path("/proc/meminfo").read_text().splitlines():
            key, _, rest = line.partition(":")
            if key in ("Slab", "VmallocUsed", "Unevictable", "Mlocked", "Shmem", "Percpu"):
                values[key + " (KiB)"] = int(rest.split()[0])
        return values

    def growth(self, slack):
        """What has grown by more than the slack allows: {name: (before, after)}."""
        now = self.read()
        return {k: (v, now[k]) for k, v in self.values.items()
                if now[k] > v + slack.get(k, 0)}

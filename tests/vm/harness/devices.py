# SPDX-License-Identifier: BSD-3-Clause
"""Attaching and detaching by the command that people use."""

import json
import subprocess
from pathlib import Path

from .result import Failed

STATE = Path("/run/virtio-loopback")
SERVICE = 4242  # id of the packages' user and group


def make_service_user():
    """The user whom adapters become, and its group, as the packages bring them."""
    for file, line in (("passwd", f"virtio-loopback:x:{SERVICE}:{SERVICE}::/:/usr/sbin/nologin\n"),
                       ("group", f"virtio-loopback:x:{SERVICE}:\n")):
        path = Path("/etc") / file
        text = path.read_text()
        if "\nvirtio-loopback:" not in text:
            path.write_text(text + line)


class Device:
    """What `virtio-loopback attach` reported."""

    def __init__(self, t, line):
        self.t, self.line = t, line
        words = line.split()
        if len(words) < 2:
            raise Failed(f"attach: expected 'NAME virtioN NODE…', saw {line!r}")
        self.name, self.virtio, self.nodes = words[0], words[1], words[2:]

    @property
    def node(self):
        if not self.nodes:
            raise Failed(f"attach reported no node: {self.line!r}")
        return self.nodes[0]

    def info(self):
        """Its entry of `virtio-loopback list --json`."""
        for entry in listing(self.t):
            if entry["name"] == self.name:
                return entry
        return None

    def detach(self, *args, status=0, timeout=35):
        return self.t.run("virtio-loopback", "detach", self.name, *args, status=status,
                          timeout=timeout)

    def _at_end(self):
        if self.info() is not None:
            self.t.run("virtio-loopback", "detach", self.name, "--force", timeout=35)


def attach(t, kind, *args, socket=None, exec=None, name=None, queues=None, queue_size=None,
           pool=None, reconnect=None, timeout=30):
    """Attach a device; it is detached by force at the end if the test has not done so."""
    argv = ["virtio-loopback", "attach", "--type", kind]
    for option, value in (("--name", name), ("--socket", socket), ("--exec", exec),
                          ("--queues", queues), ("--queue-size", queue_size), ("--pool", pool),
                          ("--reconnect", reconnect)):
        if value is not None:
            argv += [option, str(value)]
    out = t.run(*argv, *args, timeout=timeout)
    device = Device(t, (out.strip().splitlines() or [""])[-1])
    t.at_end(device._at_end)
    return device


def listing(t):
    """The devices that are attached: the array of `virtio-loopback list --json`."""
    out = t.run("virtio-loopback", "list", "--json")
    try:
        return json.loads(out)
    except ValueError as e:
        raise Failed(f"virtio-loopback list --json: no JSON ({e}): {out[:200]!r}") from None


def forgotten():
    """The names of devices that are still there after a test, where the command exists."""
    try:
        out = subprocess.run(["virtio-loopback", "list", "--json"], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, timeout=60)
    except FileNotFoundError:
        return []
    except subprocess.TimeoutExpired:
        return ["(virtio-loopback list does not answer)"]
    try:
        return [entry["name"] for entry in json.loads(out.stdout)]
    except (ValueError, TypeError, KeyError):
        return [f"(virtio-loopback list --json said {out.stdout[:100]!r})"]


def remove_logs():
    """Of devices that failed: between tests there is no device whose log could be of use."""
    for log in STATE.glob("*.log"):
        log.unlink(missing_ok=True)


def detach_all():
    subprocess.run(["virtio-loopback", "detach", "--all", "--force"], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=120)

# SPDX-License-Identifier: BSD-3-Clause
"""doctor on a running kernel: what it finds is so, and the command that it names mends it.

tests/unit/test-doctor.c has the faults that cannot be planted in a guest.
"""

import json
import os
import shutil
import signal
from pathlib import Path

from disks import MIB
from harness import test

NODE = Path("/dev/virtio-loopback")
STATE = Path("/run/virtio-loopback")
CONFIGS = Path("/etc/virtio-loopback")
MODPROBE = Path("/etc/modprobe.d/planted.conf")


def examine(t):
    """What is bad, and what mends it."""
    out = t.run("virtio-loopback", "doctor", "--json", status=None)
    t.check(t.last_status in (0, 1), f"doctor: expected exit status 0 or 1, saw {t.last_status}")
    said = json.loads(out)
    bad = [(f["check"], f["text"], f["remedy"]) for f in said["findings"] if f["level"] == "bad"]
    t.equal((said["ok"], t.last_status), (not bad, 1 if bad else 0), "ok, and the exit status")
    return bad


def sound(t):
    t.equal(examine(t), [], "what is bad in a sound guest")


def begin(t):
    """Without what other tests configured."""
    shutil.rmtree(CONFIGS, ignore_errors=True)
    CONFIGS.mkdir()
    sound(t)


def mended(t, check, text, remedy=None):
    """One fault more than none; its remedy, or this one, ends it."""
    bad = examine(t)
    t.equal(len(bad), 1, f"faults found, {bad}")
    t.check(bad[0][0] == check and text in bad[0][1], f"expected {check}: {text}, saw {bad[0]}")
    t.check(bad[0][2], f"expected a remedy for {bad[0]}")
    t.run("sh", "-c", remedy or bad[0][2])
    sound(t)


@test(timeout=60, tags=("doctor",))
def node_and_state(t):
    begin(t)
    mode = NODE.stat().st_mode & 0o777
    t.at_end(NODE.chmod, mode)
    NODE.chmod(0o666)
    mended(t, "access", "everybody may open")
    t.run("virtio-loopback", "list")
    t.run("virtio-loopback", "attach", "--type", "rng", "--exec", "vhost-user-rng", "--name", "any")
    t.run("virtio-loopback", "detach", "any", timeout=35)
    t.at_end(STATE.chmod, STATE.stat().st_mode & 0o7777)
    STATE.chmod(0o777)
    mended(t, "access", "others may change the state")
    MODPROBE.parent.mkdir(exist_ok=True)
    MODPROBE.write_text("install virtio_loopback /bin/false\n")
    t.at_end(MODPROBE.unlink)
    mended(t, "module", "keeps modprobe from loading it")


@test(timeout=60, tags=("doctor",), tier="long")
def configs(t):
    begin(t)
    conf = CONFIGS / "planted.conf"
    t.at_end(conf.unlink)
    conf.write_text("[device]\ntype = rng\nexec = /bin/true\npol = 4M\n")
    mended(t, "config", f"{conf}:4: pol: there is no such setting", f"sed -i 4d {conf}")
    conf.write_text("[device]\ntype = rng\nexec = vhost-user-none\n")
    mended(t, "config", "there is no program vhost-user-none",
           f"sed -i 's,vhost-user-none,/bin/true,' {conf}")
    conf.write_text("[device]\ntype = spi\nexec = /bin/true\n")
    mended(t, "drivers", "spi: the driver spi-virtio is not there", f"sed -i s/spi/rng/ {conf}")


@test(timeout=60, tags=("doctor",), tier="long")
def devices(t):
    """A device that waits for its back-end, and one that has lost its adapter."""
    begin(t)
    backend = t.backend("vhost-user-blk", "--image", t.image(4 * MIB))
    disk = t.attach("blk", socket=backend.socket, name="lost")
    backend.kill()
    t.within(10, lambda: disk.info()["state"] == "waiting", "the device waits")
    again = f"vhost-user-blk --socket-path {backend.socket} --image {t.image(4 * MIB)}"

    def start():
        t.start(*again.split())
        t.within(20, lambda: disk.info()["state"] == "running", "the device runs again")

    bad = examine(t)
    t.check(len(bad) == 1 and "waits for its back-end" in bad[0][1], f"one that waits, saw {bad}")
    start()
    sound(t)
    # the keeper first, or it starts another one
    state = dict(line.split("=", 1) for line in (STATE / "lost.state").read_text().splitlines())
    for process in ("keeper_pid", "adapter_pid"):
        os.kill(int(state[process]), signal.SIGKILL)
    t.within(10, lambda: disk.info()["state"] == "orphan", "the device has lost its adapter")
    mended(t, "devices", "lost has lost its adapter")
    t.equal(disk.info()["state"], "running", "state after the remedy")


@test(timeout=60, tags=("doctor",))
def limits_of_a_user(t):
    """What is missing to somebody who is not root."""
    user = ("prlimit", "--memlock=65536", "setpriv", "--reuid=4344", "--regid=4344",
            "--clear-groups", "--inh-caps=-all")
    out = t.run(*user, "virtio-loopback", "doctor", "--json", status=1)
    bad = {f["check"]: f for f in json.loads(out)["findings"] if f["level"] == "bad"}
    t.check("may lock 64 KiB" in bad["limits"]["text"], f"limits: saw {bad['limits']}")
    t.check("group" in bad["access"]["text"], f"access: saw {bad['access']}")

# SPDX-License-Identifier: BSD-3-Clause
"""A back-end that lies, stalls, closes or scribbles: its own device's loss, and nobody else's."""

import itertools
import json
import os
import shlex
import signal
import time
from pathlib import Path

from disks import KIB, MIB, Job, fio
from harness import USER_SPACE, Case, test

PLATFORM = Path("/sys/devices/platform")
STATE = Path("/run/virtio-loopback")
HANDSHAKE = ("GET_FEATURES", "GET_PROTOCOL_FEATURES", "GET_QUEUE_NUM", "SET_OWNER",
             "SET_BACKEND_REQ_FD", "GET_CONFIG", "SET_FEATURES", "SET_MEM_TABLE", "SET_VRING_NUM",
             "SET_VRING_BASE", "SET_VRING_ADDR", "SET_VRING_CALL", "SET_VRING_KICK",
             "SET_VRING_ENABLE")
ACTIONS = ("close", "ignore", "garbage 64", "short 6", "claim 0x7fffffff", "size 4000", "fds 8",
           "request 43", "flags 1", "stop")


def command(script, *options):
    return shlex.join(["hostile-backend", "--script", script, *map(str, options)])


def left_behind():
    """What an attach that failed, or a detach, must not leave."""
    left = [p.name for p in PLATFORM.glob("virtio-loopback.*")]
    left += [p.name for p in STATE.glob("*")] if STATE.exists() else []
    return left


def check_refused(t, script):
    """One clear line, a status that is not 0, nothing left, and all of it in time."""
    begin = time.monotonic()
    out = t.run("virtio-loopback", "attach", "--type", "blk", "--timeout", 1, "--exec",
                command(script), status=1, timeout=30)
    t.equal(len(out.strip().splitlines()), 1, f"{script}: lines of output")
    t.check(out.startswith("virtio-loopback: attach: "), f"{script}: saw {out!r}")
    t.equal(left_behind(), [], f"{script}: left behind")
    t.check(time.monotonic() - begin < 15 * t.slow, f"{script}: it took too long")


def slices():
    """Each step with each action in the long run; each step with two of them in check."""
    turn = itertools.cycle(ACTIONS)
    cases = {}
    for step in HANDSHAKE:
        few = (next(turn), next(turn))
        cases[step] = {"step": step, "actions": few}
        cases[f"{step}-all"] = Case({"step": step, "actions": ACTIONS}, tier="long")
    return cases


@test(timeout=240, kernels=USER_SPACE, tags=("hostile", "attach"), cases=slices())
def handshake(t, step, actions):
    for action in actions:
        check_refused(t, f"{step}: {action}")


LIES = {
    "refuses": ["SET_FEATURES: fail", "SET_MEM_TABLE: fail", "SET_VRING_ENABLE: fail"],
    "numbers": ["GET_QUEUE_NUM: value 0", "GET_FEATURES: value 0",
                "GET_PROTOCOL_FEATURES: value 0", "GET_PROTOCOL_FEATURES: value -1"],
    "channel": ["SET_MEM_TABLE: channel-garbage 64", "SET_OWNER: twice"],
}


@test(timeout=120, kernels=USER_SPACE, tags=("hostile", "attach"),
      cases={k: {"scripts": v} for k, v in LIES.items()})
def lies(t, scripts):
    for script in scripts:
        check_refused(t, script)


# What happens to a device that works, at its fifth kick or a completion, and whether the requests
# of then are lost.
RINGS = {
    "used-elements": "kick#5: scribble-used",
    "rings": "kick#5: scribble-rings",
    "pool": "kick#5: scribble-pool",
    "hole": "kick#5: punch",
    "calls": "kick#5: storm 200000",
    "used-index": "kick#5: used-jump 3000",
    "used-index-far": "kick#5: used-jump 40000",
    "descriptor": "kick#5: entry-move 0xffffffff00000000",
    "used-id-huge": "complete#6: used-id 0xffffffff",
    "used-id-other": "complete#6: used-id 7",
    "used-len-huge": "complete#6: used-len 0xffffffff",
    "used-len-zero": "complete#6: used-len 0",
    "used-twice": "complete#6: again",
    "never": "complete#6: drop",
    "stopped": "kick#5: stop",
    "closes": "complete#6: close",
}


# How often the back-end ends under one load
ENDS = 8


def load(t, node):
    """Reads at some depth, until they fail or are ended."""
    return t.start("sh", "-c", f"while dd if={node} of=/dev/null bs=64k iflag=direct; do :; done")


@test(timeout=120, tags=("hostile", "teardown"), cases={k: {"script": v} for k, v in RINGS.items()})
def rings(t, script):
    """Whatever is in the rings: detaching ends it, in time, and the next device works."""
    device = t.attach("blk", "--timeout", round(2 * t.slow), exec=command(script), reconnect="off")
    users = [load(t, device.node) for _ in range(4)]
    # until the harm is done: the device has failed, or its requests go nowhere, or nothing came of it
    stats = Path("/sys/block") / Path(device.node).name / "stat"
    before = -1
    limit = time.monotonic() + 3 * t.slow
    while time.monotonic() < limit:
        try:
            now = int(stats.read_text().split()[0])
        except OSError:
            break  # it has gone, and may at any moment
        if now == before:
            break
        before = now
        time.sleep(0.2)
    begin = time.monotonic()
    if device.info() is not None:
        # it may fail by itself at this very moment
        t.run("virtio-loopback", "detach", device.name, "--force", status=None, timeout=35)
    t.check(time.monotonic() - begin < 30 * t.slow, "detach took more than 30 s")
    t.within(5, lambda: not list(PLATFORM.glob("virtio-loopback.*")), "the device gone")
    for user in users:
        user.wait(10)
    again = t.attach("blk", exec=command(""), name="after")
    t.run("dd", "if=/dev/urandom", f"of={again.node}", "bs=1M", "count=4", "oflag=direct")
    again.detach()


@test(timeout=120, tags=("hostile", "teardown"), needs=("hostile-backend",))
def stalled_write(t):
    """A back-end of its own that holds its memfd's lock holds up no end, and nobody else's device."""
    sock = t.tmp / "stalled.sock"
    backend = t.start("hostile-backend", "--socket-path", sock, "--script", "kick#5: stall")
    t.within(10, sock.exists, "the back-end's socket")
    device = t.attach("blk", socket=sock, reconnect="off", name="stalled")
    reader = load(t, device.node)
    t.within(30, lambda: any("userfault" in Path(f"/proc/{backend.pid}/task/{task}/wchan").read_text()
                             for task in os.listdir(f"/proc/{backend.pid}/task")),
             "the write under way")
    begin = time.monotonic()
    device.detach("--force")
    t.check(time.monotonic() - begin < 30 * t.slow, "detach took more than 30 s")
    t.attach("blk", exec=command(""), name="another").detach()
    t.check(backend.alive(), "expected the back-end to be there all the time")
    reader.wait(10)


ORDERS = {
    "lifo": ["--order", "lifo", "--hold", 8],
    "random": ["--order", "random", "--hold", 8],
    "random-suppressed": ["--order", "random", "--hold", 8, "--suppress"],
    "late": ["--delay", 3, "--suppress"],
}


@test(timeout=120, tags=("hostile", "data"), needs=("fio",),
      cases={k: {"options": v} for k, v in ORDERS.items()})
def order(t, options):
    """A back-end that completes in another order and wants no kicks breaks no rule: data holds."""
    image = t.image(32 * MIB)
    device = t.attach("blk", exec=command("", "--image", image, "--queues", 2, *options))
    fio(t, device.node, [Job("libaio", "random", 4 * KIB, 16)], timeout=90)
    device.detach()


@test(timeout=240, tags=("hostile", "recovery"), needs=("fio",),
      cases={"killed": {"how": signal.SIGKILL}, "stopped": {"how": signal.SIGSTOP}})
def replay(t, how):
    """
    It keeps no in-flight record, completes out of order, wants no kicks, and ends again and again:
    by the kernel's record every request is carried out.
    """
    image = t.image(32 * MIB)
    words = command("", "--image", image, "--order", "random", "--hold", 8, "--suppress")
    device = t.attach("blk", "--timeout", 1, "--heartbeat", 1, exec=words, reconnect="forever")
    over = t.tmp / "over"
    once = shlex.join(["fio", "--name=replay", f"--filename={device.node}", "--rw=randwrite",
                       "--bs=4k", "--iodepth=32", "--ioengine=libaio", "--direct=1", "--size=4M",
                       "--verify=crc32c", "--verify_fatal=1", "--do_verify=1"])
    load = t.start("sh", "-c", f"until [ -e {over} ]; do {once} --randseed=$$ || exit 1; done")
    for n in range(ENDS):
        # at a moment of its own each time, while it serves
        time.sleep(0.3 + 0.13 * (n % 4))
        pid = t.within(15, lambda: backend_pid(t, device), "a back-end")
        os.kill(pid, how)
        t.within(15, lambda: backend_pid(t, device) not in (0, pid), "another back-end")
        t.check(load.alive(), f"fio after {n + 1} ends: it failed: {load.said()[-400:]}")
    over.touch()
    t.equal(load.wait(60), 0, f"fio after {ENDS} ends: status ({load.said()[-400:]})")
    device.detach()


def backend_pid(t, device):
    """0: there is none, or the adapter is busy with getting it back."""
    for line in t.run("virtio-loopback", "stats", device.name).splitlines():
        words = line.split()
        if words[:1] == ["backend_pid"]:
            return int(words[1])
    return 0


@test(timeout=90, tags=("hostile", "teardown"), needs=("forged-console",),
      cases={"free": {"what": "free", "back": 2}, "full": {"what": "full", "back": 2},
             "unused": {"what": "unused", "back": 0}})
def joined_buffers(t, what, back):
    """The device side joins a driver's buffers by their flags: the driver knows its own, and lets go."""
    t.run("modprobe", "virtio_console")
    t.equal(t.run("forged-console", what, timeout=80).strip(), f"{back} back, gone", "the driver")


# VERSION_1, PROTOCOL_FEATURES, EVENT_IDX
WITHOUT_TABLES = 1 << 32 | 1 << 30 | 1 << 29


@test(timeout=90, tags=("hostile",), cases={"tables": {"options": ()},
                                            "chains": {"options": ("--features", WITHOUT_TABLES)}})
def joined_requests(t, options):
    """The same of a disk, whose requests are unmapped one by one: what the flags lead to, nobody follows."""
    image = t.image(4 << 20)
    image.write_bytes(os.urandom(4 << 20))
    device = t.attach("blk", exec=command("complete: join", "--image", image, *options))
    out = t.tmp / "read"
    t.run("dd", f"if={device.node}", f"of={out}", "bs=4k", "iflag=direct")  # one request at a time
    t.check(out.read_bytes() == image.read_bytes(), "expected what is in the image, saw other bytes")
    stats = json.loads(t.run("virtio-loopback", "stats", device.name, "--json"))["kernel"]
    t.equal(stats["ring_anomalies"], 0, f"anomalies, of {stats}")
    device.detach()


# The driver of vsock has its events side by side in one cache line, which DMA debugging minds.
EVENTS_IN_A_LINE = r"cacheline tracking EEXIST[\s\S]*virtio_vsock_vqs_start"


@test(timeout=90, tags=("hostile", "teardown"), needs=("forged-ring",), tolerates=(EVENTS_IN_A_LINE,),
      cases={"net": {"type_": "net", "driver": "virtio_net"},
             "vsock": {"type_": "vsock", "driver": "vmw_vsock_virtio_transport"},
             "can": {"type_": "can", "driver": "virtio_can"}})
def joined_receive(t, type_, driver):
    """The same, of a driver that lets go while it waits for what comes."""
    t.run("modprobe", driver)
    t.equal(t.run("forged-ring", type_, timeout=80).strip(), "gone", "the device")

# SPDX-License-Identifier: BSD-3-Clause
"""What dies, how it is struck, and the judge: shared by the tests of survival.

The judge is the program storm: it keeps account of every acknowledged write outside of
the disk, and takes an error for a failure.
"""

import os
import random
import signal
import statistics
import subprocess
import threading
import time
from pathlib import Path

QSD = ("qemu-storage-daemon", "--blockdev", "driver=file,node-name=f,filename={image}",
       "--export", "type=vhost-user-blk,id=e,addr.type=unix,addr.path={socket},node-name=f,"
       "writable=on,num-queues=4")
OURS = ("vhost-user-blk", "--image", "{image}", "--queues", "4", "--socket-path", "{socket}")
# Keeps no in-flight record, completes out of order and in bursts, and wants no kicks: what
# is outstanding is known to the module alone.
SCRAMBLED = ("hostile-backend", "--image", "{image}", "--queues", "4", "--order", "random",
             "--hold", "8", "--suppress", "--socket-path", "{socket}")
BACKENDS = {"ours": OURS, "qsd": QSD, "scrambled": SCRAMBLED}


def requests(node):
    words = (Path("/sys/block") / Path(node).name / "stat").read_text().split()
    return int(words[0]) + int(words[4])


class Backend:
    """One that is started again at once when it ended, as a supervisor does."""

    def __init__(self, t, which, image):
        self.t = t
        self.socket = t.tmp / "back-end.sock"
        self.words = [w.format(image=image, socket=self.socket) for w in BACKENDS[which]]
        self.process = None
        # How often it ended by itself.
        self.died = 0
        self.over = False
        self.lock = threading.Lock()
        t.at_end(self.end)
        self.start()
        t.within(10, self.socket.is_socket, "the back-end's socket")
        threading.Thread(target=self.watch, daemon=True).start()

    def start(self):
        # qemu-storage-daemon takes a stale socket for a living one's.
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL)

    def watch(self):
        while not self.over:
            with self.lock:
                if self.process.poll() is not None and not self.over:
                    self.t.log(f"the back-end ended by itself: {self.process.returncode}")
                    self.died += 1
                    self.start()
            time.sleep(0.05)

    def kill_and_restart(self):
        with self.lock:
            self.process.kill()
            self.process.wait()
            self.start()

    def end(self):
        with self.lock:
            self.over = True
            self.process.kill()
            self.process.wait()


def adapter_log(t, device):
    """Shown when the test fails."""
    log = Path("/run/virtio-loopback") / f"{device.name}.log"
    if log.exists():
        t.log(f"the adapter said:\n{log.read_text()}")
    for stats in Path("/sys/devices/platform").glob("virtio-loopback.*/stats"):
        t.log(stats.read_text())


def adapter_of(device):
    """The process that holds the device, 0: none."""
    for parent in Path("/sys/devices/platform").glob("virtio-loopback.*"):
        if (parent / "name").read_text().strip() == device.name:
            return int((parent / "adapter_pid").read_text())
    return None


def storm(t, device, turns, strike, seconds=7200):
    """
    Let it storm, strike again and again, and hear the judge. strike() may return a condition
    that says when its victim is back.
    """
    t.at_end(adapter_log, t, device)
    load = t.start("storm", device.node, seconds)
    t.within(20, lambda: requests(device.node) > 500, "500 requests")
    first, back = [], []
    chance = random.Random(turns)
    for turn in range(turns):
        time.sleep(chance.random() * 0.3)
        began = time.monotonic()
        is_back = strike()
        struck, before = time.monotonic(), requests(device.node)
        t.within(20, lambda: requests(device.node) > before, f"I/O after strike {turn + 1}",
                 step=0.001)
        first.append(time.monotonic() - struck)
        if is_back:
            t.within(20, is_back, f"the victim of strike {turn + 1} to be back", step=0.002)
            back.append(time.monotonic() - began)
        before = requests(device.node)
        t.within(20, lambda: requests(device.node) > before + 50,
                 f"50 requests after strike {turn + 1}", step=0.002)
    load.signal(signal.SIGINT)
    status = load.wait(60)
    for what, times in (("from the restart to the first request done", first),
                        ("from the kill to the adapter's successor", back)):
        if times:
            t.figure(what, f"median {statistics.median(times) * 1000:.1f} ms, longest "
                     f"{max(times) * 1000:.0f} ms, {len(times)} times")
    t.equal((status, load.said().strip().splitlines()[-1].split()[-2:]), (0, ["failures", "0"]),
            f"storm's verdict ({load.said()[-600:]})")
    t.figure("storm", load.said().strip().splitlines()[-1])


def kill_adapter(t, device):
    """kill -9; the keeper starts another one. Returns when that is seen to be there."""
    old = t.within(20, lambda: adapter_of(device), "an adapter to kill", step=0.002)
    os.kill(old, signal.SIGKILL)
    return lambda: adapter_of(device) not in (0, None, old)

# SPDX-License-Identifier: BSD-3-Clause
"""What dies under load comes back, and nothing is lost, wrong, or repeated too late.

The judge is storm, see storms.py.
"""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

from harness import Case, test
from storms import BACKENDS, Backend, adapter_of, kill_adapter, requests, storm

def victims(which):
    """How to strike at a device and its back-end."""
    def backend(t, device, backend):
        backend.kill_and_restart()

    def adapter(t, device, backend):
        return kill_adapter(t, device)

    def both(t, device, backend):
        """In one order or the other, and close to each other or not."""
        pause = random.random() * 0.05 * random.randrange(2)
        if random.randrange(2):
            backend.kill_and_restart()
            time.sleep(pause)
            return kill_adapter(t, device)
        is_back = kill_adapter(t, device)
        time.sleep(pause)
        backend.kill_and_restart()
        return is_back

    return {"backend": backend, "adapter": adapter, "both": both}[which]


def kills():
    """
    Each victim with each back-end: a few times for every change, and many times. "packed" is
    ours with packed virtqueues: they go on by the back-end's own record alone.
    """
    cases = {}
    # Each victim, and each kind of back-end, is met by every change.
    checked = {("backend", "ours"), ("adapter", "qsd"), ("both", "ours"), ("both", "scrambled"),
               ("both", "packed")}
    for victim in ("backend", "adapter", "both"):
        for which in (*BACKENDS, "packed"):
            args = {"victim": victim, "which": which}
            every = ("debian-6.12", "debian-6.1", "debian-7", "debian-6.12-arm64*", "debug")
            cases[f"{victim}-{which}-10"] = Case(
                {**args, "turns": 10},
                kernels=every if victim == "both" and which == "ours" else every[:1],
                tier="check" if (victim, which) in checked else "long")
            for turns in (100, 500):
                cases[f"{victim}-{which}-{turns}"] = Case({**args, "turns": turns}, tier="long",
                                                          timeout=600 + 6 * turns)
    return cases


@test(timeout=600, kernels=("debian-6.12", "debian-6.1", "debian-7", "debug"),
      needs=("storm", "qemu-storage-daemon"), cases=kills())
def killed(t, victim, which, turns):
    """kill -9 at random moments, of back-end, adapter, or both: a pause, nothing else."""
    random.seed(turns)
    packed = which == "packed"
    backend = Backend(t, "ours" if packed else which, t.image(32 << 20))
    # of a size that only a packed virtqueue can have
    device = t.attach("blk", *["--packed", "--queue-size", "100"] * packed, socket=backend.socket,
                      queues=4)
    strike = victims(victim)
    storm(t, device, turns, lambda: strike(t, device, backend))
    # QEMU 7.2's daemon aborts now and then when its connection ends under load.
    t.figure("back-ends that ended by themselves", backend.died)
    t.check(which == "qsd" or not backend.died, f"{backend.died} back-ends ended by themselves")
    info = device.info()
    t.equal((info["adapter_pid"], info["state"]), (adapter_of(device), "running"),
            "adapter_pid and state in list --json")
    t.check("phase" in t.run("virtio-loopback", "stats", device.name), "stats: no answer")
    device.detach()


@test(timeout=120, needs=("storm",), cases={"check": {"turns": 10},
                                            "long": Case({"turns": 100}, tier="long",
                                                         timeout=900)})
def supervised_adapter_killed(t, turns):
    """With --exec the back-end lives on, is not started twice, and ends with the device."""
    device = t.attach("blk", exec=f"vhost-user-blk --image {t.image(32 << 20)} --queues 4",
                      queues=4)

    def backends():
        out = subprocess.run(["pgrep", "-x", "vhost-user-blk"], stdout=subprocess.PIPE, text=True)
        return out.stdout.split()

    before = backends()
    storm(t, device, turns, lambda: kill_adapter(t, device))
    t.equal(len(backends()), 1, "back-ends that run")
    t.log(f"the back-end was {before} and is {backends()}")
    device.detach()
    t.within(10, lambda: not backends(), "the end of the back-end")


@test(timeout=60)
def orphan_ends(t):
    """An adapter that nobody follows: the device waits, and detach ends it all the same."""
    backend = t.backend("vhost-user-blk", "--image", t.image(16 << 20))
    device = t.attach("blk", "--no-restart", socket=backend.socket)
    os.kill(adapter_of(device), signal.SIGKILL)
    t.within(10, lambda: device.info()["state"] == "orphan", "the state orphan")
    t.equal(device.info()["adapter_pid"], None, "adapter_pid of an orphan")
    t.run("dd", f"if={device.node}", "of=/dev/null", "bs=1M", "count=4", "iflag=direct")
    device.detach(timeout=30)
    t.equal(t.devices(), [], "virtio-loopback list --json")


@test(timeout=60)
def keeper_killed(t):
    """Without its keeper a device works; upgrade brings a new one."""
    keepers = lambda: [int(p.parent.name) for p in Path("/proc").glob("[0-9]*/comm")  # noqa: E731
                       if p.read_text() == "vlb-keeper\n"]
    t.within(10, lambda: not keepers(), "the end of those of devices before")
    backend = t.backend("vhost-user-blk", "--image", t.image(16 << 20))
    device = t.attach("blk", socket=backend.socket)
    # not one of its children, by which it connects
    keeper, = t.within(10, lambda: (len(found := keepers()) == 1 and found), "a keeper alone")
    # The device that it brings back may be what the system swaps to.
    status = Path(f"/proc/{keeper}/status").read_text()
    t.check(" 0 kB" not in next(line for line in status.splitlines() if "VmLck" in line),
            "the keeper's memory is not locked")
    os.kill(keeper, signal.SIGKILL)
    t.within(10, lambda: not keepers(), "the end of the keeper")
    t.run("dd", f"if={device.node}", "of=/dev/null", "bs=1M", "count=4", "iflag=direct")
    t.run("virtio-loopback", "upgrade", device.name)
    t.equal(len(keepers()), 1, "keepers after the upgrade")
    is_back = kill_adapter(t, device)
    t.within(20, is_back, "another adapter")
    device.detach()


@test(timeout=90, needs=("storm",))
def supervised_backend_killed(t):
    """With --exec the adapter starts the back-end again by itself."""
    device = t.attach("blk", exec=f"vhost-user-blk --image {t.image(32 << 20)} --queues 4",
                      queues=4)

    def strike():
        out = subprocess.run(["pgrep", "-x", "vhost-user-blk"], stdout=subprocess.PIPE, text=True)
        for pid in out.stdout.split():
            os.kill(int(pid), signal.SIGKILL)

    storm(t, device, 10, strike)
    device.detach()


@test(timeout=60, needs=("storm",))
def backend_stopped_and_continued(t):
    """One that stands still for longer than a heartbeat is given up, and taken back."""
    backend = t.backend("vhost-user-blk", "--image", t.image(32 << 20), "--queues", 4)
    device = t.attach("blk", socket=backend.socket, queues=4)

    def strike():
        backend.stop()
        t.within(20, lambda: device.info()["state"] != "running", "the device to wait")
        backend.resume()

    storm(t, device, 2, strike)
    device.detach()


@test(timeout=90)
def backend_left_its_group(t):
    """A process that the keeper cannot end is waited for as long as it has the connection."""
    def backends():
        out = subprocess.run(["pgrep", "-x", "vhost-user-rng"], stdout=subprocess.PIPE, text=True)
        return [int(pid) for pid in out.stdout.split()]

    def end():
        for pid in backends():
            os.kill(pid, signal.SIGKILL)

    t.at_end(end)
    device = t.attach("rng", "--heartbeat", "1",
                      exec="sh -c 'setsid vhost-user-rng --fd {fd} & wait'")
    before = backends()
    t.equal(len(before), 1, "back-ends")
    os.kill(before[0], signal.SIGSTOP)
    log = Path("/run/virtio-loopback") / f"{device.name}.log"
    t.within(40, lambda: "still has its connection" in log.read_text(), "the wait for its end")
    t.equal((device.info()["state"], backends()), ("waiting", before), "state and back-ends")
    os.kill(before[0], signal.SIGKILL)
    t.within(20, lambda: device.info()["state"] == "running", "the state running")
    device.detach()


@test(timeout=60, needs=("fio",))
def backend_never_returns(t):
    """--reconnect 5: after five seconds the device fails, with errors and not in silence."""
    backend = t.backend("vhost-user-blk", "--image", t.image(32 << 20))
    device = t.attach("blk", socket=backend.socket, reconnect=5)
    load = t.start("fio", "--name=l", f"--filename={device.node}", "--rw=randrw", "--bs=4k",
                   "--iodepth=32", "--ioengine=libaio", "--direct=1", "--time_based",
                   "--runtime=300")
    t.within(20, lambda: requests(device.node) > 200, "200 requests")
    backend.kill()
    began = time.monotonic()
    status = load.wait(30)
    took = time.monotonic() - began
    t.check(status != 0, f"fio: expected a failure, saw status {status}")
    t.check(4 < took < 5 + 10 * t.slow, f"expected the end after about 5 s, saw {took:.1f} s")
    t.within(10, lambda: not list(Path("/sys/devices/platform").glob("virtio-loopback.*")),
             "the end of the device")


@test(timeout=60)
def detach_while_waiting(t):
    """detach never waits for a back-end that does not come."""
    backend = t.backend("vhost-user-blk", "--image", t.image(16 << 20))
    device = t.attach("blk", socket=backend.socket)
    backend.kill()
    t.within(10, lambda: device.info()["state"] == "waiting", "the state waiting")
    began = time.monotonic()
    device.detach("--force", timeout=30)
    took = time.monotonic() - began
    t.check(took < 30 * t.slow, f"detach: expected within 30 s, took {took:.1f} s")


DRIVER = Path("/sys/bus/virtio/drivers/virtio_blk")


def status_of(device):
    return int((Path("/sys/bus/virtio/devices") / device.virtio / "status").read_text(), 16)


@test(timeout=90, cases={f"{layout}{'-adapter' * killed}": {"layout": layout, "killed": killed}
                         for layout in ("split", "packed") for killed in (False, True)})
def driver_starts_over(t, layout, killed):
    """It lets the device go and takes it again while no back-end is there: the next one serves."""
    image = t.image(16 << 20)
    with open(image, "r+b") as f:
        f.write(random.randbytes(1 << 20))
    words = ("vhost-user-blk", "--image", image)
    backend = t.backend(*words)
    device = t.attach("blk", *["--packed"] * (layout == "packed"), socket=backend.socket)
    compare = ("cmp", "-n", str(1 << 20), device.node, image)
    # The rings of before stand in the middle, and their record says so.
    t.run(*compare)
    backend.kill()
    t.within(10, lambda: device.info()["state"] == "waiting", "the state waiting")
    (DRIVER / "unbind").write_text(device.virtio)
    # Its probe reads the disk's partitions.
    bind = t.start("sh", "-c", f"echo {device.virtio} > {DRIVER}/bind")
    t.within(10, lambda: status_of(device) & 4, "the bit DRIVER_OK")
    if killed:
        t.within(20, kill_adapter(t, device), "another adapter")
    for _turn in range(2):
        backend = t.backend(*words, socket=backend.socket)
        t.within(20, lambda: device.info()["state"] == "running", "the state running")
        t.equal(bind.wait(20), 0, "status of the bind")
        # not what is still in the page cache
        t.run("blockdev", "--flushbufs", device.node)
        t.run(*compare)
        backend.kill()
        t.within(10, lambda: device.info()["state"] == "waiting", "the state waiting")
    device.detach("--force")

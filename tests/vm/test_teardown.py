# SPDX-License-Identifier: BSD-3-Clause
"""The end of a device: whatever dies, whatever it was doing, nothing hangs and nothing stays."""

import os
import signal
import time
from pathlib import Path

from harness import ALL, Case, aids, test

PLATFORM = Path("/sys/devices/platform")
DRIVER = Path("/sys/bus/virtio/drivers/virtio_blk")
MNT = Path("/mnt")


def start_backend(t, which, image):
    if which in ("ours", "packed"):
        return t.backend("vhost-user-blk", "--image", image, "--queues", 4)
    if which == "scrambled":
        return t.backend("hostile-backend", "--image", image, "--queues", 4, "--order", "random",
                         "--hold", 8, "--suppress")
    return t.backend("qemu-storage-daemon",
                     "--blockdev", f"driver=file,node-name=f,filename={image}",
                     "--export", "type=vhost-user-blk,id=e,addr.type=unix,addr.path={socket},"
                     "node-name=f,writable=on,num-queues=4")


def parents():
    return sorted(p.name for p in PLATFORM.glob("virtio-loopback.*"))


def module_users():
    for line in Path("/proc/modules").read_text().splitlines():
        words = line.split()
        if words[0] == "virtio_loopback":
            return int(words[2])
    return None


class Idle:
    """Nobody uses the device."""

    def __init__(self, t, node):
        pass

    def over(self):
        pass


class Mounted:
    """A file system with dirty pages."""

    def __init__(self, t, node):
        self.t = t
        t.run("mkfs.ext4", "-q", "-F", node)
        t.run("mount", node, MNT)
        t.at_end(lambda: t.run("umount", "-l", MNT, status=None))
        for n in range(8):
            (MNT / f"dirty{n}").write_bytes(os.urandom(1 << 20))

    def over(self):
        """Writing it out fails; unmounting goes through."""
        try:
            fd = os.open(MNT / "dirty0", os.O_RDWR)
            try:
                os.write(fd, b"x" * 4096)
                os.fsync(fd)
                self.t.fail("fsync on a device that is gone: expected an error, saw success")
            finally:
                os.close(fd)
        except OSError as e:
            self.t.log(f"fsync: {e}")
        self.t.run("umount", MNT, timeout=30)


class Busy:
    """fio, 4 jobs at depth 32, reading and writing."""

    def __init__(self, t, node):
        self.t = t
        before = Path("/sys/block") / Path(node).name / "stat"
        self.fio = t.start("fio", "--name=load", f"--filename={node}", "--rw=randrw", "--bs=4k",
                           "--iodepth=32", "--ioengine=libaio", "--direct=1", "--numjobs=4",
                           "--time_based", "--runtime=300", "--norandommap")
        t.within(20, lambda: int(before.read_text().split()[0]) > 200, "200 reads by fio")

    def over(self):
        status = self.fio.wait(30)
        self.t.check(status != 0, f"fio: expected a failure, saw status {status}")


LOADS = {"idle": Idle, "mounted": Mounted, "busy": Busy}


def kill_adapter(t, device, backend):
    os.kill(device.info()["adapter_pid"], signal.SIGKILL)


def kill_backend(t, device, backend):
    backend.signal(signal.SIGKILL)


def stop_backend(t, device, backend):
    backend.stop()


def force_detach(t, device, backend):
    device.detach("--force")


def force_detach_stopped(t, device, backend):
    backend.stop()
    device.detach("--force", timeout=30)


EVENTS = {f.__name__: f for f in (kill_adapter, kill_backend, stop_backend, force_detach,
                                  force_detach_stopped)}


# What every change shows on each kernel; the default one shows more, make check-long all.
ON_EACH = {("kill_adapter", "busy"), ("kill_backend", "mounted"), ("stop_backend", "busy"),
           ("force_detach_stopped", "busy")}
KERNELS = ("debian-6.12", "debian-6.1", "debian-7", "debian-6.12-rt", "debug")


def kernels_of(event, load, which):
    """Where a combination is shown by every change."""
    if which == "ours":
        return KERNELS if (event, load) in ON_EACH else KERNELS[:1]
    if which == "packed":
        return {"kill_backend": KERNELS, "stop_backend": KERNELS[:1]}.get(event, ()) \
            if load == "busy" else ()
    if which == "scrambled":
        return KERNELS[:1] + KERNELS[-1:] if (event, load) == ("kill_adapter", "busy") else (
            KERNELS[:1] if load == "busy" else ())
    return KERNELS[:1] if (event, load) == ("kill_backend", "mounted") else ()


def matrix():
    """Each event under each load with each back-end.

    "scrambled" completes out of order, in bursts, and wants no kicks. "packed" are ours with
    packed virtqueues, of which the module has no record.
    """
    cases = {}
    for event in EVENTS:
        for load in LOADS:
            for which in ("ours", "qsd", "scrambled", "packed"):
                name, args = f"{event}-{load}-{which}", {"event": event, "load": load,
                                                         "which": which}
                now = kernels_of(event, load, which)
                rest = tuple(k for k in KERNELS if k not in now)
                if now:
                    cases[name] = Case(args, kernels=now)
                if rest:
                    cases[f"{name}-rest"] = Case(args, kernels=rest, tier="long")
    return cases


@test(timeout=90, needs=("fio",), cases=matrix())
def ends(t, event, load, which):
    """With --reconnect off, I/O ends in errors and the device goes, whatever dies."""
    image = t.image(64 << 20)
    backend = start_backend(t, which, image)
    device = t.attach("blk", *["--packed"] * (which == "packed"), socket=backend.socket,
                      reconnect="off", queues=4)
    user = LOADS[load](t, device.node)
    began = time.monotonic()
    EVENTS[event](t, device, backend)
    t.within(30, lambda: not parents(), f"the end of {device.name}")
    t.log(f"gone after {time.monotonic() - began:.2f} s")
    user.over()
    t.equal(t.devices(), [], "virtio-loopback list --json")
    t.equal(Path(device.node).exists(), False, f"{device.node} exists")
    t.within(10, lambda: module_users() == 0, "the module's users to be gone")


@test(timeout=120, kernels=ALL, needs=("fio",),
      cases={"idle": {"load": "idle"}, "busy": {"load": "busy"}})
def unbind_and_bind(t, load):
    """The driver lets go and takes the device again."""
    backend = start_backend(t, "ours", t.image(64 << 20))
    device = t.attach("blk", socket=backend.socket, queues=4)
    for turn in range(5):
        user = LOADS[load](t, device.node)
        (DRIVER / "unbind").write_text(device.virtio)
        user.over()
        t.equal(Path(device.node).exists(), False, f"{device.node} exists after unbind")
        (DRIVER / "bind").write_text(device.virtio)
        t.within(5, lambda: Path(device.node).exists(), f"{device.node} after bind {turn}")
    t.run("dd", f"if={device.node}", "of=/dev/null", "bs=1M", "count=8", "iflag=direct")
    device.detach()


@test(timeout=60)
def unbind_with_adapter_stopped(t):
    """The message that nobody answers times out; the device is broken, not the machine."""
    backend = start_backend(t, "ours", t.image(16 << 20))
    device = t.attach("blk", socket=backend.socket, queues=1)
    adapter = device.info()["adapter_pid"]
    os.kill(adapter, signal.SIGSTOP)
    t.at_end(lambda: os.kill(adapter, signal.SIGCONT) if Path(f"/proc/{adapter}").exists() else 0)
    began = time.monotonic()
    (DRIVER / "unbind").write_text(device.virtio)
    took = time.monotonic() - began
    t.check(took < 30 * t.slow, f"unbind: expected within 30 s, took {took:.1f} s")
    # its I/O is ended in the background
    state = PLATFORM / parents()[0] / "state"
    t.within(5, lambda: state.read_text().strip() == "failed", "the state 'failed'")
    os.kill(adapter, signal.SIGKILL)
    t.within(20, lambda: not parents(), "the end of the device")


@test(timeout=60, kernels=ALL)
def module_is_held_while_in_use(t):
    backend = start_backend(t, "ours", t.image(16 << 20))
    device = t.attach("blk", socket=backend.socket)
    out = t.run("rmmod", "virtio_loopback", status=1)
    t.check("in use" in out, f"rmmod: expected 'in use', saw {out!r}")
    device.detach()
    t.within(10, lambda: module_users() == 0, "the module's users to be gone")
    t.run("rmmod", "virtio_loopback")
    t.run("modprobe", "virtio_loopback")


@test(timeout=60)
def detach_refuses_what_is_in_use(t):
    backend = start_backend(t, "ours", t.image(32 << 20))
    device = t.attach("blk", socket=backend.socket)
    t.run("mkfs.ext4", "-q", device.node)
    t.run("mount", device.node, MNT)
    t.at_end(lambda: t.run("umount", MNT, status=None))
    out = t.run("virtio-loopback", "detach", device.name, status=None)
    t.check(t.last_status != 0, f"detach of a mounted disk: expected a refusal, saw {out!r}")
    t.check("mounted" in out, f"detach: expected the reason 'mounted', saw {out!r}")
    (MNT / "still").write_text("alive\n")
    t.run("sync")
    t.run("umount", MNT)
    device.detach()


@test(kernels=("debian-6.12", "debian-6.12-arm64", "debian-6.1", "debian-7"), timeout=60,
      needs=("late-driver",))
def driver_that_has_reset(t):
    """
    It is called neither by the device side nor by the end of I/O, however long it stays; nor is
    one that is not ready yet, which is called when it is. And none is called twice at once, or
    misses a change of its configuration because it is in its probe.
    """
    aids.load(t, "vlb_late")
    t.equal(t.run("late-driver").strip(),
            "late 0, early 0, then called, overlapping 0, changes 1",
            "calls after the reset, before DRIVER_OK, and then; twice at once; changes told of")


CROWDS = {
    "start": "gone, come, gone",
    "stop": "gone, come, gone",
    "takeover": "at once",
}


@test(timeout=180, needs=("crowd",),
      cases={k: {"what": k, "expected": v} for k, v in CROWDS.items()})
def crowd(t, what, expected):
    """
    Many devices that wait to be started, or stopped, or one that fails slowly and is asked for by
    another adapter, keep nobody else's from coming and going.
    """
    aids.load(t, "vlb_late")
    t.equal(t.run("crowd", what, timeout=170).strip(), expected, "what became of another's devices")


@test(timeout=120, needs=("pinned-ring",),
      cases={w: {"what": w} for w in ("index", "elements", "packed")})
def pinned_ring(t, what):
    """A page of the used ring that the device side keeps pinned: the driver gets its buffer back."""
    aids.load(t, "vlb_late")
    Path("/sys/module/vlb_late/parameters/takes").write_text("1")
    t.equal(t.run("pinned-ring", what, timeout=90).strip(), "back", "the driver's buffer")

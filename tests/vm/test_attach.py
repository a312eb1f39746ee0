# SPDX-License-Identifier: BSD-3-Clause
"""The command for people: what it says, what it refuses, and that nothing is left of a failure."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

from disks import MIB, Disk, same
from harness import USER_SPACE, test

PLATFORM = Path("/sys/devices/platform")
STATE = Path("/run/virtio-loopback")


def left_behind():
    left = [p.name for p in PLATFORM.glob("virtio-loopback.*")]
    left += [p.name for p in STATE.glob("*")] if STATE.exists() else []
    return left


def refused(t, *args, says, status=1, kind="blk"):
    """One line that says what is wrong, and nothing left."""
    out = t.run("virtio-loopback", "attach", "--type", kind, *args, status=status, timeout=40)
    t.equal(len(out.strip().splitlines()), 1, f"{args}: lines of output")
    t.check(out.startswith("virtio-loopback: attach: "), f"{args}: saw {out!r}")
    t.check(says in out, f"{args}: expected {says!r} in the message, saw {out!r}")
    t.equal(left_behind(), [], f"{args}: left behind")


@test(kernels=USER_SPACE, timeout=60, tags=("attach",))
def bad_words(t):
    """What is wrong with the words is said before anything is started."""
    for args, says in ((("--socket", "/s", "--exec", "x"), "--socket"),
                       (("--socket", "/s", "--pool", "1X"), "--pool"),
                       (("--socket", "/s", "--queues", "0"), "--queues"),
                       (("--socket", "/s", "--queue-size", "100"), "--queue-size"),
                       (("--socket", "/s", "--reconnect", "soon"), "--reconnect"),
                       (("--socket", "/s", "--name", "a/b"), "--name"),
                       (("--exec", "'open"), "quote"), (("--socket", "/s", "more"), "more")):
        refused(t, *args, says=says, status=1 if says == "quote" else 2)
    out = t.run("virtio-loopback", "attach", "--type", "disk", "--socket", "/s", status=2)
    t.check("disk" in out and "blk" in out, f"a type that is none: saw {out!r}")
    out = t.run("virtio-loopback", "frobnicate", status=2)
    t.check("attach" in out and "detach" in out, f"a verb that is none: saw {out!r}")


@test(kernels=USER_SPACE, timeout=90, tags=("attach",))
def nobody_there(t):
    path = t.tmp / "x.sock"
    refused(t, "--socket", path, says="no such socket")
    path.write_text("no socket")
    refused(t, "--socket", path, says=str(path))
    path.unlink()
    # somebody listens and says nothing
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        refused(t, "--socket", path, says="nobody listens")
        listener.listen(1)
        refused(t, "--socket", path, "--timeout", 1, says="does not answer GET_FEATURES")
    refused(t, "--exec", "/nonexistent/back-end", says="/nonexistent/back-end")
    refused(t, "--exec", "false", says="closed the connection")
    refused(t, "--exec", "sleep 100 {socket}", says="before it listened")
    # somebody who is no vhost-user back-end
    refused(t, "--exec", "sh -c 'yes HTTP/1.1 400 Bad Request >&3'", says="vhost-user")


@contextmanager
def silent(path):
    """A file system that never answers: whoever looks something up there waits."""
    path.mkdir()
    fuse = os.open("/dev/fuse", os.O_RDWR)
    try:
        subprocess.run(["mount", "-i", "-t", "fuse", "-o", f"fd={fuse},rootmode=40000,user_id=0,"
                        "group_id=0,allow_other", "silent", path], pass_fds=[fuse], check=True)
        yield path
    finally:
        os.close(fuse)
        subprocess.run(["umount", "-l", path], check=True)


@test(kernels=USER_SPACE, timeout=90, tags=("attach",))
def silent_file_system(t):
    """Neither a path nor a program there holds the keeper up, which ends with the adapter."""
    with silent(t.tmp / "silent") as folder:
        refused(t, "--socket", folder / "sock", says="file system does not answer")
        refused(t, "--exec", f"{folder}/back-end --socket-path {{socket}}", "--timeout", 20,
                says="cannot be started: Input/output error")


@test(kernels=USER_SPACE, timeout=90, tags=("attach",))
def wrong_backend(t):
    image = t.image(4 * MIB)
    blk, rng = f"vhost-user-blk --image {image}", "vhost-user-rng"
    refused(t, "--exec", rng, says="is the type right?")
    refused(t, "--exec", blk, says="is the type right?", kind="can")
    refused(t, "--exec", blk, "--queues", 3, says="at most 1")
    refused(t, "--exec", rng, "--queues", 2, says="1 virtqueues", kind="rng")
    refused(t, "--exec", blk, "--pool", "64K", "--queue-size", 32768, says="--pool")
    refused(t, "--exec", blk, "--pool", "4G", says="--pool")
    refused(t, "--exec", f"vhost-user-blk --image {t.tmp}/none", says="none: No such file")


@test(kernels=USER_SPACE, timeout=60, tags=("attach",))
def no_driver(t):
    """A type that this kernel has no driver for: which module, and which option."""
    t.run("modprobe", "--dry-run", "virtio:d00000011v00000000", status=None)
    if t.last_status == 0:
        t.skip("this kernel has the driver of the type that none should have")
    refused(t, "--exec", "vhost-user-rng", says="CONFIG_VIRTIO_RTC", kind="rtc")
    # a number that nobody has a driver for
    refused(t, "--exec", "vhost-user-rng", says="type 4000", kind="4000")


@test(kernels=USER_SPACE, timeout=60, tags=("attach",))
def names(t):
    image, other = t.image(4 * MIB), t.image(4 * MIB, name="other.img")
    first = t.attach("blk", exec=f"vhost-user-blk --image {image}")
    t.equal(first.name, "blk0", "name of the first")
    out = t.run("virtio-loopback", "attach", "--type", "blk", "--name", "blk0", "--exec",
                f"vhost-user-blk --image {other}", status=1)
    t.check("blk0 is taken" in out, f"a name twice: saw {out!r}")
    second = t.attach("blk", exec=f"vhost-user-blk --image {other}")
    t.equal(second.name, "blk1", "name of the second")
    first.detach()
    first = t.attach("blk", exec=f"vhost-user-blk --image {image}")
    t.equal(first.name, "blk0", "the first free number")
    t.run("virtio-loopback", "detach", "--all")
    t.equal(left_behind(), [], "left behind")
    out = t.run("virtio-loopback", "detach", "blk0", status=1)
    t.check("blk0" in out, f"detach twice: saw {out!r}")


@test(kernels=USER_SPACE, timeout=60, tags=("attach",))
def listed(t):
    image = t.image(4 * MIB)
    backend = t.backend("vhost-user-blk", "--image", image, "--queues", 2)
    t.equal(t.devices(), [], "list without a device")
    device = t.attach("blk", socket=backend.socket, name="disk", pool="2M", queues=2)
    entry = t.devices()[0]
    for key, value in (("name", "disk"), ("type", "blk"), ("virtio_id", 2), ("state", "running"),
                       ("driver", "virtio_blk"), ("nodes", [device.node]), ("queues", 2),
                       ("backend", f"socket {backend.socket}"), ("pool", 2 * MIB)):
        t.equal(entry[key], value, f"list --json: {key}")
    t.check(Path(f"/proc/{entry['adapter_pid']}").exists(), "list --json: adapter_pid is no process")
    t.run("dd", f"if={device.node}", "of=/dev/null", "bs=1M", "count=1", "iflag=direct")
    stats = json.loads(t.run("virtio-loopback", "stats", "disk", "--json"))
    t.check(stats["kernel"]["kicks"] > 0, f"stats: no kick: {stats}")
    t.check(stats["kernel"]["bytes_from_device"] >= MIB, f"stats: bytes_from_device: {stats}")
    t.equal(len(stats["queues"]), 2, "stats: virtqueues")
    t.equal(stats["adapter"]["backend"], "connected", "stats: backend")
    # the same with an adapter that does not answer
    os.kill(entry["adapter_pid"], signal.SIGSTOP)
    t.equal(t.devices()[0]["state"], "running", "list, the adapter stopped")
    stats = json.loads(t.run("virtio-loopback", "stats", "disk", "--json"))
    t.equal(stats["adapter"], None, "stats, the adapter stopped")
    os.kill(entry["adapter_pid"], signal.SIGCONT)
    device.detach()
    t.equal(t.devices(), [], "list after the detach")


@test(kernels=USER_SPACE, timeout=120, tags=("attach", "teardown"))
def in_use(t):
    image = t.image(16 * MIB)
    device = t.attach("blk", exec=f"vhost-user-blk --image {image}")

    def refuses(says):
        out = device.detach(status=1)
        t.check(says in out and "--force" in out, f"expected {says!r}, saw {out!r}")

    with open(device.node, "rb"):
        refuses(f"{device.node} is opened by process {os.getpid()}")
    t.run("mkfs.ext4", "-q", device.node)
    mount = t.tmp / "mnt"
    mount.mkdir()
    t.run("mount", device.node, mount)
    refuses(f"is mounted on {mount}")
    t.run("umount", mount)
    if shutil.which("mkswap"):
        t.run("mkswap", device.node)
        t.run("swapon", device.node)
        refuses("swap")
        t.run("swapoff", device.node)
    device.detach()


@test(timeout=120, tier="long", tags=("attach",), kernels=("debian-6.12",))
def shapes(t):
    """Devices of 1 to 256 virtqueues, and of queues of 2 to 32768 entries: data goes through each."""
    image = t.image(4 * MIB)
    image.write_bytes(os.urandom(4 * MIB))
    disk = Disk(t, "qsd", image, queues=256)
    for queues, size in ((256, None), (100, None), (7, 2), (1, 4), (1, 1024), (2, 32768)):
        if (queues, size) != (256, None):
            disk.queues = queues
            disk.attach(queue_size=size)
        t.equal(disk.device.info()["queues"], queues, "virtqueues")
        same(t, disk)
        t.run("dd", f"if={image}", f"of={disk.node}", "bs=1M", "oflag=direct")
        disk.device.detach()


@test(kernels=USER_SPACE, timeout=90, tags=("attach", "teardown"))
def adapter_stuck(t):
    """An adapter that answers nobody is not waited for longer than 30 s."""
    device = t.attach("blk", exec=f"vhost-user-blk --image {t.image(4 * MIB)}")
    os.kill(device.info()["adapter_pid"], signal.SIGSTOP)
    device.detach(timeout=30)
    t.equal(left_behind(), [], "left behind")


@test(kernels=USER_SPACE, timeout=60, tags=("attach",))
def foreground(t):
    p = t.start("virtio-loopback", "attach", "--type", "rng", "--exec", "vhost-user-rng",
                "--foreground")
    t.within(20, lambda: "/dev/hwrng" in p.said(), "the line of attach")
    t.check(any(line.startswith("rng0 virtio") for line in p.said().splitlines()),
            f"expected the line 'rng0 virtioN /dev/hwrng', saw {p.said()!r}")
    p.terminate(status=0)
    t.within(5, lambda: not left_behind(), "nothing left behind")


@test(kernels=USER_SPACE, timeout=60, tags=("attach",))
def foreground_unheard(t):
    """A signal that comes before its line is read by anybody ends the device as well."""
    unread, out = os.pipe()
    fcntl.fcntl(out, fcntl.F_SETPIPE_SZ, 4096)
    os.write(out, bytes(4096))
    p = subprocess.Popen(["virtio-loopback", "attach", "--type", "rng", "--exec", "vhost-user-rng",
                          "--foreground"], stdin=subprocess.DEVNULL, stdout=out)
    t.at_end(p.kill)
    # it waits for room in the pipe
    t.within(20, lambda: "pipe_write" in Path(f"/proc/{p.pid}/stack").read_text(), "its line")
    p.terminate()
    t.equal(p.wait(20), 0, "exit status after SIGTERM")
    t.within(5, lambda: not left_behind(), "nothing left behind")
    os.close(unread)
    os.close(out)


@test(kernels=USER_SPACE, timeout=60, tags=("attach",))
def small(t):
    """The adapter needs less than 2 MiB that are its own, has no privileges, and is no victim."""
    device = t.attach("blk", exec=f"vhost-user-blk --image {t.image(4 * MIB)}")
    pid = device.info()["adapter_pid"]
    private = sum(int(line.split()[1]) for line in
                  Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                  if line.startswith("Private_"))
    t.log(f"private memory: {private} KiB")
    t.check(private < 2048, f"private memory: expected less than 2048 KiB, saw {private}")
    status = dict(line.split(":\t", 1) for line in
                  Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    for key, value in (("CapEff", "0000000000000000"), ("CapPrm", "0000000000000000"),
                       ("CapBnd", "0000000000000000"), ("NoNewPrivs", "1"), ("Seccomp", "2")):
        t.equal(status[key].strip(), value, key)
    t.equal(Path(f"/proc/{pid}/oom_score_adj").read_text().strip(), "-900", "oom_score_adj")
    device.detach()

# SPDX-License-Identifier: BSD-3-Clause
"""In the guest: disks of 1 GiB that store nothing, by each of the ways there are.

Where there are two CPUs a daemon behind a disk is on CPU 1, so that fio can have CPU 0. A disk has
one virtqueue, or as many as stand behind its name: "loopback:4".
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

SIZE = 1 << 30
NULL = f"driver=null-co,node-name=n,size={SIZE},read-zeroes=on"
FILE = "disk.img"
DEPTH = 128
PROGRAMS = ("virtio-loopback", "virtio-loopback-adapter", "vhost-user-blk", "vhost-user-rng",
            "bench-ublk-null")
# Of the image, and what makes each do nothing.
OTHERS = (("qemu-storage-daemon", "--version"), ("qemu-nbd", "--version"), ("vdpa", "-V"),
          ("fio", "--version"), ("losetup", "--version"))


# What has to go while its daemon is there, the way it was added; and the daemons.
_ends, _daemons = [], []
# Where the images are, if they are files.
_files = None


class Missing(Exception):
    """This kernel or this guest does not have it."""


def run(*argv, status=0):
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, text=True)
    if done.returncode != status:
        raise subprocess.CalledProcessError(done.returncode, argv)
    return done.stdout


def wait_until(condition, what):
    """Its value. A count of tries, not a time: with --icount the clock leaps."""
    for _ in range(4000):
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise SystemExit(f"{what} did not appear")


def wait_for(path):
    wait_until(Path(path).exists, path)
    return path


def warm_up(tmp):
    """
    What is measured is in memory before. With --icount the clock leaps while the guest waits for
    the host, and so do the time-outs of whoever waits.
    """
    run("modprobe", "virtio_blk")
    for name in PROGRAMS:
        if shutil.which(name):
            shutil.copy(shutil.which(name), tmp)
    os.environ["PATH"] = f"{tmp}:{os.environ['PATH']}"
    for name in ("virtio-loopback", "virtio-loopback-adapter", "vhost-user-blk"):
        run(name, "--version")
    for name, option in OTHERS:
        if shutil.which(name):
            run(name, option)


def module(name, *parameters):
    if subprocess.run(["modprobe", name, *parameters], stderr=subprocess.DEVNULL).returncode:
        raise Missing(f"no module {name}")


def daemon(*argv):
    """A process that is left running, until end()."""
    if not shutil.which(argv[0]):
        raise Missing(f"no {argv[0]}")
    argv = ["taskset", "-c", "1", *argv] if os.cpu_count() == 2 else argv
    _daemons.append(subprocess.Popen([str(a) for a in argv]))


def lay_file(tmp):
    """From now on disks are files: holes, on tmpfs, a file for each peer."""
    global _files
    _files = tmp


def _file(who):
    path = Path(_files) / f"{who}-{FILE}"
    path.touch()
    os.truncate(path, SIZE)
    return path


def own(who, queues=1):
    image = _file(who) if _files else f"null:{SIZE}"
    return ("vhost-user-blk", "--image", str(image), "--socket-path", "{socket}", "--queues",
            str(queues))


def qsd(who, queues=1):
    return ("qemu-storage-daemon", "--blockdev", blockdev(who), "--export",
            "type=vhost-user-blk,id=e,addr.type=unix,addr.path={socket},node-name=n,writable=on,"
            f"num-queues={queues}")


def blockdev(who):
    """For QEMU's daemons."""
    return f"driver=file,node-name=n,aio=io_uring,filename={_file(who)}" if _files else NULL


def end():
    """A VDUSE device whose daemon was killed keeps the kernel from going down for a while."""
    while _ends:
        run(*_ends.pop())
    while _daemons:
        process = _daemons.pop()
        process.kill()
        process.wait()


def serve(tmp, name, backend):
    """The back-end's socket; backend: its words, with {socket} where that goes."""
    sock = f"{tmp}/{name}.sock"
    daemon(*(w.replace("{socket}", sock) for w in backend))
    return wait_for(sock)


def loopback(tmp, name, *backend, queues=1, transport="loopback", more=()):
    sock = serve(tmp, name, backend)
    line = run("virtio-loopback", "attach", "--type", "blk", "--name", name, "--socket", sock,
               "--queues", queues, "--queue-size", DEPTH, "--transport", transport, *more)
    _ends.append(("virtio-loopback", "detach", name, "--force"))
    return line.split()[2]


def loopback_qsd(tmp, queues=1):
    """
    It tells the driver that no buffer may be larger than 64 KiB, which by VDUSE it does not: a
    request of 1 MiB has more of them here.
    """
    return loopback(tmp, f"qsd{queues}", *qsd(f"qsd{queues}", queues), queues=queues)


def _loopback_own(tmp, who, queues, *words, **more):
    who = f"{who}{queues}"
    return loopback(tmp, who, *own(who, queues), *words, queues=queues, **more)


def loopback_own(tmp, queues=1):
    return _loopback_own(tmp, "own", queues)


def loopback_polling(tmp, queues=1):
    return _loopback_own(tmp, "polling", queues, "--poll", "50")


def loopback_packed(tmp, queues=1):
    return _loopback_own(tmp, "packed", queues, more=("--packed",))


def loopback_vduse(tmp, queues=1):
    """The same back-end, by VDUSE: what the module makes of it, and what this does."""
    module("vduse")
    module("virtio_vdpa")
    return _loopback_own(tmp, "byvduse", queues, transport="vduse")


def vduse(tmp, queues=1):
    module("vduse")
    module("virtio_vdpa")
    name = f"vduse{queues}"
    daemon("qemu-storage-daemon", "--blockdev", blockdev(name), "--export",
           f"type=vduse-blk,id=v,name={name},node-name=n,writable=on,num-queues={queues},"
           f"queue-size={DEPTH}")
    wait_for(f"/dev/vduse/{name}")
    before = set(Path("/sys/block").glob("vd*"))
    # The device's node is there before its queues are: until then it is refused.
    wait_until(lambda: not subprocess.run(["vdpa", "dev", "add", "name", name, "mgmtdev",
                                           "vduse"], stderr=subprocess.DEVNULL).returncode,
               "VDUSE's device")
    _ends.append(("vdpa", "dev", "del", name))
    new = wait_until(lambda: set(Path("/sys/block").glob("vd*")) - before, "VDUSE's disk")
    return wait_for(f"/dev/{new.pop().name}")


def ublk(tmp, queues=1):
    module("ublk_drv")
    before = set(Path("/dev").glob("ublkb*"))
    daemon("bench-ublk-null", "--queues", queues, *([_file(f"ublk{queues}")] if _files else []))
    return str(wait_until(lambda: set(Path("/dev").glob("ublkb*")) - before, "ublk's disk").pop())


def nbd(tmp, queues=1):
    """Its queues are connections."""
    module("nbd")
    name, node = f"nbd{queues}", f"/dev/nbd{queues}"
    sock = serve(tmp, name, ("qemu-nbd", "--image-opts",
                             blockdev(name).replace("node-name=n,", ""), "--persistent",
                             f"--shared={queues}", "--socket", "{socket}"))
    run("nbd-client", "-unix", sock, node, "-connections", queues)
    _ends.append(("nbd-client", "-d", node))
    wait_until(lambda: int(Path(f"/sys/block/nbd{queues}/size").read_text()), "the nbd disk")
    return node


def loop(tmp, queues=1):
    """Holes of a file on tmpfs: what is read are zeroes, what is written is stored."""
    if queues > 1:
        raise Missing("it has one queue")
    module("loop")
    path = Path(tmp) / "loop.img"
    path.touch()
    os.truncate(path, SIZE)
    return run("losetup", "--find", "--show", "--direct-io=on", path).strip()


def null_blk(tmp, queues=1):
    """No transport at all: what fio and the block layer take."""
    if _files:
        raise Missing("it has no file")
    module("null_blk", "nr_devices=0")
    there = Path("/sys/kernel/config/nullb")
    if not there.exists():
        run("mount", "-t", "configfs", "none", "/sys/kernel/config")
    disk = there / f"null{queues}"
    disk.mkdir()
    for what, value in (("queue_mode", 2), ("irqmode", 0), ("blocksize", 512),
                        ("size", SIZE >> 20), ("submit_queues", queues),
                        ("hw_queue_depth", DEPTH), ("power", 1)):
        (disk / what).write_text(str(value))
    return wait_for(f"/dev/null{queues}")


# The daemon behind the first and VDUSE is the same.
PEERS = {"loopback": loopback_qsd, "loopback-own": loopback_own, "vduse": vduse, "ublk": ublk,
         "nbd": nbd, "loop": loop, "null_blk": null_blk, "loopback-polling": loopback_polling,
         "loopback-vduse": loopback_vduse, "loopback-packed": loopback_packed}

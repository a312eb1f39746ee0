# SPDX-License-Identifier: BSD-3-Clause
"""The system goes to sleep and comes back, with devices attached and busy.

pm_test=freezer: user space and kernel threads are frozen and thawed as for a suspend.
The guest's own 9p, which carries the checkout, does not come back from more than that:
see tests/vm-sleep.
"""

import os
import signal
from pathlib import Path

from harness import ALL, test

POWER = Path("/sys/power")
CYCLES = 20


def cycle(kind="mem"):
    (POWER / "state").write_text(kind)


def prepare(t, asleep=0):
    """asleep: seconds"""
    if not (POWER / "pm_test").exists():
        t.skip("this kernel has no pm_test")
    delay = Path("/sys/module/suspend/parameters/pm_test_delay")
    delay.write_text(str(asleep))
    (POWER / "pm_test").write_text("freezer")
    t.at_end((POWER / "pm_test").write_text, "none")


def fio(t, name, node, *words):
    return t.start("fio", f"--name={name}", f"--filename={node}", "--ioengine=libaio",
                   "--direct=1", "--verify=crc32c", "--verify_fatal=1", "--size=24M",
                   "--time_based", "--runtime=300", *words)


def requests(node):
    words = (Path("/sys/block") / Path(node).name / "stat").read_text().split()
    return int(words[0]) + int(words[4])


@test(timeout=150, kernels=ALL, needs=("fio",))
def under_load(t):
    """Tasks wait for requests in each cycle: they are done, and the system gets to sleep."""
    prepare(t)
    device = t.attach("blk", exec=f"vhost-user-blk --image {t.image(64 << 20)} --queues 2",
                      queues=2)
    loads = [fio(t, "deep", device.node, "--rw=randwrite", "--bs=4k", "--iodepth=32"),
             fio(t, "sync", device.node, "--rw=randwrite", "--bs=64k", "--iodepth=1",
                 "--offset=32M")]
    t.within(20, lambda: requests(device.node) > 200, "200 requests")
    for turn in range(CYCLES):
        before = requests(device.node)
        cycle()
        t.within(10, lambda: requests(device.node) > before + 20,
                 f"I/O after sleep number {turn + 1}")
    for load in loads:
        load.signal(signal.SIGINT)
        status = load.wait(30)
        t.check("verify" not in load.said() or status == 0, f"fio: {load.said()[-300:]}")
    device.detach()


@test(timeout=60, kernels=ALL)
def with_a_stopped_backend(t):
    """A task waits for what does not come: the sleep fails with an error, and no more."""
    prepare(t)
    freeze = POWER / "pm_freeze_timeout"
    freeze.write_text("1000")
    t.at_end(freeze.write_text, "20000")
    backend = t.backend("vhost-user-blk", "--image", t.image(16 << 20))
    device = t.attach("blk", socket=backend.socket)
    backend.stop()
    reader = t.start("dd", f"if={device.node}", "of=/dev/null", "bs=4k", "count=1", "iflag=direct")
    inflight = Path("/sys/block") / Path(device.node).name / "inflight"
    t.within(5, lambda: inflight.read_text().split() == ["1", "0"], "dd to wait for its block")
    try:
        cycle()
        t.fail("sleep while a task cannot be frozen: expected EBUSY, saw success")
    except OSError as e:
        t.equal(os.strerror(e.errno), "Device or resource busy", "the sleep's error")
    backend.resume()
    t.equal(reader.wait(), 0, "dd's exit status once the back-end goes on")
    cycle()
    device.detach()


def unfreezable(pid):
    """Whether the process has PF_NOFREEZE."""
    flags = int(Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()[6])
    return bool(flags & 0x00008000)


@test(timeout=60, kernels=ALL)
def servers_freeze_again(t):
    """Only while the system goes to sleep are the servers left out of the freezing."""
    prepare(t)
    device = t.attach("blk", exec=f"vhost-user-blk --image {t.image(16 << 20)}")
    cycle()
    t.equal(unfreezable(device.info()["adapter_pid"]), False, "PF_NOFREEZE of the adapter when awake")
    device.detach()


# A back-end that forks every now and then; exec() would clear the flag.
FORKS = """\
#!/usr/bin/python3
import os, subprocess, sys, time
disk = subprocess.Popen(["vhost-user-blk", *sys.argv[2:]], close_fds=False)
while disk.poll() is None:
    time.sleep(0.05)
    child = os.fork()
    if not child:
        time.sleep(300)
        os._exit(0)
    with open(sys.argv[1], "a") as out:
        print(child, file=out)
"""


@test(timeout=60, kernels=ALL)
def forked_by_a_server(t):
    """What a server forks while it is left out of the freezing is frozen the next time."""
    prepare(t, asleep=1)
    script, children = t.tmp / "forks", t.tmp / "children"
    script.write_text(FORKS)
    script.chmod(0o755)
    # an interpreter begins before the back-end does
    device = t.attach("blk", "--timeout", 30, exec=f"{script} {children} --image {t.image(16 << 20)}")
    t.within(10, children.exists, "the back-end's first child")
    before = len(children.read_text().splitlines())
    cycle()
    pids = children.read_text().splitlines()
    t.check(len(pids) > before + 2, f"children of the time asleep: expected some, saw {len(pids) - before}")
    t.equal([pid for pid in pids if unfreezable(pid)], [], "children with PF_NOFREEZE when awake")
    device.detach()

# SPDX-License-Identifier: BSD-3-Clause
"""CAN: a virtual bus behind the back-end, a SocketCAN interface in front of the driver."""

import os
import re
import signal
import socket
import statistics
import struct
import time
from pathlib import Path

import can
from can import BUS_RATE, EVERY, KERNELS, NET, Interface, Receiver, bus, send, traffic
from harness import Case, test

DRIVER = Path("/sys/bus/virtio/drivers/virtio_can")
MANY = {"10k": {"count": 10000}, "100k": Case({"count": 100000}, tier="long"),
        "1M": Case({"count": 1000000}, tier="long")}
EFF, RTR, ERR = 0x80000000, 0x40000000, 0x20000000
MSG_CONFIRM = socket.MSG_CONFIRM
CAN_RAW_ERR_FILTER = 2  # which Python has no name for


def raw(t, name, own=False, loopback=True, errors=0):
    s = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    t.at_end(s.close)
    s.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_RECV_OWN_MSGS, int(own))
    s.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_LOOPBACK, int(loopback))
    s.setsockopt(socket.SOL_CAN_RAW, CAN_RAW_ERR_FILTER, errors)
    s.bind((name,))
    s.settimeout(10 * t.slow)
    return s


def frame(ident, data=b""):
    return struct.pack("=IB3x8s", ident, len(data), data)


def parse(text):
    ident, length, data = struct.unpack("=IB3x8s", text[:16])
    return ident, data[:length]


# ---- frames ----


@test(kernels=EVERY, timeout=60, tags=("can", "smoke"))
def smoke(t):
    """Frames of all kinds, each way, on every kernel that has CAN."""
    bus(t)
    interface = Interface(t)
    t.equal(interface.device.info()["driver"], "virtio_can", "driver")
    for there, here, rate in (("vcan0", interface.name, 0), (interface.name, "vcan0", 2000)):
        receiver = Receiver(t, there, 500)
        send(t, here, 500, rate)
        receiver.all()
    t.equal(interface.lost(), 0, "frames that the device lost")
    interface.down()
    interface.device.detach()


@test(kernels=KERNELS, timeout=2400, tags=("can",), cases=MANY)
def from_the_driver(t, count):
    """As fast as they go: none lost, reordered or changed, also when the queue is full."""
    bus(t)
    interface = Interface(t)
    receiver = Receiver(t, "vcan0", count)
    sent = send(t, interface.name, count, timeout=60 + count / 500)
    receiver.all(30 + count / 500)
    t.within(10, lambda: interface.stat("tx_packets") == count, "all frames to be counted")
    t.equal([interface.stat(s) for s in ("tx_errors", "tx_dropped", "rx_packets")], [0, 0, 0],
            "tx errors, tx dropped, own frames that came back")
    t.figure("from the driver", f"{count / sent['seconds']:.0f} frames/s")


def exactly():
    """Who looks at the clock all the time needs a CPU for it."""
    return ("--exact",) if os.cpu_count() > 1 else ()


@test(kernels=KERNELS, timeout=2400, tags=("can",), cases=MANY)
def from_the_bus(t, count):
    """At the rate of a real bus: none lost, reordered or changed."""
    bus(t)
    interface = Interface(t)
    receiver = Receiver(t, interface.name, count)
    sent = send(t, "vcan0", count, BUS_RATE, 60 + count / 500, exactly())
    receiver.all(30 + count / 500)
    t.equal([interface.lost(), interface.stat("rx_errors"), interface.stat("rx_dropped")],
            [0, 0, 0], "frames lost, other errors, dropped")
    t.figure("from the bus", f"{count / sent['seconds']:.0f} frames/s")


@test(kernels=KERNELS, timeout=90, tags=("can",))
def both_ways(t):
    """At once; and no frame of the driver's comes back to it as one of the bus."""
    count = 3000
    bus(t)
    interface = Interface(t)
    senders = [t.start("can-load", "send", name, count, 2000)
               for name in ("vcan0", interface.name)]
    for sender in senders:
        t.equal(sender.wait(60), 0, "exit status of a sender")
    t.within(20, lambda: interface.stat("rx_packets") >= count
             and interface.stat("tx_packets") >= count, "all frames to be counted")
    t.equal([interface.stat(n) for n in ("rx_packets", "tx_packets", "tx_errors", "rx_errors")],
            [count, count, 0, 0], "frames received, sent, and errors of either")


@test(kernels=KERNELS, timeout=90, tags=("can",), cases={
    "60k": {"count": 60000}, "500k": Case({"count": 500000}, tier="long")})
def flood(t, count):
    """More than anybody can take: what does not come is counted, each frame of it."""
    bus(t)
    interface = Interface(t)
    # However fast the back-end is, while it is stopped its socket overflows.
    backend = backend_pid(t)
    os.kill(backend, signal.SIGSTOP)
    t.at_end(resume, backend)
    send(t, "vcan0", count // 2)
    os.kill(backend, signal.SIGCONT)
    send(t, "vcan0", count - count // 2)
    t.within(60, lambda: interface.stat("rx_packets") + interface.lost() >= count,
             "each frame to be received or counted as lost")
    received, lost = interface.stat("rx_packets"), interface.lost()
    print(f"{count} sent, {received} received, {lost} counted as lost")
    t.equal(received + lost, count, "frames received and counted as lost")
    t.check(lost > 1000, f"expected a flood that loses frames, saw {lost} lost")
    t.equal(interface.stat("rx_errors"), lost, "rx_errors")


def resume(pid):
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass


def backend_pid(t):
    """Of the back-end that the only device started."""
    return int(t.run("pgrep", "-x", "vhost-user-can").split()[0])


@test(kernels=KERNELS, timeout=60, tags=("can",))
def echoes_in_a_flood(t):
    """Echoes get lost as well, and are not taken for frames of the bus, nor waited for."""
    bus(t)
    interface = Interface(t)
    backend = backend_pid(t)
    os.kill(backend, signal.SIGSTOP)
    t.at_end(resume, backend)
    own = t.start("can-load", "--classic", "send", interface.name, 2000, 0)
    send(t, "vcan0", 20000)
    os.kill(backend, signal.SIGCONT)
    flood = t.start("can-load", "send", "vcan0", 20000, 0)
    t.equal(own.wait(60), 0, "exit status of the driver's sender")
    t.equal(flood.wait(60), 0, "exit status of the bus's sender")
    t.within(30, lambda: interface.stat("tx_packets") == 2000, "all own frames to be sent")
    t.within(30, lambda: interface.stat("rx_packets") + interface.lost() >= 40000,
             "each frame of the bus to be received or counted as lost")
    t.equal(interface.stat("rx_packets") + interface.lost(), 40000,
            "frames of the bus received and counted as lost")


# ---- what SocketCAN promises ----


@test(kernels=KERNELS, timeout=60, tags=("can",))
def loopback(t):
    """Sockets of this machine see a frame that was sent; its own socket if it wants to."""
    bus(t)
    interface = Interface(t)
    far = raw(t, "vcan0")
    own, other = raw(t, interface.name, own=True), raw(t, interface.name)
    quiet = raw(t, interface.name, loopback=False)
    own.send(frame(0x11, b"own"))
    seen, _, flags, _ = own.recvmsg(72)
    t.equal(parse(seen), (0x11, b"own"), "the own frame")
    t.check(flags & MSG_CONFIRM, f"expected MSG_CONFIRM on the own frame, saw flags {flags:#x}")
    seen, _, flags, _ = other.recvmsg(72)
    t.equal(parse(seen), (0x11, b"own"), "the frame at another socket")
    t.equal(bool(flags & MSG_CONFIRM), False, "MSG_CONFIRM at another socket")
    t.check(flags & socket.MSG_DONTROUTE,
            f"expected MSG_DONTROUTE on a frame of this machine, saw {flags:#x}")
    # Without loopback it goes out, and nobody here sees it.
    quiet.send(frame(0x12, b"quiet"))
    own.send(frame(0x13, b"last"))
    t.equal(parse(other.recv(72)), (0x13, b"last"), "the frame after the one without loopback")
    t.equal([parse(far.recv(72))[0] for _ in range(3)], [0x11, 0x12, 0x13], "frames on the bus")
    far.send(frame(0x14, b"far"))
    seen, _, flags, _ = other.recvmsg(72)
    t.equal((parse(seen), flags & (socket.MSG_DONTROUTE | MSG_CONFIRM)), ((0x14, b"far"), 0),
            "a frame from the bus, and its flags")


@test(kernels=KERNELS, timeout=60, tags=("can",))
def shown(t):
    """`ip -details link` and what it counts."""
    bus(t)
    interface = Interface(t, up=False)
    t.equal(interface.state(), "STOPPED", "state before it is up")
    interface.up()
    details = interface.details()
    t.equal(interface.state(), "ERROR-ACTIVE", "state when it is up")
    for word in ("mtu 72", "can <FD>", "restart-ms 0", "UP,LOWER_UP", "parentdev virtio"):
        t.check(word in details, f"expected {word!r} in {details!r}")
    t.check("bitrate" not in details, f"expected no bit rate, saw {details!r}")
    t.run("ip", "link", "set", interface.name, "type", "can", "bitrate", 500000, status=2)
    # A bus without FD: so is the interface.
    t.run("ip", "link", "set", "vcan0", "down")
    t.run("ip", "link", "set", "vcan0", "mtu", 16)
    t.run("ip", "link", "set", "vcan0", "up")
    classic = Interface(t)
    t.check("mtu 16" in classic.details(), f"expected mtu 16, saw {classic.details()!r}")
    receiver = Receiver(t, "vcan0", 200, "--classic")
    send(t, classic.name, 200, options=("--classic",))
    receiver.all()


def listens(t, kind, pattern):
    """Wait for a socket in a list of /proc/net/can."""
    path = Path(f"/proc/net/can/rcvlist_{kind}")
    t.within(10, lambda: path.exists() and re.search(pattern, path.read_text(), re.M),
             f"a socket like {pattern} in {path}")


def carried(text):
    """A frame as candump writes it, without the FD flags that virtio has no bits for (BRS, ESI)."""
    return re.sub(r"##(.)", lambda m: f"##{int(m.group(1), 16) & ~3:X}", text)


@test(kernels=KERNELS, timeout=90, tags=("can",), needs=("cansend", "candump", "cangen"))
def can_utils(t):
    """cansend, candump, cangen: each side's log of the other's frames is the same."""
    bus(t)
    interface = Interface(t)
    dumps = [t.start("candump", "-L", name) for name in ("vcan0", interface.name)]
    for name in ("vcan0", interface.name):
        listens(t, "all", rf"^ *{name} +000 .*raw")
    kinds = ("123#", "7FF#1122334455667788", "1FFFFFFF#01", "123#R", "00000123#R8",
             "123##0001122", "12345678##0" + "5A" * 64)
    for name in (interface.name, "vcan0"):
        for kind in kinds:
            t.run("cansend", name, kind)
    for name in (interface.name, "vcan0"):
        t.run("cangen", name, "-n", 300, "-g", 1, "-m", "-e", timeout=30)
    want = 2 * (len(kinds) + 300)
    t.within(20, lambda: all(d.said().count("\n") >= want for d in dumps),
             f"{want} frames in each log")
    logs = [[carried(line.split()[2]) for line in d.said().splitlines()] for d in dumps]
    t.equal([len(log) for log in logs], [want, want], "frames logged")
    for before, after in zip(*logs):
        t.equal(after, before, "a frame on the interface, as it was on the bus")


@test(kernels=KERNELS, timeout=90, tags=("can",), needs=("isotpsend", "isotprecv"),
      cases={"to-bus": {"way": 0}, "from-bus": {"way": 1}})
def isotp(t, way):
    """A transfer of 4095 bytes in frames that wait for each other."""
    t.run("modprobe", "can-isotp", status=None)
    if t.last_status:
        t.skip("this kernel has no can-isotp")
    bus(t)
    here, there = (Interface(t).name, "vcan0")[::1 if way == 0 else -1]
    data = os.urandom(4095)
    text = data.hex(" ").upper()
    reader = t.start("isotprecv", "-s", 321, "-d", 123, "-b", 8, there)
    listens(t, "sff", rf"^ *{there} +123 ")
    t.run("isotpsend", "-s", 123, "-d", 321, "-b", here, input=text, timeout=30)
    t.equal(reader.wait(30), 0, "isotprecv's exit status")
    t.equal(bytes.fromhex(reader.said()), data, "bytes transferred")


# ---- off the bus ----


def error_seen(s):
    """The next error frame."""
    while True:
        ident, data = parse(s.recv(72))
        if ident & ERR:
            return ident & ~ERR, data


@test(kernels=KERNELS, timeout=60, tags=("can",))
def bus_off(t):
    """An error of the bus: state, error frame, statistics; frames come to nothing; restart."""
    bus(t)
    interface = Interface(t)
    errors = raw(t, interface.name, errors=0x1fffffff)
    t.run("can-load", "error", "vcan0", "bus-off")
    t.equal(error_seen(errors)[0] & 0x40, 0x40, "CAN_ERR_BUSOFF in the error frame")
    t.within(5, lambda: interface.state() == "BUS-OFF", "state BUS-OFF")
    t.check("NO-CARRIER" in interface.details(), "expected no carrier")
    t.run("ip", "link", "set", interface.name, "type", "can", "restart")
    t.equal(error_seen(errors)[0] & 0x100, 0x100, "CAN_ERR_RESTARTED in the error frame")
    t.within(5, lambda: interface.state() == "ERROR-ACTIVE", "state ERROR-ACTIVE")
    t.within(5, lambda: "NO-CARRIER" not in interface.details(), "the carrier")
    receiver = Receiver(t, "vcan0", 100)
    send(t, interface.name, 100)
    receiver.all()
    # By itself, and again
    interface.down()
    t.run("ip", "link", "set", interface.name, "type", "can", "restart-ms", 100)
    interface.up()
    errors = raw(t, interface.name, errors=0x1fffffff)
    for turn in range(2):
        t.run("can-load", "error", "vcan0", "bus-off")
        t.equal(error_seen(errors)[0] & 0x40, 0x40, f"CAN_ERR_BUSOFF, turn {turn}")
        t.equal(error_seen(errors)[0] & 0x100, 0x100, f"CAN_ERR_RESTARTED, turn {turn}")
        t.within(5, lambda: interface.state() == "ERROR-ACTIVE", "state ERROR-ACTIVE")
    counts = t.run("ip", "-details", "-statistics", "link", "show", interface.name)
    numbers = counts.split("re-started bus-errors")[1].split()
    columns = [n for n in numbers if n.isdigit()][:6]
    t.equal((columns[0], columns[5]), ("3", "3"), "restarts and bus-offs counted")


@test(kernels=KERNELS, timeout=60, tags=("can",))
def overflow_in_the_controller(t):
    """The interface behind the back-end says that it lost something: it is handed on."""
    bus(t)
    interface = Interface(t)
    errors = raw(t, interface.name, errors=0x1fffffff)
    t.run("can-load", "error", "vcan0", "overflow")
    ident, data = error_seen(errors)
    t.equal((ident, data[1]), (0x4, 0x1), "CAN_ERR_CRTL, CAN_ERR_CRTL_RX_OVERFLOW")
    t.equal((interface.lost(), interface.stat("rx_errors")), (1, 1), "counted")


@test(kernels=KERNELS, timeout=90, tags=("can",))
def interface_goes(t):
    """The interface behind goes down, up, away, and comes back: bus-off, and no busy loop."""
    bus(t)
    interface = Interface(t)
    t.run("ip", "link", "set", "vcan0", "down")
    t.within(5, lambda: interface.state() == "BUS-OFF", "state BUS-OFF after down")
    t.run("ip", "link", "set", interface.name, "type", "can", "restart", status=2)
    interface.down()
    interface.up(status=2)
    t.run("ip", "link", "set", "vcan0", "up")
    interface.up()
    exchange(t, interface)
    t.run("ip", "link", "delete", "vcan0")
    t.within(5, lambda: interface.state() == "BUS-OFF", "state BUS-OFF after it vanished")
    pid = backend_pid(t)
    before = cpu_ticks(pid)
    time.sleep(1)
    t.check(cpu_ticks(pid) - before < 20, "expected an idle back-end while the interface is away, "
            f"saw {cpu_ticks(pid) - before} ticks in a second")
    interface.down()
    interface.up(status=2)
    t.run("ip", "link", "add", "vcan0", "type", "vcan")
    t.run("ip", "link", "set", "vcan0", "up")
    t.within(5, lambda: interface.up(status=None) is not None and t.last_status == 0,
             "the interface to come up again", step=0.2)
    exchange(t, interface)
    interface.down()
    interface.device.detach()


def cpu_ticks(pid):
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return int(words[11]) + int(words[12])


def exchange(t, interface, count=50):
    """Frames go both ways."""
    for there, here, rate in ((interface.behind, interface.name, 0),
                              (interface.name, interface.behind, 2000)):
        receiver = Receiver(t, there, count)
        send(t, here, count, rate)
        receiver.all()


# ---- coming and going ----

@test(kernels=KERNELS, timeout=120, tags=("can",), cases={
    "10": {"turns": 10}, "50": Case({"turns": 50}, tier="long")})
def under_traffic(t, turns):
    """Attach and detach, with frames both ways."""
    bus(t)
    traffic(t, "vcan0")
    for turn in range(turns):
        interface = Interface(t)
        sender = t.start("can-load", "send", interface.name, 1000000, 2000)
        t.within(10, lambda: interface.stat("tx_packets") > 50
                 and interface.stat("rx_packets") > 50, f"frames both ways in turn {turn}")
        interface.device.detach("--force")
        t.within(10, lambda: not (NET / interface.name).exists(), "the interface to be gone")
        t.check(sender.wait(20) != 0, "expected the sender to fail, saw success")


@test(kernels=KERNELS, timeout=90, tags=("can",))
def unbind_and_bind(t):
    """The driver lets the device go, and takes it again, with frames both ways; so up and down."""
    bus(t)
    interface = Interface(t)
    traffic(t, "vcan0")
    for turn in range(3):
        sender = t.start("can-load", "send", interface.name, 1000000, 2000)
        before = interface.stat("tx_packets")
        t.within(10, lambda: interface.stat("tx_packets") > before + 50, "frames from the driver")
        interface.down()
        sender.wait(20)
        interface.up()
    for turn in range(3):
        sender = t.start("can-load", "send", interface.name, 1000000, 2000)
        t.within(10, lambda: interface.stat("tx_packets") > 50
                 and interface.stat("rx_packets") > 50, f"frames both ways in turn {turn}")
        (DRIVER / "unbind").write_text(interface.device.virtio)
        t.within(5, lambda: not (NET / interface.name).exists(), "the interface to be gone")
        sender.wait(20)
        (DRIVER / "bind").write_text(interface.device.virtio)
        t.within(5, lambda: (NET / interface.name).exists(), "the interface to be back")
        interface.up()


@test(kernels=KERNELS, timeout=90, tags=("can",))
def backend_dies(t):
    """The back-end is killed, under load: the interface is plugged in again, and works."""
    bus(t)
    interface = Interface(t)
    t.start("can-load", "send", interface.name, 1000000, 0)
    t.within(10, lambda: interface.stat("tx_packets") > 50, "frames from the driver")
    index = (NET / interface.name / "ifindex").read_text()
    os.kill(backend_pid(t), signal.SIGKILL)

    def again():
        try:
            return (NET / interface.name / "ifindex").read_text() != index
        except OSError:
            return False
    t.within(20, again, "another interface of this name")
    interface.up()
    exchange(t, interface)
    interface.down()
    interface.device.detach()


@test(kernels=KERNELS, timeout=60, tags=("can",))
def backend_stops(t):
    """A back-end that hangs: nothing else hangs for long, and it can be detached."""
    bus(t)
    interface = Interface(t)
    pid = backend_pid(t)
    os.kill(pid, signal.SIGSTOP)
    t.at_end(resume, pid)
    t.start("can-load", "send", interface.name, 1000, 0)
    start = time.monotonic()
    t.run("ip", "link", "set", interface.name, "down", timeout=40, status=None)
    t.log(f"down in {time.monotonic() - start:.1f} s")
    t.check(time.monotonic() - start < 20 * t.slow, "expected the link to go down in 20 s, saw "
            f"{time.monotonic() - start:.1f} s")
    interface.device.detach("--force")


@test(kernels=KERNELS, timeout=60, tags=("can",))
def two_at_once(t):
    """Two devices on two buses, and two on one bus, which hear each other."""
    bus(t)
    bus(t, "vcan1")
    first, second, third = Interface(t), Interface(t, "vcan1"), Interface(t)
    t.equal(len({first.name, second.name, third.name}), 3, "names of the interfaces")
    # Each sender is heard by its own bus, and by the other device on it.
    readers = [Receiver(t, name, 1000) for name in ("vcan0", "vcan1", third.name)]
    senders = [t.start("can-load", "send", i.name, 1000, 2000) for i in (first, second)]
    for sender in senders:
        t.equal(sender.wait(30), 0, "exit status of a sender")
    for reader in readers:
        reader.all()
    t.equal([second.stat("rx_packets"), first.stat("rx_packets"), third.stat("rx_packets")],
            [0, 0, 1000], "frames that the three heard")


@test(kernels=KERNELS, timeout=90, tags=("can", "suspend"))
def sleep(t):
    """The system goes to sleep and wakes, under traffic; with the interface up, down and off."""
    power = Path("/sys/power")
    if not (power / "pm_test").exists():
        t.skip("this kernel has no pm_test")
    Path("/sys/module/suspend/parameters/pm_test_delay").write_text("0")
    (power / "pm_test").write_text("freezer")
    t.at_end((power / "pm_test").write_text, "none")
    bus(t)
    interface = Interface(t)
    traffic(t, "vcan0", interface.name)
    for turn in range(3):
        before = interface.stat("tx_packets")
        (power / "state").write_text("mem")
        t.within(10, lambda: interface.stat("tx_packets") > before + 20,
                 f"frames after sleep number {turn + 1}")
    interface.down()
    (power / "state").write_text("mem")
    interface.up()
    t.equal(interface.state(), "ERROR-ACTIVE", "state after a sleep while it was down")


# ---- the program ----


@test(kernels=("debian-6.12",), timeout=60, tags=("can",))
def bad_words(t):
    """One clear line, and the status of a failure."""
    bus(t)
    for words, says in (
            ((), "--interface"), (("--interface", "nope0"), "nope0: there is no such interface"),
            (("--interface", "lo"), "lo: is not a CAN interface"),
            (("--interface", ""), "no name of an interface"),
            (("--interface", "x" * 40), "no name of an interface"),
            (("--interface", "vcan0", "more"), "more"), (("--interface",), "a value is missing")):
        out = t.run("vhost-user-can", "--socket-path", t.tmp / "s", *words, status=1)
        t.equal(len(out.strip().splitlines()), 1, f"{words}: lines")
        t.check(says in out, f"{words}: expected {says!r}, saw {out!r}")
    out = t.run("virtio-loopback", "attach", "--type", "can", "--exec",
                "vhost-user-can --interface nope0", status=1)
    t.check("nope0: there is no such interface" in out or "ended" in out or "exit" in out,
            f"attach: expected why the back-end ended, saw {out!r}")
    # Nobody may have sockets of this kind where the policy of a name space says so.
    out = t.run("unshare", "--net", "vhost-user-can", "--socket-path", t.tmp / "s", "--interface",
                "vcan0", status=1)
    t.check("vcan0: there is no such interface" in out, f"in another name space: saw {out!r}")


@test(kernels=("debian-6.12",), timeout=60, tags=("can",))
def unprivileged(t):
    """As nobody, without any capability: frames go both ways, and it takes little memory."""
    bus(t)
    folder = t.tmp / "nobody"
    folder.mkdir()
    os.chmod(t.tmp, 0o711)
    os.chown(folder, 65534, 65534)
    path = folder / "s"
    backend = t.start("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                      "--inh-caps=-all", "--no-new-privs", "vhost-user-can", "--socket-path", path,
                      "--interface", "vcan0")
    t.within(10, path.exists, "the back-end's socket")
    interface = Interface(t, socket=path, exec=None)
    # Its socket's room is what anybody may have: some hundreds of frames.
    receiver = Receiver(t, interface.name, 2000)
    send(t, "vcan0", 2000, 1000)
    receiver.all()
    receiver = Receiver(t, "vcan0", 2000)
    send(t, interface.name, 2000)
    receiver.all()
    status = Path(f"/proc/{backend.pid}/status").read_text()
    t.check("CapEff:\t0000000000000000" in status, "expected no capabilities")
    private = sum(int(line.split()[1])
                  for line in Path(f"/proc/{backend.pid}/smaps_rollup").read_text().splitlines()
                  if line.startswith(("Private_Clean:", "Private_Dirty:")))
    print(f"private memory of the back-end: {private} KiB")
    t.check(private < 1024, f"expected less than 1024 KiB of private memory, saw {private} KiB")
    interface.down()
    interface.device.detach()
    backend.terminate()


@test(kernels=("debian-6.12",), timeout=240, tags=("can",), tier="long")
def figures(t):
    """Frames a second and round trip, beside a plain virtual bus in the same guest, in turns."""
    bus(t)
    bus(t, "vcan1")
    interface = Interface(t)
    pairs = {"virtio to the bus": (interface.name, "vcan0"), "the bus to virtio":
             ("vcan0", interface.name), "plain vcan": ("vcan1", "vcan1")}
    seen = {name: [] for name in pairs}
    for _ in range(5):
        for name, (here, there) in pairs.items():
            seen[name].append(measured(t, here, there, 0 if here != "vcan0" else BUS_RATE))
    for name, runs in seen.items():
        rate, ping, late = (statistics.median(column) for column in zip(*runs))
        t.figure(name, f"{rate:.0f} frames/s, round trip {ping:.0f} us (99 %: {late:.0f} us)")


def measured(t, here, there, rate, count=10000):
    """Frames a second, the median of round trips, and what 99 of 100 stay below."""
    receiver = Receiver(t, there, count)
    send(t, here, count, rate, options=exactly())
    seconds = receiver.all()["seconds"]
    echo = t.start("can-load", "echo", there)
    t.within(10, lambda: "ready" in echo.said(), "the echo")
    pings = can.last_json(t.run("can-load", "ping", here, 1000))
    echo.popen.terminate()
    echo.wait()
    return count / seconds, pings["median_us"], pings["p99_us"]

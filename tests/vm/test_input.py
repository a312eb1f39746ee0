# SPDX-License-Identifier: BSD-3-Clause
"""Input devices: the stock driver and evtest here, devices made by uinput behind the back-end."""

import os
import re
import signal
import threading
import time
from pathlib import Path

import inputs
from harness import Case, test
from inputs import (ABS_X, ABS_Y, BTN_LEFT, BTN_SOUTH, BTN_TOUCH, EV_ABS, EV_KEY, EV_LED, EV_MSC,
                    EV_REL, EV_REP, EV_SND, EV_SW, EV_SYN, KEY_A, KEY_LEFTSHIFT, POSITION_X,
                    POSITION_Y, SLOT, SW_LID, TRACKING_ID, Reader)

DRIVER = Path("/sys/bus/virtio/drivers/virtio_input")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
          "--no-new-privs")


def backend(source, *more):
    return " ".join(["vhost-user-input --device", source.node, *more])


def attach(t, source, *more, **kw):
    device = t.attach("input", exec=backend(source, *more), **kw)
    t.check(re.fullmatch(r"/dev/input/event\d+", device.node),
            f"expected the node /dev/input/eventN, saw {device.node!r}")
    return device


def open_node(t, node):
    reader = Reader(node)
    t.at_end(reader.close)
    return reader


FRAMES = {
    "keyboard": [[(EV_MSC, 4, 30), (EV_KEY, KEY_A, 1)], [(EV_MSC, 4, 30), (EV_KEY, KEY_A, 0)],
                 [(EV_KEY, KEY_LEFTSHIFT, 1)], [(EV_KEY, 240, 1)], [(EV_KEY, 240, 0)],
                 [(EV_KEY, KEY_LEFTSHIFT, 0)]],
    "mouse": [[(EV_REL, 0, 5), (EV_REL, 1, -7)], [(EV_KEY, BTN_LEFT, 1)],
              [(EV_REL, 8, -1), (EV_REL, 11, -120)], [(EV_KEY, BTN_LEFT, 0)], [(EV_REL, 0, -2000)]],
    "touchscreen": [[(EV_ABS, TRACKING_ID, 1), (EV_ABS, POSITION_X, 100), (EV_ABS, POSITION_Y, 200),
                     (EV_KEY, BTN_TOUCH, 1), (EV_ABS, ABS_X, 100), (EV_ABS, ABS_Y, 200)],
                    [(EV_ABS, SLOT, 7), (EV_ABS, TRACKING_ID, 2), (EV_ABS, POSITION_X, 4095)],
                    [(EV_ABS, SLOT, 0), (EV_ABS, POSITION_X, 110), (EV_ABS, ABS_X, 110),
                     (EV_ABS, SLOT, 7), (EV_ABS, POSITION_X, 4000)],
                    [(EV_ABS, TRACKING_ID, -1), (EV_ABS, SLOT, 0), (EV_ABS, TRACKING_ID, -1),
                     (EV_KEY, BTN_TOUCH, 0)]],
    "gamepad": [[(EV_ABS, ABS_X, -32768), (EV_ABS, ABS_Y, 32767)], [(EV_KEY, BTN_SOUTH, 1)],
                [(EV_SW, SW_LID, 1)], [(EV_ABS, 16, 1), (EV_KEY, BTN_SOUTH, 0)],
                [(EV_SW, SW_LID, 0), (EV_ABS, ABS_X, 0)]],
}


@test(timeout=60, tags=("input",), cases={
    name: Case({"kind": name}, kernels=("debian-6.12", "debian-6.1", "debian-7", "debug")
               if name == "keyboard" else ("debian-6.12", "debug")) for name in FRAMES})
def same_as_the_source(t, kind):
    """What there is to know of the device, and what it does, is that of the source."""
    source = getattr(inputs, kind)(t)
    device = attach(t, source)
    behind, here = open_node(t, source.node), open_node(t, device.node)
    expected, seen = behind.description(), here.description()
    for what, value in expected.items():
        t.equal(seen[what].hex(), value.hex(), f"{what} of the device")
    t.equal(sorted(seen), sorted(expected), "axes of the device")
    wanted = [e for frame in FRAMES[kind] for e in frame + [(EV_SYN, 0, 0)]]
    for frame in FRAMES[kind]:
        source.send(*frame)
    t.equal(here.read(len(wanted), 10 * t.slow), wanted, "events")
    t.equal(here.read(1, 0.2), [], "events after those")
    device.detach("--force")


@test(timeout=60, tags=("input",), needs=("evtest",))
def evtest(t):
    """What a person sees who runs evtest on the device."""
    source = inputs.keyboard(t, "Keyboard for evtest")
    device = attach(t, source)
    told = t.tmp / "told"
    with open(told, "w") as f:
        program = t.start("stdbuf", "-oL", "evtest", device.node, stdout=f)
    t.within(10, lambda: "Testing ..." in told.read_text(), "evtest to begin")
    for value in (1, 0):
        source.send((EV_KEY, KEY_A, value))
    t.within(10, lambda: "KEY_A), value 0" in told.read_text(), "the key's release")
    program.kill()
    text = told.read_text()
    for want in ('Input device name: "Keyboard for evtest"',
                 "bus 0x3 vendor 0x1234 product 0x5678 version 0x111", "LED_CAPSL", "KEY_A), value 1"):
        t.check(want in text, f"expected {want!r} of evtest, saw {text[-600:]!r}")
    device.detach()


@test(timeout=60, tags=("input",))
def back_to_the_source(t):
    """LEDs, sounds and the rate of repeats; nothing else, and nothing round in circles."""
    source = inputs.keyboard(t)
    device = attach(t, source)
    behind, here = open_node(t, source.node), open_node(t, device.node)
    for code in range(3):
        for value in (1, 0, 1):
            here.send(EV_LED, code, value)
            t.equal(source.heard(), (EV_LED, code, value), "what the source hears")
    t.equal(behind.leds(), here.leds(), "LEDs")
    here.send(EV_SND, 2, 440)
    t.equal(source.heard(), (EV_SND, 2, 440), "what the source hears")
    here.send(EV_SND, 2, 0)
    t.equal(source.heard(), (EV_SND, 2, 0), "what the source hears")
    here.set_repeat(700, 90)
    t.within(5, lambda: behind.repeat() == (700, 90), f"the source to repeat so "
             f"(saw {behind.repeat()})")
    # Keys and echoes of scan codes do not go back.
    here.send(EV_MSC, 4, 77)
    source.send((EV_MSC, 4, 30), (EV_KEY, KEY_A, 1))
    source.send((EV_MSC, 4, 30), (EV_KEY, KEY_A, 0))
    here.send(EV_LED, 0, 0)
    # uinput hears the scan codes that it sent itself, too.
    heard = [e for e in iter(lambda: source.heard(1), None) if e[0] != EV_REP]
    t.equal([e for e in heard if e != (EV_MSC, 4, 30)], [(EV_LED, 0, 0)],
            f"what the source hears then (all of it: {heard})")
    t.equal(heard.count((EV_MSC, 4, 30)), 2, "scan codes among that")
    # On and off as fast as it goes: the last one counts, and then there is silence. The driver
    # drops what its status queue has no room for, so never more at once than that holds.
    for _ in range(5):
        for n in range(40):
            here.send(EV_LED, 1, n % 2)
        t.within(5, lambda: behind.leds() == here.leds(), "the LEDs to agree")
    while source.heard(0.3) is not None:
        pass
    t.equal((here.leds()[0], behind.leds()[0]), (0b110, 0b110), "LEDs in the end")
    device.detach("--force")


@test(timeout=60, tags=("input",))
def repeats(t):
    """A key that is held down repeats once for each repeat, not once for each device."""
    source = inputs.keyboard(t)
    device = attach(t, source)
    here = open_node(t, device.node)
    here.set_repeat(200, 100)
    source.send((EV_KEY, KEY_A, 1))
    # A program sees its own rates with the next frame.
    t.equal(here.read(4, 5 * t.slow), [(EV_REP, 0, 200), (EV_REP, 1, 100), (EV_KEY, KEY_A, 1),
                                       (EV_SYN, 0, 0)], "the key")
    seen = [e for e in here.read(60, 2.0) if e[:2] == (EV_KEY, KEY_A)]
    source.send((EV_KEY, KEY_A, 0))
    t.check(2 <= len(seen) <= 21, f"repeats in 2 s at 10 a second: expected up to 20, "
            f"saw {len(seen)}")
    t.equal(set(seen), {(EV_KEY, KEY_A, 2)}, "what is repeated")
    device.detach("--force")


@test(timeout=60, tags=("input",))
def grabbed(t):
    """
    --grab: nobody else gets the events of the source; without it both do. By the conventions'
    option it is the other way round.
    """
    source = inputs.mouse(t)
    other = open_node(t, source.node)
    both, conventional = [(EV_REL, 0, 3), (EV_SYN, 0, 0)], ("--evdev-path", source.node)
    for more, expected in (((), both), (("--grab",), []),
                           (conventional, []), ((*conventional, "--no-grab"), both)):
        device = attach(t, source, *more)
        here = open_node(t, device.node)
        source.send((EV_REL, 0, 3))
        t.equal(here.read(2, 5 * t.slow), [(EV_REL, 0, 3), (EV_SYN, 0, 0)], f"events with {more}")
        t.equal(other.read(2, 5 if expected else 0.2), expected, f"events of the source with {more}")
        if not expected:
            said = t.run("vhost-user-input", "--device", source.node, "--grab", "--socket-path",
                         t.tmp / "s", status=1)
            t.check("another program has it" in said, f"a second grab: saw {said!r}")
        device.detach("--force")
    source.send((EV_REL, 0, 4))
    t.equal(other.read(2, 5), [(EV_REL, 0, 4), (EV_SYN, 0, 0)], "events when it is detached")


@test(timeout=60, tags=("input",))
def how_it_stands(t):
    """A driver that comes late knows switches and axes, and no key that is held down."""
    source = inputs.gamepad(t)
    source.send((EV_SW, SW_LID, 1), (EV_ABS, ABS_X, 1234), (EV_KEY, BTN_SOUTH, 1))
    device = attach(t, source)
    here = open_node(t, device.node)
    t.within(5, lambda: (here.switches()[0], here.axis(ABS_X)) == (1, 1234),
             f"switch and axis (saw {here.switches()[0]}, {here.axis(ABS_X)})")
    t.equal(here.keys(), bytes(96), "keys")
    device.detach("--force")


@test(timeout=300, tags=("input",), cases={"2000": {"frames": 2000},
                                           "100000": Case({"frames": 100000}, tier="long")})
def overflow(t, frames):
    """More than all buffers hold: in the end the driver knows how the device stands."""
    source = inputs.keyboard(t)
    # It stays stopped for longer than the adapter would wait for a back-end that hangs.
    device = t.attach("input", "--heartbeat", "0", exec=backend(source))
    here, behind = open_node(t, device.node), open_node(t, source.node)
    pid = int(t.run("pidof", "vhost-user-input"))
    for turn in range(2):
        os.kill(pid, signal.SIGSTOP)
        for n in range(frames):
            source.send((EV_KEY, 1 + n % 200, n // 200 & 1 ^ turn))
        source.send((EV_KEY, KEY_A, 1 - turn))
        os.kill(pid, signal.SIGCONT)
        t.within(10, lambda: here.keys() == behind.keys(), "keys as behind the device")
        t.equal(here.keys()[KEY_A // 8] >> KEY_A % 8 & 1, 1 - turn, "the last key")
    drain(here)
    source.send((EV_KEY, KEY_A, 1))
    t.equal(here.read(2, 5 * t.slow), [(EV_KEY, KEY_A, 1), (EV_SYN, 0, 0)], "a key after that")
    device.detach("--force")


def drain(reader):
    while reader.read(1000, 0.2):
        pass


@test(timeout=60, tags=("input",))
def all_in_order(t):
    """Faster than the driver takes them, as long as evdev's buffer holds: none lost."""
    source = inputs.mouse(t)
    device = attach(t, source)
    here = open_node(t, device.node)
    wanted = []
    for n in range(1, 501):
        source.send((EV_REL, 0, n), (EV_REL, 1, -n))
        wanted += [(EV_REL, 0, n), (EV_REL, 1, -n), (EV_SYN, 0, 0)]
        if n % 10 == 0:
            t.equal(here.read(30, 10 * t.slow), wanted[-30:], f"events up to frame {n}")
    device.detach("--force")


class Typist:
    """Presses keys without a pause until it is stopped."""

    def __init__(self, source):
        self.source, self.stopped = source, threading.Event()
        self.thread = threading.Thread(target=self._type, daemon=True)
        self.thread.start()

    def _type(self):
        n = 0
        while not self.stopped.is_set():
            n += 1
            self.source.send((EV_KEY, KEY_A, n & 1))
            time.sleep(0.001)

    def stop(self):
        self.stopped.set()
        self.thread.join()


@test(timeout=120, tags=("input",), cases={"10": {"rounds": 10},
                                           "50": Case({"rounds": 50}, tier="long",
                                                      timeout=600)})
def under_traffic(t, rounds):
    """Attached and detached while keys are pressed and LEDs are set."""
    source = inputs.keyboard(t)
    typist = Typist(source)
    t.at_end(typist.stop)
    for n in range(rounds):
        device = attach(t, source)
        here = open_node(t, device.node)
        t.check(len(here.read(20, 10 * t.slow)) >= 20, "expected 20 events, saw fewer")
        here.send(EV_LED, 0, n % 2 ^ 1)
        device.detach("--force")
        here.close()
        t.equal(t.devices(), [], "devices after detach")


@test(timeout=60, tags=("input",))
def unbind_and_bind(t):
    """The driver lets go of the device and takes it again."""
    source = inputs.mouse(t)
    device = attach(t, source)
    for n in range(3):
        (DRIVER / "unbind").write_text(device.virtio)
        source.send((EV_REL, 0, 1000))  # for nobody
        (DRIVER / "bind").write_text(device.virtio)
        node = t.within(5, lambda: (device.info()["nodes"] or [None])[0], "a node")
        t.within(5, lambda: Path(node).exists(), node)
        here = open_node(t, node)
        source.send((EV_REL, 0, n + 1))
        t.equal(here.read(2, 5 * t.slow), [(EV_REL, 0, n + 1), (EV_SYN, 0, 0)], "events")
        here.close()
    device.detach()


@test(timeout=60, tags=("input",))
def backend_killed(t):
    """The back-end dies with a key held down: the key is up, and a device is there again."""
    source = inputs.keyboard(t)
    device = attach(t, source)
    for _ in range(2):
        node = device.info()["nodes"][0]
        here = open_node(t, node)
        source.send((EV_KEY, KEY_A, 1))
        t.equal(here.read(2, 5 * t.slow), [(EV_KEY, KEY_A, 1), (EV_SYN, 0, 0)], "the key")
        pid = t.run("pidof", "vhost-user-input").strip()
        t.run("kill", "-KILL", pid)
        t.within(20, lambda: ended(here), "the end of the device that was")
        here.close()
        source.send((EV_KEY, KEY_A, 0))
        node = t.within(20, lambda: ((device.info() or {}).get("nodes") or [None])[0], "a node")
        t.within(5, lambda: Path(node).exists(), node)
        here = open_node(t, node)
        t.equal(here.keys(), bytes(96), "keys that are down")
        here.close()
    device.detach()


def ended(reader):
    try:
        reader.read(1, 0.01)
    except OSError:
        return True
    return False


@test(timeout=60, tags=("input",))
def source_unplugged(t):
    """The device behind the back-end goes, and so does that of the driver."""
    source = inputs.mouse(t)
    device = attach(t, source, reconnect="off")
    here = open_node(t, device.node)
    source.unplug()
    t.within(20, lambda: ended(here), "the end of the node")
    t.within(20, lambda: t.devices() == [], "the end of the device")


@test(timeout=60, tags=("input",))
def two_devices(t):
    """Each has its own events."""
    sources = [inputs.keyboard(t, "One"), inputs.keyboard(t, "Two")]
    devices = [attach(t, source) for source in sources]
    readers = [open_node(t, device.node) for device in devices]
    for n, source in enumerate(sources):
        source.send((EV_KEY, KEY_A + n, 1))
    for n, reader in enumerate(readers):
        t.equal(reader.read(2, 5 * t.slow), [(EV_KEY, KEY_A + n, 1), (EV_SYN, 0, 0)],
                f"events of device {n}")
        t.equal(reader.read(1, 0.1), [], f"more events of device {n}")
    for n, reader in enumerate(readers):
        reader.send(EV_LED, n, 1)
        t.equal(sources[n].heard(), (EV_LED, n, 1), f"what source {n} hears")
    for device in devices:
        device.detach("--force")


BAD = {
    "no-device": (["--device", "/dev/input/event999"], r"/dev/input/event999: No such file"),
    "no-input": (["--device", "/dev/null"], r"/dev/null: is no input device"),
    "none": ([], r"one of --device and --display is needed"),
    "opposites": (["--device", "/dev/null", "--grab", "--no-grab"], r"--grab and --no-grab"),
}


@test(timeout=60, tags=("input",))
def bad_command_lines(t):
    """One clear line each."""
    source = inputs.mouse(t)
    for name, (words, pattern) in BAD.items():
        said = t.run("vhost-user-input", *words, "--socket-path", t.tmp / "s", status=1)
        t.equal(len(said.splitlines()), 1, f"{name}: lines that are said")
        t.check(re.search(pattern, said), f"{name}: expected {pattern!r}, saw {said!r}")
    said = t.run(*NOBODY, "vhost-user-input", "--device", source.node, "--socket-path", "/tmp/s",
                 status=1)
    t.check(re.fullmatch(rf".*{source.node}: Permission denied\n", said),
            f"expected one line that says 'Permission denied', saw {said!r}")
    t.run("virtio-loopback", "attach", "--type", "input", "--exec",
          "vhost-user-input --device /dev/input/event999", status=1)
    t.equal(t.devices(), [], "devices after an attach that failed")


@test(timeout=60, tags=("input",))
def without_root(t):
    """A user who may open the device serves it; the back-end's own memory is less than 1 MiB."""
    source = inputs.keyboard(t)
    Path(source.node).chmod(0o666)
    folder = t.tmp / "open"
    folder.mkdir()
    t.tmp.chmod(0o711)
    folder.chmod(0o777)
    process = t.backend(*NOBODY, "vhost-user-input", "--device", source.node, "--grab",
                        socket=folder / "input.sock")
    device = t.attach("input", socket=process.socket)
    here = open_node(t, device.node)
    for n in range(100):
        source.send((EV_KEY, KEY_A, n & 1 ^ 1))
        t.equal(here.read(2, 5 * t.slow), [(EV_KEY, KEY_A, n & 1 ^ 1), (EV_SYN, 0, 0)], "a key")
        here.send(EV_LED, 0, n & 1 ^ 1)
        here.read(2, 5 * t.slow)  # a program sees its own, too
        t.equal(source.heard(), (EV_LED, 0, n & 1 ^ 1), "what the source hears")
    status = Path(f"/proc/{process.pid}/status").read_text()
    t.check("Uid:\t65534\t65534" in status and "CapEff:\t0000000000000000" in status,
            f"expected a back-end of nobody without capabilities, saw {status}")
    rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    private = sum(int(n) for n in re.findall(r"^Private_\w+: +(\d+) kB", rollup, re.M))
    t.log(f"private memory of the back-end: {private} KiB")
    t.check(private < 1024, f"private memory: expected less than 1024 KiB, saw {private}")
    # It may be opened, but not written: events come, and LEDs stay dark.
    here.close()
    device.detach()
    process.terminate()
    Path(source.node).chmod(0o444)
    process = t.backend(*NOBODY, "vhost-user-input", "--device", source.node,
                        socket=folder / "input.sock")
    t.check("LEDs stay dark" in process.said(), f"expected a line on that, saw {process.said()!r}")
    device = t.attach("input", socket=process.socket)
    here = open_node(t, device.node)
    source.send((EV_KEY, KEY_A, 1))
    t.equal(here.read(2, 5 * t.slow), [(EV_KEY, KEY_A, 1), (EV_SYN, 0, 0)], "a key")
    here.close()
    device.detach()
    process.terminate()

# SPDX-License-Identifier: BSD-3-Clause
"""
Loads for the soak: one for each device type, small, without an end, and each operation verified.

Together they leave an emulated machine of two CPUs some time of its own: what is to be seen is
whether something grows, and a machine that is overloaded shows its load and nothing else. So on one
that is slower there is less of each.
"""

import mmap
import os
import select
import socket
import struct
import subprocess
import threading
import time

import can
import gpios
import inputs
from disks import MIB, Disk
from gpus import OWN, Gpu
from harness import Failed
from sound import Card, Wav, noise, same_sound
from test_console import Console, close_fd, connect
from test_net import GATEWAY, MACS, Passt

KIB = 1 << 10
PATIENCE = 30  # seconds that one operation may take, on debian-6.12


class Load:
    """One operation after the other, in a thread: each is verified, and its time is kept."""

    pause = 0.1  # seconds between two of them

    def __init__(self, t):
        self.t, self.patience = t, PATIENCE * t.slow
        self.name = type(self).__name__.lower()
        self.done, self.error, self.times = 0, None, []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.setup()
        t.at_end(self.end)

    def start(self):
        self.launch()
        self.thread.start()

    def _run(self):
        while not self.over.wait(self.pause * self.t.slow):
            began = time.monotonic()
            try:
                took = self.step(self.done)
            except Exception as e:
                if not self.over.is_set():
                    self.error = f"{self.name}: operation {self.done + 1}: {type(e).__name__}: {e}"
                return
            # A step that knows better than the clock here says so.
            self.times.append(time.monotonic() - began if took is None else took)
            self.done += 1

    def window(self):
        """How long the operations since the last call took."""
        times, self.times = self.times, []
        return times

    def rate(self, number):
        """So many a second on debian-6.12, when nobody else has the machine"""
        return max(1, round(number / self.t.slow))

    def check(self):
        """Nothing went wrong so far."""
        if self.error:
            raise Failed(self.error)

    def end(self):
        self.over.set()
        if self.thread.is_alive():
            self.stop()
            self.thread.join(self.patience)

    def expect(self, condition, text):
        if not condition:
            raise Failed(text)

    def read(self, fd, count):
        """So many bytes, within the time that an operation may take."""
        data, limit = b"", time.monotonic() + self.patience
        while len(data) < count:
            left = limit - time.monotonic()
            self.expect(left > 0 and select.select([fd], [], [], left)[0],
                        f"{len(data)} of {count} bytes came in {self.patience:g} s")
            data += os.read(fd, count - len(data))
        return data

    def setup(self):
        raise NotImplementedError

    def launch(self):
        """Programs that are busy beside the operations."""

    def step(self, number):
        raise NotImplementedError

    def stop(self):
        """What lets a step that waits come to its end."""

    def finish(self):
        """Verify what can be told only in the end, and detach."""


# ---- disks ----

class Blk(Load):
    """fio writes and verifies beside it; the operation is a block written and read back."""

    kind, queues, size = "ours", 4, 48 * MIB

    def setup(self):
        self.disk = Disk(self.t, self.kind, self.t.image(self.size, f"{self.name}.img", fill=0),
                         queues=self.queues)
        self.fd = os.open(self.disk.node, os.O_RDWR | os.O_DIRECT)
        self.t.at_end(close_fd, self.fd)
        self.block = mmap.mmap(-1, 4 * KIB)

    def launch(self):
        argv = ["fio", "--thread", "--direct=1", "--ioengine=libaio", "--verify=crc32c",
                "--verify_fatal=1", "--verify_backlog=64", "--verify_state_save=0",
                "--time_based", "--runtime=999999",
                "--group_reporting", "--output-format=terse"]
        for n in range(2):
            argv += [f"--name=part{n}", f"--filename={self.disk.node}", "--rw=randwrite",
                     f"--bs={(4, 16)[n]}k", f"--offset={n * 16}m", "--size=16m", "--iodepth=4",
                     f"--rate_iops={self.rate(25)}", f"--randseed={n + 1}"]
        self.fio = self.t.start(*argv)

    def step(self, number):
        at = self.size - MIB + number % 256 * len(self.block)
        wanted = struct.pack("=Q", number) * (len(self.block) // 8)
        self.block[:] = wanted
        os.pwrite(self.fd, self.block, at)
        self.block[:] = bytes(len(self.block))
        os.preadv(self.fd, [self.block], at)
        self.expect(self.block[:] == wanted, f"the block at {at} is not what was written")

    def check(self):
        super().check()
        self.expect(self.fio.alive(), f"{self.name}: fio has ended: {self.fio.said()[-600:]}")

    def finish(self):
        self.fio.popen.terminate()
        self.fio.wait()
        said = self.fio.said()
        self.expect("verify" not in said.lower() and "error" not in said.lower(),
                    f"{self.name}: fio said {said[-600:]!r}")
        self.moved = (int((self.disk.sys / "stat").read_text().split()[6]) * 512) >> 20
        close_fd(self.fd)
        self.disk.end()


class Qsd(Blk):
    """The same with qemu-storage-daemon."""

    kind, queues = "qsd", 2

    def finish(self):
        super().finish()
        self.disk.backend.kill()


# ---- small devices ----

class Rng(Load):
    """Bytes that are neither constant nor the last ones again."""

    def setup(self):
        self.backend = self.t.backend("vhost-user-rng")
        self.device = self.t.attach("rng", socket=self.backend.socket)
        self.fd = os.open("/dev/hwrng", os.O_RDONLY)
        self.t.at_end(close_fd, self.fd)
        self.last = b""

    def step(self, number):
        data = self.read(self.fd, 64)
        self.expect(len(set(data)) > 16 and data != self.last, f"64 bytes of {data.hex()}")
        self.last = data

    def finish(self):
        close_fd(self.fd)
        self.device.detach()
        self.backend.terminate()


class Port(Load):
    """4 KiB each way through a port: the operation is both."""

    def setup(self):
        self.console = Console(self.t, {"soak": "unix"})
        self.host = connect(self.t, self.console.paths["soak"])
        self.guest = os.open(self.console.node("soak"), os.O_RDWR | os.O_NOCTTY)
        self.t.at_end(close_fd, self.guest)

    def step(self, number):
        data = os.urandom(4 * KIB)
        for source, sink, way in ((self.host.fileno(), self.guest, "to the driver"),
                                  (self.guest, self.host.fileno(), "to the host")):
            os.write(source, data)
            self.expect(self.read(sink, len(data)) == data, f"{way}: bytes that were not sent")

    def finish(self):
        close_fd(self.guest)
        self.host.close()
        self.console.end()


class Can(Load):
    """Numbered frames all the time; the operation is a frame each way on a second interface."""

    def setup(self):
        can.bus(self.t, "vcan0")
        can.bus(self.t, "vcan1")
        self.numbered = can.Interface(self.t, "vcan0")
        self.interface = can.Interface(self.t, "vcan1")
        self.receiver = can.Receiver(self.t, "vcan0", 10 ** 9)
        self.ends = []
        for name in ("vcan1", self.interface.name):
            end = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
            self.t.at_end(end.close)
            end.bind((name,))
            end.settimeout(self.patience)
            self.ends.append(end)

    def launch(self):
        self.sender = self.t.start("can-load", "send", self.numbered.name, 10 ** 9, self.rate(100))

    def step(self, number):
        frame = struct.pack("=IB3xQ", number % 2048, 8, number)
        for sender, receiver in (self.ends, reversed(self.ends)):
            sender.send(frame)
            self.expect(receiver.recv(16) == frame, "another frame than the one that was sent")

    def check(self):
        super().check()
        for program in (self.sender, self.receiver.process):
            self.expect(program.alive(), f"can-load has ended: {program.said()[-300:]}")

    def finish(self):
        self.sender.popen.terminate()
        self.sender.wait()
        time.sleep(self.t.slow)
        sent = self.numbered.stat("tx_packets")
        self.receiver.process.popen.terminate()
        self.receiver.process.wait()
        seen = can.last_json(self.receiver.process.said())
        self.expect([seen[k] for k in ("received", "missing", "wrong")] == [sent, 0, 0],
                    f"can: {sent} numbered frames were sent, the receiver saw {seen}")
        self.frames = sent
        for interface in (self.numbered, self.interface):
            interface.down()
            interface.device.detach()


class Gpio(Load):
    """An input, an output and an interrupt: the operation is all three."""

    def setup(self):
        self.sim = gpios.Sim(self.t, label="soak")
        self.device = self.t.attach("gpio", exec=gpios.backend(self.sim))
        self.input = gpios.Line(self.device.node, 0, gpios.INPUT)
        self.output = gpios.Line(self.device.node, 1, gpios.OUTPUT, 0)
        self.watched = gpios.Line(self.device.node, 2,
                                  gpios.INPUT | gpios.RISING | gpios.FALLING)
        for line in (self.input, self.output, self.watched):
            self.t.at_end(line.close)

    def step(self, number):
        level = number % 2 ^ 1
        self.sim.pull(0, level)
        self.expect(self.input.get() == level, f"input: expected {level}")
        self.output.set(level)
        self.expect(self.sim.value(1) == level, f"output: expected {level}")
        self.sim.pull(2, level)
        event = gpios.EVENT.unpack(self.read(self.watched.fd, gpios.EVENT.size))
        self.expect(event[1] == 2 - level, f"edge: expected {2 - level}, saw {event[1]}")

    def finish(self):
        for line in (self.input, self.output, self.watched):
            line.close()
        self.device.detach()


class Input(Load):
    """A movement of the mouse, seen by who reads from the device."""

    def setup(self):
        self.source = inputs.mouse(self.t)
        self.device = self.t.attach("input", exec=f"vhost-user-input --device {self.source.node}")
        self.reader = inputs.Reader(self.device.node)
        self.t.at_end(self.reader.close)

    def step(self, number):
        moved = [(inputs.EV_REL, 0, 1 + number % 1000), (inputs.EV_REL, 1, -1 - number % 7)]
        self.source.send(*moved)
        wanted = moved + [(inputs.EV_SYN, 0, 0)]
        seen = self.reader.read(len(wanted), self.patience)
        self.expect(seen == wanted, f"events: expected {wanted}, saw {seen}")

    def finish(self):
        self.reader.close()
        self.device.detach("--force")


class Sound(Load):
    """
    A second is played and one recorded at once, as noise that no mistake leaves as it is; the
    operation is what that took beyond the second. Each file begins anew with another format.
    """

    forms = ("S16_LE", "S32_LE")
    hertz, period = 8000, 800

    def setup(self):
        self.out, source = self.t.tmp / "played.wav", self.t.tmp / "source.wav"
        self.recorded = noise(self.hertz, "S16_LE", 1, seed=7)
        Wav.write(source, self.recorded, "S16_LE", 1, self.hertz)
        self.card = Card(self.t, "--backend", "wav", "--playback", self.out, "--capture", source)
        self.xruns = 0

    def _program(self, name, form, path):
        return subprocess.Popen(
            [name, "-q", "-D", self.card.hw, "-t", "raw", "-f", form, "-c", "1", "-r",
             str(self.hertz), f"--period-size={self.period}", f"--buffer-size={16 * self.period}",
             "--samples", str(self.hertz), str(path)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def step(self, number):
        form = self.forms[number % 2]
        data = noise(self.hertz, form, 1, seed=number)
        raw_path, got = self.t.tmp / "play.raw", self.t.tmp / "record.raw"
        raw_path.write_bytes(data)
        began = time.monotonic()
        players = [self._program("aplay", form, raw_path), self._program("arecord", "S16_LE", got)]
        said = []
        try:
            for player in players:
                said.append(player.communicate(timeout=self.patience)[0])
        finally:
            for player in players:
                player.kill()
        took = time.monotonic() - began - 1
        if any("run!!!" in text or "Input/output error" in text for text in said):
            # The machine was too busy for the buffer, which says nothing of the samples.
            self.xruns += 1
            return took
        self.expect([p.returncode for p in players] == [0, 0], f"aplay and arecord said {said}")
        played = Wav.read(self.out).data
        same_sound(self.t, played[-len(data):], data, "what was played")
        same_sound(self.t, got.read_bytes(), self.recorded, "what was recorded")
        return took

    def finish(self):
        self.expect(self.xruns < self.done, f"sound: {self.xruns} xruns in {self.done} turns")
        self.card.finish()


class Card2d(Load):
    """Page flips that the display writes as pictures; the operation is a flip."""

    pause = 0.25

    def setup(self):
        self.gpu = Gpu(self.t, backend=OWN, own=True, resolution="320x240", folder="soak-display")
        self.pictures = 0

    def launch(self):
        self.flips = self.t.start("page-flips", self.gpu.device.node, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)

    def step(self, number):
        os.write(self.flips.popen.stdin.fileno(), b"\n")
        line = self.flips.popen.stdout.readline().split()
        self.expect(len(line) == 3, f"page-flips has ended: {self.flips.said()[-300:]}")
        flip, colour = int(line[0]), line[1].decode()
        self.expect(colour == self.colour(flip), f"flip {flip} has the colour {colour}")
        if number % 20 == 19:
            self.look(flip)
        return int(line[2]) / 1e6

    @staticmethod
    def colour(flip):
        """As page-flips has it"""
        return f"{flip * 2654435761 % 2 ** 32 >> 8:06x}"

    def look(self, flip):
        """The newest picture is of one of the last flips, all of it."""
        for path in sorted(self.gpu.folder.glob("head0-*.png"))[:-2]:
            path.unlink()
            self.pictures += 1
        picture = self.gpu.picture()
        self.expect(picture and picture.size == (320, 240), "no picture of 320x240")
        colour = picture.data[:3]
        self.expect(picture.data == colour * (320 * 240), "a picture of more than one colour")
        late = {self.colour(n) for n in range(max(0, flip - 100), flip + 1)}
        self.expect(colour.hex() in late, f"at flip {flip} a picture of {colour.hex()}, which is "
                    "none of the last 100")

    def stop(self):
        self.flips.popen.terminate()

    def finish(self):
        self.flips.popen.wait()
        self.pictures += len(list(self.gpu.folder.glob("head0-*.png")))
        self.expect(self.pictures > self.done / 10,
                    f"{self.pictures} pictures of {self.done} flips")
        self.gpu.device.detach("--force")


class Net(Load):
    """Packets of 1400 bytes to a gateway that passt stands for; the operation is the answer."""

    pause = 0

    def setup(self):
        self.peer = Passt(self.t)
        self.device = self.t.attach("net", "--mac", MACS[0], socket=self.peer.socket)
        self.space = self.peer.namespace(self.device)

    def launch(self):
        self.ping = self.peer.newer.start("stdbuf", "-oL", "ping", "-i", f"{0.2 * self.t.slow:.1f}",
                                          "-s", "1400", GATEWAY, netns=self.space.name,
                                          stdout=subprocess.PIPE)

    def step(self, number):
        while True:
            line = self.ping.popen.stdout.readline().decode()
            self.expect(line, f"ping has ended: {self.ping.said()[-300:]}")
            words = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if "icmp_seq" in words:
                break
        self.expect(int(words["icmp_seq"]) == number + 1, f"answer {number + 1}: saw {line!r}")
        return float(words["time"]) / 1000

    def stop(self):
        self.ping.popen.terminate()

    def finish(self):
        self.ping.popen.wait()
        self.device.detach("--force")


EVERY = (Blk, Qsd, Rng, Port, Can, Gpio, Input, Sound, Card2d, Net)

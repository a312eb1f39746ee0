# SPDX-License-Identifier: BSD-3-Clause
"""Sound for tests: cards, wav files, PCMs through libasound, tones and how loud they are."""

import array
import ctypes
import ctypes.util
import math
import os
import random
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness import Failed, Skipped

BYTES = {"U8": 1, "MU_LAW": 1, "A_LAW": 1, "S16_LE": 2, "S24_3LE": 3, "S24_LE": 4, "S32_LE": 4,
         "FLOAT_LE": 4, "FLOAT64_LE": 8}
# What the header of a wav file says of them: tag, bits
WAV = {"U8": (1, 8), "S16_LE": (1, 16), "S24_3LE": (1, 24), "S24_LE": (1, 24), "S32_LE": (1, 32),
       "FLOAT_LE": (3, 32), "FLOAT64_LE": (3, 64), "A_LAW": (6, 8), "MU_LAW": (7, 8)}


def driver_or_skip(t, module="virtio_snd"):
    """Skips where the kernel has no such driver."""
    if Path("/sys/module", module.replace("-", "_")).exists():
        return  # loaded, or built in; a guest that is to sleep has nothing more
    if subprocess.run(["modinfo", module], stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL).returncode:
        t.skip(f"this kernel has no {module}")


# Cards

class Card:
    """A vhost-user-snd and the card that the driver made of it."""

    def __init__(self, t, *options, env=None, attach=True, **more):
        driver_or_skip(t)
        self.t = t
        self.backend = t.backend("vhost-user-snd", *options, env=env, **more)
        if attach:
            self.device = t.attach("sound", socket=self.backend.socket)
            self.number = int(self.device.node.removeprefix("hw:"))

    @property
    def hw(self):
        return f"hw:{self.number}"

    def aplay(self, path, form="S16_LE", channels=2, rate=48000, period=2048, periods=4, **kw):
        """Told how many frames there are; else aplay plays a period of silence at the end."""
        frames = path.stat().st_size // (BYTES[form] * channels)
        return self.t.run("aplay", "-q", "-D", self.hw, "-t", "raw", "-f", form, "-c", channels,
                          "-r", rate, f"--period-size={period}",
                          f"--buffer-size={period * periods}", "--samples", frames, path, **kw)

    def arecord(self, path, frames, form="S16_LE", channels=2, rate=48000, period=2048, periods=4,
                **kw):
        return self.t.run("arecord", "-q", "-D", self.hw, "-t", "raw", "-f", form, "-c", channels,
                          "-r", rate, f"--period-size={period}",
                          f"--buffer-size={period * periods}", "--samples", frames, path, **kw)

    def control(self, name, *value):
        """amixer cget, or cset: the value that the element has then."""
        face = "CARD" if name.endswith("Jack") else "MIXER"
        out = self.t.run("amixer", "-c", self.number, "cset" if value else "cget",
                         f"iface={face},name={name}", *value)
        return out.strip().rsplit(": values=", 1)[-1].splitlines()[0]

    def finish(self):
        self.device.detach()
        self.backend.terminate()


def noise(frames, form="S16_LE", channels=2, seed=1):
    """Bytes that no mistake leaves as they are."""
    return random.Random(seed).randbytes(frames * channels * BYTES[form])


def write(path, data):
    path.write_bytes(data)
    return path


# Wav files

@dataclass
class Wav:
    """A file, read without mercy: any length that is wrong is an error."""
    tag: int
    channels: int
    rate: int
    bits: int
    block: int
    data: bytes

    @classmethod
    def read(cls, path):
        raw = Path(path).read_bytes()
        if raw[:4] != b"RIFF" or raw[8:12] != b"WAVE":
            raise Failed(f"{path}: expected a wav file, saw {raw[:12]!r}")
        (size,) = struct.unpack_from("<I", raw, 4)
        if size + 8 != len(raw):
            raise Failed(f"{path}: its header says {size + 8} bytes, it has {len(raw)}")
        at, fmt = 12, None
        while at + 8 <= len(raw):
            name, size = struct.unpack_from("<4sI", raw, at)
            at += 8
            if name == b"fmt ":
                tag, channels, rate, second, block, bits = struct.unpack_from("<HHIIHH", raw, at)
                fmt = (tag, channels, rate, bits, block)
                if second != rate * block:
                    raise Failed(f"{path}: {second} bytes a second, {rate} frames of {block}")
            if name == b"data":
                if at + size + size % 2 != len(raw):
                    raise Failed(f"{path}: {size} bytes of samples from {at} on, it ends at "
                                 f"{len(raw)}")
                return cls(*fmt, raw[at:at + size])
            at += size + size % 2
        raise Failed(f"{path}: no samples in it")

    def first(self):
        """The samples of the first channel, whatever the format, as those of 16 bits."""
        code, scale = {(1, 16): ("h", 1), (1, 32): ("i", 1 / 65536),
                       (3, 32): ("f", 32768)}[self.tag, self.bits]
        samples = array.array(code, self.data[:len(self.data) // self.block * self.block])
        return [v * scale for v in samples[::self.channels]]

    @staticmethod
    def write(path, data, form="S16_LE", channels=2, rate=48000):
        tag, bits = WAV[form]
        block = BYTES[form] * channels
        fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)
        body = (b"WAVE" + b"fmt " + struct.pack("<I", len(fmt)) + fmt
                + b"junk" + struct.pack("<I", 3) + b"abc\0"
                + b"data" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2))
        Path(path).write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
        return path


def same_sound(t, seen, expected, what):
    """Says where two rows of bytes part."""
    if seen == expected:
        return
    common = next((i for i, (a, b) in enumerate(zip(seen, expected)) if a != b),
                  min(len(seen), len(expected)))
    t.fail(f"{what}: expected {len(expected)} bytes, saw {len(seen)}; they are the same up to "
           f"byte {common}, where {expected[common:common + 8].hex()} was expected and "
           f"{seen[common:common + 8].hex()} seen")


# Tones

def tone(hz, seconds, rate=48000, level=12000):
    """Stereo, 16 bits, faded in and out."""
    frames, fade = int(seconds * rate), rate // 100
    one = [int(level * math.sin(2 * math.pi * hz * i / rate)
               * min(1, i / fade, (frames - i) / fade)) for i in range(frames)]
    return struct.pack(f"<{2 * frames}h", *(v for v in one for _ in range(2)))


def left(data):
    """The samples of the first of two channels of 16 bits."""
    return struct.unpack(f"<{len(data) // 4 * 2}h", data[:len(data) & ~3])[::2]


def loudness(samples, hz, rate=48000):
    """How much of that frequency is in them (Goertzel): the amplitude of a sine."""
    w = 2 * math.cos(2 * math.pi * hz / rate)
    a = b = 0.0
    for v in samples:
        a, b = v + w * a - b, a
    return 2 * math.sqrt(max(0, a * a + b * b - w * a * b)) / len(samples)


def loudest(data, hz, window=4800, rate=48000):
    """The loudest that a tone is in any window: gaps of a busy machine do not matter."""
    samples = left(data) if isinstance(data, bytes) else data
    return max(loudness(samples[at:at + window], hz, rate)
               for at in range(0, max(1, len(samples) - window), 2 * window))


# PCMs

class Alsa(Exception):
    pass


class Pcm:
    """A PCM of libasound, for what aplay has no option for."""
    PLAYBACK, CAPTURE = 0, 1
    FORMATS = {"S16_LE": 2}

    def __init__(self, name, capture=False, channels=2, rate=48000, latency_us=100000):
        library = ctypes.util.find_library("asound") or "libasound.so.2"
        try:
            self.lib = ctypes.CDLL(library)
        except OSError:
            raise Skipped("libasound is not in the guest") from None
        self.lib.snd_strerror.restype = ctypes.c_char_p
        for function in ("snd_pcm_writei", "snd_pcm_readi", "snd_pcm_avail"):
            getattr(self.lib, function).restype = ctypes.c_long
            getattr(self.lib, function).argtypes = (
                [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ulong][:1 if "avail" in function else 3])
        self.frame = 2 * channels
        self.pcm = ctypes.c_void_p()
        self._call("snd_pcm_open", ctypes.byref(self.pcm), name.encode(), int(capture), 0,
                   own=False)
        self._call("snd_pcm_set_params", 2, 3, channels, rate, 0, latency_us)

    def _call(self, function, *args, own=True):
        result = getattr(self.lib, function)(*((self.pcm,) if own else ()), *args)
        if result < 0:
            raise Alsa(f"{function}: {self.lib.snd_strerror(int(result)).decode()}")
        return result

    def write(self, data):
        done = 0
        while done < len(data):
            done += self.frame * self._call("snd_pcm_writei", data[done:],
                                            (len(data) - done) // self.frame)

    def read(self, frames):
        data = b""
        while len(data) < frames * self.frame:
            room = ctypes.create_string_buffer(frames * self.frame - len(data))
            n = self._call("snd_pcm_readi", room, len(room) // self.frame)
            data += room.raw[:n * self.frame]
        return data

    def sizes(self):
        """Frames of the buffer and of a period."""
        buffer, period = ctypes.c_ulong(), ctypes.c_ulong()
        self._call("snd_pcm_get_params", ctypes.byref(buffer), ctypes.byref(period))
        return buffer.value, period.value

    def delay(self):
        frames = ctypes.c_long()
        self._call("snd_pcm_delay", ctypes.byref(frames))
        return frames.value

    def avail(self):
        return self._call("snd_pcm_avail")

    def pause(self, on):
        self._call("snd_pcm_pause", int(on))

    def close(self):
        if self.pcm:
            self.lib.snd_pcm_close(self.pcm)
        self.pcm = None

    def __getattr__(self, name):
        if name in ("start", "drain", "drop", "prepare", "state"):
            return lambda: self._call(f"snd_pcm_{name}")
        raise AttributeError(name)


PULSE_EVERY = 9600  # frames between two pulses
PULSE = 1000  # the first one's height; each is one higher


def round_trip_frames(playback, capture, latency_us, seconds=2):
    """
    A program that reads a period and writes one, with pulses in what it writes.

    Returns the frames of the playback's buffer, of each pulse how many frames after it was written
    it was read, and the error that ended it, an xrun for one, or None. It counts frames and looks at
    no clock: at the moment of writing, the program has read as much as it has written, less the
    buffer that it began with.
    """
    out = Pcm(playback, latency_us=latency_us)
    back = Pcm(capture, capture=True, latency_us=latency_us)
    try:
        buffer, period = out.sizes()
        heard, error = _lock_step(out, back, buffer, period, seconds * 48000)
    finally:
        back.close()
        out.close()
    samples = left(heard)
    frames = []
    for at in range(buffer, len(samples), PULSE_EVERY):
        height = PULSE + (at - buffer) // PULSE_EVERY
        seen = next((i for i, v in enumerate(samples) if v == height), None)
        if seen is not None:
            frames.append(seen - (at - buffer))
    return buffer, frames, error


def _lock_step(out, back, buffer, period, frames):
    written, heard, error = buffer, [], None
    out.write(b"\0" * (buffer * 4))
    if out.state() == 2:  # prepared: a full buffer did not start it
        out.start()
    back.start()
    try:
        while written < frames:
            heard.append(back.read(period))
            part = bytearray(period * 4)
            for i in range(-(written - buffer) % PULSE_EVERY, period, PULSE_EVERY):
                height = PULSE + (written + i - buffer) // PULSE_EVERY
                struct.pack_into("<2h", part, i * 4, height, height)
            out.write(bytes(part))
            written += period
    except Alsa as e:
        error = e
    return b"".join(heard), error


# PipeWire

# Long cycles, for slow machines
NODE = """context.properties = { default.clock.quantum = 2048  default.clock.min-quantum = 2048 }
context.objects = [ {
    factory = adapter
    args = {
        factory.name = support.null-audio-sink
        node.name = %s
        media.class = Audio/Sink
        object.linger = true
        audio.position = [ FL FR ]
    }
} ]
"""


class PipeWire:
    """A server with one sink that nobody hears, and its session manager, for one test."""

    def __init__(self, t, sink="mix"):
        self.t, self.sink = t, sink
        run, conf = t.tmp / "run", t.tmp / "conf"
        run.mkdir(mode=0o700)
        self.env = {"XDG_RUNTIME_DIR": str(run), "XDG_CONFIG_HOME": str(conf),
                    "XDG_STATE_HOME": str(t.tmp / "state"), "HOME": str(t.tmp),
                    "DBUS_SESSION_BUS_ADDRESS": f"unix:path={run}/bus"}
        self._put(conf / "pipewire/pipewire.conf.d/sink.conf", NODE % sink)
        # It is not to take the cards that are tested, and there is no logind to ask.
        for folder, monitor in (("main", "alsa"), ("bluetooth", "bluez")):
            self._put(conf / f"wireplumber/{folder}.lua.d/51-off.lua",
                      f"{monitor}_monitor.enabled = false\n")
        t.start("dbus-daemon", "--session", "--nofork", "--nopidfile",
                f"--address={self.env['DBUS_SESSION_BUS_ADDRESS']}", env=self.env)
        t.within(20, (run / "bus").exists, "the session bus")
        self.begin()

    @staticmethod
    def _put(path, text):
        path.parent.mkdir(parents=True)
        path.write_text(text)

    def begin(self):
        self.server = self.t.start("pipewire", env=self.env)
        self.t.within(30, lambda: self.node(self.sink), f"PipeWire's node {self.sink}")
        self.manager = self.t.start("wireplumber", env=self.env)
        self.t.within(60, self._managed, "a session manager that has a default sink")

    def end(self):
        self.manager.kill()
        self.server.kill()

    def run(self, *argv):
        """A command's output, '' when it fails."""
        return subprocess.run(argv, env=dict(os.environ, **self.env), text=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout

    def _managed(self):
        return f"{self.sink}  " in self.run("wpctl", "status").split("* ", 1)[-1][:80]

    def node(self, name):
        """The id of a node, None where there is none."""
        number = None
        for line in self.run("pw-cli", "list-objects", "Node").splitlines():
            if line.strip().startswith("id "):
                number = int(line.split()[1].rstrip(","))
            if line.strip() == f'node.name = "{name}"':
                return number
        return None

    def linked(self, name, target):
        """Some port of the one plays to some port of the other."""
        port = None
        for line in self.run("pw-link", "-l").splitlines():
            if not line.startswith(" "):
                port = line
            elif port.startswith(f"{name}:") and f"|-> {target}:" in line:
                return True
        return False

    def record(self, path):
        """What the sink plays, into a file; ends with SIGINT."""
        p = self.t.start("pw-record", "--target", self.sink, "-P", "{ stream.capture.sink = true }",
                         "--rate", "48000", "--channels", "2", "--format", "s16", path,
                         env=self.env)
        self.t.within(20, lambda: self.linked(self.sink, "pw-record"), "pw-record gets the sink's sound")
        return p

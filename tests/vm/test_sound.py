# SPDX-License-Identifier: BSD-3-Clause
"""A sound card: what is played arrives, what is recorded was there, and no end of it hangs."""

import os
import signal
import statistics
import subprocess
import time
from itertools import product
from pathlib import Path

from harness import ALL, Case, Failed, test
from sound import (BYTES, WAV, Alsa, Card, Pcm, PipeWire, Wav, driver_or_skip, left, loudest,
                   loudness, noise, round_trip_frames, same_sound, tone, write)

KERNELS = ("debian-6.12", "debug")
LONG = ("debian-6.12", "debian-7")
DRIVER = Path("/sys/bus/virtio/drivers/virtio_snd")

# A slice of what there is: each format, each number of channels, the ends of the rates.
SLICE = (("S16_LE", 2, 48000), ("S24_LE", 6, 96000), ("S24_3LE", 1, 44100), ("S32_LE", 1, 192000),
         ("FLOAT_LE", 2, 44100), ("S16_LE", 6, 8000))
RATES = (5512, 8000, 11025, 16000, 22050, 32000, 44100, 48000, 64000, 88200, 96000, 176400, 192000)
SOME_RATES = (8000, 44100, 96000, 192000)
# ALSA gives up on a card that did not move for 1.1 times the buffer: on a busy machine it is long.
PERIODS = 16


def check_wav(t, path, data, form, channels, rate, whole=True):
    """The file says what is in it, and what is in it is what was played; or at its end."""
    wav = Wav.read(path)
    tag, bits = WAV[form]
    t.equal((wav.tag, wav.channels, wav.rate, wav.bits, wav.block),
            (tag, channels, rate, bits, BYTES[form] * channels),
            f"{form}, {channels} channels, {rate} Hz: tag, channels, rate, bits, bytes a frame")
    same_sound(t, wav.data if whole else wav.data[-len(data):], data,
               f"{form}, {channels} channels, {rate} Hz")


def in_time(t, program, *args):
    """
    Again when the machine was too busy for the buffer: an xrun says nothing of the samples. Where
    nothing moves for long, ALSA gives up with EIO. Returns whether the first time was in time.
    """
    for n in range(5):
        said = program(*args, status=None)
        if t.last_status == 0 and "run!!!" not in said:
            return n == 0
        t.check("run!!!" in said or "Input/output error" in said,
                f"expected success or an xrun, saw status {t.last_status}: {said!r}")
    t.fail(f"five xruns one after the other, the last: {said!r}")


def play_each(t, combinations, seconds=0.25):
    out = t.tmp / "out.wav"
    card = Card(t, "--backend", "wav", "--playback", out)
    for seed, (form, channels, rate) in enumerate(combinations):
        period = max(64, rate // 50)
        frames = period * max(4, int(seconds * 50))
        data = noise(frames, form, channels, seed)
        first = in_time(t, card.aplay, write(t.tmp / "in.raw", data), form, channels, rate, period,
                        PERIODS)
        check_wav(t, out, data, form, channels, rate, first)
    card.finish()


@test(kernels=ALL, timeout=60, needs=("aplay",), cases={"S16-2-48000": {}})
def smoke(t):
    """What aplay plays is in the file, sample by sample."""
    play_each(t, SLICE[:1])


@test(kernels=KERNELS, timeout=90, needs=("aplay",))
def plays_exactly(t):
    """A slice of formats, channels and rates."""
    play_each(t, SLICE)


@test(kernels=LONG, tier="long", timeout=600, needs=("aplay",),
      cases={form: {"form": form} for form in WAV})
def plays_all(t, form):
    """Each format at each rate, with one, two and six channels."""
    play_each(t, product([form], (1, 2, 6), RATES), seconds=0.1)


def record_each(t, combinations):
    for seed, (form, channels, rate) in enumerate(combinations):
        period = max(64, rate // 50)
        data = noise(period * 12, form, channels, seed)
        source = Wav.write(t.tmp / "source.wav", data, form, channels, rate)
        card = Card(t, "--backend", "wav", "--capture", source)
        in_time(t, card.arecord, t.tmp / "got.raw", period * 20, form, channels, rate, period,
                PERIODS)
        got = (t.tmp / "got.raw").read_bytes()
        what = f"recorded: {form}, {channels} channels, {rate} Hz"
        same_sound(t, got[:len(data)], data, what)
        silence = {"U8": b"\x80", "MU_LAW": b"\xff", "A_LAW": b"\xd5"}.get(form, b"\0")
        same_sound(t, got[len(data):], silence * (len(got) - len(data)), f"{what}, after its end")
        card.finish()


@test(kernels=KERNELS, timeout=90, needs=("arecord",))
def records_exactly(t):
    """What arecord gets is what the source held, then silence."""
    record_each(t, SLICE[:3])


@test(kernels=LONG, tier="long", timeout=1200, needs=("arecord",),
      cases={form: {"form": form} for form in WAV})
def records_all(t, form):
    record_each(t, product([form], (1, 2, 6), SOME_RATES))


@test(kernels=KERNELS, timeout=60, needs=("aplay",))
def drain_pause_and_stop(t):
    """A pause loses nothing and adds nothing; a stop ends at once; nothing runs ahead of time."""
    out = t.tmp / "out.wav"
    card = Card(t, "--backend", "wav", "--playback", out)
    pcm = Pcm(card.hw)
    buffer, period = pcm.sizes()
    data = noise(period * 40)
    began = time.monotonic()
    pcm.write(data[:buffer * 4 * 2])
    t.check(0 <= pcm.delay() <= buffer,
            f"delay of a stream that runs: expected 0 to {buffer} frames, saw {pcm.delay()}")
    pcm.pause(True)
    paused = time.monotonic()
    at = pcm.delay()
    time.sleep(0.3)
    t.equal(pcm.delay(), at, "frames that wait, before and after 0.3 s of a pause")
    pcm.pause(False)
    pause = time.monotonic() - paused
    pcm.write(data[buffer * 4 * 2:])
    pcm.drain()
    seconds = time.monotonic() - began - pause
    expected = len(data) / 4 / 48000
    t.check(seconds > 0.97 * expected,
            f"{expected:.2f} s of sound: expected no less than that, saw {seconds:.2f} s")
    check_wav(t, out, data, "S16_LE", 2, 48000)
    # What is dropped is not played.
    pcm.prepare()
    before = out.stat().st_size
    more = noise(buffer, seed=2)
    pcm.write(more)
    if pcm.state() == 2:  # prepared: it had not begun by itself
        pcm.start()
    # It is a valid file only when the stream has stopped.
    t.within(5, lambda: out.stat().st_size > before, "something more in the file")
    pcm.drop()
    seen = Wav.read(out).data[len(data):]
    same_sound(t, seen, more[:len(seen)], "played until the stop")
    t.check(len(seen) < len(more), "expected a part of the buffer to be dropped, saw all played")
    pcm.close()
    card.finish()


def opens(t, times):
    """Opened, configured, closed in every state; then it still plays."""
    out = t.tmp / "out.wav"
    card = Card(t, "--backend", "wav", "--playback", out)
    played = b""
    for n in range(times):
        pcm = Pcm(card.hw, latency_us=320000)  # long, see PERIODS
        buffer, period = pcm.sizes()
        data = noise(buffer, seed=n)
        if n % 3 == 1:
            pcm.write(data)
            pcm.drain()
            played += data
        elif n % 3 == 2:
            pcm.write(data[:4 * period])
        pcm.close()
    data = noise(period * 10, seed=times)
    card.aplay(write(t.tmp / "in.raw", data), period=period)
    check_wav(t, out, played + data, "S16_LE", 2, 48000)
    card.finish()


@test(kernels=KERNELS, timeout=60, needs=("aplay",))
def opened_20_times(t):
    opens(t, 20)


@test(kernels=LONG, tier="long", timeout=300, needs=("aplay",))
def opened_300_times(t):
    opens(t, 300)


class Playing:
    """aplay in mid-stream, of something that is long enough."""

    def __init__(self, t, card, out=None):
        self.t, self.data = t, noise(48000 * 20)
        self.aplay = t.start("aplay", "-q", "-D", card.hw, "-t", "raw", "-f", "S16_LE", "-c", 2,
                             "-r", 48000, write(t.tmp / "long.raw", self.data))
        if out:
            t.within(15, lambda: len(Wav.read(out).data) > 20000, "sound in the file")

    def over(self, seconds=20):
        """It ends with an error of its own, and is not stuck."""
        status = self.aplay.wait(seconds)
        self.t.check(status not in (0, -9), f"aplay: expected an error, saw status {status}")

    def part(self, out):
        seen = Wav.read(out).data
        same_sound(self.t, seen, self.data[:len(seen)], "played until the end")


def end_by_unbind(t, card):
    (DRIVER / "unbind").write_text(card.device.virtio)


def end_by_detach(t, card):
    t.check("is opened by" in card.device.detach(status=1), "expected detach to be refused in use")
    card.device.detach("--force")


def end_by_kill(t, card):
    card.backend.kill()
    card.device.detach("--force")


@test(kernels=KERNELS, timeout=90, needs=("aplay",),
      cases={"unbind": {"end": end_by_unbind}, "detach": {"end": end_by_detach},
             "kill": {"end": end_by_kill}})
def ends_in_mid_stream(t, end):
    """The program gets an error, nothing hangs, and the file is whole as far as it goes."""
    out = t.tmp / "out.wav"
    card = Card(t, "--backend", "wav", "--playback", out)
    playing = Playing(t, card, out)
    end(t, card)
    playing.over()
    playing.part(out)
    if card.device.info() is not None:
        card.device.detach("--force")


@test(kernels=KERNELS, timeout=60, needs=("aplay",), tags=("suspend",))
def sleep(t):
    """User space is frozen and thawed under a playing program: nothing is lost, twice, or stuck."""
    power = Path("/sys/power")
    if not (power / "pm_test").exists():
        t.skip("this kernel has no pm_test")
    Path("/sys/module/suspend/parameters/pm_test_delay").write_text("0")
    (power / "pm_test").write_text("freezer")
    t.at_end((power / "pm_test").write_text, "none")
    out = t.tmp / "out.wav"
    card = Card(t, "--backend", "wav", "--playback", out)
    playing = Playing(t, card, out)
    for turn in range(2):
        before = out.stat().st_size
        (power / "state").write_text("mem")
        t.within(10, lambda: out.stat().st_size > before + 40000,
                 f"sound after sleep number {turn + 1}")
    t.check(playing.aplay.alive(), f"expected aplay to play on, saw {playing.aplay.said()!r}")
    playing.aplay.signal(signal.SIGTERM)
    playing.aplay.wait()
    playing.part(out)
    card.finish()


@test(kernels=KERNELS, timeout=60, needs=("amixer", "aplay"))
def mixer(t):
    """Volume and switch are elements that amixer shows, and do what they say; so do the jacks."""
    out = t.tmp / "out.wav"
    source = Wav.write(t.tmp / "source.wav", tone(440, 0.2))
    card = Card(t, "--backend", "wav", "--playback", out, "--capture", source)
    listed = t.run("amixer", "-c", card.number, "scontents")
    for words in ("'Master',0", "pvolume", "pswitch", "'Capture',0", "cvolume", "cswitch",
                  "[100%] [0.00dB] [on]"):
        t.check(words in listed, f"amixer scontents: expected {words!r}, saw {listed!r}")
    t.equal((card.control("Line Out Jack"), card.control("Mic Jack")), ("on", "on"), "jacks")
    # The other program of the two is told.
    watcher = t.start("stdbuf", "-oL", "amixer", "-c", card.number, "events")
    t.within(10, lambda: "Ready to listen" in watcher.said(), "amixer events listens")
    t.run("amixer", "-q", "-c", card.number, "set", "Master", "--", "-20dB")
    t.within(10, lambda: "Master Playback Volume" in watcher.said(), "news of the volume")
    watcher.kill()  # the driver's removal waits for all who have the mixer open
    t.equal(card.control("Master Playback Volume"), "80", "volume at -20 dB, in half decibels")
    data = tone(1000, 0.5)[:2048 * 4 * 10]
    card.aplay(write(t.tmp / "tone.raw", data))
    seen, full = (loudness(left(d)[4096:12288], 1000) for d in (Wav.read(out).data, data))
    t.check(abs(seen / full - 0.1) < 0.002,
            f"at -20 dB: expected a tenth of {full:.0f}, saw {seen:.1f}")
    t.run("amixer", "-q", "-c", card.number, "set", "Master", "mute")
    before = len(Wav.read(out).data)
    card.aplay(t.tmp / "tone.raw")
    same_sound(t, Wav.read(out).data[before:], b"\0" * len(data), "muted")
    t.run("amixer", "-q", "-c", card.number, "set", "Capture", "nocap")
    card.arecord(t.tmp / "muted.raw", 4096)
    same_sound(t, (t.tmp / "muted.raw").read_bytes(), b"\0" * 16384, "recorded while muted")
    card.finish()


@test(kernels=KERNELS, timeout=60, needs=("aplay", "mount"))
def disk_full(t):
    """The file is whole as far as it goes, one line says why, the jack says that nothing is heard."""
    small = t.tmp / "small"
    small.mkdir()
    t.run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small)
    t.at_end(t.run, "umount", small, status=None)
    out, data = small / "out.wav", noise(2048 * 20)
    card = Card(t, "--backend", "wav", "--playback", out)
    card.aplay(write(t.tmp / "in.raw", data))
    wav = Wav.read(out)
    same_sound(t, wav.data, data[:len(wav.data)], "what fitted")
    t.check(40000 < len(wav.data) <= 65536, f"expected about 64 KiB, saw {len(wav.data)}")
    t.equal(card.control("Line Out Jack"), "off", "jack, the disk being full")
    said = [line for line in card.backend.said().splitlines() if "No space left" in line]
    t.check(len(said) == 1 and str(out) in said[0], f"expected one line on {out}, saw {said}")
    t.run("mount", "-o", "remount,size=1M", small)
    card.aplay(t.tmp / "in.raw")
    same_sound(t, Wav.read(out).data[len(wav.data):], data, "played when there was room again")
    t.equal(card.control("Line Out Jack"), "on", "jack, with room again")
    card.finish()


def refusals(t):
    """Command lines that must not work, and what the one line that says so must hold."""
    text = write(t.tmp / "text.wav", b"no sound at all")
    odd = Wav.write(t.tmp / "odd.wav", b"\0" * 64, rate=12345)
    taken = t.tmp / "taken.wav"
    t.backend("vhost-user-snd", "--backend", "wav", "--playback", taken,
              socket=t.tmp / "taken.sock")
    return {
        (): "--backend",
        ("--backend", "pulse"): "pulse: not known",
        ("--backend", "wav"): "which file",
        ("--backend", "wav", "--playback", t.tmp / "no/such/out.wav"): "No such file or directory",
        ("--backend", "wav", "--playback", t.tmp): "directory",
        ("--backend", "wav", "--playback", "/dev/zero"): "not a regular file",
        ("--backend", "wav", "--playback", taken): "another program writes",
        ("--backend", "wav", "--capture", t.tmp / "none.wav"): "No such file or directory",
        ("--backend", "wav", "--capture", text): "not a wav file",
        ("--backend", "wav", "--capture", odd): "frame rate",
        ("--backend", "null", *(["--playback", "x"] * 5)): "at most 4",
        ("--backend", "alsa", "--playback", "hw:77"): "hw:77",
        ("--backend", "pipewire", "--remote", "/no/such/socket"): "/no/such/socket",
    }


@test(kernels=KERNELS[:1], timeout=60)
def refuses(t):
    """What cannot work is refused at the start, in one clear line."""
    for options, words in refusals(t).items():
        said = t.run("vhost-user-snd", *options, "--socket-path", t.tmp / "s", status=1)
        lines = said.strip().splitlines()
        t.equal(len(lines), 1, f"lines said of {options}: {said!r}")
        t.check(words in lines[0], f"{options}: expected {words!r}, saw {lines[0]!r}")


@test(kernels=("debian-6.1",), timeout=60)
def refused_before_6_7(t):
    """Where the driver queues a period before it is written, attach says so and makes no card."""
    backend = t.backend("vhost-user-snd", "--backend", "null")
    said = t.run("virtio-loopback", "attach", "--type", "sound", "--socket", backend.socket,
                 status=1)
    t.check("6.7" in said and "before" in said, f"expected the reason, saw {said!r}")
    t.equal(t.devices(), [], "devices")


# ---- sinks that go and come ----

def play_tone(t, card):
    """aplay of 80 seconds of 440 Hz."""
    return t.start("aplay", "-q", "-D", card.hw, "-t", "raw", "-f", "S16_LE", "-c", 2, "-r", 48000,
                   write(t.tmp / "tone.raw", tone(440, 2) * 40))


def jack_says(t, card, value, why):
    t.within(20, lambda: card.control("Line Out Jack") == value, f"a jack that is {value}: {why}")


# ---- ALSA ----

def loopback(t):
    driver_or_skip(t, "snd-aloop")
    t.run("modprobe", "snd-aloop")
    t.within(10, Path("/proc/asound/Loopback").exists, "snd-aloop's card")
    t.at_end(t.run, "modprobe", "-r", "snd-aloop", status=None)


def plug(t, what):
    """snd-aloop's card is pulled out ("unbind"), or plugged in again ("bind")."""
    t.run("sh", "-c", f"echo snd_aloop.0 > /sys/bus/platform/drivers/snd_aloop/{what}", timeout=20)


@test(kernels=KERNELS, timeout=60, needs=("aplay", "arecord"))
def alsa(t):
    """Through snd-aloop: what is played comes out of its other end, and the other way round."""
    loopback(t)
    card = Card(t, "--backend", "alsa", "--playback", "hw:Loopback,0,0", "--capture",
                "hw:Loopback,1,1")
    data = noise(2048 * 20)
    path = write(t.tmp / "in.raw", data)
    raw = ("-q", "-t", "raw", "-f", "S16_LE", "-c", 2, "-r", 48000)
    got = t.tmp / "got.raw"
    recorder = t.start("arecord", *raw, "-D", "hw:Loopback,1,0", got)
    t.within(10, lambda: got.exists() and got.stat().st_size, "arecord records")
    # The whole sound fits the buffers: how busy the machine is says nothing of the samples.
    card.aplay(path, periods=20)
    t.within(10, lambda: data[-64:] in got.read_bytes(), "the end of the sound in the recording")
    recorder.signal(signal.SIGTERM)
    recorder.wait()
    seen = got.read_bytes()
    at = seen.find(data[:64])
    t.check(at >= 0, "expected the beginning of the sound in the recording, saw none")
    same_sound(t, seen[at:at + len(data)], data, "played through snd-aloop")
    t.equal(seen[at + len(data):].strip(b"\0"), b"", "sound after the end")
    player = t.start("aplay", *raw, "-D", "hw:Loopback,0,1", path)
    card.arecord(t.tmp / "back.raw", 2048 * 24, periods=20)
    player.wait()
    seen = (t.tmp / "back.raw").read_bytes().lstrip(b"\0")
    at = data.find(seen[:64])
    t.check(at >= 0, "expected sound in the recording, saw none of it")
    common = min(len(seen), len(data) - at)
    t.check(common > 40000, f"expected more than 40000 bytes of it, saw {common}")
    same_sound(t, seen[:common], data[at:at + common], "recorded through snd-aloop")
    card.finish()


@test(kernels=LONG, tier="long", timeout=120, needs=("aplay", "arecord"))
def alsa_card_goes_and_comes(t):
    """The sound card behind it is pulled out, and plugged in again: a program plays on."""
    loopback(t)
    card = Card(t, "--backend", "alsa", "--playback", "hw:Loopback,0,0")
    player = play_tone(t, card)

    def heard(name):
        path = t.tmp / name
        recorder = t.start("arecord", "-q", "-t", "raw", "-f", "S16_LE", "-c", 2, "-r", 48000,
                           "-D", "hw:Loopback,1,0", path)
        t.within(20, lambda: path.exists() and path.stat().st_size > 300000, "sound recorded")
        recorder.kill()
        seen = loudest(path.read_bytes(), 440)
        t.check(seen > 9000, f"{name}: expected 440 Hz at about 12000, saw {seen:.0f}")

    heard("before")
    for turn in range(3):
        plug(t, "unbind")
        jack_says(t, card, "off", "its PCM is gone")
        gone = time.monotonic()
        t.check(player.alive(), f"without it: expected aplay to play on, saw {player.said()!r}")
        t.within(10, lambda: time.monotonic() > gone + 2 or not player.alive(), "two seconds of it")
        plug(t, "bind")
        jack_says(t, card, "on", "its PCM is back")
        t.check(player.alive(), f"with it again: expected aplay to play on, saw {player.said()!r}")
        heard(f"after {turn + 1}")
    gone = [line for line in card.backend.said().splitlines() if "is gone" in line]
    t.equal(len(gone), 3, f"lines that say that it is gone ({card.backend.said()!r})")
    player.kill()
    card.finish()


@test(kernels=KERNELS[:1], timeout=60, needs=("aplay",))
def alsa_card_comes_when_nobody_plays(t):
    """A program gives up a card that was pulled out, or finds none: the jack says when it is back."""
    loopback(t)
    status = Path("/proc/asound/Loopback/pcm0p/sub0/status")
    card = Card(t, "--backend", "alsa", "--playback", "hw:Loopback,0,0")
    short = write(t.tmp / "in.raw", noise(8192))

    def comes_back():
        plug(t, "bind")
        jack_says(t, card, "on", "its PCM is back")
        t.equal(status.read_text(), "closed\n", "the PCM that nobody plays to")

    player = play_tone(t, card)
    t.within(10, lambda: "RUNNING" in status.read_text(), "its PCM runs")
    plug(t, "unbind")
    jack_says(t, card, "off", "its PCM is gone")
    player.kill()
    comes_back()
    plug(t, "unbind")
    card.aplay(short, status=1)
    jack_says(t, card, "off", "there is no PCM")
    comes_back()
    in_time(t, card.aplay, short)
    card.finish()


@test(kernels=KERNELS[:1], timeout=60, needs=("aplay",))
def format_refused(t):
    """A format that the sink has not is none of the card's."""
    source = Wav.write(t.tmp / "source.wav", tone(440, 0.1))
    card = Card(t, "--backend", "wav", "--capture", source)
    said = t.run("arecord", "-D", card.hw, "-f", "S32_LE", "-r", "48000", "-c", "2", "-d", "1",
                 "/dev/null", status=1)
    t.check("Sample format non available" in said, f"expected arecord to say so, saw {said!r}")
    card.finish()


# ---- PipeWire ----

PW_NODE = "vhost-user-snd.playback0"


@test(kernels=KERNELS[:1], timeout=120, needs=("pipewire", "wireplumber", "pw-record", "aplay"))
def two_cards_one_mixer(t):
    """
    Two cards, two programs, one PipeWire: both tones are in what it plays; then it turns down one,
    and only that one.
    """
    server = PipeWire(t)
    cards, hertz = [], (440, 1000)
    for name in ("left", "right"):
        cards.append(Card(t, "--verbose", "--verbose", "--backend", "pipewire", "--name", name, "--playback", "mix",
                          env=server.env, socket=t.tmp / f"{name}.sock"))
    players = [t.start("aplay", "-q", "-D", card.hw, "-t", "raw", "-f", "S16_LE", "-c", 2, "-r",
                       48000, "--buffer-time=2000000",
                       write(t.tmp / f"{hz}.raw", tone(hz, 2) * 20))
               for card, hz in zip(cards, hertz)]
    for name in ("left", "right"):
        t.within(30, lambda: server.linked(f"{name}.playback0", "mix"), f"{name} plays")

    def listen(path):
        recorder = server.record(path)
        t.within(30, lambda: path.exists() and path.stat().st_size > 200000, "sound recorded")
        recorder.signal(signal.SIGINT)
        recorder.wait()
        return [loudest(path.read_bytes()[44:], hz) for hz in hertz + (3000,)]

    before = listen(t.tmp / "before.wav")
    t.log(f"amplitudes of {hertz + (3000,)}: {before}")
    for hz, seen in zip(hertz, before):
        t.check(9000 < seen < 15000, f"{hz} Hz: expected about 12000, saw {seen:.0f}")
    t.check(before[2] < 1200, f"3000 Hz, which nobody plays: expected next to none, saw {before[2]:.0f}")
    server.run("pw-cli", "set-param", str(server.node("left.playback0")), "Props",
               "{ channelVolumes: [ 0.1 0.1 ] }")
    after = listen(t.tmp / "after.wav")
    t.log(f"after the first was turned down: {after}")
    t.check(after[0] < 0.2 * before[0],
            f"440 Hz turned down: expected a tenth of {before[0]:.0f}, saw {after[0]:.0f}")
    t.check(after[1] > 0.8 * before[1],
            f"1000 Hz left alone: expected about {before[1]:.0f}, saw {after[1]:.0f}")
    for player, card in zip(players, cards):
        t.check(player.alive(), f"expected aplay to play on, saw {player.said()!r}")
        player.kill()
        card.finish()


@test(kernels=LONG, tier="long", timeout=240, needs=("pipewire", "wireplumber", "pw-record", "aplay"))
def pipewire_restarted(t):
    """The card outlives its server: the program plays on, is heard again, and can begin anew."""
    server = PipeWire(t)
    card = Card(t, "--backend", "pipewire", "--playback", "mix", env=server.env)
    player = play_tone(t, card)
    t.within(30, lambda: server.linked(PW_NODE, "mix"), "it plays")
    server.end()
    jack_says(t, card, "off", "PipeWire is gone")
    time.sleep(3)
    t.check(player.alive(), f"without PipeWire: expected aplay to play on, saw {player.said()!r}")
    server.begin()
    t.within(60, lambda: server.linked(PW_NODE, "mix"), "it plays again")
    jack_says(t, card, "on", "PipeWire is back")
    recorder = server.record(t.tmp / "after.wav")
    t.within(30, lambda: (t.tmp / "after.wav").stat().st_size > 400000, "sound recorded")
    recorder.signal(signal.SIGINT)
    recorder.wait()
    seen = loudest((t.tmp / "after.wav").read_bytes()[44:], 440)
    t.check(seen > 9000, f"440 Hz after the restart: expected about 12000, saw {seen:.0f}")
    player.kill()
    card.finish()


@test(kernels=LONG, tier="long", timeout=240, needs=("pipewire", "wireplumber", "aplay"))
def pipewire_back_when_nobody_plays(t):
    """A program that found no server leaves nothing behind: the jack tells when that is back."""
    server = PipeWire(t)
    card = Card(t, "--backend", "pipewire", "--playback", "mix", env=server.env)
    server.end()
    jack_says(t, card, "off", "PipeWire is gone")
    card.aplay(write(t.tmp / "in.raw", noise(8192)), status=1)
    server.begin()
    jack_says(t, card, "on", "PipeWire is back")
    t.equal(server.node(PW_NODE), None, f"{PW_NODE}, which nobody plays")
    player = play_tone(t, card)
    t.within(30, lambda: server.linked(PW_NODE, "mix"), "it plays")
    t.equal(card.control("Line Out Jack"), "on", "jack, with a program that plays")
    player.kill()
    card.finish()


@test(kernels=LONG, tier="long", timeout=240, needs=("pipewire", "wireplumber", "aplay"))
def pipewire_stalls(t):
    """
    A program gives up while PipeWire stands still, for less and for more than an idle stream is
    kept: the jack tells when it goes on, and nobody has to play for that.
    """
    server = PipeWire(t)
    card = Card(t, "--backend", "pipewire", "--playback", "mix", env=server.env)
    for pause in (0, 6):
        player = play_tone(t, card)
        t.within(30, lambda: server.linked(PW_NODE, "mix"), "it plays")
        jack_says(t, card, "on", "it plays")
        server.server.signal(signal.SIGSTOP)
        jack_says(t, card, "off", "PipeWire stands still")
        player.kill()
        time.sleep(pause)
        t.equal(card.control("Line Out Jack"), "off", "jack, while PipeWire stands still")
        server.server.signal(signal.SIGCONT)
        jack_says(t, card, "on", "PipeWire goes on")
        t.within(20, lambda: not server.node(PW_NODE), "an end of a stream that nobody plays", 0.5)
    card.finish()


# ---- long ----

@test(kernels=LONG, tier="long", timeout=120, needs=("speaker-test",))
def speaker_test(t):
    """Each channel's tone is in its channel."""
    out = t.tmp / "out.wav"
    card = Card(t, "--backend", "wav", "--playback", out)
    t.run("speaker-test", "-D", card.hw, "-c", 2, "-r", 48000, "-F", "S16_LE", "-t", "sine", "-f",
          500, "-l", 1)
    samples = [left(Wav.read(out).data[2 * n:]) for n in (0, 1)]
    half = len(samples[0]) // 2
    for n, part in ((0, slice(half // 4, half // 4 + 24000)),
                    (1, slice(half + half // 4, half + half // 4 + 24000))):
        seen = [loudness(channel[part], 500) for channel in samples]
        t.check(seen[n] > 1000 and seen[1 - n] < 0.01 * seen[n],
                f"500 Hz in channel {n} alone: saw {seen[0]:.0f} and {seen[1]:.0f}")
    card.finish()


@test(kernels=LONG, tier="long", timeout=120, needs=("alsaloop", "aplay"))
def alsaloop(t):
    """alsaloop carries what another card plays to this one."""
    loopback(t)
    out = t.tmp / "out.wav"
    card = Card(t, "--backend", "wav", "--playback", out)
    t.start("alsaloop", "-C", "hw:Loopback,1,0", "-P", card.hw, "-f", "S16_LE", "-r", 48000, "-c",
            2, "-t", 200000)
    t.run("aplay", "-q", "-D", "hw:Loopback,0,0", "-t", "raw", "-f", "S16_LE", "-c", 2, "-r", 48000,
          write(t.tmp / "tone.raw", tone(700, 4)))
    seen = loudest(Wav.read(out).data, 700)
    t.check(seen > 9000, f"700 Hz: expected about 12000, saw {seen:.0f}")


@test(kernels=LONG, tier="long", timeout=120, needs=("pipewire", "wireplumber", "pw-cat", "aplay"))
def default_devices(t):
    """The card as PipeWire's only sink: programs that name no device play to it."""
    out = t.tmp / "out.wav"
    card = Card(t, "--backend", "wav", "--playback", out)
    server = PipeWire(t)
    server.run("pw-cli", "destroy", str(server.node("mix")))
    t.start("pw-cli", "-m", "create-node", "adapter",
            "{ factory.name=api.alsa.pcm.sink node.name=card media.class=Audio/Sink "
            f"api.alsa.path={card.hw} audio.format=S16LE audio.rate=48000 audio.channels=2 }}",
            env=server.env)
    t.within(30, lambda: server.node("card"), "PipeWire's node for the card")
    sdl = ("python3", Path(__file__).with_name("sdlplay.py"))
    for hz, driver, argv in (
            (600, None, ("pw-cat", "-p", "--rate", 48000, "--channels", 2, "--format", "s16")),
            (900, None, ("aplay", "-q", "-t", "wav")),
            (1200, "pipewire", sdl), (1500, "alsa", sdl)):
        plays_to_default(t, out, hz, argv, dict(server.env, **sdl_driver(driver)))


def sdl_driver(name):
    return {"SDL_AUDIODRIVER": name} if name else {}


def plays_to_default(t, out, hz, argv, env):
    """A player that is told of no device: its tone is what the card's file then ends with."""
    path = Wav.write(t.tmp / f"{hz}.wav", tone(hz, 3))
    before = len(Wav.read(out).first()) if out.stat().st_size else 0
    player = t.start(*argv, path, env=env)
    status = player.wait(60)
    if status == 77:
        t.skip(player.said().strip())
    t.equal(status, 0, f"exit status of {argv[0]} ({player.said()[-300:]!r})")
    wav = Wav.read(out)
    samples = wav.first()
    if len(samples) > before:  # else it was begun anew
        samples = samples[before:]
    seen = loudest(samples, hz, rate=wav.rate)
    t.check(seen > 9000, f"{argv[0]}, {env}: expected {hz} Hz at about 12000, saw {seen:.0f}")
    t.log(f"{hz} Hz, {argv[0]} {env.get('SDL_AUDIODRIVER', '')}: {seen:.0f}")


@test(kernels=LONG, tier="long", timeout=120, needs=("aplay",))
def default_alsa_device(t):
    """The card as ALSA's default, as .asoundrc makes it: aplay and an SDL player."""
    out = t.tmp / "out.wav"
    card = Card(t, "--backend", "wav", "--playback", out)
    write(t.tmp / ".asoundrc", f'pcm.!default {{ type plug slave.pcm "{card.hw}" }}\n'.encode())
    # It begins a file anew for another format: all play the same one.
    card.aplay(write(t.tmp / "in.raw", noise(8192)))
    home = {"HOME": str(t.tmp)}
    plays_to_default(t, out, 700, ("aplay", "-q", "-t", "wav"), home)
    plays_to_default(t, out, 1100, ("python3", Path(__file__).with_name("sdlplay.py")),
                     dict(home, **sdl_driver("alsa")))
    card.finish()


class Duplex:
    """
    Playback and capture at once on two PCMs, and the xruns that the two had. The worst of them end
    a program, with an input/output error: it is started again.
    """
    RAW = ("-t", "raw", "-f", "S16_LE", "-c", 2, "-r", 48000, "--period-size=1920",
           "--buffer-size=7680")
    AGAIN = ("sh", "-c", "trap 'kill $!; wait; exit' TERM; "
             'while :; do "$@" & wait $!; echo "ended, as by an xrun!!!"; done', "sh")

    def __init__(self, t, playback, capture):
        self.player = t.start(*self.AGAIN, "aplay", *self.RAW, "-D", playback, "/dev/zero")
        self.recorder = t.start(*self.AGAIN, "arecord", *self.RAW, "-D", capture, "/dev/null")

    def xruns(self):
        return [p.said().count("run!!!") for p in (self.player, self.recorder)]

    def end(self):
        for p in (self.player, self.recorder):
            p.signal(signal.SIGTERM)
            p.wait()


@test(kernels=LONG, tier="long", timeout=1500, needs=("fio", "aplay", "arecord"),
      cases={"2m": {"seconds": 120}, "10m": {"seconds": 600}})
def under_load(t, seconds):
    """Both directions with fio on a virtio disk: no more xruns than snd-aloop, at equal buffers."""
    loopback(t)
    card = Card(t, "--backend", "null")
    disk = t.backend("vhost-user-blk", "--image", t.image(64 << 20), socket=t.tmp / "blk.sock")
    node = t.attach("blk", socket=disk.socket).node
    ours = Duplex(t, card.hw, card.hw)
    theirs = Duplex(t, "hw:Loopback,0,0", "hw:Loopback,1,0")
    t.run("fio", "--name=load", f"--filename={node}", "--rw=randrw", "--bs=4k", "--iodepth=16",
          "--ioengine=libaio", "--direct=1", "--time_based", f"--runtime={seconds}",
          timeout=seconds + 180)
    seen, limit = ours.xruns(), theirs.xruns()
    ours.end()
    theirs.end()
    t.figure(f"xruns in {seconds} s, playback and capture", f"{seen}, snd-aloop's {limit}")
    t.check(sum(seen) <= sum(limit), f"xruns: expected at most snd-aloop's {limit}, saw {seen}")


@test(kernels=LONG, tier="long", timeout=300, needs=("aplay",))
def round_trip(t):
    """From a program through the card and back to it, against a plain snd-aloop."""
    loopback(t)
    card = Card(t, "--backend", "alsa", "--playback", "hw:Loopback,0,1", "--capture",
                "hw:Loopback,1,1")
    ways = {"snd-aloop": ("hw:Loopback,0,0", "hw:Loopback,1,0"), "card": (card.hw, card.hw)}
    for ms in (40, 80, 160, 320):
        seen, errors = {name: [] for name in ways}, {name: [] for name in ways}
        buffer = None
        for _ in range(5):
            for name, pcms in ways.items():
                buffer, frames, error = round_trip_frames(*pcms, ms * 1000)
                seen[name] += frames
                errors[name] += [error] if error else []
        for name, frames in seen.items():
            t.log(f"{ms} ms, {name}: {[str(e) for e in errors[name]]}")
            times = (f"median {statistics.median(frames) / 48:.1f} ms, {min(frames) / 48:.1f} to "
                     f"{max(frames) / 48:.1f} ms" if frames else "none came back")
            t.figure(f"buffer of {buffer / 48:.0f} ms, round trip through {name}",
                     f"{times}, {len(frames)} pulses, {len(errors[name])} of 5 runs had an xrun")
    # A period that is filled before it is answered, in each direction; at the largest buffer.
    for name, frames in seen.items():
        t.check(len(frames) > 10, f"{name}: expected pulses to come back, saw {len(frames)}")
    ours, theirs = (statistics.median(seen[name]) / 48 for name in ("card", "snd-aloop"))
    t.check(ours <= theirs + buffer / 48, "expected a round trip of at most a buffer more than "
            f"snd-aloop's {theirs:.1f} ms, saw {ours:.1f} ms")
    card.finish()

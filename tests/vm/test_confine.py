# SPDX-License-Identifier: BSD-3-Clause
"""What adapter, display and back-ends cannot do any more: each tries it itself (libforbidden.so)."""

import os
import signal
import socket
from pathlib import Path

import can
import gpios
import inputs
from harness import Case, devices, test

# Kernels with Landlock: ABI 2 and later ones
KERNELS = ("debian-6.1", "debian-6.12", "debian-7")
EPERM, EACCES = 1, 13
FILES = {"read", "write", "make", "rename", "remove", "mode", "device"}
CALLS = {"execute", "trace", "memory", "mount", "namespace", "clone", "clone3", "signal", "kill", "owner",
         "type", "mode-of-open"}
ALL = FILES | CALLS | {"ring", "internet", "datagrams", "service"}
STATUS = {"CapEff": "0" * 16, "CapPrm": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1",
          "Seccomp": "2"}
NOBODY, SERVICE = "65534", str(devices.SERVICE)
# CAP_DAC_OVERRIDE and CAP_FOWNER, to remove a socket in a folder of root's
REMOVES = {"CapEff": "000000000000000a", "CapPrm": "000000000000000a"}
# CAP_DAC_OVERRIDE, to go where only root may
GOES = {"CapEff": "0000000000000002", "CapPrm": "0000000000000002"}


class Forbidden:
    """From here on what the test starts has the library in it."""

    def __init__(self, t):
        library = t.top / "build/tests/vm/programs/libforbidden.so"
        t.check(library.exists(), f"expected {library}: make user")
        self.t, self.folder = t, t.tmp / "forbidden"
        self.folder.mkdir()
        # Where nobody has anything to do: not in a folder that some process is left.
        victims = Path("/etc/forbidden")
        victims.mkdir()
        t.at_end(victims.rmdir)
        self.victim = victims / "victim"
        t.at_end(lambda: [path.unlink() for path in victims.iterdir()])
        self.service = socket.socket(socket.AF_UNIX)
        self.service.bind(f"{self.victim}-service")
        os.chmod(f"{self.victim}-service", 0o600)
        self.service.listen(64)
        os.environ.update(LD_PRELOAD=str(library), FORBIDDEN=str(self.folder),
                          FORBIDDEN_VICTIM=str(self.victim))

    def attempts(self, pid, filters=2):
        """What this process has tried once it has so many filters: {what: errno}."""
        self.victim.touch()
        self.victim.with_name("victim-remove").touch()
        out = self.folder / str(pid)
        # it listens a moment before
        self.t.within(5, lambda: f"Seccomp_filters:\t{filters}\n" in
                      Path(f"/proc/{pid}/status").read_text(), f"the filters of {pid}")
        os.kill(pid, signal.SIGUSR2)
        self.t.within(5, lambda: out.exists() and "end" in out.read_text(), f"the words of {pid}")
        words = [line.split() for line in out.read_text().splitlines()]
        return {name: int(error) for name, error in words if name != "end"}

    def check(self, what, pid, allowed=(), own=True, filters=2, user="0", status=None):
        """All but these is refused, and refused by what it has given up; by all its threads."""
        expected = {**STATUS, "Uid": "\t".join([user] * 4), **(status or {})}
        seen = self.attempts(pid, filters)
        self.t.log(f"{what}: {seen}")
        self.t.equal(set(seen), ALL, f"{what}: what was tried")
        done = sorted(name for name, error in seen.items() if error not in (EPERM, EACCES))
        self.t.equal([name for name in done if name not in allowed], [],
                     f"{what}: what it could do, or was not kept from ({seen})")
        for task in Path(f"/proc/{pid}/task").iterdir():
            # a library's thread, which began before, has a bounding set, and no use for it
            want = {key: value for key, value in expected.items()
                    if own or task.name == str(pid) or key != "CapBnd"}
            lines = dict(line.split(":\t", 1) for line in
                         (task / "status").read_text().splitlines() if ":\t" in line)
            self.t.equal({key: lines[key].strip() for key in want}, want,
                         f"{what}: a thread's privileges")
            if user != "0":
                self.t.equal(lines["Gid"].strip(), lines["Uid"].strip(), f"{what}: its group")


def rng(t):
    return "vhost-user-rng", ()


def blk(t):
    return "vhost-user-blk", ("--image", t.image(1 << 20))


def console(t):
    return "vhost-user-console", ("--pty", t.tmp / "pty")


def wav(t):
    return "vhost-user-snd", ("--backend", "wav", "--playback", t.tmp / "out.wav")


def gpu(t):
    return "vhost-user-gpu", ()


def vcan(t):
    return "vhost-user-can", ("--interface", can.bus(t))


def evdev(t):
    source = inputs.Source(t, "keys", {inputs.EV_KEY: [30]})
    return "vhost-user-input", ("--device", source.node)


def chip(t):
    return "vhost-user-gpio", ("--chip", gpios.Sim(t, driver=False).node)


BACKENDS = {
    "rng": {"make": rng}, "blk": {"make": blk, "allowed": ("ring",)},
    "console": {"make": console}, "snd": {"make": wav}, "gpu": {"make": gpu},
    "can": {"make": vcan}, "input": {"make": evdev},
    "gpio": {"make": chip},
}


@test(timeout=40, kernels=("debian-6.12",), tags=("hostile", "confine"),
      cases={k: Case(v) for k, v in BACKENDS.items()})
def backend(t, make, allowed=()):
    """A back-end once it listens."""
    program, words = make(t)
    forbidden = Forbidden(t)
    started = t.backend(program, *words)
    forbidden.check(program, started.pid, allowed, user=NOBODY, status=REMOVES)
    started.terminate()
    t.check(not Path(started.socket).exists(), "expected its socket to be removed")


@test(timeout=60, kernels=("debian-6.12",), tags=("hostile", "confine"),
      cases={"nobody": {"words": "", "user": NOBODY}, "daemon": {"words": " --user daemon", "user": "1"},
             "root": {"words": " --user root", "user": "0"}})
def user_of_a_backend(t, words, user):
    """A back-end with nothing to remove has no capability left; the device works with it, and goes."""
    forbidden = Forbidden(t)
    device = t.attach("rng", exec=f"vhost-user-rng{words}")
    pid = int(t.run("pgrep", "-x", "vhost-user-rng"))
    forbidden.check(f"vhost-user-rng{words}", pid, user=user)
    t.run("dd", "if=/dev/hwrng", "of=/dev/null", "bs=64", "count=4", "iflag=fullblock")
    adapter = device.info()["adapter_pid"]
    t.run("virtio-loopback", "upgrade", device.name)
    t.run("dd", "if=/dev/hwrng", "of=/dev/null", "bs=64", "count=4", "iflag=fullblock")
    t.check(device.info()["adapter_pid"] != adapter, "expected another adapter")
    device.detach()
    t.check(not Path(f"/proc/{pid}").exists(), "expected the back-end to end with its device")


@test(timeout=60, kernels=("debian-6.12",), tags=("hostile", "confine"))
def wide(t):
    """A back-end with OpenGL: its libraries read all, and need more calls than can be listed."""
    forbidden = Forbidden(t)
    started = t.backend("vhost-user-gpu", "--virgl")
    forbidden.check("vhost-user-gpu --virgl", started.pid, ("datagrams",), own=False, filters=1,
                    user=NOBODY)
    started.terminate()


@test(timeout=40, kernels=("debian-6.12",), tags=("hostile", "confine"))
def none_without(t):
    """With --no-sandbox all of it goes: it is the sandbox that the other tests see."""
    forbidden = Forbidden(t)
    started = t.backend("vhost-user-rng", "--no-sandbox")
    seen = forbidden.attempts(started.pid, filters=0)
    refused = sorted(name for name, error in seen.items() if error in (EPERM, EACCES))
    t.equal((set(seen), refused), (ALL, []), "what was tried, and what was refused")
    started.terminate()


@test(timeout=90, kernels=KERNELS, tags=("hostile", "confine"))
def adapter(t):
    """An adapter with a device, and the one that follows it; the device goes on, also without a keeper."""
    forbidden = Forbidden(t)
    backend = t.backend("vhost-user-rng")
    device = t.attach("rng", socket=backend.socket)
    # TCP by a rule of its own from Linux 6.7 on, but there is no such socket in the first place
    forbidden.check("adapter", device.info()["adapter_pid"], user=SERVICE)
    t.run("virtio-loopback", "upgrade", device.name)
    forbidden.check("its successor", device.info()["adapter_pid"], user=SERVICE)
    backend.kill()
    again = t.backend("vhost-user-rng", socket=backend.socket)
    t.within(15, lambda: device.info()["state"] == "running", "the device with another back-end")
    # nobody who connects for it is left: it gets another keeper, to whom it does not say where
    os.kill(int(t.run("pgrep", "-x", "vlb-keeper")), signal.SIGKILL)
    t.run("virtio-loopback", "upgrade", device.name)
    forbidden.check("one that connects by itself", device.info()["adapter_pid"], ("service",),
                    user=SERVICE, status=GOES)
    again.kill()
    last = t.backend("vhost-user-rng", socket=backend.socket)
    t.within(15, lambda: device.info()["state"] == "running", "the device with the last back-end")
    device.detach()
    last.terminate()


def user_of(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return next(line.split()[1:] for line in status.splitlines() if line.startswith("Uid:"))


# What the unit's ExecStop has to do without
WITHOUT_TRACING = ("setpriv", "--bounding-set=-sys_ptrace,-sys_admin", "--inh-caps=-all")


@test(timeout=90, kernels=("debian-6.12",), tags=("confine",),
      cases={"root": {"by": ()}, "service": {"by": WITHOUT_TRACING},
             # what belongs to it, it can take away
             "hidden": {"by": (), "gone": ("lock", "ctl", "state")},
             "hidden-service": {"by": WITHOUT_TRACING, "gone": ("lock", "ctl", "state")}})
def user_of_an_adapter(t, by, gone=()):
    """Its files are that user's, and nothing of it is left, also where it has to be made to end."""
    device = t.attach("rng", "--timeout", 1, exec="vhost-user-rng --socket-path {socket}")
    entry = device.info()
    keeper = int(t.run("pgrep", "-x", "vlb-keeper"))
    t.equal((user_of(entry["adapter_pid"]), user_of(keeper)), ([SERVICE] * 4, ["0"] * 4),
            "users of the adapter and of its keeper")
    files = {path.name: path.stat().st_uid for path in devices.STATE.glob(f"{device.name}.*")}
    owner = int(SERVICE)
    t.equal(files, {f"{device.name}.{kind}": 0 if kind == "sock" else owner
                    for kind in ("lock", "state", "ctl", "log", "sock")}, "owners of its files")
    os.kill(entry["adapter_pid"], signal.SIGSTOP)
    for kind in gone:
        (devices.STATE / f"{device.name}.{kind}").unlink()
    t.run(*by, "virtio-loopback", "detach", device.name, "--force", timeout=40)
    t.within(15, lambda: not Path(f"/proc/{keeper}").exists(), "the end of the keeper")
    t.equal([path.name for path in devices.STATE.glob(f"{device.name}.*")], [], "files that are left")


@test(timeout=60, kernels=("debian-6.12",), tags=("confine",))
def another_user_of_an_adapter(t):
    """--user: who has to be able to write to the state directory; or root."""
    words = ("virtio-loopback", "attach", "--type", "rng", "--exec", "vhost-user-rng", "--name", "any")
    t.attach("rng", exec="vhost-user-rng").detach()  # the directory is there
    said = t.run(*words, "--user", "daemon", status=1)
    t.check("--user 1:1: cannot be taken, or may not write to /run/virtio-loopback: Permission denied"
            in said, f"--user daemon: saw {said!r}")
    said = t.run(*words, "--user", "nobody-of-that-name", status=2)
    t.check("there is no such user" in said, f"--user of no user: saw {said!r}")
    t.equal([path.name for path in devices.STATE.glob("any.*")], [], "files that are left")
    for user, ids in (("root", ["0"] * 4), (f"daemon:{SERVICE}", ["1"] * 4)):
        device = t.attach("rng", "--user", user, exec="vhost-user-rng")
        t.equal(user_of(device.info()["adapter_pid"]), ids, f"--user {user}")
        adapter = device.info()["adapter_pid"]
        os.kill(adapter, signal.SIGKILL)
        t.within(15, lambda: device.info()["adapter_pid"] not in (0, None, adapter), "another adapter")
        t.equal(user_of(device.info()["adapter_pid"]), ids, f"--user {user}: its successor")
        config = t.tmp / "any.conf"
        config.write_text(f"[device]\ntype = rng\nexec = vhost-user-rng\nuser = {user}\n")
        for how in (("--user", user), ("--config", config)):
            t.run("virtio-loopback", "upgrade", *how, device.name)
            t.equal(user_of(device.info()["adapter_pid"]), ids, f"upgrade {how[0]}, of {user}")
        device.detach()


def card(t):
    """A card with a display that writes pictures: the device, and the display's process."""
    folder = t.tmp / "pictures"
    device = t.attach("gpu", "--display", f"png={folder}", exec="vhost-user-gpu", timeout=60)
    t.within(20, lambda: (folder / "head0.png").exists(), "a picture")
    pids = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/comm")
            if path.read_text().startswith("virtio-loopback-d"[:15])
            and b"virtio-loopback-display" in (path.parent / "cmdline").read_bytes()]
    t.equal(len(pids), 1, f"displays: {pids}")
    return device, pids[0]


@test(timeout=90, kernels=("debian-6.12",), tags=("hostile", "confine"))
def display(t):
    """The display of a card that writes pictures: into its folder, and nowhere else."""
    forbidden = Forbidden(t)
    device, pid = card(t)
    forbidden.check("display", pid, user=SERVICE)
    device.detach("--force")
    link = t.tmp / "link"
    link.symlink_to("/etc")
    os.lchown(link, 65534, -1)
    out = t.run("virtio-loopback", "attach", "--type", "gpu", "--display", f"png={link}", "--exec", "vhost-user-gpu",
                status=1)
    t.check(str(link) in out, f"a folder that is somebody's link: expected that it is named, saw {out!r}")


FOLDERS = {"its-own": {"mode": None, "user": [SERVICE] * 4},
           "everybodys": {"mode": 0o1777, "user": [SERVICE] * 4},
           # who may end it, and nothing more
           "roots": {"mode": 0o755, "user": ["0", "0", SERVICE, "0"]}}


@test(timeout=90, kernels=("debian-6.12",), tags=("confine",), cases=FOLDERS)
def hung_display(t, mode, user):
    """A display that hangs goes with its adapter: what that has given up does not save it."""
    if mode is not None:
        (t.tmp / "pictures").mkdir()
        (t.tmp / "pictures").chmod(mode)
    device, pid = card(t)
    t.equal(user_of(pid), user, "the user of the display")
    os.kill(pid, signal.SIGSTOP)
    os.kill(device.info()["adapter_pid"], signal.SIGKILL)
    t.within(10, lambda: not Path(f"/proc/{pid}").exists(), "the end of the display")
    t.within(40, lambda: not t.devices(), "the end of the device")

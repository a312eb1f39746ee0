# SPDX-License-Identifier: BSD-3-Clause
"""One run of a command in the guest, seen from the host."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import clock, complaints, initramfs, module, paths, report
from .machine import Machine
from .report import VmError
from .waker import Waker

# What the initramfs needs to reach the root file system.
BASE_MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay"]
IMAGE_MODULES = ["nvme", "squashfs"]
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POLL_S = 0.01
BOOT_ATTEMPTS = 3

TIMED_OUT, COMPLAINED, GUEST_FAILED = 124, 99, 125


class Options:
    """What vm/run was asked for, with the defaults of its command line."""
    smp, mem, icount, root, timeout = 2, 3072, False, "host", 600
    module, leak_check, dmesg, boot_timeout, append = True, True, None, 180, ""
    accel = "auto"
    sleep, gpu, plugin = False, False, None


def program_dirs(arch):
    """The directories of the Meson build that hold programs: the product's, then the tests'."""
    build = paths.TOP / ("build-arm64" if arch == "arm64" else "build")
    found = []
    for base in (build / "src", build / "tests", build / "bench"):
        for folder, dirs, files in os.walk(base):
            dirs[:] = sorted(d for d in dirs if not d.endswith(".p") and d not in ("unit", "fuzz"))
            if any(os.access(os.path.join(folder, f), os.X_OK) and ".so" not in f for f in files):
                found.append(folder)
    return found


def _die_with_parent():
    """No guest outlives vm/run, however vm/run ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Follow:
    """Carries a growing file to one of our own file descriptors."""

    def __init__(self, path: Path, fd):
        path.touch()
        self.source, self.fd = open(path, "rb", buffering=0), fd

    def step(self):
        moved = False
        while data := self.source.read(1 << 20):
            moved = True
            while data:
                data = data[os.write(self.fd, data):]
        return moved


class Run:
    """Boots a guest, runs one command in it, and knows how both ended."""

    def __init__(self, kernel, command, options):
        self.kernel, self.command, self.opt = kernel, command, options
        self.cwd = os.getcwd()
        self.dmesg = Path(options.dmesg or paths.OUT / "dmesg.txt")
        self.own_log = self.dmesg.with_name(f".{self.dmesg.name}.{os.getpid()}")
        self.root = options.root

    # Before the boot

    def _environment(self):
        env = {
            "PATH": ":".join(program_dirs(self.kernel.arch) + [SYSTEM_PATH]),
            "HOME": "/root", "USER": "root", "LOGNAME": "root", "SHELL": "/bin/sh",
            "PWD": self.cwd, "LANG": "C.UTF-8", "TERM": "dumb",
            "PYTHONDONTWRITEBYTECODE": "1",
            "VLB_KERNEL": self.kernel.name, "VLB_TOP": str(paths.TOP),
        }
        return b"".join(os.fsencode(f"{k}={v}") + b"\0" for k, v in env.items())

    def _folders(self):
        """The folders to show at the same path; the host's root has them already."""
        if self.root == "host":
            return []
        folders = [paths.TOP]
        if not Path(self.cwd).is_relative_to(paths.TOP):
            folders.append(Path(self.cwd))
        return folders

    def _guest_timeout(self):
        """The limit that the guest itself watches; with --icount its clock leaps while it waits
        for the host, so only the host's counts."""
        return 0 if self.opt.icount else self.opt.timeout

    def _write_config(self, ctl, ours):
        lines = [f"root {self.root}", f"cwd {self.cwd}", f"release {self.kernel.release}",
                 f"out {paths.OUT}", f"timeout {self._guest_timeout()}", f"ours {int(bool(ours))}",
                 f"leak-check {int(self.opt.leak_check)}"]
        for number, folder in enumerate(self._folders()):
            lines.append(f"overlay folder{number} {folder}")
        if self.opt.sleep:
            kept = [paths.TOP / "tests", paths.TOP / "vm/lib"] + program_dirs(self.kernel.arch)
            lines += ["sleep 1"] + [f"keep {path}" for path in kept]
        (ctl / "config").write_text("\n".join(lines) + "\n")
        (ctl / "argv").write_bytes(b"".join(os.fsencode(a) + b"\0" for a in self.command))
        (ctl / "env").write_bytes(self._environment())
        for name in ("state", "stdout", "stderr"):
            (ctl / name).touch()

    def _machine(self, work, ctl, ko):
        from . import accel, image
        emulated = self.opt.icount or self.opt.plugin
        mode = "tcg" if emulated else accel.choose(self.kernel, self.opt.accel)
        machine = Machine(self.kernel, self.opt.smp, self.opt.mem, self.opt.icount, mode)
        modules = BASE_MODULES + (IMAGE_MODULES if self.root == "image" else [])
        if ko:
            modules += ["virtio", "virtio_ring"]
        elif self.opt.module:
            modules += [module.MAIN]
        initramfs.build(self.kernel, modules, [ko] if ko else [], work / "initramfs")
        machine.initramfs(work / "initramfs")
        machine.kernel_log(self.own_log)
        machine.share("ctl", ctl, writable=True)
        machine.share("out", paths.OUT, writable=True)
        machine.share("modules", self.kernel.modules)
        if ko:
            machine.share("ours", module.overlay_dir(self.kernel))
        if self.root == "host":
            machine.share("root", "/")
        else:
            machine.disk(image.fetch(self.kernel.arch))
        if self.opt.gpu:
            machine.gpu()
        if self.opt.plugin:
            machine.plugin(self.opt.plugin)
        if self.opt.sleep:
            machine.second_serial(work / "told")
            machine.swap(work / "swap", 1 << 30)
            machine.monitor(work / "monitor")
            machine.append += " no_console_suspend"
        for number, folder in enumerate(self._folders()):
            machine.share(f"folder{number}", folder)
        machine.append += clock.append(self.kernel, mode, self.opt.icount)
        machine.append += f" {self.kernel.desc.get('append', '')} {self.opt.append}"
        return machine

    # The run

    def run(self):
        """Returns the exit status for vm/run."""
        # A module of the kernel's own is loaded as such.
        ko = module.build(self.kernel) if self.opt.module and not self.kernel.in_tree else None
        paths.OUT.mkdir(parents=True, exist_ok=True)
        self.dmesg.parent.mkdir(parents=True, exist_ok=True)
        self.own_log.touch()
        try:
            return self._attempts(ko)
        finally:
            self._show_log()
            self.own_log.unlink()

    def _attempts(self, ko):
        for attempt in range(BOOT_ATTEMPTS):
            work = Path(tempfile.mkdtemp(prefix=f"vm-run-{os.getpid()}-"))
            try:
                status = self._attempt(work, ko)
            finally:
                shutil.rmtree(work, ignore_errors=True)
            if not self._boot_flaked() or attempt == BOOT_ATTEMPTS - 1:
                break
            report.progress(f"{self.kernel.name}: the kernel crashed while booting "
                            f"({self.trouble}), trying again")
        for line in self.complaint:
            sys.stderr.write(line + "\n")
        return status

    def _attempt(self, work, ko):
        self.complaint, self.trouble = [], None
        self._open_log()
        ctl = work / "ctl"
        ctl.mkdir()
        self._write_config(ctl, ko)
        machine = self._machine(work, ctl, ko)
        return self._supervise(machine, work, ctl)

    def _open_log(self):
        """Each run has a log of its own; the name that people know is that of the newest."""
        self.own_log.write_text("")
        self._show_log()

    def _show_log(self):
        alias = self.dmesg.with_name(f"{self.own_log.name}.link")
        os.link(self.own_log, alias)
        alias.rename(self.dmesg)
        # Renaming one link over another of the same file leaves both.
        alias.unlink(missing_ok=True)

    def _boot_flaked(self):
        """Whether the kernel died before the module was loaded or the command started.

        QEMU's multi-threaded TCG now and then runs a stale translation of code
        that the booting kernel patches, which ends in an int3 Oops. What comes
        after the start of the command is never tried again.
        """
        log = self._log()
        return bool(self.trouble) and not self.state and "virtio_loopback: loading" not in log

    def _supervise(self, machine, work, ctl):
        with open(work / "qemu.txt", "wb") as log:
            qemu = subprocess.Popen(machine.command(), stdin=subprocess.DEVNULL, stdout=log,
                                    stderr=log, preexec_fn=_die_with_parent)
        waker = Waker(work / "monitor") if self.opt.sleep else None
        try:
            self._follow(qemu, ctl, waker)
        finally:
            if waker:
                waker.close()
            if qemu.poll() is None:
                qemu.kill()
            qemu.wait()
        return self._judge(qemu, work, ctl)

    def _follow(self, qemu, ctl, waker):
        streams = [Follow(ctl / "stdout", 1), Follow(ctl / "stderr", 2)]
        start, self.state, self.overdue = time.monotonic(), [], None
        limit, since = self.opt.boot_timeout, start
        while True:
            ended = qemu.poll() is not None
            for stream in streams:
                stream.step()
            if ended:
                self._take_told(ctl)
                for stream in streams:
                    stream.step()
                break
            if waker:
                waker.step()
            seen = (ctl / "state").read_text().splitlines()
            if len(seen) != len(self.state):
                self.state, since = seen, time.monotonic()
                limit = {"running": self.opt.timeout + 15, "status": 120, "off": 30,
                         "failed": 30}.get(seen[-1].split()[0], limit)
            if time.monotonic() - since > limit:
                self.overdue = self.state[-1].split()[0] if self.state else "boot"
                break
            time.sleep(POLL_S)
        self.state = (ctl / "state").read_text().splitlines()

    @staticmethod
    def _take_told(ctl):
        """What a guest that slept told by its serial port goes where it would have been."""
        told = ctl.parent / "told"
        data = told.read_bytes() if told.exists() else b""
        while data:
            head, _, data = data.partition(b"\n")
            name, _, length = head.decode(errors="replace").partition(" ")
            if name not in ("stdout", "stderr", "state") or not length.isdigit():
                break
            with open(ctl / name, "ab") as f:
                f.write(data[:int(length)])
            data = data[int(length):]

    # After the run

    def _log(self):
        try:
            return self.own_log.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def _state(self, word):
        for line in self.state:
            first, _, rest = line.partition(" ")
            if first == word:
                return rest or True
        return None

    def _judge(self, qemu, work, ctl):
        log = self._log()
        bad = complaints.find(log)
        status = self._state("status")
        trouble = self._trouble(qemu, work, log)
        if self.overdue == "running" or (status and int(status) == TIMED_OUT
                                         and "vm-init: the time ran out" in log):
            self._complain(f"the time ran out after {self.opt.timeout} s", [])
            return TIMED_OUT
        self.trouble = trouble
        if trouble:
            self._complain(f"{trouble}; the kernel's log is in {self.dmesg}", bad[:2])
            return GUEST_FAILED
        if bad:
            self._complain(f"the kernel complained ({len(bad)} times; the command's status was "
                           f"{status}); its log is in {self.dmesg}:", bad[:5])
            return COMPLAINED
        return int(status)

    def _complain(self, line, excerpts):
        self.complaint = [f"vm/run: {line}"]
        for text in excerpts:
            self.complaint.append("    " + text.replace("\n", "\n    "))

    def _trouble(self, qemu, work, log):
        """One line on why the guest is no evidence of anything, or None."""
        reason = self._state("failed")
        if reason:
            return f"the guest failed: {reason}"
        for line in log.splitlines():
            if "Kernel panic" in line:
                return "the guest's kernel panicked: " + line.split("Kernel panic", 1)[1].strip(" -")
        for line in log.splitlines():
            if "vm-init: failed: " in line:
                return "the guest failed: " + line.split("vm-init: failed: ")[1]
        if self.overdue == "boot":
            return f"the guest did not come up within {self.opt.boot_timeout} s"
        if self.overdue in ("status", "off"):
            return "the guest did not power off after the command had ended"
        if not self._state("off") and self.overdue != "running":
            words = (work / "qemu.txt").read_text(errors="replace").strip().splitlines()
            detail = f": {words[-1]}" if words else ""
            return f"QEMU ended before the command did (status {qemu.returncode}){detail}"
        return None

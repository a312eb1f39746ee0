#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""vm/run itself, as its users see it: exit statuses, streams, nothing left behind."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
RUN = str(TOP / "vm/run")
LIMIT = 180


def vm(*command, options=(), cwd=TOP, limit=LIMIT):
    """Run a command in the guest; returns its status, output and error output."""
    argv = [RUN, "--no-module", "--dmesg", str(TOP / "vm/out/vm-run.dmesg.txt"), *options,
            "--", *command]
    res = subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, timeout=limit)
    return res.returncode, res.stdout, res.stderr


def temporary_folders():
    return set(Path(tempfile.gettempdir()).glob("vm-run-*"))


class Streams(unittest.TestCase):
    def test_streams_come_apart_and_unchanged(self):
        # All bytes, no newline at the end, more than any buffer on the way holds.
        script = ("import os, hashlib\n"
                  "a = bytes(range(256)) * 20000\n"
                  "os.write(2, b'error\\0\\r\\n')\n"
                  "done = 0\n"
                  "while done < len(a): done += os.write(1, a[done:])\n"
                  "os.write(2, b'\\xff end')\n")
        status, out, err = vm("python3", "-c", script)
        expected = bytes(range(256)) * 20000
        self.assertEqual(status, 0, err)
        self.assertEqual(len(out), len(expected))
        self.assertEqual(hashlib.sha256(out).hexdigest(), hashlib.sha256(expected).hexdigest())
        self.assertEqual(err, b"error\0\r\n\xff end")

    def test_no_output_is_no_output(self):
        self.assertEqual(vm("true"), (0, b"", b""))

    def test_kernel_log_stays_out_of_the_streams(self):
        status, out, err = vm("sh", "-c", "echo probe-line > /dev/kmsg; echo done")
        self.assertEqual((status, out, err), (0, b"done\n", b""))
        self.assertIn("probe-line", (TOP / "vm/out/vm-run.dmesg.txt").read_text())

    def test_output_comes_while_the_command_runs(self):
        argv = [RUN, "--no-module", "--dmesg", str(TOP / "vm/out/vm-run.dmesg.txt"), "--",
                "sh", "-c", "echo first; sleep 8; echo second"]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as p:
            first, at_first = p.stdout.readline(), time.monotonic()
            second, at_second = p.stdout.readline(), time.monotonic()
        self.assertEqual((first, second), (b"first\n", b"second\n"))
        self.assertGreater(at_second - at_first, 4)

    def test_no_standard_input(self):
        status, out, _ = vm("sh", "-c", "readlink /proc/self/fd/0; cat | wc -c")
        self.assertEqual((status, out), (0, b"/dev/null\n0\n"))

    def test_words_of_the_command_stay_words(self):
        words = ["a b", "", "*", "$HOME", "'", "\n", "--kernel", "ü"]
        status, out, _ = vm("printf", "%s|", *words)
        self.assertEqual((status, out.decode()), (0, "|".join(words) + "|"))


class Status(unittest.TestCase):
    def test_exit_status(self):
        self.assertEqual(vm("sh", "-c", "exit 37")[0], 37)

    def test_signal(self):
        self.assertEqual(vm("sh", "-c", "kill -TERM $$")[0], 128 + signal.SIGTERM)

    def test_command_that_is_not_there(self):
        status, _, err = vm("no-such-command")
        self.assertEqual(status, 127)
        self.assertIn(b"no-such-command", err)

    def test_time_out(self):
        start = time.monotonic()
        status, out, err = vm("sh", "-c", "echo started; sleep 1000", options=["--timeout", "3"])
        self.assertEqual((status, out), (124, b"started\n"))
        self.assertIn(b"the time ran out", err)
        self.assertLess(time.monotonic() - start, 90)

    def test_panic(self):
        status, _, err = vm("sh", "-c", "echo c > /proc/sysrq-trigger; sleep 100")
        self.assertEqual(status, 125)
        self.assertRegex(err.decode().splitlines()[0], r"^vm/run: .*panicked")

    def test_complaint_of_the_kernel(self):
        # The kernel's line on a segmentation fault starts with the name of the program.
        script = ("import ctypes\n"
                  "open('/proc/self/comm', 'w').write('BUG: sample')\n"
                  "ctypes.string_at(0)\n")
        status, _, err = vm("python3", "-c", script)
        self.assertEqual(status, 99)
        self.assertIn(b"BUG: sample", err)

    def test_unknown_kernel(self):
        status, _, err = vm("true", options=["--kernel", "none-such"])
        self.assertEqual(status, 125)
        self.assertRegex(err.decode(), r"^vm/run: there is no kernel 'none-such'; known are: ")

    def test_interrupted(self):
        before = temporary_folders()
        with subprocess.Popen([RUN, "--no-module", "--dmesg",
                               str(TOP / "vm/out/vm-run.dmesg.txt"), "--", "sh", "-c",
                               "echo up; sleep 1000"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as p:
            self.assertEqual(p.stdout.readline(), b"up\n")
            machine = self._children(p.pid)
            self.assertEqual(len(machine), 1, "one QEMU")
            p.send_signal(signal.SIGTERM)
            self.assertEqual(p.wait(20), 128 + signal.SIGTERM)
        self.assertFalse(os.path.exists(f"/proc/{machine[0]}"), "QEMU is still there")
        self.assertFalse([d for d in temporary_folders() - before if f"-{p.pid}-" in d.name])

    def test_killed_takes_the_machine_with_it(self):
        with subprocess.Popen([RUN, "--no-module", "--dmesg",
                               str(TOP / "vm/out/vm-run.dmesg.txt"), "--", "sh", "-c",
                               "echo up; sleep 1000"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as p:
            p.stdout.readline()
            machine = self._children(p.pid)
            p.kill()
            p.wait(20)
        limit = time.monotonic() + 20
        while os.path.exists(f"/proc/{machine[0]}") and time.monotonic() < limit:
            time.sleep(0.05)
        self.assertFalse(os.path.exists(f"/proc/{machine[0]}"), "QEMU is still there")
        for folder in temporary_folders():
            if f"-{p.pid}-" in folder.name:
                subprocess.run(["rm", "-r", str(folder)], check=True)
        (TOP / f"vm/out/.vm-run.dmesg.txt.{p.pid}").unlink(missing_ok=True)

    @staticmethod
    def _children(pid):
        return [int(x) for x in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Folders(unittest.TestCase):
    def _in_folder(self, root):
        with tempfile.TemporaryDirectory(prefix="vm-folder ") as name:
            folder = Path(name)
            (folder / "given").write_text("from the host\n")
            before = temporary_folders()
            status, out, err = vm(
                "sh", "-c", "pwd; cat given; echo changed > given; echo new > new; rm -f given; "
                f"mkdir -p {TOP}/vm/out; echo kept > {TOP}/vm/out/probe; ls",
                options=["--root", root], cwd=folder)
            self.assertEqual((status, err), (0, b""))
            self.assertEqual(out.decode(), f"{folder}\nfrom the host\nnew\n")
            self.assertEqual((folder / "given").read_text(), "from the host\n")
            self.assertEqual(os.listdir(folder), ["given"])
            self.assertEqual((TOP / "vm/out/probe").read_text(), "kept\n")
            (TOP / "vm/out/probe").unlink()
            mine = [d for d in temporary_folders() - before if f"-{os.getpid()}-" in d.name]
            self.assertEqual(mine, [])

    def test_folder_with_host_root(self):
        self._in_folder("host")

    def test_folder_with_image_root(self):
        self._in_folder("image")

    def test_checkout_is_not_written_to(self):
        def tree():
            listed = subprocess.run(["git", "status", "--porcelain", "--ignored"], cwd=TOP,
                                    stdout=subprocess.PIPE, check=True, text=True).stdout
            return [line for line in listed.splitlines() if "vm/out" not in line]
        if subprocess.run(["git", "rev-parse"], cwd=TOP, stderr=subprocess.DEVNULL).returncode:
            self.skipTest("no git checkout")
        probe = TOP / "vm" / "written-by-the-guest"
        self.assertEqual(vm("touch", str(probe))[0], 0)
        self.assertFalse(probe.exists())
        self.assertFalse(any(str(probe.name) in line for line in tree()))


class Machine(unittest.TestCase):
    def test_cpus_and_memory(self):
        status, out, _ = vm("sh", "-c", "nproc; grep MemTotal /proc/meminfo",
                            options=["--smp", "1", "--mem", "1024"])
        self.assertEqual(status, 0)
        cpus, memory = re.fullmatch(r"(\d+)\nMemTotal:\s+(\d+) kB\n", out.decode()).groups()
        self.assertEqual(cpus, "1")
        self.assertTrue(800 < int(memory) >> 10 <= 1024, memory)

    def test_icount_repeats(self):
        script = ("import time\n"
                  "def once():\n"
                  "    start = time.monotonic_ns()\n"
                  "    for i in range(3000): pass\n"
                  "    return time.monotonic_ns() - start\n"
                  "print(min(once() for i in range(500)))\n")
        # A piece is shorter than a tick, so that most have no interrupt or other task in them.
        times = []
        for _ in range(2):
            status, out, err = vm("python3", "-c", script,
                                  options=["--icount", "--root", "image"])
            self.assertEqual(status, 0, err)
            times.append(int(out))
        # Two boots may differ in where the interpreter's objects lie; the figures that are
        # guarded are compared within one.
        self.assertLess(abs(times[0] - times[1]) / max(times), 0.04, times)


if __name__ == "__main__":
    os.chdir(TOP)
    unittest.main(argv=[sys.argv[0]] + sys.argv[1:])

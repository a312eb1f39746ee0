#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The guest's runner: what fails in whichever way is told as failed, nothing is lost."""

import contextlib
import fnmatch
import io
import json
import re
import socket
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests"))
sys.path.insert(0, str(TOP / "vm/lib"))

from lib import command, interop  # noqa: E402
from lib.report import SECOND_TRIES, Report  # noqa: E402
from lib.vmlane import VmLane, peers  # noqa: E402
from vmtool import waker  # noqa: E402

EXPECTED = {
    "passes": ("ok", r"^$"),
    "fails": ("FAIL", r"^the word: expected 'expected', saw 'seen'$"),
    "raises": ("FAIL", r"^ValueError: by itself$"),
    "skips": ("skip", r"^nothing to do here$"),
    "needs_a_program": ("skip", r"^no-such-program is not in the guest$"),
    "hangs": ("FAIL", r"^not done within ([2-9]|\d\d) s"),
    "has_cases[two]": ("ok", r"^$"),
    "leaves_a_process": ("FAIL", r"^left running: sleep"),
    "process_is_gone": ("ok", r"^$"),
    "cleaning_up_fails": ("FAIL", r"^cleaning up: .*not clean"),
    "ends_its_process": ("FAIL", r"^the test's process ended with status 3$"),
    "kernel_complains": ("FAIL", r"^the kernel complained: BUG: sample"),
    "stays_in_d_state": ("FAIL", r"stays in D state: touch"),
    "crashes_the_guest": ("FAIL", r"^the guest died while it ran: .*panicked"),
    "runs_after_the_crash": ("ok", r"^$"),
}


class Collector:
    """Stands in for the report of a real run."""

    def __init__(self):
        self.results, self.twice = {}, []

    def progress(self, lane, text):
        pass

    def result(self, lane, name, verdict, reason="", seconds=None, output="", peers=()):
        name = name.removeprefix("sample.")
        if name in self.results:
            self.twice.append(name)
        self.results[name] = (verdict, reason)


class Scripted(VmLane):
    """A lane whose guests say what is asked for: {test: its results, one for each try}."""

    def __init__(self, script):
        super().__init__("debian-6.12", ["check"], second_try=True)
        self.script, self.tries = script, []

    def tests(self):
        return [name for name in self.script
                if not self.patterns or any(fnmatch.fnmatchcase(name, p) for p in self.patterns)]

    def _prepare(self, report):
        return True

    def _boot(self, report, boot):
        for name in list(self.left):
            verdict, sound = self.script[name][self.tries.count(name)]
            self.tries.append(name)
            self._result(report, {"name": name, "result": verdict, "sound": sound,
                                  "reason": "", "seconds": 0})
            self.left.remove(name)


class SecondTry(unittest.TestCase):
    """What is tried once more, and what never is."""

    @staticmethod
    def run_lane(script):
        lane, out = Scripted(script), Report()
        with contextlib.redirect_stdout(io.StringIO()):
            lane.run(out)
            status = out.close()
        return lane.tries, out.counts, len(out.second), status

    def test_passes_at_the_second(self):
        tries, counts, second, status = self.run_lane(
            {"a[1]": [("ok", True)], "b[1]": [("FAIL", True), ("ok", True)], "c": [("ok", True)]})
        self.assertEqual(tries, ["a[1]", "b[1]", "c", "b[1]"])
        self.assertEqual((counts, second, status), ({"ok": 3, "FAIL": 0, "skip": 0}, 1, 0))

    def test_fails_twice(self):
        tries, counts, second, status = self.run_lane({"a": [("FAIL", True)] * 2})
        self.assertEqual(tries, ["a", "a"])
        self.assertEqual((counts, second, status), ({"ok": 0, "FAIL": 1, "skip": 0}, 0, 1))

    def test_skipped_at_the_second(self):
        tries, counts, _, status = self.run_lane({"a": [("FAIL", True), ("skip", True)]})
        self.assertEqual(tries, ["a", "a"])
        self.assertEqual((counts, status), ({"ok": 0, "FAIL": 1, "skip": 0}, 1))

    def test_unsound_guest_is_final(self):
        tries, counts, _, status = self.run_lane({"a": [("FAIL", False), ("ok", True)]})
        self.assertEqual((tries, counts["FAIL"], status), (["a"], 1, 1))

    def test_no_more_than_so_many(self):
        script = {str(n): [("FAIL", True), ("ok", True)] for n in range(SECOND_TRIES + 1)}
        _, counts, second, status = self.run_lane(script)
        self.assertEqual((counts["FAIL"], second, status), (1, SECOND_TRIES, 1))


class Waking(unittest.TestCase):
    """What is done for a guest that sleeps, against a monitor of this test's."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = Path(folder.name) / "monitor"
        self.waker = waker.Waker(path)
        self.waker.step()  # QEMU does not listen yet
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            self.waker.step()
            self.monitor, _ = listener.accept()
        self.addCleanup(self.monitor.close)
        self.addCleanup(self.waker.close)

    def after(self, seconds, *events):
        """The commands that the monitor got that long after these events."""
        for event in events:
            self.monitor.send(json.dumps({"event": event}).encode() + b"\r\n")
            self.waker.step()
        if self.waker.since:
            self.waker.since -= seconds
        self.waker.step()
        return [json.loads(line)["execute"] for line in self.monitor.recv(4096).splitlines()]

    def test_overslept(self):
        self.assertEqual(self.after(waker.OVERSLEPT_S + 1, "SUSPEND"),
                         ["qmp_capabilities", "system_wakeup"])

    def test_asleep(self):
        self.assertEqual(self.after(waker.OVERSLEPT_S - 5, "SUSPEND"), ["qmp_capabilities"])

    def test_awake(self):
        self.assertEqual(self.after(waker.OVERSLEPT_S + 1, "SUSPEND", "WAKEUP"),
                         ["qmp_capabilities"])

    def test_monitor_ends(self):
        self.monitor.close()
        self.waker.step()
        self.waker.step()


class Peers(unittest.TestCase):
    """What is built before the guest boots, for the tests that will run in it."""

    def test_commands(self):
        argvs = [argv for argv, _ in peers(["blk.fio", "rust_vmm.sound_null", "rust_vmm.can",
                                            "rust_vmm.reported[gpio-inputs]", "rust_vmm.can"])]
        self.assertEqual(argvs, [["tests/interop/rust-vmm", "can", "gpio", "sound"]])
        argvs = [argv for argv, _ in peers(["vsock.streams[debian]", "net.passt"])]
        self.assertEqual(argvs, [["tests/interop/debian-peers"]])
        self.assertEqual(list(peers(["blk.fio", "teardown.net.x"])), [])

    def test_each_is_known(self):
        """A test whose device the program does not know would be skipped in every run."""
        lane = VmLane("debian-6.12", ["interop"], ["rust_vmm.*"])
        for argv, _ in peers(lane.tests()):
            done = command.run([*argv, "--list"], 60)
            self.assertEqual((done.status, done.output.split()), (0, argv[1:]))


class PeerTable(unittest.TestCase):
    """docs/interop.md is what the runs told, and nothing else."""

    PEER = {"peer": "pass|t", "version": "1.0", "side": "back-end", "device": "net",
            "driven": "ping"}

    def keep(self, results, whole=True, run="now"):
        """Return: the rows; those of this run have its time, which is said in one word here."""
        before = interop.TABLE.read_text() if interop.TABLE.exists() else ""
        interop.keep(results, whole)
        text = interop.TABLE.read_text()
        times = set(re.findall(r" \| (\d{4}-\d\d-\d\d \d\d:\d\d) \| ", text))
        self.assertLessEqual(len(times), 2, before)  # a minute may end within a run
        for time in times:
            text = text.replace(time, run)
        interop.TABLE.write_text(text)
        return [line for line in text.splitlines() if line.startswith(("| pass", "| ?", "- "))]

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(setattr, interop, "TABLE", interop.TABLE)
        interop.TABLE = Path(folder.name) / "interop.md"

    def test_rows(self):
        rows = self.keep([("vm-a", "net.x", "ok", "", [self.PEER]),
                          ("vm-b", "net.x", "ok", "", [self.PEER]),
                          ("vm-b", "net.y", "FAIL", "no answer | none", [self.PEER]),
                          ("qemu", "w", "ok", "", [dict(self.PEER, side="front-end")]),
                          ("vm-b", "net.z", "skip", "not there", []),
                          ("vm-b", "net.of_ours", "ok", "", [])])
        expected = [
            "| pass\\|t | 1.0 | back-end | net | ping | `net.x` | a, b | now | passed |",
            "| pass\\|t | 1.0 | back-end | net | ping | `net.y` | b | now | "
            "**failed**: no answer \\| none |",
            "| pass\\|t | 1.0 | front-end | net | ping | `w` | QEMU's guest | now | passed |",
            "- `net.z` on b: not there"]
        self.assertEqual(rows, expected)
        self.assertEqual(self.keep([], whole=False), expected)  # as it was read

    def test_part_of_a_run(self):
        self.keep([("vm-a", "net.x", "ok", "", [self.PEER]), ("vm-a", "net.y", "skip", "none", [])],
                  run="first")
        rows = self.keep([("vm-a", "net.y", "ok", "", [dict(self.PEER, driven="MTU")])],
                         whole=False, run="second")
        self.assertEqual([row.split(" | ")[4:8] for row in rows],
                         [["MTU", "`net.y`", "a", "second"], ["ping", "`net.x`", "a", "first"]])
        # one that was cut off before it said what it drives
        rows = self.keep([("vm-a", "net.x", "FAIL", "hung", []),
                          ("vm-a", "fs.x", "FAIL", "hung", [])], whole=False)
        self.assertEqual([row.split(" | ")[-1] for row in rows],
                         ["**failed**: hung |", "passed |", "**failed**: hung |"])
        self.assertEqual(len(self.keep([("vm-a", "net.y", "ok", "", [self.PEER])])), 1)

    def test_no_peer_this_time(self):
        def told(rows):
            return sorted(row.split(" | ")[6:8] for row in rows if row.startswith("|"))

        self.keep([("vm-a", "net.x", "ok", "", [self.PEER]),
                   ("vm-b", "net.x", "ok", "", [self.PEER])], run="first")
        rows = self.keep([("vm-a", "net.x", "skip", "none", []),
                          ("vm-b", "net.x", "ok", "", [self.PEER])], run="second")
        self.assertEqual(told(rows), [["a", "first"], ["b", "second"]])
        self.assertEqual(rows[-1], "- `net.x` on a: none")
        rows = self.keep([("vm-a", "net.x", "ok", "", [self.PEER])], run="third")
        self.assertEqual(told(rows), [["a", "third"]])
        self.assertEqual(len(rows), 1)


class Harness(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.seen = Collector()
        VmLane("debian-6.12", ["check"], folder=TOP / "tests/vm-run/samples",
               name="vm-samples", module=False).run(cls.seen)

    def test_each_is_told_once(self):
        self.assertEqual(self.seen.twice, [])
        self.assertEqual(list(self.seen.results), list(EXPECTED))


def _add(name, verdict, pattern):
    def check(self):
        self.assertIn(name, self.seen.results)
        self.assertEqual(self.seen.results[name][0], verdict, self.seen.results[name])
        self.assertRegex(self.seen.results[name][1], pattern)
    plain = name.replace("[", "_").replace("]", "")
    setattr(Harness, f"test_{plain}", check)


for _name, (_verdict, _pattern) in EXPECTED.items():
    _add(_name, _verdict, _pattern)


if __name__ == "__main__":
    unittest.main()

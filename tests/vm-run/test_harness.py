#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The guest's runner: what fails in whichever way is told as failed, nothing is lost."""

import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests"))

from lib.vmlane import VmLane  # noqa: E402

EXPECTED = {
    "passes": ("ok", r"^$"),
    "fails": ("FAIL", r"^the word: expected 'expected', saw 'seen'$"),
    "raises": ("FAIL", r"^ValueError: by itself$"),
    "skips": ("skip", r"^nothing to do here$"),
    "needs_a_program": ("skip", r"^no-such-program is not in the guest$"),
    "hangs": ("FAIL", r"^not done within 2 s"),
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

    def result(self, lane, name, verdict, reason="", seconds=None, output=""):
        name = name.removeprefix("sample.")
        if name in self.results:
            self.twice.append(name)
        self.results[name] = (verdict, reason)


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

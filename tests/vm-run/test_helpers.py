#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What judges and counts: a soak's verdict, complaints of KCSAN, the fuzzers' hours and coverage."""

import contextlib
import io
import random
import signal
import sys
import tempfile
import unittest
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import SimpleNamespace

sys.dont_write_bytecode = True
TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "vm"), str(TESTS.parent / "vm/lib")]

from vmtool import complaints  # noqa: E402
from flat import Bound, Table, judge, percentile  # noqa: E402

hours = SourceFileLoader("hours", str(TESTS / "fuzz/hours")).load_module()
coverage = SourceFileLoader("coverage", str(TESTS / "fuzz/coverage")).load_module()

ROWS = 90  # of 45 minutes, one in 30 s


def noisy(value, spread, slope=0.0):
    draw = random.Random(1)
    return [value + slope * n + draw.uniform(-spread, spread) for n in range(ROWS)]


class Flat(unittest.TestCase):
    """What grows is seen to grow, and what only wavers is flat."""

    bound = Bound(128)

    def test_constant(self):
        self.assertTrue(judge("x", [5000] * ROWS, self.bound).flat)

    def test_noise(self):
        self.assertTrue(judge("x", noisy(5000, 300), self.bound).flat)

    def test_warming_up(self):
        # Growth that is over with the first third is none.
        series = [100 * n for n in range(30)] + [3000] * 60
        self.assertTrue(judge("x", series, self.bound).flat)

    def test_a_spike_at_the_end(self):
        self.assertTrue(judge("x", [5000] * (ROWS - 5) + [9000] * 5, self.bound).flat)

    def test_shrinks(self):
        self.assertTrue(judge("x", noisy(5000, 10, slope=-20), self.bound).flat)

    def test_a_leak(self):
        # A page in each half minute, under noise that is larger than that.
        seen = judge("x", noisy(5000, 40, slope=5), self.bound)
        self.assertFalse(seen.flat)
        self.assertIn("x: 52", str(seen))

    def test_a_step_in_the_last_third(self):
        self.assertFalse(judge("x", [5000] * 62 + [5200] * 28, self.bound).flat)

    def test_in_parts(self):
        # A latency may differ by a part of itself, not by twice that.
        self.assertTrue(judge("x", [10] * 60 + [14] * 30, Bound(0, 0.5)).flat)
        self.assertFalse(judge("x", [10] * 60 + [16] * 30, Bound(0, 0.5)).flat)

    def test_a_descriptor(self):
        self.assertFalse(judge("x", [12] * 60 + [13] * 30, Bound(0)).flat)

    def test_too_short(self):
        with self.assertRaises(ValueError):
            judge("x", [1] * 8, self.bound)

    def test_table(self):
        table = Table()
        for n in range(ROWS):
            table.add(Bound(0), {"fds": 7})
            table.add(Bound(100), {"memory": 1000 + 10 * n})
            table.end_row()
        self.assertEqual([(s.name, s.flat) for s in table.judge()],
                         [("fds", True), ("memory", False)])

    def test_one_that_went(self):
        # A process that died is not a series that stays flat.
        table = Table()
        table.add(Bound(0), {"a": 1, "b": 1})
        table.end_row()
        table.add(Bound(0), {"a": 1})
        with self.assertRaises(ValueError):
            table.end_row()

    def test_one_that_came(self):
        table = Table()
        table.add(Bound(0), {"a": 1})
        table.end_row()
        table.add(Bound(0), {"a": 1, "b": 1})
        with self.assertRaises(ValueError):
            table.end_row()

    def test_percentile(self):
        times = list(range(100))
        self.assertEqual((percentile(times, 0.5), percentile(times, 0.99), percentile([3], 0.99)),
                         (50, 99, 3))


RACE = """\
[   10.1] ==================================================================
[   10.1] BUG: KCSAN: data-race in {0} / {1}

[   10.1] write to 0xffff888004da8a80 of 4 bytes by task 137 on cpu 1:
[   10.1]  {0}
{2}
[   10.1] read to 0xffff888004da8a80 of 4 bytes by task 138 on cpu 0:
[   10.1]  {1}
[   10.1]
[   10.1] Reported by Kernel Concurrency Sanitizer on:
[   10.1] ==================================================================
"""


class Races(unittest.TestCase):
    """KCSAN tells of all of Linux; a complaint is what has the module in it, however deep."""

    def test_elsewhere(self):
        self.assertEqual(complaints.find(RACE.format("tick_a+0x1/0x2", "tick_b+0x1/0x2", "")), [])

    def test_ours(self):
        found = complaints.find(RACE.format("vlb_a+0x1/0x2 [virtio_loopback]", "b+0x1/0x2", "")
                                + RACE.format("c+0x1/0x2", "d+0x1/0x2", ""))
        self.assertEqual([entry.count("vlb_a") for entry in found], [2])

    def test_deep_in_a_stack(self):
        deep = "[   10.1]  entry+0x1/0x2\n" * 60 + "[   10.1]  vlb_a+0x1/0x2 [virtio_loopback]"
        self.assertEqual(len(complaints.find(RACE.format("list_add", "list_del", deep))), 1)

    def test_after_one_elsewhere(self):
        text = RACE.format("a", "b", "") + "[   10.2] BUG: kernel NULL pointer dereference\n"
        self.assertEqual(len(complaints.find(text)), 1)


class Reports(unittest.TestCase):
    """What the kernel says in several pieces is one complaint."""

    def test_one_report_of_a_mapping(self):
        text = ("DMA-API: platform x: cacheline tracking EEXIST, overlapping mappings\n"
                "WARNING: CPU: 0\n---[ end trace 0000000000000000 ]---\n"
                "DMA-API: Mapped at:\n debug_dma_map_page+0x83/0x230\n")
        self.assertEqual(len(complaints.find(text)), 1)

    def leaks(self, said, *functions):
        return f"[   1.0] kmemleak: {said} new suspected memory leaks (see x)\n" + "".join(
            "[   1.1] vm-init: kmemleak: unreferenced object 0x1 (size 16):\n"
            "[   1.2] vm-init: kmemleak:     __kmalloc_noprof+0x2b7/0x4c0\n" + "".join(
                f"[   1.2] vm-init: kmemleak:     {name}+0x84e/0x1a50 [m]\n" for name in callers.split())
            for callers in functions) + "[   1.3] reboot: Power down\n"

    def test_leaks_of_a_driver(self):
        for said, functions, expected in ((2, ("virtnet_probe", "virtnet_probe"), 0),
                                          (2, ("virtnet_probe", "vlb_create"), 1),
                                          (2, ("virtnet_probe",), 1),  # one was not shown
                                          (1, ("vlb_ring_alloc virtnet_probe",), 1),
                                          (1, ("vlb_create",), 1)):
            found = complaints.find(self.leaks(said, *functions))
            self.assertEqual(len(found), expected, (said, functions))


# A program that ends as a fuzzer does when it is interrupted, with what it was given in its way.
FUZZER = """#!/usr/bin/python3
import os, signal, sys, time
files = [a for a in sys.argv[1:] if not a.startswith("-")]
if "-merge=1" in sys.argv:
    print("MERGE-OUTER: 3 new files with 40 new features added; 20 new coverage edges")
    sys.exit(0)
def over(*_):
    print("stat::number_of_executed_units: 1234", flush=True)
    os._exit(72)
signal.signal(signal.SIGINT, over)
if os.environ.get("FUZZ_LAYOUT") == "packed":
    prefix = next(a for a in sys.argv if a.startswith("-artifact_prefix=")).split("=")[1]
    open(prefix + "crash-1", "w").close()
    sys.exit(77)
while True:
    pass
"""


class Coverage(unittest.TestCase):
    """Of the sources, and of those that any input came to."""

    def test_table(self):
        def file(name, *counts):
            return {"filename": f"{TESTS.parent}/tests/../{name}", "summary": {
                kind: {"count": count, "covered": covered}
                for kind, (count, covered) in zip(("lines", "functions"), counts)}}

        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            coverage.table([file("src/common/ini.c", (90, 60), (7, 6)),
                            file("src/common/log.c", (50, 0), (8, 0)),
                            file("tests/fuzz/rig.c", (40, 40), (5, 5)),
                            file("src/display/head.c", (10, 10), (1, 1))])
        rows = [line.split() for line in out.getvalue().splitlines()]
        self.assertEqual(rows[1:], [["common/ini.c", "90", "60", "66", "7", "6"],
                                    ["display/head.c", "10", "10", "100", "1", "1"],
                                    ["all", "of", "these", "100", "70", "70", "8", "7"]])


class Hours(unittest.TestCase):
    """What was done is added to what was there; coverage replaces it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.record = hours.Record(self.folder / "record.tsv")

    def row(self, key):
        return [self.record.read()[key][f] for f in hours.FIELDS[:-1]]

    def fuzzer(self, layout):
        program = self.folder / "tests/fuzz/fuzz_x"
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(FUZZER)
        program.chmod(0o755)
        for name in ("findings", "corpus/x"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        return hours.Fuzzer(SimpleNamespace(build=self.folder, corpus=self.folder / "kept"), "x",
                            layout)

    def test_adds_up(self):
        for seconds, edges in ((600.4, 10), (30, 12)):
            self.record.add(("blk", "split"), {"seconds": seconds, "executions": 5, "findings": 1},
                            {"edges": edges, "features": 2 * edges})
        self.record.add(("can", "packed"), {"seconds": 1}, {})
        self.assertEqual(self.row(("blk", "split")),
                         ["blk", "split", "630", "10", "12", "24", "2"])
        self.assertEqual(self.row(("can", "packed")), ["can", "packed", "1", "0", "-", "-", "0"])
        self.assertEqual((self.record.had(("blk", "packed")), self.record.had(("x", "-"))),
                         ((630, 0), (0, 0)))

    def test_the_guest(self):
        text = ("debug uapi_fuzz.calls[30s] fuzzed: places: 700\n"
                "debug uapi_fuzz.calls[30s] fuzzed: 102 programs in 30 s, 0 kept\n"
                "debug uapi_fuzz.calls[20min] fuzzed: 3000 programs in 1200 s, 4 kept\n")
        hours.add_guest(self.record, text)
        self.assertEqual(self.row(("uapi", "-")), ["uapi", "-", "1230", "3102", "700", "-", "0"])
        with self.assertRaises(SystemExit):
            hours.add_guest(self.record, "nothing of the kind")

    def test_a_turn(self):
        fuzzer = self.fuzzer("-")
        done = fuzzer.turn(0.3, lambda: False)
        self.assertEqual((done["executions"], done["findings"]), (1234, 0))
        self.assertTrue(0.3 <= done["seconds"] < 20, done)
        self.assertEqual(fuzzer.minimise(), {"features": "40", "edges": "20"})

    def test_gives_way(self):
        proc = self.fuzzer("-").start()
        try:
            group = Path(f"/proc/{proc.pid}/autogroup")
            if not group.exists():
                self.skipTest("a kernel that does not group processes by session")
            self.assertRegex(group.read_text(), r" nice 19$")
        finally:
            proc.kill()
            proc.wait()

    def test_ended_in_a_turn(self):
        self.assertEqual(self.fuzzer("-").turn(3600, lambda: True)["findings"], 0)

    def test_ended_before_it_listens(self):
        """SIGINT is ignored in the background of a shell, and a first one is lost."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        done = self.fuzzer("-").turn(3600, lambda: True)
        self.assertEqual(done["executions"], 1234)

    def test_a_finding(self):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            done = self.fuzzer("packed").turn(3600, lambda: False)
        self.assertEqual((done["findings"], "crash-1" in said.getvalue()), (1, True))


if __name__ == "__main__":
    unittest.main()

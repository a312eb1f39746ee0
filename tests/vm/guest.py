#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The guest's side of the tests: one boot runs many. See tests/README.md."""

import argparse
import importlib
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))

from harness import devices, registry, runner  # noqa: E402


def load(folder):
    """Import every test module, so that its tests register themselves."""
    sys.path.insert(0, str(folder))
    for path in sorted(folder.glob("test_*.py")):
        importlib.import_module(path.stem)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--kernel", default=os.environ.get("VLB_KERNEL", "debian-6.12"))
    p.add_argument("--tier", action="append", help="check (default), long; may be repeated")
    p.add_argument("--tag", action="append", default=[], help="only tests with this tag")
    p.add_argument("--slow", type=float, default=1, help="stretch all time limits by this")
    p.add_argument("--shard", default="0/1", metavar="I/N", help="only every Nth, from the Ith on")
    p.add_argument("--skip-first", type=int, default=0, metavar="N", help="leave out the first N")
    p.add_argument("--seconds", type=float, default=float("inf"), metavar="N",
                   help="skip the tests that have not begun by then")
    p.add_argument("--grace", type=float, default=float("inf"), metavar="N",
                   help="what has begun by then fails when it takes that much longer")
    p.add_argument("--folder", type=Path, default=HERE, help="where the test modules are")
    p.add_argument("--list", action="store_true", help="only list the tests that would run")
    p.add_argument("pattern", nargs="*", help="names, with * and ?")
    args = p.parse_args()
    load(args.folder.resolve())
    tests = registry.select(args.kernel, args.tier or ["check"], args.tag, args.pattern)
    first, step = (int(n) for n in args.shard.split("/"))
    tests = tests[first::step][args.skip_first:]
    if args.list:
        for t in tests:
            print(t.name)
        return 0
    devices.make_service_user()
    runner.Runner(args.slow, args.seconds, args.grace).run(tests)
    return 0


if __name__ == "__main__":
    sys.exit(main())

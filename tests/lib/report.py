# SPDX-License-Identifier: BSD-3-Clause
"""Counts results and prints one line for each."""

import sys
import threading
import time


class Report:
    """The one place where results come together; lanes run in several threads."""

    def __init__(self, verbose=False):
        self.counts = {"ok": 0, "FAIL": 0, "skip": 0}
        self.failed, self.verbose = [], verbose
        self._lock, self._start = threading.Lock(), time.monotonic()

    def _print(self, text):
        minutes, seconds = divmod(int(time.monotonic() - self._start), 60)
        sys.stdout.write(f"[{minutes:2d}:{seconds:02d}] {text}\n")
        sys.stdout.flush()

    def progress(self, lane, text):
        with self._lock:
            self._print(f"     {lane}: {text}")

    def result(self, lane, name, verdict, reason="", seconds=None, output=""):
        """One test's result: ok, FAIL or skip."""
        line = f"{verdict:4s} {lane}/{name}"
        if reason:
            line += f": {reason}"
        if seconds is not None:
            line += f" ({seconds:.1f} s)"
        with self._lock:
            self.counts[verdict] += 1
            self._print(line)
            if verdict == "FAIL":
                # What could not be run is told once, above; its cause is what failed.
                if not reason.startswith("not run: "):
                    self.failed.append(line)
                for text in output.rstrip().splitlines()[-80:]:
                    sys.stdout.write(f"           | {text}\n")
                sys.stdout.flush()

    def close(self):
        """The closing lines; returns the exit status."""
        if self.failed:
            print("\nwhat failed:")
            for line in self.failed:
                print(f"  {line}")
        print(f"{self.counts['ok']} passed, {self.counts['FAIL']} failed, "
              f"{self.counts['skip']} skipped", flush=True)
        return 1 if self.counts["FAIL"] else 0

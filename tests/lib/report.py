# SPDX-License-Identifier: BSD-3-Clause
"""Counts results and prints one line for each."""

import sys
import threading
import time


# Second tries in one run. More failures than that are the change's, not the machine's.
SECOND_TRIES = 3


class Report:
    """The one place where results come together; lanes run in several threads."""

    def __init__(self):
        self.counts = {"ok": 0, "FAIL": 0, "skip": 0}
        self.failed = []
        # (lane, test, verdict, reason, peers) of each result: see interop.py
        self.results = []
        # What failed at its first try, and the lines of those that then passed.
        self._tried, self.second = set(), []
        self._lock, self._start = threading.Lock(), time.monotonic()

    def _print(self, text):
        minutes, seconds = divmod(int(time.monotonic() - self._start), 60)
        sys.stdout.write(f"[{minutes:2d}:{seconds:02d}] {text}\n")
        sys.stdout.flush()

    def progress(self, lane, text):
        with self._lock:
            self._print(f"     {lane}: {text}")

    @staticmethod
    def _line(word, lane, name, reason, seconds):
        line = f"{word:4s} {lane}/{name}"
        if reason:
            line += f": {reason}"
        if seconds is not None:
            line += f" ({seconds:.1f} s)"
        return line

    @staticmethod
    def _print_output(output):
        for text in output.rstrip().splitlines()[-80:]:
            sys.stdout.write(f"           | {text}\n")
        sys.stdout.flush()

    def first_try(self, lane, name, reason, seconds=None, output=""):
        """
        A test failed and may be tried once more; its result is still to come. Returns False,
        and tells nothing, where there have been too many of them.
        """
        with self._lock:
            if len(self._tried) >= SECOND_TRIES:
                return False
            self._tried.add((lane, name))
            self._print(self._line("try1", lane, name, reason, seconds))
            self._print_output(output)
            return True

    def result(self, lane, name, verdict, reason="", seconds=None, output="", peers=()):
        """One test's result: ok, FAIL or skip; peers: what others wrote and it drove."""
        with self._lock:
            if verdict == "skip" and (lane, name) in self._tried:
                verdict, reason = "FAIL", f"it failed, and then was skipped: {reason}"
            line = self._line(verdict, lane, name, reason, seconds)
            self.counts[verdict] += 1
            self.results.append((lane, name, verdict, reason, list(peers)))
            self._print(line)
            if verdict == "ok" and (lane, name) in self._tried:
                self.second.append(line)
            if verdict == "FAIL":
                # What could not be run is told once, above; its cause is what failed.
                if not reason.startswith("not run: "):
                    self.failed.append(line)
                self._print_output(output)

    def close(self):
        """The closing lines; returns the exit status."""
        for title, lines in (("what passed only at its second try:", self.second),
                             ("what failed:", self.failed)):
            if lines:
                print("\n  ".join(["\n" + title] + lines))
        print(f"{self.counts['ok']} passed, {self.counts['FAIL']} failed, "
              f"{self.counts['skip']} skipped", flush=True)
        return 1 if self.counts["FAIL"] else 0

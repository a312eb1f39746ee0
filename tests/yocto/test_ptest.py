#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The package of tests: what install-ptest takes along, and what run-ptest says of it."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
TOP = Path(__file__).resolve().parents[2]
FILES = TOP / "packaging/yocto/meta-virtio-loopback/recipes-virtio/virtio-loopback/files"


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


class Ptest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="ptest-")
        self.addCleanup(folder.cleanup)
        self.top = Path(folder.name)
        self.build, self.source = self.top / "build", self.top / "source"
        self.bin, self.target = self.top / "bin", self.top / "ptest"

    def install(self, *tests):
        """A build with these tests: name, words of the command, folder that it is run in."""
        info = self.build / "meson-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "intro-tests.json").write_text(json.dumps([
            {"name": name, "cmd": words, "workdir": workdir, "timeout": 5}
            for name, words, workdir in tests]))
        (info / "intro-installed.json").write_text(json.dumps(
            {str(self.build / "src/back-end"): "/usr/bin/back-end"}))
        return subprocess.run([FILES / "install-ptest", self.build, self.source, self.bin,
                               self.target], capture_output=True, text=True, check=False)

    def run_ptest(self):
        (self.target / "run-ptest").write_bytes((FILES / "run-ptest").read_bytes())
        env = dict(os.environ, TMPDIR=str(self.top))
        return subprocess.run(["sh", self.target / "run-ptest"], capture_output=True, text=True,
                              cwd="/", env=env, timeout=60, check=False)

    def test_results(self):
        units = self.build / "tests/unit"
        program(self.build / "src/back-end", "exit 0")
        program(self.bin / "back-end", "echo installed")
        program(units / "good", "touch here && [ ! -e /here ]")
        program(units / "bad", "echo what it saw; exit 1")
        program(units / "skips", "exit 77")
        program(units / "slow", "exec sleep 30")
        program(units / "calls", "[ \"$($1)\" = installed ]")
        program(self.source / "script", "exit 0")
        got = self.install(("good", [str(units / "good")], None),
                           ("it is bad", [str(units / "bad")], None),
                           ("skips", [str(units / "skips")], None),
                           ("slow", [str(units / "slow")], None),
                           ("calls", [str(units / "calls"), "../../src/back-end"], str(units)),
                           ("script", [str(self.source / "script")], None))
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertFalse((self.target / "script").exists())
        got = self.run_ptest()
        self.assertEqual(got.stdout.splitlines(), [
            "PASS: good", "what it saw", "FAIL: it is bad", "SKIP: skips", "FAIL: slow",
            "PASS: calls"])
        self.assertEqual(got.returncode, 1)

    def test_nothing_to_install(self):
        got = self.install()
        self.assertNotEqual(got.returncode, 0)
        self.assertIn("has no tests", got.stderr)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The machine goes down while devices are in use, and all that serves them has been killed."""

import subprocess
import sys
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
DMESG = TOP / "vm/out/power-off.dmesg.txt"
ATTACH = """
set -e
tmp=$(mktemp -d)
truncate -s 64M $tmp/image; mkfs.ext4 -q $tmp/image
virtio-loopback attach --type blk --name data --exec "vhost-user-blk --image $tmp/image"
virtio-loopback attach --type rng --name chance --exec vhost-user-rng
virtio-loopback attach --type console --name port \\
    --exec "vhost-user-console --port control=unix:$tmp/control"
"""
DIRTY = """
mkdir $tmp/there; mount /dev/vda $tmp/there
dd if=/dev/urandom of=$tmp/there/file bs=1M count=8 2>&1
exec 3>$tmp/there/open; echo something >&3
"""


def power_off(script):
    """Runs it in a guest, which kills all processes then and powers off; vm/run gives it 30 s."""
    argv = [TOP / "vm/run", "--root", "image", "--dmesg", DMESG, "--", "sh", "-c", script]
    return subprocess.run(argv, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=300)


class PowerOff(unittest.TestCase):
    def _off(self, script):
        done = power_off(script)
        self.assertEqual(done.returncode, 0, done.stdout[-800:])
        self.assertIn("chance virtio", done.stdout)
        self.assertIn("reboot: Power down", DMESG.read_text(errors="replace"))

    def test_devices_at_rest(self):
        self._off(ATTACH)

    def test_disk_mounted_and_dirty(self):
        self._off(ATTACH + DIRTY)


if __name__ == "__main__":
    sys.exit(unittest.main())

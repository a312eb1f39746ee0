#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""In the guest: how long `virtio-loopback attach` takes, to the bound driver and its node.

Prints CSV: what,round,nanoseconds.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import peers  # noqa: E402

EXEC = {"blk": "vhost-user-blk --image null:1G", "rng": "vhost-user-rng"}


def attach(kind, *words):
    began = time.monotonic_ns()
    out = subprocess.run(["virtio-loopback", "attach", "--type", kind, "--exec", EXEC[kind],
                          *words], check=True, stdout=subprocess.PIPE, text=True).stdout
    took = time.monotonic_ns() - began
    subprocess.run(["virtio-loopback", "detach", out.split()[0]], check=True)
    return took


def measure(rounds):
    attach("blk")
    attach("rng")
    for turn in range(rounds):
        began = time.monotonic_ns()
        peers.run("virtio-loopback", "--version")
        print(f"start-of-a-program,{turn},{time.monotonic_ns() - began}")
        print(f"attach-blk,{turn},{attach('blk')}")
        print(f"attach-blk-1M-pool,{turn},{attach('blk', '--pool', '1M')}")
        print(f"attach-rng,{turn},{attach('rng')}", flush=True)


def main():
    with tempfile.TemporaryDirectory() as tmp:
        peers.warm_up(tmp)
        measure(int(sys.argv[1]))


if __name__ == "__main__":
    main()

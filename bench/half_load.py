#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""In the guest: how long reads of 4 KiB take at half of the rate that a disk can do.

Prints CSV: PEER/WHAT,round,figure. What it can do is what comes of 32 at a time ("32"), or of one at
a time ("1"), which is less where answers are collected. At half of that reads begin at even
distances, and then at random ones: a Poisson process, whose bursts wait for each other also where
nothing else is amiss.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import blk  # noqa: E402
import peers  # noqa: E402

WORDS = {depth: blk.JOBS[f"randread-4k-{depth}"][0] for depth in (32, 1)}
REQUESTS = 20000
DISTANCES = {"even": "linear", "random": "poisson"}
PEERS = "loopback-own,loopback,vduse,ublk"


def shares(node, rate, distance, requests):
    """Nanoseconds that half of them, and 999 of 1000, take at most, from the system call on."""
    side = blk.fio(node, [*WORDS[32], f"--rate_iops={rate}", f"--rate_process={distance}",
                          "--lat_percentiles=1", "--clat_percentiles=0"], requests)
    found = side["lat_ns"]["percentile"]
    return found["50.000000"], found["99.900000"]


def one_disk(name, node, turn, requests):
    for depth, words in WORDS.items():
        least = blk.measure(node, words, requests)
        print(f"{name}/{depth}-each,{turn},{least:.0f}", flush=True)
        for distance, process in DISTANCES.items():
            half, most = shares(node, max(1, int(0.5e9 / least)), process, requests)
            print(f"{name}/{depth}-{distance}-half,{turn},{half}")
            print(f"{name}/{depth}-{distance}-999,{turn},{most}")
            print(f"{name}/{depth}-{distance}-times,{turn},{most / half:.2f}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--scale", type=float, default=1, help="times as many requests")
    p.add_argument("--peers", default=PEERS)
    args = p.parse_args()
    requests = max(1000, int(REQUESTS * args.scale))
    with tempfile.TemporaryDirectory() as tmp:
        peers.warm_up(tmp)
        disks = blk.make(args.peers.split(","), tmp)
        for node in disks.values():
            blk.measure(node, WORDS[32], requests // 10)
        for turn in range(args.rounds):
            for name, node in disks.items():
                one_disk(name, node, turn, requests)
        peers.end()


if __name__ == "__main__":
    main()

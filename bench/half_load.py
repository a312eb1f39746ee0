#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""In the guest: how long reads of 4 KiB take at half of the rate that a disk can do.

Prints CSV: PEER/WHAT,round,figure. What it can do is what comes of 32 at a time. At half of that
reads begin at even distances, and then at random ones (a Poisson process, whose bursts wait for
each other also where nothing else is amiss).
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import blk  # noqa: E402
import peers  # noqa: E402

WORDS = blk.JOBS["randread-4k-32"][0]
REQUESTS = 20000
DISTANCES = {"even": "linear", "random": "poisson"}
PEERS = "loopback-own,loopback,vduse,ublk,null_blk"


def shares(node, rate, distance, requests):
    """Nanoseconds that half of them, and 999 of 1000, take at most, from the system call on."""
    side = blk.fio(node, [*WORDS, f"--rate_iops={rate}", f"--rate_process={distance}",
                          "--lat_percentiles=1", "--clat_percentiles=0"], requests)
    found = side["lat_ns"]["percentile"]
    return found["50.000000"], found["99.900000"]


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
            blk.measure(node, WORDS, requests // 10)
        for turn in range(args.rounds):
            for name, node in disks.items():
                least = blk.measure(node, WORDS, requests)
                print(f"{name}/busy,{turn},{least:.0f}", flush=True)
                for distance, process in DISTANCES.items():
                    half, most = shares(node, max(1, int(0.5e9 / least)), process, requests)
                    print(f"{name}/{distance}-half,{turn},{half}")
                    print(f"{name}/{distance}-999,{turn},{most}")
                    print(f"{name}/{distance}-times,{turn},{most / half:.2f}", flush=True)
        peers.end()


if __name__ == "__main__":
    main()

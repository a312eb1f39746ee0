#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""In the guest: the same null disk, or files, by virtio-loopback and by its peers, interleaved.

Prints CSV: PEER/JOB,round,nanoseconds per request. See peers.py for who they are.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import peers  # noqa: E402

# name: (fio's words, requests)
JOBS = {
    "randread-4k-1": (["--rw=randread", "--bs=4k", "--iodepth=1"], 16000),
    "randread-4k-4": (["--rw=randread", "--bs=4k", "--iodepth=4"], 40000),
    "randread-4k-32": (["--rw=randread", "--bs=4k", "--iodepth=32"], 40000),
    "randwrite-4k-32": (["--rw=randwrite", "--bs=4k", "--iodepth=32"], 40000),
    "randread-4k-128": (["--rw=randread", "--bs=4k", "--iodepth=128"], 40000),
    "read-128k-8": (["--rw=read", "--bs=128k", "--iodepth=8"], 4000),
    "read-1m-4": (["--rw=read", "--bs=1m", "--iodepth=4"], 800),
    "write-128k-8": (["--rw=write", "--bs=128k", "--iodepth=8"], 4000),
    "write-1m-4": (["--rw=write", "--bs=1m", "--iodepth=4"], 800),
    # By four processes
    "randread-4k-1x4": (["--rw=randread", "--bs=4k", "--iodepth=1", "--numjobs=4"], 16000),
    "randread-4k-32x4": (["--rw=randread", "--bs=4k", "--iodepth=32", "--numjobs=4"], 40000),
}
CORE = ("randread-4k-1", "randread-4k-32", "randwrite-4k-32", "read-1m-4")


def processes(words):
    return next((int(w.partition("=")[2]) for w in words if w.startswith("--numjobs=")), 1)


def fio(node, words, requests):
    """What fio says of that many requests; words[1] is their size."""
    size = {"4k": 4 << 10, "128k": 128 << 10, "1m": 1 << 20}[words[1].partition("=")[2]]
    each = requests // processes(words)
    cpus = os.cpu_count()
    # One process on CPU 0, or each on its own.
    pinned = [f"--cpus_allowed=0-{processes(words) - 1}", "--cpus_allowed_policy=split"]
    out = peers.run("fio", "--name=j", f"--filename={node}", "--direct=1", "--ioengine=libaio",
                    "--size=1G", f"--io_size={each * size}", "--norandommap", "--group_reporting",
                    "--randrepeat=1", "--output-format=json", *(pinned if cpus > 1 else []), *words)
    job = json.loads(out[out.index("{"):])["jobs"][0]
    return job["read"] if job["read"]["total_ios"] else job["write"]


def measure(node, words, requests):
    """Nanoseconds a request, the time of fio's own start left out."""
    return 1e9 / fio(node, words, requests)["iops"]


def make(names, tmp):
    disks = {}
    for name in names:
        try:
            kind, _, queues = name.partition(":")
            disks[name] = peers.PEERS[kind](tmp, int(queues or 1))
        except peers.Missing as e:
            print(f"{name}: left out: {e}", file=sys.stderr)
            continue
        queue = Path("/sys/block") / Path(disks[name]).name / "queue"
        (queue / "scheduler").write_text("none")
    return disks


def only(disks):
    """The one disk whose requests are counted."""
    if len(disks) != 1:
        raise SystemExit(f"--count: expected one peer that is there, saw {len(disks)}")
    return next(iter(disks.values()))


def count(node, words, numbers):
    """What the plugin counts between two marks is of one number of requests."""
    measure(node, words, numbers[0])
    peers.run("bench-mark")
    for number in numbers:
        measure(node, words, number)
        peers.run("bench-mark")


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--scale", type=float, default=1, help="times as many requests")
    p.add_argument("--jobs", default=",".join(CORE), help="of " + ", ".join(JOBS))
    p.add_argument("--peers", default=",".join(peers.PEERS),
                   help="NAME, or NAME:VIRTQUEUES (default: %(default)s)")
    p.add_argument("--file", action="store_true", help="disks are files on tmpfs")
    p.add_argument("--count", type=int, nargs=2, metavar=("FEW", "MANY"),
                   help="so many requests, then so many, for bench/profile")
    args = p.parse_args()
    jobs = {name: (JOBS[name][0], max(100, int(JOBS[name][1] * args.scale)))
            for name in args.jobs.split(",")}
    with tempfile.TemporaryDirectory() as tmp:
        peers.warm_up(tmp)
        if args.file:
            peers.lay_file(tmp)
        disks = make(args.peers.split(","), tmp)
        for job, (words, requests) in jobs.items():
            if args.count:
                count(only(disks), words, args.count)
                continue
            for node in disks.values():
                measure(node, words, max(100, requests // 10))
            for turn in range(args.rounds):
                for name, node in disks.items():
                    print(f"{name}/{job},{turn},{measure(node, words, requests):.1f}", flush=True)
        peers.end()


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: BSD-3-Clause
"""docs/interop.md: the table that the runs of the interop tests make.

Each test says which peers it drives (Context.peer() in the guest, lines "VLB-PEER {…}" of the
scripts on the host). The document is its own record: a run reads it, replaces the rows of the
tests that it ran, and writes it again. A row says which run it is of, so what a run had no peer
for, or was not asked for, stays as it was seen last.
"""

import re
import time

from .command import TOP

TABLE = TOP / "docs/interop.md"
UNKNOWN = {"peer": "?", "version": "?", "side": "?", "device": "?", "driven": "?"}
ABOUT_PEER = tuple(UNKNOWN)
QEMU_GUEST = "QEMU's guest"
COLUMNS = ("peer", "version", "as", "device", "what was driven", "test", "on", "run (UTC)",
           "result")

HEAD = """\
# Tried with peers that others wrote

This page is made by `make check-interop`: each row is what a test told of itself, with the result
and the time of the run that it is of. What the last run had no peer for is named below the table;
its rows, where there are any, are of an earlier run.

Peers are used as their authors publish them: what is not in Debian 12 comes from a newer Debian
([tests/interop/debian-peers](../tests/interop/debian-peers)) or from crates.io
([tests/interop/rust-vmm](../tests/interop/rust-vmm)). A *back-end* is attached by
`virtio-loopback attach` on the kernel that is named, and used by that kernel's own driver (where Debian
leaves it out, gpio and i2c, by that of its sources; can by this project's `virtio_can`); under a
*front-end* this project's back-end serves a guest of QEMU's. What the adapter does is decided by
feature bits and device types: it knows no peer by its name.
[vhost-user.md](vhost-user.md) has each message and feature bit, and
[packaging/reports](../packaging/reports/README.md) the faults of peers that were found, each with a
program that shows it.
"""


def _known():
    """What the document says: {(lane, test): its entry}."""
    entries = {}
    for line in TABLE.read_text().splitlines() if TABLE.exists() else ():
        cells = [cell.replace("\\|", "|") for cell in re.split(r"(?<!\\) \| ", line[2:-2])]
        if line.startswith("| ") and len(cells) == len(COLUMNS) and cells[0] != COLUMNS[0]:
            _take_row(entries, cells)
        skipped = re.fullmatch(r"- `(.*)` on (.*?): (.*)", line)
        for lane in _lanes(skipped[2]) if skipped else ():
            entries.setdefault((lane, skipped[1]), {"peers": []})["skipped"] = skipped[3]
    return entries


def _take_row(entries, cells):
    *peer, test, kernels, run, result = cells
    test, verdict = test.strip("`"), result.partition(": ")
    for lane in _lanes(kernels):
        entry = entries.setdefault((lane, test), {"peers": []})
        entry["peers"].append(dict(zip(ABOUT_PEER, peer)))
        entry.update(run=run, reason=verdict[2], passed=verdict[0] == "passed")


def _lanes(kernels):
    return ["qemu" if k == QEMU_GUEST else f"vm-{k}" for k in kernels.split(", ")]


def _kernel(lane):
    return lane.removeprefix("vm-") if lane.startswith("vm-") else QEMU_GUEST


def keep(results, whole):
    """
    Take in a run's results, and write the document; says in a line what became of it.
    whole: it had all tests; what is not among them is no more.
    """
    before, run = _known(), time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    ran = {(lane, test) for lane, test, *_ in results}
    entries = {key: e for key, e in before.items() if key in ran or not whole}
    for lane, test, verdict, reason, peers in results:
        old = entries.pop((lane, test), {"peers": []})
        if verdict == "skip":
            entries[lane, test] = dict(old, skipped=reason)
            continue
        if verdict == "FAIL" and not peers:  # it had no time to say
            peers = old["peers"] or [UNKNOWN]
        if peers:  # else it is no test of a peer: the build of a lane, say
            entries[lane, test] = {"passed": verdict == "ok", "reason": reason,
                                   "peers": list(peers), "run": run}
    TABLE.write_text(document(entries))
    shown = [e for e in entries.values() if e["peers"]]
    passed = sum(e["passed"] for e in shown)
    return (f"docs/interop.md: {passed} tests of peers passed, {len(shown) - passed} failed, "
            f"{sum('skipped' in e for e in entries.values())} were skipped")


def _cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")


def _rows(entries):
    """One for each peer, test and run; kernels with the same result share it."""
    rows = {}
    for (lane, test), e in entries.items():
        for p in e["peers"]:
            result = "passed" if e["passed"] else f"**failed**: {e['reason']}"
            key = (*(p[word] for word in ABOUT_PEER), test, e["run"], result)
            rows.setdefault(key, []).append(_kernel(lane))
    return rows


def document(entries):
    lines = [HEAD, f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for key, kernels in sorted(_rows(entries).items()):
        *peer, test, run, result = key
        cells = [*peer, f"`{test}`", ", ".join(sorted(kernels)), run, result]
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    skipped = {}
    for (lane, test), e in entries.items():
        if "skipped" in e:
            skipped.setdefault((test, e["skipped"].replace("\n", " ")), []).append(_kernel(lane))
    if skipped:
        lines += ["", "Without a peer in the last run:", ""]
        lines += [f"- `{test}` on {', '.join(sorted(kernels))}: {reason}"
                  for (test, reason), kernels in sorted(skipped.items())]
    return "\n".join(lines) + "\n"

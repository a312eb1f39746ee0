# SPDX-License-Identifier: BSD-3-Clause
"""docs/interop.md: the table that a run of the interop tests makes.

Each test says which peers it drives (Context.peer() in the guest, lines "VLB-PEER {…}" of the
scripts on the host). Their results are kept in build/interop.json: a whole run begins it anew, a
part of one replaces what it has run. The document is made of that file and of nothing else.
"""

import json
import time
from collections import Counter

from .command import TOP

KEPT = TOP / "build/interop.json"
TABLE = TOP / "docs/interop.md"
UNKNOWN = {"peer": "?", "version": "?", "side": "?", "device": "?", "driven": "?"}

HEAD = """\
# Tried with peers that others wrote

This page is made by `make check-interop`: each row is what a test told of itself, with its result
of the last run. What that run could not have is named below the table, and is not in it.

Peers are used as their authors publish them: what is not in Debian 12 comes from a newer Debian
([tests/interop/debian-peers](../tests/interop/debian-peers)) or from crates.io
([tests/interop/rust-vmm](../tests/interop/rust-vmm)). A *back-end* is attached by
`virtio-loopback attach` on the kernel that is named, and used by that kernel's own driver; under a
*front-end* this project's back-end serves a guest of QEMU's. What the adapter does is decided by
feature bits and device types: it knows no peer by its name.
[vhost-user.md](vhost-user.md) has each message and feature bit, and
[packaging/reports](../packaging/reports/README.md) the faults of peers that were found, each with a
program that shows it.
"""


def _known():
    try:
        return json.loads(KEPT.read_text())
    except (FileNotFoundError, ValueError):
        return []


def keep(results, whole):
    """Take in a run's results, and write the document; says in a line what became of it."""
    before = {(e["lane"], e["test"]): e for e in _known()}
    entries = {} if whole else before
    for lane, test, verdict, reason, peers in results:
        if verdict == "FAIL" and not peers:  # it had no time to say
            peers = before.get((lane, test), {}).get("peers") or [UNKNOWN]
        # Without peers and not skipped it is no test of a peer: the build of a lane, say.
        if peers or verdict == "skip":
            entries[lane, test] = {"lane": lane, "test": test, "result": verdict, "reason": reason,
                                   "peers": peers, "date": time.strftime("%Y-%m-%d")}
        else:
            entries.pop((lane, test), None)
    ordered = [entries[key] for key in sorted(entries)]
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(ordered, indent=1) + "\n")
    TABLE.write_text(document(ordered))
    count = Counter(e["result"] for e in ordered)
    return (f"docs/interop.md: {count['ok']} tests of peers passed, {count['FAIL']} failed, "
            f"{count['skip']} were skipped")


def _cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")


def _kernel(lane):
    return lane.removeprefix("vm-") if lane.startswith("vm-") else "QEMU's guest"


def _rows(entries):
    """One for each peer and test; kernels with the same result share it."""
    rows = {}
    for e in entries:
        if e["result"] == "skip":
            continue
        result = "passed" if e["result"] == "ok" else f"**failed**: {e['reason']}"
        for p in e["peers"]:
            key = (p["peer"], p["version"], p["side"], p["device"], p["driven"], e["test"], result)
            rows.setdefault(key, []).append(_kernel(e["lane"]))
    return rows


def document(entries):
    lines = [HEAD, "| peer | version | as | device | what was driven | test | on | result |",
             "|---|---|---|---|---|---|---|---|"]
    for key, kernels in sorted(_rows(entries).items()):
        *cells, test, result = key
        cells += [f"`{test}`", ", ".join(sorted(kernels)), result]
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    skipped = sorted({(e["test"], e["reason"]) for e in entries if e["result"] == "skip"})
    if skipped:
        lines += ["", "Not run, as the machine of that run had no peer for it:", ""]
        lines += [f"- `{test}`: {reason}" for test, reason in skipped]
    if entries:
        lines += ["", f"Run on {max(e['date'] for e in entries)}."]
    return "\n".join(lines) + "\n"

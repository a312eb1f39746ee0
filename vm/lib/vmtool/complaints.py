# SPDX-License-Identifier: BSD-3-Clause
"""What counts as a complaint of the kernel in its log."""

import itertools
import re

PATTERNS = [
    r"\bBUG: ",
    r"\bWARNING: ",
    r"\bINFO: (task|rcu|possible|lockdep|suspicious|trying to register)",
    r"\bOops\b",
    r"general protection fault",
    r"Unable to handle kernel",
    r"kernel BUG at",
    r"Kernel panic",
    r"Internal error: ",
    r"\bKASAN: ",
    r"\bUBSAN: ",
    r"DMA-API: ",
    r"ODEBUG: ",
    r"DEBUG_LOCKS_WARN_ON",
    r"possible (circular|recursive|irq lock inversion|unsafe)",
    r"suspicious RCU usage",
    r"scheduling while atomic",
    r"sleeping function called from invalid context",
    r"blocked for more than \d+ seconds",
    r"detected stall",
    r"soft lockup",
    r"hard LOCKUP",
    r"new suspected memory leaks",
    r"list_(add|del) corruption",
    r"refcount_t: ",
    r"percpu ref .* <= 0",
    r"Bad page (state|map)",
    r"nobody cared",
    r"sysfs: cannot create duplicate",
    r"kobject_add_internal failed",
    r"unregister_netdevice: waiting",
]
# Said by a healthy kernel.
HARMLESS = [
    # lockdep and DMA-API announce themselves.
    r"DMA-API: (preallocated|debugging (enabled|disabled)|dma_debug)",
    # Said behind the end of a report that was found by its first line.
    r"DMA-API: Mapped at:",
    # A kernel that taints itself for an out-of-tree module says no word of these,
    # but the option's own help text does.
    r"Command line: ",
    r"Kernel command line: ",
    r"Unknown kernel command line parameters",
]

_bad = re.compile("|".join(PATTERNS))
_fine = re.compile("|".join(HARMLESS))
# The time stamp, and with CONFIG_PRINTK_CALLER who spoke.
_stamp = re.compile(r"^(<\d+>)?\[\s*\d+\.\d+\](\[\s*[TC]\d+\])? ?")
_allocator = re.compile(r"_*(kv?[mzc]?alloc|kmem_cache_alloc)")


def is_complaint(line):
    return bool(_bad.search(line)) and not _fine.search(line)


def _is_race_elsewhere(lines):
    """A report of KCSAN that has no function of the module in it: Linux has some of those."""
    return "BUG: KCSAN: " in lines[0] and not any("[virtio_loopback]" in line for line in lines)


def _is_of_virtnet(leak):
    """Who called the allocator."""
    frames = re.findall(r"kmemleak: +(\w+)\+0x", leak)
    return next((name for name in frames if not _allocator.match(name)), "") == "virtnet_probe"


def _is_leak_elsewhere(lines):
    """
    A report of kmemleak whose objects are all what a driver's probe itself has allocated, and does
    not free when it fails: virtio_net's, of Linux 6.12 (rss_hdr). What others allocate in it counts.
    """
    said = re.search(r"kmemleak: (\d+) new suspected", lines[0])
    report = itertools.takewhile(lambda line: "kmemleak: " in line, lines[1:])
    objects = "\n".join(report).split("unreferenced object")[1:]
    return bool(said) and len(objects) == int(said[1]) and all(map(_is_of_virtnet, objects))


def find(text, context=40):
    """The complaints in a kernel log: a list of excerpts, each from its first line on."""
    lines = text.splitlines()
    found, skip_to = [], 0
    for number, line in enumerate(lines):
        if number < skip_to or not is_complaint(line):
            continue
        # The two stacks of a race are long.
        most = number + (3 * context if "BUG: KCSAN: " in line else context)
        end = number + 1
        while end < len(lines) and end < most \
                and "end trace" not in lines[end] and not lines[end].endswith("====="):
            end += 1
        if not _is_race_elsewhere(lines[number:end]) and not _is_leak_elsewhere(lines[number:]):
            found.append("\n".join(_stamp.sub("", entry) for entry in lines[number:end]))
        skip_to = end
    return found

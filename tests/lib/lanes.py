# SPDX-License-Identifier: BSD-3-Clause
"""Which lanes make up which target."""

from .command import TOP
from .hostlanes import (CloudLane, DocsLane, FuzzLane, HarnessLane, HelpersLane, KernelCheckLane,
                        MainlineLane, ModelLane, PackagesLane, PerformanceLane, PowerOffLane,
                        QemuLane, StaticLane, UnitLane, VmRunLane, YoctoLane)
from .vmlane import VmLane

# What make check-debug takes: a debug kernel under emulation needs a minute or two for each,
# make check-long takes all. Names are patterns; a bracket is met by "?".
DEBUG_SLICE = ("guest.debug_kernel_watches", "guest.module_is_loaded*", "blk.data?ours-1q?",
               "hostile.rings?hole?", "hostile.rings?calls?", "hostile.rings?used-index?",
               "faults.*", "recovery.killed?both-ours-10?")

# What tests/run kcsan takes: calls, requests, ends, restarts and storms, whatever is done by
# several threads at once.
KCSAN_SLICE = ("uapi.*", "uapi_fuzz.*", "blk.data?ours-1q?", "teardown.*", "recovery.*",
               "cycles.*", "survival.cpu_unplugged?check?", "upgrade.*")

KERNELS = ("debian-6.12", "debian-6.12-rt", "debian-6.1", "debian-7", "debian-6.12-arm64")
# Those of make check-long alone.
OTHER_KERNELS = ("debian-6.12-arm64-16k", "debian-6.12-cloud", "plain", "no-dma-ops",
                 "mainline-6.12", "mainline-7.2")


def lanes(target, patterns=(), tags=(), end=None):
    """The lanes of a target, those first that others should not have to wait for."""
    def vm(kernel, tiers, **kw):
        return VmLane(kernel, tiers, patterns, tags, end=end, second_try=target == "check", **kw)

    def sleeping(kernel, tiers):
        return vm(kernel, tiers, folder=TOP / "tests/vm-sleep", name=f"vm-{kernel}-sleep",
                  sleep=True, limit=600 if target == "check" else 4 * 3600)

    if target == "check":
        # The kernel with most of the tests has two guests; for a few by name one is enough.
        halves = [(0, 1)] if patterns or tags else [(0, 2), (1, 2)]
        return ([vm(KERNELS[0], ["check"], shard=half) for half in halves]
                + [UnitLane(), StaticLane(), KernelCheckLane(), FuzzLane(seconds=30), VmRunLane(),
                   HarnessLane(), HelpersLane(), PowerOffLane(), PerformanceLane(), YoctoLane()]
                + [sleeping(KERNELS[0], ["check"])]
                # The one of the other architecture first: where the time runs out, what is left
                # out is nearest to what was run. One lane has the CPUs for four queues to be used.
                + [vm(k, ["check"], smp=4 if k == "debian-7" else 2)
                   for k in reversed(KERNELS[1:])])
    if target == "debug":
        # Two guests at once: most of a test's time is one CPU's.
        return [VmLane("debug", ["check"], patterns or DEBUG_SLICE, tags, end=end,
                       shard=(half, 2), limit=1800, second_try=True) for half in (0, 1)]
    if target == "kcsan":
        return [VmLane("kcsan", ["check"], patterns or KCSAN_SLICE, tags, end=end, limit=2 * 3600)]
    if target == "long":
        return ([FuzzLane(seconds=150), ModelLane(), MainlineLane(), PackagesLane(), DocsLane(),
                 CloudLane()]
                + [vm("debug", ["check", "long"], limit=8 * 3600)]
                + [vm(k, ["check", "long"], smp=4, limit=4 * 3600)
                   for k in KERNELS + OTHER_KERNELS]
                + [sleeping(k, ["check", "long"]) for k in KERNELS])
    if target == "interop":
        return [QemuLane()] + [vm(k, ["interop"]) for k in KERNELS]
    raise ValueError(target)

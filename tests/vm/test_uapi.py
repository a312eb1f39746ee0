# SPDX-License-Identifier: BSD-3-Clause
"""The module's interface, called rightly and wrongly, without adapter and back-end."""

from harness import ALL, test


@test(kernels=ALL, timeout=90, needs=("uapi-check",))
def calls(t):
    """Every call: its refusals, its effect, and the end of devices in each state."""
    t.run("modprobe", "virtio-rng")
    out = t.run("uapi-check", status=None, timeout=80)
    failed = [line for line in out.splitlines() if line.startswith("FAIL")]
    t.equal(failed, [], "checks that failed")
    t.check("checks, 0 failed" in out, f"expected the closing line, saw {out[-200:]!r}")

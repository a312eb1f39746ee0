# SPDX-License-Identifier: BSD-3-Clause
"""
The test definitions for AGL's LAVA pass: they are run here as LAVA would run them. They are each
device's smoke test at the same time: on every kernel, skipped by name where it has no driver.
"""

import re

from harness import Case, test

# Where make check has the quick ones; and the others.
KERNELS = ("debian-6.12", "debian-6.12-arm64")
OTHERS = ("debian-6.1", "debian-6.12-rt", "debian-6.12-cloud", "debian-6.12-arm64-16k", "debian-7",
          "plain")
MODULES = {"gpio": ("gpio-sim", "gpio-virtio"), "can": ("can-raw", "vcan")}
# Cases that a definition has at least; one that lost them would pass with nothing tested.
CASES = {"blk": 6, "rng": 5, "console": 5, "can": 6, "gpio": 5, "input": 4, "sound": 5, "gpu": 4}
# In make check the two that take a few seconds.
QUICK = ("blk", "console")


def definitions():
    rows = {}
    for device in CASES:
        rows[device] = Case({"device": device}, kernels=KERNELS,
                            tier="check" if device in QUICK else "long")
        rows[f"{device}-rest"] = Case({"device": device}, kernels=OTHERS, tier="long")
    return rows


@test(timeout=150, tags=("lava", "smoke"), needs=("python3",), cases=definitions())
def definition(t, device):
    for module in MODULES.get(device, ()):
        t.module(module)
    t.at_end(t.run, "virtio-loopback", "detach", "--all", "--force", timeout=60)
    folder = t.top / "packaging/agl/lava"
    said = t.run(folder / "run-local", folder / f"virtio-loopback-{device}.yaml", timeout=120)
    results = dict(re.findall(r"^<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=(\S+) RESULT=(\w+)>$", said,
                              re.M))
    skipped = re.search(r"^.*: skipped: .*$", said, re.M)
    if skipped:
        t.skip(skipped[0])
    t.equal(set(results.values()), {"pass"}, f"results of {results}")
    t.equal(len(results), CASES[device], "cases")
    t.equal(t.devices(), [], "devices after the definition")


@test(timeout=60, tags=("lava",))
def runner_tells_what_fails(t):
    """A definition that fails, says nothing, or is none, is not taken for one that passes."""
    run_local = t.top / "packaging/agl/lava/run-local"
    head = ('metadata:\n  format: "Lava-Test-Shell Test Definition 1.0"\n  name: sample\n'
            '  description: "sample"\nrun:\n  steps:\n')
    samples = {"passes": (head + "    - lava-test-case a --result pass\n", 0, "1 pass, 0 fail"),
               "fails": (head + "    - lava-test-case a --result fail\n", 1, "0 pass, 1 fail"),
               "ends": (head + "    - lava-test-case a --result pass\n    - exit 3\n", 1,
                        "1 pass, 1 fail"),
               "is silent": (head + "    - true\n", 1, "0 pass, 1 fail"),
               "misspells": (head + "    - lava-test-case a --result good\n", 1, "1 fail"),
               "has no steps": (head, 2, "expected a list of steps"),
               "is of another format": (head.replace("1.0", "9.0") + "    - true\n", 2,
                                        "expected the format")}
    for what, (text, status, words) in samples.items():
        path = t.tmp / "sample.yaml"
        path.write_text(text)
        said = t.run(run_local, path, status=status)
        t.check(words in said, f"a definition that {what}: expected \"{words}\", saw {said}")

# SPDX-License-Identifier: BSD-3-Clause
"""The driver that measures round trips (bench/roundtrip/module), for the kernel at hand."""

import shutil
from pathlib import Path

from vmtool import module

TOP = Path(__file__).resolve().parent.parent


def build(k):
    """The path of vlb_roundtrip.ko."""
    work = TOP / "build" / "bench" / k.name
    work.mkdir(parents=True, exist_ok=True)
    for path in (TOP / "bench" / "roundtrip" / "module").iterdir():
        shutil.copy2(path, work)
    module.run_make(k, work, ["modules"], f"the build of vlb_roundtrip.ko for {k.name}")
    return work / "vlb_roundtrip.ko"

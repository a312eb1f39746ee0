# SPDX-License-Identifier: BSD-3-Clause
"""Where things are: the checkout, its build directory, and the cache."""

import contextlib
import fcntl
import os
import shutil
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
VM = TOP / "vm"
OUT = VM / "out"
BUILD = TOP / "build"


def cache_dir() -> Path:
    """The cache outside the checkout; VLB_CACHE overrides where it is."""
    path = os.environ.get("VLB_CACHE")
    if not path:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        path = os.path.join(base, "virtio-loopback")
    Path(path).mkdir(parents=True, exist_ok=True)
    return Path(path)


@contextlib.contextmanager
def locked(path: Path):
    """Hold an exclusive lock on path, so that parallel runs do each piece of work once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def published(target: Path):
    """A directory that appears at target only when the work in it has succeeded."""
    work = target.with_name(f".{target.name}.new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        yield work
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)

# SPDX-License-Identifier: BSD-3-Clause
"""The checkout as somebody else would clone it."""

import shutil
import subprocess
from pathlib import Path

from .command import TOP


def clone(target: Path):
    """A repository of the files that git knows, as they are now."""
    listed = subprocess.run(["git", "-C", TOP, "ls-files", "-z"], stdout=subprocess.PIPE, check=True)
    for name in listed.stdout.decode().split("\0")[:-1]:
        if (TOP / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, target / name, follow_symlinks=False)
    git = ["git", "-C", target, "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for words in (["init", "-q"], ["add", "-A", "-f"], ["commit", "-q", "-m", "as it is"]):
        subprocess.run(git + words, check=True)

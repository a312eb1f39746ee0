# SPDX-License-Identifier: BSD-3-Clause
"""The commands of the documents, for the tests that run them; tests/docs-check reads them."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True


def _load(path):
    """docs-check is a program; its functions are used here as well."""
    loader = importlib.machinery.SourceFileLoader("docs_check", str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("docs_check", loader))
    loader.exec_module(module)
    return module


docs_check = _load(TOP / "tests/docs-check")


def blocks(runner):
    """Each block that this program runs, by the name of its document and its number there."""
    found = {}
    for name in docs_check.documents():
        mine = [b for b in docs_check.blocks((TOP / name).read_text()) if b.runs(runner)]
        for number, block in enumerate(mine, 1):
            found[name, number] = "\n".join(block.lines) + "\n"
    return found

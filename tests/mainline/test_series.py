#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""tools/mainline-series leaves out what is for other versions, and nothing else."""

import contextlib
import importlib.machinery
import importlib.util
import io
import itertools
import os
import re
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
TOP = Path(__file__).resolve().parents[2]
VERSIONS = ((6, 12, 117), (6, 18, 0), (6, 19, 3), (7, 2, 13))

CONDITIONS = (
    "LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)",
    "LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)",
    "IS_ENABLED(CONFIG_A) || LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)",
    "IS_ENABLED(CONFIG_A) && LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)",
    "LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0) && IS_ENABLED(CONFIG_A)",
    "LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0) || IS_ENABLED(CONFIG_A)",
    "IS_ENABLED(CONFIG_A) || "
    "(LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0) && IS_ENABLED(CONFIG_B))",
    "!VLB_NEW && !VLB_SET",
    "!VLB_NEW && !VLB_OPEN",
    "VLB_SET && VLB_OPEN",
)


def load():
    loader = importlib.machinery.SourceFileLoader("series", str(TOP / "tools/mainline-series"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("series", loader))
    loader.exec_module(module)
    return module


series = load()


def truth(condition, base, a, b, known):
    """What the preprocessor would say."""
    text = re.sub(r"KERNEL_VERSION\(([\d, ]+)\)", r"(\1)", condition)
    text = text.replace("LINUX_VERSION_CODE", str(tuple(base)))
    text = text.replace("IS_ENABLED(CONFIG_A)", str(a)).replace("IS_ENABLED(CONFIG_B)", str(b))
    for name, value in known.items():
        text = re.sub(rf"\b{name}\b", value, text)
    text = text.replace("VLB_OPEN", str(a)).replace("&&", " and ").replace("||", " or ")
    return bool(eval(text.replace("!", " not ")))


class Series(unittest.TestCase):
    def test_conditions_keep_their_meaning(self):
        known = {"VLB_NEW": "0", "VLB_SET": "1"}
        for condition, base in itertools.product(CONDITIONS, VERSIONS):
            left = series.simplified(condition, base, known)
            for a, b in itertools.product((False, True), repeat=2):
                seen = left if isinstance(left, bool) else truth(left, base, a, b, {})
                self.assertEqual(seen, truth(condition, base, a, b, known),
                                 f"{condition} for {base} became {left}")
            if not isinstance(left, bool):
                self.assertNotRegex(left, r"VERSION|\b[01]\b")

    def test_branches(self):
        text = ("a\n#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)\nnew\n#ifdef X\nx\n#else\n"
                "y\n#endif\n#else\nold\n#endif\nb")
        self.assertEqual(series.resolved(text, (7, 0, 0), {}),
                         "a\nnew\n#ifdef X\nx\n#else\ny\n#endif\nb")
        self.assertEqual(series.resolved(text, (6, 12, 0), {}), "a\nold\nb")

    def test_module_asks_for_no_version(self):
        for base in VERSIONS:
            files = series.sources(base)
            self.assertGreater(len(files), 30)
            self.assertNotIn("compat.h", files)
            for name, text in files.items():
                where = f"{name} for {base}"
                for word in ("LINUX_VERSION_CODE", "KERNEL_VERSION", "compat.h", "linux/version.h"):
                    self.assertNotIn(word, text, where)
                self.assertEqual(len(re.findall(r"^#\s*if", text, re.M)),
                                 len(re.findall(r"^#\s*endif", text, re.M)), where)
            text = "\n".join(files.values())
            used = set(re.findall(r"\bVLB_(?:HAVE|DMA_OPS)_\w+", text))
            self.assertEqual(used - set(re.findall(r"#define (VLB_\w+)", text)), set(), base)

    def test_tree_is_laid_out_anew(self):
        """What has not changed keeps its time, what is gone goes, and the tree stays as it was."""
        with tempfile.TemporaryDirectory() as tmp:
            tree, folder = Path(tmp, "tree"), Path(tmp, "laid")
            tree.mkdir()
            for name in ("Kconfig", "other"):
                (tree / name).write_text("tree\n")

            def lay(**files):
                def applied(_tree, _out, _work, target):
                    for name, text in files.items():
                        (target / name).write_text(text)
                    yield from ()
                with mock.patch.object(series, "applied", applied), \
                        contextlib.redirect_stdout(io.StringIO()):
                    series.lay(tree, folder, None, None)
                return {p.name: p.read_text() for p in folder.iterdir() if p.name[0] != "."}
            seen = lay(Kconfig="series\n", driver="1\n")
            self.assertEqual(seen, {"Kconfig": "series\n", "driver": "1\n", "other": "tree\n"})
            self.assertTrue((folder / "other").samefile(tree / "other"))
            os.utime(folder / "Kconfig", (1, 1))
            seen = lay(Kconfig="series\n", driver="2\n")
            self.assertEqual(seen["driver"], "2\n")
            self.assertEqual((folder / "Kconfig").stat().st_mtime, 1)
            self.assertEqual(lay(Kconfig="series\n").keys(), {"Kconfig", "other"})
            self.assertEqual({p.read_text() for p in tree.iterdir()}, {"tree\n"})


if __name__ == "__main__":
    unittest.main()

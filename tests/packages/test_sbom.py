#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""tools/sbom: what it says of two small packages is what is in them."""

import hashlib
import json
import subprocess
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
FILES = {"usr/bin/tool": b"#!/bin/sh\n", "usr/share/doc/tool/a b": b"", "etc/tool.conf": b"x=1\n"}
CONTROL = """\
Package: {name}
Version: 1.0-{name}
Architecture: all
Maintainer: Somebody <somebody@example.org>
Depends: {depends}
Description: one line
 and more
"""


def make(folder, name, depends, files):
    root = folder / name
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(CONTROL.format(name=name, depends=depends))
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    deb = folder / f"{name}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", root, deb], check=True,
                   stdout=subprocess.DEVNULL)
    return deb


def bill(*debs):
    return subprocess.run([TOP / "tools/sbom", *debs], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)


class Sbom(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        folder = Path(cls.folder.name)
        cls.debs = [make(folder, "first", "second (>= 1), libc6 (>= 2.34) | musl", FILES),
                    make(folder, "second", "libc6", {"lib/x.so": b"\x7fELF"})]
        cls.text = bill(*cls.debs)
        cls.said = json.loads(cls.text.stdout)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_files(self):
        said = {f["fileName"]: {c["algorithm"]: c["checksumValue"] for c in f["checksums"]}
                for f in self.said["files"]}
        made = {f"./{name}": {"SHA1": hashlib.sha1(data).hexdigest(),
                              "SHA256": hashlib.sha256(data).hexdigest()}
                for name, data in {**FILES, "lib/x.so": b"\x7fELF"}.items()}
        self.assertEqual(said, made)

    def test_needs(self):
        relations = {(r["spdxElementId"], r["relationshipType"], r["relatedSpdxElement"])
                     for r in self.said["relationships"]}
        for this, other in (("Package-first", "Package-second"), ("Package-first", "Needed-libc6"),
                            ("Package-second", "Needed-libc6")):
            self.assertIn((f"SPDXRef-{this}", "DEPENDS_ON", f"SPDXRef-{other}"), relations)
        libc = next(p for p in self.said["packages"] if p["name"] == "libc6")
        self.assertEqual(libc["comment"], "version >= 2.34")
        self.assertNotIn("musl", self.text.stdout)

    def test_each_is_there_that_is_spoken_of(self):
        known = {x["SPDXID"] for x in self.said["packages"] + self.said["files"]}
        self.assertEqual(len(known), len(self.said["packages"]) + len(self.said["files"]))
        for relation in self.said["relationships"]:
            self.assertIn(relation["relatedSpdxElement"], known)
            self.assertIn(relation["spdxElementId"], known | {"SPDXRef-DOCUMENT"})

    def test_again_is_the_same(self):
        self.assertEqual(bill(*reversed(self.debs)).stdout, self.text.stdout)

    def test_bad_words(self):
        for words, status in (((), 2), (("--help",), 2), (("no-such.deb",), 1)):
            got = bill(*words)
            self.assertEqual((got.returncode, got.stdout), (status, ""), words)
            self.assertTrue(got.stderr)


if __name__ == "__main__":
    unittest.main()

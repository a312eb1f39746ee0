#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""tools/yocto-lint finds each fault that it knows, in every file where it can stand."""

import importlib.machinery
import importlib.util
import re
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
TOP = Path(__file__).resolve().parents[2]
MAIN = "recipes-virtio/virtio-loopback/virtio-loopback_0.1.0.bb"
DRIVER = "recipes-kernel/virtio-loopback-driver/virtio-loopback-driver_0.1.0.bb"
SOURCE = "recipes-virtio/virtio-loopback/virtio-loopback-source.inc"
GROUP = "recipes-virtio/packagegroups/packagegroup-virtio-loopback.bb"
IMAGE = "recipes-virtio/images/virtio-loopback-image.bb"
KERNEL = "recipes-kernel/linux/virtio-loopback-fragments.inc"
CONF = "conf/layer.conf"
CFG = "recipes-kernel/linux/files/virtio-loopback.cfg"

# A line that is wrong wherever it is put: the rule that finds it, and the line.
PLANTED = (
    ("syntax", "this is no statement"),
    ("syntax", "SUMMARY"),
    ("syntax", "addtask do_compile later do_install"),
    ("variable", 'SUMARY = "a misspelt variable"'),
    ("variable", 'SYSTEMD_SERVICES:append = " x"'),
    ("quotes", "SUMMARY:append = without quotes"),
    ("quotes", 'SUMMARY:append = "not ended'),
    ("quotes", 'SUMMARY:append = " a "quoted" word"'),
    ("override", 'FILES_${PN} += "${bindir}/x"'),
    ("override", 'SRC_URI_append = " file://x"'),
    ("override", 'RDEPENDS_virtio-loopback = "x"'),
    ("override", 'SRC_URI:apend = " file://x"'),
    ("override", 'RDEPENDS += "util-linux"'),
    ("operator", 'PACKAGECONFIG:append = "x"'),
    ("operator", 'SRC_URI:append += " file://run-ptest"'),
    ("operator", 'SRC_URI:prepend = "file://run-ptest"'),
    ("workdir", 'S = "${WORKDIR}"'),
    ("workdir", 'S = "${WORKDIR}/git"'),
    ("workdir", 'FILESEXTRAPATHS:append = ":${WORKDIR}"'),
    ("unpackdir", 'UNPACKDIR ??= "${WORKDIR}"'),
    ("license", 'LICENSE = "GPLv2"'),
    ("license", 'LICENSE = "GPL-2.0-only WITH Linux-syscall-note"'),
    ("checksum", 'LIC_FILES_CHKSUM = "file://LICENSES/BSD-3-Clause.txt;md5=' + "0" * 32 + '"'),
    ("checksum", 'LIC_FILES_CHKSUM = "file://COPYING;md5=' + "0" * 32 + '"'),
    ("source", 'SRC_URI += "git://example.org/x;branch=main"'),
    ("source", 'SRC_URI += "https://example.org/x.tar.gz"'),
    ("source", 'SRC_URI += "file://no-such-file"'),
    ("source", 'SRC_URI += "file://meson.build"'),
    ("class", "inherit mesn"),
    ("class", "EXTRA_OEMESON += \"${@bb.data.inherits_class('krnel', d)}\""),
    ("require", "require no-such-file.inc"),
    ("require", "require ${@bb.utils.contains('AGL_FEATURES', 'x', 'nothing.inc', '', d)}"),
    ("recipe", 'PACKAGECONFIG[blk] = "-Dblk=enabled,-Dblk=disabled,liburng"'),
    ("packageconfig", 'PACKAGECONFIG[blk] = "-Dblok=enabled,-Dblk=disabled,liburing"'),
    ("package", 'RDEPENDS:${PN} += "virtio-loopback-block"'),
    ("package", 'DEPENDS += "libreing"'),
    ("python", "EXTRA_OEMESON += \"${@bb.utils.contains('x', 'y', d}\""),
    ("python", 'python __anonymous () {\n    if d.getVar("X")\n        pass\n}'),
    ("python", 'python __anonymous () {\n    d.getVar("X", True)\n}'),
    ("one-line-function", 'do_install:append() { rm -rf ${D}/x; }'),
    ("shell", "do_install:append() {\n    if true; then\n}"),
    ("workdir", "do_install:append() {\n    install ${WORKDIR}/run-ptest ${D}\n}"),
    ("reference", 'FILES:${PN} += "${bndir}/x"'),
    ("reference", 'FILES:${PN} += "{bindir}/x"'),
    ("reference", 'FILES:${PN} += "$bindir}/x"'),
    ("reference", "EXTRA_OEMESON += \"${@d.getVar('SUMARY')}\""),
    ("feature", "PACKAGECONFIG += \"${@bb.utils.filter('DISTRO_FEATURES', 'sistemd', d)}\""),
    ("python", "PACKAGECONFIG += \"${@bb.utils.filter('DISTRO_FEATURES', d)}\""),
    ("python", "EXTRA_OEMESON += \"${@nme}\""),
    ("python", "EXTRA_OEMESON += \"${@d.gtVar('S')}\""),
    ("value", 'PACKAGECONFIG += "block"'),
    ("value", 'BBCLASSEXTEND = "natve"'),
    ("value", 'RPROVIDES:${PN} += "kernel-module-virtio-loop"'),
    ("value", 'FILES:${PN} += "usr/bin"'),
    ("operator", 'PACKAGES = "x"'),
    ("shell", "do_install:append() {\n    instal -d ${D}\n}"),
    ("shell", "do_install:append() {\n    install -m 755 x ${D}\n}"),
    ("function", "do_instal:append() {\n    true\n}"),
    ("function", "do_install:append() {\n    true"),
    ("blanks", 'EXTRA_OEMESON += " " '),
    ("blanks", 'SRC_URI += "file://run-ptest \\ \n    "'),
    ("comment", 'SRC_URI += " \\\n# a comment\\\n"'),
)

# A change of one file: the rule that finds it, the file, what is there, what is put there.
CHANGED = (
    ("licence-header", MAIN, "# SPDX-License-Identifier: BSD-3-Clause\n", ""),
    ("missing", MAIN, 'LICENSE = "BSD-3-Clause & GPL-2.0-with-Linux-syscall-note"\n', ""),
    ("missing", DRIVER, "SUMMARY = ", "HOMEPAGE = "),
    ("missing", DRIVER, "LIC_FILES_CHKSUM = ", "HOMEPAGE = "),
    ("twice", MAIN, 'EXTRA_OEMESON = "-Dwerror=false"\n',
     'EXTRA_OEMESON = "-Dwerror=false"\nEXTRA_OEMESON = "-Dwerror=true"\n'),
    ("packageconfig", MAIN, 'PACKAGECONFIG[rng] = "-Drng=enabled,-Drng=disabled"\n', ""),
    ("packageconfig", MAIN, 'VIRTIO_LOOPBACK_DEVICES = "blk ', 'VIRTIO_LOOPBACK_DEVICES = "'),
    ("order", GROUP, 'PACKAGE_ARCH = "${MACHINE_ARCH}"\n\ninherit packagegroup\n',
     'inherit packagegroup\n\nPACKAGE_ARCH = "${MACHINE_ARCH}"\n'),
    ("package", GROUP, "virtio-loopback-rng", "virtio-loopback-rnd"),
    ("package", GROUP, "'virtio-loopback-blk'", "'virtio-loopback-block'"),
    ("package", IMAGE, "iproute2", "iproute3"),
    ("override", KERNEL, ":append:x86-64", ":append:x86_64"),
    ("compat", CONF, '"scarthgap wrynose"', '"wrynose"'),
    ("layer", CONF, "BBFILE_PRIORITY_virtio-loopback", "BBFILE_PRIORITY_virtio-loop"),
    ("require", CONF, "conf/include/virtio-loopback.inc", "conf/include/virtio-loop.inc"),
    ("source", SOURCE, "file://include;", "file://includes;"),
    ("fragment", CFG, "CONFIG_CAN=m", "CONFIG_CAN m"),
    ("fragment", CFG, "CONFIG_CAN=m", "CONFIG_CAN=yes"),
    ("fragment", CFG, "CONFIG_CAN=m", "CONFIG_CAN=m\nCONFIG_CAN=y"),
)


def statements(lines):
    """The numbers of the lines that are neither comments nor what people read."""
    prose = False
    for number, line in enumerate(lines):
        prose = prose and lines[number - 1].endswith("\\") or bool(
            re.match(r"(SUMMARY|DESCRIPTION)\b|.*'SUMMARY:'", line))
        if line.strip() and not line.startswith("#") and not prose:
            yield number


def load():
    loader = importlib.machinery.SourceFileLoader("yocto_lint", str(TOP / "tools/yocto-lint"))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader("yocto_lint", loader))
    loader.exec_module(module)
    return module


lint = load()


class Lint(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="yocto-lint-")
        self.addCleanup(folder.cleanup)
        self.layer = Path(folder.name) / "layer"
        shutil.copytree(lint.LAYER, self.layer)

    def expect(self, rule, path, text, what, look=lint.lint_file):
        """With this text in the file the rule speaks, of that file; the file is put back."""
        before = path.read_text()
        path.write_text(text)
        found = look(self.layer, path)
        path.write_text(before)
        said = [line for line in found if line.startswith(f"{path}:") and f": {rule}: " in line]
        self.assertTrue(said, f"{what}: expected a finding of {rule}, saw {found}")

    def test_layer_is_clean(self):
        self.assertEqual(lint.lint(lint.LAYER), [])

    def test_planted_line(self):
        files = [p for p in sorted(self.layer.rglob("*"))
                 if p.suffix in (".bb", ".bbappend", ".inc")]
        self.assertGreater(len(files), 8)
        for path in files:
            for rule, line in PLANTED:
                self.expect(rule, path, f"{path.read_text()}{line}\n",
                            f"{path.relative_to(self.layer)} with {line!r}")

    def test_changed_line(self):
        for rule, name, old, new in CHANGED:
            path = self.layer / name
            text = path.read_text()
            self.assertIn(old, text, f"{name} has changed; so must this test")
            self.expect(rule, path, text.replace(old, new, 1), f"{name} with {new!r} for {old!r}",
                        lambda layer, _: lint.lint(layer))

    def test_dropped_word(self):
        """A recipe whose assignment lost its operator, its quotes or its first letter."""
        for path in sorted(self.layer.rglob("*.bb")):
            lines = path.read_text().split("\n")
            for number, line in enumerate(lines):
                if not lint.ASSIGNMENT.fullmatch(line) or line.count('"') != 2 or "?" in line:
                    continue
                operator = lint.ASSIGNMENT.fullmatch(line)[3]
                for wrong in (line.replace(f" {operator} ", " ", 1), line.replace('"', "", 1),
                              "X" + line):
                    found = "\n".join(lines[:number] + [wrong] + lines[number + 1:])
                    path.write_text(found)
                    said = lint.lint_file(self.layer, path)
                    self.assertTrue(any(s.startswith(f"{path}:") for s in said),
                                    f"{path.name}: nothing found of {wrong!r}")
            path.write_text("\n".join(lines))

    def test_lost_letter(self):
        """Each word of each line without its second letter; what is prose may be anything."""
        for path in sorted(self.layer.rglob("*")):
            if path.suffix not in (".bb", ".bbappend", ".inc", ".conf"):
                continue
            lines = path.read_text().split("\n")
            code = list(statements(lines))
            self.assertTrue(code, f"{path.name}: expected something to plant a fault in")
            for number in code:
                for word in re.finditer(r"\S\S+", lines[number]):
                    wrong = lines[number][:word.start() + 1] + lines[number][word.start() + 2:]
                    path.write_text("\n".join(lines[:number] + [wrong] + lines[number + 1:]))
                    self.assertTrue(lint.lint_file(self.layer, path) or lint.lint(self.layer),
                                    f"{path.name}:{number + 1}: nothing found of {wrong!r}")
            path.write_text("\n".join(lines))


if __name__ == "__main__":
    unittest.main()

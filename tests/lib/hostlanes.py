# SPDX-License-Identifier: BSD-3-Clause
"""Lanes that run on the host: unit tests, static checks, a smoke run of the fuzzers."""

import json
import os
import platform
import re
import shutil
import tempfile
from pathlib import Path

from . import command
from .command import TOP


def meson_build(report, lane, folder, *options, env=None):
    """Set up and compile a build directory; says so and returns None when that fails."""
    lacking = command.missing("meson", "ninja")
    if lacking:
        report.result(lane, "build", "skip", f"{lacking} is not installed")
        return None
    report.progress(lane, f"building in {folder}")
    if not (TOP / folder / "build.ninja").exists():
        shutil.rmtree(TOP / folder, ignore_errors=True)
        got = command.run(["meson", "setup", folder, *options], 300, env=env)
        if got.status:
            report.result(lane, "setup", "FAIL", got.last, output=got.output)
            return None
    got = command.run(["meson", "compile", "-C", folder], 900, env=env)
    if got.status:
        report.result(lane, "compile", "FAIL", "it does not compile", output=got.output)
        return None
    return TOP / folder


class UnitLane:
    """The cmocka tests under the address and undefined-behaviour sanitizers."""

    name = "unit"

    def run(self, report):
        build = meson_build(report, self.name, "build-unit",
                            "-Db_sanitize=address,undefined", "-Dtests=enabled")
        if not build:
            return
        got = command.run(["meson", "test", "-C", build, "--no-rebuild", "--no-suite", "fuzz",
                           "--timeout-multiplier", "4"], 900,
                          env={"UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"})
        log = build / "meson-logs/testlog.json"
        entries = [json.loads(line) for line in log.read_text().splitlines()] \
            if log.exists() else []
        if not entries:
            report.result(self.name, "meson-test", "FAIL", f"no results: {got.last}",
                          output=got.output)
        for entry in entries:
            name = entry["name"].split(" / ")[-1].split(":")[-1]
            verdict = {"OK": "ok", "EXPECTEDFAIL": "ok", "SKIP": "skip"}.get(entry["result"], "FAIL")
            report.result(self.name, name, verdict, "" if verdict == "ok" else entry["result"],
                          entry["duration"], entry.get("stdout", "") + entry.get("stderr", ""))


class FuzzLane:
    """Each libFuzzer target for a short while."""

    name = "fuzz"
    # Fewer runs in all of its time mean that a target does not really run.
    least = 100

    def __init__(self, seconds):
        self.seconds = seconds

    def run(self, report):
        if command.missing("clang"):
            report.result(self.name, "build", "skip", "clang is not installed")
            return
        report.progress(self.name, f"building and running the fuzz targets, {self.seconds} s each")
        got = command.run(["tests/fuzz/smoke", self.seconds], 20 * self.seconds + 900)
        runs = dict(re.findall(r"^(fuzz_\w+): \d+ s\n  runs: (\d+)$", got.output, re.M))
        names = re.findall(r"^(fuzz_\w+): \d+ s$", got.output, re.M)
        for name in names:
            done = int(runs.get(name, 0))
            report.result(self.name, name, "ok" if done >= self.least else "FAIL",
                          f"{done} runs" if name in runs else "a finding", output=got.output)
        if not names or (got.status and len(runs) == len(names)):
            report.result(self.name, "smoke", "FAIL", got.last, got.seconds, got.output)


class StaticLane:
    """Checks of the sources that need no run."""

    name = "static"

    def run(self, report):
        self._licences(report)
        self._python(report)
        self._shell(report)
        self._cross(report)
        self._packaging(report)
        self._lint(report)

    @staticmethod
    def _tracked(*patterns):
        listed = command.run(["git", "ls-files", "--", *patterns], 60)
        return [TOP / name for name in listed.output.split("\n") if name and (TOP / name).exists()]

    def _licences(self, report):
        wanted = ((r"^kernel/|^(bench|tests)/.*/module/|^packaging/mainline/", "GPL-2.0-only"),
                  (r"^include/uapi/", "GPL-2.0 WITH Linux-syscall-note"), (r"", "BSD-3-Clause"))
        wrong = []
        files = self._tracked("*.c", "*.h", "*.py", "*.sh", "*meson.build", "*Kbuild")
        for path in files:
            rel = str(path.relative_to(TOP))
            licence = next(text for pattern, text in wanted if re.search(pattern, rel))
            head = path.read_text(errors="replace")[:400]
            found = re.search(r"SPDX-License-Identifier: (.*?)\s*(\*/)?$", head, re.M)
            if not found or found.group(1).strip("() ") != licence:
                wrong.append(f"{rel}: expected {licence}, saw "
                             f"{found.group(1) if found else 'no SPDX line'}")
        if not files:
            report.result(self.name, "licences", "skip", "no git checkout")
            return
        report.result(self.name, "licences", "FAIL" if wrong else "ok",
                      f"{len(wrong)} of {len(files)} files" if wrong else f"{len(files)} files",
                      output="\n".join(wrong))

    def _python(self, report):
        wrong = []
        files = self._tracked("*.py", "vm/run", "vm/prepare", "vm/build-module", "tests/run",
                              "tests/*/boot", "tests/fuzz/hours", "tests/fuzz/coverage",
                              "packaging/cloud/make-image")
        for path in files:
            try:
                compile(path.read_text(), str(path), "exec")
            except SyntaxError as e:
                wrong.append(f"{path.relative_to(TOP)}: {e}")
        report.result(self.name, "python-syntax", "FAIL" if wrong else "ok",
                      f"{len(files)} files", output="\n".join(wrong))

    def _cross(self, report):
        """What is built for arm64 is all that is built."""
        info = "meson-info/intro-installed.json"
        if not (TOP / "build-arm64" / info).exists() or not (TOP / "build" / info).exists():
            report.result(self.name, "cross-build", "skip", "nothing is built: make build-arm64")
            return
        native, cross = (json.loads((TOP / folder / info).read_text()).values()
                         for folder in ("build", "build-arm64"))
        built = [{Path(name).name for name in names if "/bin/" in name}
                 for names in (native, cross)]
        lacking = sorted(built[0] - built[1])
        report.result(self.name, "cross-build", "FAIL" if lacking else "ok",
                      f"for arm64 there is no {', '.join(lacking)}" if lacking
                      else f"{len(built[1])} programs")

    def _packaging(self, report):
        for name, argv in (("yocto-layer", ["tools/yocto-lint"]),
                           ("yocto-lint", ["/usr/bin/python3", "tests/yocto/test_lint.py"]),
                           ("yocto-ptest", ["/usr/bin/python3", "tests/yocto/test_ptest.py"]),
                           ("mainline-series",
                            ["/usr/bin/python3", "tests/mainline/test_series.py"]),
                           ("sbom", ["/usr/bin/python3", "tests/packages/test_sbom.py"])):
            got = command.run(argv, 120)
            report.result(self.name, name, "FAIL" if got.status else "ok", got.last, got.seconds,
                          got.output)

    def _lint(self, report):
        report.progress(self.name, "tools/lint: clang-tidy and cppcheck over user space")
        got = command.run(["tools/lint"], 1800)
        verdict = {0: "ok", 2: "skip"}.get(got.status, "FAIL")
        report.result(self.name, "lint", verdict, "" if verdict == "ok" else got.last,
                      got.seconds, got.output)

    def _shell(self, report):
        scripts = [path for path in self._tracked("tools/*", "demo/*", ".ci/run", "tests/*/smoke",
                                                   "tests/fuzz/targets", "tests/model/run",
                                                   "packaging/cloud/*")
                   if path.is_file() and re.match(rb"#!/bin/(ba)?sh", path.read_bytes()[:16])]
        wrong = []
        for path in scripts:
            shell = path.read_bytes().split(b"\n")[0].decode()[2:]
            got = command.run([shell, "-n", path], 30)
            if got.status:
                wrong.append(got.output)
        report.result(self.name, "shell-syntax", "FAIL" if wrong else "ok",
                      f"{len(scripts)} files", output="\n".join(wrong))


class YoctoLane:
    """bitbake itself over the layer, where OE_CORE names a checkout of openembedded-core."""

    name = "yocto"

    def run(self, report):
        for task in ("parse", "native"):
            report.progress(self.name, f"bitbake: {task}")
            got = command.run(["tests/yocto/bitbake", task], 1800)
            verdict = {0: "ok", 77: "skip"}.get(got.status, "FAIL")
            report.result(self.name, task, verdict, got.last, got.seconds, got.output)


class MainlineLane:
    """The series for mainline: checkpatch, and a build in the tree of each kernel."""

    name = "mainline"
    sources = ("linux-source-6.12@bookworm", "linux-source-7.2@sid")

    def run(self, report):
        for source in self.sources:
            report.progress(self.name, f"the series for {source}")
            with tempfile.TemporaryDirectory(dir=TOP / "build", prefix="mainline-") as folder:
                got = command.run(["tools/mainline-series", "--check", "--build", f"{folder}/tree",
                                   source, f"{folder}/series"], 3600)
            report.result(self.name, source.split("@")[0], "FAIL" if got.status else "ok", got.last,
                          got.seconds, got.output)


class ModelLane:
    """The model of teardown and takeover, by spin."""

    name = "model"

    def run(self, report):
        report.progress(self.name, "spin")
        got = command.run(["tests/model/run"], 3600)
        rows = re.findall(r"^(ok|FAIL) (\w+): (.*)$", got.output, re.M)
        for verdict, name, words in rows:
            report.result(self.name, name, verdict, words, output=got.output)
        if got.status == 77:
            report.result(self.name, "run", "skip", got.last)
        elif not rows or (got.status and all(row[0] == "ok" for row in rows)):
            report.result(self.name, "run", "FAIL", got.last, got.seconds, got.output)


class KernelCheckLane:
    """The module's sources: sparse and W=1 on each series, and checkpatch."""

    name = "kernel-check"
    kernels = ("debian-6.12", "debian-6.1", "debian-7")

    def run(self, report):
        for kernel in self.kernels:
            got = command.run(["vm/prepare", kernel], 1800)
            if got.status:
                report.result(self.name, f"sparse-{kernel}", "skip", got.last)
                continue
            report.progress(self.name, f"sparse and W=1 for {kernel}")
            got = command.run(["vm/build-module", kernel, "--check"], 900)
            report.result(self.name, f"sparse-{kernel}", "FAIL" if got.status else "ok", got.last,
                          got.seconds, got.output)
        self._checkpatch(report)

    def _checkpatch(self, report):
        if command.missing("perl"):
            report.result(self.name, "checkpatch", "skip", "perl is not installed")
            return
        got = command.run(["vm/checkpatch"], 600)
        if got.status == 77:
            report.result(self.name, "checkpatch", "skip", got.last)
            return
        report.result(self.name, "checkpatch", "FAIL" if got.status else "ok", got.last,
                      got.seconds, got.output)


class PythonLane:
    """A file of unittest tests that runs on the host."""

    def __init__(self, name, script, limit):
        self.name, self.script, self.limit = name, script, limit

    def run(self, report):
        if not (TOP / self.script).exists():
            return
        report.progress(self.name, "running")
        got = command.run(["/usr/bin/python3", self.script, "-v"], self.limit)
        rows = re.findall(r"^(test_\w+) \(.*\) \.\.\. (ok|FAIL|ERROR|skipped .*)$",
                          got.output, re.M)
        for name, verdict in rows:
            result = "ok" if verdict == "ok" else "skip" if verdict.startswith("skip") else "FAIL"
            why = re.search(rf"^{verdict}: {name} .*?^(\w*(?:Error|Expired): .*?)$", got.output,
                            re.M | re.S) if result == "FAIL" else None
            report.result(self.name, name.removeprefix("test_"), result,
                          why[1] if why else "" if verdict == "ok" else verdict,
                          output=got.output)
        if not rows or (got.status and all(v == "ok" for _, v in rows)):
            report.result(self.name, "run", "FAIL", got.last, got.seconds, got.output)


class QemuLane:
    """Our back-ends under QEMU's front-ends: the machine's own QEMU, and the newest of Debian's."""

    name = "qemu"
    # result, script, seconds
    scripts = (("disk_and_entropy", ["tests/interop/qemu-front-end"], 400),
               ("disk_and_entropy_packed", ["tests/interop/qemu-front-end", "--packed"], 400),
               ("disk_entropy_and_sound_newest", ["tests/interop/qemu-front-end", "--suite", "sid"],
                900),
               ("small_devices", ["tests/interop/qemu-devices"], 900),
               ("small_devices_newest", ["tests/interop/qemu-devices", "--suite", "sid"], 1500))

    def run(self, report):
        for result, argv, limit in self.scripts:
            report.progress(self.name, f"running {' '.join(argv)}")
            got = command.run(argv, limit)
            verdict = {0: "ok", 2: "skip"}.get(got.status, "FAIL")
            report.result(self.name, result, verdict, got.last, got.seconds, got.output,
                          [json.loads(row) for row in re.findall(r"^VLB-PEER (.*)$", got.output,
                                                                 re.M)])


class PackagesLane:
    """
    The Debian packages of each suite: built in it by the commands of the documents (lintian, two
    builds compared), and what they do in a guest of that suite with systemd.
    """

    name = "packages"
    suites = ("bookworm", "trixie")

    def run(self, report):
        lacking = command.missing("mmdebstrap", "git")
        for suite in self.suites:
            if lacking:
                report.result(self.name, f"build-{suite}", "skip", f"{lacking} is not installed")
            elif self._build(report, suite):
                self._boot(report, suite)

    def _build(self, report, suite):
        report.progress(self.name, f"building the packages of {suite}, twice")
        got = command.run(["tests/packages/build", "--suite", suite], 7200)
        verdict = {0: "ok", 77: "skip"}.get(got.status, "FAIL")
        report.result(self.name, f"build-{suite}", verdict, got.last, got.seconds, got.output)
        return not got.status

    def _boot(self, report, suite):
        report.progress(self.name, f"installing them in a guest of {suite}, and booting that twice")
        got = command.run(["tests/packages/boot", "--suite", suite], 5400)
        rows = re.findall(r"^(ok|FAIL) (.*)$", got.output, re.M)
        for verdict, what in rows:
            report.result(self.name, f"{suite}: {what}", verdict, "", output=got.output)
        if not rows or (got.status and all(v == "ok" for v, _ in rows)):
            report.result(self.name, f"boot-{suite}", "FAIL", got.last, got.seconds, got.output)


class DocsLane:
    """The commands of the documents that are for the host, and the first of them on a bare one."""

    name = "docs-host"

    def run(self, report):
        report.progress(self.name, "running tests/docs-host")
        got = command.run(["tests/docs-host"], 9000)
        rows = re.findall(r"^(ok|FAIL) (\S+) (.*)$", got.output, re.M)
        for verdict, where, said in rows:
            report.result(self.name, where, verdict, said[:200], output=got.output)
        if not rows or (got.status and all(v == "ok" for v, _, _ in rows)):
            report.result(self.name, "run", "FAIL", got.last, got.seconds, got.output)
        report.progress(self.name, "running tests/fresh-demo")
        got = command.run(["tests/fresh-demo"], 4500)
        verdict = {0: "ok", 77: "skip"}.get(got.status, "FAIL")
        report.result(self.name, "fresh_demo", verdict, got.last, got.seconds, got.output)


class CloudLane:
    """
    The images for clouds: each is made, and booted as a cloud does, with the documented user data
    that is for it.
    """

    name = "cloud"
    images = (("amd64", "cloud", ("user-data", "user-data-fleet")),
              ("amd64", "generic", ("user-data-board",)),
              ("arm64", "cloud", ("user-data",)))
    packages = {"amd64": ("build/deb", "tools/deb"),
                "arm64": ("build/deb-arm64", "tools/deb-arm64")}
    emulated = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")

    def run(self, report):
        for arch, kernel, user_data in self.images:
            what = f"{arch}-{kernel}"
            lacking = self._missing(arch)
            if lacking:
                report.result(self.name, what, "skip", lacking)
            elif self._make(report, arch, kernel, what):
                for name in user_data:
                    self._boot(report, arch, kernel, name, what)

    def _missing(self, arch):
        qemu = {"amd64": "qemu-system-x86_64", "arm64": "qemu-system-aarch64"}[arch]
        lacking = command.missing("mmdebstrap", "mkfs.vfat", "mcopy", "sfdisk", qemu)
        if lacking:
            return f"{lacking} is not installed"
        if arch == "arm64" and platform.machine() != "aarch64" and not self.emulated.exists():
            return "programs for arm64 do not run here: qemu-user-static with binfmt_misc"
        return None

    def _make(self, report, arch, kernel, what):
        folder, program = self.packages[arch]
        steps = []
        if not list((TOP / folder).glob("virtio-loopback_*.deb")):
            steps.append(([program], 3600))
        steps.append((["packaging/cloud/make-image", "--arch", arch, "--kernel", kernel,
                       f"build/cloud-{what}.img"], 5400))
        for argv, limit in steps:
            report.progress(self.name, f"{what}: {argv[0]}")
            got = command.run(argv, limit)
            if got.status:
                report.result(self.name, f"{what}: {argv[0]}", "FAIL", got.last, got.seconds,
                              got.output)
                return False
        return True

    def _boot(self, report, arch, kernel, user_data, what):
        report.progress(self.name, f"{what}: booting it twice with {user_data}")
        image = f"build/cloud-{what}.img"
        got = command.run(["tests/cloud/boot", "--arch", arch, "--kernel", kernel,
                           "--user-data", user_data, "--image", image], 5400)
        rows = re.findall(r"^(ok|FAIL) (.*)$", got.output, re.M)
        for verdict, text in rows:
            report.result(self.name, f"{what}, {user_data}: {text}", verdict, "", output=got.output)
        if not rows or (got.status and all(v == "ok" for v, _ in rows)):
            report.result(self.name, f"{what}, {user_data}", "FAIL", got.last, got.seconds,
                          got.output)


class PerformanceLane:
    """
    Instruction counts of one kind against another's in the same guest: they repeat within a
    percent whatever else the machine does. Never times. The limits leave some room above what
    docs/performance.md has.
    """

    name = "performance"
    # result, measurement, what is counted, what it is compared with, how many times that at most
    limits = (
        ("round_trip", "roundtrip", "kick-to-sleeper", "eventfd-ping-pong", 0.97),
        ("callback", "roundtrip", "kick-to-callback", "eventfd-ping-pong", 0.28),
        ("read_4k_depth_1", "blk-icount", "loopback/randread-4k-1", "vduse/randread-4k-1", 1.0),
        ("read_4k_depth_32", "blk-icount", "loopback/randread-4k-32", "vduse/randread-4k-32", 0.9),
        ("own_read_4k_depth_1", "blk-icount", "loopback-own/randread-4k-1",
         "vduse/randread-4k-1", 0.8),
        ("own_read_4k_depth_32", "blk-icount", "loopback-own/randread-4k-32",
         "vduse/randread-4k-32", 0.8),
    )
    measure = ("bench/run", "--rounds", 1, "--scale", 0.25, "--jobs",
               "randread-4k-1,randread-4k-32", "--peers", "loopback,loopback-own,vduse")
    # ... and what the module alone executes for one of these requests, at most
    module = ("bench/profile", "--top", 0, "loopback-own", "randread-4k-1")
    module_most = 2500

    def run(self, report):
        report.progress(self.name, "counting instructions in the guest")
        with tempfile.TemporaryDirectory() as folder:
            # One guest for each measurement; what one says stands if the other fails.
            for measurement in dict.fromkeys(limit[1] for limit in self.limits):
                got = command.run([*self.measure, "--results", folder, measurement], 1200)
                self._judge(report, measurement, got, Path(folder) / f"{measurement}.json")
        self._judge_module(report, command.run([*self.module], 1200))

    def _judge(self, report, measurement, got, path):
        medians = json.loads(path.read_text())["medians"] if got.status == 0 else {}
        for result, where, what, base, most in self.limits:
            if where != measurement:
                continue
            if what not in medians or base not in medians:
                report.result(self.name, result, "FAIL", f"no figure: {got.last}", got.seconds,
                              got.output)
                continue
            ratio = medians[what] / medians[base]
            report.result(self.name, result, "ok" if ratio <= most else "FAIL",
                          f"{medians[what]:.0f} instructions, {ratio:.3f} × {base} "
                          f"(at most {most})", got.seconds, got.output)

    def _judge_module(self, report, got):
        found = re.search(r"^ *(\d+)  virtio_loopback$", got.output, re.M)
        if got.status or not found:
            report.result(self.name, "module", "FAIL", f"no figure: {got.last}", got.seconds,
                          got.output)
            return
        report.result(self.name, "module", "ok" if int(found[1]) <= self.module_most else "FAIL",
                      f"{found[1]} instructions of its own a request of 4 KiB "
                      f"(at most {self.module_most})", got.seconds, got.output)


def VmRunLane():
    """vm/run itself: exit statuses, streams, nothing left behind."""
    return PythonLane("vm-run", "tests/vm-run/test_vm_run.py", 1200)


def PowerOffLane():
    """The machine goes down with devices in it."""
    return PythonLane("power-off", "tests/vm-run/test_power_off.py", 600)


def HarnessLane():
    """The guest's runner: what fails is told as failed."""
    return PythonLane("harness", "tests/vm-run/test_harness.py", 1200)


def HelpersLane():
    """What judges a soak and races, and what adds up the fuzzers' hours and coverage."""
    return PythonLane("helpers", "tests/vm-run/test_helpers.py", 120)

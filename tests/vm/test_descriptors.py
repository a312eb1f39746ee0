# SPDX-License-Identifier: BSD-3-Clause
"""Back-ends that the command looks for by the JSON descriptors of the vhost-user conventions."""

import json
import os
import shutil
import signal
from pathlib import Path

from disks import MIB
from harness import USER_SPACE, test

ETC = Path("/etc/qemu/vhost-user")
FOLDERS = (Path("/usr/share/qemu/vhost-user"), Path("/usr/local/share/qemu/vhost-user"), ETC)


def describe(t, name, kind, binary, folder=ETC):
    """A descriptor, until the test is over."""
    path = folder / name
    for part in (path.parent, *path.parent.parents):
        if not part.exists():
            t.at_end(shutil.rmtree, part, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"description": name, "type": kind, "binary": str(binary)}))
    t.at_end(path.unlink, missing_ok=True)
    return path


def ours(t, program):
    path = shutil.which(program)
    t.check(path, f"expected {program} on PATH")
    return path


def hide(t):
    """What the guest has installed is of no interest."""
    for folder in FOLDERS:
        for path in folder.glob("*.json"):
            hidden = describe(t, path.name, "block", "/none")
            hidden.write_text("")


def refused(t, *args, says, status=1, lines=1):
    """What attach says; its last line is why it failed."""
    out = t.run("virtio-loopback", "attach", *args, status=status, timeout=40).splitlines()
    t.equal(len(out), lines, f"{args}: lines of output")
    t.check(all(line.startswith("virtio-loopback: attach: ") for line in out), f"{args}: saw {out}")
    for text in says:
        t.check(any(text in line for line in out), f"{args}: expected {text!r}, saw {out}")
    t.equal(t.devices(), [], f"{args}: devices left behind")


@test(kernels=USER_SPACE, timeout=90, tags=("attach", "blk"))
def disk(t):
    """A disk whose back-end nobody names, by a path that begins in this folder; it is supervised."""
    hide(t)
    image = t.image(8 * MIB, name="it's a disk.img")
    blk = ours(t, "vhost-user-blk")
    describe(t, "10-broken.json", "block", "/none").write_text("{")
    describe(t, "20-rng.json", "rng", ours(t, "vhost-user-rng"))
    describe(t, "30-blk.json", "block", blk)
    os.chdir(t.tmp)
    said = t.run("virtio-loopback", "attach", "--type", "blk", "--blk-file", image.name,
                 "--", "--serial", "FOUND").splitlines()
    t.at_end(t.run, "virtio-loopback", "detach", "--all", "--force", status=None)
    t.check("/10-broken.json: no JSON" in said[0], f"the descriptor before it: saw {said}")
    name, _, node = said[-1].split()
    t.equal(name, "blk0", "name")
    entry = t.devices()[0]
    t.check(entry["backend"].startswith(f"exec {blk} "), f"list: saw {entry['backend']!r}")
    t.equal(Path(f"/sys/block/{Path(node).name}/serial").read_text().strip(), "FOUND",
            "serial, given behind --")
    t.run("dd", "if=/dev/urandom", f"of={node}", "bs=1M", "count=1", "oflag=direct")
    t.equal(Path(node).read_bytes()[:MIB], image.read_bytes()[:MIB], "what was written")
    # as any other that was started by --exec
    backend = int(t.run("pgrep", "-f", f"^{blk} ").split()[0])
    os.kill(backend, signal.SIGKILL)
    t.run("dd", f"if={node}", "of=/dev/null", "bs=1M", "count=2", "iflag=direct", timeout=20)
    t.run("virtio-loopback", "detach", name)
    t.equal(t.run("pgrep", "-f", f"^{blk} ", status=1), "", "back-ends left")


@test(kernels=USER_SPACE, timeout=60, tags=("attach", "blk"))
def read_only(t):
    """The first that has what is wanted: one without it is passed over."""
    hide(t)
    plain = t.tmp / "plain"
    plain.write_text("#!/bin/sh\necho '{ \"type\": \"block\", \"features\": [ \"blk-file\" ] }'\n")
    plain.chmod(0o755)
    describe(t, "10-plain.json", "block", plain)
    blk = ("--type", "blk", "--blk-file", t.image(4 * MIB), "--read-only")
    refused(t, *blk, says=("has --read-only",))
    describe(t, "20-blk.json", "block", ours(t, "vhost-user-blk"))
    node = Path(t.attach(*blk[1:]).node)
    t.equal(Path(f"/sys/block/{node.name}/ro").read_text().strip(), "1", "read-only")


@test(kernels=USER_SPACE, timeout=90, tags=("attach",))
def refusals(t):
    hide(t)
    refused(t, "--type", "rng", says=("of type rng is installed", str(ETC), "--exec", "--socket"))
    refused(t, "--type", "can", says=("no descriptors for back-ends of type can", "--exec"))
    refused(t, "--type", "rng", "--virgl", says=("--virgl is for --type gpu",), status=2)
    refused(t, "--type", "blk", "--blk-file", says=("value is missing",), status=2)
    refused(t, "--type", "rng", "--pool", "1X", says=("--pool",), status=2)
    refused(t, "--type", "rng", "--name", "a/b", "--", "x", says=("--name",), status=2)
    for words in (("--exec", "vhost-user-rng"), ("--socket", "/s")):
        refused(t, "--type", "rng", *words, "--", "--rate", "1K", says=("-- is for",), status=2)
    refused(t, "--type", "blk", "--socket", "/s", "--read-only", says=("--read-only is for",),
            status=2)
    config = t.tmp / "rng.conf"
    config.write_text("[device]\ntype=rng\n")
    refused(t, "--config", config, says=("exec",), status=2)
    describe(t, "10-none.json", "rng", "/none/there")
    describe(t, "20-passwd.json", "rng", "/etc/passwd")
    describe(t, "30-words.json", "rng", "/none").write_text('{ "type": "rng", "binary": 7 }')
    describe(t, "40-sound.json", "sound", ours(t, "vhost-user-rng"))
    refused(t, "--type", "rng", lines=4,
            says=("10-none.json: its program /none/there is not there",
                  "20-passwd.json: its program /etc/passwd cannot be executed",
                  '30-words.json: "binary": expected a string', "of type rng can be used"))
    # found, and no back-end, or not with these words
    describe(t, "50-rng.json", "rng", shutil.which("false"))
    refused(t, "--type", "rng", says=("exited with status 1 before it listened",), lines=4)
    describe(t, "50-rng.json", "rng", ours(t, "vhost-user-rng"))
    refused(t, "--type", "rng", "--", "--none-such", says=("--none-such",), lines=4)


@test(kernels=USER_SPACE, timeout=60, tags=("attach",))
def listed(t):
    """What is installed, with what each can do; and what is of no use, with the reason."""
    hide(t)
    t.equal(t.run("virtio-loopback", "backends"), "", "nothing installed")
    t.equal(json.loads(t.run("virtio-loopback", "backends", "--json")), [], "nothing, as JSON")
    for name, kind in (("20-blk", "block"), ("10-rng", "rng"), ("30-input", "input")):
        describe(t, f"{name}.json", kind, ours(t, f"vhost-user-{name[3:]}"))
    seen = json.loads(t.run("virtio-loopback", "backends", "--json"))
    t.equal([(e["type"], e["virtio_id"], sorted(e["features"]), e["descriptor"], e["problem"])
             for e in seen],
            [("rng", 4, [], f"{ETC}/10-rng.json", None),
             ("blk", 2, ["blk-file", "read-only"], f"{ETC}/20-blk.json", None),
             ("input", 18, ["evdev-path", "no-grab"], f"{ETC}/30-input.json", None)], "--json")
    table = t.run("virtio-loopback", "backends").splitlines()
    t.equal(len(table), 4, "lines")
    t.equal(table[0].split(), ["TYPE", "BINARY", "FEATURES", "DESCRIPTOR"], "headings")
    t.equal(table[1].split(), ["rng", ours(t, "vhost-user-rng"), "-", f"{ETC}/10-rng.json"], "rng")
    # one that is wrong hides no other
    describe(t, "15-wrong.json", "gpu", ours(t, "vhost-user-rng"))
    table = t.run("virtio-loopback", "backends", status=1).splitlines()
    t.equal(sum(line.endswith(".json") for line in table), 3, "those that are of use")
    t.check(any("15-wrong.json: " in line and "not of type gpu" in line for line in table),
            f"one that is of another type than it says: saw {table}")
    seen = json.loads(t.run("sh", "-c", "virtio-loopback backends --json 2>/dev/null", status=1))
    t.equal([bool(e["problem"]) for e in seen], [False, True, False, False], "--json: problem")
    t.run("virtio-loopback", "backends", "--type", status=2)
    t.run("virtio-loopback", "backends", "more", status=2)

# SPDX-License-Identifier: BSD-3-Clause
"""GPIO lines: the stock driver and libgpiod's tools here, a simulated chip behind the back-end."""

import re
import shutil
import time
from pathlib import Path

from gpios import INPUT, OUTPUT, Line, Sim, Traffic, Watch, backend, line_name
from harness import Case, test

LINES = 8
TOOLS = ("gpiodetect", "gpioget", "gpioset", "gpiomon", "gpioinfo")
DRIVER = Path("/sys/bus/virtio/drivers/gpio_virtio")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
          "--no-new-privs")


def attach(t, sim, *more, **kw):
    device = t.attach("gpio", exec=backend(sim, *more), **kw)
    t.check(re.fullmatch(r"/dev/gpiochip\d+", device.node),
            f"expected the node /dev/gpiochipN, saw {device.node!r}")
    return device


def get(t, node, *lines):
    return [int(v) for v in t.run("gpioget", node, *lines).split()]


def tools_work(t, sim):
    """libgpiod 1 needs the kernel's first interface, which not every kernel has."""
    t.run("gpioinfo", sim.chip, status=None)
    return t.last_status == 0


def armed(t, name, count):
    """So many lines whose interrupt has this name."""
    def ready():
        text = Path("/proc/interrupts").read_text()
        return sum(line.split()[-1] == name for line in text.splitlines()) == count
    t.within(10, ready, f"{count} interrupts of {name}")


def as_input(t, sim, node):
    """Each line by itself high, then all of them."""
    lines = list(range(LINES))
    for high in lines + [None]:
        expected = [int(n == high or high is None) for n in lines]
        for n in lines:
            sim.pull(n, expected[n])
        inputs = [Line(node, n, INPUT) for n in lines]
        t.equal([line.get() for line in inputs], expected, f"inputs with line {high} high")
        for line in inputs:
            line.close()
    if tools_work(t, sim):
        t.equal(get(t, node, *lines), [1] * LINES, "inputs with all lines high, by gpioget")


def as_output(t, sim, node):
    """Each line by itself high, then all of them; all at once by gpioset, which holds them."""
    held = [Line(node, n, OUTPUT, 0) for n in range(LINES)]
    for high in list(range(LINES)) + [None]:
        expected = [int(n == high or high is None) for n in range(LINES)]
        for line, value in zip(held, expected):
            line.set(value)
        t.equal([sim.value(n) for n in range(LINES)], expected, f"outputs with line {high} high")
        t.equal([line.get() for line in held], expected, "the same, read back by the driver")
    for line in held:
        line.close()
    for pattern in (0x5A, 0xA5) if tools_work(t, sim) else ():
        expected = [pattern >> n & 1 for n in range(LINES)]
        holder = t.start("gpioset", "--mode=signal", node,
                         *[f"{n}={v}" for n, v in enumerate(expected)])
        t.within(5, lambda: [sim.value(n) for n in range(LINES)] == expected,
                 f"outputs {expected}")
        t.equal(t.run("gpioinfo", Path(node).name).count("output"), LINES, "lines that are outputs")
        holder.kill()


@test(timeout=60, kernels=("debian-6.12", "debian-7", "debug"), tags=("gpio",), needs=TOOLS)
def every_line(t):
    """Names, inputs and outputs of each line, and an edge."""
    sim = Sim(t, LINES, [f"line-{n}" for n in range(LINES)])
    device = attach(t, sim)
    t.check(f"[{device.virtio}] ({LINES} lines)" in t.run("gpiodetect"),
            f"gpiodetect: expected [{device.virtio}] with {LINES} lines")
    names = [line_name(device.node, n) for n in range(LINES)]
    t.equal(names, [f"line-{n}" for n in range(LINES)], "names of the lines")
    if tools_work(t, sim):
        names = re.findall(r'"(line-\d)"', t.run("gpioinfo", Path(device.node).name))
        t.equal(names, [f"line-{n}" for n in range(LINES)], "names of the lines by gpioinfo")
    as_input(t, sim, device.node)
    as_output(t, sim, device.node)
    sim.pull(3, 0)
    watch = Watch(device.node, 3)
    sim.pull(3, 1)
    t.within(5, lambda: watch.edges == [1], f"one rising edge (saw {watch.edges})")
    watch.close()
    device.detach()


@test(timeout=40, tags=("gpio",), needs=TOOLS)
def chosen_lines(t):
    """--lines 6,2-3: numbered anew, the others left to the machine; names of some lines only."""
    sim = Sim(t, LINES, ["a", "b", "c"])
    device = attach(t, sim, "--lines", "6,2-3")
    names = re.findall(r"line +(\d): +(\S+)", t.run("gpioinfo", Path(device.node).name))
    t.equal(names, [("0", "unnamed"), ("1", '"c"'), ("2", "unnamed")], "lines of the device")
    for line, behind in enumerate((6, 2, 3)):
        sim.pull(behind, 1)
        t.equal(get(t, device.node, 0, 1, 2), [int(n == line) for n in range(3)],
                f"inputs with line {behind} of the chip high")
        sim.pull(behind, 0)
    t.equal(get(t, sim.node, 0, 1, 4, 5, 7), [0] * 5, "the other lines, which are free")
    device.detach()


MODES = {"rising": {"option": "--rising-edge"}, "falling": {"option": "--falling-edge"},
         "both": {"option": None}}


@test(timeout=60, tags=("gpio",), needs=TOOLS, cases=MODES)
def edges(t, option):
    """Paced edges of every line: each once, and in order."""
    sim = Sim(t, LINES)
    device = attach(t, sim)
    told = t.tmp / "told"
    with open(told, "w") as f:
        t.start("gpiomon", "--line-buffered", "--format=%e %o", *([option] if option else []),
                device.node, *range(LINES), stdout=f)
    armed(t, "vhost-user-gpio", LINES)
    expected = []
    for line in range(LINES):
        for level in (1, 0, 1, 0):
            sim.pull(line, level)
            if option in (None, "--rising-edge" if level else "--falling-edge"):
                expected.append(f"{level} {line}")
                t.within(10, lambda: len(told.read_text().splitlines()) >= len(expected),
                         f"edge {expected[-1]}", step=0.005)
    t.equal(told.read_text().splitlines(), expected, "edges (1 is a rising one) and their lines")


@test(timeout=60, tags=("gpio",), needs=("gpio-levels",))
def levels(t):
    """Level interrupts, high and low, from a driver of our own: programs only get edges."""
    sim = Sim(t, 1, driver=False)
    said = t.run("gpio-levels", shutil.which("vhost-user-gpio"), sim.node,
                 sim.sysfs / "sim_gpio0/pull")
    t.check("high and low as they should be" in said, f"expected both to be right, saw {said!r}")


def settle(t, watch, level):
    """The last edge is there, and for half a second none came after it."""
    seen = [0, time.monotonic()]

    def over():
        if len(watch.edges) != seen[0]:
            seen[:] = len(watch.edges), time.monotonic()
        return watch.edges and watch.edges[-1] == level and \
            time.monotonic() - seen[1] > 0.5 * t.slow
    t.within(20, over, f"a last edge to the level {level}")


@test(timeout=60, tags=("gpio",), cases={"4000": {"moves": 4000},
                                         "200000": Case({"moves": 200000}, tier="long")})
def flood(t, moves):
    """Edges faster than they are taken: never one too many, and the final level is right."""
    sim = Sim(t, 2)
    device = attach(t, sim)
    watch = Watch(device.node, 0)
    armed(t, "vhost-user-gpio", 1)
    for final in (1, 0):
        before = len(watch.edges)
        for n in range(moves // 2 - 1 + final):
            sim.pull(0, (n + 1) % 2)
        sim.pull(0, final)
        settle(t, watch, final)
        seen = len(watch.edges) - before
        t.log(f"{seen} interrupts for about {moves // 2} edges")
        t.check(0 < seen <= moves // 2 + 1, f"expected at most {moves // 2 + 1} interrupts, "
                f"saw {seen}")
        # One that comes late, or twice, would show among these.
        before = len(watch.edges)
        for level in (1 - final, final):
            count = len(watch.edges)
            sim.pull(0, level)
            t.within(10, lambda: len(watch.edges) > count, "a paced edge after the flood")
        t.equal(watch.edges[before:], [1 - final, final], "paced edges after the flood")
        t.equal(sim.value(0), final, "the level behind the device")
    t.check(watch.error is None, f"the watch ended: {watch.error}")
    watch.close()
    t.equal(get(t, device.node, 0), [0], "the final level")


@test(timeout=240, tags=("gpio",), cases={"15s": {"seconds": 15},
                                          "150s": Case({"seconds": 150}, tier="long")})
def pending(t, seconds):
    """An interrupt that does not come for long is no sign of a back-end that hangs."""
    sim = Sim(t, 2)
    device = attach(t, sim)
    watch = Watch(device.node, 1)
    armed(t, "vhost-user-gpio", 1)
    before = device.info()
    time.sleep(seconds)
    after = device.info()
    t.equal((after["state"], after["adapter_pid"], after["nodes"]),
            ("running", before["adapter_pid"], before["nodes"]), f"the device after {seconds} s")
    t.equal(watch.edges, [], "edges in that time")
    sim.pull(1, 1)
    t.within(5, lambda: watch.edges == [1], "the edge that came then")
    t.check(watch.error is None, f"the watch ended: {watch.error}")
    watch.close()
    device.detach()


ROUNDS = {"10": {"rounds": 10}, "50": Case({"rounds": 50}, tier="long", timeout=600)}


@test(timeout=120, tags=("gpio",), cases=ROUNDS)
def under_traffic(t, rounds):
    """Attached and detached while lines move and are watched."""
    sim = Sim(t, 4)
    traffic = Traffic(sim)
    t.at_end(traffic.stop)
    for _ in range(rounds):
        device = attach(t, sim)
        watches = [Watch(device.node, n) for n in range(3)]
        t.within(10, lambda: all(w.edges for w in watches), "edges of each line")
        output = Line(device.node, 3, OUTPUT, 1)
        t.equal(output.get(), 1, "an output meanwhile")
        device.detach("--force")
        for line in watches + [output]:
            line.close()
        t.equal(t.devices(), [], "devices after detach")


@test(timeout=60, tags=("gpio",))
def unbind_and_bind(t):
    """The driver lets go of the device and takes it again."""
    sim = Sim(t, 2)
    device = attach(t, sim)
    for level in (1, 0, 1):
        (DRIVER / "unbind").write_text(device.virtio)
        t.equal(sim.value(1), 1 - level, "the level while there is no driver")
        (DRIVER / "bind").write_text(device.virtio)
        node = t.within(5, lambda: (device.info()["nodes"] or [None])[0], "a node")
        t.within(5, lambda: Path(node).exists(), node)
        watch = Watch(node, 1)
        armed(t, "vhost-user-gpio", 1)
        sim.pull(1, level)
        t.within(5, lambda: watch.edges == [level], f"an edge to {level} (saw {watch.edges})")
        watch.close()
        t.equal(get(t, node, 1), [level], "the line")
    device.detach()


@test(timeout=60, tags=("gpio",))
def backend_killed(t):
    """The back-end dies while interrupts are waited for: a chip is there again, and works."""
    sim = Sim(t, 2)
    device = attach(t, sim)
    for _ in range(3):
        node = device.info()["nodes"][0]
        watch = Watch(node, 0)
        output = Line(node, 1, OUTPUT, 1)
        armed(t, "vhost-user-gpio", 1)
        t.run("killall", "-KILL", "vhost-user-gpio")
        t.within(20, lambda: watch.error, "the end of the watch")
        watch.close()
        output.close()
        t.within(20, lambda: (device.info() or {}).get("nodes"), "a node")
        node = device.info()["nodes"][0]
        t.within(5, lambda: Path(node).exists(), node)
        for level in (1, 0):
            sim.pull(0, level)
            t.equal(get(t, node, 0), [level], "the line after that")
    device.detach()


@test(timeout=60, tags=("gpio",))
def chip_unplugged(t):
    """The chip behind the back-end goes: what the driver asks for fails, nothing hangs."""
    sim = Sim(t, 2)
    device = attach(t, sim, reconnect="off")
    watch = Watch(device.node, 0)
    armed(t, "vhost-user-gpio", 1)
    sim.unplug()
    t.within(20, lambda: watch.error, "the end of the watch")
    watch.close()
    t.within(20, lambda: t.devices() == [], "the end of the device")


# The driver of 6.12 shares a table among its devices, and an interrupt of the second is a jump to
# nowhere. That of 7.2 does not.
SEVERAL = {"one-with-interrupts": {"more": ["--no-interrupts"]},
           "all-with-interrupts": Case({"more": []}, kernels=("debian-7",))}


@test(timeout=60, tags=("gpio",), cases=SEVERAL)
def several_devices(t, more):
    """Two chips, and two devices of one chip's lines, all at once."""
    sims = [Sim(t, 4, label="left"), Sim(t, 4, label="right")]
    devices = [attach(t, sims[0])]
    devices += [attach(t, sims[1], "--lines", lines, *more) for lines in ("0-1", "2-3")]
    interrupts = devices[:1] if more else devices
    watches = [Watch(device.node, 1) for device in interrupts]
    armed(t, "vhost-user-gpio", len(interrupts))
    for n, (sim, line) in enumerate(((sims[0], 1), (sims[1], 1), (sims[1], 3))):
        sim.pull(line, 1)
        t.equal([get(t, d.node, 1)[0] if d not in interrupts else None for d in devices],
                [int(m <= n) if d not in interrupts else None for m, d in enumerate(devices)],
                f"line 1 of each device after a move behind device {n}")
        if n < len(watches):
            t.within(5, lambda: watches[n].edges == [1], f"the edge of device {n}")
    t.equal([w.edges for w in watches], [[1]] * len(watches), "edges of all devices")
    for watch in watches:
        watch.close()
    if more:
        t.run("gpiomon", "--num-events=1", devices[1].node, 0, status=1)


BAD = {
    "no-chip": (["--chip", "/dev/gpiochip99"], r"/dev/gpiochip99: No such file"),
    "no-gpio": (["--chip", "/dev/null"], r"/dev/null: is no GPIO chip"),
    "range": (["--chip", "{chip}", "--lines", "0-4"], r"--lines 0-4: the chip has the lines 0 to 3"),
    "list": (["--chip", "{chip}", "--lines", "1,,2"], r"a list such as 0-7,12 is needed"),
    "twice": (["--chip", "{chip}", "--lines", "1,0-2"], r"line 1 is there twice"),
    "busy": (["--chip", "{chip}"], r"line 2 is in use \(test\); choose others by --lines"),
    "none": ([], r"--chip is missing"),
}


@test(timeout=60, tags=("gpio",))
def bad_command_lines(t):
    """One clear line each, by itself and through attach, which leaves nothing behind."""
    sim = Sim(t, 4)
    held = Line(sim.node, 2, INPUT)
    for name, (words, pattern) in BAD.items():
        words = [w.format(chip=sim.node) for w in words]
        said = t.run("vhost-user-gpio", *words, "--socket-path", t.tmp / "s", status=1)
        t.equal(len(said.splitlines()), 1, f"{name}: lines that are said")
        t.check(re.search(pattern, said), f"{name}: expected {pattern!r}, saw {said!r}")
    said = t.run(*NOBODY, "vhost-user-gpio", "--chip", sim.node, "--socket-path", "/tmp/s", status=1)
    t.check(re.fullmatch(rf".*{sim.node}: Permission denied\n", said),
            f"expected one line that says 'Permission denied', saw {said!r}")
    t.run("virtio-loopback", "attach", "--type", "gpio", "--exec", backend(sim), status=1)
    t.equal(t.devices(), [], "devices after an attach that failed")
    held.close()


@test(timeout=60, kernels=("debian-6.12",), tags=("gpio",))
def no_driver(t):
    """A kernel without the driver: which module and option it is."""
    if DRIVER.exists() or t.run("modinfo", "gpio-virtio", status=None) and t.last_status == 0:
        t.skip("this kernel has the driver")
    sim = Sim(t, 2, driver=False)
    said = t.run("virtio-loopback", "attach", "--type", "gpio", "--exec", backend(sim), status=1)
    t.check("needs the module gpio-virtio (CONFIG_GPIO_VIRTIO)" in said,
            f"expected the module and the option, saw {said!r}")
    t.equal((len(said.splitlines()), t.devices()), (1, []), "lines that are said, and devices")


@test(timeout=60, tags=("gpio",))
def without_root(t):
    """A user who may open the chip serves it; the back-end's own memory is less than 1 MiB."""
    sim = Sim(t, LINES)
    Path(sim.node).chmod(0o666)
    folder = t.tmp / "open"
    folder.mkdir()
    t.tmp.chmod(0o711)
    folder.chmod(0o777)
    process = t.backend(*NOBODY, "vhost-user-gpio", "--chip", sim.node,
                        socket=folder / "gpio.sock")
    device = t.attach("gpio", socket=process.socket)
    watches = [Watch(device.node, n) for n in range(LINES)]
    armed(t, "vhost-user-gpio", LINES)
    for n in range(LINES):
        for level in (1, 0) * 8:
            count = len(watches[n].edges)
            sim.pull(n, level)
            t.within(5, lambda: len(watches[n].edges) > count, f"an edge of line {n}")
    status = Path(f"/proc/{process.pid}/status").read_text()
    t.check("Uid:\t65534\t65534" in status and "CapEff:\t0000000000000000" in status,
            f"expected a back-end of nobody without capabilities, saw {status}")
    rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    private = sum(int(n) for n in re.findall(r"^Private_\w+: +(\d+) kB", rollup, re.M))
    t.log(f"private memory of the back-end: {private} KiB")
    t.check(private < 1024, f"private memory: expected less than 1024 KiB, saw {private}")
    for watch in watches:
        watch.close()
    device.detach()
    process.terminate()

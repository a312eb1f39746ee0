# SPDX-License-Identifier: BSD-3-Clause
"""A console device: ports and terminals, and that the machine lives on when the back-end does not."""

import fcntl
import glob
import hashlib
import os
import pty
import select
import signal
import socket
import struct
import termios
import threading
import time
import tty
from pathlib import Path

from harness import ALL, Case, test

EVERYWHERE = ("debian-6.12", "debian-6.12-rt", "debian-6.1", "debian-7", "debug")
CHUNK = 32768
MIB = 1 << 20
CPUS_ONLINE = "/sys/devices/system/cpu/cpu[1-9]*/online"


class Console:
    """The back-end, the device, and its ports by name."""

    def __init__(self, t, ports, *options, attach=(), stdio=None):
        """ports: {name: kind}, kind as in --port; a name that ends in ! is a terminal's"""
        self.t, self.paths, words = t, {}, []
        for name, kind in ports.items():
            name, terminal = name.rstrip("!"), name.endswith("!")
            self.paths[name] = t.tmp / name
            words += ["--port", f"{name}={kind}:{self.paths[name]}"]
            words += ["--console"] if terminal else []
        self.terminals = [name.rstrip("!") for name in ports if name.endswith("!")]
        self.words = words + list(options)
        self.backend = t.backend("vhost-user-console", *self.words)
        self.device = t.attach("console", *attach, socket=self.backend.socket)

    def restart(self):
        self.backend = self.t.backend("vhost-user-console", *self.words,
                                      socket=self.backend.socket)

    def find(self, name):
        """/dev/vportNpM of the port with this name, or None."""
        for path in glob.glob("/sys/class/virtio-ports/*/name"):
            try:
                if Path(path).read_text().strip() == name:
                    return "/dev/" + Path(path).parent.name
            except OSError:  # it went just now
                pass
        return None

    def node(self, name):
        return self.t.within(10, lambda: self.find(name), f"the port {name}")

    def hvc(self):
        """The one terminal's node, when the driver has made it one."""
        def look():
            return [n for n in (self.device.info() or {"nodes": []})["nodes"]
                    if n.startswith("/dev/hvc")]
        return self.t.within(15, look, "a node /dev/hvcN in virtio-loopback list")[0]

    def end(self):
        self.device.detach()
        self.backend.terminate()


def connect(t, path):
    s = socket.socket(socket.AF_UNIX)
    t.at_end(s.close)
    s.connect(str(path))
    return s


def open_fd(t, path, flags=os.O_RDWR | os.O_NOCTTY):
    """Closed at the end of the test, unless the test has done so by close_fd()."""
    fd = os.open(path, flags)
    t.at_end(close_fd, fd)
    return fd


def close_fd(fd):
    try:
        os.close(fd)
    except OSError:
        pass


def events(fd, wanted=select.POLLIN | select.POLLOUT):
    poll = select.poll()
    poll.register(fd, wanted)
    return dict(poll.poll(0)).get(fd, 0)


def host_is_there(t, fd, there=True):
    t.within(10, lambda: bool(events(fd) & select.POLLHUP) != there,
             f"POLLHUP of the port {'gone' if there else 'seen'}")


def raw(fd):
    tty.setraw(fd, termios.TCSANOW)
    return fd


def host_end(t, console, name):
    """A descriptor of the host's side."""
    path = console.paths[name]
    if path.is_socket():
        return connect(t, path).fileno()
    return open_fd(t, path)


# ---- bytes ----

class Stream(threading.Thread):
    """Random bytes from one descriptor to another, with both sums."""

    def __init__(self, source, sink, size, what):
        super().__init__(daemon=True)
        self.source, self.sink, self.size, self.what = source, sink, size, what
        self.sent, self.got = hashlib.sha256(), hashlib.sha256()
        self.received, self.error = 0, None
        self.reader = threading.Thread(target=self.read, daemon=True)

    def run(self):
        block = os.urandom(MIB)
        try:
            left = self.size
            while left:
                # never the same twice: the block's start moves
                start = left % 4093
                data = block[start:start + min(left, CHUNK)]
                self.sent.update(data)
                left -= len(data)
                while data:
                    data = data[os.write(self.source, data):]
        except OSError as e:
            self.error = f"write: {e}"

    def read(self):
        try:
            while self.received < self.size:
                data = os.read(self.sink, CHUNK)
                if not data:
                    self.error = "the end came early"
                    return
                self.received += len(data)
                self.got.update(data)
        except OSError as e:
            self.error = f"read: {e}"


def tell_state(t):
    """What the kernel knows, for whoever reads of the failure."""
    for path in glob.glob("/sys/devices/platform/virtio-loopback.*/*"):
        if path.endswith(("stats", "queues")):
            t.log(f"{path}: {Path(path).read_text()!r}")
    t.run("sh", "-c", "mount -t debugfs d /sys/kernel/debug; head -n 99 /sys/kernel/debug/virtio-ports/*",
          status=None)


def exchange(t, pairs, size, seconds):
    """size bytes each way between the two descriptors of each pair, all at once."""
    streams = [Stream(a, b, size, f"{name}, {way}") for name, guest, host in pairs
               for a, b, way in ((guest, host, "to the host"), (host, guest, "to the driver"))]
    start = time.monotonic()
    for s in streams:
        s.start()
        s.reader.start()
    limit = start + seconds * t.slow
    for s in streams:
        for thread in (s, s.reader):
            thread.join(max(0.1, limit - time.monotonic()))
    if any(s.error or s.received != size for s in streams):
        tell_state(t)
    for s in streams:
        t.check(not s.error, f"{s.what}: {s.error}, after {s.received} of {size} bytes")
        t.equal(s.received, size, f"{s.what}: bytes received")
        t.equal(s.got.hexdigest(), s.sent.hexdigest(), f"{s.what}: SHA-256")
    return time.monotonic() - start


THREE = {"one": "unix", "two": "unix", "three": "pty"}
SIZES = {"2M": Case({"size": 2 * MIB, "seconds": 40}),
         "64M": Case({"size": 64 * MIB, "seconds": 900}, tier="long", kernels=EVERYWHERE)}


@test(timeout=1000, cases=SIZES)
def bytes_arrive(t, size, seconds):
    """Random bytes through three ports at once, in both directions: equal sums."""
    c = Console(t, THREE)
    pairs = []
    for name in THREE:
        host = host_end(t, c, name)
        guest = open_fd(t, c.node(name))
        host_is_there(t, guest)
        pairs.append((name, guest, host))
    took = exchange(t, pairs, size, seconds)
    t.log(f"{len(pairs)} ports, {size >> 20} MiB each way: {took:.2f} s, "
          f"{2 * len(pairs) * size / took / MIB:.1f} MiB/s together")
    for _, guest, _ in pairs:
        close_fd(guest)
    c.end()


@test(timeout=60, kernels=ALL)
def smoke(t):
    """A named port and a terminal: a few bytes each way."""
    c = Console(t, {"data": "unix", "term!": "pty"})
    host = connect(t, c.paths["data"]).fileno()
    guest = open_fd(t, c.node("data"))
    host_is_there(t, guest)
    exchange(t, [("data", guest, host)], 65536, 20)
    slave = open_fd(t, c.paths["term"])
    terminal = raw(open_fd(t, c.hvc()))
    exchange(t, [("term", terminal, slave)], 4096, 20)
    close_fd(terminal)
    close_fd(guest)
    c.end()


# A pair of pseudo-terminals, as the peer: what a byte costs that only crosses the kernel.
@test(timeout=600, tier="long")
def throughput(t):
    """A port on a pty against a pair of ptys alone, in turns: figures for the log."""
    size = 16 * MIB
    c = Console(t, {"port": "pty"})
    slave = open_fd(t, c.paths["port"])
    guest = open_fd(t, c.node("port"))
    host_is_there(t, guest)
    master, plain = pty.openpty()
    raw(plain)
    t.at_end(close_fd, master)
    t.at_end(close_fd, plain)
    for turn in range(3):
        ours = exchange(t, [("port", guest, slave)], size, 150)
        peer = exchange(t, [("pty", master, plain)], size, 150)
        t.figure(f"turn {turn + 1}", f"{size >> 20} MiB each way: port {ours:.2f} s "
                 f"({2 * size / ours / MIB:.1f} MiB/s), pty pair {peer:.2f} s "
                 f"({2 * size / peer / MIB:.1f} MiB/s)")
    close_fd(guest)
    c.end()


# ---- opening and closing ----

def read_some(fd, count, seconds, t):
    """count bytes, or what came in that time."""
    data = b""
    limit = time.monotonic() + seconds * t.slow
    while len(data) < count and time.monotonic() < limit:
        if events(fd, select.POLLIN) & select.POLLIN:
            part = os.read(fd, count - len(data))
            if not part:
                break
            data += part
        else:
            time.sleep(0.005)
    return data


@test(timeout=60)
def open_and_close(t):
    """Either side sees the other come and go, and what was sent before arrives before."""
    c = Console(t, {"sock": "unix", "term": "pty"})
    guest = open_fd(t, c.node("sock"))
    host_is_there(t, guest, False)
    client = connect(t, c.paths["sock"])
    host_is_there(t, guest)
    client.sendall(b"before the end")
    client.close()
    t.equal(read_some(guest, 14, 10, t), b"before the end", "what the client sent before it left")
    host_is_there(t, guest, False)
    t.equal(os.read(guest, 16), b"", "read at the driver's side with nobody there")

    # the driver's side closes: the client sees the end, after all that was written
    client = connect(t, c.paths["sock"])
    host_is_there(t, guest)
    sent = os.urandom(300000)
    writer = threading.Thread(target=lambda: (write_all(guest, sent), close_fd(guest)))
    writer.start()
    got = b""
    client.settimeout(20 * t.slow)
    while part := client.recv(CHUNK):
        got += part
    writer.join()
    t.equal(hashlib.sha256(got).hexdigest(), hashlib.sha256(sent).hexdigest(),
            f"sum of what came before the end ({len(got)} of {len(sent)} bytes)")

    # half a connection: the client sends no more, and still gets the answer
    client = connect(t, c.paths["sock"])
    client.sendall(b"ask")
    client.shutdown(socket.SHUT_WR)
    guest = open_fd(t, c.node("sock"))
    host_is_there(t, guest)
    t.equal(read_some(guest, 3, 10, t), b"ask", "the question")
    os.write(guest, b"answer")
    t.equal(read_some(client.fileno(), 6, 10, t), b"answer", "the answer after half a close")

    # a pseudo-terminal's slave
    term = open_fd(t, c.node("term"))
    host_is_there(t, term, False)
    for _ in range(3):
        slave = open_fd(t, c.paths["term"])
        host_is_there(t, term)
        os.write(slave, b"last words")
        close_fd(slave)
        t.equal(read_some(term, 10, 10, t), b"last words", "what was typed before the close")
        host_is_there(t, term, False)
    for fd in (guest, term):
        close_fd(fd)
    c.end()


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


@test(timeout=90)
def reader_restarted(t):
    """
    The reader is killed in mid-stream, and another goes on: what the first had not taken from the
    socket is lost with it, the rest comes in order. The writer only waits.
    """
    c = Console(t, {"sock": "unix", "term": "pty"})
    guest = open_fd(t, c.node("sock"))
    numbers = b"".join(struct.pack(">I", n) for n in range(MIB // 2))
    # Python's own reader would go with this process: a program is killed.
    def reader(path):
        return t.start("python3", "-uc", "import socket, sys\ns = socket.socket(socket.AF_UNIX)\n"
                       "s.connect(sys.argv[1])\nwhile d := s.recv(65536):\n"
                       "    open(sys.argv[2], 'ab').write(d)", path, f"{path}.out")
    out = Path(f"{c.paths['sock']}.out")
    first = reader(c.paths["sock"])
    host_is_there(t, guest)
    writer = threading.Thread(target=write_all, args=(guest, numbers), daemon=True)
    writer.start()
    t.within(20, lambda: out.exists() and out.stat().st_size > 100000, "100000 bytes read")
    first.kill()
    before = out.read_bytes()
    t.check(len(before) < len(numbers), "expected the first reader to be killed before the end")
    out.unlink()
    second = reader(c.paths["sock"])
    writer.join(30 * t.slow)
    t.check(not writer.is_alive(), "expected the writer to come to its end, it still writes")
    close_fd(guest)
    t.equal(second.wait(), 0, "the second reader's exit status, at the end of the stream")
    after = out.read_bytes()
    t.equal(before, numbers[:len(before)], f"the first {len(before)} bytes")
    t.equal(after, numbers[-len(after):], f"the last {len(after)} bytes")
    lost = len(numbers) - len(before) - len(after)
    t.log(f"{len(before)} + {len(after)} bytes read, {lost} lost in the killed one's socket")
    t.check(0 <= lost <= MIB, f"expected at most 1 MiB lost with the reader, saw {lost}")

    # The other direction: the reader at the driver's side goes, the host's writer waits.
    slave = open_fd(t, c.paths["term"])
    writer = threading.Thread(target=write_all, args=(slave, numbers), daemon=True)
    node = c.node("term")
    guest = open_fd(t, node)
    writer.start()
    first = read_some(guest, 100000, 20, t)
    close_fd(guest)
    t.check(writer.is_alive(), "expected the writer to wait")
    guest = open_fd(t, node)
    rest = b""
    while not numbers.endswith(rest[-64:]) or len(rest) < 64:
        part = read_some(guest, 1, 20, t)
        t.check(part, f"expected more after {len(rest)} bytes, saw none")
        rest += part + os.read(guest, CHUNK) if events(guest) & select.POLLIN else part
    writer.join(20 * t.slow)
    t.check(not writer.is_alive(), "expected the writer to come to its end, it still writes")
    t.equal(first, numbers[:len(first)], "the first bytes")
    t.equal(hashlib.sha256(rest).hexdigest(), hashlib.sha256(numbers[-len(rest):]).hexdigest(),
            f"sum of the last {len(rest)} bytes")
    close_fd(guest)
    c.end()


# ---- terminals ----

def set_size(fd, cols, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def stty_size(t, node):
    return t.run("stty", "-F", node, "size").strip()


def sizes(kernel_swaps, cols, rows):
    return f"{cols} {rows}" if kernel_swaps else f"{rows} {cols}"


@test(timeout=90, kernels=EVERYWHERE)
def terminal(t):
    """A terminal gets the size of the host's, also when it changes; bytes pass both ways."""
    c = Console(t, {"term!": "pty"})
    node = c.hvc()
    slave = open_fd(t, c.paths["term"])
    hvc = raw(open_fd(t, node))
    seen = {}
    for cols, rows in ((101, 33), (80, 24), (132, 50)):
        t.run("stty", "-F", c.paths["term"], "cols", cols, "rows", rows)
        # Some kernels take the two numbers of the message the other way round.
        either = (f"{rows} {cols}", f"{cols} {rows}")
        t.within(10, lambda: stty_size(t, node) in either, f"size {cols} x {rows} at {node}")
        seen[cols] = stty_size(t, node) == either[0]
    t.equal(len(set(seen.values())), 1, f"one order of columns and rows ({seen})")
    t.log(f"this kernel takes columns and rows {'as' if seen[80] else 'not as'} virtio says")
    if t.kernel == "debian-6.12":
        t.check(seen[80], "expected 'ROWS COLUMNS', saw them swapped")
    # A program that has it open sets the size, and types.
    set_size(slave, 90, 30)
    os.write(slave, b"x")
    t.equal(read_some(hvc, 1, 10, t), b"x", "what was typed")
    t.within(10, lambda: stty_size(t, node) in ("30 90", "90 30"), "size 90 x 30")
    exchange(t, [("term", hvc, slave)], 200000, 60)
    # Nobody looks: the output of a terminal is dropped, and no one waits for it.
    close_fd(slave)
    t.run("sh", "-c", f"head -c 300000 /dev/zero > {node}", timeout=20)
    close_fd(hvc)
    c.end()


@test(timeout=60)
def stdio(t):
    """--stdio on a terminal: bytes, SIGWINCH, and its mode afterwards."""
    socket_path = t.tmp / "console.sock"
    pid, master = pty.fork()
    if not pid:
        os.execvp("vhost-user-console", ["vhost-user-console", "--socket-path", str(socket_path),
                                         "--stdio", "--console"])
    t.at_end(close_fd, master)
    set_size(master, 70, 20)
    t.within(10, socket_path.is_socket, "the back-end's socket")
    mode = termios.tcgetattr(master)
    t.check(not mode[3] & termios.ICANON, "expected the terminal in raw mode")
    device = t.attach("console", socket=socket_path)
    node = t.within(15, lambda: [n for n in device.info()["nodes"] if "hvc" in n], "/dev/hvcN")[0]
    hvc = raw(open_fd(t, node))
    t.within(10, lambda: stty_size(t, node) in ("20 70", "70 20"), "size 70 x 20")
    set_size(master, 71, 21)
    t.within(10, lambda: stty_size(t, node) in ("21 71", "71 21"), "size 71 x 21 by SIGWINCH")
    os.write(master, b"to the driver\x03")
    t.equal(read_some(hvc, 14, 10, t), b"to the driver\x03", "typed, Ctrl-C and all")
    os.write(hvc, b"to the host")
    t.equal(read_some(master, 11, 10, t), b"to the host", "put out")
    close_fd(hvc)
    device.detach()
    os.write(master, b"\x1d")  # Ctrl-]
    t.equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, "exit status after Ctrl-]")


# ---- the machine lives on ----

def one_cpu(t):
    for path in map(Path, glob.glob(CPUS_ONLINE)):
        t.at_end(path.write_text, "1")
        path.write_text("0")
    t.equal(os.sysconf("SC_NPROCESSORS_ONLN"), 1, "CPUs online")


def writer(t, node, path):
    """A process that writes the file three times; killed when the test is over."""
    return t.start("sh", "-c", f"exec cat {path} {path} {path} > {node}")


def hold_raw(t, node):
    """A terminal has its mode as long as somebody has it open."""
    return raw(open_fd(t, node)) if "hvc" in node else None


def alive(t):
    """Another process gets its turn, and timers run."""
    start = time.monotonic()
    t.equal(t.run("sh", "-c", "echo $((6 * 7))").strip(), "42", "another process's answer")
    time.sleep(0.05)
    t.check(time.monotonic() - start < 20 * t.slow, "expected an answer at once")


CPUS = {f"{n}-cpu-{which}": Case({"cpus": n, "console": which == "hvc"},
                                 kernels=EVERYWHERE if (n, which) == (1, "hvc") else None,
                                 tier="long" if (n, which) == (2, "port") else "check")
        for n in (1, 2) for which in ("hvc", "port")}


@test(timeout=100, cases=CPUS)
def backend_stopped(t, cpus, console):
    """
    The back-end is stopped while a process writes to a terminal, or a port: the process waits, others
    run; when the back-end goes on, not a byte is missing. Then it is killed in the same state.
    """
    if cpus == 1:
        one_cpu(t)
    name = "port!" if console else "port"
    c = Console(t, {name: "pty", "other": "unix"}, attach=("--heartbeat", "0"))
    slave = open_fd(t, c.paths["port"])
    node = c.hvc() if console else c.node("port")
    data = t.tmp / "data"
    data.write_bytes(os.urandom(MIB // 8 if console else MIB // 2))
    total = 3 * data.stat().st_size
    hold = hold_raw(t, node)
    c.backend.stop()
    process = writer(t, node, data)
    # more than all buffers on the way take: it has to wait in the end
    time.sleep(1.5)
    for _ in range(3):
        alive(t)
    t.check(process.alive(), f"expected the writer to wait, it ended: {process.said()}")
    # asleep where a signal wakes it; hvc looks after it now and then
    t.within(10, lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
             == "S", "the writer asleep")
    # the other port can be opened and closed, which is told to a back-end that does not listen
    for _ in range(5):
        os.close(os.open(c.node("other"), os.O_RDWR))
    c.backend.resume()
    got = read_some(slave, total, 60, t)
    t.equal(hashlib.sha256(got).hexdigest(), hashlib.sha256(data.read_bytes() * 3).hexdigest(),
            f"sum of what came once it went on ({len(got)} of {total} bytes)")
    t.equal(process.wait(), 0, "the writer's exit status")

    # Killed while somebody writes; the device goes, and comes back with the next one. (A terminal
    # that is gone and still opened is in the way of the next of its number on Linux 6.1.)
    if hold is not None:
        close_fd(hold)
    c.backend.stop()
    process = writer(t, node, data)
    time.sleep(0.5)
    c.backend.kill()
    alive(t)
    status = process.wait(30)
    t.check(status != 0, f"expected the writer to get an error, saw status {status}")
    c.restart()
    t.within(20, lambda: (c.device.info() or {}).get("state") == "running", "the device running")
    node = c.hvc() if console else c.node("port")
    process = writer(t, node, data)
    # unplugged with force while the back-end is stopped
    c.backend.stop()
    time.sleep(0.3)
    alive(t)
    c.device.detach("--force")
    process.wait(30)
    alive(t)
    c.backend.resume()
    c.backend.terminate()


@test(timeout=120, cases={"1-cpu": {"cpus": 1}, "2-cpus": {"cpus": 2}})
def terminal_both_ways(t, cpus):
    """Input and output at once: the case in which a driver that spins meets itself."""
    if cpus == 1:
        one_cpu(t)
    c = Console(t, {"term!": "pty"})
    slave = open_fd(t, c.paths["term"])
    hvc = raw(open_fd(t, c.hvc()))
    # all that is typed is echoed, in the interrupt and from the worker alike
    mode = termios.tcgetattr(hvc)
    mode[3] |= termios.ECHO
    termios.tcsetattr(hvc, termios.TCSANOW, mode)
    typed = bytes(b"abcdefghijklmnopqrstuvwxyz"[i % 26] for i in range(60000))
    threads = [threading.Thread(target=write_all, args=(slave, typed), daemon=True),
               threading.Thread(target=write_all, args=(hvc, b"." * 300000), daemon=True)]
    for thread in threads:
        thread.start()
    got = b""
    seen = b""
    limit = time.monotonic() + 60 * t.slow
    while time.monotonic() < limit and (len(got) < len(typed) or seen.count(b".") < 300000):
        if events(hvc, select.POLLIN) & select.POLLIN:
            got += os.read(hvc, CHUNK)
        elif events(slave, select.POLLIN) & select.POLLIN:
            seen += os.read(slave, CHUNK)
        else:
            time.sleep(0.002)
    t.equal(len(got), len(typed), "bytes typed that arrived")
    t.equal(got, typed, "what was typed")
    t.equal(seen.count(b"."), 300000, "dots put out")
    for thread in threads:
        thread.join(10)
    close_fd(hvc)
    c.end()


@test(timeout=120)
def messages_not_taken(t):
    """
    Control messages that a stopped back-end does not take: when there is room for no more the device is
    unplugged. Nobody hangs, and the next back-end has it again.
    """
    c = Console(t, {"port": "unix"}, attach=("--heartbeat", "0"))
    node = c.node("port")
    c.backend.stop()
    count, limit = 0, time.monotonic() + 20 * t.slow
    try:
        # The port goes some time after the message that there was no room for.
        while time.monotonic() < limit:
            os.close(os.open(node, os.O_RDWR))
            count += 1
        t.fail(f"expected the port to go, saw it opened and closed {count} times")
    except OSError as e:
        t.log(f"after {count} times opened and closed: {e}")
    t.check(count > 100, f"expected the port to go after some hundred times, saw {count}")
    alive(t)
    t.within(20, lambda: (c.device.info() or {}).get("state") == "waiting", "state waiting")
    c.backend.kill()
    c.restart()
    t.within(20, lambda: (c.device.info() or {}).get("state") == "running", "the device running")
    guest = open_fd(t, c.node("port"))
    connect(t, c.paths["port"])
    host_is_there(t, guest)
    close_fd(guest)
    c.end()


# ---- coming and going ----

COUNTS = {"10": Case({"count": 10}), "50": Case({"count": 50}, tier="long", kernels=EVERYWHERE)}


@test(timeout=900, cases=COUNTS)
def attach_and_detach(t, count):
    """Again and again, with bytes under way on every port."""
    c = Console(t, {"one": "unix", "two!": "pty"})
    slave = open_fd(t, c.paths["two"])

    def drain():
        while True:
            try:
                if not os.read(slave, CHUNK):
                    return
            except OSError:
                return
    threading.Thread(target=drain, daemon=True).start()
    zero = t.image(8 * MIB, fill=0x5a)
    for turn in range(count):
        client = connect(t, c.paths["one"])
        threading.Thread(target=swallow, args=(client,), daemon=True).start()
        processes = [writer(t, c.node("one"), zero), writer(t, c.hvc(), zero)]
        time.sleep(0.1)
        c.device.detach("--force")
        for p in processes:
            p.wait(20)
        client.close()
        c.device = t.attach("console", socket=c.backend.socket)
    t.check(c.backend.alive(), "expected the back-end to serve on")
    c.end()


def swallow(client):
    try:
        while client.recv(CHUNK):
            pass
    except OSError:
        pass


@test(timeout=90, kernels=EVERYWHERE)
def driver_rebound(t):
    """The driver lets go and takes the device again, and the back-end killed and back."""
    c = Console(t, {"one": "unix", "two!": "pty"})
    driver = Path("/sys/bus/virtio/drivers/virtio_console")
    for _ in range(3):
        guest = open_fd(t, c.node("one"))
        client = connect(t, c.paths["one"])
        host_is_there(t, guest)
        (driver / "unbind").write_text(c.device.virtio)
        client.settimeout(10 * t.slow)
        t.equal(client.recv(1), b"", "what the client sees when the driver goes")
        t.check(events(guest) & select.POLLHUP, "expected POLLHUP of a port without a device")
        close_fd(guest)
        (driver / "bind").write_text(c.device.virtio)
    exchange_once(t, c)
    for _ in range(3):
        c.backend.kill()
        t.within(20, lambda: c.find("one") is None, "the port gone")
        c.restart()
        t.within(20, lambda: (c.device.info() or {}).get("state") == "running",
                 "the device running")
        exchange_once(t, c)
    c.end()


def exchange_once(t, c):
    client = connect(t, c.paths["one"])
    guest = open_fd(t, c.node("one"))
    host_is_there(t, guest)
    exchange(t, [("one", guest, client.fileno())], 10000, 20)
    close_fd(guest)
    slave = open_fd(t, c.paths["two"])
    hvc = raw(open_fd(t, c.hvc()))
    exchange(t, [("two", hvc, slave)], 3000, 20)
    close_fd(hvc)
    close_fd(slave)


# ---- the program ----

BAD = {
    "no port": ((), "which ports?"),
    "a terminal without a port": (("--console",), "--console"),
    "no name": (("--port", "=pty:x"), "a name"),
    "no kind": (("--port", "x=tcp:1"), "pty:LINK"),
    "no path": (("--pty", ""), "needs a path"),
    "a folder that is not there": (("--pty", "/nowhere/at/all"), "/nowhere/at/all"),
    "a socket that cannot be": (("--unix", "/nowhere/at/all"), "/nowhere/at/all"),
    "a link that is a file": (("--pty", "/etc/passwd"), "/etc/passwd"),
    "two of one name": (("--port", "a=stdio", "--port", "a=pty:/tmp/x"), "two ports"),
    "standard input twice": (("--stdio", "--stdio"), "two ports to stdio"),
    "too many": (sum((("--pty", f"/tmp/p{i}") for i in range(40)), ()), "more than"),
}


@test(timeout=60, kernels=("debian-6.12",))
def bad_command_lines(t):
    """One clear line, status 1, and nothing left behind."""
    for what, (words, expected) in BAD.items():
        said = t.run("vhost-user-console", "--socket-path", t.tmp / "s", *words, status=1)
        t.equal(len(said.strip().splitlines()), 1, f"{what}: lines")
        t.check(expected in said, f"{what}: expected {expected!r}, saw {said!r}")
        t.equal(list(t.tmp.glob("s*")), [], f"{what}: what is left behind")
    t.tmp.chmod(0o711)
    for kind in ("pty", "unix"):
        said = t.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                     "--inh-caps=-all", "vhost-user-console", "--socket-path", "/tmp/s",
                     f"--{kind}", t.tmp / "port", status=1)
        t.check(said.count("\n") == 1 and f"{t.tmp}/port: " in said
                and said.endswith(": Permission denied\n"),
                f"{kind}: expected one line that ends in 'Permission denied', saw {said!r}")
    t.check('"console"' in t.run("vhost-user-console", "--print-capabilities", "--nonsense"),
            "expected the type in --print-capabilities")


@test(timeout=60, kernels=("debian-6.12",))
def small_and_unprivileged(t):
    """A user's program: it needs no root, and less than 1 MiB of its own."""
    c_socket = t.tmp / "s"
    t.tmp.chmod(0o777)
    backend = t.backend("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                        "--inh-caps=-all", "vhost-user-console",
                        "--port", f"one=unix:{t.tmp}/one", "--pty", f"{t.tmp}/two",
                        "--socket-path", c_socket, socket=c_socket)
    device = t.attach("console", socket=backend.socket)
    client = connect(t, t.tmp / "one")
    guest = open_fd(t, [n for n in device.nodes if n.endswith("p0")][0])
    host_is_there(t, guest)
    exchange(t, [("one", guest, client.fileno())], MIB, 30)
    rollup = Path(f"/proc/{backend.pid}/smaps_rollup").read_text().splitlines()
    private = sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))
    t.log(f"{private} KiB private")
    t.check(private < 1024, f"expected less than 1024 KiB of private memory, saw {private}")
    close_fd(guest)
    device.detach()
    backend.terminate()

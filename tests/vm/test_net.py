# SPDX-License-Identifier: BSD-3-Clause
"""Network back-ends of others behind virtio_net: passt, and DPDK's testpmd.

The interface is moved into a network namespace, so that what it sends does come by the back-end. passt
answers for a gateway, whose address stands for the machine's own loopback; testpmd forwards between two
devices, and each is in a namespace of its own.
"""

import filecmp
import json
import os
import re
from pathlib import Path

from harness import test
from peers import Namespace, Newer

HERE, GATEWAY = "192.0.2.1", "192.0.2.254"
PORT, INBOUND = 5201, 5301
LEFT, RIGHT = "192.0.2.1", "192.0.2.2"
MACS = ("02:00:00:00:00:0a", "02:00:00:00:00:0b")
# feature bits of virtio 1.3, 5.1.3
CSUM, GUEST_CSUM, MTU, MAC, MRG_RXBUF, STATUS, MQ = 0, 1, 3, 5, 15, 16, 22
# ... and of the transport, 6
RING_PACKED, IN_ORDER = 34, 35


def features(t, device):
    """What the driver took."""
    said = t.run("virtio-loopback", "stats", device.name)
    words = dict(line.split(None, 1) for line in said.splitlines() if len(line.split()) == 2)
    return int(words["features_driver"], 16)


def carrier(space, interface):
    return space.read(f"/sys/class/net/{interface}/carrier")


def ping(newer, space, address, size=56, count=3):
    said = newer.run("ping", "-c", str(count), "-i", "0.2", "-W", "5", "-M", "dont", "-s", str(size),
                     address, netns=space.name)
    newer.t.check(f"{count} received" in said, f"ping {address}: expected {count} answers of {size} "
                  f"bytes, saw {said[-300:]!r}")


def iperf(t, newer, space, address, port, *more):
    """Return: bytes that arrived."""
    said = newer.run("iperf3", "-J", "-t", "2", "-c", address, "-p", str(port), *more,
                     netns=space.name if space else None)
    moved = json.loads(said[said.index("{"):])["end"]["sum_received"]["bytes"]
    t.check(moved > 100000, f"iperf3 {' '.join(more)}: expected more than 100000 bytes, saw {moved}")
    t.log(f"iperf3 {' '.join(more)}: {moved} bytes in 2 s")
    return moved


def listens(t, port, space=None):
    enter = ("ip", "netns", "exec", space.name) if space else ()
    t.within(10, lambda: t.run(*enter, "ss", "-Hltn", f"sport = :{port}").strip(), f"port {port}")


def serve(t, newer, port, space=None):
    server = newer.start("iperf3", "-s", "-p", str(port), netns=space.name if space else None)
    listens(t, port, space)
    return server


def transfer(t, sender, address, receiver=None):
    """A file by TCP: what arrives is what was sent."""
    sent, got = t.tmp / "sent", t.tmp / "got"
    sent.write_bytes(os.urandom(2 << 20))
    got.unlink(missing_ok=True)
    inside = ("ip", "netns", "exec", receiver.name) if receiver else ()
    sink = t.start(*inside, "socat", "-u", "TCP-LISTEN:7001,reuseaddr", f"CREATE:{got}")
    listens(t, 7001, receiver)
    t.run("ip", "netns", "exec", sender.name, "socat", "-u", f"OPEN:{sent}", f"TCP:{address}:7001")
    t.equal(sink.wait(20), 0, "the receiver's status")
    t.check(filecmp.cmp(sent, got, shallow=False), "expected the file that was sent, saw another")


# ---- passt ----

class Passt:
    """passt, and the machine's side of its network: an interface that it copies addresses from."""

    def __init__(self, t):
        self.t, self.newer = t, Newer(t)
        t.run("ip", "link", "set", "lo", "up")
        t.module("dummy")
        t.run("ip", "link", "add", "uplink", "type", "dummy")
        t.at_end(t.run, "ip", "link", "delete", "uplink")
        t.run("ip", "address", "add", f"{HERE}/24", "dev", "uplink")
        t.run("ip", "link", "set", "uplink", "up")
        t.run("ip", "route", "add", "default", "via", GATEWAY)
        Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 2147483647")
        # what it becomes when root starts it must be allowed to make its socket
        self.folder = t.tmp / "passt"
        self.folder.mkdir()
        self.folder.chmod(0o777)
        t.tmp.chmod(0o755)
        self.socket = self.folder / "passt.sock"
        self.start()

    def start(self):
        self.socket.unlink(missing_ok=True)
        self.process = self.newer.backend(
            self.socket, "passt", "--vhost-user", "--foreground", "--ipv4-only", "--socket",
            str(self.socket), "--interface", "uplink", "--tcp-ports", str(INBOUND))

    def namespace(self, device, name="vm"):
        """The interface, as passt thinks that it is set up."""
        space = Namespace(self.t, name, device.node)
        space.ip("address", "add", f"{HERE}/24", "dev", device.node)
        space.ip("link", "set", device.node, "up")
        space.ip("route", "add", "default", "via", GATEWAY)
        return space


@test(timeout=120, tier="interop", kernels=("debian-6.12",), tags=("net",))
def passt(t):
    """ping up to 8900 bytes, TCP both ways by iperf3 and a file, in and out, MAC address, MTU."""
    peer = Passt(t)
    newer = peer.newer
    t.peer("passt", newer.version("passt"), "net")
    device = t.attach("net", "--mac", MACS[0], socket=peer.socket)
    space = peer.namespace(device)
    t.equal(space.read(f"/sys/class/net/{device.node}/address"), MACS[0], "MAC address")
    for size in (56, 1400):  # fragments are not for passt
        ping(newer, space, GATEWAY, size)
    serve(t, newer, PORT)
    iperf(t, newer, space, GATEWAY, PORT)
    iperf(t, newer, space, GATEWAY, PORT, "--reverse")
    iperf(t, newer, space, GATEWAY, PORT, "--udp", "--bitrate", "4M")
    space.ip("link", "set", device.node, "mtu", "9000")
    ping(newer, space, GATEWAY, 8900)
    iperf(t, newer, space, GATEWAY, PORT, "--parallel", "4")
    transfer(t, space, GATEWAY)
    serve(t, newer, INBOUND, space)
    iperf(t, newer, None, "127.0.0.1", INBOUND)
    device.detach("--force")


@test(timeout=120, tier="interop", kernels=("debian-6.12", "debian-7"), tags=("net", "recovery"))
def passt_again(t):
    """Killed and started again: the link goes down and comes back up, and traffic with it."""
    peer = Passt(t)
    t.peer("passt", peer.newer.version("passt"), "net")
    device = t.attach("net", socket=peer.socket)
    space = peer.namespace(device)
    t.check(features(t, device) & 1 << STATUS, "expected VIRTIO_NET_F_STATUS, saw none")
    for turn in range(3):
        t.equal(carrier(space, device.node), "1", f"carrier, turn {turn}")
        ping(peer.newer, space, GATEWAY)
        peer.process.kill()
        t.within(10, lambda: carrier(space, device.node) == "0", "no carrier without a back-end")
        peer.start()
        t.within(20, lambda: carrier(space, device.node) == "1", "carrier with the next back-end")
    ping(peer.newer, space, GATEWAY)
    device.detach("--force")


def veth(t):
    """A pair of interfaces that only crosses the kernel, each in a namespace of its own."""
    t.module("veth")
    t.run("ip", "link", "add", "pair0", "type", "veth", "peer", "name", "pair1")
    spaces = [Namespace(t, f"pair{n}", f"pair{n}") for n in range(2)]
    for n, space in enumerate(spaces):
        space.ip("address", "add", f"198.51.100.{n + 1}/24", "dev", f"pair{n}")
        space.ip("link", "set", f"pair{n}", "up")
    return spaces


def speed(newer, space, address, *more):
    """MiB a second, in five seconds."""
    said = newer.run("iperf3", "-J", "-t", "5", "-c", address, "-p", str(PORT), *more,
                     netns=space.name)
    return json.loads(said[said.index("{"):])["end"]["sum_received"]["bits_per_second"] / (8 << 20)


# As console.throughput: figures for docs/performance.md.
@test(timeout=900, tier="long", kernels=("debian-6.12",), tags=("net",))
def throughput(t):
    """TCP by passt through virtio-loopback, through VDUSE, and by a veth pair, in turns."""
    peer = Passt(t)
    newer = peer.newer
    left, right = veth(t)
    serve(t, newer, PORT, right)
    serve(t, newer, PORT)

    def moved(space, address):
        return [speed(newer, space, address, *way) for way in ((), ("--reverse",))]

    for turn in range(4):
        seen = {"veth": moved(left, "198.51.100.2")}
        for transport in ("loopback", "vduse"):
            if peer.process.alive():
                peer.process.kill()
            peer.start()
            device = t.attach("net", "--transport", transport, socket=peer.socket)
            seen[transport] = moved(peer.namespace(device, f"{transport}{turn}"), GATEWAY)
            device.detach("--force")
        if turn:  # what the first needs comes from the disk
            t.figure(f"turn {turn}", "MiB a second out, in: " + "; ".join(
                f"{name} {out:.1f}, {back:.1f}" for name, (out, back) in seen.items()))


# ---- DPDK ----

class Testpmd:
    """Two devices, and what one sends the other gets."""

    def __init__(self, t, *attach, queues=1, mbuf=2176):
        self.t, self.newer = t, Newer(t)
        sockets = [t.tmp / f"dpdk{n}.sock" for n in range(2)]
        ports = [word for n, path in enumerate(sockets)
                 for word in ("--vdev", f"net_vhost{n},iface={path},queues={queues}")]
        self.sockets = sockets
        self.words = [
            "dpdk-testpmd", "--lcores", "0,1", "--no-huge", "-m", "192", "--no-pci",
            "--no-telemetry", "--iova-mode=va", "--file-prefix", "test", *ports, "--",
            "--total-num-mbufs=4096", f"--mbuf-size={mbuf}", "--no-mlockall", f"--rxq={queues}",
            f"--txq={queues}", "--forward-mode=io", "--stats-period=20", "--auto-start"]
        self.serve()
        self.devices, self.spaces = [], []
        for n, address in enumerate((LEFT, RIGHT)):
            device = t.attach("net", "--mac", MACS[n], *attach, socket=sockets[n])
            space = Namespace(t, f"side{n}", device.node)
            space.ip("address", "add", f"{address}/24", "dev", device.node)
            space.ip("link", "set", device.node, "up")
            self.devices.append(device)
            self.spaces.append(space)

    def serve(self):
        for path in self.sockets:
            path.unlink(missing_ok=True)
        self.process = self.newer.backend(self.sockets[1], *self.words)

    def interface(self, n):
        return self.devices[n].node

    def pairs(self, number):
        """How many pairs of virtqueues the driver is to use, on both sides."""
        for n, space in enumerate(self.spaces):
            self.newer.run("ethtool", "-L", self.interface(n), "combined", str(number),
                           netns=space.name)

    def calls(self, n):
        """Of each pair's receive queue."""
        said = self.t.run("virtio-loopback", "stats", self.devices[n].name)
        return [int(count) for index, count in re.findall(r"virtqueue (\d+) .*calls (\d+)", said)
                if int(index) in (0, 2)]

    def end(self):
        for device in self.devices:
            device.detach("--force")


@test(timeout=180, tier="interop", kernels=("debian-6.12",), tags=("net",))
def testpmd(t):
    """Forwards between two devices: ping, iperf3 both ways, a file, with checksum offload and without."""
    peer = Testpmd(t)
    newer, (left, right) = peer.newer, peer.spaces
    t.peer("DPDK testpmd (net_vhost)", newer.version("dpdk-dev"), "net")
    for n, space in enumerate(peer.spaces):
        t.equal(space.read(f"/sys/class/net/{peer.interface(n)}/address"), MACS[n], "MAC address")
        taken = features(t, peer.devices[n])
        for bit in (CSUM, MAC, MRG_RXBUF, STATUS):
            t.check(taken & 1 << bit, f"expected feature bit {bit}, saw {taken:#x}")
    for size in (56, 1400, 20000):
        ping(newer, left, RIGHT, size)
    serve(t, newer, PORT, right)
    iperf(t, newer, left, RIGHT, PORT)
    iperf(t, newer, left, RIGHT, PORT, "--reverse")
    transfer(t, left, RIGHT, right)
    for n, space in enumerate(peer.spaces):
        newer.run("ethtool", "-K", peer.interface(n), "tx", "off", netns=space.name)
    iperf(t, newer, left, RIGHT, PORT)
    transfer(t, left, RIGHT, right)
    peer.end()


@test(timeout=180, tier="interop", kernels=("debian-6.12",), tags=("net",))
def testpmd_mtu(t):
    """An MTU of 4000 is the driver's, and is told to the back-end; two queue pairs offered, one used."""
    peer = Testpmd(t, "--mtu", 4000, queues=2, mbuf=4608)
    newer, (left, right) = peer.newer, peer.spaces
    t.peer("DPDK testpmd (net_vhost)", newer.version("dpdk-dev"), "net")
    for n, space in enumerate(peer.spaces):
        t.check(features(t, peer.devices[n]) & 1 << MTU, "expected VIRTIO_NET_F_MTU")
        t.equal(space.read(f"/sys/class/net/{peer.interface(n)}/mtu"), "4000", "MTU")
    ping(newer, left, RIGHT, 3900)
    serve(t, newer, PORT, right)
    iperf(t, newer, left, RIGHT, PORT)
    transfer(t, left, RIGHT, right)
    peer.end()


def carried(t, peer):
    """Return: which pairs brought something to the right side while iperf3 sent there."""
    before = peer.calls(1)
    iperf(t, peer.newer, peer.spaces[0], RIGHT, PORT, "--parallel", "8")
    return [after > count for after, count in zip(peer.calls(1), before)]


@test(timeout=240, tier="interop", kernels=("debian-6.12",), tags=("net",))
def testpmd_pairs(t):
    """Two pairs of virtqueues: both carry, then one, then both, and so past an upgrade."""
    peer = Testpmd(t, "--queues", 2, queues=2)
    newer, (left, right) = peer.newer, peer.spaces
    t.peer("DPDK testpmd (net_vhost)", newer.version("dpdk-dev"), "net")
    for n in range(2):
        said = newer.run("ethtool", "-l", peer.interface(n), netns=peer.spaces[n].name)
        t.equal(re.findall(r"Combined:\s+(\d+)", said), ["2", "2"], "pairs at most, and in use")
        t.equal(features(t, peer.devices[n]) >> MQ & 1, 1, "VIRTIO_NET_F_MQ")
    ping(newer, left, RIGHT)
    serve(t, newer, PORT, right)
    for turn in range(2):
        t.equal(carried(t, peer), [True, True], "which pairs carry")
        peer.pairs(1)
        t.equal(carried(t, peer), [True, False], "which pairs carry when one is in use")
        for device in peer.devices:
            t.run("virtio-loopback", "upgrade", device.name)
        peer.pairs(2)
    transfer(t, left, RIGHT, right)
    peer.end()


@test(timeout=240, tier="interop", kernels=("debian-6.12", "debian-7"), tags=("net", "recovery"))
def testpmd_pairs_again(t):
    """The back-end is killed and started again: it is told once more which pairs are in use."""
    peer = Testpmd(t, "--queues", 2, "--reconnect", "forever", queues=2)
    newer, (left, right) = peer.newer, peer.spaces
    t.peer("DPDK testpmd (net_vhost)", newer.version("dpdk-dev"), "net")
    serve(t, newer, PORT, right)
    ping(newer, left, RIGHT)
    for pairs in (1, 2):
        peer.pairs(pairs)
        peer.process.kill()
        for n in range(2):
            t.within(10, lambda: carrier(peer.spaces[n], peer.interface(n)) == "0",
                     f"no carrier at side {n} without a back-end")
        # asked for while nobody is there
        peer.pairs(3 - pairs)
        peer.serve()
        for n in range(2):
            t.within(30, lambda: carrier(peer.spaces[n], peer.interface(n)) == "1",
                     f"carrier at side {n} with the next back-end")
        ping(newer, left, RIGHT, count=5)
        t.equal(carried(t, peer), [True, pairs == 1], f"which pairs carry, {3 - pairs} in use")
    peer.end()


@test(timeout=240, tier="interop", kernels=("debian-6.12", "debian-7"), tags=("net",))
def testpmd_packed(t):
    """Packed virtqueues, of a size that is no power of two; no other back-end can go on with them."""
    peer = Testpmd(t, "--packed", "--queue-size", 200, "--reconnect", "off")
    newer, (left, right) = peer.newer, peer.spaces
    t.peer("DPDK testpmd (net_vhost)", newer.version("dpdk-dev"), "net, packed")
    for n, space in enumerate(peer.spaces):
        t.equal(features(t, peer.devices[n]) >> RING_PACKED & 1, 1, "VIRTIO_F_RING_PACKED")
        said = newer.run("ethtool", "-g", peer.interface(n), netns=space.name)
        t.equal(re.findall(r"RX:\s+(\d+)", said), ["200", "200"], "size of the ring, at most and now")
    for size in (56, 1400, 20000):
        ping(newer, left, RIGHT, size)
    serve(t, newer, PORT, right)
    iperf(t, newer, left, RIGHT, PORT)
    iperf(t, newer, left, RIGHT, PORT, "--reverse")
    transfer(t, left, RIGHT, right)
    peer.process.kill()
    for device in peer.devices:
        t.within(20, lambda d=device: d.name not in t.run("virtio-loopback", "list"),
                 f"{device.name} to go with its back-end")


@test(timeout=240, tier="interop", kernels=("debian-7",), tags=("net", "recovery"))
def testpmd_in_order(t):
    """Buffers used in their order (a driver that can: Linux 7), past a back-end that was killed."""
    peer = Testpmd(t, "--reconnect", "forever")
    newer, (left, right) = peer.newer, peer.spaces
    t.peer("DPDK testpmd (net_vhost)", newer.version("dpdk-dev"), "net, in order")
    for device in peer.devices:
        t.equal(features(t, device) >> IN_ORDER & 1, 1, "VIRTIO_F_IN_ORDER")
    serve(t, newer, PORT, right)
    for turn in range(3):
        ping(newer, left, RIGHT, 1400)
        iperf(t, newer, left, RIGHT, PORT)
        peer.process.kill()
        for n in range(2):
            t.within(10, lambda n=n: carrier(peer.spaces[n], peer.interface(n)) == "0",
                     f"turn {turn}: no carrier at side {n} without a back-end")
        peer.serve()
        for n in range(2):
            t.within(30, lambda n=n: carrier(peer.spaces[n], peer.interface(n)) == "1",
                     f"turn {turn}: carrier at side {n} with the next back-end")
    transfer(t, left, RIGHT, right)
    peer.end()

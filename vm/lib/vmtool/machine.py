# SPDX-License-Identifier: BSD-3-Clause
"""The virtual machine: QEMU's command line for each architecture."""

from . import report

# None of these kinds may be added: a virtio disk, network, sound, GPU, console
# or rng of the guest's own could be taken for one of ours. 9p carries files.
ARCH = {
    "amd64": {
        "qemu": "qemu-system-x86_64", "package": "qemu-system-x86",
        "machine": "q35,usb=off,vmport=off", "cpu": "max,la57=off", "kvm_cpu": "host",
        # Each round of a string instruction counts as one: a memset byte by byte, which
        # this flag asks for, would weigh eight times what it weighs by words.
        "icount_cpu": ",erms=off", "console": "ttyS0",
        "append": "tsc=reliable mitigations=off no_timer_check",
    },
    "arm64": {
        "qemu": "qemu-system-aarch64", "package": "qemu-system-arm",
        "machine": "virt", "cpu": "cortex-a72", "kvm_cpu": "host", "icount_cpu": "",
        "console": "ttyAMA0",
        # With page table isolation system calls cost fifteen times as much under TCG.
        "append": "kpti=off mitigations=off",
    },
}

APPEND = ("ignore_loglevel panic=-1 printk.devkmsg=on random.trust_cpu=on "
          "watchdog_thresh=30 rcupdate.rcu_cpu_stall_timeout=60 net.ifnames=0")

# The clock leaps while the guest waits for the host: that is no hang.
ICOUNT_APPEND = (" nowatchdog rcupdate.rcu_cpu_stall_suppress=1"
                 " sysctl.kernel.hung_task_timeout_secs=0")


class Machine:
    """One QEMU command line, put together piece by piece."""

    def __init__(self, kernel, smp, mem, icount=False, accel="tcg"):
        self.arch = ARCH[kernel.arch]
        report.need(self.arch["qemu"], self.arch["package"])
        self.argv = [
            self.arch["qemu"], "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-machine", self.arch["machine"], "-m", str(mem),
            "-smp", "1" if icount else str(smp), "-kernel", str(kernel.vmlinuz),
        ]
        if accel == "kvm":
            self.argv += ["-accel", "kvm", "-cpu", self.arch["kvm_cpu"]]
        else:
            thread = "single" if icount else "multi"
            cpu = kernel.desc.get("cpu", self.arch["cpu"])
            cpu += self.arch["icount_cpu"] if icount else ""
            self.argv += ["-accel", f"tcg,thread={thread}", "-cpu", cpu]
        if icount:
            self.argv += ["-icount", "shift=1,sleep=off"]
        self.append = f"console={self.arch['console']} {APPEND} {self.arch['append']}"
        if icount:
            self.append += ICOUNT_APPEND

    def initramfs(self, path):
        self.argv += ["-initrd", str(path)]

    def kernel_log(self, path):
        self.argv += ["-chardev", f"file,id=log,path={_quote(path)}", "-serial", "chardev:log"]

    def second_serial(self, path):
        self.argv += ["-chardev", f"file,id=told,path={_quote(path)}", "-serial", "chardev:told"]

    def monitor(self, path):
        self.argv += ["-qmp", f"unix:{_quote(path)},server=on,wait=off"]

    def share(self, tag, path, writable=False):
        """Show a folder of the host to the guest under a 9p tag."""
        mode = "" if writable else ",readonly=on"
        self.argv += [
            "-fsdev", f"local,id=fs_{tag},path={_quote(path)},security_model=none,"
                      f"multidevs=remap{mode}",
            "-device", f"virtio-9p-pci,fsdev=fs_{tag},mount_tag={tag}"]

    def disk(self, path):
        """A read-only disk that nobody takes for a virtio disk."""
        self.argv += [
            "-drive", f"file={_quote(path)},if=none,id=disk0,format=raw,readonly=on,cache=unsafe",
            "-device", "nvme,drive=disk0,serial=root"]

    def gpu(self):
        """The exception from the rule above: only a measurement asks for it, and knows of it."""
        self.argv += ["-device", "virtio-gpu-pci,xres=1280,yres=800"]

    def plugin(self, words):
        """Of QEMU's TCG: the file, then its own arguments behind commas."""
        self.argv += ["-plugin", words]

    def swap(self, path, size):
        """A disk to hibernate to, the second one of its kind."""
        with open(path, "wb") as f:
            f.truncate(size)
        self.argv += [
            "-drive", f"file={_quote(path)},if=none,id=swap0,format=raw,cache=unsafe",
            "-device", "nvme,drive=swap0,serial=swap"]

    def command(self):
        return self.argv + ["-append", self.append]


def _quote(path):
    """QEMU ends an option's value at a comma; two commas stand for one."""
    return str(path).replace(",", ",,")

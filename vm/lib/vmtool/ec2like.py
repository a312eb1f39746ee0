# SPDX-License-Identifier: BSD-3-Clause
"""A machine as Amazon's EC2 has it: UEFI firmware, NVMe disks, a serial console, no display."""

import shutil
from pathlib import Path

from . import report
from .machine import ARCH

FIRMWARE = {
    "amd64": ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd", "ovmf"),
    "arm64": ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd",
              "qemu-efi-aarch64"),
}
# Graviton 2's, which needs no isolation of page tables: that costs much under emulation.
CPU = {"amd64": ARCH["amd64"]["cpu"], "arm64": "neoverse-n1"}


def seed(work: Path, **files):
    """What cloud-init's NoCloud looks for: a file system with that label and these files."""
    disk = work / "seed.img"
    with open(disk, "wb") as f:
        f.truncate(4 << 20)
    report.run([report.need("mkfs.vfat", "dosfstools"), "-n", "CIDATA", disk], "mkfs.vfat")
    for name, text in files.items():
        path = work / name.replace("_", "-")
        path.write_text(text)
        report.run([report.need("mcopy", "mtools"), "-i", disk, path, "::"], "mcopy")
    return disk


class Machine:
    """One such machine; its firmware's variables are in the working folder."""

    def __init__(self, arch, work: Path, mem=2048, smp=2):
        it = ARCH[arch]
        report.need(it["qemu"], it["package"])
        code, variables, package = FIRMWARE[arch]
        if not Path(code).exists():
            raise report.VmError(f"{code} is not there: apt install {package}")
        self.work = work
        shutil.copy(variables, work / "efivars.fd")
        self.argv = [it["qemu"], "-nodefaults", "-no-user-config", "-display", "none",
                     "-no-reboot", "-machine", it["machine"], "-m", str(mem), "-smp", str(smp),
                     "-accel", "tcg,thread=multi", "-cpu", CPU[arch],
                     "-drive", f"if=pflash,format=raw,readonly=on,file={code}",
                     "-drive", f"if=pflash,format=raw,file={work / 'efivars.fd'}",
                     # nothing outside is reached, but there is a server for addresses
                     "-nic", "user,model=virtio-net-pci,restrict=on"]
        self.disks = 0

    def disk(self, path, serial):
        """An NVMe disk; the first one is booted from."""
        self.disks += 1
        boot = ",bootindex=1" if self.disks == 1 else ""
        self.argv += ["-drive", f"file={path},if=none,id=d{self.disks},format=raw,cache=unsafe",
                      "-device", f"nvme,drive=d{self.disks},serial={serial}{boot}"]

    def command(self, console: Path):
        return self.argv + ["-serial", f"file:{console}"]

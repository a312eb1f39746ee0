# SPDX-License-Identifier: BSD-3-Clause
"""Debian packages by a private apt configuration.

The machine's own apt lists and package database are neither read nor changed,
so a suite other than the machine's own is never mixed into it, and no root is
needed.
"""

import os
import re
import subprocess
import time
from pathlib import Path

from . import paths, report

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def mirror() -> tuple:
    """The archive and security archive that the machine itself uses, else Debian's own."""
    main, security = "http://deb.debian.org/debian", "http://deb.debian.org/debian-security"
    if os.environ.get("VLB_MIRROR"):
        main = os.environ["VLB_MIRROR"].rstrip("/")
    if os.environ.get("VLB_SECURITY_MIRROR"):
        security = os.environ["VLB_SECURITY_MIRROR"].rstrip("/")
    return main, security


class Suite:
    """One Debian release with its security updates, for one architecture."""

    def __init__(self, name, arch="amd64"):
        self.name, self.arch = name, arch
        self.root = paths.cache_dir() / "apt" / f"{name}-{arch}"

    def sources(self):
        main, security = mirror()
        opts = f"[signed-by={KEYRING}]"
        lines = [f"deb {opts} {main} {self.name} main"]
        if self.name != "sid":
            lines.append(f"deb {opts} {security} {self.name}-security main")
            lines.append(f"deb {opts} {main} {self.name}-updates main")
        return "\n".join(lines) + "\n"

    def config(self) -> Path:
        conf = self.root / "apt.conf"
        for sub in ("lists/partial", "cache/archives/partial", "etc/preferences.d"):
            (self.root / sub).mkdir(parents=True, exist_ok=True)
        (self.root / "status").touch()
        (self.root / "sources.list").write_text(self.sources())
        conf.write_text(f"""\
Dir::Etc::sourcelist "{self.root}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "{self.root}/etc/preferences.d";
Dir::State "{self.root}";
Dir::State::lists "{self.root}/lists";
Dir::State::status "{self.root}/status";
Dir::Cache "{self.root}/cache";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Architecture "{self.arch}";
APT::Architectures {{ "{self.arch}"; "amd64"; }};
APT::Sandbox::User "";
APT::Update::Post-Invoke-Success "";
APT::Update::Post-Invoke "";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
Acquire::Retries "3";
""")
        return conf

    def _apt(self, tool, *args, what, **kw):
        env = dict(os.environ, APT_CONFIG=str(self.config()))
        return report.run([tool, *args], what, env=env, **kw)

    def update(self, max_age=6 * 3600):
        """Fetch the package lists unless they are fresh; an index out of step is tried again."""
        stamp = self.root / "updated"
        want = self.sources()
        if stamp.exists() and stamp.read_text() == want \
                and time.time() - stamp.stat().st_mtime < max_age:
            return
        report.need("apt-get", "apt")
        report.progress(f"fetching the package lists of {self.name}/{self.arch}")
        for attempt in range(3):
            try:
                self._apt("apt-get", "update", "-q", "--error-on=any",
                          what=f"apt-get update for {self.name}")
                break
            except report.VmError:
                if attempt == 2:
                    raise
                time.sleep(5 * (attempt + 1))
        stamp.write_text(want)

    def names(self, pattern):
        """The packages whose name matches the pattern, oldest version first."""
        out = self._apt("apt-cache", "pkgnames", what="apt-cache")
        names = [n for n in out.split() if re.fullmatch(pattern, n)]
        return sorted(names, key=lambda n: [int(x) for x in re.findall(r"\d+", n)])

    def show(self, name, field):
        """One field of the newest version of a package."""
        out = self._apt("apt-cache", "show", "--no-all-versions", name, what=f"apt-cache show {name}")
        m = re.search(rf"^{re.escape(field)}: (.*)$", out, re.M)
        return m.group(1) if m else ""

    def download(self, names, into: Path):
        """Download packages; returns the .deb files in the order of the names."""
        into.mkdir(parents=True, exist_ok=True)
        sizes = [int(self.show(n, "Size") or 0) for n in names]
        report.progress(f"downloading {', '.join(names)} ({sum(sizes) // 1000000} MB)")
        debs = []
        for name in names:
            before = set(into.glob("*.deb"))
            for attempt in range(3):
                try:
                    self._apt("apt-get", "download", "-q", name, what=f"download of {name}", cwd=into)
                    break
                except report.VmError:
                    if attempt == 2:
                        raise
                    time.sleep(3)
            debs += sorted(set(into.glob("*.deb")) - before)
        return debs


def unpack(deb: Path, into: Path):
    """Unpack a package's files without installing it, and drop the package."""
    subprocess.run(["dpkg-deb", "-x", str(deb), str(into)], check=True)
    deb.unlink()

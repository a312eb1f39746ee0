# SPDX-License-Identifier: BSD-3-Clause
"""A file system under everything that a name can meet, by several processes, each with a model of its folder.

What an operation gives must be what the model says, and so must the whole folder in the end: as the mount
shows it, and as it lies where the back-end keeps it.
"""

import errno
import os
import random
import stat
import time
from pathlib import Path

NAMES = [f"name-{n}" for n in range(40)]


class File:
    """What a name, or several of them, stands for."""

    def __init__(self):
        self.data, self.mode, self.attributes, self.links = b"", 0o644, {}, 1


class Worker:
    def __init__(self, folder, seed):
        self.folder, self.draw = Path(folder), random.Random(seed)
        self.model = {}  # path below the folder: File, a link's text, or None for a folder
        self.counts = {}
        self.folder.mkdir()

    def wrong(self, what, expected, seen):
        raise AssertionError(f"{self.folder}: {what}: expected {expected!r}, saw {seen!r}")

    def folders(self):
        return [""] + [name for name, thing in self.model.items() if thing is None]

    def fresh(self):
        """A name that may be taken already, or may not."""
        return os.path.join(self.draw.choice(self.folders()), self.draw.choice(NAMES))

    def one_of(self, kind):
        found = [name for name, thing in self.model.items() if isinstance(thing, kind)]
        return self.draw.choice(found) if found else None

    def expect(self, number, function, *args):
        """It fails with this error, or with 0 does not."""
        try:
            result, seen = function(*args), 0
        except OSError as e:
            result, seen = None, e.errno
        if seen != number:
            self.wrong(f"{getattr(function, '__name__', function)} {args}",
                       errno.errorcode.get(number, 0), errno.errorcode.get(seen, 0))
        return result

    # ---- operations ----

    def create(self):
        name = self.fresh()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        fd = self.expect(errno.EEXIST if name in self.model else 0, os.open, self.folder / name,
                         flags, 0o644)
        if fd is not None:
            os.close(fd)
            self.model[name] = File()

    def write(self):
        name = self.one_of(File)
        if not name:
            return
        file = self.model[name]
        offset = self.draw.randrange(len(file.data) + 1000)
        data = self.draw.randbytes(self.draw.choice((1, 100, 4096, 20000)))
        with open(self.folder / name, "r+b") as f:
            f.seek(offset)
            f.write(data)
            if self.draw.random() < 0.1:
                f.flush()
                os.fsync(f.fileno())
        file.data = file.data.ljust(offset, b"\0")
        file.data = file.data[:offset] + data + file.data[offset + len(data):]

    def read(self):
        name = self.one_of(File)
        if name and (self.folder / name).read_bytes() != self.model[name].data:
            self.wrong(name, f"the {len(self.model[name].data)} bytes that were written", "others")

    def truncate(self):
        name = self.one_of(File)
        if name:
            file, size = self.model[name], self.draw.randrange(30000)
            os.truncate(self.folder / name, size)
            file.data = file.data[:size].ljust(size, b"\0")

    def unlink(self):
        name = self.one_of((File, str))
        if name:
            os.unlink(self.folder / name)
            thing = self.model.pop(name)
            if isinstance(thing, File):
                thing.links -= 1

    def link(self):
        name, other = self.one_of(File), self.fresh()
        if name:
            self.expect(errno.EEXIST if other in self.model else 0, os.link, self.folder / name,
                        self.folder / other)
            if other not in self.model:
                self.model[other] = self.model[name]
                self.model[name].links += 1

    def symlink(self):
        name, text = self.fresh(), self.draw.choice(NAMES) * self.draw.randrange(1, 30)
        self.expect(errno.EEXIST if name in self.model else 0, os.symlink, text, self.folder / name)
        self.model.setdefault(name, text)

    def mkdir(self):
        name = self.fresh()
        if name.count("/") < 3:
            self.expect(errno.EEXIST if name in self.model else 0, os.mkdir, self.folder / name)
            self.model.setdefault(name, None)

    def rmdir(self):
        name = self.one_of(type(None))
        if name:
            full = any(other.startswith(name + "/") for other in self.model)
            self.expect(errno.ENOTEMPTY if full else 0, os.rmdir, self.folder / name)
            if not full:
                del self.model[name]

    def rename(self):
        name, other = self.one_of((File, str)), self.fresh()
        if not name or name == other or name.startswith(other + "/"):
            return
        there = self.model.get(other)
        if other in self.model and there is None:
            self.expect(errno.EISDIR, os.rename, self.folder / name, self.folder / other)
            return
        os.rename(self.folder / name, self.folder / other)
        if there is self.model[name] and isinstance(there, File):
            return  # two names of one file: both stay
        if isinstance(there, File):
            there.links -= 1
        self.model[other] = self.model.pop(name)

    def chmod(self):
        name = self.one_of(File)
        if name:
            self.model[name].mode = self.draw.choice((0o600, 0o644, 0o755, 0o400))
            os.chmod(self.folder / name, self.model[name].mode)

    def attribute(self):
        name, key = self.one_of(File), f"user.key{self.draw.randrange(3)}"
        if name:
            value = self.draw.randbytes(self.draw.randrange(1, 200))
            os.setxattr(self.folder / name, key, value)
            self.model[name].attributes[key] = value

    def listing(self):
        folder = self.draw.choice(self.folders())
        seen = sorted(os.listdir(self.folder / folder))
        expected = sorted(os.path.basename(name) for name in self.model
                          if os.path.dirname(name) == folder)
        if seen != expected:
            self.wrong(f"names in {folder or '.'}", expected, seen)

    WEIGHTS = {create: 15, write: 20, read: 15, truncate: 5, unlink: 8, link: 5, symlink: 5,
               mkdir: 6, rmdir: 3, rename: 8, chmod: 3, attribute: 4, listing: 4}

    def run(self, seconds):
        kinds, weights = list(self.WEIGHTS), list(self.WEIGHTS.values())
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            kind = self.draw.choices(kinds, weights)[0]
            kind(self)
            self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1
        return sum(self.counts.values())

    # ---- the end ----

    def compare(self, folder, attributes=True):
        """All that is below a folder is what the model says."""
        seen = {os.path.relpath(os.path.join(base, name), folder)
                for base, names, files in os.walk(folder) for name in names + files}
        if seen != set(self.model):
            self.wrong("the names in the end", sorted(self.model), sorted(seen))
        for name, thing in self.model.items():
            path = os.path.join(folder, name)
            if isinstance(thing, str):
                if os.readlink(path) != thing:
                    self.wrong(f"link {name}", thing, os.readlink(path))
            elif thing is not None:
                self._compare_file(path, thing, attributes)

    def _compare_file(self, path, file, attributes):
        status = os.stat(path)
        shown = (stat.S_IMODE(status.st_mode), status.st_size, status.st_nlink)
        expected = (file.mode, len(file.data), file.links)
        if shown != expected:
            self.wrong(f"mode, size, links of {path}", expected, shown)
        with open(path, "rb") as f:
            if f.read() != file.data:
                self.wrong(path, "what was written", "something else")
        if attributes:
            seen = {key: os.getxattr(path, key) for key in os.listxattr(path)
                    if key.startswith("user.")}
            if seen != file.attributes:
                self.wrong(f"attributes of {path}", file.attributes, seen)


def stress(mount, shared, seconds, workers=3, attributes=True):
    """Return: the operations of all; raises AssertionError for what is wrong."""
    readers = []
    for n in range(workers):
        reader, writer = os.pipe()
        if os.fork() == 0:
            word = b""
            try:
                if not attributes:
                    Worker.WEIGHTS = {k: w for k, w in Worker.WEIGHTS.items()
                                      if k is not Worker.attribute}
                worker = Worker(Path(mount) / f"worker-{n}", seed=n + 1)
                done = worker.run(seconds)
                worker.compare(worker.folder, attributes)
                os.sync()
                worker.compare(Path(shared) / f"worker-{n}", attributes)
                word = b"ok %d" % done
            except BaseException as e:
                word = f"{type(e).__name__}: {e}".encode()
            finally:
                os.write(writer, word[:4000])
                os._exit(0)
        os.close(writer)
        readers.append(reader)
    total, troubles = 0, []
    for reader in readers:
        with open(reader, "rb") as pipe:
            word = pipe.read().decode(errors="replace")
        os.wait()
        if word.startswith("ok "):
            total += int(word[3:])
        else:
            troubles.append(word or "a worker died")
    if troubles:
        raise AssertionError("; ".join(troubles))
    return total

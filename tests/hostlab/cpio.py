"""Writes initramfs archives (cpio "newc", see Documentation/driver-api/early-userspace/buffer-format.rst of Linux). Several archives
one after the other are one initramfs, so a test can append files of its own to the guest's."""

import os
import stat


class Archive:
    def __init__(self):
        self._parts = []
        self._dirs = set()
        self._ino = 0

    def _entry(self, name, mode, data=b'', rdev=(0, 0)):
        self._ino += 1
        fields = (self._ino, mode, 0, 0, 2 if stat.S_ISDIR(mode) else 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(name) + 1, 0)
        head = b'070701' + b''.join(b'%08x' % f for f in fields) + name.encode() + b'\0'
        self._parts.append(head + b'\0' * (-len(head) % 4) + data + b'\0' * (-len(data) % 4))

    def directory(self, path):
        path = path.strip('/')
        if path and path not in self._dirs:
            self.directory(os.path.dirname(path))
            self._dirs.add(path)
            self._entry(path, stat.S_IFDIR | 0o755)

    def data(self, path, data, mode=0o644):
        path = path.strip('/')
        self.directory(os.path.dirname(path))
        self._entry(path, stat.S_IFREG | mode, data.encode() if isinstance(data, str) else data)

    def file(self, source, path, mode=None):
        with open(source, 'rb') as f:
            self.data(path, f.read(), mode or stat.S_IMODE(os.stat(source).st_mode))

    def symlink(self, target, path):
        path = path.strip('/')
        self.directory(os.path.dirname(path))
        self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def char_device(self, path, major, minor):
        path = path.strip('/')
        self.directory(os.path.dirname(path))
        self._entry(path, stat.S_IFCHR | 0o600, rdev=(major, minor))

    def write(self, path):
        self._ino = -1
        self._entry('TRAILER!!!', 0)
        with open(path + '.new', 'wb') as f:
            f.write(b''.join(self._parts))
            f.write(b'\0' * (-f.tell() % 512))
        os.replace(path + '.new', path)

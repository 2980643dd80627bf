"""A memory control group for each test. What the kernel charges to it nobody else on the machine can move, and it says what is left when nobody is
there any more to whom it could belong: pages of a memory object that only the kernel still knows, files in memory. Version 1 or 2; needs root."""

import contextlib
import glob
import os
import time

NAME = 'vmtest-%d-%d'  # runner, number


def _base():
    """The directory to make groups in, or None."""
    with open('/proc/self/mounts') as f:
        mounts = [line.split()[1:4] for line in f]
    with open('/proc/self/cgroup') as f:
        own = dict(line.rstrip('\n').split(':', 2)[1:] for line in f)
    for at, kind, options in mounts:
        if kind == 'cgroup' and 'memory' in options.split(','):
            return at + own.get('memory', '/').rstrip('/')
    for at, kind, _ in mounts:
        if kind == 'cgroup2':
            with open(at + '/cgroup.controllers') as f:
                if 'memory' not in f.read().split():
                    continue
            with open(at + '/cgroup.subtree_control', 'r+') as f:
                if 'memory' not in f.read().split():
                    f.write('+memory')
            return at
    return None


def used(path):
    """KiB of anonymous memory and of files in memory, those without a name included. Huge pages of a pool are not in it."""
    with open(path + '/memory.stat') as f:
        rows = dict(line.split() for line in f)
    return sum(int(rows[k]) for k in (('total_rss', 'total_shmem') if 'total_rss' in rows else ('anon', 'shmem'))) >> 10


class Group:
    count = 0

    def __init__(self, path):
        self.path = path

    def enter(self):
        """For a child, before it execs."""
        with open(self.path + '/cgroup.procs', 'w') as f:
            f.write('0')

    def left(self, slack_kib, patience):
        """KiB that are still there. The kernel frees some of it late, so it gets some time; what is lost stays lost."""
        end = time.monotonic() + patience
        while True:
            kib = used(self.path)
            if kib <= slack_kib or time.monotonic() > end:
                return kib if kib > slack_kib else 0
            time.sleep(0.05)

    def remove(self):
        with contextlib.suppress(OSError):  # the next run tries again
            os.rmdir(self.path)


def make():
    """A new one, or None where there can be none."""
    try:
        base = _base()
        if not base:
            return None
        for old in glob.glob(base + '/vmtest-*'):
            if not os.path.exists('/proc/' + old.rsplit('-', 2)[1]):
                Group(old).remove()
        Group.count += 1
        path = os.path.join(base, NAME % (os.getpid(), Group.count))
        os.mkdir(path)
        return Group(path)
    except OSError:
        return None

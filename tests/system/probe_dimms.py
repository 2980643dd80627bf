"""A probe guest whose memory comes as DIMMs: it does by hand what a guest's ACPI would do, and what none should."""

import os
import re
import subprocess
import time

from probe import Probe
from vmlib import CLI, MiB, pages_kb, private, until

PORT, MEMORY_EVENT = 0xa00, 2
SELECT, BASE, LENGTH, OST_EVENT, OST_STATUS, NODE, STATUS, NEXT = 0, 0, 8, 4, 8, 0x10, 0x14, 0x18
ENABLED, INSERTED, REMOVE, EJECT = 1, 2, 4, 8
BOOT, WINDOW = 64, 1024
SLOTS = 8
TAKE, REFUSE, LET_GO, KEEP = 1, 2, 4, 8


def started(b, *args):
    """A command that is not waited for."""
    return subprocess.Popen([CLI, *args, '--socket', b.socket], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class Guest(Probe):
    """A probe guest on this memory, running."""

    def __init__(self, b, name, memory, window=WINDOW, more=()):
        self.window = window
        super().__init__(b, name, '--cpus', 'boot=2', '--memory', 'size=%dM,hotplug_size=%dM%s' % (BOOT, window, memory),
                         '--cmdline', 'quiet noecho speed=off', *more)

    def number(self, command):
        return int(re.findall(r'0x([0-9a-f]+)', self.command(command))[-1], 16)

    def get(self, port, size):
        return self.number('in %d %d' % (port, size))

    def reg(self, register, size=4):
        return self.get(PORT + register, size)

    def write(self, register, value, size=4):
        self.command('out %d %d %d' % (PORT + register, value, size))

    def status(self, slot):
        self.write(SELECT, slot)
        return self.reg(STATUS, 1)

    def where(self, slot):
        self.write(SELECT, slot)
        return self.reg(BASE) | self.reg(BASE + 4) << 32, self.reg(LENGTH) | self.reg(LENGTH + 4) << 32

    def ost(self, slot, event, status):
        self.write(SELECT, slot)
        self.write(OST_EVENT, event)
        self.write(OST_STATUS, status)

    def eject(self, slot):
        self.write(SELECT, slot)
        self.write(STATUS, EJECT, 1)

    def events(self):
        """What the event device says, and then the slots: as _EVT does it."""
        found = []
        until(lambda: self.number('events') & MEMORY_EVENT, 'an event')
        while True:
            slot = self.reg(NEXT)
            if slot >= SLOTS:
                return found
            s = self.reg(STATUS, 1)
            self.write(STATUS, s & (INSERTED | REMOVE), 1)
            found.append((slot, s))

    def serve(self, how):
        """All events, answered at once: TAKE or REFUSE what comes, LET_GO or KEEP what is asked back. How often new memory was not empty."""
        return int(re.search(r'(\d+) places', self.command('slots %d' % how))[1])

    def has(self):
        """MiB in all of the slots that the guest sees."""
        return self.number('slots') // MiB

    def peek(self, at):
        return self.number('peek %d' % at)

    def zone(self):
        return self.b.info(self.name)['zones'][0]

    def sizes(self):
        z = self.zone()
        return z['requested_bytes'] // MiB, z['plugged_bytes'] // MiB, z['memory_slots_in_use']

    def resize(self, more, *args):
        return self.b('resize', self.name, '--memory', '%dM' % (BOOT + more), *args)

    def asks(self, more, seconds=120):
        """A resize that waits; whoever answers for the guest does it meanwhile."""
        return started(self.b, 'resize', self.name, '--memory', '%dM' % (BOOT + more), '--json', '--timeout', str(seconds))

    def follow(self, more, how=TAKE | LET_GO):
        """Resizes it, and answers for it until that is over; raises if it is not reached. How often new memory was not empty."""
        p, dirty = self.asks(more), 0
        while p.poll() is None:
            dirty += self.serve(how)
            time.sleep(0.005)
        out, err = p.communicate()
        if p.returncode:
            raise ValueError('resize to %d: %s' % (more, err))
        return dirty

    def window_kb(self):
        """KiB that the host has given for the window: the worker's mapping of it, or what the object has beside boot memory."""
        i = self.b.info(self.name)
        if not i['memsrv_pid']:
            return pages_kb(i['worker_pid'], private(i['worker_pid'], self.window * MiB))
        pid = i['memsrv_pid']
        for n in os.listdir('/proc/%d/fd' % pid):
            st = os.stat('/proc/%d/fd/%s' % (pid, n))
            if st.st_size == (BOOT + self.window) * MiB and 'memfd' in os.readlink('/proc/%d/fd/%s' % (pid, n)):
                return st.st_blocks // 2 - BOOT * 1024
        raise ValueError('no such object')

"""The probe guest's virtio-mem and balloon commands, and what the host has given for a zone: for tests of memory that grows and shrinks."""

import re

from probe import Probe
from vmlib import pages_kb, private, procfs, until


class Guest(Probe):
    """A probe guest with these options, running."""

    def __init__(self, b, name, *args, words=''):
        super().__init__(b, name, '--cmdline', 'quiet noecho speed=off verify=off ' + words, *args)

    def do(self, text):
        got = self.command(text)
        if not got.endswith('ok\n'):
            raise ValueError('%s: %s' % (text, got))
        return got

    def peek(self, at):
        return int(re.search(r'0x([0-9a-f]{16})', self.do('peek %d' % at))[1], 16)

    def windows(self):
        """(address, plugged, requested) of each virtio-mem device"""
        return [tuple(int(x, 0) for x in m) for m in re.findall(r'at (\S+) region \S+ usable \S+ plugged (\S+) requested (\S+) status', self.do('vmem'))]

    def zone(self, zone):
        return [z for z in self.b.info(self.name)['zones'] if z['id'] == zone][0]

    def sizes(self, zone):
        z = self.zone(zone)
        return z['requested_bytes'], z['plugged_bytes']

    def follow(self, device, zone):
        """Goes to the size that is asked for, and until the broker has heard of it."""
        self.do('follow %d' % device)
        until(lambda: len(set(self.sizes(zone))) == 1, 'the broker hears')

    def anon_kb(self, size):
        """KiB in the worker's only mapping of that size."""
        pid = self.b.info(self.name)['worker_pid']
        return pages_kb(pid, private(pid, size))

    def object_kb(self, length):
        """KiB of memsrv's object of that length."""
        return procfs.memfd_kb(self.b.info(self.name)['memsrv_pid'], length)

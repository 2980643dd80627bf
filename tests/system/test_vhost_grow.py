#!/usr/bin/python3
"""What vhost-user back-ends know of memory that grows: what is plugged before the guest has its answer, what is not plugged never, and nothing is
taken from under rings that run. Back-ends that have room for few regions, that hang or refuse; and a guest that has its disk write where nothing
is plugged."""

import mmap
import os
import re
import struct
import subprocess
import sys

import probe_dimms
from vmlib import PATIENCE, TMP, Broker, Console, HugePool, Inventory, MiB, Tap, procfs, until

sys.path.insert(0, os.path.join(os.environ['BULKHEAD_SRC'], 'tests', 'lib'))
import vhost  # noqa: E402

t = Tap()
before = Inventory()
BOOT, WINDOW, BLOCK = 64 * MiB, 2048 * MiB, 2 * MiB
REM_MEM = 38
PLAIN = vhost.PROTOCOL & ~(1 << 12)  # no memory for requests in flight: a descriptor would be due
ONE_TABLE = PLAIN & ~(1 << 15)


class Keeper(vhost.Backend):
    """Keeps account of what it was told."""

    def __init__(self, path, **kw):
        self.table, self.rings, self.bad, self.counts, self.look = {}, set(), [], {}, None
        super().__init__(path, **kw)

    def hear(self, request, payload):
        self.counts[request] = self.counts.get(request, 0) + 1
        if request == vhost.GET_PROTOCOL:
            self.table, self.rings = {}, set()
        elif request == vhost.VRING_KICK:
            self.rings.add(payload[0])
        elif request == vhost.STOP_RING:
            self.rings.discard(payload[0])
        elif request == vhost.ADD_MEM:
            self.add(*struct.unpack('<4Q', payload[8:40]))
        elif request == REM_MEM:
            self.gone()
            if self.table.pop(struct.unpack('<Q', payload[8:16])[0], (0,))[0] != struct.unpack('<Q', payload[16:24])[0]:
                self.bad.append('a region was removed that was never added')
        elif request == vhost.MEM_TABLE:
            if self.table:
                self.gone()
            self.table = {}
            for i in range(struct.unpack('<I', payload[:4])[0]):
                self.add(*struct.unpack('<4Q', payload[8 + 32 * i:40 + 32 * i]))

    def add(self, at, size, _user, offset):
        if any(at < a + s and a < at + size for a, (s, _) in self.table.items()):
            self.bad.append('regions overlap')
        self.table[at] = (size, offset)

    def gone(self):
        if self.rings:
            self.bad.append('memory was taken away while rings ran')
        if self.look:
            self.look()

    def known(self, window):
        """Runs of the window that are in the table: [(first byte, length)], neighbours made one."""
        runs = []
        for at, (size, offset) in sorted(self.table.items()):
            if at < window or at >= window + WINDOW:
                continue
            if offset != BOOT + at - window:
                self.bad.append('a region lies elsewhere in its object')
            if runs and runs[-1][0] + runs[-1][1] == at - window:
                runs[-1] = (runs[-1][0], runs[-1][1] + size)
            else:
                runs.append((at - window, size))
        return runs

    def taken(self, *requests):
        """How often they came since the last time; forgets all."""
        n, self.counts = [self.counts.get(r, 0) for r in requests], {}
        return n


def ask(c, text):
    c.send(text + '\n')
    return c.expect('= ')[:-2] + '\n' + c.expect('\n')


def word(answer):
    return [w for w in answer.split() if w in ('ack', 'nack', 'busy', 'error')][0]


def window_of(c):
    return int(re.search(r'at (\S+) region', ask(c, 'vmem'))[1], 0)


def zone(b, name='mem'):
    return [z for z in b.info('grow')['zones'] if z['id'] == name][0]


def resize(b, c, size):
    b('resize-zone', 'grow', 'mem', '%dM' % ((BOOT + size) // MiB), '--no-wait', check=0)
    until(lambda: 'requested 0x%x ' % size in ask(c, 'vmem'), 'the guest is told')


def kb(b):
    """KiB that the host has given for the zone's object."""
    return procfs.memfd_kb(b.info('grow')['memsrv_pid'], BOOT + WINDOW)


class Machine:
    """A guest with a zone that grows and a disk, whose driver has started it."""

    def __init__(self, b, sock, more=(), zones=''):
        b('create', '--name', 'grow', '--cmdline', 'quiet noecho speed=off', '--memory', 'size=0,hotplug_method=virtio-mem', '--memory-zone',
          'id=mem,size=%dM,shared=on,prefault=on,hotplug_size=%dM' % (BOOT // MiB, WINDOW // MiB), *more,
          '--disk', 'vhost_user=on,socket=%s%s' % (sock, zones), check=0)
        self.b, self.c = b, Console('console', 'grow', '--socket', b.socket)
        b('boot', 'grow', check=0)
        self.c.ready()
        self.window = window_of(self.c)
        ask(self.c, 'disk')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.c.kill()
        self.b('stop', 'grow', check=0)
        self.b('delete', 'grow', check=0)

    def do(self, text):
        return word(ask(self.c, text))

    def plug(self, first, n):
        return self.do('plug 0 %d %d' % (self.window + first * BLOCK, n))

    def unplug(self, first, n):
        return self.do('unplug 0 %d %d' % (self.window + first * BLOCK, n))


def up_and_down(b, what, protocol, slots):
    k = Keeper(os.path.join(TMP, what), protocol=protocol)
    k.wrong[vhost.SLOTS] = vhost.reply(vhost.SLOTS, vhost.u64(slots))
    with Machine(b, k.path) as m:
        until(lambda: k.rings == {0}, 'the driver starts the disk')
        t.ok(len(k.table) >= 1 and k.known(m.window) == [], what + ': at first it knows of boot memory', k.table)
        boot, empty = len(k.table), kb(b)
        k.taken()

        # As Linux does: 128 MiB at a time.
        resize(b, m.c, 1024 * MiB)
        for i in range(8):
            if m.plug(64 * i, 64) != 'ack' or k.known(m.window) != [(0, 128 * MiB * (i + 1))]:
                break
        t.equal((i, k.known(m.window)), (7, [(0, 1024 * MiB)]), what + ': what is plugged is known when the guest has its answer')
        added, removed, tables, stops = k.taken(vhost.ADD_MEM, REM_MEM, vhost.MEM_TABLE, vhost.STOP_RING)
        if protocol == PLAIN:
            t.equal((added, removed, tables, stops), (8, 0, 0, 0), what + ': 1 GiB are eight regions more, and no ring is stopped')
        else:
            t.equal((tables, stops, len(k.table)), (8, 8, boot + 1), what + ': 1 GiB are eight tables, and one region more')
        t.ok(kb(b) - empty >= 1024 << 10, what + ': the pages are there')

        # A piece out of the middle: known no more while its pages are still there, and with quiet rings.
        seen = []
        k.look = lambda: seen.append(kb(b))
        full = kb(b)
        resize(b, m.c, 512 * MiB)
        t.equal(m.unplug(100, 1), 'ack', what + ': a block of many is unplugged')
        t.equal(k.known(m.window), [(0, 100 * BLOCK), (101 * BLOCK, 1024 * MiB - 101 * BLOCK)], what + ': and not known any more')
        t.ok(seen and set(seen) == {full} and kb(b) == full - (BLOCK >> 10), what + ': its pages went after that', (seen, full, kb(b)))
        k.look = None
        t.equal((m.do('unplugall 0'), k.known(m.window)), ('ack', []), what + ': all of it')
        t.ok(kb(b) == empty and len(k.table) == boot, what + ': then it knows of boot memory, and the host has its pages', (kb(b), empty, k.table))

        # Every other block, until its regions are used up.
        limit = slots if protocol == PLAIN else 8
        answers = [m.plug(2 * i, 1) for i in range(limit)]
        n = answers.count('ack')
        t.ok(n == limit - boot and answers[n] == 'busy' and len(k.table) == limit, what + ': no more regions than it takes', (answers, k.table))
        text = '%d regions of memory, with this change there would be %d' % (limit, limit + 1)
        t.ok(text in (zone(b)['refused'] or ''), what + ': and info says why', zone(b))
        t.equal((m.plug(1, 1), m.plug(2 * n, 1)), ('ack', 'ack'), what + ': what closes a gap makes room for another')
        t.equal(k.known(m.window), [(0, 3 * BLOCK)] + [(2 * i * BLOCK, BLOCK) for i in range(2, n + 1)], what + ': all known')
        t.equal((m.unplug(1, 1), m.unplug(0, 1), m.unplug(1, 1)), ('busy', 'ack', 'ack') if n > 1 else (), what + ': an unplug that would need a region more')

        # A driver that is off: its back-end is told all the same.
        ask(m.c, 'vreset 0')
        t.equal((m.do('unplugall 0'), k.known(m.window)), ('ack', []), what + ': nothing is left')
        t.equal(k.bad, [], what + ': overlapping, misplaced, unknown regions; rings that ran')
        t.equal((b.info('grow')['state'], b.info('grow')['devices'][0]['losses']), ('running', 0), what + ': it was never lost')
    k.close()


def trouble(b):
    """A back-end that says no, one that says nothing, one that is gone: the guest gets its memory, and the next one is told all of it."""
    for what, wrong in (('refuses', vhost.reply(vhost.ADD_MEM, vhost.u64(1))), ('hangs', lambda p: None), ('dies', vhost.closes)):
        k = Keeper(os.path.join(TMP, 'trouble'), protocol=PLAIN)
        with Machine(b, k.path) as m:
            until(lambda: k.rings == {0}, 'the driver starts the disk')
            resize(b, m.c, 256 * MiB)
            k.wrong[vhost.ADD_MEM] = wrong
            t.equal(m.plug(0, 16), 'ack', 'a back-end that %s: the guest gets its memory' % what)
            until(lambda: b.info('grow')['devices'][0]['losses'] > 0, 'it is lost')
            del k.wrong[vhost.ADD_MEM]
            until(lambda: k.rings == {0} and b.info('grow')['devices'][0]['connected'], 'it is back')
            t.equal(k.known(m.window), [(0, 32 * MiB)], 'a back-end that %s: the next connection is told all' % what)
            k.close()
            os.unlink(k.path)
            until(lambda: not b.info('grow')['devices'][0]['connected'], 'it is gone')
            t.equal((m.plug(16, 16), m.unplug(8, 8)), ('ack', 'ack'), 'a back-end that %s, and is gone: so it does then' % what)
            k = Keeper(k.path, protocol=ONE_TABLE)
            until(lambda: k.rings == {0}, 'another one comes')
            t.equal((k.known(m.window), k.bad), ([(0, 16 * MiB), (32 * MiB, 32 * MiB)], []), 'and is told how it is now')
        k.close()


def narrowed(b):
    k = Keeper(os.path.join(TMP, 'narrow'), protocol=PLAIN)
    with Machine(b, k.path, ('id=other,size=32M,shared=on,hotplug_size=128M',), ',zones=[mem]') as m:
        other = int(ask(m.c, 'vmem').split('at ')[2].split()[0], 0)
        until(lambda: k.table, 'the driver starts the disk')
        resize(b, m.c, 128 * MiB)
        b('resize-zone', 'grow', 'other', '96M', '--no-wait', check=0)
        until(lambda: 'requested 0x4000000' in ask(m.c, 'vmem'), 'the guest is told')
        k.taken()
        t.equal((m.do('follow 0'), m.do('follow 1')), ('ack', 'ack'), 'narrowed: two zones grow')
        t.ok(k.known(m.window) == [(0, 128 * MiB)] and not any(other <= at < other + 128 * MiB for at in k.table), 'narrowed: it knows of its own', k.table)
        t.equal(k.taken(vhost.ADD_MEM, vhost.STOP_RING), [1, 0], 'narrowed: and is not troubled by the other')
    k.close()


def dma(b):
    """The guest asks Debian's daemon to write into memory that is not plugged."""
    image, sock = os.path.join(TMP, 'img'), os.path.join(TMP, 'qsd')
    with open(image, 'wb') as f:
        f.write(b'\x5a' * MiB)
    daemon = subprocess.Popen(['qemu-storage-daemon', '--blockdev', 'driver=file,node-name=f,filename=' + image, '--export',
                               'type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path=%s,writable=on' % sock], stderr=subprocess.DEVNULL)
    try:
        until(lambda: os.path.exists(sock), 'the daemon listens')
        with Machine(b, sock) as m:
            resize(b, m.c, 64 * MiB)
            t.equal(m.plug(0, 16), 'ack', 'DMA: 32 of 64 MiB are plugged')
            t.ok('done' in ask(m.c, 'ddma %d %d' % (m.window + 15 * BLOCK, PATIENCE * 1000)) and '5a5a5a5a5a5a5a5a' in ask(m.c, 'peek %d' % (m.window + 15 * BLOCK)),
                 'DMA: the disk writes into memory that is plugged')
            had = kb(b)
            for where in (m.window + 16 * BLOCK, m.window + WINDOW - BLOCK):
                got = ask(m.c, 'ddma %d 500' % where)
                t.ok('done' not in got and kb(b) == had, 'DMA: where nothing is plugged it does not, and the host gives no page', (got, had, kb(b)))
            ask(m.c, 'disk')  # a reset
            until(lambda: b.info('grow')['devices'][0]['connected'], 'the daemon is back')
            until(lambda: 'done' in ask(m.c, 'ddma %d' % m.window), 'it works again')
            t.equal(m.unplug(0, 8), 'ack', 'DMA: half of it is unplugged')
            had = kb(b)
            got = ask(m.c, 'ddma %d 500' % m.window)
            t.ok('done' not in got and kb(b) == had, 'DMA: and is out of the disk\'s reach', (got, had, kb(b)))
            t.equal(b.info('grow')['state'], 'running', 'DMA: the machine runs')
    finally:
        daemon.kill()
        daemon.wait()


class Writer(Keeper):
    """Writes into all that it was granted."""

    def write(self):
        regions = list(self.table.items())
        for (at, (size, offset)), fd in zip(regions, self.memory[-len(regions):]):
            with mmap.mmap(fd, size, offset=offset) as m:
                m[::4096] = m[::4096]
        return sum(size for _, (size, _) in regions)


def dimm_windows(b):
    """What was never added, and what was ejected again, is written all over, by the guest and by a back-end: no page comes of it."""
    for what, options, pages in (('anonymous', ',thp=off', 0), ('memfd', ',shared=on,prefault=on', 0), ('huge', ',hugepages=on,hugepage_size=2M,prefault=on', 160)):
        k = Writer(os.path.join(TMP, 'dimm-' + what), protocol=PLAIN) if what != 'anonymous' else None
        with HugePool(pages) as pool, probe_dimms.Guest(b, 'wide', options, 256, ('--disk', 'vhost_user=on,socket=' + k.path) if k else ()) as g:
            if k:
                g.command('disk')
                until(lambda: k.rings == {0}, 'the driver starts the disk')
            g.has()
            empty = g.window_kb()
            g.follow(128)
            at, half = g.where(0)[0], 128 * MiB
            for ejected in False, True:
                if ejected:
                    g.follow(0)
                got = 0 if ejected else half
                was = g.zone()['stray_accesses']
                g.command('touch %d %d' % (at + got, half))
                t.equal(g.window_kb() - empty, got >> 10, 'DIMMs, %s: a guest that writes all over what %s' % (what, 'was ejected' if ejected else 'was never added'))
                t.ok(g.zone()['stray_accesses'] - was >= half // 4096, 'DIMMs, %s: it is counted' % what, g.zone())
                if k:
                    t.equal((k.write(), g.window_kb() - empty), (BOOT + got, got >> 10), 'DIMMs, %s: a back-end that writes all that it was granted' % what)
            t.equal(b.state('wide'), 'running', 'DIMMs, %s: the machine runs' % what)
        if k:
            t.equal(k.bad, [], 'DIMMs, %s: and was told of no region wrongly' % what)
            k.close()
            for fd in k.memory:
                os.close(fd)


with Broker() as b:
    with t.part('DIMM windows'):
        dimm_windows(b)
    for name, args in (('regions one by one', (PLAIN, 16)), ('one table', (ONE_TABLE, 0))):
        with t.part(name):
            up_and_down(b, name.replace(' ', '-'), *args)
    with t.part('back-ends in trouble'):
        trouble(b)
    with t.part('narrowed'):
        narrowed(b)
    with t.part('DMA'):
        dma(b)
t.equal(before.same(), [], 'nothing is left behind')
t.done()

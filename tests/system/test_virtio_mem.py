#!/usr/bin/python3
"""Memory that grows and shrinks by virtio-mem: what the guest is told, what it may do, what the host has afterwards. The probe guest
drives the devices, also in ways that no good driver would."""

import contextlib
import os
import re
import time

from probe_vmem import Guest
from vmlib import LAB, Broker, Console, HugePool, Inventory, MiB, Tap, pages_kb, private, procfs, until

t = Tap()
before = Inventory()
BLOCK = 2 * MiB


def devices(c):
    """What the guest reads in configuration space."""
    rows, said = [], c.command('vmem')
    for line in said.splitlines():
        m = re.search(r'(\d+): block (\S+) node (\d+) at (\S+) region (\S+) usable (\S+) plugged (\S+) requested (\S+) status', line)
        if m:
            rows.append(dict(zip(('block', 'node', 'at', 'region', 'usable', 'plugged', 'requested'), (int(x, 0) for x in m.groups()[1:]))))
    if not rows:
        raise ValueError(said)
    return rows


def word(answer):
    """ack, nack, busy or error."""
    return [w for w in answer.split() if w in ('ack', 'nack', 'busy', 'error')][0]


def resident(b, vm):
    """Bytes of the zone's pages, as the broker tells."""
    return {z['id']: sum(n['resident_bytes'] for n in z['resident']) for z in b.info(vm)['zones']}


def outside(b, vm, size):
    """KiB that the worker has in its mapping of a window of that size."""
    pid = b.info(vm)['worker_pid']
    return pages_kb(pid, private(pid, size))


def object_kb(b, vm, length):
    """KiB of memsrv's object of that length."""
    return procfs.memfd_kb(b.info(vm)['memsrv_pid'], length)


def started(b, name, *args):
    b('create', '--name', name, '--cpus', 'boot=2', '--cmdline', 'quiet noecho speed=off', *args, check=0)
    c = Console('console', name, '--socket', b.socket)
    time.sleep(0.1)
    b('boot', name, check=0)
    c.ready()
    return c


def ask(c, text):
    c.send(text + '\n')
    return c.expect('= ')[:-2] + '\n' + c.expect('\n')


Console.command = ask


def sizes(b, vm, zone):
    z = [z for z in b.info(vm)['zones'] if z['id'] == zone][0]
    return z['requested_bytes'], z['plugged_bytes']


def zone_of(b, vm, zone):
    return [z for z in b.info(vm)['zones'] if z['id'] == zone][0]


def follows(c):
    """The guest unplugs all, and has what it is to have."""
    return word(c.command('unplugall 0')) == 'ack' and word(c.command('follow 0')) == 'ack'


def hostile(b, c, name, at, size, boot, block, resize, kb, empty):
    """What no good driver does, with 64 MiB that it may have. Whatever it is, the host gives no page more than that."""
    allowed = 64 * MiB
    b(*resize, '%dM' % ((boot + allowed) // MiB), '--no-wait', check=0)
    until(lambda: devices(c)[0]['requested'] == allowed, 'the guest is told')
    before = zone_of(b, name, resize[2] if resize[0] == 'resize-zone' else '__ram')

    # The driver goes while its request is worked on.
    t.ok(follows(c), name + ': the guest has what it may have')
    for what, line in (('plug', 'vcut 0 0 %d %d' % (at, allowed // block)), ('unplug', 'vcut 0 1 %d 8' % at), ('unplug all', 'vcut 0 2 0 0')):
        c.command('unplugall 0') if what == 'plug' else c.command('follow 0')
        c.command(line)
        until(lambda: devices(c)[0]['plugged'] == sizes(b, name, before['id'])[1], 'the job ends')
        t.ok(kb() - empty <= allowed >> 10 and follows(c), '%s: a reset in the middle of %s' % (name, what), kb() - empty)
        t.equal(kb() - empty, allowed >> 10, '%s: and nothing is counted wrong' % name)

    # Two CPUs at one queue, changing requests under the device's eyes.
    got = c.command('vrace 0 1500')
    m = re.search(r'(\d+) requests, (\d+) disturbances, (\d+) resets, (\d+) torn', got)
    t.ok(m and int(m[1]) > 10 and int(m[2]) > 100 and m[4] == '0', name + ': two CPUs race, and read whole sizes only', got)
    t.ok(kb() - empty <= allowed >> 10, name + ': they get no page more', (kb() - empty, allowed >> 10))
    t.ok(follows(c), name + ': afterwards the device is in order')
    t.equal((kb() - empty, sizes(b, name, before['id'])), (allowed >> 10, (allowed, allowed)), name + ': and so are its sizes')

    # All over the window, of which it has a part. Every access is an exit: once for all of it, elsewhere its last 4 MiB.
    c.command('touch %d %d' % ((at, size) if name == 'shared' and not LAB else (at + size - 4 * MiB, 4 * MiB)))
    t.equal(kb() - empty, allowed >> 10, name + ': a guest that writes all over the window gets no page for it')
    after = zone_of(b, name, before['id'])
    t.ok(after['denied_requests'] > before['denied_requests'] and after['stray_accesses'] > before['stray_accesses'] + 2000,
         name + ': info counts what it tried', (before, after))


def one_kind(b, name, args, zone, size, boot, kb):
    """Up, down, all of it, and everything a guest should not do. kb: how much of the window the host has given."""
    resize = ['resize', name, '--memory'] if zone == '__ram' else ['resize-zone', name, zone]
    target = lambda n: resize + ['%dM' % ((boot + n) // MiB)]

    c = started(b, name, *args)
    p = b(*target(64 * MiB))
    t.ok(p.returncode == 1 and 'no driver' in p.stderr, name + ': a guest without a driver is an error', p.stderr)
    d = devices(c)[0]
    t.ok(d['region'] == d['usable'] == size and d['plugged'] == d['requested'] == 0, name + ': an empty window', d)
    at, block = d['at'], d['block']
    empty = kb()

    # Nothing was requested.
    t.equal([word(c.command('plug 0 %d 1' % at)), word(c.command('unplug 0 %d 1' % at))], ['nack', 'error'], name + ': plug and unplug without a request')
    c.command('poke %d 1' % at)
    got = c.command('peek %d' % at)
    t.ok('0xffffffffffffffff' in got, name + ': an unplugged window reads as ones and swallows writes', got)

    # Up.
    b(*target(256 * MiB), '--no-wait', check=0)
    until(lambda: devices(c)[0]['requested'] == 256 * MiB, 'the guest is told')
    for what, line, want in (
            ('an address below the window', 'plug 0 %d 1' % (at - block), 'error'),
            ('an address inside a block', 'plug 0 %d 1' % (at + 4096), 'error'),
            ('no block', 'plug 0 %d 0' % at, 'error'),
            ('beyond the end', 'plug 0 %d 2' % (at + size - block), 'error'),
            ('the end of the address space', 'plug 0 0xffffffffffe00000 65535', 'error'),
            ('boot memory', 'unplug 0 0 1', 'error'),
            ('more than requested', 'plug 0 %d %d' % (at, 256 * MiB // block + 1), 'nack'),
            ('an unknown request', 'vrequest 0 77 %d 1' % at, 'error'),
            ('the state of nothing', 'vstate 0 %d 0' % at, 'error')):
        t.equal(word(c.command(line)), want, '%s: %s' % (name, what))
    t.equal(kb(), empty, name + ': none of that took a page')
    got = c.command('follow 0')
    t.equal(word(got), 'ack', name + ': all that was requested is plugged')
    p = b(*target(256 * MiB), '--timeout', '20')
    t.ok(p.returncode == 0, name + ': resize returns when the guest has it', p.stderr)
    t.equal(sizes(b, name, zone), (256 * MiB, 256 * MiB), name + ': info tells')
    t.ok(kb() - empty >= 256 << 10, name + ': pages were there before the guest had them', (kb(), empty))
    t.equal(word(c.command('plug 0 %d 1' % at)), 'error', name + ': what is plugged cannot be plugged')
    t.ok('state 0' in c.command('vstate 0 %d 4' % at) and 'state 1' in c.command('vstate 0 %d 4' % (at + size - 8 * block)) and
         'state 2' in c.command('vstate 0 %d 2' % (at + 256 * MiB - block)), name + ': plugged, unplugged, mixed')
    c.command('fill %d %d 0x5a' % (at, 64 * MiB))
    t.ok('0x5a5a5a5a5a5a5a5a' in c.command('peek %d' % (at + 64 * MiB - 8)), name + ': it is memory')

    # A hole in the middle; its neighbours are untouched.
    c.command('poke %d 0x1111' % (at + 16 * block - 8))
    c.command('poke %d 0x2222' % (at + 17 * block))
    was = kb()
    t.equal(word(c.command('unplug 0 %d 1' % (at + 16 * block))), 'ack', name + ': one block of many is unplugged')
    t.ok('1111' in c.command('peek %d' % (at + 16 * block - 8)) and '2222' in c.command('peek %d' % (at + 17 * block)) and
         '0xffffffffffffffff' in c.command('peek %d' % (at + 16 * block)), name + ': and only that')
    t.equal(was - kb(), block >> 10, name + ': the host has its pages back')
    t.equal(word(c.command('plug 0 %d 1' % (at + 16 * block))), 'ack', name + ': and gives them again')
    t.ok('0x0000000000000000' in c.command('peek %d' % (at + 16 * block)), name + ': as zeros')

    # Down.
    b(*target(32 * MiB), '--no-wait', check=0)
    p = b(*target(32 * MiB), '--timeout', '1')
    t.ok(p.returncode == 1 and 'after 1 s' in p.stderr, name + ': a guest that does not follow is said so', p.stderr)
    until(lambda: devices(c)[0]['requested'] == 32 * MiB, 'the guest is told')
    t.equal(word(c.command('plug 0 %d 1' % (at + 300 * MiB))), 'nack', name + ': no more than it is to have')
    t.equal(word(c.command('follow 0 1')), 'ack', name + ': unplugged block by block')
    until(lambda: sizes(b, name, zone) == (32 * MiB, 32 * MiB), 'the broker hears')
    t.equal(kb() - empty, 32 << 10, name + ': what was unplugged is the host\'s')
    c.command('vreset 0')
    t.equal(devices(c)[0]['plugged'], 32 * MiB, name + ': a driver\'s reset unplugs nothing')
    t.equal(word(c.command('unplugall 0')), 'ack', name + ': unplug all')
    t.equal((kb(), devices(c)[0]['plugged']), (empty, 0), name + ': nothing is left')
    for n, what in (((boot - 2 * MiB), 'below'), (boot + size + 128 * MiB, 'beyond'), (boot + MiB, 'multiple')):
        p = b(*(resize + ['%dM' % (n // MiB)]))
        t.ok(p.returncode == 1 and what in p.stderr, '%s: refused: %s' % (name, what), p.stderr)

    hostile(b, c, name, at, size, boot, block, resize, kb, empty)
    b(*target(32 * MiB), '--no-wait', check=0)
    until(lambda: devices(c)[0]['requested'] == 32 * MiB, 'the guest is told')

    # A reset of the guest: nothing is plugged, the request stands.
    t.equal(word(c.command('follow 0')), 'ack', name + ': follows')
    c.buf = ''
    c.send('reset\n')
    c.expect('TAP version')
    c.ready()
    d = devices(c)[0]
    t.equal((d['plugged'], d['requested']), (0, 32 * MiB), name + ': after a guest\'s reset')
    t.equal(kb(), empty, name + ': its memory went with the old machine')
    c.kill()
    b('stop', name, check=0)
    b('delete', name, check=0)


with Broker() as b:
    with t.part('anonymous'):
        one_kind(b, 'plain', ['--memory', 'size=64M,thp=off,hotplug_method=virtio-mem,hotplug_size=1G'], '__ram', 1024 * MiB, 64 * MiB,
                 lambda: outside(b, 'plain', 1024 * MiB))
    with t.part('memfd'):
        one_kind(b, 'shared', ['--memory', 'size=0,hotplug_method=virtio-mem', '--memory-zone', 'id=mem0,size=64M,shared=on,prefault=on,hotplug_size=1G'],
                 'mem0', 1024 * MiB, 64 * MiB, lambda: object_kb(b, 'shared', 1088 * MiB))
    with t.part('huge pages'), HugePool(300) as pool:
        if pool.got < 300:
            t.skip('huge pages', 'the host gives %d' % pool.got)
        else:
            free = pool.free()
            one_kind(b, 'huge', ['--memory', 'size=0,hotplug_method=virtio-mem', '--memory-zone',
                                 'id=mem0,size=64M,hugepages=on,hugepage_size=2M,prefault=on,hotplug_size=1G'],
                     'mem0', 1024 * MiB, 64 * MiB, lambda: object_kb(b, 'huge', 1088 * MiB))
            t.equal(pool.free(), free, 'huge: the pool is as before')
    with t.part('an empty pool'), HugePool(64) as pool:
        c = started(b, 'poor', '--memory', 'size=0,hotplug_method=virtio-mem', '--memory-zone', 'id=low,size=64M', 
                    'id=mem0,size=0,hugepages=on,hugepage_size=2M,hotplug_size=4G')
        at = devices(c)[0]['at']
        p = b('resize-zone', 'poor', 'mem0', '4G', '--no-wait')
        t.ok(p.returncode == 1 and 'huge pages of 2' in p.stderr and 'mem0' in p.stderr, 'more than the pool has is refused before the guest is asked', p.stderr)
        b('resize-zone', 'poor', 'mem0', '64M', '--no-wait', check=0)
        until(lambda: devices(c)[0]['requested'] == 64 * MiB, 'the guest is told')
        with open('/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages') as f:
            free = int(f.read())
        thief = os.memfd_create('thief', 4 | 21 << 26)  # MFD_HUGETLB, 2 MiB
        os.ftruncate(thief, free * BLOCK)
        with contextlib.suppress(OSError):
            for i in range(free):
                os.posix_fallocate(thief, i * BLOCK, BLOCK)
        got = c.command('follow 0')
        t.equal(word(got), 'busy', 'an emptied pool: the guest is told to try later')
        p = b('resize-zone', 'poor', 'mem0', '64M', '--timeout', '1')
        t.ok(p.returncode == 1 and 'no free huge page' in p.stderr, 'and the reason is told', p.stderr)
        t.ok('0xffffffffffffffff' in c.command('peek %d' % at) and '0x' in c.command('peek 0x200000'), 'the VM lives, with what it has')
        os.close(thief)
        t.equal(word(c.command('follow 0')), 'ack', 'when there are pages again, it gets them')
        c.kill()
        b('stop', 'poor', check=0)
        b('delete', 'poor', check=0)



def one_cpu(b):
    """All of a VM on one host CPU, where vCPUs wait for what they have asked for instead of being in its way: nobody is forgotten there, whatever happens
    meanwhile."""
    with Guest(b, 'one', '--cpus', 'boot=3', '--memory', 'size=0,hotplug_method=virtio-mem', '--memory-zone', 'id=low,size=64M', 'id=mem0,size=0,thp=on,hotplug_size=256M',
               'id=mem1,size=0,shared=on,hotplug_size=256M') as g:
        g.windows()
        size = lambda z, mib: b('resize-zone', 'one', z, '%dM' % mib, '--no-wait', check=0)
        for at_once in 64, 1, 1:
            for mib in 256, 0:
                size('mem0', mib)
                until(lambda: g.windows()[0][2] == mib * MiB, 'the guest is told')
                t.ok(word(g.do('follow 0 %d' % at_once)) == 'ack', 'one CPU: %d MiB in requests of %d blocks' % (mib, at_once))
        size('mem0', 64)
        size('mem1', 64)
        until(lambda: [w[2] for w in g.windows()] == [64 * MiB] * 2, 'the guest is told')
        for d in 0, 1:
            got = g.do('vrace %d 1500' % d)
            m = re.search(r'(\d+) requests, (\d+) disturbances, (\d+) resets, (\d+) torn', got)
            t.ok(m and int(m[1]) > 10 and int(m[2]) > 100 and m[4] == '0', 'one CPU: all vCPUs ring, with requests and without, and reset the device', got)
            t.ok(follows_all(g, d), 'one CPU: afterwards the device is in order')
        for i in range(6):
            mib = (256, 32)[i % 2]
            size('mem0', mib)
            until(lambda: g.windows()[0][2] == mib * MiB, 'the guest is told')
            g.send('follow 0 1\n')
            for _ in range(5):
                b('pause', 'one', check=0)
                t.equal(b.state('one'), 'paused', 'one CPU: paused in the middle of it')
                b('resume', 'one', check=0)
            t.ok('= ok' in g.expect('= ') + g.expect('\n'), 'one CPU: and it goes on to the end')
        until(lambda: g.sizes('mem0') == (32 * MiB, 32 * MiB), 'the broker hears')
        size('mem0', 256)
        until(lambda: g.windows()[0][2] == 256 * MiB, 'the guest is told')
        g.send('follow 0 1\n')
        p = b('stop', 'one')
        t.ok(p.returncode == 0, 'one CPU: stopped in the middle of it', p.stderr)


def follows_all(g, d):
    return word(g.do('unplugall %d' % d)) == 'ack' and word(g.do('follow %d' % d)) == 'ack'


with Broker(prefix=['taskset', '-c', str(min(os.sched_getaffinity(0)))]) as b, t.part('one CPU'):
    one_cpu(b)

t.equal(before.same(), [], 'nothing is left behind')
t.done()

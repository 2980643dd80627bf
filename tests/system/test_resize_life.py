#!/usr/bin/python3
"""Memory that grows in the life of a VM: described as in the reference; asked for wrongly; with advice to the host; stopped and booted, reset, paused
and ended while it grows."""

import json
import os
import re
import time

import probe_dimms
from probe_dimms import BOOT, LET_GO, TAKE
from probe_vmem import Guest
from vmlib import PATIENCE, Broker, HugePool, Inventory, MiB, Tap, mappings, until

t = Tap()
before = Inventory()
VIRTIO = ['--memory', 'size=0,hotplug_method=virtio-mem', '--memory-zone']
GiB = 1024 * MiB


def reached(b, what, how, size, g, serve):
    """A resize that waits, and somebody who answers for the guest meanwhile."""
    until(lambda: 'no driver' not in b(*how, size, '--timeout', '0').stderr, 'the broker knows of the driver')
    p = probe_dimms.started(b, *how, size, '--json', '--timeout', str(PATIENCE))
    while p.poll() is None:
        serve()
        time.sleep(0.01)
    out, err = p.communicate()
    said = json.loads(out) if out else {}
    n = int(size[:-1]) * (GiB if size[-1] == 'G' else MiB)
    want = {'vm': g.name, 'outcome': 'reached', 'asked_bytes': n, 'reached_bytes': n}
    if how[0] == 'resize-zone':
        want['zone'] = how[2]
    t.ok((p.returncode, said) == (0, want), '%s: %s' % (what, ' '.join(how + [size])), '%r %r %s' % (said, want, err))


def examples(b):
    """The reference's, as they stand there."""
    for memory in 'size=1G,hotplug_method=acpi,hotplug_size=1G', 'size=1G,hotplug_size=1G':
        with Guest(b, 'example', '--memory', memory) as g:
            g.do('slots')
            until(lambda: 'not looked' not in b('resize', 'example', '--memory', '1G').stderr, 'the broker knows that it has looked')
            for size in '2G', '1G':
                reached(b, memory, ['resize', 'example', '--memory'], size, g, lambda: g.do('slots %d' % (TAKE | LET_GO)))
    for args, how in ((['--memory', 'size=1G,hotplug_method=virtio-mem,hotplug_size=1G,hotplugged_size=512M'], ['resize', 'example', '--memory']),
                      (VIRTIO + ['id=mem0,size=1G,hotplug_size=1G'], ['resize-zone', 'example', 'mem0']),
                      (VIRTIO + ['id=mem0,size=1G,hotplug_size=1G,hotplugged_size=512M'], ['resize-zone', 'example', 'mem0'])):
        zone = how[2] if how[0] == 'resize-zone' else '__ram'
        with Guest(b, 'example', *args) as g:
            boot = 512 * MiB if 'hotplugged' in args[-1] else 0
            t.equal([w[1:] for w in g.windows()], [(0, boot)], '%s: the guest is asked for what it is given at boot' % args[-1])
            g.follow(0, zone)
            t.equal(g.sizes(zone), (boot, boot), args[-1] + ': and has it')
            for size in '2G', '1G':
                reached(b, args[-1], how, size, g, lambda: g.do('follow 0'))
    zones = ['id=mem%d,size=%s,hotplug_size=1G' % (i, s) for i, s in enumerate(('64M', '32M,shared=on', '32M'))]
    with Guest(b, 'example', *VIRTIO, *zones, '--numa', 'guest_numa_id=0,memory_zones=[mem0,mem2]', 'guest_numa_id=1,memory_zones=mem1') as g:
        g.windows()
        for i in 2, 0, 1:
            size = '%dM' % ((64 if i == 0 else 32) + 130)
            reached(b, 'three zones', ['resize-zone', 'example', 'mem%d' % i], size, g, lambda: [g.do('follow %d' % d) for d in range(3)])
        t.equal([g.sizes('mem%d' % i)[1] // MiB for i in range(3)], [130] * 3, 'three zones: each has what is asked for it')
        node = [int(n) for n in re.findall(r'node (\d+) at', g.do('vmem'))]
        t.equal(node, [0, 1, 0], 'three zones: on the guest node of each')


def refused(b, what, args, *words):
    p = b(*args)
    t.ok(p.returncode == 1 and all(w in p.stderr for w in words), what, p.stderr)


def errors(b):
    """Each names the option, what was found, what would be right, and what to do."""
    with Guest(b, 'zones', *VIRTIO, 'id=mem0,size=64M,hotplug_size=256M', 'id=mem1,size=32M', 'id=big,size=0,hotplug_size=128M') as g:
        refused(b, 'resize of zones', ['resize', 'zones', '--memory', '1G'], 'resize 1G', 'made of zones', 'do: bulkhead resize-zone')
        refused(b, 'a zone that there is not', ['resize-zone', 'zones', 'mem7', '1G'], 'mem7', 'there are: mem0, mem1, big')
        refused(b, 'a zone that cannot grow', ['resize-zone', 'zones', 'mem1', '64M'], 'mem1 64M', 'without a hotplug_size', '32M', 'do: create')
        refused(b, 'below boot', ['resize-zone', 'zones', 'mem0', '62M'], 'mem0 62M', 'below', '64M', 'do: ')
        refused(b, 'beyond the region', ['resize-zone', 'zones', 'mem0', '322M'], 'mem0 322M', 'beyond 320M', '256M', 'do: ')
        refused(b, 'no multiple', ['resize-zone', 'zones', 'mem0', '65M'], '1M', 'multiple of 2M', 'do: 64M or 66M')
        refused(b, 'no driver', ['resize-zone', 'zones', 'mem0', '66M'], 'no driver', 'do: load virtio_mem', '--no-wait')
        p = b('resize-zone', 'zones', 'mem0', '66M', '--no-wait', '--json', check=0)
        t.equal(json.loads(p.stdout), {'vm': 'zones', 'zone': 'mem0', 'outcome': 'asked', 'asked_bytes': 66 * MiB, 'reached_bytes': 0}, '--no-wait')
        g.windows()
        g.do('plug 0 %d 1' % g.windows()[0][0])
        p = b('resize-zone', 'zones', 'mem0', '96M', '--timeout', '1', '--json')
        t.equal((p.returncode, json.loads(p.stdout)), (1, {'vm': 'zones', 'zone': 'mem0', 'outcome': 'timeout', 'asked_bytes': 96 * MiB,
                                                           'reached_bytes': 66 * MiB}), 'a time-out says what was reached')
        t.ok('66 MiB of the 96 MiB' in p.stderr and 'stands' in p.stderr, 'in words too', p.stderr)
        b('pause', 'zones', check=0)
        refused(b, 'paused', ['resize-zone', 'zones', 'mem0', '128M'], 'paused', 'do: resume')
        b('stop', 'zones', check=0)
        refused(b, 'stopped', ['resize-zone', 'zones', 'mem0', '128M'], 'not running', 'do: boot')
    with Guest(b, 'plain', '--memory', 'size=64M,hotplug_size=256M') as g:
        refused(b, 'resize-zone of plain memory', ['resize-zone', 'plain', 'mem0', '1G'], 'no memory zones', 'do: bulkhead resize VM --memory')
        refused(b, 'ACPI: nobody has looked', ['resize', 'plain', '--memory', '192M'], 'not looked', 'do: wait')
        refused(b, 'ACPI: no multiple', ['resize', 'plain', '--memory', '128M', '--no-wait'], '64M more', 'multiple of 128M', 'do: 64M or 192M')
        refused(b, 'ACPI: below boot', ['resize', 'plain', '--memory', '32M', '--no-wait'], 'below', '64M')
        refused(b, 'ACPI: beyond', ['resize', 'plain', '--memory', '448M', '--no-wait'], 'beyond 320M')
    with open(os.path.join(b.dir, 'file'), 'wb') as f:
        f.truncate(64 * MiB)
    for shared in '', ',shared=on':
        p = b('create', *VIRTIO, 'id=mem0,size=64M,file=%s,hotplug_size=128M%s' % (f.name, shared))
        t.ok(p.returncode != 0 and all(w in p.stderr for w in ('id=mem0', 'hotplug_size=128M', 'punching holes', 'owner', 'do: leave file or hotplug_size out')),
             'a file zone that is to grow%s: refused, with the reason' % shared, p.stderr)


def advice(b):
    """Anonymous DIMMs: advised as boot memory is, and filled before anybody hears of them."""
    for options, has, lacks in ((',mergeable=on,thp=on', {'mg', 'hg'}, {'nh'}), (',mergeable=on,thp=off', {'mg', 'nh'}, {'hg'}), (',thp=off', {'nh'}, {'mg', 'hg'}),
                                (',thp=on,prefault=on', {'hg'}, {'mg', 'nh'})):
        with probe_dimms.Guest(b, 'advice', options) as g:
            g.has()
            g.resize(256, '--no-wait')
            g.events()
            t.equal(g.window_kb(), 256 << 10, 'DIMM%s: its pages are there when the guest hears of it, and no others' % options)
            window = [m for m in mappings(b.info('advice')['worker_pid']) if m.size == g.window * MiB and not m.inode]
            t.ok(len(window) == 1 and has | {'dd', 'dc'} <= window[0].flags and not lacks & window[0].flags, 'DIMM%s: advice' % options, window)
            g.ost(0, 1, 0)
            until(lambda: g.sizes() == (256, 256, 1), 'taken')
            g.follow(0)
            t.equal(g.window_kb(), 0, 'DIMM%s: and none when it has gone' % options)


def zone_again(b, what, options, size):
    """Stopped with memory plugged, and booted."""
    with Guest(b, 'again', *VIRTIO, 'id=low,size=64M', 'id=z,size=32M,hotplug_size=%dM,%s' % (size // MiB, options)) as g:
        kb = (lambda: g.anon_kb(size)) if 'thp' in options else (lambda: g.object_kb(32 * MiB + size))
        z = 64 * MiB
        at = g.windows()[0][0]
        empty = kb()
        b('resize-zone', 'again', 'z', '96M', '--no-wait', check=0)
        until(lambda: g.windows()[0][2] == 64 * MiB, 'the guest is told')
        g.follow(0, 'z')
        g.do('fill %d %d 0x5a' % (at, 64 * MiB))
        g.do('poke %d 0x77' % (z + 16 * MiB))
        t.equal(kb() - empty >= 64 << 10, True, what + ': plugged and filled')
        b('stop', 'again', check=0)
        g.kill()
        if 'thp' not in options:
            until(lambda: kb() <= 32 << 10, what + ': what was plugged goes when it is stopped')
        i = g.zone('z')
        t.equal((i['requested_bytes'], i['plugged_bytes']), (64 * MiB, 0), what + ': stopped, it has nothing plugged, and the request stands')
        g.boot()
        t.equal((g.windows()[0], kb() <= 32 << 10), ((at, 0, 64 * MiB), True), what + ': booted again it is asked for the same, and has none of it')
        t.equal(g.peek(z + 16 * MiB), 0 if 'thp' in options else 0x77, what + ': its boot memory is as it was, if it is shared')
        t.equal(g.peek(at), 2**64 - 1, what + ': what is not plugged is not there')
        g.follow(0, 'z')
        t.equal((g.peek(at), g.peek(at + 64 * MiB - 8)), (0, 0), what + ': what is plugged again is empty')
        g.send('vcut 0 1 %d 16\n' % (at + 16 * MiB))
        g.reset()
        until(lambda: g.sizes('z') == (64 * MiB, 0), 'all went')
        t.ok(kb() <= 32 << 10, what + ': a reset of the guest in the middle of an unplug leaves none of it', kb())
        g.windows()
        g.send('vcut 0 0 %d 32\n' % at)
        g.reset()
        t.equal((g.windows()[0], kb() <= 32 << 10), ((at, 0, 64 * MiB), True), what + ': nor does one in the middle of a plug')
        g.follow(0, 'z')
        t.equal(g.sizes('z'), (64 * MiB,) * 2, what + ': then it gets it')


def dimms_again(b, what, options):
    with probe_dimms.Guest(b, 'again', options) as g:
        g.has()
        empty = g.window_kb()
        for n in 128, 384:
            g.follow(n)
        at = g.where(0)[0]

        # Looked at and left without an answer: asked once more.
        g.resize(128, '--no-wait')
        t.equal((g.events(), g.serve(LET_GO), g.has()), ([(1, 5)], 0, 384), what + ': asked back, it looks at that and leaves it')
        p = g.asks(128)
        t.equal(g.events(), [(1, 5)], what + ': asked once more')
        g.eject(1)
        p.communicate(timeout=PATIENCE)
        t.equal((p.returncode, g.sizes()), (0, (128, 128, 1)), what + ': it lets go')
        g.follow(384)
        g.command('fill %d %d 0x5a' % (at, 32 * MiB))
        b('stop', 'again', check=0)
        g.kill()
        g.boot()
        until(lambda: g.serve(TAKE) or g.has() == 384, 'it is filled: if that is late, the guest is told')
        t.equal((g.has(), g.where(0), g.peek(at + 8), g.sizes()), (384, (at, 384 * MiB), 0, (384, 384, 1)), what + ': after stop and boot one DIMM is there, and empty')
        t.equal(g.window_kb() - empty, 384 << 10, what + ': with its pages')

        # Resets at any moment: while more is being added, before the guest looks; while it is asked back.
        g.resize(1024, '--no-wait')
        g.reset()
        until(lambda: g.serve(TAKE) or g.has() == 1024, 'it is filled: if that is late, the guest is told')
        until(lambda: g.sizes() == (1024, 1024, 1), 'the broker hears')
        t.equal(g.where(0)[1], 1024 * MiB, what + ': a reset while more comes: all of it is there')
        g.resize(0, '--no-wait')
        g.reset()
        t.equal((g.has(), g.sizes(), g.window_kb()), (0, (0, 0, 0), empty), what + ': a reset while it is asked back: it is gone')

        # Paused: nobody can look. What was asked for before goes on.
        p = g.asks(1024)
        until(lambda: g.sizes()[1] > 0, 'it has begun')
        b('pause', 'again', check=0)
        refused(b, what + ': paused, another size', ['resize', 'again', '--memory', '%dM' % (BOOT + 128)], 'paused', '--no-wait')
        until(lambda: g.sizes() == (1024, 1024, 1), 'filled')
        t.equal((p.poll(), b.state('again')), (None, 'paused'), what + ': paused, the DIMM is filled, and the command waits for the guest')
        b('resume', 'again', check=0)
        until(lambda: g.serve(TAKE) or p.poll() is not None, 'taken')
        t.equal((p.wait(PATIENCE), g.has()), (0, 1024), what + ': resumed, it takes it')
        b('pause', 'again', check=0)
        g.resize(0, '--no-wait')
        b('resume', 'again', check=0)
        until(lambda: g.serve(LET_GO) or g.sizes() == (0, 0, 0), 'let go')
        t.equal(g.window_kb(), empty, what + ': asked back while it was paused, it lets go')

        # The end, in the middle.
        p = g.asks(1024)
        until(lambda: g.sizes()[1] > 0, 'it has begun')
        t.ok(b('delete', 'again').returncode == 1 and b.state('again') == 'running', what + ': a running VM is not deleted')
        b('stop', 'again', check=0)
        out, err = p.communicate(timeout=PATIENCE)
        t.ok(p.returncode == 1 and 'stopped' in err, what + ': stopped in the middle: the command says so', err)


with Broker() as b:
    for part in examples, errors, advice:
        with t.part(part.__name__):
            part(b)
    for what, options in ('anonymous', 'thp=off'), ('memfd', 'shared=on'):
        with t.part('zone again: ' + what):
            zone_again(b, what, options, 256 * MiB)
    for what, options in ('anonymous DIMMs', ',thp=off'), ('memfd DIMMs', ',shared=on,prefault=on'):
        with t.part(what):
            dimms_again(b, what, options)
    with HugePool((BOOT + 1024) // 2) as pool:
        free = pool.free()
        if pool.got < (BOOT + 1024) // 2:
            t.skip('huge pages', 'the host gives %d' % pool.got)
        else:
            with t.part('zone again: huge pages'):
                zone_again(b, 'huge pages', 'hugepages=on,hugepage_size=2M', 256 * MiB)
            with t.part('DIMMs of huge pages'):
                dimms_again(b, 'huge DIMMs', ',hugepages=on,hugepage_size=2M,prefault=on')
            until(lambda: pool.free() == free, 'the pool is as before')
            t.ok(True, 'the pool is as before')
t.equal(before.same(), [], 'nothing is left behind')
t.done()

#!/usr/bin/python3
"""The balloon and reports of free pages: what the host has afterwards, for every kind of memory, and what a guest may say. The probe guest
drives the device, also in ways that no good driver would."""

import os
import re
import threading
import time

from vmlib import LAB, Broker, Console, HugePool, Inventory, MiB, Setting, Tap, memory_nodes, pages_kb, private, procfs, until

t = Tap()
before = Inventory()
LOW, SIZE = 64 * MiB, 128 * MiB  # the guest's program and tables lie in the first zone; the second is played with
ZONE = SIZE // 2 - 4 * MiB if LAB else SIZE  # of no other zone's size: that is how its mapping is known
AT = LOW
T = 1 << 40
ROUNDS = 40
FILL = '0x5a5a5a5a5a5a5a5a'


def ask(c, text):
    c.send(text + '\n')
    return c.expect('= ')[:-2] + '\n' + c.expect('\n')


def good(c, text):
    got = ask(c, text)
    if not got.endswith('ok\n'):
        raise ValueError('%s: %s' % (text, got))
    return got


def word(c, at):
    return re.search(r'0x[0-9a-f]{16}', good(c, 'peek %d' % at))[0]


def started(b, name, *args):
    b('create', '--name', name, '--cmdline', 'quiet noecho speed=off', *args, check=0)
    c = Console('console', name, '--socket', b.socket)
    time.sleep(0.1)
    b('boot', name, check=0)
    c.ready()
    return c


def over(b, name, c):
    c.kill()
    b('stop', name, check=0)
    b('delete', name, check=0)


def anon_kb(b, name, size):
    pid = b.info(name)['worker_pid']
    return pages_kb(pid, private(pid, size))


def object_kb(b, name, size):
    """KiB of memsrv's object of that size."""
    return procfs.memfd_kb(b.info(name)['memsrv_pid'], size)


def balloon(b, name):
    return b.info(name)['balloon']


def gives(b, name, zone, kb):
    """Up, down, reports: pages go, come back as zeros, and no others are touched."""
    c = started(b, name, '--memory', 'size=0', '--memory-zone', 'id=low,size=64M', 'id=z,size=%d,%s' % (ZONE, zone),
                '--balloon', 'size=8M,free_page_reporting=on')
    p = b('resize', name, '--balloon', '16M')
    t.ok(p.returncode == 1 and 'no driver' in p.stderr, name + ': a guest without a driver is an error', p.stderr)
    t.ok('wanted 2048 actual 0 features 0x20 status 0xf' in good(c, 'balloon'), name + ': the guest is told what it is to give up')
    good(c, 'fill %d %d 0x5a' % (AT, ZONE))
    full = kb()
    good(c, 'inflate %d %d' % (AT + 8 * MiB, 16 * MiB))
    t.equal(full - kb(), 16 << 10, name + ': what the guest gives up is the host\'s')
    i = balloon(b, name)
    t.equal([i[k] for k in ('given_bytes', 'reported_bytes', 'kept_bytes', 'foreign_bytes')], [16 * MiB, 0, 0, 0], name + ': and counted')
    t.equal([word(c, AT + 8 * MiB - 8), word(c, AT + 24 * MiB)], [FILL] * 2, name + ': its neighbours are untouched')
    t.equal([word(c, AT + 8 * MiB), word(c, AT + 24 * MiB - 8)], ['0x%016x' % 0] * 2, name + ': touched again it is zero')
    good(c, 'inflate %d %d 1' % (AT + 8 * MiB, 4 * MiB))
    good(c, 'inflate %d 4096' % (AT + 24 * MiB - 4096))
    t.equal(full - kb(), 16 << 10, name + ': the same pages again, one by one, change nothing')
    good(c, 'deflate %d %d' % (AT + 8 * MiB, 16 * MiB))
    good(c, 'fill %d %d 0x5a' % (AT + 8 * MiB, 16 * MiB))
    t.ok(kb() == full and word(c, AT + 16 * MiB) == FILL, name + ': taken back it is memory as before', (kb(), full))
    good(c, 'report %d %d' % (AT + 32 * MiB, 8 * MiB))
    t.equal([full - kb(), balloon(b, name)['reported_bytes']], [8 << 10, 8 * MiB], name + ': a free range is the host\'s')
    good(c, 'report %d %d' % (AT + 2048, 8192))
    t.equal(full - kb(), (8 << 10) + 4, name + ': of a range only whole pages')
    t.equal([word(c, AT), word(c, AT + 4096), word(c, AT + 8192)], [FILL, '0x%016x' % 0, FILL], name + ': and no other byte')
    return c


def hostile(b, name, c, kb):
    """None of this is memory of the guest, or any of its business."""
    was, foreign = kb(), 0
    for what, at, n in (('the hole below 4 GiB', 0xc0000000, MiB), ('behind all memory', LOW + ZONE, 4 * MiB), ('1 TiB', T, MiB),
                        ('the last pages there are numbers for', 16 * T - MiB, MiB), ('the interrupt controllers', 0xfec00000, 4096)):
        good(c, 'inflate %d %d' % (at, n))
        foreign += n
        t.equal([was - kb(), balloon(b, name)['foreign_bytes']], [0, foreign], '%s: %s' % (name, what))
    good(c, 'inflate %d %d' % (LOW + ZONE - 8192, 16384))
    good(c, 'deflate 0 %d' % MiB)
    good(c, 'deflate %d %d' % (T, MiB))
    i = balloon(b, name)
    t.equal([was - kb(), i['foreign_bytes']], [8, foreign + 8192], name + ': half of it memory; deflating what nobody inflated')
    for what, at, n in (('behind memory', T, 4096), ('over its end', LOW + ZONE - 4096, 8192), ('almost 4 GiB', AT, 0xfffff000)):
        was = kb()
        got = ask(c, 'report %d %d %d' % (at, n, n))
        t.ok('needs a reset' in got and kb() == was, '%s: a report of %s breaks the device, not the VM' % (name, what), (got, was, kb()))
        good(c, 'breset')
    good(c, 'report %d 4096' % (AT + 4 * MiB))

    # Never idle, and everybody else is served.
    c.send('bstorm %d 600000\n' % (AT + MiB))
    n = 0
    while 'requests' not in c.buf and n < 3:
        n += b.info(name)['state'] == 'running'
        c.read(0.01)
    t.equal(n, 3, name + ': requests without end hold nobody up')
    c.send('\n')
    c.expect('= ok')
    t.equal(word(c, AT + 2 * MiB), FILL, name + ': nor does that touch anything else')


def looked_at(b, name, c, kb):
    """What is given up while others ask for info without end stays the host's: counting makes no page."""
    if len(memory_nodes()) > 1:
        return t.skip(name + ': looked at meanwhile', 'this host has several nodes, so pages are touched to see where they are')
    stop, counted = threading.Event(), []

    def look():
        while not stop.is_set():
            z = [z for z in b.info(name)['zones'] if z['id'] == 'z'][0]
            counted.append(sum(n['resident_bytes'] for n in z['resident']) >> 10)
    lookers = [threading.Thread(target=look) for _ in range(2)]
    good(c, 'fill %d %d 0x5a' % (AT, ZONE))
    full, wrong = kb(), []
    for looker in lookers:
        looker.start()
    try:
        for i in range(ROUNDS):
            good(c, 'inflate %d %d' % (AT + 8 * MiB, 16 * MiB))
            if full - kb() != 16 << 10:
                wrong.append((i, full - kb()))
            good(c, 'fill %d %d 0x5a' % (AT + 8 * MiB, 16 * MiB))
    finally:
        stop.set()
        for looker in lookers:
            looker.join()
    t.equal(wrong, [], '%s: what was given up %d times, under %d questions, stays the host\'s' % (name, ROUNDS, len(counted)))
    t.ok(full - (16 << 10) <= min(counted) and max(counted) <= full, name + ': and each answer was possible', (full, min(counted), max(counted)))


def sizes(b, name, c):
    """What the broker and its clients make of what the guest says."""
    p = b('resize', name, '--balloon', '16M', '--no-wait', '--json', check=0)
    t.ok('"asked"' in p.stdout, name + ': only asked', p.stdout)
    until(lambda: 'wanted 4096' in good(c, 'balloon'), 'the guest is told')
    p = b('resize', name, '--balloon', '16M', '--timeout', '1')
    t.ok(p.returncode == 1 and 'after 1 s the guest has given up' in p.stderr, name + ': a guest that does not follow is said so', p.stderr)
    good(c, 'bactual 4096')
    p = b('resize', name, '--balloon', '16M', '--timeout', '60', '--json')
    t.ok(p.returncode == 0 and '"reached"' in p.stdout, name + ': and one that has', p.stdout + p.stderr)
    good(c, 'bactual 0xffffffff')
    until(lambda: balloon(b, name)['actual_bytes'] == 0xffffffff * 4096, 'the guest lies')
    for size, what in (('5000', 'not a multiple'), ('192M', 'cannot give up all'), ('17T', 'cannot give up all')):
        p = b('resize', name, '--balloon', size)
        t.ok(p.returncode == 1 and what in p.stderr, '%s: refused: %s' % (name, size), p.stderr)
    p = b('resize', name, '--balloon', '1M', '--memory', '1G')
    t.ok(p.returncode == 2 and 'exclude' in p.stderr, name + ': one of them', p.stderr)
    b('pause', name, check=0)
    p = b('resize', name, '--balloon', '1M')
    t.ok(p.returncode == 1 and 'paused' in p.stderr, name + ': a paused guest cannot follow', p.stderr)
    b('resize', name, '--balloon', '1M', '--no-wait', check=0)
    b('resume', name, check=0)
    until(lambda: 'wanted 256' in good(c, 'balloon'), 'but it hears of it')
    c.buf = ''
    c.send('reset\n')
    c.expect('TAP version')
    c.ready()
    i = balloon(b, name)
    t.equal([i['requested_bytes'], i['actual_bytes'], i['given_bytes'], i['driver']], [MiB, 0, 0, False], name + ': after a guest\'s reset')
    t.ok('wanted 256 actual 0' in good(c, 'balloon'), name + ': the request stands')


with Broker() as b:
    with t.part('anonymous'):
        kb = lambda: anon_kb(b, 'anon', ZONE)
        c = gives(b, 'anon', 'thp=off', kb)
        hostile(b, 'anon', c, kb)
        sizes(b, 'anon', c)
        over(b, 'anon', c)
    # khugepaged would make whole huge pages again of those that the guest has given up in part.
    with t.part('transparent huge pages'), Setting('/sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_none', 0):
        c = gives(b, 'thp', 'thp=on', lambda: anon_kb(b, 'thp', ZONE))
        over(b, 'thp', c)
    with t.part('memfd'):
        kb = lambda: object_kb(b, 'memfd', ZONE)
        c = gives(b, 'memfd', 'shared=on,prefault=on', kb)
        hostile(b, 'memfd', c, kb)
        looked_at(b, 'memfd', c, kb)
        over(b, 'memfd', c)

    with t.part('zones that keep their pages'), HugePool(16) as pool:
        name = os.path.join(b.dir, 'file')
        with open(name, 'wb') as f:
            f.write(b'\x77' * (4 * MiB))
        zones = ['id=low,size=64M', 'id=kept,size=16M,shared=on,reserve=on', 'id=own,size=4M,file=%s' % name, 'id=theirs,size=4M,shared=on,file=%s' % name]
        if pool.got == 16:
            zones.append('id=huge,size=32M,hugepages=on,hugepage_size=2M')
        else:
            t.skip('huge pages', 'the host gives %d' % pool.got)
        c = started(b, 'kept', '--memory', 'size=0', '--memory-zone', *zones, '--balloon', 'free_page_reporting=on')
        at = LOW
        size = 16 + 4 + 4 + (32 if pool.got == 16 else 0)
        good(c, 'fill %d %d 0x5a' % (at, size * MiB))
        was = [object_kb(b, 'kept', 16 * MiB), anon_kb(b, 'kept', 4 * MiB), os.stat(name).st_blocks, pool.free()]
        t.equal(was[:2], [16 << 10, 4 << 10], 'kept: all of it is there')
        good(c, 'inflate %d %d' % (at, size * MiB))
        good(c, 'report %d %d' % (at, size * MiB))
        t.equal([object_kb(b, 'kept', 16 * MiB), anon_kb(b, 'kept', 4 * MiB), os.stat(name).st_blocks, pool.free()], was, 'kept: nothing goes')
        t.equal({word(c, a * MiB + at) for a in range(size)}, {FILL}, 'kept: nor does a byte change')
        i = balloon(b, 'kept')
        t.equal([i['kept_bytes'], i['given_bytes'], i['reported_bytes']], [2 * size * MiB, 0, 0], 'kept: and it is counted')
        over(b, 'kept', c)
        p = b('create', '--memory', 'size=64M,reserve=on', '--balloon', 'size=1M')
        t.ok(p.returncode != 0 and 'gives pages back' in p.stderr, 'a balloon for nothing is refused', p.stderr)
        p = b('create', '--memory', 'size=64M', '--balloon', 'size=64M')
        t.ok(p.returncode != 0 and 'cannot give up all' in p.stderr, 'as is one of all memory', p.stderr)
        b('create', '--name', 'none', '--memory', 'size=64M', check=0)
        b('boot', 'none', check=0)
        p = b('resize', 'none', '--balloon', '1M')
        t.ok(p.returncode == 1 and 'made without a balloon' in p.stderr, 'a VM without one', p.stderr)
        b('stop', 'none', check=0)
        p = b('resize', 'none', '--balloon', '1M')
        t.ok(p.returncode == 1 and 'boot the VM first' in p.stderr, 'and one that does not run', p.stderr)
        b('delete', 'none', check=0)

    for kind in 'thp=off', 'shared=on':
        with t.part('beside virtio-mem, ' + kind):
            c = started(b, 'both', '--memory', 'size=0,hotplug_method=virtio-mem', '--memory-zone', 'id=low,size=64M', 'id=z,size=0,hotplug_size=128M,' + kind,
                        '--balloon', 'free_page_reporting=on')
            kb = (lambda: anon_kb(b, 'both', 128 * MiB)) if kind == 'thp=off' else (lambda: object_kb(b, 'both', 128 * MiB))
            told = lambda: sum(n['resident_bytes'] for z in b.info('both')['zones'] if z['id'] == 'z' for n in z['resident']) >> 10
            at = int(re.search(r'at (0x[0-9a-f]+)', good(c, 'vmem'))[1], 0)
            empty = kb()
            good(c, 'inflate %d %d' % (at, 4 * MiB))
            t.equal([kb(), balloon(b, 'both')['foreign_bytes']], [empty, 4 * MiB], kind + ': what is not plugged is no memory')
            t.ok('needs a reset' in ask(c, 'report %d %d' % (at, 4 * MiB)), kind + ': to reports neither')
            good(c, 'breset')
            b('resize-zone', 'both', 'z', '32M', '--no-wait', check=0)
            until(lambda: 'requested 0x2000000' in good(c, 'vmem'), 'the guest is told')
            good(c, 'follow 0')
            if kind == 'shared=on':
                # Pages of an object that nobody has touched look like those that were given back.
                t.equal([kb() - empty, told()], [32 << 10, kb()], kind + ': info counts what was plugged and not touched')
                good(c, 'inflate %d %d' % (at + 8 * MiB, 4 * MiB))
                good(c, 'fill %d %d 0x5a' % (at, 2 * MiB))
                t.equal([kb() - empty, told(), told()], [28 << 10, kb(), kb()], kind + ': and of that what was given back is missed')
            good(c, 'fill %d %d 0x5a' % (at, 32 * MiB))
            full = kb()
            t.equal(full - empty, 32 << 10, kind + ': plugged')
            good(c, 'inflate %d %d' % (at + 28 * MiB, 8 * MiB))
            t.equal([full - kb(), balloon(b, 'both')['foreign_bytes']], [4 << 10, 8 * MiB], kind + ': plugged memory is given back, and only that')
            t.equal(full - kb(), 4 << 10, kind + ': looking at it brings nothing back')
            good(c, 'unplug 0 %d 2' % (at + 28 * MiB))
            t.equal(full - kb(), 4 << 10, kind + ': unplugging what was given up')
            good(c, 'plug 0 %d 2' % (at + 28 * MiB))
            t.equal([kb(), word(c, at + 28 * MiB), word(c, at + 28 * MiB - 8)], [full, '0x%016x' % 0, FILL], kind + ': and plugged again it is there')
            over(b, 'both', c)

t.equal(before.same(), [], 'nothing is left behind')
t.done()

#!/usr/bin/python3
"""Memory that comes and goes as DIMMs: what the guest finds in the registers of the memory slots, what its answers lead to, and what the host
has afterwards. The probe guest does by hand what a guest's ACPI would do, and what none should."""

import contextlib
import json
import os
import signal

from probe_dimms import BOOT, ENABLED, INSERTED, NODE, REMOVE, SELECT, SLOTS, STATUS, WINDOW, Guest
from vmlib import LAB, Broker, Console, HugePool, Inventory, MiB, Tap, stat_of, until

t = Tap()
before = Inventory()


def answer(p):
    out, err = p.communicate(timeout=200)
    return p.returncode, json.loads(out), err


def one_kind(b, name, memory):
    with Guest(b, name, memory) as g:
        exercise(g, name)


def exercise(g, name):
    p = g.resize(128)
    t.ok(p.returncode == 1 and 'not looked' in p.stderr, name + ': a guest that knows no memory slots is an error', p.stderr)
    t.equal([g.status(i) for i in range(SLOTS)], [0] * SLOTS, name + ': eight empty slots')
    until(lambda: g.resize(64).stderr.count('not looked') == 0, 'the broker knows that it has looked')
    for more, says in ((-32, 'below'), (64, 'not a multiple of 128M'), (WINDOW + 128, 'beyond')):
        p = g.resize(more)
        t.ok(p.returncode == 1 and says in p.stderr, '%s: refused: %s' % (name, says), p.stderr)
    t.ok(g.resize(0).returncode == 0, name + ': the size that it has is success')
    empty = g.window_kb()

    # Up: two DIMMs.
    p = g.asks(256)
    t.equal(g.events(), [(0, ENABLED | INSERTED)], name + ': a DIMM has come')
    at, length = g.where(0)
    t.equal((length, g.reg(NODE)), (256 * MiB, 0), name + ': its size and node')
    t.ok(g.window_kb() - empty >= 256 << 10, name + ': its pages were there before', (g.window_kb(), empty))
    t.ok(p.poll() is None, name + ': resize waits for the guest')
    g.ost(0, 1, 0)
    code, said, err = answer(p)
    t.equal((code, said['outcome'], said['reached_bytes']), (0, 'reached', (BOOT + 256) * MiB), name + ': and is done when it has accepted')
    p = g.asks(384)
    t.equal(g.events(), [(1, ENABLED | INSERTED)], name + ': another')
    t.equal(g.where(1), (at + 256 * MiB, 128 * MiB), name + ': behind it')
    g.ost(1, 1, 0)
    t.equal((answer(p)[0], g.sizes()), (0, (384, 384, 2)), name + ': info')
    g.command('fill %d %d 0x5a' % (at, 64 * MiB))
    g.command('poke %d 0x1234' % (at + 384 * MiB - 8))
    t.equal((g.peek(at + 64 * MiB - 8), g.peek(at + 384 * MiB - 8)), (0x5a5a5a5a5a5a5a5a, 0x1234), name + ': it is memory')
    if not LAB:
        was = g.window_kb()
        g.command('touch %d %d' % (at + 384 * MiB, 64 * MiB))
        t.equal(g.window_kb(), was, name + ': a guest that writes behind it gets no page for that')

    # Nonsense.
    for slot in (2, SLOTS, 0xffffffff):
        g.eject(slot)
        g.ost(slot, 3, 0)
    g.write(STATUS, 0xff, 4)
    g.write(SELECT, 1, 2)
    t.equal((g.status(0), g.status(1), g.status(SLOTS), g.sizes()), (ENABLED, ENABLED, 0, (384, 384, 2)), name + ': nonsense changes nothing')

    # Down: refused, then done.
    p = g.resize(128)
    t.ok(p.returncode == 1 and 'no slot ends at this size' in p.stderr and '%dM' % (BOOT + 256) in p.stderr, name + ': a DIMM goes as a whole', p.stderr)
    p = g.asks(0)
    t.equal(g.events(), [(0, ENABLED | REMOVE), (1, ENABLED | REMOVE)], name + ': both are asked back')
    g.ost(1, 3, 0x84)
    g.eject(1)
    t.equal(g.status(1), 0, name + ': an ejected DIMM is gone at once')
    g.ost(1, 3, 0)
    g.ost(0, 3, 0x84)
    t.ok(p.poll() is None, name + ': "in progress" is no answer')
    g.ost(0, 3, 0x82)
    code, said, err = answer(p)
    t.ok(code == 1 and said['outcome'] == 'refused' and said['reached_bytes'] == (BOOT + 256) * MiB and 'busy' in said['refused'] and
         '0x82' in err, name + ': a DIMM that is kept is a clear answer', (said, err))
    z = g.zone()
    t.equal((g.sizes(), z['refused']), ((256, 256, 1), said['refused']), name + ': and in info')
    t.equal(g.window_kb() - empty, 256 << 10, name + ': the other\'s pages are the host\'s')
    t.equal((g.peek(at), g.peek(at + 256 * MiB)), (0x5a5a5a5a5a5a5a5a, 2**64 - 1), name + ': what was kept is as it was, what was ejected reads as ones')

    # By itself; and again from the start.
    g.eject(0)
    until(lambda: g.sizes() == (0, 0, 0), 'the broker hears of it')
    t.ok('by itself' in g.zone()['refused'], name + ': a guest may eject unasked')
    t.equal(g.window_kb(), empty, name + ': nothing of it is left on the host')

    # What is not answered stands, and its opposite is possible.
    p = g.resize(128, '--timeout', '1')
    t.ok(p.returncode == 1 and 'after 1 s' in p.stderr, name + ': a guest that does not answer is said so', p.stderr)
    t.equal(g.events(), [(0, ENABLED | INSERTED)], name + ': its DIMM is there')
    t.equal(g.peek(at), 0, name + ': empty')
    g.ost(0, 1, 0x81)
    p = g.resize(128, '--timeout', '120')
    t.ok(p.returncode == 1 and 'did not take' in p.stderr and 'no driver' in p.stderr, name + ': a DIMM that is not taken is a clear answer', p.stderr)
    p = g.asks(0)
    g.events()
    g.eject(0)
    until(lambda: g.sizes() == (0, 0, 0), 'the broker hears of it')  # it counted as not given before that
    t.equal((answer(p)[0], g.window_kb()), (0, empty), name + ': and can be taken away')

    # A reset: the DIMMs are there before anybody looks, one of the same size, and empty.
    g.resize(128, '--no-wait')
    g.events()
    g.ost(0, 1, 0)
    g.resize(384, '--no-wait')
    g.events()
    g.ost(1, 1, 0)
    until(lambda: g.sizes() == (384, 384, 2) and not g.zone()['refused'], 'both are taken')
    g.command('poke %d 1' % at)
    g.buf = ''
    g.send('reset\n')
    g.expect('TAP version')
    g.ready()
    until(lambda: g.sizes() == (384, 384, 1), 'it is there again')
    t.equal((g.status(0), g.where(0), g.peek(at)), (ENABLED, (at, 384 * MiB), 0), name + ': after a reset it is there, and empty')
    t.ok(g.resize(384).returncode == 0, name + ': and counts as taken')


with Broker() as b:
    for options in 'hotplug_method=acpi', 'hotplug_size=1G':
        with t.part('run with ' + options):
            c = Console('run', '--memory', 'size=%s,%s' % ('128M' if LAB else '1G', options), '--cmdline', 'quiet noecho speed=off', '--socket', b.socket)
            c.ready()
            c.send('off\n')
            t.equal(c.wait(), 0, 'run with %s: the guest runs, and switches itself off' % options)
    with t.part('anonymous'):
        one_kind(b, 'anon', ',thp=off')
    with t.part('memfd'):
        one_kind(b, 'shared', ',shared=on,prefault=on')
    with t.part('huge pages'), HugePool(300) as pool:
        if pool.got < 300:
            t.skip('huge pages', 'the host gives %d' % pool.got)
        else:
            free = pool.free()
            one_kind(b, 'huge', ',hugepages=on,hugepage_size=2M,prefault=on')
            t.equal(pool.free(), free, 'huge: the pool is as before')
    with t.part('an empty pool'), HugePool(32 + 96) as pool:
        if pool.got < 128:
            t.skip('an empty pool', 'the host gives %d' % pool.got)
        else:
            with Guest(b, 'poor', ',hugepages=on,hugepage_size=2M', 8192) as g:
                g.status(0)
                until(lambda: 'not looked' not in g.resize(64).stderr, 'the broker knows that it has looked')
                p = g.resize(8192)
                t.ok(p.returncode == 1 and 'huge pages of 2' in p.stderr, 'more than the pool has is refused', p.stderr)
                t.equal((g.sizes(), g.number('events')), ((0, 0, 0), 0), 'and the guest hears nothing')
                with open('/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages') as f:
                    free = int(f.read())
                # A thief that comes when the broker has seen the pages: it takes some before the DIMM is filled.
                thief = os.memfd_create('thief', 4 | 21 << 26)  # MFD_HUGETLB, 2 MiB
                os.ftruncate(thief, free * 2 * MiB)
                worker = b.info('poor')['worker_pid']
                os.kill(worker, signal.SIGSTOP)
                until(lambda: stat_of(worker)[1] == 'T', 'the worker stands')
                g.resize(128, '--no-wait')
                with contextlib.suppress(OSError):
                    for i in range(free - 20):
                        os.posix_fallocate(thief, i * 2 * MiB, 2 * MiB)
                os.kill(worker, signal.SIGCONT)
                until(lambda: g.zone()['refused'], 'the worker has tried')
                t.ok('no free huge page' in g.zone()['refused'], 'an emptied pool: said so', g.zone())
                t.equal((g.sizes(), g.number('events'), g.status(0)), ((0, 0, 0), 0, 0), 'and the guest has heard nothing')
                os.close(thief)
                p = g.asks(128)
                t.equal(g.events(), [(0, ENABLED | INSERTED)], 'when there are pages again, it gets them')
                g.ost(0, 1, 0)
                t.equal(answer(p)[0], 0, 'as asked')
    for victim in 'worker', 'memsrv':
        with t.part(victim + ' killed'), Guest(b, 'dies', ',shared=on') as g:
            g.status(0)
            until(lambda: 'not looked' not in g.resize(64).stderr, 'the broker knows that it has looked')
            pid = b.info('dies')[victim + '_pid']
            p = g.asks(WINDOW)
            until(lambda: g.sizes()[1] > 0, 'it has begun')
            os.kill(pid, signal.SIGKILL)
            err = p.communicate(timeout=200)[1]
            t.ok(p.returncode == 1 and victim in err, victim + ' killed while a DIMM is filled, or just after: said so', err)
            until(lambda: b.state('dies') == 'stopped', 'the VM has ended')

t.equal(before.same(), [], 'nothing is left behind')
t.done()

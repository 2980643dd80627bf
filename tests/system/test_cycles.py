#!/usr/bin/python3
"""200 lives of VMs, 8 at a time, of every kind: afterwards host and broker have what they had before."""

import os
import threading

from vmlib import LAB, TMP, Broker, HugePool, Inventory, Memory, Tap, cli, descriptors, mappings, until

t = Tap()
CYCLES, AT_ONCE = (24, 4) if LAB else (200, 8)
ANON = ['--memory', 'size=64M']
SHARED = ['--memory', 'size=64M,shared=on']
HUGE = ['--memory', 'size=0', '--memory-zone', 'id=low,size=64M', 'id=huge,size=4M,hugepages=on,hugepage_size=2M,prefault=on']
FILES = ['--memory', 'size=0', '--memory-zone', 'id=low,size=64M', 'id=file,size=8M,shared=on,file=%s/ram' % TMP,
         'id=private,size=8M,file=%s/ram' % TMP, '--serial', 'file=%s/serial' % TMP]
QUIET = ['--cmdline', 'verify=off speed=off']


def step(b, expected, *args):
    p = b(*args)
    if p.returncode != expected:
        raise AssertionError('bulkhead %s: exit %d: %s' % (' '.join(args), p.returncode, p.stderr))


def run_once(b, name, kind):
    step(b, 0, 'run', '--name', name, '--cmdline', 'once speed=off', *kind)


def run_private(b, name, kind):
    p = cli('run', '--private', '--cmdline', 'once verify=off speed=off', *kind)
    if p.returncode:
        raise AssertionError('run --private: exit %d: %s' % (p.returncode, p.stderr))


def whole_life(b, name, kind):
    step(b, 0, 'create', '--name', name, *QUIET, *kind)
    step(b, 0, 'boot', name)
    step(b, 0, 'pause', name)
    step(b, 0, 'info', name)
    step(b, 0, 'resume', name)
    step(b, 0, 'stop', name)
    step(b, 0, 'delete', name)


def never_booted(b, name, kind):
    step(b, 0, 'create', '--name', name, *QUIET, *kind)
    step(b, 0, 'delete', name)


def booted_twice(b, name, kind):
    step(b, 0, 'create', '--name', name, *QUIET, *kind)
    for _ in range(2):
        step(b, 0, 'boot', name)
        step(b, 0, 'stop', name)
    step(b, 0, 'delete', name)


LIVES = (run_once, whole_life, never_booted, booted_twice, run_private)
KINDS = (ANON, SHARED, HUGE, FILES)


def cycles(b, count):
    """Every life with every kind of memory, in turn. Returns what went wrong."""
    bad, numbers, lock = [], iter(range(count)), threading.Lock()

    def work():
        while True:
            with lock:
                i = next(numbers, None)
            if i is None:
                return
            life, kind = LIVES[i % len(LIVES)], KINDS[i // len(LIVES) % len(KINDS)]
            try:
                life(b, 'vm-%d' % i, kind)
            except Exception as e:
                bad.append('%d, %s: %s: %s' % (i, life.__name__, type(e).__name__, e))

    threads = [threading.Thread(target=work) for _ in range(AT_ONCE)]
    for x in threads:
        x.start()
    for x in threads:
        x.join()
    return bad


def private_kb(pid):
    """What the process has of its own."""
    return sum(m.kb['Private_Dirty'] for m in mappings(pid))


def sizes(b):
    return private_kb(b.p.pid), private_kb(b.spawner())


with open(os.path.join(TMP, 'ram'), 'wb') as f:
    f.truncate(8 << 20)
before, memory = Inventory(), Memory()
with HugePool(2 * AT_ONCE) as pool, Broker() as b:
    if not t.ok(pool.free() >= 2 * AT_ONCE, 'huge pages for %d VMs' % AT_ONCE, 'only %d are free' % pool.free()):
        t.done()
    def look():
        return descriptors(b.p.pid), descriptors(b.spawner())

    b.fds()  # the connection of the last command is closed by a thread of the broker's, a moment later
    at_start = look()
    t.equal(cycles(b, len(LIVES) * len(KINDS)), [], 'every life with every kind of memory, once')
    # From here on nothing may grow: the broker has met everything.
    inventory = Inventory()
    met = sizes(b)
    t.equal(cycles(b, CYCLES), [], '%d lives, %d at a time' % (CYCLES, AT_ONCE))
    t.equal(inventory.same(), [], 'no process, mount, socket, control group or huge page is left')
    t.equal(b.json('list'), {'vms': []}, 'the broker has no VM')

    def same_descriptors():
        return look() == at_start
    try:
        until(same_descriptors)
    except TimeoutError:
        pass
    t.equal(look(), at_start, 'broker and spawner have the very descriptors of their start')
    now = sizes(b)
    t.ok(now[0] <= met[0] + 128 and now[1] <= met[1] + 128, 'broker and spawner have not grown', 'kB of their own: %s before, %s now' % (met, now))
    print('# kB of their own: broker %d, spawner %d' % now)
    t.equal(b.end(), 0, 'the broker ends with success')
t.equal(before.same(), [], 'nothing is left behind')
memory.back(t, 'the host has its memory back')
t.done()

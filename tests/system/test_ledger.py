#!/usr/bin/python3
"""Promises of memory: VMs that come at the same moment get what fits and not a page more; who goes short hears it before anything is made."""

import json
import subprocess
import sys

from vmlib import CLI, LAB, PATIENCE, Broker, HugePool, Inventory, Memory, MiB, Tap, cli, huge_counters, memory_nodes, meminfo, until

PAGE2M = 2 * MiB
t = Tap()
before, memory = Inventory(), Memory()
node = memory_nodes()[-1]


def zone(pages, more=''):
    return ['--memory', 'size=0', '--cmdline', 'verify=off speed=off', '--memory-zone', 'id=low,size=64M',
            'id=huge,size=%dM,hugepages=on,hugepage_size=2M,host_numa_node=%d%s' % (2 * pages, node, more)]


def at_once(b, count, args):
    """That many creates, started together: [(exit code, message)]."""
    ps = [subprocess.Popen([CLI, 'create', '--name', 'v%d' % i, '--socket', b.socket] + args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True) for i in range(count)]
    results = []
    for p in ps:
        err = p.communicate(timeout=PATIENCE)[1]
        results.append((p.returncode, err))
    return results


def delete_all(b):
    for v in b.json('list')['vms']:
        b('stop', v['name'])
        b('delete', v['name'], check=0)


def simultaneous(b, pool, size, count, more, what):
    free = pool.free()
    fit = min(count, free // size)
    counters = huge_counters()
    for again in ('', ', again after they were deleted'):
        results = at_once(b, count, zone(size, more))
        good = [r for r in results if r[0] == 0]
        bad = [r for r in results if r[0] != 0]
        t.equal((len(good), len(b.json('list')['vms'])), (fit, fit), '%s: of %d VMs %d fit, and as many are there%s' % (what, count, fit, again))
        unclear = [r for r in bad if r[0] != 1 or not all(w in r[1] for w in ('zone huge', '%d huge pages' % size, 'host node %d' % node, ' free'))]
        t.equal(unclear, [], what + ': each of the others hears zone, pages, node and what is free' + again)
        t.equal(pool.free(), free - fit * size, what + ': exactly their pages are taken' + again)
        delete_all(b)
        until(lambda: huge_counters() == counters, 'the pages come back: %s' % huge_counters())
    t.ok(True, what + ': and all of them are given back')


def of_another_process(b, pool):
    """Pages that somebody else takes, without telling anybody."""
    free = pool.free()
    b('create', '--name', 'first', *zone(2), check=0)
    # Populated on the node in question: a child with its memory bound there.
    child = subprocess.Popen([sys.executable, '-c', TAKER, str((free - 4) * PAGE2M), str(node)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        t.equal(child.stdout.readline(), b'taken\n', 'another process takes huge pages')
        t.equal(pool.free(), 2, 'two are left')
        p = b('create', '--name', 'second', *zone(3))
        t.ok(p.returncode == 1 and '3 huge pages' in p.stderr and '2 free' in p.stderr, 'the broker knows what is left', p.stderr)
        t.equal(b('create', '--name', 'second', *zone(2)).returncode, 0, 'what is left can be had')
        p = b('create', '--name', 'third', *zone(1))
        t.ok(p.returncode == 1 and '0 free' in p.stderr, 'and then nothing', p.stderr)
    finally:
        child.stdin.close()
        child.wait(PATIENCE)
    t.equal(b('create', '--name', 'third', *zone(1)).returncode, 0, 'when the other process is gone its pages can be had')
    delete_all(b)
    t.equal(pool.free(), free, 'and all of them come back')


TAKER = '''
import ctypes, mmap, sys
libc = ctypes.CDLL(None, use_errno=True)
mask = (ctypes.c_ulong * 16)()
n = int(sys.argv[2])
mask[n // 64] = 1 << n % 64
assert libc.syscall(238, 2, mask, 1024) == 0  # set_mempolicy(MPOL_BIND)
m = mmap.mmap(-1, int(sys.argv[1]), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000 | 21 << 26)
for at in range(0, len(m), 2 << 20):
    m[at] = 1
print('taken', flush=True)
sys.stdin.read()
'''


def node_free(n):
    """What the product counts as free on that node."""
    p = cli('plan', '--json', '--memory', 'size=0', '--memory-zone', 'id=one,size=64M,prefault=on,host_numa_node=%d' % n, check=0)
    return json.loads(p.stdout)['needs'][0]['free']


def small_pages(b):
    total = meminfo('MemTotal')['MemTotal'] >> 10
    own = Memory()
    for option in ('prefault=on', 'prefault=on,shared=on', 'reserve=on', 'reserve=on,shared=on'):
        for at in ('', ',host_numa_node=%d' % node):
            args = ['--memory', 'size=0', '--memory-zone', 'id=low,size=64M', 'id=absurd,size=%dM,%s%s' % (10 * total, option, at)]
            p = b('create', *args)
            t.ok(p.returncode == 1 and 'absurd' in p.stderr and 'free' in p.stderr and ('host node %d' % node in p.stderr) == bool(at),
                 'ten times the host\'s memory, %s%s: refused with what is needed and free' % (option, at), '%d %s' % (p.returncode, p.stderr))
    own.back(t, 'nothing was taken for that', 0)
    p = b('create', '--name', 'lazy', '--memory', 'size=%dM' % (10 * total), '--cmdline', 'verify=off speed=off')
    t.equal(p.returncode, 0, 'the same without prefault or reserve is the caller\'s business')
    print('# ' + p.stderr.strip())
    delete_all(b)


def small_pages_at_once(b):
    """Two that fit alone but not together: the second is refused while the first is being populated, or when it is there."""
    share = 0.6 if not LAB else 0.55
    size = int(node_free(node) * share) >> 20
    if size > 16 << 10:
        t.skip('two VMs with 60 % of the node\'s memory each', 'populating %d MiB would take too long' % size)
        return
    args = ['--memory', 'size=0', '--memory-zone', 'id=low,size=64M', 'id=most,size=%dM,prefault=on,host_numa_node=%d' % (size, node)]
    results = at_once(b, 2, args)
    t.equal(sorted(r[0] for r in results), [0, 1], 'two VMs with %d %% of a node\'s memory each: one gets it' % (100 * share))
    print('# %d MiB each' % size)
    refused = ''.join(r[1] for r in results if r[0])
    t.ok('zone most' in refused and 'host node %d' % node in refused and 'free' in refused, 'the other hears why', refused)
    delete_all(b)


SIZE, COUNT = 4, 8
with HugePool(18, node=node) as pool, Broker() as b:
    if t.ok(pool.free() >= 18, '18 huge pages on host node %d' % node, '%d free' % pool.free()):
        # What was there before is not counted on: taken away by bigger VMs.
        size = pool.free() // 4
        for more, what in (('', 'reserved'), (',prefault=on', 'populated')):
            with t.part(what):
                simultaneous(b, pool, size, COUNT, more, what)
        with t.part('another process'):
            of_another_process(b, pool)
    with t.part('small pages'):
        small_pages(b)
    with t.part('small pages, two at once'):
        small_pages_at_once(b)
t.equal(before.same(), [], 'nothing is left behind')
memory.back(t, 'the host has its memory back')
t.done()

#!/usr/bin/python3
"""Zones of every backing, field by field: what the plan says, what the broker tells, what /proc shows, what the guest sees."""

import fcntl
import json
import os
import re
import zlib

from vmlib import LAB, TMP, Broker, Console, HugePool, Inventory, Memory, MiB, Tap, cli, descriptors, huge_counters, mappings, memory_nodes

F_GET_SEALS, SEALS, SEAL_EXEC = 1034, 1 | 2 | 4, 32  # F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, and F_SEAL_EXEC where there is one
t = Tap()
before, memory = Inventory(), Memory()
nodes = memory_nodes()
PAGE = os.sysconf('SC_PAGE_SIZE')
FILE_SIZE = {'fshared': 20 * MiB, 'fprivate': 22 * MiB}
FILL = 3 * MiB  # how much of a file's zone the guest writes


def has(path):
    return os.path.exists(path)


KSM = has('/sys/kernel/mm/ksm/run')
THP = has('/sys/kernel/mm/transparent_hugepage/enabled')


def make_files():
    for name, size in FILE_SIZE.items():
        with open(os.path.join(TMP, name), 'wb') as f:
            f.write(os.urandom(MiB) * (size // MiB))
        os.sync()


def contents(name):
    with open(os.path.join(TMP, name), 'rb') as f:
        return f.read()


def zones(node, giant):
    """name -> (option text, what must be true). Sizes are all different, so that a mapping tells whose it is."""
    at = '' if node is None else ',host_numa_node=%d' % node
    z = {
        'thp': (64, 'thp=on' + at, 'anonymous'),
        'small': (34, 'thp=off' + at, 'anonymous'),
        'merge': (38, 'mergeable=on' + at, 'anonymous'),
        'filled': (42, 'prefault=on' + at, 'anonymous'),
        'memfd': (26, 'shared=on' + at, 'memfd'),
        'memfdfull': (30, 'shared=on,prefault=on' + at, 'memfd'),
        'huge': (16, 'hugepages=on,hugepage_size=2M' + at, 'hugetlb'),
        'hugefull': (12, 'hugepages=on,hugepage_size=2M,prefault=on' + at, 'hugetlb'),
        'fshared': (20, 'shared=on,file=%s/fshared' % TMP, 'file-shared'),
        'fprivate': (22, 'file=%s/fprivate%s' % (TMP, at), 'file-private'),
    }
    if not KSM:
        del z['merge']
    if giant:
        z['giant'] = (1024, 'hugepages=on,hugepage_size=1G' + at, 'hugetlb')
    return z


def arguments(z):
    return ['--memory', 'size=0', '--memory-zone'] + ['id=%s,size=%dM,%s' % (n, size, text) for n, (size, text, _) in z.items()]


def page_of(name, text):
    return 1 << 30 if '1G' in text else 2 * MiB if 'hugepages=on' in text else PAGE


def check_plan(z, plan, node, label):
    zones_of_plan = {p['id']: p for p in plan['plan']['zones']}
    want = {n: (size * MiB, backing, page_of(n, text), 'prefault=on' in text, 'mergeable=on' in text,
                'bind' if 'host_numa_node' in text else 'default', [node] if 'host_numa_node' in text else [])
            for n, (size, text, backing) in z.items()}
    got = {n: (p['size'], p['backing'], p['page_size'], p['prefault'], p['mergeable'], p['host_policy'], p['host_nodes'])
           for n, p in zones_of_plan.items()}
    t.equal(got, want, label + 'the plan has what was asked for')
    t.ok(plan['fits'], label + 'the plan fits this host', plan.get('needs'))


def check_info(z, info, node, label, touched):
    """touched: the guest has written every page of every zone."""
    bad = []
    for row in info['zones']:
        size, text, backing = z[row['id']]
        full = touched or 'prefault=on' in text or ('host_numa_node' in text and backing == 'hugetlb')
        there = {n['host_node']: n['resident_bytes'] for n in row['resident']}
        if (row['backing'], row['boot_bytes'], row['page_bytes']) != (backing, size * MiB, page_of(row['id'], text)):
            bad.append('%s: %s' % (row['id'], row))
        if row['host_policy'] != ('bind' if 'host_numa_node' in text else 'default'):
            bad.append('%s: policy %s' % (row['id'], row['host_policy']))
        if backing == 'file-shared':
            continue  # its pages are the page cache's, not the VM's
        # The guest leaves alone what lies below 1 MiB, and its own pages.
        low = size * MiB - (4 * MiB if touched and 'prefault=on' not in text else 0)
        if full and not low <= sum(there.values()) <= size * MiB:
            bad.append('%s: %s resident of %d' % (row['id'], there, size * MiB))
        if not full and sum(there.values()) > 4 * MiB:  # kernel and tables are in one of them
            bad.append('%s: %s resident before anybody touched it' % (row['id'], there))
        if 'host_numa_node' in text and set(there) - {node}:
            bad.append('%s: on nodes %s, bound to %d' % (row['id'], sorted(there), node))
    t.equal(bad, [], label + 'info says kind, size, pages, policy and where they are')
    t.equal(sorted(r['id'] for r in info['zones']), sorted(z), label + 'info has every zone')


def flags_wanted(name, text, backing):
    """What VmFlags must and must not have."""
    must, never = {'dd', 'dc', 'rd', 'wr'}, {'ex', 'lo'}
    (must if backing in ('memfd', 'hugetlb', 'file-shared') else never).add('sh')
    (must if backing == 'hugetlb' else never).add('ht')
    if backing == 'anonymous' and THP:
        (never if 'thp=off' in text else must).add('hg')
        (must if 'thp=off' in text else never).add('nh')
    (must if 'mergeable=on' in text else never).add('mg')
    return must, never


def find(maps, size):
    found = [m for m in maps if m.size == size * MiB and m.perms.startswith('rw')]
    return found[0] if len(found) == 1 else None


def check_mappings(z, info, node, label, touched):
    maps = mappings(info['worker_pid'])
    held = {inode: target for target, inode in descriptors(info['memsrv_pid']).values()}
    for name, (size, text, backing) in z.items():
        m = find(maps, size)
        if not m:
            t.ok(False, label + name + ': the worker has it mapped once, whole', '\n'.join(map(repr, maps)))
            continue
        bad = []
        must, never = flags_wanted(name, text, backing)
        if not must <= m.flags or never & m.flags:
            bad.append('VmFlags %s: missing %s, too many %s' % (sorted(m.flags), must - m.flags, never & m.flags))
        if m.kb['KernelPageSize'] << 10 != page_of(name, text):
            bad.append('KernelPageSize %d' % m.kb['KernelPageSize'])
        wanted = {'memfd': '/memfd:bulkhead:%s (deleted)' % name, 'hugetlb': '/memfd:bulkhead:%s (deleted)' % name, 'anonymous': '',
                  'file-shared': '%s/fshared' % TMP, 'file-private': '%s/fprivate' % TMP}[backing]
        # An anonymous mapping with a name of its own would be [anon:...].
        if m.name != wanted:
            bad.append('name %r, wanted %r' % (m.name, wanted))
        if backing != 'anonymous' and m.inode not in held:
            bad.append('memsrv does not hold inode %d; it has %s' % (m.inode, held))
        if 'host_numa_node' in text and backing != 'hugetlb' and m.policy != 'bind:%d' % node:
            bad.append('policy %s' % m.policy)  # a hugetlb object keeps none: its pages are where memsrv put them
        if 'host_numa_node' in text and set(m.pages) - {node}:
            bad.append('pages on %s' % m.pages)
        there = sum(m.pages.values()) * (page_of(name, text) if backing == 'hugetlb' else PAGE)
        if backing == 'anonymous' and 'prefault=on' in text and there != size * MiB:
            bad.append('prefaulted, but N= adds up to %d' % there)
        if touched and not size * MiB - 4 * MiB <= there <= size * MiB:
            bad.append('touched by the guest, but N= adds up to %d' % there)
        if 'thp=off' in text and m.kb.get('AnonHugePages', 0):
            bad.append('AnonHugePages %d kB' % m.kb['AnonHugePages'])
        t.equal(bad, [], '%s%s: /proc/WORKER/smaps, numa_maps and maps show it as planned' % (label, name))


def check_seals(z, info, label):
    bad, seen = [], set()
    for n, (target, _) in descriptors(info['memsrv_pid']).items():
        if not target.startswith('/memfd:bulkhead:'):
            continue
        name = target[len('/memfd:bulkhead:'):].split()[0]
        seen.add(name)
        fd = os.open('/proc/%d/fd/%d' % (info['memsrv_pid'], n), os.O_RDWR)
        try:
            if fcntl.fcntl(fd, F_GET_SEALS) & ~SEAL_EXEC != SEALS:
                bad.append('%s: seals %d' % (name, fcntl.fcntl(fd, F_GET_SEALS)))
            if os.fstat(fd).st_size != z[name][0] * MiB:
                bad.append('%s: size %d' % (name, os.fstat(fd).st_size))
        finally:
            os.close(fd)
    t.equal(bad, [], label + 'memory objects are sealed against every change of size')
    t.equal(seen, {n for n, v in z.items() if v[2] in ('memfd', 'hugetlb')}, label + 'memsrv holds exactly the objects of this VM')


def check_guest_map(plan, report, label):
    """RAM as the plan has it, but for the hole below 1 MiB."""
    ram = sorted((int(m[1], 16), int(m[2], 16) + 1) for m in re.finditer(r'# map 0x([0-9a-f]+)-0x([0-9a-f]+) ram', report))
    want = sorted((p['start'], p['start'] + p['len']) for p in plan['plan']['map'] if p['kind'] == 'ram')
    first = [r for r in ram if r[1] <= MiB]
    t.ok(len(first) == 1 and first[0][0] == 0 and first[0][1] > 512 << 10, label + 'guest: low memory', ram)
    t.equal([r for r in ram if r[1] > MiB], [(max(a, MiB), b) for a, b in want], label + 'guest: its memory map is the plan\'s')
    windows = {(p['start'], p['start'] + p['len']) for p in plan['plan']['map'] if p['kind'] == 'ecam'}
    reserved = {(int(m[1], 16), int(m[2], 16) + 1) for m in re.finditer(r'# map 0x([0-9a-f]+)-0x([0-9a-f]+) reserved', report)}
    t.ok(windows <= reserved, label + 'guest: PCI configuration space is reserved', '%s not in %s' % (windows, reserved))


def crc(c, at, n):
    return int(re.search(r'^0x([0-9a-f]{8})\s', c.command('sum %#x %#x' % (at, n)), re.M)[1], 16)


def check_files(plan, c, b, label):
    where = {p['zone']: p['start'] for p in plan['plan']['map'] if p['kind'] == 'ram'}
    for name in FILE_SIZE:
        whole = contents(name)
        at, n = where[name], (1 if LAB else 4) * MiB
        got = crc(c, at, n)
        t.equal(got, zlib.crc32(whole[:n]), '%s%s: the guest reads the file' % (label, name))
        answer = c.command('fill %#x %#x 0x5a' % (at + MiB, FILL))
        t.ok('error' not in answer, '%s%s: the guest writes it' % (label, name), answer)
        now = contents(name)
        changed = whole[:MiB] + b'\x5a' * FILL + whole[MiB + FILL:]
        t.ok(now == (changed if name == 'fshared' else whole),
             '%s%s: the guest\'s writes %s' % (label, name, 'are in the file, and nothing else is' if name == 'fshared' else 'do not reach the file'))
        got = crc(c, at, 2 * MiB)
        t.equal(got, zlib.crc32(changed[:2 * MiB]), '%s%s: and the guest reads back what it wrote' % (label, name))


def life(b, z, node, label):
    make_files()
    args = arguments(z)
    plan = json.loads(cli('plan', '--json', *args, check=0).stdout)
    check_plan(z, plan, node, label)
    p = b('create', '--name', 'z', '--cmdline', 'verify=off speed=off', *args)
    if not t.equal(p.returncode, 0, label + 'create'):
        print('# ' + p.stderr)
        return
    info = b.info('z')
    check_info(z, info, node, label + 'created: ', False)
    check_mappings(z, info, node, label + 'created: ', False)
    check_seals(z, info, label)
    b('boot', 'z', check=0)
    c = Console('console', 'z', '--socket', b.socket)
    report = c.ready()
    check_guest_map(plan, report, label)
    check_files(plan, c, b, label)
    for p in plan['plan']['map']:
        if p['kind'] == 'ram':
            start, end = p['start'], p['start'] + p['len']
            c.command('touch %#x %#x' % (max(start, 2 * MiB), end - max(start, 2 * MiB)))
    c.kill()
    check_info(z, b.info('z'), node, label + 'touched: ', True)
    check_mappings(z, info, node, label + 'touched: ', True)
    b('stop', 'z', check=0)
    t.ok(not os.path.exists('/proc/%d' % info['worker_pid']), label + 'stopped: its worker is gone')
    now = b.info('z')
    t.equal(sorted(n for n in z if z[n][2] == 'memfd' and
                   sum(r['resident_bytes'] for r in next(x for x in now['zones'] if x['id'] == n)['resident']) == z[n][0] * MiB),
            sorted(n for n in z if z[n][2] == 'memfd'), label + 'stopped: memsrv has kept the shared zones')
    b('delete', 'z', check=0)


def by_itself(name, size, text):
    return ['--memory', 'size=0', '--memory-zone', 'id=low,size=64M', 'id=%s,size=%s,%s' % (name, size, text)]


def shortage(b):
    counters = huge_counters()
    with HugePool(3) as pool:
        free = pool.free()
        need = free + 5
        for at, where in (('', ''), (',host_numa_node=%d' % pool.node, 'host node %d' % pool.node)):
            if not at and len(nodes) > 1:
                continue  # other nodes may have enough
            for verb in ('create', 'run'):
                p = b(verb, '--name', 'poor', *by_itself('rich', '%dM' % (2 * need), 'hugepages=on,hugepage_size=2M' + at))
                t.ok(p.returncode == 1 and all(w in p.stderr for w in ('rich', 'of 2M', '%d huge pages' % need, '%d free' % free, where)),
                     'too few huge pages%s: %s is refused with zone, page size, needed, free' % (' on a node' if at else '', verb), p.stderr)
            t.equal(b.json('list'), {'vms': []}, 'and no VM is there')
            t.equal(pool.free(), free, 'and no page is missing')
        p = cli('run', '--private', *by_itself('rich', '%dM' % (2 * need), 'hugepages=on,hugepage_size=2M,host_numa_node=%d' % pool.node))
        t.ok(p.returncode == 1 and 'rich' in p.stderr, 'a private broker refuses the same', p.stderr)
    t.equal(huge_counters(), counters, 'the counters of huge pages are as before')
    p = b('create', *by_itself('far', '64M', 'host_numa_node=%d' % (max(nodes) + 7)))
    t.ok(p.returncode == 2 and 'host_numa_node=%d' % (max(nodes) + 7) in p.stderr, 'a host node that does not exist is an error', p.stderr)
    p = b('create', *by_itself('odd', '64M', 'hugepages=on,hugepage_size=4M'))
    t.ok(p.returncode == 2 and '4M' in p.stderr and '2' in p.stderr, 'a page size that the host has not is an error', p.stderr)
    p = b('create', *by_itself('short', '64M', 'shared=on,file=%s/fshared' % TMP))
    t.ok(p.returncode == 2 and 'short' in p.stderr, 'a file that is shorter than its zone is an error', p.stderr)
    p = b('create', *by_itself('gone', '16M', 'file=%s/nothing' % TMP))
    t.ok(p.returncode == 2 and '%s/nothing' % TMP in p.stderr, 'a file that does not exist is an error', p.stderr)


with Broker() as b:
    for node in [None] + sorted({nodes[0], nodes[-1]}):
        label = 'anywhere: ' if node is None else 'node %d: ' % node
        with t.part(label + 'to the end'), HugePool(24, 2048, node) as two, HugePool(1, 1 << 20, node) as one:
            if two.free() < 14:
                t.skip(label + '2M pages', 'this host has no 14 huge pages of 2 MiB to give')
                continue
            giant = one.got == 1 or os.path.exists(one.dir) and one.free() >= 1
            if not giant:
                t.skip(label + '1G pages', 'this host has no huge page of 1 GiB to give')
            try:
                life(b, zones(node, giant), node, label)
            finally:
                b('stop', 'z')
                b('delete', 'z')
    make_files()
    with t.part('shortage, to the end'):
        shortage(b)
t.equal(before.same(), [], 'nothing is left behind')
memory.back(t, 'the host has its memory back')
t.done()

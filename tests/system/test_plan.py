#!/usr/bin/python3
"""`bulkhead plan` and `check-host` as anybody uses them: every example command line of the memory documentation, its outcome field by field,
and the exit codes of what is wrong. Needs no broker, no privilege and no KVM. BULKHEAD_BIN: the directory of the program."""

import json
import os
import subprocess
import sys
import tempfile

BIN = os.path.join(os.environ.get('BULKHEAD_BIN', '/usr/bin'), 'bulkhead')
DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'data')
K, M, G = 1 << 10, 1 << 20, 1 << 30
LAPTOP, SERVER = os.path.join(DATA, 'host-laptop.json'), os.path.join(DATA, 'host-server.json')

results = []


def run(*args):
    p = subprocess.run([BIN, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if p.returncode < 0:
        raise AssertionError('ended by signal %d: %s' % (-p.returncode, ' '.join(args)))
    return p


def plan(*args, host=LAPTOP, code=0):
    p = run('plan', *args, '--host', host, '--json')
    assert p.returncode == code, 'exit %d instead of %d: %s%s' % (p.returncode, code, p.stdout, p.stderr)
    assert p.stderr == '', p.stderr
    doc = json.loads(p.stdout)
    assert list(doc) == ['plan', 'needs', 'fits', 'diagnostics'], list(doc)
    assert doc['fits'] == (code == 0)
    assert (doc['plan'] is None) == (code == 2)
    if doc['plan']:
        sound(doc['plan'])
    return doc


def sound(p):
    """No byte belongs to two things; pieces of a zone add up to it."""
    end, sizes = 0, {}
    for e in p['map']:
        assert e['start'] >= end, e
        end = e['start'] + e['len']
        assert end <= 1 << p['phys_bits'], e
        if e['kind'] == 'ram':
            assert e['offset'] == sizes.get(e['zone'], 0), e
            sizes[e['zone']] = e['offset'] + e['len']
            assert end <= 3 * G or e['start'] >= 4 * G, e
    assert {z['id']: z['size'] for z in p['zones'] if z['size']} == sizes


def match(got, **want):
    for key, value in want.items():
        assert got[key] == value, '%s is %r instead of %r in %r' % (key, got[key], value, got)


def entries(doc, kind):
    return [e for e in doc['plan']['map'] if e['kind'] == kind]


def levels(doc, level):
    return [d for d in doc['diagnostics'] if d['level'] == level]


def case(f):
    try:
        f()
        results.append((True, f.__doc__ or f.__name__, ''))
    except Exception as e:  # noqa: BLE001: whatever it is, it is this case's failure
        results.append((False, f.__doc__ or f.__name__, '%s: %s' % (type(e).__name__, e)))


ZONE = dict(backing='anonymous', file=None, size=G, page_size=4 * K, prefault=False, reserve=False, thp=True, mergeable=False,
            host_policy='default', host_nodes=[], host_cpus=[], guest_numa_id=None, hotplug=None)
PLAIN = dict(ZONE, id='__ram')
MEM0 = dict(ZONE, id='mem0')


def plug(method, size, plugged, block, start):
    return dict(method=method, size=size, hotplugged_size=plugged, block_size=block, start=start, len=size)


# The examples of --memory: the words behind the option, and what the one zone becomes.
MEMORY = [
    ('size=1G', {}),
    ('size=1G,mergeable=on', dict(mergeable=True)),
    ('size=1G,hotplug_method=acpi', {}),
    ('size=1G,hotplug_size=1G', dict(hotplug=plug('acpi', G, 0, 128 * M, 4 * G))),
    ('size=1G,hotplug_method=virtio-mem,hotplug_size=1G,hotplugged_size=512M',
     dict(hotplug=plug('virtio-mem', G, 512 * M, 2 * M, 4 * G))),
    ('size=1G,shared=on', dict(backing='memfd', thp=False)),
    ('size=1G,hugepages=on,hugepage_size=2M', dict(backing='hugetlb', page_size=2 * M, reserve=True, thp=False)),
    ('size=1G,prefault=on', dict(prefault=True)),
    ('size=1G,thp=on', {}),
]

# The same for one --memory-zone: --memory, --memory-zone, the zone, and whether it is for the server (it names a host node).
ZONES = [
    ('size=0', 'id=mem0,size=1G', {}),
    ('size=0', 'id=mem0,size=1G,file=/foo/bar', dict(backing='file-private', file='/foo/bar', thp=False)),
    ('size=0', 'id=mem0,size=1G,shared=on', dict(backing='memfd', thp=False)),
    ('size=0', 'id=mem0,size=1G,hugepages=on,hugepage_size=2M',
     dict(backing='hugetlb', page_size=2 * M, reserve=True, thp=False)),
    ('size=0', 'id=mem0,size=1G,host_numa_node=0', dict(host_policy='bind', host_nodes=[0], host_cpus=list(range(8)))),
    ('size=0,hotplug_method=virtio-mem', 'id=mem0,size=1G,hotplug_size=1G',
     dict(hotplug=plug('virtio-mem', G, 0, 2 * M, 4 * G))),
    ('size=0,hotplug_method=virtio-mem', 'id=mem0,size=1G,hotplug_size=1G,hotplugged_size=512M',
     dict(hotplug=plug('virtio-mem', G, 512 * M, 2 * M, 4 * G))),
    ('size=0', 'id=mem0,size=1G,prefault=on', dict(prefault=True)),
]


def memory_examples():
    for words, want in MEMORY:
        def f():
            doc = plan('--memory', words)
            assert doc['plan']['zones'] == [dict(PLAIN, **want)], doc['plan']['zones']
            assert [(e['start'], e['len']) for e in entries(doc, 'ram')] == [(0, G)]
            assert doc['plan']['nodes'] == []
            assert [w['reason'] for w in levels(doc, 'error')] == []
        f.__doc__ = '--memory ' + words
        yield f


def zone_examples():
    for memory, zone, want in ZONES:
        def f():
            doc = plan('--memory', memory, '--memory-zone', zone)
            assert doc['plan']['zones'] == [dict(MEM0, **want)], doc['plan']['zones']
        f.__doc__ = '--memory %s --memory-zone %s' % (memory, zone)
        yield f


def default():
    """no option at all is 512 MiB with thp"""
    doc = plan()
    assert doc['plan']['zones'] == [dict(PLAIN, size=512 * M)]
    match(doc['plan'], vcpus_boot=1, vcpus_max=1, num_pci_segments=1, phys_bits=39)
    assert doc['needs'] == [dict(host_nodes=[], page_size=4 * K, bytes=0, bytes_lazy=512 * M, free=12 * G, missing=0, zones='__ram')]
    kinds = [e['kind'] for e in doc['plan']['map']]
    assert kinds == ['ram', 'pci32', 'ecam', 'platform', 'pci64'], kinds


def numa_id():
    """--numa guest_numa_id=0 gets everything, with notices; a node with nothing in it gets a warning"""
    doc = plan('--numa', 'guest_numa_id=0')
    assert [(n['guest_numa_id'], n['cpus'], n['memory_zones'], n['pci_segments']) for n in doc['plan']['nodes']] == [
        (0, [0], ['__ram'], [0])]
    assert len(levels(doc, 'notice')) == 2 and not levels(doc, 'warning'), doc['diagnostics']
    doc = plan('--numa', 'guest_numa_id=0', 'guest_numa_id=1')
    assert 'guest_numa_id=1' in levels(doc, 'warning')[0]['text'], doc['diagnostics']


def said_once():
    """a machine that has no memory at its start: that is said once"""
    p = run('plan', '--json', '--memory', 'size=0,hotplug_method=virtio-mem', '--memory-zone', 'id=mem0,size=0,hotplug_size=1G')
    said = [d for d in json.loads(p.stdout)['diagnostics'] if d['level'] in ('warning', 'error')]
    assert p.returncode == 2 and len(said) == 1 and 'no zone has memory at boot' in said[0]['reason'], p.stdout


def numa_cpus():
    """--cpus boot=8 --numa guest_numa_id=0,cpus=[1-3,7] guest_numa_id=1,cpus=[0,4-6]"""
    doc = plan('--cpus', 'boot=8', '--numa', 'guest_numa_id=0,cpus=[1-3,7]', 'guest_numa_id=1,cpus=[0,4-6]')
    assert [n['cpus'] for n in doc['plan']['nodes']] == [[1, 2, 3, 7], [0, 4, 5, 6]]
    match(doc['plan'], vcpus_boot=8, vcpus_max=8)


def numa_distances():
    """--numa with distances between three nodes"""
    doc = plan('--numa', 'guest_numa_id=0,distances=[1@15,2@25]', 'guest_numa_id=1,distances=[0@15,2@20]',
               'guest_numa_id=2,distances=[0@25,1@20]')
    assert [[d['distance'] for d in n['distances']] for n in doc['plan']['nodes']] == [[10, 15, 25], [15, 10, 20], [25, 20, 10]]


def numa_zones():
    """--numa with memory_zones over three zones"""
    doc = plan('--memory', 'size=0', '--memory-zone', 'id=mem0,size=1G', 'id=mem1,size=1G', 'id=mem2,size=1G', '--numa',
               'guest_numa_id=0,memory_zones=[mem0,mem2]', 'guest_numa_id=1,memory_zones=mem1')
    assert [n['memory_zones'] for n in doc['plan']['nodes']] == [['mem0', 'mem2'], ['mem1']]
    assert [z['guest_numa_id'] for z in doc['plan']['zones']] == [0, 1, 0]
    assert [(e['zone'], e['start']) for e in entries(doc, 'ram')] == [('mem0', 0), ('mem1', G), ('mem2', 2 * G)]


def numa_zone_twice():
    """a zone in two nodes is an error that names zone and nodes"""
    doc = plan('--memory', 'size=0', '--memory-zone', 'id=mem0,size=1G', '--numa', 'guest_numa_id=0,memory_zones=mem0',
               'guest_numa_id=1,memory_zones=mem0', code=2)
    assert len(levels(doc, 'error')) == 1 and 'mem0' in str(doc['diagnostics'])


def sgx():
    """--sgx-epc and sgx_epc_sections"""
    doc = plan('--sgx-epc', 'id=epc0,size=32M', 'id=epc1,size=64M', 'id=epc2,size=32M', '--numa',
               'guest_numa_id=0,sgx_epc_sections=epc1', 'guest_numa_id=1,sgx_epc_sections=[epc0,epc2]', host=SERVER)
    assert [n['sgx_epc_sections'] for n in doc['plan']['nodes']] == [['epc1'], ['epc0', 'epc2']]
    assert [(e['epc'], e['start'], e['len']) for e in entries(doc, 'epc')] == [
        ('epc0', 4 * G, 32 * M), ('epc1', 4 * G + 32 * M, 64 * M), ('epc2', 4 * G + 96 * M, 32 * M)]
    assert [s['guest_numa_id'] for s in doc['plan']['sgx_epc']] == [1, 0, 1]
    assert levels(doc, 'warning') == []
    p = run('plan', '--sgx-epc', 'id=epc0,size=32M', '--host', LAPTOP)
    assert p.returncode == 2 and 'no SGX for guests' in p.stderr, p.stderr


def segments():
    """--platform num_pci_segments=2 with the zones of two host nodes"""
    doc = plan('--platform', 'num_pci_segments=2', '--memory-zone', 'size=16G,host_numa_node=0,id=mem0', '--memory-zone',
               'size=16G,host_numa_node=1,id=mem1', '--numa', 'guest_numa_id=0,memory_zones=mem0,pci_segments=[0]', '--numa',
               'guest_numa_id=1,memory_zones=mem1,pci_segments=[1]', host=SERVER)
    assert [n['pci_segments'] for n in doc['plan']['nodes']] == [[0], [1]]
    assert [(e['zone'], e['start'], e['len'], e['offset']) for e in entries(doc, 'ram')] == [
        ('mem0', 0, 3 * G, 0), ('mem0', 4 * G, 13 * G, 3 * G), ('mem1', 17 * G, 16 * G, 0)]
    for kind in ('pci32', 'ecam', 'pci64'):
        assert [e['segment'] for e in entries(doc, kind)] == [0, 1]
    assert [z['host_cpus'] for z in doc['plan']['zones']] == [
        list(range(8)) + list(range(16, 24)), list(range(8, 16)) + list(range(24, 32))]
    assert [(n['host_nodes'], n['bytes_lazy'], n['free']) for n in doc['needs']] == [([0], 16 * G, 28 * G), ([1], 16 * G, 28 * G)]


def short():
    """too few huge pages on the named node: exit 1, and the numbers"""
    args = ['--memory', 'size=0', '--memory-zone', 'id=a,size=2G,hugepages=on,hugepage_size=1G,host_numa_node=1',
            'id=b,size=512M,hugepages=on,host_numa_node=0']
    doc = plan(*args, host=SERVER, code=1)
    assert [(n['host_nodes'], n['page_size'], n['bytes'], n['free'], n['missing']) for n in doc['needs']] == [
        ([1], G, 2 * G, G, G), ([0], 2 * M, 512 * M, 2 * G, 0)]
    assert any('2M' in d['reason'] for d in levels(doc, 'notice')), 'the default page size is not said'
    text = run('plan', *args, '--host', SERVER)
    assert text.returncode == 1 and 'SHORT: 1 GiB, 1 of 2 pages, are missing' in text.stdout, text.stdout


def together():
    """zones that fit one by one, but not together"""
    zones = ['id=a,size=3G,hugepages=on,hugepage_size=1G,host_numa_nodes=[0,1],host_numa_policy=interleave',
             'id=b,size=3G,hugepages=on,hugepage_size=1G,host_numa_node=0']
    doc = plan('--memory', 'size=0', '--memory-zone', *zones, host=SERVER, code=1)
    assert sum(n['missing'] for n in doc['needs']) == G
    assert all(n['bytes'] <= n['free'] for n in doc['needs'])


def hole():
    """a hole in front of a zone of larger pages is shown"""
    doc = plan('--memory', 'size=0', '--memory-zone', 'id=a,size=100M', 'id=b,size=1G,hugepages=on,hugepage_size=1G', host=SERVER)
    assert [(e['start'], e['len']) for e in entries(doc, 'hole')] == [(100 * M, G - 100 * M)]
    assert [(e['zone'], e['start']) for e in entries(doc, 'ram')] == [('a', 0), ('b', G)]


def too_big():
    """more than the host's address bits: exit 2 and the number of bits"""
    doc = plan('--memory', 'size=600G', code=2)
    assert 'need 40 bits' in doc['diagnostics'][0]['reason'], doc['diagnostics']


def all_errors():
    """all errors in one pass, on stderr, each with its option; exit 2 and no map"""
    p = run('plan', '--host', LAPTOP, '--memory', 'size=1000001,hugepage_size=2M', '--cpus', 'boot=2', '--numa', 'guest_numa_id=0,cpus=7')
    assert p.returncode == 2 and p.stdout == '', p.stdout
    errors = [line for line in p.stderr.splitlines() if line.startswith('error: ')]
    assert len(errors) == 3 and sum('--memory' in e for e in errors) == 2 and sum('--numa' in e for e in errors) == 1, p.stderr


def bad_options():
    """unknown options, stray words and bad hosts: exit 2"""
    for args in (['--memroy', 'size=1G'], ['--memory', 'size=1G', '--json', '--json'], ['--memory', 'size=1G', '--host'], ['extra'],
                 ['--host', '/nonexistent'], ['--host', os.devnull], ['--memory', 'size=1.5G'], ['--restore', 'source_url=/x']):
        p = run('plan', *args)
        assert p.returncode == 2, '%s: exit %d' % (args, p.returncode)
        assert 'error' in (p.stdout if '--json' in args else p.stderr), args


def file_here():
    """file= must exist when the plan is for this host"""
    args = ['--memory', 'size=0', '--memory-zone', 'id=mem0,size=1M,file=/nonexistent/file']
    p = run('plan', *args)
    assert p.returncode == 2 and '/nonexistent/file' in p.stderr, p.stderr


def text():
    """the text shows map, zones, nodes, distances and needs"""
    p = run('plan', '--host', SERVER, '--memory', 'size=0', '--memory-zone', 'id=mem0,size=4G', 'id=mem1,size=1G,shared=on,host_numa_node=1',
            '--cpus', 'boot=2', '--numa', 'guest_numa_id=0,cpus=0,memory_zones=mem0,distances=[1@17]', 'guest_numa_id=1,cpus=1,memory_zones=mem1')
    assert p.returncode == 0, p.stderr
    for part in ('Guest-physical map', 'RAM  mem0 from its offset 3 GiB', '0x000100000000', 'bind 1', 'Distances between guest nodes',
                 'What the host must give', 'The host can give this now.'):
        assert part in p.stdout, '%r is not in %s' % (part, p.stdout)


def this_host():
    """a plan for this host needs no --host"""
    p = run('plan', '--memory', 'size=16M', '--json')
    assert p.returncode == 0, p.stderr
    assert json.loads(p.stdout)['plan']['zones'][0]['size'] == 16 * M


def same_as_config():
    """--config with the same fields gives the same plan"""
    config = {'memory': {'size': 0, 'zones': [{'id': 'mem0', 'size': G, 'shared': True}, {'id': 'mem1', 'size': 2 * G}]},
              'cpus': {'boot_vcpus': 2, 'max_vcpus': 2},
              'numa': [{'guest_numa_id': 0, 'cpus': [0], 'memory_zones': ['mem0'], 'distances': [{'destination': 1, 'distance': 30}]},
                       {'guest_numa_id': 1, 'cpus': [1], 'memory_zones': ['mem1']}]}
    with tempfile.NamedTemporaryFile('w', suffix='.json') as f:
        json.dump(config, f)
        f.flush()
        a = plan('--config', f.name)
    b = plan('--memory', 'size=0', '--memory-zone', 'id=mem0,size=1G,shared=on', 'id=mem1,size=2G', '--cpus', 'boot=2', '--numa',
             'guest_numa_id=0,cpus=0,memory_zones=mem0,distances=[1@30]', 'guest_numa_id=1,cpus=1,memory_zones=mem1')
    assert a['plan'] == b['plan'], (a, b)


def check_host():
    """check-host says what it found; its JSON is a --host file"""
    p = run('check-host')
    assert p.returncode in (0, 1) and 'kvm' in p.stdout, p.stdout
    j = run('check-host', '--json')
    assert j.returncode == p.returncode
    doc = json.loads(j.stdout)
    assert doc['usable'] == (j.returncode == 0)
    names = [c['name'] for c in doc['checks']]
    for name in ('kvm', 'seccomp', 'user-namespaces', 'cgroups', 'memory', 'hugepages-2M', 'thp', 'ksm', 'sgx'):
        assert name in names, names
    for c in doc['checks']:
        assert (c['verdict'] == 'ok') == (c['cost'] is None) == (c['remedy'] is None), c
    with tempfile.NamedTemporaryFile('w', suffix='.json') as f:
        f.write(j.stdout)
        f.flush()
        there = plan('--memory', 'size=64M', host=f.name)
    here = json.loads(run('plan', '--memory', 'size=64M', '--json').stdout)
    assert there['plan'] == here['plan']
    assert run('check-host', 'extra').returncode == 2


def unprivileged():
    """nobody can plan"""
    if os.geteuid() != 0:
        return plan('--memory', 'size=1G')
    def become_nobody():
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
    with tempfile.TemporaryDirectory() as d:  # the build may lie where nobody may look
        os.chmod(d, 0o755)
        copy = os.path.join(d, 'bulkhead')
        subprocess.run(['cp', BIN, copy], check=True)
        p = subprocess.run([copy, 'plan', '--memory', 'size=1G', '--json'], preexec_fn=become_nobody, cwd='/', capture_output=True, text=True)
    assert p.returncode == 0 and json.loads(p.stdout)['fits'], p.stderr
    return None


def helps():
    """--help tells and succeeds"""
    for verb in ('plan', 'check-host'):
        p = run(verb, '--help')
        assert p.returncode == 0 and 'usage: bulkhead ' + verb in p.stdout and '--json' in p.stdout


def main():
    for f in [default, *memory_examples(), *zone_examples(), numa_id, numa_cpus, numa_distances, numa_zones, numa_zone_twice, sgx, segments,
              short, together, hole, too_big, all_errors, bad_options, file_here, text, this_host, same_as_config, said_once, check_host,
              unprivileged, helps]:
        case(f)
    print('1..%d' % len(results))
    for i, (ok, name, why) in enumerate(results, 1):
        print('%sok %d - %s' % ('' if ok else 'not ', i, name))
        for line in why.splitlines():
            print('# ' + line)
    return 0 if all(ok for ok, _, _ in results) else 1


sys.exit(main())

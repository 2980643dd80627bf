#!/usr/bin/env python3
"""What --numa says about latency, bandwidth and caches reaches the guest as an ACPI table; without it there is none."""

from vmlib import Tap, cli

t = Tap()
NODES = ['--cpus', 'boot=2', '--memory', 'size=0', '--memory-zone', 'id=a,size=64M', 'id=b,size=64M', '--cmdline', 'once verify=off']
p = cli('run', '--private', *NODES, '--numa',
        'guest_numa_id=0,cpus=[0,1],memory_zones=a,read_latency=[0@80,1@250],write_bandwidth=[0@100000,1@20000]',
        'guest_numa_id=1,memory_zones=b,cache_size=1G')
hmat = [line for line in p.stdout.splitlines() if ' HMAT ' in line]
t.ok(p.returncode == 0 and len(hmat) == 1 and hmat[0].startswith('ok') and 'checksum' in hmat[0], 'the guest finds a good HMAT',
     p.stdout + p.stderr)
# Header 40, two nodes of 40, two matrices of 32 + 4 + 8 + 4 for one initiator and two targets, one cache of 32.
t.ok('%d bytes' % (40 + 2 * 40 + 2 * 48 + 32) in (hmat or [''])[0], 'it has both matrices and the cache', hmat)
p = cli('run', '--private', *NODES, '--numa', 'guest_numa_id=0,cpus=[0,1],memory_zones=a', 'guest_numa_id=1,memory_zones=b')
t.ok(p.returncode == 0 and 'HMAT' not in p.stdout, 'nothing described, no table', p.stdout + p.stderr)
t.done()

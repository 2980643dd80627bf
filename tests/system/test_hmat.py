#!/usr/bin/env python3
"""What --numa says about latency, bandwidth and caches reaches the guest as an ACPI table; without it there is none. `plan` and `info` show it, and
where the vCPUs run."""

import json
import os
import re

from vmlib import Broker, Inventory, Tap, cli, memory_nodes

t = Tap()
before = Inventory()
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

# The same words from plan, which promises it, and from info, which has it.
COSTS = [{'from': 0, 'to': 0, 'read_latency_ns': 80, 'write_latency_ns': 90, 'read_bandwidth_mbs': None, 'write_bandwidth_mbs': 100000},
         {'from': 0, 'to': 7, 'read_latency_ns': 250, 'write_latency_ns': None, 'read_bandwidth_mbs': 9000, 'write_bandwidth_mbs': 20000}]
CACHES = [{'guest_numa_id': 7, 'size': 1 << 30, 'line': 128}]
node, cpu = memory_nodes()[0], min(os.sched_getaffinity(0))
with open('/sys/devices/system/node/node%d/cpulist' % node) as f:
    near = f.read().strip()
ARGS = ['--cpus', 'boot=4,affinity=[1@[%d],3@[%d]]' % (cpu, cpu), '--memory', 'size=0', '--memory-zone', 'id=a,size=64M,host_numa_node=%d' % node,
        'id=b,size=64M', '--cmdline', 'verify=off speed=off', '--numa',
        'guest_numa_id=0,cpus=[0-3],memory_zones=a,read_latency=[0@80,7@250],write_latency=[0@90],read_bandwidth=[7@9000],write_bandwidth=[0@100000,7@20000]',
        'guest_numa_id=7,memory_zones=b,cache_size=1G,cache_line=128']
TEXT = [r'^  FROM NODE +TO NODE +READ LATENCY +WRITE LATENCY +READ BANDWIDTH +WRITE BANDWIDTH$', r'^ +0 +0 +80 ns +90 ns +- +100000 MB/s$',
        r'^ +0 +7 +250 ns +- +9000 MB/s +20000 MB/s$', r'^ +7 +1 GiB +128 bytes$', r'^  1,3 +%d +as asked for$' % cpu,
        r'^  0,2 +%s +beside their memory$' % re.escape(near)]


def same(facts, text, who):
    t.equal(facts['costs'], COSTS, who + ' has what memory costs')
    t.equal(facts['caches'], CACHES, who + ' has the cache')
    pins = {tuple(a['vcpus']): (a['host_cpus'], a['by_default']) for a in facts['affinity']}
    t.ok(pins.get((1, 3)) == ([cpu], False) and pins.get((0, 2), ([], None))[1] is True, who + ' has where vCPUs run', facts['affinity'])
    t.equal([r for r in TEXT if not re.search(r, text, re.M)], [], who + ' says so to people')


with t.part('plan'):
    same(json.loads(cli('plan', '--json', *ARGS, check=0).stdout)['plan'], cli('plan', *ARGS, check=0).stdout, 'plan')
    p = json.loads(cli('plan', '--json', '--memory', 'size=64M', check=0).stdout)['plan']
    t.equal((p['costs'], p['caches'], p['affinity'], p['sgx_epc']), ([], [], [], []), 'plan: nothing described, nothing shown')
with t.part('info'), Broker() as b:
    b('create', '--name', 'told', *ARGS, check=0)
    i = b.info('told')
    same(i, b('info', 'told', check=0).stdout, 'info')
    t.equal(i['costs_left_out'], 0, 'info leaves nothing out')
    b('delete', 'told', check=0)
    # 32 nodes with vCPUs that are told of each other: more than a message should carry.
    many = ['guest_numa_id=%d,cpus=%d,read_latency=[%s]' % (n, n, ','.join('%d@%d' % (m, 100 + m) for m in range(32))) for n in range(32)]
    args = ['--memory', 'size=64M', '--cpus', 'boot=32', '--cmdline', 'verify=off speed=off', '--numa'] + many
    t.equal(len(json.loads(cli('plan', '--json', *args, check=0).stdout)['plan']['costs']), 32 * 32, 'plan shows all of a great many costs')
    b('create', '--name', 'many', *args, check=0)
    i = b.info('many')
    t.equal((len(i['costs']), i['costs_left_out'], i['costs'][255]['read_latency_ns']), (256, 768, 131), 'info leaves out what is too much, and says so')
    t.ok('and 768 more' in b('info', 'many', check=0).stdout, 'and says so to people')
    b('delete', 'many', check=0)
t.equal(before.same(), [], 'nothing is left behind')
t.done()

"""The emulated host as data: reads topologies/NAME.conf and tells QEMU and the kernel about it. The lab's self-test compares what the
kernel then shows with the same file."""

import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
UNITS = {'M': 1 << 20, 'G': 1 << 30}


class Error(Exception):
    pass


def names():
    return sorted(f[:-5] for f in os.listdir(os.path.join(HERE, 'topologies')) if f.endswith('.conf'))


def parse_size(text):
    m = re.fullmatch(r'(\d+)([MG])', text)
    if not m:
        raise Error('%r is not a size like 512M or 2G' % text)
    return int(m[1]) * UNITS[m[2]]


def parse_cpus(text):
    if text == '-':
        return []
    first, _, last = text.partition('-')
    return list(range(int(first), int(last or first) + 1))


class Node:
    def __init__(self, number, cpus, memory, pools):
        self.number, self.cpus, self.memory, self.pools = number, cpus, memory, pools


class Topology:
    """nodes: [Node], memory in bytes, pools {page size text: pages}; distances: {(from, to): value} for every pair."""

    def __init__(self, path):
        self.nodes, self.distances = [], {}
        given = {}
        with open(path) as f:
            for number, line in enumerate(f, 1):
                words = line.split('#')[0].split()
                try:
                    if not words:
                        continue
                    if words[0] == 'node' and len(words) >= 4:
                        pools = {size: int(n) for size, _, n in (w.partition('=') for w in words[4:])}
                        self.nodes.append(Node(int(words[1]), parse_cpus(words[2]), parse_size(words[3]), pools))
                    elif words[0] == 'distance' and len(words) == 4:
                        given[int(words[1]), int(words[2])] = int(words[3])
                    else:
                        raise Error('neither "node ID CPUS MEMORY [SIZE=PAGES]..." nor "distance FROM TO VALUE"')
                except (Error, ValueError) as e:
                    raise Error('%s line %d: %s' % (path, number, e)) from None
        for a in self.nodes:
            for b in self.nodes:
                pair = (a.number, b.number)
                self.distances[pair] = 10 if a is b else given.get(pair) or given.get(pair[::-1]) or 20

    def cpus(self):
        return sum(len(n.cpus) for n in self.nodes)

    def memory(self):
        return sum(n.memory for n in self.nodes)

    def qemu_args(self):
        args = ['-smp', str(self.cpus()), '-m', '%dM' % (self.memory() >> 20)]
        for n in self.nodes:
            # memfd and shared, because the file shares' daemons write into this memory.
            args += ['-object', 'memory-backend-memfd,id=m%d,size=%d,share=on' % (n.number, n.memory), '-numa',
                     'node,nodeid=%d,memdev=m%d%s' % (n.number, n.number, ''.join(',cpus=%d' % c for c in n.cpus))]
        if len(self.nodes) > 1:
            for (a, b), value in sorted(self.distances.items()):
                if a != b:
                    args += ['-numa', 'dist,src=%d,dst=%d,val=%d' % (a, b, value)]
        return args

    def kernel_args(self):
        """Pools are made by the kernel at boot, when 1G pages are still to be had on every node."""
        args = []
        for size in sorted({s for n in self.nodes for s in n.pools}):
            counts = ['%d:%d' % (n.number, n.pools[size]) for n in self.nodes if n.pools.get(size)]
            args += ['hugepagesz=' + size, 'hugepages=' + ','.join(counts)]
        return args


def load(name):
    if name not in names():
        raise Error('no topology is called %s; there are %s' % (name, ', '.join(names())))
    return Topology(os.path.join(HERE, 'topologies', name + '.conf'))

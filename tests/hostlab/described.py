"""What a machine must be, out of its description alone: the rules of the manual once more, so that a guest is compared with what was asked for and not
with what the product's own plan made of it."""

SIZES = {'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30}
LOW_END, HIGH = 3 << 30, 4 << 30  # RAM, before and after the hole


def size(text):
    return int(text[:-1]) * SIZES[text[-1]] if text[-1] in SIZES else int(text)


def pairs(text):
    """'a=1,b=[2,3],c=4' as a dict."""
    found, depth, start = {}, 0, 0
    for i, c in enumerate(text + ','):
        depth += (c == '[') - (c == ']')
        if c == ',' and depth == 0:
            key, _, value = text[start:i].partition('=')
            found[key], start = value, i + 1
    return found


def items(text):
    return text.strip('[]').split(',') if text else []


def numbers(text):
    found = []
    for part in items(text):
        a, _, b = part.partition('-')
        found += range(int(a), int(b or a) + 1)
    return found


class Node:
    def __init__(self, words):
        self.id = int(words['guest_numa_id'])
        self.cpus = set(numbers(words.get('cpus', '')))
        self.zones = items(words.get('memory_zones', ''))
        self.epc = items(words.get('sgx_epc_sections', ''))
        self.segments = set(numbers(words.get('pci_segments', '')))
        self.asked = {int(a): int(b) for a, b in (p.split('@') for p in items(words.get('distances', '')))}
        self.ram, self.epc_at = [], []

    def merged_ram(self):
        return merged(self.ram)


def merged(spans):
    out = []
    for start, end in sorted(spans):
        if out and out[-1][1] == start:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out


class Machine:
    def __init__(self, args):
        options, option = {}, None
        for word in args:
            if word.startswith('--'):
                option = word
            else:
                options.setdefault(option, []).append(pairs(word))
        cpus = options.get('--cpus', [{}])[0]
        self.cpus = int(cpus.get('boot', 1))
        self.segments = int(options.get('--platform', [{}])[0].get('num_pci_segments', 1))
        self.zones = [(z['id'], size(z['size']), size(z.get('hugepage_size', '4K'))) for z in options.get('--memory-zone', [])]
        if not self.zones:
            self.zones = [('', size(options['--memory'][0]['size']), 4096)]
        self.epc = [(e['id'], size(e['size'])) for e in options.get('--sgx-epc', [])]
        self.disks = [int(d.get('pci_segment', 0)) for d in options.get('--disk', [])]
        self.nodes = sorted((Node(n) for n in options.get('--numa', [])), key=lambda n: n.id)
        self.ram, self.epc_start = [], None
        self.place()

    def owner(self, mine):
        """The node that lists it; what nobody lists is the lowest-numbered one's."""
        return next((n for n in self.nodes if mine(n)), self.nodes[0])

    def place(self):
        """Zones fill RAM in their order; one that reaches the hole goes on behind it, one piece starts where its pages can."""
        at = 0
        for name, length, page in self.zones:
            while length:
                at = -(-at // page) * page
                if at >= LOW_END and at < HIGH:
                    at = HIGH
                part = min(length, (LOW_END - at) // page * page) if at < LOW_END else length
                if part == 0:
                    at = HIGH
                    continue
                self.ram.append((at, at + part))
                self.owner(lambda n: name in n.zones).ram.append((at, at + part))
                at, length = at + part, length - part
        at = self.epc_start = -(-max(at, HIGH) // (2 << 20)) * (2 << 20)
        for name, length in self.epc:
            self.owner(lambda n: name in n.epc).epc_at.append((at, at + length))
            at += length
        self.epc_end = at
        for cpu in range(self.cpus):
            self.owner(lambda n: cpu in n.cpus).cpus.add(cpu)
        for n in self.nodes:
            n.cpus &= set(range(self.cpus))
        for s in range(self.segments):
            self.owner(lambda n: s in n.segments).segments.add(s)

    def segment_node(self, segment):
        return self.owner(lambda n: segment in n.segments).id

    def distance(self, a, b):
        if a.id == b.id:
            return 10
        return a.asked.get(b.id) or b.asked.get(a.id) or 20

    def device_nodes(self):
        """Nodes that their devices make known, in the order in which the guest hears of them. On segment 0 there is always a device."""
        alone = {n.id for n in self.nodes if not n.cpus and not n.ram}
        order = [self.segment_node(s) for s in sorted([0] + self.disks)]
        return list(dict.fromkeys(n for n in order if n in alone))

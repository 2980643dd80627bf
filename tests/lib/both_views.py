"""One table of a VM's memory from both sides: both_views.py PLAN.json INFO.json CONSOLE

Left what the probe guest reports (where it found memory, of which node, how many pages held what it wrote), right what the kernel of this host
says about the same zones (`bulkhead info`). Ends with status 1 if the two do not fit.
"""

import json
import re
import sys

MEMORY = re.compile(r'(not )?ok \d+ - memory 0x([0-9a-f]+)-0x([0-9a-f]+) node(\d+) .*?(\d+) pages')


def mib(n):
    return '%g MiB' % round(n / (1 << 20), 1)


def main(plan_path, info_path, console_path):
    with open(plan_path) as f:
        plan = json.load(f)['plan']
    with open(info_path) as f:
        host = {z['id']: z for z in json.load(f)['zones']}
    with open(console_path, errors='replace') as f:
        areas = [(not m[1], int(m[2], 16), int(m[3], 16) + 1, int(m[4]), int(m[5])) for m in MEMORY.finditer(f.read())]
    row = '%-8s| %-24s %-6s %-18s| %-10s %-7s %s'
    print(row % ('', 'THE GUEST FOUND', '', '', 'THIS HOST GAVE', '', ''))
    print(row % ('ZONE', 'AT GUEST ADDRESS', 'NODE', 'AND CHECKED', 'KIND', 'PAGES', 'WHICH LIE ON'))
    fits = True
    for zone in plan['zones']:
        name = zone['id']
        spans = [(p['start'], p['start'] + p['len']) for p in plan['map'] if p.get('zone') == name]
        found = [a for a in areas if any(start <= a[1] and a[2] <= end for start, end in spans)]
        nodes = sorted({a[3] for a in found})
        z = host[name]
        there = sum(n['resident_bytes'] for n in z['resident'])
        checked = 4096 * sum(a[4] for a in found)
        # Part of the first MiB is the firmware's, and the guest's own pages lie in one zone: neither is checked.
        good = found and all(a[0] for a in found) and nodes == [zone['guest_numa_id']]
        for n in (checked, there):
            good = good and zone['size'] - (4 << 20) < n <= zone['size']
        fits = fits and bool(good)
        print(row % (name, ', '.join('%#x-%#x' % (s, e - 1) for s, e in spans), ','.join(map(str, nodes)),
                     '%s %s' % (mib(checked), 'good' if found and all(a[0] for a in found) else 'BAD'), z['backing'],
                     mib(z['page_bytes']) if z['page_bytes'] >= 1 << 20 else '%d KiB' % (z['page_bytes'] >> 10),
                     ', '.join('node %d: %s' % (n['host_node'], mib(n['resident_bytes'])) for n in z['resident'])))
    print('Both views fit together.' if fits else 'The two views do not fit.')
    return 0 if fits else 1


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))

#!/usr/bin/python3
"""SGX EPC without SGX: a regular file stands in for /dev/sgx_vepc, so that everything but enclaves themselves can be tried. What the guest is
told (map, CPUID leaf 12H, SRAT, the ACPI device), that the region is the device's, prefault, info, and every way it can be refused."""

import os
import re
import subprocess

from vmlib import LAB, TMP, Broker, Console, Inventory, MiB, Tap, cli, procfs

t = Tap()
before = Inventory()
STANDIN = os.path.join(TMP, 'vepc')
# The example of the requirements.
SECTIONS = {'epc0': (32 * MiB, 1), 'epc1': (64 * MiB, 0), 'epc2': (32 * MiB, 1)}
EXAMPLE = ['--sgx-epc', 'id=epc0,size=32M', 'id=epc1,size=64M', 'id=epc2,size=32M', '--numa', 'guest_numa_id=0,sgx_epc_sections=epc1',
           'guest_numa_id=1,sgx_epc_sections=[epc0,epc2]']
GUEST = ['--memory', 'size=64M', '--cmdline', 'verify=off speed=off']
START = 4 << 30  # the guest's RAM ends below 3 GiB


def standin(size):
    with open(STANDIN, 'wb') as f:
        f.truncate(size)


def blocks():
    return os.stat(STANDIN).st_blocks * 512


def number(text):
    return int(re.search(r'0x[0-9a-f]+', text)[0], 16)


def cpuid(c, leaf, sub):
    return [int(x, 16) for x in re.findall(r'0x[0-9a-f]{8}\b', c.command('cpuid 0x%x %d' % (leaf, sub)))[-4:]]


def dsdt(c, report):
    """The DSDT as the guest has it, as iasl reads it."""
    at, size = re.search(r'acpi DSDT at (0x[0-9a-f]+), (\d+) bytes', report).groups()
    raw = b''.join(number(c.command('peek 0x%x' % (int(at, 16) + i))).to_bytes(8, 'little') for i in range(0, int(size), 8))
    path = os.path.join(TMP, 'dsdt.aml')
    with open(path, 'wb') as f:
        f.write(raw[:int(size)])
    p = subprocess.run(['iasl', '-d', path], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    with open(path[:-4] + '.dsl') as f:
        return p.returncode, f.read()


def spans():
    """section -> (start, size, guest node), one after the other."""
    at, found = START, {}
    for name, (size, node) in SECTIONS.items():
        found[name] = (at, size, node)
        at += size
    return found


def tables(c, report, what):
    want = spans()
    memory = {(int(a, 16), int(z, 16) + 1, int(n)) for a, z, n in re.findall(r'# srat memory 0x(\w+)-0x(\w+) node (\d+)', report)}
    t.equal(memory, {(0, 64 * MiB, 0)} | {(a, a + size, n) for a, size, n in want.values()}, what + 'SRAT has each section on its node')
    reserved = [(int(a, 16), int(z, 16) + 1) for a, z in re.findall(r'# map 0x(\w+)-0x(\w+) reserved', report)]
    t.ok((START, START + 128 * MiB) in reserved, what + 'the memory map keeps the region from others', report)
    rows = [cpuid(c, 0x12, 2 + i) for i in range(4)]
    t.equal(rows, [[a & 0xfffff000 | 1, a >> 32, size & 0xfffff000 | 1, size >> 32] for a, size, _ in want.values()] + [[0, 0, 0, 0]],
            what + 'CPUID leaf 12H has the sections, and no more')
    t.ok(cpuid(c, 0, 0)[0] >= 0x12, what + 'which is a leaf that there is')
    if not LAB:  # 130 lines each way at 5 KB/s
        code, text = dsdt(c, report)
        device = re.search(r'Device \(EPC_?\).*?\n        \}', text, re.S)
        t.ok(code == 0 and device and 'EisaId ("INT0E0C")' in device[0], what + 'the ACPI device INT0E0C is there', text[-3000:])
        ranges = re.findall(r'(0x[0-9A-F]{16}), *// Range M\w+\s+(0x[0-9A-F]{16}), *// Range Max', device[0] if device else '')
        t.equal([(int(a, 16), int(z, 16) + 1) for a, z in ranges], [(a, a + size) for a, size, _ in want.values()], what + 'with the same sections')


def guest(b):
    standin(64 * MiB)
    with open(STANDIN, 'r+b') as f:
        f.write(b'a page of the device')
    c = Console('run', '--socket', b.socket, '--name', 'enclaved', *GUEST, *EXAMPLE)
    report = c.ready()
    tables(c, report, '')
    # Every section is the device from its beginning; of a real one, each open would be other memory.
    for name, (at, _, _) in spans().items():
        t.equal(number(c.command('peek 0x%x' % at)).to_bytes(8, 'little'), b'a page o', name + ' is what the device gives')
    at, size, _ = spans()['epc1']
    c.command('poke 0x%x 0x3130' % (at + size - 8))
    with open(STANDIN, 'rb') as f:
        f.seek(64 * MiB - 8)
        t.equal(f.read(2), b'01', 'and what the guest writes is there')
    i = b.info('enclaved')
    t.equal(i['sgx_epc'], [{'id': n, 'start': a, 'len': s, 'guest_numa_id': node} for n, (a, s, node) in spans().items()], 'info has the sections')
    text = b('info', 'enclaved', check=0).stdout
    t.ok(re.search(r'^  epc1 +64 MiB  at 0x000102000000  guest node 0$', text, re.M), 'info for people has them too', text)
    fds = [link for pid in (i['worker_pid'], b.p.pid) for link in procfs.links(pid).values()]
    t.ok(not any(link.startswith(STANDIN) for link in fds), 'nobody keeps the device open', fds)
    c.ready()
    c.send('reset\n')
    tables(c, c.ready(), 'after a reset: ')
    c.send('off\n')
    t.equal(c.wait(), 0, 'and it ends as any other')


def prefault(b):
    standin(64 * MiB)
    for words, want in (('', 0), (',prefault=on', 8 * MiB)):
        b('create', '--name', 'full', *GUEST, '--sgx-epc', 'id=one,size=8M' + words, check=0)
        t.equal(blocks(), want, 'prefault takes the pages before the guest runs' if words else 'without prefault no page is taken')
        t.equal(b.info('full')['sgx_epc'], [{'id': 'one', 'start': START, 'len': 8 * MiB, 'guest_numa_id': None}], 'a section of no node')
        b('delete', 'full', check=0)


def refused(b, words, *what, code=1):
    p = b('create', '--name', 'poor', *GUEST, '--sgx-epc', *words)
    t.ok(p.returncode == code and all(w in p.stderr for w in what), 'refused: %s' % what[0], '%d %s' % (p.returncode, p.stderr))
    t.equal(b.json('list')['vms'], [], 'and no VM is there')


def refusals():
    small = ['id=small,size=8M']
    with Broker() as b:
        if not os.path.exists('/dev/sgx_vepc'):
            refused(b, small, 'no SGX for guests', '--sgx-epc', code=2)
    with Broker('--dev-sgx-vepc', os.path.join(TMP, 'nothing')) as b:
        refused(b, small, 'no SGX for guests (%s is missing)' % os.path.join(TMP, 'nothing'), '--sgx-epc', code=2)
    with Broker('--dev-sgx-vepc', STANDIN) as b:
        standin(4 * MiB)
        refused(b, small, 'section small needs 8M', '4M', code=2)
        standin(64 * MiB)
        os.chmod(STANDIN, 0)
        os.chown(STANDIN, 65534, 65534)
        refused(b, small, 'cannot be opened by the broker', STANDIN, 'small')
        os.chown(STANDIN, 0, 0)
        os.chmod(STANDIN, 0o600)
        os.rename(STANDIN, STANDIN + '.away')
        refused(b, small, 'cannot be opened by the broker', STANDIN)
        os.rename(STANDIN + '.away', STANDIN)
        b('create', '--name', 'poor', *GUEST, '--sgx-epc', *small, check=0)
        os.rename(STANDIN, STANDIN + '.away')
        b('boot', 'poor', check=0)
        b('stop', 'poor', check=0)
        p = b('boot', 'poor')
        t.ok(p.returncode == 1 and 'cannot be opened by the broker' in p.stderr, 'a later boot opens it again, and says when it cannot', p.stderr)
        os.rename(STANDIN + '.away', STANDIN)
        b('boot', 'poor', check=0)
        b('stop', 'poor', check=0)
        b('delete', 'poor', check=0)
    with Broker('--dev-sgx-vepc', TMP) as b:
        refused(b, small, 'cannot be opened by the broker')
    with Broker('--dev-sgx-vepc', '/dev/null') as b:
        refused(b, small, 'section small: cannot map 8192 KiB')
    with Broker('--dev-sgx-vepc', '/dev/zero') as b:  # can be mapped, but then KVM knows of no SGX
        refused(b, small, 'its KVM offers guests no SGX')


def planned():
    """`plan` shows it for a host that has SGX, whichever this one is."""
    host = os.path.join(os.environ['BULKHEAD_SRC'], 'tests', 'data', 'host-server.json')
    p = cli('plan', '--host', host, *GUEST, *EXAMPLE)
    for name, (at, size, node) in spans().items():
        t.ok(re.search(r'^  %s +%d MiB  0x%012x +%d  -$' % (name, size // MiB, at, node), p.stdout, re.M), 'plan has %s with address and node' % name, p.stdout)


standin(64 * MiB)  # a broker looks for it when it starts
with Broker('--dev-sgx-vepc', STANDIN) as broker:
    for part in (guest, prefault):
        with t.part(part.__name__):
            part(broker)
for part in (refusals, planned):
    with t.part(part.__name__):
        part()
t.equal(before.same(), [], 'nothing is left behind')
t.done()

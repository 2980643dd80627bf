#!/usr/bin/python3
"""What goes wrong around a VM: kernels that are none, full disks, missing devices, too few descriptors, closed standard descriptors."""

import os
import random
import shutil
import signal
import stat
import struct
import subprocess

import vmlib
from vmlib import CLI, LAB, PATIENCE, TMP, Broker, Console, Inventory, Tap, cli, until

t = Tap()
SEED = int(os.environ.get('TEST_SEED', random.randrange(1 << 32)))
print('# TEST_SEED=%d' % SEED)
rng = random.Random(SEED)
before = Inventory()
ONCE = ['--memory', 'size=64M', '--cmdline', 'once verify=off speed=off']
USER = 61001
with open(os.path.join(os.environ['BULKHEAD_OBJ'], 'tests', 'guest', 'probe.elf'), 'rb') as probe:
    PROBE = probe.read()
with open(os.path.join(TMP, 'good'), 'wb') as good:
    good.write(PROBE)


def path(name, data=None):
    p = os.path.join(TMP, name)
    if data is not None:
        with open(p, 'wb') as f:
            f.write(data)
    return p


def put(data, offset, fmt, *values):
    b = bytearray(data)
    struct.pack_into(fmt, b, offset, *values)
    return bytes(b)


# Where things are in an ELF-64 file: ELF specification, figures 1-3 and 2-1.
PHOFF, = struct.unpack_from('<Q', PROBE, 32)
PHNUM, = struct.unpack_from('<H', PROBE, 56)
HEADERS = [struct.unpack_from('<IIQQQQQQ', PROBE, PHOFF + 56 * i) for i in range(PHNUM)]  # type flags offset vaddr paddr filesz memsz align
LOAD = next(i for i, h in enumerate(HEADERS) if h[0] == 1)
NOTE = next(i for i, h in enumerate(HEADERS) if h[0] == 4)


def phdr(i, field, value):
    return put(PROBE, PHOFF + 56 * i + {'offset': 8, 'paddr': 24, 'filesz': 32, 'memsz': 40}[field], '<Q', value)


def bzimage(setup_sects=4, size=64 << 10, version=0x20f, **fields):
    """The header of Documentation/arch/x86/boot.rst, and zeros."""
    b = bytearray(size)
    b[0x1f1] = setup_sects
    struct.pack_into('<I', b, 0x1f4, fields.get('syssize', (size - 512 * (setup_sects + 1)) >> 4 if size > 512 * (setup_sects + 1) else 0x1000))
    struct.pack_into('<HH4sH', b, 0x1fe, 0xaa55, 0x66eb, b'HdrS', version)
    b[0x211] = 1
    struct.pack_into('<I', b, 0x214, 0x100000)
    struct.pack_into('<I', b, 0x230, 0x200000)
    b[0x234] = 1
    struct.pack_into('<H', b, 0x236, fields.get('xloadflags', 3))
    struct.pack_into('<QI', b, 0x258, fields.get('pref', 0x1000000), fields.get('init_size', 0x200000))
    return bytes(b)


BIG = 1 << 62
KERNELS = {
    'random bytes': rng.randbytes(1 << 20),
    'zeros': bytes(1 << 16),
    'one byte': b'\x7f',
    'text': b'#!/bin/sh\necho no kernel\n',
    'ELF, the first 16 bytes': PROBE[:16],
    'ELF, the first 64 bytes': PROBE[:64],
    'ELF, headers without contents': PROBE[:PHOFF + 56 * PHNUM],
    'ELF, half of it': PROBE[:HEADERS[LOAD][2] + HEADERS[LOAD][5] // 2],
    'ELF of 32 bits': put(PROBE, 4, 'B', 1),
    'ELF of the wrong end': put(PROBE, 5, 'B', 2),
    'ELF for another machine': put(PROBE, 18, '<H', 183),
    'ELF, headers beyond the file': put(PROBE, 32, '<Q', BIG),
    'ELF, headers that wrap': put(PROBE, 32, '<Q', (1 << 64) - 56),
    'ELF, 65535 headers': put(PROBE, 56, '<H', 65535),
    'ELF, no headers': put(PROBE, 56, '<H', 0),
    'ELF, headers of another size': put(PROBE, 54, '<H', 1),
    'ELF, contents beyond the file': phdr(LOAD, 'offset', BIG),
    'ELF, contents that wrap': phdr(LOAD, 'offset', (1 << 64) - 1),
    'ELF, a segment larger than memory': phdr(LOAD, 'memsz', 1 << 30),
    'ELF, a segment of 2^63 bytes': phdr(LOAD, 'memsz', 1 << 63),
    'ELF, a segment smaller in memory than in the file': phdr(LOAD, 'memsz', 1),
    'ELF, a segment where no memory is': phdr(LOAD, 'paddr', 1 << 40),
    'ELF, a segment over the end of addresses': phdr(LOAD, 'paddr', (1 << 64) - 4096),
    'PVH note, name of 4 GiB': put(PROBE, HEADERS[NOTE][2], '<I', 0xffffffff),
    'PVH note, contents of 4 GiB': put(PROBE, HEADERS[NOTE][2] + 4, '<I', 0xffffffff),
    'PVH note, no contents': put(PROBE, HEADERS[NOTE][2] + 4, '<I', 0),
    'PVH note of another type': put(PROBE, HEADERS[NOTE][2] + 8, '<I', 17),
    'PVH note of another name': put(PROBE, HEADERS[NOTE][2] + 12, '4s', b'Nex\0'),
    'PVH note, random bytes': PROBE[:HEADERS[NOTE][2]] + rng.randbytes(HEADERS[NOTE][5]) + PROBE[HEADERS[NOTE][2] + HEADERS[NOTE][5]:],
    'PVH note beyond the file': phdr(NOTE, 'offset', BIG),
    'PVH entry where no memory is': put(PROBE, HEADERS[NOTE][2] + 16, '<I', 0xfffffff0),
    'bzImage, its set-up code cut off': bzimage(setup_sects=31, size=4096),
    'bzImage, nothing behind its set-up code': bzimage(setup_sects=7, size=4096),
    'bzImage, shorter than it says': bzimage(syssize=0x100000),
    'bzImage of a protocol too old': bzimage(version=0x201),
    'bzImage that needs more memory than there is': bzimage(init_size=0xf0000000),
    'bzImage that wants to be where no memory is': bzimage(pref=1 << 40, init_size=0xfffff000),
    'bzImage header alone': bzimage()[:0x268],
    'bzImage header cut': bzimage()[:0x210],
}


def kernels(b):
    for what, data in KERNELS.items():
        with t.part(what):
            k = path('kernel', data)
            p = b('create', '--name', 'k', '--kernel', k, '--memory', 'size=64M')
            q = cli('run', '--private', '--kernel', k, '--memory', 'size=64M') if p.returncode else p
            t.ok(p.returncode in (1, 2) and ('kernel' in p.stderr or k in p.stderr), what + ': create says what is wrong', '%d %s' % (p.returncode, p.stderr))
            t.ok(q.returncode in (1, 2) and q.stderr.replace('run', 'create') == p.stderr, what + ': and so does run',
                 '%d %s\n%s' % (q.returncode, q.stderr, p.stderr))
            t.equal(b.json('list'), {'vms': []}, what + ': and there is no VM')
            if p.returncode == 0:
                b('stop', 'k')
                b('delete', 'k')


def mutations(b):
    bad, loaded = [], 0
    rounds = 10 if LAB else 60
    for i in range(rounds):
        data = bytearray(PROBE)
        for _ in range(rng.choice((1, 2, 8))):
            at = rng.choice((rng.randrange(64), PHOFF + rng.randrange(56 * PHNUM), HEADERS[NOTE][2] + rng.randrange(HEADERS[NOTE][5])))
            data[at] = rng.choice((0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)))
        p = b('create', '--name', 'm', '--kernel', path('kernel', data), '--memory', 'size=64M')
        loaded += p.returncode == 0
        if p.returncode == 0 and b('delete', 'm').returncode or p.returncode not in (0, 1, 2) or p.returncode and 'kernel' not in p.stderr:
            shutil.copy(path('kernel'), path('bad-%d' % i))
            bad.append('round %d: exit %d, %s' % (i, p.returncode, p.stderr))
    t.equal(bad, [], '%d kernels with wrong bytes: %d could be loaded, the others are refused with a reason' % (rounds, loaded))
    t.ok(0 < loaded < rounds, 'some of each', loaded)


def files(b):
    for what, p in (('missing', path('nothing')), ('a directory', TMP), ('a device', '/dev/null'), ('empty', path('empty', b'')),
                    ('a socket', b.socket)):
        for option in ('--kernel', '--initramfs'):
            r = b('create', option, p, '--memory', 'size=64M')
            t.ok(r.returncode in (1, 2) and option in r.stderr and (p in r.stderr or 'empty' in r.stderr), '%s %s: refused by name' % (option, what),
                 '%d %s' % (r.returncode, r.stderr))
    os.chmod(path('good'), 0o600)
    os.chmod(TMP, 0o755)
    inst = path('cli')
    shutil.copy(CLI, inst)
    was, vmlib.CLI = vmlib.CLI, inst
    r = b('create', '--kernel', path('good'), '--memory', 'size=64M', user=USER, group=USER, extra_groups=[])
    vmlib.CLI = was
    t.ok(r.returncode in (1, 2) and path('good') in r.stderr and 'ermission' in r.stderr, '--kernel that the caller may not read: refused',
         '%d %s' % (r.returncode, r.stderr))
    with open(path('big'), 'wb') as f:
        f.truncate(80 << 20)
    r = b('create', '--initramfs', path('big'), '--memory', 'size=64M')
    t.ok(r.returncode in (1, 2) and 'initramfs' in r.stderr, '--initramfs larger than memory: refused', '%d %s' % (r.returncode, r.stderr))
    t.equal(b.json('list'), {'vms': []}, 'and there is no VM')


class Disk:
    """A small file system."""

    def __init__(self, size):
        self.at = path('disk')
        os.makedirs(self.at, exist_ok=True)
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=' + size, 'none', self.at], check=True)

    def __enter__(self):
        return self.at

    def __exit__(self, *_):
        subprocess.run(['umount', '-l', self.at], check=True)


def full_disk(b):
    with Disk('64k') as d:
        serial = os.path.join(d, 'serial')
        p = b('run', *ONCE, '--serial', 'file=' + serial)
        t.ok(p.returncode == 0 and os.path.getsize(serial) > 100, 'serial line to a file: the guest\'s report is there', p.stderr)
        rest = os.open(os.path.join(d, 'rest'), os.O_WRONLY | os.O_CREAT)
        try:
            while True:
                os.write(rest, bytes(4096))
        except OSError:
            pass
        os.close(rest)
        was = os.path.getsize(serial)
        for _ in range(2):
            p = b('run', *ONCE, '--serial', 'file=' + serial)
            t.equal((p.returncode, 'switched itself off' in p.stderr), (0, True), 'serial line to a full disk: the guest notices nothing')
        t.ok(os.path.getsize(serial) - was < 4096, 'and the disk is really full')
    with Disk('6m') as d:
        ram = os.path.join(d, 'ram')
        with open(ram, 'wb') as f:
            f.truncate(32 << 20)
        args = ['--memory', 'size=0', '--memory-zone', 'id=low,size=64M', 'id=file,size=32M,shared=on,file=' + ram]
        for p in (cli('plan', *args), b('create', *args)):
            t.ok(p.returncode == 2 and 'holes of 32M' in p.stderr and '6M left' in p.stderr and 'reserve=off' in p.stderr,
                 'a zone\'s file with more holes than its disk has room: refused', '%d %s' % (p.returncode, p.stderr))
        args[-1] += ',reserve=off'
        c = Console('run', '--name', 'poor', '--socket', b.socket, '--cmdline', 'verify=off speed=off', *args)
        c.ready()
        c.send('fill 0x4000000 0x2000000 1\n')
        until(lambda: shutil.disk_usage(d).free == 0, 'the disk is full')
        # Either KVM_RUN fails and the VM ends with a report, or (host-side asynchronous page faults, which try again for ever) the guest stands
        # still. The broker must serve others and be able to stop it.
        t.equal(b('run', *ONCE).returncode, 0, 'a zone\'s file on a full disk: other VMs run')
        b('stop', 'poor')
        rc = c.wait()
        t.ok(rc in (0, 5), 'and this one ends, by itself or by stop', rc)
        print('# ' + c.errors().splitlines()[0])
        p = b('create', *args[:-1], args[-1] + ',prefault=on')
        t.ok(p.returncode == 1 and 'file' in p.stderr, 'with prefault it is refused before', '%d %s' % (p.returncode, p.stderr))
    long = path('long')
    with open(long, 'wb') as f:
        f.truncate((1 << 30) - 100)
    p = b('run', *ONCE, '--serial', 'file=' + long)
    t.equal((p.returncode, 'switched itself off' in p.stderr), (0, True), 'serial line to a file that is as long as it may be: the guest notices nothing')
    t.equal(os.path.getsize(long), 1 << 30, 'and the file grows to the limit, and not beyond')
    fifo = path('fifo')
    os.mkfifo(fifo)
    p = b('run', *ONCE, '--serial', 'file=' + fifo)
    t.ok(p.returncode in (1, 2) and fifo in p.stderr, 'serial line to a FIFO: refused', '%d %s' % (p.returncode, p.stderr))


def no_kvm():
    for what, dev in (('missing', path('no-kvm')), ('not KVM', '/dev/null'), ('a plain file', path('plain', b'x'))):
        with t.part('/dev/kvm ' + what), Broker('--dev-kvm', dev) as b:
            p = b('create', *ONCE)
            t.ok(p.returncode == 1 and (dev in p.stderr or '/dev/kvm' in p.stderr), '/dev/kvm %s: create says so' % what, '%d %s' % (p.returncode, p.stderr))
            p = b('run', *ONCE)
            t.ok(p.returncode == 1 and (dev in p.stderr or '/dev/kvm' in p.stderr), '/dev/kvm %s: run says so' % what, '%d %s' % (p.returncode, p.stderr))
            t.equal(b.json('list'), {'vms': []}, '/dev/kvm %s: the broker serves on' % what)
            if what == 'missing':
                os.mknod(dev, 0o600 | stat.S_IFCHR, os.stat('/dev/kvm').st_rdev)
                p = b('run', *ONCE)
                t.ok(p.returncode == 0 or 'started again' in p.stderr, 'once it is there it is used, or it is said what to do', p.stderr)
                os.unlink(dev)


def limited(n, *argv, **kw):
    return subprocess.run(['prlimit', '--nofile=%d:%d' % (n, n)] + list(argv), capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=PATIENCE, **kw)


def descriptors(b):
    bad, worked = [], []
    for n in range(3, 16):
        p = limited(n, CLI, 'run', '--socket', b.socket, *ONCE)
        worked.append(p.returncode == 0)
        if p.returncode not in (0, 1, 2, 3) or p.returncode and not p.stderr.strip():
            bad.append('%d: exit %d %s' % (n, p.returncode, p.stderr))
    t.equal(bad, [], 'a command with 3 to 15 descriptors: works or says why not')
    t.ok(worked[-1], 'with 15 it works')
    bad, worked = [], []
    for n in list(range(3, 32)) + [64]:
        p = limited(n, CLI, 'run', '--private', *ONCE)
        worked.append(p.returncode == 0)
        if p.returncode not in (0, 1, 2, 3, 5) or p.returncode and not p.stderr.strip():
            bad.append('%d: exit %d %s' % (n, p.returncode, p.stderr))
    t.equal(bad, [], 'a private broker with 3 to 31 descriptors: works or says why not')
    t.ok(worked[-1], 'with 64 it works')
    # A broker whose descriptors run out refuses, serves on, and has them back after a delete.
    with Broker(prefix=['prlimit', '--nofile=40:40']) as few:
        if not t.ok(few.p.poll() is None, 'a broker with 40 descriptors starts', few.said()):
            return
        made = []
        while len(made) < 40:
            p = few('create', '--name', 'd%d' % len(made), '--memory', 'size=64M,shared=on')
            if p.returncode:
                break
            made.append('d%d' % len(made))
        t.ok(p.returncode == 1 and p.stderr.strip() and 0 < len(made) < 40, 'after %d VMs it refuses with a reason' % len(made), p.stderr)
        print('# ' + p.stderr.strip())
        t.equal(sorted(v['name'] for v in few.json('list')['vms']), sorted(made), 'it serves on')
        t.equal(few('delete', made[0]).returncode, 0, 'a VM can be deleted')
        t.equal(few('create', '--name', 'again', '--memory', 'size=64M,shared=on').returncode, 0, 'and another one made')
        for name in made[1:] + ['again']:
            few('delete', name, check=0)


def shell(script, **kw):
    return subprocess.run(['sh', '-c', script, 'sh', CLI, 'run', '--private'] + ONCE, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=PATIENCE, **kw)


def standard_descriptors():
    for what, script in (('stdin', 'exec "$@" <&-'), ('stdout', 'exec "$@" >&-'), ('stderr', 'exec "$@" 2>&-'), ('all three', 'exec "$@" <&- >&- 2>&-'),
                         ('stdin and stdout', 'exec "$@" <&- >&-')):
        p = shell(script)
        t.equal(p.returncode, 0, 'run with %s closed: runs to its end' % what)
        if 'stdout' not in what and what != 'all three':
            t.ok('1..' in p.stdout, 'run with %s closed: the guest\'s report is on stdout' % what, p.stdout)
    p = shell('exec "$@" >/dev/full')
    t.ok(p.returncode in (0, 1), 'run with a full stdout: ends', '%d %s' % (p.returncode, p.stderr))
    for kind in (['--private'], []):
        with t.part('stdout goes'):
            with Broker() as b:
                where = kind or ['--socket', b.socket]
                p = subprocess.Popen([CLI, 'run', '--cmdline', 'verify=off speed=off', '--memory', 'size=64M'] + where, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                p.stdout.readline()
                p.stdout.close()
                end = [p.poll()]

                def ended():
                    if p.poll() is None:
                        try:
                            p.stdin.write(b'echo more\n')
                            p.stdin.flush()
                        except OSError:
                            pass
                    return p.poll() is not None
                until(ended, 'run ends')
                what = 'nobody reads its output any more, %s broker' % ('private' if kind else 'daemon as')
                t.ok(p.returncode in (-signal.SIGPIPE, 0, 1, 5), 'run: %s: ends' % what, (end, p.returncode))
                p.stderr.close()
                try:
                    p.stdin.close()
                except OSError:
                    pass
                until(lambda: b.json('list') == {'vms': []}, 'the VM is gone')
    t.equal(before.same(), [], 'run without standard descriptors: nothing is left')


def sockets():
    for what, s in (('in no directory', path('none/s')), ('over a file', path('file', b'x')), ('longer than a socket\'s name', path('x' * 120))):
        p = subprocess.run([vmlib.BROKER, '--socket', s], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        t.ok(p.returncode == 1 and '--socket' in p.stderr, 'a broker\'s socket %s: refused' % what, '%d %s' % (p.returncode, p.stderr))
        p = cli('list', '--socket', s)
        t.ok(p.returncode == 3 and p.stderr.strip(), 'a command with a socket %s: refused' % what, '%d %s' % (p.returncode, p.stderr))
    t.ok(os.path.exists(path('file')), 'a file in the way of a socket stays')


with Broker() as b:
    fds = b.fds()
    for part in (kernels, mutations, files, full_disk, descriptors):
        with t.part(part.__name__):
            part(b)
    try:
        until(lambda: b.fds() == fds)
    except TimeoutError:
        pass
    t.equal(b.fds(), fds, 'after all that the broker has as many descriptors as before')
for part in (no_kvm, standard_descriptors, sockets):
    with t.part(part.__name__):
        part()
t.equal(before.same(), [], 'nothing is left behind')
t.done()

#!/usr/bin/python3
"""What waits for memory, and what does not: while memsrv does not run, or very much is made, the VM pauses, goes on, tells and stops as ever. Nothing is
judged by how long it took, but by what had not happened yet."""

import ctypes
import os
import random
import signal
import socket

import probe_dimms
import procfs
from probe_dimms import LET_GO, TAKE
from probe_vmem import Guest
from vmlib import LAB, Broker, Console, Inventory, Memory, MiB, Tap, stat_of, until

t = Tap()
before = Inventory()
host = Memory()
SEED = int(os.environ.get('TEST_SEED', random.randrange(1 << 30)))
print('# TEST_SEED=%d' % SEED)
rnd = random.Random(SEED)
VIRTIO = ['--cpus', 'boot=2', '--memory', 'size=0,hotplug_method=virtio-mem', '--memory-zone', 'id=low,size=64M']
PIDFD_GETFD = 438
CHANNEL = 3  # to the broker; its other socket is the worker's
REQUEST = 24  # bytes (wire/plug.h)
WINDOW = 256
GREAT = 256 if LAB else 2048  # MiB


def is_asked(pid):
    """A request of the worker's lies in memsrv's socket, which it has not read."""
    process = os.pidfd_open(pid)
    try:
        for fd, (what, _) in procfs.descriptors(pid).items():
            if fd == CHANNEL or not what.startswith('socket:'):
                continue
            own = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, process, fd, 0)
            if own < 0:
                raise OSError(ctypes.get_errno(), 'pidfd_getfd')
            with socket.socket(fileno=own) as s:
                try:
                    return len(s.recv(REQUEST, socket.MSG_PEEK | socket.MSG_DONTWAIT)) == REQUEST
                except BlockingIOError:
                    return False
        raise ValueError('memsrv has no socket of the worker\'s')
    finally:
        os.close(process)


class Stopped:
    """memsrv does not run."""

    def __init__(self, g):
        self.pid = g.b.info(g.name)['memsrv_pid']

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)
        until(self.still, 'memsrv stands')
        return self

    def still(self):
        return stat_of(self.pid)[1] == 'T'

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)


def answered(b, g, memsrv, what, ops):
    """Each does what it says, and memsrv has not run meanwhile."""
    for op in ops:
        if op == 'info':
            i = b.info(g.name)
            t.ok(memsrv.still() and not any(z.get('plugged_bytes') for z in i['zones']), '%s: info tells, of nothing that is not there yet' % what, i)
        elif op == 'console':
            g.kill()
            Console.__init__(g, 'console', g.name, '--socket', b.socket)
            g.ready()
            t.ok(memsrv.still(), '%s: a new console has what was said before' % what)
        else:
            b(op, g.name, check=0)
            want = {'pause': 'paused', 'resume': 'running', 'stop': 'stopped'}[op]
            t.equal((b.state(g.name), memsrv.still()), (want, True), '%s: %s' % (what, op))


def answer(g):
    """ack, nack or busy: to a request that was sent and not waited for."""
    word = g.expect('= ')[:-2].split()[-1]
    g.ready()
    return word


def is_told(g, zone, mib):
    g.b('resize-zone', g.name, zone, '%dM' % mib, '--no-wait', check=0)
    until(lambda: g.windows()[0][2] == mib * MiB, 'the guest is told')


def twenty(g, zone, what):
    for _ in range(20):
        is_told(g, zone, 2 * rnd.randrange(WINDOW // 2 + 1))
        g.follow(0, zone)
    size = g.sizes(zone)[0]
    t.equal((g.sizes(zone)[1], g.object_kb(WINDOW * MiB)), (size, size >> 10), '%s: twenty resizes, and the host has given what the last one says' % what)


def virtio(b):
    with Guest(b, 'slow', *VIRTIO, 'id=z,size=0,shared=on,hotplug_size=%dM' % WINDOW) as g:
        at = g.windows()[0][0]
        is_told(g, 'z', 128)
        with Stopped(g) as memsrv:
            g.send('plug 0 %d 64\n' % at)
            until(lambda: is_asked(memsrv.pid), 'memsrv is asked')
            answered(b, g, memsrv, 'virtio-mem', ('pause', 'resume', 'console', 'pause'))
        until(lambda: g.sizes('z') == (128 * MiB,) * 2, 'plugged')
        t.equal(b.state('slow'), 'paused', 'virtio-mem: what was asked for is done while the VM is paused')
        b('resume', 'slow', check=0)
        g.expect('ack')  # its first request: the new console has no other
        g.ready()
        twenty(g, 'z', 'virtio-mem')

        g.do('unplugall 0')
        is_told(g, 'z', 128)
        with Stopped(g) as memsrv:
            g.send('plug 0 %d 64\n' % at)
            t.equal((answer(g), memsrv.still()), ('busy', True), 'virtio-mem: it is not waited for for ever')
            answered(b, g, memsrv, 'a late memsrv', ('pause', 'resume', 'info'))
        t.ok('does not answer' in b('resize-zone', 'slow', 'z', '128M', '--timeout', '1').stderr, 'virtio-mem: the reason is told')
        g.follow(0, 'z')
        twenty(g, 'z', 'a late memsrv')

        g.do('unplugall 0')
        is_told(g, 'z', WINDOW)
        with Stopped(g) as memsrv:
            g.send('plug 0 %d %d\n' % (at, WINDOW // 2))
            until(lambda: is_asked(memsrv.pid), 'memsrv is asked')
            answered(b, g, memsrv, 'virtio-mem', ('stop',))
            g.kill()
        until(lambda: g.object_kb(WINDOW * MiB) == 0, 'what it makes for a worker that has gone, it drops')
        g.boot()
        g.windows()
        twenty(g, 'z', 'after a stop in the middle')


def dimms(b):
    with probe_dimms.Guest(b, 'slow', ',shared=on') as g:
        g.has()
        empty = g.window_kb()
        g.follow(128)
        with Stopped(g) as memsrv:
            g.resize(512, '--no-wait')
            until(lambda: is_asked(memsrv.pid), 'memsrv is asked')
            t.equal(g.has(), 128, 'DIMM: the guest sees nothing of it')
            for op, want in ('pause', 'paused'), ('resume', 'running'):
                b(op, 'slow', check=0)
                t.equal((b.state('slow'), memsrv.still()), (want, True), 'DIMM: ' + op)
        until(lambda: g.serve(TAKE | LET_GO) or g.sizes() == (512, 512, 2), 'it comes when memsrv runs again')
        more = g.window_kb() - empty - (512 << 10)
        t.ok(0 <= more < 1024, 'DIMM: and all of it', more)  # beside what the guest has touched of its boot memory since
        with Stopped(g) as memsrv:
            g.resize(1024, '--no-wait')
            until(lambda: is_asked(memsrv.pid), 'memsrv is asked')
            b('stop', 'slow', check=0)
            t.equal((b.state('slow'), memsrv.still()), ('stopped', True), 'DIMM: stop')
            g.kill()
        g.boot()
        until(lambda: g.serve(TAKE) or g.has() == 1024, 'it is filled: if that is late, the guest is told')
        # Slots go as a whole, so down is to nothing.
        held = []
        for size in [128 * (rnd.randrange(8) + 1) * (i % 2) for i in range(20)]:
            g.follow(size)
            held.append((g.window_kb() >> 10) - size)
        t.equal(set(held), {held[0]}, 'DIMM: twenty resizes, and the host has given what each says')


def rss_kb(pid):
    with open('/proc/%d/statm' % pid) as f:
        return int(f.read().split()[1]) * 4


def great(b):
    """One request for very much anonymous memory."""
    with Guest(b, 'great', *VIRTIO, 'id=z,size=0,thp=off,hotplug_size=%dM' % GREAT) as g:
        pid = b.info('great')['worker_pid']
        at = g.windows()[0][0]
        is_told(g, 'z', GREAT)
        empty = rss_kb(pid)

        def there():
            return max(0, rss_kb(pid) - empty >> 10)

        def begins():
            g.send('plug 0 %d %d\n' % (at, GREAT // 2))
            until(lambda: there() > 0, 'it has begun')

        def in_the_middle(what, act):
            """Done when the request had begun and was not over. A machine that is fast, or busy elsewhere, gets it right the next time."""
            seen = []
            while len(seen) < 5 and not (seen and 0 < seen[-1] < GREAT):
                begins()
                act()
                seen.append(there())
                if b.state('great') == 'paused':
                    until(lambda: g.sizes('z')[1] == GREAT * MiB, 'it goes on while the VM is paused')
                    b('resume', 'great', check=0)
                answer(g)
                g.do('unplugall 0')
                until(lambda: there() < GREAT // 16, 'all went')
            t.ok(0 < seen[-1] < GREAT, what, 'MiB that were there then: %r' % seen)

        in_the_middle('pause', lambda: b('pause', 'great', check=0))
        plugged = []
        in_the_middle('info', lambda: plugged.append(g.sizes('z')[1]))
        t.equal(plugged[-1], 0, 'info tells of nothing that is not there yet')

        begins()
        b('resize-zone', 'great', 'z', '2M', '--no-wait', check=0)
        t.ok(answer(g) in ('ack', 'nack'), 'a request that is not wanted any more has an answer')
        g.do('unplugall 0')
        until(lambda: there() < GREAT // 16, 'all went')
        is_told(g, 'z', GREAT)
        begins()
        b('stop', 'great', check=0)
        t.equal(b.state('great'), 'stopped', 'stop in the middle')
    host.back(t, 'its memory is the host\'s again')


with Broker() as b:
    for part in virtio, dimms, great:
        with t.part(part.__name__):
            part(b)
t.equal(before.same(), [], 'nothing is left behind')
t.done()

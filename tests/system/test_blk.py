#!/usr/bin/python3
"""A disk behind Debian's qemu-storage-daemon, driven by the probe guest: what it writes is in the image and the other way round, by polling and
by interrupts, on several queues, and while the daemon is killed and started again under load."""

import os
import subprocess
import zlib

from probe_disk import BLOCK, SECTOR, ask, good, words, wrong_blocks
from vmlib import LAB, TMP, Broker, Console, Inventory, MiB, Tap, until

t = Tap()
before = Inventory()
SIZE = 16 * MiB
FAST = 1000000


class Daemon:
    """One image, so and so many requests per second, so that a load lasts as long as it is to be disturbed, whatever the machine."""

    def __init__(self, image, sock, queues, rate):
        self.sock, self.rate = sock, rate
        self.argv = ['qemu-storage-daemon', '--blockdev', 'driver=file,node-name=f,filename=' + image,
                     '--blockdev', 'driver=throttle,node-name=d,throttle-group=t,file=f',
                     '--export', 'type=vhost-user-blk,id=e,node-name=d,addr.type=unix,addr.path=%s,writable=on,num-queues=%d' % (sock, queues)]
        self.p = None

    def start(self, rate=None):
        if os.path.exists(self.sock):
            os.unlink(self.sock)
        self.p = subprocess.Popen(self.argv[:1] + ['--object', 'throttle-group,id=t,x-iops-total=%d' % (rate or self.rate)] + self.argv[1:])
        until(lambda: os.path.exists(self.sock) or self.p.poll() is not None, 'the daemon listens')

    def kill(self):
        self.p.kill()
        self.p.wait()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()


def machine(b, name, sock):
    b('create', '--name', name, '--cmdline', 'quiet noecho speed=off', '--memory', 'size=64M,shared=on',
      '--disk', 'vhost_user=on,socket=%s,num_queues=2' % sock, check=0)
    c = Console('console', name, '--socket', b.socket)
    b('boot', name, check=0)
    c.ready()
    return c


def single(c, image):
    said = ask(c, 'disk')
    t.ok(good(said) and '0: slot 4, %d sectors, 2 queues of ' % (SIZE // SECTOR) in said, 'the guest is told the size of the image, and of two queues', said)
    said = ask(c, 'dwrite 40 24 0x1122334400000000')
    with open(image, 'rb') as f:
        f.seek(40 * SECTOR)
        got = words(f.read(24 * SECTOR)).tolist()
        f.seek(0)
        around = f.read(40 * SECTOR)
    t.ok(good(said) and got == [0x1122334400000000 + 40 * 64 + i for i in range(24 * 64)], 'what the guest writes is in the image', (said, got[:4]))
    t.ok(not any(around), 'and nothing else is')
    t.ok(good(ask(c, 'dverify 40 24 0x1122334400000000')) and not good(ask(c, 'dverify 40 24 0x1122334400000001')), 'the guest reads it back')
    text = os.urandom(64 * SECTOR)
    with open(image, 'r+b') as f:
        f.seek(1000 * SECTOR)
        f.write(text)
    said = ask(c, 'dread 1000 64')
    t.ok('0x%08x' % zlib.crc32(text) in said, 'the guest reads what is in the image', said)
    t.ok(good(ask(c, 'dflush')), 'a flush')
    end = SIZE // SECTOR
    for line, what in (('dread %d 1' % end, 'a sector behind the end'), ('dread %d 4' % (end - 2), 'sectors over the end'), ('dwrite %d 1 7' % end, 'writing behind the end'),
                       ('dread 0xffffffffffffff 8', 'a sector that cannot be'), ('dwrite 0x7fffffffffffff 1 7', 'and a write to one')):
        said = ask(c, line)
        t.ok('= error the device says: I/O error' in said, 'refused by the device: ' + what, said)
    t.ok(os.stat(image).st_size == SIZE and good(ask(c, 'dread %d 1' % (end - 1))), 'the image has its size still, the last sector can be read')


def loads(c, image):
    n = 200 if LAB else 2000
    for irq in ('off', 'on'):
        for queues, depth in ((1, 1), (1, 40), (2, 160)):
            what = '%d requests on %d queues, irq=%s' % (depth, queues, irq)
            common = 'depth=%d queues=%d irq=%s blocks=800' % (depth, queues, irq)
            said = ask(c, 'drun op=write requests=%d %s' % (n, common))
            interrupts = int(said.split('interrupts ')[1].split()[0])
            t.ok(good(said) and '%d requests of 4096' % n in said, 'written: ' + what, said)
            t.ok((interrupts > 0) == (irq == 'on'), 'interrupts come if they are wanted: ' + what, said)
            said = ask(c, 'drun op=check last=%d %s' % (n, common))
            t.ok(good(said), 'read back by the guest: ' + what, said)
            t.equal(wrong_blocks(image, min(n, 800), n), [], 'found in the image: ' + what)
    for op in ('randread', 'randwrite'):
        said = ask(c, 'drun op=%s requests=%d depth=32 irq=on size=8K' % (op, n))
        t.ok(good(said), op, said)


def under_way(image):
    """Until some blocks are written anew."""
    def numbers():
        with open(image, 'rb') as f:
            return words(f.read(120 * BLOCK))[1::BLOCK // 8]
    before = numbers()
    until(lambda: sum(a != b for a, b in zip(before, numbers())) >= 5, 'blocks are written')


def killed(b, daemon, image, name, c):
    """Blocks are written over and over, each time with the number of the request; a block's next write goes out when the one before is done. A write that
    was lost, or done again after the next one, leaves a wrong number. One request on each queue: this daemon keeps no record of requests in flight, so
    with more of them, which it answers in any order, nobody can know which it had done."""
    n = 300 if LAB else 20000
    for irq in ('on', 'off'):
        what = ', irq=' + irq
        common = 'depth=2 queues=2 irq=%s blocks=120' % irq
        daemon.kill()
        daemon.start()
        c.send('drun op=write requests=%d %s\n' % (n, common))
        during = []
        for rate in (None, None, FAST):
            under_way(image)
            c.read(0)
            during.append('= ' not in c.buf)
            daemon.kill()
            if rate != FAST:
                until(lambda: not b.info(name)['devices'][0]['connected'], 'the loss is noticed')
            daemon.start(rate)
        said = c.expect('= ') + c.expect('\n')
        t.ok(all(during), 'the load was under way at each kill' + what, (during, said))
        t.ok(good(said) and '%d requests of 4096' % n in said, 'the guest has an answer to each request, and to none twice' + what, said)
        t.equal(wrong_blocks(image, min(n, 120), n), [], 'the image has the last write of each block' + what)
        said = ask(c, 'drun op=check last=%d %s' % (n, common))
        t.ok(good(said), 'so the guest reads it' + what, said)
    t.equal(b.state(name), 'running', 'the VM has noticed nothing')
    daemon.kill()
    daemon.start()
    c.send('drun op=write requests=1000000 depth=40 queues=2 blocks=120\n')
    under_way(image)
    daemon.kill()
    daemon.start()
    t.ok(until(lambda: 'no record of requests in flight' in b.info(name)['devices'][0]['text'], 'the device is back'),
         'killed with many requests in flight, of which nobody knows what became: that is said')


def reset(c):
    c.buf = ''
    c.send('reset\n')
    c.expect('TAP version')
    c.ready()
    t.ok(good(ask(c, 'dwrite 0 8 5')) and good(ask(c, 'dverify 0 8 5')), 'after a reset of the guest the disk works')


image, sock = os.path.join(TMP, 'image'), os.path.join(TMP, 'disk.sock')
with open(image, 'wb') as f:
    f.truncate(SIZE)
with Broker() as b:
    with t.part('one request at a time'), Daemon(image, sock, 2, FAST):
        c = machine(b, 'fast', sock)
        single(c, image)
        loads(c, image)
        reset(c)
        c.kill()
        b('stop', 'fast', check=0)
        b('delete', 'fast', check=0)
    with t.part('a daemon that dies'), Daemon(image, sock, 2, 2 if LAB else 100) as daemon:
        c = machine(b, 'slow', sock)
        killed(b, daemon, image, 'slow', c)
        c.kill()
        b('stop', 'slow', check=0)
        b('delete', 'slow', check=0)
t.equal(before.same(), [], 'nothing is left behind')
t.done()

#!/usr/bin/python3
"""A thousand resizes in a row by virtio-mem, followed or not, with the command or memsrv killed in between: meanwhile and afterwards what the broker says is what the
kernel counts, and no page is promised that nobody waits for. A host with too few huge pages does it for the two other kinds."""

import os
import random
import signal
import subprocess
import time

from pool_left import Left, counters, kernel
from vmlib import CLI, LAB, PATIENCE, Broker, Console, HugePool, Inventory, MiB, Tap, until

t = Tap()
before = Inventory()
ROUNDS = int(os.environ.get('TEST_ROUNDS', 60 if LAB else 1000))
SEED = int(os.environ.get('TEST_SEED', random.randrange(1 << 30)))
rnd = random.Random(SEED)
PAGES = 128  # huge pages of 2 MiB for the guest
ZONES = {'anon': 512, 'shared': 512, 'huge': 2 * PAGES}
print('# TEST_SEED=%d TEST_ROUNDS=%d' % (SEED, ROUNDS), flush=True)


def command(c, text):
    c.send(text + '\n')
    return c.expect('= ')


def connect(b):
    b('boot', 'storm', check=0)
    c = Console('console', 'storm', '--socket', b.socket)  # says what was said before, too
    c.expect('TAP version')
    c.expect('\n1..')
    c.ready()
    command(c, 'vmem')
    return c


def zones(b):
    return {z['id']: z for z in b.info('storm')['zones'] if z['id'] in ZONES}


def sizes(b):
    """Of the zone of huge pages, MiB."""
    z = zones(b)['huge']
    return z['requested_bytes'] // MiB, z['plugged_bytes'] // MiB


def held(z):
    return sum(n['resident_bytes'] for n in z['resident'])


def steps(b, c, left):
    k = list(ZONES).index('huge')

    def ask(size):
        return b('resize-zone', 'storm', 'huge', '%dM' % size, '--no-wait').returncode

    def follow(size):
        if ask(size):
            raise ValueError('%d MiB are refused' % size)
        until(lambda: command(c, 'follow %d' % k) and sizes(b) == (size, size), 'the guest follows')
    follow(0)
    left.by_steps(t, ask, follow, 20, True)
    # Nobody takes what was promised to a VM that has ended meanwhile; it is to have it all the same when it is booted again.
    t.equal(ask(100), 0, 'a request that is not taken')
    asked, plugged = sizes(b)
    left.now(t, kernel(), (asked - plugged) // 2, 'before memsrv is killed')
    os.kill(b.info('storm')['memsrv_pid'], signal.SIGKILL)
    until(lambda: b.state('storm') == 'stopped', 'the VM ends')
    t.equal(*left.at_rest(), 'and after that: the promise ends with the VM')


with HugePool(PAGES) as pool, Broker() as b:
    start = counters()
    outcome = {}
    huge = pool.got >= PAGES
    if not huge:
        t.skip('huge pages', 'the host gives %d of %d' % (pool.got, PAGES))
        del ZONES['huge']
    left = Left(b, lambda: sizes(b)) if huge else None
    with t.part('the storm'):
        b('create', '--name', 'storm', '--cmdline', 'quiet noecho speed=off', '--cpus', 'boot=2', '--memory', 'size=0,hotplug_method=virtio-mem', '--memory-zone',
          'id=low,size=64M', 'id=anon,size=0,thp=off,hotplug_size=512M', 'id=shared,size=0,shared=on,hotplug_size=512M',
          *(['id=huge,size=0,hugepages=on,hugepage_size=2M,hotplug_size=%dM' % (2 * PAGES)] if huge else []), check=0)
        c = connect(b)
        for i in range(ROUNDS):
            name = rnd.choice(list(ZONES))
            size = '%dM' % (2 * rnd.randrange(ZONES[name] // 2 + 1))
            p = subprocess.Popen([CLI, 'resize-zone', 'storm', name, size, '--socket', b.socket] +
                                 (['--no-wait'] if rnd.randrange(3) else ['--timeout', '30']), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if rnd.randrange(8) == 0 or i % 16 == 5:  # sometimes, however few rounds there are
                time.sleep(rnd.random() / 100)
                p.kill()
            follows = rnd.randrange(3) == 0 or p.args[-1] == '30'
            if follows:
                for k in range(len(ZONES)):
                    command(c, 'follow %d %d' % (k, rnd.choice((1, 7, 64))))
            end = time.monotonic() + 20
            while p.poll() is None and time.monotonic() < end:
                command(c, 'follow %d' % list(ZONES).index(name))
            code = p.wait(PATIENCE)
            outcome[code] = outcome.get(code, 0) + 1
            if huge and (name == 'huge' or code == -9):
                left.look('after a request for ' + name)
            if i % (ROUNDS // 5) == ROUNDS // 10:
                os.kill(b.info('storm')['memsrv_pid'], signal.SIGKILL)
                until(lambda: b.state('storm') == 'stopped', 'the VM ends')
                c.kill()
                until(lambda: counters() == start, 'huge pages come back')
                if huge:
                    left.stopped('after memsrv was killed')
                c = connect(b)
        t.ok(outcome.get(0, 0) > ROUNDS // 4 and outcome.get(-9, 0) > ROUNDS // 50 and set(outcome) <= {0, 1, -9}, '%d requests' % ROUNDS, outcome)
        print('# exit codes %r' % outcome)
        for k in range(len(ZONES)):
            command(c, 'follow %d' % k)
        until(lambda: all(z['requested_bytes'] == z['plugged_bytes'] for z in zones(b).values()), 'the guest has what is asked for')
        now = zones(b)
        t.equal({n: held(z) for n, z in now.items()}, {n: z['plugged_bytes'] for n, z in now.items()}, 'what each zone holds is what is plugged')
        if huge:
            pages = now['huge']['plugged_bytes'] // (2 * MiB)
            t.equal(counters(), (start[0] + pages, start[1]), 'and what the kernel\'s pool lacks')
            left.now(t, kernel(), 0, 'after the storm')
            left.judged(t, ROUNDS // 20)
            left.all_of_it(t, 'after the storm')
            steps(b, c, left)
        c.kill()
        b('stop', 'storm')
        b('delete', 'storm', check=0)
    t.equal(counters(), start, 'all huge pages are free again')
t.equal(before.same(), [], 'nothing is left behind')
t.done()

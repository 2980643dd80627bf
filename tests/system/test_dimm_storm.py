#!/usr/bin/python3
"""Resizes by DIMM without end, for three kinds of memory at once: guests that take, refuse, let go, keep, do not answer, eject unasked and reset
themselves; the command, memsrv and the worker killed in between. Meanwhile and afterwards guest, broker and kernel count the same, and no page is
promised that nobody waits for. A host with too few huge pages does it for the two other kinds."""

import os
import random
import signal
import subprocess
import time

from pool_left import Left, counters, kernel
from probe_dimms import BOOT, KEEP, LET_GO, REFUSE, SLOTS, TAKE, Guest
from vmlib import CLI, PATIENCE, Broker, HugePool, Inventory, MiB, Tap, until

t = Tap()
before = Inventory()
ROUNDS = int(os.environ.get('TEST_ROUNDS', 200))
SEED = int(os.environ.get('TEST_SEED', random.randrange(1 << 32)))
rnd = random.Random(SEED)
STEP, WINDOW = 128, 1280 if ROUNDS >= 1000 else 640
KINDS = {'anon': ',thp=off', 'shared': ',shared=on,prefault=on', 'huge': ',hugepages=on,hugepage_size=2M,prefault=on'}
PAGES = (BOOT + WINDOW) // 2
print('# TEST_SEED=%d TEST_ROUNDS=%d' % (SEED, ROUNDS), flush=True)


def answer():
    """Mostly as one would wish."""
    return rnd.choice((TAKE | LET_GO, TAKE | LET_GO, TAKE | LET_GO, TAKE | KEEP, REFUSE | LET_GO, REFUSE | KEEP, 0))


class Storm:
    def __init__(self, b, kinds):
        self.b, self.codes, self.dirty, self.ends = b, {}, 0, 0
        self.guests = {n: Guest(b, n, m, WINDOW) for n, m in kinds.items()}
        self.left = Left(b, self.guests['huge'].sizes) if 'huge' in kinds else None
        for g in self.guests.values():
            g.has()

    def request(self, g):
        size = STEP * rnd.choice((0, rnd.randrange(4), rnd.randrange(WINDOW // STEP + 1)))
        p = subprocess.Popen([CLI, 'resize', g.name, '--memory', '%dM' % (BOOT + size), '--socket', self.b.socket] +
                             (['--no-wait'] if rnd.randrange(3) else ['--timeout', '2']), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if rnd.randrange(8) == 0:
            time.sleep(rnd.choice((0, rnd.random() / 200)))  # not all of them may be over by then
            p.kill()
        if rnd.randrange(4):
            self.dirty += g.serve(answer())
        end = time.monotonic() + PATIENCE
        while p.poll() is None and time.monotonic() < end:
            self.dirty += g.serve(answer() or TAKE | KEEP)
            time.sleep(0.005)
        said = p.communicate(timeout=PATIENCE)[1]
        key = p.returncode, said[-60:] if p.returncode not in (0, 1, -9) else b''
        self.codes[key] = self.codes.get(key, 0) + 1

    def killed(self, g):
        """Its VM ends, with all that it had beside boot memory, and is started again with what it was to have."""
        who = rnd.choice(('worker_pid', 'memsrv_pid'))
        pid = self.b.info(g.name)[who]
        if not pid:
            return
        if rnd.randrange(2):
            g.resize(STEP * rnd.randrange(WINDOW // STEP + 1), '--no-wait')
            time.sleep(rnd.random() / 20)
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.b.state(g.name) == 'stopped', 'VM %s ends' % g.name)
        g.kill()
        self.ends += 1
        if self.left and g.name == 'huge':
            self.left.stopped('after %s was killed' % who)
        g.boot()

        def whole():
            z = g.sizes()
            self.dirty += g.serve(TAKE)
            return z[0] == z[1] == g.has() and z[2] == (z[0] > 0)
        until(whole, 'VM %s has what it was to have, as one DIMM: %s' % (g.name, g.sizes()))

    def turn(self):
        g = self.guests[rnd.choice(list(self.guests))]
        self.request(g)
        if self.left:
            self.left.look('after a request')
        luck = rnd.randrange(40)
        if luck < 4:
            g.eject(rnd.randrange(SLOTS + 1))
        elif luck == 4:
            g.reset()
            g.has()
        elif luck < 7:
            self.killed(g)
        if self.left and luck < 7:
            self.left.look('after an end, a reset or an eject')

    def settle(self, g):
        """Until all is answered, also what was once looked at and left, and done."""
        for slot in range(SLOTS):
            g.ost(slot, 1, 0)

        def quiet():
            p = g.asks(g.sizes()[0], 5)  # once more: it may have looked at what was asked back, and left it
            end = time.monotonic() + 10
            while p.poll() is None and time.monotonic() < end:
                self.dirty += g.serve(TAKE | LET_GO)
                time.sleep(0.01)
            p.communicate()
            z = g.sizes()
            return z[0] == z[1] == g.has()
        until(quiet, '%s settles: %r' % (g.name, g.zone()))


def counts(s, start, what):
    """What guest, broker and kernel have of each zone's window, MiB."""
    for name, g in s.guests.items():
        s.settle(g)
        z = g.zone()
        held = sum(n['resident_bytes'] for n in z['resident']) // MiB
        t.equal((g.has(), z['requested_bytes'] // MiB, g.window_kb() / 1024), (z['plugged_bytes'] // MiB,) * 3,
                '%s: %s has in its slots what the broker counts and the kernel has given' % (what, name))
        if name != 'anon':
            t.equal(held, BOOT + z['plugged_bytes'] // MiB, '%s: and %s has no page beside' % (what, name))
    if s.left:
        used = BOOT + s.guests['huge'].sizes()[1]
        t.equal(counters(), (start[0] + used // 2, start[1]), what + ': as many huge pages are gone, and none is reserved')
        s.left.now(t, kernel(), 0, what)
        s.left.all_of_it(t, what)


with HugePool(PAGES) as pool, Broker() as b:
    start = counters()
    kinds = dict(KINDS)
    if pool.got < PAGES:
        t.skip('huge pages', 'the host gives %d of %d' % (pool.got, PAGES))
        del kinds['huge']
    with t.part('the storm'):
        s = Storm(b, kinds)
        for _ in range(ROUNDS):
            s.turn()
        print('# %r, %d VMs ended' % (s.codes, s.ends))
        codes = {}
        for (code, _), n in s.codes.items():
            codes[code] = codes.get(code, 0) + n
        t.ok(codes.get(0, 0) > ROUNDS // 4 and codes.get(-9, 0) > ROUNDS // 200 and set(codes) <= {0, 1, -9} and s.ends, '%d requests' % ROUNDS, s.codes)
        t.equal(s.dirty, 0, 'what came was empty each time')
        if s.left:
            s.left.judged(t, ROUNDS // 8)
        counts(s, start, 'after the storm')
        for g in s.guests.values():
            p = g.asks(0)
            s.settle(g)
            t.equal((p.wait(PATIENCE), g.sizes()), (0, (0, 0, 0)), g.name + ': all of it can be taken away')
        counts(s, start, 'without it')
    if 'huge' in kinds:
        with t.part('step by step'):
            g = s.guests['huge']
            s.left.by_steps(t, lambda size: g.resize(size, '--no-wait').returncode, g.follow, STEP, False)
    for name in kinds:
        b('stop', name)
        b('delete', name)
    t.equal(counters(), start, 'all huge pages are free again')
t.equal(before.same(), [], 'nothing is left behind')
t.done()

#!/usr/bin/python3
"""kill -9 of every process at every stage: its VM ends and says why, nothing is left, and the VM beside it notices nothing."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time

from vmlib import (CLI, LAB, LIBEXEC, PATIENCE, Broker, Console, HugePool, Inventory, Memory, Tap, descendants, mappings, processes, runs,
                   stat_of, until)

t = Tap()
SEED = int(os.environ.get('TEST_SEED', random.randrange(1 << 32)))
print('# TEST_SEED=%d' % SEED)
rng = random.Random(SEED)
BIG = 256 if LAB else 3072  # MiB: long enough to be caught in the middle
ROUNDS = int(os.environ.get('TEST_ROUNDS', 6 if LAB else 40))
MIXED = ['--memory', 'size=0', '--memory-zone', 'id=low,size=64M', 'id=memfd,size=32M,shared=on,prefault=on',
         'id=huge,size=4M,hugepages=on,hugepage_size=2M', '--cmdline', 'verify=off speed=off']
SMALL = ['--memory', 'size=64M,shared=on', '--cmdline', 'verify=off speed=off']


def kill(pid, sig=signal.SIGKILL):
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        return False
    return True


def start(*args):
    return subprocess.Popen([CLI] + list(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(p):
    try:
        out, err = p.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
        err = '(had to be killed)\n' + err
    return p.returncode, out, err


class Witness:
    """A VM that must not notice anything."""

    def __init__(self, b):
        self.b, self.n = b, 0
        b('create', '--name', 'witness', *MIXED, check=0)
        b('boot', 'witness', check=0)
        self.c = Console('console', 'witness', '--socket', b.socket)
        self.c.ready()
        i = b.info('witness')
        self.pids = {i['worker_pid'], i['memsrv_pid']}

    def answers(self):
        self.n += 1
        try:
            return 'sign %d' % self.n in self.c.command('echo sign %d' % self.n)
        except (TimeoutError, OSError):
            return False

    def end(self):
        self.c.kill()
        self.b('stop', 'witness')
        self.b('delete', 'witness')


def undisturbed(b, w, inventory, what, gone=True):
    """What must hold after every kill. gone: the VM must be away by itself."""
    if not gone and b.state('victim') is not None:
        b('stop', 'victim')
        p = b('delete', 'victim')
        if p.returncode:
            return t.ok(False, what + ': it can be deleted', p.stderr)
    bad = inventory.same()
    if not w.answers():
        bad.append('the other VM does not answer')
    left = [v['name'] for v in b.json('list')['vms']]
    if left != ['witness']:
        bad.append('the broker has %s' % left)
    return t.equal(bad, [], what + ': nothing is left, the VM beside it answers')


def at_stage(b, stage):
    b('create', '--name', 'victim', *MIXED, check=0)
    if stage != 'created':
        b('boot', 'victim', check=0)
    if stage == 'paused':
        b('pause', 'victim', check=0)
    return b.info('victim')


def helpers_at_stages(b, w):
    inventory = Inventory()
    for stage in ('created', 'running', 'paused'):
        for who in ('worker', 'memsrv'):
            what = '%s killed while the VM was %s' % (who, stage)
            with t.part(what):
                info = at_stage(b, stage)
                p = start('wait', 'victim', '--json', '--socket', b.socket)
                time.sleep(0.1)  # most likely it waits by then; if not it is told afterwards
                kill(info[who + '_pid'])
                rc, out, err = result(p)
                t.ok(rc == 5 and json.loads(out)['cause'] == who + '-died', what + ': wait says so', '%d %s %s' % (rc, out, err))
                state = until(lambda: b.state('victim') in (None, 'stopped') and str(b.state('victim')))
                if state == 'stopped':
                    end = b.info('victim').get('end', {})
                    t.equal(end.get('cause'), who + '-died', what + ': info says so')
                undisturbed(b, w, inventory, what, gone=False)


def helpers_again(b, w):
    """What a dead worker leaves can be started again."""
    inventory = Inventory()
    with t.part('booted again after its worker was killed'):
        info = at_stage(b, 'running')
        kill(info['worker_pid'])
        until(lambda: b.state('victim') == 'stopped')
        b('boot', 'victim', check=0)
        c = Console('console', 'victim', '--socket', b.socket)
        c.ready()
        t.ok('again' in c.command('echo again'), 'booted again after its worker was killed: the guest answers')
        c.kill()
        undisturbed(b, w, inventory, 'booted again after its worker was killed', gone=False)


def grown(pid, kb):
    """It has begun to populate: its own mapping for anonymous and for shared memory."""
    try:
        return not runs(pid) or sum(m.kb.get('Rss', 0) for m in mappings(pid)) > kb
    except (OSError, ProcessLookupError):
        return True


def in_the_middle(b, others, who, creator):
    """The helper that populates for that command, with some of it done: stopped, so that it does not come to its end before anything is done about it,
    however long that takes. None if the command was over before."""
    program = os.stat(os.path.join(LIBEXEC, 'bulkhead-' + who))

    def runs_it(pid):
        with contextlib.suppress(OSError):
            return os.path.samestat(os.stat('/proc/%d/exe' % pid), program)

    def look():
        return [p for p in descendants(b.p.pid) if p not in others and runs_it(p)] or creator.poll() is not None
    found = until(look, 'a %s appears' % who)
    if found is True:
        return None
    maker, some = found[0], 0.002  # seconds; more each time, for where CPUs are busy it does not run at once

    def begun():
        nonlocal some
        kill(maker, signal.SIGCONT)
        time.sleep(some)
        kill(maker, signal.SIGSTOP)
        some *= 1.2
        return grown(maker, 16 << 10) or creator.poll() is not None
    kill(maker, signal.SIGSTOP)
    until(begun, 'it populates')
    return maker


def while_populating(b, w):
    memory = Memory()
    inventory = Inventory()
    for who, backing in (('memsrv', 'shared=on'), ('worker', 'shared=off'), ('cli', 'shared=on'), ('run', 'shared=off')):
        what = '%s killed while %d MiB were populated' % (who, BIG)
        with t.part(what):
            verb = 'run' if who == 'run' else 'create'
            p = start(verb, '--name', 'victim', '--memory', 'size=%dM,prefault=on,%s' % (BIG, backing), '--socket', b.socket)
            maker = in_the_middle(b, w.pids, 'memsrv' if backing == 'shared=on' else 'worker', p)
            if not t.ok(maker and p.poll() is None, what + ': it was caught in the middle', p.poll()):
                p.kill()
                result(p)
                undisturbed(b, w, inventory, what, gone=False)
                continue
            kill(p.pid if who in ('cli', 'run') else maker)
            rc, out, err = result(p)
            if who in ('cli', 'run'):
                kill(maker, signal.SIGCONT)
                t.equal(rc, -signal.SIGKILL, what + ': the command is dead')
                # A create does not belong to its client: the VM may come into being, or not.
                until(lambda: b.state('victim') in ((None,) if who == 'run' else (None, 'created', 'stopped')))
            else:
                t.ok(rc == 1 and who in err and 'SIGKILL' in err, what + ': create fails with the reason', '%d %s' % (rc, err))
            undisturbed(b, w, inventory, what, gone=who != 'cli')
            memory.back(t, what + ': the memory is back')


def at_any_moment(b, w):
    """Random delays over the whole life of short VMs, also while they are deleted."""
    inventory = Inventory()
    bad, hits = [], 0
    for i in range(10 * ROUNDS):
        if i >= ROUNDS and hits:
            break
        verb = rng.choice(('create', 'run', 'delete', 'stop'))
        who = rng.choice(('worker', 'memsrv', 'cli'))
        delay = rng.uniform(0, 0.02) * (20 if LAB else 1)
        what = 'round %d: %s, %s killed after %.4f s' % (i, verb, who, delay)
        began = time.monotonic()
        try:
            if verb in ('delete', 'stop'):
                at_stage(b, 'created' if verb == 'delete' else 'running')
                p = start(verb, 'victim', '--socket', b.socket)
            else:
                p = start(verb, '--name', 'victim', '--socket', b.socket, *MIXED)
            time.sleep(delay)
            if who == 'cli':
                hits += p.poll() is None
                kill(p.pid)
            else:
                found = processes()
                victims = [pid for pid in descendants(b.p.pid) if pid not in w.pids and found.get(pid) == 'bulkhead-' + who]
                hits += bool(victims)
                for pid in victims:
                    kill(pid)
            while verb == 'run' and who != 'cli' and p.poll() is None and time.monotonic() < began + PATIENCE:
                b('stop', 'victim')  # it may have had no VM when somebody was to be killed, or have none yet, and nobody else ends it
            rc, out, err = result(p)
            allowed = {'create': (0, 1), 'run': (0, 1, 5), 'delete': (0, 1), 'stop': (0, 1)}[verb] + ((-9,) if who == 'cli' else ())
            if rc not in allowed or (rc == 1 and not err.strip()):
                bad.append('%s: exit %d, %s' % (what, rc, err))
            # A create whose command is gone may still be under way.
            end = time.monotonic() + PATIENCE
            while b.state('victim') is not None and time.monotonic() < end:
                b('stop', 'victim')
                b('delete', 'victim')
        except Exception as e:
            bad.append('%s: %s: %s' % (what, type(e).__name__, e))
    t.ok(hits, 'killed at %d random moments: %d times there was somebody to kill' % (ROUNDS, hits))
    t.equal(bad, [], 'killed at %d random moments: every command ends with a result that says something' % ROUNDS)
    undisturbed(b, w, inventory, 'killed at %d random moments' % ROUNDS)


def stopped_helpers(b, w):
    """A process that does not run (SIGSTOP) is as far as a process can be from answering."""
    inventory = Inventory()
    for who in ('worker', 'memsrv'):
        what = 'a %s that stands still' % who
        with t.part(what):
            info = at_stage(b, 'running')
            kill(info[who + '_pid'], signal.SIGSTOP)
            asking, late = (start('info', 'victim', '--json', '--socket', b.socket) for _ in range(2))
            t.ok(w.answers() and b.state('witness') == 'running', what + ': others are served while somebody asks for its page counts')
            if who == 'worker':
                pausing = start('pause', 'victim', '--socket', b.socket)
            rc, out, err = result(asking)
            t.ok(rc == 0 and json.loads(out)['name'] == 'victim', what + ': info is answered all the same', '%d %s' % (rc, err))
            rc, late, err = result(late)
            for said in out, late:
                old = {z['id']: (z['backing'] == 'anonymous') == (who == 'worker') for z in json.loads(said)['zones']}
                t.equal({z['id']: z['resident_outdated'] for z in json.loads(said)['zones']}, old, what + ': and says of which zones it could not count the pages')
            if who == 'worker':
                rc, out, err = result(pausing)
                t.ok(rc == 1 and 'victim' in err or 'answer' in err, what + ': pause fails with a reason', '%d %s' % (rc, err))
            os.kill(info[who + '_pid'], signal.SIGCONT)
            t.ok(not any(z['resident_outdated'] for z in b.info('victim')['zones']), what + ': when it goes on they are counted')
            kill(info[who + '_pid'], signal.SIGSTOP)
            t.equal(b('stop', 'victim').returncode, 0, what + ': stop works')
            t.equal(b('delete', 'victim').returncode, 0, what + ': delete works')
            undisturbed(b, w, inventory, what)


def private():
    """run with a broker of its own: whoever dies, all go."""
    before = Inventory()
    for who in ('cli', 'broker', 'spawner', 'worker', 'memsrv'):
        what = 'private broker, %s killed' % who
        with t.part(what):
            c = Console('run', '--private', *MIXED)
            c.ready()
            broker = next(p for p in descendants(c.p.pid))
            spawner = next(p for p in descendants(broker))
            helpers = {processes().get(p): p for p in descendants(spawner)}
            pid = {'cli': c.p.pid, 'broker': broker, 'spawner': spawner, 'worker': helpers.get('bulkhead-worker'),
                   'memsrv': helpers.get('bulkhead-memsrv')}[who]
            kill(pid)
            rc = c.wait()
            t.equal(rc, -signal.SIGKILL if who == 'cli' else 5, what + ': exit code')
            if who != 'cli':
                err = c.errors()
                words = {'broker': 'broker', 'spawner': 'broker', 'worker': 'worker', 'memsrv': 'mem'}[who]
                t.ok(words in err, what + ': says who', err)
            t.equal(before.same(), [], what + ': nothing is left')
    bad = []
    for i in range(ROUNDS):
        delay = rng.uniform(0, 0.02) * (20 if LAB else 1)
        p = start('run', '--private', *MIXED)
        time.sleep(delay)
        below = descendants(p.pid)
        victim = rng.choice([p.pid] + below)
        name = stat_of(victim)
        kill(victim)
        time.sleep(0.02)
        if p.poll() is None and victim == p.pid:
            p.wait()
        rc, out, err = (p.returncode, '', '') if victim == p.pid else (None, '', '')
        if rc is None:
            p.terminate()  # in case that what was killed had no part in it any more
            rc, out, err = result(p)
        if rc not in (0, 1, 3, 5, -9, -15) or 'had to be killed' in err:
            bad.append('round %d, %s killed after %.4f s: exit %d %s' % (i, name, delay, rc, err))
        p.stdout.close()
        p.stderr.close()
    t.equal(bad, [], 'private broker, killed at %d random moments: every run ends' % ROUNDS)
    t.equal(before.same(), [], 'private broker, killed at %d random moments: nothing is left' % ROUNDS)


def brokers():
    before = Inventory()
    last = None
    for who in ('broker', 'spawner', 'SIGTERM'):
        what = 'daemon, %s' % (who if who == 'SIGTERM' else who + ' killed')
        with t.part(what), Broker(after=last) as b:
            last = b
            b('create', '--name', 'made', *MIXED, check=0)
            b('create', '--name', 'runs', *MIXED, check=0)
            b('boot', 'runs', check=0)
            c = Console('run', '--name', 'attached', '--socket', b.socket, *MIXED)
            c.ready()
            waiting = start('wait', 'runs', '--socket', b.socket)
            others = set(descendants(b.p.pid))
            populating = start('create', '--name', 'big', '--memory', 'size=%dM,prefault=on,shared=on' % BIG, '--socket', b.socket)
            t.ok(in_the_middle(b, others, 'memsrv', populating) and populating.poll() is None, what + ': caught in the middle of a create')
            if who == 'SIGTERM':
                b.p.terminate()
            else:
                kill(b.p.pid if who == 'broker' else b.spawner())
            code = b.p.wait(PATIENCE)
            if who == 'SIGTERM':
                t.equal(code, 0, what + ': ends with success')
                t.ok(not os.path.exists(b.socket), what + ': its socket is gone')
            elif who == 'spawner':
                t.ok(code == 1 and 'spawner' in b.said(), what + ': the broker ends and says why', b.said())
            t.ok(c.wait() in (5,) if who != 'SIGTERM' else c.wait() in (0, 5), what + ': the attached command ends', c.errors())
            for p in (waiting, populating):
                rc, out, err = result(p)
                t.ok(rc != 0 and err.strip() or p is waiting and who == 'SIGTERM', what + ': %s ends and says so' % p.args[1], '%d %s' % (rc, err))
            b.log.close()
            ours = lambda: [d for d in before.differences() if not (who == 'broker' and d.startswith('sockets'))]
            until(lambda: not ours(), 'differences: %s' % ours())
            t.ok(True, what + ': every VM is gone')
    with t.part('the next broker'), Broker(after=last) as b:
        t.equal(b.json('list'), {'vms': []}, 'the next broker on that socket starts with nothing')
        t.equal(b('run', '--memory', 'size=64M', '--cmdline', 'once').returncode, 0, 'and runs VMs')
    t.equal(before.same(), [], 'after all brokers: nothing is left')


start_of_all, memory = Inventory(), Memory()
with HugePool(16) as pool:
    if pool.free() < 10:
        raise SystemExit('this host has no 10 huge pages of 2 MiB to give')
    with Broker() as b:
        w = Witness(b)
        fds = b.fds()
        helpers_at_stages(b, w)
        helpers_again(b, w)
        while_populating(b, w)
        at_any_moment(b, w)
        stopped_helpers(b, w)
        t.ok(until(lambda: b.fds() == fds, 'the broker has %d descriptors, had %d' % (b.fds(), fds)), 'the broker has as many descriptors as before')
        w.end()
    private()
    brokers()
t.equal(start_of_all.same(), [], 'nothing is left behind')
memory.back(t, 'the host has its memory back')
t.done()

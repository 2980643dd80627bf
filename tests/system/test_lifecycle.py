#!/usr/bin/env python3
"""A VM's life by the command line: private and by a broker, every verb, every way a guest can end."""

import json
import os
import re
import signal

from vmlib import Broker, Console, Inventory, Tap, cli, stat_of, until

t = Tap()
before = Inventory()

# run with a broker of its own
p = cli('run', '--private', '--memory', 'size=64M', '--cmdline', 'once')
t.equal(p.returncode, 0, 'run: a guest that switches itself off ends with 0')
t.ok(re.search(r'^1\.\.\d+$', p.stdout, re.M) and 'not ok' not in p.stdout, 'run: the embedded guest reports and has no complaint', p.stdout)
t.ok('switched itself off' in p.stderr, 'run: says how it ended', p.stderr)

ENDS = [
    # command, exit code, cause, what the words must name
    ('triple', 4, 'triple-fault', 'triple fault'),
    ('badmem 0x80000000', 4, 'bad-access', 'access: read of'),
    ('badinsn', 4, 'kvm-internal', 'could not carry out'),
]
for command, code, cause, words in ENDS:
    c = Console('run', '--private', '--memory', 'size=64M', '--cmdline', 'verify=off')
    c.ready()
    c.send(command + '\n')
    rc = c.wait()
    err = c.errors()
    t.equal(rc, code, '%s: exit code' % command)
    t.ok(words in err, '%s: the report names the cause' % command, err)
    t.ok(re.search(r'rip +[0-9a-f]{16}', err) and re.search(r'rax +[0-9a-f]{16}', err), '%s: the report has registers' % command, err)
    c = Console('run', '--private', '--json', '--memory', 'size=64M', '--cmdline', 'verify=off')
    c.ready()
    c.send(command + '\n')
    c.wait()
    end = json.loads(c.errors())
    t.equal(end['cause'], cause, '%s: cause in JSON' % command)

c = Console('run', '--private', '--memory', 'size=64M', '--cmdline', 'verify=off')
c.ready()
c.send('badmmio\n')
c.expect('= ')
t.ok('ok' in c.expect('\n'), 'an access inside a PCI window that no device answers is harmless')
c.send('reset\n')
c.expect('TAP version 13')
c.ready()
t.ok(True, 'reset: the guest starts again')
c.send('echo alive\n')
c.expect('alive')
c.expect('alive')
c.send('off\n')
t.equal(c.wait(), 0, 'reset, then off')

# on a terminal
c = Console('run', '--private', '--memory', 'size=64M', '--cmdline', 'verify=off', tty=True)
c.ready()
c.send('\x1d')
t.equal(c.wait(), 0, 'ctrl-] on a terminal stops the VM')
t.ok('stopped on request' in c.errors(), 'and says so')
t.equal(before.same(), [], 'private runs leave nothing behind')

# with a broker that stays
with Broker() as b:
    b('list', check=0) # it answers: all that it opens at its start is open
    fds = b.fds()
    t.equal(b('create', '--name', 'web', '--memory', 'size=64M,shared=on', '--cpus', 'boot=2').stdout, 'web\n', 'create prints the name')
    t.equal(b.state('web'), 'created', 'created, not running')
    for verb in ('pause', 'resume'):
        p = b(verb, 'web')
        t.ok(p.returncode == 1 and 'created' in p.stderr, '%s of a created VM is refused with its state' % verb, p.stderr)
    t.equal(b('boot', 'web').returncode, 0, 'boot')
    t.equal(b.state('web'), 'running', 'running')
    c = Console('console', 'web', '--socket', b.socket)
    c.ready()
    t.ok(True, 'console: what was said before is shown')
    t.equal(c.command('cpus').count(' up\n'), 2, 'console: commands are answered, and both CPUs run')
    c.ready()  # the last thing that it says by itself
    t.equal(b('pause', 'web').returncode, 0, 'pause')
    t.equal(b.state('web'), 'paused', 'paused')
    c.send('echo late\n')
    t.ok(not c.buf and not c.read(0.5), 'a paused guest says nothing', c.buf)
    t.equal(b('pause', 'web').returncode, 1, 'pausing a paused VM is refused')
    t.equal(b('resume', 'web').returncode, 0, 'resume')
    c.expect('late')
    t.ok(True, 'and it goes on')
    i = b.info('web')
    for who, pid in (('the worker', i['worker_pid']), ('memsrv', i['memsrv_pid']), ('the spawner', b.spawner()), ('the broker', b.p.pid)):
        os.kill(pid, signal.SIGSTOP)  # an administrator, a debugger, a frozen cgroup
        until(lambda: stat_of(pid)[1] == 'T')
        os.kill(pid, signal.SIGCONT)
        c.send('echo after %s\n' % who)
        c.expect('after %s\n' % who)
        t.ok(b.state('web') == 'running' and b.info('web')['zones'], who + ' was stopped and goes on')
    c2 = Console('console', 'web', '--socket', b.socket)
    c2.send('echo second\n')
    c2.expect('second')
    t.ok(True, 'a second console takes over')
    c2.kill()
    c.kill()
    i = b.info('web')
    t.equal((i['vcpus'], i['memory_bytes'], i['zones'][0]['backing']), (2, 64 << 20, 'memfd'), 'info: what was asked for')
    p = b('create', '--name', 'web', '--memory', 'size=64M')
    t.ok(p.returncode == 1 and 'web' in p.stderr, 'a name is given once', p.stderr)
    p = b('delete', 'web')
    t.ok(p.returncode == 1 and 'running' in p.stderr, 'a running VM is not deleted', p.stderr)
    w = Console('wait', 'web', '--socket', b.socket)
    until(lambda: b('stop', 'web').returncode == 0)
    t.equal(w.wait(), 0, 'wait: ends with the VM')
    t.equal(b.state('web'), 'stopped', 'stopped')
    t.equal(b('boot', 'web').returncode, 0, 'a stopped VM boots again')
    c = Console('console', 'web', '--socket', b.socket)
    c.ready()
    c.send('off\n')
    until(lambda: b.state('web') == 'stopped')
    t.equal(c.wait(), 0, 'console: ends with the VM')
    t.equal(b('delete', 'web').returncode, 0, 'delete')
    t.equal(b.json('list'), {'vms': []}, 'list: nothing there any more')
    p = b('info', 'web')
    t.ok(p.returncode == 1 and 'web' in p.stderr, 'info on what is not there', p.stderr)
    p = b('run', '--memory', 'size=64M', '--cmdline', 'once')
    t.equal(p.returncode, 0, 'run on a broker that stays')
    t.equal(b.json('list'), {'vms': []}, 'an attached VM goes with its command')
    until(lambda: b.fds() == fds, 'the broker has as many descriptors as at its start')
    t.ok(True, 'the broker holds no descriptor of a VM any more')
t.equal(before.same(), [], 'nothing is left behind')

p = cli('list', '--socket', '/nonexistent/socket')
t.ok(p.returncode == 3 and 'bulkhead-broker' in p.stderr, 'no broker: exit 3 and what to do', p.stderr)
p = cli('run', '--private', '--memory', 'size=1M1,shared=maybe')
t.ok(p.returncode == 2 and 'size=1M1' in p.stderr and 'shared=maybe' in p.stderr, 'a wrong description: exit 2, all of it said', p.stderr)
p = cli('run', '--private', '--net', 'mac=02:00:00:00:00:01')
t.ok(p.returncode == 2 and 'not in this version yet' in p.stderr, 'what has no machinery yet is refused, not ignored', p.stderr)
t.done()

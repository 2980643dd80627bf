#!/usr/bin/python3
"""Whose VM it is: what others see of it, what the operator bounds, and what a user can have without root, with and without user namespaces."""

import contextlib
import ctypes
import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys

import vmlib
from vmlib import PATIENCE, TMP, Broker, Inventory, Tap, until

ALICE, BOB, GROUP = 61001, 61002, 61003
CLONE_NEWUSER = 0x10000000
libc = ctypes.CDLL(None, use_errno=True)


def no_namespaces():
    """A user namespace with all ids, root in it, and none may be made below it."""
    me = os.getpid()
    r, w = os.pipe()
    r2, w2 = os.pipe()
    if os.fork() == 0:
        os.read(r, 1)
        for f in ('uid_map', 'gid_map'):
            with open('/proc/%d/%s' % (me, f), 'w') as m:
                m.write('0 0 4294967295\n')
        os.write(w2, b'x')
        os._exit(0)
    if libc.unshare(CLONE_NEWUSER):
        os._exit(99)
    os.write(w, b'x')
    os.read(r2, 1)
    for fd in (r, w, r2, w2):
        os.close(fd)
    os.wait()
    with open('/proc/sys/user/max_user_namespaces', 'w') as f:
        f.write('0\n')


if sys.argv[1:2] == ['no-namespaces']:
    no_namespaces()
    os.execvp(sys.argv[2], sys.argv[2:])
t = Tap()

# Programs where every user can reach them.
INST = os.path.join(TMP, 'usr')
os.chmod(TMP, 0o755)
shutil.copytree(vmlib.BIN, os.path.join(INST, 'bin'))
shutil.copytree(vmlib.LIBEXEC, os.path.join(INST, 'libexec', 'bulkhead'))
vmlib.CLI = os.path.join(INST, 'bin', 'bulkhead')
vmlib.BROKER = os.path.join(INST, 'libexec', 'bulkhead', 'bulkhead-broker')
vmlib.PROGRAMS[:] = [vmlib.CLI] + [os.path.join(INST, 'libexec', 'bulkhead', os.path.basename(p)) for p in vmlib.PROGRAMS[1:]]
before = Inventory()
SMALL = ['--memory', 'size=64M,shared=on', '--cmdline', 'verify=off speed=off']
# A pool of its own would be too much to ask: 32 MiB of small pages that must be there.
ONCE = ['--memory', 'size=0', '--memory-zone', 'id=low,size=64M', 'id=s,size=32M,shared=on,prefault=on', '--cmdline', 'once speed=off']


def who(uid, groups=()):
    return {'user': uid, 'group': uid, 'extra_groups': list(groups)} if uid else {}


def told(p, name):
    """An answer without the name in it."""
    return p.returncode, p.stdout.replace(name, 'NAME'), p.stderr.replace(name, 'NAME')


def strangers(b):
    b('create', '--name', 'mine', *SMALL, check=0, **who(ALICE))
    b('boot', 'mine', check=0, **who(ALICE))
    number = str(json.loads(b('info', 'mine', '--json', check=0, **who(ALICE)).stdout)['id'])
    listed = b('list', check=0, **who(BOB)).stdout
    t.ok('mine' not in listed and listed.count('\n') == 1, 'list: another user sees a headline and nothing below', listed)
    t.equal(json.loads(b('list', '--json', **who(BOB)).stdout), {'vms': []}, 'list --json: nothing either')
    for verb in ('info', 'boot', 'pause', 'resume', 'stop', 'delete', 'console', 'wait'):
        none = told(b(verb, 'nobody-has-this', **who(BOB)), 'nobody-has-this')
        t.ok(none[0] == 1 and 'NAME' in none[2], '%s: of a VM that does not exist: refused by name' % verb, none)
        t.equal(told(b(verb, 'mine', **who(BOB)), 'mine'), none, '%s: of somebody else\'s VM: the same answer to the letter' % verb)
        t.equal(told(b(verb, number, **who(BOB)), number), none, '%s: by its number: the same' % verb)
        t.equal(told(b(verb, '4294', **who(BOB)), '4294'), none, '%s: by a number that nobody has: the same' % verb)
    t.equal(b.state('mine'), 'running', 'and the VM runs on')


def owners(b):
    def alice(*args):
        return b(*args, **who(ALICE))
    t.equal([alice(v, 'mine').returncode for v in ('info', 'pause', 'resume')], [0, 0, 0], 'the owner has control')
    t.equal([b(v, 'mine').returncode for v in ('info', 'pause', 'resume')], [0, 0, 0], 'root has, too')
    t.equal([(v['name'], v['owner_uid']) for v in b.json('list')['vms']], [('mine', ALICE)], 'root sees whose it is')
    p = b('create', '--name', 'mine', *SMALL, **who(BOB))
    t.equal(p.returncode, 0, 'another user may use the same name')
    t.equal([v['owner_uid'] for v in json.loads(b('list', '--json', **who(BOB)).stdout)['vms']], [BOB], 'and sees the own VM only')
    info = json.loads(b('info', 'mine', '--json', check=0, **who(BOB)).stdout)
    t.equal((info['owner_uid'], info['state']), (BOB, 'created'), 'the name means the own VM')
    p = b('info', 'mine')
    t.ok(p.returncode == 1 and 'id' in p.stderr, 'root must say which of both', p.stderr)
    t.equal(json.loads(b('info', str(info['id']), '--json', check=0).stdout)['owner_uid'], BOB, 'by its number root can')
    t.equal(b('delete', 'mine', **who(BOB)).returncode, 0, 'a user deletes the own VM')
    t.equal(b('info', 'mine').returncode, 0, 'and the other one is still there')
    b('stop', 'mine', check=0)
    b('delete', 'mine', check=0)
    t.equal(b.json('list'), {'vms': []}, 'root stops and deletes anybody\'s')


def bounds(b):
    for n in range(2):
        b('create', '--name', 'n%d' % n, *SMALL, check=0, **who(ALICE))
    p = b('create', '--name', 'n2', *SMALL, **who(ALICE))
    t.ok(p.returncode == 1 and '2 VMs' in p.stderr, 'more VMs than a user may have: refused, with the number', p.stderr)
    p = b('run', '--name', 'n2', *ONCE, **who(ALICE))
    t.ok(p.returncode == 1 and '2 VMs' in p.stderr, 'run as well', p.stderr)
    t.equal(b('run', *ONCE, **who(BOB)).returncode, 0, 'another user is not concerned')
    for n in range(2, 5):
        b('create', '--name', 'n%d' % n, *SMALL, check=0)
    t.ok(True, 'nor is root')
    p = b('create', '--name', 'n5', *SMALL)
    t.ok(p.returncode == 1 and '5 VMs' in p.stderr, 'the bound for all together holds for root, too', p.stderr)
    b('delete', 'n4', check=0)
    b('delete', 'n0', check=0)
    t.equal(b('create', '--name', 'n2', *SMALL, **who(ALICE)).returncode, 0, 'after a delete there is room again')
    for v in b.json('list')['vms']:
        b('delete', str(v['id']), check=0)


def sockets():
    with Broker('--group', str(GROUP), '--socket-mode', '0660') as b:
        st = os.stat(b.socket)
        t.equal((stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid), (0o660, 0, GROUP), 'the socket has the mode and the group that were asked for')
        t.equal(b('list', **who(ALICE, [GROUP])).returncode, 0, 'who is in the group is let in')
        p = b('list', **who(ALICE))
        t.ok(p.returncode == 3 and 'group' in p.stderr, 'who is not hears what is missing', p.stderr)
    with Broker() as b:
        st = os.stat(b.socket)
        t.equal((stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid), (0o660, 0, os.getgid()), 'without a word it is open to root alone')
        t.equal(b('list', **who(ALICE)).returncode, 3, 'and to nobody else')
    p = subprocess.run([vmlib.BROKER, '--socket', os.path.join(TMP, 's'), '--socket-mode', '0999'], capture_output=True, text=True)
    t.ok(p.returncode == 2 and '0999' in p.stderr, 'a mode that is none is refused', p.stderr)


# --- Without root. A mount namespace has a /dev/kvm for everybody; it ends with the last process in it. ---

KVM_FOR_ALL = '''
set -e
mount --make-rprivate /
mkdir -p "$TEST_TMP/dev"
mount -t tmpfs none "$TEST_TMP/dev"
mknod -m 0666 "$TEST_TMP/dev/kvm" c $KVM_NUMBERS
mount --bind "$TEST_TMP/dev/kvm" /dev/kvm
'''
IN_CHROOT = '''
mkdir -p "$TEST_TMP/root"
mount --rbind / "$TEST_TMP/root"
'''
kvm = os.stat('/dev/kvm')
ENV = dict(os.environ, KVM_NUMBERS='%d %d' % (os.major(kvm.st_rdev), os.minor(kvm.st_rdev)), HOME=TMP)
ENV.pop('BULKHEAD_SOCKET', None)


def as_uid(uid):
    return 'setpriv --reuid %d --regid %d --clear-groups' % (uid, uid) if uid else ''


class Room:
    """A mount namespace, and what else a case needs, in which commands run as uid."""

    def __init__(self, uid, chroot=False, namespaces=True):
        self.uid, self.chroot, self.namespaces = uid, chroot, namespaces
        self.run_dir = os.path.join(TMP, 'run-%d' % uid)
        os.makedirs(self.run_dir, exist_ok=True)
        os.chown(self.run_dir, uid, uid)
        self.env = dict(ENV, XDG_RUNTIME_DIR=self.run_dir)

    def argv(self, command):
        end = 'exec %s %s %s "$@"' % ('chroot "$TEST_TMP/root"' if self.chroot else '', '' if self.namespaces else shlex.quote(os.path.abspath(__file__)) + ' no-namespaces',
                                      as_uid(self.uid))
        return ['unshare', '-m', 'sh', '-c', KVM_FOR_ALL + (IN_CHROOT if self.chroot else '') + end, 'sh'] + command

    def start(self, command, **kw):
        return subprocess.Popen(self.argv(command), env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, **kw)

    def cli(self, *args):
        p = self.start([vmlib.CLI] + list(args))
        out, err = p.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(args, p.returncode, out, err)


def facts(pid):
    with open('/proc/%d/status' % pid) as f:
        rows = dict(line.rstrip('\n').split(':\t', 1) for line in f if ':\t' in line)
    return {'uid': int(rows['Uid'].split()[0]), 'caps': int(rows['CapPrm'], 16) | int(rows['CapEff'], 16), 'no new privs': rows['NoNewPrivs'],
            'filters': rows['Seccomp'], 'root': os.listdir('/proc/%d/root/' % pid),
            'namespaces': {n for n in ('user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup')
                           if os.readlink('/proc/%d/ns/%s' % (pid, n)) != os.readlink('/proc/self/ns/' + n)}}


ALL = {'user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup'}


def life(room, what, statement, uid, namespaces, empty_root):
    """A private broker, then one that stays. statement: what must be said of the isolation; uid: of the worker (None: one per VM)."""
    p = room.cli('run', '--private', *ONCE)
    t.ok(p.returncode == 0 and re.search(r'^1\.\.\d+$', p.stdout, re.M) and 'not ok' not in p.stdout, what + ': run with a private broker',
         '%d\n%s\n%s' % (p.returncode, p.stdout, p.stderr))
    said = re.search(r'isolation of the VM: (.*)', p.stderr)
    t.ok((said and re.search(statement, said[1])) or (statement == '^full$' and not said), what + ': it says what is weaker', p.stderr)
    socket = os.path.join(room.run_dir, 'bulkhead', 'control.sock')
    os.makedirs(os.path.dirname(socket), exist_ok=True)
    os.chown(os.path.dirname(socket), room.uid, room.uid)
    b = room.start([vmlib.BROKER, '--socket', socket])
    # For root the broker in $XDG_RUNTIME_DIR is not its own.
    at = ['--socket', socket] if not room.uid else []
    try:
        until(lambda: b.poll() is not None or os.path.exists(socket))
        until(lambda: b.poll() is not None or room.cli('list', *at).returncode == 0, 'the broker answers')
        p = room.cli('create', '--name', 'v', *SMALL, *at)
        t.equal((p.returncode, p.stdout), (0, 'v\n'), what + ': create with an own broker, which is found without being named')
        p = room.cli('boot', 'v', *at)
        t.equal(p.returncode, 0, what + ': boot')
        i = json.loads(room.cli('info', 'v', '--json', *at).stdout)
        t.ok(re.search(statement, i['isolation']), what + ': info says what is weaker', i['isolation'])
        for helper in ('worker', 'memsrv'):
            f = facts(i[helper + '_pid'])
            t.equal((f['caps'], f['no new privs'], f['filters']), (0, '1', '2'), '%s: %s: no capability, no new privileges, filtered' % (what, helper))
            t.ok(f['uid'] == uid if uid is not None else f['uid'] >= 0x70000000, '%s: %s: its user id' % (what, helper), f['uid'])
            t.ok(namespaces <= f['namespaces'], '%s: %s: its namespaces' % (what, helper), f['namespaces'])
            t.equal(f['root'] == [], empty_root, '%s: %s: sees %s' % (what, helper, 'no file' if empty_root else 'the user\'s files'))
        t.equal([room.cli(v, 'v', *at).returncode for v in ('pause', 'resume', 'stop', 'boot', 'stop', 'delete')], [0] * 6, what + ': every verb')
    finally:
        with contextlib.suppress(OSError):
            b.send_signal(signal.SIGTERM)
        err = b.communicate(timeout=PATIENCE)[1]
    t.equal(b.returncode, 0, what + ': the broker ends with success')
    if statement != '^full$':
        t.ok(re.search(statement, err.replace('isolation of VMs: ', '', 1).split('bulkhead-broker: ', 1)[-1]), what + ': its log says what is weaker', err)
    t.ok(not os.path.exists(socket), what + ': its socket is gone')
    t.equal(before.same(), [], what + ': nothing is left')


with Broker('--socket-mode', '0666', '--max-vms-per-user', '2', '--max-vms', '5') as b:
    for part in (strangers, owners, bounds):
        with t.part(part.__name__):
            part(b)
with t.part('sockets'):
    sockets()
with t.part('root'):
    life(Room(0), 'root', '^full$', None, ALL, True)
with t.part('a user'):
    life(Room(ALICE), 'a user', '^full, but .*user id %d' % ALICE, ALICE, ALL, True)
with t.part('root in a chroot'):
    life(Room(0, chroot=True), 'root in a chroot', '^no user namespaces: .*chroot', None, ALL - {'user'}, True)
with t.part('root without user namespaces'):
    life(Room(0, namespaces=False), 'root without user namespaces', '^no user namespaces: .*max_user_namespaces', None, ALL - {'user'}, True)
with t.part('a user in a chroot'):
    life(Room(ALICE, chroot=True), 'a user in a chroot', '^no user namespaces: .*system call filter', ALICE, set(), False)
with t.part('a user without user namespaces'):
    life(Room(ALICE, namespaces=False), 'a user without user namespaces', '^no user namespaces: .*max_user_namespaces', ALICE, set(), False)
t.equal(before.same(), [], 'nothing is left behind')
t.done()

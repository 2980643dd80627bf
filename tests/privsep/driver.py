"""Talks to spawn_driver and reads /proc: what the sandbox tests share."""

import os
import re
import shutil
import subprocess
import sys

TOP = os.environ.get('BULKHEAD_SRC') or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tests', 'lib'))
from patience import PATIENCE, until  # noqa: E402

OBJ = os.environ.get('BULKHEAD_OBJ') or os.path.join(TOP, 'build', 'obj')
BUILT = os.path.join(OBJ, 'tests', 'privsep')
TMP = os.environ.get('TEST_TMP') or '/tmp'
UID_BASE = 0x70000000
NOBODY = 65534
NAMESPACES = ('user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup')
AS_NOBODY = ['setpriv', '--reuid', str(NOBODY), '--regid', str(NOBODY), '--clear-groups', '--']


class Tap:
    def __init__(self):
        self.count = self.failed = 0

    def ok(self, good, what, why=''):
        self.count += 1
        self.failed += not good
        print('%sok %d - %s' % ('' if good else 'not ', self.count, what), flush=True)
        if not good:
            print('\n'.join('# ' + line for line in str(why).splitlines()), flush=True)

    def same(self, found, wanted, what):
        self.ok(found == wanted, what, 'found %r, wanted %r' % (found, wanted))

    def done(self):
        print('1..%d' % self.count)
        sys.exit(1 if self.failed else 0)


def programs():
    """A directory that anybody may enter, with the driver and the probes in it."""
    place = os.path.join(TMP, 'programs')
    if not os.path.isdir(place):
        os.makedirs(place)
        for name in ('spawn_driver', 'bulkhead-worker', 'bulkhead-memsrv'):
            shutil.copy(os.path.join(BUILT, name), place)
            os.chmod(os.path.join(place, name), 0o755)
        path = place
        while path not in ('/', '/tmp'):
            os.chmod(path, os.stat(path).st_mode | 0o111)
            path = os.path.dirname(path)
    return place


class Driver:
    """One broker's worth of spawner. `prefix` is put in front of the command (setpriv, unshare ...)."""

    def __init__(self, prefix=(), path=None):
        self.process = subprocess.Popen(list(prefix) + [path or os.path.join(programs(), 'spawn_driver')], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, line):
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip('\n')

    def start(self):
        """(spawner's pid or 0, isolation text or error)"""
        m = re.fullmatch(r'ok (\d+) (.*)', self.ask('start').replace('\n', ' '))
        return (int(m.group(1)), m.group(2)) if m else (0, '')

    def spawn(self, kind, slot):
        """(pid, the child's first words)"""
        answer = self.ask('spawn %s %d' % (kind, slot))
        m = re.fullmatch(r'pid (\d+)', answer)
        return (int(m.group(1)), self.ask('hear %s %d' % (kind, slot))) if m else (0, answer)

    def say(self, kind, slot, text):
        return self.ask('say %s %d %s' % (kind, slot, text))

    def end(self, kind, slot):
        return self.ask('end %s %d' % (kind, slot))

    def close(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)


def proc(pid, name):
    with open('/proc/%d/%s' % (pid, name)) as f:
        return f.read()


def status(pid):
    return dict(line.split(':\t', 1) for line in proc(pid, 'status').splitlines() if ':\t' in line)


def namespaces(pid):
    return {n: os.readlink('/proc/%s/ns/%s' % (pid, n)) for n in NAMESPACES}


def alive(pid):
    try:
        return status(pid)['State'][0] not in 'ZX'
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone_soon(pid):
    until(lambda: not alive(pid), 'process %d ends' % pid)
    return True


def rights(process):
    """The table's entry of a process: {first word: [rest...]}, limits as {NAME: value}."""
    entry, limits, on = {}, {}, False
    with open(os.path.join(TOP, 'policy', 'rights.table')) as f:
        for line in f:
            words = line.split('#')[0].split()
            if not words:
                continue
            if words[0] == 'process':
                on = words[1] == process
            elif on and words[0] == 'rlimit':
                limits[words[1]] = int(words[2])
            elif on:
                entry[words[0]] = words[1:]
    return entry, limits


def calls(filter_name):
    """{number: (name, kind, verdict with all arguments all ones)}"""
    with open(os.path.join(OBJ, 'policy', filter_name + '.calls')) as f:
        rows = [line.split() for line in f]
    return {int(r[0]): (r[1], r[2], r[3]) for r in rows}

"""The installed programs as a user drives them, and an inventory of what a test may have left behind. TAP on standard output."""

import contextlib
import glob
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

BIN = os.environ['BULKHEAD_BIN']
CLI = os.path.join(BIN, 'bulkhead')
BROKER = os.path.join(os.environ['BULKHEAD_LIBEXEC'], 'bulkhead-broker')
TMP = os.environ['TEST_TMP']
PROGRAMS = ('bulkhead', 'bulkhead-broker', 'bulkhead-memsrv', 'bulkhead-worker', 'bulkhead-memsr', 'bulkhead-brok', 'bulkhead-worke')
PATIENCE = 60  # seconds until a test stops hoping; nothing is judged by how long it took


class Tap:
    def __init__(self):
        self.n = self.failed = 0

    def ok(self, good, what, why=''):
        self.n += 1
        if not good:
            self.failed += 1
        print('%s %d - %s' % ('ok' if good else 'not ok', self.n, what.replace('#', '')))
        if not good:
            for line in str(why).splitlines() or ['(no detail)']:
                print('# ' + line)
        sys.stdout.flush()
        return good

    def equal(self, got, want, what):
        return self.ok(got == want, what, 'got  %r\nwant %r' % (got, want))

    def done(self):
        print('1..%d' % self.n)
        sys.exit(1 if self.failed else 0)


def until(check, what='', patience=PATIENCE):
    """The first true value of check(); raises TimeoutError with what was waited for."""
    end = time.monotonic() + patience
    while True:
        v = check()
        if v:
            return v
        if time.monotonic() > end:
            raise TimeoutError(what or check)
        time.sleep(0.01)


def processes():
    """{pid: command name} of everything of ours; zombies count."""
    found = {}
    for d in glob.glob('/proc/[0-9]*'):
        with contextlib.suppress(OSError):
            with open(d + '/stat') as f:
                m = re.match(r'(\d+) \((.*)\) (\S)', f.read())
            if m and m.group(2).startswith('bulkhead'):
                found[int(m.group(1))] = m.group(2)
    return found


def meminfo(*keys):
    with open('/proc/meminfo') as f:
        rows = dict(line.split(':', 1) for line in f)
    return {k: int(rows[k].split()[0]) for k in keys}


def huge_counters():
    rows = {}
    for p in glob.glob('/sys/devices/system/node/node*/hugepages/hugepages-*/*_hugepages'):
        with open(p) as f:
            rows[p] = int(f.read())
    return rows


class Inventory:
    """What the host has of the things that a VM uses. same() waits until it is as before: the kernel frees some of it late."""

    def __init__(self):
        self.before = self.look()

    @staticmethod
    def look():
        with open('/proc/self/mountinfo') as f:
            mounts = sorted(line.split()[4] for line in f)
        with open('/proc/net/unix') as f:
            sockets = sorted(line.split()[7] for line in f if 'bulkhead' in line or TMP in line)
        cgroups = sorted(d for d in glob.glob('/sys/fs/cgroup/**/*bulkhead*', recursive=True))
        return {'processes': processes(), 'mounts': mounts, 'sockets': sockets, 'cgroups': cgroups, 'huge pages': huge_counters(),
                'run files': sorted(glob.glob('/run/bulkhead/*') + glob.glob('/dev/shm/*'))}

    def differences(self):
        now = self.look()
        return ['%s: was %s, is %s' % (k, self.before[k], now[k]) for k in now if now[k] != self.before[k]]

    def same(self, patience=20):
        end = time.monotonic() + patience
        while True:
            d = self.differences()
            if not d or time.monotonic() > end:
                return d
            time.sleep(0.05)


def cli(*args, check=None, stdin=subprocess.DEVNULL, timeout=PATIENCE, **kw):
    """Runs the CLI to its end. check: the expected exit code."""
    p = subprocess.run([CLI] + list(args), stdin=stdin, capture_output=True, text=True, timeout=timeout, **kw)
    if check is not None and p.returncode != check:
        raise AssertionError('bulkhead %s: exit %d, wanted %d\n%s%s' % (' '.join(args), p.returncode, check, p.stdout, p.stderr))
    return p


class Broker:
    """A broker of our own on a socket of our own."""
    count = 0

    def __init__(self, *args, prefix=()):
        Broker.count += 1
        self.dir = os.path.join(TMP, 'b%d' % Broker.count)
        os.makedirs(self.dir)
        os.chmod(TMP, 0o755)
        os.chmod(self.dir, 0o777)
        self.socket = os.path.join(self.dir, 'control.sock')
        self.log = open(os.path.join(self.dir, 'log'), 'w')
        self.p = subprocess.Popen(list(prefix) + [BROKER, '--socket', self.socket] + list(args), stdin=subprocess.DEVNULL,
                                  stdout=self.log, stderr=self.log)
        until(lambda: os.path.exists(self.socket) or self.p.poll() is not None, 'the broker listens')

    def __call__(self, *args, check=None, **kw):
        return cli(*args, '--socket', self.socket, check=check, **kw)

    def json(self, *args):
        return json.loads(self(*args, '--json', check=0).stdout)

    def info(self, vm):
        return self.json('info', vm)

    def state(self, vm):
        return {v['name']: v['state'] for v in self.json('list')['vms']}.get(vm)

    def fds(self):
        return len(os.listdir('/proc/%d/fd' % self.p.pid))

    def children(self):
        """Of broker and spawner."""
        with open('/proc/%d/task/%d/children' % (self.p.pid, self.p.pid)) as f:
            return [int(x) for x in f.read().split()]

    def end(self):
        if self.p.poll() is None:
            self.p.terminate()
        self.p.wait(PATIENCE)
        self.log.close()
        return self.p.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class Console:
    """A CLI with its serial line on pipes: `run` or `console`."""

    def __init__(self, *args, prefix=(), tty=False):
        self.buf = ''
        stdin = subprocess.PIPE
        if tty:
            self.master, slave = pty.openpty()
            stdin = slave
        self.p = subprocess.Popen(list(prefix) + [CLI] + list(args), stdin=stdin, stdout=slave if tty else subprocess.PIPE,
                                  stderr=subprocess.PIPE, bufsize=0, start_new_session=True)
        if tty:
            os.close(slave)
            self.out, self.into = self.master, self.master
        else:
            self.out, self.into = self.p.stdout.fileno(), self.p.stdin.fileno()

    def read(self, timeout):
        r, _, _ = select.select([self.out], [], [], timeout)
        if not r:
            return False
        try:
            data = os.read(self.out, 65536)
        except OSError:
            return False
        self.buf += data.decode(errors='replace')
        return bool(data)

    def expect(self, text, patience=PATIENCE):
        """Waits for text; what came before it and itself are returned and consumed."""
        end = time.monotonic() + patience
        while text not in self.buf:
            if time.monotonic() > end or (not self.read(0.2) and self.p.poll() is not None and not self.read(0)):
                raise TimeoutError('%r did not come; got %r; stderr %r' % (text, self.buf[-2000:], self.errors()))
        i = self.buf.index(text) + len(text)
        got, self.buf = self.buf[:i], self.buf[i:]
        return got

    def errors(self):
        return self.p.stderr.read().decode(errors='replace') if self.p.poll() is not None else ''

    def send(self, text):
        os.write(self.into, text.encode())

    def command(self, text):
        """One command of the probe guest; its answer."""
        self.send(text + '\n')
        self.expect(text)
        return self.expect('= ')[:-2] + self.expect('\n')

    def ready(self):
        return self.expect('probe> ')

    def wait(self, patience=PATIENCE):
        end = time.monotonic() + patience
        while self.p.poll() is None and time.monotonic() < end:
            self.read(0.05)
        while self.read(0):
            pass
        return self.p.wait(0.1)

    def kill(self, sig=signal.SIGKILL):
        self.p.send_signal(sig)
        return self.wait()


def descendants(pid):
    """All processes below pid, itself excluded."""
    found = []
    for t in glob.glob('/proc/%d/task/*/children' % pid):
        with contextlib.suppress(OSError):
            with open(t) as f:
                for c in f.read().split():
                    found += [int(c)] + descendants(int(c))
    return found


def comm(pid):
    with contextlib.suppress(OSError):
        with open('/proc/%d/comm' % pid) as f:
            return f.read().strip()
    return ''

"""The installed programs as a user drives them, and an inventory of what a test may have left behind. TAP on standard output."""

import collections
import contextlib
import errno
import glob
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ['BULKHEAD_SRC'], 'tests', 'lib'))
import memgroup  # noqa: E402
import procfs  # noqa: E402
import stuck  # noqa: E402
from patience import PATIENCE  # noqa: E402
from hoststate import HugePool, Setting  # noqa: E402,F401

BIN = os.environ['BULKHEAD_BIN']
CLI = os.path.join(BIN, 'bulkhead')
BROKER = os.path.join(os.environ['BULKHEAD_LIBEXEC'], 'bulkhead-broker')
TMP = os.environ['TEST_TMP']
LIBEXEC = os.environ['BULKHEAD_LIBEXEC']
PROGRAMS = [CLI] + [os.path.join(LIBEXEC, 'bulkhead-' + p) for p in ('broker', 'memsrv', 'worker')]
LAB = 'LAB_TOPOLOGY' in os.environ  # an emulated host, some twenty times slower: smaller zones, fewer rounds
MiB = 1 << 20


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

    def skip(self, what, why):
        self.n += 1
        print('ok %d - %s # SKIP %s' % (self.n, what.replace('#', ''), why), flush=True)

    @contextlib.contextmanager
    def part(self, what):
        """A stretch of a test that may break off: that fails this part, with where and why, and the next one begins."""
        try:
            yield
        except Exception as e:
            tb, at = e.__traceback__, ''
            while tb:
                at += '%s:%d ' % (os.path.basename(tb.tb_frame.f_code.co_filename), tb.tb_lineno)
                tb = tb.tb_next
            self.ok(False, what, '\n'.join(['broke off: %s: %s' % (type(e).__name__, e), 'at ' + at] + getattr(e, '__notes__', [])))

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
            raise stuck.noted(TimeoutError(what or check))
        time.sleep(0.01)


def stat_of(pid):
    """(command name, state, parent) or None."""
    try:
        with open('/proc/%d/stat' % pid) as f:
            head, _, rest = f.read().rpartition(')')
    except OSError:
        return None
    fields = rest.split()
    return head.partition('(')[2], fields[0], int(fields[1])


def runs(pid):
    s = stat_of(pid)
    return s is not None and s[1] not in 'ZX'


def processes():
    """{pid: program} of everything that runs one of our programs, and of the dead whom one of our programs does not bury. (Who died after
    its parent waits for whatever is the reaper here; that is not the product's doing.)"""
    ours = {(s.st_dev, s.st_ino): os.path.basename(p) for p in PROGRAMS for s in [os.stat(p)]}
    found, dead = {}, []
    for d in os.listdir('/proc'):
        if not d.isdigit():
            continue
        s = stat_of(int(d))
        if s and s[1] in 'ZX':
            dead.append((int(d), s))
            continue
        with contextlib.suppress(OSError):
            st = os.stat('/proc/%s/exe' % d)
            if (st.st_dev, st.st_ino) in ours:
                found[int(d)] = ours[st.st_dev, st.st_ino]
    for pid, s in dead:
        if s[2] in found:
            found[pid] = 'dead ' + s[0]
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


def huge_pages_in_use():
    """Also those that are only promised. How large the pools are is for others to say (lib/hoststate.py)."""
    found = {}
    for p in glob.glob('/sys/kernel/mm/hugepages/hugepages-*'):
        n = {}
        for what in ('nr', 'free', 'resv'):
            with open('%s/%s_hugepages' % (p, what)) as f:
                n[what] = int(f.read())
        found[os.path.basename(p)] = n['nr'] - n['free'] + n['resv']
    return found


class Inventory:
    """What the host has of the things that a VM uses. same() waits until it is as before: the kernel frees some of it late."""

    def __init__(self):
        self.before = self.look()

    @staticmethod
    def look():
        with open('/proc/self/mountinfo') as f:
            mounts = sorted(line.split()[4] for line in f)
        with open('/proc/net/unix') as f:
            sockets = sorted(line.split()[7] for line in f if '/bulkhead/' in line or '@bulkhead' in line or TMP in line)
        cgroups = sorted(d for d in glob.glob('/sys/fs/cgroup/**/*bulkhead*', recursive=True))
        return {'processes': processes(), 'mounts': mounts, 'sockets': sockets, 'cgroups': cgroups, 'huge pages in use': huge_pages_in_use(),
                'run files': sorted(glob.glob('/run/bulkhead/*') + glob.glob('/dev/shm/*'))}

    def differences(self):
        now = self.look()
        # A connection of a command that has just ended may go only after the first look: sockets that are fewer are none that is left.
        gone = collections.Counter(self.before['sockets']) - collections.Counter(now['sockets'])
        if not collections.Counter(now['sockets']) - collections.Counter(self.before['sockets']) and gone:
            self.before['sockets'] = now['sockets']
        return ['%s: was %s, is %s' % (k, self.before[k], now[k]) for k in now if now[k] != self.before[k]]

    def same(self, patience=PATIENCE):
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

    def __init__(self, *args, prefix=(), after=None, env=None):
        """after: a broker whose socket it takes over."""
        Broker.count += 1
        self.dir = after.dir if after else os.path.join(TMP, 'b%d' % Broker.count)
        if not after:
            os.chmod(TMP, 0o755)
            os.mkdir(self.dir)
            os.chmod(self.dir, 0o777)
        self.socket = os.path.join(self.dir, 'control.sock')
        self.log = open(os.path.join(self.dir, 'log'), 'a')
        self.p = subprocess.Popen(list(prefix) + [BROKER, '--socket', self.socket] + list(args), stdin=subprocess.DEVNULL,
                                  stdout=self.log, stderr=self.log, env=env)
        until(lambda: self.p.poll() is not None or self.listens(), 'the broker listens')

    def listens(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            try:
                s.connect(self.socket)
            except OSError as e:
                return e.errno == errno.EACCES
        return True

    def said(self):
        with open(self.log.name) as f:
            return f.read()

    def __call__(self, *args, check=None, **kw):
        return cli(*args, '--socket', self.socket, check=check, **kw)

    def json(self, *args):
        return json.loads(self(*args, '--json', check=0).stdout)

    def info(self, vm):
        """With pages counted now: where the count did not come in time (an emulated host, and a busy one), it is asked for again."""
        for _ in range(6):
            info = self.json('info', vm)
            if not any(z['resident_outdated'] for z in info['zones']):
                break
        return info

    def state(self, vm):
        return {v['name']: v['state'] for v in self.json('list')['vms']}.get(vm)

    def fds(self):
        """Without the connection of a command that has just ended: closing is the work of some of its threads."""
        until(lambda: procfs.rests(self.p.pid), 'the broker never rests')
        return len(os.listdir('/proc/%d/fd' % self.p.pid))

    def spawner(self):
        return descendants(self.p.pid)[0]

    def end(self):
        if self.p.poll() is None:
            self.p.terminate()
        try:
            self.p.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()
            raise
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
                raise stuck.noted(TimeoutError('%r did not come; got %r; stderr %r' % (text, self.buf[-2000:], self.errors())))
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


class Mapping:
    """One row of /proc/PID/smaps, together with its row of numa_maps."""

    def __init__(self, head):
        span, self.perms, _, _, inode, name = (head.split(None, 5) + [''])[:6]
        self.start, self.end = (int(x, 16) for x in span.split('-'))
        self.inode, self.name = int(inode), name.strip()
        self.kb, self.flags, self.policy, self.pages = {}, set(), '', {}

    @property
    def size(self):
        return self.end - self.start

    def __repr__(self):
        return '%x-%x %s %s %s %s %s %s' % (self.start, self.end, self.perms, self.name, self.policy, self.pages, sorted(self.flags), self.kb)


def mappings(pid):
    found = []
    with open('/proc/%d/smaps' % pid) as f:
        for line in f:
            key, _, value = line.partition(':')
            if re.match(r'[0-9a-f]+-[0-9a-f]+ ', line):
                found.append(Mapping(line))
            elif key == 'VmFlags':
                found[-1].flags = set(value.split())
            elif value.split()[1:] == ['kB']:
                found[-1].kb[key] = int(value.split()[0])
            else:
                found[-1].kb[key] = int(value)
    with open('/proc/%d/numa_maps' % pid) as f:
        rows = {int(line.split()[0], 16): line.split()[1:] for line in f}
    for m in found:
        row = rows.get(m.start, [''])
        m.policy = row[0]
        for word in row[1:]:
            n = re.match(r'N(\d+)=(\d+)$', word)
            if n:
                m.pages[int(n[1])] = int(n[2])
    return found


def pages_kb(pid, mapping):
    """KiB of its own that a private mapping has, by the page tables. smaps is no measure for that: Linux 6.1 to 6.5 leave those transparent huge
    pages out of its Rss that NUMA balancing has put out of reach for a while, and the next fault brings them back."""
    with open('/proc/%d/pagemap' % pid, 'rb', buffering=0) as f:
        f.seek(mapping.start // 4096 * 8)
        words = f.read(mapping.size // 4096 * 8)
    if len(words) != mapping.size // 4096 * 8:
        raise OSError('pagemap of %d: %d bytes for %r' % (pid, len(words), mapping))
    return 4 * words[7::8].translate(OWN_PAGE).count(1)


# The highest byte of a word of pagemap: present and mapped once (the zero page is nobody's), or on its way to another node, which looks like
# swapped; and not a file's.
OWN_PAGE = bytes((b & 0x40 != 0 or b & 0x81 == 0x81) and not b & 0x20 for b in range(256))


def private(pid, size):
    """The one private mapping that is so long."""
    found = [m for m in mappings(pid) if m.size == size and m.perms == 'rw-p']
    if len(found) != 1:
        raise ValueError('%d mappings of %d bytes: %r' % (len(found), size, found))
    return found[0]


def descriptors(pid):
    """{number: (what it leads to, inode)}"""
    return {n: (link, st.st_ino) for n, (link, st) in procfs.descriptors(pid).items()}


def memory_nodes():
    """Host nodes that have memory."""
    with open('/sys/devices/system/node/has_memory') as f:
        nodes = []
        for part in f.read().strip().split(','):
            a, _, b = part.partition('-')
            nodes += range(int(a), int(b or a) + 1)
    return nodes


def files_kb(path):
    """KiB of the files below it."""
    total = 0
    for d, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(d, name)).st_blocks // 2
    return total


class Memory:
    """What this test, and everything it has started, has of the host's memory (lib/memgroup.py): nobody else can move that. The test's own files
    may lie in memory, and do not count."""

    def __init__(self):
        self.group = os.environ.get('TEST_MEMGROUP')
        self.before = self.used()

    def used(self):
        return memgroup.used(self.group) - files_kb(TMP) if self.group else 0

    def back(self, tap, what, slack_mib=64, patience=PATIENCE):
        """One result of the test: it is so again. Waits, because the kernel frees some of it late."""
        if not self.group:
            return tap.skip(what, 'there is no memory control group to be had on this host')
        end = time.monotonic() + patience
        while self.used() - self.before > slack_mib << 10 and time.monotonic() < end:
            time.sleep(0.1)
        more = self.used() - self.before >> 10
        return tap.ok(more <= slack_mib, what, '%d MiB more than before' % more)

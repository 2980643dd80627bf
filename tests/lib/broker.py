"""A broker under test and a client that can also be rude: the control protocol by hand, byte by byte, so that a mistake in our codecs is not made
twice. Used by tests/privsep/test_broker_* and tests/system/test_broker_*."""

import array
import atexit
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time

import procfs
from patience import PATIENCE, until

BIN = os.path.join(os.environ['BULKHEAD_BIN'], 'bulkhead')
BROKER = os.path.join(os.environ['BULKHEAD_LIBEXEC'], 'bulkhead-broker')
TMP = os.environ['TEST_TMP']

CREATE, BOOT, LIST, INFO, PAUSE, RESUME, STOP, DELETE, CONSOLE, WAIT = range(1, 11)
REPLY, EVENT = 64, 65
KVM, KERNEL, INITRAMFS, CONSOLE_FD, SERIAL_FILE, ZONE, ZONE_FILE = range(1, 8)
EV_STATE, EV_PROGRESS, EV_ENDED, EV_BALLOON = 1, 2, 3, 6
MSG_MAX, FDS_MAX = 128 * 1024, 160


# --- protobuf, as much as is needed ---

def varint(n):
    out = b''
    while n > 0x7f:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def num(field, n):
    return varint(field << 3) + varint(n)


def blob(field, b):
    b = b.encode() if isinstance(b, str) else b
    return varint(field << 3 | 2) + varint(len(b)) + b


def parse(b):
    """{field: [values]}; of bytes and numbers only."""
    out, i = {}, 0

    def take():
        nonlocal i
        n = shift = 0
        while True:
            c = b[i]
            i += 1
            n |= (c & 0x7f) << shift
            shift += 7
            if c < 0x80:
                return n

    while i < len(b):
        key = take()
        if key & 7 == 0:
            v = take()
        elif key & 7 == 2:
            n = take()
            v = b[i:i + n]
            i += n
        elif key & 7 == 1:
            v = b[i:i + 8]
            i += 8
        else:
            raise ValueError('wire type %d' % (key & 7))
        out.setdefault(key >> 3, []).append(v)
    return out


def zigzag(n):
    return (n >> 1) ^ -(n & 1)


def message(op, body=b'', serial=1, magic=0x6b42, version=1, zero=0):
    return struct.pack('<HHHHI', magic, version, op, zero, serial) + body


def tag(role, index=0):
    return num(1, role) + (num(2, index) if index else b'')


def spec(size=64 << 20, name=None, zones=(), shared=False, prefault=False, hugepages=False):
    """VmSpec with plain memory, or with zones as (id, size, file)."""
    b = blob(1, name) if name else b''
    if zones:
        for zid, zsize, path in zones:
            b += blob(3, blob(1, zid) + num(2, 1) + blob(3, num(1, zsize) + num(2, 2)) + (blob(4, path) if path else b''))
    else:
        opts = num(1, size) + (num(2, 2) if shared else b'') + (num(3, 2) if hugepages else b'') + (num(5, 2) if prefault else b'')
        b += blob(2, num(1, 1) + blob(2, opts))
    return b


def create_body(spec_bytes, tags=((KERNEL, 0),), boot=False, attached=False):
    return (blob(2, spec_bytes) + (num(3, 1) if boot else b'') + (num(4, 1) if attached else b'') +
            b''.join(blob(5, tag(*t)) for t in tags))


class Reply:
    def __init__(self, serial, body):
        f = parse(body)
        self.serial = serial
        self.code = zigzag(f.get(1, [0])[0])
        self.text = f.get(2, [b''])[0].decode()
        self.diags = [parse(d).get(4, [b''])[0].decode() for d in f.get(4, [])]
        self.vms = [parse(v) for v in f.get(7, [])]

    def __repr__(self):
        return 'Reply(%d, %d, %r, %d VMs)' % (self.serial, self.code, self.text, len(self.vms))


class Event:
    def __init__(self, body):
        f = parse(body)
        self.kind = f[1][0]
        self.name = f[3][0].decode()
        self.state = f.get(4, [0])[0]
        self.done = f.get(6, [0])[0]
        self.total = f.get(7, [0])[0]
        end = parse(f[8][0]) if 8 in f else {}
        self.cause = end.get(1, [0])[0]
        self.detail = end.get(3, [b''])[0].decode()


class Conn:
    """One connection. timeout: seconds after which a missing answer is an error."""

    def __init__(self, path, timeout=PATIENCE):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.connect(path)  # blocks while the backlog is full
        self.s.settimeout(timeout)
        self.events = []

    def send(self, data, fds=()):
        anc = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else []
        self.s.sendmsg([data], anc)

    def recv(self):
        """A Reply, an Event, or None at the end."""
        data = self.s.recv(MSG_MAX + 64)
        if not data:
            return None
        magic, version, op, zero, serial = struct.unpack('<HHHHI', data[:12])
        assert (magic, version, zero) == (0x6b42, 1, 0), data[:12]
        return Reply(serial, data[12:]) if op == REPLY else Event(data[12:])

    def reply(self):
        while True:
            m = self.recv()
            if isinstance(m, Event):
                self.events.append(m)
            else:
                return m

    def event(self, kind):
        """The next event of that kind, also of those that came before a reply."""
        while True:
            m = self.events.pop(0) if self.events else self.recv()
            assert isinstance(m, Event), m
            if m.kind == kind:
                return m

    def call(self, op, vm=None, body=b'', fds=(), serial=7):
        self.send(message(op, (blob(1, vm) if vm else b'') + body, serial), fds)
        r = self.reply()
        assert r is not None, 'the broker closed the connection without an answer to operation %d' % op
        return r

    def closed(self):
        try:
            while self.recv() is not None:
                pass
        except ConnectionResetError:
            pass
        return True

    def close(self):
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


class Broker:
    living = []

    def __init__(self, *flags, name='control.sock', uid=None):
        self.path = os.path.join(TMP, name)
        self.log_path = self.path + '.log'
        with open(self.log_path, 'ab') as log:
            self.p = subprocess.Popen([BROKER, '--socket', self.path, '--socket-mode', '0666', *flags], stdin=subprocess.DEVNULL, stderr=log,
                                      user=uid)
        Broker.living.append(self)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with self.conn() as c:
                    c.call(LIST)  # its socket is there before its filter is on; an answer comes only after that
                break
            except OSError:
                if self.p.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError('the broker did not start: ' + self.log())
                time.sleep(0.02)

    def log(self):
        with open(self.log_path, errors='replace') as f:
            return f.read()

    def conn(self):
        return Conn(self.path)

    def fds(self):
        """How many descriptors it has once all its threads have done what there was to do: closing is the work of some of them."""
        until(lambda: procfs.rests(self.p.pid), 'the broker never rests')
        return len(os.listdir('/proc/%d/fd' % self.p.pid))

    def rss_kib(self):
        """Counted page by page: VmRSS may be off by what each CPU has not told yet."""
        with open('/proc/%d/smaps_rollup' % self.p.pid) as f:
            return next(int(line.split()[1]) for line in f if line.startswith('Rss:'))

    def spawner(self):
        return next(p for p in children(self.p.pid))

    def helpers(self):
        """Live processes of VMs."""
        return [p for p in children(self.spawner()) if not zombie(p)]

    def cli(self, *args, **kw):
        return subprocess.run([BIN, *args], env=dict(os.environ, BULKHEAD_SOCKET=self.path), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=PATIENCE, **kw)

    def info(self, vm):
        p = self.cli('info', vm, '--json')
        assert p.returncode == 0, p.stderr
        return json.loads(p.stdout)

    def stop(self, sig=signal.SIGTERM):
        """Its exit code. Everything it made must be gone with it."""
        helpers = self.helpers() if self.p.poll() is None else []
        self.p.send_signal(sig)
        code = self.p.wait(PATIENCE)
        until(lambda: not any(os.path.exists('/proc/%d' % h) for h in helpers), 'helpers outlive the broker')
        return code

    @staticmethod
    def end(brokers):
        """Those that a test has not ended, because it broke off."""
        for b in brokers:
            if b.p.poll() is None:
                b.p.terminate()
        for b in brokers:
            try:
                b.p.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                b.p.kill()
                b.p.wait()


atexit.register(lambda: Broker.end(Broker.living))


def children(pid):
    try:
        with open('/proc/%d/task/%d/children' % (pid, pid)) as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def zombie(pid):
    try:
        with open('/proc/%d/stat' % pid) as f:
            return f.read().rsplit(')', 1)[1].split()[0] in 'ZX'
    except OSError:
        return True


# Opened once, as root: the tree may lie where no other user can go.
GUEST = os.open(os.path.join(os.environ['BULKHEAD_OBJ'], 'tests', 'guest', 'probe.elf'), os.O_RDONLY)


def kernel_fd(path=None):
    """A kernel as a client would send it: the probe guest of the build."""
    return os.open(path, os.O_RDONLY) if path else os.dup(GUEST)


def as_user(uid, fn):
    """Runs fn in a child with that uid and no groups; its failed assertion is ours."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            fn()
            os._exit(0)
        except BaseException as e:
            os.write(w, ('%s: %s' % (type(e).__name__, e)).encode()[:4000])
            os._exit(1)
    os.close(w)
    with os.fdopen(r, errors='replace') as f:
        why = f.read()
    status = os.waitpid(pid, 0)[1]
    assert status == 0, why or 'ended with status %#x' % status


def run_tests(tests):
    """TAP for a list of functions; their first docstring line is what they show."""
    bad = 0
    print('1..%d' % len(tests), flush=True)
    for i, t in enumerate(tests, 1):
        what = (t.__doc__ or t.__name__).strip().split('\n')[0]
        before = list(Broker.living)
        try:
            t()
            print('ok %d - %s' % (i, what), flush=True)
        except Exception as e:
            bad += 1
            print('not ok %d - %s' % (i, what))
            for line in ('%s: %s' % (type(e).__name__, e)).splitlines():
                print('# ' + line)
            tb = e.__traceback__
            while tb:
                print('#   %s:%d' % (os.path.basename(tb.tb_frame.f_code.co_filename), tb.tb_lineno))
                tb = tb.tb_next
            sys.stdout.flush()
            Broker.end([b for b in Broker.living if b not in before])
    return 1 if bad else 0

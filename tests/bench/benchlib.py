"""What benchmarks with the probe guest share: where the build is, QEMU with the same guest, its commands. They need a build (tests/run makes one)
and root."""

import os
import signal
import socket
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
os.environ.setdefault('BULKHEAD_SRC', TOP)
os.environ.setdefault('BULKHEAD_INST', os.path.join(TOP, 'build', 'inst'))
os.environ.setdefault('BULKHEAD_BIN', os.path.join(os.environ['BULKHEAD_INST'], 'usr', 'bin'))
os.environ.setdefault('BULKHEAD_LIBEXEC', os.path.join(os.environ['BULKHEAD_INST'], 'usr', 'libexec', 'bulkhead'))
os.environ.setdefault('BULKHEAD_OBJ', os.path.join(TOP, 'build', 'obj'))
_work = tempfile.TemporaryDirectory(prefix='bulkhead-bench')
os.environ.setdefault('TEST_TMP', _work.name)
sys.path.insert(0, os.path.join(TOP, 'tests', 'system'))

from vmlib import TMP, Console, until  # noqa: E402
import hoststate  # noqa: E402

# Nobody runs a benchmark who would clean up after it: it gives back what it took when it is told to end, and what an earlier one kept.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
hoststate.sweep()

CMDLINE = 'quiet noecho speed=off'
PROBE = os.path.join(os.environ['BULKHEAD_OBJ'], 'tests', 'guest', 'probe.elf')


class Qemu:
    """The probe guest under QEMU: `console` is its serial line, talk() its monitor."""
    name = 'QEMU'

    def __init__(self, *args):
        self.path = os.path.join(TMP, 'qmp')
        self.console = Console.__new__(Console)
        self.console.buf = ''
        self.console.p = subprocess.Popen(
            ['qemu-system-x86_64', '-M', 'q35,accel=kvm', '-cpu', 'qemu64', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
             '-serial', 'stdio', '-kernel', PROBE, '-append', CMDLINE, '-qmp', 'unix:%s,server=on,wait=off' % self.path, *args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.console.out, self.console.into = self.console.p.stdout.fileno(), self.console.p.stdin.fileno()
        self.qmp = socket.socket(socket.AF_UNIX)
        until(lambda: self.qmp.connect_ex(self.path) == 0, 'QMP')
        self.talk('{"execute":"qmp_capabilities"}')

    def talk(self, text):
        self.qmp.sendall(text.encode() + b'\n')
        while b'"return"' not in (got := self.qmp.recv(65536)):
            if b'"error"' in got or not got:
                raise OSError(got)

    def end(self):
        self.qmp.close()
        self.console.kill()
        os.unlink(self.path)


def command(c, text):
    """What the guest says to it."""
    c.send(text + '\n')
    said = c.expect('= ') + c.expect('\n')
    if '= ok' not in said:
        raise ValueError('%s: %s' % (text, said))
    return said

"""Guests inside the emulated host, driven by their serial line: start, run commands, collect what they say, end. The same interface for
Bulkhead and for QEMU, which is the oracle: a test asks both the same and compares.

    with l2.bulkhead(['--memory', 'size=256M'], cmdline='quiet') as vm:
        vm.ready()
        print(vm.sh('numactl -H'))

Works wherever there is a KVM that boots stock kernels: in the lab the LAB_ variables say where kernel and initramfs are.
"""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
import tty

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), 'lib'))
from patience import PATIENCE  # noqa: E402

BASE_CMDLINE = 'console=ttyS0 quiet panic=-1 reboot=t init_on_alloc=0'


class Failed(Exception):
    """Carries the end of what the guest said."""


class Guest:
    """One VM whose serial line is the standard input and output of the process `argv`.

    The line is a pseudo-terminal in raw mode, as for a person at a terminal, so `argv` may treat it as one. `log` holds all the
    guest said so far; `stderr_path` is the file with the standard error of the process.
    """

    def __init__(self, argv, directory, name='vm', env=None):
        self.argv, self.log, self._taken = argv, b'', 0
        self.stderr_path = os.path.join(directory, name + '.err')
        self._line, other = pty.openpty()
        tty.setraw(other, termios.TCSANOW)
        self.started = time.monotonic()
        with open(self.stderr_path, 'wb') as err:
            self.process = subprocess.Popen(argv, stdin=other, stdout=other, stderr=err, env=env, start_new_session=True)
        os.close(other)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def stderr(self):
        with open(self.stderr_path, errors='replace') as f:
            return f.read()

    def _fail(self, why):
        raise Failed('%s; the end of the serial line:\n%s\nand of standard error:\n%s' % (
            why, self.log[-2000:].decode(errors='replace'), self.stderr()[-2000:]))

    def _read(self, seconds):
        """Takes in what comes within that time. False at the end of the line."""
        if not select.select([self._line], [], [], max(0, seconds))[0]:
            return True
        try:
            data = os.read(self._line, 65536)
        except OSError:  # EIO: nobody has the other side open any more
            data = b''
        self.log += data
        return bool(data)

    def until(self, pattern, timeout=PATIENCE):
        """Waits for the regular expression (bytes) in what was not yet taken; takes and returns the match and what was before it."""
        end = time.monotonic() + timeout
        while True:
            m = re.compile(pattern).search(self.log, self._taken)
            if m:
                before = self.log[self._taken:m.start()]
                self._taken = m.end()
                return m, before
            if time.monotonic() > end:
                self._fail('%r did not come within %d s' % (pattern, timeout))
            if not self._read(end - time.monotonic()):
                self._fail('the line ended while waiting for %r (exit status %s)' % (pattern, self.process.poll()))

    def send(self, data):
        while data:
            data = data[os.write(self._line, data):]

    def ready(self, timeout=PATIENCE):
        """Waits for the agent (guest/init); returns the seconds from start to it, and by the guest's own clock."""
        m, _ = self.until(rb'@@READY ([\d.]+)\r?\n', timeout)
        return time.monotonic() - self.started, float(m[1])

    def run(self, command, timeout=PATIENCE):
        """Runs a shell command of one line in the guest. Returns (exit status, output)."""
        if '\n' in command:
            raise ValueError('the agent reads one line')
        self.send(command.encode() + b'\n')
        m, before = self.until(rb'\n@@RC=(\d+)\r?\n', timeout)
        return int(m[1]), before.decode(errors='replace').replace('\r', '')

    def sh(self, command, timeout=PATIENCE):
        """The output of a command that has to succeed."""
        code, output = self.run(command, timeout)
        if code:
            self._fail('%r ended with %d and said %r' % (command, code, output))
        return output

    def wait(self, timeout=PATIENCE):
        """Waits for the process to end by itself; returns its exit status. Goes on reading the line, so that nobody blocks on it."""
        end = time.monotonic() + timeout
        open_line = True
        while self.process.poll() is None:
            if time.monotonic() > end:
                self._fail('no end within %d s' % timeout)
            if open_line:
                open_line = self._read(min(0.05, end - time.monotonic()))
            else:
                time.sleep(0.02)
        while open_line and select.select([self._line], [], [], 0)[0]:
            open_line = self._read(0)
        return self.process.returncode

    def power_off(self, timeout=PATIENCE):
        self.send(b'poweroff -f\n')
        return self.wait(timeout)

    def kill(self):
        if self._line is None:
            return
        if self.process.poll() is None:
            # First in a way that lets a private broker or the like go too.
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        os.close(self._line)
        self._line = None


def _directory():
    return os.environ.get('TEST_TMP', '/tmp')


def bulkhead(args, kernel=None, initramfs=None, cmdline='', name='bulkhead', base=BASE_CMDLINE):
    """`bulkhead run` of the stock guest, or of another kernel, with these arguments more. base: what every command line begins with."""
    argv = [os.path.join(os.environ['BULKHEAD_BIN'], 'bulkhead'), 'run', '--kernel', kernel or os.environ['LAB_BZIMAGE'],
            '--initramfs', initramfs or os.environ['LAB_INITRAMFS'], '--cmdline', (base + ' ' + cmdline).strip(),
            '--serial', 'tty'] + args
    return Guest(argv, _directory(), name)


def qemu(args, kernel=None, initramfs=None, cmdline='', machine='microvm,rtc=on', memory='256M', name='qemu'):
    """The same guest by QEMU with KVM."""
    argv = ['qemu-system-x86_64', '-M', machine, '-enable-kvm', '-cpu', 'host', '-m', memory, '-nodefaults', '-no-user-config',
            '-display', 'none', '-no-reboot', '-serial', 'stdio', '-kernel', kernel or os.environ['LAB_VMLINUX'],
            '-initrd', initramfs or os.environ['LAB_INITRAMFS'], '-append', (BASE_CMDLINE + ' ' + cmdline).strip()] + args
    return Guest(argv, _directory(), name)

"""What every process below a test was doing when something that was waited for did not come. It goes with the error as a note, for until the error is
reported the test has tidied up, and nobody is left who could tell. What cannot be read is shown as an error number and fails nothing by itself."""

import array
import contextlib
import ctypes
import fcntl
import glob
import os
import termios

libc = ctypes.CDLL(None)
SYS_PIDFD_GETFD = 438  # Python has no name for it
FUTEX = '202'  # each of a pool of threads waits on a word of its own
LINES = 36  # what tap.py shows of a failure, less the failure
KVM_COUNTS = 'exits', 'io_exits', 'halt_exits', 'halt_wakeup', 'blocking', 'irq_exits', 'irq_injections', 'irq_window_exits'


def _read(path):
    try:
        with open(path, errors='replace') as f:
            return f.read().strip()
    except OSError as e:
        return 'errno %d' % e.errno


def _below(pid):
    """Each before its children."""
    found = []
    for t in sorted(glob.glob('/proc/%d/task/*/children' % pid)):
        with contextlib.suppress(OSError), open(t) as f:  # the thread has ended
            for c in f.read().split():
                found += [int(c)] + _below(int(c))
    return found


def _threads(pid):
    """One line for those of a process that do the same."""
    alike = {}
    for tid in sorted(os.listdir('/proc/%d/task' % pid), key=int):
        d = '/proc/%d/task/%s/' % (pid, tid)
        fields = _read(d + 'stat').rpartition(')')[2].split()
        call = _read(d + 'syscall').split()[:3]
        doing = '%s: %s in %s, system call %s' % (_read(d + 'comm'), fields[0] if fields else 'gone', _read(d + 'wchan'),
                                                  ' '.join(call[:1] if call[:1] == [FUTEX] else call))
        alike.setdefault(doing, []).append(tid)
    return ['%d %s, thread %s' % (pid, doing, ' '.join(tids)) for doing, tids in alike.items()]


def _kvm(pid):
    """What KVM has counted of its vCPUs, where debugfs is: whether those that sleep were given the interrupt that should have woken one."""
    for d in glob.glob('/sys/kernel/debug/kvm/%d-*' % pid):
        yield '%d KVM: %s' % (pid, ', '.join('%s %s' % (k, _read(os.path.join(d, k))) for k in KVM_COUNTS))


def _unread(pid):
    """Bytes that wait in its pipes and sockets to be read, by the process itself or, for the end that writes to a pipe, by its peer."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for n in sorted(map(int, os.listdir('/proc/%d/fd' % pid))):
            link = os.readlink('/proc/%d/fd/%d' % (pid, n))
            fd = libc.syscall(SYS_PIDFD_GETFD, pidfd, n, 0) if link.startswith(('pipe:', 'socket:')) else -1
            if fd < 0:
                continue
            unread = array.array('i', [0])
            with contextlib.suppress(OSError):  # a socket that listens has none
                fcntl.ioctl(fd, termios.FIONREAD, unread)
            os.close(fd)
            if unread[0]:
                yield '%d %d bytes unread in its descriptor %d' % (pid, unread[0], n)
    except (FileNotFoundError, PermissionError):  # it has ended, or is another user's
        pass
    finally:
        os.close(pidfd)


def lines(pid):
    """Of everything below that process."""
    found = []
    for p in _below(pid):
        with contextlib.suppress(FileNotFoundError):  # it has ended
            found += _threads(p)
        found += list(_kvm(p)) + list(_unread(p))
    return found


def noted(error):
    """The same error with that note."""
    found = lines(os.getpid())
    error.add_note('\n'.join(found[:LINES] + ['and %d lines more' % (len(found) - LINES)] * (len(found) > LINES)))
    return error

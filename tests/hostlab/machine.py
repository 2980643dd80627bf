"""One emulated host as processes: QEMU and the two daemons that share directories with it. Nothing outlives the object."""

import ctypes
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile

VIRTIOFSD = '/usr/lib/qemu/virtiofsd'
PR_SET_PDEATHSIG = 1
CLONE_NEWNS = 0x00020000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
libc = ctypes.CDLL(None, use_errno=True)


class Error(Exception):
    pass


def _die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _die_with_parent_and_write_nothing():
    """The emulated host mounts our root directory read-only by its own will only; so its daemon gets a mount namespace in which
    nothing is writable. Where namespaces are refused it stays at the emulated host's will."""
    _die_with_parent()
    if libc.unshare(CLONE_NEWNS) == 0 and libc.mount(None, b'/', None, MS_REC | MS_PRIVATE, None) == 0:
        attr = (ctypes.c_uint64 * 4)(MOUNT_ATTR_RDONLY, 0, 0, 0)
        libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, b'/', AT_RECURSIVE, attr, ctypes.sizeof(attr))


class Machine:
    def __init__(self, files, host, job, args):
        self._files, self._host, self._job, self._args = files, host, job, args
        self._processes = []
        self._console = job + '/.lab/console'

    def __enter__(self):
        self._dir = tempfile.mkdtemp(prefix='bulkhead-lab-')
        try:
            argv = self._qemu_args()
            # What the emulated host finds in / must not change below it, so it may remember it for ever; the job directory does change.
            argv += self._share('root', '/', 'always', _die_with_parent_and_write_nothing)
            argv += self._share('job', self._job, 'auto', _die_with_parent)
            with open(self._dir + '/qemu.err', 'wb') as err:
                self._qemu = self._start(argv, _die_with_parent, stdin=None if self._args.shell else subprocess.DEVNULL,
                                         stdout=None if self._args.shell else err, stderr=err,
                                         env=dict(os.environ, QEMU_MODULE_DIR='/usr/lib/x86_64-linux-gnu/qemu'))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for p in reversed(self._processes):
            p.kill()
            p.wait()
        shutil.rmtree(self._dir, ignore_errors=True)

    def _start(self, argv, prepare, **more):
        pin = self._args.cpu

        def in_child():
            prepare()
            if pin is not None:
                os.sched_setaffinity(0, {pin})
        p = subprocess.Popen(argv, preexec_fn=in_child, **more)
        self._processes.append(p)
        return p

    def _share(self, tag, source, cache, prepare):
        path = '%s/%s.sock' % (self._dir, tag)
        # Listening before the daemon is there: no waiting for its socket, and it needs no place to write.
        with socket.socket(socket.AF_UNIX) as s, open('%s/%s.err' % (self._dir, tag), 'wb') as err:
            s.bind(path)
            s.listen(1)
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            self._start([VIRTIOFSD, '--fd=%d' % s.fileno(), '--rlimit-nofile=%d' % min(hard, 1000000) if hard > 0 else '--rlimit-nofile=0',
                         '-o', 'source=%s,cache=%s,sandbox=chroot' % (source, cache)], prepare, pass_fds=[s.fileno()],
                        stdin=subprocess.DEVNULL, stdout=err, stderr=err)
        return ['-chardev', 'socket,id=%s,path=%s' % (tag, path), '-device', 'vhost-user-fs-pci,chardev=%s,tag=%s' % (tag, tag)]

    def _qemu_args(self):
        f = self._files
        # The mended QEMU is steadiest with one thread for all CPUs; the other one deadlocks least with a thread for each.
        threads = 'single' if f['qemu_fixed'] else 'multi'
        # Without XSAVE: the emulated SVM lets a guest's XSETBV pass without the exit that KVM asks for, so KVM does not see XCR0 change, and
        # guests find their CPUID at odds with it.
        append = ['console=ttyS0', 'panic=-1', 'quiet', 'mitigations=off', 'tsc=reliable'] + self._host.kernel_args()
        argv = [f['qemu'], '-L', '/usr/share/qemu', '-L', '/usr/share/seabios', '-M', 'q35', '-accel', 'tcg,thread=' + threads, '-cpu', 'max,-xsave',
                '-display', 'none', '-nodefaults', '-no-reboot', '-serial', 'file:' + self._console,
                '-kernel', f['vmlinux'], '-initrd', f['lab_initrd'], '-append', ' '.join(append + self._args.append.split())]
        if self._args.shell:
            argv += ['-chardev', 'stdio,id=tty,signal=off', '-serial', 'chardev:tty']
        return argv + self._host.qemu_args() + self._args.qemu

    def running(self):
        if self._qemu.poll() is None:
            return True
        if self._qemu.returncode:
            with open(self._dir + '/qemu.err', errors='replace') as f:
                raise Error('QEMU ended with %d: %s' % (self._qemu.returncode, f.read()[-2000:]))
        return False

    def console(self):
        try:
            with open(self._console, errors='replace') as f:
                return f.read()
        except OSError:
            return ''

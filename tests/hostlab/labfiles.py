"""What the lab is made of, made once and kept in a cache directory: Debian's cloud kernel (downloaded, never installed), its modules,
two initramfs archives (the lab's own, and that of the guests which run in it) and a QEMU without a certain bug."""

import fcntl
import glob
import gzip
import hashlib
import lzma
import os
import re
import shutil
import struct
import subprocess

import cpio

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
QEMU = '/usr/bin/qemu-system-x86_64'
BUSYBOX = '/bin/busybox'
LAB_MODULES = ('virtio_pci', 'overlay', 'virtiofs')
GUEST_MODULES = ('virtio_pci', 'virtio_mmio', 'virtio_console', 'virtio_rng', 'virtio_blk', 'virtio_net', 'virtio_mem', 'virtio_balloon',
                 'virtio_pmem', 'button', 'evdev', 'virtiofs', 'vsock', 'vmw_vsock_virtio_transport', 'nvme', 'ext4')


class Error(Exception):
    pass


def cache_dir():
    return os.environ.get('BULKHEAD_LAB_CACHE') or os.path.join(TOP, 'build', 'lab')


def _run(argv, **more):
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False, **more)
    text = p.stdout.decode(errors='replace')
    if p.returncode:
        raise Error('%s failed with %d:\n%s' % (' '.join(argv), p.returncode, text[-2000:]))
    return text


def _from_archive(what, fetch):
    """fetch(), once more with a fresh package index if that fails and we may refresh it."""
    try:
        try:
            fetch()
        except Error:
            if os.getuid():
                raise
            _run(['apt-get', '-qq', 'update'])
            fetch()
    except Error as e:
        raise Error('%s could not be downloaded from the Debian archive that apt is configured for: %s' % (what, e)) from None


def _unpack_packages(where):
    for deb in glob.glob(where + '/*.deb'):
        _run(['dpkg-deb', '-x', deb, where])
        os.unlink(deb)


def _download(cache):
    """Unpacks the newest cloud kernel and memtest86+ of the configured Debian archive into cache/root."""
    def fetch():
        dependencies = _run(['apt-cache', 'depends', '--important', 'linux-image-cloud-amd64'])
        name = re.search(r'Depends: (linux-image-\S+-cloud-amd64)', dependencies)
        if not name:
            raise Error('the package index knows no linux-image-cloud-amd64')
        _run(['apt-get', 'download', name[1], 'memtest86+'], cwd=new)

    new = os.path.join(cache, 'root.new')
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(new)
    _from_archive('the kernel for the host lab (linux-image-cloud-amd64, memtest86+)', fetch)
    _unpack_packages(new)
    version = os.path.basename(glob.glob(new + '/lib/modules/*')[0])
    _run(['depmod', '-b', new, version], env=dict(os.environ, PATH='/usr/sbin:/sbin:/usr/bin:/bin'))
    os.rename(new, os.path.join(cache, 'root'))


# Libraries whose package is not called like them (Debian policy 8.1: libNAME.so.VERSION is in libNAMEVERSION).
LIBRARY_PACKAGES = {'libcrypto.so.3': 'libssl3', 'libmlx5.so.1': 'ibverbs-providers', 'libmlx4.so.1': 'ibverbs-providers'}


def _package_of(library):
    name, _, version = library.partition('.so.')
    return LIBRARY_PACKAGES.get(library) or (name + ('-' if name[-1].isdigit() else '') + version).replace('_', '-').lower()


def _download_testpmd(cache):
    """Unpacks DPDK's testpmd into cache/dpdk, with what it and two drivers need and this machine has not: some 60 small packages of 6 MB in all,
    of the 226 that dpdk-dev would install."""
    new = os.path.join(cache, 'dpdk.new')
    shutil.rmtree(new, ignore_errors=True)
    libraries = os.path.join(new, 'usr/lib/x86_64-linux-gnu')
    programs = [os.path.join(new, 'usr/bin/dpdk-testpmd'), *(os.path.join(libraries, 'librte_%s.so.23' % d) for d in ('net_vhost', 'mempool_ring'))]
    os.makedirs(libraries)
    missing, had = {'dpdk-dev', 'librte-net-vhost23', 'librte-mempool-ring23'}, set()
    while missing:
        if missing & had:
            raise Error('DPDK\'s testpmd does not find what is in %s' % ' '.join(sorted(missing & had)))
        _from_archive('testpmd for the host lab (dpdk-dev and its libraries)',
                      lambda: _run(['apt-get', '-qq', 'download'] + sorted(missing), cwd=new))
        _unpack_packages(new)
        for old in glob.glob(new + '/lib/x86_64-linux-gnu/*'):  # some packages still say /lib where Debian has /usr/lib
            os.rename(old, os.path.join(libraries, os.path.basename(old)))
        had |= missing
        found = _run(['ldd'] + programs, env=dict(os.environ, LD_LIBRARY_PATH=libraries))
        missing = {_package_of(m) for m in re.findall(r'(\S+) => not found', found)}
    os.rename(new, os.path.join(cache, 'dpdk'))


def _unpack_kernel(bzimage):
    """The ELF inside a bzImage: payload_offset and payload_length of the x86 boot protocol, section "The Real-Mode Kernel Header"."""
    with open(bzimage, 'rb') as f:
        d = f.read()
    if d[0x202:0x206] != b'HdrS':
        raise Error('%s is no bzImage' % bzimage)
    setup_sects = d[0x1f1] or 4
    offset, length = struct.unpack_from('<II', d, 0x248)
    start = (setup_sects + 1) * 512 + offset
    payload = d[start:start + length]
    if payload[:4] == b'\x02\x21\x4c\x18':
        # The last four bytes are the unpacked size, not LZ4's.
        p = subprocess.run(['lz4', '-dc'], input=payload[:-4], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if p.returncode:
            raise Error('lz4 could not unpack %s: %s' % (bzimage, p.stderr.decode()))
        elf = p.stdout
    elif payload[:2] == b'\x1f\x8b':
        elf = gzip.decompress(payload)
    elif payload[:6] == b'\xfd7zXZ\0':
        elf = lzma.LZMADecompressor().decompress(payload)
    else:
        raise Error('%s is packed in a way that the lab does not know (%s)' % (bzimage, payload[:6].hex()))
    if elf[:4] != b'\x7fELF':
        raise Error('what %s holds is no ELF file' % bzimage)
    return elf


def _module_files(moddir, names):
    """The files of these modules and of all they need, in loading order. Built-in ones have none."""
    needs, by_name = {}, {}
    with open(moddir + '/modules.dep') as f:
        for line in f:
            path, _, rest = line.partition(':')
            needs[path] = rest.split()
            by_name[os.path.basename(path).split('.')[0].replace('-', '_')] = path
    with open(moddir + '/modules.builtin') as f:
        builtin = {os.path.basename(line.strip()).split('.')[0].replace('-', '_') for line in f}
    order = []
    for n in names:
        if n in builtin:
            continue
        if n not in by_name:
            raise Error('the kernel in %s has no module %s' % (moddir, n))
        for path in needs[by_name[n]][::-1] + [by_name[n]]:
            if path not in order:
                order.append(path)
    return order


def _base_archive():
    a = cpio.Archive()
    for d in ('dev', 'proc', 'sys', 'tmp', 'run'):
        a.directory(d)
    a.char_device('dev/console', 5, 1)
    a.char_device('dev/null', 1, 3)
    a.file(BUSYBOX, 'bin/busybox', 0o755)
    for applet in _run([BUSYBOX, '--list']).split():
        if applet != 'busybox':
            a.symlink('/bin/busybox', 'bin/' + applet)
    return a


def _lab_initrd(moddir, out):
    a = _base_archive()
    for d in ('lower', 'upper', 'root'):
        a.directory(d)
    order = _module_files(moddir, LAB_MODULES)
    for m in order:
        a.file(os.path.join(moddir, m), 'mod/' + os.path.basename(m))
    a.data('mod/order', ''.join(os.path.basename(m) + '\n' for m in order))
    a.file(os.path.join(HERE, 'init'), 'init', 0o755)
    a.write(out)


def _guest_initrd(moddir, out):
    a = _base_archive()
    target = 'lib/modules/' + os.path.basename(moddir)
    for m in _module_files(moddir, GUEST_MODULES):
        a.file(os.path.join(moddir, m), os.path.join(target, m))
    for index in ('modules.dep', 'modules.alias', 'modules.builtin'):
        a.file(os.path.join(moddir, index), os.path.join(target, index))
    # numactl is what a person would ask in the guest; it is dynamic, so its libraries come along.
    numactl = shutil.which('numactl', path='/usr/bin:/bin')
    a.file(numactl, 'bin/numactl', 0o755)
    for lib in re.findall(r'(?:=> )?(/\S+) \(0x', _run(['ldd', numactl])):
        a.file(lib, lib, 0o755)
    a.file(os.path.join(HERE, 'guest', 'init'), 'init', 0o755)
    a.write(out)


def _fix_qemu(out):
    """A copy of QEMU in which the emulation of AMD's VMRUN delivers an injected interrupt once.

    helper_vmrun() leaves the vector of an injected interrupt in cs->exception_index after it has delivered it; when the loop is left before
    the next #VMEXIT it is delivered again, and a guest of the lab's KVM deadlocks in its timer interrupt. The store is replaced by a no-op of
    the same length. Returns None if the place is not found exactly once: then the binary is left alone.
    """
    with open(QEMU, 'rb') as f:
        d = bytearray(f.read())
    # movzbl %r12b,%esi; mov %r13d,error_code; MOV %esi,exception_index; movl $0,exception_is_int; movq $-1,exception_next_eip
    store = re.compile(rb'\x41\x0f\xb6\xf4\x44\x89\xab....(\x89\xb3....)\xc7\x83....\x00\x00\x00\x00\x48\xc7\x83....\xff\xff\xff\xff', re.S)
    found = list(store.finditer(d))
    if len(found) != 1:
        return None
    start, end = found[0].span(1)
    d[start:end] = b'\x66\x0f\x1f\x44\x00\x00'
    with open(out + '.new', 'wb') as f:
        f.write(d)
    os.chmod(out + '.new', 0o755)
    os.replace(out + '.new', out)
    return out


def _stamp(paths, *more):
    h = hashlib.sha256(repr(more).encode())
    for p in paths:
        with open(p, 'rb') as f:
            h.update(f.read())
    return h.hexdigest()[:16]


def ensure():
    """Makes what is missing. Returns the paths by name; `qemu_fixed` tells whether `qemu` is the mended copy. Of several at once one works."""
    cache = cache_dir()
    os.makedirs(cache, exist_ok=True)
    lock = os.open(cache, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _make(cache)
    finally:
        os.close(lock)


def _make(cache):
    root = os.path.join(cache, 'root')
    if not os.path.exists(root):
        print('lab: downloading the kernel', flush=True)
        _download(cache)
    moddir = glob.glob(root + '/lib/modules/*')[0]
    version = os.path.basename(moddir)
    files = {'modules': moddir, 'version': version, 'bzimage': '%s/boot/vmlinuz-%s' % (root, version),
             'memtest': root + '/boot/memtest86+x64.bin', 'vmlinux': '%s/vmlinux-%s' % (cache, version)}
    if not os.path.exists(files['vmlinux']):
        elf = _unpack_kernel(files['bzimage'])
        with open(files['vmlinux'] + '.new', 'wb') as f:
            f.write(elf)
        os.replace(files['vmlinux'] + '.new', files['vmlinux'])
    recipe = [os.path.join(HERE, 'labfiles.py'), os.path.join(HERE, 'cpio.py'), BUSYBOX]
    for key, init, make in (('lab_initrd', 'init', _lab_initrd), ('guest_initrd', 'guest/init', _guest_initrd)):
        files[key] = '%s/%s-%s.cpio' % (cache, key, _stamp(recipe + [os.path.join(HERE, init)], version))
        if not os.path.exists(files[key]):
            for old in glob.glob('%s/%s-*.cpio' % (cache, key)):
                os.unlink(old)
            make(moddir, files[key])
    files['dpdk'] = os.path.join(cache, 'dpdk')
    if not os.path.exists(files['dpdk']):
        print('lab: downloading testpmd', flush=True)
        _download_testpmd(cache)
    fixed = '%s/qemu-%s' % (cache, _stamp([QEMU]))
    files['qemu_fixed'] = os.path.exists(fixed) or _fix_qemu(fixed) is not None
    files['qemu'] = fixed if files['qemu_fixed'] else QEMU
    return files


if __name__ == '__main__':
    for k, v in ensure().items():
        print('%s=%s' % (k, v))

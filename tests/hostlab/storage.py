"""Disks by Debian's qemu-storage-daemon, and guests that write them so that nothing can go wrong unnoticed (guest/stamp.c)."""

import os
import signal
import struct
import subprocess

import cpio
import l2
from patience import until

MIB = 1 << 20
BLOCK = 4096
MASK = (1 << 64) - 1


class Backend:
    """qemu-storage-daemon on one image."""

    def __init__(self, image, socket, queues):
        self.argv = ['qemu-storage-daemon', '--blockdev', 'driver=file,node-name=f,filename=' + image, '--blockdev', 'driver=raw,node-name=r,file=f',
                     '--export', 'type=vhost-user-blk,id=e,node-name=r,addr.type=unix,addr.path=%s,writable=on,num-queues=%d' % (socket, queues)]
        self.socket = socket
        self.start()

    def start(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.process = subprocess.Popen(self.argv)
        until(lambda: os.path.exists(self.socket) or self.process.poll() is not None, 'qemu-storage-daemon comes up')
        if self.process.poll() is not None:
            raise l2.Failed('qemu-storage-daemon did not come up')

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def initramfs(directory, program='stamp'):
    """The stock guest's, with one of our programs for guests in its root."""
    path = os.path.join(directory, 'initramfs')
    a = cpio.Archive()
    a.file(os.path.join(os.environ['BULKHEAD_OBJ'], 'tests', 'hostlab', program), program, 0o755)
    a.write(path + '.more')
    with open(path, 'wb') as out:
        for part in (os.environ['LAB_INITRAMFS'], path + '.more'):
            with open(part, 'rb') as f:
                data = f.read()
            out.write(data + b'\0' * (-len(data) % 512))
    return path


class Writers:
    """One writer for each CPU, and so for each queue, in the background of a guest. Each has `blocks` blocks, and MiB of memory that requests
    come from."""

    def __init__(self, vm, cpus, first=0, blocks=256, depth=8, mib=8):
        self.vm, self.cpus, self.blocks = vm, cpus, blocks
        vm.sh('rm -f /tmp/stop; ' + ''.join('/stamp /dev/vda %d %d %d %d %d /tmp/stop >/tmp/w%d 2>&1 & ' % (c, first + c * blocks, blocks, depth, mib, c)
                                            for c in range(cpus)) + 'true')

    def failures(self):
        return self.vm.sh('grep -h FAIL /tmp/w*; true')

    def stop(self):
        """({first block: rounds of each}, how many writes in all); raises what a writer has found."""
        out = self.vm.sh('touch /tmp/stop; while pidof stamp >/dev/null; do usleep 100000; done; cat /tmp/w*')
        rows = [line.split() for line in out.splitlines() if line.startswith('ROUNDS')]
        if len(rows) != self.cpus:
            raise l2.Failed('writers: %s' % out[:1000])
        return {int(r[1]): [int(n, 16) for n in r[3:]] for r in rows}, sum(int(r[2]) for r in rows)


def block(number, rounds):
    """What stamp writes."""
    if rounds == 0:
        return bytes(BLOCK)
    start = number * 0x9e3779b97f4a7c15 + rounds * 0xc2b2ae3d27d4eb4f
    return struct.pack('<512Q', number, rounds, *((start + k * 0x165667b19e3779f9) & MASK for k in range(2, 512)))


def stamps(data):
    """(number, round) of each block of what stamp has written."""
    return [struct.unpack_from('<QQ', data, at) for at in range(0, len(data), BLOCK)]


def wrong_blocks(image, rounds):
    """Numbers of the blocks of an image that do not hold what was written last; nothing else may have been written at all."""
    want = {first + i: n for first, each in rounds.items() for i, n in enumerate(each)}
    wrong = []
    with open(image, 'rb') as f:
        for number, data in enumerate(iter(lambda: f.read(BLOCK), b'')):
            if data != block(number, want.get(number, 0)):
                wrong.append((number, want.get(number, 0), stamps(data)[0]))
    return wrong

"""The test's disk's memory and its rings: split, INDIRECT_DESC, EVENT_IDX, requests in flight. Its device is vhost_disk.py's."""

import mmap
import os
import struct

from vhost_faults import Refused, die, wrong

PAGE = 4096
EVENT_IDX, INDIRECT = 1 << 29, 1 << 28
NEXT, WRITE, TABLE = 1, 2, 4


class Region:
    def __init__(self, guest, size, user, offset, fd):
        self.key, self.guest, self.size, self.user = (guest, size, user), guest, size, user
        if not wrong('any_region'):
            ends = guest + size, user + size, offset + size
            if size == 0 or max(ends) >= 1 << 63 or size % PAGE or offset % PAGE:
                raise Refused('a region that cannot be')
        self.offset = offset
        try:
            if os.fstat(fd).st_size < offset + size:
                die('short_dies')
                raise Refused('a region longer than its file')
            self.map = mmap.mmap(fd, offset + size)
        except (OverflowError, ValueError, OSError):
            raise Refused('a region that cannot be mapped')

    def overlaps(self, other):
        return (self.guest < other.guest + other.size and other.guest < self.guest + self.size
                or self.user < other.user + other.size and other.user < self.user + self.size)


class Ring:
    def __init__(self, device, index):
        self.device, self.index = device, index
        self.num, self.base, self.addr = 0, 0, None
        self.kick = self.call = -1
        self.on = self.enabled = False
        self.resubmit, self.counter, self.done, self.starts = [], 0, 0, 0

    def close(self):
        for name in 'kick', 'call':
            fd = getattr(self, name)
            if fd >= 0:
                os.close(fd)
            setattr(self, name, -1)

    def parts(self):
        desc, used, avail = self.addr
        return ((desc, 16 * self.num, 16), (avail, 6 + 2 * self.num, 2), (used, 6 + 8 * self.num, 4))

    def check(self):
        if not self.addr or not self.num:
            raise Refused('no ring')
        for at, length, align in self.parts():
            if at % align:
                raise Refused('misaligned')
            self.device.at(at, length, True)

    def word(self, which, offset):
        m, at = self.device.at(self.addr[which] + offset, 2, True)
        return struct.unpack_from('<H', m, at)[0]

    def put(self, which, offset, form, *values):
        m, at = self.device.at(self.addr[which] + offset, struct.calcsize(form), True)
        struct.pack_into(form, m, at, *values)

    # Requests in flight: a struct for the ring, then one for each descriptor.
    def region(self, offset):
        size = self.device.inflight_each
        return self.device.inflight[1] + size * self.index + offset

    def mark(self, head, value):
        if self.device.inflight:
            self.counter += value
            struct.pack_into('<B5xHQ', self.device.inflight[0], self.region(16 + 16 * head), value, 0, self.counter)

    def recover(self):
        if not self.device.inflight:
            return
        m = self.device.inflight[0]
        features, version, num, last, used = struct.unpack_from('<QHHHH', m, self.region(0))
        now = self.word(1, 2)
        if version == 0:
            struct.pack_into('<QHHHH', m, self.region(0), 0, 1, self.num, 0, now)
            return
        for _ in range(now - used & 0xffff if not wrong('redoes_batch') else 0):
            if last < self.num:
                at = self.region(16 + 16 * last)
                m[at] = 0
                last = struct.unpack_from('<H', m, at + 6)[0]
        struct.pack_into('<H', m, self.region(14), now)
        found = []
        for head in range(self.num):
            state, _, counter = struct.unpack_from('<B5xHQ', m, self.region(16 + 16 * head))
            if state:
                found.append((counter, head))
        if wrong('forgets_inflight'):
            found = []
        self.resubmit = [head for _, head in sorted(found)]
        self.counter = max([c for c, _ in found] or [0])
        self.base = now + len(self.resubmit) & 0xffff

    def next_head(self):
        if self.resubmit:
            return self.resubmit.pop(0)
        avail = self.word(2, 2)
        ahead = avail - self.base & 0xffff
        if wrong('no_wrap') and avail < self.base:
            return None
        if ahead == 0:
            return None
        if ahead > self.num:
            die('jump_dies')
            raise Refused('an available index too far ahead')
        head = self.word(2, 4 + 2 * (self.base % self.num))
        self.base = self.base + 1 & 0xffff
        if self.device.features & EVENT_IDX:
            self.put(1, 4 + 8 * self.num, '<H', self.base)
        self.mark(head, 1)
        return head

    def chain(self, head):
        table, count, buffers = (self.addr[0], True), self.num, []
        i, steps, nested = head, 0, False
        while True:
            if i >= count:
                die('head_dies' if i == head and not nested else 'shape_dies')
                raise Refused('a descriptor beyond its table')
            m, at = self.device.at(table[0] + 16 * i, 16, table[1])
            address, length, flags, following = struct.unpack_from('<QIHH', m, at)
            if flags & TABLE and not wrong('indirect_ignored'):
                if not self.device.features & INDIRECT:
                    die('unasked_dies')
                    raise Refused('an indirect table that was not agreed on')
                if nested or flags & NEXT or length % 16 or not length or buffers:
                    die('indirect_dies')
                    raise Refused('a wrong indirect table')
                table, count, i, nested = (address, False), length // 16, 0, True
                continue
            steps += 1
            if steps > self.num:
                die('long_dies' if nested else 'loop_dies')
                while wrong('loop_hangs') and not nested:
                    pass
                raise Refused('a chain that is too long')
            if length == 0:
                die('empty_dies')
                raise Refused('an empty buffer')
            if length > 0xffffff or address + length > 1 << 64:
                die('wrap_dies')
            buffers.append((address, length, flags & WRITE))
            if not flags & NEXT:
                break
            i = following
        if steps > 32:
            die('chain_dies')
        writable = False
        for _, _, w in buffers:
            if writable and not w:
                die('shape_dies')
                raise Refused('a part to read behind one to write')
            writable = writable or w
        return buffers

    def serve(self):
        if not self.on or not self.enabled and not wrong('enabled_always'):
            return
        if wrong('needs_call') and self.call < 0:
            return
        if wrong('first_queue_only') and self.index:
            return
        seen = set()
        while True:
            head = self.next_head()
            if head is None:
                return
            if head in seen:
                die('same_head_dies')
            seen.add(head)
            try:
                written = self.device.request(self.chain(head))
            except Refused:
                die('bad_chain_dies')
                raise
            self.push(head, written)
            self.done += 1
            if wrong('doubles') and self.done % 50 == 0:
                self.push(head, written)

    def push(self, head, written):
        old = self.word(1, 2)
        new = old + 1 & 0xffff
        self.put(1, 4 + 8 * (old % self.num), '<II', head, written)
        if self.device.inflight:
            m = self.device.inflight[0]
            struct.pack_into('<H', m, self.region(12), head)
        self.put(1, 2, '<H', new)
        if self.device.inflight:
            m[self.region(16 + 16 * head)] = 0
            struct.pack_into('<H', m, self.region(14), new)
        if self.device.features & EVENT_IDX:
            wanted = self.word(2, 4 + 2 * self.num) == old and not wrong('no_event')
        else:
            wanted = (not self.word(2, 0) & 1 or wrong('always_calls')) and not wrong('no_call')
        if wanted and self.call >= 0:
            os.write(self.call, struct.pack('<Q', 1))

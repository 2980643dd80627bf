#!/usr/bin/python3
"""A vhost-user disk of 1 MiB in memory that does everything right, and can be told to do one thing wrong: what `bulkhead backend-test` is tried on.

    vhost_disk.py SOCKET [FAULT...]

One connection at a time. Whatever is wrong with a message is refused, by an acknowledgement if one was asked for, otherwise by closing; whatever is wrong
in a ring ends the connection. Split rings, INDIRECT_DESC, EVENT_IDX, memory slots, requests in flight.
"""

import array
import mmap
import os
import select
import socket
import struct
import sys

FAULTS = set(sys.argv[2:])
SECTORS = 2048
QUEUES, SLOTS, PAGE = 4, 16, 4096
VERSION_1, EVENT_IDX, INDIRECT, PROTOCOL_BIT = 1 << 32, 1 << 29, 1 << 28, 1 << 30
FEATURES = VERSION_1 | EVENT_IDX | INDIRECT | PROTOCOL_BIT | 1 << 9 | 1 << 12
REPLY_ACK, CONFIG, SHMFD, MEM_SLOTS = 1 << 3, 1 << 9, 1 << 12, 1 << 15
PROTOCOL = 1 << 0 | REPLY_ACK | CONFIG | SHMFD | MEM_SLOTS
WITH_FDS = {5: None, 12: 1, 13: 1, 14: 1, 32: 1, 37: 1, 38: None}  # how many descriptors; None: it says so itself
SIZES = {1: 0, 2: 8, 3: 0, 8: 8, 9: 40, 10: 8, 11: 8, 12: 8, 13: 8, 14: 8, 15: 0, 16: 8, 17: 0, 18: 8, 31: None, 32: None, 36: 0, 37: 40, 38: 40, 5: None,
         24: None}
NEXT, WRITE, TABLE = 1, 2, 4
disk = bytearray(SECTORS * 512)
connections = 0
kept = []


def wrong(name):
    return name in FAULTS


def die(name):
    """A fault that ends the process, as a wild pointer would."""
    if wrong(name):
        os.abort()


class Refused(Exception):
    pass


class Gone(Exception):
    pass


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


class Device:
    """One connection."""

    def __init__(self, c):
        self.c, self.features, self.protocol, self.regions, self.asked = c, 0, 0, [], 0
        self.rings = [Ring(self, i) for i in range(QUEUES)]
        self.inflight, self.inflight_each = None, 0

    def at(self, address, length, user=False):
        for r in self.regions:
            start = r.user if user else r.guest
            if start <= address and address + length <= start + r.size:
                return r.map, r.offset + address - start
        die('outside_dies' if not user else 'nowhere_dies')
        raise Refused('%#x is in no region' % address)

    def request(self, buffers):
        """One request of a disk: header, data, status. Returns the bytes written."""
        places = [(self.at(a, n), n, w) for a, n, w in buffers]
        given = b''.join(m[at:at + n] for (m, at), n, w in places if not w)
        room = [(m, at, n) for (m, at), n, w in places if w]
        if len(given) < 16 or not room:
            die('shape_dies')
            raise Refused('no request')
        kind, _, sector = struct.unpack_from('<IIQ', given)
        m, at, n = room.pop()
        status = m, at + n - 1
        if n > 1:
            room.append((m, at, n - 1))
        code, data = self.do(kind, sector, given[16:], sum(n for _, _, n in room))
        written = 1
        for m, at, n in room:
            part, data = data[:n], data[n:]
            m[at:at + len(part)] = part
            written += len(part)
        status[0][status[1]] = code
        return written

    @staticmethod
    def do(kind, sector, given, wanted):
        inside = wanted % 512 == 0 and len(given) % 512 == 0 and sector * 512 + max(wanted, len(given)) <= len(disk)
        at = sector * 512
        if kind == 0:
            if not inside:
                return (0 if wrong('no_end') else 1), b''
            return 0, os.urandom(wanted) if wrong('random_data') else bytes(disk[at:at + wanted])
        if kind == 1:
            if inside and not wrong('loses_writes'):
                disk[at:at + len(given)] = given
            return (0 if inside else 1), b''
        if kind == 4:
            return (1 if wrong('flush_fails') else 0), b''
        if kind == 8:
            return 0, b'disk'.ljust(20, b'\0')[:wanted]
        die('contents_dies')
        return (0 if wrong('unknown_ok') else 2), b''

    # --- messages ---

    def ring(self, index):
        if index >= QUEUES:
            die('queue_dies')
            raise Refused('queue %d' % index)
        return self.rings[index]

    def add(self, body, fd, table):
        r = Region(*struct.unpack('<4Q', body), fd)
        if any(r.overlaps(o) for o in table) and not wrong('any_region'):
            raise Refused('regions that overlap')
        table.append(r)

    def config(self, payload):
        if len(payload) < 12:
            raise Refused('no configuration is asked for')
        offset, size, _ = struct.unpack_from('<III', payload)
        if size != len(payload) - 12 or offset + size > 256 or size == 0 or wrong('no_config'):
            return None if wrong('config_silent') else b''
        space = struct.pack('<Q', SECTORS).ljust(34, b'\0') + struct.pack('<H', QUEUES)
        data = space.ljust(256, b'\0')[0 if wrong('offset_ignored') else offset:][:size]
        return payload[:12] + (data[:-1] if wrong('config_short') and size == 33 else data)

    def inflight_fd(self, payload):
        queues, size = struct.unpack_from('<HH', payload, 16)
        if not 0 < queues <= QUEUES or not 0 < size <= 1024:
            raise Refused('no such queues')
        each = 16 + 16 * size
        fd = os.memfd_create('inflight')
        os.ftruncate(fd, each * queues)
        said = 16 if wrong('small_inflight') else each * queues
        self.c.sendmsg([struct.pack('<III', 31, 5, 24) + struct.pack('<QQHHI', said, 0, queues, size, 0)],
                       [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))])
        os.close(fd)

    def set_inflight(self, payload, fd):
        length, offset, queues, size = struct.unpack_from('<QQHH', payload)
        if not 0 < queues <= QUEUES or not 0 < size <= 1024 or length < queues * (16 + 16 * size) or offset + length > os.fstat(fd).st_size:
            die('inflight_dies')
            raise Refused('memory for requests in flight that cannot be')
        self.inflight, self.inflight_each = (mmap.mmap(fd, offset + length), offset), length // queues

    def handle(self, request, payload, fds):
        """The answer as bytes; None if it has none."""
        state = struct.unpack('<II', payload) if len(payload) == 8 else (0, 0)
        u64 = state[0] | state[1] << 32
        if request == 1:
            self.asked += 1
            features = FEATURES & ~VERSION_1 if wrong('legacy') else FEATURES | (1 << 45 if wrong('odd_bit') else 0)
            return struct.pack('<Q', features ^ (1 << 12 if wrong('fickle') and self.asked > 1 else 0))
        if request == 15:
            return struct.pack('<Q', PROTOCOL | (1 << 40 if wrong('odd_protocol') else 0))
        if request == 17:
            return struct.pack('<Q', 0 if wrong('no_queues') else QUEUES)
        if request == 36:
            return struct.pack('<Q', 0 if wrong('no_slots') else SLOTS)
        if request == 24:
            return self.config(payload)
        if request == 31:
            self.inflight_fd(payload)
        elif request == 2:
            if u64 & ~FEATURES and not wrong('any_features') or wrong('needs_config') and not self.protocol & CONFIG:
                raise Refused('features that were not offered')
            self.features = u64
            for r in self.rings:
                r.enabled = not u64 & PROTOCOL_BIT and not wrong('always_disabled')
        elif request == 16:
            self.protocol = u64
        elif request == 5:
            n = struct.unpack_from('<I', payload)[0] if len(payload) >= 8 else 0
            if n != len(fds) and wrong('fds_missing_ok'):
                return None
            if n != len(fds) or len(payload) != 8 + 32 * n or n > 8 and not wrong('many_regions'):
                raise Refused('a table that cannot be')
            table = []
            for i, fd in enumerate(fds):
                self.add(payload[8 + 32 * i:40 + 32 * i], fd, table)
            if not wrong('first_table') or not self.regions:
                self.regions = table
        elif request == 37:
            if len(self.regions) >= (8 if wrong('fewer_slots') else SLOTS):
                raise Refused('too many regions')
            self.add(payload[8:], fds[0], self.regions)
        elif request == 38:
            key = struct.unpack_from('<3Q', payload, 8)
            left = [r for r in self.regions if r.key != key]
            if len(left) == len(self.regions) and not wrong('remove_ok') or wrong('no_remove'):
                raise Refused('no such region')
            if not wrong('keeps_removed'):
                self.regions = left
        elif request == 8:
            r = self.ring(state[0])
            if (state[1] & state[1] - 1 or not 0 < state[1] <= 1024) and not wrong('any_size'):
                raise Refused('a ring of that size')
            r.num = state[1]
        elif request == 9:
            index, _, desc, used, avail = struct.unpack_from('<IIQQQ', payload)
            r = self.ring(index)
            r.addr = desc, used, avail
            if not wrong('any_address'):
                r.check()
        elif request == 10:
            r = self.ring(state[0])
            if state[1] > 0xffff:
                raise Refused('an index that cannot be')
            r.base = 0 if wrong('restart_at_zero') and r.starts else state[1]
        elif request == 11:
            r = self.ring(state[0])
            r.on = False
            if r.kick >= 0 and not wrong('never_stops'):
                os.close(r.kick)
                r.kick = -1
            base = r.base + (1 if wrong('base_off_by_one') and r.done else 0)
            return struct.pack('<II', state[0], 0 if wrong('base_zero') and not r.done else base)
        elif request in (12, 13, 14):
            self.event(request, u64, fds)
        elif request == 18:
            r = self.ring(state[0])
            r.enabled = state[1] == 1
            r.serve()
        elif request != 3:
            if not wrong('unknown_acked'):
                raise Refused('request %d' % request)
        return None

    def event(self, request, u64, fds):
        r = self.ring(u64 & 0xff)
        if not fds and not u64 & 0x100 and wrong('fdless_ok'):
            return
        if u64 & ~0x1ff or bool(u64 & 0x100) == bool(fds):
            raise Refused('a descriptor too many, or none')
        fd = os.dup(fds[0]) if fds else -1
        if fds:
            os.set_blocking(fd, False)
        if request == 12:
            if not wrong('any_address'):
                try:
                    r.check()
                except Refused:
                    die('order_dies')
                    if fd >= 0:
                        os.close(fd)
                    raise
            if r.kick >= 0:
                os.close(r.kick)
            r.kick, r.on = fd, False
            if wrong('blocks') and fd >= 0:  # whoever writes has to wait for a reader, and there is none
                os.set_blocking(fd, True)
                os.write(fd, struct.pack('<Q', 2 ** 64 - 2))
                r.kick = -1
            r.starts += 1
            if wrong('forgets_kick') and fd >= 0:
                select.select([fd], [], [], 0)[0] and os.read(fd, 8)
        elif request == 13 and not (wrong('old_call') and r.call >= 0):
            if r.call >= 0:
                os.close(r.call)
            r.call = fd
        elif fd >= 0:
            os.close(fd)

    def exactly(self, n, fds):
        data = b''
        while len(data) < n:
            part, control, _, _ = self.c.recvmsg(n - len(data), socket.CMSG_SPACE(4 * 253))
            for _, _, body in control:
                fds += array.array('i', body[:len(body) // 4 * 4])
            if not part:
                if data:
                    die('truncated_dies')
                raise Gone
            data += part
            if len(data) < n and wrong('whole_reads'):
                raise Gone
        return data

    def message(self):
        fds = []
        try:
            head = self.exactly(12, fds)
            request, flags, size = struct.unpack('<III', head)
            if size > 4096:
                die('size_dies')
                raise Gone
            payload = self.exactly(size, fds) if size else b''
            if wrong('one_per_read') and self.features:
                while select.select([self.c], [], [], 0)[0] and self.c.recv(4096):
                    pass
            if flags & 7 != 1 and not wrong('any_version'):
                raise Gone
            agreed = self.protocol & REPLY_ACK or wrong('acks_early')
            answer, ack = None, flags & 8 and agreed
            try:
                if SIZES.get(request, len(payload)) not in (None, len(payload)) or request in (31, 32) and len(payload) not in (20, 24):
                    raise Refused('a size of %d' % len(payload))
                due = WITH_FDS.get(request, 0)
                if due is not None and len(fds) > due or due == 1 and not fds and request in (32, 37):
                    if not wrong('fdless_ok') or fds:
                        if wrong('keeps_fds') and fds:
                            kept.extend(fds)
                            fds.clear()
                        raise Refused('%d descriptors' % len(fds))
                else:
                    if request == 32:
                        self.set_inflight(payload, fds[0])
                    else:
                        answer = self.handle(request, payload, fds)
                code = 0
            except Refused as e:
                die('refusal_dies')
                if not ack:
                    raise
                code = 1
            own = request in (1, 11, 15, 17, 24, 31, 36)
            if own and code == 0:
                if answer is not None:
                    self.c.sendall(struct.pack('<III', request, 5, len(answer)) + answer)
            elif ack or wrong('acks_all') and request == 8:
                self.c.sendall(struct.pack('<III', request, 5, 8) + struct.pack('<Q', code))
        finally:
            if wrong('leaks_fds'):
                kept.extend(fds)
            else:
                for fd in fds:
                    os.close(fd)

    def run(self, listener):
        try:
            while True:
                kicks = {r.kick: r for r in self.rings if r.kick >= 0}
                ready = select.select([self.c] + list(kicks) + ([listener] if wrong('second_kicks') else []), [], [])[0]
                if listener in ready:
                    return
                for fd in set(kicks) & set(ready):
                    r = kicks[fd]
                    if not r.enabled and not wrong('enabled_always'):
                        if r.on:
                            os.read(fd, 8)
                            continue
                    os.read(fd, 8)
                    if not r.on:
                        r.check()
                        r.on = True
                        r.recover()
                    r.serve()
                if self.c in ready:
                    self.message()
        except (Refused, Gone, OSError, struct.error) as e:
            if str(e):
                print('vhost_disk: %s' % e, file=sys.stderr)
        finally:
            if any(r.on for r in self.rings):
                die('close_dies')
            self.c.close()
            for r in self.rings:
                r.close()
            self.regions, self.rings, self.inflight = [], [], None  # no cycles: mappings go at once


def main():
    global connections
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen(8)
    while True:
        connections += 1
        if wrong('tenth_ends') and connections == 10:
            return 1
        Device(listener.accept()[0]).run(listener)
        if wrong('one_shot'):
            return 0


if __name__ == '__main__':
    sys.exit(main())

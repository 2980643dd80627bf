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

sys.dont_write_bytecode = True
from vhost_faults import Gone, Refused, die, wrong  # noqa: E402
from vhost_ring import EVENT_IDX, INDIRECT, Region, Ring  # noqa: E402

SECTORS = 2048
QUEUES, SLOTS = 4, 16
VERSION_1, PROTOCOL_BIT = 1 << 32, 1 << 30
FEATURES = VERSION_1 | EVENT_IDX | INDIRECT | PROTOCOL_BIT | 1 << 9 | 1 << 12
REPLY_ACK, CONFIG, SHMFD, MEM_SLOTS = 1 << 3, 1 << 9, 1 << 12, 1 << 15
PROTOCOL = 1 << 0 | REPLY_ACK | CONFIG | SHMFD | MEM_SLOTS
WITH_FDS = {5: None, 12: 1, 13: 1, 14: 1, 32: 1, 37: 1, 38: None}  # how many descriptors; None: it says so itself
SIZES = {1: 0, 2: 8, 3: 0, 8: 8, 9: 40, 10: 8, 11: 8, 12: 8, 13: 8, 14: 8, 15: 0, 16: 8, 17: 0, 18: 8, 31: None, 32: None, 36: 0, 37: 40, 38: 40, 5: None,
         24: None}
disk = bytearray(SECTORS * 512)
connections = 0
kept = []  # descriptors that a fault lets leak


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

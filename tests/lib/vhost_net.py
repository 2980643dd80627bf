"""A hub for vhost-user network devices: what one sends, all others receive. By hand and slow, for tests."""

import array
import mmap
import os
import select
import socket
import struct
import threading

VERSION_1, PROTOCOL, NET_HDR = 1 << 32, 1 << 30, 12
RX, TX = 0, 1 # of the first pair; all receive on that


class Port:
    """One connection. Rings are split; a frame has one virtio_net_hdr of 12 bytes in front."""

    def __init__(self, hub, c):
        self.hub, self.c, self.memory, self.rings, self.lock = hub, c, [], {}, threading.Lock()

    def exactly(self, n):
        data, fds = b'', []
        while len(data) < n:
            part, control, _, _ = self.c.recvmsg(n - len(data), 4096)
            if not part:
                raise ConnectionError
            data += part
            for _, _, body in control:
                fds += array.array('i', body)
        return data, fds

    def at(self, address, length, user=False):
        for guest, size, start, offset, m in self.memory:
            base = start if user else guest
            if base <= address and address + length <= base + size:
                return m, offset + address - base
        raise ValueError('%#x is in no region' % address)

    def map(self, body, fd):
        guest, size, user, offset = struct.unpack('<4Q', body)
        self.memory.append((guest, size, user, offset, mmap.mmap(fd, offset + size)))
        os.close(fd)

    def handle(self, request, payload, fds):
        """The answer, or None."""
        q = self.rings.setdefault(payload[0], {'base': 0, 'on': False}) if payload and request in (8, 9, 10, 11, 12, 13, 18) else None
        if request == 1:
            return struct.pack('<Q', VERSION_1 | PROTOCOL)
        if request == 15:
            return struct.pack('<Q', 1 << 0 | 1 << 3)
        if request == 17:
            return struct.pack('<Q', 2)
        if request == 5:
            for i, fd in enumerate(fds):
                self.map(payload[8 + 32 * i:40 + 32 * i], fd)
        elif request == 8:
            q['num'] = struct.unpack('<II', payload)[1]
        elif request == 9:
            q['desc'], q['used'], q['avail'] = struct.unpack('<IIQQQQ', payload)[2:5]
        elif request == 10:
            q['base'] = q['done'] = struct.unpack('<II', payload)[1]
        elif request == 11:
            q['on'] = False
            return struct.pack('<II', payload[0], q['base'] & 0xffff)
        elif request == 12:
            q['kick'] = fds[0]
        elif request == 13:
            q['call'] = fds[0]
        elif request == 18:
            q['on'] = payload[4] == 1
            q['ever'] = q.get('ever') or q['on']
        return None

    def pop(self, q):
        m, avail = self.at(q['avail'], 4, True)
        if struct.unpack_from('<H', m, avail + 2)[0] == q['base'] & 0xffff:
            return None
        head = struct.unpack_from('<H', m, avail + 4 + 2 * (q['base'] % q['num']))[0]
        q['base'] += 1
        chain, i = [], head
        while True:
            d, at = self.at(q['desc'], 16 * q['num'], True)
            address, length, flags, following = struct.unpack_from('<QIHH', d, at + 16 * i)
            chain.append((address, length))
            if not flags & 1:
                return head, chain
            i = following

    def push(self, q, head, written):
        m, used = self.at(q['used'], 4, True)
        idx = struct.unpack_from('<H', m, used + 2)[0]
        struct.pack_into('<II', m, used + 4 + 8 * (idx % q['num']), head, written)
        struct.pack_into('<H', m, used + 2, (idx + 1) & 0xffff)
        os.write(q['call'], struct.pack('<Q', 1))

    def receive(self, frame):
        with self.lock:
            q = self.rings.get(RX)
            got = self.pop(q) if q and q['on'] and 'call' in q else None
            if not got:
                return
            data = bytes(10) + b'\1\0' + frame
            for address, length in got[1]:
                part, data = data[:length], data[length:]
                m, at = self.at(address, length)
                m[at:at + len(part)] = part
            self.push(q, got[0], NET_HDR + len(frame))

    def send(self, q):
        frames = []
        with self.lock:
            while q['on']:
                got = self.pop(q)
                if not got:
                    break
                data = b''
                for address, length in got[1]:
                    m, at = self.at(address, length)
                    data += m[at:at + length]
                self.push(q, got[0], 0)
                frames.append(data[NET_HDR:])
        for frame in frames:
            self.hub.forward(self, frame)

    def serve(self):
        try:
            while True:
                sending = {q['kick']: q for i, q in self.rings.items() if i % 2 == TX and q['on'] and 'kick' in q}
                ready = select.select([self.c] + list(sending), [], [])[0]
                for kick in set(ready) & set(sending):
                    os.read(kick, 8)
                    self.send(sending[kick])
                if self.c in ready:
                    head, fds = self.exactly(12)
                    request, flags, size = struct.unpack('<III', head)
                    payload, more = self.exactly(size) if size else (b'', [])
                    with self.lock:
                        answer = self.handle(request, payload, fds + more)
                    if answer is None and flags & 8:
                        answer = bytes(8)
                    if answer is not None:
                        self.c.sendall(struct.pack('<III', request, 5, len(answer)) + answer)
        except (OSError, ConnectionError):
            self.hub.ports.remove(self)
            self.hub.gone.append(self)
            self.c.close()


class Hub:
    def __init__(self, *paths):
        self.ports, self.gone, self.frames = [], [], 0
        for path in paths:
            s = socket.socket(socket.AF_UNIX)
            s.bind(path)
            s.listen(4)
            threading.Thread(target=self.accept, args=(s,), daemon=True).start()

    def accept(self, listener):
        while True:
            port = Port(self, listener.accept()[0])
            self.ports.append(port)
            threading.Thread(target=port.serve, daemon=True).start()

    def forward(self, source, frame):
        self.frames += 1
        for port in list(self.ports):
            if port is not source:
                port.receive(frame)

"""A vhost-user back-end that can be wrong, message by message, by hand: so that a mistake in our codec is not made twice."""

import array
import os
import socket
import struct
import threading

GET_FEATURES, SET_FEATURES, SET_OWNER, GET_PROTOCOL, SET_PROTOCOL, QUEUE_NUM, REQ_FD, GET_CONFIG, SLOTS = 1, 2, 3, 15, 16, 17, 21, 24, 36
MEM_TABLE, ADD_MEM, VRING_NUM, VRING_BASE, STOP_RING, VRING_KICK, INFLIGHT = 5, 37, 8, 10, 11, 12, 31
FEATURES = 1 << 32 | 1 << 30 | 1 << 9
PROTOCOL = 1 << 0 | 1 << 3 | 1 << 5 | 1 << 9 | 1 << 12 | 1 << 15


def u64(n):
    return struct.pack('<Q', n)


class Backend:
    """Greets as a disk's back-end should, but where `wrong` has something else: {request: function(payload) -> bytes on the socket, or None for
    silence, or an exception to close}."""

    def __init__(self, path, wrong=None, protocol=PROTOCOL):
        self.protocol = protocol
        self.path, self.wrong, self.connections, self.requests, self.memory, self.seen = path, wrong or {}, [], [], [], []
        if os.path.exists(path):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(8)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                c = self.listener.accept()[0]
            except OSError:
                return
            self.connections.append(c)
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def hear(self, request, payload):
        """For tests that keep account."""

    def exactly(self, c, n):
        data, fds = b'', []
        while len(data) < n:
            part, control, _, _ = c.recvmsg(n - len(data), 4096)
            if not part:
                raise ConnectionError
            data += part
            for level, kind, body in control:
                fds += array.array('i', body[:len(body) // 4 * 4])
        return data, fds

    def serve(self, c):
        try:
            while True:
                head, fds = self.exactly(c, 12)
                request, flags, size = struct.unpack('<III', head)
                payload, more = self.exactly(c, size) if size else (b'', [])
                if request == REQ_FD:
                    self.requests += fds + more
                if request in (MEM_TABLE, ADD_MEM):
                    self.memory += fds + more
                self.seen.append(request)
                self.hear(request, payload)
                if request in self.wrong:
                    data = self.wrong[request](payload)
                    if data is None:
                        continue
                    c.sendall(data)
                    continue
                # GET_INFLIGHT_FD needs a descriptor: leave it out of the protocol to use a device.
                answer = {GET_FEATURES: u64(FEATURES), GET_PROTOCOL: u64(self.protocol), QUEUE_NUM: u64(4), SLOTS: u64(16),
                          STOP_RING: payload[:4] + bytes(4),
                          GET_CONFIG: payload[:12] + u64(2048) + payload[20:]}.get(request, u64(0) if flags & 8 else None)
                if answer is not None:
                    c.sendall(struct.pack('<III', request, 5, len(answer)) + answer)
        except (OSError, ConnectionError):
            c.close()

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # who waits in accept holds it
        except OSError:
            pass
        self.listener.close()
        for c in self.connections:
            try:
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def reply(request, body, flags=5, size=None):
    return lambda _: struct.pack('<III', request, flags, len(body) if size is None else size) + body


def closes(_):
    raise ConnectionError

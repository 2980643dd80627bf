"""The probe guest's disk commands, what its load writes, and an image in another format: for tests that compare the guest's view with the image."""

import array
import struct

SECTOR, BLOCK = 512, 4096
MASK = (1 << 64) - 1


def words(data):
    a = array.array('Q')
    a.frombytes(data)
    return a


def stamp(sector, request):
    """What the guest's load writes into a sector."""
    return array.array('Q', [sector, request] + [(~request + i) & MASK for i in range(2, SECTOR // 8)]).tobytes()


def wrong_blocks(image, blocks, requests):
    """Blocks that do not hold what the last request for them wrote."""
    bad, n = [], BLOCK // SECTOR
    with open(image, 'rb') as f:
        data = f.read(blocks * BLOCK)
    for b in range(blocks):
        last = b + (requests - 1 - b) // blocks * blocks
        if data[b * BLOCK:(b + 1) * BLOCK] != b''.join(stamp(b * n + s, last) for s in range(n)):
            bad.append((b, last, words(data[b * BLOCK:b * BLOCK + 16]).tolist()))
    return bad


def ask(c, text):
    c.send(text + '\n')
    return c.expect('= ')[:-2] + '= ' + c.expect('\n')


def good(answer):
    return '= ok' in answer.splitlines()[-1]


def qcow2(path, size):
    """An empty qcow2 image: header, a table of reference counts, its only block, and an empty first-level table; clusters of 64 KiB."""
    c = 65536
    header = struct.pack('>4sIQIIQIIQQIIQ', b'QFI\xfb', 3, 0, 0, 16, size, 0, (size + (1 << 29) - 1) >> 29, 3 * c, c, 1, 0, 0)
    header += struct.pack('>QQQII', 0, 0, 0, 4, 104)
    with open(path, 'wb') as f:
        f.write(header)
        f.seek(c)
        f.write(struct.pack('>Q', 2 * c))
        f.seek(2 * c)
        f.write(struct.pack('>4H', 1, 1, 1, 1))
        f.truncate(4 * c)
    return path

#!/usr/bin/python3
"""A disk whose back-end the broker starts, under the probe guest's load with many requests in flight, while the back-end is killed again and again:
no write is lost, none is done twice, raw and qcow2."""

import os
import signal

from probe_disk import ask, good, qcow2, wrong_blocks
from vmlib import LAB, TMP, Broker, Console, Inventory, MiB, Tap, until

t = Tap()
before = Inventory()
BLOCKS = 120


def device(b, name):
    return b.info(name)['devices'][0]


def kill(b, name):
    """Its back-end, and waits for the next."""
    pid = device(b, name)['pid']
    os.kill(pid, signal.SIGKILL)
    until(lambda: device(b, name)['connected'] and device(b, name)['pid'] not in (0, pid), 'another back-end is there')


def load(b, name, disk, requests, image=None):
    b('create', '--name', name, '--cmdline', 'quiet noecho speed=off', '--memory', 'size=64M,shared=on', '--disk', disk, check=0)
    c = Console('console', name, '--socket', b.socket)
    b('boot', name, check=0)
    c.ready()
    common = 'depth=40 queues=2 irq=on blocks=%d' % BLOCKS
    c.send('drun op=write requests=%d %s\n' % (requests, common))
    during, path = 0, disk.split(',')[0][len('path='):]
    while during < 5:
        was = os.stat(path).st_mtime_ns
        until(lambda: os.stat(path).st_mtime_ns != was or c.read(0) and '= ' in c.buf, 'something is written')
        c.read(0)
        if '= ' in c.buf:
            break
        kill(b, name)
        during += 1
    said = c.expect('= ') + c.expect('\n')
    t.ok(during > 0, '%s: killed while many requests were in flight' % name, (during, said))
    t.ok(good(said) and '%d requests of 4096' % requests in said, '%s: the guest has an answer to each request, and to none twice' % name, said)
    if image:
        t.equal(wrong_blocks(image, BLOCKS, requests), [], '%s: the image has the last write of each block' % name)
    # What a program keeps in memory would be gone with it.
    kill(b, name)
    said = ask(c, 'drun op=check last=%d %s' % (requests, common))
    t.ok(good(said), '%s: so the guest reads it, from another back-end still' % name, said)
    d = device(b, name)
    t.ok(d['text'] == 'connected' and d['restarts'] == d['losses'] == during + 1, '%s: info tells how often, and of no doubt' % name, d)
    t.equal(b.state(name), 'running', '%s: the VM has noticed nothing' % name)
    c.kill()
    b('stop', name, check=0)
    b('delete', name, check=0)


raw = os.path.join(TMP, 'raw')
with open(raw, 'wb') as f:
    f.truncate(16 * MiB)
with Broker() as b:
    load(b, 'raw', 'path=%s,num_queues=2' % raw, 4000 if LAB else 300000, raw)
    load(b, 'qcow2', 'path=%s,image_type=qcow2,num_queues=2' % qcow2(os.path.join(TMP, 'q'), 16 * MiB), 5000 if LAB else 15000)
t.equal(before.same(), [], 'nothing is left behind')
t.done()

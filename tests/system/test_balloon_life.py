#!/usr/bin/python3
"""The balloon in the life of a VM: those who work on it are killed in the middle; DIMMs come and go with pages of theirs in it; a disk's back-end
writes into pages that were given up or reported."""

import json
import os
import re
import signal
import subprocess
import time

import probe_dimms
from probe_vmem import Guest
from vmlib import PATIENCE, TMP, Broker, Inventory, MiB, Tap, until

t = Tap()
before = Inventory()
Z, SIZE = 64 * MiB, 128 * MiB  # behind the zone that the guest's program lies in
FILL = 0x5a5a5a5a5a5a5a5a
ZONES = ['--memory', 'size=0', '--memory-zone', 'id=low,size=64M,%s', 'id=z,size=128M,%s']


def zones(options):
    return [w % options if '%' in w else w for w in ZONES]


def balloon(b, name):
    return b.info(name)['balloon']


def features(b):
    """What the driver sees: 1 << 2 is VIRTIO_BALLOON_F_DEFLATE_ON_OOM, 1 << 5 is F_REPORTING."""
    for options, want in (('size=1M', 0), ('deflate_on_oom=on', 4), ('deflate_on_oom=off,free_page_reporting=on', 0x20), ('deflate_on_oom=on,free_page_reporting=on', 0x24)):
        with Guest(b, 'bits', '--memory', 'size=64M', '--balloon', options) as g:
            t.ok('features 0x%x ' % want in g.do('balloon'), 'offered with %s' % options, g.do('balloon'))


def too_large(b):
    p = b('create', '--memory', 'size=64M', '--balloon', 'size=65M')
    t.ok(p.returncode != 0 and all(w in p.stderr for w in ('--balloon', '65M', 'has 64M', 'do: ask for less')), 'a balloon larger than memory', p.stderr)
    with Guest(b, 'small', '--memory', 'size=64M', '--balloon', 'size=1M') as g:
        g.do('balloon')
        p = b('resize', 'small', '--balloon', '96M')
        t.ok(p.returncode == 1 and all(w in p.stderr for w in ('96M', 'has 64M', 'do: ask for less')), 'and one that is to become so', p.stderr)
        t.equal(balloon(b, 'small')['requested_bytes'], MiB, 'what was asked before stands')


def killed(b, kind, options, victims):
    """In the middle of an inflation without end."""
    kb = (lambda g: g.anon_kb(SIZE)) if 'thp' in options else (lambda g: g.object_kb(SIZE))
    with Guest(b, 'dies', *zones(options), '--balloon', 'free_page_reporting=on') as g:
        for who in victims:
            what = '%s: %s killed' % (kind, who)
            g.do('balloon')
            g.do('fill %d %d 0x5a' % (Z, SIZE))
            p = probe_dimms.started(b, 'resize', 'dies', '--balloon', '32M', '--timeout', str(PATIENCE))
            until(lambda: 'wanted 8192' in g.do('balloon'), 'the guest is told')
            if who == 'command':
                g.send('inflate %d %d 1\n' % (Z + 8 * MiB, 32 * MiB))
                p.kill()
                p.communicate()
                g.expect('= ok')
                g.do('bactual 8192')
                until(lambda: balloon(b, 'dies')['actual_bytes'] == 32 * MiB, 'the broker hears')
                t.equal(SIZE // 1024 - kb(g), 32 << 10, what + ': the guest goes on, and what it gives up is the host\'s')
                p = b('resize', 'dies', '--balloon', '32M', '--json')
                t.equal((p.returncode, json.loads(p.stdout)['outcome']), (0, 'reached'), what + ': another command finds it done')
                g.do('bactual 0')
                continue
            g.send('bstorm %d 60000\n' % (Z + 8 * MiB))
            until(lambda: balloon(b, 'dies')['given_bytes'] > 0, 'it has begun')
            os.kill(b.info('dies')[who + '_pid'], signal.SIGKILL)
            err = p.communicate(timeout=PATIENCE)[1]
            t.ok(p.returncode == 1 and who in err, what + ': resize says so', err)
            until(lambda: b.state('dies') == 'stopped', 'the VM ends')
            g.kill()
            g.boot()
            t.ok('wanted 8192 actual 0' in g.do('balloon'), what + ': booted again it is asked for the same')
            g.do('fill %d %d 0x5a' % (Z, SIZE))
            g.do('inflate %d %d' % (Z + 8 * MiB, 32 * MiB))
            i = balloon(b, 'dies')
            t.equal((SIZE // 1024 - kb(g), i['given_bytes'], i['foreign_bytes']), (32 << 10, 32 * MiB, 0), what + ': and gives up as before')


def dimms(b, kind, options):
    with probe_dimms.Guest(b, 'both', options, more=('--balloon', 'free_page_reporting=on')) as g:
        def changed():
            return g.window_kb() - empty

        def counted(what):
            return balloon(b, 'both')[what + '_bytes']

        g.has()
        empty = g.window_kb()
        g.follow(128)
        g.follow(384)
        at = g.where(1)[0]
        g.command('fill %d %d 0x5a' % (at - 4 * MiB, 64 * MiB))
        g.command('inflate %d %d' % (at - MiB, 17 * MiB))  # over the edge of two
        g.command('report %d %d' % (at + 32 * MiB, 8 * MiB))
        t.equal((changed(), counted('given'), counted('reported')), ((384 - 17 - 8) << 10, 17 * MiB, 8 * MiB), kind + ': pages of DIMMs are given up')
        t.equal((g.peek(at - MiB - 8), g.peek(at + 16 * MiB)), (FILL, FILL), kind + ': and no others')

        # Ejected with ballooned pages inside.
        g.follow(128)
        t.equal(changed(), 127 << 10, kind + ': a DIMM goes with pages of it in the balloon')
        was = counted('foreign')
        g.command('deflate %d %d' % (at, 16 * MiB))
        t.equal((changed(), g.peek(at)), (127 << 10, 2**64 - 1), kind + ': deflating them makes nothing of it')
        g.command('inflate %d %d' % (at, 4 * MiB))
        t.equal((changed(), counted('foreign') - was), (127 << 10, 4 * MiB), kind + ': nor does giving up what has gone')
        t.ok('reset' in g.command('report %d %d' % (at, 4 * MiB)), kind + ': reporting it breaks the device')
        g.command('breset')

        # Another DIMM in its place is whole, and empty.
        dirty = g.follow(512)
        t.equal((changed(), dirty, g.peek(at + 32 * MiB)), (511 << 10, 0, at + 32 * MiB | 1), kind + ': a DIMM in its place is whole, and was empty')
        g.command('poke %d 0x77' % (at - MiB))
        t.equal((changed() > 511 << 10, g.peek(at - MiB), g.peek(at - MiB + 4096)), (True, 0x77, 0), kind + ': a page in the balloon comes back when it is touched')
        # All of it in the balloon, asked back, and ejected unasked.
        at0 = g.where(0)[0]
        g.command('inflate %d %d' % (at0, 512 * MiB))
        t.equal(changed(), 0, kind + ': all DIMMs can be in the balloon')
        g.eject(0)
        until(lambda: g.sizes() == (384, 384, 1), 'the broker hears')
        g.follow(0)
        t.equal((changed(), b.state('both')), (0, 'running'), kind + ': and go from there')


def disk(b):
    """Debian's daemon writes into what the guest has given up."""
    image, sock = os.path.join(TMP, 'img'), os.path.join(TMP, 'qsd')
    with open(image, 'wb') as f:
        f.write(b'\x77' * MiB)
    daemon = subprocess.Popen(['qemu-storage-daemon', '--blockdev', 'driver=file,node-name=f,filename=' + image, '--export',
                               'type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path=%s,writable=on' % sock], stderr=subprocess.DEVNULL)
    try:
        until(lambda: os.path.exists(sock), 'the daemon listens')
        with Guest(b, 'disk', *zones('shared=on'), '--balloon', 'free_page_reporting=on', '--disk', 'vhost_user=on,socket=' + sock) as g:
            g.do('disk')
            g.do('fill %d %d 0x5a' % (Z, SIZE))
            other = g.do('sum %d %d' % (Z + 32 * MiB, 32 * MiB))
            for how in 'inflate', 'report':
                g.do('%s %d %d' % (how, Z, 32 * MiB))
                t.equal(SIZE // 1024 - g.object_kb(SIZE), 32 << 10, how + ': given up, with a back-end that has the zone')
                for page in 0, 5, 4095:
                    t.ok('done' in g.do('ddma %d %d' % (Z + page * 8192, PATIENCE * 1000)), '%s: the disk writes into page %d of it' % (how, 2 * page))
                t.equal([g.peek(Z + page * 8192 + off) for page in (0, 5, 4095) for off in (0, 4088)], [0x7777777777777777] * 6, how + ': the guest sees what it wrote')
                t.equal([g.peek(Z + page * 8192 + off) for page in (0, 5, 4095) for off in (4096, 8184)], [0] * 6, how + ': beside it is nothing')
                t.equal(g.object_kb(SIZE), (SIZE - 32 * MiB) // 1024 + 6 * 4, how + ': and just what was touched is there')
                g.do('deflate %d %d' % (Z, 32 * MiB))
                g.do('fill %d %d 0x5a' % (Z, 32 * MiB))
                t.equal((g.do('sum %d %d' % (Z + 32 * MiB, 32 * MiB)), g.do('sum %d %d' % (Z, 32 * MiB))), (other, other), how + ': all else is as it was')
            t.equal(b.info('disk')['devices'][0]['losses'], 0, 'the back-end was never lost')
    finally:
        daemon.kill()
        daemon.wait()


with Broker() as b:
    for part in features, too_large, disk:
        with t.part(part.__name__):
            part(b)
    for kind, options, victims in ('anonymous', 'thp=off', ('command', 'worker')), ('memfd', 'shared=on,prefault=on', ('command', 'memsrv', 'worker')):
        with t.part('killed, ' + kind):
            killed(b, kind, options, victims)
    for kind, options in ('anonymous', ',thp=off'), ('memfd', ',shared=on,prefault=on'):
        with t.part('DIMMs, ' + kind):
            dimms(b, kind, options)
t.equal(before.same(), [], 'nothing is left behind')
t.done()

#!/usr/bin/env python3
"""What programs read: with --json a command that fails says so in JSON as well, and `run` says nothing that is not JSON. And what people
read in the same places: once, with a way out."""

import json
import os

from vmlib import Broker, Tap, cli

t = Tap()
ONCE = ('--memory', 'size=64M', '--cmdline', 'once verify=off speed=off quiet')


def objects(text):
    """A stream of JSON objects and nothing else."""
    found, decoder, text = [], json.JSONDecoder(), text.strip()
    while text:
        o, end = decoder.raw_decode(text)
        found.append(o)
        text = text[end:].strip()
    return found


def fails(b, code, *args, words=(), diags=()):
    what = ' '.join(args)
    p = b(*args, '--json')
    t.equal(p.returncode, code, what + ': exit status')
    out = objects(p.stdout)
    t.ok(len(out) == 1 and set(out[0]) == {'error', 'diagnostics'}, what + ': one object, error and diagnostics', p.stdout)
    o = out[0]
    t.ok(all(w in (o['error'] or '') for w in words) and bool(o['error']) == bool(words), what + ': the sentence', p.stdout)
    t.equal([d['option'] for d in o['diagnostics']], list(diags), what + ': the diagnostics')
    t.ok(all(d['level'] == 'error' and d['reason'] and d['remedy'] for d in o['diagnostics']), what + ': each with reason and remedy', p.stdout)
    t.ok(all(w in p.stderr for w in words) and all(d['reason'] in p.stderr for d in o['diagnostics']), what + ': in words as well', p.stderr)


with Broker() as b:
    b('create', '--name', 'm', '--memory', 'size=64M', check=0)
    for verb in ('boot', 'info', 'pause', 'resume', 'stop', 'delete', 'wait', 'console'):
        fails(b, 1, verb, 'nobody', words=('no such VM', 'nobody'))
        fails(b, 2, verb, diags=(verb,))
    fails(b, 1, 'pause', 'm', words=('is created', 'has to be running', 'boot it first'))
    fails(b, 1, 'resize', 'm', '--memory', '128M', words=('cannot be resized',), diags=('resize', 'resize'))
    fails(b, 1, 'resize', 'nobody', '--memory', '128M', words=('no such VM',))
    fails(b, 2, 'resize', 'm', '--memory', 'much', diags=('--memory',))
    fails(b, 1, 'create', '--name', 'm', '--memory', 'size=64M', words=('called m already',))
    fails(b, 2, 'create', '--memory', 'size=1M1,shared=maybe', diags=('--memory', '--memory'))
    fails(b, 2, 'list', 'm', diags=('list',))
    b('boot', 'm', check=0)
    fails(b, 1, 'delete', 'm', words=('is running', 'stop it first'))
    fails(b, 1, 'boot', 'm', words=('is running',))
    b('stop', 'm', check=0)
    p = b('wait', 'm')
    t.equal(p.stderr, 'bulkhead: VM m ended: it was stopped on request of uid %d\n' % os.getuid(), 'an end is told once')

    p = b('run', '--json', '--numa', 'guest_numa_id=0', *ONCE)
    said = objects(p.stderr)
    t.ok([list(o) for o in said[:1]] == [['diagnostics']] and [d['level'] for d in said[0]['diagnostics']] == ['notice'] * 2,
         'run: notices are an object', p.stderr)
    t.ok(said[-1].get('cause') == 'poweroff' and len(said) == 2, 'run: and so is the end', p.stderr)
    # What the host lacks is found by the broker, what else there is to say by both.
    p = b('run', '--numa', 'guest_numa_id=0', '--memory', 'size=64M,hugepages=on,hugepage_size=64M')
    t.ok(p.returncode == 2 and p.stderr.count('no node lists these vCPUs') == 1 and p.stderr.count('error: ') == 1, 'what the CLI has said the broker does not say again', p.stderr)
    p = b('run', '--json', '--memory', 'size=5')
    said = objects(p.stderr)
    t.ok(p.returncode == 2 and not p.stdout and len(said) == 1 and said[0]['diagnostics'], 'run: wrong words are told in JSON on stderr', p.stdout + p.stderr)
    p = b('run', '--json', '--kernel', '/dev/null', '--memory', 'size=64M')
    t.ok(p.returncode != 0 and not p.stdout and len(objects(p.stderr)) == 1, 'run: a refusal, too', p.stdout + p.stderr)
    t.ok('its socket is ' + b.socket in cli('check-host', env=dict(os.environ, BULKHEAD_SOCKET=b.socket)).stdout, 'check-host: names the broker that it found')

p = cli('list', '--json', '--socket', '/nonexistent/socket')
t.ok(p.returncode == 3 and 'bulkhead-broker' in json.loads(p.stdout)['error'], 'no broker: in JSON', p.stdout)
p = cli('run', *ONCE, '--socket', '/nonexistent/socket')
t.ok(p.returncode == 3 and "use 'bulkhead run'" not in p.stderr and '--private' in p.stderr, 'run does not advise to use run', p.stderr)
p = cli('run', *ONCE, env=dict(os.environ, BULKHEAD_SOCKET=''))
t.ok(p.returncode == 0, 'an empty BULKHEAD_SOCKET names no socket', p.stderr)
t.done()

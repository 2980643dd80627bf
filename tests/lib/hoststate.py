"""What tests change on the host, and who has to put it back: huge page pools and settings of the kernel.

Each change is written down before it is made, with the process that it was made for. Whoever comes next, and the runner after each test, puts back
what the dead have left: a test may be killed at any moment. Several runs may change the same pool at once: each gives back the pages that it added,
and nobody writes an old total over somebody else's. Writers take turns by a lock on the notes.

As a program, for what is not Python:  hoststate.py pool PID KB PAGES | forget PID | sweep
pool: PAGES huge pages more for as long as PID lives; says how many there are more.
"""

import fcntl
import json
import os
import sys

NOTES = os.environ.get('BULKHEAD_TEST_NOTES', '/run/bulkhead-tests.json')  # gone with the next boot, as are the changes


def number(path):
    with open(path) as f:
        return int(f.read())


def write(path, what):
    with open(path, 'w') as f:
        f.write('%s\n' % what)


def born(pid):
    """When it started, in ticks; None: it is dead."""
    try:
        with open('/proc/%d/stat' % pid) as f:
            fields = f.read().rpartition(')')[2].split()
    except OSError:
        return None
    return None if fields[0] in 'ZX' else int(fields[19])


def persistent(pool):
    """Pages that the administrator has set aside: without those that only live until their user lets go."""
    return number(pool + '/nr_hugepages') - number(pool + '/surplus_hugepages')


class Notes:
    """The notes, under the lock. Those of the dead are carried out and gone before anybody sees them.

    The value to go back to is noted before each write, so that whoever dies between two steps leaves something that can be done once more."""

    def __enter__(self):
        self.lock = open(NOTES + '.lock', 'w')
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        try:
            with open(NOTES) as f:
                self.rows = json.load(f)
        except FileNotFoundError:
            self.rows = []
        for note in [n for n in self.rows if born(n['pid']) != n['born']]:
            self.undo(note)
        return self

    def __exit__(self, *_):
        self.lock.close()

    def keep(self):
        with open(NOTES + '.new', 'w') as f:
            json.dump(self.rows, f)
        os.replace(NOTES + '.new', NOTES)

    def add(self, kind, path, before, pid, **more):
        note = dict(more, kind=kind, path=path, before=before, pid=pid, born=born(pid))
        self.rows.append(note)
        self.keep()
        return note

    def undo(self, note):
        if 'got' in note:
            note['before'] = max(0, persistent(note['path']) - note.pop('got'))
            self.keep()
        if note['kind'] == 'pool':
            write(note['path'] + '/nr_hugepages', note['before'])
        elif not any(n is not note and n['path'] == note['path'] for n in self.rows):
            write(note['path'], note['before'])
        self.rows.remove(note)
        self.keep()


def sweep():
    """Puts back what the dead have left."""
    if os.path.exists(NOTES):
        with Notes():
            pass


def more_pages(pool, more, pid):
    """The note. Its `got` says by how many the pool grew: the kernel gives what it has in one piece."""
    with Notes() as notes:
        note = notes.add('pool', pool, persistent(pool), pid)
        write(pool + '/nr_hugepages', note['before'] + more)
        note['got'] = persistent(pool) - note['before']
        notes.keep()
    return note


def forget(note):
    with Notes() as notes:
        notes.undo(notes.rows[notes.rows.index(note)])


class HugePool:
    """More huge pages on one host node, for a while."""

    def __init__(self, more, kb=2048, node=None):
        with open('/sys/devices/system/node/has_memory') as f:
            self.node = int(f.read().split('-')[0].split(',')[0]) if node is None else node
        self.dir = '/sys/devices/system/node/node%d/hugepages/hugepages-%dkB' % (self.node, kb)
        self.more, self.got, self.note = more, 0, None

    def free(self):
        """What nobody has and nobody was promised. Reservations are counted for all nodes together."""
        return number(self.dir + '/free_hugepages') - number('/sys/kernel/mm/hugepages/%s/resv_hugepages' % os.path.basename(self.dir))

    def __enter__(self):
        if os.path.exists(self.dir):
            self.note = more_pages(self.dir, self.more, os.getpid())
            self.got = self.note['got']
        return self

    def __exit__(self, *_):
        """Pages in use go when their user does."""
        if self.note:
            forget(self.note)
            self.note = None


class Setting:
    """A file below /sys or /proc/sys has this value for a while. Several may want the same, nobody another one meanwhile."""

    def __init__(self, path, value):
        self.path, self.value = path, str(value)

    def __enter__(self):
        with Notes() as notes:
            same = [n for n in notes.rows if n['path'] == self.path]
            if any(n['value'] != self.value for n in same):
                raise RuntimeError('%s: another test needs it to be %s' % (self.path, same[0]['value']))
            with open(self.path) as f:
                before = same[0]['before'] if same else f.read().strip()
            self.note = notes.add('setting', self.path, before, os.getpid(), value=self.value)
            write(self.path, self.value)
        return self

    def __exit__(self, *_):
        forget(self.note)


def main(argv):
    if argv[:1] == ['sweep'] and len(argv) == 1:
        sweep()
    elif argv[:1] == ['forget'] and len(argv) == 2:
        with Notes() as notes:
            for note in [n for n in notes.rows if n['pid'] == int(argv[1])]:
                notes.undo(note)
    elif argv[:1] == ['pool'] and len(argv) == 4:
        pid, kb, pages = map(int, argv[1:])
        pool = '/sys/kernel/mm/hugepages/hugepages-%dkB' % kb
        if not os.path.exists(pool):
            sys.exit('hoststate: this host has no huge pages of %d KiB' % kb)
        print(more_pages(pool, pages, pid)['got'])
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main(sys.argv[1:])

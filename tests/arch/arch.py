"""What the architecture tests share: TAP, the tree, and what the linker of the build really saw."""

import functools
import os
import re
import subprocess
import sys

TOP = os.environ.get('BULKHEAD_SRC') or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OBJ = os.environ.get('BULKHEAD_OBJ') or os.path.join(TOP, 'build', 'obj')

# program -> its file in the build tree
PROGRAMS = {
    'bulkhead': 'broker/ctl/bulkhead',
    'bulkhead-broker': 'broker/bulkhead-broker',
    'bulkhead-memsrv': 'memsrv/bulkhead-memsrv',
    'bulkhead-worker': 'vmm-worker/bulkhead-worker',
    'bulkhead-backend-test': 'backend-test/bulkhead-backend-test',
    'bulkhead-backend': 'backend/bulkhead-backend',
    'bulkhead-backend-fs': 'backend/bulkhead-backend-fs',
}


class Tap:
    """Collects results; done() prints the plan and ends the program with the right status."""

    def __init__(self):
        self.count = self.failed = 0

    def ok(self, good, what, why=()):
        self.count += 1
        self.failed += not good
        print('%sok %d - %s' % ('' if good else 'not ', self.count, what))
        if not good:
            for line in ([why] if isinstance(why, str) else why):
                print('# ' + line)

    def none(self, bad, what):
        """Passes if bad, a list of complaints, is empty."""
        self.ok(not bad, what, bad)

    def done(self):
        print('1..%d' % self.count)
        sys.exit(1 if self.failed else 0)


def sources(*suffixes):
    """All files of the tree with one of the suffixes, as paths below TOP; build trees and dot directories left out."""
    found = []
    for base, dirs, files in os.walk(TOP):
        dirs[:] = sorted(d for d in dirs if not d.startswith('.') and d not in ('build', '__pycache__')
                         and not os.path.exists(os.path.join(base, d, 'build.ninja')))
        found += [os.path.relpath(os.path.join(base, f), TOP) for f in sorted(files) if f.endswith(suffixes)]
    return found


def text(path):
    with open(os.path.join(TOP, path), encoding='utf-8') as f:
        return f.read()


class Object:
    """One object file: what it defines and what it wants, names as the C library's headers spell them."""

    def __init__(self, name):
        self.name, self.defines, self.wants = name, set(), set()


def plain(symbol):
    """Fortified and versioned names back to what the source says."""
    symbol = symbol.split('@')[0]
    m = re.fullmatch(r'__(\w+)_chk', symbol)
    if m and symbol != '__stack_chk_fail':
        return m.group(1)
    return re.sub(r'^__isoc(99|23)_|(?<=[a-z])64$', '', symbol)


def objects_in(*paths):
    """The objects, or the objects of the archives, at paths of the build tree."""
    files = [os.path.join(OBJ, p) for p in paths]
    for f in files:
        if not os.path.exists(f):
            sys.exit('%s is not built' % f)
    out = subprocess.run(['nm', '-A', '-g'] + files, check=True, capture_output=True, text=True).stdout
    objects = {}
    for line in out.splitlines():
        m = re.match(r'(.*?):(?:[0-9a-f]+| +) +([A-Za-z]) (\S+)$', line)
        if not m:
            continue
        member = m.group(1).split(':')[-1] # "archive:member" of a thin archive
        o = objects.setdefault(m.group(1), Object(os.path.relpath(member, OBJ)))
        (o.wants if m.group(2) in 'Uwv' else o.defines).add(m.group(3))
    return list(objects.values())


@functools.lru_cache
def build_ninja():
    with open(os.path.join(OBJ, 'build.ninja')) as f:
        return f.read().replace('$\n', ' ')


@functools.lru_cache
def source_of():
    """{object: its source file}, both as paths from the build tree."""
    return {m.group(1): m.group(2) for m in re.finditer(r'^build (\S+\.o): c_COMPILER\S* (\S+)', build_ninja(), re.M)}


def system_calls(o):
    """The system calls that an object's source makes by number, past the C library."""
    path = source_of().get(o.name)
    if not path or 'syscall' not in o.wants:
        return set()
    with open(os.path.join(OBJ, path), encoding='utf-8') as f:
        return set(re.findall(r'\b(?:SYS|__NR)_(\w+)', f.read())) or {'of an unknown number'}


def link_line(target):
    """(objects, own archives) that build.ninja gives to the linker for a target."""
    ninja = build_ninja()
    m = re.search(r'^build %s: \S*LINKER ([^|\n]*)(?:\| ([^\n]*))?' % re.escape(target), ninja, re.M)
    if not m:
        return None
    archives = [a for a in (m.group(2) or '').split() if a.endswith('.a') and not a.startswith('/')]
    return m.group(1).split(), archives


def linked_objects(target):
    """Our own objects that end up in a program: its own, and the members of our archives that something in it needs."""
    line = link_line(target)
    if line is None:
        return None
    linked = [o for path in line[0] for o in objects_in(path)]
    waiting = [o for path in line[1] for o in objects_in(path)]
    while True:
        defined = set().union(*(o.defines for o in linked))
        wanted = set().union(*(o.wants for o in linked)) - defined
        more = [o for o in waiting if o.defines & wanted]
        if not more:
            return linked
        linked += more
        waiting = [o for o in waiting if o not in more]


def foreign(objects):
    """{symbol: [objects that want it]} for what the objects do not define among themselves; raw system calls as SYS_name."""
    defined = set().union(*(o.defines for o in objects))
    wants = {}
    for o in objects:
        for s in o.wants - defined:
            wants.setdefault(plain(s), []).append(o.name)
        for s in system_calls(o):
            wants.setdefault('SYS_' + s, []).append(o.name)
    return wants

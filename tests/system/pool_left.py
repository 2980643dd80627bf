"""How many huge pages of 2 MiB the broker would give to somebody who asks now. It must be what the kernel has neither given nor reserved, less what a
guest was promised and has not taken yet, to the page."""

import contextlib
import os
import re
import signal
import subprocess

from vmlib import CLI, PATIENCE, until

HUGE = '/sys/kernel/mm/hugepages/hugepages-2048kB/'


def number(name):
    with open(HUGE + name) as f:
        return int(f.read())


def counters():
    """(in use, only reserved) by the kernel. How large the pool is may be changed by others."""
    return number('nr_hugepages') - number('free_hugepages'), number('resv_hugepages')


def kernel():
    return number('free_hugepages') - number('resv_hugepages')


def rest(n):
    """A VM of n huge pages."""
    return ['--memory', 'size=0', '--memory-zone', 'id=low,size=64M', 'id=all,size=%dM,hugepages=on,hugepage_size=2M,prefault=on' % (2 * n)]


class Left:
    """sizes: of the zone that grows, a function without arguments: (asked for, plugged), in MiB."""

    def __init__(self, b, sizes):
        self.b, self.sizes, self.looks, self.wrong = b, sizes, 0, []

    def broker(self):
        """What it says to somebody who wants more than there ever were. That promises nothing, and makes nothing."""
        n = number('nr_hugepages') + 1
        p = self.b('create', '--name', 'too-much', *rest(n))
        m = re.search(r'zone all: %d huge pages of 2M needed.*?, (\d+) free' % n, p.stderr)
        if p.returncode != 1 or not m:
            raise ValueError('%d: %s' % (p.returncode, p.stderr))
        return int(m[1])

    def moment(self):
        """(broker, kernel, pages that were asked for and are not there) at a moment when nothing moves; None: it moves."""
        before = kernel(), self.sizes()
        told = self.broker()
        if (kernel(), self.sizes()) != before:
            return None
        (asked, plugged), left = before[1][:2], before[0]
        return told, left, max(0, asked - plugged) // 2

    def look(self, what):
        """In the middle. A promise that is not taken ends some time, so that one of two numbers is right while something is asked for."""
        m = self.moment()
        if m:
            told, left, asked = m
            self.looks += asked == 0
            if told not in (left, left - asked):
                self.wrong.append((what, m))

    def at_rest(self):
        """(broker, kernel) while no VM grows, whatever was asked for. What has just ended may still be on its way back."""
        for _ in range(100):
            left = kernel()
            told = self.broker()
            if left == kernel():
                break
        return told, left

    def stopped(self, what):
        told, left = self.at_rest()
        if told != left:
            self.wrong.append((what, told, left))

    def judged(self, t, least):
        t.equal(self.wrong, [], 'at %d moments the broker would have promised what the kernel had, and no page less or more' % self.looks)
        t.ok(self.looks >= least, 'there were such moments', self.looks)

    def now(self, t, pages, asked, what):
        """So many pages are left, and so many of those promised to the guest."""
        m = None
        for _ in range(200):
            m = self.moment()
            if m and m[1:] == (pages, asked):
                break
        t.equal(m, (pages - asked, pages, asked), what + ': broker, kernel, promised')

    def all_of_it(self, t, what):
        """What is left can be had, and not a page more."""
        n = kernel()
        p = self.b('create', '--name', 'rest', *rest(n + 1))
        t.ok(p.returncode == 1 and '%d huge pages of 2M needed' % (n + 1) in p.stderr and ' %d free' % n in p.stderr,
             '%s: %d huge pages are one too many' % (what, n + 1), p.stderr)
        if n == 0:
            return
        p = self.b('create', '--name', 'rest', *rest(n))
        t.ok(p.returncode == 0 and kernel() == 0, '%s: all %d that are left can be had' % (what, n), p.stderr)
        self.b('delete', 'rest')
        t.equal(kernel(), n, what + ': and are free again')

    def cut_short(self, t):
        """A VM of all that is left, whose command or memsrv is killed while it is made."""
        n = kernel()
        for who in ('command', 'memsrv'):
            p = subprocess.Popen([CLI, 'create', '--name', 'cut', '--socket', self.b.socket] + rest(n), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            until(lambda: self.b.state('cut') or p.poll() is not None, 'it is begun')
            t.ok(self.broker() <= kernel(), 'while a VM is made nobody is promised its pages')
            if who == 'memsrv':
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.b.info('cut')['memsrv_pid'] or 1 << 30, signal.SIGKILL)
            else:
                p.kill()
            p.wait(PATIENCE)
            until(lambda: self.b.state('cut') in (None, 'created', 'stopped'), 'it has come to something')
            self.b('delete', 'cut')
            until(lambda: self.b.state('cut') is None, 'it is gone')
            self.now(t, n, 0, 'after a VM whose %s was killed' % who)

    def by_steps(self, t, ask, follow, step, promised):
        """A guest with nothing plugged grows into a pool of exactly four steps (of so many MiB). ask(MiB): a request that is not waited for; its exit
        status. follow(MiB): the guest takes it or lets go. promised: what is asked for is made when the guest takes it, and not at once."""
        pages = step // 2
        spare = kernel() - 4 * pages
        if spare:
            self.b('create', '--name', 'spare', *rest(spare), check=0)
        follow(step)
        self.now(t, 3 * pages, 0, 'one step taken')
        t.equal(ask(2 * step), 0, 'a second one is asked for')
        late = pages if promised else 0
        self.now(t, 2 * pages + late, late, 'and not taken yet')
        was = self.sizes()
        t.equal((ask(5 * step), self.sizes()), (1, was), 'five are one too many, and that changes nothing')
        self.now(t, 2 * pages + late, late, 'after that')
        if not promised:
            follow(2 * step)
        t.equal(ask(4 * step), 0, 'four are just right: what it has, and what it was promised, is not counted twice')
        self.now(t, 3 * late, 3 * late, 'all of it asked for')
        p = self.b('create', '--name', 'one', *rest(1))
        t.ok(p.returncode == 1 and ' 0 free' in p.stderr, 'nobody else gets a page of that', p.stderr)
        follow(4 * step)
        self.now(t, 0, 0, 'all of it taken')
        follow(2 * step)
        t.equal(ask(step), 0, 'one more is asked back')
        self.now(t, 2 * pages, 0, 'which promises nothing')
        follow(step)
        self.now(t, 3 * pages, 0, 'and is there for others')
        if promised:
            t.equal(ask(2 * step), 0, 'one that is never taken')
            self.now(t, 3 * pages, pages, 'is promised')
            until(lambda: self.broker() == kernel() == 3 * pages, 'but not for ever')
            follow(step)
        self.all_of_it(t, 'after steps')
        self.cut_short(t)
        if spare:
            self.b('delete', 'spare', check=0)

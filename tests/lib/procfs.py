"""What /proc shows of processes that live on meanwhile: between the list of their descriptors, or threads, and a look at one of them that one may be
gone. It is left out then. That the process itself is gone is an error, as is everything else."""

import os
import re


def descriptors(pid):
    """{number: (what it leads to, os.stat_result)}"""
    found = {}
    for n in os.listdir('/proc/%d/fd' % pid):
        path = '/proc/%d/fd/%s' % (pid, n)
        try:
            found[int(n)] = (os.readlink(path), os.stat(path))
        except FileNotFoundError:
            if not os.path.exists('/proc/%d' % pid):
                raise
    return found


def links(pid):
    """{number: what it leads to}"""
    return {n: link for n, (link, _) in descriptors(pid).items()}


def memfd_kb(pid, length):
    """KiB that the host has given for the memfd of that length which the process has."""
    found = {st.st_ino: st.st_blocks // 2 for link, st in descriptors(pid).values() if st.st_size == length and 'memfd' in link}
    if len(found) != 1:
        raise ValueError('process %d: %d memfds of %d bytes' % (pid, len(found), length))
    return next(iter(found.values()))


def threads(pid, name):
    """{thread: text of its file of that name}"""
    found = {}
    for t in os.listdir('/proc/%d/task' % pid):
        try:
            with open('/proc/%d/task/%s/%s' % (pid, t, name)) as f:
                found[int(t)] = f.read()
        except (FileNotFoundError, ProcessLookupError):  # the latter if it ends between open and read
            if not os.path.exists('/proc/%d' % pid):
                raise
    return found


def rests(pid):
    """Whether nothing is left to do for any of its threads: all sleep, and none was awake between two looks at each, for one may hand its work to
    another that had been looked at."""
    def look():
        return {t: re.findall(r'^(?:State:\s+|\w+_ctxt_switches:\s+)(\w+)', text, re.M) for t, text in threads(pid, 'status').items()}
    before = look()
    return all(words[0] == 'S' for words in before.values()) and look() == before

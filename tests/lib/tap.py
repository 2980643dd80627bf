"""Runs TAP producers and counts what they report.

A producer is any executable that prints TAP on its standard output. It gets a process group, a temporary directory (TEST_TMP)
and a time limit of its own. It counts as failed, beside its `not ok` lines, when it dies, exits with an error, prints no plan, prints fewer
or more results than planned, prints too much, or leaves processes, mounts or memory behind. A skipped result is neither passed nor failed, and is shown.

As a program: tap.py [--results FILE] [--logs DIR] [--slow TIMES] [--late SECONDS] [--keep] NAME=PATH...   (what the host lab runs inside the
emulated host)
"""

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import hoststate
import memgroup

DEFAULT_TIMEOUT = 900  # seconds: for what hangs, not for what is slow
LATE = 60  # seconds that processes and memory of a test have to go after it: the kernel frees some of it late
OUTPUT_LIMIT = 64 << 20
MEMORY_SLACK = 16 << 10  # KiB; the kernel counts in batches for each CPU
PR_SET_CHILD_SUBREAPER = 36
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)

RESULT = re.compile(r'^(not )?ok\b\s*(\d+)?\s*(?:-\s*)?(.*)$')
PLAN = re.compile(r'^1\.\.(\d+)\s*(#.*)?$')
SKIP = re.compile(r'#\s*skip\b[:\s]*(.*)$', re.I)


class Interrupted(BaseException):
    """Somebody wants us to end; everything that was started has to go first."""

    def __init__(self, signum):
        self.signum = signum


def end_on_signals():
    def handler(signum, _frame):
        for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(s, signal.SIG_IGN)
        raise Interrupted(signum)
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, handler)


def become_subreaper():
    """Processes whose parent dies become our children, so that none can hide by a double fork."""
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), 'prctl(PR_SET_CHILD_SUBREAPER)')
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])  # wait_for() takes it


def end_with_us():
    """For a child before it execs: what runs a test does not outlive the runner, even if that is killed."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])


class Outcome:
    def __init__(self, name):
        self.name = name
        self.passed = 0
        self.failures = []  # [(what, diagnostics)]
        self.skipped = []
        self.seconds = 0.0

    def as_dict(self):
        return vars(self)

    @classmethod
    def from_dict(cls, d):
        o = cls(d['name'])
        vars(o).update(d)
        return o


def parse(text, outcome):
    """Reads TAP. Several plans in one stream (cmocka prints one for each group) add up."""
    planned, seen, had_plan = 0, 0, False
    current = None  # the failure that diagnostics belong to
    for line in text.splitlines():
        m = PLAN.match(line)
        if m:
            had_plan = True
            planned += int(m[1])
            if int(m[1]) == 0:
                s = SKIP.search(m[2] or '')
                if s and s[1]:
                    outcome.skipped.append('all of it: ' + s[1])
                else:
                    outcome.failures.append(('planned no test at all', ''))
            current = None
            continue
        if line.startswith('Bail out!'):
            outcome.failures.append((line, ''))
            continue
        m = RESULT.match(line)
        if m:
            seen += 1
            what = m[3].strip() or 'test %s' % (m[2] or seen)
            current = None
            s = SKIP.search(what)
            if m[1]:
                outcome.failures.append((what, ''))
                current = len(outcome.failures) - 1
            elif s:
                outcome.skipped.append(what)
            else:
                outcome.passed += 1
            continue
        if current is not None and line.strip():
            what, diag = outcome.failures[current]
            if diag.count('\n') < 40:
                outcome.failures[current] = (what, diag + line + '\n')
    if not had_plan:
        outcome.failures.append(('printed no plan (1..N)', ''))
    elif seen != planned:
        outcome.failures.append(('%d results, but %d planned' % (seen, planned), ''))


def children_of_us():
    me = os.getpid()
    parents = {}
    for p in os.listdir('/proc'):
        if not p.isdigit():
            continue
        try:
            with open('/proc/%s/stat' % p) as f:
                head, _, rest = f.read().rpartition(')')
        except OSError:
            continue
        fields = rest.split()
        if fields[0] != 'Z':
            parents[int(p)] = (int(fields[1]), head.partition('(')[2])
    found, grew = {}, True
    while grew:
        grew = False
        for pid, (ppid, comm) in parents.items():
            if pid not in found and (ppid == me or ppid in found):
                found[pid] = comm
                grew = True
    return found


def wait_for(proc, seconds):
    """True if it has ended. Meanwhile does what init would: orphans that end are reaped at once, so no test sees them as left over."""
    signal.sigtimedwait([signal.SIGCHLD], seconds)
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return False
        if ended.si_pid == proc.pid:
            proc.wait()
            return True
        os.waitpid(ended.si_pid, 0)


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def wait_until_alone(seconds):
    """Waits for our descendants to go; returns those that did not."""
    end = time.monotonic() + seconds
    while True:
        reap()
        left = children_of_us()
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.01)


def kill_descendants():
    left = children_of_us()
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    if left:
        wait_until_alone(LATE)
    return left


def mounts_below(path):
    with open('/proc/self/mountinfo') as f:
        points = [line.split()[4].encode().decode('unicode_escape') for line in f]
    return [p for p in points if p.startswith(path.rstrip('/') + '/') or p == path]


def tail(path, lines=40):
    try:
        with open(path, errors='replace') as f:
            return '\n'.join(f.read()[-20000:].splitlines()[-lines:])
    except OSError:
        return ''


def declared_timeout(path):
    """A script may say `# timeout: SECONDS` in its first lines."""
    try:
        with open(path, 'rb') as f:
            head = f.read(2048)
    except OSError:
        return None
    m = re.search(rb'^# timeout: (\d+)\s*$', head, re.M) if head.startswith(b'#!') else None
    return int(m[1]) if m else None


def run(name, argv, env, logs, timeout=None, cwd=None, exit_code_only=False, keep=False, late=LATE):
    """Runs one producer and returns its Outcome. The runner must be a subreaper without other children."""
    outcome = Outcome(name)
    timeout = timeout or declared_timeout(argv[0]) or DEFAULT_TIMEOUT
    log = os.path.join(logs, name)
    os.makedirs(os.path.dirname(log), exist_ok=True)
    tmp = os.path.realpath(tempfile.mkdtemp(prefix='bulkhead-test-'))
    os.chmod(tmp, 0o755)  # tests look into it as other users too
    env = dict(env, TEST_TMP=tmp, TMPDIR=tmp)
    group = memgroup.make()
    if group:
        env['TEST_MEMGROUP'] = group.path
    start = time.monotonic()
    proc, why = None, None

    def before_exec():
        end_with_us()
        if group:
            group.enter()

    try:
        with open(log + '.tap', 'wb') as out, open(log + '.err', 'wb') as err:
            try:
                proc = subprocess.Popen(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                        start_new_session=True, preexec_fn=before_exec)
            except OSError as e:
                why = 'cannot be started: %s' % e
            while proc and proc.returncode is None:
                if wait_for(proc, 0.25):
                    break
                if time.monotonic() - start > timeout:
                    why = 'no end after %d seconds: killed' % timeout
                    break
                if os.fstat(out.fileno()).st_size + os.fstat(err.fileno()).st_size > OUTPUT_LIMIT:
                    why = 'printed more than %d MiB: killed' % (OUTPUT_LIMIT >> 20)
                    break
        if not why:
            left = wait_until_alone(late)
            if left:
                why = 'left processes behind: ' + ', '.join('%d (%s)' % i for i in sorted(left.items()))
    finally:
        kill_descendants()
        if proc:
            proc.wait()
        try:
            hoststate.sweep()
        except OSError as e:
            why = why or 'what it changed on the host could not be put back: %s' % e
        for point in reversed(mounts_below(tmp)):
            subprocess.run(['umount', '-l', point], check=False)
            why = why or 'left a mount behind: ' + point
        if keep:
            print('    kept: ' + tmp)
        elif not mounts_below(tmp):
            shutil.rmtree(tmp, ignore_errors=True)
        if group:
            left = 0 if keep else group.left(MEMORY_SLACK, late)
            if left:
                why = why or 'left %d MiB of memory behind' % (left >> 10)
            group.remove()
    outcome.seconds = time.monotonic() - start

    if exit_code_only:
        if proc and proc.returncode == 0 and not why:
            outcome.passed = 1
    else:
        with open(log + '.tap', errors='replace') as f:
            parse(f.read(), outcome)
    code = proc.returncode if proc else 0
    if not why and code < 0:
        why = 'died of signal %d (%s)' % (-code, signal.Signals(-code).name)
    elif not why and code > 0 and (exit_code_only or not outcome.failures):
        why = 'exit status %d' % code
    if why:
        outcome.failures.append((why, ''))
    if outcome.failures:
        what, diag = outcome.failures[-1]
        stderr = tail(log + '.err')
        if stderr:
            outcome.failures[-1] = (what, diag + 'the end of its standard error:\n' + stderr + '\n')
    return outcome


def report(outcome):
    """All at once, so that what other producers print beside it does not come in between."""
    bad = len(outcome.failures)
    lines = ['%-6s %-44s %5d passed%s%s  %.1f s' % (
        'FAILED' if bad else 'ok', outcome.name, outcome.passed, ', %d failed' % bad if bad else '',
        ', %d skipped' % len(outcome.skipped) if outcome.skipped else '', outcome.seconds)]
    for what, diag in outcome.failures:
        lines.append('    not ok: ' + what)
        lines += ['        ' + line for line in diag.splitlines()]
    lines += ['    skipped: ' + what for what in outcome.skipped]
    print('\n'.join(lines), flush=True)


def main(argv):
    results, logs, slow, late, keep = None, None, 1, LATE, False
    while argv and argv[0].startswith('--'):
        if argv[0] == '--results':
            results, argv = argv[1], argv[2:]
        elif argv[0] == '--logs':
            logs, argv = argv[1], argv[2:]
        elif argv[0] == '--slow':
            slow, argv = int(argv[1]), argv[2:]
        elif argv[0] == '--late':
            late, argv = int(argv[1]), argv[2:]
        elif argv[0] == '--keep':
            keep, argv = True, argv[1:]
        else:
            sys.exit('tap.py: unknown option ' + argv[0])
    end_on_signals()
    become_subreaper()
    own_logs = None if logs else tempfile.mkdtemp(prefix='bulkhead-logs-')
    outcomes = []
    if results and os.path.exists(results):  # from a life of the emulated host that ended early: what has a result keeps it
        with open(results) as f:
            outcomes = json.load(f)
    done = {o['name'] for o in outcomes}
    try:
        for arg in argv:
            name, _, path = arg.partition('=')
            if name in done:
                continue
            o = run(name, [path], os.environ, logs or own_logs, slow * (declared_timeout(path) or DEFAULT_TIMEOUT), keep=keep, late=late)
            report(o)
            outcomes.append(o.as_dict())
            if results:  # after each test: what is known survives whatever comes
                with open(results + '.new', 'w') as f:
                    json.dump(outcomes, f)
                os.replace(results + '.new', results)
    except Interrupted as e:
        return 128 + e.signum
    finally:
        if own_logs:
            shutil.rmtree(own_logs, ignore_errors=True)
    return 1 if any(o['failures'] for o in outcomes) or not outcomes else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

"""The second half of tests/run: knows the suites, runs them, counts. tests/run installs and builds first."""

import argparse
import glob
import json
import os
import select
import shutil
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tests', 'lib'))
sys.dont_write_bytecode = True

import hoststate  # noqa: E402
import kvm  # noqa: E402
import tap  # noqa: E402

OBJ = os.path.join(TOP, 'build', 'obj')
INST = os.path.join(TOP, 'build', 'inst')
LOGS = os.path.join(TOP, 'build', 'logs')
LAB = os.path.join(TOP, 'tests', 'hostlab', 'lab')
MANIFEST = os.path.join(TOP, 'tests', 'hostlab', 'manifest')
LAB_SLOW = 2  # how many times as long tests may take there
LAB_SILENCE = LAB_SLOW * tap.DEFAULT_TIMEOUT + 300  # seconds without a word, which each test says at its end, until a lab is given up
REPEATED = 12  # lines of a failure's reason that are shown again at the end
LAB_KB = 8 << 20  # no emulated host has been seen to use more
SUITES = ('unit', 'arch', 'privsep', 'system', 'hostlab')


def environment():
    """What every test gets to know, beside TEST_TMP. (README.md in tests/ tells what each is for.)"""
    return dict(os.environ, LC_ALL='C.UTF-8', PYTHONDONTWRITEBYTECODE='1', CMOCKA_MESSAGE_OUTPUT='TAP',
                BULKHEAD_SRC=TOP, BULKHEAD_OBJ=OBJ, BULKHEAD_INST=INST, BULKHEAD_BIN=os.path.join(INST, 'usr', 'bin'),
                BULKHEAD_LIBEXEC=os.path.join(INST, 'usr', 'libexec', 'bulkhead'))


class Test:
    def __init__(self, name, argv, cwd=None, exit_code_only=False, env=None):
        self.name, self.argv, self.cwd = name, argv, cwd
        self.exit_code_only, self.env = exit_code_only, env or {}


def meson_tests():
    """Tests that the build declares. A meson suite that is called like one of ours goes there, everything else is unit."""
    if not os.path.exists(os.path.join(OBJ, 'build.ninja')):
        return []
    listed = json.loads(subprocess.run(['meson', 'introspect', '--tests', OBJ], check=True, capture_output=True).stdout)
    tests = []
    for t in listed:
        own = {s.split(':')[-1] for s in t['suite']}
        suite = next((s for s in SUITES if s in own), 'unit')
        tests.append((suite, Test('%s/%s' % (suite, t['name'].replace('/', '_')), t['cmd'], t['workdir'],
                                  t['protocol'] == 'exitcode', t['env'])))
    return tests


def scripts(suite):
    paths = sorted(p for p in glob.glob(os.path.join(TOP, 'tests', suite, 'test_*')) if os.access(p, os.X_OK) and os.path.isfile(p))
    return [Test('%s/%s' % (suite, os.path.basename(p)), [p]) for p in paths]


def tests_of(suite, from_meson):
    return [t for s, t in from_meson if s == suite] + (scripts(suite) if suite != 'hostlab' else [])


def lab_plan():
    """Reads the manifest: topology -> [(name, path)], in the order in which they are named."""
    plan = {}
    with open(MANIFEST) as f:
        for line in f:
            words = line.split('#')[0].split()
            if not words:
                continue
            topology, pattern = words
            rows = plan.setdefault(topology, [])
            if pattern.startswith('!'):
                rows[:] = [r for r in rows if r[1] not in glob.glob(os.path.join(TOP, pattern[1:]))]
                continue
            found = sorted(p for p in glob.glob(os.path.join(TOP, pattern)) if os.access(p, os.X_OK))
            if not found and '*' not in pattern:
                raise SystemExit('%s: no executable %s' % (MANIFEST, pattern))
            rows += [('hostlab/%s/%s' % (topology, os.path.basename(p)), p) for p in found]
    return {t: rows for t, rows in plan.items() if rows}


def labs_at_once():
    """By CPUs and by memory that is free now."""
    with open('/proc/meminfo') as f:
        free = next(int(line.split()[1]) for line in f if line.startswith('MemAvailable'))
    return max(1, min(len(os.sched_getaffinity(0)), free // LAB_KB))


class Lab:
    """One emulated host, running the tests of a topology. What it says is shown as it comes."""

    def __init__(self, topology, rows):
        self.topology, self.rows, self.code = topology, rows, None
        self.job = os.path.join(LOGS, 'hostlab', topology)
        self.heard, self.said = time.monotonic(), b''
        shutil.rmtree(self.job, ignore_errors=True)
        os.makedirs(self.job)
        print('\n-- hostlab: %s' % topology, flush=True)
        argv = [LAB, '--topology', topology, '--job', self.job, '--timeout', str(LAB_SILENCE), '--env', 'BULKHEAD_', '--',
                sys.executable, os.path.join(TOP, 'tests', 'lib', 'tap.py'), '--results', '/run/job/results.json',
                '--logs', '/run/job/logs', '--slow', str(LAB_SLOW)] + ['%s=%s' % r for r in rows]
        self.proc = subprocess.Popen(argv, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                     start_new_session=True, preexec_fn=tap.end_with_us)

    def show(self, seconds):
        """What it says, whole lines. True at the end of that."""
        if not select.select([self.proc.stdout], [], [], seconds)[0]:
            return False
        data = os.read(self.proc.stdout.fileno(), 65536)
        self.heard = time.monotonic()
        self.said += data
        whole = self.said.rfind(b'\n') + 1 if data else len(self.said)
        sys.stdout.buffer.write(self.said[:whole])
        sys.stdout.flush()
        self.said = self.said[whole:]
        return not data

    def over(self, seconds):
        """Whether it has ended, after at most so long."""
        silent = self.show(seconds)
        if not silent and time.monotonic() < self.heard + LAB_SILENCE + 120:
            return False
        self.end(120 if silent else 0)
        return True

    def end(self, patience=0):
        """Waits so many seconds for its end and then makes it end; it has no exit status then."""
        try:
            self.code = self.proc.wait(patience)
        except subprocess.TimeoutExpired:
            self.proc.terminate()  # lets it take its daemons along
            try:
                self.proc.wait(60)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        self.proc.stdout.close()

    def outcomes(self):
        try:
            with open(os.path.join(self.job, 'results.json')) as f:
                return [tap.Outcome.from_dict(d) for d in json.load(f)]
        except (OSError, ValueError):
            return []


class Run:
    def __init__(self, only, keep):
        self.only, self.keep = only, keep
        self.passed = self.failed = 0
        self.skipped = 0
        self.failures = []
        self.from_meson = meson_tests()

    def wanted(self, name):
        return not self.only or any(name == o or name.startswith(o + '/') for o in self.only)

    def count(self, outcome, show=True):
        if show:
            tap.report(outcome)
        self.passed += outcome.passed
        self.failed += len(outcome.failures)
        self.failures += [(outcome.name, what, why) for what, why in outcome.failures]
        self.skipped += len(outcome.skipped)

    def fail(self, name, why):
        o = tap.Outcome(name)
        o.failures.append((why, ''))
        self.count(o)

    def here(self, tests):
        for t in tests:
            self.count(tap.run(t.name, t.argv, dict(environment(), **t.env), LOGS, None, t.cwd, t.exit_code_only, self.keep))

    def in_labs(self, plan):
        """Boots the lab once for each topology and runs its tests there; a test that has no result when the lab is gone has failed. A lab
        keeps one CPU busy, so as many run side by side as there is room for."""
        waiting, labs = list(plan.items()), []
        try:
            while waiting or labs:
                while waiting and len(labs) < labs_at_once():
                    labs.append(Lab(*waiting.pop(0)))
                for lab in [lab for lab in labs if lab.over(0.5 / len(labs))]:
                    labs.remove(lab)
                    self.count_lab(lab)
        finally:
            for lab in labs:
                lab.end()
            left = tap.kill_descendants()
        if left:
            self.fail('hostlab', 'the labs left processes behind: ' + ', '.join(sorted(left.values())))

    def count_lab(self, lab):
        outcomes, code = lab.outcomes(), lab.code
        for o in outcomes:
            self.count(o, show=False)  # was shown while the lab ran
        for name, _ in lab.rows:
            if name not in [o.name for o in outcomes]:
                self.fail(name, 'no result: the lab ended with %s' % code)
        if code == 0 and any(o.failures for o in outcomes) or code not in (0, 1) and len(outcomes) == len(lab.rows):
            self.fail('hostlab/' + lab.topology, 'the lab ended with %s, which does not fit the results' % code)

    def suite(self, suite):
        if suite == 'hostlab':
            plan = {t: [r for r in rows if self.wanted(r[0])] for t, rows in lab_plan().items()}
            self.in_labs({t: rows for t, rows in plan.items() if rows})
            return
        tests = [t for t in tests_of(suite, self.from_meson) if self.wanted(t.name)]
        if not tests:
            return
        print('\n-- %s' % suite, flush=True)
        why_not = kvm.unusable() if suite == 'system' else None
        if why_not:
            print('%s: these run inside the host lab instead' % why_not, flush=True)
            self.in_labs({'two-nodes': [(t.name.replace('/', '/in-lab/'), t.argv[0]) for t in tests]})
        else:
            self.here(tests)


def show_list():
    from_meson = meson_tests()
    for suite in SUITES:
        print(suite)
        if suite == 'hostlab':
            names = [n for rows in lab_plan().values() for n, _ in rows]
        else:
            names = [t.name for t in tests_of(suite, from_meson)]
        for n in names:
            print('  ' + n)


def main():
    p = argparse.ArgumentParser(prog='tests/run')
    p.add_argument('--only', action='append', default=[], metavar='SUITE[/TEST]')
    p.add_argument('--list', action='store_true')
    p.add_argument('--keep', action='store_true')
    args = p.parse_args()
    if args.list:
        show_list()
        return 0
    for o in args.only:
        if o.split('/')[0] not in SUITES:
            p.error('no suite is called %s; there are %s' % (o.split('/')[0], ', '.join(SUITES)))
    tap.end_on_signals()
    tap.become_subreaper()
    run = Run(args.only, args.keep)
    shutil.rmtree(LOGS, ignore_errors=True)
    os.makedirs(LOGS)
    code = None
    try:
        hoststate.sweep()  # of a run that was killed
        for suite in SUITES:
            if not args.only or any(o.split('/')[0] == suite for o in args.only):
                run.suite(suite)
    except tap.Interrupted as e:
        print('\ninterrupted')
        run.failed += 1
        code = 128 + e.signum
    finally:
        tap.kill_descendants()
    if run.skipped:
        print('\n%d skipped, each with its reason above' % run.skipped)
    for name, what, why in run.failures:  # once more, where one looks first
        print('\nFAILED %s: %s' % (name, what) + ''.join('\n    # ' + line for line in why.splitlines()[:REPEATED]))
    print('\nlogs: %s\n%d passed, %d failed' % (os.path.relpath(LOGS), run.passed, run.failed), flush=True)
    return code if code is not None else 0 if run.passed and not run.failed else 1


if __name__ == '__main__':
    sys.exit(main())

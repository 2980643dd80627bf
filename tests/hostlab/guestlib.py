"""What the tests of stock Linux guests share: the tests' library, ways to look into a guest, and its kernel's words compared with the oracle's."""

import json
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), 'system'))

import l2  # noqa: E402
from vmlib import CLI, MiB, Tap, cli  # noqa: E402,F401

# A test that is ended from outside takes its guests along.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

# What a kernel says when something is wrong, beside its messages of level "warning" and above (the first alternative). For Python and grep -E.
BAD = (r'^<[0-4]>|ACPI (BIOS )?(Error|Warning|Exception)|\[Firmware (Bug|Warn|Info)|BUG:|WARNING:|Call Trace|conflict|not claimed|no space for|failed|'
       r'refus|stall|timed? ?out')
# Failures in name only, and what says that the emulated host is slow.
HARMLESS = re.compile(r'hrtimer: interrupt took|clocksource: (timekeeping watchdog|Long readout)|Marking clocksource|sched_clock: Marking')


def log(vm, pattern):
    """The lines of the kernel's log that fit (grep -E): the serial line is slow."""
    return vm.sh("dmesg | grep -E '%s'; true" % pattern)


def complaints(vm):
    """The texts that stand out, without what differs from machine to machine: addresses and numbers."""
    lines = vm.sh("dmesg -r | grep -iE '%s'; true" % BAD).splitlines()
    texts = (re.sub(r'\b(0x)?[0-9a-f]*\d[0-9a-f]*\b', 'N', re.sub(r'^(<\d+>)?\[[ \d.]+\] ', '', line)).strip() for line in lines)
    return {text for text in texts if text and not HARMLESS.search(text)}


def unknown_to_qemu(found):
    """Of these complaints, the ones that the same kernel does not have in QEMU's machines on this host. Without complaints nobody is asked."""
    for machine, args in (('q35', ['-smp', '4']), ('microvm,rtc=on', [])):
        if found:
            with l2.qemu(args, machine=machine, memory='256M') as vm:
                vm.ready()
                found = found - complaints(vm)
                vm.power_off()
    return sorted(found)


def files(vm, pattern):
    """{path: text} of small files, read by one process."""
    found = {}
    for line in vm.sh("awk '{ print FILENAME, $0 }' %s" % pattern).splitlines():
        path, _, text = line.partition(' ')
        found[path] = (found.get(path, '') + ' ' + text).strip()
    return found


def numbers(text):
    """'0-2,5' as a set; the kernel's way to write CPUs and nodes."""
    found = set()
    for part in text.strip().split(','):
        if part:
            a, _, b = part.partition('-')
            found |= set(range(int(a), int(b or a) + 1))
    return found


def plan_of(args):
    """What `bulkhead plan` makes of a description."""
    return json.loads(cli('plan', '--json', *args, check=0).stdout)['plan']


def console(broker, vm, name='console'):
    """The serial line of a VM that a broker keeps."""
    return l2.Guest([CLI, 'console', vm, '--socket', broker.socket], os.environ['TEST_TMP'], name)


def linux(cmdline=''):
    """The arguments that make a VM a stock Linux, for create."""
    return ['--kernel', os.environ['LAB_VMLINUX'], '--initramfs', os.environ['LAB_INITRAMFS'], '--cmdline', (l2.BASE_CMDLINE + ' ' + cmdline).strip()]

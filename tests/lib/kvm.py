"""Is /dev/kvm usable, and if not, why not: in words for a person."""

import fcntl
import os
import sys

KVM_GET_API_VERSION = 0xAE00
KVM_CREATE_VM = 0xAE01


def unusable(path='/dev/kvm'):
    """None, or the reason."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as e:
        return '%s cannot be opened (%s)' % (path, e.strerror)
    try:
        version = fcntl.ioctl(fd, KVM_GET_API_VERSION, 0)
        if version != 12:
            return '%s speaks API version %d, not 12' % (path, version)
        os.close(fcntl.ioctl(fd, KVM_CREATE_VM, 0))
    except OSError as e:
        return '%s refuses to make a virtual machine (%s)' % (path, e.strerror)
    finally:
        os.close(fd)
    return None


if __name__ == '__main__':
    reason = unusable()
    if reason:
        print(reason)
    sys.exit(1 if reason else 0)

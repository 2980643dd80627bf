"""How the test's disk is wrong: the faults that its command line names, and how a request is refused."""

import os
import sys

FAULTS = set(sys.argv[2:])


def wrong(name):
    return name in FAULTS


def die(name):
    """A fault that ends the process, as a wild pointer would."""
    if wrong(name):
        os.abort()


class Refused(Exception):
    pass


class Gone(Exception):
    pass

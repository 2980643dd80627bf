"""How long a test waits for what has to come, in seconds. Nobody is judged by how long it took: this is longer than the slowest machine needs, and
short enough beside a test's whole time (tap.py) that what did not come is said before that ends."""

import time

PATIENCE = 240


def until(check, what=''):
    """The first true value of check(); raises TimeoutError with what was waited for."""
    end = time.monotonic() + PATIENCE
    while True:
        v = check()
        if v:
            return v
        if time.monotonic() > end:
            raise TimeoutError(what or check)
        time.sleep(0.01)

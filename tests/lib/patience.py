"""How long a test waits for what has to come, in seconds. Nobody is judged by how long it took: this is longer than the slowest machine needs, and
short enough beside a test's whole time (tap.py) that what did not come is said before that ends."""

PATIENCE = 240

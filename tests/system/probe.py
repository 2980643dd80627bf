"""A VM whose probe guest does not echo (noecho on its command line), and a console on it."""

from vmlib import Console


class Probe(Console):
    """A probe guest of broker b's, running."""

    def __init__(self, b, name, *args):
        b('create', '--name', name, *args, check=0)
        self.b, self.name = b, name
        self.boot()

    def boot(self):
        """For the first time, or again after it was stopped."""
        self.b('boot', self.name, check=0)
        super().__init__('console', self.name, '--socket', self.b.socket)  # says what was said before, too
        self.ready()

    def command(self, text):
        """One command, and its answer: the guest does not echo."""
        self.send(text + '\n')
        return self.expect('= ')[:-2] + '\n' + self.expect('\n')

    def reset(self):
        """By itself."""
        self.buf = ''
        self.send('reset\n')
        self.expect('TAP version')
        self.ready()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.b('stop', self.name)
        self.b('delete', self.name, check=0)

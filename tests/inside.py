"""An application of a cluster in this process, looked at from inside: for tests of managers."""

import itertools
import sqlite3


class Inside:
    """A running application, its manager and the manager's machine, whichever lives now."""

    def __init__(self, cluster):
        self.cluster, self.run = cluster, cluster.run
        self.aid = cluster.application()

    @property
    def manager(self):
        return self.cluster.manager(self.aid)

    @property
    def machine(self):
        return next(m for m in self.cluster.machines.values() if m.manager is self.manager)

    def restart(self):
        """Kill the manager, and start it again."""
        self.cluster.restart(self.machine)

    def wait(self, until):
        """Wait until something is true; that the manager is away, or dying, is not."""

        def there():
            try:
                return until()
            except (LookupError, sqlite3.ProgrammingError):
                return False

        self.cluster.wait(there)

    def idle(self):
        """Wait until the manager is there, or back, and no job of the first service is at work."""
        self.wait(lambda: not self.manager.runner.busy("service 1"))


def walk(app, dying, *changes):
    """Make changes that lead back to where they began, with a kill at each of their writes.

    All are made without a kill first, then with one at the first write of each, at the second,
    and so on until none is left.
    """
    expected = []
    for change in changes:
        change()
        expected.append(app.seen())
    for number in itertools.count():
        died = []
        for change, seen in zip(changes, expected, strict=True):
            died.append(dying(app, change, number))
            app.idle()
            assert app.seen() == seen, f"killed at write {number}"
        if not any(died):
            assert number > 3
            return

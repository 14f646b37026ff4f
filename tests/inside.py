"""An application of a cluster in this process, looked at from inside: for tests of managers."""

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

    def vanish(self, node):
        """Delete a node's machine by hand."""
        (cloud_id,) = [i for i, m in self.cluster.machines.items() if m.number == node.machine]
        self.cluster.provider.vanish(cloud_id)

    def look(self):
        """Look at the nodes as the watch does, and wait until no job is at work."""
        self.cluster.look()
        self.idle()

"""The MySQL service: a MariaDB Galera cluster on nodes that come and go."""

"""WordPress on one machine by hand: nginx, PHP-FPM and MariaDB, as Debian has them.

The machine is as large as one of the nutshell's: it may use as much as one CPU.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.parse
from pathlib import Path
from typing import Self

import wordpress
from harness import BenchError, free_port, wait_until
from php_services import fetch

_CONFIG = """\
define( 'DB_NAME', 'wordpress' );
define( 'DB_USER', getenv( 'MYSQL_USER' ) );
define( 'DB_PASSWORD', getenv( 'DB_PASSWORD' ) );
define( 'DB_HOST', getenv( 'MYSQL_HOST' ) . ':' . getenv( 'MYSQL_PORT' ) );
define( 'WP_HOME', 'http://' . $_SERVER['HTTP_HOST'] );
define( 'WP_SITEURL', 'http://' . $_SERVER['HTTP_HOST'] );
define( 'DISABLE_WP_CRON', true );
define( 'WP_HTTP_BLOCK_EXTERNAL', true );
"""
_HOST = "127.0.0.1"
_FPM = """\
[global]
error_log = {directory}/fpm.log
daemonize = no
[www]
user = www-data
group = www-data
listen = {directory}/fpm.sock
listen.owner = www-data
pm = dynamic
pm.max_children = 8
pm.start_servers = 2
pm.min_spare_servers = 1
pm.max_spare_servers = 4
env[MYSQL_USER] = mysqldb
env[MYSQL_HOST] = {host}
env[MYSQL_PORT] = {port}
env[DB_PASSWORD] = "{password}"
"""
_NGINX = """\
daemon off; user www-data; worker_processes 2;
pid {directory}/nginx.pid; error_log {directory}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  include /etc/nginx/mime.types;
  access_log {directory}/access.log; gzip on;
  client_body_temp_path {directory}/b; proxy_temp_path {directory}/p;
  fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  server {{
    listen {host}:{http}; root {code}; index index.php;
    location / {{ try_files $uri $uri/ /index.php?$args; }}
    location ~ \\.php$ {{
      include /etc/nginx/fastcgi_params;
      fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
      fastcgi_buffers 16 16k;
      fastcgi_pass unix:{directory}/fpm.sock;
    }}
  }}
}}
"""


def tree(directory: Path) -> tuple[Path, Path]:
    """Make WordPress, configured by its environment; return its directory and its archive."""
    packed = wordpress.tarball(directory / "wordpress.tar.gz")
    subprocess.run(["tar", "-xzf", packed.name], cwd=directory, check=True)
    code, archive = directory / "wordpress", directory / "blog.tar.gz"
    shutil.copy(code / "wp-config-sample.php", code / "wp-config.php")
    wordpress.edit(code / "wp-config.php", _CONFIG)
    subprocess.run(["tar", "-C", str(code), "-czf", str(archive), "."], check=True)
    return code, archive


def create_database(host: str, password: str) -> None:
    """Create the blog's database: without it no page of the blog answers."""
    address, _, port = host.partition(":")
    done = subprocess.run(
        ["mariadb", "--no-defaults", "-h", address, "-P", port or "3306", "-u", "mysqldb",
         "-e", "CREATE DATABASE wordpress"],
        env={**os.environ, "MYSQL_PWD": password}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise BenchError(f"{host}: {done.stderr}")


def install(url: str, password: str) -> None:
    """Set the blog up as its form does; its database is there."""
    fields = {
        "weblog_title": "Bench", "user_name": "anna", "admin_password": password,
        "admin_password2": password, "pw_weak": "1", "admin_email": "anna@example.org",
        "blog_public": "0", "language": "",
    }  # fmt: skip
    body = urllib.parse.urlencode(fields).encode()
    said = fetch(f"{url}wp-admin/install.php?step=2", body)
    if "Success!" not in said or "Hello world" not in fetch(url):
        raise BenchError(f"{url} is not installed: {said[-1000:]}")


class OneCpu:
    """A control group whose processes together may use one CPU, as a machine of the nutshell."""

    def __init__(self) -> None:
        top = Path("/sys/fs/cgroup")
        newer = (top / "cgroup.controllers").exists()
        self._group = (top if newer else top / "cpu") / f"conpaas-bench-{os.getpid()}"
        if newer:
            (top / "cgroup.subtree_control").write_text("+cpu")
        self._limit = ("cpu.max", "100000 100000") if newer else ("cpu.cfs_quota_us", "100000")

    def __enter__(self) -> Self:
        self._group.mkdir()
        name, value = self._limit
        (self._group / name).write_text(value)
        return self

    def __exit__(self, *_: object) -> None:
        # The kernel may take a moment to let go of processes that have ended.
        wait_until(lambda: not (self._group / "cgroup.procs").read_text(), "processes are left")
        self._group.rmdir()

    def enter(self) -> None:
        """Put this process into it."""
        (self._group / "cgroup.procs").write_text(str(os.getpid()))


class BareWordpress:
    """WordPress that runs on this machine.

    Args:
        directory: For whatever is written; other users may enter it.
        code: Where WordPress is.
        password: Of the database's user.
    """

    def __init__(self, directory: Path, code: Path, password: str) -> None:
        self._directory, self._code, self._password = directory, code, password
        self._port, http = free_port(), free_port()
        self.url = f"http://{_HOST}:{http}/"
        self.database = f"{_HOST}:{self._port}"
        self._http = http
        self._running: list[subprocess.Popen[bytes]] = []
        self._cpu = OneCpu()

    def __enter__(self) -> Self:
        self._cpu.__enter__()
        try:
            self._start_database()
            names = {
                "directory": self._directory, "host": _HOST, "port": self._port,
                "http": self._http, "code": self._code, "password": self._password,
            }  # fmt: skip
            for name, text in (("fpm.conf", _FPM), ("nginx.conf", _NGINX)):
                (self._directory / name).write_text(text.format(**names))
            self._start("php-fpm8.2", "-F", "-y", str(self._directory / "fpm.conf"))
            wait_until((self._directory / "fpm.sock").exists, "PHP-FPM does not listen")
            self._start("nginx", "-c", str(self._directory / "nginx.conf"))
            wait_until(lambda: bool(fetch(f"{self.url}readme.html")), "the bare nginx is silent")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running):
            process.terminate()
            process.wait(30)
        self._cpu.__exit__()

    def _start_database(self) -> None:
        data = self._directory / "database"
        command = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=mysql"]
        done = subprocess.run([*command, "--skip-test-db"], capture_output=True, check=False)
        if done.returncode != 0:
            raise BenchError(f"mariadb-install-db: {done.stdout.decode()}")
        self._start(
            "mariadbd", "--no-defaults", f"--datadir={data}", "--user=mysql",
            f"--socket={data}/socket", f"--bind-address={_HOST}", f"--port={self._port}",
            "--skip-name-resolve",
        )  # fmt: skip
        user = f"CREATE USER mysqldb@'%' IDENTIFIED BY '{self._password}'"
        line = ["mariadb", "--no-defaults", "-S", f"{data}/socket", "-e"]
        statement = f"{user}; GRANT ALL ON *.* TO mysqldb@'%'"
        until = time.monotonic() + 30
        while subprocess.run([*line, statement], capture_output=True, check=False).returncode:
            if time.monotonic() > until:
                raise BenchError("the bare database does not answer")
            time.sleep(0.1)

    def _start(self, *command: str) -> None:
        with (self._directory / "programs.log").open("ab") as log:
            self._running.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=self._cpu.enter,
                )
            )

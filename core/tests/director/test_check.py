"""``cps-director check`` explains each misconfiguration in a sentence."""

import dataclasses
import socket

import pytest

from conpaas.certificates import Authority
from conpaas.clouds.memory import MemoryCloud
from conpaas.director import check, make
from conpaas.director.config import DirectorConfig, DirectorSection, MachinesSection
from conpaas.manager.config import LimitsSection
from conpaas.plugins import Plugins

HOST = "director.example.org"


@pytest.fixture(autouse=True)
def world(monkeypatch, plugins):
    """A machine on which nothing is wrong."""
    from conpaas.features import memory_cloud

    whole = Plugins(
        **{"memory-cloud": memory_cloud, "simple": plugins._manager.get_plugin("simple")}
    )
    monkeypatch.setattr(Plugins, "installed", classmethod(lambda cls, only=None: whole))
    monkeypatch.setattr(check.shutil, "which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(
        check.socket, "getaddrinfo", lambda host, port: [(0, 0, 0, "", ("192.0.2.1", 0))]
    )
    usage = check.shutil.disk_usage("/")
    monkeypatch.setattr(check.shutil, "disk_usage", lambda path: usage._replace(free=10 << 30))
    return whole


@pytest.fixture
def config(tmp_path):
    """A configuration in which nothing is wrong, of a director that has been initialised."""
    made = DirectorConfig(
        DirectorSection(
            name="test",
            url=f"https://{HOST}:5555",
            data_dir=str(tmp_path / "data"),
            run_dir=str(tmp_path / "run"),
            default_cloud="memory",
        ),
        clouds={"memory": {"driver": "memory"}},
    )
    make.initialise(made)
    return made


def director(config, **changes):
    return dataclasses.replace(config, director=dataclasses.replace(config.director, **changes))


def told(config):
    """Return the one problem there is."""
    (problem,) = check.problems(config)
    return problem


def test_nothing_is_wrong(config):
    assert check.problems(config) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "http://director:5555"}, "it must look like https://host:5555"),
        ({"url": "director"}, "it must look like https://host:5555"),
        ({"url": f"https://{HOST}:5555/api"}, "must have no path"),
        ({"url": f"https://{HOST}"}, "says port 443, and listen has 5555"),
        ({"url": f"https://{HOST}:99999"}, "Port out of range"),
        ({"listen": ()}, "listen is empty"),
        ({"listen": ("0.0.0.0:5555", "5555")}, "'5555': it must look like"),
        ({"listen": ("0.0.0.0:5555", "0.0.0.0:http")}, "'0.0.0.0:http': it must look like"),
        ({"listen": ("0.0.0.0:5555", "0.0.0.0:99999")}, "'0.0.0.0:99999': it must look like"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"threads": -1}, "threads must be at least 1"),
        ({"job_workers": 0}, "job_workers must be at least 1"),
        ({"default_cloud": "memry"}, r"no section \[clouds.memry\]"),
        ({"name": "other"}, "a deployment cannot be renamed"),
        ({"database_url": "oracle://x"}, "database"),
    ],
)
def test_a_wrong_value_of_the_director_is_explained(config, changes, words):
    import re

    problems = check.problems(director(config, **changes))
    assert any(re.search(words, problem) for problem in problems), problems
    assert all("\n" not in problem and "Traceback" not in problem for problem in problems)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"boot_timeout": 0.0}, "boot_timeout must be more than 0"),
        ({"certificate_lifetime": -1.0}, "certificate_lifetime must be more than 0"),
        ({"token_lifetime": 100.0}, "token_lifetime must not be shorter than boot_timeout"),
    ],
)
def test_a_wrong_time_of_machines_is_explained(config, changes, words):
    machines = MachinesSection(**changes)
    assert words in " ".join(check.problems(dataclasses.replace(config, machines=machines)))


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(LimitsSection)])
def test_a_limit_that_allows_nothing_is_explained(config, name):
    limits = LimitsSection(**{name: 0})
    assert (
        told(dataclasses.replace(config, limits=limits)) == f"[limits] {name} must be at least 1"
    )


def test_a_host_that_nobody_can_find_is_explained(config, monkeypatch):
    def unknown(host, port):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(check.socket, "getaddrinfo", unknown)
    assert f"the host {HOST!r} cannot be resolved" in told(config)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.1.1", "::1"])
def test_a_director_that_machines_would_look_for_on_themselves_is_explained(
    config, monkeypatch, address
):
    monkeypatch.setattr(
        check.socket, "getaddrinfo", lambda host, port: [(0, 0, 0, "", (address, 0))]
    )
    assert "loopback" in told(config)


def test_a_link_local_address_with_its_zone_is_no_riddle(config, monkeypatch):
    monkeypatch.setattr(
        check.socket, "getaddrinfo", lambda host, port: [(0, 0, 0, "", ("fe80::1%eth0", 0))]
    )
    assert check.problems(config) == []


@pytest.mark.parametrize(("program", "package"), check.PROGRAMS.items())
def test_a_missing_program_is_told_with_its_package(config, monkeypatch, program, package):
    monkeypatch.setattr(check.shutil, "which", lambda name: None if name == program else "/bin/x")
    assert f"{program} is missing: apt install {package}" in told(config)


def test_a_directory_that_cannot_be_written_is_explained(config, tmp_path, monkeypatch):
    locked = tmp_path / "locked"
    locked.mkdir()
    # Root may write everywhere, whatever the mode.
    monkeypatch.setattr(check.os, "access", lambda path, mode: path != locked)
    said = told(director(config, run_dir=str(locked / "run")))
    assert f"[director] run_dir: {locked} is not writable" in said


def test_a_file_where_a_directory_should_be_is_explained(config, tmp_path):
    (tmp_path / "file").write_text("")
    said = told(director(config, run_dir=str(tmp_path / "file" / "run")))
    assert f"[director] run_dir: {tmp_path / 'file'} is not a directory" in said


def test_a_data_directory_that_others_may_look_into_is_explained(config):
    config.data.chmod(0o755)
    assert f"chmod 700 {config.data}" in told(config)


def test_a_full_disk_is_explained(config, monkeypatch):
    usage = check.shutil.disk_usage("/")
    monkeypatch.setattr(check.shutil, "disk_usage", lambda path: usage._replace(free=5 << 20))
    assert "only 5 MB are free" in told(config)


def test_a_clock_of_another_century_is_explained(config, monkeypatch):
    monkeypatch.setattr(check.time, "time", lambda: 0.0)
    assert "clock is wrong" in told(config)


def test_a_director_that_was_never_initialised_is_explained(config, tmp_path):
    fresh = director(config, data_dir=str(tmp_path / "fresh"))
    problems = check.problems(fresh)
    assert any("no certificate authority" in problem for problem in problems)
    assert any("no database" in problem for problem in problems)
    assert all("cps-director init" in problem for problem in problems)
    assert not (tmp_path / "fresh").exists()


def test_half_an_authority_is_explained(config):
    (config.data / "authority" / "ca.key").unlink()
    assert any("restore it from a backup" in problem for problem in check.problems(config))


def test_a_missing_certificate_is_explained(config):
    make.own_files(config).certificate.unlink()
    assert told(config) == "the director has no certificate: run cps-director init"


def test_a_database_that_is_behind_is_explained(config):
    from conpaas.director.database import MIGRATIONS, open_database

    database = open_database("", config.data)
    with database.connection_context():
        database.execute_sql("DELETE FROM migratehistory")
    names = ", ".join(sorted(path.stem for path in MIGRATIONS.glob("0*.py")))
    assert f"the database is behind by {names}: run cps-director init" in told(config)


def test_a_broken_plugin_is_explained(config, world):
    world._leave_out("mine", "it does not import: no module named 'x'")
    assert told(config) == "the plugin mine (?): it does not import: no module named 'x'"


def test_no_service_type_at_all_is_explained(config, world):
    world._services.clear()
    assert "no service type is installed" in told(config)


@pytest.mark.parametrize(
    ("clouds", "words"),
    [
        ({}, "no cloud is configured"),
        ({"memory": {}}, "must have the key 'driver'"),
        ({"memory": {"driver": "memry"}}, "did you mean 'memory'"),
        ({"memory": {"driver": "memory", "szie": "small"}}, "did you mean 'size'"),
        ({"memory": {"driver": "memory", "size": 3}}, r"[clouds.memory]: size: expected str"),
        (
            {"memory": {"driver": "memory", "size": "hug"}},
            "[clouds.memory] There is no size 'hug'",
        ),
    ],
)
def test_a_wrong_cloud_is_explained(config, clouds, words):
    assert words in told(dataclasses.replace(config, clouds=clouds))


def test_a_cloud_that_cannot_be_asked_is_explained(config, monkeypatch):
    from conpaas.errors import CloudError

    def away(self):
        raise CloudError("connection refused")

    monkeypatch.setattr(MemoryCloud, "problems", away)
    assert "connection refused" in told(config)


def test_one_problem_does_not_hide_another(config):
    config.data.chmod(0o755)
    both = director(config, workers=0, url="nonsense")
    assert len(check.problems(both)) == 3


def test_an_authority_is_made_once(config):
    before = Authority.load(config.data / "authority").ca_pem
    assert make.initialise(config) == []
    assert Authority.load(config.data / "authority").ca_pem == before

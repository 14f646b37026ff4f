"""A PHP service under a steady load while it is scaled, changed and hurt: one story, in its order.

The load is small and on our own machines only; of each request it is known what came of it.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from e2e import Nutshell, wait_for
from hosted import Hosted
from load import Connection, Death, Load
from phpcode import node_of, one_of, probe, version_of

PATHS = ("/", "/version.txt")
#: Seconds after which the proxies give a request up, as this service is set.
PATIENCE = 30.0


@pytest.fixture(scope="module")
def site(nutshell: Nutshell, running: int, tmp_path_factory: pytest.TempPathFactory) -> Hosted:
    """A service that runs version ``one`` on a single node."""
    hosted = Hosted(nutshell, running, tmp_path_factory.mktemp("code"))
    hosted.deploy(probe("one"))
    hosted.ok("start")
    return hosted


@pytest.fixture(scope="module")
def versions(site: Hosted) -> dict[str, str]:
    """The ids of versions that there are, by what they say."""
    return {"one": site.active, "two": site.upload(probe("two"))}


def under_load(
    site: Hosted, *steps: Callable[[], object], check: tuple[str, ...] = ("one",)
) -> Load:
    """Take steps while visitors come, who notice nothing."""
    with Load([site.url], PATHS, one_of(*check)) as load:
        load.go_on(20)
        for step in steps:
            step()
            load.go_on(20)
    load.none_failed()
    return load


def test_nodes_of_every_role_come_and_go_and_no_request_fails(site: Hosted) -> None:
    assert site.roles() == ["proxy, web, backend"]
    first = site.names()

    under_load(site, lambda: site.ok("add_nodes --backend 1"))
    assert site.roles() == ["backend", "proxy, web"]
    assert len(moved := site.names()) == 1 and moved != first

    under_load(
        site,
        lambda: site.ok("add_nodes --backend 1 --web 1"),
        lambda: site.ok("remove_nodes --backend 1"),
        lambda: site.ok("add_nodes --proxy 1 --backend 1"),
    )
    assert site.roles() == ["backend", "backend", "proxy", "proxy", "web"]
    assert len(site.names()) == 2

    under_load(site, lambda: site.ok("remove_nodes --proxy 1 --web 1 --backend 2"))
    assert site.roles() == ["proxy, web, backend"]
    assert site.names() == first


def test_versions_and_settings_change_and_no_request_fails_or_sees_a_mixture(
    site: Hosted, versions: dict[str, str]
) -> None:
    site.ok("add_nodes --backend 2")
    enabled: list[tuple[float, float]] = []

    def enable(version: str) -> None:
        begun = time.monotonic()
        site.ok(f"enable_code {versions[version]}")
        enabled.append((begun, time.monotonic()))

    load = under_load(
        site,
        lambda: enable("two"),
        lambda: site.ok("set_php_config --memory_limit 200M --max_execution_time 20"),
        lambda: site.ok("debug on"),
        lambda: enable("one"),
        lambda: site.ok("debug off"),
        check=("one", "two"),
    )
    said = [(one.begun, version_of(one.path, one.body)) for one in load.asked]
    (begin, end), (begin_back, end_back) = enabled
    assert {version for begun, version in said if begun < begin} == {"one"}
    assert {version for begun, version in said if end < begun < begin_back} == {"two"}
    assert {version for begun, version in said if begun > end_back} == {"one"}
    # One proxy switches at once: what it has begun before ends as it began.
    last = max(begun for begun, version in said if version == "one" and begun < end)
    first = min(begun for begun, version in said if version == "two")
    assert last - first < 0.3


def test_a_version_that_fails_its_check_is_seen_by_nobody(
    site: Hosted, versions: dict[str, str]
) -> None:
    bad = site.upload(probe("three", index__php="<?php http_response_code(503); echo 'Oh, no';"))

    def enable() -> None:
        said = site.refused(f"enable_code {bad}", "503")
        assert "Oh, no" in said
        assert versions["one"] in said or "stays" in said

    under_load(site, enable)
    assert site.active == versions["one"]
    assert site.settle() == "RUNNING"


@pytest.mark.parametrize(
    "role", ["backend", *(pytest.param(each, marks=pytest.mark.long) for each in ("web", "proxy"))]
)
@pytest.mark.usefixtures("versions")
def test_a_machine_that_dies_costs_at_most_what_was_in_flight_on_it(
    site: Hosted, role: str
) -> None:
    if not site.nodes("web") or len(site.nodes("proxy")) < 2:
        backends = "" if "backend" in site.roles() else " --backend 2"
        site.ok(f"add_nodes --web 2 --proxy 1{backends}")
    roles = site.roles()
    # The youngest: visitors come through the first proxy.
    lost = site.nodes(role)[-1]["agent_id"]

    with Load([site.url], PATHS, one_of("one"), patience=PATIENCE + 5) as load:
        load.go_on(20)
        death = Death(time.monotonic(), PATIENCE)
        site.kill(lost)
        site.wait_for_others(lost, roles)
        told = time.monotonic()
        load.go_on(40)
    load.none_failed([death])
    late = [one for one in load.asked if one.begun > death.at + 5 and one.ended - one.begun > 1]
    # As long as the proxies are not told, each tries the lost machine again every five seconds:
    # that costs one request a second, and on a busy machine a little more.
    lost_time = [one for one in late if one.begun > told or one.ended - one.begun > 3]
    assert not lost_time, "\n".join(str(one) for one in lost_time)
    if role == "backend":
        assert len(site.names()) == 2
    site.nutshell.no_leaks()


# -- sessions -----------------------------------------------------------------------------------


def count(site: Hosted, url: str, cookie: str, times: int, at_once: int = 8) -> list[str]:
    """Ask for the counter so often with one cookie; return what was answered."""

    def some(number: int) -> list[str]:
        connection = Connection(url, 60, {"Cookie": cookie})
        answers = [connection.get("/count.php") for _ in range(times // at_once)]
        connection.close()
        assert {status for status, _ in answers} == {200}, answers
        return [body for _, body in answers]

    with ThreadPoolExecutor(at_once) as pool:
        return [body for bodies in pool.map(some, range(at_once)) for body in bodies]


def test_a_session_counted_200_times_at_once_over_two_backends_is_at_200(site: Hosted) -> None:
    assert len(site.nodes("backend")) == 2
    cookie = session(site)
    answers = count(site, site.url, cookie, 200)
    assert sorted(int(body.split()[0]) for body in answers) == list(range(2, 202))
    assert len({node_of(body) for body in answers}) == 2


def session(site: Hosted) -> str:
    """Begin a session and return its cookie."""
    connection = http.client.HTTPConnection(urlsplit(site.url).netloc, timeout=30)
    connection.request("GET", "/count.php")
    answer = connection.getresponse()
    assert answer.read().startswith(b"1 on ")
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    connection.close()
    return cookie


def test_sessions_survive_adding_moving_and_removing_nodes_and_the_death_of_the_proxy(
    site: Hosted,
) -> None:
    cookie, url = session(site), site.url

    def next_count() -> int:
        (body,) = count(site, url, cookie, 1, 1)
        return int(body.split()[0])

    site.ok("add_nodes --backend 1")
    assert next_count() == 2
    site.ok("remove_nodes --backend 2")
    assert next_count() == 3
    rest = {role: len([n for n in site.nodes() if n["role"] == role]) for role in ("proxy", "web")}
    site.ok(f"remove_nodes --backend 1 --web {rest['web']} --proxy {rest['proxy'] - 1}")
    assert site.roles() == ["proxy, web, backend"]
    assert next_count() == 4

    (only,) = site.nodes()
    site.kill(only["agent_id"])
    site.wait_for_others(only["agent_id"], ["proxy, web, backend"])
    assert site.address() == url, "the local cloud keeps addresses"
    assert next_count() == 5
    wait_for("the code on it", lambda: site.get()[0] == 200)
    site.nutshell.no_leaks()

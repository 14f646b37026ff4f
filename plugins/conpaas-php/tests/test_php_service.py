"""The PHP service as its users see it, from director to agents, with its real software."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from conpaas.errors import AgentError, InvalidError
from conpaas.plugins import Plugins
from conpaas.rpc import Upload
from conpaas.state import State
from conpaas.testing import Cluster
from conpaas.testing.loopback import loopback_network
from conpaas_php.testing import Answer, archive, ask

ECHO = "<?= getenv('COLOUR'), '|', ini_get('memory_limit'), '|', date_default_timezone_get();"
COUNT = "<?php session_start(); $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0); echo $_SESSION['n'];"
BROKEN = "<?php echo 'before'; no_such_function();"


class Php:
    """A PHP service on a cluster, and short ways to use it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.aid = cluster.application()
        self.user: Any = cluster.service("php", self.aid)

    def run(self, job: Any) -> Any:
        return self.cluster.run(job)

    def upload(self, **files: str) -> str:
        named = {name.replace("_", "."): text for name, text in files.items()}
        content = archive(named).stream.read()
        upload = Upload(io.BytesIO(content), "code.tar", len(content))
        return str(self.user.upload_code(filename=upload).codeVersionId)

    def enable(self, version: str) -> None:
        self.run(self.user.enable_code(code_version=version))

    def start(self, **files: str) -> None:
        if files:
            self.enable(self.upload(**files))
        self.run(self.user.start())

    def get(self, path: str = "/", headers: dict[str, str] | None = None) -> Answer:
        host = self.user.get_address().url.removeprefix("http://").rstrip("/")
        return ask(host, path, headers=headers or {})

    def words_of_backend(self, node: str, path: str = "/") -> str:
        """Return what a node's backend says of the active version; no proxy of it is asked.

        On one machine the trees of nodes lie at different places, which proxies cannot know.
        """
        agents = {h.agent.place.node: h.agent for h in self.cluster.agents(self.aid, 1)}
        version = next(c.codeVersionId for c in self.user.list_codes() if c.current == "*")
        return "\n".join(agents[node].check_code(version, path, True).lines)

    @property
    def state(self) -> State:
        return self.cluster.state(self.aid, 1)


@pytest.fixture
def php() -> Iterator[Php]:
    with Cluster(Plugins.installed(only=["php"]), subnet=loopback_network()) as cluster:
        yield Php(cluster)


def test_a_new_service_shows_the_welcome_page_at_its_address(php: Php) -> None:
    php.start()
    page = php.get()
    assert page.status == 200
    assert "Welcome to ConPaaS!" in page.text
    assert "PHP 8.2" in page.text


def test_versions_are_switched_and_rolled_back(php: Php) -> None:
    php.start(index_php="<?php echo 'one';", style_css="a{}")
    assert (php.get().text, php.get("/style.css").text) == ("one", "a{}")
    first = next(c.codeVersionId for c in php.user.list_codes() if c.current == "*")
    php.enable(php.upload(index_php="<?php echo 'two';"))
    assert (php.get().text, php.get("/style.css").text) == ("two", "two")  # permalinks
    php.enable(first)
    assert (php.get().text, php.get("/style.css").text) == ("one", "a{}")
    php.run(php.user.set_web_config(permalinks="off"))
    assert php.get("/no/such/page").status == 404


def test_code_that_fails_is_never_shown_and_its_first_lines_are_told(php: Php) -> None:
    php.start(index_php="<?php echo 'good';")
    php.run(php.user.debug(mode="on"))
    with pytest.raises(AgentError) as failure:
        php.enable(php.upload(index_php="<?php http_response_code(500); echo 'out of order';"))
    told = str(failure.value)
    assert "on node-2 " in told
    assert "/ was answered with 500 (below 500 is expected); it begins with:" in told
    assert "out of order" in told
    assert (php.get().text, php.state) == ("good", State.RUNNING)


def test_settings_variables_and_debug_mode_reach_the_code(php: Php) -> None:
    php.run(php.user.set_php_config(memory_limit="64M"))
    php.start(index_php=ECHO, broken_php=BROKEN)
    assert php.get().text == "|64M|UTC"
    php.run(php.user.set_php_config(memory_limit="96m", date_timezone="Europe/Rome"))
    value = 'blue "sky" $x\nüber'
    php.run(php.user.set_env(name="COLOUR", value=value))
    assert php.get().text == f"{value}|96M|Europe/Rome"
    assert "no_such_function" not in php.get("/broken.php").text
    done = php.run(php.user.debug(mode="on"))
    assert done.debug_mode == "On"
    assert "no_such_function" in php.get("/broken.php").text
    assert php.user.get_php_config().display_errors == "on"
    php.run(php.user.debug(mode="off"))
    assert "no_such_function" not in php.get("/broken.php").text
    for name in ("PHP_VALUE", "PHP_ADMIN_VALUE", "PHPRC", "PHP_AUTH_USER", "FPM_ANYTHING"):
        with pytest.raises(InvalidError, match=f"PHP itself uses the name {name}"):
            php.user.set_env(name=name, value="x")
    with pytest.raises(InvalidError, match="lots"):
        php.user.set_php_config(memory_limit="lots")
    assert php.user.get_php_config().memory_limit == "96M"


def test_a_body_over_the_limit_is_refused_by_the_proxy_and_the_limit_follows(php: Php) -> None:
    php.start(index_php="<?php echo strlen(file_get_contents('php://input'));")
    host = php.user.get_address().url.removeprefix("http://").rstrip("/")
    body = b"x" * (9 << 20)
    assert ask(host, "/", "POST", body).status == 413
    php.run(php.user.set_php_config(post_max_size="10M"))
    assert ask(host, "/", "POST", body).text == str(9 << 20)


def test_sessions_outlive_the_moves_of_the_backend_and_a_kill_of_the_manager(php: Php) -> None:
    php.start(index_php=COUNT)
    cookie = {"Cookie": "PHPSESSID=abcdefghijklmnopqrstuvwxyz"}
    assert [php.get(headers=cookie).text for _ in range(3)] == ["1", "2", "3"]
    php.run(php.user.add_nodes(nodes={"backend": 1}))
    assert php.words_of_backend("node-3").endswith("1")  # another visitor
    php.run(php.user.remove_nodes(nodes={"backend": 1}))
    php.cluster.restart(next(m for m in php.cluster.machines.values() if m.manager))
    assert php.get(headers=cookie).text == "4"
    php.run(php.user.stop())
    php.run(php.user.start())
    assert php.get(headers=cookie).text == "5"


def test_a_separate_backend_runs_the_code_as_it_is_set(php: Php) -> None:
    php.start(index_php=ECHO)
    php.run(php.user.set_env(name="COLOUR", value="blue"))
    php.run(php.user.add_nodes(nodes={"backend": 1, "web": 1}))
    assert "blue|128M|UTC" in php.words_of_backend("node-3")
    php.run(php.user.set_php_config(memory_limit="64M"))
    assert "blue|64M|UTC" in php.words_of_backend("node-3")
    roles = {node.agent_id: node.role for node in php.user.list_nodes()}
    assert roles == {"node-2": "proxy", "node-3": "backend", "node-4": "web"}


def test_kept_directories_outlive_versions(php: Php) -> None:
    write = "<?php file_put_contents('data/note', 'kept'); echo 'written';"
    read = "<?php echo file_exists('data/note') ? file_get_contents('data/note') : 'nothing';"
    php.start(**{"index_php": write, "data/readme": "x"})
    assert php.get().text == "written"
    php.run(php.user.set_web_config(kept_directories="data"))
    php.enable(php.upload(**{"index_php": read, "data/readme": "x"}))
    assert php.get().text == "kept"
    php.run(php.user.add_nodes(nodes={"backend": 1}))
    assert php.words_of_backend("node-3").endswith("kept")


def test_the_lost_only_node_is_replaced_at_the_same_address_with_everything(php: Php) -> None:
    php.start(index_php=COUNT)
    cookie = {"Cookie": "PHPSESSID=abcdefghijklmnopqrstuvwxyz"}
    php.get(headers=cookie)
    before = php.user.get_address().url
    php.cluster.provider.vanish("m-2")
    php.cluster.look()
    php.cluster.wait(lambda: [n.state for n in php.user.list_nodes()] == ["ready"], 30)
    php.cluster.wait(lambda: php.state is State.RUNNING, 30)
    assert php.user.get_address().url == before
    assert php.get(headers=cookie).text == "2"


def test_charts_tell_of_requests_workers_and_machines(php: Php) -> None:
    php.start()
    for _ in range(2):
        php.get()
        php.cluster.sample()
    charts = {row.chart for row in php.user.get_metrics()}
    assert {"Requests", "Errors", "Response time", "PHP workers", "Memory"} <= charts

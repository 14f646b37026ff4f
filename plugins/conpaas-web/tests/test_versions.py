"""Versions, settings and variables of a web service: what is refused leaves all as it was."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from conpaas.errors import AgentError, InvalidError
from conpaas.features.code.packing import packed
from conpaas.state import State


def versions(stage: Any) -> list[str]:
    """Return what each proxy was told to serve, in order."""
    return [how["version"] for _, what, how in stage.events if what == "run_proxy"]


# -- enabling -------------------------------------------------------------------------------------


def test_a_version_is_everywhere_and_tried_before_a_proxy_hears_of_it(
    theatre: Any, stage: Any
) -> None:
    theatre.start(backend=2, web=1)
    version = theatre.upload()
    stage.events.clear()
    theatre.enable(version)
    order = [what for _, what, _ in stage.events]
    assert order.index("run_proxy") > max(i for i, w in enumerate(order) if w == "check_code")
    # All are asked at once: which answers first is nobody's business.
    assert sorted((who, how) for who, what, how in stage.events if what == "check_code") == [
        ("198.18.0.4", (version, "/", True)),
        ("198.18.0.5", (version, "/", True)),
    ]
    assert versions(stage) == [version]


def test_a_version_that_fails_its_check_is_never_shown_and_the_job_says_why(
    theatre: Any, stage: Any
) -> None:
    theatre.start(backend=2)
    theatre.run(theatre.user.set_env(name="KEY", value="dont tell", secret=True))
    bad = theatre.upload(**{"index.html": "", "status": "500\nPHP Fatal error\nfor dont tell"})
    stage.events.clear()
    with pytest.raises(AgentError) as failure:
        theatre.enable(bad)
    theatre.idle()
    assert str(failure.value) == (
        f"{bad} is not enabled, code-default stays: on node-3 (198.18.0.4) / was answered with "
        "500 (below 500 is expected); it begins with:\nPHP Fatal error\nfor (secret)\n"
        "on node-4 (198.18.0.5) / was answered with 500 (below 500 is expected); it begins "
        "with:\nPHP Fatal error\nfor (secret)"
    )
    assert bad not in versions(stage)
    assert (theatre.state, theatre.active) == (State.RUNNING, "code-default")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("0\nno answer within 30 s", "/ was not answered: no answer within 30 s$"),
        ("503", "with 503 .* and said nothing"),
    ],
)
def test_no_answer_is_told_too(theatre: Any, answer: str, words: str) -> None:
    theatre.start()
    with pytest.raises(AgentError, match=words):
        theatre.enable(theatre.upload(**{"index.html": "", "status": answer}))


def test_what_is_expected_can_be_set(theatre: Any, stage: Any) -> None:
    theatre.start()
    version = theatre.upload(**{"index.html": "", "status": "404\nnot here"})
    theatre.enable(version)
    theatre.enable("code-default")
    theatre.run(theatre.user.set_web_config(health_path="/up?full=1", health_status=200))
    with pytest.raises(AgentError, match=r"/up\?full=1 was answered with 404 \(200 is expected\)"):
        theatre.enable(version)
    theatre.run(theatre.user.set_web_config(health_status=0, permalinks="off"))
    theatre.enable(version)
    checks = [how for _, what, how in stage.events if what == "check_code"]
    assert checks[-1] == (version, "/up?full=1", False)


def test_a_start_is_not_gated_so_that_broken_code_can_be_mended(theatre: Any) -> None:
    bad = theatre.upload(**{"index.html": "", "status": "500"})
    theatre.enable(bad)
    theatre.start()
    assert (theatre.state, theatre.active) == (State.RUNNING, bad)


def test_a_proxy_that_refuses_takes_all_back(theatre: Any, stage: Any) -> None:
    theatre.start(proxy=1, web=1, backend=1)
    version = theatre.upload()
    second = theatre.user.get_address().others[0].removeprefix("http://").rstrip("/")
    stage.failing[second, "run_proxy"] = "nginx does not want it"
    with pytest.raises(AgentError, match="nginx does not want it"):
        theatre.enable(version)
    stage.failing.clear()
    theatre.cluster.look()
    theatre.idle()
    assert theatre.active == "code-default"
    serving = {agent.parts["proxy"]["version"] for agent in theatre.agents().values()
               if "proxy" in agent.parts}  # fmt: skip
    assert serving == {"code-default"}


def test_nodes_keep_the_two_versions_before(theatre: Any) -> None:
    theatre.start()
    uploaded = [theatre.upload() for _ in range(3)]
    for version in uploaded:
        theatre.enable(version)
    (agent,) = theatre.agents().values()
    assert agent.list_code() == sorted(uploaded)
    theatre.enable(uploaded[1])
    assert agent.list_code() == sorted(uploaded)
    theatre.user.delete_code(code_version=uploaded[2])
    with pytest.raises(InvalidError, match="active"):
        theatre.user.delete_code(code_version=uploaded[1])


def test_an_archive_without_an_index_is_told(theatre: Any) -> None:
    from io import BytesIO

    from conpaas.rpc import Upload

    def note(*names: str, **more: Any) -> str:
        content = packed(dict.fromkeys(names, "x"))
        upload = Upload(BytesIO(content), "a.tar", len(content))
        return str(theatre.user.upload_code(filename=upload, **more).note)

    assert note("index.html", "a") == ""
    assert note("a", "b") == "There is no index.html at its top: what answers for / ?"
    assert note("app/index.html", "app/b").startswith("All files are in the directory 'app/'")
    assert note("app/index.html", "app/b", strip=True) == ""
    assert note("app/a", "app/b", strip=True).startswith("There is no index.html")


# -- settings and variables -----------------------------------------------------------------------


def test_settings_are_told_to_all_and_kept_while_it_is_stopped(theatre: Any) -> None:
    theatre.run(theatre.user.set_web_config(permalinks="off"))
    assert theatre.state is State.INIT
    theatre.start(web=1)
    theatre.run(theatre.user.set_web_config(kept_directories="data/, conf ,data"))
    theatre.run(theatre.user.set_web_config(private_directories="conf"))
    agents = theatre.agents()
    assert agents["node-2"].parts["proxy"]["private"] == ["conf"]
    assert agents["node-2"].parts["proxy"]["permalinks"] is False
    assert agents["node-3"].parts["web"]["permalinks"] is False
    assert agents["node-3"].store["directories"] == ["conf", "data"]
    config = theatre.user.get_web_config()
    assert (config.permalinks, config.kept_directories) == ("off", "conf,data")
    assert config.private_directories == "conf"
    assert (config.health_path, config.health_status) == ("/", 0)


def test_settings_that_a_node_refuses_stay_as_they_were(theatre: Any, stage: Any) -> None:
    theatre.start(web=1)
    before = theatre.user.get_web_config()
    stage.failing["198.18.0.4", "run_web"] = "no"
    with pytest.raises(AgentError, match=r"node-3 \(198\.18\.0\.4\): no"):
        theatre.run(theatre.user.set_web_config(permalinks="off"))
    stage.failing.clear()
    assert theatre.user.get_web_config() == before
    theatre.cluster.look()
    theatre.idle()
    assert theatre.agents()["node-2"].parts["proxy"]["permalinks"] is True
    assert theatre.agents()["node-3"].parts["web"]["permalinks"] is True


MEANS_NOTHING: list[dict[str, Any]] = [
    {},
    {"health_path": "health"},
    {"health_path": "/a b"},
    {"health_path": "/a\nX: y"},
    {"health_path": ""},
    {"health_status": 99},
    {"health_status": 600},
    {"health_status": -1},
    {"kept_directories": "../etc"},
    {"kept_directories": "/etc"},
    {"kept_directories": "a/../b"},
    {"kept_directories": ".git"},
    {"kept_directories": "a\n"},
    {"kept_directories": "a;b"},
    {"private_directories": "../etc"},
    {"kept_directories": "data,data/media"},
    {"kept_directories": ",".join(f"d{n}" for n in range(21))},
    {"permalinks": "maybe"},
]


def test_settings_that_mean_nothing_are_refused(theatre: Any) -> None:
    for wrong in MEANS_NOTHING:
        with pytest.raises(InvalidError):
            theatre.user.set_web_config(**wrong)


def test_backends_see_variables_and_learn_of_what_others_publish(theatre: Any) -> None:
    theatre.start(backend=1)
    theatre.run(theatre.user.set_env(name="COLOUR", value="blue"))
    backend = theatre.agents()["node-3"]
    assert backend.parts["backend"]["environment"] == {
        "CONPAAS_APPLICATION": "1",
        "CONPAAS_SERVICE": "1",
        "COLOUR": "blue",
    }
    theatre.cluster.service("rehearsal", theatre.aid)
    theatre.manager.host(2).manager.publish({"MYSQL_HOST": "10.0.0.9"})
    theatre.cluster.look()
    theatre.cluster.wait(
        lambda: backend.parts["backend"]["environment"].get("MYSQL_HOST") == "10.0.0.9"
    )


def test_a_store_of_sessions_that_is_gone_is_started_again(theatre: Any) -> None:
    theatre.start()
    store = theatre.manager.host(1).store
    password = store["sessions_password"]
    store["sessions_run"] = False
    theatre.cluster.look()
    theatre.cluster.wait(lambda: store["sessions_run"])
    theatre.idle()
    (agent,) = theatre.agents().values()
    assert agent.parts["backend"]["sessions"] == {
        "address": "198.18.0.2", "port": 6401, "password": password,
    }  # fmt: skip


# -- kept directories -----------------------------------------------------------------------------


def kept(theatre: Any) -> dict[str, dict[str, Any]]:
    return {node: agent.kept for node, agent in theatre.agents().items()}


def test_what_is_kept_goes_with_the_backend(theatre: Any, stage: Any) -> None:
    theatre.start()
    theatre.run(theatre.user.set_web_config(kept_directories="data"))
    first = theatre.agents()["node-2"]
    first.write("page", "one", 1)
    late: list[int] = []

    def write_late(number: int) -> None:
        who, what, _ = stage.events[number - 1]
        if what == "leave_part" and not late:
            late.append(number)
            stage.agents[who].write("page", "two", 2)

    stage.before = write_late
    theatre.add(backend=1)
    assert kept(theatre)["node-3"] == {"page": [2, "two"]}
    late.clear()
    theatre.agents()["node-3"].write("other", "three", 3)
    theatre.remove(backend=1)
    assert kept(theatre)["node-2"] == {"page": [2, "two"], "other": [3, "three"]}


def test_what_was_deleted_does_not_come_back_with_the_backend(theatre: Any, stage: Any) -> None:
    theatre.start()
    theatre.run(theatre.user.set_web_config(kept_directories="data"))
    theatre.agents()["node-2"].write("page", "one", 1)
    theatre.add(backend=1)
    theatre.agents()["node-3"].store["files"] = {"other": [2, "two"]}
    stage.events.clear()
    theatre.remove(backend=1)
    assert kept(theatre)["node-2"] == {"other": [2, "two"]}
    assert [how for _, what, how in stage.events if what == "unpack_kept"] == [True, False]


def test_new_backends_and_web_nodes_get_what_the_first_backend_keeps(theatre: Any) -> None:
    theatre.run(theatre.user.set_web_config(kept_directories="data"))
    theatre.start(backend=1)
    theatre.agents()["node-3"].write("page", "one", 1)
    theatre.add(backend=1, web=1)
    assert kept(theatre) == {
        "node-2": {},
        "node-3": {"page": [1, "one"]},
        "node-4": {"page": [1, "one"]},
        "node-5": {"page": [1, "one"]},
    }


def test_what_is_kept_survives_a_manager_that_is_killed_on_the_way(theatre: Any) -> None:
    theatre.start()
    theatre.run(theatre.user.set_web_config(kept_directories="data"))
    for step in itertools.count(1):
        was_killed = False
        for change in (lambda: theatre.add(backend=1), lambda: theatre.remove(backend=1)):
            (backend,) = [a for a in theatre.agents().values() if "backend" in a.parts]
            backend.write(f"page-{step}", "one", 1)
            was_killed |= theatre.is_killed(change, step)
            (backend,) = [a for a in theatre.agents().values() if "backend" in a.parts]
            assert sorted(backend.kept) == sorted(f"page-{n}" for n in range(1, step + 1))
        if not was_killed:
            assert step > 4
            break

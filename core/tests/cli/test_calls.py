"""A command line becomes a call, and its answer what is printed and the exit code."""

import pytest

APPLICATION = {"aid": 1, "name": "x", "manager": None, "cloud": None, "status": "INIT"}
SERVICES = [
    {"aid": 1, "sid": 4, "type": "bakery", "name": "Shop", "status": "RUNNING"},
    {"aid": 1, "sid": 5, "type": "other", "name": "Else", "status": "RUNNING"},
]


def test_an_operation_of_the_director_is_called_by_object_and_name(
    cps, configured, director, capsys
):
    director.answers["/application/create"] = APPLICATION
    assert cps("cps-tools", "application", "create", "First app") == 0
    assert capsys.readouterr().out == "Application 'x' created with id 1.\n"
    (request,) = director.requests
    assert (request.method, request.path) == ("POST", "/api/v1/application/create")
    assert request.json == {"name": "First app"}
    assert request.headers["Authorization"] == "Bearer t0ken"
    assert request.headers["Content-Type"] == "application/json"


def test_a_script_of_an_object_is_the_same_program(cps, configured, director, capsys):
    director.answers["/application/create"] = APPLICATION
    assert cps("/usr/bin/cps-application", "create", "x") == 0
    assert capsys.readouterr().out == "Application 'x' created with id 1.\n"


def test_an_operation_of_a_service_is_called_by_application_and_service(cps, configured, director):
    director.answers["/applications/My%20app%2F/services/4/bake"] = {"number": 1}
    assert cps("cps-bakery", "bake", "My app/", "4", "pie", "2", "rye", "no") == 0
    assert director.requests[0].json == {
        "name": "pie",
        "weight": 2.0,
        "flour": "rye",
        "warm": False,
    }


def test_the_counts_of_nodes_are_one_argument(cps, configured, director):
    director.answers["/applications/1/services/1/add_nodes"] = []
    assert cps("cps-bakery", "add_nodes", "1", "1") == 0
    assert cps("cps-bakery", "add_nodes", "1", "1", "--counter", "2", "--cloud", "c") == 0
    assert cps("cps-tools", "service", "add-nodes", "1", "1", "--count", "1") == 0
    assert [request.json for request in director.requests] == [
        {"nodes": {}},
        {"nodes": {"counter": 2}, "cloud": "c"},
        {"nodes": {"count": 1}},
    ]


def test_a_type_adds_and_lists_its_own(cps, configured, director, capsys):
    director.answers["/service/add"] = SERVICES[0]
    director.answers["/service/list"] = SERVICES[:1]
    director.answers["/service/get_types"] = [
        {"type": name, "title": name, "summary": ""} for name in ("bakery", "other")
    ]
    assert cps("cps-bakery", "add", "1") == 0
    assert cps("cps-bakery", "list") == 0
    assert cps("cps-bakery", "get_types") == 0
    assert [request.json for request in director.requests] == [
        {"service_type": "bakery", "application": 1},
        {"service_type": "bakery"},
        {},
    ]
    out = capsys.readouterr().out
    assert "Service bakery successfully added to application 1 with id 4." in out
    assert "other" not in out


def test_the_only_service_that_fits_need_not_be_named(cps, configured, director, capsys):
    director.answers["/service/list"] = SERVICES
    director.answers["/applications/1/services/4/eat"] = None
    assert cps("cps-bakery", "eat", "1", "pie") == 0
    assert director.requests[0].json == {"application": 1}
    assert director.requests[1].json == {"name": "pie"}
    captured = capsys.readouterr()
    assert captured.err == "Service 4 is the only one that fits.\n"
    assert captured.out == "Cake pie eaten.\n"


def test_who_only_asks_is_not_told_that_the_service_is_the_only_one(
    cps, configured, director, capsys
):
    director.answers["/service/list"] = SERVICES
    director.answers["/applications/1/services/4/list_keys"] = ["one"]
    assert cps("cps-bakery", "list_keys", "1") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "one" in captured.out


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("pieces must be at least 1, not 0", "--pieces must be at least 1, not 0"),
        ("pieces: expected int, got str", "--pieces: expected int, got str"),
        ("name must have at least 1 character, not 0", "name must have at least 1 character, not"),
        ("piecesome is not a word", "piecesome is not a word"),
    ],
)
def test_what_is_wrong_with_an_option_is_told_by_the_name_that_was_typed(
    cps, configured, director, capsys, told, shown
):
    path = "/applications/1/services/4/bake"
    director.refuse(path, 400, "invalid", told)
    assert cps("cps-bakery", "bake", "1", "4", "pie", "2", "rye", "no", "--pieces", "0") == 1
    assert f"ERROR: {shown}" in capsys.readouterr().err


def test_the_only_service_is_looked_for_at_the_director_that_is_named_behind_the_command(
    cps, configured, director, tmp_path
):
    director.answers["/service/list"] = SERVICES
    director.answers["/applications/1/services/4/eat"] = None
    own = configured / ".conpaas/cps-tools.conf"
    other = tmp_path / "other.conf"
    other.write_text(own.read_text())
    own.write_text("[cps-tools]\ndirector_url = https://127.0.0.1:1\ntoken = t0ken\n")
    assert cps("cps-bakery", "eat", "1", "pie", "--conf-file", str(other)) == 0
    assert len(director.requests) == 2
    assert cps("cps-bakery", "eat", "1", "pie") != 0
    assert len(director.requests) == 2


@pytest.mark.parametrize("service", ["4", "Shop"])
def test_a_service_that_is_named_is_not_taken_for_an_argument(
    cps, configured, director, capsys, service
):
    director.answers["/service/list"] = SERVICES
    assert cps("cps-bakery", "eat", "1", service) == 2
    assert "the argument <name> is missing" in capsys.readouterr().err
    assert len(director.requests) == 1


def test_which_of_several_services_must_be_said(cps, configured, director, capsys):
    director.answers["/service/list"] = [*SERVICES, {**SERVICES[0], "sid": 6, "name": "New"}]
    assert cps("cps-bakery", "eat", "1", "pie") == 1
    assert "say which service of application 1: there are 4 (Shop), 6 (New)" in (
        capsys.readouterr().err
    )


TWO = [{**SERVICES[0], "sid": 4}, {**SERVICES[0], "sid": 6, "name": "New"}]


def test_the_service_that_has_the_node_need_not_be_named(cps, configured, director, capsys):
    director.answers["/service/list"] = TWO
    director.answers["/applications/1/services/4/list_nodes"] = [{"agent_id": "node-2"}]
    director.answers["/applications/1/services/6/list_nodes"] = [{"agent_id": "node-3"}]
    director.answers["/applications/1/services/6/get_agent_log"] = "all is well"
    assert cps("cps-bakery", "get_agent_log", "1", "node-3") == 0
    captured = capsys.readouterr()
    assert captured.err == "Service 6 has node-3.\n"
    assert captured.out == "all is well\n"


def test_a_node_that_no_service_has_does_not_tell_which_is_meant(
    cps, configured, director, capsys
):
    director.answers["/service/list"] = TWO
    director.answers["/applications/1/services/4/list_nodes"] = []
    # The other service does not know the operation.
    assert cps("cps-bakery", "get_agent_log", "1", "node-3") == 1
    assert "say which service of application 1: there are 4" in capsys.readouterr().err


def test_an_error_of_the_system_is_told_and_exits_with_1(cps, configured, director, capsys):
    director.refuse("/application/list", 403, "denied", "you may not, \x1b[31mreally")
    assert cps("cps-tools", "application", "list") == 1
    assert capsys.readouterr() == ("", "ERROR: you may not, \\x1b[31mreally\n")


def test_an_error_is_not_announced_twice(cps, configured, director, capsys):
    director.refuse("/application/list", 500, "internal", "ERROR: number 12")
    assert cps("cps-tools", "application", "list") == 1
    assert capsys.readouterr().err == "ERROR: number 12\n"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((502, b"<html>Bad gateway</html>"), "502 Bad Gateway: the director is not running"),
        ((200, b"<html>Welcome</html>"), "200 OK and nothing that a director says"),
        ((200, b"[]"), "200 OK and nothing that a director says"),
        ((202, {"job": 1}), "202 Accepted and nothing that a director says"),
        ((500, {"error": "no"}), "500 Internal Server Error and nothing that a director says"),
    ],
)
def test_what_no_director_says_is_told_as_such(cps, configured, director, capsys, answer, told):
    director.answers["/application/list"] = lambda request: answer
    assert cps("cps-tools", "application", "list") == 1
    assert told in capsys.readouterr().err


def test_a_director_that_is_not_there_is_told_with_its_address(cps, configured, director, capsys):
    director.close()
    assert cps("cps-tools", "application", "list") == 1
    assert f"the director at https://{director.address} does not answer: Connection refused" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["aplication"], "there is no object 'aplication'; did you mean 'application'?"),
        (["application", "lsit"], "there is no operation 'lsit'; did you mean 'list'?"),
        (["application", "list", "--fromat", "json"], "did you mean '--format'?"),
        (["application", "create"], "the argument <appl_name> is missing"),
        (["--conf_file"], "the option --conf_file needs a value"),
    ],
)
def test_wrong_usage_exits_with_2_and_names_the_nearest(
    cps, configured, director, capsys, words, told
):
    assert cps("cps-tools", *words) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert (captured.out, director.requests) == ("", [])


def test_the_usage_of_the_command_is_shown_with_what_is_wrong(cps, configured, capsys):
    cps("cps-tools", "application", "create")
    first = capsys.readouterr().err.splitlines()[0]
    assert first == "Usage: cps-tools application create <appl_name> [options]"


def test_debugging_shows_requests_and_tracebacks(cps, configured, director, capsys):
    director.refuse("/application/list", 403, "denied", "no")
    assert cps("cps-tools", "application", "list", "-d") == 1
    err = capsys.readouterr().err
    assert f"DEBUG POST https://{director.address}/api/v1/application/list → 403" in err
    assert "Traceback" in err
    assert "t0ken" not in err


def test_a_hand_written_command_runs_with_the_director_at_hand(cps, configured, director, capsys):
    director.answers["/application/list"] = [APPLICATION, APPLICATION]
    assert cps("cps-tools", "bakery", "taste", "pie", "--twice") == 0
    assert capsys.readouterr().out == "pie for 2. Again.\n"
    assert cps("cps-bakery", "taste", "mouldy", "-d") == 1
    assert cps("cps-bakery", "taste") == 2
    assert "the following arguments are required: cake" in capsys.readouterr().err
    assert cps("cps-bakery", "taste", "--help") == 0
    assert "Once more" in capsys.readouterr().out


def test_a_character_that_the_terminal_cannot_show_is_no_defect(installed, configured, director):
    director.answers["/application/list"] = [{"aid": 1, "name": "蛋糕"}]
    ran = installed("cps-application", "list", "-c", "name", env={"PYTHONIOENCODING": "latin-1"})
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "\\u86cb\\u7cd5" in ran.stdout


def test_a_defect_of_ours_is_told_in_a_line(cps, configured, director, capsys):
    director.answers["/application/start"] = lambda request: (
        202,
        {"job": 1, "watch": "/api/v1/x"},
    )
    director.answers["/x"] = "no report"
    assert cps("cps-application", "start", "1") == 1
    err = capsys.readouterr().err
    assert err.startswith("ERROR: this is a defect: AttributeError")
    assert err.count("\n") == 1


def test_what_the_director_has_to_tell_is_a_warning_beside_the_answer(
    cps, configured, director, capsys
):
    notice = "You%20have%203%20credits%20left%3A%20gr%C3%BC%C3%9Fe.%0ATwo%1B%5B2J"
    director.answers["/application/create"] = lambda request: (
        200,
        ({"result": APPLICATION}, {"X-Conpaas-Notice": notice}),
    )
    assert cps("cps-tools", "application", "create", "x") == 0
    told = capsys.readouterr()
    assert told.out == "Application 'x' created with id 1.\n"
    assert told.err == "WARNING: You have 3 credits left: grüße.\nWARNING: Two\\x1b[2J\n"


def starting(director, path, begun, times):
    """Have the front of a director that is starting answer some times."""
    error = {"code": "unreachable", "message": "starting", "detail": {"begun": begun}}
    left = [begun] * times

    def answer(request):
        return (503, {"error": error}) if left and left.pop() else (200, {"result": []})

    director.answers[path] = answer
    # That front begins anew too.
    director.abrupt.add(path)


@pytest.mark.parametrize(
    ("words", "begun", "waits"),
    [
        (("eat", "1", "1", "pie"), "no", True),
        (("eat", "1", "1", "pie"), "yes", False),
        (("list_cakes", "1", "1"), "yes", True),
        (("list_cakes", "1", "1"), "no", True),
    ],
)
def test_a_director_that_is_starting_is_waited_for_where_nothing_can_happen_twice(
    cps, configured, director, capsys, monkeypatch, words, begun, waits
):
    monkeypatch.setattr("conpaas.cli.call.PAUSE", 0.01)
    starting(director, f"/applications/1/services/1/{words[0]}", begun, 2)
    assert cps("cps-bakery", *words) == (0 if waits else 1)
    assert len(director.requests) == (3 if waits else 1)
    assert capsys.readouterr().err.count("waiting for it") == waits


def test_a_director_that_does_not_come_back_is_waited_for_in_vain(
    cps, configured, director, capsys, monkeypatch
):
    monkeypatch.setattr("conpaas.cli.call.PAUSE", 0.01)
    monkeypatch.setattr("conpaas.cli.call.PATIENCE", 0.1)
    starting(director, "/applications/1/services/1/eat", "no", 10_000)
    assert cps("cps-bakery", "eat", "1", "1", "pie") == 1
    assert "ERROR: starting" in capsys.readouterr().err
    assert len(director.requests) > 1

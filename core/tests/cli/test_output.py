"""Results as people and other programs want them."""

import json

import pytest

from conpaas.cli.output import show

CAKES = [
    {"number": 1, "name": "pie", "note": None},
    {"number": 10, "name": "birthday cake", "note": "for \x1b[2Jyou\n"},
]
PATH = "/applications/1/services/1"


@pytest.fixture
def cakes(cps, configured, director, capsys):
    """Return what `list_cakes` prints."""
    director.answers[f"{PATH}/list_cakes"] = CAKES

    def cakes(*words):
        assert cps("cps-bakery", "list_cakes", "1", "1", *words) == 0
        return capsys.readouterr().out

    return cakes


def test_a_table_looks_as_in_the_manual_and_shows_control_characters_as_text(cakes):
    assert cakes().splitlines() == [
        "number name          note",
        "-" * 37,
        "     1 pie           None",
        "    10 birthday cake for \\x1b[2Jyou\\n",
    ]


def test_wide_characters_keep_the_columns_straight(cakes, director):
    director.answers[f"{PATH}/list_cakes"] = [
        {"number": 1, "name": "蛋糕", "note": "x"},
        {"number": 2, "name": "cake", "note": "y"},
        {"number": 3, "name": "na\u202eme", "note": "z"},
    ]
    assert cakes().splitlines()[2:] == [
        "     1 蛋糕       x",
        "     2 cake       y",
        "     3 na\\u202eme z",
    ]


def test_columns_are_chosen_and_unknown_ones_told_with_the_nearest(cakes, cps, capsys):
    assert cakes("-c", "name", "-c", "number").splitlines()[0] == "name          number"
    assert json.loads(cakes("-f", "json", "--column", "name")) == [
        {"name": "pie"},
        {"name": "birthday cake"},
    ]
    assert cps("cps-bakery", "list_cakes", "1", "1", "-c", "nmae") == 2
    assert "there is no column 'nmae'; did you mean 'name'?" in capsys.readouterr().err


def test_a_table_leaves_out_what_it_has_no_room_for_unless_it_is_asked_for(cakes, director):
    row = {"number": 1, "name": "pie", "note": None, "recipe": "long"}
    director.answers[f"{PATH}/list_cakes"] = [row]
    assert cakes().splitlines()[0] == "number name note"
    assert cakes("-c", "recipe").splitlines()[2:] == ["long"]
    assert json.loads(cakes("-f", "json")) == [row]
    assert cakes("-f", "csv").splitlines()[0] == "number,name,note,recipe"


def test_the_formats_of_other_programs_hold_exactly_the_result(cakes):
    assert json.loads(cakes("-f", "json")) == CAKES
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(cakes("--format", "yaml")) == CAKES
    assert cakes("-f", "value", "-c", "number", "-c", "name") == "1 pie\n10 birthday cake\n"
    assert cakes("-f", "csv", "-c", "number", "-c", "name") == (
        "number,name\n1,pie\n10,birthday cake\n"
    )


def test_an_empty_list_is_a_sentence_except_for_programs(cakes, director, cps, capsys):
    director.answers[f"{PATH}/list_cakes"] = []
    director.answers["/application/list"] = []
    director.answers["/service/list"] = []
    director.answers["/service/get_types"] = []
    assert cakes() == "No existing cakes.\n"
    assert cakes("-f", "json") == "[]\n"
    for script, operation, told in [
        ("cps-application", "list", "No existing applications.\n"),
        ("cps-service", "list", "No existing services.\n"),
        ("cps-bakery", "list", "No existing services.\n"),
        ("cps-bakery", "get_types", "No existing types.\n"),
    ]:
        assert cps(script, operation) == 0
        assert capsys.readouterr().out == told


def test_one_thing_is_shown_line_by_line_when_there_is_no_sentence(
    cps, configured, director, capsys
):
    director.answers["/user/get_config"] = {"uid": 1, "username": "ann", "admin": False}
    assert cps("cps-user", "get_config") == 0
    assert capsys.readouterr().out == (
        "uid: 1\nusername: ann\nfname: None\nlname: None\nemail: None\naffiliation: None\n"
        "admin: False\nstate: None\ncredit: None\ncreated: None\n"
    )


def test_texts_and_lists_of_texts_are_printed_as_they_are(cps, configured, director, capsys):
    director.answers[f"{PATH}/get_recipe"] = "flour\nwater"
    director.answers[f"{PATH}/list_keys"] = ["one", "two"]
    assert cps("cps-bakery", "get_recipe", "1", "1") == 0
    assert cps("cps-bakery", "list_keys", "1", "1") == 0
    assert capsys.readouterr().out == "flour\nwater\none\ntwo\n"


def test_a_note_follows_the_sentence_and_texts_in_a_record_stand_side_by_side(capsys):
    plain = {"where": {}, "columns": (), "times": (), "done": ""}
    uploaded = {"id": "code-a", "note": "All files are in 'app/'."}
    show({**plain, "done": "Version '{id}' uploaded."}, uploaded, {}, {})
    show({**plain, "done": "Version '{id}' uploaded."}, {**uploaded, "note": ""}, {}, {})
    show(plain, {"url": "http://x/", "others": ["http://y/", "http://z/"], "more": []}, {}, {})
    assert capsys.readouterr().out == (
        "Version 'code-a' uploaded.\nNote: All files are in 'app/'.\n"
        "Version 'code-a' uploaded.\n"
        "url: http://x/\nothers: http://y/, http://z/\nmore: \n"
    )


def test_the_times_of_jobs_are_readable(cps, configured, director, capsys, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    import time

    time.tzset()
    job = {"id": 3, "state": "done", "created": 1700000000.5, "finished": None, "percent": 100}
    director.answers["/job/list"] = [job]
    assert cps("cps-job", "list") == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == [
        "id",
        "target",
        "operation",
        "state",
        "percent",
        "message",
        "created",
    ]
    assert "2023-11-14 22:13:20" in out
    assert cps("cps-job", "list", "-f", "json") == 0
    assert json.loads(capsys.readouterr().out) == [job]

"""Configuration: read once, and what is wrong in it is told with file, section and key."""

import tomllib
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conpaas import config
from conpaas.errors import InvalidError


@dataclass(frozen=True)
class Server:
    name: str
    port: int = 80
    ratio: Annotated[float, "A share"] = 0.5
    debug: bool = False
    hosts: tuple[str, ...] = ()
    level: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1


@dataclass(frozen=True)
class Limits:
    nodes: int = 10


@dataclass(frozen=True)
class Whole:
    server: Server
    limits: Limits = field(default_factory=Limits)
    clouds: dict[str, dict[str, Any]] = field(default_factory=dict)


def parse(text, **environment):
    return config.parse(Whole, text, environment, "file.toml")


def test_what_is_not_said_has_its_default():
    assert parse("[server]\nname = 'x'") == Whole(Server("x"))


def test_everything_can_be_said():
    text = """
        [server]
        name = "x"
        port = 8080
        ratio = 1
        debug = true
        hosts = ["a", "b"]
        [limits]
        nodes = 3
        [clouds.one]
        driver = "memory"
    """
    whole = parse(text)
    assert whole.server == Server("x", 8080, 1.0, True, ("a", "b"))
    assert whole.limits == Limits(3)
    assert whole.clouds == {"one": {"driver": "memory"}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"file\.toml must have the key 'server'"),
        ("[server]", r"file\.toml: \[server\] must have the key 'name'"),
        (
            "[server]\nname = 'x'\nprot = 1",
            r"\[server\] has the unknown key 'prot'; did you.*'port'",
        ),
        ("[sever]\nname = 'x'", "unknown key 'sever'; did you mean 'server'"),
        ("[server]\nname = 3", r"file\.toml: server\.name: expected str"),
        ("[server]\nname = 'x'\nport = '80'", r"server\.port: expected int"),
        ("[server]\nname = 'x'\nport = 80.5", r"server\.port: expected int"),
        ("[server]\nname = 'x'\nport = true", r"server\.port: expected int"),
        ("[server]\nname = 'x'\ndebug = 1", r"server\.debug: expected bool"),
        ("[server]\nname = 'x'\nhosts = 'a'", r"server\.hosts: expected array"),
        ("[server]\nname = 'x'\nhosts = ['a', 1]", r"server\.hosts: expected str"),
        ("[server]\nname = 'x'\nlevel = 10", r"server\.level must be at most 9, not 10"),
        ("server = 3", r"file\.toml: \[server\] must be a section"),
        ("[server]\nname = 'x'\n[clouds]\none = 3", r"clouds: expected object"),
        ("[server\nname = 'x'", r"file\.toml is not TOML"),
        ("[server]\nname = 'x'\nname = 'y'", r"file\.toml is not TOML"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text, told):
    with pytest.raises(InvalidError, match=told):
        parse(text)


def test_a_file_that_is_missing_is_told(tmp_path):
    with pytest.raises(InvalidError, match=r"nowhere\.toml cannot be read: No such file"):
        config.load(Whole, tmp_path / "nowhere.toml", {})


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(InvalidError, match="cannot be read"):
        config.load(Whole, tmp_path, {})


def test_a_file_that_is_no_text_is_told(tmp_path):
    (tmp_path / "file.toml").write_bytes(b"[server]\nname = '\xff'")
    with pytest.raises(InvalidError, match=r"file\.toml is not TOML"):
        config.load(Whole, tmp_path / "file.toml", {})


def test_a_file_is_utf8_whatever_the_locale(tmp_path):
    (tmp_path / "file.toml").write_bytes("[server]\nname = 'Größe 😀'".encode())
    assert config.load(Whole, tmp_path / "file.toml", {}).server.name == "Größe 😀"


# -- the environment ------------------------------------------------------------------------------


def test_the_environment_overrides_the_file():
    whole = parse(
        "[server]\nname = 'x'\nport = 1",
        CONPAAS_SERVER_PORT="8080",
        CONPAAS_SERVER_DEBUG="true",
        CONPAAS_SERVER_HOSTS='["a"]',
        CONPAAS_LIMITS_NODES="3",
        SERVER_NAME="y",
        conpaas_server_name="z",
    )
    assert whole == Whole(Server("x", 8080, debug=True, hosts=("a",)), Limits(3))


def test_the_environment_can_say_what_the_file_does_not():
    assert parse("", CONPAAS_SERVER_NAME="x").server.name == "x"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONPAAS_SERVER_PORT", "eighty"),
        ("CONPAAS_SERVER_PORT", ""),
        ("CONPAAS_SERVER_DEBUG", "maybe"),
        ("CONPAAS_SERVER_HOSTS", "a,b"),
        ("CONPAAS_SERVER_LEVEL", "99"),
    ],
)
def test_a_variable_of_the_wrong_type_is_told_by_its_name(name, value):
    with pytest.raises(InvalidError, match=name):
        parse("[server]\nname = 'x'", **{name: value})


def test_a_section_that_is_none_is_told_though_the_environment_has_a_say():
    with pytest.raises(InvalidError, match=r"\[server\] must be a section"):
        parse("server = 3", CONPAAS_SERVER_NAME="x")


# -- writing --------------------------------------------------------------------------------------

PLAIN = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
SECTIONS = st.dictionaries(
    st.sampled_from(["manager", "agent", "limits"]),
    st.dictionaries(
        st.sampled_from(["a", "b_c", "d-e", "f1"]), st.none() | PLAIN | st.lists(PLAIN, max_size=3)
    ),
)


@given(SECTIONS)
def test_what_is_written_is_read_as_the_same(sections):
    expected = {
        name: {key: value for key, value in values.items() if value is not None}
        for name, values in sections.items()
    }
    assert tomllib.loads(config.render(sections)) == expected


def test_a_configuration_goes_round():
    given = Whole(Server("x\n\"'\\\x7f😀", 8080, 1e20, True, ("a", "ü")), Limits(3))
    text = config.render({"server": vars(given.server), "limits": vars(given.limits)})
    assert parse(text) == given

"""The help tells what there is, and the completion of bash offers it."""

import subprocess

import pytest

from conpaas.cli.help import example


@pytest.fixture
def told(cps, capsys):
    """Return what a command line prints."""

    def told(*words):
        assert cps(*words) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        return captured.out

    return told


def test_the_help_of_the_whole_is_grouped_by_object(told):
    text = told("cps-tools", "--help")
    assert told("cps-tools") == told("cps-tools", "help") == told("cps-tools", "-h") == text
    lines = text.splitlines()
    assert lines.index("application:") < lines.index("service:") < lines.index("user:")
    assert "  list         List your applications." in lines
    assert "bakery (and all of service):" in lines
    assert not any("secret_of_the_house" in line for line in lines)
    assert max(map(len, lines)) < 100


def test_the_help_of_an_object_lists_its_operations(told):
    text = told("cps-tools", "application", "--help")
    assert "  create       Create an application." in text.splitlines()
    assert told("cps-tools", "application") == text
    assert told("cps-tools", "help", "application") == text
    assert told("cps-tools", "application", "help") == text
    assert "Usage: cps-application <operation>" in told("cps-application", "--help")


def test_the_help_of_an_operation_tells_arguments_defaults_and_an_example(told):
    text = told("cps-bakery", "bake", "--help")
    assert told("cps-bakery", "help", "bake") == text
    assert told("cps-bakery", "--help", "bake") == text
    lines = text.splitlines()
    assert lines[0] == (
        "Usage: cps-bakery bake <app_name_or_id> <serv_name_or_id> <name> <weight> <flour> "
        "<warm> [options]"
    )
    for line in (
        "It takes as long as it takes.",
        "  <name>             What to bake",
        "  <flour>            (wheat, rye)",
        "  --pieces N            How many [default: 12]",
        "  -s, --size SIZE       How big (small, large) [default: small]",
        "  --no-glaze",
        "  --with-cream",
        "  cps-bakery bake 1 1 my-name 0.5 wheat yes",
    ):
        assert line in lines
    assert "Not shown" not in text


def test_an_example_of_settings_sets_one_of_them():
    setting = {"group": "argument", "required": False, "kind": "choice", "name": "warm"}
    command = {
        "operation": "set_oven",
        "arguments": [
            {**setting, "name": "heat", "flags": ("--heat",), "kind": "integer", "choices": {}},
            {**setting, "flags": ("-w", "--warm"), "choices": {"on": "on", "off": "off"}},
        ],
    }
    assert example(command, "cps-bakery") == "cps-bakery set_oven --warm on"


def test_global_options_that_an_operation_uses_itself_are_not_offered_twice(told):
    lines = told("cps-bakery", "download_cake", "-h").splitlines()
    assert [line for line in lines if "--version" in line] == ["  -v, --version VERSION  Which"]


def test_what_is_no_object_is_explained_and_not_done(told, cps, capsys):
    text = told("cps-tools", "complete", "--help")
    assert text == told("cps-tools", "help", "complete")
    assert "source <(cps-tools complete)" in text
    assert "exit ends it" in told("cps-tools", "shell", "-h")
    assert cps("cps-tools", "complete", "bash") == 2
    assert "too many arguments" in capsys.readouterr().err


@pytest.fixture
def offered(told, tmp_path):
    """Return what bash offers for a line that ends at the cursor."""
    (tmp_path / "script").write_text(told("cps-tools", "complete"))

    def offered(line):
        words = line.split(" ")
        quoted = " ".join(f"'{word}'" for word in words)
        test = (
            f"source {tmp_path}/script; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
            'complete -p "${COMP_WORDS[0]}" >/dev/null || exit 9; _cps; '
            "printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        ran = subprocess.run(["bash", "-c", test], capture_output=True, text=True, timeout=20)
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout.split()

    return offered


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cps-tools appl", ["application"]),
        ("cps-tools application re", ["rename"]),
        ("cps-application re", ["rename"]),
        ("cps-tools --director_url x --debug application re", ["rename"]),
        ("cps-tools help application re", ["rename"]),
        (
            "cps-bakery add_nodes 1 1 --c",
            ["--count", "--counter", "--cloud", "--column", "--conf-file"],
        ),
        ("cps-bakery bake --no", ["--no-glaze"]),
        ("cps-bakery taste --tw", ["--twice"]),
        ("cps-bakery upload_cake 1 1 ", []),
        ("cps-tools nothing re", []),
    ],
)
def test_bash_completes_objects_operations_and_options(offered, line, expected):
    assert sorted(offered(line)) == sorted(expected)


def test_bash_can_read_the_script_from_the_command_itself(installed):
    ran = installed("cps-tools", "complete")
    test = f"source <(cat <<'END'\n{ran.stdout}\nEND\n); complete -p cps-bakery cps-tools"
    checked = subprocess.run(["bash", "-c", test], capture_output=True, text=True, timeout=20)
    assert checked.stderr == ""
    assert checked.stdout.count("-F _cps") == 2

"""At a terminal the command line asks, shows bars, and lets nobody else write escapes."""

import os
import pty
import select
import sys
import time
from pathlib import Path

import pytest

import conpaas

EAT = "/applications/1/services/1/eat"


@pytest.fixture
def terminal(configured, site):
    """Run a script at a terminal; return its exit code and all that was shown."""

    def terminal(script, *words, types=()):
        code = f"import sys; sys.argv[0] = {script!r}; from conpaas.cli.main import main; "
        command = [sys.executable, "-P", "-c", f"{code}sys.exit(main())", *words]
        sources = Path(conpaas.__file__).parents[1]
        child, terminal = pty.fork()
        if child == 0:
            os.environ["PYTHONPATH"] = f"{sources}:{site}"
            os.execv(command[0], command)
        shown, left, end = b"", list(types), time.monotonic() + 30
        while time.monotonic() < end:
            if not select.select([terminal], [], [], 0.1)[0]:
                continue
            try:
                piece = os.read(terminal, 4096)
            except OSError:
                break
            if not piece:
                break
            shown += piece
            if left and _plain(shown).rstrip().endswith(left[0][0]):
                os.write(terminal, f"{left.pop(0)[1]}\n".encode())
        os.close(terminal)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status), _plain(shown)

    return terminal


def _plain(shown):
    return shown.decode(errors="replace").replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("answer", "goes_on"), [("y", True), ("YES", True), ("", False), ("n", False)]
)
def test_what_is_lost_is_asked_about(terminal, director, answer, goes_on):
    director.answers[EAT] = None
    code, shown = terminal("cps-bakery", "eat", "1", "1", "pie", types=[("[y/N]", answer)])
    assert "The cake is lost. Continue? [y/N]" in shown
    assert (code, len(director.requests)) == ((0, 1) if goes_on else (1, 0))
    assert ("Cake pie eaten." in shown) is goes_on
    assert ("ERROR: nothing was done" in shown) is not goes_on


def test_nobody_is_asked_who_has_said_yes(terminal, director):
    director.answers[EAT] = None
    assert terminal("cps-bakery", "eat", "1", "1", "pie", "-y") == (0, "Cake pie eaten.\n")


def test_without_a_terminal_nobody_is_asked(cps, configured, director):
    director.answers[EAT] = None
    assert cps("cps-bakery", "eat", "1", "1", "pie") == 0


def test_a_job_shows_a_bar_that_goes_away(terminal, director):
    report = {"state": "running", "percent": 50, "message": "boot\x1b]0;x\x07ing"}
    director.job("/applications/1/services/1/rest", report, {"state": "done"})
    code, shown = terminal("cps-bakery", "rest", "1", "1")
    assert code == 0
    assert "████████████░░░░░░░░░░░░  50% boot\\x1b]0;x\\x07ing" in shown
    assert shown.endswith("\r\x1b[Kdone.\n")


def test_a_text_is_made_harmless_for_a_terminal_only(terminal, cps, director, capsys):
    director.answers["/applications/1/services/1/get_recipe"] = "a\tb\n\x1b[2Jc\n"
    assert terminal("cps-bakery", "get_recipe", "1", "1") == (0, "a\tb\n\\x1b[2Jc\n")
    assert cps("cps-bakery", "get_recipe", "1", "1") == 0
    assert capsys.readouterr().out == "a\tb\n\x1b[2Jc\n"


def test_a_new_password_is_typed_twice_and_not_shown(terminal, director):
    director.answers["/applications/1/services/1/set_password"] = None
    types = [
        ("Password:", "one"),
        ("Retype password:", "two"),
        ("Try again.\nPassword:", "three"),
        ("Retype password:", "three"),
    ]
    code, shown = terminal("cps-bakery", "set_password", "1", "1", types=types)
    assert code == 0
    assert director.requests[0].json == {"password": "three"}
    assert not any(secret in shown for secret in ("one", "two", "three"))


def test_a_password_that_is_not_typed_is_missing(terminal, director):
    code, shown = terminal("cps-bakery", "set_password", "1", "1", types=[("Password:", "\x04")])
    assert code == 2
    assert "the option --password is missing" in shown


def test_a_new_password_may_come_through_a_pipe(installed, configured, director):
    director.answers["/applications/1/services/1/set_password"] = None
    words = ("set_password", "1", "1")
    assert installed("cps-bakery", *words, input="hidden\n").returncode == 0
    assert director.requests[0].json == {"password": "hidden"}
    ran = installed("cps-bakery", *words, input="")
    assert ran.returncode == 2
    assert "the option --password is missing" in ran.stderr


LABEL = "/applications/1/services/1/write_label"


def test_a_value_that_is_missing_is_asked_for_and_shown_as_it_is_typed(terminal, director):
    director.answers[LABEL] = None
    types = [("Text:", "sweet")]
    code, shown = terminal("cps-bakery", "write_label", "1", "1", "front", types=types)
    assert (code, director.requests[0].json) == (0, {"name": "front", "text": "sweet"})
    assert "sweet" in shown


def test_a_secret_value_is_typed_twice_and_not_shown(terminal, director):
    director.answers[LABEL] = None
    types = [("Text:", "canary"), ("Retype text:", "canary")]
    words = ("write_label", "1", "1", "front", "--secret")
    code, shown = terminal("cps-bakery", *words, types=types)
    assert code == 0
    assert director.requests[0].json == {"name": "front", "text": "canary", "secret": True}
    assert "canary" not in shown


def test_a_value_comes_through_a_pipe_with_all_its_lines(installed, configured, director):
    director.answers[LABEL] = None
    words = ("write_label", "1", "1", "front")
    ran = installed("cps-bakery", *words, "--secret", input="-----BEGIN\nKEY-----\n")
    assert ran.returncode == 0
    assert director.requests[0].json["text"] == "-----BEGIN\nKEY-----"
    assert "KEY" not in ran.stdout + ran.stderr
    ran = installed("cps-bakery", *words, input="")
    assert ran.returncode == 2
    assert "the text is missing; to have it empty, give ''" in ran.stderr
    ran = installed("cps-bakery", *words, "")
    assert (ran.returncode, director.requests[-1].json["text"]) == (0, "")


def test_a_new_authority_is_asked_about(terminal, director, configured):
    certificates = director.certificates
    (configured / ".conpaas/ca_cert.pem").unlink()
    director.answers["/ca"] = certificates.ca.read_text()
    words = ("get_certificate", "--username", "ann", "--password", "pass")
    code, shown = terminal("cps-user", *words, types=[("[y/N]", "n")])
    assert code == 1
    assert certificates.fingerprint[:2].upper() + ":" in shown
    assert len(director.requests) == 1


def test_the_shell_runs_one_command_after_the_other(installed, configured, director):
    director.answers["/application/list"] = []
    lines = "application list\n\n# nothing\nnonsense\n'\napplication list -f json\nexit\nuser\n"
    ran = installed("cps-tools", "shell", input=lines)
    assert ran.returncode == 0
    assert ran.stdout == "No existing applications.\n[]\n"
    assert "there is no object 'nonsense'" in ran.stderr
    assert "ERROR: No closing quotation" in ran.stderr


def test_who_has_no_account_registers_without_logging_in(terminal, director, configured):
    settings = f"[cps-tools]\ndirector_url = {director.address}\n"
    (configured / ".conpaas/cps-tools.conf").write_text(settings)
    director.answers["/user/register"] = {"username": "ann", "uid": 7}
    types = [("Password:", "battery staple"), ("Retype password:", "battery staple")]
    code, shown = terminal("cps-user", "register", "ann", "a@b.org", types=types)
    assert code == 0 and "User 'ann' registered with id 7." in shown
    (request,) = director.requests
    assert request.json == {
        "username": "ann", "email": "a@b.org", "password": "battery staple"
    }  # fmt: skip
    assert request.headers["Authorization"] is None
    assert "battery" not in shown


def test_the_present_password_is_asked_for_once_and_the_new_one_twice(terminal, director):
    director.answers["/user/passwd"] = None
    types = [
        ("Current password:", "correct horse"),
        ("New password:", "battery staple"),
        ("Retype new password:", "battery staple"),
    ]
    code, shown = terminal("cps-user", "passwd", types=types)
    assert code == 0 and "Password changed" in shown
    (request,) = director.requests
    assert request.json == {
        "current_password": "correct horse", "new_password": "battery staple"
    }  # fmt: skip
    assert "horse" not in shown and "staple" not in shown


def test_text_that_comes_as_a_file_cannot_command_the_terminal(terminal, director):
    piece = "tört\n\x1b]0;mine\x07".encode()
    director.answers["/applications/1/services/1/print_cake"] = lambda request: (200, (piece, {}))
    status, shown = terminal("cps-bakery", "print_cake", "1", "1")
    assert (status, shown) == (0, "tört\n\\x1b]0;mine\\x07")

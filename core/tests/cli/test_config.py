"""Settings: options before the environment before the user's file before the system's."""

import pytest

from conpaas.cli import config
from conpaas.cli.failure import Failure


@pytest.fixture
def files(home, tmp_path):
    """Write the user's and the system's file."""

    def files(own="", system=""):
        (home / ".conpaas/cps-tools.conf").write_text(own)
        (tmp_path / "cps-tools.conf").write_text(system)

    return files


def test_the_system_s_file_says_what_the_user_s_does_not(files):
    files(
        "[cps-tools]\nusername = ann\n",
        "[cps-tools]\nusername = root\ndirector_url = https://cloud:1234/\n",
    )
    settings = config.read({})
    assert (settings.username, settings.host, settings.port) == ("ann", "cloud", 1234)


def test_the_environment_overrides_files_and_options_override_all(files, monkeypatch):
    files("[cps-tools]\nusername = ann\ndirector_url = one\ntoken = 1\n")
    monkeypatch.setenv("CONPAAS_USERNAME", "eve")
    monkeypatch.setenv("CONPAAS_DIRECTOR_URL", "two")
    settings = config.read({"director_url": "three"})
    assert (settings.username, settings.host, settings.token) == ("eve", "three", "1")


def test_a_file_that_is_named_is_the_only_one(files, tmp_path):
    files("[cps-tools]\nusername = ann\n", "[cps-tools]\ntoken = 1\n")
    (tmp_path / "mine").write_text("[cps-tools]\ndirector_url = here\n")
    settings = config.read({"conf_file": "mine"})
    assert (settings.host, settings.username, settings.token) == ("here", "", "")
    with pytest.raises(Failure, match="there is no configuration file nowhere"):
        config.read({"conf_file": "nowhere"})


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://cloud.example.org:5556", ("cloud.example.org", 5556, "")),
        ("cloud", ("cloud", 5555, "")),
        ("cloud:80", ("cloud", 80, "")),
        ("https://cloud/", ("cloud", 5555, "")),
        ("https://cloud/conpaas/", ("cloud", 5555, "/conpaas")),
        ("[::1]:5555", ("::1", 5555, "")),
    ],
)
def test_scheme_and_port_of_the_director_need_not_be_said(home, url, parts):
    settings = config.read({"director_url": url})
    assert (settings.host, settings.port, settings.base) == parts


@pytest.mark.parametrize("url", ["http://cloud", "https://", "cloud:port", "https://u:p@cloud"])
def test_an_address_that_is_none_is_refused(home, url):
    with pytest.raises(Failure, match="director_url"):
        config.read({"director_url": url})


def test_unknown_settings_are_told_with_the_nearest(files, capsys):
    files("[cps-tools]\ndirector_ulr = x\npassword = 50%d\n[cps-tool]\nx = 1\n")
    assert config.read({}).password == "50%d"
    err = capsys.readouterr().err
    assert "unknown setting 'director_ulr'; did you mean 'director_url'?" in err
    assert "unknown section [cps-tool]; did you mean 'cps-tools'?" in err


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ("username = ann\n", "is wrong: File contains no section headers"),
        ("[cps-tools]\nusername = a\nusername = b\n", "is wrong: .*already exists"),
        ("[cps-tools]\ndebug = perhaps\n", "debug must be true or false, not 'perhaps'"),
    ],
)
def test_a_file_that_is_wrong_is_told_with_its_place(files, own, told):
    files(own)
    with pytest.raises(Failure, match=told):
        config.read({})


def test_global_options_stand_anywhere(cps, configured, director):
    director.answers["/application/list"] = []
    address = director.address
    (configured / ".conpaas/cps-tools.conf").unlink()
    words = ["--director_url", address, "application", "--debug", "list", "--username=ann"]
    assert cps("cps-tools", *words, "--password", "pass") == 0
    assert director.requests[0].headers["Authorization"] == "Basic YW5uOnBhc3M="


def test_without_any_setting_it_is_told_what_to_do(cps, home, capsys):
    assert cps("cps-tools", "application", "list") == 1
    assert "put 'director_url = https://HOST:5555' into" in capsys.readouterr().err
    assert cps("cps-tools", "application", "list", "--director_url", "x") == 1
    assert "run 'cps-user get_certificate' first" in capsys.readouterr().err

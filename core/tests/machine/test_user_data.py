"""User-data tells a machine whom to join."""

import json

import pytest
import yaml

from conpaas.certificates import Authority
from conpaas.errors import InvalidError
from conpaas.machine.user_data import JOIN_FILE, PROGRAM, parse, render


def test_what_is_rendered_can_be_parsed(tmp_path):
    ca = Authority.create(tmp_path, "d" * 60).ca_pem

    user_data = parse(render("https://10.77.0.1:5443", ca, "s3cret", "acme-1"))

    (file,) = user_data.files
    assert file.path == JOIN_FILE
    assert file.mode == 0o600
    assert json.loads(file.content) == {
        "director": "https://10.77.0.1:5443",
        "ca": ca,
        "token": "s3cret",
        "name": "acme-1",
    }
    assert user_data.commands == ((PROGRAM, "join"),)


def test_cloud_init_can_read_it():
    text = render("https://10.77.0.1:5443", "---\n: '\"# ä\n", "s3cret", "acme-1")

    body = yaml.safe_load(text)

    assert text.startswith("#cloud-config\n")
    assert json.loads(body["write_files"][0]["content"])["ca"] == "---\n: '\"# ä\n"


def test_too_long_user_data_is_refused():
    with pytest.raises(InvalidError, match="must have less than 4096"):
        render("https://a/" + "a" * 4096, "", "", "")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "begins with ''"),
        ("#!/bin/sh\necho hello\n", "begins with '#!/bin/sh'"),
        ("#cloud-config\nruncmd:\n - ls\n", "must be JSON"),
        ("#cloud-config\n[]", "must be a JSON object"),
        ('#cloud-config\n{"runcmd": "ls"}', "'runcmd' of the user-data must be a list"),
        ('#cloud-config\n{"runcmd": [[]]}', "entry of runcmd"),
        ('#cloud-config\n{"runcmd": [[1]]}', "entry of runcmd"),
        ('#cloud-config\n{"write_files": [{}]}', "entry of write_files"),
        ('#cloud-config\n{"write_files": ["a"]}', "entry of write_files"),
        ('#cloud-config\n{"write_files": [{"path": "a"}]}', "entry of write_files"),
        ('#cloud-config\n{"write_files": [{"path": "/a", "permissions": "x"}]}', "entry of wr"),
        ('#cloud-config\n{"write_files": [{"path": "/a", "encoding": "b64"}]}', "plain text"),
    ],
)
def test_what_we_cannot_carry_out_is_refused(text, complaint):
    with pytest.raises(InvalidError, match=complaint):
        parse(text)


def test_a_command_may_be_a_line_for_the_shell():
    assert parse('#cloud-config\n{"runcmd": ["a | b"]}').commands == (("sh", "-c", "a | b"),)


def test_what_only_cloud_init_knows_is_left_to_it():
    assert parse('#cloud-config\n{"hostname": "x", "packages": ["y"]}').commands == ()

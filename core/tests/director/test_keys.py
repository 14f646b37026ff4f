"""SSH keys: only whole public keys are taken, and nothing else of a file is kept."""

import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from conpaas.certificates import Identity, Role
from conpaas.director.keys import parse
from conpaas.director.models import SshKey, User
from conpaas.errors import InvalidError, TooLargeError

OPEN_SSH = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
#: As ssh-keygen -t ed25519-sk would make it; the hardware's part is random.
SK = (
    "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIEX/dQ0v4127bEo8eeG1"
    "EV0ApO2lWbSnN6RWusn/NjqIAAAABHNzaDo= key"
)


def line(private):
    return private.public_key().public_bytes(*OPEN_SSH).decode()


@pytest.fixture(scope="module")
def ed():
    """A key as most people have it."""
    return line(ed25519.Ed25519PrivateKey.generate())


@pytest.fixture(scope="module")
def short():
    """An RSA key that is too short."""
    return rsa.generate_private_key(65537, 1024)


def test_the_fingerprint_is_the_one_that_ssh_keygen_prints(ed, tmp_path):
    file = tmp_path / "key.pub"
    file.write_text(f"{ed} me@here\n")
    printed = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(file)], capture_output=True, text=True, check=True
    ).stdout.split()
    key = parse(file.read_bytes())
    assert (key.fingerprint, key.comment, key.line) == (printed[1], "me@here", ed)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_ecdsa_keys_are_taken(curve):
    text = line(ec.generate_private_key(curve))
    assert parse(text.encode()).line == text


def test_rsa_keys_are_taken_from_2048_bits_on(short):
    text = line(rsa.generate_private_key(65537, 2048))
    assert parse(f"  {text}  a comment of words \r\n\n# more\n".encode()).comment == (
        "a comment of words"
    )
    with pytest.raises(InvalidError, match="has 1024 bits"):
        parse(line(short).encode())


def test_keys_in_hardware_are_taken():
    assert parse(SK.encode()).type == "sk-ssh-ed25519@openssh.com"


def test_a_private_key_is_refused_loudly(short):
    for form in (
        serialization.PrivateFormat.OpenSSH,
        serialization.PrivateFormat.PKCS8,
        serialization.PrivateFormat.TraditionalOpenSSL,
    ):
        text = short.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        with pytest.raises(InvalidError, match="THIS IS A PRIVATE KEY") as told:
            parse(text)
        assert text.decode().splitlines()[1] not in str(told.value)
    with pytest.raises(InvalidError, match="PRIVATE"):
        parse(b"PuTTY-User-Key-File-3: ssh-ed25519\n")


def test_what_is_no_key_alone_is_refused_with_what_to_do(ed, short):
    other_form = short.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    kind, encoded = ed.split()
    for text, told in (
        (b"", "the file is empty"),
        (b"\n# nothing\n", "the file is empty"),
        (f"{ed}\n{ed}\n".encode(), "holds 2 keys"),
        (f'command="sh" {ed}'.encode(), "begins with options"),
        (f"no-pty,{ed}".encode(), "no public SSH key"),
        (b"ssh-dss AAAAB3NzaC1kc3MAAACBAPM= me", "DSA"),
        (other_form, "ssh-keygen -i"),
        (b"---- BEGIN SSH2 PUBLIC KEY ----\n", "ssh-keygen -i"),
        (b"\x00\xff\x00", "no public SSH key"),
        (b"hello world", "no public SSH key"),
        (kind.encode(), "damaged"),
        (f"{kind} !!!!".encode(), "not base64"),
        (f"{kind} {encoded[:40]}".encode(), "damaged"),
        (f"ssh-rsa {encoded}".encode(), "says two types"),
        (f"ssh-ed25519-cert-v01@openssh.com {encoded}".encode(), "certificate"),
    ):
        with pytest.raises(InvalidError, match=told):
            parse(text)
    with pytest.raises(TooLargeError):
        parse(ed.encode() + b" " + b"x" * 20000)


def test_keys_are_added_listed_and_removed(owner, stranger, ed):
    added = owner.send("user/add_key", f"{ed} me@here".encode()).result
    named = owner.send("user/add_key?name=hardware", SK.encode()).result
    assert (added["name"], named["name"]) == ("me@here", "hardware")
    assert owner.post("user/list_keys").result == [added, named]
    assert stranger.post("user/list_keys").result == []
    assert stranger.post("user/remove_key", {"key": added["id"]}).code == "not-found"
    assert owner.post("user/remove_key", {"key": added["id"]}).status == 200
    assert owner.post("user/list_keys").result == [named]


def test_a_user_has_a_key_once_and_two_users_may_share_one(owner, stranger, ed):
    owner.send("user/add_key?name=first", ed.encode())
    got = owner.send("user/add_key?name=second", f"{ed} again".encode())
    assert (got.status, got.message) == (400, "you have this key already: it is key 1 (first)")
    assert stranger.send("user/add_key", ed.encode()).status == 200


def test_a_manager_gets_the_owners_keys_without_options_and_comments(
    cluster, owner, stranger, ed, call_as
):
    aid = cluster.application(start=False)
    owner.send("user/add_key", f'{ed} "me", command=x'.encode())
    stranger.send("user/add_key", SK.encode())
    manager = call_as(identity=Identity(Role.MANAGER, owner=1, application=aid, machine=1))
    assert manager.post("manager/list_keys").result == [ed]
    User.update(disabled=True).where(User.id == 1).execute()
    assert manager.post("manager/list_keys").result == []
    assert SshKey.select().count() == 2

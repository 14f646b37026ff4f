"""Images take Debian's packages from where this machine does, and nothing else from there."""

import pytest

from conpaas.errors import InvalidError
from conpaas.images.sources import debian_sources


@pytest.fixture
def apt(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def test_only_main_of_the_release_is_taken(apt):
    (apt / "sources.list.d/debian.sources").write_text("""\
Types: deb deb-src
# A comment.
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
 bookworm-backports
Components: main contrib
Signed-By: /keys/debian.gpg

Types: deb
URIs: https://shop.example
Suites: nodistro
Components: main
""")
    assert debian_sources("bookworm", apt) == (
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n"
        "Components: main\nSigned-By: /keys/debian.gpg\n"
    )


def test_lines_of_the_old_format_are_understood(apt):
    (apt / "sources.list").write_text(
        "# deb http://off.example/debian bookworm main\n"
        "deb [arch=amd64,arm64 signed-by=/keys/x.gpg] http://mirror.example/debian bookworm main\n"
        "deb-src http://mirror.example/debian bookworm main\n"
    )
    (apt / "sources.list.d/security.list").write_text(
        "deb http://mirror.example/security bookworm-security main non-free # fixes\n"
    )
    assert debian_sources("bookworm", apt) == (
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n"
        "Signed-By: /keys/x.gpg\nArchitectures: amd64 arm64\n\n"
        "Types: deb\nURIs: http://mirror.example/security\nSuites: bookworm-security\n"
        "Components: main\n"
    )


def test_a_machine_without_the_release_is_told_what_to_do(apt):
    (apt / "sources.list").write_text("deb http://mirror.example/debian bookworm-updates main\n")
    with pytest.raises(InvalidError, match="no mirror of Debian bookworm: pass a file"):
        debian_sources("bookworm", apt)

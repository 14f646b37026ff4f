"""A web node asks backends for files that it lacks, with the real programs."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace

import pytest

from conpaas.errors import AgentError
from conpaas_php.testing import VERSION, Answer, Node, Site, ask, eventually, raw
from conpaas_web import web_site
from conpaas_web.parts import FilesPart, WebPart

FILES = {
    "index.php": "<?php echo 'front';",
    "style.css": "of the code",
    "uploads/old.jpg": "of the code",
}
NAMED = {"X-Code-Version": VERSION}
SECRET = "<?php /* SECRET */ echo 'ran';"


class Split:
    """A proxy, a web node and backends, each a machine of its own, code unpacked on each.

    The first backend's code is where the proxy says that it is.
    """

    def __init__(self, site: Site, backends: int = 1, **part: object) -> None:
        self.site = site
        self.proxy, self.web = site.node("proxy", shared=True), site.node("web")
        self.backends = [site.node("backend", shared=not n) for n in range(backends)]
        for node in (self.web, *self.backends):
            node.upload(FILES)
        for node in self.backends:
            node.agent.run_backend(site.backend_part(self.proxy))
            self.give(node)
        self.part = WebPart(
            (self.proxy.address,),
            permalinks=True,
            asked=tuple(sorted(node.address for node in self.backends)),
        )
        self.tell(**part)
        self.proxy.agent.run_proxy(site.proxy_part([self.web], self.backends))

    def tell(self, **part: object) -> bool:
        """Tell the web node what it does."""
        self.part = replace(self.part, **part)
        return self.web.agent.run_web(self.part)

    def give(self, node: Node, *private: str) -> bool:
        """Have a backend give files to the web node."""
        return node.agent.run_files(FilesPart((self.web.address,), private))

    def write(self, path: str, content: str | bytes, *nodes: Node) -> None:
        """Write a file on backends, as the code does; the first one unless others are named."""
        for node in nodes or (self.backends[0],):
            file = node.agent.code_path(VERSION) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
            # Whatever the time is here: it is the same on both machines.
            os.utime(file, (1_700_000_000, 1_700_000_000))

    def ask(self, path: str, **headers: str) -> Answer:
        """Ask the web node as a proxy does."""
        named = NAMED | {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.web.address, path, port=8080, headers=named)


@pytest.fixture(scope="module")
def split(site: Site) -> Split:
    """One backend."""
    return Split(site)


@pytest.fixture(scope="module")
def pair(site: Site) -> Split:
    """Two backends."""
    return Split(site, backends=2)


def test_a_file_that_the_code_has_written_on_a_backend_is_served(split: Split) -> None:
    split.write("uploads/cat.jpg", b"\xff\xd8 a cat")
    answer = split.proxy.ask("/uploads/cat.jpg")
    assert (answer.status, answer.body) == (200, b"\xff\xd8 a cat")
    assert answer.headers["content-type"] == "image/jpeg"
    assert "x-script" not in answer.headers
    assert split.proxy.ask("/style.css").text == "of the code"
    # It has no version of its own, and is not run: nobody but backends runs code.
    split.write("uploads/more.php", SECRET)
    assert split.ask("/uploads/more.php").status == 404


def test_what_no_backend_has_goes_to_the_applications_index_or_is_not_found(
    split: Split,
) -> None:
    for path in ("/no/picture.jpg", "/pretty", "/pretty.html", "/robots.txt"):
        assert split.proxy.ask(path).text == "front", path
    split.tell(permalinks=False)
    assert split.proxy.ask("/no/picture-2.jpg").status == 404
    split.tell(permalinks=True)


def test_a_path_that_cannot_be_a_file_is_not_asked_for(split: Split) -> None:
    split.write("no-dot-at-its-end", "there")
    split.write("with.dot/page", "there")
    assert split.proxy.ask("/no-dot-at-its-end").text == "front"
    assert split.proxy.ask("/with.dot/page").text == "front"
    assert split.proxy.ask("/with.dot/").text == "front"


def test_the_file_is_found_on_whichever_backend_has_it(pair: Split) -> None:
    for number, node in enumerate(pair.backends):
        pair.write(f"uploads/{number}.jpg", f"of {number}", node)
    for _ in range(4):
        for number in (0, 1):
            assert pair.ask(f"/uploads/{number}.jpg").text == f"of {number}"


def test_a_backend_that_is_gone_keeps_nobody_from_the_other_ones_files(site: Site) -> None:
    pair = Split(site, backends=2)
    for path in ("uploads/both.jpg", "uploads/second.jpg", "uploads/next.jpg"):
        pair.write(path, "there", pair.backends[1])
    pair.backends[0].leave("files")
    for path in ("/uploads/both.jpg", "/uploads/second.jpg", "/uploads/next.jpg"):
        assert pair.ask(path).text == "there"
    pair.backends[1].leave("files")
    lacking = pair.ask("/uploads/none.jpg")
    assert (lacking.status, lacking.headers["x-script"]) == (404, "/index.php")
    assert pair.proxy.ask("/style.css").text == "of the code"


def test_parts_of_files_and_files_that_are_known_are_answered_as_usual(split: Split) -> None:
    content = bytes(range(256)) * 100
    split.write("uploads/film.mp4", content)
    for _ in range(2):  # from the backend, and from what is kept
        whole = split.ask("/uploads/film.mp4")
        assert (whole.status, whole.body) == (200, content)
        part = split.ask("/uploads/film.mp4", Range="bytes=1000-1999")
        assert (part.status, part.body) == (206, content[1000:2000])
        assert part.headers["content-range"] == "bytes 1000-1999/25600"
        assert split.ask("/uploads/film.mp4", Range="bytes=90000-").status == 416
        tag, since = whole.headers["etag"], whole.headers["last-modified"]
        assert split.ask("/uploads/film.mp4", If_None_Match=tag).status == 304
        assert split.ask("/uploads/film.mp4", If_Modified_Since=since).status == 304
        assert split.ask("/uploads/film.mp4", If_None_Match='"other"').body == content
        resumed = split.ask("/uploads/film.mp4", Range="bytes=25500-", If_Range=tag)
        assert (resumed.status, resumed.body) == (206, content[25500:])
        head = ask(split.web.address, "/uploads/film.mp4", "HEAD", port=8080, headers=NAMED)
        assert (head.status, head.headers["content-length"], head.body) == (200, "25600", b"")


def test_large_files_come_through_whole_and_are_not_kept(split: Split) -> None:
    content = os.urandom(1 << 20) * 24
    split.write("uploads/large.zip", content)
    digest = hashlib.md5(content).hexdigest()
    for _ in range(2):
        answer = split.proxy.ask("/uploads/large.zip")
        assert hashlib.md5(answer.body).hexdigest() == digest
    tag = answer.headers["etag"]
    assert split.ask("/uploads/large.zip", If_None_Match=tag).status == 304
    part = split.ask("/uploads/large.zip", Range="bytes=20000000-20000009")
    assert (part.status, part.body) == (206, content[20000000:20000010])
    kept = split.web.root / "var/lib/conpaas-web/nginx-web/asked"
    sizes = [file.stat().st_size for file in kept.rglob("*") if file.is_file()]
    assert sizes == [] or max(sizes) < 1 << 20


def test_what_was_asked_for_is_kept_for_seconds_and_what_was_lacking_for_one(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_site, "_KEEP_FILE", "2s")
    split.tell(permalinks=False)
    split.write("uploads/kept.jpg", "first")
    assert split.ask("/uploads/kept.jpg").text == "first"
    split.write("uploads/kept.jpg", "second")
    assert split.ask("/uploads/kept.jpg").text == "first"
    assert split.ask("/uploads/later.jpg").status == 404
    split.write("uploads/later.jpg", "there")
    eventually(lambda: split.ask("/uploads/later.jpg").text == "there", 3)
    eventually(lambda: split.ask("/uploads/kept.jpg").text == "second", 5)
    split.tell(permalinks=True)


def test_what_is_in_a_kept_directory_is_asked_for_even_where_it_is_here(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_site, "_KEEP_FILE", "1s")
    split = Split(site, kept=("uploads",))
    assert split.ask("/uploads/old.jpg").text == "of the code"
    split.write("uploads/old.jpg", "written by the code")
    eventually(lambda: split.ask("/uploads/old.jpg").text == "written by the code", 5)
    split.tell(kept=("data", "uploads"))
    (split.backends[0].agent.code_path(VERSION) / "uploads/old.jpg").unlink()
    eventually(lambda: split.proxy.ask("/uploads/old.jpg").text == "front", 5)
    # Nobody to ask: better an old one than none.
    split.backends[0].leave("files")
    eventually(lambda: split.ask("/uploads/old.jpg").text == "of the code", 5)
    assert split.ask("/uploads/none.jpg").status == 404
    assert split.ask("/style.css").text == "of the code"


def test_other_methods_find_what_they_found_before(split: Split) -> None:
    split.write("uploads/form.txt", "there")
    assert split.proxy.ask("/uploads/form.txt", "POST", b"x=1").text == "front"
    assert split.proxy.ask("/style.css", "POST", b"x=1").status == 405


def test_only_web_nodes_are_given_files_and_only_of_a_version_that_is_named(site: Site) -> None:
    split = Split(site)
    split.write("uploads/mine.txt", "mine")
    backend = split.backends[0].address

    def given(path: str, headers: dict[str, str] = NAMED, **more: str) -> Answer:
        return ask(backend, path, port=8081, headers=headers, **more)

    for friend in (split.web.address, backend, "127.0.0.1"):
        assert given("/uploads/mine.txt", source=friend).text == "mine"
    with pytest.raises(OSError):
        given("/uploads/mine.txt", source="127.9.9.9")
    assert given("/uploads/mine.txt", {}).status == 404
    assert given("/uploads/mine.txt", {"X-Code-Version": "../code-a"}).status == 404
    assert given("/uploads/mine.txt", {"X-Code-Version": "code-b"}).status == 503
    for path in ("/uploads", "/uploads/", "/index.php", "/", "/none.txt"):
        assert given(path).status == 404
    split.backends[0].leave("files")
    with pytest.raises(OSError):
        given("/uploads/mine.txt")


@pytest.mark.parametrize(
    "path",
    [
        "/uploads/.htaccess",
        "/uploads/%2ehtaccess",
        "/.git/config.txt",
        "/x/../.env.txt",
        "/../../../etc/host.conf",
        "/%2e%2e/%2e%2e/%2e%2e/etc/host.conf",
        "/..%2f..%2f..%2fetc%2fhost.conf",
        "/uploads/shell.php",
        "/uploads/shell.php~",
        "/uploads/shell.PHP",
        "/uploads/shell.phtml",
        "/uploads/x/../shell.php.bak",
        "/uploads/shell.php%00.jpg",
        "/uploads/shell.php%00",
        "/conf/secret.txt",
        "/x/../conf/secret.txt",
        "/%63onf/secret.txt",
        "//conf/secret.txt",
        "/conf/../conf/secret.txt",
    ],
)  # fmt: skip
def test_tricks_with_paths_get_nothing_out_of_backends(pair: Split, path: str) -> None:
    if not (pair.backends[0].agent.code_path(VERSION) / "conf").exists():
        for name in ("shell.php", "shell.php~", "shell.PHP", "shell.phtml", "shell.php.bak"):
            pair.write(f"uploads/{name}", SECRET, *pair.backends)
        for name in ("uploads/.htaccess", ".git/config.txt", ".env.txt", "conf/secret.txt"):
            pair.write(name, "SECRET", *pair.backends)
        for node in pair.backends:
            pair.give(node, "conf")
    addresses = [(pair.web.address, 8080)] + [(node.address, 8081) for node in pair.backends]
    for address, port in addresses:
        answer = raw(address, f"GET {path} HTTP/1.0", f"X-Code-Version: {VERSION}", port=port)
        assert int(answer.split()[1]) in (400, 404), answer[:300]
        for secret in (b"SECRET", b"<?php", b"multi on"):
            assert secret not in answer


def test_asking_survives_that_agents_are_killed_and_is_no_news_twice(site: Site) -> None:
    split = Split(site)
    assert not split.tell()
    assert not split.give(split.backends[0])
    split.write("uploads/cat.jpg", "a cat")
    for node in (split.web, split.backends[0]):
        for name in ("nginx-web", "nginx-files"):
            if name in node.supervisor.names():
                node.supervisor.signal(name, "KILL")
        node.start_agent().on_boot()
    eventually(lambda: split.proxy.ask("/uploads/cat.jpg").text == "a cat", 10)
    assert split.backends[0].agent.list_parts() == ["backend", "files"]
    assert [log for log in split.backends[0].agent.logs() if log.filename == "files-error.log"]


def test_what_makes_no_sense_is_refused_and_what_was_before_stays(split: Split) -> None:
    with pytest.raises(AgentError, match="refuses its configuration"):
        split.tell(asked=("not an address;",))
    assert split.ask("/style.css").status == 200

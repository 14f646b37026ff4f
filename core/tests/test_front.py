"""A real nginx lets in whom it should, and the server behind it believes only nginx."""

import contextlib
import datetime as dt
import http.client
import http.server
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest
from front_site import ME, Site, Upstream, bearer, headers

from conpaas.certificates import Authority, serial_number
from conpaas.errors import InvalidError
from conpaas.front import Front, client_certificate

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx")


@pytest.fixture
def start(tmp_path):
    with contextlib.ExitStack() as stack:

        def start(mode="none", *, upstream=True, **options):
            site = Site(tmp_path, client_certificates=mode, **options)
            stack.callback(site.close)
            if upstream:
                site.upstream = Upstream(site.socket)
                stack.callback(site.upstream.close)
            return site

        yield start


@pytest.mark.parametrize("mode", ["required", "optional"])
def test_a_good_certificate_reaches_the_server(start, mode):
    site = start(mode)
    status, answer = site.call(certificate=site.new_certificate(ME))
    assert status == 200
    assert bearer(site, answer) == ME
    assert headers(answer)["x-real-ip"] == "127.0.0.1"
    assert headers(answer)["x-forwarded-proto"] == "https"


def test_where_one_is_required_nobody_enters_without(start):
    site = start("required")
    status, answer = site.call()
    assert status == 401
    assert answer == {
        "error": {
            "code": "unauthenticated",
            "message": "A certificate of this deployment is needed.",
            "detail": None,
        }
    }


def test_where_one_is_required_a_bad_one_is_told_why(start, tmp_path):
    site = start("required")
    twin = Authority.create(tmp_path / "twin", "acme")
    status, answer = site.call(certificate=site.new_certificate(ME, authority=twin))
    assert (status, answer["error"]["code"]) == (401, "unauthenticated")
    expired = site.new_certificate(ME, dt.timedelta(seconds=-10))
    status, answer = site.call(certificate=expired)
    assert status == 401
    assert "certificate has expired" in answer["error"]["message"]


def test_where_it_is_optional_all_pass_and_the_server_sees_what_they_have(start, tmp_path):
    site = start("optional")
    status, answer = site.call()
    assert (status, bearer(site, answer)) == (200, None)

    twin = Authority.create(tmp_path / "twin", "acme")
    foreign = site.new_certificate(ME, authority=twin)
    status, answer = site.call(certificate=foreign)
    assert status == 200
    pem = client_certificate(headers(answer)["x-client-certificate"])
    assert serial_number(pem) == serial_number(foreign.read_text())


def test_where_none_is_asked_for_none_arrives(start):
    site = start("none")
    _, answer = site.call(certificate=site.new_certificate(ME))
    assert "x-client-certificate" not in headers(answer)


@pytest.mark.parametrize("mode", ["optional", "none"])
def test_nobody_can_pretend_to_have_a_certificate(start, mode):
    site = start(mode)
    lies = {
        "X-Client-Certificate": "somebody",
        "x-client-CERTIFICATE": "somebody",
        "X_Client_Certificate": "somebody",
        "X-Real-IP": "1.2.3.4",
        "X_Real_IP": "1.2.3.4",
        "X-Forwarded-For": "1.2.3.4",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Protocol": "ssl",
        "X-Forwarded-Ssl": "on",
        "Forwarded": "for=1.2.3.4",
        "SCRIPT_NAME": "/x",
    }
    with contextlib.closing(site.connect()) as connection:
        connection.putrequest("GET", "/")
        for name, value in lies.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = json.loads(connection.getresponse().read())
    assert "somebody" not in str(answer)
    assert "1.2.3.4" not in str(answer)
    names = [name.lower().replace("_", "-") for name, _ in answer["headers"]]
    assert "x-client-certificate" not in names
    assert "script-name" not in names
    assert headers(answer)["x-forwarded-proto"] == "https"


def test_a_resumed_session_keeps_its_certificate(start):
    site = start("required")
    context = site.context(site.new_certificate(ME))
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # whose sessions Python can hand over
    raw = socket.create_connection(("127.0.0.1", site.port))
    first = context.wrap_socket(raw)
    session = first.session
    first.close()
    raw = socket.create_connection(("127.0.0.1", site.port))
    with context.wrap_socket(raw, session=session) as second:
        second.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: second.recv(65536), b""))
        assert second.session_reused
    assert bearer(site, json.loads(answer.partition(b"\r\n\r\n")[2])) == ME


def test_old_versions_of_tls_are_refused(start):
    site = start()
    result = subprocess.run(
        [
            *("openssl", "s_client", "-connect", f"127.0.0.1:{site.port}"),
            *("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert "alert" in result.stderr


def test_a_server_that_is_not_there_is_an_error_of_ours(start):
    site = start(upstream=False)
    assert site.call() == (
        503,
        {
            "error": {
                "code": "unreachable",
                "message": "The server is starting or has failed; try again in a moment.",
                "detail": {"begun": "no"},
            }
        },
    )
    upstream = Upstream(site.socket)
    assert site.call()[0] == 200
    upstream.close()


def test_a_server_that_died_in_the_middle_may_have_begun(start):
    site = start(upstream=False)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(site.socket))
        listening.listen()

        def die():
            connection, _ = listening.accept()
            connection.recv(100)
            connection.close()

        dying = threading.Thread(target=die)
        dying.start()
        status, answer = site.call("POST", body=b"abc")
        dying.join()
    assert (status, answer["error"]["detail"]) == (503, {"begun": "yes"})


def test_the_server_s_own_errors_pass_unchanged(start):
    site = start()
    assert site.call("POST", body=b"abc") == (418, {"size": 3})


def test_pages_that_are_not_there_yet_are_told_to_people_as_a_page(start):
    site = start(upstream=False, for_people=True)
    with contextlib.closing(site.connect()) as connection:
        connection.request("GET", "/")
        answer = connection.getresponse()
        text = answer.read().decode()
    assert answer.status == 503
    assert answer.getheader("Content-Type") == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.getheader("Content-Security-Policy")
    assert "This page tries again by itself" in text


def test_headers_that_are_too_long_are_refused(start):
    site = start()
    status, answer = site.call(headers={"X-Long": "x" * 10_000})
    assert (status, answer["error"]["code"]) == (431, "invalid")
    status, answer = site.call(path="/" + "x" * 10_000)
    assert (status, answer["error"]["code"]) == (431, "invalid")


def test_what_is_not_http_or_not_tls_is_answered_in_json(start):
    site = start()
    with socket.create_connection(("127.0.0.1", site.port)) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTPS port" in plain.recv(65536)
    with site.context().wrap_socket(socket.create_connection(("127.0.0.1", site.port))) as sock:
        sock.sendall(b"hello\r\n\r\n")
        assert b'"code": "invalid"' in sock.recv(65536)


def test_an_answer_comes_as_it_is_sent(start):
    site = start()
    with contextlib.closing(site.connect()) as connection:
        connection.request("GET", "/drip")
        response = connection.getresponse()
        assert response.read1() == b"first\n"
        site.upstream.go_on.set()
        assert response.read() == b"second\n"


def test_an_answer_that_breaks_off_never_looks_like_a_whole_one(start):
    site = start()
    with contextlib.closing(site.connect()) as connection:
        connection.request("GET", "/break")
        response = connection.getresponse()
        with pytest.raises(http.client.IncompleteRead) as broken:
            response.read()
        assert broken.value.partial == b"first"


def test_a_large_body_of_unknown_length_passes(start):
    site = start()
    pieces = (bytes(65536) for _ in range(320))
    assert site.call("POST", body=pieces) == (418, {"size": 20 << 20})


def test_silent_connections_do_not_hold_up_others(start):
    site = start("required")
    mine = site.new_certificate(ME)
    silent = []
    try:
        for number in range(300):
            sock = socket.create_connection(("127.0.0.1", site.port))
            if number % 2:  # half of them greet and then say nothing
                sock = site.context(mine).wrap_socket(sock) if number < 20 else sock
                if number >= 20:
                    sock.sendall(b"\x16\x03\x01\x02")
            silent.append(sock)
        began = time.monotonic()
        assert site.call(certificate=mine)[0] == 200
        assert time.monotonic() - began < 2
    finally:
        for sock in silent:
            sock.close()


def test_silent_connections_are_closed_in_time(start):
    site = start(header_timeout=0.3)
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as silent:
        assert silent.recv(1) == b""
    sock = socket.create_connection(("127.0.0.1", site.port), timeout=10)
    with site.context().wrap_socket(sock) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        with contextlib.suppress(ConnectionResetError, ssl.SSLError):
            assert slow.recv(1) == b""


def test_nginx_s_own_places_are_not_for_visitors(start):
    status, answer = start().call(path="/.conpaas-error/496")
    assert (status, answer["error"]["code"]) == (404, "not-found")


def test_configuring_says_what_changed(start):
    site = start()
    assert not site.front.configure(**site.options)
    assert site.front.configure(**{**site.options, "header_timeout": 5})


def test_more_locations_can_be_given(start):
    text = "        location = /robots.txt { return 200 '\"none\"'; }"
    assert start(locations=text).call(path="/robots.txt") == (200, "none")


def test_a_wrong_configuration_is_told_in_nginx_s_words(start):
    site = start()
    site.front.configure(**{**site.options, "locations": "nonsense;"})
    with pytest.raises(InvalidError, match='unknown directive "nonsense"'):
        site.front.check()


def test_certificates_cannot_be_checked_without_an_authority(tmp_path):
    with pytest.raises(InvalidError, match="only with the authority's own"):
        Front(tmp_path).configure(
            listen=[], upstream=tmp_path, certificate=tmp_path, key=tmp_path,
            client_certificates="required",
        )  # fmt: skip


def test_ipv6_addresses_are_written_as_nginx_wants_them(tmp_path):
    Front(tmp_path).configure(
        listen=[("::", 443)], upstream=tmp_path, certificate=tmp_path, key=tmp_path
    )
    assert "listen [::]:443 ssl;" in (tmp_path / "nginx.conf").read_text()

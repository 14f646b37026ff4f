"""The pages as they are really served: nginx, gunicorn and s6, without any machine."""

import http.client
import os
import signal
import socket
import ssl
import subprocess

import pytest

from conpaas.director import make, serve
from conpaas.testing.waiting import eventually


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A director that runs, with a cloud in memory."""
    directory = tmp_path_factory.mktemp("served")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    path = directory / "director.toml"
    path.write_text(
        f"""
        [director]
        name = "served"
        url = "https://127.0.0.1:{port}"
        listen = ["127.0.0.1:{port}"]
        data_dir = "{directory}/data"
        run_dir = "{directory}/run"
        default_cloud = "memory"
        [clouds.memory]
        driver = "memory"
        """
    )
    config = make.load_config(path)
    make.initialise(config)
    serve.define_processes(config, path)
    keeper = serve.supervisor(config)
    process = subprocess.Popen(
        keeper.run_command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for path in ("/login", "/api/v1/version", "/api/v1/manager/take_over"):
            eventually(lambda path=path: get(config, path)[0] in (200, 401))
        yield config
    finally:
        keeper.shutdown()
        process.wait(30)


def get(config, path):
    """Return status, headers and text of an answer."""
    context = ssl.create_default_context(cafile=make.own_files(config).ca)
    host, _, port = config.director.listen[0].partition(":")
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    except OSError:
        return 0, {}, ""
    finally:
        connection.close()


def test_pages_and_api_stand_behind_one_address(config):
    status, headers, text = get(config, "/login")
    assert status == 200 and "<h1>Log in</h1>" in text
    assert "default-src 'none'" in headers["content-security-policy"]
    assert get(config, "/")[1]["location"] == "/login"
    assert '"result"' in get(config, "/api/v1/version")[2]
    assert get(config, "/api/v1")[0] == 200
    assert get(config, "/api/v1/manager/take_over")[0] == 401


def test_pages_come_back_when_their_process_is_killed(config):
    keeper = serve.supervisor(config)
    os.kill(keeper.pid("frontend"), signal.SIGKILL)
    status, _, text = get(config, "/login")
    if status == 503:
        assert "ConPaaS is starting" in text
    eventually(lambda: get(config, "/login")[0] == 200)


def test_the_certificate_of_pages_is_theirs_and_is_kept(config):
    from conpaas.certificates import Authority, Role, Verifier

    files = make.frontend_files(config)
    authority = Authority.load(config.data / "authority")
    identity = Verifier(authority.ca_pem, "served").verify(files.certificate.read_text()).identity
    assert identity.role is Role.FRONTEND
    assert not make.renew_frontend(config, authority)


def test_pages_can_be_served_on_another_machine(config, tmp_path):
    """By their own nginx, with a certificate that the director's machine has issued."""
    import sys

    subprocess.run(
        [
            sys.executable, "-m", "conpaas.director.main", "--config",
            str(config.data.parent / "director.toml"), "frontend_certificate",
            str(tmp_path / "pages"), "--host", "127.0.0.1",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = tmp_path / "frontend.toml"
    settings.write_text(
        f"""
        [frontend]
        director_url = "{config.director.url}"
        data_dir = "{tmp_path}/pages"
        run_dir = "{tmp_path}/run"
        listen = ["127.0.0.1:{port}"]
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "conpaas.frontend.main", "--config", str(settings), "serve"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        context = ssl.create_default_context(cafile=tmp_path / "pages" / "ca.pem")

        def answers():
            connection = http.client.HTTPSConnection("127.0.0.1", port, context=context)
            try:
                connection.request("GET", "/login")
                return connection.getresponse().status == 200
            except OSError:
                return False
            finally:
                connection.close()

        eventually(answers)
    finally:
        process.terminate()
        process.wait(30)


def test_wrong_settings_are_told_in_words(tmp_path, capsys):
    from conpaas.frontend.main import main

    settings = tmp_path / "frontend.toml"
    settings.write_text('[frontend]\ndirector_url = "x"\ndata_dir = "x"\nrun_dir = "x"\n')
    assert main(["--config", str(settings), "serve"]) == 1
    assert "must have the key 'listen'" in capsys.readouterr().err
    assert main(["--config", str(settings), "web"]) == 1
    assert "frontend_certificate" in capsys.readouterr().err

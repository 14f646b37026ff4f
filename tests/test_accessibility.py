"""Every page in a real browser: axe-core finds nothing, in both themes, and nothing is too wide.

axe-core checks what can be checked by a program of WCAG 2.2 at level AA, and its own advice.
"""

import contextlib
import importlib.util
import io
import threading
import time
from pathlib import Path

import pytest
from browsing import session_of
from chromium import chromium
from hosting import hosting_plugins
from looking import server_of
from playwright.sync_api import expect

from conpaas.api import Jobs, Users
from conpaas.director.models import User
from conpaas.errors import ConPaaSError
from conpaas.features.code.packing import packed
from conpaas.features.credits.director.tables import CreditEntry
from conpaas.rpc import Upload
from conpaas.testing.cluster import Cluster
from conpaas_mysql.rehearsal import Stage

ADDRESS = "https://127.0.0.1:{port}"
#: Without a session.
DOORS = ["/login", "/register", "/nowhere"]
PAGES = [
    "/", "/applications/new", "/applications/1", "/applications/1/add", "/applications/1/log",
    "/applications/1/operations/rename", "/applications/1/operations/delete",
    "/applications/1/jobs/1", "/applications/1/services/1", "/applications/1/services/1/log",
    "/applications/1/services/1/scale?count.node=3", "/applications/1/services/2",
    "/applications/1/services/2/operations/upload_code", "/applications/1/services/3",
    "/applications/1/services/3/scale?count.backend=2",
    "/applications/1/services/3/scale?count.backend=0",
    "/applications/1/services/2/operations/list_codes",
    "/applications/1/services/2/operations/delete_volume?vol_name=data",
    "/applications/1/services/2/operations/create_volume", "/applications/1/services/4",
    "/applications/1/services/4/operations/set_password",
    "/applications/1/services/4/operations/load_dump", "/jobs", "/jobs/1",
    "/clouds", "/machines", "/about", "/help", "/account", "/account/tokens", "/account/keys",
    "/account/record", "/users", "/users/2", "/invitations", "/audit", "/plugins/credits/use",
    "/objects/user", "/objects/user/operations/create", "/nowhere",
]  # fmt: skip


@pytest.fixture(scope="module")
def cluster():
    """A cluster with something of everything; its user is an administrator."""
    stage = Stage()
    with Cluster(hosting_plugins(stage), credit=500) as made:
        User.update(admin=True).execute()
        users = made.api(Users)
        users.create(username="ann", password="a long password", fname="Ann", credit=40)
        users.create_invitation(email="new@example.org")
        aid = made.application("Shop of Ann")
        made.run(made.service("helloworld", aid).start())
        generic = made.service("generic", aid)
        made.run(generic.start())
        node = generic.list_nodes()[0].agent_id
        made.run(generic.create_volume(vol_name="data", vol_size=64, agent_id=node))
        version = generic.upload_code(filename=Upload(_archive(), "app.tar.gz"))
        made.run(generic.enable_code(code_version=version.codeVersionId))
        generic.set_script(filename=Upload(io.BytesIO(b"true\n"), "startup.sh"))
        generic.run()
        _host(made, aid)
        _cluster_databases(made, aid, stage)
        for hour in range(30):
            CreditEntry.create(
                user=1, time=time.time() - 7200 * hour, amount=-1, kind="charge", machine=900,
                hour=hour, application=1 + hour % 3, application_name=f"app {hour % 3}",
            )  # fmt: skip
        yield made


@pytest.fixture(scope="module")
def base(cluster, tmp_path_factory):
    """The address of its pages."""
    server = server_of(cluster, tmp_path_factory.mktemp("server"))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield ADDRESS.format(port=server.server_port)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    """Debian's chromium."""
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def axe():
    """The text of axe-core."""
    found = importlib.util.find_spec("axe_playwright_python")
    assert found and found.origin
    return (Path(found.origin).parent / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def new_context(browser, base):
    """Makes a browser's context, which ends with the module."""
    with contextlib.ExitStack() as at_end:

        def make():
            # Without our policy, which keeps everything out of a page that is not ours: axe too.
            made = browser.new_context(
                base_url=base, ignore_https_errors=True, bypass_csp=True, reduced_motion="reduce"
            )
            at_end.callback(made.close)
            return made

        yield make


@pytest.fixture(scope="module")
def strangers_page(new_context):
    """A tab of somebody who is not logged in."""
    return new_context().new_page()


@pytest.fixture(scope="module")
def page(new_context, base, cluster):
    """A tab of somebody who is logged in, for all tests: it keeps styles and scripts."""
    context = new_context()
    cookie = {"name": "__Host-conpaas", "value": session_of(cluster), "secure": True, "url": base}
    context.add_cookies([cookie])
    return context.new_page()


def violations(page, rules=None):
    """Return what axe-core complains of: the rule, and where."""
    options = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": rules}
    found = page.evaluate("options => axe.run(document, options)", options)
    return [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found["violations"]]


def inspect(page, axe, path):
    """Look at a page in both themes and at both widths."""
    page.set_viewport_size({"width": 1280, "height": 800})
    page.emulate_media(color_scheme="light")
    page.goto(path)
    for closed in page.query_selector_all("details:not(.menu)"):
        closed.evaluate("one => { one.open = true; }")
    page.evaluate(axe)
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page, ["color-contrast"]) == []
    page.set_viewport_size({"width": 390, "height": 800})
    # Drawn at its new width before it is measured, however busy this machine is.
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    assert violations(page, ["target-size"]) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.title().endswith(" · ConPaaS")


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_on_a_page(page, axe, path):
    inspect(page, axe, path)


@pytest.mark.parametrize("path", DOORS)
def test_axe_finds_nothing_at_the_doors(strangers_page, axe, path):
    inspect(strangers_page, axe, path)


def test_axe_finds_nothing_on_a_form_that_was_wrong(page, axe):
    page.goto("/account")
    for name, text in (("current_password", "x"), ("new_password", "y"), ("password-again", "z")):
        page.fill(f"#field-password-{name}", text)
    page.click("main form:has(#field-password-new_password) button")
    assert page.locator("[role=alert]").count() == 1
    page.evaluate(axe)
    assert violations(page) == []


def test_axe_finds_nothing_on_the_page_of_a_version_that_was_refused(page, axe, cluster):
    jobs = cluster.api(Jobs).list(application=1)
    failed = next(job.id for job in jobs if job.state == "failed")
    inspect(page, axe, f"/applications/1/jobs/{failed}")
    assert page.locator(".notice.error pre").inner_text() == "<b>Parse error</b>"


def test_what_scaling_would_do_is_said_while_the_numbers_are_changed(page, axe):
    page.goto("/applications/1/services/3")
    summary = page.locator(".scale-summary[aria-live=polite]")
    page.get_by_role("button", name="One backend node more").click()
    page.get_by_role("button", name="One backend node more").click()
    expect(summary).to_contain_text("2 more backend nodes: 2 credits an hour more.")
    page.evaluate(axe)
    assert violations(page) == []
    for _ in range(2):
        page.get_by_role("button", name="One backend node fewer").click()
    expect(summary).to_be_empty()
    page.locator("#count-backend").fill("0")
    expect(summary).to_contain_text("Not enough 'backend' nodes will be left")


def _host(cluster, aid):
    """Start a PHP service with several proxies, whose newest version fails its check."""
    php = cluster.service("php", aid)
    cluster.run(php.start())
    cluster.run(php.add_nodes(nodes={"backend": 1, "web": 1, "proxy": 1}))
    cluster.run(php.debug(mode="on"))
    broken = _archive("status", b"500\n<b>Parse error</b>")
    version = php.upload_code(filename=Upload(broken, "shop.tar.gz"))
    with pytest.raises(ConPaaSError):
        cluster.run(php.enable_code(code_version=version.codeVersionId))


def _cluster_databases(cluster, aid, stage):
    """Start a MySQL service in which something is abnormal."""
    mysql = cluster.service("mysql", aid)
    cluster.run(mysql.start())
    cluster.run(mysql.add_nodes(nodes={"mysql": 1, "glb": 2}))
    for number, node in enumerate(mysql.list_nodes()):
        stage.figures[node.ip] = {"conpaas_galera_receive_queue": 20.0 * number}
    for _ in range(4):
        cluster.sample(5.0)


def _archive(name="run.sh", text=b"sleep 300 & wait"):
    return io.BytesIO(packed({name: text}, form="w:gz"))

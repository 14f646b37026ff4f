"""A new user does everything in a browser: one story on real machines, in its order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from chromium import PATIENCE, job_done, press, start_application, watched_page
from e2e import Nutshell, wait_for
from person import Person
from playwright.sync_api import Page, expect

from conpaas.features.code.packing import packed

USERNAME, PASSWORD, NEW_PASSWORD = "berta", "correct horse", "battery staple"
SCRIPTS = {
    "init.sh": 'echo "init on $MY_ROLE"',
    "run.sh": 'echo "run.sh got $#: <$1>"; while sleep 1; do echo "still at it"; done',
    "interrupt.sh": 'echo "interrupt.sh was here"',
    "cleanup.sh": 'echo "clean again"',
    "notify.sh": 'echo "notified"',
}


@pytest.fixture(scope="module")
def page(nutshell: Nutshell) -> Iterator[Page]:
    with watched_page(nutshell.address) as made:
        yield made


@pytest.fixture(scope="module")
def berta(tmp_path_factory: pytest.TempPathFactory) -> Person:
    """The user, as who works with git."""
    return Person(tmp_path_factory.mktemp("berta"))


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What later steps must know of earlier ones."""
    return {}


def credit(page: Page) -> int:
    """Return the credit that stands in the top right corner."""
    text = page.locator("header .credit").inner_text()
    return int(re.findall(r"-?\d+", text)[0])


def to_service(page: Page, seen: dict[str, Any]) -> None:
    """Go to the page of the service."""
    page.goto(seen["service"])


def archive(**more: str) -> bytes:
    """Return an archive of the five scripts."""
    return packed(SCRIPTS | more, mode=0o755, form="w:gz")


def led(page: Page, row: int, script: str) -> str:
    """Return what the light of a script says on a node."""
    cell = page.locator(f'#script-status tbody tr >> nth={row} >> [data-label="{script}.sh"]')
    return cell.inner_text().strip()


def test_somebody_registers_and_is_told_what_is_wrong_first(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="Register").click()
    page.get_by_label("Username").fill(USERNAME)
    page.get_by_label("E-mail").or_(page.get_by_label("Email")).fill("berta@example.org")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill("something else")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_label("Username")).to_have_value(USERNAME)  # nothing typed is lost
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("first application")
    assert credit(page) == 50
    cookies = {cookie["name"]: cookie for cookie in page.context.cookies()}
    session = cookies["__Host-conpaas"]
    assert session["secure"] and session["httpOnly"] and session["sameSite"] == "Lax"


def test_an_application_is_created_and_started(page: Page, seen: dict[str, Any]) -> None:
    seen["application"] = start_application(page, "Shop of Berta")
    assert credit(page) == 49


def test_a_service_is_added_by_its_tile_and_started(page: Page, seen: dict[str, Any]) -> None:
    page.goto(seen["application"])
    press(page, "Add a service")
    page.locator("main form", has_text="Generic").get_by_role("button").click()
    page.wait_for_url(re.compile(r"/services/\d+$"))
    seen["service"] = page.url
    press(page, "Start")
    job_done(page)
    to_service(page, seen)
    expect(page.locator("main .head .state").first).to_have_text("RUNNING")
    assert credit(page) == 48


def test_an_archive_is_uploaded_and_set_active(page: Page, seen: dict[str, Any]) -> None:
    to_service(page, seen)
    page.locator("#upload-code summary").click()
    form = page.locator("#upload-code form")
    form.locator("input[type=file]").set_input_files(
        {"name": "scripts.tar.gz", "mimeType": "application/gzip", "buffer": archive()}
    )
    form.get_by_label("Description").fill("by the page")
    form.get_by_role("button", name="Upload").click()
    row = page.locator("#code-versions tr", has_text="by the page")
    expect(row).to_be_visible()
    row.get_by_role("button", name="Set active").click()
    job_done(page)
    to_service(page, seen)
    expect(page.locator("#code-versions tr", has_text="by the page")).to_contain_text("active")


def test_a_version_is_pushed_with_a_key_that_was_added_in_the_account(
    page: Page, seen: dict[str, Any], berta: Person
) -> None:
    page.goto("/account/keys")
    page.locator("main form textarea").fill(berta.key.with_suffix(".pub").read_text())
    press(page, "Add key")
    shown = berta.ok(f"ssh-keygen -l -f {berta.key}.pub", berta.directory).split()[1]
    expect(page.locator("main")).to_contain_text(shown)

    to_service(page, seen)
    clone = page.locator("main code", has_text="git clone").first.inner_text()
    wait_for("git", lambda: berta.run(clone, berta.directory).returncode == 0)
    number = seen["service"].rpartition("/")[2]
    (berta.code / number).mkdir()
    for name, text in SCRIPTS.items():
        (berta.code / number / name).write_text(text)
    berta.ok(f"git add {number}")
    berta.ok('git commit -m "Scripts of a push"')
    assert f"service {number}" in berta.ok("git push origin master")

    to_service(page, seen)
    row = page.locator("#code-versions tr", has_text="Scripts of a push")
    row.get_by_role("button", name="Set active").click()
    job_done(page)


def test_the_scripts_run_while_their_lights_tell(page: Page, seen: dict[str, Any]) -> None:
    to_service(page, seen)
    assert led(page, 0, "run") == "never run"
    page.get_by_label("Parameters").fill("'two words'")
    press(page, "Run")
    expect(page.locator("#script-status")).to_contain_text("running", timeout=PATIENCE)
    assert led(page, 0, "run").startswith("running")
    # What must wait is told before it is tried.
    expect(page.get_by_role("button", name="Cleanup", exact=True)).to_be_disabled()


def test_a_log_is_followed(page: Page, seen: dict[str, Any]) -> None:
    to_service(page, seen)
    page.get_by_role("link", name="Logs").first.click()
    page.get_by_role("link", name="agent.out").first.click()
    log = page.locator("pre.log")
    expect(log).to_contain_text("run.sh got 1: <two words>")
    follow = page.get_by_label("Follow")
    if not follow.is_checked():
        follow.check()
    before = log.inner_text().count("still at it")
    wait_for("more of the log", lambda: log.inner_text().count("still at it") > before + 2)

    to_service(page, seen)
    press(page, "Interrupt")
    expect(page.locator("#script-status tbody tr >> nth=0")).to_contain_text(
        re.compile(r"ended|killed|stopped"), timeout=PATIENCE
    )
    wait_for("the end of run.sh", lambda: not led(page, 0, "run").startswith("running"), 40)


def test_a_volume_is_attached(page: Page, seen: dict[str, Any]) -> None:
    to_service(page, seen)
    page.locator("#add-volume summary").click()
    form = page.locator("#add-volume form")
    form.get_by_label("Vol name").or_(form.get_by_label("Name")).first.fill("store")
    form.get_by_label(re.compile("size", re.IGNORECASE)).fill("64")
    form.get_by_role("button", name="Create volume").click()
    job_done(page)
    to_service(page, seen)
    expect(page.locator("#volumes-list")).to_contain_text("/media/store")
    expect(page.locator("#volumes-list")).to_contain_text("attached")


def test_it_is_scaled_to_three_and_back(page: Page, seen: dict[str, Any]) -> None:
    before = credit(page)
    for wanted, nodes in (("2", 3), ("0", 1)):
        to_service(page, seen)
        section = page.locator("section", has=page.get_by_role("heading", name="Scale"))
        section.get_by_role("spinbutton").first.fill(wanted)
        section.get_by_role("button", name="Apply").click()
        if wanted == "0":  # losing nodes asks first
            page.get_by_role("button", name=re.compile("^Remove")).click()
        job_done(page)
        to_service(page, seen)
        expect(page.locator("#script-status tbody tr")).to_have_count(nodes)
    assert credit(page) == before - 2


def test_the_credit_is_explained(page: Page) -> None:
    page.locator("header .credit").click()
    expect(page.locator("main")).to_contain_text(str(credit(page)))
    expect(page.locator("main")).to_contain_text("Shop of Berta")


def test_the_password_is_changed_and_other_sessions_end(page: Page, nutshell: Nutshell) -> None:
    other = page.context.browser.new_context(  # type: ignore[union-attr]  # it is there
        base_url=f"https://{nutshell.address}", ignore_https_errors=True
    )
    elsewhere = other.new_page()
    elsewhere.goto("/login")
    elsewhere.get_by_label("Username").fill(USERNAME)
    elsewhere.get_by_label("Password").fill(PASSWORD)
    elsewhere.get_by_role("button", name="Log in").click()
    expect(elsewhere.get_by_role("heading", level=1)).to_contain_text("Applications")

    page.goto("/account")
    section = page.locator("section", has=page.get_by_role("heading", name="Password"))
    section.get_by_label("Current password").fill(PASSWORD)
    section.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    section.get_by_label("New password again").fill(NEW_PASSWORD)
    section.get_by_role("button", name="Change password").click()
    expect(page.locator("main")).to_contain_text("Password changed")

    elsewhere.goto("/")
    expect(elsewhere.get_by_role("heading", level=1)).to_have_text("Log in")
    other.close()


def test_everything_is_deleted(page: Page, seen: dict[str, Any], nutshell: Nutshell) -> None:
    page.goto(seen["application"])
    press(page, "Delete…")
    page.locator("main form").get_by_role("textbox").fill("another name")
    page.locator("main form button.danger").click()
    expect(page.locator("main [role=alert]")).to_be_visible()
    page.locator("main form").get_by_role("textbox").fill("Shop of Berta")
    page.locator("main form button.danger").click()
    job_done(page)
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("first application")
    aid = seen["application"].rpartition("/")[2]
    assert [name for name in nutshell.machines() if f"-a{aid}-" in name] == []
    assert [v.name for v in nutshell.cloud.list_volumes() if "store" in v.name] == []

    page.goto("/account")
    page.get_by_text("Delete my account…").click()
    page.locator("#delete-account form").get_by_role("textbox").fill(USERNAME)
    page.locator("#delete-account button.danger").click()
    wait_for(
        "the end of the account",
        lambda: USERNAME not in [row["username"] for row in nutshell.cps.rows("cps-user list")],
    )
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")

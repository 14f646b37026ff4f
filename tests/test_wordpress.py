"""WordPress on the PHP and the MySQL service, as the tutorial tells it: one story on machines.

The commands and what they print stand in ``docs/tutorial/wordpress.md``.  With
``CONPAAS_SCREENSHOTS`` set, the pictures of that page are made anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import wordpress
from blogger import TITLE, Blogger, Correspondent
from chromium import chromium, job_done, log_in
from documents import DOCS
from e2e import Nutshell
from hosted import Hosted
from load import Load
from playwright.sync_api import Browser, Page, expect
from walk import Walk
from writers import Author, database_titles, kill_machine, php_titles

PAGE = DOCS / "tutorial" / "wordpress.md"
PASSWORD = "correct horse 7"
#: The page of the MySQL service.
DATABASES = "/applications/1/services/1"
POST = "Hello from the mountains"


@dataclass
class Blog:
    """The blog of the tutorial, and what later steps must know of earlier ones."""

    nutshell: Nutshell
    walk: Walk
    directory: Path
    url: str = ""
    post: str = ""
    picture: str = ""
    pixels: bytes = b""
    written: set[str] = field(default_factory=set)

    @property
    def mysql(self) -> Hosted:
        """The MySQL service."""
        return Hosted(self.nutshell, 1, self.directory, 1, "mysql")

    @property
    def php(self) -> Hosted:
        """The PHP service."""
        return Hosted(self.nutshell, 1, self.directory, 2)

    def visitors(self) -> Load:
        """Return people who read the blog, now and then."""

        def check(path: str, status: int, body: str) -> str:
            return "" if words[path] in body else f"not what it was: {body[:200]}"

        words = {"/": TITLE, "/wp-includes/css/dashicons.css": "dashicons-before"}
        return Load([self.url], [*words], check, workers=2, rate=2)


@pytest.fixture(scope="module")
def blog(
    make_nutshell: Callable[[str], Nutshell], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Blog]:
    """Nothing yet but a system, a person, and WordPress as it is handed out."""
    directory = tmp_path_factory.mktemp("blog")
    wordpress.tarball(directory / "wordpress.tar.gz")

    def edit(language: str, text: str) -> None:
        assert language == "php"
        wordpress.edit(directory / "wordpress/wp-config.php", text)

    answers = {
        "set_password": f"{PASSWORD}\n{PASSWORD}\n",
        "--secret": f"{PASSWORD}\n",
        "mysql -h": f"{PASSWORD}\n",
    }
    nutshell = make_nutshell("blog")
    yield Blog(nutshell, Walk(PAGE, nutshell, directory, answers, edit), directory)
    nutshell.destroy()  # its machines would take time from the tests that follow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def author(browser: Browser) -> Page:
    """Who is logged in once she has done so."""
    return _new_page(browser)


@pytest.fixture(scope="module")
def owner(blog: Blog, browser: Browser) -> Iterator[Page]:
    """The page of the MySQL service, as its owner has it open."""
    context = browser.new_context(
        base_url=f"https://{blog.nutshell.address}", ignore_https_errors=True
    )
    page = context.new_page()
    log_in(page, "test", blog.nutshell.password)
    yield page
    context.close()


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Page]:
    """Somebody else, who has never been here."""
    page = _new_page(browser)
    yield page
    page.context.close()


def _new_page(browser: Browser) -> Page:
    context = browser.new_context(viewport={"width": 960, "height": 600})
    context.set_default_timeout(60_000)
    return context.new_page()


def _picture(page: Page, name: str) -> None:
    if "CONPAAS_SCREENSHOTS" in os.environ:
        page.screenshot(path=PAGE.with_name(name))


def test_an_application_with_two_services_is_made_and_started(blog: Blog) -> None:
    blog.walk.go(1)


def test_the_password_is_reset_and_a_database_created_by_the_command_that_is_shown(
    blog: Blog,
) -> None:
    blog.walk.go(2)


def test_wordpress_is_configured_packed_uploaded_and_enabled(blog: Blog) -> None:
    blog.walk.go(3)
    blog.walk.go(4)
    blog.url = blog.walk.told("url")


def test_it_is_installed_and_a_post_is_published_in_a_browser(blog: Blog, author: Page) -> None:
    anna = Blogger(author, blog.url)
    anna.install()
    _picture(author, "wordpress-install.png")
    anna.finish_installing()
    anna.log_in()
    anna.write(POST, "We have arrived, and it snows.")
    _picture(author, "wordpress-editor.png")
    blog.post = anna.publish()
    blog.written.add(POST)


def test_a_visitor_reads_it(blog: Blog, visitor: Page) -> None:
    visitor.goto(blog.url)
    _picture(visitor, "wordpress-blog.png")
    visitor.get_by_role("link", name=POST).first.click()
    assert visitor.url == blog.post
    expect(visitor.locator("body")).to_contain_text("We have arrived, and it snows.")


def test_a_picture_that_one_machine_takes_is_served_by_another(
    blog: Blog, author: Page, tmp_path: Path
) -> None:
    with blog.visitors() as load:
        blog.walk.go(5)
    load.none_failed()
    picture = tmp_path / "mountains.png"
    author.goto(blog.url)
    author.screenshot(path=picture)
    blog.picture = Blogger(author, blog.url).upload(picture)
    served = author.request.get(blog.picture)
    assert (served.status, served.headers["content-type"]) == (200, "image/png")
    assert served.body() == picture.read_bytes()
    blog.pixels = served.body()


def test_it_grows_while_visitors_read_and_an_author_writes(blog: Blog) -> None:
    with blog.visitors() as load, Author(blog.url, "growing") as writer:
        load.go_on(10)
        blog.walk.go(6)
        load.go_on(10)
    load.none_failed()
    assert writer.failed() == []
    blog.written |= writer.published


def test_each_backend_and_each_database_has_every_post(blog: Blog) -> None:
    Correspondent(blog.url).post("To all", "Can you read me?")
    blog.written.add("To all")
    backends, databases = blog.php.nodes("backend"), blog.mysql.nodes("mysql")
    assert (len(backends), len(databases)) == (2, 3)
    for node in backends:
        init = blog.nutshell.cloud.driver.instances.init(blog.php.machine(node["agent_id"]).id)
        assert init is not None
        assert php_titles(init.pid, node["ip"], blog.php.active) >= blog.written
    for node in databases:
        titles = database_titles(node["ip"], PASSWORD)
        assert set(titles) >= blog.written
        assert len(titles) == len(set(titles))


def test_a_post_that_was_deleted_comes_back_with_a_backup(blog: Blog, owner: Page) -> None:
    name = blog.mysql.rows("backup")["name"]
    owner.goto(DATABASES)
    owner.get_by_role("button", name=f"Verify {name}").click()
    job_done(owner)
    expect(owner.locator(".steps")).to_contain_text(f"Backup '{name}' is good")
    Correspondent(blog.url).delete(POST)
    assert POST not in Correspondent(blog.url).titles()
    blog.mysql.ok(f"restore {name} --yes")
    assert set(Correspondent(blog.url).titles()) >= blog.written
    for node in blog.mysql.nodes("mysql"):
        assert set(database_titles(node["ip"], PASSWORD)) >= blog.written


def test_a_post_that_was_deleted_comes_back_with_a_dump_that_was_downloaded(
    blog: Blog, owner: Page, tmp_path: Path
) -> None:
    owner.goto(DATABASES)
    with owner.expect_download() as download:
        owner.get_by_role("link", name="Download a dump").click()
    dump = tmp_path / download.value.suggested_filename
    download.value.save_as(dump)
    Correspondent(blog.url).delete(POST)
    assert POST not in Correspondent(blog.url).titles()
    dumps = owner.get_by_role("region", name="Dumps")
    dumps.locator("input[type=file]").set_input_files(dump)
    dumps.get_by_role("button", name="Load it").click()
    job_done(owner)
    assert set(Correspondent(blog.url).titles()) >= blog.written
    for node in blog.mysql.nodes("mysql"):
        assert set(database_titles(node["ip"], PASSWORD)) >= blog.written


def test_machines_of_a_database_and_a_backend_die_and_no_post_is_lost(blog: Blog) -> None:
    mysql, php = blog.mysql, blog.php
    roles = mysql.roles(), php.roles()
    with blog.visitors() as load, Author(blog.url, "dying") as writer:
        load.go_on(10)
        writer.go_on(3)
        database = mysql.nodes("mysql")[-1]["agent_id"]
        deaths = [kill_machine(mysql, database)]
        writer.go_on(5)
        backend = php.nodes("backend")[-1]["agent_id"]
        deaths.append(kill_machine(php, backend))
        writer.go_on(5)
        mysql.wait_for_others(database, roles[0])
        php.wait_for_others(backend, roles[1])
        load.go_on(10)
        writer.go_on(3)
    load.none_failed(deaths)
    assert writer.failed(deaths) == []
    blog.written |= writer.published
    for node in mysql.nodes("mysql"):
        titles = database_titles(node["ip"], PASSWORD)
        assert sorted(blog.written - set(titles)) == []
        assert len(titles) == len(set(titles))
    blog.walk.go(7)


def test_the_application_is_stopped_and_started_and_the_blog_is_back(
    blog: Blog, visitor: Page
) -> None:
    roles = blog.php.roles()
    blog.walk.go(8)
    url = blog.walk.told("url")
    visitor.goto(url)
    expect(visitor.locator("body")).to_contain_text(TITLE)
    titles = Correspondent(url).titles()
    assert sorted(blog.written - set(titles)) == []
    Correspondent(url).post("Back again", "It was only a night.")
    assert blog.mysql.roles() == ["glb", "mysql", "mysql", "mysql"]
    assert blog.php.roles() == roles
    picture = visitor.request.get(blog.picture.replace(blog.url, url))
    assert (picture.status, picture.body()) == (200, blog.pixels)
    assert blog.walk.is_over

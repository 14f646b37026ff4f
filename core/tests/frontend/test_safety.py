"""What keeps others from acting through a user's browser."""

import pytest

from conpaas.api import Applications

#: A changing request of each kind of page.
CHANGES = [
    ("/logout", {}),
    ("/applications/new", {"name": "mine"}),
    ("/applications/1/operations/rename", {"new_name": "yours"}),
    ("/applications/1/add", {"service_type": "simple"}),
    ("/applications/1/services/1/operations/set_word", {"word": "x"}),
    ("/applications/1/services/1/scale", {"count.node": "2"}),
    ("/objects/user/operations/create_token", {}),
    ("/login", {"username": "test", "password": "x"}),
    ("/register", {}),
]
#: What a browser says of where a form came from, when that was not one of our pages.
FOREIGN = [
    ("https://evil.example", None),
    ("https://evil.example", "cross-site"),
    ("null", None),
    ("null", "cross-site"),
    (None, "same-site"),
    ("http://pages", None),
    ("https://pages", "cross-site"),
]


def test_a_form_without_the_right_token_does_nothing(browser):
    for path, fields in CHANGES:
        for csrf in ("", "0" * 64, "ü"):
            assert browser.post(path, fields, csrf=csrf).status == 403, (path, csrf)


def test_a_form_of_another_site_does_nothing(browser):
    csrf = browser.csrf
    for path, fields in CHANGES:
        for origin, site in FOREIGN:
            browser.origin, browser.fetch_site = origin, site
            assert browser.post(path, fields, csrf=csrf).status == 403, (path, origin, site)


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("https://pages", None),
        ("https://pages", "same-origin"),
        ("null", "same-origin"),
        (None, None),
    ],
)
def test_a_form_of_ours_is_taken(browser, cluster, origin, site):
    browser.origin, browser.fetch_site = origin, site
    assert browser.post("/applications/new", {"name": "mine"}).status == 303
    assert [one.name for one in cluster.api(Applications).list()] == ["mine"]


def test_the_token_of_another_session_is_not_taken(browser, cluster):
    first = browser.csrf
    assert browser.log_in().status == 303
    assert browser.post("/applications/new", {"name": "mine"}, csrf=first).status == 403
    assert cluster.api(Applications).list() == ()


def test_every_answer_carries_the_headers_that_keep_pages_to_themselves(browser, stranger, aid):
    answers = [
        browser.get("/"), browser.get("/nothing"), browser.get("/applications/99"),
        browser.get(f"/applications/{aid}"), stranger.get("/login"), stranger.get("/"),
        stranger.post("/login", csrf="x"), browser.request("DELETE", "/"),
        browser.get("/", X_Live="1"), browser.get("/static/style.css"),
        browser.get("/static/../pages.py"),
    ]  # fmt: skip
    assert [page.status for page in answers] == [
        200, 404, 404, 200, 200, 303, 403, 405, 200, 200, 404,
    ]  # fmt: skip
    for page in answers:
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert "permissions-policy" in page.headers
        assert page.headers["cache-control"]
    assert browser.get("/").headers["cache-control"] == "no-store"


def test_pages_have_no_inline_script_and_no_inline_style(browser, service):
    for path in ("/", "/applications/1", service, "/help", "/about", f"{service}/operations/stop"):
        page = browser.get(path)
        assert page.status == 200
        assert all("src" in script for script in page.all("script"))
        assert not page.all("style")
        for tag, attributes in page.elements:
            named = [a for a in attributes if a == "style" or a.startswith("on")]
            assert not named, (tag, named)


def test_static_files_keep_for_ever_under_the_address_that_pages_use(browser):
    page = browser.get("/")
    sheet = page.all("link", rel="stylesheet")[0]["href"]
    answer = browser.get(sheet)
    assert "immutable" in answer.headers["cache-control"]
    assert "immutable" not in browser.get(sheet.partition("?")[0]).headers["cache-control"]


def test_a_bug_is_told_by_number_and_not_by_its_words(browser, monkeypatch, caplog):
    def burst(*arguments, **named):
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr("conpaas.frontend.site.Site.ask", burst)
    page = browser.get("/")
    assert page.status == 500
    assert "secret" not in page.text
    assert "number" in page.text
    assert "a secret of ours" in caplog.text


def test_a_director_that_does_not_answer_is_told_as_that(browser, cluster):
    cluster.network.silence("https://director:5555")
    page = browser.get("/")
    assert page.status == 503
    assert "The director does not answer" in page.text
    assert page.all("meta", http_equiv="refresh")

"""The panel of variables: what is shown, what never is, and the forms."""

import pytest
from browsing import Browser, session_of
from looking import frontend_of

CANARY = "hunter2-<4f3a>"
PAGE = "/applications/1/services/1"


@pytest.fixture
def browser(app):
    made = Browser(frontend_of(app.cluster))
    made.cookies["__Host-conpaas"] = session_of(app.cluster)
    return made


def finished(app, page):
    """Wait until the job that a form has begun is over; return its page's address."""
    assert page.status == 303, page.text
    app.idle()
    return page.location


def test_variables_are_shown_with_their_sources(app, browser):
    assert "What the code must know" in browser.get(PAGE).text
    app.run(app.service.set_env(name="COLOUR", value="blue"))
    app.run(app.service.set_env(name="KEY", value="first\nsecond"))
    app.other.announce(values={"HOST": "10.0.0.7"})
    page = browser.get(PAGE)
    assert "COLOUR blue yours" in page.text
    assert "HOST 10.0.0.7 service 2 (New listening service)" in page.text
    assert "12 characters" in page.text
    removable = [form for form in page.all("form") if form.get("action", "").endswith("unset_env")]
    assert len(removable) == 2, "what another service publishes cannot be removed here"


def test_a_variable_is_set_and_removed_on_the_page(app, browser):
    page = browser.get(PAGE)
    assert {"name", "value", "secret"} <= {a.get("name") for _, a in page.elements}
    fields = {"name": "TEXT", "value": "one\r\ntwo "}
    finished(app, browser.post(f"{PAGE}/operations/set_env", fields))
    assert app.told() == {"TEXT": "one\ntwo "}
    finished(app, browser.post(f"{PAGE}/operations/unset_env", {"name": "TEXT"}))
    assert app.told() == {}


def test_a_secret_is_on_no_page(app, browser):
    fields = {"name": "KEY", "value": CANARY, "secret": "on"}
    job = finished(app, browser.post(f"{PAGE}/operations/set_env", fields))
    assert app.told() == {"KEY": CANARY}
    paths = (PAGE, job, f"{PAGE}/operations/list_env", f"{PAGE}/operations/set_env?name=KEY")
    for path in (*paths, f"{PAGE}/log", "/applications/1"):
        assert "hunter2" not in browser.get(path).content.decode(), path
    assert "KEY (secret) yours" in browser.get(PAGE).text


def test_a_refused_value_is_not_shown_again(app, browser):
    fields = {"name": "LD_PRELOAD", "value": CANARY, "secret": "on"}
    page = browser.post(f"{PAGE}/operations/set_env", fields)
    assert page.status == 400
    assert "which programs and libraries run" in page.text
    assert page.field("name")["value"] == "LD_PRELOAD"
    assert "hunter2" not in page.content.decode()

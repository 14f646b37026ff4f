"""The panel of backups."""

import pytest
from browsing import Browser, session_of
from looking import frontend_of

PAGE = "/applications/1/services/1"


@pytest.fixture
def browser(shop):
    made = Browser(frontend_of(shop.cluster))
    made.cookies["__Host-conpaas"] = session_of(shop.cluster)
    return made


def test_backups_are_made_verified_and_deleted_on_the_page(shop, browser):
    page = browser.get(PAGE)
    assert "None are made by themselves." in page.text
    assert browser.post(f"{PAGE}/operations/backup", {}).status == 303
    shop.idle()
    (name,) = shop.names()
    assert f"{name} 15 B by hand, just now manager no" in browser.get(PAGE).text
    assert browser.post(f"{PAGE}/operations/verify_backup", {"name": name}).status == 303
    shop.idle()
    assert "a text of 5 characters" in browser.get(PAGE).text
    asked = browser.get(f"{PAGE}/operations/restore?name={name}")
    assert "replaced by what is in the backup" in asked.text
    shop.user.write(text="second")
    confirmed = {"name": name, "confirmed": "yes"}
    assert browser.post(f"{PAGE}/operations/restore", confirmed).status == 303
    shop.idle()
    assert shop.user.read() == "first"
    typed = {**confirmed, "confirm-name": name}
    assert browser.post(f"{PAGE}/operations/delete_backup", typed).status == 303
    shop.idle()
    assert name not in shop.names()


def test_the_schedule_is_changed_on_the_page_and_its_failure_is_told(shop, browser, orders):
    orders.break_off = True
    fields = {"every": "24", "keep": "3", "place": "manager", "verify": "off"}
    assert browser.post(f"{PAGE}/operations/set_backup_schedule", fields).status == 303
    assert shop.user.get_backup_schedule().keep == 3
    shop.look()
    page = browser.get(PAGE)
    assert "Made by themselves every 24 h, 3 of them are kept" in page.text
    assert "failed: the node burns" in page.text

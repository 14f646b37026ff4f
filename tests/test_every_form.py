"""Every operation of every installed service type can be done by its page."""

import pytest
from hosting import hosting_plugins
from looking import logged_in

from conpaas.rpc import operations
from conpaas.state import State
from conpaas.testing.cluster import Cluster

TYPES = sorted(hosting_plugins().services)
#: What each kind of field is given, where the operation does not say.
TEXTS = {"text": "x", "long": "x", "number": "1", "decimal": "1", "secret": "x" * 8, "lines": "x"}


@pytest.fixture(scope="module")
def cluster():
    """A cluster with everything that is installed."""
    with Cluster(hosting_plugins()) as made:
        yield made


@pytest.mark.parametrize("name", TYPES)
def test_every_operation_has_a_form_that_reaches_its_manager(cluster, name):
    aid = cluster.application(name)
    service = cluster.service(name, aid)
    cluster.run(service.start())
    browser = logged_in(cluster)
    path = f"/applications/{aid}/services/1"
    shown = browser.get(path)
    for operation in operations(cluster.plugins.service(name).manager_class).values():
        if operation.hidden or operation.name in ("stop", "add_nodes", "remove_nodes"):
            continue
        here = f"{path}/operations/{operation.name}"
        page = browser.get(here)
        assert page.status < 500, (operation.name, page.text)
        if not operation.reads:
            assert page.status == 200 and page.all("form", action=here)
        texts = {
            p.name: TEXTS.get(_kind(page, p.name), "x")
            for p in operation.parameters
            if not p.is_upload and p.required
        }
        if operation.upload is not None:
            done = browser.upload(here, texts, operation.upload.name, "a.txt", b"x")
        elif operation.reads:
            done = browser.get(here + "?" + "&".join(f"{k}={v}" for k, v in texts.items()))
        else:
            done = browser.post(here, {**texts, "confirmed": "yes"})
        # It was carried out, or its manager refused: an error of the caller, in its own words.
        assert done.status < 500, (operation.name, done.text)
        cluster.wait(lambda: not cluster.state(aid, 1).passing)
    assert shown.status == 200
    assert cluster.state(aid, 1) in (State.RUNNING, State.ERROR)


def _kind(page, name):
    fields = [a for t, a in page.elements if a.get("name") == name]
    return {"number": "number", "password": "secret"}.get(
        fields[0].get("type", "") if fields else "", "text"
    )

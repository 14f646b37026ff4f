"""What the tests of the pages share: a cluster with pages, and browsers that look at them."""

import pytest
from browsing import Browser, session_of
from looking import frontend_of


@pytest.fixture
def app(cluster):
    """The frontend of the cluster."""
    return frontend_of(cluster)


@pytest.fixture
def stranger(app):
    """A browser that is not logged in."""
    return Browser(app)


@pytest.fixture
def browser(cluster, app):
    """A browser whose user is logged in."""
    made = Browser(app)
    made.cookies["__Host-conpaas"] = session_of(cluster)
    return made


@pytest.fixture
def aid(cluster):
    """A running application."""
    return cluster.application("shop")


@pytest.fixture
def service(cluster, aid):
    """The address of a service of it that runs on one node."""
    cluster.run(cluster.service("simple", aid).start())
    return f"/applications/{aid}/services/1"

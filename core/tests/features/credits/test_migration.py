"""Who was there before credits were."""

import time

import peewee
import pytest
from peewee_migrate import Router

from conpaas.director.config import DirectorConfig, DirectorSection
from conpaas.director.database import MIGRATIONS, migrate, open_database
from conpaas.director.models import Application, Machine, User
from conpaas.features.credits.director.ledger import Ledger


@pytest.fixture
def before(tmp_path):
    """A database as it was, with an administrator, a user and a machine of an old age."""
    database = open_database("", tmp_path)
    with database.connection_context():
        router = Router(database, migrate_dir=str(MIGRATIONS), ignore=["basemodel"])
        for name in router.todo:
            if name < "003":
                router.run_one(name, router.migrator, fake=False)
        User.create(username="admin", password="!", admin=True)
        user = User.create(username="user", password="!")
        application = Application.create(user=user, name="old", state="RUNNING")
        Machine.create(
            application=application, service=0, role="manager", name="m", cloud="local",
            state="running", request="r", public_key="key", created=time.time() - 100.5 * 3600,
        )  # fmt: skip
    yield database
    database.close()


def test_users_get_credit_and_what_runs_is_charged_from_its_next_hour_on(before):
    with pytest.raises(peewee.OperationalError), before.connection_context():
        before.execute_sql("SELECT * FROM credit_entry")
    applied = migrate(before)
    assert "003_credits" in applied
    config = DirectorConfig(DirectorSection(name="test", url="https://director:5555"))
    ledger = Ledger(config)
    with before.connection_context():
        assert [ledger.left(user) for user in (1, 2)] == [None, 50]
        assert ledger.charge_due(2, time.time()) == []
        assert ledger.left(2) == 50
        assert ledger.charge_due(2, time.time() + 3600) == []
        assert ledger.left(2) == 49

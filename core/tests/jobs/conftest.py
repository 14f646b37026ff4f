"""What the tests of jobs share."""

import pytest
from job_target import Target

from conpaas.jobs import JobRunner
from conpaas.records import Records


@pytest.fixture
def records(tmp_path):
    opened = Records(tmp_path / "r.db")
    yield opened
    opened.close()


@pytest.fixture
def runner(records):
    return JobRunner(records)


@pytest.fixture
def target(runner):
    return Target(runner=runner)

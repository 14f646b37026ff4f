"""A local cloud of a test's own, beside whatever else runs on this machine."""

import json
import os
import re
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from conpaas.clouds.local import LocalCloud, LocalSettings
from conpaas.images import build_base
from conpaas.images.build import DIRECTORY

#: Runs the user-data as the machine's first program.
SCRIPT = "/bin/sh /var/lib/cloud/seed/nocloud/user-data"


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents and "cloud" in item.fixturenames:
            item.add_marker(pytest.mark.machines)


@pytest.fixture(scope="session")
def base_image():
    if os.geteuid() != 0:
        pytest.skip("real machines need root")
    return build_base(DIRECTORY, progress=print)


@pytest.fixture
def settings(base_image):
    token = uuid.uuid4().hex[:4]
    return LocalSettings(
        directory=f"/var/lib/conpaas-test-{token}",
        images=str(DIRECTORY),
        image=base_image,
        bridge=f"cpt{token}",
        prefix=f"t{token}-",
        init=SCRIPT,
    )


@pytest.fixture
def make_cloud(settings):
    yield lambda deployment: LocalCloud("local", settings, deployment)
    LocalCloud("local", settings, "").down()
    assert Traces(settings).all() == {}, "the cloud left something behind"


@pytest.fixture
def cloud(make_cloud):
    return make_cloud("test")


@pytest.fixture
def traces(settings):
    return Traces(settings)


@pytest.fixture
def inside(settings):
    """Run a command in a machine; return what it prints."""

    def run(machine, *command):
        directory = f"{settings.directory}/machines"
        attach = ["lxc-attach", "-P", directory, "-n", machine.id, "--", *command]
        return subprocess.run(attach, check=True, capture_output=True, text=True).stdout

    return run


class Traces:
    """Looks for everything that a local cloud can leave on its host, by its names."""

    def __init__(self, settings):
        self.settings = settings
        self.kinds = {
            "mounts": self.mounts,
            "links": self.links,
            "loops": self.loops,
            "processes": self.processes,
            "cgroups": self.cgroups,
            "tables": self.tables,
            "files": self.files,
        }

    def all(self):
        """Return the traces of each kind that has some, after a moment for the kernel."""
        deadline = time.monotonic() + 2
        while (found := self.now()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def now(self):
        return {kind: found for kind, look in self.kinds.items() if (found := look())}

    def mounts(self):
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return [line for line in lines if self.settings.directory in line]

    def links(self):
        names = os.listdir("/sys/class/net")
        return [n for n in names if n.startswith((self.settings.prefix, self.settings.bridge))]

    def loops(self):
        listing = json.loads(subprocess.check_output(["losetup", "--json", "--list"]) or "{}")
        files = [device["back-file"] or "" for device in listing.get("loopdevices", [])]
        return [file for file in files if file.startswith(self.settings.directory)]

    def processes(self):
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                cgroup = (path / "cgroup").read_text()
            except OSError:
                continue
            if self.settings.directory in command or self.settings.prefix in cgroup:
                found.append(command)
        return found

    def cgroups(self):
        return [
            directory
            for directory, _, _ in os.walk("/sys/fs/cgroup")
            if re.search(rf"/lxc\.\w+\.{self.settings.prefix}", directory)
        ]

    def tables(self):
        listing = subprocess.check_output(["nft", "list", "tables"], text=True)
        return [line for line in listing.splitlines() if line.endswith(self.settings.bridge)]

    def files(self):
        return [self.settings.directory] if os.path.exists(self.settings.directory) else []

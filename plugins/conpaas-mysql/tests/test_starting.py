"""What a server begins with, before it is started; no server runs here."""

from __future__ import annotations

from pathlib import Path

import pytest

from conpaas_mysql import starting
from conpaas_mysql.directories import Directories

VIEW = "my_uuid: a\n#vwbeg\nview_id: 3 a 7\nbootstrap: 0\n{members}#vwend\n"


@pytest.mark.parametrize(("members", "kept"), [(["a", "b"], True), (["a"], False)])
def test_half_a_copy_is_begun_anew_and_never_as_a_cluster_of_its_own(
    tmp_path: Path, members: list[str], kept: bool
) -> None:
    directories = Directories(tmp_path / "root", tmp_path / "volume")
    directories.data.mkdir(parents=True)
    (directories.data / "ibdata1").write_text("half")
    view = directories.data / "gvwstate.dat"
    view.write_text(VIEW.format(members="".join(f"member: {name} 0\n" for name in members)))
    assert "--wsrep-new-cluster" not in starting.command(directories)
    assert view.exists() == kept
    assert not (directories.data / "ibdata1").exists()

"""The code of a new service prints what the manual shows."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

from conpaas.testing.waiting import eventually
from conpaas_generic.default_code import FILENAME, default_code
from conpaas_generic.scripts import SCRIPTS, Scripts


def test_it_is_the_five_scripts() -> None:
    with tarfile.open(fileobj=io.BytesIO(default_code())) as archive:
        assert archive.getnames() == [f"{script}.sh" for script in SCRIPTS]
    assert FILENAME == "code-default.tar"
    assert default_code() == default_code()


def test_each_script_notes_when_where_and_with_what_it_was_called(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(default_code())) as archive:
        archive.extractall(tmp_path / "code", filter="data")
    agents = '[{"ip": "172.16.0.226", "role": "master", "id": "iaasi-00000012"}]\n'
    (tmp_path / "agents.json").write_text(agents)
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "MY_IP": "172.16.0.226",
        "MY_ROLE": "master",
        "MASTER_IP": "172.16.0.226",
        "AGENTS_FILE": str(tmp_path / "agents.json"),
    }
    scripts = Scripts(tmp_path / "runs", tmp_path / "out", tmp_path / "err")
    for script, arguments in (("init", []), ("run", ["a", "b c"])):
        scripts.start("code-default", tmp_path / "code", script, "1", arguments, environment)
        eventually(lambda: not scripts.running())
    first, second = re.split(r"(?<=\]\n)", (tmp_path / "generic.out").read_text())[:2]
    date, _, rest = first.partition("\n")
    assert re.fullmatch(r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \w+ \d{4}", date)
    assert rest == (
        "Executing script init.sh\n"
        "Parameters (0):\n"
        "My IP is 172.16.0.226\n"
        "My role is master\n"
        "My master IP is 172.16.0.226\n"
        f"Information about other agents is stored at {tmp_path}/agents.json\n"
        f"{agents}"
    )
    assert "Executing script run.sh\nParameters (2): a b c\n" in second
    assert (tmp_path / "err").read_text() == ""

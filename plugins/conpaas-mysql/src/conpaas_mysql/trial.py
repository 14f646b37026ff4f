"""Settings that a server has not run with yet: tried before it becomes a member with them.

A member joins the others before it opens its data.  One that cannot open them with its settings
ends at once, without a word to the others, again and again: two members lose their majority by
that, and the data are copied anew each time.  So the data are opened once before, by a server that
joins nobody; that takes a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Mapping

from conpaas import files
from conpaas.errors import AgentError, InvalidError
from conpaas_mysql import starting
from conpaas_mysql.configuration import Configuration
from conpaas_mysql.directories import Directories

#: The configuration that a server has taken queries with.
_PROVEN = "proven.cnf"
_PROVIDER = "wsrep_provider_options"
_SECRETS = ("wsrep_sst_auth",)
#: What a server's log says of an error, and first of all.
_ERROR, _BEGINNING = "[ERROR]", "[Note] Starting MariaDB"


def check_options(options: Mapping[str, str]) -> None:
    """Have the server's program read options, and nothing else.

    Args:
        options: By name, as its configuration file writes them; those of Galera (with a dot) are
            passed over.

    Raises:
        InvalidError: It refuses one; says which, and what it says.
    """
    told = {name: value for name, value in options.items() if "." not in name}
    arguments = [f"--{name}={value}" for name, value in told.items()]
    answer = starting.run_briefly("--no-defaults", *arguments, "--help", "--verbose")
    if answer.returncode != 0:
        line = cause(answer.stderr, told)
        of = [f"{name} = {told[name]}" for name in told if _is_about(line, name, told[name])]
        raise InvalidError(f"the database refuses {', '.join(of) or 'the settings'}: {line}")


def note_proven(directories: Directories) -> None:
    """Note that a server takes queries with what it runs with."""
    running = starting.running_configuration(directories)
    if running.sections:
        files.write(directories.configuration / _PROVEN, running.text, 0o600)


def unproven(directories: Directories) -> dict[str, str]:
    """Return the settings that no server here has taken queries with, by name.

    None when it is not known what one has run with: then nobody has changed it.
    """
    proven = Configuration.read(directories.configuration / _PROVEN)
    wanted = Configuration.read(directories.options_file)
    found: dict[str, str] = {}
    for name in wanted.news(proven) if proven.sections else ():
        if name == _PROVIDER:
            before = _provider(proven)
            options = _provider(wanted).items()
            found |= {one: told for one, told in options if before.get(one) != told}
        elif name in _SECRETS:
            found[name] = "a new one"
        else:
            found[name] = wanted.server.get(name, "its default")
    return found


def try_settings(directories: Directories) -> None:
    """Open the data of a server that does not run with its configuration, and close them again.

    Raises:
        AgentError: That fails; says which settings are new, and what the server says.
    """
    settings = unproven(directories)
    starting.keep_reserve(directories)
    answer = starting.run_briefly(f"--defaults-file={directories.options_file}", "--wsrep-recover")
    if answer.returncode != 0:
        raise AgentError(refusal(settings, answer.stderr))


def refusal(settings: Mapping[str, str], log: str) -> str:
    """Say that a server does not start with new settings; ``log`` is what it said."""
    told = ", ".join(f"{name} = {value}" for name, value in settings.items())
    return f"the database does not start with {told}: {cause(log, settings)}"


def cause(log: str, settings: Mapping[str, str]) -> str:
    """Return the line of a log that tells why a server ended.

    The last one that is about one of the settings; or else the first error of the last start that
    has ended: the others follow from it.
    """
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if _is_error(line)]
    about = [e for e in errors if any(_is_about(e, n, v) for n, v in settings.items())]
    starts = [part.splitlines() for part in log.split(_BEGINNING)]
    ended = [[line.strip() for line in part if _is_error(line)] for part in starts]
    firsts = [part[0] for part in ended if part]
    return [*about[-1:], *firsts[-1:], *lines[-1:], "it said nothing"][0][:500]


def _is_error(line: str) -> bool:
    # The second is what it says of its options before it can write a log.
    return _ERROR in line or line.startswith("mariadbd:")


def _is_about(line: str, name: str, value: str) -> bool:
    return name in line or name.replace("_", "-") in line or f"'{value}'" in line


def _provider(configuration: Configuration) -> dict[str, str]:
    text = configuration.server.get(_PROVIDER, "").strip('"')
    pairs = (option.partition("=") for option in text.split(";"))
    return {name: value for name, _, value in pairs}

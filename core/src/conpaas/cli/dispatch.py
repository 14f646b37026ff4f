"""Find out what was asked for, have it done, and tell how it ended."""

from __future__ import annotations

import io
import os
import sys

from conpaas.cli.failure import Failure, Interrupted, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from conpaas.cli.index import Index


def run_words(index: Index, object_name: str, words: list[str]) -> int:
    """Run a command line and return its exit code.

    Args:
        index: The commands that there are.
        object_name: What the script's name says, empty for ``cps-tools``.
        words: What was typed after it.
    """
    options: dict[str, str] = {}
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a character gets its number.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        _dispatch(index, object_name, words, options)
        sys.stdout.flush()
    except Failure as failure:
        return _tell(failure, options)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Python flushes stdout once more when it ends: that must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        return _tell(_as_failure(error), options)
    return 0


def _dispatch(index: Index, object_name: str, words: list[str], options: dict[str, str]) -> None:
    from conpaas.cli.parser import take_globals

    program = f"cps-{object_name}" if object_name else "cps-tools"
    words = take_globals(words, options)
    if "version" in options:
        print(f"{program} {index.version}")
        return
    asked = "help" in options
    while words and words[0] == "help":
        asked, words = True, words[1:]
    if not object_name:
        if not words or words[0] in ("complete", "shell"):
            _extra(index, words, asked or "--help" in words or "-h" in words)
            return
        object_name, words = words[0], take_globals(words[1:], options)
        program += f" {object_name}"
    index = _with(index, object_name)
    while words and words[0] == "help":
        asked, words = True, words[1:]
    asked = asked or "help" in options
    if "version" in options:
        print(f"cps-tools {index.version}")
    elif not words:
        from conpaas.cli.help import of_object

        print(of_object(index, object_name, program))
    else:
        _run(index, object_name, program, words, options, asked)


def _run(
    index: Index,
    object_name: str,
    program: str,
    words: list[str],
    options: dict[str, str],
    asked: bool,
) -> None:
    commands = index.commands(object_name)
    # A courtesy: operations are spelled with underscores, as in the manual.
    name = words[0] if words[0] in commands else words[0].replace("-", "_")
    if name not in commands:
        from conpaas.cli.unknown import operation

        raise operation(index, program, words[0], commands)
    command = commands[name]
    if command["written"]:
        from conpaas.cli.written import run_written

        run_written(command, program, index, words[1:], options, asked)
        return
    wish = "help"
    if not asked:
        from conpaas.cli.run import run

        try:
            wish = run(command, words[1:], options)
        except Usage as usage:
            from conpaas.cli.help import usage as typed

            usage.usage = typed(command, program)
            raise
    if wish == "help":
        from conpaas.cli.help import of_command

        print(of_command(command, program))
    elif wish == "version":
        print(f"cps-tools {index.version}")


def _with(index: Index, object_name: str) -> Index:
    """Return an index that has the object: a plugin that was broken may be whole by now."""
    if object_name in index.objects and object_name not in index.broken:
        return index
    from conpaas.cli.unknown import looked_again

    return looked_again(index, object_name)


def _extra(index: Index, words: list[str], asked: bool) -> None:
    if not words or asked:
        from conpaas.cli.help import of_extra, overview

        print(of_extra(words[0]) if words else overview(index))
    elif words[1:]:
        raise Usage(f"there is no place for {words[1]!r}: too many arguments")
    elif words[0] == "complete":
        from conpaas.cli.complete import script

        print(script(index))
    else:
        from conpaas.cli.shell import interact

        interact(index, lambda typed: run_words(index, "", typed))


def _as_failure(error: Exception) -> Failure:
    from conpaas.errors import ConPaaSError

    if isinstance(error, ConPaaSError):
        told = error.message
    else:
        told = f"this is a defect: {type(error).__name__}: {error} (--debug shows where)"
    failure = Failure(told)
    failure.__cause__ = error
    return failure


def _tell(failure: Failure, options: dict[str, str]) -> int:
    from conpaas.cli.visible import visible

    if options.get("debug"):
        import traceback

        traceback.print_exception(failure)
    if isinstance(failure, Usage) and failure.usage:
        print(f"Usage: {failure.usage}", file=sys.stderr)
    message = visible(failure.message, keep="\n")
    said = isinstance(failure, Interrupted) or message.startswith("ERROR")
    print(message if said else f"ERROR: {message}", file=sys.stderr)
    return failure.exit_code

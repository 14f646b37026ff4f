"""Ask the person at the terminal."""

from __future__ import annotations

import sys

from conpaas.cli.failure import Failure, Usage


def go_on(what: str) -> None:
    """Ask whether to go on; do so unasked where nobody can be asked.

    Raises:
        Failure: The answer was no.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    if not yes(f"{what} Continue?"):
        raise Failure("nothing was done")


def yes(question: str) -> bool:
    """Return whether a question is answered with yes."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def secret(prompt: str, missing: str) -> str:
    """Return a secret that is typed without being shown, or the first line of a pipe.

    Raises:
        Usage: There is none.
    """
    if sys.stdin.isatty():
        import getpass

        try:
            text = getpass.getpass(prompt)
        except EOFError:
            print(file=sys.stderr)
            text = ""
    else:
        text = sys.stdin.readline().rstrip("\r\n") if not sys.stdin.closed else ""
    if not text:
        raise Usage(missing)
    return text


def value(name: str, *, hidden: bool) -> str:
    """Return a value that is typed, shown or not, or all that comes out of a pipe.

    Raises:
        Usage: There is none.
    """
    try:
        if not sys.stdin.isatty():
            # With its lines, as keys have them; only the end of the last one is nobody's.
            text = sys.stdin.read()
            text = text.removesuffix("\n").removesuffix("\r")
        elif hidden:
            return new_secret(name, f"the {name.lower()} is missing")
        else:
            text = input(f"{name}: ")
    except (EOFError, UnicodeDecodeError) as error:
        raise Usage(f"the {name.lower()} is missing, or is no text: {error}") from None
    if not text:
        raise Usage(f"the {name.lower()} is missing; to have it empty, give ''")
    return text


def new_secret(name: str, missing: str) -> str:
    """Return a new secret, which is typed twice at a terminal."""
    while True:
        first = secret(f"{name}: ", missing)
        if not sys.stdin.isatty() or first == secret(
            f"Retype {name[:1].lower()}{name[1:]}: ", missing
        ):
            return first
        print("They do not match. Try again.", file=sys.stderr)

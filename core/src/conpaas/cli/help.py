"""Explain commands, from the index alone."""

from __future__ import annotations

from conpaas.cli.parser import GLOBALS, SHORT_GLOBALS
from conpaas.cli.visible import width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from conpaas.cli.index import Index
    from conpaas.cli.shapes import Argument, Command

#: What is typed beside the objects: name → what it does.
EXTRAS = {
    "help": "Explain an object or a command",
    "complete": "Print a script that makes bash complete commands",
    "shell": "Type commands one after the other",
}
_MORE = {
    "complete": """\
For this shell:  source <(cps-tools complete)
For good:        cps-tools complete > ~/.conpaas/complete.bash
                 echo source ~/.conpaas/complete.bash >> ~/.bashrc
Do it again after a plugin was installed.""",
    "shell": "Commands are typed without cps-tools; exit ends it.",
}
_COLUMNS = 98
_LONGEST_TERM = 34


def overview(index: Index) -> str:
    """Return the help of the whole: objects with their operations, a line for each."""
    lines = [
        "Usage: cps-tools <object> <operation> [arguments]",
        "       cps-<object> <operation> [arguments]",
    ]
    for kind, title in ((False, "Objects"), (True, "Service types")):
        names = [name for name, entry in index.objects.items() if entry["is_type"] is kind]
        if names:
            lines += ["", f"{title}:"]
            lines += _terms((name, index.objects[name]["summary"]) for name in names)
    for name, entry in index.objects.items():
        if entry["operations"] and not entry["is_type"]:
            lines += ["", f"{name}:", *_terms(entry["operations"].items())]
    for name, entry in index.objects.items():
        if entry["is_type"]:
            own = {
                operation: summary
                for operation, summary in entry["operations"].items()
                if operation not in index.objects["service"]["operations"]
            }
            lines += ["", f"{name} (and all of service):", *_terms(own.items())]
    lines += ["", "Also:", *_terms(EXTRAS.items()), "", "Everywhere:", *_terms(_globals())]
    lines += ["", "cps-tools <object> <operation> --help tells the arguments of an operation."]
    return "\n".join(lines)


def of_extra(name: str) -> str:
    """Return the help of what is no object."""
    return f"Usage: cps-tools {name}\n\n{EXTRAS[name]}.\n\n{_MORE[name]}"


def of_object(index: Index, name: str, program: str) -> str:
    """Return the help of an object: its operations."""
    entry = index.objects[name]
    lines = [f"Usage: {program} <operation> [arguments]", ""]
    if entry["summary"]:
        lines += [entry["summary"], ""]
    lines += ["Operations:", *_terms(entry["operations"].items())]
    lines += ["", f"{program} <operation> --help tells the arguments of an operation."]
    return "\n".join(lines)


def of_command(command: Command, program: str) -> str:
    """Return the help of an operation: its arguments with their defaults, and an example."""
    lines = [f"Usage: {usage(command, program)}", "", command["summary"]]
    if command["description"]:
        lines += ["", command["description"]]
    places = [one for one in command["arguments"] if not one["flags"]]
    options = [one for one in command["arguments"] if one["flags"]]
    if places:
        lines += ["", "Arguments:", *_terms((_place(one), _told(one)) for one in places)]
    if options:
        lines += ["", "Options:", *_terms((_spelling(one), _told(one)) for one in options)]
    lines += ["", "Everywhere:", *_terms(_globals(own=command))]
    return "\n".join([*lines, "", "Example:", f"  {example(command, program)}"])


def usage(command: Command, program: str) -> str:
    """Return a line that tells how to type a command."""
    words = [program, command["operation"]]
    places = [one for one in command["arguments"] if not one["flags"]]
    words += [_place(one) if one["required"] else f"[{_place(one)}]" for one in places]
    for one in command["arguments"]:
        if one["flags"] and one["required"] and not one["secret"]:
            words += [one["flags"][-1], one["metavar"]]
    return " ".join([*words, "[options]"])


def example(command: Command, program: str) -> str:
    """Return a command as it could be typed."""
    words = [program, command["operation"]]
    for one in command["arguments"]:
        if one["required"] and not (one["flags"] and one["secret"]):
            words += [*one["flags"][-1:], _sample(one)]
    counts = [one for one in command["arguments"] if one["group"] == "role"]
    if counts:
        words += [counts[-1]["flags"][0], "2"]
    if command["operation"].startswith("set_"):
        # Settings that are not given stay: without any, it would do nothing.
        given = [one for one in command["arguments"] if one["group"] == "argument"]
        chosen = [one for one in given if one["choices"] and not one["required"]]
        words += [word for one in chosen[:1] for word in (one["flags"][-1], _sample(one))]
    return " ".join(words)


def _sample(one: Argument) -> str:
    if one["choices"]:
        return next(iter(one["choices"]))
    samples = {"reference": "1", "integer": "1", "number": "0.5", "truth": "yes", "json": "'{}'"}
    samples["upload"] = f"path/to/{one['name']}"
    return samples.get(one["kind"], f"my-{one['name'].replace('_', '-')}")


def _place(one: Argument) -> str:
    return f"<{one['metavar']}>{' ...' if one['many'] else ''}"


def _spelling(one: Argument) -> str:
    value = "" if one["kind"] in ("on", "off") else f" {one['metavar']}"
    return f"{', '.join(one['flags'])}{value}"


def _told(one: Argument) -> str:
    text = one["help"]
    if one["choices"]:
        text += f" ({', '.join(one['choices'])})"
    if one["kind"] == "upload":
        text += " (a file)"
    if one["default"]:
        text += f" [default: {one['default']}]"
    if one["required"] and one["flags"]:
        text += " [asked for if missing]" if one["secret"] else " [required]"
    return text.strip()


def _globals(own: Command | None = None) -> list[tuple[str, str]]:
    taken = {flag for one in own["arguments"] for flag in one["flags"]} if own else set()
    lines = []
    for flag, (_, metavar, text) in GLOBALS.items():
        flags = [short for short, long in SHORT_GLOBALS.items() if long == flag] + [flag]
        free = ", ".join(one for one in flags if one not in taken)
        if free:
            lines.append((f"{free} {metavar}".rstrip(), text))
    return lines


def _terms(terms: Iterable[tuple[str, str]]) -> list[str]:
    terms = list(terms)
    widest = max((width(term) for term, _ in terms if width(term) <= _LONGEST_TERM), default=0)
    lines = []
    for term, text in terms:
        if width(term) > widest:
            lines.append(f"  {term}")
            term = ""
        indent = " " * (widest + 4)
        first, *others = _wrapped(text, _COLUMNS - len(indent)) or [""]
        lines.append(f"  {term}{' ' * (widest - width(term))}  {first}".rstrip())
        lines += [f"{indent}{line}" for line in others]
    return lines


def _wrapped(text: str, columns: int) -> list[str]:
    from textwrap import wrap

    return wrap(text, columns)

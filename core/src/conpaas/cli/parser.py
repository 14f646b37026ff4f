"""Read what was typed: words become the arguments of a command, judged by the index."""

from __future__ import annotations

from conpaas.cli.failure import Missing, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from conpaas.cli.shapes import Argument, Command

#: What may be typed before and after every command: flag → (setting, placeholder, help).
GLOBALS = {
    "--help": ("help", "", "Show this help"),
    "--debug": ("debug", "", "Show the requests, and tracebacks"),
    "--conf-file": ("conf_file", "FILE", "Read this configuration file only"),
    "--director-url": ("director_url", "URL", "Where the director is"),
    "--username": ("username", "NAME", "Log in by this name, with a password"),
    "--password": ("password", "PASSWORD", "The password to log in with"),
    "--version": ("version", "", "Show the version"),
}
SHORT_GLOBALS = {"-h": "--help", "-d": "--debug", "-V": "--version"}
_TRUTH = {
    **dict.fromkeys(("yes", "y", "true", "t", "on", "1"), True),
    **dict.fromkeys(("no", "n", "false", "f", "off", "0"), False),
}


class Parsed:
    """What was typed, sorted by where it goes."""

    def __init__(self) -> None:
        self.argument: dict[str, Any] = {}
        self.role: dict[str, int] = {}
        self.switch: dict[str, Any] = {}
        self.settings: dict[str, str] = {}

    def put(self, argument: Argument, text: str) -> None:
        """Keep a value of an argument.

        Raises:
            Usage: It is no such value.
        """
        value = _value(argument, text)
        values: dict[str, Any] = getattr(self, argument["group"])
        if argument["many"]:
            values.setdefault(argument["name"], []).append(value)
        else:
            values[argument["name"]] = value


def take_globals(words: list[str], settings: dict[str, str]) -> list[str]:
    """Move leading global options into ``settings`` and return the other words."""
    while words and global_flag(words[0]):
        words = words[take_global(words, 0, settings) :]
    return words


def global_flag(word: str) -> str:
    """Return the global option that a word is, empty if it is none."""
    flag = SHORT_GLOBALS.get(word) or spelled(word.partition("=")[0])
    return flag if flag in GLOBALS else ""


def take_global(words: list[str], at: int, settings: dict[str, str]) -> int:
    """Move the global option at ``words[at]`` into ``settings``; return how many words it is."""
    flag = global_flag(words[at])
    name, metavar, _ = GLOBALS[flag]
    if not metavar:
        settings[name] = "true"
        return 1
    settings[name], taken = _value_of(words, at, GLOBALS)
    return taken


def spelled(flag: str) -> str:
    """Return a long option as the index spells it: dashes and underscores are the same."""
    return "--" + flag[2:].replace("_", "-") if flag[:2] == "--" else flag


def parse(command: Command, words: list[str], service: str | None = None) -> Parsed:
    """Return the arguments that words are.

    Args:
        command: What they are typed after.
        words: As the shell gave them.
        service: Taken for the service, which is not among the words.

    Raises:
        Usage: They do not fit; :class:`Missing` when there are too few.
    """
    flags = {flag: one for one in command["arguments"] for flag in one["flags"]}
    places = [one for one in command["arguments"] if not one["flags"]]
    parsed = Parsed()
    loose: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        if word == "--":
            rest = words[at + 1 :]
            if rest and f"--{rest[0]}" in flags and len(loose) >= len(places):
                # As the manual prints it: add_nodes 1 1 -- backend 2
                words, at = [f"--{rest[0]}", *rest[1:]], 0
                continue
            loose += rest
            break
        if word[:1] != "-" or word == "-" or (word[:2] not in flags and _is_number(word)):
            loose.append(word)
            at += 1
        else:
            at += _option(words, at, flags, parsed)
    if "help" not in parsed.settings and "version" not in parsed.settings:
        if service is not None:
            loose.insert(1, service)
        _place(places, loose, parsed)
    return parsed


def _option(words: list[str], at: int, flags: dict[str, Argument], parsed: Parsed) -> int:
    word = words[at]
    flag = spelled(word.partition("=")[0]) if word[:2] == "--" else word[:2]
    argument = flags.get(flag)
    if argument is None:
        if word[:2] != "--" and flag in SHORT_GLOBALS:
            parsed.settings[GLOBALS[SHORT_GLOBALS[flag]][0]] = "true"
            return _cluster(words, at)
        if flag in GLOBALS:
            return take_global(words, at, parsed.settings)
        raise Usage(f"there is no option {flag}{_nearest_option(flag, [*flags, *GLOBALS])}")
    if argument["kind"] not in ("on", "off"):
        text, taken = _value_of(words, at, flags)
        parsed.put(argument, text)
        return taken
    if word[:2] == "--" and "=" in word:
        raise Usage(f"the option {flag} takes no value")
    parsed.put(argument, "on" if argument["kind"] == "on" else "off")
    return 1 if word[:2] == "--" else _cluster(words, at)


def _cluster(words: list[str], at: int) -> int:
    """Take the first of the short options that are written as one; return the words used up."""
    rest = words[at][2:]
    if rest:
        words[at] = f"-{rest}"
    return 0 if rest else 1


def _value_of(words: list[str], at: int, flags: dict[str, Any]) -> tuple[str, int]:
    word = words[at]
    if word[:2] != "--" and len(word) > 2:
        return word[2:], 1
    flag, equals, text = word.partition("=")
    if equals and flag[:2] == "--":
        return text, 1
    following = words[at + 1] if at + 1 < len(words) else None
    if following is None or spelled(following.partition("=")[0]) in {**flags, **GLOBALS}:
        raise Usage(f"the option {flag} needs a value")
    return following, 2


def _place(places: list[Argument], loose: list[str], parsed: Parsed) -> None:
    places = sorted(places, key=lambda one: not one["required"])
    required = [one for one in places if one["required"]]
    if len(loose) < len(required):
        what = required[len(loose)]["metavar"]
        raise Missing(f"the argument <{what}> is missing", loose, parsed.settings)
    for number, text in enumerate(loose):
        if number < len(places):
            argument = places[number]
        elif not places or not argument["many"]:
            raise Usage(f"there is no place for {text!r}: too many arguments")
        parsed.put(argument, text)


def _value(argument: Argument, text: str) -> Any:
    kind = argument["kind"]
    shown = argument["flags"][-1] if argument["flags"] else f"<{argument['metavar']}>"
    if kind == "choice":
        if text not in argument["choices"]:
            near = _did_you_mean(text, argument["choices"])
            raise Usage(f"{shown}: {text!r} is not one of {', '.join(argument['choices'])}{near}")
        return argument["choices"][text]
    if kind in ("truth", "on", "off"):
        if text.lower() not in _TRUTH:
            raise Usage(f"{shown}: {text!r} is neither yes nor no")
        return _TRUTH[text.lower()]
    if kind == "reference":
        return reference(text)
    try:
        if kind == "integer":
            return int(text)
        if kind == "number":
            return float(text)
        if kind == "json":
            import json

            return json.loads(text)
    except ValueError:
        what = {"integer": "a whole number", "number": "a number"}.get(kind, "JSON")
        raise Usage(f"{shown}: {text!r} is not {what}") from None
    return text


def reference(text: str) -> str | int:
    """Return what names a thing: a number is an id, because no name is one."""
    return int(text) if text.isascii() and text.isdigit() else text


def _is_number(word: str) -> bool:
    return word[1:].replace(".", "", 1).isdigit()


def _nearest_option(given: str, known: Iterable[str]) -> str:
    # Without their dashes, by which all are a little alike.
    names = [flag[2:] for flag in known if flag[:2] == "--"]
    return _did_you_mean(given.lstrip("-"), names, "--")


def _did_you_mean(given: str, known: Iterable[str], before: str = "") -> str:
    from conpaas.nearest import nearest

    near = nearest(given, known)
    return f"; did you mean {before + near!r}?" if near else ""

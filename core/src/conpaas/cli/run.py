"""Run a derived command: read its words, call the director, show what comes back."""

from __future__ import annotations

import os
import sys

from conpaas.cli import config
from conpaas.cli.failure import Failure, Missing, Usage
from conpaas.cli.parser import Parsed, parse, reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from conpaas.cli.call import Answer, Director
    from conpaas.cli.shapes import Command


def run(command: Command, words: list[str], options: dict[str, str]) -> str:
    """Run a command; return ``help`` or ``version`` when that was asked for instead.

    Args:
        command: From the index.
        words: What was typed after it.
        options: Global options that were typed before it; those after it are added.

    Raises:
        Failure: Of any kind.
    """
    try:
        parsed = parse(command, list(words))
    except Missing as missing:
        if not command["of_service"] or not missing.given:
            raise
        # Where the director is may stand behind the command.
        options |= missing.settings
        with _director(options) as director:
            parsed = parse(command, words[:], _meant_service(director, command, words, missing))
    options |= parsed.settings
    for wish in ("help", "version"):
        if wish in options:
            return wish
    _ask_secrets(command, parsed)
    arguments = {**command["preset"], **parsed.argument}
    if command["nodes"]:
        arguments[command["nodes"]] = parsed.role
    if command["confirm"] and not parsed.switch.get("yes"):
        from conpaas.cli.ask import go_on

        go_on(command["confirm"])
    with _director(options, public=command["public"]) as director:
        try:
            _call(director, command, arguments, parsed.switch)
        except Failure as failure:
            raise _as_typed(command, failure) from failure
    return ""


def _as_typed(command: Command, failure: Failure) -> Failure:
    """Return what the director finds wrong with an option, by the name that was typed."""
    for argument in command["arguments"] if failure.code == "invalid" else ():
        name, flags = argument["name"], argument["flags"]
        if flags and failure.message.startswith((f"{name}:", f"{name} ")):
            told = flags[-1] + failure.message[len(name) :]
            return Failure(told, failure.code, failure.detail)
    return failure


def path_of(command: Command, arguments: dict[str, Any]) -> str:
    """Return the path of a call, and take from the arguments what it says."""
    if not command["of_service"]:
        return command["path"]
    from urllib.parse import quote

    application = quote(str(arguments.pop("application")), safe="")
    service = quote(str(arguments.pop("service")), safe="")
    return f"/applications/{application}/services/{service}{command['path']}"


def _director(options: dict[str, str], *, public: bool = False) -> Director:
    from conpaas.cli.call import Director

    settings = config.read(options)
    if settings.debug:
        options["debug"] = "true"
    if public and not os.path.exists(settings.ca_cert):
        # Who wants to register has never been here before.
        from conpaas.cli.trust import establish

        establish(settings, None, "call this at a terminal, where you are asked about it")
    return Director(settings, public=public)


def _ask_secrets(command: Command, parsed: Parsed) -> None:
    for argument in command["arguments"]:
        name, hides = argument["name"], argument["asked"]
        if hides and name not in parsed.argument:
            from conpaas.cli.ask import value

            parsed.argument[name] = value(
                name.capitalize(), hidden=bool(parsed.argument.get(hides))
            )
        if argument["required"] and argument["flags"] and argument["name"] not in parsed.argument:
            missing = f"the option {argument['flags'][-1]} is missing"
            if not argument["secret"]:
                raise Usage(missing)
            from conpaas.cli.ask import new_secret, secret

            what = argument["name"].replace("_", " ").capitalize()
            parsed.argument[argument["name"]] = (
                secret(f"{what}: ", missing) if argument["known"] else new_secret(what, missing)
            )


def _call(
    director: Director, command: Command, arguments: dict[str, Any], switches: dict[str, Any]
) -> None:
    said = dict(arguments)
    path = path_of(command, arguments)
    upload = next((one for one in command["arguments"] if one["kind"] == "upload"), None)
    if command["result"] == "file":
        from conpaas.cli.files import save

        response = director.download(path, arguments)
        output = switches.get("output") or ("-" if command["prints"] else None)
        name = save(response, output, command["operation"])
        if name != "-":
            print(f"File '{name}' written.")
        return
    if switches.get("follow"):
        from conpaas.cli.follow import follow

        follow(director, f"{path.rpartition('/')[0]}/{command['follow']}", arguments, switches)
    if upload is not None and upload["name"] in arguments:
        from conpaas.cli.files import opened

        with opened(arguments.pop(upload["name"])) as (file, size, name):
            answer = director.upload(path, arguments, file, size, name)
    else:
        answer = director.call(path, arguments, reads=command["reads"])
    _show(director, command, answer, said, switches)


def _show(
    director: Director,
    command: Command,
    answer: Answer,
    said: dict[str, Any],
    switches: dict[str, Any],
) -> None:
    from conpaas.cli.output import show

    result = answer.result
    if answer.is_job:
        how_to_watch = f"cps-tools job get {answer.job}"
        if command["of_service"]:
            from shlex import quote

            how_to_watch += f" -a {quote(str(said['application']))}"
        if switches.get("no-wait"):
            _show_job(answer, switches.get("format", "table"), how_to_watch)
            return
        from conpaas.cli.watch import follow

        try:
            result = follow(director, answer, how_to_watch)
        except Failure as failure:
            if failure.code != "unauthenticated" or command["path"] != "/user/delete":
                raise
            print("Your account has been deleted, and with it what you logged in with.")
            return
    show(command, result, switches, said)


def _show_job(answer: Answer, style: str, how_to_watch: str) -> None:
    if style == "table":
        print(f"Job {answer.job} has begun; see: {how_to_watch}")
    elif style == "json":
        import json

        print(json.dumps({"job": answer.job, "watch": answer.watch}))
    else:
        from conpaas.cli.formats import emit

        emit(style, {"job": answer.job}, ["job"])


#: What tells which of several services is meant: argument → operation that lists, column.
_TELLING = {"agent_id": ("list_nodes", "agent_id"), "vol_name": ("list_volumes", "vol_name")}


def _meant_service(
    director: Director, command: Command, words: list[str], missing: Missing
) -> str:
    """Return the service that is meant when none is named.

    It is the only one of its kind, or the one that has the node or the volume that is named.

    Raises:
        Failure: One was named, so that something else is missing; or there are none or several.
    """
    application = reference(missing.given[0])
    services = director.call("/service/list", {"application": application}, reads=True).result
    named = {str(service[key]) for service in services for key in ("sid", "name")}
    if missing.given[1:2] and missing.given[1] in named:
        raise missing
    kind = command["object"]
    fitting = [one for one in services if kind in ("service", one["type"])]
    if len(fitting) == 1:
        if not command["reads"]:
            # Before something changes, who typed it shall see which one is meant.
            print(f"Service {fitting[0]['sid']} is the only one that fits.", file=sys.stderr)
        return str(fitting[0]["sid"])
    if fitting:
        # Whatever stands for the service: the other words tell which one it is.
        said = parse(command, words[:], "0").argument
        for name in sorted(said.keys() & _TELLING.keys()):
            having = [one for one in fitting if _has(director, one, name, said[name])]
            if len(having) == 1:
                print(f"Service {having[0]['sid']} has {said[name]}.", file=sys.stderr)
                return str(having[0]["sid"])
    there = ", ".join(f"{one['sid']} ({one['name']})" for one in fitting) or "none"
    raise Failure(f"say which service of application {missing.given[0]}: there are {there}")


def _has(director: Director, service: dict[str, Any], name: str, value: Any) -> bool:
    operation, column = _TELLING[name]
    try:
        rows = director.call(
            f"/applications/{service['aid']}/services/{service['sid']}/{operation}", {}, reads=True
        ).result
    except Failure as failure:
        if failure.code != "not-found":
            raise
        return False  # a service of a type that has no such things
    return any(row[column] == value for row in rows)

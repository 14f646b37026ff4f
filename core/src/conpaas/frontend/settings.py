"""The form of a service's settings, which panels show filled with the present ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from conpaas.frontend.fields import Choice
from conpaas.frontend.forms import Form
from conpaas.frontend.service_view import ServiceView

#: Settings that are longer than so many characters are shown on several lines.
ONE_LINE = 60


def settings_form(
    service: ServiceView,
    change: str,
    show: str,
    choices: Mapping[str, Sequence[str]] | None = None,
) -> Form:
    """Return the form that changes settings, filled with the present ones.

    Args:
        service: Whose.
        change: The operation that changes them; its arguments are named as the settings.
        show: The operation that tells them: a dataclass.
        choices: What can be chosen for a setting.
    """
    present = asdict(getattr(service.manager, show)())
    form = service.form(
        change,
        values=present,
        choices={k: [Choice(v, v) for v in values] for k, values in (choices or {}).items()},
        mark=change.replace("_", "-"),
        submit="Save",
    )
    for derived in form.derived:
        rules = [check.says for check in derived.parameter.hint.checks]
        for one in derived.fields:
            one.help = _told(one.help.replace("''", "empty"), rules)
            if one.kind == "long" and len(one.value) <= ONE_LINE:
                one.kind = "text"
    return form


def _told(help: str, rules: list[str]) -> str:
    return f"{help} ({'; '.join(rules)})" if rules else help

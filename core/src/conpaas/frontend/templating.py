"""Templates: ours, and below its own name those of each plugin."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from conpaas.frontend import looks
from conpaas.frontend.assets import Assets
from conpaas.plugins import Plugins
from conpaas.service import Panel

OWN = Path(__file__).parent / "templates"
logger = logging.getLogger(__name__)


def directories(plugins: Plugins, kind: str) -> dict[str, Path]:
    """Return the directory of that name beside each plugin's module, by the plugin's name."""
    found = {}
    for name, module in plugins.modules.items():
        source = getattr(module, "__file__", None) or getattr(
            sys.modules.get(type(module).__module__), "__file__", None
        )
        directory = Path(source).parent / kind if source else None
        if directory is not None and directory.is_dir():
            found[name] = directory
    return found


def environment(
    templates: Mapping[str, Path], assets: Assets, types: Callable[[str], Any]
) -> jinja2.Environment:
    """Return the environment that all pages are made in.

    Args:
        templates: The ``templates`` directory of each plugin that has one, by its name.
        assets: The static files.
        types: Returns what people are told about a service type of that name.
    """
    own = jinja2.FileSystemLoader(OWN)
    others = {name: jinja2.FileSystemLoader(path) for name, path in templates.items()}
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader([own, jinja2.PrefixLoader(others)]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "when": looks.moment,
        "seconds": looks.seconds,
        "in_words": looks.in_words,
        "said": looks.said,
        "first_line": looks.first_line,
        "paragraphs": _paragraphs,
    }
    made.globals |= {
        "asset": assets.url,
        "state_mark": looks.state_mark,
        "count": looks.count,
        "icon_of": lambda name: _icon(assets, name),
        "type_of": types,
        "credit_page": "",
    }
    made.globals["panel"] = lambda panel, service, csrf, here: _panel(
        made, panel, {"service": service, "csrf": csrf, "here": here, **panel.values}
    )
    return made


def _panel(made: jinja2.Environment, panel: Panel, values: dict[str, Any]) -> Markup:
    try:
        text = made.get_template(panel.template).render(values)
    except Exception:
        # A plugin's mistake must not take the page of a service along.
        logger.exception("the template %s of a panel failed", panel.template)
        text = made.get_template("parts/panel_error.html").render(
            message="this part of the page has failed; the log tells why"
        )
    return Markup(text)  # noqa: S704 - a template's output is escaped already


def _icon(assets: Assets, name: str) -> str:
    """Return the address of a service type's picture, empty when it brings none."""
    icon = f"plugins/{name}/icon.svg"
    return assets.url(icon) if assets.has(icon) else ""


def _paragraphs(text: str) -> Markup:
    parts = [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]
    return Markup("").join(Markup("<p>{}</p>").format(part) for part in parts)

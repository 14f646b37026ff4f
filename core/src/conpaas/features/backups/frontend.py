"""The panel of backups: what there is, the one that can be made now, and the schedule."""

from __future__ import annotations

from conpaas.features.backups.book import MANAGER
from conpaas.features.backups.rows import BROKEN, NEVER
from conpaas.features.backups.schedule import OFF
from conpaas.frontend.fields import Choice
from conpaas.frontend.service_view import ServiceView
from conpaas.service import Panel

OPERATIONS = (
    "backup",
    "list_backups",
    "verify_backup",
    "restore",
    "delete_backup",
    "get_backup_schedule",
    "set_backup_schedule",
)


def panels(service: ServiceView) -> list[Panel]:
    """Return the panel of a service that makes backups; nothing for others."""
    if not service.has("set_backup_schedule") or not service.is_reachable:
        return []
    schedule = service.manager.get_backup_schedule()
    # One that is gone, or detached, is still what is set.
    places = dict.fromkeys([*schedule.places, schedule.place])
    change = service.form(
        "set_backup_schedule",
        mark="schedule",
        submit="Save",
        values={
            "every": schedule.every.removeprefix("every ").removesuffix(" h"),
            "keep": schedule.keep,
            "place": schedule.place,
            "verify": schedule.verify,
        },
        choices={
            "place": [
                Choice(name, "with the manager" if name == MANAGER else f"on the volume {name}")
                for name in places
            ]
        },
    )
    labels = {
        "every": "Hours between two",
        "keep": "How many are kept",
        "place": "Where",
        "verify": "Try each",
    }
    for one in change.fields:
        one.label = labels[one.name]
        one.help = f"{OFF}: none is made by itself" if one.name == "every" else ""
    return [
        Panel(
            title="Backups",
            template="backups/backups.html",
            values={
                "backups": service.manager.list_backups(),
                "schedule": schedule,
                "is_off": schedule.every == OFF,
                "never": NEVER,
                "broken": BROKEN,
                "change": change,
                "may_make": service.allows("backup"),
                "may_restore": service.allows("restore"),
                "may_delete": service.allows("delete_backup"),
            },
            operations=OPERATIONS,
            order=23,
        )
    ]

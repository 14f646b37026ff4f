"""The panel of backups: what there is, the one that can be made now, and the schedule."""

from __future__ import annotations

from conpaas.features.backups.book import MANAGER
from conpaas.features.backups.rows import NEVER
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
    volumes = [volume.vol_name for volume in service.manager.list_volumes()]
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
                Choice(MANAGER, "with the manager"),
                *(Choice(name, f"on the volume {name}") for name in volumes),
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
        one.help = f"or {OFF}" if one.name == "every" else ""
    return [
        Panel(
            title="Backups",
            template="backups/backups.html",
            values={
                "backups": service.manager.list_backups(),
                "schedule": schedule,
                "is_off": schedule.every == OFF,
                "never": NEVER,
                "change": change,
                "may_make": service.allows("backup"),
                "may_restore": service.allows("restore"),
                "may_delete": service.allows("delete_backup"),
            },
            operations=OPERATIONS,
            order=35,
        )
    ]

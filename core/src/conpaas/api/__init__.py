"""What the director offers: one class for each object, as its clients see it.

These are the declarations.  The director implements them; the command line, the frontend and the
managers call them through stubs; routes, help, forms and reference are derived.  Features add to
them by the hook ``conpaas_api``: see :meth:`conpaas.plugins.Plugins.api`.  The operations of a
service's own manager are not here: they are those of its
:class:`~conpaas.manager.base.ServiceManager`, and the director passes them on.
"""

from conpaas.api.accounts import (
    ApplicationOverview,
    Audit,
    AuditInfo,
    InvitationInfo,
    KeyInfo,
    Overview,
    Registration,
    Secret,
    Signed,
    TokenInfo,
    UserInfo,
    Users,
)
from conpaas.api.applications import (
    ApplicationInfo,
    Applications,
    Change,
    ServiceInfo,
    Services,
    ServiceType,
)
from conpaas.api.desk import ManagerDesk, VolumeInfo
from conpaas.api.references import ApplicationRef, CloudOption, OnlyApplication, ServiceRef
from conpaas.api.system import (
    CloudInfo,
    Clouds,
    Jobs,
    MachineInfo,
    Machines,
    PluginInfo,
    PluginsInfo,
)

#: The objects that users call, in the order of the help.
USER_API: tuple[type, ...] = (
    Applications,
    Services,
    Users,
    Clouds,
    Machines,
    PluginsInfo,
    Jobs,
    Audit,
)

__all__ = [
    "USER_API",
    "ApplicationInfo",
    "ApplicationOverview",
    "ApplicationRef",
    "Applications",
    "Audit",
    "AuditInfo",
    "Change",
    "CloudInfo",
    "CloudOption",
    "Clouds",
    "InvitationInfo",
    "Jobs",
    "KeyInfo",
    "MachineInfo",
    "Machines",
    "ManagerDesk",
    "OnlyApplication",
    "Overview",
    "PluginInfo",
    "PluginsInfo",
    "Registration",
    "Secret",
    "ServiceInfo",
    "ServiceRef",
    "ServiceType",
    "Services",
    "Signed",
    "TokenInfo",
    "UserInfo",
    "Users",
    "VolumeInfo",
]

"""Accounts: users, what they log in with, and the record of what they did."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import msgspec

from conpaas.api.applications import ServiceInfo
from conpaas.names import EmailAddress, NoOrEmailAddress, Username
from conpaas.rpc import Job, Upload, expose
from conpaas.schema import Check, Option

UserRef = Annotated[str | int, "Name or id of a user", Option(metavar="username_or_id")]
SomeUser = Annotated[
    str | int | None, "Name or id of a user (administrators); default: you", Option(short="-u")
]
Text = Annotated[
    str,
    msgspec.Meta(max_length=200),
    Check(lambda text: None if text.isprintable() else "must be printable", "printable"),
]
Email = Annotated[EmailAddress, "E-mail address", msgspec.Meta(max_length=254)]
NoOrEmail = Annotated[NoOrEmailAddress, "E-mail address", msgspec.Meta(max_length=254)]
#: Never among the words of a command, where others on the machine could see it: it is asked for.
Password = Annotated[str, "Password, at least 8 characters", Option(secret=True, positional=False)]
Credit = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Days = Annotated[int, "Days until it expires", msgspec.Meta(ge=1, le=3650)]
#: What a token may do: ``read`` only what changes nothing, ``all`` everything its user may.
TokenScope = Literal["all", "read"]


@dataclass(frozen=True)
class UserInfo:
    """A user; ``credit`` is None for one who is not charged; ``state`` active or disabled."""

    uid: int
    username: str
    fname: str
    lname: str
    email: str
    affiliation: str
    admin: bool
    state: str
    credit: int | None
    created: str


@dataclass(frozen=True)
class Registration:
    """Who may register: ``open`` to all, by ``invitation``, or ``closed``."""

    policy: str
    initial_credit: int | None


@dataclass(frozen=True)
class TokenInfo:
    """A token or a session (``kind``); times as ISO 8601 in UTC; ``current`` is the caller's."""

    id: int
    name: str
    kind: str
    scope: str
    created: str
    expires: str | None
    last_used: str | None
    address: str
    current: bool


@dataclass(frozen=True)
class KeyInfo:
    """An SSH key; ``fingerprint`` as ``ssh-keygen -l`` prints it."""

    id: int
    name: str
    type: str
    fingerprint: str
    created: str


@dataclass(frozen=True)
class InvitationInfo:
    """An invitation to register; ``state`` is open, used, expired or revoked."""

    id: int
    email: str
    state: str
    username: str
    created: str
    expires: str


@dataclass(frozen=True)
class AuditInfo:
    """A changing call: who, from where, what, on what, and how it ended (``ok`` or an error)."""

    id: int
    time: str
    user: str
    address: str
    action: str
    target: str
    outcome: str
    detail: str


@dataclass(frozen=True)
class ApplicationOverview:
    """An application with its services, and how many machines it has."""

    aid: int
    name: str
    status: str
    manager: str | None
    cloud: str | None
    machines: int
    services: tuple[ServiceInfo, ...]


@dataclass(frozen=True)
class Overview:
    """All that the first page of the frontend tells; ``notices`` are warnings to the user."""

    user: UserInfo
    notices: tuple[str, ...]
    applications: tuple[ApplicationOverview, ...]


@dataclass(frozen=True)
class Secret:
    """Something that is shown once; ``name`` says what it is for."""

    name: str
    value: str


@dataclass(frozen=True)
class Signed:
    """A certificate and the authority that issued it, both PEM."""

    certificate: str
    ca: str


class Users(abc.ABC):
    """Your account, and those of others."""

    object: ClassVar[str] = "user"

    # -- coming and going ---------------------------------------------------------------------

    @abc.abstractmethod
    @expose(reads=True, public=True)
    def get_registration(self) -> Registration:
        """Show who may register here."""

    @abc.abstractmethod
    @expose(public=True, done="User '{username}' registered with id {uid}.")
    def register(
        self,
        username: Annotated[Username, "What to be called"],
        email: Email,
        password: Password,
        fname: Annotated[Text, "First name"] = "",
        lname: Annotated[Text, "Last name"] = "",
        affiliation: Annotated[Text, "Where you belong"] = "",
        invitation: Annotated[Text, "The invitation's code, where one is needed"] = "",
    ) -> UserInfo:
        """Register as a new user."""

    @abc.abstractmethod
    @expose(hidden=True)
    def open_session(self) -> Secret:
        """Begin a session of the frontend, whose token is shown this once."""

    @abc.abstractmethod
    @expose(hidden=True)
    def close_session(self) -> None:
        """End the session or the token with which this is called."""

    @abc.abstractmethod
    @expose(reads=True, hidden=True)
    def get_overview(self, user: SomeUser = None) -> Overview:
        """Show an account and all its applications at once."""

    # -- the account --------------------------------------------------------------------------

    @abc.abstractmethod
    @expose(reads=True)
    def get_config(self, user: SomeUser = None) -> UserInfo:
        """Show an account."""

    @abc.abstractmethod
    @expose(done="User '{username}' changed.")
    def set_config(
        self,
        email: Annotated[NoOrEmail | None, "E-mail address"] = None,
        fname: Annotated[Text | None, "First name"] = None,
        lname: Annotated[Text | None, "Last name"] = None,
        affiliation: Annotated[Text | None, "Where you belong"] = None,
        user: SomeUser = None,
    ) -> UserInfo:
        """Change an account; what is not given stays."""

    @abc.abstractmethod
    @expose(
        done="Password changed; every other session and token of yours and all your certificates "
        "have ended."
    )
    def passwd(
        self,
        current_password: Annotated[
            str,
            "The present password",
            Option(secret=True, positional=False, known=True),
        ],
        new_password: Password,
    ) -> None:
        """Change your password; your other sessions and tokens and your certificates end."""

    @abc.abstractmethod
    @expose(
        resumes=True,
        done="User '{username}' has been deleted.",
        confirm="The account is lost, with all its applications, their code and all their data.",
    )
    def delete(self, user: UserRef) -> Job[UserInfo]:
        """Delete an account: your own, or (administrators) another's."""

    @abc.abstractmethod
    @expose(hidden=True)
    def sign_certificate(self, csr: Annotated[str, "Signing request, PEM"]) -> Signed:
        """Issue a certificate for a key that the user's machine has made."""

    # -- tokens and keys ----------------------------------------------------------------------

    @abc.abstractmethod
    @expose()
    def create_token(
        self,
        name: Annotated[Text, "What the token is for"] = "cps-tools",
        scope: Annotated[TokenScope, "read: may change nothing; all: whatever you may"] = "all",
        days: Days = 365,
    ) -> Secret:
        """Make an API token, which is shown this once."""

    @abc.abstractmethod
    @expose(reads=True)
    def list_tokens(self) -> tuple[TokenInfo, ...]:
        """List your tokens and sessions, newest first."""

    @abc.abstractmethod
    @expose(done="Token {token} revoked.")
    def revoke_token(self, token: Annotated[int, "Id of the token, see list_tokens"]) -> None:
        """End a token or a session of yours."""

    @abc.abstractmethod
    @expose(done="Key '{name}' added: {fingerprint}")
    def add_key(
        self,
        filename: Annotated[Upload, "The public key: a file such as ~/.ssh/id_ed25519.pub"],
        name: Annotated[Text, "What to call it; default: its comment"] = "",
    ) -> KeyInfo:
        """Add an SSH key, with which you reach the git repositories of your applications."""

    @abc.abstractmethod
    @expose(reads=True)
    def list_keys(self) -> tuple[KeyInfo, ...]:
        """List your SSH keys with their fingerprints."""

    @abc.abstractmethod
    @expose(done="Key {key} removed.")
    def remove_key(self, key: Annotated[int, "Id of the key, see list_keys"]) -> None:
        """Remove an SSH key of yours."""

    # -- what administrators do ---------------------------------------------------------------

    @abc.abstractmethod
    @expose(admin=True, reads=True)
    def list(self) -> tuple[UserInfo, ...]:
        """List all users."""

    @abc.abstractmethod
    @expose(admin=True, done="User '{username}' created successfully.")
    def create(
        self,
        username: Annotated[Username, "What to call the user"],
        password: Password,
        email: NoOrEmail = "",
        fname: Annotated[Text, "First name"] = "",
        lname: Annotated[Text, "Last name"] = "",
        affiliation: Annotated[Text, "Where the user belongs"] = "",
        credit: Annotated[Credit | None, "Credit to begin with; default: as for all"] = None,
        admin: Annotated[bool, "May see and do everything"] = False,
    ) -> UserInfo:
        """Create a user."""

    @abc.abstractmethod
    @expose(admin=True, done="The password of user '{username}' was reset.")
    def reset_password(
        self,
        user: UserRef,
        new_password: Password,
    ) -> UserInfo:
        """Give a user another password; all sessions, tokens and certificates of his end."""

    @abc.abstractmethod
    @expose(admin=True, done="User '{username}' changed.")
    def set_admin(
        self,
        user: UserRef,
        admin: Annotated[bool, "yes: an administrator; no: a user like others"],
    ) -> UserInfo:
        """Make a user an administrator, or a user like others."""

    @abc.abstractmethod
    @expose(
        admin=True,
        resumes=True,
        done="User '{username}' is disabled.",
        confirm="The user cannot log in any more, and all his applications are stopped. "
        "Their definitions, code, settings and volumes are kept.",
    )
    def disable(self, user: UserRef) -> Job[UserInfo]:
        """Shut a user out and stop his applications."""

    @abc.abstractmethod
    @expose(admin=True, done="User '{username}' may log in again.")
    def enable(self, user: UserRef) -> UserInfo:
        """Let a user in again that was disabled."""

    @abc.abstractmethod
    @expose(admin=True)
    def create_invitation(
        self,
        email: Annotated[NoOrEmail, "For whom; anybody when not given"] = "",
        days: Days = 14,
    ) -> Secret:
        """Invite somebody to register; the code is shown this once."""

    @abc.abstractmethod
    @expose(admin=True, reads=True)
    def list_invitations(self) -> tuple[InvitationInfo, ...]:
        """List the invitations, newest first."""

    @abc.abstractmethod
    @expose(admin=True, done="Invitation {invitation} revoked.")
    def revoke_invitation(
        self, invitation: Annotated[int, "Id of the invitation, see list_invitations"]
    ) -> None:
        """Revoke an invitation that has not been used."""


class Audit(abc.ABC):
    """The record of all changing calls."""

    object: ClassVar[str] = "audit"

    @abc.abstractmethod
    @expose(reads=True)
    def list(
        self,
        user: Annotated[Text | None, "Only calls of this user", Option(short="-u")] = None,
        action: Annotated[Text | None, "Only this operation: 'application start', 'start'"] = None,
        target: Annotated[Text | None, "Only what was done to this: 'application 1'"] = None,
        outcome: Annotated[Literal["ok", "failed"] | None, "Only those that ended so"] = None,
        since: Annotated[str | None, "Only from this time on, ISO 8601"] = None,
        before: Annotated[int | None, "Only those before this number: the next page"] = None,
        count: Annotated[int, "How many at most", msgspec.Meta(ge=1, le=1000)] = 100,
    ) -> tuple[AuditInfo, ...]:
        """List changing calls, newest first: yours, or (administrators) everybody's."""

"""The object ``user``: one's own account, and those of others."""

from __future__ import annotations

from typing import Any

from conpaas import api
from conpaas.api import (
    InvitationInfo,
    KeyInfo,
    Overview,
    Registration,
    Secret,
    Signed,
    TokenInfo,
    UserInfo,
)
from conpaas.director import (
    administrators,
    invitations,
    keys,
    leaving,
    overview,
    registration,
    tokens,
    users,
)
from conpaas.director.attempts import Attempts
from conpaas.director.jobs import Scope
from conpaas.director.models import SshKey, User, database
from conpaas.director.objects import ApiObject
from conpaas.director.prepared import Prepared
from conpaas.director.times import in_words
from conpaas.errors import (
    BusyError,
    DeniedError,
    InvalidError,
    UnauthenticatedError,
)
from conpaas.rpc import Job, JobState, Operation, Upload

DAY = 86400.0


#: The caller's own account: on every page.
_ME = Prepared(lambda user: User.select().where(User.id == user))


class UsersObject(ApiObject, api.Users):
    """``user``."""

    # -- coming and going ---------------------------------------------------------------------

    def get_registration(self) -> Registration:
        """Show who may register here."""
        config = self.director.config
        charged = config.credits.charge
        return Registration(
            config.accounts.registration, config.credits.initial_credit if charged else None
        )

    def register(
        self,
        username: str,
        email: str,
        password: str,
        fname: str = "",
        lname: str = "",
        affiliation: str = "",
        invitation: str = "",
    ) -> UserInfo:
        """Register as a new user."""
        policy = self.director.config.accounts.registration
        if policy == "closed":
            raise DeniedError("nobody can register here: ask an administrator for an account")
        if policy == "invitation" and not invitation:
            raise DeniedError("an invitation is needed to register: ask an administrator for one")
        attempts, now = Attempts(self.director.clock), self.director.clock()
        attempts.register(self.caller.address)

        def redeem(user: User) -> None:
            if invitation:
                invitations.redeem(invitation, user, now)

        profile = registration.Profile(username, email, fname, lname, affiliation)
        user = self._add(profile, password, redeem=redeem)
        if invitation:
            attempts.invited(self.caller.address)
        return self.info(user)

    def open_session(self) -> Secret:
        """Begin a session."""
        section, now = self.director.config.accounts, self.director.clock()
        tokens.make_room(self.caller.user, tokens.SESSION, now)
        value = tokens.issue(
            self.caller.user,
            "session",
            kind=tokens.SESSION,
            now=now,
            lifetime=section.session_lifetime,
            address=self.caller.address,
        )
        return Secret("session", value)

    def close_session(self) -> None:
        """End the session or the token with which this is called."""
        if self.caller.token is None:
            raise InvalidError(f"you log in with a {self.caller.via}: there is no session to end")
        tokens.revoke(self.caller.user, self.caller.token)

    def get_overview(self, user: str | int | None = None) -> Overview:
        """Show an account and all its applications at once."""
        row = self.find_user(user)
        told = self.director.plugins.hook.conpaas_notices(director=self.director, user=row.id)
        return Overview(
            self.info(row),
            tuple(notice for some in told for notice in some),
            overview.applications(row.id),
        )

    # -- the account --------------------------------------------------------------------------

    def get_config(self, user: str | int | None = None) -> UserInfo:
        """Show an account."""
        return self.info(self.find_user(user))

    def set_config(
        self,
        email: str | None = None,
        fname: str | None = None,
        lname: str | None = None,
        affiliation: str | None = None,
        user: str | int | None = None,
    ) -> UserInfo:
        """Change an account; what is not given stays."""
        row = self.find_user(user)
        given = {"fname": fname, "lname": lname, "affiliation": affiliation}
        changes = {name: value for name, value in given.items() if value is not None}
        with database.atomic():
            if changes:
                User.update(**changes).where(User.id == row.id).execute()
            if email is not None:
                users.set_email(row.id, email)
        return self.info(User.get_by_id(row.id))

    def passwd(self, current_password: str, new_password: str) -> None:
        """Change the caller's password."""
        me, attempts = self._me(), Attempts(self.director.clock)
        attempts.guess(me.username, self.caller.address)
        if not users.is_password(me.password, current_password):
            raise InvalidError("current_password: this is not your present password")
        attempts.guessed(me.username, self.caller.address)
        users.change_password(me, new_password, keep=self.caller.token, clock=self.director.clock)
        self.director.refresh_revoked()

    def delete(self, user: str | int) -> Job[UserInfo]:
        """Delete an account with all that belongs to it."""
        row = self.find_user(user)
        if row.id == self.caller.user and row.admin:
            raise InvalidError(
                "administrators do not delete themselves: another one must do it, or make you a "
                "user like others first (cps-user set_admin)"
            )
        return (yield from leaving.delete(self.director, self.caller, row, self.info(row)))

    def sign_certificate(self, csr: str) -> Signed:
        """Issue a certificate for the caller's key."""
        certificates = self.director.certificates
        pem = certificates.for_user(self._me(), csr)
        return Signed(pem, certificates.authority.ca_pem)

    # -- tokens and keys ----------------------------------------------------------------------

    def create_token(self, name: str = "cps-tools", scope: str = "all", days: int = 365) -> Secret:
        """Make an API token."""
        now = self.director.clock()
        tokens.make_room(self.caller.user, tokens.TOKEN, now)
        value = tokens.issue(
            self.caller.user,
            name,
            scope=scope,
            now=now,
            lifetime=days * DAY,
            address=self.caller.address,
        )
        return Secret(name, value)

    def list_tokens(self) -> tuple[TokenInfo, ...]:
        """List the caller's tokens and sessions."""
        return tokens.listing(self.caller.user, self.caller.token)

    def revoke_token(self, token: int) -> None:
        """End a token or a session of the caller."""
        tokens.revoke(self.caller.user, token)

    def add_key(self, filename: Upload, name: str = "") -> KeyInfo:
        """Add an SSH key."""
        key = keys.parse(filename.stream.read(keys.MAX_BYTES + 1))
        return _key_info(
            keys.add(self.caller.user, key, name or key.comment, self.director.clock())
        )

    def list_keys(self) -> tuple[KeyInfo, ...]:
        """List the caller's SSH keys."""
        return tuple(_key_info(row) for row in keys.of_user(self.caller.user))

    def remove_key(self, key: int) -> None:
        """Remove an SSH key of the caller."""
        keys.remove(self.caller.user, key)

    # -- what administrators do ---------------------------------------------------------------

    def list(self) -> tuple[UserInfo, ...]:
        """List all users."""
        return tuple(self.info(row) for row in User.select().order_by(User.id))

    def create(
        self,
        username: str,
        password: str,
        email: str = "",
        fname: str = "",
        lname: str = "",
        affiliation: str = "",
        credit: int | None = None,
        admin: bool = False,
    ) -> UserInfo:
        """Create a user."""
        profile = registration.Profile(username, email, fname, lname, affiliation)
        return self.info(self._add(profile, password, admin=admin, credit=credit))

    def reset_password(self, user: str | int, new_password: str) -> UserInfo:
        """Give a user another password."""
        row = self.find_user(user)
        users.change_password(row, new_password, clock=self.director.clock)
        self.director.refresh_revoked()
        return self.info(row)

    def set_admin(self, user: str | int, admin: bool) -> UserInfo:
        """Make a user an administrator, or a user like others."""
        row = self.find_user(user)
        with database.atomic():
            if not admin:
                administrators.keep_one(row.id)
            User.update(admin=admin).where(User.id == row.id).execute()
        return self.info(User.get_by_id(row.id))

    def disable(self, user: str | int) -> Job[UserInfo]:
        """Shut a user out and stop his applications."""
        row = self.find_user(user)
        if row.id == self.caller.user:
            raise InvalidError("you cannot disable yourself: another administrator must do it")
        yield from leaving.disable(self.director, self.caller, row)
        return self.info(User.get_by_id(row.id))

    def enable(self, user: str | int) -> UserInfo:
        """Let a user in again that was disabled."""
        row = self.find_user(user)
        with database.atomic():
            if (at_work := self.director.jobs.active(leaving.target(row.id))) is not None:
                raise BusyError(
                    f"the user is being {_BEING[at_work.operation]} (job {at_work.id}): wait for "
                    "its end",
                    detail={"job": at_work.id},
                )
            User.update(disabled=False).where(User.id == row.id).execute()
        return self.info(User.get_by_id(row.id))

    def create_invitation(self, email: str = "", days: int = 14) -> Secret:
        """Invite somebody to register."""
        code = invitations.invite(email, self.director.clock(), days * DAY)
        return Secret(f"invitation of {email}" if email else "invitation", code)

    def list_invitations(self) -> tuple[InvitationInfo, ...]:
        """List the invitations."""
        return invitations.listing(self.director.clock())

    def revoke_invitation(self, invitation: int) -> None:
        """Revoke an invitation."""
        invitations.revoke(invitation, self.director.clock())

    # -- jobs ---------------------------------------------------------------------------------

    def scope(self, operation: Operation, arguments: dict[str, Any]) -> Scope:
        """Return the user that a job is about."""
        return Scope(leaving.target(self.find_user(arguments["user"]).id))

    def permit(self, operation: Operation, scope: Scope) -> None:
        """Permit unless no administrator would be left."""
        administrators.keep_one(leaving.number(scope.target))

    def begin(self, operation: Operation, scope: Scope) -> str | None:
        """Enter no state."""
        return None

    def end(
        self,
        operation: Operation,
        scope: Scope,
        before: str | None,
        state: JobState,
        reason: str,
    ) -> None:
        """Forget a user who has been deleted."""
        if operation.name == "delete" and state is JobState.DONE:
            leaving.forget(leaving.number(scope.target), self.director.clock())

    # -- users --------------------------------------------------------------------------------

    def find_user(self, ref: str | int | None) -> User:
        """Return a user by name or id; None is the caller.

        Raises:
            DeniedError: It is another than the caller, who is no administrator.
            NotFoundError: There is none.
        """
        if ref is None or str(ref) in (self.caller.username, str(self.caller.user)):
            return self._me()
        if not self.caller.admin:
            raise DeniedError("only administrators may look at, or change, other users")
        return administrators.find_user(ref)

    def info(self, row: User) -> UserInfo:
        """Return a user as he is shown."""
        balances = self.director.plugins.hook.conpaas_balance(director=self.director, user=row.id)
        return UserInfo(
            row.id,
            row.username,
            row.fname,
            row.lname,
            row.email,
            row.affiliation,
            bool(row.admin),
            "disabled" if row.disabled else "active",
            balances[0] if balances else None,
            in_words(row.created),
        )

    def _me(self) -> User:
        found = _ME.first(User, self.caller.user)
        if found is None:
            raise UnauthenticatedError("your account does not exist any more")
        return found

    def _add(self, profile: registration.Profile, password: str, **more: Any) -> User:
        director = self.director
        return registration.add_user(
            director.config, director.plugins, profile, password, clock=director.clock, **more
        )


_BEING = {"disable": "disabled", "delete": "deleted"}


def _key_info(row: SshKey) -> KeyInfo:
    return KeyInfo(row.id, row.name, row.type, row.fingerprint, in_words(row.created))

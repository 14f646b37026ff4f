"""How users come into being: by registering, by an administrator, on the director's machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import peewee

from conpaas.director.config import DirectorConfig
from conpaas.director.models import User, database
from conpaas.director.users import email_is_taken, email_key, email_taken, hash_password
from conpaas.errors import InvalidError
from conpaas.names import NoOrEmailAddress, Username
from conpaas.plugins import Plugins
from conpaas.schema import from_json


@dataclass(frozen=True)
class Profile:
    """What a user tells about himself."""

    username: str
    email: str = ""
    fname: str = ""
    lname: str = ""
    affiliation: str = ""


def add_user(
    config: DirectorConfig,
    plugins: Plugins,
    profile: Profile,
    password: str,
    *,
    admin: bool = False,
    credit: int | None = None,
    clock: Callable[[], float] = time.time,
    redeem: Callable[[User], None] = lambda user: None,
) -> User:
    """Create a user and tell the plugins, all of it or nothing.

    Args:
        config: Of the director.
        plugins: Whose hook ``conpaas_user_created`` is called.
        profile: The name and what else is known.
        password: To log in with.
        admin: Whether it is an administrator.
        credit: To begin with; None means as for everybody.
        clock: Seconds since 1970.
        redeem: Called with the user in the same transaction; what it raises undoes everything.

    Raises:
        InvalidError: The name, the e-mail address or the password cannot be used, or is taken.
    """
    from_json(profile.username, Username, "username")
    from_json(profile.email, NoOrEmailAddress, "email")
    digest = hash_password(password)
    try:
        with database.atomic():
            user: User = User.create(
                username=profile.username,
                fname=profile.fname,
                lname=profile.lname,
                email=profile.email,
                email_key=email_key(profile.email),
                affiliation=profile.affiliation,
                password=digest,
                admin=admin,
                created=clock(),
            )
            redeem(user)
            plugins.hook.conpaas_user_created(config=config, user=user, credit=credit)
    except peewee.IntegrityError:
        if User.get_or_none(User.username == profile.username) is not None:
            raise InvalidError(f"the username {profile.username!r} is taken") from None
        if email_is_taken(profile.email):
            raise email_taken(profile.email) from None
        raise
    return user

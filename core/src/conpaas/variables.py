"""Names and values of environment variables that services hand to programs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from conpaas.errors import InvalidError

MAX_VALUE = 32 << 10  #: bytes of one value
MAX_NAMES = 500  #: variables of one service
#: Bytes of all names and values of one service: they go in one call, in which a byte may take six.
MAX_TOTAL = 128 << 10

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_LOADER = "it would change which programs and libraries run"
_USER = "the machine sets it, for the user as whom programs run"
_CGI = "a web server sets it for each request, from what the visitor sends"
_SHELL = "it would change how shells read their scripts"
#: Why names are refused that are these.
_NAMES = {
    **dict.fromkeys(("PATH", "PYTHONPATH", "PYTHONHOME", "PERL5LIB", "PERL5OPT"), _LOADER),
    **dict.fromkeys(("NODE_OPTIONS", "GCONV_PATH", "GLIBC_TUNABLES"), _LOADER),
    **dict.fromkeys(("HOME", "USER", "LOGNAME", "SHELL", "PWD", "OLDPWD"), _USER),
    **dict.fromkeys(("IFS", "ENV", "BASH_ENV", "SHELLOPTS", "BASHOPTS", "PS4", "CDPATH"), _SHELL),
    **dict.fromkeys(("AUTH_TYPE", "CONTENT_LENGTH", "CONTENT_TYPE", "DOCUMENT_ROOT"), _CGI),
    **dict.fromkeys(("DOCUMENT_URI", "GATEWAY_INTERFACE", "HTTPS", "PATH_INFO"), _CGI),
    **dict.fromkeys(("PATH_TRANSLATED", "QUERY_STRING"), _CGI),
}  # fmt: skip
#: Why names are refused that begin so.
_BEGINNINGS = {
    "LD_": _LOADER,
    "MALLOC_": _LOADER,
    "BASH_FUNC_": _SHELL,
    "FCGI_": _CGI,
    "HTTP_": _CGI,
    "ORIG_": _CGI,
    "REDIRECT_": _CGI,
    "REMOTE_": _CGI,
    "REQUEST_": _CGI,
    "SCRIPT_": _CGI,
    "SERVER_": _CGI,
    "CONPAAS_": "names that begin with CONPAAS_ are ConPaaS's own",
}


def check_name(name: str) -> None:
    """Raise when no variable of a service may have this name."""
    if "=" in name:
        # What follows may be a secret.
        raise InvalidError("the name of a variable has no '=': give its name and value apart")
    if not _NAME.fullmatch(name):
        raise InvalidError(
            f"{name[:60]!r} cannot name a variable: use up to 128 letters, digits and '_', and "
            "begin with a letter or '_'"
        )
    why = _NAMES.get(name) or next(
        (why for start, why in _BEGINNINGS.items() if name.startswith(start)), None
    )
    if why is not None:
        raise InvalidError(f"the variable {name} cannot be set: {why}")


def check_value(name: str, value: str) -> None:
    """Raise when this cannot be the value of a variable; the text does not tell the value."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidError(f"the value of {name} is not a text in UTF-8") from None
    if "\0" in value:
        raise InvalidError(f"the value of {name} has a zero byte: no variable can hold that")
    if size > MAX_VALUE:
        raise InvalidError(f"the value of {name} has {size} bytes: at most {MAX_VALUE} may be")


def check_all(values: Mapping[str, str]) -> None:
    """Raise when these cannot be the variables of one service, together or one by one."""
    if len(values) > MAX_NAMES:
        raise InvalidError(f"these are {len(values)} variables: at most {MAX_NAMES} may be")
    for name, value in values.items():
        check_name(name)
        check_value(name, value)
    total = sum(len(name.encode()) + len(value.encode()) for name, value in values.items())
    if total > MAX_TOTAL:
        raise InvalidError(f"all variables have {total} bytes: at most {MAX_TOTAL} may be")

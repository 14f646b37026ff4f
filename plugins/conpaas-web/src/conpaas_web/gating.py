"""Whether a new version of the code may be shown."""

from __future__ import annotations

from conpaas.errors import ConPaaSError
from conpaas_web.parts import CodeCheck
from conpaas_web.web_settings import WebSettings


def refusal(web: WebSettings, answer: CodeCheck | ConPaaSError) -> str:
    """Return why a version must not be used; nothing when it may."""
    if isinstance(answer, ConPaaSError):
        return f"it cannot be tried: {answer}"
    if web.expects(answer.status):
        return ""
    wanted = f"{web.health_status} is expected" if web.health_status else "below 500 is expected"
    lines = "\n".join(answer.lines).strip()
    if not answer.status:
        return f"{web.health_path} was not answered: {lines or 'nobody knows why'}"
    got = f"was answered with {answer.status}"
    said = f"; it begins with:\n{lines}" if lines else " and said nothing"
    return f"{web.health_path} {got} ({wanted}){said}"

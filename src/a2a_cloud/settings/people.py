"""How people sign in: sessions, mail for links, an outside provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from a2a_cloud.settings.read import text, url, whole


@dataclass(frozen=True, slots=True)
class People:
    """`session_idle`, `session_seconds`: a session ends when nobody uses it for so long, and in any case.
    `smtp_url`, `smtp_from`: the server that mail goes to ("": none is sent) and the address it comes from.
    `oidc_…`: the outside provider ("": none), what it calls this platform, what its button says, what is
    asked of it, and which organisation and role its claims give (control/people/rules.py)."""

    session_idle: float = 86_400.0
    session_seconds: float = 1_209_600.0
    smtp_url: str = field(default="", repr=False)
    smtp_password: str = field(default="", repr=False)
    smtp_from: str = ""
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = field(default="", repr=False)
    oidc_name: str = ""
    oidc_scopes: str = "openid email profile"
    oidc_rules: str = ""


def read_people(environ: Mapping[str, str]) -> People:
    """The settings out of `A2A_SESSION_…`, `A2A_SMTP_…` and `A2A_OIDC_…`. Raises BadSetting."""
    write = "seconds from 60 to 31622400"
    return People(
        session_idle=whole(environ, "A2A_SESSION_IDLE", 86_400, 60, 31_622_400, write),
        session_seconds=whole(environ, "A2A_SESSION_SECONDS", 1_209_600, 60, 31_622_400, write),
        smtp_url=text(environ, "A2A_SMTP_URL"),
        smtp_password=text(environ, "A2A_SMTP_PASSWORD"),
        smtp_from=text(environ, "A2A_SMTP_FROM"),
        # As it stands: an issuer is compared to the letter, a slash at its end too.
        oidc_issuer=_issuer(environ),
        oidc_client_id=text(environ, "A2A_OIDC_CLIENT_ID"),
        oidc_client_secret=text(environ, "A2A_OIDC_CLIENT_SECRET"),
        oidc_name=text(environ, "A2A_OIDC_NAME"),
        oidc_scopes=text(environ, "A2A_OIDC_SCOPES", "openid email profile"),
        oidc_rules=text(environ, "A2A_OIDC_RULES"),
    )


def _issuer(environ: Mapping[str, str]) -> str:
    url(environ, "A2A_OIDC_ISSUER")
    return text(environ, "A2A_OIDC_ISSUER")

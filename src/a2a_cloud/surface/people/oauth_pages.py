"""Pages that the OAuth server shows (surface/oauth): consent in plain words, the code of a device, and short
messages. Each gives (body, headers)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from a2a_cloud.surface.pages.assets import templates
from a2a_cloud.surface.people.browser import page_headers
from a2a_cloud.surface.people.port import Session
from a2a_cloud.surface.request import Headers

Page = tuple[bytes, Headers]


def render(name: str, *, goes_to: str = "", **values: Any) -> Page:
    """A page of this folder's."""
    body = templates().get_template(f"people_{name}.html").render(**values)
    return body.encode("utf-8", "replace"), page_headers(goes_to=goes_to)


def consent_page(
    session: Session,
    *,
    client_name: str,
    client_url: str = "",
    scopes: Sequence[tuple[str, str]],
    resource: str = "",
    redirect_host: str = "",
    redirect_uri: str = "",
    fields: Mapping[str, str],
    action: str = "/oauth/consent",
    verified: bool = False,
) -> Page:
    """Asks whether a client may act for the person. `scopes` are (name, plain words); `verified`: the
    platform's people know the client, else its name is only what it says of itself. The form posts `fields`,
    `csrf`, and `decision` as `allow` or `deny`."""
    return render(
        "consent",
        goes_to=redirect_uri,
        session=session,
        who=who(session),
        client_name=client_name,
        client_url=client_url if client_url.startswith("https://") else "",
        scopes=scopes,
        resource=resource,
        redirect_host=redirect_host,
        fields=fields,
        action=action,
        verified=verified,
    )


def device_page(session: Session, user_code: str = "", error: str = "") -> Page:
    """Takes the code that a device shows; the form posts `user_code` and `csrf` to /oauth/device."""
    return render(
        "device", session=session, who=who(session), user_code=user_code, error=error, client_name=""
    )


def device_confirm_page(
    session: Session,
    *,
    client_name: str,
    user_code: str,
    scopes: Sequence[tuple[str, str]],
    fields: Mapping[str, str],
) -> Page:
    """Asks whether the device that shows `user_code` may act for the person. The form posts `fields`,
    `user_code`, `csrf`, and `decision` as `allow` or `deny` to /oauth/device."""
    return render(
        "device",
        session=session,
        who=who(session),
        user_code=user_code,
        error="",
        client_name=client_name,
        scopes=scopes,
        fields=fields,
    )


def message_page(title: str, text: str, *, link: str = "", link_text: str = "") -> Page:
    """Says one thing. `link` is a path of ours."""
    return render("message", title=title, text=text, link=link, link_text=link_text)


def going_page(path: str) -> Page:
    """Leads on to an address. A redirect would be the end of a form, and browsers let a form end only
    where its page's policy allows; this begins anew."""
    return render("going", path=path)


def who(session: Session) -> str:
    """Who is signed in, as pages say it."""
    principal = session.principal
    return (
        f"{principal.name} of {principal.org}" if principal is not None else "an account without organisation"
    )

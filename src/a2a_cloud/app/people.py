"""People tied to the rest: accounts first, because memberships are of accounts; then, with those, everything
that lets somebody in."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Callable

from a2a_cloud.control.people.accounts import Accounts
from a2a_cloud.control.people.federation import Provider
from a2a_cloud.control.people.links import Links
from a2a_cloud.control.people.passkeys import Passkeys
from a2a_cloud.control.people.passwords import Passwords
from a2a_cloud.control.people.people import People
from a2a_cloud.control.people.ports import Journal, Members
from a2a_cloud.control.people.rows import PeopleRows
from a2a_cloud.control.people.rules import parse
from a2a_cloud.control.people.sessions import Sessions
from a2a_cloud.control.people.tickets import Tickets
from a2a_cloud.control.secrets.seal import Seal
from a2a_cloud.model.ports import Clock, Entropy, Ids
from a2a_cloud.model.problem import BadSetting
from a2a_cloud.settings import Settings


def accounts_of(
    connection: sqlite3.Connection, journal: Journal, clock: Clock, entropy: Entropy, ids: Ids
) -> Accounts:
    """The accounts."""
    return Accounts(PeopleRows(connection), journal, Passwords(entropy), clock, ids)


def people_of(
    settings: Settings,
    accounts: Accounts,
    members: Members,
    *,
    connection: sqlite3.Connection,
    journal: Journal,
    clock: Clock,
    entropy: Entropy,
    ids: Ids,
    link_key: bytes,
    org_no: Callable[[str], int | None],
    operator: str,
) -> People:
    """Everything that lets somebody in; `operator` is the id of the key in the data folder. Raises
    BadSetting."""
    said = settings.people
    rows = PeopleRows(connection)
    key = hmac.new(link_key, b"people", hashlib.sha256).digest()
    tickets = Tickets(Seal(key, entropy), clock)
    provider = None
    if said.oidc_issuer:
        provider = Provider(
            said.oidc_issuer,
            said.oidc_client_id,
            said.oidc_client_secret,
            name=said.oidc_name,
            scopes=said.oidc_scopes,
            rules=parse(said.oidc_rules, "A2A_OIDC_RULES"),
            tickets=tickets,
            clock=clock,
            entropy=entropy,
            roots=settings.egress_ca,
        )
    elif said.oidc_rules or said.oidc_client_id:
        raise BadSetting(
            "A2A_OIDC_ISSUER is not set, and other settings of the provider are.",
            remedy="Write the provider's issuer, an https address.",
            info={"setting": "A2A_OIDC_ISSUER"},
        )
    mail = None
    if said.smtp_url:
        from a2a_cloud.control.people.mail import Mail  # Most platforms send none.

        mail = Mail(said.smtp_url, said.smtp_password, said.smtp_from, clock, settings.egress_ca)
    return People(
        rows=rows,
        journal=journal,
        accounts=accounts,
        sessions=Sessions(
            rows,
            journal,
            members,
            clock,
            entropy,
            ids,
            key=key,
            idle=said.session_idle,
            longest=said.session_seconds,
        ),
        links=Links(rows, journal, clock, entropy, ids),
        passkeys=Passkeys(rows, journal, tickets, clock, entropy),
        provider=provider,
        members=members,
        send=mail.send if mail is not None else None,
        clock=clock,
        ids=ids,
        org_no=org_no,
        operator=operator,
    )

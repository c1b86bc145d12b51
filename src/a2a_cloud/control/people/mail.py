"""Mail over SMTP (RFC 5321) with the standard library, in a thread: links for people who were invited or
can't sign in. One attempt; who asked is told when it fails, and the link can be given by hand."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from urllib.parse import unquote, urlsplit

from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import BadSetting, Unavailable

ANSWER = 15.0


class Mail:
    """One server. `url`: `smtp://USER@HOST:PORT` (STARTTLS, unless the host is this machine), or
    `smtps://…`; `sender` is the address that mail comes from; `roots`: a PEM file of roots trusted too."""

    def __init__(self, url: str, password: str, sender: str, clock: Clock, roots: Path | None = None) -> None:
        """Raises BadSetting."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = None, None
        if parts is None or parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            # Without the value: a password may be in it.
            raise BadSetting(
                "A2A_SMTP_URL can't be used.",
                remedy="Write smtp://USER@HOST:587, or smtps://… for TLS from the start.",
                info={"setting": "A2A_SMTP_URL"},
            )
        if "@" not in sender or any(sign in sender for sign in "\r\n"):
            raise BadSetting(
                f"A2A_SMTP_FROM is {sender[:100]!r}, which is no address.",
                remedy="Write the address that mail comes from, such as agents@example.com.",
                info={"setting": "A2A_SMTP_FROM"},
            )
        self._tls = parts.scheme == "smtps"
        self._host = parts.hostname
        self._port = port or (465 if self._tls else 587)
        self._user, self._password = unquote(parts.username or ""), password or unquote(parts.password or "")
        self._sender = sender
        self._clock = clock
        self._roots = roots

    async def send(self, to: str, subject: str, text: str) -> None:
        """Raises Unavailable."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._sender, to, subject
        message["Date"] = formatdate(self._clock.now())
        message["Message-ID"] = make_msgid(domain=self._sender.rpartition("@")[2].strip(" >"))
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        try:
            await asyncio.to_thread(self._send, message)
        except (OSError, smtplib.SMTPException) as error:
            raise Unavailable(
                "The mail could not be sent.",
                remedy="Give the link by hand; A2A_SMTP_URL says which server was asked.",
                operator=f"{type(error).__name__}: {error}",
            ) from None

    def _send(self, message: EmailMessage) -> None:
        context = ssl.create_default_context()
        if self._roots is not None:
            context.load_verify_locations(self._roots)
        if self._tls:
            server = smtplib.SMTP_SSL(self._host, self._port, timeout=ANSWER, context=context)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=ANSWER)
        with server:
            if not self._tls and not self._here():
                server.starttls(context=context)
            if self._user:
                server.login(self._user, self._password)
            server.send_message(message)

    def _here(self) -> bool:
        return self._host in ("localhost", "::1") or self._host.startswith("127.")

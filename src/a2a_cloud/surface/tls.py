"""TLS by file: a context whose certificate changes with its files, and that may ask callers for theirs.

One context is handed to the server for good; each handshake is moved to the newest one by the SNI callback
(`ssl.SSLObject.context`), which OpenSSL calls with or without a name. A certificate and a key that don't fit
together, as in the middle of a renewal, change nothing: what holds stays until both fit.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from a2a_cloud.model.problem import Unavailable

log = logging.getLogger("a2a_cloud.tls")

_Stamp = tuple[tuple[int, int, int], ...]


class Tls:
    """The certificate of this platform, and the roots that callers' certificates may come from."""

    def __init__(self, cert: Path, key: Path) -> None:
        self._cert = cert
        self._key = key
        self._roots = ""
        self._stamp: _Stamp = ()
        try:
            self._stamp = self._look()
            self._now = self._make()
        except (OSError, ssl.SSLError) as error:
            raise Unavailable(
                f"TLS can't be served with {cert} and {key}: {_why(error)}.",
                remedy="Set A2A_TLS_CERT to the certificate with those above it, and A2A_TLS_KEY to its key, "
                "both as PEM without a password.",
                operator=str(error),
            ) from error
        #: For the server: it stays the same object.
        self.context = self._make()
        self.context.sni_callback = self._newest

    @property
    def asks(self) -> bool:
        """Whether callers are asked for certificates."""
        return bool(self._roots)

    def trust(self, roots: str) -> None:
        """From now on callers may show certificates that come from these roots (PEM); "" asks for none."""
        self._roots = roots
        self._now = self._make()
        self.context.verify_mode = self._now.verify_mode
        if roots:
            self.context.options |= ssl.OP_NO_TICKET
            self.context.num_tickets = 0

    def refresh(self) -> bool:
        """Read the files again if they changed. True when handshakes get another certificate from now on."""
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return False
            fresh = self._make()
        except (OSError, ssl.SSLError) as error:
            log.warning("The new certificate in %s is not taken: %s.", self._cert, _why(error))
            return False
        self._stamp, self._now = stamp, fresh
        log.info("TLS has the certificate that %s holds now.", self._cert)
        return True

    def pair(self) -> tuple[bytes, bytes]:
        """Key and certificate as they are in the files now, for servers with TLS of their own."""
        return self._key.read_bytes(), self._cert.read_bytes()

    def holds(self, pair: tuple[bytes, bytes]) -> bool:
        """Whether key and certificate fit together."""
        try:
            self._make()
            return self.pair() == pair
        except (OSError, ssl.SSLError):
            return False

    def _look(self) -> _Stamp:
        found = (self._cert.stat(), self._key.stat())
        return tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in found)

    def _make(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])

        def no_password() -> str:
            raise ssl.SSLError("the key has a password")

        context.load_cert_chain(self._cert, self._key, password=no_password)
        if self._roots:
            context.load_verify_locations(cadata=self._roots)
            context.verify_mode = ssl.CERT_OPTIONAL
            # A handshake is always whole: no certificate is taken over from an earlier one.
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
        return context

    def _newest(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._now


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}" + (f" ({error.filename})" if error.filename else "")
    return str(error)

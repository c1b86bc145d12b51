"""Certificates as bytes, nothing kept: roots, and leaves that carry a SPIFFE ID (X509-SVID, sections 2 to 4;
RFC 5280). `cryptography` is loaded with the first one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from msgspec import Struct

from a2a_cloud.model.problem import InvalidParams

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

#: Bytes of a certificate signing request.
MAX_CSR = 16 << 10
#: Seconds that a certificate is good before it was made: others' clocks.
BACKDATED = 60
_RSA_BITS = (2048, 8192)


class Leaf(Struct, frozen=True):
    """What a certificate says that a caller shows. `until` in wall seconds."""

    id: str
    serial: str
    until: float


def make_root(domain: str, root_id: str, now: float, seconds: float) -> tuple[bytes, bytes]:
    """A new root for a trust domain: its certificate (DER) and its private key (PKCS 8, DER)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"a2a cloud services {root_id}")])
    certificate = (
        _begun(name, name, key.public_key(), now, now + seconds)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{domain}")]),
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.DER), private


def make_leaf(root: bytes, root_key: bytes, csr: str, spiffe_id: str, now: float, until: float) -> bytes:
    """A certificate (DER) for the key that a signing request (PEM) proves to have; nothing else of the
    request counts. Raises InvalidParams."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = _asked(csr)
    issuer = x509.load_der_x509_certificate(root)
    signer = cast("EllipticCurvePrivateKey", serialization.load_der_private_key(root_key, None))
    certificate = (
        _begun(x509.Name([]), issuer.subject, key, now, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
            critical=False,
        )
        # Critical, for there is no subject (RFC 5280, 4.2.1.6).
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe_id)]), critical=True
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.DER)


def read_leaf(der: bytes) -> Leaf | None:
    """What a certificate says whose chain was checked; None for one without exactly one critical URI."""
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(der)
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (ValueError, x509.ExtensionNotFound):
        return None
    names = list(found.value)
    if not found.critical or constraints.value.ca or len(names) != 1:
        return None
    (name,) = names
    if not isinstance(name, x509.UniformResourceIdentifier):
        return None
    until = certificate.not_valid_after_utc.timestamp()
    return Leaf(name.value, serial_of(certificate.serial_number), until)


def pem(der: bytes) -> str:
    """The same as text."""
    from base64 import encodebytes

    body = encodebytes(der).decode().replace("\n", "")
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


def serial_of(number: int) -> str:
    """A serial number as it is written here."""
    return f"{number:040x}"


def serial_in(der: bytes) -> str:
    """The serial number of a certificate."""
    from cryptography import x509

    return serial_of(x509.load_der_x509_certificate(der).serial_number)


def _asked(csr: str) -> CertificatePublicKeyTypes:
    """The public key of a request whose signature holds."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    remedy = "Make one with `openssl req -new`, or let `a2a services cert` do it."
    if len(csr) > MAX_CSR:
        raise InvalidParams("The signing request is larger than 16 KiB.", remedy=remedy)
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        proven = request.is_signature_valid
        key = request.public_key()
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        raise InvalidParams("The signing request can't be read.", remedy=remedy) from None
    if not proven:
        raise InvalidParams("The signing request is not signed with its own key.", remedy=remedy)
    fine = (
        (isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in ("secp256r1", "secp384r1"))
        or isinstance(key, ed25519.Ed25519PublicKey)
        or (isinstance(key, rsa.RSAPublicKey) and _RSA_BITS[0] <= key.key_size <= _RSA_BITS[1])
    )
    if not fine:
        raise InvalidParams(
            "The key of the signing request is of no kind that is taken.",
            remedy="Use P-256, P-384, Ed25519, or RSA with 2048 bits or more.",
        )
    return key


def _begun(
    subject: x509.Name, issuer: x509.Name, key: CertificatePublicKeyTypes, now: float, until: float
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_at(now - BACKDATED))
        .not_valid_after(_at(until))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _at(seconds: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(seconds))

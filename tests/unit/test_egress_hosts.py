"""runtime/egress: hosts in one spelling, addresses that nobody dials, ClientHellos, and what is injected."""

from __future__ import annotations

import ssl
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.model.problem import EgressRefused, InvalidRequest
from a2a_cloud.runtime.egress.hello import NotTls, hello_in, server_name
from a2a_cloud.runtime.egress.hosts import canonical, closed, host_and_port, own
from a2a_cloud.runtime.egress.inject import Injection, bound, with_secrets


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("API.Example.com", "api.example.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("localhost", "localhost"),
        ("_dmarc.example.com", "_dmarc.example.com"),
        ("1.example.com", "1.example.com"),
        ("93.184.216.34", "93.184.216.34"),
        ("[2606:2800:220:1::1]", "[2606:2800:220:1::1]"),
        ("[2606:2800:220:1::A]", "[2606:2800:220:1::a]"),
        ("[::1]", "[::1]"),
    ],
)
def test_right_spellings(text: str, name: str) -> None:
    assert canonical(text).name == name
    assert canonical(name) == canonical(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a b",
        "a/b",
        "a%2eb",
        "a\x00b",
        "ä.example",
        "ａ.example",
        "a。b",
        "*.example.com",
        "1",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "017700000001",
        "1.2.3.4.5",
        "256.1.1.1",
        "1.2.3.04",
        "a.1",
        "a.0x",
        "xn--",
        "xn--.a",
        "xn--a-.example",
        "xn--\x7f",
        "-a.example",
        "a-.example",
        "a" * 64,
        "a." * 127 + "aa",
        "[",
        "[]",
        "[1.2.3.4]",
        "[::1",
        "::1",
        "[::1]]",
        "[::01]",
        "[0::1]",
        "[::ffff:1.2.3.4]",
        "[fe80::1%1]",
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        canonical(text)
    assert caught.value.remedy
    assert caught.value.detail.isascii()
    assert caught.value.detail.isprintable()


def test_hosts_with_ports() -> None:
    assert host_and_port("a.example:443") == (canonical("a.example"), 443)
    assert host_and_port("[::1]:80") == (canonical("[::1]"), 80)
    assert host_and_port("a.example", 80)[1] == 80
    for bad in (
        "a.example",
        "a:",
        "a:0",
        "a:65536",
        "a:080",
        "a:+80",
        "a:8 0",
        "a:80:80",
        "u@a:80",
        "::1:80",
        "[::1]80",
    ):
        with pytest.raises(InvalidRequest):
            host_and_port(bad)


@given(st.text(max_size=20) | st.from_regex(r"[a-z0-9.x\[\]:%-]{1,20}", fullmatch=True))
def test_of_anything_a_host_or_a_problem_is_made(text: str) -> None:
    try:
        host = canonical(text)
    except InvalidRequest:
        return
    assert canonical(host.name) == host
    assert host.name == host.name.lower()
    assert host.name.isascii()
    if host.address is None:  # then no resolver may read an address out of it
        assert not host.name.rsplit(".", 1)[-1].isdigit()
        assert not host.name.endswith(".")


@given(st.integers(0, 2**32 - 1))
def test_no_ipv4_address_of_special_use_is_open(number: int) -> None:
    address = ip_address(number)
    if not closed(address):
        assert address.is_global
        assert not (address.is_private)
        assert not (address.is_multicast)
        assert not (address.is_reserved)
        assert not (address.is_loopback)


@given(st.integers(0, 2**128 - 1) | st.integers(0x2000 << 112, (0x4000 << 112) - 1))
def test_no_ipv6_address_of_special_use_is_open(number: int) -> None:
    address = ip_address(number | 1 << 127 if number < 2**32 else number)
    if not closed(address):
        assert address.is_global
        assert not address.is_multicast
        assert getattr(address, "ipv4_mapped", None) is None


@pytest.mark.parametrize("text", ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "2a00:1450::1"])
def test_public_addresses_are_open(text: str) -> None:
    assert closed(ip_address(text)) == ""


def test_what_an_operator_names_is_never_where_keys_are() -> None:
    assert all(own(ip_address(each)) for each in ("10.1.2.3", "127.0.0.1", "::1", "fd12::1", "100.64.0.1"))
    for each in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "fe80::1", "0.0.0.0", "224.0.0.1"):  # noqa: S104
        assert not own(ip_address(each))


# --- ClientHello -------------------------------------------------------------------------------------------


def hello(name: str | None) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    out = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


HELLO = hello("api.example.com")


def name_of(raw: bytes) -> str | None:
    body = hello_in(raw)
    assert body is not None
    return server_name(body)


def test_a_real_hello_names_its_server() -> None:
    assert name_of(HELLO) == "api.example.com"
    assert name_of(hello(None)) is None
    for cut in range(len(HELLO)):
        assert hello_in(HELLO[:cut]) is None
    two = (
        HELLO[:3]
        + (100).to_bytes(2)
        + HELLO[5:105]
        + HELLO[:3]
        + (len(HELLO) - 105).to_bytes(2)
        + HELLO[105:]
    )
    assert name_of(two) == "api.example.com"
    assert name_of(two + b"what follows") == "api.example.com"


def with_extensions(*extensions: tuple[int, bytes]) -> bytes:
    listed = b"".join(kind.to_bytes(2) + len(body).to_bytes(2) + body for kind, body in extensions)
    return b"\3\3" + bytes(32) + b"\0" + b"\0\2\x13\1" + b"\1\0" + len(listed).to_bytes(2) + listed


def sni(*names: bytes, kind: int = 0) -> tuple[int, bytes]:
    listed = b"".join(bytes((kind,)) + len(name).to_bytes(2) + name for name in names)
    return 0, len(listed).to_bytes(2) + listed


def test_hellos_that_two_could_read_differently_are_refused() -> None:
    assert server_name(with_extensions(sni(b"a"))) == "a"
    assert server_name(with_extensions((16, b"\0\0"))) is None
    for bad in (
        with_extensions(sni(b"a"), sni(b"b")),
        with_extensions((16, b""), (16, b"")),
        with_extensions(sni(b"a", b"b")),
        with_extensions(sni(b"a", kind=1)),
        with_extensions(sni(b"")),
        with_extensions(sni()),
        with_extensions((0, b"")),
        with_extensions((0, sni(b"a")[1] + b"\0")),
        with_extensions(sni("ä".encode())),
        with_extensions(sni(b"a")) + b"\0",
        with_extensions(sni(b"a"))[:-1],
        b"",
    ):
        with pytest.raises(NotTls):
            server_name(bad)


@given(st.data())
def test_a_damaged_hello_is_refused_or_read_and_nothing_else(data: st.DataObject) -> None:
    raw = bytearray(HELLO)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        body = hello_in(raw)
        assert body is None or isinstance(server_name(body), str | None)
    except NotTls:
        pass


# --- injection ---------------------------------------------------------------------------------------------

KEY = Injection("KEY", "api.example.com", 443, "X-Api-Key", "Key {}")


def test_a_secret_is_bound_to_one_host_and_port() -> None:
    other = Injection("OTHER", "api.example.com", 8443, "X-Api-Key")
    assert bound((KEY, other), "api.example.com", 80) == (KEY,)
    assert bound((KEY, other), "api.example.com", 443) == (KEY,)
    assert bound((KEY, other), "api.example.com", 8443) == (other,)
    assert bound((KEY, other), "api.example.com", 8080) == ()
    for host in ("example.com", "x.api.example.com", "api.example.com.evil.test"):
        assert bound((KEY, other), host, 80) == ()


def test_what_the_agent_wrote_there_is_taken_out() -> None:
    given_fields = [(b"x-API-key", b"mine"), (b"X_Api_Key", b"mine"), (b"X-Other", b"1")]
    assert with_secrets(given_fields, (KEY,), lambda _: "v") == [(b"X-Other", b"1"), (b"X-Api-Key", b"Key v")]


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "", "\x7f", "ä", "a\0"])
def test_a_value_that_is_no_header_is_in_no_message(value: str) -> None:
    with pytest.raises(EgressRefused) as caught:
        with_secrets([], (KEY._replace(format="{}"),), lambda _: f"marker{value}marker" if value else "")
    assert "marker" not in caught.value.sentence + repr(caught.value.info) + caught.value.operator


@pytest.mark.parametrize("form", ["", "no place", "{} and {}", "{}\r\nX: 1"])
def test_a_format_that_is_none_is_refused(form: str) -> None:
    with pytest.raises(EgressRefused):
        with_secrets([], (KEY._replace(format=form),), lambda _: "v")

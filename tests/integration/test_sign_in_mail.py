"""Links by mail: sent over SMTP when a server is set up, and no reason to fail when it doesn't answer."""

from __future__ import annotations

import email
import email.policy
import re
import socketserver
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from visitor import Answer, Visitor

from running import Running, start_platform

SECRET = "three green teapots sing"


class Server(socketserver.ThreadingTCPServer):
    """Takes mail (RFC 5321, as far as clients of the standard library go)."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.mail: list[tuple[str, str]] = []


class Session(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        def say(line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        say("220 here")
        to = ""
        for line in self.rfile:
            word = line.decode().strip()
            if word.upper().startswith("RCPT TO:"):
                to = word[8:].strip("<> ")
            if word.upper() == "DATA":
                say("354 go on")
                body = b""
                while (piece := self.rfile.readline()) != b".\r\n":
                    body += piece
                message = email.message_from_bytes(body, policy=email.policy.default)
                content = message.get_body()
                assert content is not None
                self.server.mail.append((to, content.get_content()))
            say("221 bye" if word.upper() == "QUIT" else "250 good")
            if word.upper() == "QUIT":
                return


@pytest.fixture(scope="module")
def post() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, post: Server) -> Iterator[Running]:
    where = f"smtp://127.0.0.1:{post.server_address[1]}"
    more = {"A2A_SMTP_URL": where, "A2A_SMTP_FROM": "agents@example.com", "A2A_LIMITS": "off"}
    running = start_platform([], tmp_path_factory.mktemp("mail"), **more)
    yield running
    running.stop()


def made(site: Running, body: str) -> Answer:
    headers = {"Authorization": f"Bearer {site.key}", "Content-Type": "application/json", "Accept": "*/*"}
    return Visitor(site.url).ask("POST", "/api/v1/links", body.encode(), headers=headers)


def test_an_invitation_and_a_recovery_come_by_mail(site: Running, post: Server) -> None:
    answer = made(site, '{"kind": "invite", "email": "ada@example.com", "role": "owner"}').json()
    assert answer["mailed"] is True
    to, text = post.mail.pop()
    assert to == "ada@example.com"
    assert answer["url"] in text
    ada = Visitor(site.url)
    path = urlsplit(answer["url"]).path
    assert ada.fill(path, {"email": to, "name": "Ada", "password": SECRET}).status == 303

    pages: list[tuple[int, str]] = []
    for who in ("nobody@example.com", "ADA@example.com"):
        page = Visitor(site.url).fill("/recover", {"email": who})
        pages.append((page.status, page.text))
    assert pages[0] == pages[1]
    end = time.monotonic() + 10
    while not post.mail:
        assert time.monotonic() < end
        time.sleep(0.02)
    to, text = post.mail.pop()
    assert (to, post.mail) == ("ada@example.com", [])
    found = re.search(r"/recover/[A-Za-z0-9_-]{43}", text)
    assert found is not None
    assert Visitor(site.url).fill(found[0], {"password": "seven quiet rivers at noon"}).status == 303


def test_a_server_that_does_not_answer_costs_nobody_the_link(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    more = {"A2A_SMTP_URL": "smtp://127.0.0.1:1", "A2A_SMTP_FROM": "agents@example.com"}
    running = start_platform([], tmp_path_factory.mktemp("nomail"), **more)
    try:
        answer = made(running, '{"kind": "invite", "email": "ada@example.com", "role": "owner"}').json()
        assert answer["mailed"] is False
        assert "could not be sent" in answer["mail_problem"]
        ada = Visitor(running.url)
        path = urlsplit(answer["url"]).path
        assert ada.fill(path, {"email": "ada@example.com", "name": "A", "password": SECRET}).status == 303
        page = Visitor(running.url).fill("/recover", {"email": "ada@example.com"})
        other = Visitor(running.url).fill("/recover", {"email": "nobody@example.com"})
        assert (page.status, page.text) == (other.status, other.text)
    finally:
        running.stop()


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"A2A_SMTP_URL": "http://mail"}, "A2A_SMTP_URL"),
        ({"A2A_SMTP_URL": "smtp://u:hunter2@mail:port"}, "A2A_SMTP_URL"),
        ({"A2A_SMTP_URL": "smtp://mail", "A2A_SMTP_FROM": ""}, "A2A_SMTP_FROM"),
    ],
    ids=["scheme", "port", "from"],
)
def test_settings_that_can_not_be_used(
    tmp_path_factory: pytest.TempPathFactory, change: dict[str, str], names: str
) -> None:
    with pytest.raises(pytest.fail.Exception, match=names) as failed:
        start_platform([], tmp_path_factory.mktemp("bad"), **({"A2A_SMTP_FROM": "a@b.example"} | change))
    assert "hunter2" not in str(failed.value)

"""wire/glob.py: the adversarial list, and every pattern against a matcher that anyone can check by eye."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.wire.glob import (
    MAX_SEGMENT,
    MAX_SEGMENTS,
    check_globs,
    check_path,
    globs,
    host_glob,
    host_path,
    path_from_bytes,
)

REFUSED_PATHS = {
    "empty": "",
    "parent in the middle": "repo/../etc/passwd",
    "parent at the end": "repo/..",
    "parent alone": "..",
    "parent first": "../repo",
    "dot segment": "repo/./a",
    "dot alone": ".",
    "two slashes": "repo//a",
    "slash at the end": "repo/a/",
    "root": "/",
    "absolute": "/etc/passwd",
    "network path": "//host/share",
    "proc": "/proc/self/root",
    "encoded parent": "repo/%2e%2e/etc",
    "encoded twice": "repo/%252e%252e/etc",
    "encoded slash": "repo/a%2fb",
    "encoded slash, large": "repo/a%2Fb",
    "encoded backslash": "repo/a%5Cb",
    "encoded nul": "repo/a%00",
    "encoded newline": "repo/a%0A",
    "backslash": "repo\\..\\etc",
    "backslash at the end": "repo\\",
    "long path prefix": "\\\\?\\C:\\x",
    "nul": "repo/a\0.md",
    "newline": "repo/a\nb",
    "newline at the end": "repo/a\n",
    "carriage return": "repo/a\rb",
    "tab": "repo/a\tb",
    "delete": "repo/a\x7f",
    "c1 control": "repo/a\x85",
    "right to left override": "repo/a\u202egpj.exe",
    "isolate": "repo/a\u2066b",
    "mark": "repo/a\u200eb",
    "zero width space": "repo/a\u200bb",
    "byte order mark": "\ufeffrepo/a",
    "soft hyphen": "re\u00adpo/a",
    "line separator": "repo/a\u2028b",
    "no character": "repo/\ufdd0",
    "unassigned": "repo/\U000e0fff",
    "decomposed": "repo/cafe\u0301",
    "kelvin sign": "repo/300\u212a",
    "full-width dots": "repo/\uff0e\uff0e/etc",
    "two-dot leader": "repo/\u2025/etc",
    "full-width slash": "repo\uff0fetc",
    "full-width backslash": "repo\uff3cetc",
    "full-width colon": "C\uff1a",
    "account of": "repo/\u2100",
    "lone surrogate": "repo/\ud800",
    "surrogate escape": "repo/\udc80",
    "space at the end": "repo/a ",
    "space first": "repo/ a",
    "space alone": "repo/ ",
    "wide space at the end": "repo/a\u3000",
    "no-break space first": "repo/\u00a0a",
    "dot at the end": "repo/a.",
    "dots at the end": "repo/a..",
    "dots alone": "repo/...",
    "dot and space": "repo/a. ",
    "dot at the end of a folder": "repo./a",
    "drive": "C:/Windows",
    "drive without slash": "C:a",
    "stream": "repo/a.txt:secret",
    "stream type": "repo/a::$DATA",
    "4 KB": "a/" * 2048 + "a",
    "4 KB in one segment": "a" * 4096,
    "1,000 segments": "/".join(["a"] * 1000),
    "one segment too many": "/".join(["a"] * (MAX_SEGMENTS + 1)),
    "a segment one byte too long": "a" * (MAX_SEGMENT + 1),
    "a segment one byte too long, wide": "ä" * 127 + "bb",
    "a path one byte too long": "/".join(["a" * 204] * 4 + ["a" * 205]),
}

PLAIN_PATHS = [
    "a",
    "repo/a.md",
    ".hidden",
    "repo/.git/config",
    "repo/..a",
    "repo/...a",
    "repo/a..b/c",
    "repo/a b.md",
    "repo/café.md",
    "repo/日本語/報告.md",
    "repo/a\u200db",
    "repo/می\u200cخواهم",
    "repo/100%.md",
    "repo/a%20b",
    "repo/a[1].md",
    "repo/{x}!.md",
    "repo/*",
    "repo/what?",
    "~/x",
    "-rf",
    "proc/self/root",
    "CON",
    "/".join(["a"] * MAX_SEGMENTS),
    "a" * MAX_SEGMENT,
    "ä" * 127 + "b",
    "/".join(["a" * 204] * 5),
]


@pytest.mark.parametrize("path", REFUSED_PATHS.values(), ids=REFUSED_PATHS)
def test_it_is_refused_and_not_repaired(path: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        check_path(path)
    assert caught.value.info["reason"] == "path"
    assert caught.value.remedy
    assert caught.value.sentence.isascii()
    assert "\n" not in caught.value.sentence


@pytest.mark.parametrize("path", PLAIN_PATHS)
def test_it_is_a_path(path: str) -> None:
    assert check_path(path) is path


@pytest.mark.parametrize(
    "raw",
    [
        b"a\xc0\xaeb",
        b"a\xc0\xafb",
        b"\xe0\x80\xaf",
        b"\xff",
        b"a\xed\xa0\x80",
        b"\xf0\x82\x82\xac",
        b"caf\xe9",
    ],
)
def test_bytes_that_are_not_utf8_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidParams, match="UTF-8"):
        path_from_bytes(raw)


def test_bytes_are_read_once() -> None:
    assert path_from_bytes("repo/é.md".encode()) == "repo/é.md"
    with pytest.raises(InvalidParams):
        path_from_bytes(b"repo/%2e%2e/x")


@given(st.text(max_size=40))
def test_the_check_never_says_anything_else(path: str) -> None:
    try:
        check_path(path)
    except InvalidParams:
        return
    segments = path.split("/")
    assert unicodedata.is_normalized("NFC", path)
    assert not any(segment in ("", ".", "..") for segment in segments)
    assert not any(sign in path for sign in "\\\0\n:")


@given(st.text(alphabet="aZ09_-./ %:é", max_size=24))
def test_the_quick_check_agrees_with_the_whole_one(path: str) -> None:
    # A path that only differs by a letter outside ASCII takes the long way.
    def fits(text: str) -> bool:
        try:
            check_path(text)
        except InvalidParams:
            return False
        return True

    assert fits(path) == fits(f"é/{path}") or path.startswith("/")


# --- patterns -----------------------------------------------------------------------------------------

REFUSED_PATTERNS = {
    "empty": "",
    "slash": "/",
    "absolute": "/repo/**",
    "slash at the end": "repo/",
    "slash at the end of everything": "repo/**/",
    "two slashes": "repo//**",
    "parent": "repo/../**",
    "dot": "./**",
    "stars beside letters": "a**b",
    "stars at the end of letters": "a**",
    "stars before letters": "**b",
    "three stars": "***",
    "three stars in a folder": "a/***/b",
    "class": "repo/[ab]",
    "closing": "repo/a]",
    "braces": "repo/{a,b}",
    "negation": "!repo/**",
    "negation inside": "repo/!a",
    "backslash": "repo\\*",
    "escape": "repo/\\*",
    "nul": "repo/*\0",
    "newline": "repo/*\n",
    "bidi": "repo/\u202e*",
    "decomposed": "cafe\u0301/**",
    "surrogate": "\ud800/**",
    "dot at the end": "repo/*.",
    "space at the end": "repo/* ",
    "encoded": "repo/%2e%2e/**",
    "drive": "C:/**",
    "too long": "a" * 300,
    "too many": "*/" * 100 + "*",
    "too many stars": "**/" * 100 + "a",
}


@pytest.mark.parametrize("pattern", REFUSED_PATTERNS.values(), ids=REFUSED_PATTERNS)
def test_it_is_no_pattern(pattern: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        check_globs([pattern])
    assert caught.value.info["reason"] == "glob"


MATCHES = [
    ("repo/**", "repo/a"),
    ("repo/**", "repo/a/b/c"),
    ("repo/**", "repo"),  # zero segments
    ("**", "a"),
    ("**", "a/b/.c"),
    ("**/x", "x"),
    ("**/x", "a/b/x"),
    ("a/**/b", "a/b"),
    ("a/**/b", "a/x/y/b"),
    ("**/**", "a"),
    ("a/**/**/b", "a/b"),
    ("*", "a"),
    ("*", ".hidden"),
    ("**", ".git/config"),
    ("repo/*.md", "repo/.md"),
    ("repo/*", "repo/[1]"),
    ("repo/?1?", "repo/[1]"),
    ("repo/a?c", "repo/aéc"),
    ("repo/*.*", "repo/a.b"),
    ("*a*b*", "xaxbx"),
    ("a*a", "aa"),
    ("**/a/**/b/**", "x/a/y/b"),
    ("**/a*b*c/**", "abc"),
]

DIFFERS = [
    ("repo/**", "repository/a"),
    ("repo/**", "repository"),
    ("repo/**", "a/repo/b"),
    ("repo/*", "repo"),
    ("repo/*", "repo/a/b"),
    ("*", "a/b"),
    ("?", "ab"),
    ("a/?", "a/b/c"),
    ("Repo/**", "repo/a"),
    ("repo/A.md", "repo/a.md"),
    ("straße/**", "strasse/a"),
    ("a*a", "a"),
    ("a/*/b", "a/b"),
    ("**/x", "ax"),
    ("**/x", "a/x/y"),
    ("*.md", "a.md.txt"),
    ("a.c", "abc"),
    ("a+", "aa"),
    ("(a|b)", "a"),
    ("^a$", "a"),
    ("a/**/b/**/c", "a/c/b"),
    ("*a*b*", "xbxa"),
]


@pytest.mark.parametrize(("pattern", "path"), MATCHES)
def test_it_means_the_path(pattern: str, path: str) -> None:
    assert globs((pattern,)).matches(check_path(path))
    assert globs(("nothing/here", pattern, "**/nothing?")).first(path) == pattern


@pytest.mark.parametrize(("pattern", "path"), DIFFERS)
def test_it_means_another(pattern: str, path: str) -> None:
    assert not globs((pattern,)).matches(check_path(path))
    assert globs((pattern,)).first(path) is None


def test_an_empty_list_means_nothing() -> None:
    assert not globs(()).matches("a")
    assert globs(()).first("a") is None


def naive_segment(pattern: str, name: str) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "*":
        return naive_segment(pattern[1:], name) or (bool(name) and naive_segment(pattern, name[1:]))
    return bool(name) and pattern[0] in ("?", name[0]) and naive_segment(pattern[1:], name[1:])


def naive(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        return naive(pattern[1:], path) or (bool(path) and naive(pattern, path[1:]))
    return bool(path) and naive_segment(pattern[0], path[0]) and naive(pattern[1:], path[1:])


SEGMENT = st.text(alphabet="ab*?", min_size=1, max_size=6).filter(lambda one: "**" not in one)
PATTERN = st.lists(st.one_of(SEGMENT, st.just("**")), min_size=1, max_size=6).map("/".join)
PATH = st.lists(st.text(alphabet="ab", min_size=1, max_size=6), min_size=1, max_size=7).map("/".join)


@settings(max_examples=600, deadline=None)
@given(st.lists(PATTERN, min_size=1, max_size=4), st.lists(PATH, min_size=1, max_size=8))
def test_it_agrees_with_the_naive_matcher(patterns: list[str], paths: list[str]) -> None:
    compiled = globs(tuple(patterns))
    for path in paths:
        expected = [pattern for pattern in patterns if naive(pattern.split("/"), path.split("/"))]
        assert compiled.matches(path) == bool(expected), (patterns, path)
        assert compiled.first(path) == (expected[0] if expected else None)


@settings(deadline=None)
@given(st.text(max_size=30))
def test_a_pattern_is_compiled_or_refused(pattern: str) -> None:
    try:
        compiled = globs((pattern,))
    except InvalidParams:
        return
    compiled.matches("a/b")


HOSTILE = [
    ("*a" * 60 + "*b", "a" * 255),
    ("*a*a*a*a*a*a*a*b/**", "/".join(["a" * 200] * 5)),
    ("**/*a/" * 20 + "b", "/".join(["aaaaaaaaaaaaa"] * 64)),
    ("**/" * 60 + "b", "/".join(["a"] * 64)),
    ("**/a/**/a/**/a/**/a/**/a/**/a/**/b", "/".join(["a"] * 64)),
    ("**/*?*?*?*?*?*?*b", "/".join(["a" * 200] * 5)),
    ("*/" * 60 + "b", "/".join(["a" * 14] * 61)),
    ("**/" + "?" * 250, "/".join(["a" * 249] * 4)),
]


@pytest.mark.parametrize(("pattern", "path"), HOSTILE)
def test_no_pattern_makes_it_slow(pattern: str, path: str) -> None:
    compiled = globs((pattern,))
    check_path(path)
    began = time.perf_counter()
    assert not compiled.matches(path)
    assert time.perf_counter() - began < 0.05


# --- hosts --------------------------------------------------------------------------------------------

HOSTS = [
    ("api.example.com", "api.example.com", 443, True),
    ("api.example.com", "API.Example.COM", 443, True),
    ("api.example.com", "api.example.com", 80, False),
    ("api.example.com:8443", "api.example.com", 8443, True),
    ("api.example.com:*", "api.example.com", 22, True),
    ("*.example.com", "api.example.com", 443, True),
    ("*.example.com", "a.b.example.com", 443, False),
    ("*.example.com", "example.com", 443, False),
    ("**.example.com", "a.b.example.com", 443, True),
    ("**.example.com", "example.com", 443, True),
    ("**.example.com", "badexample.com", 443, False),
    ("example.com", "example.com.evil.org", 443, False),
    ("*.com", "127.0.0.1", 443, False),
    ("10.0.0.7", "10.0.0.7", 443, True),
]


@pytest.mark.parametrize(("pattern", "host", "port", "reached"), HOSTS)
def test_hosts(pattern: str, host: str, port: int, reached: bool) -> None:
    assert globs((host_glob(pattern),)).matches(host_path(host, port)) is reached


@pytest.mark.parametrize(
    "pattern",
    ["", "API.example.com", "a..b", "api-*.example.com", "a.com.", "a.com:", "a.com:0", "a.com:65536", "http://a",
     "a/b", "a.com:80:80", "[::1]", "a b", "a.com\n", ":443", ".", "*." * 200 + "com"],
)  # fmt: skip
def test_no_host_pattern(pattern: str) -> None:
    with pytest.raises(InvalidParams):
        host_glob(pattern)


@pytest.mark.parametrize(
    "host", ["", "a.com.", "*", "*.com", "a/b", "a:b", "::1", "a\n", "user@a.com", "ä.com", "a..b"]
)
def test_no_host(host: str) -> None:
    with pytest.raises(InvalidParams):
        host_path(host, 443)

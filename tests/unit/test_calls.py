"""From a message to a Call: surface/calls.py, surface/parts.py, surface/arguments.py."""

from __future__ import annotations

import asyncio
import base64
from hashlib import sha256
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from a2a_cloud.model.principal import ANONYMOUS, Principal
from a2a_cloud.model.problem import ContentTypeNotSupported, InvalidParams, Problem, SkillNotFound
from a2a_cloud.model.release import FileParam, Manifest, Release, SkillSpec
from a2a_cloud.model.run import Call
from a2a_cloud.model.task import ObjectRef, Part
from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds
from a2a_cloud.surface.calls import Calls
from a2a_cloud.surface.parts import metadata_of
from a2a_cloud.surface.ports import Services, SurfaceLimits
from a2a_cloud.wire.a2a_v1 import SendMessageParams, decode_params

ALICE = Principal(7, 1, "alice", "default")


class Shelf:
    """Objects in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(self, data: bytes) -> ObjectRef:
        digest = sha256(data).hexdigest()
        self.kept[digest] = data
        return ObjectRef(digest, len(data))


def schema(required: list[str], **properties: Any) -> Raw:
    return Raw(
        msgspec.json.encode(
            {
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": False,
            }
        )
    )


STRING, INTEGER = {"type": "string"}, {"type": "integer"}
SHOUT = SkillSpec("shout", "", "", schema(["text"], text=STRING), Raw(b"true"), text_param="text")
ADD = SkillSpec("add", "", "", schema(["a"], a=INTEGER, b=INTEGER), Raw(b"true"))
READ = SkillSpec(
    "read",
    "",
    "",
    schema([], law=STRING),
    Raw(b"true"),
    files=[
        FileParam("picture", required=False, media_types=["image/*"]),
        FileParam("document"),
        FileParam("more", required=False, many=True, media_types=["text/csv"]),
    ],
    output_modes=["application/pdf"],
)


def release(*skills: SkillSpec, default: str = "", handler: bool = False) -> Release:
    manifest = Manifest("desk", "agent.py", default_skill=default)
    return Release(1, 1, 1, "default", 1, "sha256:0", "", manifest, skills, handler)


DESK = release(SHOUT, ADD, READ, default="shout")
SHELF = Shelf()


def make(
    message: dict[str, Any],
    agent: Release = DESK,
    principal: Principal = ALICE,
    limits: SurfaceLimits | None = None,
    **params: Any,
) -> Call:
    clock = SystemClock()
    services = Services(
        runs=cast("Any", None),
        identity=cast("Any", None),
        registry=cast("Any", None),
        objects=cast("Any", SHELF),
        deploys=cast("Any", None),
        parts=cast("Any", None),
        variables=cast("Any", None),
        renew=lambda _agent: None,
        clock=clock,
        ids=TimeIds(clock, SystemEntropy()),
        link_key=b"k" * 32,
        limits=limits or SurfaceLimits(),
    )
    body = msgspec.json.encode({"message": {"messageId": "m1", "role": "ROLE_USER", **message}, **params})
    wanted = decode_params(body, SendMessageParams)
    return asyncio.run(Calls(services).of_message(agent, principal, wanted, shown=False))


def data(value: Any, **part: Any) -> dict[str, Any]:
    return {"parts": [{"data": value, **part}]}


def text(words: str) -> dict[str, Any]:
    return {"parts": [{"text": words}]}


def raw(body: bytes, media_type: str = "", **metadata: Any) -> dict[str, Any]:
    part: dict[str, Any] = {"raw": base64.b64encode(body).decode()}
    if media_type:
        part["mediaType"] = media_type
    if metadata:
        part["metadata"] = metadata
    return part


# --- which skill ------------------------------------------------------------------------------------------


def test_a_data_part_names_the_skill() -> None:
    call = make(data({"skill": "add", "arguments": {"b": 2, "a": 1}}))
    assert (call.skill, call.arguments) == ("add", b'{"a":1,"b":2}')


def test_metadata_name_the_skill() -> None:
    assert make({**data({"a": 1}), "metadata": {"skill": "add"}}).arguments == b'{"a":1}'
    assert make({**data({"arguments": {"a": 1}}), "metadata": {"skill": "add"}}).arguments == b'{"a":1}'
    assert make(data({"a": 1}), metadata={"skill": "add"}).skill == "add"
    assert make({**text("hi"), "metadata": {"skill": "shout"}}).arguments == b'{"text":"hi"}'


def test_two_names_must_agree() -> None:
    with pytest.raises(InvalidParams):
        make({**data({"skill": "add", "arguments": {"a": 1}}), "metadata": {"skill": "shout"}})


def test_free_text_goes_to_the_default_skill() -> None:
    call = make({"parts": [{"text": "one"}, {"text": "two"}]})
    assert (call.skill, call.arguments) == ("shout", b'{"text":"one\\ntwo"}')


def test_free_text_goes_to_the_only_skill() -> None:
    assert make(text("hi"), release(SHOUT)).skill == "shout"
    assert make(data({"a": 1}), release(ADD)).skill == "add"


def test_free_text_goes_to_the_message_handler() -> None:
    agent = release(SHOUT, ADD, handler=True)
    assert make(text("hi"), agent).skill == ""
    assert make(data([1, 2]), agent).skill == ""
    assert make(data({"skill": "add", "arguments": {"a": 1}}), agent).skill == "add"


def test_without_a_default_the_skills_are_listed() -> None:
    with pytest.raises(InvalidParams) as caught:
        make(text("hi"), release(SHOUT, ADD))
    assert "shout, add" in caught.value.remedy


def test_text_for_a_skill_that_takes_none_is_refused() -> None:
    with pytest.raises(InvalidParams):
        make(text("hi"), release(ADD))


def test_an_unknown_skill_is_refused_with_the_list() -> None:
    with pytest.raises(SkillNotFound) as caught:
        make(data({"skill": "x", "arguments": {}}))
    assert caught.value.remedy == "Its skills are shout, add, read."


def test_text_beside_data_fills_the_text_parameter() -> None:
    call = make({"parts": [{"data": {"skill": "shout", "arguments": {}}}, {"text": "hi"}]})
    assert call.arguments == b'{"text":"hi"}'


# --- arguments --------------------------------------------------------------------------------------------


def test_arguments_that_do_not_fit_say_where_and_what() -> None:
    with pytest.raises(InvalidParams) as caught:
        make(data({"skill": "add", "arguments": {"a": "x", "c": 1}}))
    problem = caught.value
    assert problem.info["field"] == "$.a"
    assert '"x" is not of type "integer"' in problem.detail
    assert "'c' was unexpected" in problem.detail
    assert problem.remedy == "The skill add takes: a (integer), b (integer, optional)."


def test_whole_doubles_are_integers() -> None:
    assert make(data({"skill": "add", "arguments": {"a": 2.0}})).arguments == b'{"a":2}'
    with pytest.raises(InvalidParams):
        make(data({"skill": "add", "arguments": {"a": 2.5}}))


@pytest.mark.parametrize("arguments", [[], "x", 5, None])
def test_arguments_are_an_object(arguments: Any) -> None:
    with pytest.raises(InvalidParams):
        make(data({"skill": "add", "arguments": arguments}))


# --- files ------------------------------------------------------------------------------------------------


def read(*parts: dict[str, Any], **kwargs: Any) -> Call:
    return make({"parts": [{"data": {"skill": "read", "arguments": {}}}, *parts]}, **kwargs)


def test_files_bind_by_name_then_type_then_order() -> None:
    call = read(raw(b"a", "text/plain"), raw(b"b", "image/png"), raw(b"c", "text/csv"), raw(b"d", "text/csv"))
    assert [(f.param, f.inline) for f in call.files] == [
        ("picture", b"b"),
        ("document", b"a"),
        ("more", b"c"),
        ("more", b"d"),
    ]
    call = read(raw(b"a", "text/csv", param="document"), raw(b"b", "text/csv"))
    assert [(f.param, f.inline) for f in call.files] == [("document", b"a"), ("more", b"b")]


def test_a_missing_file_is_named() -> None:
    with pytest.raises(InvalidParams) as caught:
        read()
    assert caught.value.info == {"field": "document"}


def test_files_that_fit_nowhere_are_refused() -> None:
    with pytest.raises(InvalidParams):
        read(raw(b"a"), raw(b"b"))
    with pytest.raises(ContentTypeNotSupported):
        read(raw(b"a", "text/plain", param="picture"), raw(b"b"))
    with pytest.raises(InvalidParams):
        read(raw(b"a", param="nothing"))
    with pytest.raises(InvalidParams):
        make({"parts": [{"data": {"skill": "add", "arguments": {"a": 1}}}, raw(b"a", "text/plain")]})
    with pytest.raises(ContentTypeNotSupported):
        make({"parts": [{"data": {"skill": "add", "arguments": {"a": 1}}}, raw(b"a")]})


def test_an_address_is_fetched_for_a_skill_that_takes_files() -> None:
    with pytest.raises(InvalidParams, match="fetches none"):  # A platform without a way out.
        make({"parts": [{"data": {"skill": "read"}}, {"url": "http://x.example/"}]}, principal=ANONYMOUS)
    part = {"url": "https://files.example/a.txt", "mediaType": "text/plain"}
    with pytest.raises(InvalidParams, match=r"takes no files|no parameter left"):
        make({"parts": [{"data": {"skill": "add", "arguments": {"a": 1}}}, part]})
    call = make({"parts": [{"text": "look"}, part]}, release(SHOUT, handler=True))
    assert call.message.parts[1].url == part["url"]  # A message handler gets it as it was said.


def test_text_with_a_file_name_is_a_file() -> None:
    call = read({"text": "héllo", "filename": "a.md", "mediaType": "text/markdown"})
    assert call.files[0].inline == "héllo".encode()
    assert (call.files[0].name, call.files[0].media_type) == ("a.md", "text/markdown")


@pytest.mark.parametrize("bad", ["a", "====", "ab!d", "YQ==YQ=="])
def test_raw_has_to_be_base64(bad: str) -> None:
    with pytest.raises(InvalidParams, match="not base64"):
        read({"raw": bad})


def test_both_base64_alphabets_are_taken() -> None:
    body = bytes(range(256))
    plain = base64.b64encode(body).decode()
    url = base64.urlsafe_b64encode(body).decode().rstrip("=")
    assert read({"raw": plain}).files[0].inline == body
    assert read({"raw": url}).files[0].inline == body


def test_large_files_become_objects() -> None:
    body = bytes(range(256)) * 300
    call = read(raw(body, "text/plain"))
    (file,) = call.files
    assert file.object is not None
    assert file.inline == b""
    assert SHELF.kept[file.object.sha256] == body
    part = call.message.parts[1]
    assert part.raw is UNSET
    assert part.object == file.object


def test_large_text_becomes_an_object_where_arguments_keep_it() -> None:
    words = "w" * 70_000
    call = make(text(words))
    assert msgspec.json.decode(call.arguments) == {"text": words}
    assert isinstance(call.message.parts[0].object, ObjectRef)
    heard = make(text(words), release(SHOUT, handler=True))
    assert heard.message.parts[0].text == words


def test_objects_are_never_taken_from_outside() -> None:
    forged = {"sha256": "ab", "size": 1}
    call = make({"parts": [{"text": "hi", "object": forged}]})
    assert call.message.parts[0].object is UNSET
    with pytest.raises(InvalidParams):
        make({"parts": [{"object": forged}]})


# --- limits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        {"parts": []},
        {"parts": [{}]},
        {"parts": [{"text": "a", "data": 1}]},
        {"parts": [{"text": "a"}] * 101},
        {**text("a"), "messageId": ""},
        {**text("a"), "messageId": "x" * 257},
        {**text("a"), "messageId": "a\0b"},
        {**text("a"), "contextId": "a\nb"},
        {**text("a"), "taskId": "\x1b[2J"},
        {**text("a"), "metadata": [1]},
        {**text("a"), "role": "ROLE_AGENT"},
        {**text("a"), "extensions": ["x"] * 200},
        {"parts": [{"text": "a", "metadata": "x"}]},
    ],
)
def test_what_a2a_does_not_allow_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(InvalidParams):
        make(message)


def test_empty_ids_are_absent_ones() -> None:
    call = make({**text("a"), "contextId": "", "taskId": ""})
    assert (call.context_id, call.task_id) == ("", "")


def test_output_modes_are_negotiated() -> None:
    assert make(text("a"), configuration={"acceptedOutputModes": ["text/*"]}).output_modes == ["text/*"]
    make(text("a"), configuration={"acceptedOutputModes": ["image/png", "*/*"]})
    with pytest.raises(ContentTypeNotSupported) as caught:
        make(text("a"), configuration={"acceptedOutputModes": ["image/png"]})
    assert "text/plain" in caught.value.remedy
    with pytest.raises(ContentTypeNotSupported):
        read(raw(b"a"), configuration={"acceptedOutputModes": ["text/plain"]})


# --- idempotency ------------------------------------------------------------------------------------------


def test_the_key_is_the_message_id_but_for_strangers() -> None:
    assert make(text("a")).key == "m1"
    assert make(text("a"), principal=ANONYMOUS).key == ""


def test_the_fingerprint_is_of_what_was_asked() -> None:
    first = make(data({"skill": "add", "arguments": {"a": 1, "b": 2}}))
    assert first.fingerprint == make(data({"arguments": {"b": 2, "a": 1}, "skill": "add"})).fingerprint
    assert (
        first.fingerprint
        == make({**data({"skill": "add", "arguments": {"a": 1, "b": 2}}), "messageId": "m2"}).fingerprint
    )
    others = [
        make(data({"skill": "add", "arguments": {"a": 1, "b": 3}})),
        make({**data({"skill": "add", "arguments": {"a": 1, "b": 2}}), "contextId": "c"}),
        make({**data({"skill": "add", "arguments": {"a": 1, "b": 2}}), "metadata": {"x": 1}}),
        make(text("a")),
    ]
    assert len({call.fingerprint for call in [first, *others]}) == 5


# --- anything at all --------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
parts = st.fixed_dictionaries(
    {},
    optional={
        "text": st.text(max_size=30),
        "data": json_values
        | st.fixed_dictionaries({"skill": st.sampled_from(["add", "read", "x"]), "arguments": json_values}),
        "raw": st.text(alphabet="abcd=-_!", max_size=12),
        "url": st.text(max_size=12),
        "mediaType": st.sampled_from(["", "text/plain", "image/png", "*/*", "bad", "a/b;c=d"]),
        "filename": st.text(max_size=8),
        "metadata": json_values
        | st.fixed_dictionaries({"param": st.sampled_from(["document", "more", "x", ""])}),
        "object": json_values,
    },
)


@given(
    st.lists(parts, max_size=5),
    json_values | st.fixed_dictionaries({"skill": st.sampled_from(["add", "shout", "read", ""])}),
    st.sampled_from([DESK, release(SHOUT), release(ADD, READ), release(handler=True), release()]),
    st.lists(st.text(max_size=12), max_size=3),
)
def test_any_message_becomes_a_call_or_a_problem(
    message_parts: list[dict[str, Any]], metadata: Any, agent: Release, accepted: list[str]
) -> None:
    message: dict[str, Any] = {"parts": message_parts, "metadata": metadata}
    call = None
    refused = 400
    try:
        call = make(message, agent, configuration={"acceptedOutputModes": accepted})
    except Problem as problem:
        refused = problem.http
    assert refused < 500
    if call is None:
        return
    assert isinstance(msgspec.json.decode(call.arguments), dict)
    for part in call.message.parts:
        assert isinstance(part, Part)


def test_metadata_that_was_heard_before_says_the_same_again() -> None:
    for _ in range(2):
        said = metadata_of(Raw(b'{"b":2.0,"a":1}'), "metadata")
        assert (said.value, said.alike) == ({"b": 2.0, "a": 1}, b'{"a":1,"b":2}')
        with pytest.raises(InvalidParams, match=r"message\.metadata can't be read"):
            metadata_of(Raw(b'{"a":1e999999}'), "message.metadata")
    long = Raw(b'{"a":"%b"}' % (b"x" * 300))
    assert metadata_of(long, "metadata").value == {"a": "x" * 300}
    assert metadata_of(long, "metadata").value is not metadata_of(long, "metadata").value

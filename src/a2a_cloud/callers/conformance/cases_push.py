"""Push notifications: their configurations, that they come, and where they may not go (A2A 1.0, sections
3.1.7 to 3.1.10, 4.3 and 13.2)."""

from __future__ import annotations

import uuid
from typing import Any

from a2a_cloud.callers.conformance.receiver import receiver
from a2a_cloud.callers.conformance.said import Refusal
from a2a_cloud.callers.conformance.trial import Skipped, Trial, case, kind_of, shown
from a2a_cloud.client.shapes import obj, objs, text

_CONFIG = "TaskPushNotificationConfig"
_SECONDS = 15.0
_ELSEWHERE = "the server sends nothing to this machine ({0}); allow it there, or use --webhook-host"


@case("push.undeclared", "3.3.4")
async def undeclared(t: Trial) -> None:
    """Without the capability, configurations are refused as not supported"""
    if t.agent.capabilities.get("pushNotifications"):
        raise Skipped("the card declares push notifications")
    doing = t.call(f"Create{_CONFIG}", {"taskId": "x", "url": "https://example.com/"})
    await t.refused(doing, "PUSH_NOTIFICATION_NOT_SUPPORTED")


@case("push.configs", "3.1.7")
async def configs(t: Trial) -> None:
    """A configuration is created, read, listed and deleted, twice without harm"""
    _declared(t)
    async with receiver(t.agent.webhook_host) as hook:
        task = await t.task("ask", "INPUT_REQUIRED")
        made = await _made(t, task, hook.url)
        t.check(made.get("id"), "It has no id.")
        t.check(made.get("url") == hook.url, f"Its url is {made.get('url')!r}.")
        same = {"taskId": task["id"], "id": made["id"]}
        got = await t.call(f"Get{_CONFIG}", same)
        t.check(got.get("url") == hook.url, f"Read, it is {shown(got)}.")
        listed = objs((await t.call(f"List{_CONFIG}s", {"taskId": task["id"]})).get("configs"))
        t.check(made["id"] in [one.get("id") for one in listed], f"The list is {shown(listed)}.")
        await t.call(f"Delete{_CONFIG}", same)
        await t.call(f"Delete{_CONFIG}", same)
        listed = objs((await t.call(f"List{_CONFIG}s", {"taskId": task["id"]})).get("configs"))
        t.check(not listed, "It is listed though it was deleted.")
        await t.cancel(task)


@case("push.unknown", "3.1.7")
async def unknown(t: Trial) -> None:
    """A task that does not exist has no configurations"""
    _declared(t)
    task_id = f"task-{uuid.uuid4()}"
    await t.refused(t.call(f"List{_CONFIG}s", {"taskId": task_id}), "TASK_NOT_FOUND")
    doing = t.call(f"Create{_CONFIG}", {"taskId": task_id, "url": "https://example.com/"})
    await t.refused(doing, "TASK_NOT_FOUND")


@case("push.delivered", "4.3.3", each=False)
async def delivered(t: Trial) -> None:
    """What a stream would show is sent, with the token and the credentials that were configured"""
    _declared(t)
    async with receiver(t.agent.webhook_host) as hook:
        config = {
            "url": hook.url,
            "token": "case-token",
            "authentication": {"scheme": "Bearer", "credentials": "case-credentials"},
        }
        request = t.request("stream", configuration={"taskPushNotificationConfig": config})
        try:
            task = obj((await t.call("SendMessage", request)).get("task"))
        except Refusal as refusal:
            raise Skipped(_ELSEWHERE.format(refusal.said)) from None
        t.check(task.get("id"), "There is no task.")
        if not await hook.until("status", "COMPLETED", _SECONDS):
            t.fail(f"{len(hook.got)} notifications came in {_SECONDS:g} s, none with the task's end.")
        for one in hook.got:
            kind_of(one.body)
            sent = one.headers.get("authorization")
            t.check(sent == "Bearer case-credentials", f"Authorization is {sent!r}.")
            sent = one.headers.get("x-a2a-notification-token")
            t.check(sent == config["token"], f"X-A2A-Notification-Token is {sent!r}.")
        pieces = [
            text(part.get("text"))
            for one in hook.got
            for part in objs(obj(obj(one.body.get("artifactUpdate")).get("artifact")).get("parts"))
        ]
        whole = [text(part.get("text")) for one in objs(task.get("artifacts")) for part in objs(one["parts"])]
        if pieces:
            t.check("".join(pieces) == "".join(whole), f"The pieces came as {pieces}.")


@case("push.addresses", "13.2", each=False)
async def addresses(t: Trial) -> None:
    """Addresses of the server's own network are refused: no link-local metadata, no other schemes"""
    _declared(t)
    task = await t.task("ask", "INPUT_REQUIRED")
    for url in ("http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "gopher://127.0.0.1/"):
        doing = t.call(f"Create{_CONFIG}", {"taskId": task["id"], "url": url})
        await t.refused(doing, "INVALID_PARAMS", "PERMISSION_DENIED")
    await t.cancel(task)


def _declared(t: Trial) -> None:
    if not t.agent.capabilities.get("pushNotifications"):
        raise Skipped("the card does not declare push notifications")


async def _made(t: Trial, task: dict[str, Any], url: str) -> dict[str, Any]:
    try:
        return await t.call(f"Create{_CONFIG}", {"taskId": task["id"], "url": url})
    except Refusal as refusal:
        if refusal.name != "INVALID_PARAMS":
            raise
        raise Skipped(_ELSEWHERE.format(refusal.said)) from None

"""GetTask, ListTasks, CancelTask, and who may see what (A2A 1.0, sections 3.1.3 to 3.1.5 and 13)."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from a2a_cloud.callers.conformance.trial import Failed, Refusal, Skipped, Trial, case, shown, state_of
from a2a_cloud.client.shapes import obj, objs, text


def _time(t: Trial, stamp: str) -> datetime:
    try:
        return datetime.fromisoformat(stamp)
    except ValueError:
        t.fail(f"{shown(stamp)} is no timestamp.")


@case("tasks.get", "3.1.3")
async def get(t: Trial) -> None:
    """GetTask gives the task as SendMessage did"""
    task = await t.task("text", "COMPLETED")
    got = await t.get(task)
    for name in ("id", "contextId", "artifacts"):
        t.check(got.get(name) == task.get(name), f"{name} is {shown(got.get(name))}.")
    t.check(state_of(got) == state_of(task), f"The state is {state_of(got)}.")


@case("tasks.unknown", "3.1.3")
async def unknown(t: Trial) -> None:
    """A task that does not exist is TaskNotFound, read or canceled"""
    for operation in ("GetTask", "CancelTask"):
        await t.refused(t.call(operation, {"id": f"task-{uuid.uuid4()}"}), "TASK_NOT_FOUND")


@case("tasks.cancel", "3.1.5")
async def cancel(t: Trial) -> None:
    """A task that waits can be canceled, once"""
    task = await t.task("ask", "INPUT_REQUIRED")
    canceled = await t.cancel(task)
    t.check(canceled.get("id") == task["id"], "CancelTask gave another task.")
    t.check(state_of(canceled) == "CANCELED", f"The state is {state_of(canceled)}.")
    await t.refused(t.cancel(task), "TASK_NOT_CANCELABLE")


@case("tasks.cancel_ended", "3.1.5")
async def cancel_ended(t: Trial) -> None:
    """A task that has ended can't be canceled"""
    await t.refused(t.cancel(await t.task("complete", "COMPLETED")), "TASK_NOT_CANCELABLE")


@case("list.pages", "3.1.4")
async def pages(t: Trial) -> None:
    """ListTasks gives every task once, in pages, newest status first"""
    made = await _three(t)
    context = text(made[0].get("contextId"))
    seen: list[dict[str, Any]] = []
    token = ""
    for _ in range(4):
        page = await t.call("ListTasks", {"contextId": context, "pageSize": 2, "pageToken": token})
        t.check(len(objs(page.get("tasks"))) <= 2, "A page has more tasks than asked for.")
        seen += objs(page.get("tasks"))
        token = text(page.get("nextPageToken"))
        if not token:
            break
    ids = [text(task.get("id")) for task in t.listed(seen)]
    t.check(sorted(ids) == sorted(text(task["id"]) for task in made), f"The tasks are {ids}.")
    stamps = [text(obj(task.get("status")).get("timestamp")) for task in seen]
    # As times, and not as text: who leaves out zeros at the end writes .35Z after .355Z.
    times = [_time(t, stamp) for stamp in stamps]
    t.check(times == sorted(times, reverse=True), f"The order is {stamps}.")


@case("list.shape", "3.1.4")
async def shape(t: Trial) -> None:
    """A page says its size and the total; its token is empty at the end; artifacts only when asked for"""
    made = await _three(t)
    context = text(made[0].get("contextId"))
    page = await t.call("ListTasks", {"contextId": context, "pageSize": 100})
    found = t.listed(objs(page.get("tasks")))
    # An empty string and a 0 are not on the wire in Protocol Buffers.
    if t.speaker.binding != "GRPC":
        for name in ("nextPageToken", "pageSize", "totalSize"):
            t.check(name in page, f"{name} is missing.")
    t.check(not page.get("nextPageToken"), "The last page has a nextPageToken.")
    t.check(page.get("totalSize") == 3, f"totalSize is {page.get('totalSize')}.")
    t.check(not any("artifacts" in task for task in found), "Artifacts are there, and were not asked for.")
    whole = await t.call("ListTasks", {"contextId": context, "includeArtifacts": True})
    t.check(any(task.get("artifacts") for task in objs(whole.get("tasks"))), "includeArtifacts gives none.")


@case("list.bounds", "3.1.4")
async def bounds(t: Trial) -> None:
    """A page size beyond 100 and a token that nobody gave are refused"""
    for params in ({"pageSize": 101}, {"pageToken": "nobody gave this"}):
        await t.refused(t.call("ListTasks", params), "INVALID_PARAMS")


@case("owner.key", "7.4")
async def without_a_key(t: Trial) -> None:
    """What the card says needs a key is refused without one"""
    if not objs(t.agent.card.get("securityRequirements")):
        raise Skipped("the card requires no security")
    await t.refused(t.send("complete", key=""), "UNAUTHENTICATED")
    await t.refused(t.send("complete", key="no-such-key"), "UNAUTHENTICATED", "PERMISSION_DENIED")


@case("owner.scope", "13.1")
async def others(t: Trial) -> None:
    """Somebody else's task does not exist: not read, not listed, not followed, not canceled, not spoken to"""
    other = t.agent.other
    if not other or not t.key:
        raise Skipped("the keys of two callers are needed (--key-file, --other-key-file)")
    task = await t.task("ask", "INPUT_REQUIRED")
    same = {"id": task["id"]}
    await t.refused(t.get(task, key=other), "TASK_NOT_FOUND")
    await t.refused(t.call("CancelTask", same, key=other), "TASK_NOT_FOUND")
    await t.refused(t.send("complete", "England", taskId=task["id"], key=other), "TASK_NOT_FOUND")
    if t.agent.capabilities.get("streaming"):
        await t.refused(t.events("SubscribeToTask", same, key=other), "TASK_NOT_FOUND")
    if t.agent.capabilities.get("pushNotifications"):
        doing = t.call("ListTaskPushNotificationConfigs", {"taskId": task["id"]}, key=other)
        await t.refused(doing, "TASK_NOT_FOUND")
    page = await t.call("ListTasks", {"contextId": task.get("contextId"), "pageSize": 100}, key=other)
    t.check(not objs(page.get("tasks")), "ListTasks shows it.")
    t.check(state_of(await t.get(task)) == "INPUT_REQUIRED", "What the other caller did had an effect.")
    await t.cancel(task)


@case("owner.context", "13.1")
async def other_contexts(t: Trial) -> None:
    """Two callers who name the same context see their own tasks in it"""
    if not t.agent.other or not t.key:
        raise Skipped("the keys of two callers are needed (--key-file, --other-key-file)")
    context = f"case-shared-{uuid.uuid4()}"
    mine = await t.task("complete", "COMPLETED", contextId=context)
    try:
        await t.send("complete", contextId=context, key=t.agent.other)
    except Refusal:
        return  # To refuse it is as good.
    page = await t.call("ListTasks", {"contextId": context, "pageSize": 100})
    ids = [text(task.get("id")) for task in objs(page.get("tasks"))]
    t.check(ids == [mine["id"]], f"The first caller is shown {ids}.")


async def _three(t: Trial) -> list[dict[str, Any]]:
    context = f"case-list-{uuid.uuid4()}"
    made = [await t.task("text", "COMPLETED", str(n), contextId=context) for n in range(3)]
    if any(task.get("contextId") != context for task in made):
        raise Failed("The contextId that the message named was not kept.")
    return made

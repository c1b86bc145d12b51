"""Every statement that changes rows, by name. Each names the organisation of its rows."""

from __future__ import annotations

from a2a_cloud.storage.journal.port import IN_ORDER, Statement
from a2a_cloud.storage.log.leaves import next_leaf

ADD_ORG = Statement("add_org", "INSERT INTO org(no, name, created) VALUES(?,?,?)")
ADD_PRINCIPAL = Statement("add_principal", "INSERT INTO principal(no, org, name, created) VALUES(?,?,?,?)")
ADD_KEY = Statement(
    "add_key",
    "INSERT INTO api_key(id, org, principal, role, label, hash, created, created_by, priority, scopes,"
    " expires, prior) VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
)
REVOKE_KEY = Statement(
    "revoke_key", "UPDATE api_key SET revoked=COALESCE(revoked, ?) WHERE org=? AND id=?", 1
)
REVOKE_KEYS_OF = Statement(
    "revoke_keys_of", "UPDATE api_key SET revoked=COALESCE(revoked, ?) WHERE org=? AND principal=?", 1
)
END_KEY = Statement("end_key", "UPDATE api_key SET expires=? WHERE org=? AND id=?", 1)
USED_KEY = Statement("used_key", "UPDATE api_key SET used=? WHERE org=? AND id=?", 1)

ADD_AGENT = Statement("add_agent", "INSERT INTO agent(no, org, name, created) VALUES(?,?,?,?)")
ADD_RELEASE = Statement(
    "add_release",
    "INSERT INTO release(no, org, agent, number, state, step, digest, source, environment, manifest, skills,"
    " message_handler, created, ended, made_by, notes) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
)
END_RELEASE = Statement(
    "end_release",
    "UPDATE release SET state=?, step=?, digest=?, environment=?, skills=?, message_handler=?, ended=?,"
    " notes=? WHERE org=? AND no=?",
    1,
)
SET_SERVING = Statement(
    "set_serving", "UPDATE agent SET serving=?, canary=?, weight=? WHERE org=? AND no=?", 1
)
SET_DELETED = Statement("set_deleted", "UPDATE agent SET deleted=?, delete_at=? WHERE org=? AND no=?", 1)
#: The name is free again; runs and receipts keep their agent's number.
FREE_NAME = Statement(
    "free_name", "UPDATE agent SET name=?, serving=NULL, canary=NULL WHERE org=? AND no=?", 2
)
PUT_MAJOR = Statement(
    "put_major",
    "INSERT INTO major(org, agent, major, release, deprecated, until) VALUES(?,?,?,?,?,?)"
    " ON CONFLICT DO UPDATE SET release=excluded.release, deprecated=excluded.deprecated,"
    " until=excluded.until",
    IN_ORDER,
)
PUT_SETTING = Statement(
    "put_setting",
    "INSERT INTO setting(org, agent, name, value, at) VALUES(?,?,?,?,?)"
    " ON CONFLICT DO UPDATE SET value=excluded.value, at=excluded.at",
    IN_ORDER,
)
DROP_SETTING = Statement("drop_setting", "DELETE FROM setting WHERE org=? AND agent=? AND name=?", IN_ORDER)

ADD_TASK = Statement(
    "add_task", "INSERT INTO task(no, id, org, owner, agent, context, state, at) VALUES(?,?,?,?,?,?,?,?)"
)
SET_TASK = Statement("set_task", "UPDATE task SET state=?, at=? WHERE no=? AND org=?", 1)
DROP_TASK = Statement("drop_task", "DELETE FROM task WHERE no=? AND org=?", 9)

ADD_RUN = Statement(
    "add_run",
    "INSERT INTO run(no, id, org, owner, agent, release, task, task_id, ordinal, context, skill, state,"
    " attempt, created, call, parent) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
)
SET_RUN = Statement("set_run", "UPDATE run SET state=?, attempt=?, started=? WHERE no=? AND org=?", 1)
END_RUN = Statement(
    "end_run",
    "UPDATE run SET state=?, attempt=?, started=?, ended=?, problem=?, detail=?, dead=? WHERE no=? AND org=?",
    2,
)
ADD_IDEMPOTENCY = Statement(
    "add_idempotency", "INSERT INTO idempotency(key, org, run, fingerprint) VALUES(?,?,?,?)"
)

ADD_EVENT = Statement("add_event", "INSERT INTO event(id, org, body) VALUES(?,?,?)")
ADD_RECEIPT = Statement(
    "add_receipt",
    "INSERT INTO receipt(run, org, leaf, leaf_hash, id, body, protected, signature, sections)"
    f" VALUES(?1,?2,{next_leaf('?3')},?4,?5,?6,?7,?8,?9)",
    signs=(5, 7),
)

PUT_STATE = Statement(
    "put_state",
    "INSERT INTO state(org, owner, agent, context, key, value) VALUES(?,?,?,?,?,?)"
    " ON CONFLICT DO UPDATE SET value=excluded.value",
    IN_ORDER,
)
DROP_STATE = Statement(
    "drop_state",
    "DELETE FROM state WHERE org=? AND owner=? AND agent=? AND context=? AND key=?",
    IN_ORDER,
)

ADD_LOG = Statement(
    "add_log", "INSERT INTO log(org, agent, release, run, at, level, source, line) VALUES(?,?,?,?,?,?,?,?)"
)
TRIM_LOG = Statement("trim_log", "DELETE FROM log WHERE org=? AND agent=? AND no<=?", 9)

ALL: tuple[Statement, ...] = tuple(value for value in globals().values() if isinstance(value, Statement))

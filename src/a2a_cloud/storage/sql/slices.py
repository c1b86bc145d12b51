"""The tables of control slices, for the migrations of schema.py: storage stands below those who store."""

from __future__ import annotations

#: control/grants/rows.py
GRANTS = """
    CREATE TABLE run_grant(
        id TEXT NOT NULL UNIQUE, org INTEGER NOT NULL, root TEXT NOT NULL, parent TEXT NOT NULL,
        prior TEXT NOT NULL, line TEXT NOT NULL, run TEXT NOT NULL, holder TEXT NOT NULL,
        subject TEXT NOT NULL, approval TEXT NOT NULL, blocks TEXT NOT NULL, created REAL NOT NULL,
        expires INTEGER NOT NULL);
    CREATE INDEX run_grant_org ON run_grant(org);
    CREATE INDEX run_grant_run ON run_grant(run) WHERE root<>id;
    CREATE INDEX run_grant_root ON run_grant(root, created) WHERE root<>id;
    CREATE INDEX run_grant_linked ON run_grant(expires) WHERE root<>id;

    CREATE TABLE grant_end(
        id TEXT PRIMARY KEY, org INTEGER NOT NULL, at REAL NOT NULL, ended_by TEXT NOT NULL,
        reason TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX grant_end_at ON grant_end(at);

    CREATE TABLE grant_use(
        id TEXT PRIMARY KEY, org INTEGER NOT NULL, uses INTEGER NOT NULL, bytes INTEGER NOT NULL)
        WITHOUT ROWID;

    CREATE TABLE grant_policy(
        org INTEGER PRIMARY KEY, body TEXT NOT NULL, at REAL NOT NULL, set_by TEXT NOT NULL);

    CREATE TABLE audit_event(
        no INTEGER PRIMARY KEY, org INTEGER NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL,
        run TEXT NOT NULL, grant_id TEXT NOT NULL, root TEXT NOT NULL, blocks TEXT NOT NULL,
        caller TEXT NOT NULL, operation TEXT NOT NULL, target TEXT NOT NULL, allowed INTEGER NOT NULL,
        reason TEXT NOT NULL);
    CREATE INDEX audit_event_org ON audit_event(org);
    CREATE INDEX audit_event_run ON audit_event(run);
    CREATE INDEX audit_event_grant ON audit_event(grant_id);
    """

#: control/approvals/rows.py
APPROVALS = """
    CREATE TABLE approval(
        no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, org INTEGER NOT NULL, run TEXT NOT NULL,
        task TEXT NOT NULL, agent TEXT NOT NULL, skill TEXT NOT NULL, requester TEXT NOT NULL,
        asked TEXT NOT NULL, reason TEXT NOT NULL, seconds INTEGER NOT NULL, risk TEXT NOT NULL,
        created REAL NOT NULL, deadline REAL NOT NULL, needed INTEGER NOT NULL CHECK(needed IN (1, 2)),
        own INTEGER NOT NULL, rule TEXT NOT NULL, state TEXT NOT NULL);
    CREATE INDEX approval_org ON approval(org, no);
    CREATE INDEX approval_open ON approval(org, no) WHERE state='open';
    CREATE INDEX approval_requester ON approval(org, requester, no);
    CREATE INDEX approval_run ON approval(run, org);

    CREATE TABLE approval_vote(
        approval TEXT NOT NULL, voter TEXT NOT NULL, org INTEGER NOT NULL, at REAL NOT NULL,
        verdict TEXT NOT NULL, note TEXT NOT NULL, granted TEXT NOT NULL, seconds INTEGER NOT NULL,
        PRIMARY KEY(approval, voter)) WITHOUT ROWID;

    CREATE TABLE approval_end(
        approval TEXT PRIMARY KEY, org INTEGER NOT NULL, state TEXT NOT NULL, at REAL NOT NULL,
        ended_by TEXT NOT NULL, granted TEXT NOT NULL, seconds INTEGER NOT NULL) WITHOUT ROWID;

    CREATE TABLE approval_rules(
        org INTEGER NOT NULL, version INTEGER NOT NULL CHECK(version > 0), text TEXT NOT NULL,
        at REAL NOT NULL, made_by TEXT NOT NULL, PRIMARY KEY(org, version)) WITHOUT ROWID;
    """

#: control/secrets/rows.py
SECRETS = """
    CREATE TABLE secret(
        org INTEGER NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, sealed BLOB NOT NULL,
        created REAL NOT NULL, at REAL NOT NULL, set_by TEXT NOT NULL, PRIMARY KEY(org, name))
        WITHOUT ROWID;
    """

#: storage/sql/names.py: what older dialects call a task or a session
NAMES = """
    CREATE TABLE task_name(
        org INTEGER NOT NULL, owner INTEGER NOT NULL, agent INTEGER NOT NULL, name TEXT NOT NULL,
        task TEXT NOT NULL, PRIMARY KEY(owner, agent, name)) WITHOUT ROWID;

    CREATE TABLE session(
        id TEXT PRIMARY KEY, org INTEGER NOT NULL, owner INTEGER NOT NULL, agent INTEGER NOT NULL,
        created REAL NOT NULL, ended REAL, metadata TEXT NOT NULL) WITHOUT ROWID;
    """

#: runtime/push/rows.py
PUSH = """
    CREATE TABLE push_config(
        no INTEGER PRIMARY KEY, handle TEXT NOT NULL UNIQUE, org INTEGER NOT NULL, owner INTEGER NOT NULL,
        agent INTEGER NOT NULL, task INTEGER NOT NULL, task_id TEXT NOT NULL, id TEXT NOT NULL,
        host TEXT NOT NULL, sealed BLOB NOT NULL, base TEXT NOT NULL, dialect TEXT NOT NULL,
        created REAL NOT NULL, ordinal INTEGER NOT NULL, seq INTEGER NOT NULL, attempts INTEGER NOT NULL,
        next_at REAL NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, at REAL NOT NULL);
    CREATE UNIQUE INDEX push_config_task ON push_config(task, id);
    CREATE INDEX push_config_org ON push_config(org, no);
    CREATE INDEX push_config_owner ON push_config(org, owner, no);
    CREATE INDEX push_config_open ON push_config(no) WHERE state='open';
    CREATE INDEX push_config_dead ON push_config(org, no) WHERE state='dead';
    """

#: control/hooks/rows.py
HOOKS = """
    CREATE TABLE hook(
        id TEXT PRIMARY KEY, org INTEGER NOT NULL, owner INTEGER NOT NULL, agent INTEGER NOT NULL,
        name TEXT NOT NULL, skill TEXT NOT NULL, scheme TEXT NOT NULL, checks TEXT NOT NULL,
        narrow TEXT NOT NULL, label TEXT NOT NULL, created REAL NOT NULL, made_by TEXT NOT NULL,
        key BLOB NOT NULL UNIQUE, old_key BLOB, old_key_until REAL NOT NULL DEFAULT 0,
        version INTEGER NOT NULL, sealed BLOB NOT NULL, old_sealed BLOB,
        old_sealed_until REAL NOT NULL DEFAULT 0) WITHOUT ROWID;
    CREATE INDEX hook_owner ON hook(org, owner);
    CREATE INDEX hook_old_key ON hook(old_key) WHERE old_key IS NOT NULL;
    """

#: control/identity/keys.py
PRIORITY = """
    ALTER TABLE api_key ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
    UPDATE api_key SET priority=10 WHERE role='admin';
    """

#: control/identity/keys.py
KEYS = """
    ALTER TABLE api_key ADD COLUMN scopes TEXT NOT NULL DEFAULT '';
    ALTER TABLE api_key ADD COLUMN expires REAL;
    ALTER TABLE api_key ADD COLUMN used REAL;
    ALTER TABLE api_key ADD COLUMN prior TEXT NOT NULL DEFAULT '';
    CREATE INDEX api_key_principal ON api_key(principal);
    """

#: control/people/rows.py
PEOPLE = """
    CREATE TABLE account(
        id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE, name TEXT NOT NULL, created REAL NOT NULL,
        password TEXT NOT NULL, password_at REAL NOT NULL) WITHOUT ROWID;

    CREATE TABLE passkey(
        id BLOB PRIMARY KEY, account TEXT NOT NULL, rp TEXT NOT NULL, label TEXT NOT NULL,
        public_key BLOB NOT NULL, sign_count INTEGER NOT NULL, created REAL NOT NULL, used REAL)
        WITHOUT ROWID;
    CREATE INDEX passkey_account ON passkey(account);

    CREATE TABLE outside_identity(
        issuer TEXT NOT NULL, subject TEXT NOT NULL, account TEXT NOT NULL, created REAL NOT NULL,
        PRIMARY KEY(issuer, subject)) WITHOUT ROWID;
    CREATE INDEX outside_identity_account ON outside_identity(account);

    CREATE TABLE web_session(
        id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, account TEXT NOT NULL, org TEXT NOT NULL,
        method TEXT NOT NULL, created REAL NOT NULL, seen REAL NOT NULL, ends REAL NOT NULL,
        agent TEXT NOT NULL, address TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX web_session_account ON web_session(account);
    CREATE INDEX web_session_ends ON web_session(ends);

    CREATE TABLE link(
        id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, org TEXT NOT NULL,
        role TEXT NOT NULL, email TEXT NOT NULL, account TEXT NOT NULL, created REAL NOT NULL,
        ends REAL NOT NULL, made_by TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX link_org ON link(org, created);

    CREATE TABLE link_use(
        link TEXT PRIMARY KEY, at REAL NOT NULL, used_by TEXT NOT NULL) WITHOUT ROWID;
    """

#: control/oauth/rows.py
OAUTH = """
    CREATE TABLE oauth_client(
        id TEXT PRIMARY KEY, org INTEGER NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL,
        created REAL NOT NULL, expires REAL) WITHOUT ROWID;
    CREATE INDEX oauth_client_org ON oauth_client(org, created);
    CREATE INDEX oauth_client_waiting ON oauth_client(expires) WHERE expires>0;

    CREATE TABLE oauth_family(
        id TEXT PRIMARY KEY, org INTEGER NOT NULL, owner INTEGER NOT NULL, client TEXT NOT NULL,
        body BLOB NOT NULL, created REAL NOT NULL, expires REAL NOT NULL, ended REAL) WITHOUT ROWID;
    CREATE INDEX oauth_family_owner ON oauth_family(org, owner, created);
    CREATE INDEX oauth_family_client ON oauth_family(client);
    CREATE INDEX oauth_family_expires ON oauth_family(expires);
    CREATE INDEX oauth_family_ended ON oauth_family(ended) WHERE ended>0;

    CREATE TABLE oauth_code(
        hash BLOB PRIMARY KEY, org INTEGER NOT NULL, body BLOB NOT NULL, expires REAL NOT NULL)
        WITHOUT ROWID;
    CREATE INDEX oauth_code_expires ON oauth_code(expires);

    CREATE TABLE oauth_refresh(
        hash BLOB PRIMARY KEY, org INTEGER NOT NULL, family TEXT NOT NULL, expires REAL NOT NULL)
        WITHOUT ROWID;
    CREATE INDEX oauth_refresh_expires ON oauth_refresh(expires);

    CREATE TABLE oauth_spent(
        hash BLOB PRIMARY KEY, org INTEGER NOT NULL, family TEXT NOT NULL, expires REAL NOT NULL)
        WITHOUT ROWID;
    CREATE INDEX oauth_spent_expires ON oauth_spent(expires);

    CREATE TABLE oauth_device(
        hash BLOB PRIMARY KEY, org INTEGER NOT NULL, user_code TEXT NOT NULL UNIQUE, body BLOB NOT NULL,
        expires REAL NOT NULL) WITHOUT ROWID;
    CREATE INDEX oauth_device_expires ON oauth_device(expires);

    CREATE TABLE oauth_verdict(
        hash BLOB PRIMARY KEY, org INTEGER NOT NULL, verdict TEXT NOT NULL, family BLOB,
        expires REAL NOT NULL) WITHOUT ROWID;
    CREATE INDEX oauth_verdict_expires ON oauth_verdict(expires);

    CREATE TABLE oauth_consent(
        org INTEGER NOT NULL, owner INTEGER NOT NULL, client TEXT NOT NULL, resource TEXT NOT NULL,
        scope TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY(org, owner, client, resource)) WITHOUT ROWID;

    CREATE TABLE oauth_ended(
        jti TEXT PRIMARY KEY, org INTEGER NOT NULL, expires REAL NOT NULL) WITHOUT ROWID;
    CREATE INDEX oauth_ended_expires ON oauth_ended(expires);
    """

#: control/orgs/rows.py, control/orgs/scim_rows.py; changes in the audit log (storage/sql/audit.py)
ORGS = """
    CREATE TABLE membership(
        org INTEGER NOT NULL, account TEXT NOT NULL, principal INTEGER NOT NULL UNIQUE, role TEXT NOT NULL,
        active INTEGER NOT NULL, created REAL NOT NULL, added_by TEXT NOT NULL, PRIMARY KEY(org, account))
        WITHOUT ROWID;
    CREATE INDEX membership_account ON membership(account);

    CREATE TABLE org_role(
        org INTEGER NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL, permissions TEXT NOT NULL,
        created REAL NOT NULL, made_by TEXT NOT NULL, PRIMARY KEY(org, name)) WITHOUT ROWID;

    CREATE TABLE team(
        id TEXT PRIMARY KEY, org INTEGER NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL,
        external TEXT NOT NULL, created REAL NOT NULL, changed REAL NOT NULL, made_by TEXT NOT NULL,
        UNIQUE(org, name)) WITHOUT ROWID;
    CREATE TABLE team_member(
        org INTEGER NOT NULL, team TEXT NOT NULL, account TEXT NOT NULL, PRIMARY KEY(org, team, account))
        WITHOUT ROWID;

    CREATE TABLE scim_token(
        id TEXT PRIMARY KEY, org INTEGER NOT NULL, hash BLOB NOT NULL UNIQUE, role TEXT NOT NULL,
        created REAL NOT NULL, made_by TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX scim_token_org ON scim_token(org);
    CREATE TABLE scim_user(
        org INTEGER NOT NULL, account TEXT NOT NULL, name TEXT NOT NULL, external TEXT NOT NULL,
        body TEXT NOT NULL, changed REAL NOT NULL, PRIMARY KEY(org, account), UNIQUE(org, name))
        WITHOUT ROWID;

    ALTER TABLE audit_event ADD COLUMN detail TEXT NOT NULL DEFAULT '';
    CREATE INDEX audit_event_change ON audit_event(org, no) WHERE run='';
    """


#: control/limits/rows.py
LIMITS = """
    CREATE TABLE budget_use(
        span TEXT NOT NULL, org INTEGER NOT NULL, subject TEXT NOT NULL, agent INTEGER NOT NULL,
        skill TEXT NOT NULL, used INTEGER NOT NULL, PRIMARY KEY(span, org, subject, agent, skill))
        WITHOUT ROWID;

    CREATE TABLE limit_rule(
        org INTEGER NOT NULL, target TEXT NOT NULL, body TEXT NOT NULL, at REAL NOT NULL,
        set_by TEXT NOT NULL, PRIMARY KEY(org, target)) WITHOUT ROWID;
    """

#: control/services/rows.py
SERVICES = """
    CREATE TABLE service_root(
        id TEXT PRIMARY KEY, org INTEGER NOT NULL, certificate BLOB NOT NULL, sealed BLOB NOT NULL,
        created REAL NOT NULL, signs REAL NOT NULL, ends REAL NOT NULL) WITHOUT ROWID;

    CREATE TABLE service_cert(
        serial TEXT PRIMARY KEY, org INTEGER NOT NULL, agent INTEGER NOT NULL, root TEXT NOT NULL,
        created REAL NOT NULL, ends REAL NOT NULL, made_by TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX service_cert_agent ON service_cert(org, agent);

    CREATE TABLE service_end(
        no INTEGER PRIMARY KEY, org INTEGER NOT NULL, agent INTEGER NOT NULL, at REAL NOT NULL);

    CREATE TABLE sigv4_key(
        id TEXT PRIMARY KEY, org INTEGER NOT NULL, principal INTEGER NOT NULL, role TEXT NOT NULL,
        label TEXT NOT NULL, scopes TEXT NOT NULL, priority INTEGER NOT NULL, created REAL NOT NULL,
        expires REAL, made_by TEXT NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID;
    CREATE INDEX sigv4_key_org ON sigv4_key(org, created);
    """

#: storage/log: what makes every audit event a leaf, and the logs' checkpoints
LOGS = """
    """

#: control/billing/rows.py
BILLING = """
    """

#: control/evals/rows.py: scores and reviews
EVALS = """
    """

#: runtime/erasure.py
ERASURES = """
    """

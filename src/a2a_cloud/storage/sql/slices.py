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

#: storage/log: what makes every audit event a leaf (older ones after the receipts, in their order), the logs'
#: last checkpoints, the roots of their whole tiles, their keys
LOGS = """
    ALTER TABLE audit_event ADD COLUMN leaf INTEGER NOT NULL DEFAULT -1;
    ALTER TABLE audit_event ADD COLUMN salt BLOB NOT NULL DEFAULT x'';
    ALTER TABLE audit_event ADD COLUMN leaf_hash BLOB NOT NULL DEFAULT x'';
    UPDATE audit_event SET salt=randomblob(16), leaf=placed.leaf FROM (
        SELECT no, COALESCE((SELECT MAX(leaf) FROM receipt WHERE receipt.org=old.org), -1)
            + ROW_NUMBER() OVER (PARTITION BY org ORDER BY no) AS leaf FROM audit_event old) AS placed
        WHERE placed.no=audit_event.no;
    UPDATE audit_event SET leaf_hash=audit_leaf(salt, at, kind, caller, target, detail, run, grant_id, root,
        blocks, operation, allowed, reason);
    CREATE UNIQUE INDEX audit_event_leaf ON audit_event(org, leaf);

    CREATE TABLE audit_log(
        org INTEGER PRIMARY KEY, origin TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, root BLOB NOT NULL,
        at REAL NOT NULL, note BLOB NOT NULL, witnessed BLOB NOT NULL);
    CREATE TRIGGER audit_log_grows BEFORE UPDATE ON audit_log
        WHEN NEW.size<OLD.size OR NEW.origin<>OLD.origin OR (NEW.size=OLD.size AND NEW.root<>OLD.root)
        BEGIN SELECT RAISE(ABORT, 'a log only grows'); END;
    CREATE TABLE audit_log_tile(
        org INTEGER NOT NULL, level INTEGER NOT NULL, n INTEGER NOT NULL, root BLOB NOT NULL,
        PRIMARY KEY(org, level, n)) WITHOUT ROWID;
    CREATE TABLE audit_log_key(
        id TEXT PRIMARY KEY, org INTEGER NOT NULL, public BLOB NOT NULL, made REAL NOT NULL, until REAL)
        WITHOUT ROWID;
    CREATE TABLE told_settings(org INTEGER PRIMARY KEY, body TEXT NOT NULL);
    """

#: control/billing/rows.py. A positive amount is a credit. What follows from the rows of a transaction or a
#: hold (balances, what is held, what a budget spent) is kept by triggers, in the same commit; a transaction's
#: entries come before it, and sum to nothing.
BILLING = """
    CREATE TABLE ledger_account(
        no INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, org INTEGER NOT NULL, owner INTEGER NOT NULL,
        kind TEXT NOT NULL, currency TEXT NOT NULL, scale INTEGER NOT NULL CHECK(scale BETWEEN 0 AND 9),
        normal TEXT NOT NULL CHECK(normal IN ('credit', 'debit')), balance INTEGER NOT NULL DEFAULT 0,
        held INTEGER NOT NULL DEFAULT 0 CHECK(held>=0), allow_negative INTEGER NOT NULL, created REAL NOT
        NULL, CHECK(allow_negative OR balance-held>=0));
    CREATE INDEX ledger_account_org ON ledger_account(org);

    CREATE TABLE ledger_txn(
        no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, org INTEGER NOT NULL, kind TEXT NOT NULL,
        key TEXT NOT NULL UNIQUE, request_sha256 BLOB NOT NULL, run INTEGER, refers INTEGER,
        at REAL NOT NULL, made_by TEXT NOT NULL, memo TEXT NOT NULL);
    CREATE INDEX ledger_txn_run ON ledger_txn(run) WHERE run IS NOT NULL;

    CREATE TABLE ledger_entry(
        txn INTEGER NOT NULL, line INTEGER NOT NULL, org INTEGER NOT NULL, account INTEGER NOT NULL,
        amount INTEGER NOT NULL CHECK(amount<>0), currency TEXT NOT NULL, PRIMARY KEY(txn, line))
        WITHOUT ROWID;
    CREATE INDEX ledger_entry_org ON ledger_entry(org, txn);
    CREATE INDEX ledger_entry_account ON ledger_entry(account, txn);

    CREATE TABLE ledger_hold(
        run INTEGER PRIMARY KEY, org INTEGER NOT NULL, account INTEGER, price INTEGER NOT NULL,
        amount INTEGER NOT NULL CHECK(amount>=0), free INTEGER NOT NULL,
        state TEXT NOT NULL CHECK(state IN ('open', 'captured', 'released', 'expired')),
        captured INTEGER NOT NULL DEFAULT 0 CHECK(captured BETWEEN 0 AND amount),
        created REAL NOT NULL, ended REAL, CHECK(state='captured' OR captured=0));
    CREATE INDEX ledger_hold_open ON ledger_hold(run) WHERE state='open';

    CREATE TABLE usage(
        run INTEGER NOT NULL, line INTEGER NOT NULL, org INTEGER NOT NULL, agent INTEGER NOT NULL,
        skill TEXT NOT NULL, caller_org INTEGER NOT NULL, caller INTEGER NOT NULL, key TEXT NOT NULL,
        at REAL NOT NULL, state TEXT NOT NULL, meter TEXT NOT NULL, unit TEXT NOT NULL, qty TEXT NOT NULL,
        price INTEGER NOT NULL, account INTEGER, amount INTEGER NOT NULL CHECK(amount>=0),
        currency TEXT NOT NULL, txn INTEGER, PRIMARY KEY(run, line)) WITHOUT ROWID;
    CREATE INDEX usage_org ON usage(org, at);
    CREATE INDEX usage_caller ON usage(caller_org, caller, at);

    CREATE TABLE price(
        no INTEGER PRIMARY KEY, org INTEGER NOT NULL, agent INTEGER NOT NULL, skill TEXT NOT NULL,
        version INTEGER NOT NULL CHECK(version>0), scale INTEGER NOT NULL, body TEXT NOT NULL,
        at REAL NOT NULL, made_by TEXT NOT NULL, UNIQUE(agent, skill, version));
    CREATE TABLE price_use(
        org INTEGER NOT NULL, agent INTEGER NOT NULL, skill TEXT NOT NULL, caller INTEGER NOT NULL,
        span TEXT NOT NULL, meter TEXT NOT NULL, qty TEXT NOT NULL,
        PRIMARY KEY(agent, skill, caller, span, meter)) WITHOUT ROWID;

    CREATE TABLE spend_budget(
        no INTEGER PRIMARY KEY, org INTEGER NOT NULL, name TEXT NOT NULL,
        amount INTEGER NOT NULL CHECK(amount>=0), currency TEXT NOT NULL, scale INTEGER NOT NULL,
        period TEXT NOT NULL, body TEXT NOT NULL, at REAL NOT NULL, set_by TEXT NOT NULL, removed REAL);
    CREATE UNIQUE INDEX spend_budget_name ON spend_budget(org, name) WHERE removed IS NULL;
    CREATE TABLE spend_use(
        no INTEGER PRIMARY KEY, org INTEGER NOT NULL, budget INTEGER NOT NULL, subject INTEGER NOT NULL,
        span TEXT NOT NULL, most INTEGER NOT NULL, spent INTEGER NOT NULL DEFAULT 0 CHECK(spent>=0),
        held INTEGER NOT NULL DEFAULT 0 CHECK(held>=0), UNIQUE(budget, subject, span));
    CREATE TABLE hold_use(
        run INTEGER NOT NULL, use INTEGER NOT NULL, org INTEGER NOT NULL, PRIMARY KEY(run, use)) WITHOUT
        ROWID;

    CREATE TABLE credit_grant(
        no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, org INTEGER NOT NULL, account INTEGER NOT NULL,
        txn INTEGER NOT NULL, amount INTEGER NOT NULL CHECK(amount>0),
        rest INTEGER NOT NULL CHECK(rest BETWEEN 0 AND amount), priority INTEGER NOT NULL, expires REAL,
        created REAL NOT NULL, made_by TEXT NOT NULL, memo TEXT NOT NULL);
    CREATE INDEX credit_grant_live ON credit_grant(account) WHERE rest>0;

    CREATE TRIGGER ledger_entry_in BEFORE INSERT ON ledger_entry BEGIN
        SELECT RAISE(ABORT, 'the transaction is closed') FROM ledger_txn WHERE no=NEW.txn;
        SELECT RAISE(ABORT, 'the account is of another currency')
            WHERE (SELECT currency FROM ledger_account WHERE no=NEW.account) IS NOT NEW.currency;
    END;
    CREATE TRIGGER ledger_entry_counts AFTER INSERT ON ledger_entry BEGIN
        UPDATE ledger_account SET balance=balance+NEW.amount WHERE no=NEW.account;
    END;
    CREATE TRIGGER ledger_txn_sums AFTER INSERT ON ledger_txn BEGIN
        SELECT RAISE(ABORT, 'the entries do not sum to nothing') WHERE NOT EXISTS(
            SELECT 1 FROM ledger_entry WHERE txn=NEW.no) OR EXISTS(SELECT 1 FROM ledger_entry
            WHERE txn=NEW.no GROUP BY currency HAVING SUM(amount)<>0);
        SELECT RAISE(ABORT, 'nothing was held for the charge') WHERE NEW.kind='charge' AND NOT EXISTS(
            SELECT 1 FROM ledger_hold WHERE run=NEW.run AND state='captured' AND captured>0);
    END;
    CREATE TRIGGER ledger_entry_stays BEFORE UPDATE ON ledger_entry BEGIN
        SELECT RAISE(ABORT, 'entries never change'); END;
    CREATE TRIGGER ledger_entry_remains BEFORE DELETE ON ledger_entry BEGIN
        SELECT RAISE(ABORT, 'entries never go'); END;
    CREATE TRIGGER ledger_txn_stays BEFORE UPDATE ON ledger_txn BEGIN
        SELECT RAISE(ABORT, 'transactions never change'); END;
    CREATE TRIGGER ledger_txn_remains BEFORE DELETE ON ledger_txn BEGIN
        SELECT RAISE(ABORT, 'transactions never go'); END;
    CREATE TRIGGER price_stays BEFORE UPDATE ON price BEGIN
        SELECT RAISE(ABORT, 'prices never change'); END;
    CREATE TRIGGER price_remains BEFORE DELETE ON price BEGIN
        SELECT RAISE(ABORT, 'prices never go'); END;

    CREATE TRIGGER ledger_hold_opens AFTER INSERT ON ledger_hold WHEN NEW.amount>0 BEGIN
        UPDATE ledger_account SET held=held+NEW.amount WHERE no=NEW.account;
    END;
    CREATE TRIGGER ledger_hold_stays BEFORE UPDATE ON ledger_hold
        WHEN OLD.state<>'open' OR OLD.amount<>NEW.amount OR OLD.account IS NOT NEW.account BEGIN
        SELECT RAISE(ABORT, 'the hold has ended'); END;
    CREATE TRIGGER ledger_hold_remains BEFORE DELETE ON ledger_hold BEGIN
        SELECT RAISE(ABORT, 'holds never go'); END;
    CREATE TRIGGER ledger_hold_ends AFTER UPDATE OF state ON ledger_hold
        WHEN OLD.state='open' AND NEW.state<>'open' BEGIN
        UPDATE ledger_account SET held=held-OLD.amount WHERE no=OLD.account;
        UPDATE spend_use SET held=held-OLD.amount, spent=spent+NEW.captured
            WHERE no IN (SELECT use FROM hold_use WHERE run=NEW.run);
    END;
    CREATE TRIGGER hold_use_counts AFTER INSERT ON hold_use BEGIN
        UPDATE spend_use SET held=held+(SELECT amount FROM ledger_hold WHERE run=NEW.run) WHERE no=NEW.use;
    END;
    CREATE TRIGGER spend_use_room BEFORE UPDATE OF held ON spend_use
        WHEN NEW.held>OLD.held AND NEW.spent+NEW.held>NEW.most BEGIN
        SELECT RAISE(ABORT, 'the budget is spent'); END;
    """

#: control/billing/invoice_rows.py, control/billing/clock.py: what was invoiced, to whom, and billing's clock
INVOICES = """
    CREATE TABLE invoice(
        no INTEGER PRIMARY KEY, org INTEGER NOT NULL, number TEXT NOT NULL UNIQUE, at REAL NOT NULL,
        since REAL NOT NULL, after INTEGER NOT NULL, until REAL NOT NULL CHECK(until>since),
        through INTEGER NOT NULL CHECK(through>=after), document BLOB NOT NULL, sha256 BLOB NOT NULL);
    CREATE INDEX invoice_org ON invoice(org, no);
    CREATE TRIGGER invoice_numbered BEFORE INSERT ON invoice
        WHEN NEW.no<>(SELECT COALESCE(MAX(no), 0)+1 FROM invoice) BEGIN
        SELECT RAISE(ABORT, 'the number is not the next one'); END;
    CREATE TRIGGER invoice_follows BEFORE INSERT ON invoice
        WHEN EXISTS(SELECT 1 FROM invoice WHERE org=NEW.org AND until>NEW.since AND NOT
            (since=NEW.since AND after=NEW.after AND until=NEW.until AND through=NEW.through)) BEGIN
        SELECT RAISE(ABORT, 'the period is invoiced'); END;
    CREATE TRIGGER invoice_stays BEFORE UPDATE ON invoice BEGIN
        SELECT RAISE(ABORT, 'invoices never change'); END;
    CREATE TRIGGER invoice_remains BEFORE DELETE ON invoice BEGIN
        SELECT RAISE(ABORT, 'invoices never go'); END;

    CREATE TABLE billing_party(
        org INTEGER PRIMARY KEY, body TEXT NOT NULL, at REAL NOT NULL, set_by TEXT NOT NULL);
    CREATE TABLE billing_clock(org INTEGER PRIMARY KEY, ahead REAL NOT NULL);
    """

#: control/evals/rows.py, control/reviews/rows.py
EVALS = """
    CREATE TABLE rubric(
        org INTEGER NOT NULL, sha256 TEXT NOT NULL, text BLOB NOT NULL, PRIMARY KEY(org, sha256)
        ) WITHOUT ROWID;

    CREATE TABLE eval(
        id TEXT PRIMARY KEY, org INTEGER NOT NULL, agent INTEGER NOT NULL, agent_name TEXT NOT NULL,
        release INTEGER NOT NULL, number INTEGER NOT NULL, digest TEXT NOT NULL, rubric TEXT NOT NULL,
        own INTEGER NOT NULL, complete INTEGER NOT NULL, state TEXT NOT NULL, made_by TEXT NOT NULL,
        runs INTEGER NOT NULL, repeat INTEGER NOT NULL, done INTEGER NOT NULL, passed INTEGER NOT NULL,
        score TEXT NOT NULL, created REAL NOT NULL, ended REAL, why TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX eval_agent ON eval(org, agent, created);
    CREATE INDEX eval_release ON eval(org, release, created) WHERE own=1 AND complete=1 AND state='done';
    CREATE INDEX eval_running ON eval(state) WHERE state='running';

    CREATE TABLE score(
        org INTEGER NOT NULL, eval TEXT NOT NULL, no INTEGER NOT NULL, name TEXT NOT NULL,
        attempt INTEGER NOT NULL, run TEXT NOT NULL, receipt TEXT NOT NULL, score TEXT NOT NULL,
        passed INTEGER NOT NULL, failures INTEGER NOT NULL, weight TEXT NOT NULL, at REAL NOT NULL,
        seconds REAL NOT NULL, checks_sha256 TEXT NOT NULL, salt BLOB, checks BLOB,
        PRIMARY KEY(org, eval, no)) WITHOUT ROWID;
    CREATE INDEX score_run ON score(org, run);

    CREATE TABLE review(
        id TEXT PRIMARY KEY, org INTEGER NOT NULL, agent TEXT NOT NULL, run TEXT NOT NULL,
        receipt TEXT NOT NULL, principal INTEGER NOT NULL, verdict TEXT NOT NULL, at REAL NOT NULL,
        own INTEGER NOT NULL, document BLOB NOT NULL, salt BLOB, notes TEXT) WITHOUT ROWID;
    CREATE INDEX review_run ON review(org, run, at);
    CREATE INDEX review_agent ON review(org, agent, at);
    """

#: runtime/erasure.py
ERASURES = """
    CREATE TABLE erasure(
        run INTEGER PRIMARY KEY, org INTEGER NOT NULL, at REAL NOT NULL, made_by TEXT NOT NULL,
        reason TEXT NOT NULL);
    """

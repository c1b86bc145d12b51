"""Everything that can go wrong, as one tree.

    Problem
    ├─ Malformed · InvalidRequest · MethodNotFound · InvalidParams
    │    └─ IdempotencyConflict · BadSetting
    ├─ TooLarge · UrlTooLong · TooManyHeaders · RequestTimeout · NotAcceptable · MethodNotAllowed
    ├─ Unauthenticated · Forbidden
    ├─ NotFound
    │    ├─ AgentNotFound · ReleaseNotFound · TaskNotFound · RunNotFound · SkillNotFound
    │    ├─ WorkspaceNotFound · VersionNotFound · FileNotFound
    │    ├─ ApprovalNotFound · SessionNotFound
    │    └─ ResourceNotFound · McpSessionNotFound             (MCP)
    ├─ ApprovalClosed · SessionEnded · NameTaken
    ├─ HeaderMismatch · CapabilityRequired · ProtocolVersionNotSupported    (MCP 2026-07-28)
    ├─ SecretInSource · BuildFailed · StartFailed · BreakingChange      (how a deploy may end)
    │    └─ SandboxRequired                                  (a StartFailed)
    ├─ GateNotMet
    ├─ VersionEnded
    ├─ WorkspaceConflict · PreconditionFailed · RangeNotSatisfiable
    ├─ TaskNotCancelable · PushNotificationNotSupported · UnsupportedOperation
    │  ContentTypeNotSupported · InvalidAgentResponse · ExtendedAgentCardNotConfigured
    │  ExtensionSupportRequired · VersionNotSupported          (A2A 1.0, section 5.4)
    ├─ Busy · Unavailable · StorageFull · ReceiptPending · ProofPending · RunOpen
    ├─ RateLimited · BudgetSpent                              (limits of callers, docs/limits.md)
    ├─ PaymentRequired · OverBudget                           (money, docs/billing.md)
    ├─ Refused · SkillFailed · TimedOut · WorkerLost · ReplayDiffers · LimitExceeded
    │                                                        (how a run may end)
    ├─ EgressRefused · UpstreamFailed · UpstreamTimeout     (what an agent's connections may meet)
    └─ Internal

A class carries what never changes (code, title, HTTP status, JSON-RPC code, whether a retry
helps); an instance carries what the caller may know (`detail`, `remedy`, `info`) and, apart, what
only the operator may (`operator`). Rendered once, at the surface: RFC 9457 on our own routes, A2A
errors with google.rpc.ErrorInfo on A2A routes. Every code has a row in docs/errors.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from a2a_cloud.model.workspace import Clash


class Problem(Exception):
    """A refusal or failure with a stable code, a sentence, and what to do next.

    `detail` says what was wrong, `remedy` what to do next; both may be shown to the caller.
    `info` holds string facts for programs (ErrorInfo metadata, RFC 9457 extension members).
    `operator` goes to the log alone. `retry_after` is in seconds.
    """

    code: ClassVar[str] = "problem"
    title: ClassVar[str] = "Something went wrong"
    http: ClassVar[int] = 500
    rpc: ClassVar[int] = -32603
    grpc: ClassVar[str] = "INTERNAL"
    retry: ClassVar[bool] = False

    def __init__(
        self,
        detail: str = "",
        *,
        remedy: str = "",
        info: Mapping[str, str] | None = None,
        operator: str = "",
        retry_after: float | None = None,
    ) -> None:
        self.detail = detail or self.title
        self.remedy = remedy
        self.info: dict[str, str] = dict(info or {})
        self.operator = operator
        self.retry_after = retry_after
        super().__init__(self.detail)

    @property
    def reason(self) -> str:
        """The code as ErrorInfo writes it: UPPER_SNAKE."""
        return self.code.upper()

    @property
    def sentence(self) -> str:
        """What was wrong and what to do next, in one line."""
        stop = "" if not self.remedy or self.detail.endswith((".", "!", "?", ":", "…")) else "."
        return f"{self.detail}{stop} {self.remedy}".strip()


class Malformed(Problem):
    code, title, http, rpc, grpc = "malformed", "The body is not valid JSON", 400, -32700, "INVALID_ARGUMENT"


class InvalidRequest(Problem):
    code, title, http, rpc = "invalid_request", "The request is not well formed", 400, -32600
    grpc = "INVALID_ARGUMENT"


class MethodNotFound(Problem):
    code, title, http, rpc = "method_not_found", "There is no such method", 404, -32601
    grpc = "UNIMPLEMENTED"


class MethodNotAllowed(Problem):
    code, title, http, rpc = "method_not_allowed", "This path takes another HTTP method", 405, -32600
    grpc = "UNIMPLEMENTED"


class NotAcceptable(Problem):
    code, title, http, rpc = "not_acceptable", "None of the accepted types can be produced", 406, -32600
    grpc = "INVALID_ARGUMENT"


class InvalidParams(Problem):
    code, title, http, rpc = "invalid_params", "The parameters do not fit", 400, -32602
    grpc = "INVALID_ARGUMENT"


class IdempotencyConflict(InvalidParams):
    code, title = "idempotency_conflict", "The key was used before for another call"
    http, rpc, grpc = 409, -32602, "ALREADY_EXISTS"


class BadSetting(InvalidParams):
    """A variable of the environment or a line of a configuration file can't be used."""

    code, title = "bad_setting", "A setting can't be used"


class TooLarge(Problem):
    code, title, http, rpc = "too_large", "The request is larger than the limit", 413, -32600
    grpc = "RESOURCE_EXHAUSTED"


class UrlTooLong(Problem):
    code, title, http, rpc = "url_too_long", "The address is longer than the limit", 414, -32600
    grpc = "RESOURCE_EXHAUSTED"


class TooManyHeaders(Problem):
    code, title, http, rpc = "too_many_headers", "The header fields are larger than the limit", 431, -32600
    grpc = "RESOURCE_EXHAUSTED"


class RequestTimeout(Problem):
    """The request did not arrive in time; nothing of it was done, so it may be sent again."""

    code, title, http, rpc, retry = "request_timeout", "The request came too slowly", 408, -32600, True
    grpc = "DEADLINE_EXCEEDED"


class Unauthenticated(Problem):
    code, title, http, rpc = "unauthenticated", "A valid key is needed", 401, -32041
    grpc = "UNAUTHENTICATED"

    #: What the challenge says (RFC 6750, section 3): the scheme to come back with, why what was shown is no
    #: good, and a nonce for the next proof (RFC 9449).
    scheme, error, nonce = "Bearer", "", ""


class Forbidden(Problem):
    code, title, http, rpc = "forbidden", "This key may not do that", 403, -32043
    grpc = "PERMISSION_DENIED"


class NotFound(Problem):
    code, title, http, rpc = "not_found", "There is nothing here", 404, -32601
    grpc = "NOT_FOUND"


class AgentNotFound(NotFound):
    code, title, rpc = "agent_not_found", "There is no such agent", -32044

    @classmethod
    def of(cls, name: str) -> AgentNotFound:
        """The same words whether there is none, or none for this key."""
        return cls(f"There is no agent {name[:80]!r} here.", remedy="See `a2a ls`, or /api/v1/agents.")


class SkillNotFound(NotFound):
    code, title, rpc = "skill_not_found", "The agent has no such skill", -32602


class ReleaseNotFound(NotFound):
    code, title, rpc = "release_not_found", "There is no such release", -32046


class RunNotFound(NotFound):
    code, title, rpc = "run_not_found", "There is no such run", -32001


class TaskNotFound(NotFound):
    code, title, rpc = "task_not_found", "There is no such task", -32001


class ApprovalNotFound(NotFound):
    code, title, rpc = "approval_not_found", "There is no such approval", -32068


class SessionNotFound(NotFound):
    code, title, rpc = "session_not_found", "There is no such session", -32081


class SessionEnded(Problem):
    """The session was ended: it takes no messages, and what was kept in it is gone."""

    code, title, http, rpc = "session_ended", "The session has ended", 410, -32082
    grpc = "FAILED_PRECONDITION"


class NameTaken(Problem):
    """A task that the caller began a moment ago has this name."""

    code, title, http, rpc, retry = "name_taken", "Another task was given this name", 409, -32083, True
    grpc = "ALREADY_EXISTS"


class AlreadyExists(Problem):
    """Something of that name, or that somebody, is there already."""

    code, title, http, rpc = "already_exists", "There is one already", 409, -32084
    grpc = "ALREADY_EXISTS"


class ApprovalClosed(Problem):
    """Somebody decided already, or the run that asked waits no more."""

    code, title, http, rpc = "approval_closed", "This was decided already", 409, -32069
    grpc = "FAILED_PRECONDITION"


class ResourceNotFound(NotFound):
    """MCP: nothing of the caller's, and nothing that the agent offers, has this URI."""

    code, title, rpc = "resource_not_found", "There is no such resource", -32602


class McpSessionNotFound(NotFound):
    """MCP until 2025-11-25: the session was ended, has expired, or is another caller's."""

    code, title, rpc = "mcp_session_not_found", "There is no such session", -32600


class HeaderMismatch(InvalidRequest):
    """MCP since 2026-07-28: a header does not say what the body says."""

    code, title, rpc = "header_mismatch", "The headers and the body differ", -32020


class CapabilityRequired(InvalidRequest):
    """MCP since 2026-07-28: the call needs something that the client did not declare.

    `info["capability"]` names it, `extensions.` before an extension's.
    """

    code, title, rpc = "capability_required", "The client lacks a capability", -32021


class ProtocolVersionNotSupported(InvalidRequest):
    """MCP: the revision that the client speaks is not served."""

    code, title, rpc = "protocol_version_not_supported", "This revision of MCP is not served", -32022


class TaskNotCancelable(Problem):
    code, title, http, rpc = "task_not_cancelable", "The task has ended", 400, -32002
    grpc = "FAILED_PRECONDITION"


class PushNotificationNotSupported(Problem):
    code, title = "push_notification_not_supported", "Push notifications are not supported"
    http, rpc, grpc = 400, -32003, "FAILED_PRECONDITION"


class UnsupportedOperation(Problem):
    code, title, http, rpc = "unsupported_operation", "This can't be done here", 400, -32004
    grpc = "FAILED_PRECONDITION"


class ContentTypeNotSupported(Problem):
    code, title = "content_type_not_supported", "The media type is not supported"
    http, rpc, grpc = 400, -32005, "INVALID_ARGUMENT"


class InvalidAgentResponse(Problem):
    code, title, http, rpc = "invalid_agent_response", "The agent's answer does not fit", 500, -32006


class ExtendedAgentCardNotConfigured(Problem):
    code, title = "extended_agent_card_not_configured", "The agent has no extended card"
    http, rpc, grpc = 400, -32007, "FAILED_PRECONDITION"


class ExtensionSupportRequired(Problem):
    code, title = "extension_support_required", "The agent requires an extension"
    http, rpc, grpc = 400, -32008, "FAILED_PRECONDITION"


class VersionNotSupported(Problem):
    code, title = "version_not_supported", "This version of A2A is not served"
    http, rpc, grpc = 400, -32009, "FAILED_PRECONDITION"


class Busy(Problem):
    code, title, http, rpc, retry = "busy", "Too much is waiting already", 429, -32029, True
    grpc = "RESOURCE_EXHAUSTED"


class RateLimited(Problem):
    """More than a limit allows for now. `info`: `limit` is its name, `policy` an item of RateLimit-Policy,
    `again` when there is more, where that is known."""

    code, title, http, rpc, retry = "rate_limited", "That was too much at once", 429, -32030, True
    grpc = "RESOURCE_EXHAUSTED"


class BudgetSpent(RateLimited):
    """As often in a day or a month as a caller may call a skill."""

    code, title, rpc = "budget_spent", "The budget is spent", -32031


class PaymentRequired(Problem):
    """The call costs more than its caller has. `info`: `amount`, what it may cost, and `left`, both in
    `currency`."""

    code, title, http, rpc = "payment_required", "The call has to be paid for", 402, -32032
    grpc = "FAILED_PRECONDITION"


class OverBudget(PaymentRequired):
    """More than a budget leaves. `info` also: `budget`, its name, and `again`, when there is more."""

    code, title, rpc, grpc = "over_budget", "The budget does not reach", -32033, "RESOURCE_EXHAUSTED"


class Unavailable(Problem):
    code, title, http, rpc, retry = "unavailable", "Not available at the moment", 503, -32053, True
    grpc = "UNAVAILABLE"


class StorageFull(Problem):
    code, title, http, rpc, retry = (
        "storage_full",
        "The disk is full: no new work is taken",
        507,
        -32057,
        True,
    )
    grpc = "RESOURCE_EXHAUSTED"


class ReceiptPending(Problem):
    code, title, http, rpc, retry = "receipt_pending", "The run has not ended yet", 409, -32049, True
    grpc = "FAILED_PRECONDITION"


class RunOpen(Problem):
    """What was asked for is possible only once the run has ended."""

    code, title, http, rpc = "run_open", "The run has not ended", 409, -32091
    grpc = "FAILED_PRECONDITION"


class ProofPending(Problem):
    """An entry of the log that no checkpoint covers yet."""

    code, title, http, rpc, retry = "proof_pending", "No checkpoint covers it yet", 409, -32056, True
    grpc = "FAILED_PRECONDITION"


class Refused(Problem):
    """The skill refused the call; the run ends as rejected."""

    code, title, http, rpc = "refused", "The agent refused", 422, -32022
    grpc = "FAILED_PRECONDITION"


class SkillFailed(Problem):
    """The skill raised; the run ends as failed. What it raised goes to the run's log."""

    code, title, http, rpc = "skill_failed", "The skill failed", 500, -32050


class TimedOut(Problem):
    code, title, http, rpc = "timed_out", "The run took longer than it may", 504, -32054
    grpc = "DEADLINE_EXCEEDED"


class WorkerLost(Problem):
    """The process that ran the skill is gone and the run can't be repeated safely."""

    code, title, http, rpc = "worker_lost", "The worker was lost in the middle of the run", 500, -32051


class ReplayDiffers(Problem):
    """A replay did something other than the record says; nothing of it took effect."""

    code, title, http, rpc = "replay_differs", "The replay differs from the record", 500, -32052


class SecretInSource(Problem):
    """A file of an agent's source looks like a secret; nothing of it was stored."""

    code, title, http, rpc = "secret_in_source", "The source holds what looks like a secret", 422, -32061
    grpc = "INVALID_ARGUMENT"


class BuildFailed(Problem):
    """The agent's environment could not be made."""

    code, title, http, rpc = "build_failed", "The agent's environment could not be built", 422, -32062
    grpc = "FAILED_PRECONDITION"


class StartFailed(Problem):
    """The agent's code could not be loaded, or was not ready in time."""

    code, title, http, rpc = "start_failed", "The agent could not be started", 422, -32063
    grpc = "FAILED_PRECONDITION"


class SandboxRequired(StartFailed):
    """The release requires a stronger sandbox than the platform has here."""

    code, title, rpc = "sandbox_required", "The agent requires a sandbox that is not here", -32073


class LimitExceeded(Problem):
    """The run used more of something (memory, processes, open files, /tmp) than its release allows."""

    code, title, http, rpc = "limit_exceeded", "The run used more than it may", 500, -32074
    grpc = "RESOURCE_EXHAUSTED"


class BreakingChange(Problem):
    """A schema changed so that calls which worked would fail, without a new major version."""

    code, title, http, rpc = "breaking_change", "The change would break callers", 409, -32064
    grpc = "FAILED_PRECONDITION"


class GateNotMet(Problem):
    """A release is not promoted: its score by its own rubric is lower than was asked for. `info`: `gate`, and
    `score` and `eval` where there is a score."""

    code, title, http, rpc = "gate_not_met", "The release's score is too low", 409, -32085
    grpc = "FAILED_PRECONDITION"


class VersionEnded(Problem):
    """The major version that the address pins has passed the date of its end."""

    code, title, http, rpc = "version_ended", "This version of the agent has ended", 410, -32045
    grpc = "FAILED_PRECONDITION"


class WorkspaceNotFound(NotFound):
    """The organisation has no workspace of that name."""

    code, title, rpc = "workspace_not_found", "There is no such workspace", -32047


class VersionNotFound(NotFound):
    """The workspace has no version of that number."""

    code, title, rpc = "version_not_found", "The workspace has no such version", -32048


class FileNotFound(NotFound):
    """The version of the workspace has no file at that path."""

    code, title, rpc = "file_not_found", "There is no such file in the workspace", -32055


class WorkspaceConflict(Problem):
    """Somebody else changed the same paths after the version that a commit started from.

    `clashes` are the first of these paths; `model.workspace.conflict_of` makes it from them.
    """

    code, title, http, rpc = "workspace_conflict", "Somebody else changed the same files", 409, -32065
    grpc = "ABORTED"

    clashes: Sequence[Clash] = ()


class PreconditionFailed(Problem):
    """A file is not the one that the request expects (RFC 9110, section 13)."""

    code, title, http, rpc = "precondition_failed", "The file is not the one that was expected", 412, -32066
    grpc = "FAILED_PRECONDITION"


class RangeNotSatisfiable(Problem):
    """The range of bytes that was asked for begins after the end (RFC 9110, section 15.5.17)."""

    code, title, http, rpc = "range_not_satisfiable", "The file has no bytes there", 416, -32067
    grpc = "OUT_OF_RANGE"


class EgressRefused(Problem):
    """An agent's connection to the outside that nothing allows."""

    code, title, http, rpc = "egress_refused", "The agent may not connect there", 403, -32070
    grpc = "PERMISSION_DENIED"


class UpstreamFailed(Problem):
    """A server that an agent wants to reach can't be reached, or its answer can't be passed on."""

    code, title, http, rpc = "upstream_failed", "The server there can't be used", 502, -32071
    grpc = "UNAVAILABLE"


class UpstreamTimeout(Problem):
    """A server that an agent wants to reach takes too long."""

    code, title, http, rpc, retry = "upstream_timeout", "The server there is too slow", 504, -32072, True
    grpc = "DEADLINE_EXCEEDED"


class Internal(Problem):
    code, title = "internal", "Something went wrong on our side"


def by_code(code: str) -> type[Problem] | None:
    """The class that carries `code`, for a stored or transmitted problem."""
    todo: list[type[Problem]] = [Problem]
    while todo:
        cls = todo.pop()
        if cls.code == code:
            return cls
        todo.extend(cls.__subclasses__())
    return None

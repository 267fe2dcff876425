"""`/why`: explains decisions to their subject and to project administrators.

HTML for a browser, JSON for other clients. The content is the trace of `decide`. For a project that the requester may
not View, it does not depend on whether that exists.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from berth.api.policy import Action
from berth.api.sharing import SharingLevel
from berth.api.text import full_name, phrase
from berth.authz.actor import actor_of
from berth.authz.checks import subject_text
from berth.authz.decide import decide
from berth.authz.explain import decision_document
from berth.authz.messages import MessageFacts, sentence
from berth.authz.model import AccessRequest, CredentialKind, Decision, Identity, Snapshot
from berth.authz.queries import ImageName, UnknownSubjectError, identity_of, parse_image, parse_subject
from berth.identity.credentials import MalformedCredentialsError, parse_basic
from berth.identity.gateway_caller import Caller
from berth.services.access.authorize.existence import with_existence_if_needed
from berth.services.access.decision_log import DecisionLog
from berth.services.access.deps import Deps
from berth.services.access.http.messages import Request, Response, json_response
from berth.services.access.http.refusals import Refusal, login_refused, method_not_allowed

_MAX_FIELDS: Final = 8
_USAGE: Final = "Say what to explain: /why?action=push&image=project/repository, and as=WHO for another subject."
_LOGIN: Final = "Log in with your user name and password, or with a token as the password."
_TITLE: Final = "Why does the registry say that?"
_ACTIONS: Final = tuple(action.value for action in Action)


@dataclass(frozen=True, slots=True)
class Question:
    """A question, unparsed."""

    action: str = Action.PULL.value
    image: str = ""
    subject: str = ""  # empty: the requester

    @property
    def name(self) -> ImageName:
        """The parts of the image."""
        return parse_image(self.image)


class _MalformedRequestError(ValueError):
    """The query is not a question; the message is one sentence."""


class WhyPage:
    """Serves GET with HTTP Basic, as `/token` does."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._log = DecisionLog(deps.audit, deps.metrics, endpoint="why")
        environment = Environment(
            loader=PackageLoader("berth.services.access.endpoints"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._template = environment.get_template("why.html.j2")
        style, _, _ = PackageLoader("berth.services.access.endpoints").get_source(environment, "why.css")
        self._style = Markup(style)  # noqa: S704 - a file of this package
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self._policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'"
        )

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """Respond to one question."""
        if request.method not in ("GET", "HEAD"):
            return method_not_allowed("GET, HEAD")
        return self._respond(request)

    async def _respond(self, request: Request) -> Response:
        caller = await self._deps.gateway.identified(request.headers)
        requester = await self._identify(request, caller)
        if isinstance(requester, Refusal):
            return self._with_headers(requester.response)
        html = "text/html" in request.headers.get("accept", "")
        question = Question()
        try:
            question = read_question(request.query)
            return await self._explain(caller, requester, question, html)
        except (_MalformedRequestError, UnknownSubjectError) as problem:
            return self._problem(400, str(problem), question, html)

    async def _identify(self, request: Request, caller: Caller) -> Identity | Refusal:
        """The requester. Without a login, nothing is explained."""
        header = request.headers.get("authorization", "")
        try:
            basic = parse_basic(header) if header else None
        except MalformedCredentialsError as malformed:
            return login_refused(self._deps.host, str(malformed))
        proof = await self._deps.authenticator.identify(basic, self._deps.snapshot(), caller.address)
        identity = proof.identity
        if identity.credential is CredentialKind.NONE:
            return login_refused(self._deps.host, _LOGIN)
        # Verification took time: decide on the policy and the time after it.
        actor = actor_of(self._deps.snapshot(), identity, self._deps.now())
        if actor.failure is not None:
            self._deps.metrics.count_refusal("why", actor.failure)
            message = sentence(actor.failure, MessageFacts(who=actor.failed_name))
            return login_refused(self._deps.host, message, retry_after=proof.retry_after)
        if identity.token:
            self._deps.token_used(identity.token)
        return identity

    async def _explain(self, caller: Caller, requester: Identity, question: Question, html: bool) -> Response:
        snapshot, now = self._deps.snapshot(), self._deps.now()
        request = AccessRequest(Action(question.action), question.name.project, question.name.repository)
        identity = requester
        if question.subject:
            refusal = await self._refusal_for_others(snapshot, requester, request)
            if refusal is not None:
                return self._problem(*refusal, question, html)
            identity = identity_of(snapshot, parse_subject(question.subject, snapshot))
        request = await with_existence_if_needed(self._deps.catalog, snapshot, identity, request, now)
        decision = decide(snapshot, identity, request, now)
        name = full_name(request.project, request.repository)
        self._record(caller, requester, request.action, name, decision, snapshot)
        if not html:
            return self._with_headers(json_response(200, decision_document(identity, request, decision)))
        who = subject_text(identity.subject) if identity.name else question.subject
        return self._page(200, {"decision": decision, "request": request, "name": name, "who": who}, question)

    async def _refusal_for_others(
        self, snapshot: Snapshot, requester: Identity, request: AccessRequest
    ) -> tuple[int, str] | None:
        """Status and sentence of the refusal to explain about others.

        None if the requester administers the project. The level alone counts, whatever prevents its use at the moment,
        such as the trash.
        """
        now = self._deps.now()
        administer = AccessRequest(Action.ADMINISTER, request.project)
        effective = decide(snapshot, requester, administer, now).effective_level
        if effective is not None and effective.level >= SharingLevel.ADMINISTER:
            return None
        view = AccessRequest(Action.VIEW, request.project, request.repository)
        view = await with_existence_if_needed(self._deps.catalog, snapshot, requester, view, now)
        own = decide(snapshot, requester, view, now)
        if own.effective_level is None:
            return 404, own.sentence
        return 403, phrase(
            "Only someone with Administer on project {project} may ask about others; leave out as= to ask for "
            "yourself.",
            project=request.project,
        )

    def _record(
        self,
        caller: Caller,
        requester: Identity,
        action: Action,
        name: str,
        decision: Decision,
        snapshot: Snapshot,
    ) -> None:
        """Write the explained decision to the audit log.

        It is not a refusal of this request.
        """
        line = self._log.prepare(
            requester,
            action=action.value,
            repository=name,
            generation=snapshot.generation,
            allowed=decision.allowed,
            reason=decision.reason,
        )
        self._log.repeat(line, caller)

    def _problem(self, status: int, message: str, question: Question, html: bool) -> Response:
        if html:
            return self._page(status, {"problem": message}, question)
        return self._with_headers(json_response(status, {"error": message}))

    def _page(self, status: int, parts: Mapping[str, Any], question: Question) -> Response:
        defaults = {"problem": "", "decision": None, "title": _TITLE, "style": self._style, "actions": _ACTIONS}
        text = self._template.render({**defaults, **parts, "question": question})
        return self._with_headers(Response(status, (("content-type", "text/html; charset=utf-8"),), text.encode()))

    def _with_headers(self, response: Response) -> Response:
        headers = (
            ("cache-control", "no-store"),
            ("vary", "Accept, Authorization"),
            ("content-security-policy", self._policy),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        )
        return Response(response.status, (*response.headers, *headers), response.body)


def read_question(query: str) -> Question:
    """Parse `action=push&image=p/r`, or shorter `push=p/r`, and `as=WHO`.

    Raises a ValueError with one sentence.
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise _MalformedRequestError(_USAGE) from None
    fields = dict(pairs)
    short = [action for action in _ACTIONS if action in fields]
    if len(fields) != len(pairs) or len(short) > 1 or (short and {"action", "image"} & set(fields)):
        raise _MalformedRequestError(f"Each parameter may be given once. {_USAGE}")
    action = short[0] if short else fields.get("action", "")
    image = fields[short[0]] if short else fields.get("image", "")
    if action not in _ACTIONS or not image:
        raise _MalformedRequestError(_USAGE)
    return Question(action, image, fields.get("as", ""))

"""`/why`: the page that explains a decision, to whoever it is about and to whoever administers the project.

HTML for a browser, JSON for everything else. What it says is the trace of `decide`; for a project that the asker may
not View, it is the same whether that exists or not.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
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
from berth.services.access.authorize.existence import informed
from berth.services.access.deps import Deps
from berth.services.access.http.messages import Request, Response, json_answer
from berth.services.access.http.refusals import Refusal, login_refused, method_not_allowed

_MAX_FIELDS: Final = 8
_USAGE: Final = "Say what to explain: /why?action=push&image=project/repository, and as=WHO for somebody else."
_LOGIN: Final = "Log in with your user name and password, or with a token as the password."
_TITLE: Final = "Why does the registry say that?"
_ACTIONS: Final = tuple(action.value for action in Action)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, as written."""

    action: str = Action.PULL.value
    image: str = ""
    subject: str = ""  # empty: whoever asks

    @property
    def name(self) -> ImageName:
        """The image in its parts."""
        return parse_image(self.image)


class _MalformedRequestError(ValueError):
    """The query is no question; the message is one sentence."""


class WhyPage:
    """Answers GET with HTTP Basic, as `/token` does."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
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

    async def answer(self, request: Request) -> Response:
        """The answer to one question."""
        if request.method not in ("GET", "HEAD"):
            return method_not_allowed("GET, HEAD")
        caller = await self._deps.gateway.vouched(request.headers)
        identity = await self._identify(request, caller)
        if isinstance(identity, Refusal):
            return self._finished(identity.answer)
        html = "text/html" in request.headers.get("accept", "")
        asked = Asked()
        try:
            asked = read_question(request.query)
            return await self._explained(caller, identity, asked, html)
        except (_MalformedRequestError, UnknownSubjectError) as problem:
            return self._complaint(400, str(problem), asked, html)

    async def _identify(self, request: Request, caller: Caller) -> Identity | Refusal:
        """Who is asking; whoever does not log in is asked to, and nobody learns anything here without."""
        header = request.headers.get("authorization", "")
        try:
            basic = parse_basic(header) if header else None
        except MalformedCredentialsError as malformed:
            return login_refused(self._deps.host, str(malformed))
        proof = await self._deps.authenticator.identify(basic, self._deps.snapshot(), caller.address)
        identity = proof.identity
        if identity.credential is CredentialKind.NONE:
            return login_refused(self._deps.host, _LOGIN)
        # To prove it took its time; what changed meanwhile counts.
        actor = actor_of(self._deps.snapshot(), identity, self._deps.now())
        if actor.failure is not None:
            self._deps.metrics.refused("why", actor.failure)
            text = sentence(actor.failure, MessageFacts(who=actor.failed_name))
            return login_refused(self._deps.host, text, retry_after=proof.retry_after)
        if identity.token:
            self._deps.token_used(identity.token)
        return identity

    async def _explained(self, caller: Caller, asker: Identity, asked: Asked, html: bool) -> Response:
        snapshot, now = self._deps.snapshot(), self._deps.now()
        wish = AccessRequest(Action(asked.action), asked.name.project, asked.name.repository)
        identity = asker
        if asked.subject:
            refused = await self._may_not_ask(snapshot, asker, wish)
            if refused is not None:
                return self._complaint(*refused, asked, html)
            identity = identity_of(snapshot, parse_subject(asked.subject, snapshot))
        wish = await informed(self._deps.catalog, snapshot, identity, wish, now)
        decision = decide(snapshot, identity, wish, now)
        self._note(caller, asker, wish, decision, snapshot)
        if not html:
            return self._finished(json_answer(200, decision_document(identity, wish, decision)))
        name = full_name(wish.project, wish.repository)
        who = subject_text(identity.subject) if identity.name else asked.subject
        return self._page(200, {"decision": decision, "request": wish, "name": name, "who": who}, asked)

    async def _may_not_ask(self, snapshot: Snapshot, asker: Identity, wish: AccessRequest) -> tuple[int, str] | None:
        """Why the asker gets no answer about others here: status and sentence; None if they administer the project.

        Their level counts, whatever keeps them from using it at the moment, such as the trash.
        """
        now = self._deps.now()
        standing = decide(snapshot, asker, AccessRequest(Action.ADMINISTER, wish.project), now).effective_level
        if standing is not None and standing.level >= SharingLevel.ADMINISTER:
            return None
        view = AccessRequest(Action.VIEW, wish.project, wish.repository)
        own = decide(snapshot, asker, await informed(self._deps.catalog, snapshot, asker, view, now), now)
        if own.effective_level is None:
            return 404, own.sentence
        return 403, phrase(
            "Only someone with Administer on project {project} may ask about others; leave out as= to ask for "
            "yourself.",
            project=wish.project,
        )

    def _note(
        self, caller: Caller, asker: Identity, wish: AccessRequest, decision: Decision, snapshot: Snapshot
    ) -> None:
        line = self._deps.audit.decision(
            "why",
            asker,
            action=wish.action.value,
            repository=full_name(wish.project, wish.repository),
            allowed=decision.allowed,
            reason=decision.reason,
            generation=snapshot.generation,
        )
        self._deps.audit.prepared(line, caller)

    def _complaint(self, status: int, text: str, asked: Asked, html: bool) -> Response:
        if html:
            return self._page(status, {"complaint": text}, asked)
        return self._finished(json_answer(status, {"error": text}))

    def _page(self, status: int, parts: Mapping[str, Any], asked: Asked) -> Response:
        known = {"complaint": "", "decision": None, "title": _TITLE, "style": self._style, "actions": _ACTIONS}
        text = self._template.render({**known, **parts, "asked": asked})
        return self._finished(Response(status, (("content-type", "text/html; charset=utf-8"),), text.encode()))

    def _finished(self, answer: Response) -> Response:
        headers = (
            ("cache-control", "no-store"),
            ("vary", "Accept, Authorization"),
            ("content-security-policy", self._policy),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        )
        return Response(answer.status, (*answer.headers, *headers), answer.body)


def read_question(query: str) -> Asked:
    """Read `action=push&image=p/r`, or shorter `push=p/r`, and `as=WHO`. Raises a ValueError with one sentence."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise _MalformedRequestError(_USAGE) from None
    fields = dict(pairs)
    short = [action for action in _ACTIONS if action in fields]
    if len(fields) != len(pairs) or len(short) > 1 or (short and {"action", "image"} & set(fields)):
        raise _MalformedRequestError(f"Each part of the question may stand there once. {_USAGE}")
    action = short[0] if short else fields.get("action", "")
    image = fields[short[0]] if short else fields.get("image", "")
    if action not in _ACTIONS or not image:
        raise _MalformedRequestError(_USAGE)
    return Asked(action, image, fields.get("as", ""))

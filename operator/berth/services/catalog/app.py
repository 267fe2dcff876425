"""The catalog's API (docs/reference/catalog-api.md). Callers are authenticated; each error is one sentence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from berth.api.names import AUDIENCE_CATALOG
from berth.catalog.index import queries
from berth.catalog.index.write_log import UnknownWriteError, WriteRefusedError
from berth.catalog.model import RepositoryKey
from berth.identity.service_account import ServiceAccountTokenError
from berth.runtime.health import Probe
from berth.services.catalog import documents, requests
from berth.services.catalog.deps import Deps
from berth.services.catalog.requests import InvalidRequestError, read_json, read_query

BODY_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of a request body: a manifest of 4 MiB in base64, and the rest of the document."""

Handler = Callable[[Request], Awaitable[Response]]

_log = structlog.get_logger(__name__)


def create_app(deps: Deps) -> Starlette:
    """The application. The caller starts and stops the parts in `deps`."""
    api = _Api(deps)
    repository = "/v1/projects/{project}/repositories/{repository:path}"

    def route(path: str, name: str, handler: Handler, method: str = "GET") -> Route:
        return Route(path, api.endpoint(name, handler), methods=[method])

    return Starlette(
        routes=[
            route("/v1/writes", "announce", api.announce, "POST"),
            route("/v1/writes/{id}/commit", "commit", api.commit, "POST"),
            route("/v1/writes/{id}/abandon", "abandon", api.abandon, "POST"),
            route("/v1/projects/{project}/repositories", "repositories", api.repositories),
            route(f"{repository}/referrers/{{digest}}", "referrers", api.referrers),
            route(f"{repository}/content", "content", api.content),
            route(f"{repository}/tags", "tags", api.tags),
            route(f"{repository}/history", "history", api.history),
            Route("/healthz", api.healthz),
            Route("/readyz", api.readyz),
        ],
        exception_handlers={404: _no_such_endpoint, 405: _no_such_endpoint},
    )


class _Api:
    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    def endpoint(self, name: str, handler: Handler) -> Handler:
        """Wrap a handler with authentication, error responses and metrics."""

        async def respond(request: Request) -> Response:
            start = self._deps.monotonic()
            response = await self._respond(request, handler)
            self._deps.metrics.count_request(name, response.status_code, self._deps.monotonic() - start)
            return response

        return respond

    async def _respond(self, request: Request, handler: Handler) -> Response:
        try:
            await self._authenticate(request)
            return await handler(request)
        except ServiceAccountTokenError as refusal:
            return _error(401, refusal.sentence, {"WWW-Authenticate": "Bearer"})
        except InvalidRequestError as invalid:
            return _error(400, str(invalid))
        except UnknownWriteError as unknown:
            return _error(404, str(unknown.args[0]))
        except WriteRefusedError as refused:
            return _error(409, str(refused))
        except ClientDisconnect:
            return _error(400, "The request ended before its body was complete.")
        except (SQLAlchemyError, OSError) as error:
            _log.error("database request failed", error=type(error).__name__)
            return _error(503, "The catalog's database is unavailable at the moment; try again.")

    async def _authenticate(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise ServiceAccountTokenError("This request needs a ServiceAccount token of one of Berth's processes.")
        account = await self._deps.verifier.verify(token.strip(), AUDIENCE_CATALOG)
        if account not in self._deps.accounts:
            raise ServiceAccountTokenError(f"The ServiceAccount {account} may not call the catalog.")

    async def announce(self, request: Request) -> Response:
        announcement = read_json(requests.Announcement, await _body(request))
        write_id = await self._deps.write_log.announce(announcement.intent())
        return JSONResponse({"id": write_id}, status_code=201)

    async def commit(self, request: Request) -> Response:
        commit = read_json(requests.Commit, await _body(request))
        await self._deps.write_log.commit(request.path_params["id"], commit.manifest)
        return JSONResponse({})

    async def abandon(self, request: Request) -> Response:
        await self._deps.write_log.abandon(request.path_params["id"])
        return JSONResponse({})

    async def repositories(self, request: Request) -> Response:
        page = read_query(requests.RepositoryPage, _values(request))
        async with self._deps.database.reading() as session:
            paths = await queries.repositories(session, page.project, page.after, page.limit)
        return JSONResponse(documents.repositories_document(paths, page.limit))

    async def content(self, request: Request) -> Response:
        query = read_query(requests.ContentQuery, _values(request))
        async with self._deps.database.reading() as session:
            has_content = await queries.has_content(session, RepositoryKey(query.project, query.repository))
        return JSONResponse({"content": has_content})

    async def tags(self, request: Request) -> Response:
        page = read_query(requests.TagPage, _values(request))
        key = RepositoryKey(page.project, page.repository)
        async with self._deps.database.reading() as session:
            repository = await queries.repository_id(session, key)
            if repository is None:
                return _never_pushed(key)
            tags = await queries.tags(session, repository, page.after, page.limit)
        return JSONResponse(documents.tags_document(tags, page.limit))

    async def history(self, request: Request) -> Response:
        page = read_query(requests.HistoryPage, _values(request))
        key = RepositoryKey(page.project, page.repository)
        async with self._deps.database.reading() as session:
            repository = await queries.repository_id(session, key)
            if repository is None:
                return _never_pushed(key)
            moves = await queries.history(session, repository, page.tag, page.before, page.limit)
        return JSONResponse(documents.history_document(moves, page.limit))

    async def referrers(self, request: Request) -> Response:
        query = read_query(requests.ReferrersQuery, _values(request))
        key = RepositoryKey(query.project, query.repository)
        async with self._deps.database.reading() as session:
            found = await queries.referrers(session, key, query.digest, query.artifact_type)
        return JSONResponse(documents.referrers_document(found))

    async def healthz(self, _request: Request) -> Response:
        ended = self._deps.ended()
        if ended:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in ended.items())
            return PlainTextResponse(f"A background task has ended ({reasons}).\n", status_code=503)
        return PlainTextResponse("ok\n")

    async def readyz(self, _request: Request) -> Response:
        probe = await readiness(self._deps)
        if not probe.ok:
            return PlainTextResponse(f"Not ready: {', '.join(probe.details['missing'])}.\n", status_code=503)
        return PlainTextResponse("ok\n")


async def readiness(deps: Deps) -> Probe:
    """Whether calls can be served, and what is missing for that."""
    missing = [
        reason
        for reason, is_ready in (
            ("the database is not migrated yet", deps.migrated()),
            ("the cluster's ServiceAccount keys are not known yet", deps.verifier.ready),
        )
        if not is_ready
    ]
    if not missing and not await deps.database.is_reachable():
        missing.append("the database does not answer")
    return Probe(not missing, {"missing": missing})


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_LIMIT:
            raise InvalidRequestError(f"The request body is larger than {BODY_LIMIT} bytes.")
        parts.append(part)
    return b"".join(parts)


def _values(request: Request) -> dict[str, str]:
    """Query and path parameters; the path wins."""
    return {**request.query_params, **request.path_params}


def _never_pushed(key: RepositoryKey) -> Response:
    return _error(404, f"Nothing was ever pushed to {key.name}.")


def _error(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": sentence}, status_code=status, headers=headers)


async def _no_such_endpoint(_request: Request, error: Any) -> Response:
    return _error(
        error.status_code, "The catalog has no such endpoint; docs/reference/catalog-api.md lists them.", error.headers
    )

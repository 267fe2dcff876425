"""Errors of nginx itself, as responses that clients show.

Clients only show `{"errors":[{"code","message"}]}` sent as `application/json` (OCI distribution spec 1.1, "Error
Codes").
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

# Statuses that access may choose for the response to a refused request.
REFUSAL_STATUSES: Final = (400, 401, 403, 404, 413)


@dataclass(frozen=True, slots=True)
class NginxError:
    """One status of nginx and its response.

    `message` may have nginx variables. `sent` differs from `status` where nginx uses numbers of its own (494, 497).
    """

    status: int
    code: str
    message: str
    sent: int = 0

    @property
    def response_status(self) -> int:
        """The status of the response."""
        return self.sent or self.status


# Statuses: ngx_http_request.h and the table in ngx_http_special_response.c of nginx.
NGINX_ERRORS: Final = (
    NginxError(400, "UNSUPPORTED", "The request is not valid HTTP: check the client, and any proxy in front of Berth."),
    NginxError(
        403, "DENIED", "The request is refused: ask the registry administrators, with the request id $request_id."
    ),
    NginxError(
        404,
        "UNSUPPORTED",
        "There is nothing at this address: image names are $berth_host/<project>/<repository>:<tag>.",
    ),
    NginxError(405, "UNSUPPORTED", "This method is not supported here: use a standard registry client."),
    NginxError(408, "UNSUPPORTED", "The client sent nothing for too long: try again."),
    NginxError(411, "SIZE_INVALID", "The request has no length: send a Content-Length header or a chunked body."),
    NginxError(
        413,
        "SIZE_INVALID",
        "The request body is too large for this address: check what the client sent, and try again.",
    ),
    NginxError(414, "NAME_INVALID", "The request address is too long: use a shorter repository path."),
    NginxError(415, "UNSUPPORTED", "The media type is not supported here: use a standard registry client."),
    NginxError(416, "UNSUPPORTED", "The requested byte range does not exist: start the download again."),
    NginxError(421, "UNSUPPORTED", "The TLS connection was made for another host name: connect again as $berth_host."),
    NginxError(494, "UNSUPPORTED", "The request headers are too large: log out and in again, then retry.", sent=431),
    NginxError(495, "UNSUPPORTED", "The client certificate is not accepted: connect without one.", sent=400),
    NginxError(496, "UNSUPPORTED", "A client certificate is missing: check the TLS setup of Berth.", sent=400),
    NginxError(
        497, "UNSUPPORTED", "This port speaks HTTPS: use https://$berth_host, and no plain-HTTP option.", sent=400
    ),
    NginxError(
        500,
        "UNKNOWN",
        "Berth's gateway failed: try again, then give the registry administrators the request id $request_id.",
    ),
    NginxError(501, "UNSUPPORTED", "The transfer encoding is not supported: send the body plain or chunked."),
    NginxError(
        502,
        "UNAVAILABLE",
        "$berth_behind does not answer: try again in a minute, then report it to the registry administrators.",
    ),
    NginxError(
        503,
        "UNAVAILABLE",
        "Berth cannot check permissions at the moment: "
        "try again in a minute, then report it to the registry administrators.",
    ),
    NginxError(
        504,
        "UNAVAILABLE",
        "$berth_behind took too long to answer: try again in a minute, then report it to the registry administrators.",
    ),
    NginxError(505, "UNSUPPORTED", "This version of HTTP is not supported: use HTTP/1.1 or HTTP/2."),
    NginxError(
        507,
        "UNAVAILABLE",
        "Berth's gateway is out of space: try again in a minute, then report it to the registry administrators.",
    ),
)


def errors_body(code: str, message: str) -> str:
    """The one-line body of an error, for an nginx `return` in single quotes."""
    body = json.dumps({"errors": [{"code": code, "message": message}]}, separators=(",", ":"))
    return body.replace("\\", "\\\\").replace("'", "\\'")

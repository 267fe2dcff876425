"""A person who logs in at an OpenID provider as in a browser, by the authorization code flow (OpenID Connect Core 3.1).

Run inside the cluster's namespaces: `browser.py ISSUER CA_FILE USER SCOPE…` with the password as the only line of
standard input; prints the access token.
"""

from __future__ import annotations

import base64
import json
import ssl
import sys
import urllib.request
from email.message import Message
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

CLIENT, SECRET, CALLBACK = "web", "secret", "http://localhost:9999/auth/callback"


class Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the last one leads to the application, which is this program."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


class Browser:
    """Asks, with cookies and without following redirects."""

    def __init__(self, ca_file: str) -> None:
        trust = ssl.create_default_context(cafile=ca_file)
        handlers = (urllib.request.HTTPSHandler(context=trust), urllib.request.HTTPCookieProcessor(), Stay())
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *handlers)

    def json(self, url: str, form: dict[str, str] | None = None, headers: dict[str, str] | None = None) -> Any:
        data = urlencode(form).encode() if form else None
        with self._opener.open(urllib.request.Request(url, data, headers or {}), timeout=30) as answer:
            return json.load(answer)

    def redirected(self, url: str, form: dict[str, str] | None = None) -> str:
        data = urlencode(form).encode() if form else None
        try:
            with self._opener.open(urllib.request.Request(url, data), timeout=30) as answer:
                raise SystemExit(f"{url} answered {answer.status}: {answer.read()[:500]!r}")
        except HTTPError as found:
            if found.code not in (302, 303):
                raise
            return urljoin(url, str(found.headers["location"]))


def log_in(issuer: str, ca_file: str, user: str, password: str, scopes: list[str]) -> str:
    """The access token."""
    browser = Browser(ca_file)
    endpoints = browser.json(f"{issuer}.well-known/openid-configuration")
    form = {"client_id": CLIENT, "redirect_uri": CALLBACK, "response_type": "code", "state": "s"}
    query = urlencode({**form, "scope": " ".join(scopes)})
    page = browser.redirected(f"{endpoints['authorization_endpoint']}?{query}")
    request = parse_qs(urlsplit(page).query)["authRequestID"][0]
    form = {"username": user, "password": password, "id": request}
    answered = browser.redirected(browser.redirected(urljoin(issuer, urlsplit(page).path), form))
    code = parse_qs(urlsplit(answered).query)["code"][0]
    exchange = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    proof = {"authorization": f"Basic {base64.b64encode(f'{CLIENT}:{SECRET}'.encode()).decode()}"}
    return str(browser.json(endpoints["token_endpoint"], exchange, proof)["access_token"])


if __name__ == "__main__":
    print(log_in(sys.argv[1], sys.argv[2], sys.argv[3], sys.stdin.readline().rstrip("\n"), sys.argv[4:]))

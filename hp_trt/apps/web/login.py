"""Who looks at the page: the one local owner, or where the service has tokens whoever signed in with one.

A browser cannot send a token with a picture or a form, so a token that was shown once becomes a cookie that scripts
cannot read and that goes nowhere but to the page. It is good for half a day and for this process: a token that was
taken out of the file signs in nobody after a restart. The service's API takes no cookie.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie

from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.tokens import Tokens

COOKIE = "hp_trt_page"
LASTS_S = 12 * 3600
_MOST_COOKIE = 4096  # letters


class Visitors:
    """Makes cookies and reads them. For any thread."""

    def __init__(self, tokens: Tokens, now_s: Callable[[], float] = time.time) -> None:
        self._tokens, self._now_s = tokens, now_s
        self._key = secrets.token_bytes(32)

    @property
    def sign_in(self) -> bool:
        """Whether anybody has to."""
        return self._or_none(lambda: self._tokens.owner(None)) is None

    def cookie(self, token: str) -> str:
        """The cookie of a token. Raises Problem for one that the service does not know."""
        owner = self._tokens.owner(f"Bearer {token}")
        said = f"{owner}.{int(self._now_s() + LASTS_S)}"
        return f"{said}.{self._sign(said)}"

    def owner(self, cookies: str | None) -> str | None:
        """Whose request it is, by its `Cookie` header; None: nobody's who signed in."""
        if not self.sign_in:
            return self._tokens.owner(None)
        said, _, signature = _cookie(cookies or "").rpartition(".")
        owner, _, until = said.partition(".")
        if not hmac.compare_digest(self._sign(said).encode(), signature.encode("utf-8", "replace")):
            return None
        return owner if self._now_s() < int(until) else None

    def _sign(self, said: str) -> str:
        return hmac.new(self._key, said.encode("utf-8", "replace"), hashlib.sha256).hexdigest()

    @staticmethod
    def _or_none(found: Callable[[], str]) -> str | None:
        try:
            return found()
        except Problem:
            return None


def _cookie(header: str) -> str:
    """Ours, of a header; "" where there is none."""
    try:
        found = SimpleCookie(header[:_MOST_COOKIE]).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value


SIGN_IN = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>hp-trt: sign in</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/page/own/page.css"></head>
<body class="hp-sign-in"><main><h1>hp-trt</h1>{said}
<form method="post" action="/page/login"><input name="username" autocomplete="username" value="token" hidden>
<label for="token">Token of this service</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button type="submit">Sign in</button></form>
<p>Whoever runs the service makes one: <code>hp-trt serve --tokens FILE --new-token NAME</code></p></main></body></html>
"""

"""Who may ask: the token of the link, the key of a tab, and what a request must look like before it counts.

A link carries its token in the fragment, which browsers send to nobody. The page trades the token, once, for a key that
its tab keeps in `sessionStorage` and sends as a bearer. No cookie: cookies of 127.0.0.1 go to every port there, and
whichever other server a browser asks would see them; `sessionStorage` belongs to scheme, address and port.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections import deque
from collections.abc import Callable

from sdk.view.request import JSON_TYPE, Refused, Request

MAX_KEYS = 16  # tabs at a time; one more, and the oldest is locked out
_TOKEN_BYTES = 32

Secret = Callable[[], str]


def random_secret() -> str:
    """Return 256 random bits for a URL."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


class Gate:
    """Tokens and keys of one running page.

    Args:
        authority: `127.0.0.1:PORT`, the only host that requests may name.
        secret: makes tokens and keys.
        told: called with the next link whenever one was used.
    """

    def __init__(
        self, authority: str, secret: Secret = random_secret, told: Callable[[str], None] = lambda _: None
    ) -> None:
        self._authority = authority
        self._secret = secret
        self._told = told
        self._token = secret()
        self._keys: deque[str] = deque(maxlen=MAX_KEYS)
        self._lock = threading.Lock()

    @property
    def link(self) -> str:
        """The address that opens the page once."""
        return f"http://{self._authority}/#token={self._token}"

    def enter(self, token: str) -> str:
        """Trade the token for a tab's key; the next link has another token.

        Raises:
            Refused: it is not the token.
        """
        with self._lock:
            if not _same(token, self._token):
                raise _locked()
            self._token = self._secret()
            key = self._secret()
            self._keys.append(key)
            link = self.link
        self._told(link)
        return key

    def check_host(self, request: Request) -> None:
        """Refuse names that are not this server's: another page's name was made to lead here (DNS rebinding)."""
        if request.header("host") != self._authority:
            raise Refused(
                421,
                "WrongHost",
                f"this page answers at http://{self._authority} only; open the link that `meritrec view` printed "
                "(through a tunnel, keep address and port the same)",
            )

    def check_origin(self, request: Request, *, changes: bool) -> None:
        """Refuse pages from elsewhere; a request that changes something has to say where it comes from."""
        origin = request.header("origin")
        site = request.header("sec-fetch-site")
        foreign = origin is not None and origin != f"http://{self._authority}"
        if foreign or (changes and origin is None) or site not in (None, "same-origin", "none"):
            raise Refused(403, "WrongOrigin", f"only the page at http://{self._authority} may ask this")

    def check_key(self, request: Request) -> None:
        """Refuse whoever has no key. All keys are compared, in constant time."""
        scheme, _, key = (request.header("authorization") or "").partition(" ")
        with self._lock:
            known = [_same(key, one) for one in self._keys]
        if scheme.lower() != "bearer" or not any(known):
            raise _locked()

    def check_body(self, request: Request) -> None:
        """Refuse a body that is not declared as JSON: forms of other pages cannot declare it."""
        kind, _, parameters = (request.header("content-type") or "").partition(";")
        charset = parameters.replace(" ", "").replace('"', "").lower()
        if kind.strip().lower() != JSON_TYPE or charset not in ("", "charset=utf-8"):
            raise Refused(415, "WrongContentType", f"send the body as {JSON_TYPE}")


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode(errors="surrogatepass"), known.encode())


def _locked() -> Refused:
    return Refused(
        401,
        "Locked",
        "open the link that `meritrec view` printed last in its terminal; each link works once",
        {"WWW-Authenticate": "Bearer"},
    )

"""The page's own files, out of the package: a fixed list, read once; no path of a request reaches a file system."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from sdk.view.request import Answer

INDEX = "index.html"
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
# Nothing but this server's own files runs, loads or is asked; no markup is ever made from text; nobody frames the page.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)


@cache
def page_files() -> dict[str, Answer]:
    """Return the page's files by path."""
    found = {}
    for entry in files(__package__).joinpath("assets").iterdir():
        kind = _TYPES.get(entry.name.rpartition(".")[2])
        if kind is not None:
            found[f"/{entry.name}"] = Answer(200, entry.read_bytes(), kind)
    return found | {"/": found[f"/{INDEX}"]}

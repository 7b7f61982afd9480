"""Opening the link in the person's browser, but not as an argument of a process, which other users could read."""

from __future__ import annotations

import os
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path

_PAGE = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={link}"><title>meritrec</title>'


@contextmanager
def opened_in_browser(link: str, folder: Path, open_: Callable[[str], bool] = webbrowser.open) -> Iterator[bool]:
    """Open a file that only this user can read and that leads to the link; it is removed at the end.

    Args:
        link: where it leads.
        folder: where the file lies meanwhile.
        open_: opens an address in a browser, and says whether it could.
    """
    descriptor, name = tempfile.mkstemp(prefix="view-", suffix=".html", dir=folder)  # readable by its user alone
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(_PAGE.format(link=escape(link)))
        yield open_(Path(name).resolve().as_uri())
    finally:
        Path(name).unlink(missing_ok=True)

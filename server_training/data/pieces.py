"""A text file in pieces of whole lines, so that a file may be larger than memory."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from server_training.errors import DataInvalid, Problem

_BLOCK = 1 << 22
_BOM = "\ufeff"


def check_text(path: Path) -> bool:
    """Make sure that a file is UTF-8, and say whether it holds a double quote.

    Raises:
        DataInvalid: it is not; the line is named.
    """
    quotes, lines = False, 0
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        while True:
            block = file.read(_BLOCK)
            quotes = quotes or b'"' in block
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                # A character begun in the block before is part of the error's text; it holds no line end.
                line = lines + error.object.count(b"\n", 0, error.start) + 1
                message = f"expected UTF-8 text, got byte 0x{error.object[error.start]:02x}; save the file as UTF-8"
                raise DataInvalid([Problem(path.name, message, line=line)]) from error
            if not block:
                return quotes
            lines += block.count(b"\n")


def line_pieces(path: Path, size: int) -> Iterator[tuple[str, int]]:
    """Yield text of about `size` bytes that ends with a line end, and the number of its first line.

    Args:
        path: a file that `check_text` found good; a byte order mark is left out, line ends become a line feed.
        size: bytes per piece; one line that is longer makes a longer piece.
    """
    line, held = 1, b""
    with path.open("rb") as file:
        while True:
            block = file.read(size)
            whole = held + block
            cut = whole.rfind(b"\n") + 1 if block else len(whole)
            held = whole[cut:]
            if cut:
                text = whole[:cut].decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
                yield (text.removeprefix(_BOM) if line == 1 else text), line
                line += text.count("\n")
            if not block:
                return

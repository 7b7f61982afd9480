"""BERT's word pieces for lower-case models (Devlin et al., NAACL 2019): text to numbers of a vocabulary."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_LONGEST_WORD = 100
_DROPPED = {0, 0xFFFD}


@dataclass(frozen=True, slots=True)
class WordPieces:
    """Splits text greedily into the longest known pieces.

    Attributes:
        vocabulary: number of each piece; one that continues a word starts with ``##``.
        most: numbers per text, the first and last of which mark its ends.
    """

    vocabulary: dict[str, int]
    most: int

    @classmethod
    def from_lines(cls, lines: Sequence[str], most: int) -> WordPieces:
        """Take a vocabulary file's lines: a piece's number is its line."""
        return cls({line: number for number, line in enumerate(lines)}, most)

    def encode(self, text: str) -> list[int]:
        """Numbers of a text, cut to at most `most`."""
        pieces = [piece for word in _words(text) for piece in self._pieces(word)]
        return [self.vocabulary["[CLS]"], *pieces[: self.most - 2], self.vocabulary["[SEP]"]]

    def _pieces(self, word: str) -> list[int]:
        unknown = [self.vocabulary["[UNK]"]]
        if len(word) > _LONGEST_WORD:
            return unknown
        found: list[int] = []
        start = 0
        while start < len(word):
            for end in range(len(word), start, -1):
                number = self.vocabulary.get(("##" if start else "") + word[start:end])
                if number is not None:
                    found.append(number)
                    start = end
                    break
            else:
                return unknown
        return found


def _words(text: str) -> list[str]:
    """Lower-case words without accents; punctuation and Chinese characters stand alone."""
    plain = "".join(_spaced(c) for c in text if not _is_dropped(c))
    plain = "".join(c for c in unicodedata.normalize("NFD", plain) if unicodedata.category(c) != "Mn").lower()
    return "".join(f" {c} " if _is_punctuation(c) else c for c in plain).split()


def _is_dropped(c: str) -> bool:
    return ord(c) in _DROPPED or (unicodedata.category(c) in ("Cc", "Cf") and c not in "\t\n\r")


def _spaced(c: str) -> str:
    if c.isspace():
        return " "
    return f" {c} " if _is_chinese(ord(c)) else c


def _is_punctuation(c: str) -> bool:
    return (
        33 <= ord(c) <= 47
        or 58 <= ord(c) <= 64
        or 91 <= ord(c) <= 96
        or 123 <= ord(c) <= 126
        or (unicodedata.category(c)[0] == "P")
    )


def _is_chinese(point: int) -> bool:
    return (
        0x4E00 <= point <= 0x9FFF
        or 0x3400 <= point <= 0x4DBF
        or 0x20000 <= point <= 0x2CEAF
        or 0xF900 <= point <= 0xFAFF
        or 0x2F800 <= point <= 0x2FA1F
    )

"""The errors of ``server_training``.

::

    TrainingError
    ├── DataInvalid          the data breaks the contract; carries every problem found, not only the first
    ├── DataUnavailable      the data could not be fetched, or a prepared folder is not there or not whole
    ├── ConfigInvalid        a setting is outside its range, or two settings contradict each other
    ├── TokenizerError       semantic IDs cannot be made: no codes left, bad vectors, a damaged file
    ├── EvaluationInvalid    scores or lists that cannot be ranked (NaN, wrong shape, seen items in the list)
    ├── CheckpointInvalid    a checkpoint is damaged or belongs to other data
    └── ExportRefused        the exported program does not agree with the model it was made from

Every message says what was expected, what came, and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_SHOWN = 20


class TrainingError(Exception):
    """Root of everything ``server_training`` raises on purpose."""


class DataUnavailable(TrainingError):
    """Data could not be fetched, or a prepared folder is missing or not whole."""


class ConfigInvalid(TrainingError):
    """A setting is outside its range, or two settings contradict each other."""


class TokenizerError(TrainingError):
    """Semantic IDs cannot be made or read."""


class EvaluationInvalid(TrainingError):
    """Scores or ranked lists that cannot be evaluated."""


class CheckpointInvalid(TrainingError):
    """A checkpoint is damaged or belongs to other data."""


class ExportRefused(TrainingError):
    """An export was refused because the program drifts from the model or breaks the bundle's limits."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a data file.

    Attributes:
        file: name of the file, or of the folder when no file is to blame.
        message: one sentence: what was expected, what came.
        line: 1-based line of a text file, or row of a Parquet file, of the first occurrence.
        column: the column, when one is to blame.
        more: how many further rows have the same problem.
    """

    file: str
    message: str
    line: int | None = None
    column: str | None = None
    more: int = 0

    def __str__(self) -> str:
        place = [self.file]
        if self.line is not None:
            place.append(f"line {self.line}")
        if self.column is not None:
            place.append(f"column {self.column!r}")
        rest = f" (and {self.more} more rows)" if self.more else ""
        return f"{', '.join(place)}: {self.message}{rest}"


class DataInvalid(TrainingError):
    """The data breaks the contract.

    Attributes:
        problems: every problem found in all files, in file order.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        shown = [f"  - {problem}" for problem in self.problems[:_SHOWN]]
        if len(self.problems) > _SHOWN:
            shown.append(f"  - … and {len(self.problems) - _SHOWN} more problems")
        noun = "problem" if len(self.problems) == 1 else "problems"
        super().__init__("\n".join([f"the data has {len(self.problems)} {noun}:", *shown]))

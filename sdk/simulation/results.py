"""What a simulation found: one row per look and person, one per look and device, and sums that people read.

Rows go into Parquet files (polars, extra `sim`), everything into one JSON file. Nothing here depends on when, where and
how fast a simulation ran, so that the same scenario gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from sdk.simulation.community import Traffic
from sdk.simulation.errors import RunInvalid, SimulationError
from sdk.simulation.judge import Verdict, error_of, mean_of
from sdk.simulation.rank import Setting

FORMAT = 1
TABLES = ("verdicts", "traffic", "sweep")


@dataclass(frozen=True, slots=True)
class Result:
    """A finished simulation.

    Attributes:
        name, text, fidelity: of the scenario.
        scenario: the TOML text that was run.
        origin: where the people come from.
        versions: of this package and what it computes with.
        alpha, beta, k: of the scenario, for the report's words.
        attacks: kinds of adversaries.
        verdicts, traffic, sweep: the rows, in order.
    """

    name: str
    text: str
    fidelity: str
    scenario: str
    origin: str
    versions: dict[str, str]
    alpha: float
    beta: float
    k: int
    attacks: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    traffic: tuple[Traffic, ...]
    sweep: tuple[Setting, ...]

    def to_bytes(self) -> bytes:
        """Return it as JSON; the same result, the same bytes."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a result.

        Raises:
            RunInvalid: there is none, or it is damaged.
        """
        try:
            content = json.loads(path.read_bytes())
            if content.pop("format") != FORMAT:
                raise ValueError(f"expected format {FORMAT}")
            rows: dict[str, Any] = {
                "attacks": tuple(map(str, content.pop("attacks"))),
                "verdicts": tuple(Verdict(**row) for row in content.pop("verdicts")),
                "traffic": tuple(Traffic(**row) for row in content.pop("traffic")),
                "sweep": tuple(Setting(**row) for row in content.pop("sweep")),
            }
            return cls(**content, **rows)
        except FileNotFoundError as error:
            raise RunInvalid(f"{path.parent} holds no finished simulation; run `meritrec simulate` there") from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise RunInvalid(f"{path} is damaged or of another version ({error}); simulate again") from error

    def hours(self) -> list[float]:
        """Virtual hours of the looks, ascending."""
        return sorted({verdict.hour for verdict in self.verdicts})

    def at(self, hour: float) -> Moment:
        """Return the means of one look."""
        verdicts = [verdict for verdict in self.verdicts if verdict.hour == hour]
        traffic = [row for row in self.traffic if row.hour == hour]
        return Moment.of(hour, verdicts, traffic)

    def moments(self) -> list[Moment]:
        """Return the means of every look, in order."""
        return [self.at(hour) for hour in self.hours()]


@dataclass(frozen=True, slots=True)
class Moment:
    """Means over people and devices at one look; zeros of the network where no messages are simulated.

    Attributes:
        hour: virtual hours since the start.
        people: how many were judged.
        ndcg, recall: of the hidden likes.
        ndcg_error, recall_error: standard errors of these means.
        spam: share of spam in the lists.
        attackers: share of trust that attackers hold.
        gain, bound: the largest gain of any person's Sybils, and its bound.
        online: share of devices reachable.
        kb_in, kb_out: per device since the start, kilobytes.
        records: per device.
        known: share of publishing people whose record a device holds.
        memory_kb: per device: records and walks.
        refused: messages and records refused per device.
    """

    hour: float
    people: int
    ndcg: float
    recall: float
    ndcg_error: float
    recall_error: float
    spam: float
    attackers: float
    gain: float
    bound: float
    online: float
    kb_in: float
    kb_out: float
    records: float
    known: float
    memory_kb: float
    refused: float

    @classmethod
    def of(cls, hour: float, verdicts: Sequence[Verdict], traffic: Sequence[Traffic]) -> Self:
        """Sum up one look."""

        def mean(values: Sequence[float]) -> float:
            return float(np.mean(values)) if values else 0.0

        return cls(
            hour=hour,
            people=len(verdicts),
            ndcg=mean_of(verdicts, "ndcg"),
            recall=mean_of(verdicts, "recall"),
            ndcg_error=error_of(verdicts, "ndcg"),
            recall_error=error_of(verdicts, "recall"),
            spam=mean_of(verdicts, "spam"),
            attackers=mean_of(verdicts, "attackers"),
            gain=max((verdict.gain for verdict in verdicts), default=0.0),
            bound=max((verdict.bound for verdict in verdicts), default=0.0),
            online=mean([float(row.online) for row in traffic]),
            kb_in=mean([row.bytes_in / 1e3 for row in traffic]),
            kb_out=mean([row.bytes_out / 1e3 for row in traffic]),
            records=mean([float(row.records) for row in traffic]),
            known=mean([row.known for row in traffic]),
            memory_kb=mean([row.memory / 1e3 for row in traffic]),
            refused=mean([float(row.refused) for row in traffic]),
        )


def compared(results: Sequence[Result]) -> list[tuple[str, list[str]]]:
    """Return what each result came to at its end as rows of text: a name, and a cell for each result."""
    rows: list[tuple[str, Callable[[Moment], str]]] = [
        ("people judged", lambda m: f"{m.people:,}"),
        ("NDCG", lambda m: f"{m.ndcg:.4f} ± {m.ndcg_error:.4f}"),
        ("Recall", lambda m: f"{m.recall:.4f} ± {m.recall_error:.4f}"),
        ("spam shown", lambda m: f"{m.spam:.2%}"),
        ("trust held by attackers", lambda m: f"{m.attackers:.2%}"),
        ("largest gain (bound)", lambda m: f"{m.gain:.2f} ({m.bound:.2f})"),
    ]
    sent: list[tuple[str, Callable[[Moment], str]]] = [
        ("records known", lambda m: f"{m.known:.1%}"),
        ("KB in / out per device", lambda m: f"{m.kb_in:,.0f} / {m.kb_out:,.0f}"),
        ("memory per device, KB", lambda m: f"{m.memory_kb:,.0f}"),
    ]
    ends = [(result.moments()[-1], bool(result.traffic)) for result in results]
    told = [(name, [written(end) for end, _ in ends]) for name, written in rows]
    if any(result.traffic for result in results):
        told += [(name, [written(end) if messages else "–" for end, messages in ends]) for name, written in sent]
    return told


def write_tables(result: Result, folder: Path) -> list[Path]:
    """Write the rows as Parquet files; return those that hold any.

    Raises:
        SimulationError: polars is not installed.
    """
    try:
        import polars
    except ImportError as error:
        raise SimulationError("tables need polars; `pip install 'meritrec[sim]'`") from error
    written = []
    for name in TABLES:
        rows: tuple[Any, ...] = getattr(result, name)
        if rows:
            path = folder / f"{name}.parquet"
            polars.DataFrame([asdict(row) for row in rows]).write_parquet(path)
            written.append(path)
    return written

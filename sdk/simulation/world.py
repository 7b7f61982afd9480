"""What everybody states on one day: honest people, those whom attackers fooled or took over, and attackers.

Numbers of people below `Population.people` are honest people's, those above are attackers' identities; items from
`Population.items` on are spam. Knows no keys, no messages and no walks: both fidelities begin from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from sdk.simulation.edges import Edges, Ints
from sdk.simulation.population import LEVELS, MOST_FRIENDS, MOST_LIKES, Population

Stated = dict[int, int]
"""Target to level."""

Misbehaviour = Literal["equivocate", "flood", "eclipse"]


@dataclass(frozen=True, slots=True)
class Statement:
    """One author's whole contribution: whom it trusts and what it likes, by level."""

    trust: Stated
    items: Stated


@dataclass(slots=True)
class Attackers:
    """What the adversaries of one day do.

    Attributes:
        statements: of their own identities.
        vouches: honest person → attackers whom it was fooled into trusting.
        pollution: honest person → spam that got into its history.
        hijacked: honest people whose devices state what the attackers want.
        spam: item numbers of all adversaries, those of later days too.
        identities: how many were ever made.
        misbehaviour: identity → how it breaks the protocol.
    """

    statements: dict[int, Statement] = field(default_factory=dict)
    vouches: dict[int, list[int]] = field(default_factory=dict)
    pollution: dict[int, list[int]] = field(default_factory=dict)
    hijacked: dict[int, Statement] = field(default_factory=dict)
    spam: frozenset[int] = frozenset()
    identities: int = 0
    misbehaviour: dict[int, Misbehaviour] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class World:
    """One day.

    Attributes:
        day: from 0.
        population: the honest people as they are today.
        attackers: what the adversaries do today.
    """

    day: int
    population: Population
    attackers: Attackers

    @property
    def authors(self) -> int:
        """How many numbers of authors are in use."""
        return self.population.people + self.attackers.identities

    @cached_property
    def befriended(self) -> frozenset[int]:
        """Attackers whom some honest person vouches for."""
        return frozenset(first for fooled in self.attackers.vouches.values() for first in fooled)

    def known_to(self, person: int) -> Statement:
        """Return what an honest person's own device knows, whatever it publishes."""
        trust = dict(zip(*_listed(self.population.trust, person), strict=True))
        items = dict(zip(*_listed(self.population.likes, person), strict=True))
        fooled = dict.fromkeys(self.attackers.vouches.get(person, ()), 2)
        polluted = dict.fromkeys(self.attackers.pollution.get(person, ()), LEVELS)
        return Statement(_with(trust, fooled, MOST_FRIENDS), _with(items, polluted, MOST_LIKES))

    def stated_by(self, author: int) -> Statement | None:
        """Return what an author would publish if it shared everything; None for an identity that was given up."""
        if author >= self.population.people:
            return self.attackers.statements.get(author)
        return self.attackers.hijacked.get(author) or self.known_to(author)

    def edges(self) -> tuple[Edges, Edges]:
        """Return what everybody states as arrays over all authors, trust and likes: for networks of any size."""
        changed = {
            author: statement
            for author in sorted({*self.attackers.vouches, *self.attackers.pollution, *self.attackers.hijacked})
            if (statement := self.stated_by(author)) is not None
        }
        changed |= self.attackers.statements
        trust = {author: statement.trust for author, statement in changed.items()}
        items = {author: statement.items for author, statement in changed.items()}
        return _replaced(self.population.trust, trust, self.authors), _replaced(
            self.population.likes, items, self.authors
        )


def _with(stated: Stated, more: Stated, most: int) -> Stated:
    """Return a list with what came last added; where a record would be too long the weakest of the rest go."""
    room = max(0, most - len(more))
    kept = sorted(stated, key=lambda target: -stated[target])[:room] if len(stated) > room else stated
    return {target: stated[target] for target in kept if target not in more} | dict(list(more.items())[:most])


def _listed(edges: Edges, author: int) -> tuple[list[int], list[int]]:
    targets, levels = edges.row(author)
    return targets.tolist(), levels.tolist()


def _replaced(edges: Edges, rows: Mapping[int, Stated], authors: int) -> Edges:
    """Return edges over more authors, with some rows replaced."""
    source = edges.sources()
    kept = ~np.isin(source, np.fromiter(rows, np.int64, len(rows)))
    extra = [(author, target, level) for author, row in rows.items() for target, level in sorted(row.items())]
    added: Ints = np.array(extra, np.int64).reshape(-1, 3)
    source = np.concatenate([source[kept], added[:, 0]])
    target = np.concatenate([edges.targets[kept], added[:, 1]])
    level = np.concatenate([edges.levels[kept], added[:, 2].astype(np.int8)])
    order = np.argsort(source, kind="stable")
    bounds = np.searchsorted(source[order], np.arange(authors + 1))
    return Edges(bounds, target[order], level[order])

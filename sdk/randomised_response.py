r"""Randomised answers about items: what they hide, by how much, and how they are drawn.

Warner (JASA 1965) let a coin decide whether a person answers truthfully; RAPPOR (Erlingsson, Pihur and Korolova, CCS
2014) fixed the answer for good, so that asking again averages nothing out. Here the question is "does the person like
item x?", a liked item is told with probability p, another with probability q, and

    q = max(p · e^−ε,  1 − (1 − p) · e^ε),    so that    p / q ≤ e^ε    and    (1 − q) / (1 − p) ≤ e^ε:

whichever the answer, it is at most e^ε times as likely under one truth as under the other. The asymmetry (p = 1/2, as
in optimised unary encoding, Wang et al., USENIX Security 2017) is what makes it bearable: most items are not liked, and
each of them is told with probability q only.

**Histories grow.** An answer that is fixed per value, as in RAPPOR, tells everything on the day the value changes: an
item that turns up late can only be a true one. So an item is asked about ONCE in `renew_days` days, at a time that
does not depend on the history (half of the items at once, the others spread evenly over `renew_days` days), and the
answer stands until it is asked about again. Any two histories that differ in the events of one item, published from
at the same times, therefore give every sequence of records within `renew_days` days with probabilities within a factor
e^ε of each other; over n times that long within e^(nε). Which of the answered items fit into a record is decided by
keyed coins alone, so it adds nothing (post-processing). Told items have one level and the day of their answer.

**Coins.** All chances come from HMAC-SHA256 under a secret of the device, of community, item and turn: the same on
every restart and after restoring a backup. So the bound is computational: it holds as far as HMAC-SHA256 is a
pseudorandom function.

**What ε does not cover**: vouches; when a device publishes; the policy itself and its lists; taking an item back by
hand; k items together (kε); and what follows from other items that people like along with this one.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

TOLD_LEVEL = 2  # of every item that is told under ε: a level of its own would tell more
_MOST_ASKED = 10_000
_BITS = 64
_ONE = 1 << _BITS


class Coins(Protocol):
    """The chances of a device, the same whenever they are asked for."""

    def coin(self, key: bytes, turn: int) -> int:
        """Return a number below 2^64, uniform over items and turns, that decides an answer."""
        ...

    def wait(self, key: bytes, days: int) -> int:
        """Return after how many days, 0 to `days` − 1, an item is asked about for the first time."""
        ...

    def order(self, key: bytes) -> bytes:
        """Return what answered items are sorted by where not all fit."""
        ...


class KeyedCoins:
    """Coins from HMAC-SHA256 under a secret.

    Args:
        secret: 32 bytes of the device, another for each community.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._places: dict[bytes, int] = {}  # asked for at every publication

    def _draw(self, purpose: bytes, content: bytes) -> bytes:
        return hmac.digest(self._secret, b"meritrec/" + purpose + b"/1\0" + content, hashlib.sha256)

    def coin(self, key: bytes, turn: int) -> int:
        """Return the coin of an item's answer number `turn`."""
        return int.from_bytes(self._draw(b"answer", turn.to_bytes(8, "big") + key)[:8], "big")

    def wait(self, key: bytes, days: int) -> int:
        """Return 0 for half of the items; the others wait, evenly spread."""
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = int.from_bytes(self._draw(b"wait", key)[:8], "big")
        return max(0, 2 * place - _ONE) * days >> _BITS

    def order(self, key: bytes) -> bytes:
        """Return 32 bytes."""
        return self._draw(b"order", key)


@dataclass(frozen=True, slots=True)
class RandomisedResponse:
    """The chances of an answer.

    Attributes:
        epsilon: ε of one answer.
        truth: p, the chance that a liked item is told.
    """

    epsilon: float
    truth: float = 0.5

    @property
    def thresholds(self) -> tuple[int, int]:
        """Coins below the first tell a liked item, coins below the second any item; rounded so that ε holds exactly."""
        liked = int(self.truth * _ONE)
        p = liked / _ONE
        q = max(p * math.exp(-self.epsilon), 1 - (1 - p) * math.exp(self.epsilon))
        # Rounded up by more than a double's error, so that neither ratio exceeds e^ε.
        return liked, min(liked, math.ceil(q * _ONE * (1 + 1e-15)) + (1 << 12))

    @property
    def lie(self) -> float:
        """q, the chance that an item is told which the person does not like."""
        return self.thresholds[1] / _ONE

    @property
    def advantage(self) -> float:
        """P − q: what the best guess from one answer gains, true minus false positives; at most `advantage_bound`."""
        liked, other = self.thresholds
        return (liked - other) / _ONE

    def domain_size(self, made_up: float) -> int:
        """Return about how many items answers may be given so that `made_up` of them are told wrongly, on average.

        At most 10,000, however large ε: each costs a row on the device, and a coin whenever it is asked about.
        """
        return min(_MOST_ASKED, max(1, int(made_up / self.lie)))

    def tells(self, coin: int, liked: bool) -> bool:
        """Return the answer that a coin gives."""
        return coin < self.thresholds[not liked]


def advantage_bound(epsilon: float) -> float:
    """Return the most that any test of ε-differentially private output gains, true minus false positives.

    (e^ε − 1) / (e^ε + 1): Kairouz, Oh and Viswanath (ICML 2015), the point of their region where both rates balance.
    """
    return math.tanh(epsilon / 2)


def true_positive_bound(epsilon: float, false_positive: float) -> float:
    """Return the most true positives that any such test has at a share of false positives (the same region's edge)."""
    return min(math.exp(epsilon) * false_positive, 1 - math.exp(-epsilon) * (1 - false_positive), 1.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered about an item.

    Attributes:
        told: whether it is told.
        day: when it was asked, in days since 1970.
        turn: how many answers came before this one.
        spent: sum of the ε of all answers so far.
    """

    told: bool
    day: int
    turn: int
    spent: float


@dataclass(frozen=True, slots=True)
class Questions:
    """When items are asked about.

    Attributes:
        began: day of the first publication under ε, in days since 1970.
        renew_days: days after which an item is asked about again.
    """

    began: int
    renew_days: int

    def due(self, key: bytes, last: Answer | None, coins: Coins) -> int:
        """Return the day from which on an item is to be asked about."""
        if last is None:
            return self.began + coins.wait(key, self.renew_days)
        return last.day + self.renew_days


def new_answers(
    domain: Iterable[bytes],
    liked: Collection[bytes],
    answers: Mapping[bytes, Answer],
    response: RandomisedResponse,
    questions: Questions,
    coins: Coins,
    today: int,
) -> dict[bytes, Answer]:
    """Ask about the items that are due, and return their answers.

    Args:
        domain: keys of the items that answers are given about, chosen without looking at the history.
        liked: keys of the items that the person likes now.
        answers: what was answered before.
        response: the chances.
        questions: the times.
        coins: the device's.
        today: days since 1970.
    """
    given = {}
    for key in domain:
        last = answers.get(key)
        if questions.due(key, last, coins) <= today:
            turn = 0 if last is None else last.turn + 1
            spent = response.epsilon + (0.0 if last is None else last.spent)
            given[key] = Answer(response.tells(coins.coin(key, turn), key in liked), today, turn, spent)
    return given

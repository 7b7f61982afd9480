"""What a simulation is told: who is there, how the network behaves, who attacks, what is measured.

Plain frozen dataclasses with their bounds beside each field; `scenario_file` reads them from TOML and reports every
mistake with its line. Times are virtual: days and hours of the simulated network.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from sdk.social import NEAR

Fidelity = Literal["protocol", "rank"]
Source = Literal["generated", "lastfm", "movielens"]
AttackKind = Literal[
    "sybil",
    "popular-item-hijack",
    "slow-farmer",
    "hijacked-friend",
    "whitewasher",
    "equivocator",
    "flooder",
    "eclipse",
    "profile-pollution",
]
Wiring = Literal["parallel", "chain", "cycle", "clique"]

MAX_PROTOCOL_PEERS = 20_000


def bounded(default: Any, low: float, high: float) -> Any:
    """Return a field whose numbers lie from `low` to `high`."""
    return field(default=default, metadata={"range": (low, high)})


@dataclass(frozen=True, slots=True)
class PopulationConfig:
    """The honest people.

    Attributes:
        source: made up (groups of taste, Zipf items), or listening data with friendships, or ratings from which trust
            follows taste.
        data: folder of the data, for a source that reads any; relative to the scenario, or `MERITREC_DATA`/its name.
        peers: how many people; of data, at most as many are taken.
        items: how many items exist (generated).
        groups: groups of taste (generated).
        friends: mean number of people whom one trusts.
        likes: mean number of items that one likes.
        locality: share of friends and likes from one's own group (generated).
        zipf: exponent of the popularity of items within a group and of people (generated).
        drift: share of everybody's likes that is replaced each day, from the same tastes.
        hidden: share of everybody's likes that is never published and never known to the device: what a good ranking
            finds.
    """

    source: Source = "generated"
    data: str = ""
    peers: int = bounded(300, 2, 1_000_000)
    items: int = bounded(2_000, 1, 10_000_000)
    groups: int = bounded(10, 1, 100_000)
    friends: float = bounded(8.0, 0.5, 32.0)
    likes: float = bounded(20.0, 1.0, 64.0)
    locality: float = bounded(0.9, 0.0, 1.0)
    zipf: float = bounded(0.8, 0.0, 3.0)
    drift: float = bounded(0.0, 0.0, 1.0)
    hidden: float = bounded(0.2, 0.0, 0.9)


@dataclass(frozen=True, slots=True)
class PartitionConfig:
    """A time in which part of the network cannot reach the rest.

    Attributes:
        start_h: virtual hour at which it begins.
        hours: how long it lasts.
        share: of the peers on the smaller side.
    """

    start_h: float = bounded(0.0, 0.0, 24_000.0)
    hours: float = bounded(1.0, 0.0, 24_000.0)
    share: float = bounded(0.5, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Links and devices (protocol fidelity).

    Attributes:
        neighbours: connections that a device seeks, to those whom its person trusts first.
        latency_ms: least and most, drawn evenly.
        loss: share of messages lost.
        tick_s: how often a device looks after its connections.
        arrive_h: devices join evenly over so many hours.
        online: share of the time that a phone is reachable.
        session_h: mean hours between going away and coming back, if `online` is below 1.
        partitions: see there.
        communities: parts that are simulated side by side, each by a process or actor of its own where there are
            several. Messages between them arrive at whole multiples of `batch_s`; so this is part of the scenario,
            and how many processes there are is not.
        batch_s: see there.
    """

    neighbours: int = bounded(6, 1, 64)
    latency_ms: tuple[float, float] = bounded((20.0, 300.0), 0.0, 60_000.0)
    loss: float = bounded(0.0, 0.0, 0.9)
    tick_s: float = bounded(30.0, 0.25, 3_600.0)
    arrive_h: float = bounded(0.0, 0.0, 24_000.0)
    online: float = bounded(1.0, 0.01, 1.0)
    session_h: float = bounded(2.0, 0.05, 240.0)
    partitions: tuple[PartitionConfig, ...] = ()
    communities: int = bounded(1, 1, 256)
    batch_s: float = bounded(1.0, 0.01, 60.0)


@dataclass(frozen=True, slots=True)
class SharingConfig:
    """What shares of the people publish their likes, or their likes and whom they trust; the rest publishes nothing.

    Attributes:
        items: share with the policy `items`.
        network: share with the policy `network`.
    """

    items: float = bounded(0.2, 0.0, 1.0)
    network: float = bounded(0.7, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class TrustConfig:
    """The walks of every device; see `trust.MeritRankConfig` and `trust.SalsaConfig`.

    Attributes:
        alpha: probability of stopping before each step of the walk over peers.
        item_alpha: the same for the walk over items.
        beta: strength of connectivity decay; 0 turns it off.
        walks: of either kind, per device.
        trust_weighted: False is vanilla SALSA, the baseline in experiments.
    """

    alpha: float = bounded(NEAR, 0.01, 0.99)
    item_alpha: float = bounded(0.15, 0.01, 0.99)
    beta: float = bounded(0.8, 0.0, 1.0)
    walks: int = bounded(3_000, 10, 1_000_000)
    trust_weighted: bool = True


@dataclass(frozen=True, slots=True)
class AttackConfig:
    """One kind of adversary; several may stand in one scenario.

    Attributes:
        kind: what it does.
        wiring: how Sybils vouch for each other.
        share: attackers' identities, as a share of the honest peers.
        fooled: share of the honest people who vouch for an attacker: the attack edges.
        spam_items: items that only attackers push.
        start_day: when it begins; farmers and hijacked friends are honest before.
        every_day: identities are given up and new ones made, or records signed twice, once in so many days.
    """

    kind: AttackKind = "sybil"
    wiring: Wiring = "parallel"
    share: float = bounded(0.3, 0.0, 10.0)
    fooled: float = bounded(0.02, 0.0, 1.0)
    spam_items: int = bounded(3, 1, 64)
    start_day: int = bounded(0, 0, 10_000)
    every_day: int = bounded(1, 1, 10_000)


@dataclass(frozen=True, slots=True)
class MeasureConfig:
    """What is looked at.

    Attributes:
        every_h: virtual hours between two looks.
        egos: honest people whose rankings are judged, drawn once.
        k: length of the judged lists.
        alphas, betas: further settings with which the last day is ranked again, for the trade between trust and
            relevance.
    """

    every_h: float = bounded(24.0, 0.25, 24_000.0)
    egos: int = bounded(50, 1, 1_000_000)
    k: int = bounded(10, 1, 100)
    alphas: tuple[float, ...] = bounded((), 0.01, 0.99)
    betas: tuple[float, ...] = bounded((), 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole simulation; the same scenario gives the same report, byte for byte.

    Attributes:
        name: for the report's title.
        text: one sentence on what is asked, for the report.
        seed: decides every draw.
        days: virtual days.
        fidelity: `protocol` sends every message; `rank` only ranks, for networks that are too large for that.
        population, network, sharing, trust, measure: see there.
        attacks: the adversaries.
    """

    name: str = "scenario"
    text: str = ""
    seed: int = bounded(0, 0, 2**63 - 1)
    days: int = bounded(1, 1, 10_000)
    fidelity: Fidelity = "protocol"
    population: PopulationConfig = field(default_factory=PopulationConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    sharing: SharingConfig = field(default_factory=SharingConfig)
    trust: TrustConfig = field(default_factory=TrustConfig)
    measure: MeasureConfig = field(default_factory=MeasureConfig)
    attacks: tuple[AttackConfig, ...] = ()

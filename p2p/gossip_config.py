"""Pace and limits of the gossip protocol."""

from __future__ import annotations

from dataclasses import dataclass, field

from p2p.messages import MAX_ANNOUNCED, MAX_ENTRIES
from p2p.quota import Rate
from p2p.standing import StandingConfig


@dataclass(frozen=True, slots=True)
class GossipConfig:
    """Pace and limits.

    Attributes:
        anti_entropy_s: first time between comparisons with a random peer; it doubles while nothing is found.
        anti_entropy_max_s: longest time between them.
        compare_gap_s: least time between two comparisons with the same peer.
        poke_after_s: time that push has before stores are compared because of news.
        pull_gap_s: time between two pulls from one peer, in which announcements gather to be asked for together: at
            first, and in a storm of them.
        retry_s: time before the second try to pull a record from a peer; it doubles with each.
        own_retry_s: time before the second question for the own version to a peer that has not answered; it doubles.
        max_tries: tries to pull an announced record from one peer.
        max_ahead_s: records issued further in the future are refused.
        refused_s: for how long a record that was refused or evicted is not pulled again.
        messages: how many announcements and requests are taken from one peer.
        served: how many bytes are answered to one peer.
        updates: how often one author may publish.
        announce_gap_s: time in which records gather to be announced together.
        announced_at_once: entries announced at a time at most, because bursts get lost.
        max_claims: records that one peer may say to have, kept at once.
        standing: when a peer is shut out.
    """

    anti_entropy_s: float = 5.0
    anti_entropy_max_s: float = 600.0
    compare_gap_s: float = 0.5
    poke_after_s: float = 1.0
    pull_gap_s: tuple[float, float] = (0.25, 2.0)
    retry_s: float = 0.25
    own_retry_s: float = 2.0
    max_tries: int = 10
    max_ahead_s: float = 600.0
    refused_s: float = 600.0
    messages: Rate = field(default_factory=lambda: Rate(burst=400, per_s=50))
    served: Rate = field(default_factory=lambda: Rate(burst=64 << 20, per_s=1 << 20))
    updates: Rate = field(default_factory=lambda: Rate(burst=20, per_s=1 / 60))
    announce_gap_s: float = 0.25
    announced_at_once: int = 4 * MAX_ANNOUNCED
    max_claims: int = MAX_ENTRIES
    standing: StandingConfig = field(default_factory=StandingConfig)

"""What people state on a day fits into a record, whatever attackers talk them into."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sdk.simulation.course import Course
from sdk.simulation.population import MOST_FRIENDS, MOST_LIKES
from sdk.simulation.rank import Ranker
from sdk.simulation.scenario import AttackConfig, PopulationConfig, Scenario

CROWDED = Scenario(
    population=PopulationConfig(peers=60, groups=2, items=300, friends=32.0, likes=64.0, hidden=0.0),
    attacks=(
        AttackConfig(share=0.1, fooled=1.0),
        AttackConfig(kind="profile-pollution", fooled=1.0, spam_items=5),
    ),
)


def test_who_is_fooled_gives_up_the_weakest_friend_for_the_attacker() -> None:
    before = Course(replace(CROWDED, attacks=()), Path()).world(0)
    after = Course(CROWDED, Path()).world(0)
    full = 0
    for person in range(60):
        old, new = before.known_to(person), after.known_to(person)
        fooled = set(after.attackers.vouches[person])
        assert fooled <= set(new.trust)
        assert len(new.trust) == min(MOST_FRIENDS, len(old.trust) + len(fooled))
        gone = set(old.trust) - set(new.trust)
        if gone:
            full += 1
            assert max(old.trust[peer] for peer in gone) <= min(old.trust[peer] for peer in set(old.trust) - gone)
        assert len(new.items) == min(MOST_LIKES, len(old.items) + 5)
        assert set(after.attackers.pollution[person]) <= set(new.items)
    assert full  # there were people with as many friends as a record holds


def test_a_crowded_network_is_ranked() -> None:
    course = Course(CROWDED, Path())
    ranker = Ranker(CROWDED, course.world(0), course.policies)
    assert ranker.judged(int(course.egos[0]), 24.0).listed


def test_who_was_judged_before_changes_nothing() -> None:
    def ranker() -> Ranker:
        course = Course(CROWDED, Path())
        return Ranker(CROWDED, course.world(0), course.policies)

    alone, after = ranker(), ranker()
    for person in range(59):
        after.judged(person, 24.0)
    assert after.judged(59, 24.0) == alone.judged(59, 24.0)

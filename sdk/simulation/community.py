"""One community: its part of the world, its devices, and what a look at them finds.

Whoever runs communities, one after the other in a process or side by side on many machines, only passes messages and
times between them: what a community does depends on the scenario, its number and the messages that come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from p2p import SignedRecord
from sdk.simulation.course import Course
from sdk.simulation.device import DAY_S, Device, signed_statement, social_config
from sdk.simulation.judge import Verdict, item_numbers, judge, reached_by
from sdk.simulation.keys import Keys
from sdk.simulation.scenario import Scenario
from sdk.simulation.shard import START, Event, Shard
from sdk.simulation.world import Statement, World

HOSTS = 3  # machines that an attacker runs, whatever the number of its identities
_LOOK_EVERY_S = 6 * 3600.0  # how often a device walks over its peers again


@dataclass(frozen=True, slots=True)
class Traffic:
    """One device up to one moment.

    Attributes:
        hour: virtual hours since the start.
        device: its number.
        online: whether it is reachable now.
        bytes_in, bytes_out: since the start, without the transport's own.
        records: how many it holds.
        known: share of the people who publish whose latest record it holds.
        refused: messages and records that it refused.
        memory: bytes of its records and walks.
    """

    hour: float
    device: int
    online: bool
    bytes_in: int
    bytes_out: int
    records: int
    known: float
    refused: int
    memory: int


class Community:
    """The devices of one community.

    Args:
        scenario: which.
        beside: the folder that relative paths of data begin at.
        number: of this community, below `scenario.network.communities`.
    """

    def __init__(self, scenario: Scenario, beside: Path, number: int) -> None:
        self._scenario = scenario
        self._course = course = Course(scenario, beside)
        self._keys = Keys(scenario.seed, course.authors, course.items)
        self._hosts = [block[: min(HOSTS, len(block))] for block in course.adversaries.blocks()]
        self.home = _homes(course, self._hosts, scenario.network.communities)
        self._world = course.world(0)
        self._latest: dict[int, SignedRecord] = {}
        self.shard = Shard(scenario.network, scenario.seed, _sides(scenario, course.people))
        mine = [author for author in self._present() if self.home[author] == number]
        # An eclipse takes every connection of its victims, also those that others would open to them.
        self._surrounded = {person: self._hosts[place] for person, place in course.adversaries.surrounded()}
        joins = np.random.default_rng((scenario.seed, 6)).random(course.authors) * scenario.network.arrive_h * 3600.0
        for author in mine:
            policy = course.policies[author] if author < course.people else "network"
            device = Device(author, self._keys, scenario.trust, self.shard.clock, scenario.seed, policy)
            wanted = self._surrounded.get(author) or self._neighbours(author)
            self.shard.add(device, wanted, START + float(joins[author] if author < course.people else 0.0))
        self._devices = {author: self.shard.present[author].device for author in mine}
        self._looked = START

    def _present(self) -> list[int]:
        """Numbers that are devices: all people, and the machines of attackers."""
        return [*range(self._course.people), *(host for block in self._hosts for host in block)]

    def _neighbours(self, author: int) -> list[int]:
        """Whom a device connects to: those it trusts, then those whom they trust, then anyone."""
        half = max(1, (self._scenario.network.neighbours + 1) // 2)  # as many connect to it
        rng = np.random.default_rng((self._scenario.seed, 7, author))
        people = self._course.people
        if author >= people:
            return sorted(rng.permutation(people)[: self._scenario.network.neighbours].tolist())  # whoever answers
        trust = self._world.population.trust
        near = rng.permutation(trust.row(author)[0]).tolist()
        far = [other for friend in near for other in trust.row(friend)[0].tolist()]
        anyone = rng.integers(0, people, 4 * half).tolist()
        closed = {author, *self._surrounded}
        wanted = [other for other in dict.fromkeys([*near, *far, *anyone]) if other not in closed]
        return wanted[:half]

    # -- time ------------------------------------------------------------------------------------

    def begin_day(self, day: int) -> None:
        """Let everybody know what the day brings; the people publish at times of their own."""
        self._world = world = self._course.world(day)
        start = START + day * DAY_S
        for author, device in self._devices.items():
            device.misbehaviour = world.attackers.misbehaviour.get(author)
            self.shard.perform(author, ())  # what it does from now on may be more than what it slept through
            if author < self._course.people:
                stated = world.stated_by(author)
                assert stated is not None
                if device.know(world.known_to(author), stated):
                    at = start if day == 0 else start + float(device.rng.random()) * DAY_S
                    self.shard.publish_at(author, at)
        self._attackers_publish(world, start)

    def _attackers_publish(self, world: World, now: float) -> None:
        """Each attacker's machines pass on what its identities state."""
        for block, hosts in zip(self._course.adversaries.blocks(), self._hosts, strict=True):
            mine = [host for host in hosts if host in self._devices]
            if not mine:
                continue
            stated = [(identity, world.attackers.statements.get(identity)) for identity in block]
            for place, host in enumerate(hosts):
                if host in self._devices:
                    records = [self._attacking(i, s, world, now, place) for i, s in stated if s is not None]
                    self.shard.perform(host, self._devices[host].core.relay(records))

    def _attacking(self, identity: int, statement: Statement, world: World, now: float, place: int) -> SignedRecord:
        """Sign for an attacker's identity; who equivocates tells each machine something else under one version."""
        version = world.day + 1
        if place and world.attackers.misbehaviour.get(identity) == "equivocate":
            statement = Statement(statement.trust, dict(list(statement.items.items())[place:]))
        return signed_statement(statement, self._keys.identity(identity), self._keys, version, now)

    def run(self, until: float, events: Sequence[Event], earliest: float) -> tuple[list[Event], float]:
        """Let time pass.

        Args:
            until: virtual Unix seconds; what happens before is done.
            events: messages of other communities.
            earliest: when the first of them may happen.

        Returns:
            Messages for other communities, and when something happens next here.
        """
        self.shard.deliver(events, earliest)
        while self._looked + _LOOK_EVERY_S <= until:
            self._looked += _LOOK_EVERY_S
            self.shard.run(self._looked)
            self._look_around()
        self.shard.run(until)
        outbox, self.shard.outbox = self.shard.outbox, []
        return outbox, self.shard.next_time()

    def _look_around(self) -> None:
        for author, device in self._devices.items():
            if author < self._course.people and self.shard.present[author].online:
                device.look_around()
                self.shard.perform(author, ())  # it may want other records now

    # -- looking ---------------------------------------------------------------------------------

    def look(self, hour: float) -> tuple[list[Verdict], list[Traffic]]:
        """Judge the rankings of the chosen people who live here, and count everyone's traffic."""
        egos = [ego for ego in self._course.egos.tolist() if ego in self._devices]
        traffic = [self._traffic(author, hour) for author in self._devices if author < self._course.people]
        return [self._judged(ego, hour) for ego in egos], traffic

    def _judged(self, ego: int, hour: float) -> Verdict:
        view = self._devices[ego].social.view()
        known = self._world.known_to(ego)
        config = social_config(self._scenario.trust).peers
        numbers = self._keys.number
        scores = {numbers[score.peer]: score.score for score in view.peers.scores if isinstance(score.peer, bytes)}
        items = item_numbers(view.items, self._keys.item_number, set(known.items))
        reached = reached_by(view.peers, config.walks, numbers)
        return judge(ego, items, scores, reached, self._world, config, self._scenario.measure.k, hour)

    def _traffic(self, author: int, hour: float) -> Traffic:
        present = self.shard.present[author]
        refused = sum(present.device.core.counters.rejected.values())
        publishing = [other for other, policy in enumerate(self._course.policies) if policy != "private"]
        entries = (present.device.store.entry(self._keys.peers[other]) for other in publishing if other != author)
        held = sum(entry is not None for entry in entries)
        return Traffic(
            hour,
            author,
            present.online,
            self.shard.received[author],
            self.shard.sent[author],
            len(present.device.store),
            held / max(1, len(publishing) - (author in publishing)),
            refused,
            present.device.store.n_bytes + present.device.social.n_bytes,
        )


def _homes(course: Course, hosts: Sequence[Sequence[int]], communities: int) -> list[int]:
    """Give people who are numbered next to each other one community, and attackers' machines one after the other."""
    home = [person * communities // course.people for person in range(course.people)]
    home += [0] * (course.authors - course.people)
    for number, host in enumerate(host for block in hosts for host in block):
        home[host] = number % communities
    return home


def _sides(scenario: Scenario, people: int) -> list[frozenset[int]]:
    """Draw who is on the smaller side of each partition."""
    sides = []
    for number, partition in enumerate(scenario.network.partitions):
        rng = np.random.default_rng((scenario.seed, 8, number))
        sides.append(frozenset(rng.permutation(people)[: round(partition.share * people)].tolist()))
    return sides

"""The protocol engine: one result for any engine, interrupted or not; the same ranking as rank fidelity finds."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from sdk.simulation.adversaries import wired
from sdk.simulation.course import Course
from sdk.simulation.engines import ProcessPool, one_process
from sdk.simulation.errors import RunInvalid
from sdk.simulation.judge import mean_of
from sdk.simulation.protocol import Progress, Workers, simulate
from sdk.simulation.rank import judge_all, look_hours
from sdk.simulation.scenario import AttackConfig, NetworkConfig, PartitionConfig, Scenario, SharingConfig
from sdk.simulation.snapshots import read_snapshot

HERE = Path()


def _run(scenario: Scenario, workers: Workers | None = None) -> Progress:
    workers = workers or one_process(scenario, HERE)
    try:
        return simulate(scenario, workers, Progress(), lambda _: None)
    finally:
        workers.close()


def test_everybody_learns_what_is_published(tiny: Scenario) -> None:
    found = _run(tiny)
    last = [row for row in found.traffic if row.hour == 24.0]
    assert len(last) == tiny.population.peers
    assert all(row.known == 1.0 and row.online for row in last)
    assert all(row.bytes_in > 0 and row.bytes_out > 0 for row in last)
    assert [verdict.hour for verdict in found.verdicts] == [12.0] * 5 + [24.0] * 5


def test_every_byte_sent_arrives_once(tiny: Scenario) -> None:
    # Copies of broadcasts that would be thrown away are counted, not delivered.
    found = _run(replace(tiny, attacks=(), network=replace(tiny.network, communities=1)))
    last = [row for row in found.traffic if row.hour == 24.0]
    sent, received = sum(row.bytes_out for row in last), sum(row.bytes_in for row in last)
    assert received <= sent
    assert sent - received < 0.03 * sent  # what came over connections that the other side did not know of yet


@pytest.mark.slow
def test_processes_change_nothing(tiny: Scenario) -> None:
    one, two = _run(tiny), _run(tiny, ProcessPool(tiny, HERE, 2))
    assert one.verdicts == two.verdicts
    assert one.traffic == two.traffic


@pytest.mark.slow
def test_ray_changes_nothing(tiny: Scenario) -> None:
    pytest.importorskip("ray", reason="Ray has no wheel for this Python or platform")
    from sdk.simulation.ray_engine import RayActors

    one, actors = _run(tiny), _run(tiny, RayActors(tiny, HERE))
    assert one.verdicts == actors.verdicts
    assert one.traffic == actors.traffic


class Enough(Exception):
    """Stops a simulation between two steps."""


@pytest.mark.parametrize("stop_after_h", [1, 13])
def test_a_simulation_that_was_stopped_ends_the_same(tiny: Scenario, stop_after_h: int) -> None:
    lively = replace(tiny, network=replace(tiny.network, online=0.7, loss=0.05))
    whole = _run(lively)
    workers, progress, kept = one_process(lively, HERE), Progress(), []

    def told(now: Progress) -> None:
        if now.now - 1_700_006_400.0 >= stop_after_h * 3600.0:
            kept.append(pickle.dumps((now, workers.snapshot())))
            raise Enough

    with pytest.raises(Enough):
        simulate(lively, workers, progress, told)
    again, snapshots = read_snapshot(kept[0])  # type: ignore[misc]  # what was kept just now
    resumed = simulate(lively, one_process(lively, HERE, snapshots), again, lambda _: None)
    assert resumed.verdicts == whole.verdicts
    assert resumed.traffic == whole.traffic


def test_both_fidelities_agree(tiny: Scenario) -> None:
    scenario = replace(
        tiny,
        attacks=(),
        sharing=SharingConfig(items=0.3, network=0.6),
        trust=replace(tiny.trust, walks=20_000),
        network=replace(tiny.network, communities=1),
        measure=replace(tiny.measure, every_h=24.0, egos=16),
    )
    protocol = _run(scenario).verdicts
    places = [(hour, verdict.ego) for hour in look_hours(scenario) for verdict in protocol]
    rank = list(judge_all(Course(scenario, HERE), places, 1))
    assert [verdict.ego for verdict in rank] == [verdict.ego for verdict in protocol]
    # Different draws: single places of a list may change, the means hardly.
    for name in ("ndcg", "recall"):
        assert mean_of(rank, name) == pytest.approx(mean_of(protocol, name), abs=0.06)
    assert mean_of(protocol, "recall") > 0.1


def test_a_partition_keeps_records_apart_and_heals(tiny: Scenario) -> None:
    cut = NetworkConfig(tick_s=600.0, partitions=(PartitionConfig(start_h=0.0, hours=13.0, share=0.5),))
    found = _run(replace(tiny, attacks=(), network=cut))
    before = [row.known for row in found.traffic if row.hour == 12.0]
    after = [row.known for row in found.traffic if row.hour == 24.0]
    assert max(before) < 0.75
    assert min(after) == 1.0


def test_the_eclipsed_learn_nothing(tiny: Scenario) -> None:
    attack = AttackConfig(kind="eclipse", share=0.2, fooled=0.25)
    found = _run(replace(tiny, attacks=(attack,), sharing=SharingConfig(items=0.0, network=1.0)))
    known = sorted(row.known for row in found.traffic if row.hour == 24.0)
    assert known[:4] == [0.0] * 4
    assert min(known[4:]) > 0.5


def test_equivocators_are_convicted(tiny: Scenario) -> None:
    attack = AttackConfig(kind="equivocator", share=0.3, fooled=0.5)
    found = _run(replace(tiny, attacks=(attack,)))
    last = [verdict for verdict in found.verdicts if verdict.hour == 24.0]
    # Whom people vouch for keeps that trust; what it says, and whom it vouches for, is dropped.
    assert mean_of(last, "spam") == 0.0
    assert max(verdict.gain for verdict in last) == 0.0
    assert mean_of(last, "attackers") > 0.0


def test_floods_are_refused_and_do_not_stop_the_rest(tiny: Scenario) -> None:
    attack = AttackConfig(kind="flooder", share=0.1, fooled=0.2)
    found = _run(replace(tiny, attacks=(attack,)))
    last = [row for row in found.traffic if row.hour == 24.0]
    assert all(row.known == 1.0 for row in last)
    assert sum(row.refused for row in last) > 100


def test_attackers_cannot_exceed_the_bound(tiny: Scenario) -> None:
    for wiring in ("parallel", "chain", "cycle", "clique"):
        attack = AttackConfig(wiring=wiring, share=2.0, fooled=0.3)
        scenario = replace(tiny, attacks=(attack,), trust=replace(tiny.trust, walks=3_000))
        scenario = replace(scenario, fidelity="rank")
        for verdict in judge_all(Course(scenario, HERE), [(24.0, ego) for ego in range(6)], 1):
            assert verdict.gain <= verdict.bound * 1.1  # what sampling may add


@pytest.mark.parametrize("wiring", ["parallel", "chain", "cycle", "clique"])
@pytest.mark.parametrize("size", [1, 2, 33, 34, 200])
def test_crowds_fit_into_records(wiring: str, size: int) -> None:
    crowd = wired(list(range(size)), wiring)  # type: ignore[arg-type]
    assert set(crowd) == set(range(size))
    assert all(len(trust) <= 32 and author not in trust for author, trust in crowd.items())
    reached, edge = {0}, [0]
    while edge:
        edge = list({other for author in edge for other in crowd[author]} - reached)
        reached.update(edge)
    assert reached == set(range(size))


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1 + 1",)


class Reaching:
    def __reduce__(self) -> tuple[object, tuple[object, str]]:
        return getattr, (Scenario(), "__class__")


@pytest.mark.parametrize("thing", [Evil(), Reaching(), print, pickle.loads])
def test_a_checkpoint_runs_no_code(thing: object) -> None:
    with pytest.raises(RunInvalid, match="does not belong"):
        read_snapshot(pickle.dumps(thing))


def test_a_damaged_checkpoint_is_named(tiny: Scenario) -> None:
    (first, *_) = one_process(tiny, HERE).snapshot()
    for broken in (b"", first[:-20], b"\x80\x05." + first):
        with pytest.raises(RunInvalid):
            one_process(tiny, HERE, [broken, broken])

"""`python -m benchmarks.blend --data FOLDER`: does one ranking out of two beat both, for whom, and under attack?

HetRec-2011 Last.FM: what people listen to, their friendships, tags with time. A third of the people, drawn, are
strangers to the server: nothing of theirs is in what the model, popularity and item-kNN learn from. Each of them is
asked five times: as a regular, four fifths of the artists known, and as a newcomer of whom 0, 1, 3 or 5 artists are
known to the device and the rest to nobody. Friends keep the lists that they publish. The model is the one that a device
runs, exported and quantised; the walks are the device's, and so is the blend. Its weights are learned from other people
than those they are tested on (five groups in turn); `--fit FILE` then learns from all of them and writes what the sdk
ships.

Lists, model and walks are kept in --out: an interrupted benchmark goes on where it was, and another look is free.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.blend_attack import Attacked, under_attack
from benchmarks.blend_fit import METHOD, Candidates, fit
from benchmarks.blend_friends import WALKS
from benchmarks.blend_lists import DEPTH, Lists, WalkJob, kept, walk_all
from benchmarks.blend_measures import TOP, Floats, compared, gains
from benchmarks.blend_models import (
    ModelSide,
    by_neighbours,
    by_popularity,
    config_of,
    model_side,
    propose,
)
from benchmarks.blend_people import Case, Ints, People, folds_of, load_people, make_cases
from benchmarks.blend_tables import attack_table, quality_table
from benchmarks.lastfm import DataMissing, file_hashes, find_folder
from sdk.blending import BlendConfig, Evidence, blend
from server_training.console import console, counting_bar

GROUPS = 5
_STRANGERS = 3  # one in so many is
BLEND_DEPTH = 50
"""How far down each list the blend looks, as `Recommender.recommend` does for ten items."""
PARTS = ("model", "friends")
FUSED = BlendConfig(weights=None)


@dataclass(frozen=True, slots=True)
class Asked:
    """The cases, and both sides' lists for them."""

    cases: Sequence[Case]
    model: Lists
    walks: Lists
    popularity: Lists
    neighbours: Lists


def main() -> None:
    """Run everything, print the tables, write results.json."""
    options = _parser().parse_args()
    try:
        folder = find_folder(options.data)
    except DataMissing as error:
        sys.exit(f"blend: {error}")
    people = load_people(folder, options.seed, options.people)
    cases = make_cases(people, options.seed)
    strangers = {key for key, number in folds_of(cases, _STRANGERS, options.seed).items() if number == 0}
    asked = _asked(options, folder, people, [case for case in cases if case.person in strangers], strangers)
    groups = folds_of(asked.cases, GROUPS, options.seed + 1)
    candidates = Candidates.of(asked.cases, asked.model, asked.walks, BLEND_DEPTH)
    group = np.array([groups[case.person] for case in asked.cases])
    learned = [fit(candidates.some(group != number), {}) for number in range(GROUPS)]
    configs = [BlendConfig(learned[number]) for number in group.tolist()]
    systems = _systems(asked, configs)
    rows = compared(systems, asked.cases, "blended", PARTS, options.seed)
    attack = _attack(options, people, asked, configs)
    found = {
        "files": file_hashes(folder),
        "seed": options.seed,
        "people": len(people.persons),
        "asked": len(strangers),
        "rows": [asdict(row) for row in rows],
        "attack": [asdict(row) for row in attack],
        "weights": [json.loads(weights.to_json()) for weights in learned],
    }
    (options.out / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        print(quality_table(rows))
        print(attack_table(attack))
    if options.fit is not None:
        options.fit.write_text(fit(candidates, _learned_from(folder, options, len(strangers))).to_json())
        console.print(f"weights learned from {len(strangers):,} people: {options.fit}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of hetrec-lastfm (default: MERITREC_DATA)")
    parser.add_argument("--out", type=Path, default=Path("blend-out"), help="(default: %(default)s)")
    parser.add_argument("--fit", type=Path, metavar="FILE", help="write weights learned from everyone who was asked")
    parser.add_argument("--people", type=int, help="take so many people only, for a quick look")
    parser.add_argument("--epochs", type=int, help="of the model (default: those of its configuration)")
    parser.add_argument("--attacked", type=int, default=100, help="people asked under attack (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes that walk (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    return parser


def _asked(
    options: argparse.Namespace, folder: Path, people: People, cases: Sequence[Case], strangers: set[int]
) -> Asked:
    config = config_of(options.epochs)
    server = model_side(people, strangers, options.out / "server", config)
    settings = {
        "files": file_hashes(folder),
        "seed": options.seed,
        "most": options.people,
        "depth": DEPTH,
        "walks": repr(WALKS),
    }
    lists = options.out / "lists"
    with counting_bar("asking the model") as bar:

        def of_model() -> Lists:
            found = []
            for done, (_, each) in enumerate(propose(people, server, cases, DEPTH), 1):
                found.append((each.items, each.scores, 0, 0))
                bar(done, len(cases))
            return Lists.of(found, DEPTH)

        model = kept(lists, {**settings, "what": "model", "digest": server.digest}, of_model)
    with counting_bar("walking") as bar:
        walks = walk_all(WalkJob(folder, options.seed, options.people), settings, cases, lists, options.workers, bar)
    known = [people.persons[case.person].artists[case.known] for case in cases]
    return Asked(cases, model, walks, _plain(by_popularity, server, known), _plain(by_neighbours, server, known))


def _plain(rank: Callable[[ModelSide, Ints, int], Ints], server: ModelSide, known: Sequence[Ints]) -> Lists:
    found = [rank(server, each, TOP) for each in known]
    return Lists.of([(items, np.zeros(len(items)), 0, 0) for items in found], TOP)


def _systems(asked: Asked, configs: Sequence[BlendConfig]) -> Mapping[str, Floats]:
    lists = {
        "popularity": _first(asked.popularity),
        "item-kNN": _first(asked.neighbours),
        "model": _first(asked.model),
        "friends": _first(asked.walks),
        "rank fusion": blended(asked.cases, asked.model, asked.walks, [FUSED] * len(asked.cases)),
        "blended": blended(asked.cases, asked.model, asked.walks, configs),
    }
    return {name: gains(each, asked.cases) for name, each in lists.items()}


def _first(lists: Lists) -> list[Ints]:
    return [lists.row(at, TOP)[0] for at in range(len(lists.items))]


def blended(cases: Sequence[Case], model: Lists, walks: Lists, configs: Sequence[BlendConfig]) -> list[Ints]:
    """The first ten of the sdk's own blend, for every case."""
    found = []
    for at, (case, config) in enumerate(zip(cases, configs, strict=True)):
        ours, theirs = (_pairs(lists, at) for lists in (model, walks))
        evidence = Evidence(len(case.known), int(walks.n_peers[at]), int(walks.n_hits[at]))
        found.append(np.array([b.item for b in blend(ours, theirs, evidence, config)[:TOP]], np.int64))
    return found


def _pairs(lists: Lists, at: int) -> list[tuple[int, float]]:
    items, scores = lists.row(at, BLEND_DEPTH)
    return list(zip(items.tolist(), scores.tolist(), strict=True))


def _attack(
    options: argparse.Namespace, people: People, asked: Asked, configs: Sequence[BlendConfig]
) -> list[Attacked]:
    chosen = set(list(dict.fromkeys(case.person for case in asked.cases))[: options.attacked])
    at = [place for place, case in enumerate(asked.cases) if case.person in chosen]
    cases = [asked.cases[place] for place in at]
    model = asked.model.some(at)
    mine = [configs[place] for place in at]
    with counting_bar("under attack") as bar:
        return under_attack(people, cases, lambda walks: blended(cases, model, walks, mine), options.seed, bar)


def _learned_from(folder: Path, options: argparse.Namespace, people: int) -> dict[str, object]:
    return {
        "data": "HetRec-2011 Last.FM",
        "files": file_hashes(folder),
        "people": people,
        "seed": options.seed,
        "date": datetime.now(UTC).date().isoformat(),
        "method": METHOD,
    }


if __name__ == "__main__":
    main()

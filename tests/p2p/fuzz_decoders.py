"""Fuzzes every decoder of bytes from peers, and the gossip core behind them, guided by coverage (atheris, libFuzzer).

    python -m tests.p2p.fuzz_decoders --runs 1000000 [--seed 1] [--max-len 65536]
    python -m tests.p2p.fuzz_decoders --target open_record --replay FILE

An input fails if anything is raised but the documented refusal, if it costs more than `MAX_BYTES` or `MAX_SECONDS`, or
if what was accepted does not survive the way back to bytes; it is kept for `--replay`. Most mutations know the format:
they change one field, encode the message again and sign changed bodies with a known key, so that the checks behind the
signature are reached too. Each target runs in a process of its own. A seed repeats a run only without address space
layout randomisation (`setarch -R`).
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FunctionType
from typing import Any

try:
    import atheris
except ImportError:
    sys.exit("fuzzing needs atheris, which has wheels for Linux on x86-64: pip install atheris==3.0.0")

# atheris 3.0.0 never frees what a traced comparison returned. Arrays add up, so these have only their branches traced.
ARRAYS = ["p2p.reconcile", "p2p.holdings"]

with atheris.instrument_imports(include=["p2p"], exclude=ARRAYS):
    import msgpack
    import numpy as np

    from p2p import Gossip, GossipConfig, RecordInvalid, RecordStore, Statement, handover, holdings, messages, record
    from p2p.effects import Broadcast, Disconnect, Effect, Request
    from p2p.messages import Announce, AskBodies, AskOwn, Compare, Entries, MoreCells, TellInterest, UnknownInterest
    from p2p.quota import Rate
    from p2p.reconcile import CELL_BYTES, MAX_CELLS, Cells, cells_of, peel
    from p2p.record import AdjacencyRecord, ItemEdge, TrustEdge, sign_record
    from p2p.statement import open_statement
    from p2p.store import Entry
    from p2p.transport import MAX_BROADCAST_BYTES, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES
    from tests.p2p.gossip_lab import ANN, BEN, ME, OTHER, PEER, START

for function in (found for module in ARRAYS for found in vars(sys.modules[module]).values()):
    if isinstance(function, FunctionType) and function.__module__ in ARRAYS:
        function.__code__ = atheris.patch_code(function.__code__, trace_dataflow=False)

MAX_BYTES = 64 << 20
MAX_SECONDS = 2.0  # of processor time, so that a busy machine fails nobody
HANG_S = 15  # of the wall: libFuzzer ends what does not return at all
_MEASURED = 64  # memory is traced for one input of so many; all of them run under a limit of address space
_SAME_RUN = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}

# -- valid messages, with which everything begins ----------------------------------------------------

PEOPLE = (ME, PEER, OTHER, ANN, BEN)
SIGNERS: dict[Any, Any] = {person.peer_id: person for person in PEOPLE}
DOMAINS = {2: b"meritrec/record/1\0", 3: b"meritrec/handover/1\0"}


def _signed(author: int, version: int, n_friends: int, n_items: int) -> record.SignedRecord:
    me = PEOPLE[author]
    friends = sorted(SIGNERS.keys() - {me.peer_id})[:n_friends]
    trust = tuple(TrustEdge(peer, 1 + i % 3) for i, peer in enumerate(friends))
    items = tuple(ItemEdge(bytes([i]) * 16, 1 + i % 3, 19_000 + i) for i in range(n_items))
    return sign_record(AdjacencyRecord(me.peer_id, version, record.round_issued_at(int(START)), trust, items), me)


# Of each author three records, of which the third contradicts the first.
RECORDS = [_signed(a, *rest) for a in range(5) for rest in ((1, 2, 3), (2, 0, 0), (1, 4, 64))]
HAND_OVERS = [handover.sign_hand_over(PEOPLE[a], PEOPLE[b]) for a, b in ((3, 4), (3, 2), (4, 1), (0, 1))]
STATEMENTS: list[Statement] = [*RECORDS, *HAND_OVERS]
bodies_of = messages.encode_bodies
WIRES = [said.to_bytes() for said in STATEMENTS]
ENTRIES: list[Entry] = [(said.author, said.version, said.digest) for said in STATEMENTS]
PROOF: Entry = (ANN.peer_id, record.EQUIVOCATED, bytes(32))
INTEREST = holdings.interest_of(SIGNERS)
MINE = holdings.interest_of([ME.peer_id, ANN.peer_id])
BOTH = [holdings.both(holdings.read_interest(INTEREST), holdings.read_interest(other))[0] for other in (None, MINE)]
IDS = np.random.default_rng(0).integers(0, 1 << 64, 200, dtype=np.uint64)

# What the format forbids and a careless reader of it pays for: nesting, and lengths without content.
HOSTILE = [header * 1000 for header in (b"\x91", b"\x81", b"\xdc\x2e\xe0", b"\xdc\x00\x40", b"\xdc\x00\x03")]
HOSTILE += [bytes([kind]) + b"\xff" * 4 for kind in (0xC6, 0xC9, 0xDB, 0xDD, 0xDF)]
HOSTILE += [b"\x96" + b"\x91" * 1000 + b"\x90\x01\x01\x01\x90\x90"]
HOSTILE += [msgpack.packb([HOSTILE[-1], bytes(64)]), msgpack.packb([1, [msgpack.packb([HOSTILE[-1], bytes(64)])]])]


def _table(ours: int, theirs: int, n_cells: int, nonce: int = 7) -> bytes:
    difference = cells_of(IDS[:ours], nonce, n_cells).minus(cells_of(IDS[100 : 100 + theirs], nonce, n_cells))
    return difference.to_bytes()


TABLES = [_table(*counts) for counts in ((0, 0, 1), (1, 0, 1), (5, 4, 16), (90, 90, 400))]
TELL = [messages.encode(TellInterest(told)) for told in (INTEREST, b"", None)]
COMPARE = [messages.encode(Compare(7, digest, table)) for digest in (b"", *BOTH) for table in TABLES]
ASK = [((ANN.peer_id, record.EQUIVOCATED),), tuple(entry[:2] for entry in ENTRIES)]
REQUESTS = [*TELL, *COMPARE, *(messages.encode(AskBodies(wanted)) for wanted in ASK), messages.encode(AskOwn())]
ANNOUNCEMENTS = [messages.encode(Announce(tuple(said))) for said in ([], ENTRIES[:1], ENTRIES, [PROOF])]
ANSWERS = (Entries(()), Entries(tuple(ENTRIES)), Entries((PROOF,)), MoreCells(64), UnknownInterest())
COMPARISONS = [messages.encode_comparison(answer) for answer in ANSWERS]
BODIES = [bodies_of(wires) for wires in ([], WIRES[:1], WIRES[9:12], WIRES)]
FRAGMENTS = [*SIGNERS, *WIRES, *TABLES, INTEREST, bytes(32), bytes(64), b""]


# -- mutations that know the format ------------------------------------------------------------------


class Mutator:
    """Changes one thing in a message and encodes it again, at whatever depth messages are nested in each other."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def mutated(self, data: bytes, max_size: int) -> bytes:
        """Return something near `data`."""
        chance, found = self._rng.random(), None
        if chance < 0.6:
            found = self._nested(data)
        elif chance < 0.61:
            place = self._rng.randint(0, len(data))
            found = data[:place] + self._rng.choice(HOSTILE) + data[place:]
        return bytes(atheris.Mutate(data, max_size)) if found is None else found[:max_size]

    def _nested(self, data: bytes) -> bytes | None:
        """Change what is encoded in some bytes; None if that is no list, or cannot be encoded any more."""
        content = unpacked(data)
        with suppress(ValueError, OverflowError):
            if isinstance(content, list):
                content = self._value(content)
                return bytes(msgpack.packb(signed_again(content) if self._rng.random() < 0.9 else content))
        return None

    def _value(self, value: Any) -> Any:
        match value:
            case list() if value and self._rng.random() < 0.8:
                place = self._rng.randrange(len(value))
                value[place] = self._value(value[place])
                return value
            case list():
                return self._list(value[:200])
            case bytes():
                return self._bytes(value)
            case int() if self._rng.random() < 0.8:
                step = self._rng.choice((-3600, -1, 1, 2, 3600))
                edge = self._rng.choice((32, 64, 1 << 24, 1 << 32, 1 << 40, record.EQUIVOCATED, (1 << 64) - 1))
                return self._rng.choice((value + step, edge + step, value ^ (1 << self._rng.randrange(64))))
        return self._junk()

    def _list(self, value: list[Any]) -> list[Any]:
        place = self._rng.randint(0, len(value))
        head, tail = value[:place], value[place:]
        shuffled = self._rng.sample(value, len(value))
        changes = [head, head + tail[1:], [*head, self._junk(), *tail], head + tail[:1] + tail, shuffled, value * 40]
        return self._rng.choice(changes)

    def _bytes(self, value: bytes) -> Any:
        chance = self._rng.random()
        if chance < 0.7 and (found := self._nested(value)) is not None:
            return found
        if chance < 0.85:
            return self._rng.choice(FRAGMENTS) if chance < 0.8 else self._junk()
        return bytes(atheris.Mutate(value, len(value) + 64))

    def _junk(self) -> Any:
        nested: list[Any] = []
        for _ in range(self._rng.randrange(1100) if self._rng.random() < 0.02 else 0):
            nested = [nested]
        return self._rng.choice([None, True, 0, -1, 1.0, "", "x", {}, {b"": 0}, [0], msgpack.Timestamp(0), nested])


def unpacked(data: bytes) -> Any:
    """Return what msgpack holds, leniently; None if it holds nothing. Its own memory must not be what is measured."""
    with suppress(Exception):
        return msgpack.unpackb(data, raw=False, strict_map_key=False, max_array_len=1000, max_map_len=100)


def signed_again(content: Any) -> Any:
    """Sign a changed record or hand-over with the keys that it names now, as far as they are known."""
    if isinstance(content, list) and len(content) in DOMAINS and isinstance(content[0], bytes):
        fields = unpacked(content[0])
        keys = fields[1 : len(content)] if isinstance(fields, list) else []
        for place, key in enumerate(keys, 1):
            if isinstance(key, bytes) and key in SIGNERS:
                content[place] = SIGNERS[key].sign(DOMAINS[len(content)] + content[0])
    return content


def near_message(data: bytes, max_size: int, seed: int) -> bytes:
    """Return something near a message."""
    return Mutator(random.Random(seed)).mutated(data, max_size)


def near_table(data: bytes, max_size: int, seed: int) -> bytes:
    """Return bytes near `data`, or a new table, honest but for one bit or not even that."""
    rng = random.Random(seed)
    if rng.random() < 0.6:
        return bytes(atheris.Mutate(data, max_size))
    nonce, n_cells = rng.getrandbits(64), min(1 << rng.randrange(13), MAX_CELLS, max(1, max_size // CELL_BYTES - 1))
    table = bytearray(_table(rng.randrange(100), rng.randrange(100), n_cells, nonce))
    table[rng.randrange(len(table))] ^= rng.choice((0, 1 << rng.randrange(8)))
    return nonce.to_bytes(8, "big") + table


def near_names(data: bytes, max_size: int, seed: int) -> bytes:
    """Return bytes near `data`, sorted into an interest half of the time."""
    mutated = bytes(atheris.Mutate(data, max_size))
    return mutated if seed % 2 else np.unique(np.frombuffer(mutated, "<u4", len(mutated) // 4)).tobytes()


Check = Callable[[bytes], object]


def same(found: object, expected: object) -> None:
    """Fail unless what was accepted came back as it was."""
    if found != expected:
        raise AssertionError(f"accepted, but it comes back as {found!r}, not {expected!r}")


def one_encoding(read: Callable[[bytes], Any], write: Callable[[Any], bytes]) -> Check:
    """Check that what is accepted has no other encoding."""
    return lambda data: same(write(read(data)), data)


def comes_back(read: Callable[[bytes], Any], write: Callable[[Any], bytes]) -> Check:
    """Check that what is accepted can be said again."""

    def check(data: bytes) -> None:
        found = read(data)
        same(read(write(found)), found)

    return check


def check_table(data: bytes) -> None:
    """Read and peel; the first eight bytes are the nonce. What was peeled makes the same table again."""
    nonce = int.from_bytes(data[:8], "big")
    try:
        table = Cells.from_bytes(data[8:])
    except ValueError:
        return
    same(table.to_bytes(), data[8:])
    found = peel(table, nonce)
    if found is not None:
        again = cells_of(found.ours, nonce, len(table)).minus(cells_of(found.theirs, nonce, len(table)))
        same(again.to_bytes(), data[8:])


# -- the gossip core, told a story -------------------------------------------------------------------

Step = Sequence[Any]  # what happens, with which peer, and the bytes that came
_BROADCAST, _REQUEST, _ANSWER, _FAIL, _MEET, _PART, _WAIT, _RELAYS = range(8)
TIGHT = GossipConfig(messages=Rate(6, 0.1), served=Rate(900, 10), updates=Rate(1, 0.01), max_claims=2)


class Scene:
    """A core, and two peers that say what the input wants.

    Args:
        mode: bits: whether it wants the records of a few, has little room, and holds something already.
    """

    def __init__(self, mode: int) -> None:
        self._now = START
        self._store = RecordStore(":memory:", max_authors=2 if mode & 2 else 100, max_proofs=1 if mode & 2 else 100)
        self._store.put_many([RECORDS[0], RECORDS[9], RECORDS[13], HAND_OVERS[2]] if mode & 4 else [])
        frontier = [ME.peer_id, ANN.peer_id] if mode & 1 else None
        config = TIGHT if mode & 2 else GossipConfig()
        rng = np.random.default_rng(0)
        self._core = Gossip(ME.peer_id, self._store, lambda: self._now, rng, config, frontier=lambda: frontier)
        self._asked: defaultdict[bytes, deque[bytes]] = defaultdict(deque)

    def tell(self, steps: Iterable[Step]) -> None:
        """Let everything happen."""
        with closing(self._store):
            for step in [(_MEET, 0, b""), *steps, (_WAIT, 0, b"\x05")]:
                self._perform(self._step(*step))

    def _step(self, kind: int, who: int, data: bytes) -> list[Effect]:
        peer = (PEER, OTHER)[who % 2].peer_id
        asked = self._asked[peer]
        match kind % 8:
            case 0:
                return self._core.on_broadcast(peer, data)
            case 1:
                within(self._core.on_request(peer, data), MAX_RESPONSE_BYTES)
            case 2 if asked:
                return self._core.on_response(peer, asked.popleft(), data)
            case 3 if asked:
                return self._core.on_request_failed(peer, asked.popleft())
            case 4:
                return self._core.on_peer(peer)
            case 5:
                return self._core.on_peer_gone(peer)
            case 6:
                self._now += int.from_bytes(data[:3], "big", signed=True) / 4
                return self._core.tick()
            case 7:
                return self._core.exchange()
        return []

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Request(peer, data):
                    messages.decode_request(within(data, MAX_REQUEST_BYTES))  # peers must understand it
                    self._asked[peer].append(data)
                case Broadcast(data):
                    messages.decode_announce(within(data, MAX_BROADCAST_BYTES))
                case Disconnect(peer):
                    self._perform(self._core.on_peer_gone(peer))


def within(data: bytes, limit: int) -> bytes:
    """Fail if the core says more than the transport carries."""
    if len(data) > limit:
        raise AssertionError(f"the core says {len(data)} bytes where {limit} are allowed")
    return data


def check_gossip(data: bytes) -> None:
    """Tell a story: mode and steps; what is none comes as a broadcast, as a request and as an answer."""
    match unpacked(data):
        case [int() as mode, *told]:
            steps = [step for step in told if isinstance(step, list) and [*map(type, step)] == [int, int, bytes]]
            Scene(mode).tell(steps[:16])
        case _:
            Scene(0).tell((kind, 0, data) for kind in (_BROADCAST, _REQUEST, _ANSWER))


def stories() -> Iterator[bytes]:
    """Yield what peers that keep to the protocol do: every message in a place where it makes sense."""
    for mode in range(8):
        told = COMPARISONS[4] if mode & 1 else BODIES[0]  # a peer that wants everyone's says [1, None]
        met: list[Step] = [(_ANSWER, 0, said) for said in ((BODIES[1], told) if mode & 1 else (BODIES[0],))]
        for steps in (
            [*met, (_ANSWER, 0, COMPARISONS[1]), (_ANSWER, 0, BODIES[3]), (_WAIT, 0, b"\x10")],
            [*met, (_ANSWER, 0, COMPARISONS[2]), (_ANSWER, 0, bodies_of([WIRES[9], WIRES[11]]))],
            [*met, (_ANSWER, 0, COMPARISONS[3]), (_ANSWER, 0, COMPARISONS[4]), (_FAIL, 0, b"")],
            [*met, (_BROADCAST, 0, ANNOUNCEMENTS[2]), (_ANSWER, 0, b""), (_ANSWER, 0, BODIES[3])],
            [(_REQUEST, 0, request) for request in (COMPARE[2], TELL[0], *COMPARE[4:], REQUESTS[-1], *REQUESTS[-3:])],
            [(_MEET, 1, b""), (_BROADCAST, 1, ANNOUNCEMENTS[3]), (_WAIT, 0, b"\x7f"), (_PART, 1, b""), (_FAIL, 1, b"")],
            [(_RELAYS, 0, ANNOUNCEMENTS[1]), *[(_BROADCAST, 0, b"\x90")] * 12, (_WAIT, 0, b"\1"), (_MEET, 0, b"")],
        ):
            yield msgpack.packb([mode, *steps])


@dataclass(frozen=True)
class Target:
    """What is fuzzed.

    Attributes:
        share: of all inputs, in thousandths.
        check: takes an input.
        seeds: where mutation begins.
        refusals: what `check` may raise.
        mutate: makes an input near another, of at most some size, from a seed.
    """

    share: int
    check: Check
    seeds: list[bytes]
    refusals: tuple[type[Exception], ...] = (RecordInvalid,)
    mutate: Callable[[bytes, int, int], bytes] = near_message


TARGETS = {  # the slowest first
    "gossip": Target(50, check_gossip, list(stories()), ()),
    "table": Target(20, check_table, [bytes(7) + b"\7" + table for table in TABLES], (), near_table),
    "open_record": Target(110, one_encoding(record.open_record, record.SignedRecord.to_bytes), WIRES),
    "decode_record": Target(110, one_encoding(record.decode_record, record.encode_record), [r.body for r in RECORDS]),
    "open_hand_over": Target(80, one_encoding(handover.open_hand_over, handover.SignedHandOver.to_bytes), WIRES),
    "open_statement": Target(90, one_encoding(open_statement, lambda said: said.to_bytes()), WIRES),
    "decode_announce": Target(110, comes_back(messages.decode_announce, messages.encode), ANNOUNCEMENTS),
    "decode_request": Target(130, comes_back(messages.decode_request, messages.encode), REQUESTS),
    "decode_comparison": Target(110, comes_back(messages.decode_comparison, messages.encode_comparison), COMPARISONS),
    "decode_interest": Target(50, comes_back(messages.decode_interest, messages.encode_interest), TELL),
    "decode_bodies": Target(100, comes_back(messages.decode_bodies, lambda said: bodies_of(said.records)), BODIES),
    "names_in": Target(40, one_encoding(holdings.names_in, bytes), [INTEREST], (ValueError,), near_names),
}


def broken(data: bytes, fault: str) -> None:
    """Open a record, but fail at one that is valid and of a version that no seed has."""
    if record.open_record(data).version > 1000:
        if fault == "raise":
            raise IndexError("broken on purpose")
        bytearray(2 * MAX_BYTES if fault == "allocate" else 0)
        while fault == "hang":
            pass


class Watch:
    """Runs inputs, counts them where the parent process sees it, and fails at whatever must not be."""

    def __init__(self, target: Target, counted: mmap.mmap | bytearray) -> None:
        self._target = target
        self._counted = counted
        self._count = 0

    def __call__(self, data: bytes) -> None:
        """Run one input."""
        if self._count % 1024 == 0:  # asking for more than `MAX_BYTES` on top of what it has now raises MemoryError
            now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (now + MAX_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
        if self._count % _MEASURED == 0:
            tracemalloc.start()
        started = time.thread_time()
        with suppress(*self._target.refusals):
            self._target.check(data)
        seconds, peak = time.thread_time() - started, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        if seconds > MAX_SECONDS or peak > MAX_BYTES:
            raise AssertionError(f"{len(data)} bytes cost {seconds:.1f} s and {peak / (1 << 20):.0f} MiB")
        self._count += 1
        struct.pack_into("<Q", self._counted, 0, self._count)


def fuzz(target: Target, folder: Path, options: argparse.Namespace) -> None:
    """Fuzz one target in this process; libFuzzer ends it."""
    corpus, count = folder / "corpus", folder / "count"
    corpus.mkdir()
    for number, seed in enumerate([*target.seeds, *HOSTILE]):
        (corpus / f"{number:03}").write_bytes(seed)
    count.write_bytes(bytes(8))
    with count.open("r+b") as file:
        watch = Watch(target, mmap.mmap(file.fileno(), 8))
    warnings.simplefilter("error")  # numpy warns where arithmetic went wrong
    arguments = [f"-runs={options.runs}", f"-seed={options.seed}", f"-max_len={options.max_len}", f"-timeout={HANG_S}"]
    arguments += [f"-artifact_prefix={folder}/", "-verbosity=0", str(corpus)]
    atheris.Setup([sys.argv[0], *arguments], watch, custom_mutator=target.mutate)
    atheris.Fuzz()


def fuzzed(name: str, runs: int, options: argparse.Namespace) -> tuple[int, bool]:
    """Fuzz one target in a process of its own; return how many inputs it survived, and whether that is all."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.p2p.fuzz_decoders", "--target", name, "--folder", folder]
        command += ["--runs", str(runs), "--seed", str(options.seed), "--max-len", str(options.max_len)]
        command += ["--fault", options.fault] if options.fault else []
        started = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=os.environ | _SAME_RUN)
        count = Path(folder, "count")
        (executed,) = struct.unpack("<Q", count.read_bytes()) if count.exists() else (0,)
        passed = done.returncode == 0 and executed >= runs
        said = "".join(line for line in done.stderr.splitlines(keepends=True) if not line.startswith(("INFO", "WARN")))
        verdict = "ok" if passed else f"FAILED with status {done.returncode}\n{done.stdout}{said}"
        print(f"{name:18} {executed:8} inputs {time.monotonic() - started:6.1f} s  {verdict}", flush=True)
        for path in Path(folder).glob("*-*"):  # crash-…, timeout-…, oom-…
            kept = Path(tempfile.gettempdir(), f"{name}-{path.name}")
            kept.write_bytes(path.read_bytes())
            print(f"reproduce: python -m tests.p2p.fuzz_decoders --target {name} --replay {kept}", flush=True)
        return executed, passed


def main() -> int:
    """Fuzz and say how many inputs ran; the exit status is 1 if anything failed."""
    parser = argparse.ArgumentParser(description="Fuzz every decoder of bytes from peers.")
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--max-len", type=int, default=64 << 10, help="bytes of an input at most")
    parser.add_argument("--target", choices=TARGETS, help="fuzz only this")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one input of the target")
    parser.add_argument("--fault", choices=["raise", "allocate", "hang"], help="break it, to see this script fail")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.target and (options.replay or options.folder):
        target = TARGETS[options.target]
        if options.fault:
            target = replace(target, check=lambda data: broken(data, options.fault))
        if options.folder:
            fuzz(target, options.folder, options)
        Watch(target, bytearray(8))(options.replay.read_bytes())
        return 0
    shares = {name: target.share for name, target in TARGETS.items() if options.target in (None, name)}
    whole = sum(shares.values())
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(fuzzed, name, -(-options.runs * part // whole), options) for name, part in shares.items()]
    executed, passed = zip(*(job.result() for job in jobs), strict=True)
    print(f"executed {sum(executed)} inputs")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())

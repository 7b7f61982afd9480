"""What this device tells one community: the person's choice, the next record, and what was told so far.

Knows no network: `sdk.network` asks it for the edges of the next record and signs them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from p2p import AdjacencyRecord, Identity, PeerId, TrustEdge
from p2p.pseudonym import coin_secret
from sdk.community import communities, community_folder
from sdk.item_opinion import DAY_S
from sdk.public_catalog import PublicCatalog
from sdk.publication import Publication, Shared, SharedItem, Why, Withheld
from sdk.publication_log import PUBLICATIONS_FILE, PublicationLog
from sdk.randomised_response import KeyedCoins
from sdk.selection import OwnItems, Selection, Told, select_items
from sdk.sharing import SharingPolicy
from sdk.store import BLOCKED, Opinion


@dataclass(frozen=True, slots=True)
class Private:
    """What the device knows and peers do not.

    Attributes:
        items: what the history says of items.
        opinions: of peers, under the keys that they have now.
    """

    items: OwnItems
    opinions: Sequence[Opinion] = ()


class Publisher:
    """Thread-safe.

    Args:
        folder: the community's folder.
        device: the device's own identity, whose seed the coins are derived from.
        community: the community's name.
        catalog: the public side of the model's catalog.
        default: the policy until the person chooses one.
        own_record: returns this device's record in the record store, if there is one.
        clock: Unix seconds.
    """

    def __init__(
        self,
        folder: Path,
        device: Identity,
        community: str,
        catalog: PublicCatalog,
        default: SharingPolicy,
        own_record: Callable[[], AdjacencyRecord | None],
        clock: Callable[[], float],
    ) -> None:
        self._log = PublicationLog(folder / PUBLICATIONS_FILE, coin_secret(device.private_bytes, community))
        self._coins = KeyedCoins(self._log.secret)
        self._peer = device.pseudonym(community).peer_id
        self._community = community
        self._catalog = catalog
        self._default = default
        self._own_record = own_record
        self._clock = clock
        self._lock = threading.RLock()
        self._policy = self._log.choice or default

    @property
    def policy(self) -> SharingPolicy:
        """The policy that holds now: the person's choice, or the default."""
        return self._policy

    def choose(self, policy: SharingPolicy) -> None:
        """Choose a policy for this community, durably.

        Raises:
            InvalidInput: it names a category that the catalog does not have.
        """
        self._catalog.check(policy)
        with self._lock:
            self._log.choose(policy)
            self._policy = policy

    def set_catalog(self, catalog: PublicCatalog) -> None:
        """Take another bundle's catalog."""
        with self._lock:
            self._catalog = catalog

    def next(self, private: Private) -> tuple[Shared, Shared]:
        """Return what is published and what is to be, after keeping the answers which that needs."""
        with self._lock:
            published = self._published(private)
            selection = self._select(private)
            if selection.answers:
                self._log.add_answers(selection.answers, self._today())
            return published, Shared(selection.items, shared_vouches(self._policy, private.opinions))

    def note(self, record: AdjacencyRecord, content: Shared) -> None:
        """Note in the log that a record was published, with the ids of its items."""
        names = {shared.edge.key: shared.item for shared in content.items if shared.item is not None}
        with self._lock:
            self._log.absorb(record, names)

    def report(self, private: Private) -> Publication:
        """Say what has been published, what would be now, and what is held back."""
        with self._lock:
            published = self._published(private)
            selection = self._select(private)
            vouches = shared_vouches(self._policy, private.opinions)
            answers = {**self._log.answers(), **selection.answers}
            gone = (told.item or key.hex() for key, told in self._log.told().items() if not told.now)
            return Publication(
                policy=self._policy,
                community=self._community,
                peer=self._peer,
                published=published,
                would_publish=Shared(selection.items, vouches),
                withheld=(
                    *(Withheld(why, item=item) for item, why in sorted(selection.withheld.items())),
                    *_withheld_peers(self._policy, private.opinions, vouches),
                ),
                editions=tuple(self._log.editions()),
                ever_told=tuple(sorted(gone)),
                epsilon_spent=max((answer.spent for answer in answers.values()), default=0.0),
            )

    def forget(self, item: str) -> bool:
        """Tell an item no more, and drop its traces here; return whether the next publication takes it out."""
        with self._lock:
            self._absorb({})
            return self._log.forget(self._catalog.key(item))

    def forget_everything(self) -> bool:
        """Choose to be private, drop every trace, and return whether the next publication has something to take out."""
        with self._lock:
            self._absorb({})
            self._policy = SharingPolicy.PRIVATE
            return self._log.forget_everything()

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def _today(self) -> int:
        return max(0, int(self._clock())) // DAY_S

    def _select(self, private: Private) -> Selection:
        told = Told(self._log.answers(), self._log.told(), self._log.began)
        return select_items(self._policy, private.items, self._catalog, told, self._coins, self._today())

    def _absorb(self, names: Mapping[bytes, str]) -> AdjacencyRecord | None:
        record = self._own_record()
        if record is not None:
            self._log.absorb(record, names)
        return record

    def _published(self, private: Private) -> Shared:
        """Return the latest record; one that a crash kept out of the log is noted there now."""
        names = {self._catalog.key(o.item): o.item for o in private.items.opinions}
        record = self._absorb(names)
        if record is None:
            return Shared()
        names |= {key: told.item for key, told in self._log.told().items() if told.item is not None}
        actions = self._policy.action_numbers
        liked = {self._catalog.key(o.item) for o in private.items.opinions if o.actions & actions}
        items = (SharedItem(names.get(edge.key), edge, edge.key not in liked) for edge in record.items)
        return Shared(tuple(items), record.trust, record.version, record.issued_at // DAY_S)


def other_logs(folder: Path, device: Identity, community: str) -> Iterator[PublicationLog]:
    """Open, one after the other, the logs of the communities that a device was in, but for one.

    Args:
        folder: the device's.
        device: its own identity.
        community: the one to leave out.
    """
    for name in ["", *communities(folder)]:
        path = community_folder(folder, name) / PUBLICATIONS_FILE
        if name != community and path.exists():
            with closing(PublicationLog(path, coin_secret(device.private_bytes, name))) as log:
                yield log


def shared_vouches(policy: SharingPolicy, opinions: Sequence[Opinion]) -> tuple[TrustEdge, ...]:
    """Return the trust edges that `policy` publishes. Whom the person blocked is never told."""
    if not policy.shares_vouches:
        return ()
    vouches = sorted((o for o in opinions if o.level > 0), key=lambda o: (-o.level, -o.at, o.peer))
    edges = (TrustEdge(PeerId(o.peer), o.level) for o in vouches[: policy.max_vouches])
    return tuple(sorted(edges, key=lambda edge: edge.peer))


def _withheld_peers(
    policy: SharingPolicy, opinions: Sequence[Opinion], vouches: Sequence[TrustEdge]
) -> Iterator[Withheld]:
    told = {edge.peer for edge in vouches}
    for opinion in opinions:
        peer = PeerId(opinion.peer)
        if opinion.level == BLOCKED:
            yield Withheld(Why.BLOCK, peer=peer)
        elif peer not in told:
            yield Withheld(Why.NO_ROOM if policy.shares_vouches else Why.NO_VOUCHES, peer=peer)

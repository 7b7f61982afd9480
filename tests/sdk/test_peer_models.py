"""A model from another device: over frames that an app carries, and from peers who send something else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from device_runtime import BundleExpired, BundleTooOld, DeviceError, PublisherSet, UntrustedPublisher, read_manifest
from p2p import PeerId, RequestFailed
from p2p.bridge_hub import BridgeHub
from p2p.files import PART_BYTES
from p2p.wire import pack, unpack
from sdk import InvalidInput, NotConnected, Recommender, RecommenderConfig, UpdateFailed
from sdk.peer_models import ModelShelf, fetch_model, topic_of

NOW = 1_700_000_000
PEER = PeerId(b"p" * 32)
Maker = Callable[..., Path]
Opener = Callable[..., Recommender]
OFFERING = RecommenderConfig(offer_model=True)


def _on(hub: BridgeHub, name: str, opened: Opener, config: RecommenderConfig | None = None) -> Recommender:
    return opened(name, config, transport=lambda identity: hub.bridge(name, identity))


def test_a_device_gets_its_model_from_another(opened: Opener, newer_bundle: Maker, tmp_path: Path) -> None:
    hub = BridgeHub()
    said: list[tuple[int, int | None]] = []
    with _on(hub, "ann", opened) as ann, _on(hub, "ben", opened, OFFERING) as ben:
        with pytest.raises(NotConnected):
            ann.update(ben.peer_id)
        with pytest.raises(InvalidInput, match="32 bytes"):
            ann.update(b"short")
        ben.connect(listen="ben")
        ann.connect(["ben"], listen="ann")
        with pytest.raises(BundleTooOld, match="version 1 was installed"):
            ann.update(ben.peer_id)
        ben.update(newer_bundle(2))
        done = ann.update(ben.peer_id, progress=lambda now, total: said.append((now, total)))
        assert (done.before, done.version) == (1, 2)
        assert said[-1][0] == said[-1][1] == ben.model.bytes
        assert ann.recommend(5)
        assert [path.name for path in (tmp_path / "ann" / "models").glob(".peer-*")] == []
        with pytest.raises(UpdateFailed, match="offers no model"):  # nobody offers what they were not told to
            ben.update(ann.peer_id)
    with _on(BridgeHub(), "ann", opened) as ann:
        assert ann.model.version == 2


class Peer:
    """A peer that offers a bundle and may be told to misbehave."""

    def __init__(self, folder: Path) -> None:
        self.parts = [(folder / name).read_bytes() for name in ("manifest.json", "manifest.sig")] + [b""]
        self.files = {
            bytes.fromhex(entry.sha256): (folder / name).read_bytes()
            for name, entry in read_manifest(folder).files.items()
        }
        self.asked = 0
        self.change: Callable[[bytes], bytes] = lambda part: part

    def ask_head(self, peer: PeerId, topic: bytes) -> bytes:
        return pack(self.parts)

    def ask_part(self, peer: PeerId, digest: bytes, offset: int) -> bytes:
        self.asked += 1
        return self.change(self.files[digest][offset : offset + 20_000])


def _fetch(peer: Peer, folder: Path, key: bytes, **options: object) -> Path:
    wanted = {"namespace": "tiny", "trusted": PublisherSet.pinned([key]), "above": 1, "now": NOW}
    told: Callable[[int, int | None], None] = lambda _, __: None  # noqa: E731
    return fetch_model(peer, PEER, folder, progress=told, wait=lambda _: None, **(wanted | options))


def test_a_fetch_that_broke_off_goes_on_with_another_peer(tmp_path: Path, newer_bundle: Maker, tiny_bundle) -> None:
    first, second = Peer(newer_bundle(2)), Peer(newer_bundle(2))

    def breaking(part: bytes) -> bytes:
        if first.asked == 3:
            raise RequestFailed("gone")
        return part

    first.change = breaking
    with pytest.raises(UpdateFailed, match="another peer, to go on"):
        _fetch(first, tmp_path / "models", tiny_bundle.key)
    target = _fetch(second, tmp_path / "models", tiny_bundle.key)
    whole = sum(-(-len(content) // 20_000) for content in second.files.values())
    assert second.asked == whole - 2
    names = read_manifest(newer_bundle(2)).files
    assert all((target / name).read_bytes() == (newer_bundle(2) / name).read_bytes() for name in names)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda part: b"", "gives no more now"),
        (lambda part: part + b"x", "not the one that was signed"),
        (lambda part: bytes(len(part)), "not the one that was signed"),
        (lambda part: bytes(PART_BYTES), "not the one that was signed"),
    ],
)
def test_a_peer_that_sends_something_else_is_named(
    tmp_path: Path, newer_bundle: Maker, tiny_bundle, change: Callable[[bytes], bytes], said: str
) -> None:
    peer = Peer(newer_bundle(2))
    peer.change = change
    with pytest.raises(UpdateFailed, match=said):
        _fetch(peer, tmp_path / "models", tiny_bundle.key)
    peer.change = lambda part: part
    assert _fetch(peer, tmp_path / "models", tiny_bundle.key).is_dir()


def test_a_head_is_verified_before_a_file_is_asked_for(tmp_path: Path, newer_bundle: Maker, tiny_bundle) -> None:
    peer = Peer(newer_bundle(2))
    for options, error in (
        ({"trusted": PublisherSet.pinned([bytes(32)])}, UntrustedPublisher),
        ({"above": 2}, BundleTooOld),
        ({"now": read_manifest(newer_bundle(2)).expires_at}, BundleExpired),
        ({"namespace": "other"}, UpdateFailed),
    ):
        with pytest.raises(error):
            _fetch(peer, tmp_path / "models", tiny_bundle.key, **options)
    whole = peer.parts
    wrong = ([], [b""], [b"", b"", b""], [whole[0], b"", b""], [b"{}", *whole[1:]], [*whole[:2], b"{"], [1, 2, 3], 5)
    for parts in wrong:
        peer.parts = parts  # type: ignore[assignment]
        with pytest.raises((UpdateFailed, DeviceError)):
            _fetch(peer, tmp_path / "models", tiny_bundle.key)
    for place in range(0, len(whole[0]), 7):
        changed = bytearray(whole[0])
        changed[place] ^= 1
        peer.parts = [bytes(changed), *whole[1:]]
        with pytest.raises(UntrustedPublisher):
            _fetch(peer, tmp_path / "models", tiny_bundle.key)
    assert peer.asked == 0


def test_a_shelf_gives_the_files_of_the_model_in_use_and_nothing_else(opened: Opener) -> None:
    with opened() as me:
        shelf = ModelShelf(lambda: me._device.model)
        raw, signatures, statements = unpack(shelf.head(topic_of("tiny")), {"max_array_len": 3})
        manifest = me._device.model.manifest
        assert (raw, statements) == (manifest.to_bytes(), b"")
        assert signatures
        assert shelf.head(topic_of("other")) == b""
        for entry in manifest.files.values():
            assert len(shelf.part(bytes.fromhex(entry.sha256), 0, 1 << 30)) == entry.bytes
            assert shelf.part(bytes.fromhex(entry.sha256), entry.bytes, 10) == b""
        assert shelf.part(bytes(32), 0, 10) == b""

"""Builds one libp2p host and its gossipsub router, with every option that matters spelt out.

The defaults of py-libp2p are not safe here: a default host also accepts plaintext and TLS, and a default router beats
once in 120 s. So security (Noise), muxer (Yamux), transport (TCP) and protocol (gossipsub 1.1) are named explicitly.
Knows nothing of records or of who asks for what; `p2p.libp2p_transport` runs what is built here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyType
from libp2p.crypto.x25519 import create_new_key_pair as new_x25519_pair
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux

from p2p.identity import PeerId
from p2p.libp2p_guard import (
    SafePubsub,
    apply_performance_patches,
    batch_window_updates,
    cache_signed_records,
    disable_auto_connector,
    guard_stream_handlers,
    parse_listen,
)
from p2p.transport import MAX_BROADCAST_BYTES

TOPIC = "/meritrec/1/announce"
PULL_PROTOCOL = "/meritrec/pull/1"
MESH_PROTOCOL = "/meshsub/1.1.0"  # later versions cost twice the CPU for a delivery and bring us nothing
MAX_RPC_BYTES = 64 * 1024
_MAX_CONNECTIONS = 128
_OPERATION_TIMEOUT_S = 10.0

logger = logging.getLogger("meritrec.p2p")
library_logger = logging.getLogger("meritrec.p2p.libp2p")
library_logger.addHandler(logging.NullHandler())


class _Forward(logging.Handler):
    """Hands the library's records to our logger."""

    def emit(self, record: logging.LogRecord) -> None:
        if library_logger.isEnabledFor(record.levelno):
            library_logger.handle(record)


def route_library_log() -> None:
    """Send what py-libp2p logs from WARNING upwards to `meritrec.p2p.libp2p`, and nowhere else."""
    library = logging.getLogger("libp2p")
    if not any(isinstance(handler, _Forward) for handler in library.handlers):
        library.addHandler(_Forward(logging.WARNING))
        library.propagate = False


@dataclass(frozen=True, slots=True)
class HostParts:
    """A host that is built but not yet running, its pubsub and its router."""

    host: Any
    pubsub: Any
    router: Any


def peer_id_of(remote: ID) -> PeerId | None:
    """Return the Ed25519 key inside a libp2p peer id, or None if the id holds another kind of key."""
    key = remote.extract_public_key()
    if key is None or key.get_type() != KeyType.Ed25519:
        return None
    return PeerId(key.to_bytes())


def libp2p_id_of(peer: PeerId) -> ID:
    """Return the libp2p peer id (the identity multihash of the public-key protobuf) of a key.

    Raises:
        ValueError: `peer` is not 32 bytes.
    """
    if len(peer) != 32:
        raise ValueError(f"a peer id has 32 bytes, not {len(peer)}")
    # Key protobuf: field 1 (type) = 1 (Ed25519), field 2 = 32 bytes; before it the identity multihash code and length.
    return ID(b"\x00\x24" + b"\x08\x01\x12\x20" + peer)


def build_host(seed: bytes, listen: str, on_broadcast: Callable[[PeerId, bytes], None]) -> HostParts:
    """Build a host whose libp2p identity is the Ed25519 key of `seed`.

    Args:
        seed: the 32-byte private seed of the identity.
        listen: the multiaddr to listen on, such as `/ip4/0.0.0.0/tcp/0`.
        on_broadcast: takes (forwarder, data) of each fresh message, on the trio thread; must not block.

    Raises:
        TransportUnavailable: `listen` is not a TCP multiaddr.
    """
    route_library_log()
    apply_performance_patches()
    keys = create_new_key_pair(seed)
    host = new_host(
        key_pair=keys,
        sec_opt={NOISE: NoiseTransport(keys, noise_privkey=new_x25519_pair().private_key)},
        muxer_opt={YAMUX: Yamux},
        listen_addrs=[parse_listen(listen)],
        connection_config=_connection_config(),
    )
    host.get_network().retry_config = RetryConfig(max_retries=0)  # the caller decides when to dial again
    disable_auto_connector(host)
    guard_stream_handlers(host)
    cache_signed_records(host)
    batch_window_updates(host)
    router = _router()
    pubsub = SafePubsub(
        host,
        router,
        strict_signing=True,
        max_inbound_rpc_size=MAX_RPC_BYTES,
        max_subscriptions_per_rpc=8,
        max_subscriptions_per_peer=8,
        allowed_topics={TOPIC},
    )
    # The library counts from int(time.time()): after a restart a peer that published more than one message a second
    # reuses sequence numbers, and its messages are dropped as already seen.
    pubsub.counter = time.time_ns()
    pubsub.set_topic_validator(TOPIC, _validator(host.get_id(), on_broadcast), False)
    return HostParts(host, pubsub, router)


def _connection_config() -> ConnectionConfig:
    return ConnectionConfig(
        min_connections=0,
        low_watermark=0,
        high_watermark=_MAX_CONNECTIONS - 28,
        max_connections=_MAX_CONNECTIONS,
        dial_timeout=_OPERATION_TIMEOUT_S,
    )


class _OwnMessages(GossipSub):  # type: ignore[misc]  # the library is untyped to us
    """Sends what this host says to its mesh and passes nothing on: the protocol above announces what it has checked."""

    async def publish(self, msg_forwarder: ID, pubsub_msg: Any) -> None:
        """Send a message, if it is our own."""
        if msg_forwarder == self.pubsub.my_id:
            await super().publish(msg_forwarder, pubsub_msg)


def _router() -> GossipSub:
    return _OwnMessages(
        protocols=[MESH_PROTOCOL],
        degree=6,
        degree_low=4,
        degree_high=12,
        heartbeat_initial_delay=0.1,
        heartbeat_interval=1,
        gossip_window=3,
        gossip_history=5,
        time_to_live=60,
        prune_back_off=10,
        adaptive_gossip_enabled=False,  # may slow the heartbeat to a minute
        spam_protection_enabled=False,  # counts the forwarder, so busy relays are punished; quotas are kept above
        eclipse_protection_enabled=False,  # wants several IP ranges, which a home network does not have
    )


def _validator(own: ID, on_broadcast: Callable[[PeerId, bytes], None]) -> Callable[[ID, Any], bool]:
    """Return the topic validator. It also delivers: only here is the forwarder of a message known."""

    def accept(forwarder: ID, message: Any) -> bool:
        if len(message.data) > MAX_BROADCAST_BYTES:
            return False
        if forwarder == own or ID(message.from_id) == own:
            return True
        peer = peer_id_of(forwarder)
        if peer is not None:
            on_broadcast(peer, message.data)
        return peer is not None

    def validate(forwarder: ID, message: Any) -> bool:
        try:
            return accept(forwarder, message)
        except Exception:  # an exception in a synchronous validator ends the whole host
            logger.exception("the validator failed on a message from %s", forwarder)
            return False

    return validate

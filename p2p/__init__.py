"""Identity, signed records, stores, and what moves them. Knows nothing of ranking, and imports libp2p only on use."""

from p2p.counters import Counters
from p2p.crypto import Crypto, SigningKey, use_crypto
from p2p.effects import Broadcast, Changed, Effect, Request
from p2p.errors import (
    ConnectFailed,
    CryptoUnavailable,
    IdentityInvalid,
    P2PError,
    PassphraseWrong,
    RecordInvalid,
    Rejected,
    RequestFailed,
    StoreCorrupted,
    StoreUnavailable,
    TransportUnavailable,
)
from p2p.gossip import Gossip
from p2p.gossip_config import GossipConfig
from p2p.handover import SignedHandOver, open_hand_over, sign_hand_over
from p2p.identity import Identity, PeerId, Signer
from p2p.memory import MemoryNetwork
from p2p.node import NodeStatus, PeerNode
from p2p.record import (
    MAX_ITEM_EDGES,
    MAX_TRUST_EDGES,
    AdjacencyRecord,
    ItemEdge,
    SignedRecord,
    TrustEdge,
    decode_record,
    encode_record,
    item_key,
    open_record,
    round_issued_at,
    sign_record,
    tombstone,
)
from p2p.statement import Opener, Statement, open_statement
from p2p.store import RecordStore
from p2p.tables import MemoryTables, Tables
from p2p.transport import Transport, TransportHandlers

__all__ = [
    "MAX_ITEM_EDGES",
    "MAX_TRUST_EDGES",
    "AdjacencyRecord",
    "Broadcast",
    "Changed",
    "ConnectFailed",
    "Counters",
    "Crypto",
    "CryptoUnavailable",
    "Effect",
    "Gossip",
    "GossipConfig",
    "Identity",
    "IdentityInvalid",
    "ItemEdge",
    "MemoryNetwork",
    "MemoryTables",
    "NodeStatus",
    "Opener",
    "P2PError",
    "PassphraseWrong",
    "PeerId",
    "PeerNode",
    "RecordInvalid",
    "RecordStore",
    "Rejected",
    "Request",
    "RequestFailed",
    "SignedHandOver",
    "SignedRecord",
    "Signer",
    "SigningKey",
    "Statement",
    "StoreCorrupted",
    "StoreUnavailable",
    "Tables",
    "Transport",
    "TransportHandlers",
    "TransportUnavailable",
    "TrustEdge",
    "decode_record",
    "encode_record",
    "item_key",
    "open_hand_over",
    "open_record",
    "open_statement",
    "round_issued_at",
    "sign_hand_over",
    "sign_record",
    "tombstone",
    "use_crypto",
]

"""Peers on the same local network, found by mDNS as libp2p specifies it (libp2p/specs, discovery/mdns.md). Optional.

Whoever is on the network can announce anything: what is found is parsed strictly, only private addresses count, and at
most so many are told. To announce oneself tells everybody on the network one's peer id and address.

py-libp2p has mDNS too, but it listens on all interfaces, blocks the event loop for lookups, and trusts what it finds.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from p2p.errors import TransportUnavailable
from p2p.quota import Quota, Rate

SERVICE = "_p2p._udp.local."
_PREFIX = b"dnsaddr="
_MAX_ADDRESSES = 8
_MAX_WAITING = 32
_LOOKUP_MS = 2000
_TOLD = Rate(burst=16, per_s=0.2)
_ADDRESS = re.compile(r"/ip[46]/([0-9a-fA-F:.]{2,45})/tcp/([0-9]{1,5})/p2p/([1-9A-HJ-NP-Za-km-z]{40,64})")

logger = logging.getLogger("meritrec.p2p")


def addresses_in(text: bytes) -> list[str]:
    """Return the addresses in a TXT record that may be dialled: of a private network, and with a peer id.

    Args:
        text: strings with a length byte before each; from anyone.
    """
    found = [address for address in map(_checked, _strings(text)) if address is not None]
    return list(dict.fromkeys(found))[:_MAX_ADDRESSES]


def text_of(addresses: Sequence[str]) -> bytes:
    """Return the TXT record that announces addresses."""
    strings = [_PREFIX + address.encode() for address in addresses[:_MAX_ADDRESSES]]
    return b"".join(bytes([len(string)]) + string for string in strings if len(string) < 256)


def _strings(text: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(text):
        yield text[at + 1 : at + 1 + text[at]]
        at += 1 + text[at]


def _checked(string: bytes) -> str | None:
    if not string.startswith(_PREFIX):
        return None
    address = string[len(_PREFIX) :].decode("ascii", "replace")
    parts = _ADDRESS.fullmatch(address)
    if parts is None or not 0 < int(parts[2]) < 65_536:
        return None
    try:
        ip = ipaddress.ip_address(parts[1])
    except ValueError:
        return None
    usable = (ip.is_private or ip.is_link_local) and not (ip.is_unspecified or ip.is_multicast)
    return address if usable else None


class LanDiscovery:
    """Announces this node on the local network, and tells of others.

    Of two nodes that find each other only the one with the smaller peer id is told, so that they do not both dial.

    Args:
        addresses: this node's own, each with its peer id; those of private networks are announced.
        found: told an address to dial, on a thread of its own.
        interfaces: IP addresses of the interfaces to use; all when empty.

    Raises:
        TransportUnavailable: zeroconf is not installed, or the network cannot be used.
    """

    def __init__(self, addresses: Sequence[str], found: Callable[[str], None], interfaces: Sequence[str] = ()) -> None:
        try:
            import zeroconf
        except ImportError as error:
            raise TransportUnavailable(f"zeroconf is not installed ({error}): pip install 'meritrec[p2p]'") from error
        self._own = addresses[0].rsplit("/", 1)[-1]
        self._found = found
        self._told = Quota(_TOLD)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="meritrec-p2p-lan")
        self._waiting = 0
        name = secrets.token_hex(16)
        self._name = f"{name}.{SERVICE}"
        text = text_of([address for address in addresses if _checked(_PREFIX + address.encode())])
        try:
            self._info_of = zeroconf.ServiceInfo
            self._zeroconf = zeroconf.Zeroconf(interfaces=list(interfaces) or zeroconf.InterfaceChoice.All)
            self._zeroconf.register_service(
                zeroconf.ServiceInfo(
                    SERVICE,
                    self._name,
                    port=_port_of(addresses[0]),
                    properties=text,
                    server=f"{name}.local.",
                    parsed_addresses=list(dict.fromkeys(address.split("/")[2] for address in addresses)),
                )
            )
            self._browser = zeroconf.ServiceBrowser(self._zeroconf, SERVICE, handlers=[self._changed])
        except (OSError, zeroconf.Error) as error:
            self._worker.shutdown()
            raise TransportUnavailable(f"the local network cannot be searched: {error}") from error

    def _changed(self, zeroconf: Any, service_type: str, name: str, state_change: Any) -> None:
        """A service came, changed or went; called on zeroconf's thread, which must not wait."""
        if name == self._name or state_change.name == "Removed" or self._waiting >= _MAX_WAITING:
            return
        self._waiting += 1
        try:
            self._worker.submit(self._look_up, zeroconf, service_type, name)
        except RuntimeError:  # it is closed
            self._waiting -= 1

    def _look_up(self, zeroconf: Any, service_type: str, name: str) -> None:
        self._waiting -= 1
        try:
            info = self._info_of(service_type, name)
            info.request(zeroconf, _LOOKUP_MS)  # false without A records, which are not needed here
            for address in addresses_in(info.text or b""):
                peer = address.rsplit("/", 1)[-1]
                if self._own < peer and self._told.take(SERVICE, time.monotonic()):
                    self._found(address)
        except Exception as error:  # whatever a stranger's packet makes of zeroconf, or dialling of the address
            logger.debug("looking up %s: %r", name, error)

    def close(self) -> None:
        """Take the announcement back and stop; closing twice is harmless."""
        self._worker.shutdown(wait=False, cancel_futures=True)
        self._browser.cancel()
        self._zeroconf.close()  # unregisters
        self._worker.shutdown()


def _port_of(address: str) -> int:
    parts = address.split("/")
    return int(parts[parts.index("tcp") + 1])


def expanded(addresses: Sequence[str]) -> list[str]:
    """Replace the address that stands for all interfaces by those that the interfaces have.

    Loopback is left out where there is another one: on a different machine it names that machine itself.
    """
    own: list[str] = []
    for address in addresses:
        if "/0.0.0.0/" in address:
            own += [address.replace("/0.0.0.0/", f"/{ip}/") for ip in _interface_ips()]
        else:
            own.append(address)
    return [address for address in own if not _is_loopback(address)] or own


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.split("/")[2]).is_loopback


def _interface_ips() -> list[str]:
    import ifaddr

    ips = (ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4)
    return [ip for ip in ips if isinstance(ip, str)]

"""A whole device as in an app, with everything that has no Android wheel taken away, driven from Java."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jpype
import pytest

ABSENT = {
    *("cryptography", "msgpack", "umsgpack", "noise", "nacl", "cffi"),
    *("torch", "torchao", "pandas", "polars", "scipy", "sklearn", "networkx", "numba"),
    *("libp2p", "multiaddr", "trio", "zeroconf", "google", "psutil", "rich", "anyio"),
}


assert [name for name in sys.modules if name.split(".")[0] in ABSENT] == []
sys.modules.update(dict.fromkeys(ABSENT))  # None: neither found nor imported, as on a phone

from sdk.android_crypto import JavaCrypto  # noqa: E402  (only now, so that nothing of it had been imported before)
from tests.android.runner import Runner  # noqa: E402

GOLDEN = Path(__file__).parents[1] / "golden/bundle"
PINNED = JavaCrypto().signing_key(bytes([6]) * 32).public.hex()  # of tests/golden/facts.py, which needs cryptography
PATIENCE_S = 20.0
LOOPBACK = jpype.JClass("java.net.InetAddress").getLoopbackAddress


class Interpreter:
    """This interpreter, as the stub of Chaquopy's Java side reaches it."""

    def call(self, module: str, function: str, arguments: Any) -> Any:
        given = [int(a) if isinstance(a, jpype.JClass("java.lang.Long")) else a for a in arguments]
        answer = getattr(importlib.import_module(str(module)), str(function))(*given)
        return jpype.JClass("java.lang.Long")(answer) if isinstance(answer, int) else answer


class Phone:
    """A device that Java holds: the example's classes and nothing else."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.carrier = jpype.JClass("org.meritrec.bridge.SocketCarrier")(LOOPBACK(), 0)
        self.meritrec = jpype.JClass("org.meritrec.bridge.Meritrec")(self.carrier)
        self.carrier.start(self.meritrec)
        said = {"path": str(path), "bundle": str(GOLDEN), "trusted_keys": [PINNED]}
        self.opened = self.call("open", **said | settings)

    def call(self, name: str, **arguments: Any) -> Any:
        return self.answer(name, **arguments)["ok"]

    def answer(self, name: str, **arguments: Any) -> Any:
        return json.loads(str(self.meritrec.call(name, json.dumps(arguments))))

    def close(self) -> None:
        self.meritrec.close()
        self.carrier.close()


@pytest.fixture(autouse=True)
def _joined() -> None:
    Runner().install()
    proxy = jpype.JProxy("com.chaquo.python.Interpreter", inst=Interpreter())
    jpype.JClass("com.chaquo.python.Python").interpreter = proxy


@pytest.fixture
def phones(tmp_path: Path) -> Iterator[list[Phone]]:
    made = [Phone(tmp_path / name, sharing="network") for name in ("ann", "ben", "eve")]
    yield made
    for phone in made:
        phone.close()


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def peers_pick(phone: Phone) -> list[str]:
    return [pick["item"] for pick in phone.call("recommend", source="peers")]


def test_phones_recommend_to_each_other_over_sockets_of_java(phones: list[Phone]) -> None:
    ann, ben, eve = phones
    assert [phone.opened["model"]["runtime"] for phone in phones] == ["android"] * 3
    ben.call("record", item="item-7", action="buy")
    eve.call("record", item="item-13", action="buy")
    for phone in phones:
        address = str(phone.carrier.address())
        assert phone.call("connect", listen=address) == [address]
    ann.call("vouch", peer=ben.opened["peer"], level=3)
    ann.call("connect", peers=[str(ben.carrier.address())])
    eve.call("connect", peers=[str(ben.carrier.address())])  # so what Eve says reaches Ann by way of Ben
    assert eventually(lambda: peers_pick(ann) == ["item-7"])
    assert eventually(lambda: ann.call("metrics")["records"] == 3)
    assert peers_pick(ann) == ["item-7"]  # nobody whom Ann trusts vouches for Eve
    reasons = ann.call("recommend", k=1, source="peers")[0]["reasons"]
    assert reasons[0]["peers"] == [ben.opened["peer"]]
    ben.close()
    assert eventually(lambda: ann.call("network_status")["peers"] == [])
    assert ann.answer("connect", peers=["127.0.0.1:1"])["error"]["kind"] == "ConnectFailed"
    assert ann.answer("connect", peers=["nowhere"])["error"]["message"].endswith("not nowhere")


def test_a_link_that_says_something_else_is_hung_up_on(phones: list[Phone]) -> None:
    ann = phones[0]
    ann.call("connect", listen="ann")
    host, port = str(ann.carrier.address()).split(":")
    for said in (b"\xff\xff\xff\xff", b"\x00\x00\x80\x01", b"\x00\x00\x00\x05hello", b"\x00\x00\x00\x20" + bytes(32)):
        socket = jpype.JClass("java.net.Socket")(host, int(port))
        socket.setSoTimeout(int(PATIENCE_S * 1000))
        socket.getOutputStream().write(jpype.JArray(jpype.JByte)(said))
        assert socket.getInputStream().read() == -1, said  # the end of the stream
        socket.close()
    assert ann.call("recommend", k=1)


class Listener:
    """What a carrier tells, as Java's LinkListener."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.closed: list[str] = []

    def linkOpened(self, link: str) -> None:  # noqa: N802
        self.opened.append(str(link))

    def received(self, link: str, frame: Any) -> None: ...

    def linkClosed(self, link: str) -> None:  # noqa: N802
        self.closed.append(str(link))


def test_whoever_does_not_read_is_hung_up_on_and_nobody_waits_for_it() -> None:
    carrier = jpype.JClass("org.meritrec.bridge.SocketCarrier")(LOOPBACK(), 0)
    listener = Listener()
    carrier.start(jpype.JProxy("org.meritrec.bridge.LinkListener", inst=listener))
    host, port = str(carrier.address()).split(":")
    deaf = jpype.JClass("java.net.Socket")(host, int(port))
    assert eventually(lambda: listener.opened != [])
    frame = jpype.JArray(jpype.JByte)(bytes(32 * 1024))

    def flood() -> None:
        for _ in range(10_000):  # more than the system and the queue hold
            carrier.send(listener.opened[0], frame)

    with pytest.raises(jpype.JClass("java.io.IOException"), match="does not read"):
        flood()
    deaf.close()
    other = jpype.JClass("java.net.Socket")(host, int(port))
    assert eventually(lambda: len(listener.opened) == 2)
    other.close()
    assert eventually(lambda: listener.closed == listener.opened[1:])
    carrier.close()


def test_a_device_survives_in_java_what_the_sdk_refuses(tmp_path: Path) -> None:
    phone = Phone(tmp_path / "phone")
    assert phone.answer("record", item="nothing")["error"]["kind"] == "UnknownItem"
    assert phone.answer("open", path="x")["error"]["kind"] == "InvalidInput"
    phone.call("record", item="item-7", action="like")
    phone.close()
    assert phone.answer("recommend")["error"]["kind"] == "Closed"
    again = Phone(tmp_path / "phone")
    assert again.opened["peer"] == phone.opened["peer"]
    assert again.call("metrics")["events"] == 1
    again.close()
    lonely = jpype.JClass("org.meritrec.bridge.Meritrec")(None)
    said = {"path": str(tmp_path / "lonely"), "bundle": str(GOLDEN), "trusted_keys": [PINNED]}
    assert "ok" in json.loads(str(lonely.call("open", json.dumps(said))))
    assert json.loads(str(lonely.call("connect", "{}")))["error"]["kind"] == "TransportUnavailable"
    lonely.close()


def test_an_identity_may_be_sealed(tmp_path: Path) -> None:
    sealed = Phone(tmp_path / "phone", passphrase="secret")
    sealed.close()
    said = {"path": str(tmp_path / "phone"), "passphrase": "wrong"}
    assert sealed.answer("open", **said)["error"]["kind"] == "PassphraseWrong"
    assert sealed.call("open", **said | {"passphrase": "secret"})["peer"] == sealed.opened["peer"]
    sealed.close()


def test_a_provider_that_the_app_lacks_is_named(tmp_path: Path) -> None:
    phone = Phone(tmp_path / "phone")
    phone.close()
    provider = "org.bouncycastle.jce.provider.BouncyCastleProvider"
    error = phone.answer("open", path=str(tmp_path / "phone"), security_provider=provider)["error"]
    assert error["kind"] == "CryptoUnavailable"
    assert "bcprov-jdk18on" in error["message"]


def test_nothing_that_a_phone_lacks_was_imported() -> None:
    """After all of the above: models opened and run, records signed, channels encrypted, peers ranked."""
    found = [name for name, module in sys.modules.items() if module is not None and name.split(".")[0] in ABSENT]
    assert found == []

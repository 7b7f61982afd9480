"""One background thread that runs the libp2p node under trio, and starts it again when it dies.

py-libp2p lets exceptions escape into its nurseries, and each ends the host. `p2p.libp2p_guard` catches the known ones;
for the others this supervisor logs the error, starts a new node with the same identity on the same port and dials the
peers it had. Knows nothing of gossip.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TypeVar

import trio

from p2p.errors import ConnectFailed, P2PError, TransportUnavailable
from p2p.identity import PeerId
from p2p.libp2p_node import Libp2pNode, NodeEvents

_RESTART_DELAYS_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_REDIAL_DELAYS_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
_STEADY_S = 60.0
_DIAL_TIMEOUT_S = 10.0
_JOIN_TIMEOUT_S = 10.0

T = TypeVar("T")
logger = logging.getLogger("meritrec.p2p")


class NodeThread:
    """Runs and supervises a `Libp2pNode`; its public methods are for other threads.

    Attributes:
        restarts: how often a node died and was started again.
    """

    def __init__(self, seed: bytes, listen: str, events: NodeEvents) -> None:
        self._seed = seed
        self._listen = listen
        self._events = events
        self._node: Libp2pNode | None = None
        self._addresses: list[str] | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._closing = False
        self._wake = trio.Event()
        self._first: Future[list[str]] = Future()
        self._previous: dict[PeerId, list[str]] = {}
        self._thread = threading.Thread(target=self._run, name="meritrec-p2p-libp2p", daemon=True)
        self.restarts = 0

    def start(self, timeout_s: float = 30.0) -> list[str]:
        """Start the thread and return the node's addresses.

        Raises:
            TransportUnavailable: the node cannot run.
        """
        self._thread.start()
        try:
            return self._first.result(timeout_s)
        except P2PError:
            raise
        except Exception as error:
            self.close()
            raise TransportUnavailable(f"the libp2p node did not start: {error!r}") from error

    def call(self, operation: Callable[[Libp2pNode], Awaitable[T]], timeout_s: float) -> T:
        """Run an operation on the node and return its result.

        Raises:
            TimeoutError: it took longer than `timeout_s`.
            TransportUnavailable: no node is running now.
            Exception: whatever the operation raised.
        """
        future: Future[T] = Future()
        self._post(lambda: self._spawn(operation, timeout_s, future))
        return future.result(timeout_s + 1.0)

    def cast(self, operation: Callable[[Libp2pNode], Awaitable[None]], timeout_s: float) -> None:
        """Run an operation on the node without waiting; what goes wrong is logged."""
        future: Future[None] = Future()
        future.add_done_callback(_log_failure)
        self._post(lambda: self._spawn(operation, timeout_s, future))

    def close(self) -> None:
        """Stop the node and join the thread."""
        self._closing = True
        try:
            self._post(self._stop)
        except TransportUnavailable:
            logger.debug("the libp2p thread had ended before it was closed")
        self._thread.join(_JOIN_TIMEOUT_S)

    def _post(self, action: Callable[[], None]) -> None:
        token = self._token
        try:
            if token is None:
                raise TransportUnavailable("the libp2p node is not running")
            token.run_sync_soon(action)
        except trio.RunFinishedError as error:
            raise TransportUnavailable("the libp2p node was stopped") from error

    # -- on the trio thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            trio.run(self._supervise)
        except Exception as error:
            logger.exception("the libp2p thread ended")
            if not self._first.done():
                self._first.set_exception(error)

    async def _supervise(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        failures = 0
        while not self._closing:
            began = trio.current_time()
            try:
                await self._live()
            except Exception as error:
                if self._addresses is None:
                    self._first.set_exception(error)
                    return
                if self._closing:
                    logger.debug("the libp2p node ended with %r", error)
                    return
                logger.exception("the libp2p node died and is started again")
            if self._closing:
                return
            failures = 0 if trio.current_time() - began > _STEADY_S else failures
            with trio.move_on_after(_RESTART_DELAYS_S[min(failures, len(_RESTART_DELAYS_S) - 1)]):
                await self._wake.wait()
            failures += 1
            self.restarts += 1

    async def _live(self) -> None:
        node = Libp2pNode(self._seed, self._listen, self._events)

        def started(nursery: trio.Nursery) -> None:
            self._node = node
            if self._addresses is None:
                self._addresses = node.addresses()
                self._listen = _with_port_of(self._listen, self._addresses[0])
                self._first.set_result(self._addresses)
            for addresses in self._previous.values():
                nursery.start_soon(_redial, node, addresses)
            if self._closing:
                node.stop()

        try:
            await node.run(started)
        finally:
            self._node = None
            self._previous = node.last_peers or self._previous  # a life too short to meet anyone forgets nobody

    def _spawn(self, operation: Callable[[Libp2pNode], Awaitable[T]], timeout_s: float, future: Future[T]) -> None:
        node = self._node
        if node is None or node.nursery is None:
            future.set_exception(TransportUnavailable("the libp2p node is being started again; try later"))
            return
        try:
            node.nursery.start_soon(_fulfil, node, operation, timeout_s, future)
        except RuntimeError as error:  # the nursery is closing
            future.set_exception(TransportUnavailable(f"the libp2p node is stopping: {error}"))

    def _stop(self) -> None:
        self._wake.set()
        if self._node is not None:
            self._node.stop()


async def _fulfil(
    node: Libp2pNode, operation: Callable[[Libp2pNode], Awaitable[T]], timeout_s: float, future: Future[T]
) -> None:
    try:
        with trio.fail_after(timeout_s):
            result = await operation(node)
    except trio.TooSlowError:
        future.set_exception(TimeoutError(f"not done within {timeout_s:g} s"))
    except Exception as error:
        future.set_exception(error)
    except BaseException:  # cancelled, as the node stops or died
        future.set_exception(TransportUnavailable("the libp2p node stopped meanwhile"))
        raise
    else:
        future.set_result(result)


async def _redial(node: Libp2pNode, addresses: list[str]) -> None:
    for delay in _REDIAL_DELAYS_S:
        await trio.sleep(delay)
        for address in addresses:
            try:
                with trio.fail_after(_DIAL_TIMEOUT_S):
                    await node.connect(address)
            except (ConnectFailed, trio.TooSlowError) as error:
                logger.info("dialling %s again after a restart: %r", address, error)
            else:
                return


def _log_failure(future: Future[None]) -> None:
    error = future.exception()
    if error is not None:
        logger.info("a broadcast or a hanging up failed: %r", error)


def _with_port_of(listen: str, address: str) -> str:
    """Return `listen` with the port the system chose, so that a restarted node is found where it was."""
    port = re.search(r"/tcp/(\d+)", address)
    return listen if port is None else re.sub(r"/tcp/\d+", f"/tcp/{port[1]}", listen)

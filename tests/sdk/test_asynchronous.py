"""The async face: every method of the blocking one, on either event loop, without holding the loop up."""

from __future__ import annotations

import inspect
import threading
from pathlib import Path

import anyio
import pytest

from sdk import Closed, Recommender, UnknownItem
from sdk.asynchronous import AsyncRecommender

NOW = 1_700_000_000


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_device_is_used_from_an_event_loop(tmp_path: Path, tiny_bundle, loop: str) -> None:
    async def use() -> None:
        opening = AsyncRecommender.open(
            tmp_path / "device", bundle=tiny_bundle.path, trusted_keys=[tiny_bundle.key], clock=lambda: float(NOW)
        )
        async with await opening as me:
            await me.record("item-1")
            async with anyio.create_task_group() as tasks:
                for number in range(2, 6):
                    tasks.start_soon(me.record, f"item-{number}", "view")
            assert await me.count_events() == 5
            assert len(await me.recommend(3)) == 3
            assert (await me.model()).version == 1
            with pytest.raises(UnknownItem):
                await me.explain("nope")
        with pytest.raises(Closed):
            await me.recommend()

    anyio.run(use, backend=loop)


def test_the_loop_goes_on_while_a_call_waits(opened) -> None:
    async def use() -> None:
        inner = opened()
        me, held, free = AsyncRecommender(inner), threading.Event(), threading.Event()

        def hold() -> None:
            with inner._device.locked():
                held.set()
                free.wait()

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(me.recommend)
            await anyio.sleep(0)  # the loop runs although `recommend` waits for the lock
            free.set()
        holder.join()
        await me.close()

    anyio.run(use)


def test_both_faces_have_the_same_methods_and_arguments() -> None:
    for name, member in inspect.getmembers(Recommender):
        if name.startswith("_"):
            continue
        twin = getattr(AsyncRecommender, name)
        if not isinstance(member, property):
            assert inspect.iscoroutinefunction(twin), name
            blocking, coroutine = (list(inspect.signature(call).parameters.values()) for call in (member, twin))
            assert [(p.name, p.kind, p.default) for p in blocking] == [(p.name, p.kind, p.default) for p in coroutine]

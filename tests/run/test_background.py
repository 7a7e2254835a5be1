"""What is on its way while other cells run, and interrupts of who waits for it."""

from __future__ import annotations

import asyncio
import sys
import threading
from types import FrameType
from typing import Any

import pytest

from cozeloop_magic.run import background
from cozeloop_magic.run.background import Background


class Interrupter:
    """Interrupts this thread at the instruction with a number, as a signal may at any; use it as a context."""

    def __init__(self, number: int) -> None:
        self._left = number

    def __enter__(self) -> None:
        sys.settrace(self._trace)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        frame.f_trace_opcodes = True
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt
        return self._trace


@pytest.mark.parametrize("looks", ["result", "done"])
def test_an_interrupt_at_any_instruction_leaves_it_able_to_end(monkeypatch: pytest.MonkeyPatch, looks: str) -> None:
    for number in range(1, 150):  # more than two rounds of its loop have
        held = threading.Event()
        waiting = Background("greet", lambda held=held: held.wait(60), held.set)  # type: ignore[misc]
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt), Interrupter(number):
            patched.setattr(background, "_TICK", 0.0)
            while not waiting.done:
                if looks == "result":
                    waiting.result()
        assert not waiting.done
        waiting.stop()
        assert waiting.result(60) is True, number


def test_all_who_wait_are_told() -> None:
    held = threading.Event()
    waiting = Background("greet", lambda: held.wait(60), held.set)
    heard: list[bool] = []
    threads = [threading.Thread(target=lambda: heard.append(waiting.result(60))) for _ in range(4)]
    for thread in threads:
        thread.start()

    async def wait() -> list[bool]:
        tasks = [asyncio.ensure_future(each) for each in (_awaited(waiting), _awaited(waiting))]
        await asyncio.sleep(0)
        waiting.stop()
        return await asyncio.gather(*tasks)

    assert asyncio.run(wait()) == [True, True]
    for thread in threads:
        thread.join()
    assert heard == [True] * 4


def test_a_task_that_waits_can_be_cancelled_and_it_goes_on() -> None:
    held = threading.Event()
    waiting = Background("greet", lambda: held.wait(60), held.set)

    async def cancelled() -> None:
        task = asyncio.ensure_future(_awaited(waiting))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert not waiting.done
    waiting.stop()
    assert waiting.result(60) is True


def test_an_error_is_raised_to_each_who_asks() -> None:
    def fail() -> None:
        raise ValueError("no")

    failed = Background("greet", fail, lambda: None)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            failed.result(60)
    with pytest.raises(ValueError, match="no"):
        asyncio.run(_awaited(failed))


async def _awaited(waiting: Background[Any]) -> Any:
    return await waiting

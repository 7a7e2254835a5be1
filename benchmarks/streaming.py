"""How fast answers stream: through the embedded Loop's HTTP API, against llama.cpp called directly.

Both run the same model with the same settings in this process, one after the other, several times. The ratio of the
medians is what the API costs; 1.00 would be nothing.

    python benchmarks/streaming.py
"""

from __future__ import annotations

import asyncio
import http.client
import json
import secrets
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from cozeloop_magic.entities.prompt import ExecuteResult, LLMConfig, Message
from cozeloop_magic.local import weights
from cozeloop_magic.local.app import create_app
from cozeloop_magic.local.calls import Loop
from cozeloop_magic.local.llama import LlamaModel
from cozeloop_magic.local.models import Parameters, chat_request
from cozeloop_magic.local.seeds import read_seeds
from cozeloop_magic.local.server import listen
from cozeloop_magic.local.store import Store

ROUNDS = 7
MAX_TOKENS = 120
SYSTEM = "You are a helpful assistant for artificial intelligence."
USER = "Please help me with explain what is machine learning"


@dataclass(frozen=True)
class Measured:
    """One answer: when its first token came, and how many came in each second after it."""

    ttft: float
    tokens_per_second: float


def measured(run: Callable[[Callable[[], None]], None]) -> Measured:
    times: list[float] = []
    began = time.perf_counter()
    run(lambda: times.append(time.perf_counter()))
    return Measured(times[0] - began, (len(times) - 1) / (times[-1] - times[0]))


def directly(model: LlamaModel) -> Measured:
    """Call llama.cpp's own Python binding, with nothing of ours between."""
    messages = [Message("system", SYSTEM), Message("user", USER)]
    request = chat_request(messages, Parameters(LLMConfig(temperature=0.0, max_tokens=MAX_TOKENS)))

    def run(tick: Callable[[], None]) -> None:
        def receive(chunk: dict[str, Any]) -> bool:
            if chunk["choices"] and chunk["choices"][0]["delta"].get("content"):
                tick()
            return False

        model._engine.handle_chat_completions(request, receive)

    return measured(run)


def through_the_api(port: int, loop: Loop) -> Measured:
    """Call the HTTP API and read its events."""
    body = json.dumps(
        {
            "workspace_id": loop.workspace_id,
            "prompt_identifier": {"prompt_key": "ptaas_demo", "version": "0.0.1"},
            "variable_vals": [
                {"key": "topic", "value": "artificial intelligence"},
                {"key": "user_request", "value": "explain what is machine learning"},
            ],
            "custom_model_config": {"model_id": "1", "temperature": 0.0, "max_tokens": MAX_TOKENS},
        }
    )

    def run(tick: Callable[[], None]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request(
            "POST", "/v1/loop/prompts/execute_streaming", body, {"Authorization": f"Bearer {loop.token}"}
        )
        response = connection.getresponse()
        while line := response.readline():
            if line.startswith(b"data:") and ExecuteResult.from_json(json.loads(line[5:])).text:
                tick()
        connection.close()

    return measured(run)


@contextmanager
def served(loops: Sequence[Loop]) -> Iterator[int]:
    config = uvicorn.Config(create_app(loops), log_level="warning", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


def show(name: str, runs: list[Measured]) -> float:
    rate = statistics.median(run.tokens_per_second for run in runs)
    ttft = statistics.median(run.ttft for run in runs)
    print(f"{name:<22} {rate:7.1f} tokens/s   first token after {ttft * 1000:6.1f} ms")
    return rate


def main() -> None:
    model = LlamaModel(weights.ensure(print), default_system=weights.DEFAULT_SYSTEM)
    model.load()
    with tempfile.TemporaryDirectory() as directory, closing(Store(Path(directory) / "prompts.db")) as store:
        store.seed(read_seeds())
        loop = Loop(store, [model], secrets.token_urlsafe(), store.workspace_id)
        direct: list[Measured] = []
        api: list[Measured] = []
        with served([loop]) as port:
            directly(model), through_the_api(port, loop)  # warm up
            for _ in range(ROUNDS):
                direct.append(directly(model))
                api.append(through_the_api(port, loop))
    ratio = show("embedded Loop, HTTP", api) / show("llama.cpp, directly", direct)
    print(f"ratio                  {ratio:7.2f}")


if __name__ == "__main__":
    main()

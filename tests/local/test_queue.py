"""Who is answered next, and what those who wait are told."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
import requests

from cozeloop_magic import new_client
from cozeloop_magic.entities.prompt import ExecuteRequest, ExecuteResult, Message, Role, TokenUsage
from cozeloop_magic.errors import RateLimited, RemoteError
from cozeloop_magic.local.queue import FairQueue, ordinal
from cozeloop_magic.run.drive import drive
from cozeloop_magic.transport.call import Calls
from tests.local.conftest import TOKEN, Parrot, asked, eventually


class Gated(Parrot):
    """A model that answers when it is told to, and remembers in which order it was asked."""

    def __init__(self):
        super().__init__()
        self.gate = threading.Semaphore(0)
        self.order = []

    def generate(self, messages, parameters, emit):
        self.order.append(messages[-1].text)
        while not self.gate.acquire(timeout=0.02):
            if not emit(ExecuteResult(Message(Role.ASSISTANT, ""))):
                return
        emit(ExecuteResult(Message(Role.ASSISTANT, "Yes.")))
        emit(ExecuteResult(finish_reason="stop", usage=TokenUsage(1, 1)))


def served(queue, *turns):
    """Give the owners in the order in which they are served, one at a time."""
    order = []
    while waiting := [turn for turn in queue.turns]:
        turn = waiting[0]
        assert turn.granted
        order.append(turn.owner)
        queue.leave(turn)
    return order


class TestTheOrder:
    def test_owners_take_turns_however_many_each_wants(self):
        queue = FairQueue(1)
        for owner in "aaaabbc":
            queue.enter(owner)
        assert "".join(served(queue)) == "abcabaa"

    def test_who_was_served_longest_ago_comes_first(self):
        queue = FairQueue(1)
        first = queue.enter("a")
        queue.enter("b")
        queue.leave(first)
        queue.enter("a")
        queue.enter("c")
        assert "".join(served(queue)) == "bca"

    def test_each_has_one_running_while_others_wait_and_all_places_if_nobody_does(self):
        queue = FairQueue(3)
        alone = [queue.enter("a") for _ in range(4)]
        assert [turn.granted for turn in alone] == [True, True, True, False]
        other = [queue.enter("b"), queue.enter("c")]
        queue.leave(alone[0])
        assert other[0].granted and not alone[3].granted
        queue.leave(alone[1])
        assert other[1].granted and not alone[3].granted

    def test_a_table_comes_behind_and_leaves_a_place_free(self):
        queue = FairQueue(3)
        rows = [queue.enter("a", batch=True) for _ in range(10)]
        assert sum(row.granted for row in rows) == 2
        assert queue.enter("b").granted
        looks_on = queue.enter("a")
        queue.leave(rows[0])
        assert looks_on.granted and not rows[2].granted

    def test_with_one_place_a_table_still_goes_on(self):
        queue = FairQueue(1)
        assert queue.enter("a", batch=True).granted

    def test_without_a_limit_nobody_waits(self):
        queue = FairQueue()
        assert all(queue.enter("a", batch=True).granted for _ in range(1000))

    def test_too_many_that_wait_are_refused_with_a_time_to_come_again(self):
        queue = FairQueue(1, most_waiting=2)
        for _ in range(3):
            queue.enter("a")
        with pytest.raises(RateLimited) as caught:
            queue.enter("a")
        assert caught.value.retry_after >= 1 and caught.value.http_status == 429
        assert queue.enter("b")

    def test_leaving_twice_or_unserved_harms_nobody(self):
        queue = FairQueue(1)
        first, second, third = (queue.enter(owner) for owner in "abc")
        queue.leave(second)
        queue.leave(second)
        queue.leave(first)
        queue.leave(first)
        assert third.granted and list(queue.turns) == [third]


class TestPlaces:
    def places(self, queue, turn):
        async def first():
            return await anext(queue.places(turn))

        return asyncio.run(first())

    def test_it_is_the_place_in_which_one_will_be_served(self):
        queue = FairQueue(1)
        running = queue.enter("a")
        many = [queue.enter("a") for _ in range(5)]
        other = queue.enter("b")
        assert self.places(queue, other) == "next in line"
        assert [self.places(queue, turn) for turn in many[:2]] == ["2nd in line", "3rd in line"]
        running.since -= 4
        queue.leave(running)
        assert self.places(queue, many[1]).startswith(("2nd in line, about 8 s", "2nd in line, about 9 s"))
        assert self.places(queue, many[2]).startswith(("3rd in line, about 12 s", "3rd in line, about 13 s"))

    def test_a_line_that_is_long_is_not_told_apart(self):
        queue = FairQueue(1)
        turns = [queue.enter("a") for _ in range(60)]
        assert self.places(queue, turns[-1]) == "more than 50 in line before you"

    def test_a_place_that_does_not_change_is_told_again_so_that_no_proxy_takes_the_line_for_dead(self, monkeypatch):
        monkeypatch.setattr("cozeloop_magic.local.queue.TICK_SECONDS", 0.001)
        monkeypatch.setattr("cozeloop_magic.local.queue.REPEATED_SECONDS", 0.002)

        async def follow():
            queue = FairQueue(1)
            queue.enter("a")
            places = queue.places(queue.enter("b"))
            return [await anext(places) for _ in range(3)]

        assert asyncio.run(follow()) == ["next in line"] * 3

    @pytest.mark.parametrize(
        ("number", "written"),
        [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (21, "21st"), (113, "113th")],
    )
    def test_ordinals(self, number, written):
        assert ordinal(number) == written

    def test_places_end_with_the_turn_and_a_stop_raises(self):
        async def follow(stop):
            queue = FairQueue(1)
            first, second = queue.enter("a"), queue.enter("b")
            told = []

            async def read():
                async for place in queue.places(second):
                    told.append(place)
                await second.wait()

            reading = asyncio.ensure_future(read())
            await asyncio.sleep(0.05)
            second.stop() if stop else queue.leave(first)
            await asyncio.wait_for(reading, 5)
            return told

        assert asyncio.run(follow(stop=False)) == ["next in line"]
        with pytest.raises(RemoteError, match="has stopped"):
            asyncio.run(follow(stop=True))


@pytest.fixture
def gated():
    model = Gated()
    yield model
    model.gate.release(1000)


@pytest.fixture
def crowded(start, gated):
    """A server with one place, which is taken."""
    server = start(gated, queue=FairQueue(1, most_waiting=3))
    first = threading.Thread(target=server.post, args=("/execute", asked()))
    first.start()
    assert eventually(lambda: gated.order)
    yield server
    gated.gate.release(1000)
    first.join(20)
    assert eventually(lambda: not server.queue.turns)


def variables(topic):
    return [{"key": "topic", "value": topic}, {"key": "user_request", "value": topic}]


class TestTheStream:
    def test_the_place_comes_as_a_comment_that_any_sdk_skips(self, crowded, gated):
        with crowded.post("/execute_streaming", asked(), stream=True) as response:
            lines = response.iter_lines(chunk_size=1)
            assert next(lines) == b": waiting: next in line"
            gated.gate.release(2)
            rest = [line for line in lines if line.startswith(b"data:")]
        assert response.headers["x-loop-model"] == "parrot"
        assert json.loads(rest[-1][5:])["finish_reason"] == "stop"

    def test_a_person_sees_it_in_the_waiting_cell(self, crowded, gated):
        seen = []

        class View:
            def update(self, state):
                if state.preparing and state.preparing not in seen:
                    seen.append(state.preparing)
                    gated.gate.release(2)

            def finish(self, state):
                seen.append(state)

        with new_client(crowded.url, crowded.workspace_id, TOKEN) as client:
            values = {"topic": "tea", "user_request": "tea"}
            state = drive(client, ExecuteRequest("ptaas_demo", "0.0.1", variable_vals=values), View())
        assert seen[0] == "next in line" and state.text == "Yes." and state.preparing == ""

    def test_the_sdk_reads_over_it(self, crowded, gated):
        with new_client(crowded.url, crowded.workspace_id, TOKEN) as client:
            threading.Timer(0.5, gated.gate.release, (2,)).start()
            values = {"topic": "tea", "user_request": "tea"}
            pieces = list(client.execute_prompt("ptaas_demo", variable_vals=values, stream=True))
        assert "".join(map(str, pieces)) == "Yes."

    def test_who_leaves_the_line_is_not_waited_for(self, crowded, gated):
        with crowded.post("/execute_streaming", asked(), stream=True) as response:
            next(response.iter_lines(chunk_size=1))
        assert eventually(lambda: len(crowded.queue.turns) == 1)
        with pytest.raises(requests.Timeout):
            body = {"workspace_id": crowded.workspace_id, **asked()}
            crowded.session.post(f"{crowded.url}/v1/loop/prompts/execute", json=body, timeout=0.5)
        assert eventually(lambda: len(crowded.queue.turns) == 1)

    def test_too_many_are_told_429_and_when_to_come_again(self, crowded, gated):
        waiting = [threading.Thread(target=crowded.post, args=("/execute", asked())) for _ in range(3)]
        for thread in waiting:
            thread.start()
        assert eventually(lambda: len(crowded.queue.turns) == 4)
        for path in ("/execute", "/execute_streaming"):
            refused = crowded.post(path, asked())
            assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
            assert refused.json()["code"] == 600502002 and "3 of your calls are waiting" in refused.json()["msg"]
        gated.gate.release(10)
        for thread in waiting:
            thread.join(20)

    @pytest.mark.parametrize("how", ["Priority: u=6", "Priority: i, u=7", "evaluation"])
    def test_a_table_says_so_and_comes_behind(self, crowded, gated, how):
        headers = {"Priority": how.removeprefix("Priority: ")} if how != "evaluation" else {}
        scenario = {"usage_scenario": "evaluation"} if how == "evaluation" else {}

        def call(topic, headers, **more):
            body = asked(variable_vals=variables(topic), **more)
            thread = threading.Thread(target=crowded.post, args=("/execute", body), kwargs={"headers": headers})
            thread.start()
            assert eventually(lambda: any(True for turn in crowded.queue.turns if not turn.granted))
            return thread

        behind = call("a row", headers, **scenario)
        before = call("a question", {"Priority": "u=3"})
        assert eventually(lambda: len(crowded.queue.turns) == 3)
        gated.gate.release(10)
        behind.join(20)
        before.join(20)
        assert "a question" in gated.order[1] and "a row" in gated.order[2]

    def test_a_table_of_ours_does(self, crowded, gated):
        def ask():
            with Calls(paced=True), new_client(crowded.url, crowded.workspace_id, TOKEN) as client:
                client.execute_prompt("ptaas_demo", variable_vals={"topic": "tea", "user_request": "tea"})

        thread = threading.Thread(target=ask)
        thread.start()
        assert eventually(lambda: [turn.batch for turn in crowded.queue.turns] == [False, True])
        gated.gate.release(10)
        thread.join(20)

    def test_nobody_who_is_served_at_once_reads_of_a_line(self, start):
        response = start(Parrot()).post("/execute_streaming", asked())
        assert "waiting" not in response.text.split("data:")[0]

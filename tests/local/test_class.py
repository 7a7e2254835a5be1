"""A class on one Loop: each student's own, the teacher's to read, and nothing of another's."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack

import pytest
import requests

from cozeloop_magic.entities.prompt import ExecuteResult
from cozeloop_magic.local.app import ROUTES
from cozeloop_magic.local.classroom import CLASS_ROUTES
from cozeloop_magic.local.queue import TOO_MANY, FairQueue
from cozeloop_magic.local.roster import Member
from cozeloop_magic.local.student_store import FIRST_ID, NO_PERMISSION
from tests.local.conftest import Parrot, asked, eventually
from tests.local.test_queue import Gated

NOT_FOUND, KEY_EXISTS, VERSION_NOT_FOUND = 600501001, 600501008, 600501002
CANARY = "a-secret-of-anna"
DETAIL = {
    "prompt_template": {
        "template_type": "normal",
        "messages": [{"role": "user", "content": f"Sing of {CANARY} and {{{{topic}}}}."}],
        "variable_defs": [{"key": "topic", "type": "string"}],
    }
}
MEMBERS = [Member(name, f"token-of-{name}-{'x' * 20}") for name in ("teacher", "anna", "bob")]
TOPIC = [{"key": "topic", "value": CANARY}]


class Caller:
    """Calls a server with somebody's token."""

    def __init__(self, server, name):
        self.server, self.name = server, name
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer token-of-{name}-{'x' * 20}"

    def close(self):
        self._session.close()

    def call(self, method, path, body=None, **options):
        fields = {"workspace_id": self.server.workspace_id, **(body or {})}
        fields = {"params": fields} if method in ("GET", "DELETE") else {"json": fields}
        return self._session.request(method, f"{self.server.url}{path}", timeout=60, **fields, **options)

    def post(self, path, body=None, **options):
        return self.call("POST", f"/v1/loop/prompts{path}", body, **options)

    def ok(self, path, body=None):
        answer = self.post(path, body).json()
        assert answer["code"] == 0, answer
        return answer

    def make(self, key, *versions):
        """Make a prompt with versions and a draft, and give its id."""
        prompt_id = int(self.ok("", {"prompt_key": key, "prompt_name": key})["prompt_id"])
        draft = {"prompt_draft": {"detail": DETAIL, "draft_info": {}}}
        for version in versions:
            self.ok(f"/{prompt_id}/drafts/save", draft)
            self.ok(f"/{prompt_id}/drafts/commit", {"commit_version": version, "commit_description": CANARY})
        self.ok(f"/{prompt_id}/drafts/save", draft)
        return prompt_id

    def run(self, key, **more):
        return self.post("/execute", {"prompt_identifier": {"prompt_key": key}, "variable_vals": TOPIC, **more})


@pytest.fixture
def people():
    """Make callers of a server."""
    with ExitStack() as stack:

        def callers(server, *names):
            made = [Caller(server, name) for name in names]
            for each in made:
                stack.callback(each.close)
            return made

        yield callers


@pytest.fixture
def school(start, people):
    return people(start(Parrot(), members=MEMBERS), "teacher", "anna", "bob")


class TestOwnPrompts:
    def test_a_student_makes_and_runs_prompts_of_their_own(self, school):
        _, anna, bob = school
        anna.make("song", "1.0.0")
        assert CANARY in anna.run("song").json()["data"]["message"]["content"]
        bob.make("song", "3.0.0")
        listed = [prompt["latest_version"] for prompt in bob.ok("/list")["data"]["prompts"][:1]]
        assert listed == ["3.0.0"]

    def test_the_teachers_committed_prompts_are_there_to_run_and_to_read(self, school):
        teacher, anna, _ = school
        prompt_id = teacher.make("hymn", "1.0.0", "1.1.0")
        assert "Sing of" in anna.run("hymn").json()["data"]["message"]["content"]
        item = anna.ok("/mget", {"queries": [{"prompt_key": "hymn", "version": "1.0.0"}]})["data"]["items"][0]
        assert item["prompt"]["version"] == "1.0.0"
        assert len(anna.ok(f"/{prompt_id}/commits/list")["prompt_commit_infos"]) == 2
        read = anna.call("GET", f"/v1/loop/prompts/{prompt_id}", {"with_commit": "true", "with_draft": "true"}).json()
        assert read["prompt"]["prompt_key"] == "hymn" and "prompt_draft" not in read["prompt"]
        assert "hymn" in [prompt["prompt_key"] for prompt in anna.ok("/list", {"page_size": 100})["data"]["prompts"]]

    def test_and_not_to_change(self, school):
        teacher, anna, _ = school
        prompt_id = teacher.make("hymn", "1.0.0")
        before = teacher.ok(f"/{prompt_id}/commits/list")
        tries = [
            (
                "POST",
                f"/v1/loop/prompts/{prompt_id}/drafts/save",
                {"prompt_draft": {"detail": DETAIL, "draft_info": {}}},
            ),
            ("POST", f"/v1/loop/prompts/{prompt_id}/drafts/commit", {"commit_version": "9.9.9"}),
            ("POST", f"/embedded/prompts/{prompt_id}/labels", {"label": "production", "version": "1.0.0"}),
            ("DELETE", f"/v1/loop/prompts/{prompt_id}", {}),
        ]
        for method, path, body in tries:
            refused = anna.call(method, path, body).json()
            assert refused["code"] == NO_PERMISSION and "hymn is the teacher's" in refused["msg"]
        assert anna.post("", {"prompt_key": "hymn", "prompt_name": "x"}).json()["code"] == KEY_EXISTS
        assert teacher.ok(f"/{prompt_id}/commits/list") == before

    def test_a_draft_of_the_teachers_is_not_seen(self, school):
        teacher, anna, _ = school
        hidden, shown = teacher.make("exam"), teacher.make("hymn", "1.0.0")
        assert anna.run("exam").json()["code"] == NOT_FOUND
        assert anna.call("GET", f"/v1/loop/prompts/{hidden}").json()["code"] == NOT_FOUND
        for key, code in (("exam", NOT_FOUND), ("hymn", VERSION_NOT_FOUND)):
            query = {"prompt_key": key, "version": "$Draft"}
            assert anna.post("/mget", {"queries": [query]}).json()["code"] == code
            assert anna.post("/execute", {"prompt_identifier": query, "variable_vals": TOPIC}).json()["code"] == code
        assert anna.post(f"/{hidden}/commits/list").json()["code"] == NOT_FOUND
        assert teacher.call("GET", f"/v1/loop/prompts/{shown}", {"with_draft": "true"}).json()["prompt"][
            "prompt_draft"
        ]

    def test_an_unknown_key_names_what_a_student_may_see(self, school):
        _, anna, bob = school
        anna.make("annas_song", "1.0.0")
        told = bob.run("annas_songs").json()
        assert told["code"] == NOT_FOUND and "annas_song " not in told["msg"].replace("annas_songs", "")
        assert "explain_concept" in bob.run("explain_concepts").json()["msg"]

    def test_pages_of_a_list_hold_each_prompt_once(self, school):
        _, anna, _ = school
        for number in range(5):
            anna.make(f"song{number}", "1.0.0")
        total = anna.ok("/list", {"page_size": 3})["data"]["total"]
        keys = [
            prompt["prompt_key"]
            for page in range(1, 10)
            for prompt in anna.ok("/list", {"page_size": 3, "page_number": page})["data"]["prompts"]
        ]
        assert len(keys) == len(set(keys)) == total and keys[0] == "song4"


def span(text):
    micros = str(1_700_000_000_000_000)
    return {
        "started_at_micros": micros, "span_id": "b" * 16, "parent_id": "0", "trace_id": "a" * 32, "duration": "5",
        "workspace_id": "1", "span_name": text, "span_type": "model", "method": "", "status_code": 0,
        "input": text, "output": text,
    }  # fmt: skip


class TestNothingOfAnothers:
    """Every route is tried with everything of another student's that could be guessed."""

    @pytest.fixture
    def anna_has(self, school):
        _, anna, _ = school
        prompt_id = anna.make("song", "1.0.0")
        anna.call("POST", f"/embedded/prompts/{prompt_id}/labels", {"label": "production", "version": "1.0.0"})
        spans = [{**span(CANARY), "workspace_id": anna.server.workspace_id}]
        assert anna.call("POST", "/v1/loop/traces/ingest", {"spans": spans}).json()["code"] == 0
        return prompt_id, anna.run("song").headers["x-tt-logid"]

    def attempts(self, prompt_id, log_id):
        """Give every route with the calls that would reach what another has."""
        key = {"prompt_key": "song"}
        identifiers = [key, {**key, "version": "1.0.0"}, {**key, "label": "production"}, {**key, "version": "$Draft"}]
        runs = [{"prompt_identifier": each} for each in identifiers]
        window = {"start_time": "0", "end_time": str(2**52)}
        one = f"/v1/loop/prompts/{prompt_id}"
        draft = {"prompt_draft": {"detail": DETAIL | {"tools": []}, "draft_info": {"base_version": "1.0.0"}}}
        prompts = "/v1/loop/prompts"
        snippet = f"<cozeloop_snippet>id={prompt_id}&version=1.0.0</cozeloop_snippet>"
        return {
            "/health": [("GET", "/health", {"nonce": "1"})],
            f"{prompts}/execute": [
                *(("POST", f"{prompts}/execute", run) for run in runs),
                ("POST", f"{prompts}/execute", asked(messages=[{"role": "user", "content": snippet}])),
            ],
            f"{prompts}/execute_streaming": [("POST", f"{prompts}/execute_streaming", run) for run in runs],
            f"{prompts}/mget": [("POST", f"{prompts}/mget", {"queries": [each]}) for each in identifiers],
            f"{prompts}/list": [
                ("POST", f"{prompts}/list", {"page_size": 200}),
                ("POST", f"{prompts}/list", {"key_word": "s"}),
            ],
            prompts: [("POST", prompts, {"prompt_key": "other", "prompt_name": "x"})],
            f"{prompts}/{{id:digits}}": [
                ("GET", one, {"with_commit": "true", "with_draft": "true"}),
                ("GET", one, {"commit_version": "1.0.0"}),
                ("DELETE", one, {}),
            ],
            f"{prompts}/{{id:digits}}/drafts/save": [("POST", f"{one}/drafts/save", draft)],
            f"{prompts}/{{id:digits}}/drafts/commit": [("POST", f"{one}/drafts/commit", {"commit_version": "2.0.0"})],
            f"{prompts}/{{id:digits}}/commits/list": [("POST", f"{one}/commits/list", {"with_commit_detail": True})],
            "/v1/loop/traces/ingest": [("POST", "/v1/loop/traces/ingest", {"spans": []})],
            "/v1/loop/opentelemetry/v1/traces": [("POST", "/v1/loop/opentelemetry/v1/traces", {"resourceSpans": []})],
            "/v1/loop/traces/search": [
                ("POST", "/v1/loop/traces/search", {**window, "logid": log_id, "limit": 100}),
                ("POST", "/v1/loop/traces/search", {**window, "trace_id": "a" * 32, "limit": 100}),
            ],
            "/v1/loop/spans/search": [("POST", "/v1/loop/spans/search", {**window, "page_size": 100})],
            "/v1/loop/files/upload": [("POST", "/v1/loop/files/upload", {})],
            "/embedded/prompts/{id:digits}/labels": [
                ("POST", f"/embedded/prompts/{prompt_id}/labels", {"label": "beta", "version": "1.0.0"})
            ],
            "/class": [("GET", "/class", {})],
            "/class/state": [("GET", "/class/state", {})],
            "/class/stop": [("POST", "/class/stop", {"turn": number}) for number in range(1, 9)],
        }

    def test_every_route_was_thought_of(self):
        tried = {(call[0], path) for path, calls in self.attempts(1, "x").items() for call in calls}
        routes = {(method, route.path) for route in (*ROUTES, *CLASS_ROUTES) for method in route.methods}
        assert tried == {(method, path) for method, path in routes if method != "HEAD"}

    def test_no_route_reads_or_writes_it(self, school, anna_has):
        teacher, anna, bob = school
        prompt_id, log_id = anna_has
        assert prompt_id > FIRST_ID

        def everything():
            read = anna.call("GET", f"/v1/loop/prompts/{prompt_id}", {"with_commit": "true", "with_draft": "true"})
            return (
                read.json(),
                anna.ok(f"/{prompt_id}/commits/list", {"with_commit_detail": True}),
                anna.ok("/list", {"page_size": 200}),
            )

        before = everything()
        assert CANARY in str(before)
        for path, calls in self.attempts(prompt_id, log_id).items():
            for call in calls:
                answer = bob.call(*call)
                assert CANARY not in answer.text and CANARY not in str(answer.headers), path
        assert everything() == before
        # Not even the teacher's own calls reach it, but for the page of who runs what.
        assert CANARY not in teacher.run("song").text

    def test_a_snippet_of_anothers_is_not_put_in(self, school, anna_has):
        _, _, bob = school
        prompt_id, _ = anna_has
        for each in range(prompt_id - 3, prompt_id + 3):
            text = f"<cozeloop_snippet>id={each}&version=1.0.0</cozeloop_snippet>"
            detail = {"prompt_template": {"messages": [{"role": "user", "content": text}]}}
            own = bob.ok("", {"prompt_key": f"thief{each}", "prompt_name": "x"})["prompt_id"]
            draft = {"prompt_draft": {"detail": detail, "draft_info": {}}}
            answers = [
                bob.post(f"/{own}/drafts/save", draft),
                bob.post(f"/{own}/drafts/commit", {"commit_version": "1.0.0"}),
                bob.run(f"thief{each}"),
                bob.post("/mget", {"queries": [{"prompt_key": f"thief{each}"}]}),
            ]
            assert not any(CANARY in answer.text.replace(json.dumps(TOPIC), "") for answer in answers)

    def test_what_was_tried_would_have_been_found(self, school, anna_has):
        _, anna, _ = school
        found = {
            path
            for path, calls in self.attempts(*anna_has).items()
            if any(CANARY in anna.call(*call).text for call in calls if call[0] != "DELETE")
        }
        reading = ("execute", "execute_streaming", "mget", "{id:digits}", "{id:digits}/commits/list")
        assert found >= {f"/v1/loop/prompts/{path}" for path in reading} | {"/v1/loop/spans/search"}


class Silent(Parrot):
    """A model that says nothing until it is stopped."""

    def __init__(self):
        super().__init__()
        self.asked = threading.Event()

    def generate(self, messages, parameters, emit):
        self.asked.set()
        while emit(ExecuteResult()):
            time.sleep(0.01)
        self.stopped_early.set()


class TestTheTeachersPage:
    @pytest.fixture
    def lesson(self, start, people):
        model = Gated()
        server = start(model, members=MEMBERS)
        yield (model, *people(server, "teacher", "anna", "bob"))
        model.gate.release(1000)

    def state(self, caller):
        return caller.call("GET", "/class/state").json()["data"]

    def test_it_tells_who_runs_what_and_what_each_has_had(self, lesson):
        model, teacher, anna, _ = lesson
        running = threading.Thread(target=anna.run, args=("chat",))
        running.start()
        assert eventually(lambda: model.order)
        row = self.state(teacher)["members"][1]
        assert row["name"] == "anna" and [turn["prompt"] for turn in row["running"]] == ["chat"]
        model.gate.release(1)
        running.join(20)
        assert eventually(lambda: self.state(teacher)["members"][1]["answers"] == 1)
        assert self.state(teacher)["members"][1]["tokens"] == 1

    def test_stop_ends_an_answer_and_who_asked_is_told(self, lesson):
        model, teacher, anna, _ = lesson
        got = []
        running = threading.Thread(target=lambda: got.append(anna.run("chat").json()))
        running.start()
        assert eventually(lambda: model.order)
        (turn,) = self.state(teacher)["members"][1]["running"]
        assert teacher.call("POST", "/class/stop", {"turn": turn["turn"]}).json()["data"] == {"stopped": 1}
        running.join(20)
        assert "The teacher has stopped this answer" in got[0]["msg"]
        assert teacher.call("POST", "/class/stop", {"turn": turn["turn"]}).json()["data"] == {"stopped": 0}

    @pytest.mark.parametrize("path", ["/execute", "/execute_streaming"])
    def test_stop_also_ends_an_answer_that_has_not_begun_and_one_that_hangs(self, start, people, path):
        model = Silent()
        teacher, anna = people(start(model, members=MEMBERS), "teacher", "anna")
        got = []
        body = {"prompt_identifier": {"prompt_key": "chat"}, "variable_vals": TOPIC}
        running = threading.Thread(target=lambda: got.append(anna.post(path, body).text))
        running.start()
        assert model.asked.wait(60)
        (turn,) = self.state(teacher)["members"][1]["running"]
        assert teacher.call("POST", "/class/stop", {"turn": turn["turn"]}).json()["data"] == {"stopped": 1}
        running.join(20)
        assert got and "The teacher has stopped this answer" in got[0]
        assert eventually(lambda: self.state(teacher)["members"][1]["running"] == [])
        assert model.stopped_early.wait(60)

    @pytest.mark.parametrize(("method", "path"), [("GET", "/class/state"), ("POST", "/class/stop")])
    def test_it_is_for_the_teachers_token_alone(self, lesson, method, path):
        _, _, anna, _ = lesson
        refused = anna.call(method, path, {"turn": 1})
        assert refused.status_code == 403 and refused.json()["code"] == NO_PERMISSION
        assert requests.request(method, f"{anna.server.url}{path}").status_code == 401

    def test_no_token_is_in_the_page_or_its_state(self, lesson):
        _, teacher, anna, _ = lesson
        page = requests.get(f"{anna.server.url}/class")
        assert page.status_code == 200 and "default-src 'none'" in page.headers["content-security-policy"]
        assert "anna" not in page.text  # it asks for the names, with the teacher's token
        seen = page.text + json.dumps(self.state(teacher))
        assert not any(member.token in seen for member in MEMBERS)
        assert requests.get(f"{anna.server.url}/class").text != page.text  # another nonce

    def test_a_server_for_one_has_no_such_page(self, server):
        assert requests.get(f"{server.url}/class").status_code == 404


class TestACrowd:
    def test_two_hundred_calls_at_once_are_all_answered_and_who_asks_for_too_much_is_told(self, start, people):
        names = [f"student{number}" for number in range(20)]
        members = [Member(name, f"token-of-{name}-{'x' * 20}") for name in ("teacher", *names)]
        model = Gated()
        server = start(model, members=members, queue=FairQueue(4))
        codes = []

        def ask(caller):
            codes.append(caller.run("chat").json()["code"])

        callers = people(server, *(name for name in names for _ in range(10)))
        threads = [threading.Thread(target=ask, args=(caller,)) for caller in callers]
        for thread in threads:
            thread.start()
        assert eventually(lambda: len(server.queue.turns) == 200)
        running = [turn.owner for turn in server.queue.turns if turn.granted]
        assert len(running) == 4
        (teacher,) = people(server, "teacher")
        waiting = [len(member["waiting"]) for member in self.state(teacher)["members"]]
        assert sum(waiting) == 196 and max(waiting) == 10
        greedy = people(server, *(["student0"] * 20))
        more = [threading.Thread(target=ask, args=(caller,)) for caller in greedy]
        for thread in more:
            thread.start()
        assert eventually(lambda: TOO_MANY in codes)
        model.gate.release(1000)
        for thread in (*threads, *more):
            thread.join(120)
        assert sorted(set(codes)) == [0, TOO_MANY] and codes.count(0) >= 200 and len(codes) == 220
        assert eventually(lambda: not server.queue.turns) and set(server.queue.answers) == set(names)

    def state(self, caller):
        return caller.call("GET", "/class/state").json()["data"]


class TestTheRest:
    def test_an_answer_has_no_more_tokens_than_the_class_allows(self, start, people):
        model = Parrot()
        _, anna = people(start(model, members=MEMBERS, max_tokens=50), "teacher", "anna")
        for asked_for, given in ((None, 50), (20, 20), (500, 50), (0, 50)):
            config = {"model_id": "1", "max_tokens": asked_for}
            anna.run("chat", custom_model_config=config)
            assert model.parameters[-1].config.max_tokens == given

    @pytest.mark.parametrize("taken_off", [True, False])
    def test_it_works_under_a_path(self, start, people, taken_off):
        server = start(Parrot(), members=MEMBERS, prefix="/services/loop/")
        (anna,) = people(server, "anna")
        at = "" if taken_off else "/services/loop"
        assert anna.call("POST", f"{at}/v1/loop/prompts/list").json()["data"]["total"]
        assert requests.get(f"{server.url}{at}/class").status_code == 200
        assert requests.get(f"{server.url}{at}/health").json()["status"] == "ok"
        assert anna.call("POST", "/services/loopy/v1/loop/prompts/list").status_code == 404

"""What code written for the official SDK does with its entities: pydantic's names, text for enums, dicts."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from cozeloop_magic.entities.authoring import CommitPage, PromptCommit, PromptRecord, moment
from cozeloop_magic.entities.prompt import (
    ContentPart,
    ContentType,
    ExecuteResult,
    FunctionCall,
    LLMConfig,
    Message,
    Prompt,
    PromptTemplate,
    Role,
    TemplateType,
    TokenUsage,
    Tool,
    ToolCall,
    ToolType,
    VariableDef,
    VariableType,
)


class TestMade:
    def test_text_names_a_member(self) -> None:
        assert Message("user").role is Role.USER
        assert Message(role="user", parts=[ContentPart("text", text="x")]).parts[0].type is ContentType.TEXT  # type: ignore[index]
        assert PromptTemplate("jinja2").template_type is TemplateType.JINJA2
        assert VariableDef("a", type="array<string>").type is VariableType.ARRAY_STRING
        assert repr(Message("user", "hi")) == "Message(role=<Role.USER: 'user'>, content='hi')"

    def test_text_that_names_none_stays(self) -> None:
        assert Message("oracle").role == "oracle"

    def test_dicts_are_read(self) -> None:
        call: Any = {"id": "c", "function_call": {"name": "f", "arguments": "{}"}}
        message = Message("assistant", tool_calls=[call], parts=[{"type": "text", "text": "x", "new": 1}])  # type: ignore[list-item]
        assert message.tool_calls == [ToolCall(id="c", function_call=FunctionCall("f", "{}"))]
        assert message.parts == [ContentPart(ContentType.TEXT, text="x", extra={"new": 1})]
        result: Any = {"message": {"role": "assistant", "content": "hi"}, "usage": {"input_tokens": 1}}
        assert ExecuteResult(**result) == ExecuteResult(Message(Role.ASSISTANT, "hi"), usage=TokenUsage(1))
        prompt: Any = {"prompt_template": {"messages": [{"role": "user"}]}, "llm_config": {"temperature": 1}}
        assert Prompt("greet", "1.0.0", **prompt).prompt_template == PromptTemplate(messages=(Message("user"),))

    def test_a_list_is_not_made_another(self) -> None:
        parts = [ContentPart("text", text="x")]
        assert Message("user", parts=parts).parts is parts


MESSAGE = Message(
    "assistant",
    "hi",
    parts=(ContentPart("text", text="x"),),
    tool_calls=(ToolCall(0, "c", "function", FunctionCall("f")),),
    metadata={"a": [1]},
    extra={"new": {"b": 2}},
)


class TestDumped:
    def test_every_field_is_there(self) -> None:
        assert LLMConfig(temperature=1).model_dump() == {
            "temperature": 1,
            "max_tokens": None,
            "top_k": None,
            "top_p": None,
            "frequency_penalty": None,
            "presence_penalty": None,
            "json_mode": None,
        }

    def test_values_inside_are_dicts_and_members_are_members(self) -> None:
        dumped = MESSAGE.model_dump(exclude_none=True)
        assert dumped == {
            "role": Role.ASSISTANT,
            "content": "hi",
            "parts": [{"type": "text", "text": "x"}],
            "tool_calls": [
                {"index": 0, "id": "c", "type": ToolType.FUNCTION, "function_call": {"name": "f"}},
            ],
            "metadata": {"a": [1]},
            "new": {"b": 2},
        }
        assert type(dumped["role"]) is Role
        assert type(MESSAGE.model_dump(mode="json")["role"]) is str

    def test_fields_are_chosen(self) -> None:
        assert MESSAGE.model_dump(include={"role", "content"}) == {"role": "assistant", "content": "hi"}
        assert "content" not in MESSAGE.model_dump(exclude=["content"])

    def test_json_is_compact_and_readable(self) -> None:
        assert Message("user", "你好").model_dump_json(exclude_none=True) == '{"role":"user","content":"你好"}'
        assert Message("user").model_dump_json(indent=2, include=["role"]) == '{\n  "role": "user"\n}'

    @pytest.mark.parametrize("value", [MESSAGE, Tool(), Prompt("a", "1"), ExecuteResult(MESSAGE, "stop")])
    def test_it_comes_back_as_it_was(self, value: Any) -> None:
        kind = type(value)
        assert kind.model_validate(value.model_dump()) == value
        assert kind.model_validate_json(value.model_dump_json()) == value
        assert kind.model_validate(json.loads(value.model_dump_json(exclude_none=True))) == value
        assert kind.model_validate(value) is value
        assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value

    def test_a_copy_has_other_fields(self) -> None:
        assert Message("user", "a").model_copy(update={"content": "b"}) == Message("user", "b")

    def test_what_is_no_dict_is_refused(self) -> None:
        with pytest.raises(TypeError, match="Message expects a JSON object"):
            Message.model_validate(5)


class TestAuthoring:
    def test_a_record_comes_back_as_it_was(self) -> None:
        data = {
            "prompt_key": "greet",
            "id": "7",
            "prompt_basic": {"display_name": "Greet", "prompt_type": "normal"},
            "prompt_commit": {
                "commit_info": {"version": "1.0.0", "committed_at": 1764263000123},
                "detail": {"model_config": {"model_id": "1", "thinking": {"thinking_option": "auto"}}},
            },
        }
        assert PromptRecord.from_json(data).to_json() == data

    def test_times_are_read(self) -> None:
        assert str(moment(1764263000500)) == "2025-11-27 17:03:20.500000+00:00"
        assert moment(None) is None and moment(10**18) is None

    def test_versions_have_their_details(self) -> None:
        mapping = {"1.0.0": {"model_config": {"model_id": "1"}}, "0.9.0": 5}
        page = CommitPage.from_json(
            {
                "prompt_commit_infos": [{"version": "1.0.0"}, {"version": "0.9.0"}],
                "prompt_commit_detail_mapping": mapping,
            }
        )
        details = [commit.detail and commit.detail.model_config for commit in page.commits]
        assert details == [{"model_id": "1"}, None] and isinstance(page.commits[0], PromptCommit)

"""What Coze's own examples of the prompt hub call, with tracing on; then runs, and spans of every kind.

A test runs it with the official SDK in a process of its own.
"""

import base64
import json
import logging
import sys

import cozeloop
from cozeloop import Message, set_log_level
from cozeloop.entities.prompt import ContentPart, ContentType, Role
from cozeloop.spec.tracespec import (
    CALL_OPTIONS,
    ModelCallOption,
    ModelImageURL,
    ModelInput,
    ModelMessage,
    ModelMessagePart,
    ModelMessagePartType,
)

SAID = [Message(role=Role.USER, content="Hello!"), Message(role=Role.ASSISTANT, content="Hello!")]
ADVANCED = {
    "var_string": "hi",
    "var_int": 5,
    "var_bool": True,
    "var_object": {"name": "John", "age": 30},
    "var_array_string": ["hello", "nihao"],
    "var_array_object": [{"key": "123"}, {"value": 100}],
    "placeholder1": SAID,
}
PARTS = {
    "num": "2",
    "count": 10,
    "im1": [
        ContentPart(type=ContentType.TEXT, text="Image example"),
        ContentPart(type=ContentType.IMAGE_URL, image_url="https://example.com"),
    ],
}


def model_input(messages, parts=None):
    made = [ModelMessage(role=str(each.role), content=each.content or "", parts=parts) for each in messages]
    return ModelInput(messages=made)


def answered(client, messages, parts=None):
    """Write the span of a model, as the examples do."""
    span = client.start_span("llmCall", "model")
    span.set_input(model_input(messages, parts))
    span.set_output("I'm a robot. I don't have a specific name. You can give me one.")
    span.set_model_provider("openai")
    span.set_start_time_first_resp(1_700_000_000_000_000)
    span.set_input_tokens(232)
    span.set_output_tokens(1211)
    span.set_model_name("gpt-4-1106-preview")
    span.set_tags({CALL_OPTIONS: ModelCallOption(temperature=0.5, top_p=0.5, top_k=10, max_tokens=1024)})
    span.finish()


def fill_in(client, values, **which):
    prompt = client.get_prompt(**which)
    print(json.dumps([message.model_dump(exclude_none=True) for message in prompt.prompt_template.messages]))
    print(prompt.llm_config.model_dump_json(exclude_none=True))
    messages = client.prompt_format(prompt, values)
    print(json.dumps([message.model_dump(exclude_none=True) for message in messages]))
    return messages


def main():
    set_log_level(logging.DEBUG)
    client = cozeloop.new_client(prompt_trace=True, ultra_large_report=True)
    root = client.start_span("root_span", "main_span")
    root.set_baggage({"product_id": "123456654321"})
    hub = {"prompt_key": "prompt_hub_demo", "version": "0.0.1"}
    answered(client, fill_in(client, {"var1": "artificial intelligence", "placeholder1": SAID}, **hub))
    answered(client, fill_in(client, ADVANCED, **hub))
    picture = ModelImageURL(name="p", url=base64.b64encode(b"picture").decode())
    parts = [ModelMessagePart(type=ModelMessagePartType.IMAGE, image_url=picture)]
    answered(client, fill_in(client, PARTS, **hub), parts)
    labelled = {"var1": "a", "var2": "What is the weather like?", "placeholder1": SAID, "placeholder2": SAID[:1]}
    answered(client, fill_in(client, labelled, prompt_key="prompt_hub_label_demo", label="production"))
    large = client.start_span("large", "custom")
    large.set_input("x" * 5_000_000)
    large.set_error(ValueError("an error of its own"))
    large.finish()
    variables = {"topic": "tea", "user_request": "x"}
    print(client.execute_prompt("ptaas_demo", version="0.0.1", variable_vals=variables).message.content)
    for piece in client.execute_prompt("ptaas_demo", label="production", variable_vals=variables, stream=True):
        print(piece.message.content, end="")
    root.finish()
    client.flush()
    client.close()
    print(f"\ntrace {root.trace_id}", file=sys.stderr)


main()

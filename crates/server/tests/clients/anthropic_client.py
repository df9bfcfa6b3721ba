"""Anthropic's client against a server that says "Good morning." and calls a tool twice."""

import sys

import anthropic

URL, TOKEN = sys.argv[1:]
client = anthropic.Anthropic(base_url=URL, api_key=TOKEN, max_retries=0)
HELLO = [{"role": "user", "content": "hello you"}]
TOOLS = [{"name": "get_time", "description": "tells it", "input_schema": {"type": "object"}}]
COMMON = {"model": "script", "max_tokens": 100}

assert [model.id for model in client.models.list()] == ["script"]
assert client.models.retrieve("script").display_name == "script"

answer = client.messages.create(messages=HELLO, system="be brief", **COMMON)
assert answer.content[0].text == "Good morning."
assert answer.stop_reason == "end_turn"
assert (answer.usage.input_tokens, answer.usage.output_tokens) == (4, 2)

answer = client.messages.create(
    messages=HELLO, tools=TOOLS, tool_choice={"type": "tool", "name": "get_time"}, **COMMON
)
assert answer.stop_reason == "tool_use"
assert [block.type for block in answer.content] == ["text", "tool_use", "tool_use"]
results = [
    {"type": "tool_result", "tool_use_id": block.id, "content": "noon"}
    for block in answer.content
    if block.type == "tool_use"
]
turns = HELLO + [
    {"role": "assistant", "content": answer.content},
    {"role": "user", "content": results},
]
client.messages.create(messages=turns, tools=TOOLS, **COMMON)

with client.messages.stream(messages=HELLO, tools=TOOLS, **COMMON) as stream:
    words = "".join(stream.text_stream)
    final = stream.get_final_message()
assert words == "Good morning."
assert [block.input for block in final.content[1:]] == [{"zone": "UTC"}, {"zone": "CET"}]
assert final.stop_reason == "tool_use"
assert final.usage.output_tokens == 4

assert client.messages.count_tokens(model="script", messages=HELLO).input_tokens == 2

for call, error in [
    (lambda: client.models.retrieve("none"), anthropic.NotFoundError),
    (lambda: client.messages.create(messages=[], **COMMON), anthropic.BadRequestError),
    (
        lambda: client.with_options(api_key="wrong").models.list(),
        anthropic.AuthenticationError,
    ),
]:
    try:
        call()
    except error as caught:
        assert caught.body["error"]["message"], caught
    else:
        raise AssertionError(error)

"""OpenAI's client against a server that says "Good morning." and calls a tool twice."""

import sys

import openai

URL, TOKEN = sys.argv[1] + "/v1", sys.argv[2]
client = openai.OpenAI(base_url=URL, api_key=TOKEN, max_retries=0)
HELLO = [{"role": "user", "content": "hello you"}]
PARAMETERS = {"type": "object", "properties": {"zone": {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": "get_time", "parameters": PARAMETERS}}]

assert [model.id for model in client.models.list()] == ["script"]
assert client.models.retrieve("script").id == "script"

answer = client.chat.completions.create(model="script", messages=HELLO, seed=1, n=2)
assert [choice.message.content for choice in answer.choices] == ["Good morning."] * 2
assert answer.choices[0].finish_reason == "stop"
assert answer.usage.total_tokens == 2 + 4

answer = client.chat.completions.create(model="script", messages=HELLO, max_tokens=1)
assert answer.choices[0].finish_reason == "length"

answer = client.chat.completions.create(
    model="script", messages=HELLO, tools=TOOLS, tool_choice="required"
)
calls = answer.choices[0].message.tool_calls
assert [call.function.arguments for call in calls] == ['{"zone":"UTC"}', '{"zone":"CET"}']
turns = HELLO + [answer.choices[0].message]
turns += [{"role": "tool", "tool_call_id": call.id, "content": "noon"} for call in calls]
client.chat.completions.create(model="script", messages=turns, tools=TOOLS)

words, calls, usage = "", {}, None
for chunk in client.chat.completions.create(
    model="script",
    messages=HELLO,
    tools=TOOLS,
    stream=True,
    stream_options={"include_usage": True},
):
    usage = chunk.usage or usage
    for choice in chunk.choices:
        words += choice.delta.content or ""
        for call in choice.delta.tool_calls or []:
            calls[call.index] = call.function.name
assert (words, calls) == ("Good morning.", {0: "get_time", 1: "get_time"})
assert usage.completion_tokens == 4

with client.chat.completions.stream(model="script", messages=HELLO) as stream:
    assert stream.get_final_completion().choices[0].message.content == "Good morning."

text = client.completions.create(model="script", prompt=["a", "b"])
assert [choice.text for choice in text.choices] == ["Good morning."] * 2
text = client.completions.create(model="script", prompt="a", stream=True)
assert "".join(choice.text for chunk in text for choice in chunk.choices) == "Good morning."

for encoding in ({}, {"encoding_format": "float"}):
    vectors = client.embeddings.create(model="script", input=["a", "b"], **encoding)
    assert [vector.embedding for vector in vectors.data] == [[1.0], [1.0]]

first = client.responses.create(model="script", input="one")
assert first.output_text == "Good morning."
assert first.usage.output_tokens == 2
second = client.responses.create(model="script", input="two", previous_response_id=first.id)
assert client.responses.retrieve(second.id).previous_response_id == first.id
client.responses.delete(second.id)
tool = {"type": "function", "name": "get_time", "parameters": PARAMETERS, "strict": True}
with client.responses.stream(model="script", input="three", tools=[tool]) as stream:
    kinds = [event.type for event in stream]
    final = stream.get_final_response()
assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
assert [item.type for item in final.output] == ["message", "function_call", "function_call"]

for call, error in [
    (lambda: client.models.retrieve("none"), openai.NotFoundError),
    (lambda: client.responses.retrieve("none"), openai.NotFoundError),
    (
        lambda: client.chat.completions.create(model="script", messages=[]),
        openai.BadRequestError,
    ),
    (
        lambda: client.with_options(api_key="wrong").models.list(),
        openai.AuthenticationError,
    ),
]:
    try:
        call()
    except error as caught:
        assert caught.body["message"], caught
    else:
        raise AssertionError(error)

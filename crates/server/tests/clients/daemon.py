"""The packages of OpenAI, Anthropic and Ollama against a daemon that serves `droplet`, which calls functions, and `tiny`, a
model that says nonsense: whatever it says, calls and objects fit their schemas.

  daemon.py URL TOKEN
"""
import json
import sys

import anthropic
import ollama
import openai

url, token = sys.argv[1:]
city = {"type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}}, "required": ["city"], "additionalProperties": False}
asked = [{"role": "user", "content": "wake me at half past six tomorrow"}]


def is_city(value):
    assert value in ({"city": "Oslo"}, {"city": "Rome"}), value


client = openai.OpenAI(base_url=url + "/v1", api_key=token)
assert {"droplet", "tiny"} <= {model.id for model in client.models.list()}
answer = client.chat.completions.create(model="droplet", messages=asked)
[call] = answer.choices[0].message.tool_calls
assert answer.choices[0].finish_reason == "tool_calls" and call.function.name == "alarm_set", answer
assert isinstance(json.loads(call.function.arguments), dict)
deltas = [piece.choices[0].delta for piece in client.chat.completions.create(model="droplet", messages=asked, stream=True) if piece.choices]
assert any(delta.tool_calls for delta in deltas), deltas
pieces = client.completions.create(model="tiny", prompt="Once upon", max_tokens=12, seed=1, stream=True)
streamed = "".join(piece.choices[0].text for piece in pieces if piece.choices)
whole = client.completions.create(model="tiny", prompt="Once upon", max_tokens=12, seed=1)
assert streamed == whole.choices[0].text and whole.usage.completion_tokens <= 12
tool = {"type": "function", "function": {"name": "weather", "parameters": city}}
answer = client.chat.completions.create(model="tiny", messages=asked, tools=[tool], tool_choice="required", max_tokens=200, seed=2)
for call in answer.choices[0].message.tool_calls or []:
    assert call.function.name == "weather"
    is_city(json.loads(call.function.arguments))
shape = {"type": "json_schema", "json_schema": {"name": "place", "schema": city, "strict": True}}
answer = client.chat.completions.create(model="tiny", messages=asked, response_format=shape, max_tokens=100, seed=3)
is_city(json.loads(answer.choices[0].message.content))
first = client.responses.create(model="droplet", input="wake me at half past six tomorrow")
assert any(item.type == "function_call" for item in first.output), first
try:
    client.chat.completions.create(model="nowhere", messages=asked)
    raise SystemExit("a model that is not there answered")
except openai.NotFoundError:
    pass

client = anthropic.Anthropic(base_url=url, api_key=token)
answer = client.messages.create(model="droplet", max_tokens=50, messages=asked)
assert answer.stop_reason == "tool_use" and answer.content[-1].name == "alarm_set", answer
with client.messages.stream(model="tiny", max_tokens=12, messages=asked) as stream:
    said = "".join(stream.text_stream)
    assert stream.get_final_message().usage.output_tokens <= 12
    assert stream.get_final_text() == said
assert client.messages.count_tokens(model="tiny", messages=asked).input_tokens > 0

client = ollama.Client(host=url, headers={"Authorization": "Bearer " + token})
assert "tiny" in {model.model.removesuffix(":latest") for model in client.list().models}
answer = client.chat(model="droplet", messages=asked)
assert answer.message.tool_calls[0].function.name == "alarm_set", answer
options = {"num_predict": 12, "seed": 1}
streamed = "".join(piece.response for piece in client.generate(model="tiny", prompt="Once upon", raw=True, stream=True, options=options))
assert streamed == client.generate(model="tiny", prompt="Once upon", raw=True, options=options).response
is_city(json.loads(client.chat(model="tiny", messages=asked, format=city, options={"num_predict": 100, "seed": 4}).message.content))
print("the daemon answers all three")

"""Ollama's client against a server that says "Good morning." and calls a tool twice."""

import sys

import ollama

URL, TOKEN = sys.argv[1:]
client = ollama.Client(host=URL, headers={"Authorization": "Bearer " + TOKEN})
HELLO = [{"role": "user", "content": "hello you"}]


def get_time(zone: str) -> str:
    """Tells the time.

    Args:
      zone: where
    """
    return "noon in " + zone


assert [model.model for model in client.list().models] == ["script"]
assert client.show("script").capabilities == ["completion", "tools"]

answer = client.chat("script", HELLO, options={"temperature": 0, "seed": 1, "num_ctx": 100})
assert answer.message.content == "Good morning."
assert (answer.prompt_eval_count, answer.eval_count) == (2, 2)
assert answer.done_reason == "stop" and answer.total_duration > 0

answer = client.chat("script", HELLO, tools=[get_time])
calls = answer.message.tool_calls
assert [call.function.arguments for call in calls] == [{"zone": "UTC"}, {"zone": "CET"}]
turns = HELLO + [answer.message]
turns += [{"role": "tool", "tool_name": "get_time", "content": "noon"} for _ in calls]
client.chat("script", turns, tools=[get_time])

parts = list(client.chat("script", HELLO, stream=True))
assert "".join(part.message.content for part in parts) == "Good morning."
assert parts[-1].done

answer = client.generate("script", "a b c", format="json")
assert answer.response == "Good morning."
parts = client.generate("script", "a b c", stream=True)
assert "".join(part.response for part in parts) == "Good morning."

assert client.embed("script", ["a", "b"]).embeddings == [[1.0], [1.0]]

parts = list(client.pull("tiny:1b", stream=True))
assert [parts[0].status, parts[-1].status] == ["pulling", "success"], parts
assert parts[-2].digest == "sha256:" + "ab" * 32
assert (parts[-2].completed, parts[-2].total) == (20, 20)
assert client.pull("hf.co/owner/repository:Q4_0").status == "success"
assert client.delete("tiny:1b").status == "success"
try:
    list(client.pull("missing", stream=True))
except ollama.ResponseError as caught:
    assert "no such model" in caught.error
else:
    raise AssertionError("missing")

for call, status in [
    (lambda: client.show("none"), 404),
    (lambda: client.chat("script", []), 400),
    (lambda: client.pull("169.254.169.254/library/x"), 400),
    (lambda: client.pull("x", insecure=True), 400),
    (lambda: client.pull("missing"), 400),
    (lambda: client.delete("missing"), 404),
    (lambda: ollama.Client(host=URL).list(), 401),
]:
    try:
        call()
    except ollama.ResponseError as caught:
        assert caught.status_code == status and caught.error, caught
    else:
        raise AssertionError(status)

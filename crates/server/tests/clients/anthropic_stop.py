"""Anthropic's client against a server whose model ends at a stop text."""

import sys

import anthropic

URL, TOKEN = sys.argv[1:]
client = anthropic.Anthropic(base_url=URL, api_key=TOKEN, max_retries=0)
asked = {
    "model": "m",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hello"}],
    "stop_sequences": ["END"],
}
with client.messages.stream(**asked) as stream:
    for answer in (client.messages.create(**asked), stream.get_final_message()):
        assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "END"), answer

"""Three clients against a server whose model breaks within an answer: each of them says so."""

import sys

import anthropic
import ollama
import openai

URL, TOKEN = sys.argv[1:]
HELLO = [{"role": "user", "content": "hello"}]


def by_openai():
    client = openai.OpenAI(base_url=URL + "/v1", api_key=TOKEN, max_retries=0)
    list(client.chat.completions.create(model="m", messages=HELLO, stream=True))


def by_anthropic():
    client = anthropic.Anthropic(base_url=URL, api_key=TOKEN, max_retries=0)
    list(client.messages.create(model="m", max_tokens=9, messages=HELLO, stream=True))


def by_ollama():
    client = ollama.Client(host=URL, headers={"Authorization": "Bearer " + TOKEN})
    list(client.chat(model="m", messages=HELLO, stream=True))


for ask, error in [
    (by_openai, openai.APIError),
    (by_anthropic, anthropic.APIError),
    (by_ollama, ollama.ResponseError),
]:
    try:
        ask()
    except error as caught:
        assert "internal error" in str(caught), caught
    else:
        raise AssertionError(ask)

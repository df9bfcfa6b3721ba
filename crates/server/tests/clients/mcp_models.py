"""The official SDK's client against the real program: droplet, and a model that says nonsense.

  mcp_models.py URL TOKEN               the daemon
  mcp_models.py stdio HOME PROGRAM ...  `ondine mcp`, which this starts
"""

import json
import os
import sys

import anyio
import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client


async def ask(client: Client) -> None:
    assert client.server_info.name == "ondine", client.server_info
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert {"ask", "count_tokens", "embed", "device_call"} <= set(tools), set(tools)
    assert all(tool.annotations.read_only_hint for tool in tools.values())

    async def call(name, **arguments):
        result = await client.call_tool(name, arguments)
        return result.is_error or False, result.content[0].text

    wrong, text = await call("device_call", request="wake me at half past six tomorrow")
    assert not wrong and json.loads(text)["function"] == "alarm_set", text
    wrong, text = await call("ask", model="tiny", prompt="Once upon", max_tokens=8)
    assert not wrong and isinstance(text, str), text
    wrong, text = await call("count_tokens", model="tiny", text="Once upon a time")
    assert not wrong and json.loads(text)["tokens"] > 0, text
    wrong, text = await call("ask", model="none", prompt="x")
    assert wrong and "there is no model" in text, text
    wrong, text = await call("ask", prompt=7)
    assert wrong and "prompt" in text, text
    read = await client.read_resource("ondine://models")
    models = {model["name"] for model in json.loads(read.contents[0].text)}
    assert {"droplet", "tiny"} <= models, models
    try:
        await client.read_resource("file:///etc/passwd")
    except MCPError:
        pass
    else:
        raise AssertionError("a file was read")


async def main() -> None:
    if sys.argv[1] == "stdio":
        home, program, *rest = sys.argv[2:]
        environment = {**os.environ, "ONDINE_HOME": home}
        server = StdioServerParameters(command=program, args=rest, env=environment)
        for mode in ("legacy", "auto"):
            async with Client(server, mode=mode) as client:
                await ask(client)
        return
    url, token = sys.argv[1] + "/mcp", sys.argv[2]
    headers = {"Authorization": "Bearer " + token}
    for mode in ("legacy", "auto"):
        async with httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:
            async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
                await ask(client)
    async with httpx2.AsyncClient(trust_env=False) as http:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        assert (await http.post(url, json=body)).status_code == 401
        page = {**headers, "Origin": "http://evil.example"}
        assert (await http.post(url, json=body, headers=page)).status_code == 403


anyio.run(main)

"""The official SDK's client against what crates/mcp/tests offers over HTTP, in both ages of the protocol."""

import sys

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

URL, TOKEN = sys.argv[1] + "/mcp", sys.argv[2]


async def ask(mode: str, version: str) -> None:
    headers = {"Authorization": "Bearer " + TOKEN}
    async with httpx2.AsyncClient(headers=headers, timeout=30, trust_env=False) as http:
        async with Client(streamable_http_client(URL, http_client=http), mode=mode) as client:
            assert client.server_info.name == "test", client.server_info
            assert client.instructions == "Ask politely."
            assert client.protocol_version >= version, client.protocol_version

            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert "pay" not in tools
            assert tools["add"].input_schema["required"] == ["a", "b"]
            assert tools["add"].annotations.read_only_hint is True
            assert tools["note"].annotations.destructive_hint is False

            async def call(name, arguments=None):
                result = await client.call_tool(name, arguments or {})
                return result.is_error or False, result.content[0].text

            assert await call("add", {"a": 2, "b": 40}) == (False, "42")
            wrong, text = await call("add", {"a": 2})
            assert wrong and '"b" is missing' in text, text
            assert await call("fail") == (True, "error: no luck")
            assert (await call("panic"))[0] is True
            assert "no result within" in (await call("hang"))[1]
            assert len((await call("flood"))[1]) < 70_000
            # A call without a key of its own has one all the same, and never the same.
            assert (await call("key"))[1] != (await call("key"))[1]
            for name in ("pay", "none"):
                try:
                    await call(name)
                except MCPError as error:
                    assert "there is no tool" in str(error), error
                else:
                    raise AssertionError(name + " was called")

            page = await client.list_resources()
            more = await client.list_resources(cursor=page.next_cursor)
            uris = [str(resource.uri) for resource in page.resources + more.resources]
            assert uris == [f"notes://{n}" for n in range(150)]
            read = await client.read_resource("notes://0")
            assert read.contents[0].text == "# 名字"
            assert read.contents[0].mime_type == "text/markdown"
            assert (await client.read_resource("notes://1")).contents[0].blob == "AP8B"
            for uri in ("notes://2", "notes://none"):
                try:
                    await client.read_resource(uri)
                except MCPError:
                    pass
                else:
                    raise AssertionError(uri + " was read")


async def main() -> None:
    await ask("legacy", "2025-06-18")
    await ask("auto", "2026-07-28")
    # Nobody gets in without the token, from a web page, or by another name.
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    bearer = {"Authorization": "Bearer " + TOKEN}
    rows = [({}, 401), ({**bearer, "Origin": "http://evil.example"}, 403), ({**bearer, "Host": "evil.example"}, 403)]
    async with httpx2.AsyncClient(trust_env=False) as http:
        for headers, status in rows:
            response = await http.post(URL, json=body, headers=headers)
            assert response.status_code == status, (headers, response)


anyio.run(main)

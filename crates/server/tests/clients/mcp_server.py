"""A server of the official SDK: over the standard streams, or over HTTP behind a token."""

import sys

import anyio
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.types import ToolAnnotations
from pydantic import BaseModel

server = MCPServer("python", version="9", log_level="ERROR")


class Tree(BaseModel):
    inner: list["Tree"] = []


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
async def weather(city: str) -> dict[str, str]:
    return {"city": city, "sky": "blue"}


@server.tool(annotations=ToolAnnotations(read_only_hint=False, destructive_hint=False))
def remember(text: str) -> str:
    return f"kept {text}"


@server.tool()
def broken() -> str:
    raise ValueError("broken on purpose")


@server.tool()
def grow(tree: Tree) -> str:
    return str(tree)


@server.tool()
def picture() -> Image:
    return Image(data=b"abc", format="png")


@server.tool()
async def slow(context: Context) -> str:
    for step in range(5):
        await context.report_progress(step, 5)
        await anyio.sleep(0.02)
    return "slow but done"


@server.tool()
def key(context: Context) -> str:
    return str(dict(context.request_context.meta or {}).get("dev.ondine/key"))


@server.resource("notes://today", mime_type="text/plain")
def today() -> str:
    return "buy milk"


def http(token: str, mode: str) -> None:
    import socket

    import uvicorn

    app = server.streamable_http_app(json_response=mode == "json", stateless_http=mode == "json")

    async def guarded(scope, receive, send):
        headers = dict(scope.get("headers") or [])
        if scope["type"] == "http" and headers.get(b"authorization") != b"Bearer " + token.encode():
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b"no"})
            return
        await app(scope, receive, send)

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(guarded, log_level="error")
    uvicorn.Server(config).run(sockets=[listener])


if sys.argv[1:2] == ["http"]:
    http(sys.argv[2], sys.argv[3])
else:
    server.run()

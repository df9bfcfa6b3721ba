//! The row of the command that speaks the Model Context Protocol.

use super::service::{DEVICE, KEEP_ALIVE, MODELS, ONLY, RAG, SERVED_MEMORY};
use super::{CommandSpec, ISA, JSON, THREADS, Value, flag};
use crate::commands;

pub(super) const MCP: CommandSpec = CommandSpec {
    name: "mcp",
    about: "Offer this device's models to a program by the Model Context Protocol, or see a server's tools",
    more: "`ondine mcp` answers over the standard streams, for editors and assistants that start their \
           servers; the\ndaemon (`ondine serve`) offers the same at /mcp to apps with a token. Offered are \
           `ask`, `embed`,\n`count_tokens` and `device_call`, which says what function of a device a \
           request means and calls nothing.\n\n`ondine mcp tools` lists what another server offers: a \
           program behind --, or --url. It sees PATH, HOME and\ntheir like, and no other variable but those of --env. What it \
           says of its own tools is not believed unless --trust: their effect\nis then taken for one that \
           cannot be taken back.\n\nExamples:\n  ondine mcp -m model.gguf\n  \
           ondine mcp tools -- some-server --its-flag\n  \
           ondine mcp tools --url http://127.0.0.1:11435/mcp --token-file token",
    flags: &[
        &flag("action", Value::Word("serve|tools"), "What to do [default: serve]"),
        &flag("command", Value::Words("PROGRAM"), "The server to look at and its flags, behind --"),
        &flag("url", Value::Text("URL"), "The server to look at: https, or this machine"),
        &flag("token-file", Value::Path("FILE"), "The file with the token that --url wants"),
        &flag("env", Value::Texts("NAME"), "A variable that the server sees too; may be repeated"),
        &flag("trust", Value::Switch, "Believe what the server says its tools change"),
        &MODELS,
        &ONLY,
        &KEEP_ALIVE,
        &SERVED_MEMORY,
        &DEVICE,
        &RAG,
        &THREADS,
        &ISA,
        &JSON,
    ],
    run: commands::mcp::run,
};

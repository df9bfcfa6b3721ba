//! The rows of the commands of the service.

use super::{CommandSpec, Flag, ISA, THREADS, Value, flag};
use crate::commands;

// What the daemon and `ondine mcp` share.
pub(super) const MODELS: Flag = Flag {
    short: Some('m'),
    ..flag(
        "model",
        Value::Texts("MODEL"),
        "What to load at once; may be repeated, the first is the default",
    )
};
pub(super) const ONLY: Flag =
    flag("only", Value::Switch, "Serve what --model names and nothing else");
pub(super) const KEEP_ALIVE: Flag = Flag {
    default: Some("5m"),
    ..flag(
        "keep-alive",
        Value::Text("TIME"),
        "How long a model stays in memory when nobody uses it: 300, 5m, 0, or -1 for always",
    )
};
pub(super) const SERVED_MEMORY: Flag = flag(
    "memory",
    Value::Count { min: 1, max: u64::MAX },
    "Bytes of weights, keys, values and scratch memory together [default: three quarters of what is free]",
);

pub(super) const DEVICE: Flag = flag(
    "device",
    Value::Switch,
    "Offer device functions to programs that speak MCP: timers, notes, lists, the clipboard, opening",
);

pub(super) const RAG: Flag = flag(
    "rag",
    Value::Path("DIR"),
    "Offer search in the index of this folder (`ondine rag add`) to programs that speak MCP",
);

pub(super) const SERVE: CommandSpec = CommandSpec {
    name: "serve",
    about: "Serve models to all apps of this machine, over HTTP",
    more: "The APIs are those of OpenAI (/v1/chat/completions and its like), Anthropic \
           (/v1/messages) and Ollama\n(/api/chat), and the Model Context Protocol (/mcp). Each app has a token: see `ondine app`. When \
           it is ready it prints one line of JSON,\n{\"ready\":true,\"listen\":\"…\"}; logs go to \
           standard error, without what was said. SIGTERM and\nCtrl-C end it when running answers \
           are done, a second one at once.\n\nModels named by --model are loaded at once and stay \
           until room is needed. All models of the store\n(`ondine ls`) can be asked for by name and \
           are loaded when somebody does, unless --only says\notherwise; where one is pulled or \
           updated, the new one takes over without a pause. droplet answers\nwith calls of device \
           functions. Who names no model gets the first --model, else the model that was\npulled \
           last, else droplet.\n\nOther machines are listened to in HTTPS alone: \
           --listen with their address, --tls-cert and --tls-key, and\n--host with each name that \
           they call this machine, where that is not the address itself.",
    flags: &[
        &Flag {
            default: Some("127.0.0.1:11435"),
            ..flag("listen", Value::Text("ADDRESS"), "Where to listen")
        },
        &flag("tls-cert", Value::Path("FILE"), "Certificates in PEM, the own one first: HTTPS"),
        &flag("tls-key", Value::Path("FILE"), "Their private key in PEM, readable by nobody else"),
        &flag(
            "host",
            Value::Texts("NAME"),
            "A name that this machine is asked by; may be repeated",
        ),
        &MODELS,
        &ONLY,
        &KEEP_ALIVE,
        &SERVED_MEMORY,
        &DEVICE,
        &RAG,
        &THREADS,
        &ISA,
    ],
    run: commands::serve::run,
};

pub(super) const APP: CommandSpec = CommandSpec {
    name: "app",
    about: "Say which apps may ask the service",
    more: "`app add NAME` prints the app's token, alone and this once. `app ls` lists names, \
           priorities, tokens of\ntoday and quotas, `app rm NAME` takes a token away and what is kept of \
           its conversations. A service that runs knows at once; answers \
           that have begun\nare finished.\n\nWhat counts are tokens that were computed: those of a prompt, but \
           for what was known from before, and those\nof an answer. A day ends at 00:00 UTC. Over its \
           quota an app is refused; what has begun is\nfinished, so that it can go over. Any app may \
           fetch, delete, load and unload models.",
    flags: &[
        &Flag { required: true, ..flag("action", Value::Word("add|ls|rm"), "What to do") },
        &flag("name", Value::Word("NAME"), "What the app is called"),
        &Flag {
            default: Some("interactive"),
            ..flag(
                "priority",
                Value::Choice("PRIORITY", &["interactive", "background"]),
                "Whether somebody waits for its answers",
            )
        },
        &flag(
            "tokens-per-day",
            Value::Count { min: 1, max: u64::MAX },
            "What may be computed for it in a day [default: no limit]",
        ),
    ],
    run: commands::app::run,
};

pub(super) const SERVICE: CommandSpec = CommandSpec {
    name: "service",
    about: "Have the system start the service: a unit of systemd, an agent of launchd",
    more: "What stands behind -- goes to `ondine serve`.\n\nExample:\n  \
               ondine service install -- -m model.gguf --memory 8000000000",
    flags: &[
        &Flag {
            required: true,
            ..flag("action", Value::Word("install|uninstall|status"), "What to do")
        },
        &flag("flags", Value::Words("FLAGS"), "What `ondine serve` is started with, behind --"),
        &flag("print", Value::Switch, "Show the file and write nothing"),
        &flag("force", Value::Switch, "Also where the file is somebody else's"),
    ],
    run: commands::service::run,
};

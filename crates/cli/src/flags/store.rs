//! The rows of the commands of the model store.

use super::{CommandSpec, Flag, JSON, Value, flag};
use crate::commands;

const NAME: Flag = flag("name", Value::Word("NAME"), "Its name, as `ondine ls` shows it");
const NAME_NEEDED: Flag = Flag { required: true, ..NAME };

pub(super) const PULL: CommandSpec = CommandSpec {
    name: "pull",
    about: "Fetch a model into the store",
    more: "SOURCE is a file, an http or https address, hf:owner/repository with /file.gguf or \
           :Q4_K_M and\n@revision where needed, ollama:model with :tag where needed, or with --key \
           signed:https://host/model.json,\nwhose publisher's signed releases `ondine update` \
           follows. It prints the name, which is made from the\nsource without --name. What has \
           arrived is kept until it is whole: the same command goes on after an\ninterrupt.\n\nThe \
           store is the folder models in ONDINE_HOME, or in the place of this system for \
           data.\nHF_ENDPOINT and ONDINE_REGISTRY name other servers, HF_TOKEN is told to \
           the first.\n\nExamples:\n  \
           ondine pull hf:ggml-org/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q4_0.gguf --name qwen3\n  \
           ondine run -m qwen3 \"Why is the sky blue?\"",
    flags: &[
        &Flag {
            required: true,
            ..flag("source", Value::File("SOURCE"), "Where the model comes from")
        },
        &flag("name", Value::Text("NAME"), "Its name here [default: made from the source]"),
        &flag("sha256", Value::Text("HEX"), "What the file's SHA-256 must be"),
        &flag("key", Value::Text("KEY"), "The minisign key that signed releases must have"),
        &flag(
            "registry",
            Value::Text("URL"),
            "The server that hf: and ollama: mean [default: the public one]",
        ),
    ],
    run: commands::pull::run,
};

pub(super) const LS: CommandSpec = CommandSpec {
    name: "ls",
    about: "List the models of the store",
    more: "",
    flags: &[&JSON],
    run: commands::ls::run,
};

pub(super) const RM: CommandSpec = CommandSpec {
    name: "rm",
    about: "Remove a model from the store",
    more: "",
    flags: &[&NAME_NEEDED],
    run: commands::rm::run,
};

pub(super) const UPDATE: CommandSpec = CommandSpec {
    name: "update",
    about: "Switch models to their publishers' newest signed release",
    more: "Without NAME, all models that were pulled from signed:https://… are updated. The new \
           version is\nfetched beside the old one, checked against its signature and tried, and only \
           then active, at once. The\nold one stays for `ondine rollback`. A release that has \
           expired is refused, and so is a version below\nany that was seen. One that was rolled \
           back from, or that failed its trial, is taken again only where\nNAME is typed.",
    flags: &[
        &NAME,
        &flag("allow-downgrade", Value::Switch, "Take an older version than was seen before"),
        &JSON,
    ],
    run: commands::update::run,
};

pub(super) const ROLLBACK: CommandSpec = CommandSpec {
    name: "rollback",
    about: "Go back to the version before the last update",
    more: "It takes effect at once and needs no network.",
    flags: &[&NAME_NEEDED],
    run: commands::rollback::run,
};

//! The store as the service's shelf: apps bring models to the disk and take them away.
//!
//! An app is not the user who types a command. It may name a model of the hub or the registry that
//! this machine was told of, and no file, no address and no host.

use std::ops::ControlFlow;

use ondine_chat::{ChatError, Pulling, Shelf};
use ondine_store::{ModelName, Pull, Source, Step, Store, StoreError};

use crate::failure::Failure;
use crate::store;

/// The store, for apps.
pub(crate) struct Stored {
    store: Store,
}

impl Stored {
    /// The store of this user, made where there is none.
    pub(crate) fn open() -> Result<Stored, Failure> {
        Ok(Stored { store: store::create(None)? })
    }
}

impl Shelf for Stored {
    fn pull(
        &self,
        source: &str,
        name: Option<&str>,
        watch: &mut dyn FnMut(&Pulling) -> bool,
    ) -> Result<String, ChatError> {
        let source: Source = source.parse().map_err(told)?;
        if !matches!(source, Source::Hub { .. } | Source::Registry { .. }) {
            let what = "apps name models of the hub or the registry; `ondine pull` takes the rest";
            return Err(ChatError::invalid("model", what));
        }
        let name = name.map(str::parse::<ModelName>).transpose().map_err(told)?;
        let pull = Pull { source, name, digest: None, key: None };
        let mut tell = |step: Step| match watch(&pulling(step)) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        };
        let pulled = self.store.pull(&pull, &store::check, &mut tell).map_err(told)?;
        Ok(pulled.name.to_string())
    }

    fn remove(&self, name: &str) -> Result<(), ChatError> {
        let name = name.parse::<ModelName>().map_err(told)?;
        self.store.remove(&name).map(|_| ()).map_err(told)
    }
}

fn pulling(step: Step) -> Pulling {
    let Step { done, total, waiting, digest } = step;
    let step = match (total, waiting) {
        (_, true) => "waiting for another pull",
        (0, _) => "looking for the model",
        _ => "pulling",
    };
    Pulling {
        step: step.to_string(),
        done,
        total: Some(total).filter(|total| *total > 0),
        sha256: digest.map(|digest| digest.to_string()),
    }
}

/// The store's errors in the words of a conversation: who is to blame, and whether it is worth
/// trying again.
fn told(error: StoreError) -> ChatError {
    let message = error.to_string();
    match error {
        StoreError::Unknown { name, known } => ChatError::NoModel {
            name: name.to_string(),
            known: known.iter().map(ModelName::to_string).collect(),
        },
        StoreError::Status { status: 404, .. } => {
            ChatError::invalid("model", "there is no such model at the hub or the registry")
        }
        StoreError::Name { .. }
        | StoreError::Source { .. }
        | StoreError::Several { .. }
        | StoreError::Missing { .. }
        | StoreError::Refused { .. } => ChatError::invalid("model", message),
        StoreError::Io { .. } | StoreError::Space { .. } | StoreError::Damaged { .. } => {
            ChatError::Disk(message)
        }
        // Somebody else's fault, or somebody else's model: another time it may be otherwise.
        _ => ChatError::Conflict(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_reaches_no_file_and_no_address() {
        let folder = std::env::temp_dir().join(format!("ondine-shelf-{}", std::process::id()));
        let store = Store::create(&folder, ondine_store::Options::default()).unwrap();
        let shelf = Stored { store };
        let file = folder.join("m.gguf");
        std::fs::write(&file, "x").unwrap();
        for source in [
            file.to_str().unwrap(),
            "https://127.0.0.1:9/m.gguf",
            "signed:https://127.0.0.1:9/m.json",
            "hf:127.0.0.1:9/x",
            "ollama:127.0.0.1:9/library/x",
            "",
        ] {
            let pulled = shelf.pull(source, Some("m"), &mut |_| panic!("it began: {source}"));
            assert!(matches!(pulled, Err(ChatError::Invalid { .. })), "{source}: {pulled:?}");
        }
        assert!(matches!(shelf.remove("nobody"), Err(ChatError::NoModel { .. })));
        assert!(matches!(shelf.remove("../x"), Err(ChatError::Invalid { .. })));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

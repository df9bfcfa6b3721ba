//! How an embedding model's folder says that rows become one vector: `modules.json`, which lists
//! what a text goes through, and the configuration of its pooling. What cannot be said in GGUF is
//! refused, since leaving it out would give other vectors.

use crate::error::FormatError;
use crate::json;
use crate::limits;
use serde::Deserialize;

/// `modules.json`: what a text goes through.
#[derive(Clone, Debug)]
pub struct Modules {
    pooling: Option<String>,
}

const MODULES: &str = "modules.json";
const POOLING: &str = "config.json of the pooling";

impl Modules {
    /// Reads the list. Every module must be one that a GGUF file can stand for: the transformer, a
    /// pooling, and bringing vectors to length 1, which is what readers of GGUF do anyway.
    ///
    /// # Errors
    /// Where the JSON cannot be read, another module is there, or the pooling's folder is more
    /// than a plain name.
    pub fn read(modules_json: &str) -> Result<Modules, FormatError> {
        #[derive(Deserialize)]
        struct Module {
            #[serde(default)]
            path: String,
            #[serde(rename = "type")]
            kind: String,
        }
        let list: Vec<Module> = json::parse(MODULES, modules_json, limits::JSON_BYTES)?;
        let mut modules = Modules { pooling: None };
        for Module { path, kind } in list {
            match kind.rsplit('.').next().unwrap_or_default() {
                "Transformer" | "Normalize" => {}
                "Pooling" if modules.pooling.is_none() => {
                    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
                    if path.is_empty() || path.len() > 255 || !path.chars().all(plain) {
                        let expected = "letters, digits, - and _";
                        return Err(wrong(MODULES, "path", &path, expected));
                    }
                    modules.pooling = Some(path);
                }
                _ => {
                    let expected = "Transformer, one Pooling or Normalize";
                    return Err(wrong(MODULES, "type", &kind, expected));
                }
            }
        }
        Ok(modules)
    }

    /// The folder, inside the model's, that holds the configuration of the pooling.
    pub fn pooling(&self) -> Option<&str> {
        self.pooling.as_deref()
    }
}

/// GGUF's number of the pooling that a configuration describes.
///
/// # Errors
/// Where the JSON cannot be read, or the pooling is none of mean, first and last, or several.
pub fn number(config_json: &str) -> Result<u32, FormatError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        One(String),
        Several(Vec<String>),
    }
    // A name in newer files, a list of switches in older ones.
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Config {
        pooling_mode: Option<Names>,
        pooling_mode_mean_tokens: bool,
        pooling_mode_cls_token: bool,
        pooling_mode_lasttoken: bool,
        pooling_mode_max_tokens: bool,
        pooling_mode_mean_sqrt_len_tokens: bool,
        pooling_mode_weightedmean_tokens: bool,
    }
    let config: Config = json::parse(POOLING, config_json, limits::JSON_BYTES)?;
    let names = match config.pooling_mode {
        Some(Names::One(name)) => vec![name],
        Some(Names::Several(names)) => names,
        None => [
            ("mean", config.pooling_mode_mean_tokens),
            ("cls", config.pooling_mode_cls_token),
            ("lasttoken", config.pooling_mode_lasttoken),
            ("max", config.pooling_mode_max_tokens),
            ("mean_sqrt_len_tokens", config.pooling_mode_mean_sqrt_len_tokens),
            ("weightedmean", config.pooling_mode_weightedmean_tokens),
        ]
        .into_iter()
        .filter(|(_, on)| *on)
        .map(|(name, _)| name.to_owned())
        .collect(),
    };
    match names.as_slice() {
        [name] if name == "mean" => Ok(1),
        [name] if name == "cls" => Ok(2),
        [name] if name == "lasttoken" => Ok(3),
        _ => Err(wrong(POOLING, "pooling_mode", &names.join(", "), "mean, cls or lasttoken")),
    }
}

fn wrong(file: &'static str, key: &str, found: &str, expected: &str) -> FormatError {
    FormatError::Folder {
        file,
        key: key.to_owned(),
        found: format!("{found:?}"),
        expected: expected.to_owned(),
    }
}

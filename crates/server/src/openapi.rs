//! The OpenAPI document: the table of routes, told to programs. Bodies' shapes are those that the
//! handlers read; answers' shapes are the types in `openapi/`, to which the tests hold real answers.

pub(crate) mod anthropic;
pub(crate) mod memory;
pub(crate) mod ollama;
pub(crate) mod openai;
pub(crate) mod sessions;

use axum::http::{HeaderMap, Method};
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::house::Api;
use crate::route::Route;

/// Where shapes lie in the document.
const SHAPES: &str = "/components/schemas";

/// The document of a table.
pub(crate) fn document(table: &[Route], version: &str) -> Value {
    let mut shapes = generator();
    let mut paths: Map<String, Value> = Map::new();
    for row in table {
        let (path, names) = spelled(row.path);
        let operation = operation(row, &path, &names, &mut shapes);
        let path = paths.entry(path).or_insert_with(|| json!({}));
        path[row.method.as_str().to_ascii_lowercase()] = operation;
    }
    let responses: Map<String, Value> = [Api::OpenAi, Api::Anthropic, Api::Ollama]
        .map(|api| (error_name(api).to_owned(), error(api, &mut shapes)))
        .into_iter()
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Ondine",
            "version": version,
            "summary": "Language models on your own device",
            "description":
                "OpenAI's, Anthropic's and Ollama's APIs over the models of this device. Errors come in \
                 the words of the API that was asked.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"key": []}],
        "paths": paths,
        "components": {
            "schemas": shapes.take_definitions(true),
            "responses": responses,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token of an app, from `ondine app add`.",
                },
                "key": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "x-api-key",
                    "description": "The same token, where Anthropic's clients put it.",
                },
            },
        },
    })
}

fn generator() -> SchemaGenerator {
    let change = |settings: &mut SchemaSettings| {
        settings.definitions_path = SHAPES.into();
        settings.meta_schema = None;
    };
    SchemaSettings::draft2020_12().with(change).into_generator()
}

/// A path as OpenAPI spells it, and the names of its parts that vary.
fn spelled(path: &str) -> (String, Vec<String>) {
    let path = path.replace("{*", "{");
    let parts = path.split('{').skip(1);
    let names = parts.filter_map(|part| Some(part.split_once('}')?.0.to_owned())).collect();
    (path, names)
}

fn operation(row: &Route, path: &str, names: &[String], shapes: &mut SchemaGenerator) -> Value {
    let api = Api::of(row.path, &HeaderMap::new());
    let method = row.method.as_str().to_ascii_lowercase();
    let words: Vec<&str> =
        path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let trouble = json!({"$ref": format!("#/components/responses/{}", error_name(api))});
    let mut responses = json!({"4XX": trouble, "5XX": trouble});
    for told in &row.tells {
        let response = &mut responses[told.status.to_string()];
        response["description"] = "All is well.".into();
        if !told.media.is_empty() {
            response["content"][told.media] = match told.shape {
                Some(shape) => json!({"schema": shape(shapes)}),
                None => json!({}),
            };
        }
    }
    let mut operation = json!({
        "operationId": format!("{method}_{}", words.join("_")),
        "summary": row.about,
        "tags": [api.name()],
        "responses": responses,
    });
    if !names.is_empty() {
        let parameter = |name: &String| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
        operation["parameters"] = names.iter().map(parameter).collect();
    }
    if let Some(takes) = row.takes {
        debug_assert_ne!(row.method, Method::GET);
        operation["requestBody"] = json!({
            "required": true,
            "content": {"application/json": {"schema": takes(shapes)}},
        });
    }
    if row.open {
        operation["security"] = json!([]);
    }
    operation
}

fn error_name(api: Api) -> &'static str {
    match api {
        Api::OpenAi | Api::Own => "OpenAiTrouble",
        Api::Anthropic => "AnthropicTrouble",
        Api::Ollama => "OllamaTrouble",
    }
}

/// The answer of an API that is none.
fn error(api: Api, shapes: &mut SchemaGenerator) -> Value {
    let shape: Schema = match api {
        Api::OpenAi | Api::Own => shapes.subschema_for::<openai::Error>(),
        Api::Anthropic => shapes.subschema_for::<anthropic::Error>(),
        Api::Ollama => shapes.subschema_for::<ollama::Error>(),
    };
    json!({
        "description": "There is no answer, and why.",
        "headers": {
            "Retry-After": {
                "description": "Seconds after which it is worth trying again, where that is known.",
                "schema": {"type": "integer"},
            },
        },
        "content": {"application/json": {"schema": shape}},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_spelled_as_openapi_has_them() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let rows: [(&str, &str, Vec<String>); 3] = [
            ("/v1/models", "/v1/models", Vec::new()),
            ("/v1/models/{*id}", "/v1/models/{id}", names(&["id"])),
            ("/v1/{a}/x/{b}", "/v1/{a}/x/{b}", names(&["a", "b"])),
        ];
        for (path, expected, parts) in rows {
            assert_eq!(spelled(path), (expected.to_owned(), parts));
        }
    }

    #[test]
    fn the_table_is_the_only_place_that_makes_routes() {
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut folders = vec![source];
        let mut making = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if std::fs::read_to_string(&path).unwrap().contains(concat!(".rou", "te(")) {
                    making.push(path.file_name().unwrap().to_owned());
                }
            }
        }
        assert_eq!(making, ["route.rs"], "a route elsewhere is missing in the document");
    }
}

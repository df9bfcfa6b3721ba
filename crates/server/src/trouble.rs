//! Why a request gets no answer, before an API gives it its shape. It knows no API, and holds
//! nothing of what a request said: a message names the place in a body, never the value there.

use std::borrow::Cow;

use axum::http::StatusCode;
use ondine_chat::ChatError;

use crate::OverQuota;

/// The kinds of trouble that APIs have different words for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Invalid,
    Context,
    NoToken,
    WrongToken,
    Forbidden,
    NoModel,
    NotFound,
    Method,
    Slow,
    TooLarge,
    MediaType,
    Busy,
    Quota,
    Memory,
    ShuttingDown,
    Conflict,
    Unsupported,
    Disk,
    Internal,
}

impl Kind {
    /// All of them, for tables that must miss none.
    #[cfg(test)]
    pub(crate) const ALL: [Kind; 19] = [
        Kind::Invalid,
        Kind::Context,
        Kind::NoToken,
        Kind::WrongToken,
        Kind::Forbidden,
        Kind::NoModel,
        Kind::NotFound,
        Kind::Method,
        Kind::Slow,
        Kind::TooLarge,
        Kind::MediaType,
        Kind::Busy,
        Kind::Quota,
        Kind::Memory,
        Kind::ShuttingDown,
        Kind::Conflict,
        Kind::Unsupported,
        Kind::Disk,
        Kind::Internal,
    ];

    /// The status that all APIs agree on.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Kind::Invalid | Kind::Context => StatusCode::BAD_REQUEST,
            Kind::NoToken | Kind::WrongToken => StatusCode::UNAUTHORIZED,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::NoModel | Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Method => StatusCode::METHOD_NOT_ALLOWED,
            Kind::Slow => StatusCode::REQUEST_TIMEOUT,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Kind::Busy | Kind::Quota => StatusCode::TOO_MANY_REQUESTS,
            Kind::Memory | Kind::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
            Kind::Disk => StatusCode::INSUFFICIENT_STORAGE,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The word for it in logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Invalid => "invalid",
            Kind::Context => "context",
            Kind::NoToken => "no_token",
            Kind::WrongToken => "wrong_token",
            Kind::Forbidden => "forbidden",
            Kind::NoModel => "no_model",
            Kind::NotFound => "not_found",
            Kind::Method => "method",
            Kind::Slow => "slow",
            Kind::TooLarge => "too_large",
            Kind::MediaType => "media_type",
            Kind::Busy => "busy",
            Kind::Quota => "quota",
            Kind::Memory => "memory",
            Kind::ShuttingDown => "shutting_down",
            Kind::Conflict => "conflict",
            Kind::Unsupported => "unsupported",
            Kind::Disk => "disk",
            Kind::Internal => "internal",
        }
    }
}

/// Why a request gets no answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trouble {
    pub(crate) kind: Kind,
    /// For a person.
    pub(crate) message: Cow<'static, str>,
    /// The part of the request that is to blame.
    pub(crate) param: Option<String>,
    /// When it is worth trying again.
    pub(crate) retry_after_s: Option<u64>,
}

impl Trouble {
    pub(crate) fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Trouble {
        Trouble { kind, message: message.into(), param: None, retry_after_s: None }
    }

    /// Something at a place in the body.
    pub(crate) fn at(path: impl Into<String>, message: impl AsRef<str>) -> Trouble {
        let path = path.into();
        let message = match path.as_str() {
            "" => message.as_ref().to_owned(),
            path => format!("{path}: {}", message.as_ref()),
        };
        let param = (!path.is_empty()).then_some(path);
        Trouble { param, ..Trouble::new(Kind::Invalid, message) }
    }

    /// More of something than a limit allows.
    pub(crate) fn over(path: impl Into<String>, got: usize, most: usize, of: &str) -> Trouble {
        Trouble::at(path, format!("{got} {of}; at most {most} are taken"))
    }
}

impl From<ChatError> for Trouble {
    fn from(error: ChatError) -> Trouble {
        let message = error.to_string();
        let of = |kind| Trouble::new(kind, message.clone());
        match error {
            // The name that was asked for is the client's own text: who has what is enough.
            ChatError::NoModel { known, .. } => Trouble {
                param: Some("model".into()),
                ..Trouble::new(
                    Kind::NoModel,
                    format!("there is no such model; there are: {}", known.join(", ")),
                )
            },
            ChatError::Invalid { part, .. } => {
                Trouble { param: Some(part.to_owned()), ..of(Kind::Invalid) }
            }
            ChatError::Context { .. } => {
                Trouble { param: Some("messages".into()), ..of(Kind::Context) }
            }
            ChatError::Busy { retry_after_s, .. } => {
                Trouble { retry_after_s: Some(retry_after_s), ..of(Kind::Busy) }
            }
            ChatError::Memory { .. } => {
                Trouble { retry_after_s: Some(MEMORY_RETRY_S), ..of(Kind::Memory) }
            }
            ChatError::ShuttingDown => of(Kind::ShuttingDown),
            ChatError::NoSession { .. } => Trouble::new(Kind::NotFound, "there is no such session"),
            ChatError::Conflict(_) => of(Kind::Conflict),
            ChatError::Unsupported(_) => of(Kind::Unsupported),
            ChatError::Disk(_) => of(Kind::Disk),
            ChatError::Internal(_) => of(Kind::Internal),
            // A kind of error that is newer than this table is no fault of the client.
            _ => of(Kind::Internal),
        }
    }
}

impl From<OverQuota> for Trouble {
    fn from(over: OverQuota) -> Trouble {
        let trouble = Trouble::new(Kind::Quota, over.to_string());
        Trouble { retry_after_s: Some(over.free_in_s), ..trouble }
    }
}

/// Memory comes free when a model or a session goes, which no clock says: this is a guess.
const MEMORY_RETRY_S: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_a_model_has_a_kind_a_status_and_a_param() {
        type Row = (ChatError, Kind, u16, Option<&'static str>, Option<u64>);
        let rows: Vec<Row> = vec![
            (
                ChatError::NoModel { name: "x".into(), known: vec!["a".into(), "b".into()] },
                Kind::NoModel,
                404,
                Some("model"),
                None,
            ),
            (ChatError::invalid("tools", "bad"), Kind::Invalid, 400, Some("tools"), None),
            (
                ChatError::Context { prompt_tokens: 9, wanted: 1, context: 8 },
                Kind::Context,
                400,
                Some("messages"),
                None,
            ),
            (
                ChatError::Busy { limit: "queue of app x".into(), value: 32, retry_after_s: 7 },
                Kind::Busy,
                429,
                None,
                Some(7),
            ),
            (
                ChatError::Memory { what: "m".into(), needed: 2, available: 1, budget: 1 },
                Kind::Memory,
                503,
                None,
                Some(MEMORY_RETRY_S),
            ),
            (ChatError::ShuttingDown, Kind::ShuttingDown, 503, None, None),
            (ChatError::NoSession { id: "x".into() }, Kind::NotFound, 404, None, None),
            (ChatError::Conflict("x".into()), Kind::Conflict, 409, None, None),
            (ChatError::Unsupported("x".into()), Kind::Unsupported, 501, None, None),
            (ChatError::Disk("full".into()), Kind::Disk, 507, None, None),
            (ChatError::Internal("x".into()), Kind::Internal, 500, None, None),
        ];
        for (error, kind, status, param, retry) in rows {
            let trouble = Trouble::from(error.clone());
            assert_eq!(trouble.kind, kind, "{error:?}");
            assert_eq!(trouble.kind.status().as_u16(), status, "{error:?}");
            assert_eq!(trouble.param.as_deref(), param, "{error:?}");
            assert_eq!(trouble.retry_after_s, retry, "{error:?}");
        }
    }

    #[test]
    fn a_limit_is_named_with_its_value() {
        let error = ChatError::Busy { limit: "queue of app x".into(), value: 32, retry_after_s: 7 };
        assert!(Trouble::from(error).message.contains("queue of app x is reached (32)"));
    }

    #[test]
    fn a_quota_is_told_with_its_value_and_its_end() {
        let trouble = Trouble::from(OverQuota { quota: 100, used: 104, free_in_s: 2 * 3600 + 119 });
        assert_eq!((trouble.kind.status().as_u16(), trouble.retry_after_s), (429, Some(7319)));
        assert_eq!(
            trouble.message,
            "the quota of 100 tokens a day is reached (104 used); it is free again at 00:00 UTC, in 2 h 1 min"
        );
    }
}

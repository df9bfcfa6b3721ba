//! Things that can be read, by an address of their own: a trait for whoever has some, and what is known of
//! one before it is read.

/// What is known of a resource before it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Resource {
    /// Its address: `notes://today`.
    pub uri: String,
    /// What people call it.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Its media type; empty where it is not known.
    pub media: String,
    /// Bytes of it, where they are known.
    pub bytes: Option<u64>,
}

/// What a resource holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Words.
    Text(String),
    /// Anything else.
    Bytes(Vec<u8>),
}

/// Why a resource cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// There is none at that address.
    #[error("there is no resource {0:?}")]
    Unknown(String),
    /// It did not work.
    #[error("{0}")]
    Failed(String),
}

/// Whoever has things to read. May block.
pub trait Resources: Send + Sync {
    /// All that can be read now.
    ///
    /// # Errors
    /// It did not work.
    fn list(&self) -> Result<Vec<Resource>, ResourceError>;

    /// What one holds.
    ///
    /// # Errors
    /// There is none of that address, or it did not work.
    fn read(&self, uri: &str) -> Result<Content, ResourceError>;
}

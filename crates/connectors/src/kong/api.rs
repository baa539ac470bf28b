//! What changes entities: the Admin API, or a document that is written as a whole afterwards.

use super::client::{Body, Client};
use causeway_core::Error;
use serde::de::DeserializeOwned;

/// Paths and answers are those of the Admin API.
pub(super) trait Api {
    /// One entity; `None`: it does not exist.
    async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<Option<T>, Error>;
    /// All entities below a path. [`Error::Missing`]: what they belong to does not exist.
    async fn list<T: DeserializeOwned>(&mut self, path: &str) -> Result<Vec<T>, Error>;
    /// Makes an entity. [`Error::Conflict`]: one of that name is there.
    async fn post<T: DeserializeOwned>(&mut self, path: &str, body: &Body) -> Result<T, Error>;
    /// Changes what the body names. [`Error::Missing`]: there is no such entity.
    async fn patch<T: DeserializeOwned>(&mut self, path: &str, body: &Body) -> Result<T, Error>;
    /// Removes an entity, also one that is not there. [`Error::Blocked`]: another one refers to it.
    async fn delete(&mut self, path: &str) -> Result<(), Error>;
}

impl Api for &Client {
    async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<Option<T>, Error> {
        Client::get(self, path).await
    }
    async fn list<T: DeserializeOwned>(&mut self, path: &str) -> Result<Vec<T>, Error> {
        Client::list(self, path, None).await
    }
    async fn post<T: DeserializeOwned>(&mut self, path: &str, body: &Body) -> Result<T, Error> {
        Client::post(self, path, body).await
    }
    async fn patch<T: DeserializeOwned>(&mut self, path: &str, body: &Body) -> Result<T, Error> {
        Client::patch(self, path, body).await
    }
    async fn delete(&mut self, path: &str) -> Result<(), Error> {
        Client::delete(self, path).await
    }
}

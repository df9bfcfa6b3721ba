//! The table of routes: what stands where, who may ask, what is taken and what is told. The router and
//! the OpenAPI document are both made from its rows, so that neither knows a path that the other does
//! not. It knows no API.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::house::House;

/// A shape, for whoever collects shapes.
pub(crate) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// The shape of a type.
pub(crate) fn shape<T: JsonSchema>() -> Option<Shape> {
    Some(SchemaGenerator::subschema_for::<T>)
}

/// What is told where all is well.
pub(crate) struct Told {
    pub(crate) status: u16,
    /// Its media type; empty where nothing is told but the status.
    pub(crate) media: &'static str,
    pub(crate) shape: Option<Shape>,
}

/// One method of one path.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// As the router spells it: `/v1/models/{*id}`.
    pub(crate) path: &'static str,
    /// One line for a person.
    pub(crate) about: &'static str,
    /// Asked without a token.
    pub(crate) open: bool,
    /// The body's shape, where there is one.
    pub(crate) takes: Option<Shape>,
    pub(crate) tells: Vec<Told>,
    handler: MethodRouter<Arc<House>>,
}

impl Route {
    /// Asks for something.
    pub(crate) fn get<H: Handler<T, Arc<House>>, T: 'static>(
        path: &'static str,
        about: &'static str,
        handler: H,
    ) -> Route {
        Route::new(Method::GET, path, about, on(MethodFilter::GET, handler))
    }

    /// Has something done.
    pub(crate) fn post<H: Handler<T, Arc<House>>, T: 'static>(
        path: &'static str,
        about: &'static str,
        handler: H,
    ) -> Route {
        Route::new(Method::POST, path, about, on(MethodFilter::POST, handler))
    }

    /// Takes something away.
    pub(crate) fn delete<H: Handler<T, Arc<House>>, T: 'static>(
        path: &'static str,
        about: &'static str,
        handler: H,
    ) -> Route {
        Route::new(Method::DELETE, path, about, on(MethodFilter::DELETE, handler))
    }

    fn new(
        method: Method,
        path: &'static str,
        about: &'static str,
        handler: MethodRouter<Arc<House>>,
    ) -> Route {
        let tells = Vec::new();
        Route { method, path, about, open: false, takes: None, tells, handler }
    }

    /// Nobody needs a token for it.
    pub(crate) fn open(self) -> Route {
        Route { open: true, ..self }
    }

    /// Has a JSON body.
    pub(crate) fn takes<T: JsonSchema>(self) -> Route {
        Route { takes: shape::<T>(), ..self }
    }

    /// Answers in JSON.
    pub(crate) fn gives<T: JsonSchema>(self) -> Route {
        self.tells(200, "application/json", shape::<T>())
    }

    /// Answers piece by piece, where that is asked: the shape is a piece's.
    pub(crate) fn streams<T: JsonSchema>(self, media: &'static str) -> Route {
        self.tells(200, media, shape::<T>())
    }

    /// Answers in any way.
    pub(crate) fn tells(mut self, status: u16, media: &'static str, shape: Option<Shape>) -> Route {
        self.tells.push(Told { status, media, shape });
        self
    }
}

/// What takes requests to their handlers.
pub(crate) fn router(table: Vec<Route>) -> Router<Arc<House>> {
    table.into_iter().fold(Router::new(), |router, row| router.route(row.path, row.handler))
}

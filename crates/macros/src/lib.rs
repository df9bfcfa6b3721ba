//! Derives and attributes of the application framework. They write code that names `ondine_app`'s
//! types by the path they are told, and know nothing of models.

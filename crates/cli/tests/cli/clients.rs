//! The three packages that people have, against the real daemon: droplet, which calls functions, and a model
//! of random weights, whose calls and objects are held to their schemas all the same.

use crate::python;
use crate::service::Service;
use crate::support::{Folder, tiny_model};

#[test]
fn the_clients_ask_the_daemon() {
    let home = Folder::new();
    let model = tiny_model(&home);
    let service = Service::start(home, &["--model", &model]);
    let token = service.ondine(&["app", "add", "clients"]).ok();
    python::check("daemon.py", &service.address, token.trim());
    assert_eq!(service.end().0, Some(0));
}

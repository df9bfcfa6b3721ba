//! The client against the real server, over real sockets: a model asked through it is the model
//! asked in the same process, request by request, event by event, error by error.

mod alike;
#[path = "../../../server/tests/server/common.rs"]
mod common;
mod device;
mod llm;

use std::net::SocketAddr;
use std::sync::Arc;

use ondine_chat::{Chat, Embed, Memory, Sessions};
use ondine_client::Client;
use ondine_server::{App, Door, Reach, Server, Stop, Tokens};

/// The token of the app "notes".
const TOKEN: &str = "token-of-notes";

/// A daemon that runs as long as the test.
struct Daemon {
    address: SocketAddr,
    stop: Stop,
}

impl Daemon {
    fn new<T: Chat + Embed + 'static>(model: Arc<T>) -> Daemon {
        let doors = Tokens::new().allow(TOKEN, App { name: "notes".into(), background: false });
        let mut server = Server::new(model.clone(), model.clone(), Arc::new(doors));
        server.sessions = Some(Arc::new(Memory::new(model, || 7)));
        let door = Door::open("127.0.0.1:0".parse().unwrap(), Reach::ThisMachine).unwrap();
        let (address, stop) = (door.address(), Stop::new());
        let own = stop.clone();
        std::thread::spawn(move || server.serve(door, &own).unwrap());
        Daemon { address, stop }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn client(&self) -> Client {
        Client::new(&self.url(), TOKEN).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop.now();
    }
}

/// Whether the server has paths for sessions; says so where it has none.
fn keeps_conversations(client: &Client) -> bool {
    let kept = client.list("").is_ok();
    if !kept {
        eprintln!("skipped: this server has no paths for sessions");
    }
    kept
}

//! How far a server is with its end: whoever answers asks here whether anything new may begin, and is
//! told when there is no more time. It knows no sockets and no signals.

use tokio::sync::watch;

/// The three times of a server's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Everybody is answered.
    Open,
    /// What runs may end; nothing new begins.
    Draining,
    /// The grace is over: what still runs is told so.
    Over,
}

/// The end that one side decides.
pub(crate) struct Ender(watch::Sender<Phase>);

/// The same end, seen from the other side.
#[derive(Clone)]
pub(crate) struct Ending(watch::Receiver<Phase>);

/// A server that has its life before it.
pub(crate) fn pair() -> (Ender, Ending) {
    let (sender, receiver) = watch::channel(Phase::Open);
    (Ender(sender), Ending(receiver))
}

impl Ender {
    /// Nothing new begins from now on.
    pub(crate) fn drain(&self) {
        self.0.send_replace(Phase::Draining);
    }

    /// What still runs is told that it is over.
    pub(crate) fn over(&self) {
        self.0.send_replace(Phase::Over);
    }
}

impl Ending {
    /// Whether nothing new may begin.
    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow() >= Phase::Draining
    }

    /// Waits until the grace is over. Where nobody can say so any more, it never is.
    pub(crate) async fn over(&mut self) {
        if self.0.wait_for(|phase| *phase == Phase::Over).await.is_err() {
            std::future::pending().await
        }
    }
}

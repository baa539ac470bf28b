//! A cable to a server that can be pulled out, and that can lose what goes one way.

use anyhow::Result;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// What becomes of what goes over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it works.
    None,
    /// Connections end, and new ones do.
    Cut,
    /// What is asked does not arrive.
    NoQuestions,
    /// What is answered arrives a good while after it was.
    LateAnswers,
}

/// Time enough to see what was done before its answer arrives.
const LATE: Duration = Duration::from_millis(800);

/// Relays from one port to another, as its fault says; it ends when it is dropped.
pub struct Cable {
    fault: watch::Sender<Fault>,
    _work: JoinSet<()>,
}

impl Cable {
    /// From each listener to the port of this host beside it.
    pub fn start(ends: Vec<(TcpListener, u16)>) -> Self {
        let fault = watch::Sender::new(Fault::None);
        let mut work = JoinSet::new();
        for (listener, to) in ends {
            let fault = fault.subscribe();
            work.spawn(async move {
                let mut relays = JoinSet::new();
                while let Ok((client, _)) = listener.accept().await {
                    let fault = fault.clone();
                    relays.spawn(async move {
                        // The ends of connections are no failures here.
                        drop(relay(client, to, fault).await);
                    });
                }
            });
        }
        Self { fault, _work: work }
    }

    /// To the port of this host, and where to connect to instead.
    pub async fn to(port: u16) -> Result<(Self, String)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?.to_string();
        Ok((Self::start(vec![(listener, port)]), addr))
    }

    /// What becomes of it from now on.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

async fn relay(client: TcpStream, to: u16, mut fault: watch::Receiver<Fault>) -> Result<()> {
    let (asked, answered) = (fault.clone(), fault.clone());
    let work = async {
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await?;
        let (client_in, client_out) = client.into_split();
        let (server_in, server_out) = server.into_split();
        tokio::select! {
            done = copy(client_in, server_out, asked, Fault::NoQuestions) => done,
            done = copy(server_in, client_out, answered, Fault::LateAnswers) => done,
        }
    };
    tokio::select! {
        done = work => done,
        _ = fault.wait_for(|fault| *fault == Fault::Cut) => Ok(()),
    }
}

/// Passes bytes on, when `fault` is not the one that is feared, or late.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut fault: watch::Receiver<Fault>,
    feared: Fault,
) -> Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer).await?;
        let is_faulty = *fault.borrow() == feared;
        match feared {
            Fault::LateAnswers if is_faulty => sleep(LATE).await,
            _ if is_faulty => drop(fault.wait_for(|fault| *fault != feared).await),
            _ => {}
        }
        if count == 0 {
            return Ok(to.shutdown().await?);
        }
        to.write_all(&buffer[..count]).await?;
    }
}

//! ZooKeeper: services of Dubbo, Spring Cloud and Curator, and trees of data.
//!
//! Copies of ephemeral instances are ephemeral under sessions of our own, which are their proof: nothing of ours is written
//! into the data. There are as many sessions as the copies' paths need, since the servers handle the end of one in one
//! piece. Their ids and passwords are kept, so that the next process goes on with them and no watcher sees anything of a
//! restart.

mod access;
mod carriers;
mod claim;
pub mod client;
mod connected;
mod convert;
mod create;
mod data;
mod data_watch;
mod host;
mod layout;
mod numbered;
mod publications;
mod restore;
mod service_watch;
mod services;
mod settings;
mod view;
mod writes;
mod znodes;

pub use carriers::SessionLimits;
pub use layout::{Layout, Roots};
pub use settings::{AclChoice, Category, NewServices, Settings};

use crate::{Connect, Connector};
use carriers::{Carriers, MAIN, SavedSessions, Spread, decode};
use causeway_core::{ClusterId, DataPort, Error, Port, Ports};
use data::ZooKeeperData;
use publications::Publications;
use secrecy::ExposeSecret;
use services::ZooKeeperServices;
use std::sync::Arc;
use view::Classes;
use writes::Writes;

/// The sessions in what a vault keeps of a cluster, the main one first.
pub fn saved_sessions(kept: &[u8]) -> Vec<client::SavedSession> {
    let (main, others) = decode(kept);
    main.into_iter().chain(others).collect()
}

/// Opens ZooKeeper clusters.
pub struct ZooKeeperConnector;

impl Connector for ZooKeeperConnector {
    fn open(&self, _: ClusterId, connect: Connect) -> Result<Ports, Error> {
        Self::open_with(connect, SessionLimits::default())
    }
}

impl ZooKeeperConnector {
    /// The same with other limits of what copies one session holds.
    pub fn open_with(connect: Connect, limits: SessionLimits) -> Result<Ports, Error> {
        let settings = Settings::from_block(connect.block.as_ref());
        // The turn first: from then on, the list of sessions does not change any more.
        let turn = connect.vault.as_ref().filter(|_| !connect.looks).and_then(|vault| vault.turn());
        let (main, others) = decode(&connect.vault.as_ref().and_then(|vault| vault.load()).unwrap_or_default());
        let mut options = client::Options::new(connect.addresses);
        let user = connect.login.as_ref().map(|(user, password)| access::digest_id(user, password.expose_secret()));
        options.login = connect.login;
        options.tls = connect.tls;
        options.session_timeout = settings.session_timeout;
        let (servers, chroot) = options.reach()?;
        let ours = Publications::new(connect.install, Spread::new(limits, servers, chroot));
        let kept = SavedSessions::new(connect.vault.filter(|_| !connect.looks), turn.clone(), ours.clone());
        if let Some(main) = &main {
            kept.load(MAIN, main.clone());
        }
        let mut further = Vec::new();
        if connect.looks {
            others.iter().for_each(|saved| ours.spread().remember(saved.id));
        } else {
            (options.saved, options.turn, further) = (main, turn, others);
        }
        options.keep = Some(kept.keeper(MAIN));
        let carriers = Carriers::open(options, kept, ours.clone(), further)?;
        let session = carriers.main();
        let (roots, acl, access) = (Arc::new(settings.roots()), settings.acl, connect.access);
        let data = ZooKeeperData { session: session.clone(), roots: roots.clone(), acl, user };
        let writes =
            Writes { session, carriers, roots, ours, classes: Classes::default(), inline: connect.inline, acl, access };
        Ok(Ports {
            services: Some(Port::read_write(Arc::new(ZooKeeperServices::new(writes)))),
            data: Some(DataPort::read_write(Arc::new(data))),
        })
    }
}

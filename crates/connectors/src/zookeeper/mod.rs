//! ZooKeeper: services of Dubbo, Spring Cloud and Curator, and trees of data.
//!
//! Copies of ephemeral instances are ephemeral under our own session, which is their proof: nothing of ours is written
//! into the data. The session's id and password are kept, so that the next process goes on with it and no watcher sees
//! anything of a restart.

mod access;
pub mod client;
mod connected;
mod convert;
mod data;
mod follow;
mod layout;
mod options;
mod publications;
mod services;
mod uphold;
mod view;
mod watch;
mod writes;
mod znodes;

pub use layout::{Layout, Roots};
pub use options::{AclChoice, Options};

use crate::{Connect, Vault};
use causeway_core::{ClusterId, Connector, DataPort, Error, Port, Ports};
use client::{SavedSession, Session, SessionKeeper};
use data::ZooKeeperData;
use futures_util::future::BoxFuture;
use publications::Publications;
use services::ZooKeeperServices;
use std::sync::Arc;
use view::Classes;
use writes::Writes;

/// Opens ZooKeeper clusters.
pub struct ZooKeeperConnector;

impl Connector<Connect> for ZooKeeperConnector {
    fn kind(&self) -> &'static str {
        "zookeeper"
    }

    fn open(&self, _: ClusterId, connect: Connect) -> Result<Ports, Error> {
        let saved = connect.vault.as_ref().and_then(|vault| saved(&vault.load()?));
        let mut options = client::Options::new(connect.addresses);
        options.login = connect.login;
        options.tls = connect.tls;
        options.session_timeout = connect.zookeeper.session_timeout;
        if !connect.looks {
            options.saved.clone_from(&saved);
            options.turn = connect.vault.as_ref().and_then(|vault| vault.turn());
            options.keep = connect.vault.map(|vault| Arc::new(Kept(vault)) as Arc<dyn SessionKeeper>);
        }
        let session = Session::open(options).map_err(convert::error)?;
        let ours = Publications::new(connect.install, session.status());
        if let Some(saved) = saved {
            ours.own(saved.id);
        }
        let only = connect.zookeeper;
        let (roots, acl, access) = (Arc::new(only.roots), only.acl, only.access);
        let data = ZooKeeperData { session: session.clone(), roots: roots.clone(), acl };
        let writes = Writes { session, roots, ours, classes: Classes::default(), inline: connect.inline, acl, access };
        Ok(Ports {
            services: Some(Port::ReadWrite(Arc::new(ZooKeeperServices::new(writes)))),
            data: Some(DataPort::ReadWrite(Arc::new(data))),
        })
    }
}

/// The session goes into the vault: its id in eight bytes, then its password.
struct Kept(Arc<dyn Vault>);

impl SessionKeeper for Kept {
    fn save(&self, saved: &SavedSession) {
        self.0.save([&saved.id.to_be_bytes()[..], &saved.password].concat());
    }

    fn kept(&self) -> BoxFuture<'_, ()> {
        self.0.kept()
    }
}

fn saved(bytes: &[u8]) -> Option<SavedSession> {
    let (id, password) = bytes.split_first_chunk()?;
    Some(SavedSession { id: i64::from_be_bytes(*id), password: password.to_vec() })
}

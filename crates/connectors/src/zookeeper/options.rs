//! What only ZooKeeper has.

use super::carriers::SessionLimits;
use super::layout::Roots;
use std::time::Duration;

/// What the operator says beside the address.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where services stand, and how.
    pub roots: Roots,
    /// Who may use the znodes that we make.
    pub acl: AclChoice,
    /// How long the servers keep our session while nobody is connected; they clamp it to their own bounds.
    pub session_timeout: Duration,
    /// Whether the access lists of services' znodes are read, since they are copied somewhere.
    pub access: bool,
    /// What copies one session holds at most.
    pub sessions: SessionLimits,
}

/// Who may use the znodes that we make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AclChoice {
    /// Anybody, as Dubbo's and Curator's own.
    #[default]
    Open,
    /// Whoever signs in as we do; reading is open to all.
    Creator,
    /// As at the source, where the source is a ZooKeeper too.
    Copy,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            roots: Roots::default(),
            acl: AclChoice::default(),
            session_timeout: Duration::from_secs(40),
            access: false,
            sessions: SessionLimits::default(),
        }
    }
}

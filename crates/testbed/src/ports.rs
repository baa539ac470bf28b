//! Ports that nobody else has, for servers that derive several ports from one.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

use crate::recipe;

/// A Nacos server on `port` also takes -1000 (JRaft), +1000 and +1001 (gRPC); we put a 3.x console on +10.
const TAKEN: [i32; 5] = [0, -1000, 1000, 1001, 10];

/// Ranges of 1,000 ports each, 3,000 apart, so that no port of one slot is one of another. All are below 32,768, where
/// Linux begins to give ports to outgoing connections.
const RANGES: u16 = 7;
const PER_RANGE: u16 = 49;

/// A port whose followers are free too; ours as long as this lives, in all processes that use this crate.
#[derive(Debug)]
pub struct Ports {
    pub main: u16,
    /// Held for its lock, which the kernel drops with the process.
    _slot: Option<File>,
}

impl Ports {
    pub fn console(&self) -> u16 {
        self.main + 10
    }

    /// The given port. The caller sees to it that the others are free.
    pub fn fixed(main: u16) -> Result<Self> {
        if !free(main) {
            bail!("port {main} or one that belongs to it (-1000, +10, +1000, +1001) is taken");
        }
        Ok(Self { main, _slot: None })
    }

    /// A free set, tried in a random order.
    pub fn pick() -> Result<Self> {
        let folder = recipe::cache()?.join("ports");
        std::fs::create_dir_all(&folder)?;
        let count = RANGES * PER_RANGE;
        let start = (getrandom::u32()? % u32::from(count)) as u16;
        for n in 0..count {
            let slot = (start + n) % count;
            let main = 11_000 + 3_000 * (slot / PER_RANGE) + 20 * (slot % PER_RANGE);
            let file =
                OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(main.to_string()))?;
            if file.try_lock().is_ok() && free(main) {
                return Ok(Self { main, _slot: Some(file) });
            }
        }
        bail!("no free set of ports between 10000 and 31000")
    }
}

fn free(main: u16) -> bool {
    TAKEN.iter().all(|offset| {
        u16::try_from(i32::from(main) + offset)
            .is_ok_and(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok())
    })
}

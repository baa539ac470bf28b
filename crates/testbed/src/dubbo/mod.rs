//! Real Dubbo 3.3 programs (`testbed/java/dubbo`): providers and consumers of `causeway.testbed.Greeter`.
//!
//! Dubbo takes no loopback address for its own, so a provider registers the name `testbed`, and both programs know it,
//! and `testbed2` to `testbed9`, as 127.0.0.1 to 127.0.0.9. It listens there alone.

mod consumer;
mod provider;

use std::fmt::Write;
use std::time::Duration;

use anyhow::Result;

use crate::java::Program;

pub use consumer::{DubboCall, DubboConsumer, DubboReport};
pub use provider::DubboProvider;

/// The interface's name in a registry.
pub const GREETER: &str = "causeway.testbed.Greeter";
/// The host that a provider registers unless it is told another.
pub const DUBBO_HOST: &str = "testbed";

/// A start takes 2-3 s on two idle cores; this is for busy ones.
const START: Duration = Duration::from_secs(120);
/// Dubbo gives its last calls 10 s.
const STOP: Duration = Duration::from_secs(30);

/// `keys` are `key=value` arguments of the Java program.
fn program(main: &'static str, arguments: Vec<String>, keys: &[(&str, &str)]) -> Result<Program> {
    let mut program = Program::new("java/dubbo", main, START)?;
    let mut hosts = format!("127.0.0.1 localhost\n127.0.0.1 {DUBBO_HOST}\n");
    for n in 2..=9 {
        writeln!(hosts, "127.0.0.{n} {DUBBO_HOST}{n}")?;
    }
    // Java looks its own machine up too.
    let own = rustix::system::uname();
    writeln!(hosts, "127.0.0.1 {}", own.nodename().to_string_lossy())?;
    let file = program.home.path().join("hosts");
    std::fs::write(&file, hosts)?;
    program.java = vec!["-Xmx128m".into(), format!("-Djdk.net.hosts.file={}", file.display())];
    program.arguments = arguments;
    program.arguments.extend(keys.iter().map(|(key, value)| format!("{key}={value}")));
    Ok(program)
}

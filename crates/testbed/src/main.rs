//! Real servers for tests and for people.

mod single;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};
use std::time::Instant;

use anyhow::{Context, Error, Result, bail};
use causeway_testbed::{
    Consul, ConsulSetup, EtcdSetup, Eureka, EurekaOptions, Kong, KongArguments, KongSetup, KubeSetup, MariaDbSetup,
    Nacos, NacosVersion, Options, Polaris, PolarisPorts, PolarisRules, PolarisSetup, Server, ZooKeeper, ZooOptions,
    host, serve_kong, serve_polaris,
};
use clap::{Parser, Subcommand};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// Something that this program needs is not on the machine.
const UNAVAILABLE: u8 = 69;

#[derive(Parser)]
#[command(name = "causeway-testbed", about = "Starts real servers on 127.0.0.1 for tests")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start servers once, run a command that finds them in CAUSEWAY_TEST_NACOS2 etc., end them, exit with its code
    Run {
        /// nacos1 (1.4.1), nacos2, nacos2b (2.5.0), nacos3 (3.1.0), zookeeper, zookeeperb (3.9), consul (1.20), eureka, kong, polaris (doubles), with commas
        #[arg(
            long,
            value_delimiter = ',',
            default_value = "nacos2,nacos2b,nacos3,nacos1,zookeeper,zookeeperb,eureka,kong,polaris"
        )]
        servers: Vec<Server>,
        /// How many may start at a time
        #[arg(long, default_value_t = 2)]
        at_once: usize,
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Run one Nacos server until Ctrl-C
    Nacos {
        /// 1.4, 2.5 or 3.1
        #[arg(long, default_value = "2.5")]
        version: NacosVersion,
        /// A free one when absent. The server also takes this +1000, +1001 and -1000
        #[arg(long)]
        port: Option<u16>,
        /// A folder for its data, which stays; a temporary one when absent
        #[arg(long)]
        data: Option<PathBuf>,
        /// Ask for a user and a password
        #[arg(long)]
        auth: bool,
        /// 3.1: start the console too, on port + 10
        #[arg(long)]
        console: bool,
    },
    /// Run one ZooKeeper server until Ctrl-C
    Zookeeper {
        /// A free one when absent
        #[arg(long)]
        port: Option<u16>,
        /// A folder for its data, which stays; a temporary one when absent
        #[arg(long)]
        data: Option<PathBuf>,
        /// Its tick in milliseconds; sessions last two ticks at least
        #[arg(long, default_value_t = 2_000)]
        tick: u32,
        /// The longest session in milliseconds
        #[arg(long, default_value_t = 40_000)]
        session: u32,
    },
    /// Run one Consul server until Ctrl-C
    Consul {
        /// A free one when absent. The server also takes this +10, +1000 and +1001
        #[arg(long)]
        port: Option<u16>,
        /// A folder for its data, which stays; a temporary one when absent
        #[arg(long)]
        data: Option<PathBuf>,
        /// Ask for a token
        #[arg(long)]
        acl: bool,
    },
    /// Run one Eureka server until Ctrl-C
    Eureka {
        /// A free one when absent
        #[arg(long)]
        port: Option<u16>,
        /// Ask for a user and a password
        #[arg(long)]
        auth: bool,
    },
    /// Be a strict double of a server that no package carries, until Ctrl-C
    Double {
        #[command(subcommand)]
        kind: DoubleKind,
    },
    /// Run one etcd until Ctrl-C
    Etcd {
        /// A free one when absent. The server also takes this +1000
        #[arg(long)]
        port: Option<u16>,
        /// A folder for its data, which stays; a temporary one when absent
        #[arg(long)]
        data: Option<PathBuf>,
    },
    /// Run one Kubernetes API server, with an etcd of its own, until Ctrl-C
    Kube {
        /// A free one when absent
        #[arg(long)]
        port: Option<u16>,
        /// A folder for its data, which stays; a temporary one when absent
        #[arg(long)]
        data: Option<PathBuf>,
    },
    /// Run one MariaDB until Ctrl-C
    Mariadb {
        /// A free one when absent
        #[arg(long)]
        port: Option<u16>,
        /// A folder for its data, which stays; a temporary one when absent
        #[arg(long)]
        data: Option<PathBuf>,
        /// Offer TLS
        #[arg(long)]
        tls: bool,
    },
    /// Say what is missing on this machine
    Check,
}

#[derive(Subcommand)]
enum DoubleKind {
    /// A Kong 3.9: its Admin API and its proxy
    Kong(Box<KongArguments>),
    /// A Polaris server of 1.19
    Polaris {
        #[arg(long, default_value = "127.0.0.1:8090")]
        http: SocketAddr,
        #[arg(long, default_value = "127.0.0.1:8091")]
        grpc: SocketAddr,
        /// A port for tests: GET and DELETE /counts, PUT /faults, PUT /tokens, POST /streams/drop
        #[arg(long, default_value = "127.0.0.1:8092")]
        control: SocketAddr,
        /// A folder for its data, which stays; without it nothing does
        #[arg(long)]
        data: Option<PathBuf>,
        /// Console calls need this token
        #[arg(long)]
        token: Option<String>,
        /// Clients need it as well
        #[arg(long)]
        client_auth: bool,
        /// Most records of one write, and most rows of one page
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// As with a MySQL store: every instance has a location
        #[arg(long)]
        always_location: bool,
        /// The console's lists are up to a second old
        #[arg(long)]
        stale_lists: bool,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Task::Double { kind } = cli.command {
        return double(kind).await.unwrap_or_else(failed);
    }
    let missing = host::missing();
    if matches!(cli.command, Task::Check) || !missing.is_empty() {
        return check(missing);
    }
    let done = match cli.command {
        Task::Run { servers, at_once, command } => run(&servers, at_once, &command).await,
        Task::Nacos { version, port, data, auth, console } => {
            let options = Options { port, data, auth, console, ..Options::default() };
            single::nacos(version, options).await
        }
        Task::Zookeeper { port, data, tick, session } => {
            single::zookeeper(ZooOptions {
                port,
                data,
                tick_ms: tick,
                max_session_ms: session,
                ..ZooOptions::default()
            })
            .await
        }
        Task::Consul { port, data, acl } => {
            single::consul(ConsulSetup { port, persists: data.is_some(), data, acl, ..ConsulSetup::default() }).await
        }
        Task::Eureka { port, auth } => single::eureka(EurekaOptions { port, auth, ..EurekaOptions::default() }).await,
        Task::Double { kind } => double(kind).await,
        Task::Etcd { port, data } => single::etcd(EtcdSetup { port, data, ..EtcdSetup::default() }).await,
        Task::Kube { port, data } => single::kube(KubeSetup { port, data }).await,
        Task::Mariadb { port, data, tls } => {
            single::mariadb(MariaDbSetup { port, data, tls, ..MariaDbSetup::default() }).await
        }
        Task::Check => Ok(ExitCode::SUCCESS),
    };
    done.unwrap_or_else(failed)
}

fn failed(error: Error) -> ExitCode {
    eprintln!("causeway-testbed: {error:#}");
    ExitCode::FAILURE
}

/// Nothing else has to be on the machine for one.
async fn double(kind: DoubleKind) -> Result<ExitCode> {
    let served = async {
        match kind {
            DoubleKind::Kong(arguments) => serve_kong(*arguments).await,
            DoubleKind::Polaris {
                http,
                grpc,
                control,
                data,
                token,
                client_auth,
                limit,
                always_location,
                stale_lists,
            } => {
                let rules = PolarisRules { data, token, client_auth, limit, always_location, stale_lists };
                serve_polaris(rules, PolarisPorts { http, grpc, control }).await
            }
        }
    };
    tokio::select! {
        served = served => served?,
        () = asked_to_end() => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn check(missing: &[String]) -> ExitCode {
    if missing.is_empty() {
        println!("all there: java, javac, mvn, flock, sha256sum");
        return ExitCode::SUCCESS;
    }
    for line in missing {
        eprintln!("missing: {line}");
    }
    ExitCode::from(UNAVAILABLE)
}

async fn run(servers: &[Server], at_once: usize, command: &[String]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no command")?;
    let starts = stream::iter(servers).map(|server| start(*server));
    let started = starts.buffer_unordered(at_once.max(1)).try_collect();
    // Leaving here drops the servers, which ends them.
    let running: Vec<Running> = tokio::select! {
        started = started => started?,
        () = asked_to_end() => bail!("ended while the servers started"),
    };
    let addresses = running.iter().map(|one| (one.server.variable(), one.addr.clone()));
    let mut child = Command::new(program).args(arguments).envs(addresses).spawn().context(program.clone())?;
    let status = tokio::select! {
        status = child.wait() => status?,
        () = asked_to_end() => {
            // Ctrl-C reaches the command too, SIGTERM does not; it has its own way to end.
            if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
                kill_process(pid, Signal::TERM)?;
            }
            child.wait().await?
        }
    };
    Ok(code(status))
}

/// A server of some kind, which ends when this is dropped.
struct Running {
    server: Server,
    addr: String,
    _process: Box<dyn Send>,
}

async fn start(server: Server) -> Result<Running> {
    let began = Instant::now();
    let started = async {
        match server.nacos() {
            None if server == Server::Eureka => {
                let eureka = Eureka::start(EurekaOptions::default()).await?;
                Ok(Running { server, addr: eureka.addr(), _process: Box::new(eureka) })
            }
            Some(version) => {
                let nacos = Nacos::start(version, Options::default()).await?;
                Ok::<_, Error>(Running { server, addr: nacos.addr(), _process: Box::new(nacos) })
            }
            None if server == Server::Consul => {
                let consul = Consul::start(ConsulSetup::default()).await?;
                Ok(Running { server, addr: consul.addr(), _process: Box::new(consul) })
            }
            None if server == Server::Kong => {
                let kong = Kong::start(KongSetup::default()).await?;
                Ok(Running { server, addr: kong.addr(), _process: Box::new(kong) })
            }
            None if server == Server::Polaris => {
                let polaris = Polaris::start(PolarisSetup::default()).await?;
                Ok(Running { server, addr: polaris.addr(), _process: Box::new(polaris) })
            }
            None => {
                let zoo = ZooKeeper::start(ZooOptions::default()).await?;
                Ok(Running { server, addr: zoo.addr(), _process: Box::new(zoo) })
            }
        }
    };
    let running = started.await.with_context(|| format!("starting {}", server.name()))?;
    eprintln!("{} on {} in {:.1} s", server.name(), running.addr, began.elapsed().as_secs_f64());
    Ok(running)
}

/// Ctrl-C or SIGTERM.
async fn asked_to_end() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers the signals end this process at once, and the guards end the servers.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// As a shell says it: a command ended by signal N is 128 + N.
fn code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

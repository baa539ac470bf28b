//! Real servers for tests and for people.

use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};
use std::time::Instant;

use anyhow::{Context, Error, Result, bail};
use causeway_testbed::{
    CONSUL_TOKEN, Consul, ConsulSetup, EUREKA_LOGIN, Etcd, EtcdSetup, Eureka, EurekaOptions, KUBE_TOKEN, Kong,
    KongArguments, KongSetup, Kube, KubeSetup, Nacos, NacosVersion, Options, PASSWORD, Server, USER, ZooKeeper, ZooOptions,
    host, serve_kong,
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
        /// nacos1 (1.4.1), nacos2, nacos2b (2.5.0), nacos3 (3.1.0), zookeeper, zookeeperb (3.9), consul (1.20), eureka, kong (a double), with commas
        #[arg(
            long,
            value_delimiter = ',',
            default_value = "nacos2,nacos2b,nacos3,nacos1,zookeeper,zookeeperb,eureka,kong"
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
    /// Be a strict double of a server that no package carries, until Ctrl-C
    Double {
        #[command(subcommand)]
        kind: DoubleKind,
    },
    /// Say what is missing on this machine
    Check,
}

#[derive(Subcommand)]
enum DoubleKind {
    /// A Kong 3.9: its Admin API and its proxy
    Kong(Box<KongArguments>),
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
            nacos(version, options).await
        }
        Task::Zookeeper { port, data, tick, session } => {
            zookeeper(ZooOptions { port, data, tick_ms: tick, max_session_ms: session, ..ZooOptions::default() }).await
        }
        Task::Consul { port, data, acl } => {
            consul(ConsulSetup { port, persists: data.is_some(), data, acl, ..ConsulSetup::default() }).await
        }
        Task::Eureka { port, auth } => eureka(EurekaOptions { port, auth, ..EurekaOptions::default() }).await,
        Task::Etcd { port, data } => etcd(EtcdSetup { port, data, ..EtcdSetup::default() }).await,
        Task::Kube { port, data } => kube(KubeSetup { port, data }).await,
        Task::Double { kind } => double(kind).await,
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
    let DoubleKind::Kong(arguments) = kind;
    tokio::select! {
        served = serve_kong(*arguments) => served?,
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

async fn nacos(version: NacosVersion, options: Options) -> Result<ExitCode> {
    let auth = options.auth;
    let nacos = tokio::select! {
        nacos = Nacos::start(version, options) => nacos?,
        () = asked_to_end() => return Ok(ExitCode::SUCCESS),
    };
    eprintln!(
        "Nacos on {} (pid {}, data in {}); Ctrl-C ends it",
        nacos.http_base(),
        nacos.pid().unwrap_or_default(),
        nacos.data().display()
    );
    if auth {
        eprintln!("user {USER}, password {PASSWORD}");
    }
    asked_to_end().await;
    eprintln!("ending it (up to 20 s); Ctrl-C again kills it");
    tokio::select! {
        stopped = nacos.stop() => stopped?,
        () = asked_to_end() => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn zookeeper(options: ZooOptions) -> Result<ExitCode> {
    let server = tokio::select! {
        server = ZooKeeper::start(options) => server?,
        () = asked_to_end() => return Ok(ExitCode::SUCCESS),
    };
    let (pid, folder) = (server.pid().unwrap_or_default(), server.folder().display());
    eprintln!("ZooKeeper on {} (pid {pid}, data in {folder}); Ctrl-C ends it", server.addr());
    asked_to_end().await;
    server.stop().await?;
    Ok(ExitCode::SUCCESS)
}

async fn consul(setup: ConsulSetup) -> Result<ExitCode> {
    let acl = setup.acl;
    let server = tokio::select! {
        server = Consul::start(setup) => server?,
        () = asked_to_end() => return Ok(ExitCode::SUCCESS),
    };
    let (pid, folder) = (server.pid().unwrap_or_default(), server.folder().display());
    eprintln!("Consul on {} (pid {pid}, data in {folder}); Ctrl-C ends it", server.addr());
    if acl {
        eprintln!("token {CONSUL_TOKEN}");
    }
    asked_to_end().await;
    server.stop().await?;
    Ok(ExitCode::SUCCESS)
}

async fn eureka(options: EurekaOptions) -> Result<ExitCode> {
    let auth = options.auth;
    let server = tokio::select! {
        server = Eureka::start(options) => server?,
        () = asked_to_end() => return Ok(ExitCode::SUCCESS),
    };
    eprintln!("Eureka on {} (pid {}); Ctrl-C ends it", server.base(), server.pid().unwrap_or_default());
    if auth {
        let (user, password) = EUREKA_LOGIN;
        eprintln!("user {user}, password {password}");
    }
    asked_to_end().await;
    server.stop().await?;
    Ok(ExitCode::SUCCESS)
}

async fn etcd(setup: EtcdSetup) -> Result<ExitCode> {
    let server = tokio::select! {
        server = Etcd::start(setup) => server?,
        () = asked_to_end() => return Ok(ExitCode::SUCCESS),
    };
    let (pid, folder) = (server.pid().unwrap_or_default(), server.folder().display());
    eprintln!("etcd on {} (pid {pid}, data in {folder}); Ctrl-C ends it", server.url());
    asked_to_end().await;
    server.stop().await?;
    Ok(ExitCode::SUCCESS)
}

async fn kube(setup: KubeSetup) -> Result<ExitCode> {
    let server = tokio::select! {
        server = Kube::start(setup) => server?,
        () = asked_to_end() => return Ok(ExitCode::SUCCESS),
    };
    let (pid, folder) = (server.pid().unwrap_or_default(), server.folder().display());
    eprintln!("Kubernetes on https://{} (pid {pid}, data in {folder}); Ctrl-C ends it", server.addr());
    eprintln!("token {KUBE_TOKEN}, CA certificate {}", server.ca_file().display());
    asked_to_end().await;
    server.stop().await?;
    Ok(ExitCode::SUCCESS)
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

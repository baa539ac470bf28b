//! A node as a process of its own, driven by lines on its standard input, and the server that it connects to.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use causeway_holder::{Holder, Launch};

/// Lets a socket go when it is dropped.
struct Kept<'a> {
    holder: &'a Holder,
    tag: String,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.holder.drop_kept(&self.tag);
    }
}

/// The node process: `node DIR LINGER_MS`. Replies to each line with one line.
pub fn node_main(args: &[String]) -> io::Result<()> {
    let mut launch = Launch::new("/proc/self/exe");
    launch.linger = Duration::from_millis(args[1].parse().unwrap());
    let holder = match Holder::connect(Path::new(&args[0]), launch) {
        Ok(holder) => holder,
        Err(e) => {
            println!("error {e}");
            return Ok(());
        }
    };
    println!("ready");
    let mut open = Vec::new();
    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["open", address, tag] => {
                let stream = TcpStream::connect(address)?;
                holder.keep(tag, stream.as_fd())?;
                holder.label(tag, &format!("label of {tag}"));
                open.push((stream, Kept { holder: &holder, tag: tag.to_owned() }));
                println!("ok");
            }
            ["close"] => {
                open.clear();
                println!("ok");
            }
            ["list"] => println!("{:?}", holder.inherited()),
            ["release"] => println!("{:?}", holder.release_old().map_err(|e| e.kind())),
            ["connected"] => println!("{}", holder.is_connected()),
            ["leave", linger] => {
                holder.leave(linger == "true");
                println!("ok");
            }
            _ => break,
        }
    }
    Ok(())
}

pub struct Node {
    pub process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What it said first.
    pub greeting: String,
}

impl Node {
    pub fn start(dir: &Path, linger: Duration) -> Self {
        use std::os::unix::process::CommandExt;
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["node", dir.to_str().unwrap(), &linger.as_millis().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut node = Self { process, input, output, greeting: String::new() };
        node.greeting = node.read();
        node
    }

    /// Started well.
    pub fn ready(dir: &Path, linger: Duration) -> Self {
        let node = Self::start(dir, linger);
        assert_eq!(node.greeting, "ready");
        node
    }

    fn read(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").unwrap();
        self.read()
    }

    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Ends by itself, with all destructors.
    pub fn exit(mut self) {
        writeln!(self.input, "exit").unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

pub struct Server(TcpListener);

impl Server {
    pub fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Has the node connect, and returns the server's end.
    pub fn open(&self, node: &mut Node, tag: &str) -> TcpStream {
        assert_eq!(node.ask(&format!("open {} {tag}", self.address())), "ok");
        self.0.accept().unwrap().0
    }
}

/// How long it takes until the other side's end is seen; `None`: not within `at_most`.
pub fn ended(stream: &TcpStream, at_most: Duration) -> Option<Duration> {
    let begun = Instant::now();
    stream.set_read_timeout(Some(at_most)).unwrap();
    let mut stream = stream;
    match stream.read(&mut [0; 16]) {
        Ok(0) => Some(begun.elapsed()),
        Ok(_) => panic!("nobody writes here"),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => None,
        Err(_) => Some(begun.elapsed()),
    }
}

pub fn eventually(what: &str, at_most: Duration, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < at_most, "not within {at_most:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The holder of a data folder, looked at from outside.
pub struct Outside(PathBuf);

impl Outside {
    pub fn of(dir: &Path) -> Self {
        let pid = std::fs::read_to_string(dir.join("holder.lock")).unwrap();
        Self(Path::new("/proc").join(pid.trim()))
    }

    pub fn pid(&self) -> String {
        self.0.file_name().unwrap().to_str().unwrap().to_owned()
    }

    pub fn alive(&self) -> bool {
        let state = std::fs::read_to_string(self.0.join("stat")).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z ")
    }

    pub fn sockets(&self) -> usize {
        let Ok(fds) = std::fs::read_dir(self.0.join("fd")) else { return 0 };
        fds.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
            .filter(|to| to.to_string_lossy().starts_with("socket:"))
            .count()
    }

    /// Hundredths of a second of processor time.
    pub fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(self.0.join("stat")).unwrap();
        let after = stat.rsplit(") ").next().unwrap().to_owned();
        let fields: Vec<&str> = after.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Kilobytes in memory, of its own (`RssAnon`) and in all.
    pub fn memory(&self) -> String {
        let status = std::fs::read_to_string(self.0.join("status")).unwrap();
        let lines = status.lines().filter(|l| l.starts_with("VmRSS") || l.starts_with("RssAnon"));
        lines.collect::<Vec<_>>().join(" ")
    }
}

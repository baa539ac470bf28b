//! HTTP to the servers of one cluster, with fail-over.

use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, StatusCode, redirect};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// A call takes at most this many times what one server may take, however many there are.
const TOTAL: u32 = 3;

/// What one call may take of one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Until a TCP connection stands.
    pub connect: Duration,
    /// Until all of the answer has come.
    pub answer: Duration,
    /// Bytes of the answer's body.
    pub body: usize,
}

/// Why there is no answer. The texts name the server, and hold neither query nor headers.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No server answered in time.
    #[error("{0}")]
    Unavailable(String),
    /// The same call would fail again: its answer is too large, or it cannot be sent.
    #[error("{0}")]
    Unusable(String),
}

/// What a server answered, whatever its status.
#[derive(Debug)]
pub(crate) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    /// The body; what is no UTF-8 is replaced.
    pub fn text(self) -> String {
        String::from_utf8(self.body).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
    }
}

struct Server {
    /// Without a slash at its end.
    base: String,
    /// Host and port, for errors.
    name: String,
}

/// The servers of one cluster. The one that answered last is asked first.
pub(crate) struct Http {
    client: Client,
    servers: Vec<Server>,
    limits: Limits,
    /// Whether an answer means that another server is to be asked.
    pass_over: fn(&Reply) -> bool,
    preferred: AtomicUsize,
}

impl Http {
    /// `bases` are URLs of at least one server, with the path that all requests begin with. Follows no redirects and uses no
    /// proxy. Errors name the base that cannot be used.
    pub fn new(
        tls: rustls::ClientConfig,
        bases: impl IntoIterator<Item = String>,
        limits: Limits,
        pass_over: fn(&Reply) -> bool,
    ) -> Result<Self, String> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(limits.connect)
            .build()
            .map_err(|e| format!("HTTP client: {e}"))?;
        let servers = bases.into_iter().map(server).collect::<Result<Vec<_>, _>>()?;
        if servers.is_empty() {
            return Err("a cluster needs an address".into());
        }
        Ok(Self { client, servers, limits, pass_over, preferred: AtomicUsize::new(0) })
    }

    /// Sends the request that `build` makes for a base. Where a server does not answer, or its answer is passed over, the next one gets a request; a server that did not answer in time may have done what it was asked for.
    /// When none is left, or [`TOTAL`] is over, returns what the last one said. `limit` replaces [`Limits::answer`].
    pub async fn send(
        &self,
        limit: Option<Duration>,
        build: impl Fn(&Client, &str) -> RequestBuilder,
    ) -> Result<Reply, Error> {
        let limit = limit.unwrap_or(self.limits.answer);
        let end = Instant::now() + limit * TOTAL;
        let (first, count) = (self.preferred(), self.servers.len());
        let (mut last, mut next) = (Err(Error::Unavailable("no time was left".into())), first + 1);
        for step in 0..count {
            let left = end.saturating_duration_since(Instant::now()).min(limit);
            if left.is_zero() {
                next = first + step;
                break;
            }
            let index = (first + step) % count;
            let server = &self.servers[index];
            last = self.ask(&server.name, build(&self.client, &server.base).timeout(left), left).await;
            match &last {
                Ok(reply) if (self.pass_over)(reply) => {}
                Err(Error::Unavailable(_)) => {}
                Ok(_) | Err(Error::Unusable(_)) => {
                    next = index;
                    break;
                }
            }
        }
        self.preferred.store(next % count, Ordering::Relaxed);
        last
    }

    /// The index of the server that answered last.
    pub fn preferred(&self) -> usize {
        self.preferred.load(Ordering::Relaxed)
    }

    async fn ask(&self, name: &str, request: RequestBuilder, limit: Duration) -> Result<Reply, Error> {
        let why = |e: reqwest::Error| match e.is_builder() {
            true => Error::Unusable(format!("{name}: {}", root_cause(&e.without_url()))),
            false if e.is_timeout() => Error::Unavailable(format!("{name}: no answer within {} ms", limit.as_millis())),
            false => Error::Unavailable(format!("{name}: {}", root_cause(&e.without_url()))),
        };
        let mut response = request.send().await.map_err(why)?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(why)? {
            if body.len() + chunk.len() > self.limits.body {
                return Err(Error::Unusable(format!("{name}: an answer of more than {} bytes", self.limits.body)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, headers, body })
    }
}

fn server(base: String) -> Result<Server, String> {
    let url = Url::parse(&base).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let named = url.as_ref().and_then(|url| Some((url, url.host_str()?, url.port_or_known_default()?)));
    match named {
        Some((url, ..)) if !url.username().is_empty() || url.password().is_some() => {
            Err("an address holds no user or password".into())
        }
        Some((_, host, port)) => {
            let name = format!("{host}:{port}");
            Ok(Server { base: base.trim_end_matches('/').to_owned(), name })
        }
        None => Err(format!("\"{base}\" is no http or https URL")),
    }
}

/// A name as one segment of a path: what is no letter, digit, `-`, `_`, `.` or `~` is percent-encoded.
pub(crate) fn path_segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::tls::{Trust, config};
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    const LIMITS: Limits = Limits { connect: Duration::from_secs(2), answer: Duration::from_millis(300), body: 1_000 };

    /// A server that gives this answer to every request, or none, and counts the requests.
    struct Fake {
        base: String,
        seen: Arc<AtomicUsize>,
        _task: JoinSet<()>,
    }

    impl Fake {
        async fn start(answer: Option<(u16, impl Into<String>)>) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = format!("http://{}", listener.local_addr().unwrap());
            let answer = answer.map(|(status, body)| (status, body.into()));
            let seen = Arc::new(AtomicUsize::new(0));
            let (mut task, counted) = (JoinSet::new(), Arc::clone(&seen));
            task.spawn(async move {
                let mut open = Vec::new();
                while let Ok((mut socket, _)) = listener.accept().await {
                    let read = socket.read(&mut [0; 4_096]).await;
                    counted.fetch_add(read.is_ok().into(), Ordering::Relaxed);
                    if let Some((status, body)) = &answer {
                        let head = format!("HTTP/1.1 {status} X\r\nx-index: 7\r\nconnection: close\r\n");
                        let text = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
                        socket.write_all(text.as_bytes()).await.unwrap();
                    } else {
                        open.push(socket);
                    }
                }
            });
            Self { base, seen, _task: task }
        }

        fn seen(&self) -> usize {
            self.seen.load(Ordering::Relaxed)
        }
    }

    fn http(bases: &[&str]) -> Http {
        let tls = config(Trust::Nobody, None).unwrap();
        let pass_over = |reply: &Reply| reply.status.as_u16() == 503 && !reply.body.starts_with(b"slow");
        Http::new(tls, bases.iter().map(|base| (*base).to_owned()), LIMITS, pass_over).unwrap()
    }

    async fn get(http: &Http) -> Result<Reply, Error> {
        let build = |client: &Client, base: &str| {
            client.get(format!("{base}/path?key=hunter2")).bearer_auth("hunter3").header("x-secret", "hunter4")
        };
        http.send(None, build).await
    }

    /// A base at which nobody listens.
    async fn closed() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }

    #[tokio::test]
    async fn sticks_to_the_server_that_answered() {
        let (busy, good) = (Fake::start(Some((503, "busy"))).await, Fake::start(Some((404, "no"))).await);
        let http = http(&[&closed().await, &busy.base, &good.base]);
        for calls in 1..=3 {
            let reply = get(&http).await.unwrap();
            assert_eq!((reply.status.as_u16(), reply.headers["x-index"].as_bytes()), (404, b"7".as_slice()));
            assert_eq!(reply.text(), "no");
            assert_eq!((busy.seen(), good.seen(), http.preferred()), (1, calls, 2));
        }
    }

    #[tokio::test]
    async fn the_last_answer_is_returned_when_all_are_passed_over() {
        let (one, two) = (Fake::start(Some((503, "one"))).await, Fake::start(Some((503, "two"))).await);
        let http = http(&[&one.base, &two.base]);
        assert_eq!(get(&http).await.unwrap().text(), "two");
        assert_eq!(get(&http).await.unwrap().text(), "one", "the other one is asked first");
    }

    #[tokio::test]
    async fn some_answers_count_whatever_their_status() {
        let (busy, slow) = (Fake::start(Some((503, "busy"))).await, Fake::start(Some((503, "slow down"))).await);
        let http = http(&[&slow.base, &busy.base]);
        assert_eq!(get(&http).await.unwrap().text(), "slow down");
        assert_eq!((slow.seen(), busy.seen()), (1, 0));
    }

    #[tokio::test]
    async fn hung_servers_are_bounded_and_named_without_secrets() {
        let mut hung = Vec::new();
        for _ in 0..4 {
            hung.push(Fake::start(None::<(u16, &str)>).await);
        }
        let good = Fake::start(Some((200, "ok"))).await;
        let bases: Vec<_> = hung.iter().chain([&good]).map(|fake| fake.base.as_str()).collect();
        let http = http(&bases);
        let begun = Instant::now();
        let error = get(&http).await.unwrap_err();
        assert!(begun.elapsed() >= LIMITS.answer * 2 && begun.elapsed() < LIMITS.answer * 4, "{:?}", begun.elapsed());
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
        // The third of them, on a machine that is not too busy.
        let is_named = |fake: &Fake| {
            let name = fake.base.trim_start_matches("http://");
            error.to_string().starts_with(&format!("{name}: no answer within "))
        };
        assert!(hung.iter().any(is_named), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
        assert_eq!(get(&http).await.unwrap().text(), "ok", "goes on where it stopped");
        assert_eq!(hung.iter().map(Fake::seen).collect::<Vec<_>>(), [1, 1, 1, 1]);
        let error = get(&self::http(&[&closed().await])).await.unwrap_err().to_string();
        assert!(error.contains("refused") && !error.contains("hunter") && !error.contains("path"), "{error}");
    }

    #[tokio::test]
    async fn answers_are_bounded() {
        let (fits, long) =
            (Fake::start(Some((200, "x".repeat(1_000)))).await, Fake::start(Some((200, "x".repeat(1_001)))).await);
        assert_eq!(get(&http(&[&fits.base])).await.unwrap().body.len(), 1_000);
        let error = get(&http(&[&long.base, &fits.base])).await.unwrap_err();
        assert!(matches!(&error, Error::Unusable(why) if why.contains("more than 1000 bytes")), "{error}");
        assert_eq!(fits.seen(), 1, "another server would answer the same");
    }

    #[tokio::test]
    async fn bases_are_checked() {
        let new = |bases: &[&str]| {
            let tls = config(Trust::Nobody, None).unwrap();
            Http::new(tls, bases.iter().map(|base| (*base).to_owned()), LIMITS, |_| false).err()
        };
        assert!(new(&["https://[::1]/v1/", "http://a:1"]).is_none());
        for wrong in ["a:1", "ftp://a", "http://", "http://u:hunter2@a"] {
            let error = new(&["http://a", wrong]).unwrap();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(new(&[]).is_some());
    }
}

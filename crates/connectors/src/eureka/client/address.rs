//! Where the servers of one cluster are, in the forms in which Eureka's users write it.

use std::fmt;
use url::Url;

/// A server without a scheme and without a port listens here.
const PORT: u16 = 8761;
/// Where Spring Cloud's servers have the API.
pub(in super::super) const PATH: &str = "/eureka";

/// One server.
#[derive(Clone, PartialEq, Eq)]
pub(in super::super) struct Address {
    /// `http` or `https`; `None`: the text says neither.
    pub scheme: Option<&'static str>,
    /// Host and port, as they stand in a URL.
    pub authority: String,
    /// Where the API begins, without a slash at its end; `None`: the text has no path.
    pub path: Option<String>,
    /// The user and the password before the `@`, decoded.
    pub login: Option<(String, String)>,
}

impl Address {
    /// Reads `host`, `host:port`, `http://user:password@host:port/path` and what lies between. The error says how to put it
    /// right, and quotes nothing: a password may stand there.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some("http"), rest),
            Some(("https", rest)) => (Some("https"), rest),
            Some(_) => return Err("only `http://` and `https://` can stand before the host, or nothing"),
            None => (None, text),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (login, host) = match authority.rsplit_once('@') {
            Some((login, host)) => (Some(login), host),
            None => (None, authority),
        };
        causeway_settings::check_address(host)?;
        if path.contains(['?', '#', ' ']) {
            return Err("write only the path of the API behind the port, such as `/eureka`");
        }
        let has_port = host.rsplit_once(']').map_or(host, |(_, port)| port).contains(':');
        let authority = if has_port || scheme.is_some() { host.to_owned() } else { format!("{host}:{PORT}") };
        if Url::parse(&format!("http://{authority}")).is_err() {
            return Err("this is no host name");
        }
        let login = login.map(|login| {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            (decoded(user), decoded(password))
        });
        let path = path.trim_end_matches('/');
        let path = (!path.is_empty()).then(|| path.to_owned());
        Ok(Self { scheme, authority, path, login })
    }

    /// All servers of one text, as in `eureka.client.service-url.defaultZone`.
    pub fn read_all(text: &str) -> Result<Vec<Self>, &'static str> {
        let texts: Vec<_> = text.split(',').map(str::trim).filter(|text| !text.is_empty()).collect();
        match texts.is_empty() {
            true => Err("write the host before the port"),
            false => texts.into_iter().map(Self::read).collect(),
        }
    }

    /// The URL that all requests begin with. `path` and `tls` hold where the text says nothing.
    pub fn base(&self, path: &str, tls: bool) -> String {
        let scheme = self.scheme.unwrap_or(if tls { "https" } else { "http" });
        let path = self.path.as_deref().unwrap_or(path).trim_matches('/');
        format!("{scheme}://{}/{path}", self.authority).trim_end_matches('/').to_owned()
    }
}

/// Without the login.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{scheme}://")?;
        }
        write!(f, "{}{}", self.authority, self.path.as_deref().unwrap_or_default())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Percent signs decoded; one that is none stays.
fn decoded(text: &str) -> String {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let hex = tail.first_chunk::<2>().and_then(|pair| hex::decode(pair).ok()).filter(|_| *first == b'%');
        match hex {
            Some(byte) => {
                out.extend(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (text, base, again) in [
            ("10.0.0.1:8762", "http://10.0.0.1:8762/eureka", "10.0.0.1:8762"),
            ("eureka", "http://eureka:8761/eureka", "eureka:8761"),
            ("http://eureka", "http://eureka/eureka", "http://eureka"),
            ("https://e.example/eureka/", "https://e.example/eureka", "https://e.example/eureka"),
            ("e:8761/eureka/v2/", "http://e:8761/eureka/v2", "e:8761/eureka/v2"),
            ("http://u:p@e:80/", "http://e:80/eureka", "http://e:80"),
            (" [::1]:8761 ", "http://[::1]:8761/eureka", "[::1]:8761"),
            ("[::1]", "http://[::1]:8761/eureka", "[::1]:8761"),
        ] {
            let address = Address::read(text).unwrap();
            assert_eq!((address.base(PATH, false).as_str(), address.to_string().as_str()), (base, again), "{text}");
            assert_eq!(Address::read(again).unwrap().base(PATH, false), base, "{text}");
        }
        assert_eq!(Address::read("e:1").unwrap().base("/registry/", true), "https://e:1/registry");
        assert_eq!(Address::read_all("http://a:1/eureka/, b:2 ,").unwrap().len(), 2);
    }

    #[test]
    fn logins_are_decoded_and_not_shown() {
        let address = Address::read("http://us%65r:p%40ss%3Aw%2Fd%@h:1/eureka").unwrap();
        assert_eq!(address.login, Some(("user".into(), "p@ss:w/d%".into())));
        assert!(!format!("{address} {address:?}").contains("ss"));
        assert_eq!(Address::read("u@h").unwrap().login, Some(("u".into(), String::new())));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "ftp://a", "a:b", ":1", "a:1/x?y", "http://", "a b", "::1", "http://u:p@"] {
            assert!(Address::read(text).is_err(), "{text}");
        }
        assert!(Address::read_all(" , ").is_err());
    }
}

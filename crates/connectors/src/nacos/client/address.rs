//! Where the servers of one cluster are.

use std::fmt;
use std::str::FromStr;

use super::error::Error;

/// Nacos' own default port.
const DEFAULT_PORT: u16 = 8848;

/// One server: host name or IP address, HTTP port, and whether HTTP goes over TLS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// Host name, IPv4 address, or IPv6 address without brackets.
    pub host: String,
    /// HTTP port; the gRPC port lies at a fixed distance above it.
    pub port: u16,
    /// True for `https://`.
    pub https: bool,
}

impl Address {
    /// `host:port`, with brackets round an IPv6 address.
    pub fn authority(&self, port: u16) -> String {
        if self.host.contains(':') { format!("[{}]:{port}", self.host) } else { format!("{}:{port}", self.host) }
    }

    /// `http(s)://host:port`.
    pub fn base(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}", self.authority(self.port))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority(self.port))
    }
}

impl FromStr for Address {
    type Err = Error;

    /// Reads `host`, `host:port`, `[ipv6]:port`, each with or without `http://` or `https://`.
    /// A path is refused: the context path is an option of its own.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Rejected(format!("address \"{text}\": {why}"));
        let trimmed = text.trim();
        let with_scheme = if trimmed.contains("://") { trimmed.to_owned() } else { format!("http://{trimmed}") };
        let url = url::Url::parse(&with_scheme).map_err(|e| wrong(&e.to_string()))?;
        let https = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(wrong(&format!("unknown scheme {other}"))),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("only host and port belong here"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::Rejected("an address holds no user or password".into()));
        }
        let host = match url.host() {
            Some(url::Host::Domain(name)) => name.to_owned(),
            Some(url::Host::Ipv4(ip)) => ip.to_string(),
            Some(url::Host::Ipv6(ip)) => ip.to_string(),
            None => return Err(wrong("no host")),
        };
        // `Url` drops a port that is the scheme's default, so look at the text for `:80`.
        let port = url.port().or_else(|| explicit_default_port(&with_scheme, &url)).unwrap_or(DEFAULT_PORT);
        Ok(Address { host, port, https })
    }
}

fn explicit_default_port(text: &str, url: &url::Url) -> Option<u16> {
    let port = url.port_or_known_default()?;
    text.trim_end_matches('/').ends_with(&format!(":{port}")).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        let table = [
            ("10.0.0.1:18848", "10.0.0.1", 18848, false),
            ("nacos", "nacos", 8848, false),
            ("http://nacos:80", "nacos", 80, false),
            ("https://nacos.example:443/", "nacos.example", 443, true),
            ("https://nacos.example", "nacos.example", 8848, true),
            (" [::1]:8849 ", "::1", 8849, false),
        ];
        for (text, host, port, https) in table {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.host.as_str(), address.port, address.https), (host, port, https), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in ["", "ftp://a:1", "a:1/nacos", "http://u:p@a:1", "a:99999"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        let error = "http://u:secret@a:1".parse::<Address>().unwrap_err();
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn writes_ipv6_in_brackets() {
        let address: Address = "[fe80::1]:8848".parse().unwrap();
        assert_eq!(address.authority(9848), "[fe80::1]:9848");
        assert_eq!(address.base(), "http://[fe80::1]:8848");
    }
}

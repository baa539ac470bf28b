//! Which API server, and as whom: from the options, and from what Kubernetes gives to a pod.

use super::super::KubernetesOptions;
use reqwest::Url;
use std::path::{Path, PathBuf};

/// Where Kubernetes puts a pod's own account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What a pod knows of its cluster.
#[derive(Clone, Debug)]
pub struct PodAccount {
    /// Holds the files `ca.crt`, `token` and `namespace`, all of which may be absent.
    pub folder: PathBuf,
    /// `host:port` of the API server; `None` outside of a cluster.
    pub server: Option<String>,
}

impl PodAccount {
    /// That of this process.
    pub fn own() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let port = variable("KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".into());
        let server = variable("KUBERNETES_SERVICE_HOST").map(|host| match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        });
        Self { folder: ACCOUNT.into(), server }
    }
}

/// An API server, and how to speak to it.
#[derive(Clone, Debug)]
pub(super) struct ApiServer {
    /// A URL without a slash at its end.
    pub base: String,
    pub trust: ServerTrust,
    pub token: TokenSource,
    pub namespace: String,
}

/// How the server proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ServerTrust {
    /// By a certificate that an authority in this PEM file has signed.
    File(PathBuf),
    /// By any certificate.
    Anybody,
    /// Not at all: plain HTTP.
    Plain,
}

/// Where the token comes from.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum TokenSource {
    Given(String),
    /// Read again for each call: Kubernetes replaces the token of a pod about once an hour.
    File(PathBuf),
    /// None is sent.
    Absent,
}

/// Without the token.
impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Absent => f.write_str("Absent"),
        }
    }
}

/// What the options and the pod say together. Errors say what is missing, and what to set.
pub(super) fn api_server(options: &KubernetesOptions, pod: &PodAccount) -> Result<ApiServer, String> {
    let given = options.address.as_deref().or(pod.server.as_deref()).ok_or(
        "there is no address of an API server: set POLARIS_SYNC_CONFIG_K8S_ADDRESS (option `address`), or run inside of the cluster",
    )?;
    let base = base_url(given)?;
    let token = match &options.token {
        Some(token) => TokenSource::Given(token.clone()),
        None if base.starts_with("http:") => TokenSource::Absent,
        None => TokenSource::File(pod.folder.join("token")),
    };
    let namespace = match &options.namespace {
        Some(namespace) => namespace.clone(),
        None => own_namespace(&pod.folder)?,
    };
    for (what, name) in [("namespace", &namespace), ("ConfigMap", &options.configmap)] {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
        {
            return Err(format!("\"{name}\" is no name of a {what}: it has lower-case letters, digits, `-` and `.`"));
        }
    }
    Ok(ApiServer { trust: trust(options, pod, &base)?, base, token, namespace })
}

fn base_url(given: &str) -> Result<String, String> {
    let text = if given.contains("://") { given.to_owned() } else { format!("https://{given}") };
    let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    match url {
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            Err("the address of the API server holds no user or password: set the token".into())
        }
        Some(url) if url.query().is_none() && url.fragment().is_none() => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err(format!("\"{given}\" is no address of an API server, such as 10.0.0.1:6443 or https://10.0.0.1:6443")),
    }
}

fn trust(options: &KubernetesOptions, pod: &PodAccount, base: &str) -> Result<ServerTrust, String> {
    let option = |name: &str| options.others.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let of_pod = pod.folder.join("ca.crt");
    match (option("insecureSkipVerify"), option("caFile")) {
        _ if base.starts_with("http:") => Ok(ServerTrust::Plain),
        (Some("true"), _) => Ok(ServerTrust::Anybody),
        (Some(other), _) if other != "false" => {
            Err(format!("insecureSkipVerify: \"{other}\" is neither true nor false"))
        }
        (_, Some(file)) => Ok(ServerTrust::File(file.into())),
        (_, None) if of_pod.exists() => Ok(ServerTrust::File(of_pod)),
        (_, None) => Err(format!(
            "{base}: nothing says which authority signs its certificate: name a PEM file with POLARIS_SYNC_CONFIG_K8S_CA_FILE (option \
             `caFile`), or set POLARIS_SYNC_CONFIG_K8S_INSECURE_SKIP_VERIFY (option `insecureSkipVerify`) to true, with which anybody can \
             stand in between"
        )),
    }
}

fn own_namespace(folder: &Path) -> Result<String, String> {
    let own = std::fs::read_to_string(folder.join("namespace")).ok();
    let own = own.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    own.ok_or_else(|| "there is no namespace: set POLARIS_SYNC_CONFIG_K8S_NAMESPACE (option `namespace`)".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(files: &[(&str, &str)], server: Option<&str>) -> (tempfile::TempDir, PodAccount) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let pod = PodAccount { folder: folder.path().to_owned(), server: server.map(str::to_owned) };
        (folder, pod)
    }

    fn options(address: Option<&str>) -> KubernetesOptions {
        KubernetesOptions {
            address: address.map(str::to_owned),
            configmap: "polaris-sync-config".into(),
            ..KubernetesOptions::default()
        }
    }

    #[test]
    fn a_pod_needs_no_options() {
        let (folder, pod) =
            pod(&[("ca.crt", "x"), ("token", "t"), ("namespace", "polaris-system\n")], Some("10.0.0.1:443"));
        let server = api_server(&options(None), &pod).unwrap();
        assert_eq!((server.base.as_str(), server.namespace.as_str()), ("https://10.0.0.1:443", "polaris-system"));
        assert_eq!(server.trust, ServerTrust::File(folder.path().join("ca.crt")));
        assert_eq!(server.token, TokenSource::File(folder.path().join("token")));
    }

    #[test]
    fn an_address_without_a_scheme_is_https_and_needs_trust() {
        let (_folder, pod) = pod(&[], None);
        let mut given = options(Some("127.0.0.1:6443"));
        given.namespace = Some("polaris-system".into());
        given.token = Some("hunter2".into());
        let error = api_server(&given, &pod).unwrap_err();
        assert!(error.contains("https://127.0.0.1:6443") && error.contains("K8S_CA_FILE (option `caFile`)"), "{error}");
        assert!(error.contains("insecureSkipVerify"), "{error}");
        given.others.insert("insecureSkipVerify".into(), "yes".into());
        assert!(api_server(&given, &pod).unwrap_err().contains("neither true nor false"));
        given.others.insert("insecureSkipVerify".into(), "true".into());
        let server = api_server(&given, &pod).unwrap();
        assert_eq!(server.trust, ServerTrust::Anybody);
        assert!(!format!("{server:?}{given:?}").contains("hunter2"));
        given.others = [("caFile".to_owned(), "/etc/ca.pem".to_owned())].into();
        assert_eq!(api_server(&given, &pod).unwrap().trust, ServerTrust::File("/etc/ca.pem".into()));
        given.address = Some("http://127.0.0.1:8001/".into());
        given.token = None;
        let server = api_server(&given, &pod).unwrap();
        assert_eq!((server.base.as_str(), &server.trust), ("http://127.0.0.1:8001", &ServerTrust::Plain));
        assert_eq!(server.token, TokenSource::Absent);
    }

    #[test]
    fn what_is_missing_is_named() {
        let (_folder, pod) = pod(&[("ca.crt", "x")], None);
        let error = |options: &KubernetesOptions| api_server(options, &pod).unwrap_err();
        assert!(error(&options(None)).contains("POLARIS_SYNC_CONFIG_K8S_ADDRESS"));
        assert!(error(&options(Some("127.0.0.1:6443"))).contains("POLARIS_SYNC_CONFIG_K8S_NAMESPACE"));
        for wrong in ["ftp://a", "https://", "a b", "https://u:hunter2@a"] {
            let error = error(&options(Some(wrong)));
            assert!(error.contains("address") && !error.contains("hunter2"), "{error}");
        }
        let mut odd = options(Some("127.0.0.1:6443"));
        odd.namespace = Some("a/b".into());
        assert!(error(&odd).contains("\"a/b\" is no name of a namespace"));
    }
}

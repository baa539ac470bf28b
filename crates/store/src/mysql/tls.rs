//! What a JDBC URL says of TLS.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use std::fmt::Write;
use std::path::PathBuf;

use super::url::is_true;
use crate::Error;

/// How a connection is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tls {
    pub(super) mode: TlsMode,
    /// A file with certificates of authorities, PEM, besides those of the machine.
    pub(super) authorities: Option<PathBuf>,
    /// Files with a certificate of ours and its key, PEM.
    pub(super) own: Option<(PathBuf, PathBuf)>,
    /// The URL asks for TLS, though not by name for nothing else.
    pub(super) is_asked_for: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TlsMode {
    Off,
    /// Where the server offers it. Certificates are not checked.
    #[default]
    Preferred,
    /// Certificates are not checked.
    Required,
    /// The certificate must be of a known authority.
    VerifyAuthority,
    /// And for the host's name.
    VerifyHost,
}

/// The parameters that speak of it, as they come.
#[derive(Debug, Default)]
pub(super) struct TlsWish {
    mode: Option<TlsMode>,
    use_ssl: Option<bool>,
    require: bool,
    verify: Option<bool>,
    trust_all: Option<bool>,
    any_host: bool,
    authorities: Option<String>,
    authorities_type: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
    unused: Vec<String>,
}

impl TlsWish {
    /// Whether the parameter is about TLS.
    pub(super) fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let text = || Some(value.to_owned()).filter(|value| !value.is_empty());
        match name.to_ascii_lowercase().as_str() {
            "sslmode" | "ssl-mode" => self.mode = Some(mode_of(value)?),
            "usessl" => self.use_ssl = Some(is_true(value)),
            "requiressl" => self.require = is_true(value),
            "verifyservercertificate" => self.verify = Some(is_true(value)),
            "trustservercertificate" => self.trust_all = Some(is_true(value)),
            "disablesslhostnameverification" => self.any_host = is_true(value),
            "trustcertificatekeystoreurl" | "truststore" => self.authorities = text(),
            "trustcertificatekeystoretype" | "truststoretype" => self.authorities_type = text(),
            "serversslcert" | "sslca" | "ssl-ca" => {
                (self.authorities, self.authorities_type) = (text(), Some("PEM".to_owned()));
            }
            "sslcert" | "ssl-cert" => self.certificate = text(),
            "sslkey" | "ssl-key" => self.key = text(),
            // Without TLS the password goes out encrypted with the server's key.
            "allowpublickeyretrieval" => {}
            // The authorities' file needs none.
            "trustcertificatekeystorepassword" | "truststorepassword" => {}
            "clientcertificatekeystoreurl" | "keystore" => self.unused.push(name.to_owned()),
            "clientcertificatekeystoretype"
            | "clientcertificatekeystorepassword"
            | "keystoretype"
            | "keystorepassword" => {}
            "enabledtlsprotocols"
            | "tlsversions"
            | "enabledsslprotocolsuites"
            | "tlsciphersuites"
            | "enabledsslciphersuites" => self.unused.push(name.to_owned()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// As the driver of that name would do it.
    pub(super) fn settle(
        self,
        is_mariadb: bool,
        warnings: &mut Vec<String>,
        notes: &mut Vec<String>,
    ) -> Result<Tls, String> {
        let verified = if self.any_host { TlsMode::VerifyAuthority } else { TlsMode::VerifyHost };
        let mode = match (self.mode, self.use_ssl) {
            (Some(TlsMode::VerifyHost), _) => verified,
            (Some(mode), _) => mode,
            (None, Some(false)) => TlsMode::Off,
            (None, Some(true)) if is_mariadb && self.trust_all == Some(true) => TlsMode::Required,
            (None, Some(true)) if is_mariadb => verified,
            (None, _) if self.verify == Some(true) => TlsMode::VerifyAuthority,
            (None, _) if self.require => TlsMode::Required,
            // MariaDB's driver encrypts only when it is asked to.
            (None, None) if is_mariadb => TlsMode::Off,
            (None, _) => TlsMode::Preferred,
        };
        let authorities = self.authorities.as_deref().map(path_of).map(PathBuf::from);
        let is_pem = self.authorities_type.as_deref().is_some_and(|word| word.eq_ignore_ascii_case("PEM"))
            || authorities.as_ref().is_some_and(|path| is_pem_file(path));
        let authorities = match authorities {
            Some(path) if !is_pem => {
                warnings.push(format!(
                    "MYSQL_URL: the key store {} is not used: only PEM files are read (keytool -exportcert -rfc writes one; name it \
                     in serverSslCert); the authorities of this machine are used",
                    path.display()
                ));
                None
            }
            other => other,
        };
        let own = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some((path_of(&certificate).into(), path_of(&key).into())),
            (None, None) => None,
            _ => return Err("sslCert and sslKey belong together".to_owned()),
        };
        if !self.unused.is_empty() {
            notes.push(format!("MYSQL_URL: these have no effect here: {}", self.unused.join(", ")));
        }
        let is_asked_for = self.use_ssl == Some(true) && mode == TlsMode::Preferred;
        Ok(Tls { mode, authorities, own, is_asked_for })
    }
}

fn mode_of(word: &str) -> Result<TlsMode, String> {
    Ok(match word.to_ascii_lowercase().replace('-', "_").as_str() {
        "disabled" | "disable" | "false" | "0" => TlsMode::Off,
        "preferred" => TlsMode::Preferred,
        "required" | "trust" => TlsMode::Required,
        "verify_ca" => TlsMode::VerifyAuthority,
        "verify_identity" | "verify_full" | "true" | "1" => TlsMode::VerifyHost,
        _ => {
            let known = "DISABLED, PREFERRED, REQUIRED, VERIFY_CA and VERIFY_IDENTITY";
            return Err(format!("sslMode is one of {known}, and not `{word}`"));
        }
    })
}

/// Of a `file:` URL, or the path itself.
fn path_of(text: &str) -> &str {
    let path = text.strip_prefix("file:").unwrap_or(text);
    // file:///path and file:/path.
    path.strip_prefix("//").filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

fn is_pem_file(path: &std::path::Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.windows(10).any(|part| part == b"-----BEGIN"))
}

impl Tls {
    pub(super) fn options(&self, options: MySqlConnectOptions) -> Result<MySqlConnectOptions, Error> {
        let options = options.ssl_mode(match self.mode {
            TlsMode::Off => MySqlSslMode::Disabled,
            TlsMode::Preferred => MySqlSslMode::Preferred,
            TlsMode::Required => MySqlSslMode::Required,
            TlsMode::VerifyAuthority => MySqlSslMode::VerifyCa,
            TlsMode::VerifyHost => MySqlSslMode::VerifyIdentity,
        });
        let options = match &self.own {
            Some((certificate, key)) => options.ssl_client_cert(certificate).ssl_client_key(key),
            None => options,
        };
        if !matches!(self.mode, TlsMode::VerifyAuthority | TlsMode::VerifyHost) {
            return Ok(options);
        }
        let mut known = machine_authorities();
        if let Some(path) = &self.authorities {
            let own = std::fs::read_to_string(path);
            let own = own.map_err(|e| Error::Place(format!("MYSQL_URL: {}: {e}", path.display())))?;
            known.push_str(&own);
        }
        Ok(options.ssl_ca_from_pem(known.into_bytes()))
    }
}

/// The library brings a list of its own, and does not ask the machine.
fn machine_authorities() -> String {
    let mut pem = String::new();
    for certificate in rustls_native_certs::load_native_certs().certs {
        let written =
            write!(pem, "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(certificate));
        debug_assert!(written.is_ok());
    }
    pem
}

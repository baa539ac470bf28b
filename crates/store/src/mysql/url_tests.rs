use super::*;
use crate::mysql::tls::TlsMode;

fn parse(url: &str) -> MySqlSettings {
    MySqlSettings::parse(url, "u", "p".into()).unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn refused(url: &str) -> String {
    MySqlSettings::parse(url, "u", "p".into()).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn urls_of_both_drivers_are_read() {
    for (url, servers, database) in [
        ("jdbc:mysql://h1:3306,h2:3307/db?useSSL=true&serverTimezone=GMT%2B8", "h1:3306,h2:3307", "db"),
        ("jdbc:mysql://h1/db", "h1:3306", "db"),
        ("  jdbc:mysql://h1:/db ", "h1:3306", "db"),
        ("JDBC:MySQL://h1/db", "h1:3306", "db"),
        ("jdbc:mariadb://h1,h2/db", "h1:3306,h2:3306", "db"),
        ("jdbc:mariadb:sequential://h1,h2/db", "h1:3306,h2:3306", "db"),
        ("jdbc:mysql:replication://h1,h2,h1/db", "h1:3306,h2:3306", "db"),
        ("jdbc:mysql:loadbalance://h1/db", "h1:3306", "db"),
        ("mysql://h1/db", "h1:3306", "db"),
        ("jdbc:mysql://[::1]:3310,[fe80::2],::3/db", "[::1]:3310,[fe80::2]:3306,[::3]:3306", "db"),
        ("jdbc:mysql://address=(host=h1)(port=3310)(priority=1),(host=h2,port=3311)/db", "h1:3310,h2:3311", "db"),
        ("jdbc:mysql://address=(host=[::1])(port=3310)/db", "[::1]:3310", "db"),
        ("jdbc:mysql://user:word@h1/a%2Fb%20c", "h1:3306", "a/b c"),
        ("jdbc:mysql:///db", "localhost:3306", "db"),
        ("jdbc:mysql://h1/db?", "h1:3306", "db"),
    ] {
        let settings = parse(url);
        assert_eq!((settings.servers().as_str(), settings.database()), (servers, database), "{url}");
    }
}

#[test]
fn what_is_wrong_with_a_url_is_told() {
    for (url, says) in [
        ("jdbc:postgresql://h/db", "must begin"),
        ("h1:3306/db", "must begin"),
        ("jdbc:mysql://h1:3306", "no database"),
        ("jdbc:mysql://h1:3306/", "no database"),
        ("jdbc:mysql://h1:x/db", "`h1:x` is no host"),
        ("jdbc:mysql://h1:99999/db", "is no host"),
        ("jdbc:mysql://h1,,h2/db", "is no host"),
        ("jdbc:mysql:h1/db", "before //"),
        ("jdbc:mysql:srv://h1/db", "`srv:`"),
        ("jdbc:mysql://h1/db?sslMode=SOMETIMES", "sslMode"),
        ("jdbc:mysql://h1/db?connectTimeout=soon", "connectTimeout"),
    ] {
        let error = refused(url);
        assert!(error.contains(says) && error.contains("MYSQL_URL"), "{url}: {error}");
    }
}

#[test]
fn tls_is_what_the_drivers_would_do() {
    for (url, mode) in [
        ("jdbc:mysql://h/d", TlsMode::Preferred),
        ("jdbc:mysql://h/d?useSSL=false", TlsMode::Off),
        ("jdbc:mysql://h/d?useSSL=true", TlsMode::Preferred),
        ("jdbc:mysql://h/d?useSSL=true&amp;requireSSL=true", TlsMode::Required),
        ("jdbc:mysql://h/d?useSSL=true&verifyServerCertificate=true", TlsMode::VerifyAuthority),
        ("jdbc:mysql://h/d?useSSL=false&verifyServerCertificate=true", TlsMode::Off),
        ("jdbc:mysql://h/d?sslMode=verify_identity&useSSL=false", TlsMode::VerifyHost),
        ("jdbc:mysql://h/d?sslMode=DISABLED", TlsMode::Off),
        ("jdbc:mariadb://h/d", TlsMode::Off),
        ("jdbc:mariadb://h/d?useSsl=true", TlsMode::VerifyHost),
        ("jdbc:mariadb://h/d?useSsl=true&disableSslHostnameVerification=true", TlsMode::VerifyAuthority),
        ("jdbc:mariadb://h/d?useSsl=true&trustServerCertificate=true", TlsMode::Required),
        ("jdbc:mariadb://h/d?sslMode=trust", TlsMode::Required),
        ("jdbc:mariadb://h/d?sslMode=verify-full", TlsMode::VerifyHost),
    ] {
        assert_eq!(parse(url).tls.mode, mode, "{url}");
    }
}

#[test]
fn what_has_no_effect_is_noted_without_its_value() {
    let settings = parse(
        "jdbc:mysql://root:hidden@h/d?useUnicode=true&characterEncoding=utf8&password=hidden&serverTimezone=UTC&connectTimeout=1500&\
         createDatabaseIfNotExist=true&autoReconnect=true&allowPublicKeyRetrieval=true",
    );
    let notes = settings.notes.join("\n");
    assert!(notes.contains("useUnicode, characterEncoding, password, serverTimezone, autoReconnect"), "{notes}");
    assert!(notes.contains("the user in it is not used") && !notes.contains("hidden"), "{notes}");
    assert_eq!(settings.connect, Duration::from_millis(1_500));
    assert!(settings.create_database && settings.warnings.is_empty());
}

#[test]
fn only_pem_files_are_read_as_authorities() {
    let folder = tempfile::tempdir().unwrap();
    let (pem, store) = (folder.path().join("ca"), folder.path().join("trust.jks"));
    std::fs::write(&pem, "-----BEGIN CERTIFICATE-----\n").unwrap();
    std::fs::write(&store, [0xfe, 0xed, 0xfe, 0xed]).unwrap();
    let of = |path: &std::path::Path, more: &str| {
        parse(&format!("jdbc:mysql://h/d?sslMode=VERIFY_CA&trustCertificateKeyStoreUrl=file:{}{more}", path.display()))
    };
    assert_eq!(of(&pem, "").tls.authorities, Some(pem));
    let settings = of(&store, "&trustCertificateKeyStorePassword=hidden");
    assert_eq!(settings.tls.authorities, None);
    assert!(settings.warnings[0].contains("trust.jks") && !settings.warnings[0].contains("hidden"));
    assert!(settings.notes.is_empty(), "{:?}", settings.notes);
}

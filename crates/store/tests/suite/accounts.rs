//! Who may use a database, with which key, and over what kind of connection.

use std::time::{Duration, Instant};

use anyhow::Result;
use causeway_store::{Database, Edit, Error, Store};
use causeway_testbed::{MariaDb, MariaDbSetup};
use secrecy::ExposeSecret;

use crate::both::{PLENTY, cluster};
use crate::place::{ALL, Place, ROWS, at, new_name, server, with};

async fn refused(place: &Place) -> String {
    match place.try_open(0).await {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    }
}

pub async fn an_account_without_rights_is_told_what_to_run() -> Result<()> {
    let (server, name) = (server().await?, new_name());
    server.make_database(&name, &name, ROWS)?;
    let place = Place::of(at(&server.addr(), &name))?;
    let text = refused(&place).await;
    for part in
        ["CREATE TABLE IF NOT EXISTS causeway_schema", "CREATE TABLE IF NOT EXISTS causeway_events", "GRANT SELECT"]
    {
        assert!(text.contains(part), "{text}");
    }
    let script = text.split_once("\n\n").unwrap().1;
    server.sql(script)?;
    // As often as somebody likes.
    server.sql(script)?;
    let store = place.open().await;
    store.edit(vec![Edit::PutCluster(cluster("a", "word"))]).await?;
    let writer = causeway_store::Writer::start(store.clone(), causeway_store::Keep::default());
    writer.ledger("route", "scope", Some("document"));
    assert!(writer.flush(PLENTY).await, "{:?}", writer.health());
    assert_eq!(store.clusters().await?.len(), 1);
    assert!(writer.stop(PLENTY).await);
    drop((store, writer));
    place.open().await;

    // One that may not even read.
    let (name, nobody) = (new_name(), new_name());
    server.make_database(&name, &name, ALL)?;
    server.make_account(&name, &nobody, "SHOW VIEW")?;
    let url = format!("jdbc:mysql://{}/{name}", server.addr());
    let settings = causeway_store::MySqlSettings::parse(&url, &nobody, nobody.as_str().into())?;
    let text = refused(&Place::of(settings)?).await;
    assert!(text.contains("too few rights") && text.contains("GRANT SELECT"), "{text}");
    Ok(())
}

pub async fn a_missing_database_is_told_or_made() -> Result<()> {
    let (server, name) = (server().await?, new_name());
    server.make_account(&name, &name, ALL)?;
    let begun = Instant::now();
    let text = refused(&Place::of(at(&server.addr(), &name))?).await;
    assert!(text.contains(&format!("CREATE DATABASE IF NOT EXISTS `{name}`")), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(20), "it waits for nothing");
    let parameters = "?useSSL=false&createDatabaseIfNotExist=true";
    Place::of(with(&server.addr(), &name, &name, parameters))?.open().await;
    assert_eq!(server.sql(&format!("SELECT COUNT(*) FROM `{name}`.causeway_schema"))?, "1");
    Ok(())
}

pub async fn a_wrong_password_is_told_at_once() -> Result<()> {
    let (server, name) = (server().await?, new_name());
    server.make_database(&name, &name, ALL)?;
    let begun = Instant::now();
    let text = refused(&Place::of(with(&server.addr(), &name, "wrong-word", ""))?).await;
    assert!(text.contains("MYSQL_PASSWORD") && text.contains(&server.addr()), "{text}");
    assert!(!text.contains("wrong-word"), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(20), "it waits for nothing");
    Ok(())
}

pub async fn the_key_follows_the_password() -> Result<()> {
    let (server, name) = (server().await?, new_name());
    server.make_database(&name, &name, ALL)?;
    let old = Place::of(at(&server.addr(), &name))?;
    let store = old.open().await;
    store.edit(vec![Edit::PutCluster(cluster("a", "correct-horse"))]).await?;
    let dump = server.sql(&format!(
        "SELECT * FROM `{name}`.causeway_kv; SELECT HEX(sealed) FROM `{name}`.causeway_cluster_secrets"
    ))?;
    assert!(dump.contains("data key") && !dump.contains("correct-horse"));
    assert!(!old.data_folder(0).join("key").exists(), "the key is in the database");
    drop(store);

    server.sql(&format!("ALTER USER '{name}'@'%' IDENTIFIED BY 'new-word'"))?;
    let changed = || with(&server.addr(), &name, "new-word", "?useSSL=false");
    let text = refused(&Place::of(changed())?).await;
    assert!(text.contains("CAUSEWAY_MYSQL_PASSWORD_BEFORE") && !text.contains("new-word"), "{text}");
    let text = refused(&Place::of(changed().with_password_before(Some("not-it".into())))?).await;
    assert!(text.contains("another MYSQL_PASSWORD") && !text.contains("not-it"), "{text}");
    for before in [Some(name.as_str().into()), None] {
        let store = Place::of(changed().with_password_before(before))?.open().await;
        assert_eq!(store.clusters().await?[0].secrets["password"].expose_secret(), "correct-horse");
    }

    // Lost: as docs/store.md says.
    server.sql(&format!("ALTER USER '{name}'@'%' IDENTIFIED BY 'third-word'"))?;
    let page = include_str!("../../../../docs/store.md");
    let (_, rest) = page.split_once("```sql\n").unwrap();
    server.sql(&format!("USE `{name}`; {} COMMIT", rest.split_once("```").unwrap().0))?;
    let store = Place::of(with(&server.addr(), &name, "third-word", "?useSSL=false"))?.open().await;
    assert!(store.clusters().await?[0].secrets.is_empty());
    store.edit(vec![Edit::PutCluster(cluster("a", "correct-horse"))]).await?;
    Ok(())
}

pub async fn a_key_of_the_environment_is_for_all() -> Result<()> {
    let (server, name) = (server().await?, new_name());
    server.make_database(&name, &name, ALL)?;
    let database = Database::MySql(Box::new(at(&server.addr(), &name)));
    let folder = tempfile::tempdir()?;
    let open = |key: Option<&str>| Store::open_at_with(folder.path(), &database, key.map(Into::into));
    let store = open(Some("a key in the environment")).await?;
    store.edit(vec![Edit::PutCluster(cluster("a", "word"))]).await?;
    assert_eq!(store.kv("data key").await?, None);
    drop(store);
    for other in [Some("another key of some length"), None] {
        let text = open(other).await.err().unwrap().to_string();
        assert!(text.contains("CAUSEWAY_KEY") && text.contains(&name) && !text.contains("another key of"), "{text}");
    }
    let store = open(Some("a key in the environment")).await?;
    assert_eq!(store.clusters().await?[0].secrets["password"].expose_secret(), "word");
    Ok(())
}

pub async fn connections_are_encrypted_as_the_url_says() -> Result<()> {
    let (server, name) = (server().await?, new_name());
    server.make_database(&name, &name, ALL)?;
    server.sql(&format!("ALTER USER '{name}'@'%' REQUIRE SSL"))?;
    let plain = MariaDb::start(MariaDbSetup::default()).await?;
    plain.make_database(&name, &name, ALL)?;
    let own = server.ca_file();
    let ca = format!("&serverSslCert={}", own.display());
    for parameters in [
        "".to_owned(),
        "?useSSL=true".to_owned(),
        "?sslMode=REQUIRED".to_owned(),
        format!("?sslMode=VERIFY_CA{ca}"),
        format!("?sslMode=VERIFY_IDENTITY{ca}"),
        format!("?useSSL=true&verifyServerCertificate=true&trustCertificateKeyStoreUrl=file://{}", own.display()),
    ] {
        let place = Place::of(with(&server.addr(), &name, &name, &parameters))?;
        let opened = place.try_open(0).await;
        assert!(opened.is_ok(), "{parameters}: {:?}", opened.err());
    }
    let begun = Instant::now();
    for (addr, parameters, says) in [
        (server.addr(), "?useSSL=false".to_owned(), "MYSQL_PASSWORD"),
        (server.addr(), "?sslMode=VERIFY_CA".to_owned(), "TLS"),
        (plain.addr(), "?sslMode=REQUIRED".to_owned(), "TLS"),
        (plain.addr(), format!("?sslMode=VERIFY_IDENTITY{ca}"), "TLS"),
    ] {
        let text = refused(&Place::of(with(&addr, &name, &name, &parameters))?).await;
        assert!(text.contains(says), "{parameters}: {text}");
    }
    assert!(begun.elapsed() < Duration::from_secs(25), "it waits for nothing");
    // Where TLS is only preferred, a server without it is used.
    Place::of(with(&plain.addr(), &name, &name, "?useSSL=true"))?.open().await;
    let missing = Place::of(with(&server.addr(), &name, &name, "?sslMode=VERIFY_CA&serverSslCert=/no/such/file"))?;
    let error = missing.try_open(0).await.err().unwrap();
    assert!(matches!(&error, Error::Place(text) if text.contains("/no/such/file")), "{error}");
    Ok(())
}

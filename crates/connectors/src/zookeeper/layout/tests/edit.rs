//! What was edited on its way home.

use super::*;

#[test]
fn edits_on_the_way_are_written() {
    let (name, provider) = exact(&roots(), PROVIDER.0, PROVIDER.1.as_bytes());
    let edited = |edit: fn(&mut Instance)| {
        let mut record = provider.clone();
        edit(&mut record);
        write(&roots(), &service(&name), &record).unwrap()
    };
    let replaced = |from: &str, to: &str| PROVIDER.0.replace(from, to);
    assert_eq!(edited(|one| one.weight = 0.5).path, replaced("weight%3D150", "weight%3D50"));
    assert_eq!(edited(|one| one.weight = 0.5).data, PROVIDER.1.as_bytes(), "the words still hold");
    let off = replaced("%26generic", "%26enabled%3Dfalse%26generic");
    assert_eq!((edited(|one| one.enabled = false).path, edited(|one| one.healthy = false).path), (off.clone(), off));
    assert_eq!(edited(|one| drop(one.metadata.remove("dubbo.tag"))).path, replaced("dubbo.tag%3Dgray%26", ""));
    assert_eq!(edited(|one| one.weight = 1.0).path, PROVIDER.0, "Nacos' default weight says nothing");

    let (name, spring) = exact(&roots(), SPRING.0, SPRING.1.as_bytes());
    let off = write(&roots(), &service(&name), &home(spring.clone()).with(|one| one.enabled = false)).unwrap();
    assert_eq!(
        (off.path.as_str(), String::from_utf8(off.data).unwrap()),
        (SPRING.0, super::spring("UP", "OUT_OF_SERVICE"))
    );
    // The last resort holds only for what it was made of; the name is kept.
    let pretty = SPRING.1.replace(',', ", ");
    let (_, mut record) = exact(&roots(), SPRING.0, pretty.as_bytes());
    record.metadata.insert("zone", "z2");
    let edited = write(&roots(), &service(&name), &record).unwrap();
    assert_eq!(edited.path, SPRING.0);
    assert!(String::from_utf8(edited.data).unwrap().contains(r#""zone":"z2"}},"registrationTimeUTC":0,"#));
    // A renamed service keeps its words.
    let other = write(&roots(), &service("Other"), &spring).unwrap();
    assert_eq!(String::from_utf8(other.data).unwrap(), SPRING.1.replace("Sczk-Provider", "Other"));
    // Broken words are none.
    let payload = Some(Payload { kind: KIND.into(), text: "?".into() });
    assert!(write(&roots(), &service(&name), &spring.with(|one| one.payload = payload)).is_ok());
}

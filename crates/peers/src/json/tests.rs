use super::*;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The same without places.
fn plain(json: &Json) -> Value {
    match &json.value {
        JsonValue::Null => Value::Null,
        JsonValue::Bool(value) => json!(value),
        JsonValue::Number(text) => serde_json::from_str(text).unwrap(),
        JsonValue::Text(text) => json!(text),
        JsonValue::List(items) => items.iter().map(plain).collect(),
        JsonValue::Object(members) => {
            let members = members.iter().map(|member| (member.name.clone(), plain(&member.value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
    }
}

fn slips(text: &str) -> (Value, Vec<(usize, usize)>) {
    let (root, slips) = read(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    (plain(&root), slips.iter().map(|slip| (slip.place.line, slip.place.column)).collect())
}

#[test]
fn slips_that_are_taken() {
    let table = [
        ("[1,]", json!([1]), vec![(1, 3)]),
        ("[1\n 2]", json!([1, 2]), vec![(1, 3)]),
        ("[\"a\" // one\n \"b\", // two\n]", json!(["a", "b"]), vec![(1, 5), (2, 5)]),
        ("{\"a\": 1,}", json!({"a": 1}), vec![(1, 8)]),
        ("{\"a\": {}\n\"b\": []}", json!({"a": {}, "b": []}), vec![(1, 9)]),
        ("[[1] [2]]", json!([[1], [2]]), vec![(1, 5)]),
        // As its own reader takes it.
        ("{\"a\": 1, \"b\": 2, \"a\": [3]}", json!({"a": [3], "b": 2}), vec![(1, 18)]),
    ];
    for (text, value, places) in table {
        assert_eq!(slips(text), (value, places), "{text}");
    }
    assert_eq!(slips("\u{feff}/* a\n b */ {'名': \"it's\"} # end").0, json!({"名": "it's"}));
}

#[test]
fn places() {
    let (root, _) = read("{\n  \"名字\": \"x\", \"b\": [10]\n}").unwrap();
    let name = root.get("名字").unwrap().place;
    assert_eq!((name.line, name.column), (2, 9));
    let list = root.get("b").unwrap();
    assert_eq!((list.place.line, list.place.column, list.place.end - list.place.start), (2, 19, 4));
    assert!(root.get("c").is_none() && list.get("x").is_none());
}

#[test]
fn what_is_refused_and_where() {
    for (text, line, column, says) in [
        ("", 1, 1, "empty"),
        ("// nothing\n", 2, 1, "empty"),
        ("{\"a\": }", 1, 7, "value is missing"),
        ("[1,,2]", 1, 4, "value is missing"),
        ("{\"a\" 1}", 1, 6, "colon"),
        ("{a: 1}", 1, 2, "name is missing"),
        ("[1}", 1, 3, "does not fit"),
        ("[1", 1, 3, "ends in the middle"),
        ("{\"a", 1, 2, "no end"),
        ("[\"a\n\"]", 1, 2, "no end"),
        ("[\"\\x\"]", 1, 3, "no character"),
        ("[\"\\ud800\"]", 1, 3, "no character"),
        ("[01]", 1, 2, "no value"),
        ("[yes]", 1, 2, "no value"),
        ("{} {}", 1, 4, "behind the end"),
        ("/* a", 1, 1, "no end"),
    ] {
        let error = read(text).expect_err(text);
        assert_eq!((error.place.line, error.place.column), (line, column), "{text}: {error:?}");
        assert!(error.message.contains(says) && !error.help.is_empty(), "{text}: {error:?}");
    }
    assert!(read(&"[".repeat(100_000)).unwrap_err().message.contains("levels"));
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        // Two texts of one fraction may differ in their last digit.
        (-1000i32..1000).prop_map(|value| json!(f64::from(value) / 8.0)),
        any::<String>().prop_map(|value| json!(value)),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn json_is_read_as_everybody_reads_it(value in values(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let (root, slips) = read(&text).unwrap();
        prop_assert_eq!(plain(&root), value);
        prop_assert!(slips.is_empty());
        prop_assert_eq!(&text[root.place.start..root.place.end], text.as_str());
    }

    #[test]
    fn nothing_makes_it_panic(text in "[\\[\\]{}:,\"'\\\\/*#\n a1é-]{0,40}") {
        drop(read(&text));
    }

    /// What serde takes is taken, and means the same.
    #[test]
    fn nothing_else_is_taken_for_json(text in "[\\[\\]{}:,\"0-2aetruln .]{0,12}") {
        if let Ok(value) = serde_json::from_str::<Value>(&text)
            && let Ok((root, _)) = read(&text)
        {
            prop_assert_eq!(plain(&root), value);
        }
    }
}

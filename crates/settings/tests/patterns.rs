//! Java's regular expressions.

use std::time::{Duration, Instant};

use causeway_settings::Pattern;
use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn what_matches_and_what_does_not() {
    for (pattern, yes, no) in [
        (".*", vec!["", "a", "公开"], vec![]),
        ("order", vec!["order"], vec!["orders", "my-order", "order\n"]),
        ("a|bc", vec!["a", "bc"], vec!["ac", "abc", "b"]),
        (r"(?!test-).*", vec!["order", "my-test-"], vec!["test-a"]),
        (r"(?=.*prod).*-(?<!x-)a", vec!["prod-a"], vec!["x-a", "prodx-a"]),
        (r"(\w+)-\1", vec!["a-a", "ab-ab"], vec!["a-b"]),
        (r"(?<n>\w+)-\k<n>-\1", vec!["a-a-a"], vec!["a-b-a"]),
        (r"(a)\11", vec!["aa1"], vec!["aa"]),
        (r"\Qa.b(\E+", vec!["a.b(", "a.b(("], vec!["axb("]),
        (r"\Qa.b", vec!["a.b"], vec!["axb"]),
        (r"a*+b", vec!["aab", "b"], vec!["aa"]),
        (r"a*+a", vec![], vec!["aa"]),
        (r"(?>a|ab)c", vec!["ac"], vec!["abc"]),
        (r"a++b?+c{2}+", vec!["aabcc", "acc"], vec!["abc"]),
        (r"\p{Alpha}+\p{Digit}*", vec!["ab1"], vec!["é1", "1"]),
        (r"\P{Alpha}+", vec!["12"], vec!["a"]),
        (r"[\p{Upper}\p{Punct}]+", vec!["A.B"], vec!["a"]),
        (r"\p{IsHan}+|\p{L}\p{Lu}", vec!["公开", "éÉ"], vec!["1"]),
        (r"\d\w\s", vec!["1a "], vec!["٣a ", "1é "]),
        (r"[\d\-]+\D", vec!["1-2x"], vec!["1-2"]),
        (r"[^\d]+", vec!["ab"], vec!["a1"]),
        (r"[\w&&[^_]]+", vec!["a1"], vec!["a_"]),
        (r"[a[0-3]]+", vec!["a0"], vec!["4"]),
        (r"[a-c&&b-d]", vec!["b"], vec!["a", "d"]),
        (r"[--/]", vec!["-", ".", "/"], vec!["0"]),
        (r"a{2}b{1,}c{0,1}?\{", vec!["aab{", "aabbc{"], vec!["ab{"]),
        (r"[+--]", vec!["+", ",", "-"], vec!["."]),
        (r"(?i)Order-(?-i:X)", vec!["ORDER-X"], vec!["order-x"]),
        ("(?x) a b # c\n \\  c", vec!["ab c"], vec!["a b c"]),
        (r"(?ix:A B)c", vec!["abc"], vec!["abC"]),
        (r"\x41\u0042\x{43}\0104\cA", vec!["ABCD\u{1}"], vec!["A"]),
        (r"\<a\>\/\#\@", vec!["<a>/#@"], vec!["a"]),
        (r"\h\R", vec![" \r\n", "\t\n"], vec!["a\n"]),
        (r"^a$", vec!["a"], vec!["b"]),
        (r"\Aa\z", vec!["a"], vec!["ab"]),
        (r"com\.example\.(?:order|pay)\..*", vec!["com.example.pay.Api"], vec!["com.example.log.Api"]),
        (r"providers:.*:\d+\.\d+\.\d+:.*", vec!["providers:a.B:1.0.0:"], vec!["consumers:a.B:1.0.0:"]),
        ("(?d)(?u)a", vec!["a"], vec!["b"]),
        (r"(?:a(?i)b)c", vec!["aBc"], vec!["aBC"]),
    ] {
        let compiled = Pattern::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        for text in yes {
            assert_eq!(compiled.matches(text), Ok(true), "{pattern} on {text:?}");
        }
        for text in no {
            assert_eq!(compiled.matches(text), Ok(false), "{pattern} on {text:?}");
        }
    }
}

#[test]
fn what_is_no_pattern() {
    for (pattern, message, at) in [
        ("(a", "a `(` has no closing `)`", None),
        ("a)", "a `)` has no opening `(`", Some(1)),
        ("[a", "a `[` has no closing `]`", Some(0)),
        ("*a", "nothing before it to repeat", Some(0)),
        (r"a\", "with nothing behind it", Some(1)),
        (r"ab\y", r"`\y` is not supported", Some(2)),
        (r"\K", r"`\K` is not supported", Some(0)),
        (r"\1(a)", "there is no group 1 before this", Some(0)),
        (r"\k<n>", "there is no group `n`", Some(0)),
        ("(?<n>a)(?<n>b)", "two groups have the name `n`", Some(7)),
        ("(?<1>a)", "begins with a letter", Some(0)),
        (r"(?<=a*)b", "look-behind", None),
        ("(?U)a", "flag `U`", Some(0)),
        ("(?P<n>a)", "Java does not have", Some(0)),
        ("(?(1)a)", "Java does not have", Some(0)),
        (r"\p{InGreek}", "use a script", Some(0)),
        (r"\p{Nope}", "property not found", None),
        (r"\xZZ", "does not name a character", Some(0)),
        ("a{2}{3}", "nothing before it to repeat", Some(4)),
        ("a**", "nothing before it", Some(2)),
        ("a{x}", "a repetition `{…}` is wrong", Some(1)),
        ("(?:(?:a{1000}){1000}){1000}", "too large", None),
    ] {
        let error = Pattern::new(pattern).map(|_| ()).expect_err(pattern);
        assert!(error.message.contains(message), "{pattern}: {error}");
        assert_eq!(error.at, at, "{pattern}: {error}");
    }
    assert!(Pattern::new(&"a".repeat(5000)).is_err());
}

#[test]
fn a_pattern_that_explodes_is_an_error_and_not_a_hang() {
    let began = Instant::now();
    let pattern = Pattern::new(r"(?!x)(a+)+\1b").unwrap();
    let error = pattern.matches(&"a".repeat(200)).unwrap_err();
    assert!(error.message.contains("too many steps"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(!error.message.contains("aaa"));
    // Repetitions of repetitions are not written out a billion times.
    let _refused_or_not = Pattern::new("(?:(?:(?:(?!x)a){1000}){1000}){1000}").map(|p| p.matches("aaaa"));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn the_fixed_beginning() {
    for (pattern, prefix) in [
        ("", ""),
        (".*", ""),
        ("/config", "/config"),
        ("/config/.*", "/config/"),
        ("/config/app.*", "/config/app"),
        (r"com\.example\..*", "com.example."),
        (r"\Q/a.b/\E.*", "/a.b/"),
        (r"\Q/a(b|c", "/a(b|c"),
        (r"/a\Q|\E/b[0-9]+", "/a|/b"),
        ("/公开/.*", "/公开/"),
        (r"\/a\-b\é", "/a-bé"),
        ("^/a/.*$", "/a/"),
        ("(?s)/a/.*", "/a/"),
        ("/a(?m)/b", "/a/b"),
        // What may be absent, or repeated.
        ("/ab?", "/a"),
        ("/ab*c", "/a"),
        ("/ab+c", "/ab"),
        ("/ab{0,2}", "/a"),
        ("/ab{2}", "/a"),
        (r"/a\.?b", "/a"),
        (r"/a\Qbc\E?", "/ab"),
        (r"/ab\E*", "/a"),
        (r"/ab\Q\E*", "/a"),
        ("/公?", "/"),
        ("a?+b", ""),
        // A choice.
        ("a|b", ""),
        ("/a/b|/a/c", ""),
        ("/a/|", ""),
        ("/a/(b|c)/.*", "/a/"),
        ("/a/(?:b|c)|x", ""),
        ("(/a/.*)", ""),
        ("/a/[|)]b", "/a/"),
        ("/a/[(]|b", ""),
        ("/a/[](]|b", ""),
        ("/a/[^](]|b", ""),
        ("/a/[b[(]]|b", ""),
        (r"/a/\c(|b", ""),
        (r"/a/\((|b", ""),
        (r"/a/\Q(\E|b", ""),
        (r"/a/[\Q](\E]|b", ""),
        (r"/a/\\(b|c)", r"/a/\"),
        (r"/a/\\|b", ""),
        // What only looks like text.
        (r"/a/\d", "/a/"),
        (r"/a/\x41", "/a/"),
        (r"/a/\tb", "/a/"),
        (r"\Qa\E\1", ""),
        ("(?i)/a/", ""),
        ("/a/(?i)b", ""),
        ("/a/(?i:b)", ""),
        ("(?x) /a # |", ""),
        ("(?-i)/a", ""),
        ("(?!/a/).*", ""),
        ("/a/(?!x|y).*", "/a/"),
        ("/a/(?=x|y).*", "/a/"),
        ("/a/(?<n>x|y).*", "/a/"),
        ("/a/(?<!x|y)z", "/a/"),
        ("/a/(?>x|y)z", "/a/"),
        ("/a/]}", "/a/"),
    ] {
        match Pattern::new(pattern) {
            Ok(pattern) => assert_eq!(pattern.literal_prefix(), prefix, "{pattern}"),
            Err(error) => assert!([r"/a/\((|b", r"\Qa\E\1"].contains(&pattern), "{pattern}: {error}"),
        }
    }
}

/// A pattern of pieces in which text, choices and escapes meet, and a text that may match it.
fn pieces() -> impl Strategy<Value = (String, String)> {
    let piece = prop::sample::select(vec![
        "a", "b", "/", "\\.", "\\Qa|\\E", "\\Q", "\\E", "\\c(", "\\\\", "(", "(?:", "(?=", "(?!", ")", "|", "[ab]",
        "[^/]", "[](]", "[a[b]]", "*", "+", "?", "{0,1}", "{1,2}", "*+", "*?", ".", ".*", "^", "(?i)", "(?s)", "(?x)",
        "(?-s)", "#", " ", "\\x61", "\\u0062", "\\w", "\\1", "é",
    ]);
    let text = prop::sample::select(vec!["a", "b", "/", ".", "|", "A", "B", "h", "é", "\\", "(", "#", " ", "]"]);
    let join = |parts: Vec<&'static str>| parts.concat();
    (vec(piece, 0..8).prop_map(join), vec(text, 0..5).prop_map(join))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, ..ProptestConfig::default() })]

    #[test]
    fn every_match_begins_with_it((pattern, text) in pieces()) {
        let Ok(pattern) = Pattern::new(&pattern) else { return Ok(()) };
        let prefix = pattern.literal_prefix();
        // Texts that are likely to match, and the prefix itself.
        for text in [text.clone(), format!("a{text}"), format!("/{text}"), format!("{prefix}{text}"), prefix.chars().skip(1).collect()] {
            if pattern.matches(&text) == Ok(true) {
                prop_assert!(text.starts_with(&prefix), "{} matches {:?}, which does not begin with {:?}", pattern, text, prefix);
            }
        }
    }
}

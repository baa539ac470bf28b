//! «Did you mean».

/// The candidate that `word` was most likely meant to be; none when no one is near.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let distance = strsim::damerau_levenshtein(&word, &lower);
            let longest = word.chars().count().max(lower.chars().count());
            let near = distance <= 1.max(longest / 3) && distance < longest;
            // A beginning or an abbreviation is further away, yet meant: `cluster` for `clusterName`.
            let alike = strsim::jaro_winkler(&word, &lower) >= 0.88 && word.len() > 2;
            (near || alike).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `a`, `b` or `c`.
pub(crate) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        None => "nothing".into(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_of_the_keys() {
        let keys = ["clusterName", "clusterType", "connectKeyList", "namespace"];
        assert_eq!(nearest("clustername", keys), Some("clusterName"));
        assert_eq!(nearest("conectKeyList", keys), Some("connectKeyList"));
        assert_eq!(nearest("namespaces", keys), Some("namespace"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(one_of(&["a"]), "`a`");
        assert_eq!(one_of(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}

//! Templates of new names: `{namespace}`, `{group}` and `{service}` stand for the names at the source.

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    /// Text that stays as it is.
    Text(String),
    /// The name at the source: `namespace`, `group` or `service`.
    Name(String),
}

/// Takes a template apart; `{{` and `}}` are the single characters. `Err` says what is wrong.
pub fn template_parts(template: &str) -> Result<Vec<TemplatePart>, String> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            text.push_str(brace);
            rest = after;
            continue;
        }
        let Some((name, after)) = rest.split_once('}').filter(|_| brace == "{") else {
            return Err(format!("a `{brace}` stands alone"));
        };
        if !["namespace", "group", "service"].contains(&name) {
            return Err(format!("`{{{name}}}` is not a name that is known here"));
        }
        if !text.is_empty() {
            parts.push(TemplatePart::Text(std::mem::take(&mut text)));
        }
        parts.push(TemplatePart::Name(name.to_owned()));
        rest = after;
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(TemplatePart::Text(text));
    }
    Ok(parts)
}

/// Checks the template of `key`. `Err`: what is wrong, and how to put it right.
pub(crate) fn check_template(template: &str, key: &str, two_way: bool) -> Result<(), (String, String)> {
    let write = format!("write `{{namespace}}`, `{{group}}` or `{{service}}`, such as `x-{{{key}}}`; `{{{{` is a `{{`");
    let parts = template_parts(template).map_err(|message| (message, write))?;
    if parts.is_empty() {
        return Err(("the template is empty".into(), "take the key out to keep the names".into()));
    }
    let names: Vec<&str> = parts
        .iter()
        .filter_map(|part| match part {
            TemplatePart::Name(name) => Some(name.as_str()),
            TemplatePart::Text(_) => None,
        })
        .collect();
    if two_way && names != [key] {
        let message =
            "the task goes both ways, and from this template the name at the source cannot be told".to_owned();
        return Err((
            message,
            format!("use `{{{key}}}` once and nothing else, as in `x-{{{key}}}`, or make the task Unidirectional"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let text = |t: &str| TemplatePart::Text(t.into());
        let name = |t: &str| TemplatePart::Name(t.into());
        assert_eq!(
            template_parts("a-{service}.{group}").unwrap(),
            [text("a-"), name("service"), text("."), name("group")]
        );
        assert_eq!(template_parts("{{x}}").unwrap(), [text("{x}")]);
        for wrong in ["{x}", "{service", "a}b", "{"] {
            assert!(template_parts(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn two_ways_need_a_way_back() {
        assert!(check_template("x-{service}", "service", true).is_ok());
        assert!(check_template("{group}-{service}", "service", true).is_err());
        assert!(check_template("{group}-{service}", "service", false).is_ok());
        assert!(check_template("fixed", "service", true).is_err());
    }
}

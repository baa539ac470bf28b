//! What the code in an answer's body means. Its first three digits are the HTTP status.

use causeway_core::Error;
use std::time::Duration;

/// Nothing has changed since the revision that the request gave: what is known stays.
pub(in crate::polaris) const SAME: u32 = 200_001;
/// There is already what was to be made.
pub(in crate::polaris) const EXISTS: u32 = 400_201;
/// What was asked for is not there, or not in the server's cache yet.
pub(in crate::polaris) const NOT_FOUND: u32 = 400_202;
/// Two requests for one instance at the same moment.
const TWICE: u32 = 400_208;
/// A service, an instance and a namespace that are not there.
const NO_SERVICE: u32 = 400_301;
const NO_NAMESPACE: u32 = 400_305;
/// The server serves no clients, or not this call.
const NOT_OPEN: u32 = 400_401;
/// Too many calls of one kind: the only one of its row that is no refusal.
const RATE: u32 = 403_003;
/// The wait that a server that has too much to do is given.
const WAIT: Duration = Duration::from_secs(1);

/// Why an answer is none. `None`: it is one. `words` is what the server says beside the code.
pub(in crate::polaris) fn refusal(code: u32, words: &str) -> Option<Error> {
    let text = || format!("{code} {}", if words.is_empty() { "(no reason given)" } else { words });
    Some(match (code, code / 1_000) {
        (_, 200) => return None,
        (RATE, _) | (_, 429) => Error::Throttled(WAIT),
        (EXISTS | TWICE, _) | (_, 409) => Error::Conflict,
        (NOT_FOUND | NO_SERVICE..=NO_NAMESPACE, _) | (_, 404) => Error::Missing(text()),
        (NOT_OPEN, _) | (_, 401 | 403) => Error::Denied(denied(code, &text())),
        (_, 400) => Error::Rejected(text()),
        (_, 500..=599) => Error::unavailable(text()),
        _ => Error::protocol(format!("an answer with the code {}", text())),
    })
}

/// Whether the service, or its namespace, is missing: it may have been removed since it was made.
pub(in crate::polaris) fn lacks_service(code: u32) -> bool {
    matches!(code, NOT_FOUND | NO_SERVICE | NO_NAMESPACE)
}

fn denied(code: u32, text: &str) -> String {
    let help = match code {
        NOT_OPEN => "the server is not open for this call",
        401_002 | 401_004 => {
            "the server does not know the `token` of the cluster: copy it from the console's user page"
        }
        401_003 => "the user's token is disabled in the console: enable it, or give another one",
        _ => {
            "the cluster has no `token`, or one that is not this server's: copy it from the console's user page; or its user \
             has no right to this: grant it in the console's policies"
        }
    };
    format!("{text}; {help}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_by_what_to_do() {
        let name = |code| match refusal(code, "why") {
            None => "fine",
            Some(Error::Unavailable(_)) => "unavailable",
            Some(Error::Throttled(_)) => "throttled",
            Some(Error::Conflict) => "conflict",
            Some(Error::Denied(_)) => "denied",
            Some(Error::Missing(_)) => "missing",
            Some(Error::Rejected(_)) => "rejected",
            Some(Error::Blocked(_)) => "blocked",
            Some(Error::Protocol(_)) => "protocol",
        };
        for (codes, meaning) in [
            (&[200_000, 200_001, 200_002][..], "fine"),
            (&[400_000, 400_001, 400_003, 400_110, 400_120, 400_131, 400_150, 400_204], "rejected"),
            (&[400_201, 400_208, 409_000], "conflict"),
            (&[400_202, 400_301, 400_303, 400_305, 404_001], "missing"),
            (&[400_401, 401_000, 401_001, 401_002, 401_003, 401_004, 403_001, 403_002], "denied"),
            (&[403_003, 429_001, 429_002], "throttled"),
            (&[500_000, 500_001, 500_007, 500_008, 503_000], "unavailable"),
            (&[0, 1, 300_000, 601_000], "protocol"),
        ] {
            for code in codes {
                assert_eq!(name(*code), meaning, "{code}");
            }
        }
        let Some(Error::Rejected(text)) = refusal(400_150, "invalid metadata") else { panic!() };
        assert_eq!(text, "400150 invalid metadata");
    }
}

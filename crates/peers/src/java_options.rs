//! The options that MSE Sync's deployments hand to their Java machine. One of them is about synchronization; the others have no meaning here.

/// The variables that hold them.
const VARIABLES: [&str; 2] = ["JAVA_OPT", "JAVA_OPTS"];
/// How often its nodes look for tasks of a node that is gone; its pages spell it in both ways.
const INTERVAL: [&str; 2] = ["msesync.daemon.refresh.interval", "msesync.deamon.refresh.interval"];
/// The least that its pages advise, in seconds.
const ADVISED: u64 = 10;

/// What the options say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JavaOptions {
    /// How often nodes are to look after each other, in seconds. A long interval never delays a take-over here.
    pub refresh_interval: Option<u64>,
    /// What is to be said of them, in words. Options may hold secrets: only the names of properties are told, and no values.
    pub notes: Vec<String>,
}

/// Reads [`VARIABLES`]; `variable` returns the value of one variable.
pub fn java_options(variable: &dyn Fn(&str) -> Option<String>) -> JavaOptions {
    let mut found = JavaOptions::default();
    for name in VARIABLES {
        let text = variable(name).unwrap_or_default();
        let mut others = Vec::new();
        for option in text.split_whitespace().map(|option| option.trim_matches(['"', '\''])) {
            let property = option.strip_prefix("-D").map(|property| property.split_once('=').unwrap_or((property, "")));
            match property {
                Some((key, value)) if INTERVAL.contains(&key) => found.interval(name, key, value),
                Some((key, _)) => others.push(format!("-D{key}")),
                None if option.starts_with("-XX:") => {
                    others.push(option.split('=').next().unwrap_or_default().to_owned())
                }
                None => others.push(option.split(['=', ':']).next().unwrap_or_default().to_owned()),
            }
        }
        if !others.is_empty() {
            found.notes.push(format!("{name}: these have no effect here: {}", others.join(", ")));
        }
    }
    found
}

impl JavaOptions {
    fn interval(&mut self, variable: &str, key: &str, value: &str) {
        let Ok(seconds) = value.trim_matches(['"', '\'']).parse::<u64>() else {
            self.notes.push(format!("{variable}: {key} is no number of seconds; it has no effect"));
            return;
        };
        self.refresh_interval = Some(seconds);
        let note = match seconds {
            0..ADVISED => {
                format!("{seconds} s is less than the {ADVISED} s that MSE Sync advises; it has no effect here")
            }
            _ => format!("it has no effect: nothing here waits {seconds} s"),
        };
        self.notes.push(format!("{variable}: {key}: {note}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> JavaOptions {
        java_options(&|name| (name == "JAVA_OPT").then(|| text.to_owned()))
    }

    #[test]
    fn the_interval_is_understood_in_both_spellings() {
        for (text, seconds, says) in [
            ("-Dmsesync.daemon.refresh.interval=60", Some(60), "nothing here waits 60 s"),
            ("-Xmx2g  '-Dmsesync.deamon.refresh.interval=30'", Some(30), "nothing here waits 30 s"),
            ("-Dmsesync.daemon.refresh.interval=5", Some(5), "less than the 10 s"),
            ("-Dmsesync.daemon.refresh.interval=soon", None, "no number of seconds"),
        ] {
            let found = read(text);
            assert_eq!(found.refresh_interval, seconds, "{text}");
            assert!(found.notes[0].contains(says), "{:?}", found.notes);
        }
    }

    #[test]
    fn other_options_are_named_without_their_values() {
        let found =
            read("-server -Xms2g -XX:MaxDirectMemorySize=1g -Ddb.password=hidden -javaagent:/opt/agent.jar=key");
        assert_eq!(
            found.notes,
            [
                "JAVA_OPT: these have no effect here: -server, -Xms2g, -XX:MaxDirectMemorySize, -Ddb.password, -javaagent"
            ]
        );
        assert_eq!(read(""), JavaOptions::default());
    }
}

//! Which database the environment names.

use secrecy::SecretString;

use super::MySqlSettings;
use crate::Error;

/// MSE Sync's words for its database: where it is, and as whom it is used.
pub const MYSQL_VARIABLES: [&str; 3] = ["MYSQL_URL", "MYSQL_USER_NAME", "MYSQL_PASSWORD"];
/// The password that was used before.
pub(crate) const PASSWORD_BEFORE: &str = "CAUSEWAY_MYSQL_PASSWORD_BEFORE";

/// Where a node keeps everything.
#[derive(Clone, Debug, Default)]
pub enum Database {
    /// In an SQLite file in its data folder.
    #[default]
    File,
    /// In a database that it shares with other nodes.
    MySql(Box<MySqlSettings>),
}

/// What the environment says, and what is to be said of it.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The database to use.
    pub database: Database,
    /// What is probably not as it was meant.
    pub warnings: Vec<String>,
    /// What has no effect.
    pub notes: Vec<String>,
}

impl Environment {
    /// With all of [`MYSQL_VARIABLES`] set and not empty: that database; else the file, with a warning when only some are set. `variable`
    /// returns the value of one variable.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let given = MYSQL_VARIABLES.map(|name| variable(name).filter(|value| !value.trim().is_empty()));
        let missing: Vec<&str> =
            MYSQL_VARIABLES.iter().zip(&given).filter(|(_, value)| value.is_none()).map(|(name, _)| *name).collect();
        let mut found = Self::default();
        let [Some(url), Some(user), Some(password)] = given else {
            if missing.len() < MYSQL_VARIABLES.len() {
                found.warnings.push(format!(
                    "{} not set: the settings are kept in a file of this node's data folder, and not in the database that the others \
                     of {} name",
                    match missing.len() {
                        1 => format!("{} is", missing[0]),
                        _ => format!("{} are", missing.join(" and ")),
                    },
                    MYSQL_VARIABLES.join(", ")
                ));
            }
            return Ok(found);
        };
        let before = variable(PASSWORD_BEFORE).filter(|value| !value.is_empty()).map(SecretString::from);
        let settings = MySqlSettings::parse(&url, user.trim(), password.into())?.with_password_before(before);
        found.warnings.extend(settings.warnings.iter().cloned());
        found.notes.extend(settings.notes.iter().cloned());
        found.database = Database::MySql(Box::new(settings));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: [&str; 3]) -> Result<Environment, Error> {
        Environment::read(&|name| {
            let n = MYSQL_VARIABLES.iter().position(|known| *known == name)?;
            Some(values[n].to_owned()).filter(|value| value != "-")
        })
    }

    #[test]
    fn only_all_three_variables_mean_mysql() {
        let url = "jdbc:mysql://db/sync";
        let found = read([url, "root", "secret"]).unwrap();
        assert!(matches!(&found.database, Database::MySql(settings) if settings.servers() == "db:3306"));
        assert!(found.warnings.is_empty());
        assert!(!format!("{found:?}").contains("secret"));
        for (values, says) in [
            ([url, "root", ""], "MYSQL_PASSWORD is not set"),
            ([url, " ", "secret"], "MYSQL_USER_NAME is not set"),
            (["-", "root", "secret"], "MYSQL_URL is not set"),
            ([url, "", "-"], "MYSQL_USER_NAME and MYSQL_PASSWORD are not set"),
            (["", "", "secret"], "MYSQL_URL and MYSQL_USER_NAME are not set"),
        ] {
            let found = read(values).unwrap();
            assert!(matches!(found.database, Database::File));
            assert!(found.warnings[0].contains(says) && !found.warnings[0].contains("secret"), "{:?}", found.warnings);
        }
        let none = read(["-", "", "-"]).unwrap();
        assert!(matches!(none.database, Database::File) && none.warnings.is_empty());
    }

    #[test]
    fn what_is_no_url_is_an_error() {
        let error = read(["db:3306/sync", "root", "secret"]).unwrap_err().to_string();
        assert!(error.contains("MYSQL_URL") && error.contains("jdbc:mysql://"), "{error}");
    }
}

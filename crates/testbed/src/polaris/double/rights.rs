//! Who may do what.

use std::collections::{BTreeMap, BTreeSet};

use super::codes::AnswerCode;

/// What the holder of a token may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    All,
    /// In these namespaces only; the others are in no list.
    Only(BTreeSet<String>),
}

/// The tokens that there are.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// `None`: nobody needs one.
    pub admin: Option<String>,
    /// Whether what clients call needs one, too; by default only the console's calls do.
    pub clients: bool,
    pub users: BTreeMap<String, BTreeSet<String>>,
    /// Those that were reset.
    pub former: BTreeSet<String>,
    pub disabled: BTreeSet<String>,
}

/// Why somebody is turned away.
pub type Denial = (AnswerCode, &'static str);

impl Rights {
    pub fn sees(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(namespaces) => namespaces.contains(namespace),
        }
    }

    /// Whether something may be done in all of these namespaces.
    pub fn cover<'a>(&self, namespaces: impl IntoIterator<Item = Option<&'a str>>) -> Result<(), Denial> {
        let all = namespaces.into_iter().all(|name| self.sees(name.unwrap_or_default()));
        if all { Ok(()) } else { Err((AnswerCode::NOT_ALLOWED, "no permission")) }
    }
}

impl Tokens {
    /// For a call of the console.
    pub fn console(&self, token: Option<&str>) -> Result<Rights, Denial> {
        let Some(admin) = &self.admin else { return Ok(Rights::All) };
        let token = token.unwrap_or_default();
        if self.disabled.contains(token) {
            return Err((AnswerCode::TOKEN_DISABLED, "token already disabled"));
        }
        if token == admin {
            return Ok(Rights::All);
        }
        if let Some(namespaces) = self.users.get(token) {
            return Ok(Rights::Only(namespaces.clone()));
        }
        match self.former.contains(token) {
            true => Err((AnswerCode::NO_TOKEN, "token not exist")),
            false => Err((AnswerCode::NOT_ALLOWED, "invalid token")),
        }
    }

    /// For a call of a client.
    pub fn client(&self, token: Option<&str>) -> Result<Rights, Denial> {
        if self.clients { self.console(token) } else { Ok(Rights::All) }
    }

    /// Another token for the administrator; the old one is none from now on.
    pub fn reset(&mut self, token: &str) {
        self.former.extend(self.admin.replace(token.to_owned()));
        self.former.remove(token);
    }
}

//! Makes znodes with their data and access lists.

use super::access;
use super::client::{Acl, Op, Session, WireError};
use super::layout;
use super::publications::Published;
use super::settings::AclChoice;
use super::writes::Writes;
use causeway_core::Instance;

/// The permission to read.
const READ: i32 = 1;

/// The access list of what we make, as the settings choose it.
pub(super) fn acl(choice: AclChoice) -> Vec<Acl> {
    match choice {
        AclChoice::Open | AclChoice::Copy => vec![Acl::open()],
        AclChoice::Creator => vec![Acl::creator(), Acl::new(READ, "world", "anyone")],
    }
}

impl Writes {
    /// The access list of a record's znode. Errors: why there is none.
    pub fn acl_of(&self, record: &Instance) -> Result<Vec<Acl>, String> {
        let own = layout::access(record).filter(|_| self.acl == AclChoice::Copy);
        match own.as_deref() {
            None => Ok(acl(self.acl)),
            Some("") => Err("its access list may not be read, and is to be copied".to_owned()),
            Some(text) => access::read(text),
        }
    }

    /// [`Writes::acl_of`] of a record that [`Writes::node`] has accepted.
    pub fn checked_acl(&self, record: &Instance) -> Vec<Acl> {
        self.acl_of(record).unwrap_or_else(|_| vec![Acl::creator()])
    }

    /// Makes the znode, and the folders above it that are missing.
    pub async fn create(&self, session: &Session, path: &str, one: &Published) -> Result<(), WireError> {
        let own = self.checked_acl(&one.record);
        session.create_all(path, one.body(), one.how(&own), &acl(self.acl)).await.map(drop)
    }

    /// Makes the znode in place of this version of what stands there: one step, so that nobody sees a gap.
    pub async fn create_over(
        &self,
        session: &Session,
        path: &str,
        one: &Published,
        version: i32,
    ) -> Result<(), WireError> {
        let own = self.checked_acl(&one.record);
        session.multi(&[Op::Delete(path, Some(version)), Op::Create(path, one.body(), one.how(&own))]).await
    }

    /// Writes the data over this version of them, where there is one, and the access list where it is copied and differs.
    pub async fn make_equal(
        &self,
        session: &Session,
        path: &str,
        wanted: &Published,
        over: Option<i32>,
    ) -> Result<(), WireError> {
        if over.is_some() {
            session.set(path, wanted.body(), over).await?;
        }
        if self.acl == AclChoice::Copy {
            let (list, wanted) = (session.acl(path).await?.0, self.checked_acl(&wanted.record));
            if access::text(&list) != access::text(&wanted) {
                session.set_acl(path, &wanted, None).await?;
            }
        }
        Ok(())
    }
}

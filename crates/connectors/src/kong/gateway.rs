//! One Kong: how it is read, and what all who use it share.

use super::client::{Client, RouteRow, ServiceRow, TargetRow, UpstreamRow};
use super::convert::our_tag;
use super::declarative::Declarative;
use super::names::given_scope;
use super::settings::{KongMode, KongOptions};
use super::view::View;
use causeway_core::{Error, KeptError, Selector, ServiceKey, Set};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{OnceCell, RwLock};

/// Upstreams whose targets are read at the same time.
const AT_ONCE: usize = 8;
/// Each upstream is read again within so many looks…
const ROUND: usize = 60;
/// …and at least so many at each.
const EACH: usize = 8;

/// One Kong.
pub(super) struct Gateway {
    pub client: Client,
    pub options: KongOptions,
    pub install: Arc<str>,
    pub view: View,
    /// Only for a look: nothing is put right.
    pub looks: bool,
    /// Writers share it; who puts things right has it alone.
    pub gate: RwLock<()>,
    mode: OnceCell<KongMode>,
    /// The routes of ours, by name, as they were last listed or written.
    pub known_routes: Mutex<BTreeMap<String, RouteRow>>,
    /// Where there is no database.
    pub declarative: Declarative,
}

/// An upstream and its targets.
type Read = (ServiceKey, UpstreamRow, Vec<TargetRow>);

impl Gateway {
    pub fn new(client: Client, options: KongOptions, install: Arc<str>, looks: bool) -> Self {
        let view = View::new(install.clone());
        let declarative = Declarative::new(&options);
        let (gate, mode, known_routes) = (RwLock::default(), OnceCell::new(), Mutex::default());
        Self { client, options, install, view, looks, gate, mode, known_routes, declarative }
    }

    /// How this Kong keeps its configuration.
    pub async fn mode(&self) -> Result<KongMode, Error> {
        let ask = || async {
            match (self.options.mode, &self.options.file) {
                (Some(mode), _) => Ok(mode),
                (None, Some(_)) => Ok(KongMode::Dbless),
                (None, None) => match self.client.has_no_database().await? {
                    true => Ok(KongMode::Dbless),
                    false => Ok(KongMode::Database),
                },
            }
        };
        self.mode.get_or_try_init(ask).await.copied()
    }

    /// Whether Kong can be read at all.
    pub async fn check(&self) -> Result<(), Error> {
        match self.declarative.file() {
            Some(file) => file.load().await.map(drop),
            None => self.client.check().await,
        }
    }

    /// All upstreams.
    pub async fn upstreams(&self) -> Result<Vec<UpstreamRow>, Error> {
        match self.declarative.file() {
            Some(file) => Ok(file.load().await?.upstreams()),
            None => self.client.list("/upstreams", None).await,
        }
    }

    /// All services.
    pub async fn services(&self) -> Result<Vec<ServiceRow>, Error> {
        match self.declarative.file() {
            Some(file) => Ok(file.load().await?.services()),
            None => self.client.list("/services", None).await,
        }
    }

    /// The routes that are ours. Without a database Kong fails to list those with a tag as soon as any has none.
    pub async fn routes(&self) -> Result<Vec<RouteRow>, Error> {
        let all = match self.declarative.file() {
            Some(file) => file.load().await?.routes(),
            None if self.mode().await? == KongMode::Dbless => self.client.list("/routes", None).await?,
            None => return self.client.list("/routes", Some(&our_tag(&self.install))).await,
        };
        Ok(all.into_iter().filter(|route| self.view.is_own(&route.tags)).collect())
    }

    /// The targets of an upstream; `None`: it is gone.
    async fn targets(&self, row: &UpstreamRow) -> Result<Option<Vec<TargetRow>>, Error> {
        if let Some(file) = self.declarative.file() {
            return Ok(file.load().await?.targets(&row.name));
        }
        match self.client.list(&format!("/upstreams/{}/targets", row.id), None).await {
            Ok(targets) => Ok(Some(targets)),
            Err(Error::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn read(&self, rows: Vec<(ServiceKey, UpstreamRow)>) -> Result<Vec<Read>, Error> {
        let one = |(scope, row): (ServiceKey, UpstreamRow)| async move {
            Ok::<_, Error>(self.targets(&row).await?.map(|targets| (scope, row, targets)))
        };
        let read = stream::iter(rows).map(one).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// Reads everything that is ours.
    pub async fn look(&self) -> Result<(), Error> {
        let turn = self.view.turn();
        let rows = self.upstreams().await?;
        self.view.put_services(self.services().await?);
        self.view.list(&rows, turn);
        let (ours, others): (Vec<_>, Vec<_>) =
            rows.into_iter().map(|row| (self.view.scope_of(&row), row)).partition(|(scope, _)| scope.is_some());
        let ours = ours.into_iter().filter_map(|(scope, row)| Some((scope?, row))).collect();
        let read = self.read(ours).await?;
        let known = read.iter().flat_map(|(.., targets)| targets.iter().map(|target| target.id.clone())).collect();
        for (scope, row, targets) in read {
            self.view.take(&scope, row, targets, turn);
        }
        self.find_strays(others.into_iter().map(|(_, row)| row).collect(), known, turn).await
    }

    /// Finds targets of ours in upstreams of others, where the ledger does not say that there are any. Kong tells that there are,
    /// and not where; without a database it does not tell that either, for it fails to list what carries a tag as soon as
    /// anything carries none.
    async fn find_strays(&self, others: Vec<UpstreamRow>, known: BTreeSet<String>, turn: u64) -> Result<(), Error> {
        if others.is_empty() || self.declarative.file().is_some() {
            return Ok(());
        }
        if self.mode().await? == KongMode::Dbless {
            let others = others.into_iter().map(|row| (given_scope(&row.name), row)).collect();
            for (scope, row, targets) in self.read(others).await? {
                if targets.iter().any(|target| self.view.is_own(&target.tags)) {
                    self.view.follow(&row.name);
                    self.view.take(&scope, row, targets, turn);
                }
            }
            return Ok(());
        }
        let tagged = match self.client.tagged_targets(&our_tag(&self.install)).await {
            Err(Error::Missing(_)) => Vec::new(),
            tagged => tagged?,
        };
        let mut strays: BTreeSet<_> = tagged.into_iter().filter(|id| !known.contains(id)).collect();
        for row in others {
            if strays.is_empty() {
                break;
            }
            let Some(targets) = self.targets(&row).await? else { continue };
            let before = strays.len();
            strays.retain(|id| !targets.iter().any(|target| target.id == *id));
            if strays.len() < before {
                self.view.follow(&row.name);
                self.view.take(&given_scope(&row.name), row, targets, turn);
            }
        }
        Ok(())
    }

    /// Lists all upstreams, and reads some of ours again, round and round: after `last`, which is moved on. Each comes within
    /// [`ROUND`] calls.
    pub async fn look_on(&self, last: &mut Option<String>) -> Result<(), Error> {
        let turn = self.view.turn();
        let rows = self.upstreams().await?;
        let mut due = self.view.list(&rows, turn);
        let portion = EACH.max(self.view.len().div_ceil(ROUND));
        let next = self.view.after(last.as_deref(), portion);
        if let Some((_, row)) = next.last() {
            *last = Some(row.name.clone());
        }
        due.extend(next);
        for (scope, row, targets) in self.read(due).await? {
            self.view.take(&scope, row, targets, turn);
        }
        Ok(())
    }

    /// The sets that are selected, as they stand now.
    pub async fn sets(&self, select: &Selector) -> Result<Vec<Set>, Error> {
        let turn = self.view.turn();
        let rows = self.upstreams().await?;
        self.view.list(&rows, turn);
        let selected = |row: UpstreamRow| {
            let scope = self.view.scope_of(&row)?;
            select.scope(&scope).then_some((scope, row))
        };
        let read = self.read(rows.into_iter().filter_map(selected).collect()).await?;
        let scopes: BTreeSet<_> = read.iter().map(|(scope, ..)| scope.clone()).collect();
        for (scope, row, targets) in read {
            self.view.take(&scope, row, targets, turn);
        }
        let known: BTreeMap<_, _> = self.view.sets();
        Ok(scopes.iter().filter_map(|scope| known.get(scope)).map(|set| (**set).clone()).collect())
    }

    /// How many upstreams are ours.
    pub async fn count(&self) -> Result<usize, Error> {
        Ok(self.upstreams().await?.iter().filter(|row| self.view.scope_of(row).is_some()).count())
    }
}

/// The same error once more.
pub(super) fn again(error: &Error) -> Error {
    match KeptError::from(error) {
        KeptError::Unavailable { text } => Error::unavailable(text),
        KeptError::Throttled { wait } => Error::Throttled(wait),
        KeptError::Conflict => Error::Conflict,
        KeptError::Denied { text } => Error::Denied(text),
        KeptError::Missing { text } => Error::Missing(text),
        KeptError::Rejected { text } => Error::Rejected(text),
        KeptError::Blocked { text } => Error::Blocked(text),
        KeptError::Protocol { text } => Error::protocol(text),
    }
}

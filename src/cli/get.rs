//! `causeway get`.

use super::Global;
use crate::client::{Client, MOST};
use crate::failure::Failure;
use crate::output::{Format, Screen, Table, lists};
use causeway_server::api::{Cluster, Event, Service, Task};
use causeway_server::{EventFilter, ServiceFilter};
use clap::ValueEnum;
use serde::Serialize;
use std::io::{self, Write};
use std::time::Duration;
use tokio::time::sleep;

/// How often `--watch` looks.
const LOOK: Duration = Duration::from_secs(1);
/// How many events `--watch` asks for in one look.
const PAGE: u32 = 1000;

/// Lists what the node has.
#[derive(clap::Args)]
pub struct Get {
    /// What to list
    what: Listable,
    /// Only of this task
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    /// Only of this cluster
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Services and events: only of this namespace's id
    #[arg(long, value_name = "ID")]
    namespace: Option<String>,
    /// Services and events: only of services whose name contains this text
    #[arg(long, value_name = "TEXT")]
    service: Option<String>,
    /// At most so many; without it: 100 events, all others
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    limit: Option<u32>,
    /// Go on until Ctrl-C: events as they come, else the list whenever it changes
    #[arg(short, long)]
    watch: bool,
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Listable {
    /// The clusters that are set up
    #[value(alias = "cluster")]
    Clusters,
    /// What is copied, and how it is doing
    #[value(alias = "task")]
    Tasks,
    /// What the clusters in use hold
    #[value(alias = "service")]
    Services,
    /// What happened, newest first
    #[value(alias = "event")]
    Events,
    /// Config entries that both sides have changed, and that wait for a decision
    #[value(alias = "conflict")]
    Conflicts,
    /// Documents of other tools that the node follows
    #[value(alias = "document")]
    Documents,
}

impl Get {
    pub async fn run(self, global: &Global) -> Result<u8, Failure> {
        if matches!(self.what, Listable::Clusters | Listable::Tasks | Listable::Conflicts | Listable::Documents)
            && (self.namespace.is_some() || self.service.is_some())
        {
            return Err(Failure::usage("--namespace and --service choose services and events")
                .help("choose clusters and tasks with --cluster and --task"));
        }
        let client = global.client()?;
        let mut screen = Screen::new(global.output);
        if self.watch && self.what == Listable::Events {
            return self.follow(&client, &mut screen).await;
        }
        let mut before = String::new();
        loop {
            let (document, table) = self.look(&client, screen.width).await?;
            let now = document.to_string();
            if now != before {
                if self.watch && screen.format == Format::Table && screen.width.is_some() {
                    screen.line("\x1b[H\x1b[2J")?;
                }
                if !screen.document(&document)? {
                    screen.table(&table)?;
                    if document.as_array().is_some_and(Vec::is_empty) {
                        // Not on standard output: a script counts lines there.
                        drop(writeln!(io::stderr(), "none"));
                    }
                }
                before = now;
            }
            if !self.watch {
                return Ok(0);
            }
            sleep(LOOK).await;
        }
    }

    async fn look(&self, client: &Client, width: Option<usize>) -> Result<(serde_json::Value, Table), Failure> {
        match self.what {
            Listable::Clusters => {
                let mut clusters: Vec<Cluster> = client.get(&["clusters"]).await?;
                clusters.retain(|cluster| self.takes_cluster(cluster));
                self.cut(clusters, lists::clusters)
            }
            Listable::Tasks => {
                let mut tasks: Vec<Task> = client.get(&["tasks"]).await?;
                tasks.retain(|task| self.takes_task(task));
                self.cut(tasks, |list| lists::tasks(list, width))
            }
            Listable::Services => {
                let services = self.services(client).await?;
                self.cut(services, lists::services)
            }
            Listable::Documents => self.cut(client.get(&["documents"]).await?, lists::documents),
            Listable::Conflicts => self.cut(client.list("conflicts", &[("task", &self.task)]).await?, lists::conflicts),
            Listable::Events => {
                let events = self.events(client, self.limit).await?;
                self.cut(events, |list| lists::events(list, width))
            }
        }
    }

    fn cut<T: Serialize>(
        &self,
        mut list: Vec<T>,
        table: impl Fn(&[T]) -> Table,
    ) -> Result<(serde_json::Value, Table), Failure> {
        list.truncate(self.limit.map_or(usize::MAX, |limit| limit as usize));
        let document = serde_json::to_value(&list).map_err(io::Error::from)?;
        Ok((document, table(&list)))
    }

    fn takes_cluster(&self, cluster: &Cluster) -> bool {
        self.cluster.as_ref().is_none_or(|name| cluster.name == *name)
            && self.task.as_ref().is_none_or(|name| cluster.tasks.contains(name))
    }

    fn takes_task(&self, task: &Task) -> bool {
        self.task.as_ref().is_none_or(|name| task.name == *name)
            && self.cluster.as_ref().is_none_or(|name| task.source == *name || task.destination == *name)
    }

    async fn services(&self, client: &Client) -> Result<Vec<Service>, Failure> {
        // The node knows nothing of a service's task: both of its clusters hold them.
        let between = match &self.task {
            Some(name) => {
                let task = client.task(name).await?;
                Some([task.source, task.destination])
            }
            None => None,
        };
        let narrowed = between.is_some() || self.service.is_some();
        let limit = self.limit.filter(|_| !narrowed).unwrap_or(MOST);
        let (cluster, namespace) = (self.cluster.clone(), self.namespace.clone());
        let filter = ServiceFilter { cluster, namespace, limit: Some(limit) };
        let mut services: Vec<Service> = client.list("services", &filter).await?;
        services.retain(|service| {
            between.as_ref().is_none_or(|names| names.contains(&service.cluster))
                && self.service.as_ref().is_none_or(|text| service.name.contains(text.as_str()))
        });
        Ok(services)
    }

    async fn events(&self, client: &Client, limit: Option<u32>) -> Result<Vec<Event>, Failure> {
        let (task, cluster, service) = (self.task.clone(), self.cluster.clone(), self.service.clone());
        let filter = EventFilter { task, cluster, service, limit, ..EventFilter::default() };
        let mut events: Vec<Event> = client.list("events", &filter).await?;
        if let Some(namespace) = &self.namespace {
            events.retain(|event| event.service.split('/').next() == Some(namespace.as_str()));
        }
        Ok(events)
    }

    /// Events as they come, oldest first, one a line.
    async fn follow(&self, client: &Client, screen: &mut Screen) -> Result<u8, Failure> {
        let mut seen = None;
        loop {
            let limit = if seen.is_none() { self.limit } else { Some(PAGE) };
            let mut events = self.events(client, limit).await?;
            events.retain(|event| seen.is_none_or(|seen| event.id > seen));
            seen = events.iter().map(|event| event.id).max().or(seen).or(Some(0));
            for event in events.iter().rev() {
                match screen.format {
                    Format::Table => screen.line(lists::event_line(event, screen.paint))?,
                    Format::Json => screen.line(serde_json::to_string(event).map_err(io::Error::from)?)?,
                    Format::Yaml => {
                        screen.line("---")?;
                        screen.document(event)?;
                    }
                }
            }
            sleep(LOOK).await;
        }
    }
}

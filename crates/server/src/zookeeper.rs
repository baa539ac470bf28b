//! What the settings say of a ZooKeeper, in the connector's words.

use causeway_connectors::zookeeper::{AclChoice, Layout, Options, Roots};
use causeway_settings::{self as settings, ZooKeeper};

/// The options of a cluster; the defaults where it says nothing. `access`: its access lists are copied somewhere.
pub(crate) fn options(settings: Option<&ZooKeeper>, access: bool) -> Options {
    let settings = settings.cloned().unwrap_or_default();
    Options {
        roots: Roots {
            categories: settings.categories.iter().map(|category| category.word().to_owned()).collect(),
            layouts: settings.layouts.iter().copied().map(layout).collect(),
            new: layout(settings.new_services.layout()),
            dubbo: settings.dubbo_roots,
            services: settings.service_roots,
            plain: settings.plain_roots,
        },
        acl: match settings.acl {
            settings::Acl::Open => AclChoice::Open,
            settings::Acl::Creator => AclChoice::Creator,
            settings::Acl::Copy => AclChoice::Copy,
        },
        session_timeout: settings.session_timeout,
        access,
        ..Options::default()
    }
}

fn layout(layout: settings::Layout) -> Layout {
    match layout {
        settings::Layout::Dubbo => Layout::Dubbo,
        settings::Layout::Application => Layout::Application,
        settings::Layout::Spring => Layout::Spring,
        settings::Layout::Curator => Layout::Curator,
        settings::Layout::Plain => Layout::Plain,
    }
}

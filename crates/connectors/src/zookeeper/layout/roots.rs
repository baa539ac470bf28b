//! Where services stand in a tree, and which of the znodes there may be instances.

use super::Layout;
use crate::zookeeper::Settings;
use crate::zookeeper::client::paths::within;

/// What stands beside the services under a Dubbo root.
const NO_INTERFACES: [&str; 3] = ["config", "metadata", "mapping"];
/// The server's own tree.
const SYSTEM: &str = "/zookeeper";

/// Where services stand, and in which layouts. Of several roots of a layout, records of other kinds go below the first.
#[derive(Clone, Debug, PartialEq)]
pub struct Roots {
    /// Roots of Dubbo's interface level: `<root>/<interface>/<category>/<url>`.
    pub dubbo: Vec<String>,
    /// The categories of Dubbo's URLs that are read and written.
    pub categories: Vec<String>,
    /// Roots of Curator's service discovery: `<root>/<name>/<id>`; Dubbo's application level and Spring Cloud share it.
    pub services: Vec<String>,
    /// Roots of other trees, in which every ephemeral znode is an instance.
    pub plain: Vec<String>,
    /// The layouts that are read and written.
    pub layouts: Vec<Layout>,
    /// What a record of another kind becomes that says nothing else itself.
    pub new: Layout,
}

impl Default for Roots {
    /// What settings without a word about it mean.
    fn default() -> Self {
        Settings::default().roots()
    }
}

/// Which rules hold for a path.
#[derive(Clone, Copy, Debug, PartialEq)]
enum RootForm {
    Dubbo,
    Services,
    Plain,
}

/// Where a znode may say that it is an instance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Position<'a> {
    pub root: &'a str,
    pub folder: ServiceFolder<'a>,
    /// The last part of the path; in Dubbo's tree a URL that is still escaped.
    pub name: &'a str,
}

/// What stands between root and name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ServiceFolder<'a> {
    /// The interface is still escaped.
    Dubbo { interface: &'a str, category: &'a str },
    /// A service's name may hold `/`.
    Services(&'a str),
    /// The service of a znode right below the root is `/`.
    Plain(&'a str),
}

impl Roots {
    /// Whether this znode is worth reading as an instance. [`read`](super::read) then says whether it is one.
    pub fn is_candidate(&self, path: &str) -> bool {
        self.position(path).is_some()
    }

    /// Whether a path is the server's own, or lies where services stand: those are no data. What stands beside the services
    /// under a Dubbo root is.
    pub fn is_taken(&self, path: &str) -> bool {
        let below = |root: &String| path.strip_prefix(&**root).and_then(|rest| rest.strip_prefix('/'));
        let interface = |rest: &str| !NO_INTERFACES.contains(&rest.split('/').next().unwrap_or(rest));
        within(SYSTEM, path)
            || self.services.iter().any(|root| below(root).is_some())
            || self.dubbo.iter().filter_map(below).any(interface)
            || self.is_candidate(path)
    }

    /// Whether services stand below a node: it is their folder.
    pub fn is_root(&self, path: &str) -> bool {
        self.services.iter().chain(&self.dubbo).chain(&self.plain).any(|root| root == path)
    }

    /// Whether such znodes may stand below this one. Ask only of a znode that has children.
    pub fn descend(&self, path: &str) -> bool {
        if within(SYSTEM, path) {
            return false;
        }
        let path = trim(path);
        let leads = |(_, root): (RootForm, &str)| root.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        self.all().any(leads)
            || self.below(path).is_some_and(|(rules, _, rest)| match rules {
                RootForm::Services | RootForm::Plain => true,
                RootForm::Dubbo => {
                    let mut rest = rest.split('/').filter(|part| !part.is_empty());
                    let interface = rest.next().is_none_or(|word| !NO_INTERFACES.contains(&word));
                    interface && rest.next().is_none_or(|word| self.reads(word)) && rest.next().is_none()
                }
            })
    }

    /// The roots to begin at; none stands below another.
    pub fn roots(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.all().map(|(_, root)| root).collect();
        all.sort_unstable();
        let mut top: Vec<&str> = Vec::new();
        for root in all {
            if !top.iter().any(|above| within(above, root)) {
                top.push(root);
            }
        }
        top.into_iter().map(|root| if root.is_empty() { "/" } else { root }).collect()
    }

    pub(super) fn reads(&self, category: &str) -> bool {
        self.categories.iter().any(|one| one == category)
    }

    /// The roots of a layout, without an ending slash.
    pub(super) fn of(&self, layout: Layout) -> impl Iterator<Item = &str> {
        let list = match layout {
            Layout::Dubbo => &self.dubbo,
            Layout::Application | Layout::Spring | Layout::Curator => &self.services,
            Layout::Plain => &self.plain,
        };
        list.iter().map(|root| trim(root))
    }

    pub(super) fn position<'a>(&'a self, path: &'a str) -> Option<Position<'a>> {
        let (rules, root, rest) = self.below(path)?;
        let rest = rest.strip_prefix('/').filter(|rest| rest.split('/').all(|part| !part.is_empty()))?;
        let (above, name) = rest.rsplit_once('/').unwrap_or(("", rest));
        let folder = match rules {
            RootForm::Dubbo => {
                let (interface, category) = above.split_once('/').filter(|(_, category)| self.reads(category))?;
                (!NO_INTERFACES.contains(&interface)).then_some(ServiceFolder::Dubbo { interface, category })?
            }
            RootForm::Services if above.is_empty() => return None,
            RootForm::Services => ServiceFolder::Services(above),
            RootForm::Plain if within(SYSTEM, path) => return None,
            RootForm::Plain => ServiceFolder::Plain(if above.is_empty() { "/" } else { above }),
        };
        Some(Position { root, folder, name })
    }

    /// The rules of the nearest root above a path, that root, and the rest of the path.
    fn below<'a>(&'a self, path: &'a str) -> Option<(RootForm, &'a str, &'a str)> {
        let fits = |(rules, root): (RootForm, &'a str)| {
            let rest = path.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
            Some((rules, root, rest))
        };
        // Of equals, the first: the more exact rules.
        self.all().filter_map(fits).reduce(|best, next| if next.1.len() > best.1.len() { next } else { best })
    }

    fn all(&self) -> impl Iterator<Item = (RootForm, &str)> {
        let lists = [
            (RootForm::Dubbo, &self.dubbo, [Layout::Dubbo].as_slice()),
            (RootForm::Services, &self.services, &[Layout::Application, Layout::Spring, Layout::Curator]),
            (RootForm::Plain, &self.plain, &[Layout::Plain]),
        ];
        let on = |layouts: &[Layout]| layouts.iter().any(|layout| self.layouts.contains(layout));
        let selected = lists.into_iter().filter(move |list| on(list.2));
        selected.flat_map(|(rules, roots, _)| roots.iter().map(move |root| (rules, trim(root))))
    }
}

fn trim(root: &str) -> &str {
    root.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_told_by_their_path() {
        let roots = Roots { plain: vec!["/".into()], services: vec!["/services/".into()], ..Roots::default() };
        for (path, candidate, descend) in [
            ("/dubbo", false, true),
            ("/dubbo/lab.Greeter", false, true),
            ("/dubbo/lab.Greeter/providers", false, true),
            ("/dubbo/lab.Greeter/providers/x", true, false),
            ("/dubbo/lab.Greeter/consumers", false, false),
            ("/dubbo/lab.Greeter/consumers/x", false, false),
            ("/dubbo/metadata", false, false),
            ("/dubbo/metadata/providers/x", false, false),
            ("/dubbo/config/providers/x", false, false),
            ("/services", false, true),
            ("/services/lab", false, true),
            ("/services/lab/1", true, true),
            ("/services/a/b/1", true, true),
            ("/dubbos/x", true, true),
            ("/zookeeper/quota", false, false),
            ("/x", true, true),
            ("/", false, true),
            ("", false, true),
        ] {
            assert_eq!((roots.is_candidate(path), roots.descend(path)), (candidate, descend), "{path}");
        }
        assert_eq!(roots.roots(), ["/"]);
    }

    #[test]
    fn only_selected_layouts_have_roots() {
        let mut roots = Roots { layouts: vec![Layout::Spring], dubbo: vec!["/a/dubbo".into()], ..Roots::default() };
        assert!(!roots.is_candidate("/a/dubbo/x/providers/y") && !roots.descend("/a"));
        assert_eq!(roots.roots(), ["/services"]);
        roots.layouts.push(Layout::Dubbo);
        assert!(roots.is_candidate("/a/dubbo/x/providers/y") && roots.descend("/a") && roots.descend("/"));
        assert_eq!(roots.roots(), ["/a/dubbo", "/services"]);
    }
}

//! What is copied.

/// Znodes, parents first, and the task that copies them.
pub struct Estate {
    pub name: &'static str,
    pub nodes: Vec<Node>,
    /// All of them are this one, or below it.
    pub root: &'static str,
    /// The task's settings beside its clusters.
    pub task: &'static str,
}

/// One znode.
pub struct Node {
    pub path: String,
    pub data: String,
    pub ephemeral: bool,
}

fn folder(path: String) -> Node {
    Node { path, data: String::new(), ephemeral: false }
}

/// 1,000 applications with 99 keys each.
pub fn data() -> Estate {
    let (root, data) = ("/bench", "x".repeat(400));
    let mut nodes = vec![folder(root.to_owned())];
    for app in 0..1_000 {
        let path = format!("{root}/app{app:04}");
        let key = |n| Node { path: format!("{path}/key{n:02}"), data: data.clone(), ephemeral: false };
        let keys: Vec<_> = (0..99).map(key).collect();
        nodes.push(folder(path));
        nodes.extend(keys);
    }
    Estate { name: "data", nodes, root, task: "type: Config, serviceMatchPattern: '/bench.*'" }
}

/// 5,000 interfaces with 20 providers each.
pub fn services() -> Estate {
    let root = "/dubbo";
    let mut nodes = vec![folder(root.to_owned())];
    for n in 0..5_000 {
        let interface = format!("com.example.bench.Service{n:04}");
        let path = format!("{root}/{interface}");
        let providers = format!("{path}/providers");
        nodes.extend([folder(path), folder(providers.clone())]);
        for provider in 0..20 {
            let name = format!(
                "dubbo%3A%2F%2F10.{provider}.{}.{}%3A20880%2F{interface}%3Fapplication%3Dbench%26deprecated%3Dfalse%26\
                 dubbo%3D2.0.2%26dynamic%3Dtrue%26generic%3Dfalse%26interface%3D{interface}%26methods%3Dgreet%2Ccount\
                 %26release%3D3.3.4%26service-name-mapping%3Dtrue%26side%3Dprovider%26timestamp%3D1763800000000",
                n / 250,
                n % 250
            );
            let data = "10.0.0.1".to_owned();
            nodes.push(Node { path: format!("{providers}/{name}"), data, ephemeral: true });
        }
    }
    Estate { name: "services", nodes, root, task: "type: Service" }
}

//! Documents in the form of those that users of polaris-sync have, with the slips and comments that theirs have.

use super::*;
use causeway_settings::{Rename, TakeOver, TaskMode, TaskType};

/// Two tasks, there and back, with a missing comma, two commas too many, and comments in two languages.
const BOTH_WAYS: &str = r#"{
	"tasks": [
	    //copies from the one to the other
		{
			"name": "there",  //unique
			"enable": true,
			"source": {                    //where it comes from
					"name": "nacos1",
					"type": "nacos",
					"addresses": [
						"127.0.0.1:8848"   //its address
					],
					"user": "nacos",
					"password": "nacos"    
			},
			"destination": {
					"name": "polaris1",
					"type": "polaris",
					"addresses": [
						"http://127.0.0.1:8090"  //over HTTP
						"grpc://127.0.0.1:8091"  //over gRPC
					],
					"token": "123456"
			},
			"match": [
				{
					"namespace": "empty_ns",
					"service": "nacos.test.3", // a group may stand before it
				}
			]
		},
		//第二个任务
		{
			"name": "back",
			"enable": true,
			"source": {                    //来源
					"name": "polaris1",
					"type": "polaris",
					"addresses": [
						"127.0.0.1:8090"
					],
					"token": "123456"
			},
			"destination": {
					"name": "nacos1",
					"type": "nacos",
					"addresses": [
						"127.0.0.1:8848"
					],
					"user": "nacos",
					"password": "nacos"
			},
			"match": [
				{
					"namespace": "empty_ns",
					"service": "nacos.test.3", // 服务名
				}
			]
		}
	],
	"methods": [
		{
			"type": "watch",
			"enable": true
		},
		{
			"type": "pull",
			"enable": true,
			"interval": "60s"
		}
	],
	"health_check": {
		"enable": true
	},
	"report": {
		"interval" : "1m",
		"targets": [
			{
				"type": "file",
				"enable": true
			}
		]
	}
}
"#;

#[test]
fn both_ways() {
    let converted = convert(BOTH_WAYS);
    let warned: Vec<_> = converted.warnings.iter().map(|problem| (problem.line, problem.message.as_str())).collect();
    let trailing = "a comma stands behind the last item; it is ignored";
    let missing = "a comma is missing behind this; it is read as if it stood there";
    assert_eq!(warned, [(20, missing), (28, trailing), (56, trailing)]);
    let [nacos, polaris] = converted.settings.clusters.as_slice() else { panic!("{:?}", converted.settings) };
    assert_eq!((nacos.name.as_str(), nacos.kind.as_str()), ("nacos1", "nacos"));
    assert_eq!((nacos.user.as_deref(), nacos.password.as_ref().map(|p| p.expose())), (Some("nacos"), Some("nacos")));
    // One cluster, with the addresses of both; one address is not there twice.
    assert_eq!(polaris.addresses, ["http://127.0.0.1:8090", "grpc://127.0.0.1:8091"]);
    assert_eq!(polaris.token.as_ref().map(|token| token.expose()), Some("123456"));
    let [there, back] = converted.settings.tasks.as_slice() else { panic!("{:?}", converted.settings) };
    assert_eq!((there.name().as_str(), back.name().as_str()), ("there", "back"));
    for task in [there, back] {
        assert_eq!((task.kind, task.mode), (TaskType::Service, TaskMode::Unidirectional));
        assert_eq!((task.take_over, task.pull_interval), (Some(TakeOver::PolarisSync), None));
        assert_eq!(task.select.include[0].service.as_ref().map(|p| p.as_str()), Some("nacos\\.test\\.3"));
        assert_eq!(task.select.include[0].group.as_ref().map(|p| p.as_str()), Some("DEFAULT_GROUP"));
    }
    let namespace = |task: &causeway_settings::Task| {
        let from = task.select.include[0].namespace.as_ref().map(|p| p.as_str().to_owned()).unwrap();
        let Some(Rename::Table(table)) = &task.map.namespace else { panic!("{task:?}") };
        (from.clone(), table[&from].clone())
    };
    assert_eq!(namespace(there), ("public".into(), "default".into()));
    assert_eq!(namespace(back), ("default".into(), "public".into()));
    let rows: Vec<_> = converted.rows.iter().map(|row| (row.name.as_str(), row.kind.as_str())).collect();
    assert_eq!(rows, [("nacos1", "NACOS"), ("polaris1", "POLARIS")]);
    assert!(converted.probes.enable && converted.report.targets[0].enable);
    assert_eq!(converted.task_places["back"], "0.json:34");
}

const TO_A_GATEWAY: &str = r#"{
	"tasks": [
	{
			"name": "polaris1",
			"enable": true,
			"source": {
					"name": "ins-1", "type": "polaris", "addresses": ["127.0.0.1:8090"], "token": "123456"
			},
			"destination": {
					"name": "kong",
					"type": "kong",
					"addresses": [
						"127.0.0.1:8001"  //管理地址
					]
			},
			"match": [
				{
					"namespace": "default",
					"service": "test.service.3",
					"groups": [ //分组
						{"name": "version-1", "metadata": {"version": "1.0.0" /* 元数据 */}},
						{"name": "version-2", "metadata": {"version": "2.0.0"}, "upstreamName": "by-{hand}"}
					]
				}
			]
		}
	],
	"methods": [{"type": "pull", "enable": true, "interval": "60s"}]
}"#;

#[test]
fn to_a_gateway_with_groups() {
    let converted = convert(TO_A_GATEWAY);
    assert_eq!(converted.warnings, []);
    let task = &converted.settings.tasks[0];
    let groups: Vec<_> =
        task.groups.iter().map(|group| (group.name.as_str(), group.metadata["version"].as_str())).collect();
    assert_eq!(groups, [("version-1", "1.0.0"), ("version-2", "2.0.0")]);
    // A name that looks like a template is a name.
    assert_eq!(task.groups[1].upstream.as_deref(), Some("by-{{hand}}"));
    assert_eq!(task.map.namespace, None);
    assert_eq!(task.pull_interval, Some(std::time::Duration::from_secs(60)));
}

#[test]
fn matches_with_other_groups_are_tasks_of_their_own() {
    let group = |name: &str| format!(r#", "groups": [{{"name": "{name}"}}]"#);
    let one = |service: &str, groups: &str| format!(r#"{{"namespace": "n", "service": "{service}"{groups}}}"#);
    let matches = [one("a", ""), one("b", &group("g")), one("c", ""), one("d", &group("g")), one("e", &group("h"))];
    let text = one_task(&end("p", "polaris", "h:1"), &end("k", "kong", "h:2"), &matches.join(","));
    let converted = convert(&text);
    let tasks: Vec<_> = converted
        .settings
        .tasks
        .iter()
        .map(|task| {
            let services =
                task.select.include.iter().map(|rule| rule.service.as_ref().unwrap().as_str()).collect::<String>();
            (task.name(), services, task.groups.len())
        })
        .collect();
    let expected = [("t", "ac", 0), ("t/n/b", "bd", 1), ("t/n/e", "e", 1)];
    assert_eq!(tasks, expected.map(|(name, services, groups)| (name.to_owned(), services.to_owned(), groups)));
    // No task's name is too long, however long the service's is.
    let long = matches.join(",").replace("\"b\"", &format!("\"{}\"", "b".repeat(200)));
    let names: Vec<_> = convert(&one_task(&end("p", "polaris", "h:1"), &end("k", "kong", "h:2"), &long)).settings.tasks;
    assert_eq!(names.iter().map(causeway_settings::Task::name).collect::<Vec<_>>(), ["t", "t/2", "t/n/e"]);
    // A registry gets every instance once.
    let text = one_task(&end("p", "polaris", "h:1"), &end("n", "nacos", "h:2"), &matches.join(","));
    let converted = convert(&text);
    assert_eq!((converted.settings.tasks.len(), converted.settings.tasks[0].select.include.len()), (1, 5));
    assert_eq!(converted.warnings.len(), 3, "{:?}", converted.warnings);
}

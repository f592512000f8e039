use super::*;
use crate::influx::influxql::Groups;

fn patterns(all: &[&str]) -> Vec<Pattern> {
    all.iter().map(|one| Pattern::new(*one)).collect()
}

fn groups(words: &[&str]) -> Option<Groups> {
    let known = Groups::WORDS
        .iter()
        .filter(|(word, _)| words.contains(word));
    known.map(|(_, group)| *group).reduce(Groups::and)
}

fn open() -> AccessRule {
    AccessRule {
        users: Vec::new(),
        read: None,
        write: None,
        measurements: None,
        read_only: false,
        statements: None,
        deny_statements: None,
    }
}

fn request(method: &str, target: &str) -> RequestHeader {
    RequestHeader::build(method, target.as_bytes(), None).unwrap()
}

fn of(rule: &AccessRule, method: &str, target: &str) -> Option<Forbidden> {
    let request = request(method, target);
    forbidden(rule, &uses(&as_influxql(&request, b""), &Limits::default()))
}

#[test]
fn databases_and_changes_are_judged_by_what_is_done() {
    let rule = AccessRule {
        read: Some(patterns(&["a", "r_*"])),
        write: Some(patterns(&["a", "w"])),
        ..open()
    };
    let some = |name: &str| Some(name.to_owned());
    for (method, target, expected) in [
        ("GET", "/query?db=a&q=SELECT+v+FROM+m", None),
        ("GET", "/query?db=r_1&q=SELECT+v+FROM+m", None),
        (
            "GET",
            "/query?db=w&q=SELECT+v+FROM+m",
            Some(Forbidden::Read(some("w"))),
        ),
        ("POST", "/query?db=r_1&q=SELECT+v+INTO+w..m+FROM+m", None),
        (
            "POST",
            "/query?db=r_1&q=SELECT+v+INTO+m+FROM+m",
            Some(Forbidden::Write(some("r_1"))),
        ),
        (
            "POST",
            "/query?q=DROP+DATABASE+r_1",
            Some(Forbidden::Write(some("r_1"))),
        ),
        (
            "POST",
            "/query?q=CREATE+USER+u+WITH+PASSWORD+'x'",
            Some(Forbidden::Write(None)),
        ),
        (
            "GET",
            "/query?q=SHOW+DATABASES",
            Some(Forbidden::Read(None)),
        ),
        ("POST", "/write?db=w", None),
        ("POST", "/write?db=b", Some(Forbidden::Write(some("b")))),
        (
            "POST",
            "/write?x=1;db=b&db=a",
            Some(Forbidden::Write(some("b"))),
        ),
        ("GET", "/debug/vars", Some(Forbidden::Read(None))),
        ("GET", "/ping", None),
        ("POST", "/nowhere", Some(Forbidden::Read(None))),
    ] {
        assert_eq!(of(&rule, method, target), expected, "{target}");
    }
    let reader = AccessRule {
        read_only: true,
        ..open()
    };
    for (method, target, expected) in [
        ("GET", "/query?q=SHOW+DATABASES", None),
        ("GET", "/metrics", None),
        ("POST", "/query?db=a&q=SELECT+v+FROM+m", None),
        (
            "POST",
            "/query?db=a&q=SELECT+v+INTO+x+FROM+m",
            Some(Forbidden::Change),
        ),
        ("GET", "/query?q=KILL+QUERY+1", Some(Forbidden::Change)),
        ("POST", "/write?db=a", Some(Forbidden::Change)),
        ("POST", "/api/v2/delete?bucket=a", Some(Forbidden::Change)),
        ("DELETE", "/api/v2/buckets/a", Some(Forbidden::Change)),
    ] {
        assert_eq!(of(&reader, method, target), expected, "{target}");
    }
    let all = AccessRule {
        read: Some(patterns(&["*"])),
        write: Some(Vec::new()),
        ..open()
    };
    assert_eq!(of(&all, "GET", "/query?q=SHOW+DATABASES"), None);
    assert_eq!(
        of(&all, "POST", "/write?db=a"),
        Some(Forbidden::Write(some("a")))
    );
}

#[test]
fn measurements_are_judged_by_what_is_touched() {
    let allowed = |names: &[&str]| AccessRule {
        measurements: Some(AllowedMeasurements::new(patterns(names))),
        ..open()
    };
    let rule = allowed(&["cpu", "disk_*"]);
    let named = |name: &str| Some(Forbidden::Measurement(Some(name.to_owned())));
    let untold = Some(Forbidden::Measurement(None));
    for (target, expected) in [
        ("/query?db=d&q=SELECT+v+FROM+cpu,x..disk_1", None),
        ("/query?db=d&q=SELECT+v+INTO+disk_2+FROM+cpu", None),
        ("/query?db=d&q=SELECT+v+FROM+cpu,mem", named("mem")),
        ("/query?db=d&q=SELECT+v+INTO+mem+FROM+cpu", named("mem")),
        ("/query?db=d&q=DROP+MEASUREMENT+mem", named("mem")),
        ("/query?db=d&q=SELECT+v+FROM+/cpu/", untold.clone()),
        ("/query?db=d&q=SHOW+MEASUREMENTS", untold.clone()),
        ("/query?db=d&q=SHOW+DATABASES", None),
        ("/write?db=d", None),
        ("/api/v1/prom/write?db=d", untold.clone()),
        ("/api/v2/query", untold.clone()),
        ("/metrics", untold.clone()),
        ("/ping", None),
    ] {
        assert_eq!(of(&rule, "POST", target), expected, "{target}");
        assert_eq!(of(&allowed(&["x", "*"]), "POST", target), None, "{target}");
    }
    let none = allowed(&[]);
    assert_eq!(of(&none, "GET", "/query?q=SELECT+v+FROM+m"), named("m"));
    assert_eq!(of(&none, "GET", "/query?q=SHOW+DATABASES"), None);
}

#[test]
fn statements_are_judged_by_their_groups() {
    let few = AccessRule {
        statements: groups(&["select", "show"]),
        ..open()
    };
    let most = AccessRule {
        deny_statements: groups(&["drop", "user_management"]),
        ..open()
    };
    for (query, in_few, in_most) in [
        ("SELECT+v+FROM+m", true, true),
        ("SHOW+USERS", true, true),
        ("SELECT+v+INTO+x+FROM+m", false, true),
        ("DROP+MEASUREMENT+m", false, false),
        ("CREATE+USER+u+WITH+PASSWORD+'x'", false, false),
        ("GRANT+ALL+TO+u", false, false),
        ("CREATE+DATABASE+d", false, true),
        ("SELECT+v+FROM+m;SHOW+SERIES;DROP+DATABASE+d", false, false),
        ("nonsense", false, false),
    ] {
        let target = format!("/query?db=d&q={query}");
        assert_eq!(of(&few, "POST", &target).is_none(), in_few, "{query}");
        assert_eq!(of(&most, "POST", &target).is_none(), in_most, "{query}");
    }
    assert_eq!(
        of(&few, "POST", "/write?db=d"),
        None,
        "a write is no statement"
    );
}

#[test]
fn the_first_rule_for_a_user_counts_and_without_one_nothing_is_allowed() {
    let rules = [
        AccessRule {
            users: patterns(&["grafana", "read_*"]),
            read_only: true,
            ..open()
        },
        AccessRule {
            users: patterns(&["telegraf"]),
            ..open()
        },
    ];
    let found = |rules: &[AccessRule], target: &str, authorization: &str| {
        let mut request = request("GET", target);
        if !authorization.is_empty() {
            request
                .insert_header("Authorization", authorization)
                .unwrap();
        }
        rule_for(rules, &request, &Sender::Unasked).map(|rule| rule.read_only)
    };
    assert_eq!(found(&rules, "/query?u=read_1&p=x", ""), Some(true));
    assert_eq!(found(&rules, "/query", "Basic Z3JhZmFuYTp4"), Some(true));
    assert_eq!(found(&rules, "/query", "Token telegraf:x"), Some(false));
    for (target, authorization) in [
        ("/query", ""),
        ("/query?u=other&p=x", ""),
        ("/query?u=telegraf", ""),
        ("/query?u=telegraf&p=x;u=admin", ""),
        ("/query", "Bearer a.b.c"),
        ("/query", "Basic !"),
    ] {
        assert_eq!(
            found(&rules, target, authorization),
            None,
            "{target} {authorization}"
        );
    }
    let with_rest = [rules[0].clone(), open()];
    assert_eq!(found(&with_rest, "/query", ""), Some(false));
    for (target, authorization) in [
        ("/query?x=1;u=grafana&p=x", ""),
        ("/query", "token grafana:x"),
        ("/query", "Basic Z3JhZmFuYTp5"),
        ("/query", "Basic Z3JhZmFuYTp4eQ"),
        ("/query", "Bearer a.b.c"),
    ] {
        let is_told = authorization == "Basic Z3JhZmFuYTp5";
        let expected = is_told.then_some(true);
        let found = found(&with_rest, target, authorization);
        assert_eq!(found, expected, "{target} {authorization}");
    }
    assert_eq!(found(&with_rest, "/query?u=grafana&p=x", ""), Some(true));
}

#[tokio::test]
async fn what_a_node_answers_to_everybody_needs_no_rule() {
    let rules = [AccessRule {
        users: patterns(&["grafana"]),
        ..open()
    }];
    for (method, target, expected) in [
        ("GET", "/ping", None),
        ("HEAD", "/health", None),
        ("OPTIONS", "/query", None),
        ("POST", "/ping", Some(Forbidden::User)),
        ("GET", "/query?q=SHOW+DATABASES", Some(Forbidden::User)),
        ("GET", "/metrics", Some(Forbidden::User)),
    ] {
        let request = request(method, target);
        let limits = Limits::default();
        let judged = judge(&rules, &request, &Sender::Unasked, &Bytes::new(), limits).await;
        assert_eq!(judged, expected, "{method} {target}");
    }
}

//! Modules from a script's point of view, and that what they say can be replayed.

use super::{compile_files, execute_with, run, shown, start_frame, Finished};
use crate::frames::v1::{
    value::Kind, ExecutionErrorKind, ListValue, NullValue, ObjectValue, Value,
};
use crate::frames::vm::{host_reply, server_frame, start, ExecuteJob, HostCall, HostReply, Start};

const PRODUCTION: [&str; 3] = ["crucible::basic", "crucible::http", "crucible::json"];

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn text(text: &str) -> Value {
    value(Kind::StringValue(text.to_owned()))
}

fn start_of(modules: &[&str]) -> Start {
    Start {
        modules: modules.iter().map(|name| (*name).to_owned()).collect(),
        start_time_ns: 1_000_000_000_500,
        ..start_frame()
    }
}

fn reply(call: &HostCall, time_ns: i64, outcome: host_reply::Outcome) -> Vec<server_frame::Frame> {
    vec![server_frame::Frame::HostReply(HostReply {
        call_id: call.call_id,
        time_ns,
        outcome: Some(outcome),
    })]
}

fn execute(
    source: &str,
    start: Start,
    answer: &mut super::Answer<'_>,
    arguments: Vec<Value>,
) -> Finished {
    let compiled = compile_files(source, &[], start.clone());
    assert!(!compiled.unit.is_empty(), "{}", compiled.rendered);
    let job = ExecuteJob {
        unit: compiled.unit,
        function: "main".to_owned(),
        arguments,
        ..ExecuteJob::default()
    };
    let start = Start {
        job: Some(start::Job::Execute(job)),
        ..start
    };
    run(start, answer)
}

fn in_production(source: &str) -> Finished {
    execute(
        source,
        start_of(&PRODUCTION),
        &mut |_| Vec::new(),
        Vec::new(),
    )
}

#[test]
fn the_same_start_and_replies_give_the_same_frames() {
    let source = "use crucible::basic::{random, time};
    pub async fn main() {
        let list = [1, 2, 3, 4, 5, 6, 7, 8];
        random::shuffle(list);
        let before = time::now_ns();
        crucible::basic::sleep(2.5).await;
        println!(\"{:?} {:?}\", list, random::choose(list));
        [before, time::now_ns(), time::now(), random::int(-5, 5), random::float(), random::choose([])]
    }";
    let run = |seed: u8| {
        let start = Start {
            seed: vec![seed; 32],
            ..start_of(&["crucible::basic"])
        };
        let answer = |call: &HostCall| {
            reply(
                call,
                2_000_000_000_000,
                host_reply::Outcome::Value(value(Kind::NullValue(NullValue {}))),
            )
        };
        execute(source, start, &mut { answer }, Vec::new())
    };
    let first = run(1);
    let Some(Kind::ListValue(list)) = &first.value().kind else {
        panic!("{:?}", first.value());
    };
    let times: Vec<_> = list.values[..3].iter().map(shown).collect();
    assert_eq!(times, ["1000000000500", "2000000000000", "2000.0"]);
    assert_eq!(shown(&list.values[5]), "null");
    let sent = first.host_calls();
    assert_eq!(sent[0].name, "crucible.basic.sleep");
    assert_eq!(
        shown(sent[0].arguments.as_ref().expect("arguments")),
        "{seconds: 2.5}"
    );
    assert_eq!(first.frames, run(1).frames);
    assert_ne!(first.value(), run(2).value());
}

#[test]
fn sleeping_for_what_is_no_time_is_an_error() {
    for seconds in ["-1", "-0.5", "\"1\"", "f64::NAN", "1.0 / 0.0"] {
        let source = format!("pub async fn main() {{ crucible::basic::sleep({seconds}).await }}");
        let finished = execute(
            &source,
            start_of(&["crucible::basic"]),
            &mut |_| Vec::new(),
            Vec::new(),
        );
        assert_eq!(
            finished.error().kind(),
            ExecutionErrorKind::Panic,
            "{seconds}"
        );
    }
}

#[test]
fn args_are_what_the_execution_was_given() {
    let source = "use crucible::basic::args;
    pub fn main(name, list) {
        list.push(3);
        args().list.push(4);
        [args(), list]
    }";
    let list = value(Kind::ListValue(ListValue {
        values: vec![value(Kind::IntValue(1)), value(Kind::UintValue(2))],
    }));
    let finished = execute_with(
        source,
        "main",
        vec![text("Ada"), list],
        start_frame(),
        &mut |_| Vec::new(),
    );
    assert_eq!(
        shown(finished.value()),
        "[{list: [1, 2u], name: \"Ada\"}, [1, 2u, 3]]"
    );
}

#[test]
fn a_random_range_the_wrong_way_round_is_an_error() {
    for (range, is_good) in [
        ("1, 1", true),
        ("2, 1", false),
        ("i64::MIN, i64::MAX", true),
    ] {
        let source = format!("pub fn main() {{ crucible::basic::random::int({range}); 1 }}");
        let finished = execute_with(&source, "main", Vec::new(), start_frame(), &mut |_| {
            Vec::new()
        });
        assert_eq!(
            matches!(
                finished.executed().outcome,
                Some(crate::frames::vm::execute_result::Outcome::Value(_))
            ),
            is_good,
            "{range}"
        );
    }
}

#[test]
fn json_of_what_scripts_make() {
    let source = "use crucible::json;
    use std::collections::{HashMap, HashSet, VecDeque};
    struct P { x, y }
    struct T(a, b);
    enum E { A, B(x), C { y } }
    pub fn main() {
        let map = HashMap::new();
        map.insert(\"z\", 1);
        map.insert(\"a\", Some(Some(2)));
        let set = HashSet::new();
        set.insert(7);
        let queue = VecDeque::new();
        queue.push_back(1);
        queue.push_back(2);
        json::to_string([
            P { x: 1, y: 2.0 }, T(1, 'c'), E::A, E::B(1), E::C { y: None }, (), (1, ()), Ok(1), Err(\"e\"),
            map, set, queue, #{ \"b c\": true, a: \"\\\"\" }, 3u64,
        ])?
    }";
    assert_eq!(
        shown(in_production(source).value()),
        format!(
            "{:?}",
            "[{\"x\":1,\"y\":2.0},[1,\"c\"],\"A\",{\"B\":[1]},{\"C\":{\"y\":null}},null,[1,null],{\"Ok\":1},\
             {\"Err\":\"e\"},{\"a\":2,\"z\":1},[7],[1,2],{\"a\":\"\\\"\",\"b c\":true},3]"
        )
    );
    for (value, said) in [
        ("{ let a = []; a.push(a); a }", "contains itself"),
        ("|x| x", "expected data"),
        (
            "{ let m = std::collections::HashMap::new(); m.insert(1, 1); m }",
            "string keys",
        ),
        ("[0..3]", "`$[0]`"),
    ] {
        let source = format!("pub fn main() {{ crucible::json::to_string({value}) }}");
        let error = in_production(&source).error().clone();
        assert!(error.message.contains(said), "{value}: {}", error.message);
    }
}

#[test]
fn json_that_is_too_much_for_the_memory_is_a_limit() {
    for source in [
        "pub fn main() { let s = \"[0\"; for _ in 0..24 { s = `${s},0,${s}`; } crucible::json::parse(s) }",
        "pub fn main() { let l = [1]; for _ in 0..60 { l = [l, l]; } crucible::json::to_string(l) }",
    ] {
        let error = in_production(source).error().clone();
        assert_eq!(error.kind(), ExecutionErrorKind::MemoryExceeded, "{source}: {error:?}");
    }
}

fn response(body: &[u8]) -> host_reply::Outcome {
    let object = |fields: Vec<(&str, Value)>| {
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        value(Kind::ObjectValue(ObjectValue { fields }))
    };
    host_reply::Outcome::Value(object(vec![
        ("status", value(Kind::IntValue(404))),
        ("url", text("http://a/")),
        ("headers", object(vec![("x-a", text("1"))])),
        ("body", value(Kind::BytesValue(body.to_vec()))),
    ]))
}

fn answered(source: &str, body: &[u8]) -> Finished {
    let mut answer = |call: &HostCall| reply(call, 0, response(body));
    execute(source, start_of(&PRODUCTION), &mut answer, Vec::new())
}

#[test]
fn requests_ask_the_server() {
    let source = "use crucible::http;
    pub async fn main() {
        let all = [
            http::get(\"u\"),
            http::post(\"u\", \"text\"),
            http::post(\"u\", b\"bytes\"),
            http::post(\"u\", #{ a: [1, 1.0] }),
            http::request(\"PUT\", \"u\", #{ headers: #{ \"Content-Type\": \"a/b\" }, body: [], timeout: 2, redirects: 0 }),
        ];
        for one in all { one.await?; }
        1
    }";
    let finished = answered(source, b"x");
    let sent: Vec<_> = finished
        .host_calls()
        .iter()
        .map(|call| shown(call.arguments.as_ref().expect("arguments")))
        .collect();
    assert_eq!(
        sent,
        [
            "{headers: {}, method: \"GET\", url: \"u\"}",
            "{body: \"text\", headers: {content-type: \"text/plain; charset=utf-8\"}, method: \"POST\", url: \"u\"}",
            "{body: b[98, 121, 116, 101, 115], headers: {}, method: \"POST\", url: \"u\"}",
            "{body: \"{\\\"a\\\":[1,1.0]}\", headers: {content-type: \"application/json\"}, method: \"POST\", url: \"u\"}",
            "{body: \"[]\", headers: {Content-Type: \"a/b\"}, method: \"PUT\", redirects: 0, timeout: 2.0, url: \"u\"}",
        ]
    );
}

#[test]
fn responses_have_fields_and_methods() {
    let source = "use crucible::http;
    pub async fn main() {
        let r = http::get(\"u\").await?;
        (r.status, r.url, r.headers, r.header(\"X-A\"), r.header(\"b\"), r.body, r.text()?, r.json()?, r.is_success(), `${r:?}`)
    }";
    let source = source.replace("`${r:?}`", "format!(\"{:?}\", r)");
    let finished = answered(&source, b"[1]");
    assert_eq!(
        shown(finished.value()),
        "[404, \"http://a/\", {x-a: \"1\"}, \"1\", null, b[91, 49, 93], \"[1]\", [1], false, \
         \"Response { status: 404, body: 3 bytes }\"]"
    );
    let whole = "pub async fn main() { crucible::http::get(\"u\").await }";
    let shape = |body| {
        format!("{{body: {body}, headers: {{x-a: \"1\"}}, status: 404, url: \"http://a/\"}}")
    };
    assert_eq!(shown(answered(whole, b"ab").value()), shape("\"ab\""));
    assert_eq!(shown(answered(whole, b"\xff").value()), shape("b[255]"));
    let text = "pub async fn main() { crucible::http::get(\"u\").await?.text() }";
    assert!(answered(text, b"\xff").error().message.contains("UTF-8"));
}

#[test]
fn wrong_options_and_what_is_too_large_never_reach_the_server() {
    for (call, said) in [
        ("request(\"GET\", \"u\", #{ header: 1 })", "got `header`"),
        ("request(\"GET\", \"u\", #{ timeout: -1 })", "timeout"),
        ("request(\"GET\", \"u\", #{ redirects: 1.0 })", "redirects"),
        ("request(\"GET\", \"u\", #{ headers: [] })", "headers"),
        (
            "request(\"GET\", \"u\", #{ headers: #{ a: 1 } })",
            "header `a`",
        ),
        ("post(\"u\", |x| x)", "expected data"),
        (
            "post(\"u\", { let s = \"0123456789abcdef\"; for _ in 0..16 { s = `${s}${s}`; } s })",
            "send less at once",
        ),
    ] {
        let source = format!("pub async fn main() {{ crucible::http::{call}.await }}");
        let finished = in_production(&source);
        let message = &finished.error().message;
        assert!(message.contains(said), "{call}: {message}");
        assert!(finished.host_calls().is_empty(), "{call}");
    }
}

//! Writes what each target begins with: `seeds FOLDER` makes a folder for each target in it.

use std::fs;
use std::path::Path;

use crucible_fuzz::sources;
use crucible_vm::fuzz::v1::{value::Kind, ListValue, NullValue, ObjectValue, ScriptSource, Value};
use crucible_vm::fuzz::vm::{
    host_reply, server_frame, start, zygote_request, Assign, Cancel, ChildLimits, CompileJob,
    ExecuteJob, HostReply, JobLimits, OutputCredit, ServerFrame, Spawn, Start, ZygoteRequest,
};
use prost::Message;

const PROTOCOL_VERSION: u32 = crucible_vm::fuzz::PROTOCOL_VERSION;
/// Cases that are decisions of a generator.
const DECISIONS: u64 = 96;
const DECISION_BYTES: usize = 384;
const MODULES: [&str; 3] = ["crucible::basic", "crucible::http", "crucible::json"];

fn main() {
    let folder = std::env::args().nth(1);
    let folder = folder.expect("usage: seeds FOLDER");
    let folder = Path::new(&folder);
    let texts = sources::texts();
    for target in ["compile", "run"] {
        write(folder, target, texts.iter().map(|text| text.clone().into()));
        write(
            folder,
            target,
            (0..DECISIONS).map(|seed| decisions(1, seed)),
        );
    }
    write(
        folder,
        "unit",
        (0..DECISIONS).map(|seed| decisions(0, seed)),
    );
    write(
        folder,
        "values",
        (0..DECISIONS).map(|seed| decisions(1, seed)),
    );
    let encoded = values().into_iter().map(|value| value.encode_to_vec());
    write(
        folder,
        "values",
        encoded.map(|bytes| [vec![0], bytes].concat()),
    );
    write(
        folder,
        "frames",
        jobs(&texts).iter().flat_map(|frames| streams(frames)),
    );
    write(folder, "frames", [datagrams()].into_iter());
}

/// By their content, as libFuzzer names its own.
fn write(folder: &Path, target: &str, cases: impl Iterator<Item = Vec<u8>>) {
    let folder = folder.join(target);
    fs::create_dir_all(&folder).expect("the folder can be made");
    for case in cases {
        let name = case.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        fs::write(folder.join(format!("{name:016x}")), case).expect("a case can be written");
    }
}

/// The same for the same seed.
fn decisions(first: u8, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = vec![first];
    bytes.extend((0..DECISION_BYTES).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    }));
    bytes
}

fn of(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn values() -> Vec<Value> {
    let mut values = vec![
        of(Kind::NullValue(NullValue {})),
        of(Kind::BoolValue(true)),
        of(Kind::IntValue(i64::MIN)),
        of(Kind::UintValue(u64::MAX)),
        of(Kind::DoubleValue(f64::NAN)),
        of(Kind::StringValue("text \u{1f600}".to_owned())),
        of(Kind::BytesValue(vec![0, 255])),
        Value { kind: None },
    ];
    let fields = values.iter().cloned().enumerate();
    let fields = fields.map(|(number, value)| (format!("k{number}"), value));
    let object = ObjectValue {
        fields: fields.collect(),
    };
    let mut deep = of(Kind::ObjectValue(object));
    for _ in 0..34 {
        values.push(deep.clone());
        deep = of(Kind::ListValue(ListValue { values: vec![deep] }));
    }
    values
}

fn jobs(texts: &[String]) -> Vec<Vec<ServerFrame>> {
    let source = |text: &String| ScriptSource {
        source: text.clone(),
        ..ScriptSource::default()
    };
    let calls = [
        "pub fn main(a) { crucible::basic::log(\"warn\", a); println!(\"{}\", crucible::basic::now()); a }",
        "pub async fn main(a) { let got = crucible::http::get(\"http://localhost/\").await; [a, got?.status] }",
        "pub async fn main(a) { let b = crucible::basic::sleep(1); let c = crucible::basic::sleep(2); c.await; b.await; a }",
    ];
    let calls: Vec<String> = calls.iter().map(|text| (*text).to_owned()).collect();
    let mut jobs = Vec::new();
    for (number, text) in texts.iter().take(12).chain(&calls).enumerate() {
        jobs.push(vec![begin(start::Job::Compile(CompileJob {
            source: Some(source(text)),
        }))]);
        let execute = start::Job::Execute(ExecuteJob {
            unit: [b"SOURCE:", text.as_bytes()].concat(),
            function: "main".to_owned(),
            arguments: vec![of(Kind::IntValue(3))],
            file_name: "main.rn".to_owned(),
            profile: number % 2 == 1,
        });
        let replies = (1..=3).map(|call_id| reply(call_id, call_id % 2 == 0));
        let mut frames = vec![begin(execute)];
        frames.extend(replies.map(|reply| frame(server_frame::Frame::HostReply(reply))));
        let credit = OutputCredit { bytes: 100 };
        frames.insert(2, frame(server_frame::Frame::OutputCredit(credit)));
        jobs.push(frames.clone());
        let cancel = Cancel {
            reason: "enough".to_owned(),
        };
        frames.insert(1, frame(server_frame::Frame::Cancel(cancel)));
        jobs.push(frames);
    }
    jobs
}

fn begin(job: start::Job) -> ServerFrame {
    let mut journal = vec![reply(1, false)];
    journal.retain(|_| matches!(&job, start::Job::Execute(job) if job.unit.len() % 2 == 0));
    frame(server_frame::Frame::Start(Start {
        protocol_version: PROTOCOL_VERSION,
        seed: vec![1; 32],
        start_time_ns: 1_700_000_000_000_000_000,
        limits: Some(JobLimits {
            memory_bytes: 1 << 20,
            max_operations: 10_000,
            output_bytes: 1000,
            return_bytes: 1000,
            max_host_calls: 4,
            host_calls_in_flight: 2,
            ..JobLimits::default()
        }),
        modules: MODULES.map(str::to_owned).to_vec(),
        output_credit_bytes: 20,
        journal,
        environment: [("KEY".to_owned(), "value".to_owned())].into(),
        job: Some(job),
        ..Start::default()
    }))
}

fn reply(call_id: u64, fails: bool) -> HostReply {
    HostReply {
        call_id,
        time_ns: 1_700_000_000_000_000_000 + call_id as i64,
        outcome: Some(match fails {
            true => host_reply::Outcome::Error("refused".to_owned()),
            false => host_reply::Outcome::Value(of(Kind::NullValue(NullValue {}))),
        }),
    }
}

fn frame(frame: server_frame::Frame) -> ServerFrame {
    ServerFrame { frame: Some(frame) }
}

/// Both as a stream with its own lengths, and as frames whose lengths are always right.
fn streams(frames: &[ServerFrame]) -> [Vec<u8>; 2] {
    let [mut stream, mut parts] = [vec![0], vec![1]];
    for frame in frames {
        let bytes = frame.encode_to_vec();
        stream.extend((bytes.len() as u32).to_le_bytes());
        parts.extend((bytes.len() as u16).to_le_bytes());
        stream.extend(&bytes);
        parts.extend(&bytes);
    }
    [stream, parts]
}

fn datagrams() -> Vec<u8> {
    let limits = |limit| {
        Some(ChildLimits {
            wall_time_ms: limit,
            cpu_time_ms: limit,
            heap_bytes: limit << 20,
        })
    };
    let spawn = Spawn {
        child_id: 1,
        limits: limits(100),
        is_spare: true,
    };
    let assign = |limit| {
        zygote_request::Request::Assign(Assign {
            child_id: 1,
            limits: limits(limit),
        })
    };
    let mut bytes = vec![2];
    for request in [
        zygote_request::Request::Spawn(spawn),
        assign(50),
        assign(70),
    ] {
        let request = ZygoteRequest {
            request: Some(request),
        };
        let encoded = request.encode_to_vec();
        bytes.extend((encoded.len() as u16).to_le_bytes());
        bytes.extend(&encoded);
    }
    bytes
}

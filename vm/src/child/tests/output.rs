//! What scripts print.

use super::{execute, execute_limited, execute_with, limits, shown, start_frame, Finished};
use crate::frames::v1::ExecutionErrorKind;
use crate::frames::vm::{
    child_frame, host_reply, server_frame, HostReply, JobLimits, OutputCredit, Start,
};

fn outputs(finished: &Finished) -> Vec<(bool, String)> {
    finished
        .frames
        .iter()
        .filter_map(|frame| match &frame.frame {
            Some(child_frame::Frame::Output(output)) => Some((
                output.is_stderr,
                String::from_utf8_lossy(&output.data).into_owned(),
            )),
            _ => None,
        })
        .collect()
}

#[test]
fn all_ways_to_print_print() {
    let source = "use crucible::basic::{eprint, eprintln};
    pub fn main() {
        print!(\"a{}\", 1); println!(\"b{:?}\", \"x\"); dbg!(1, \"y\"); print(\"c\"); println(\"d\");
        crucible::basic::eprint!(\"e{}\", 2); crucible::basic::eprintln!(\"f{:>3}\", 3); eprint(\"g\"); eprintln(\"h\");
    }";
    let (stdout, stderr) = execute(source).texts();
    assert_eq!(stdout, "a1b\"x\"\n1\n\"y\"\ncd\n");
    assert_eq!(stderr, "e2f  3\ngh\n");
}

#[test]
fn the_order_of_both_streams_is_kept() {
    let source =
        "pub fn main() { for i in 0..3 { print!(\"{i}\"); crucible::basic::eprint!(\"{i}\"); } }";
    let order: Vec<_> = outputs(&execute(source));
    let expected: Vec<_> = (0..3)
        .flat_map(|i| [(false, i.to_string()), (true, i.to_string())])
        .collect();
    assert_eq!(order, expected);
}

#[test]
fn much_output_travels_in_few_frames() {
    let finished = execute("pub fn main() { for i in 0..5000 { println!(\"line {i}\"); } }");
    let (stdout, _) = finished.texts();
    assert_eq!(stdout.lines().count(), 5000);
    assert!(
        outputs(&finished).len() < 1000,
        "{} frames",
        outputs(&finished).len()
    );
}

#[test]
fn characters_are_never_cut() {
    let source = "pub fn main() { let s = \"\"; for _ in 0..20000 { s += \"\u{1f600}\u{e9}\"; } print(s); s.len() }";
    let finished = execute(source);
    assert_eq!(finished.texts().0.len(), 120_000);
}

#[test]
fn a_flood_ends_at_the_limit() {
    let finished = execute_limited(
        "pub fn main() { loop { println!(\"\u{e9}\u{e9}\"); } }",
        JobLimits {
            output_bytes: 1001,
            ..limits()
        },
    );
    let error = finished.error();
    assert_eq!(error.kind(), ExecutionErrorKind::OutputExceeded);
    assert_eq!(
        (error.limit_name.as_str(), error.limit_value, error.line),
        ("max_output_bytes", 1001, 1)
    );
    let (stdout, _) = finished.texts();
    assert_eq!(stdout.len(), 1000);
}

#[test]
fn nothing_is_sent_beyond_the_credits() {
    let source = "use crucible::probe::ask;
        pub async fn main() { let a = ask(\"a\"); println!(\"12345\\u{1f600}78\"); a.await? }";
    // The call leaves before the text: its answer carries the credits that the text waits for.
    let start = Start {
        output_credit_bytes: 7,
        ..start_frame()
    };
    let finished = execute_with(source, "main", Vec::new(), start, &mut |call| {
        let outcome = Some(host_reply::Outcome::Error("late".to_owned()));
        vec![
            server_frame::Frame::HostReply(HostReply {
                call_id: call.call_id,
                time_ns: 0,
                outcome,
            }),
            server_frame::Frame::OutputCredit(OutputCredit { bytes: 3 }),
            server_frame::Frame::OutputCredit(OutputCredit { bytes: 100 }),
        ]
    });
    assert_eq!(finished.error().kind(), ExecutionErrorKind::ReturnedErr);
    let sent: Vec<_> = outputs(&finished)
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    assert_eq!(sent, ["12345", "\u{1f600}7", "8\n"].map(str::to_owned));
}

#[test]
fn output_before_an_error_arrives() {
    let finished = execute("pub fn main() { print!(\"before\"); panic!(\"x\") }");
    assert_eq!(finished.texts().0, "before");
    assert_eq!(finished.error().kind(), ExecutionErrorKind::Panic);
}

#[test]
fn frames_can_be_slowed_down() {
    let source =
        "pub fn main() { for i in 0..4 { print!(\"x\"); crucible::basic::eprint!(\"y\"); } 1 }";
    let started = std::time::Instant::now();
    let finished = execute_limited(
        source,
        JobLimits {
            frames_per_second: 5,
            ..limits()
        },
    );
    assert_eq!(shown(finished.value()), "1");
    assert!(started.elapsed() >= std::time::Duration::from_millis(900));
}

//! JSON texts by the trickier things that texts do, and values on their way out and back.

use rune::alloc;
use rune::runtime::{Bytes, Object};
use rune::Value;

use super::{read::read, write::write, Problem, Style, MAX_DEPTH};

/// What reads, with what it is written as again.
const READS: &[(&str, &str)] = &[
    ("1", "1"),
    ("-0", "0"),
    ("1.0", "1.0"),
    ("-0.0", "-0.0"),
    ("1e2", "100.0"),
    ("1E+2", "100.0"),
    ("123e-2", "1.23"),
    ("0.1", "0.1"),
    ("1e-400", "0.0"),
    ("5e-324", "5e-324"),
    ("2.2250738585072011e-308", "2.225073858507201e-308"),
    ("9007199254740993", "9007199254740993"),
    ("9007199254740993.0", "9007199254740992.0"),
    ("9223372036854775807", "9223372036854775807"),
    ("-9223372036854775808", "-9223372036854775808"),
    ("9223372036854775808", "9223372036854775808"),
    ("18446744073709551615", "18446744073709551615"),
    ("18446744073709551616.0", "1.8446744073709552e19"),
    ("1.7976931348623157e308", "1.7976931348623157e308"),
    (" \t\r\n[ ] \n", "[]"),
    ("[null,true,false]", "[null,true,false]"),
    ("{}", "{}"),
    ("{\"b\":1,\"a\":{\"c\":[]}}", "{\"a\":{\"c\":[]},\"b\":1}"),
    ("{\"a\":1,\"a\":2}", "{\"a\":2}"),
    ("{\"\":0}", "{\"\":0}"),
    ("\"\"", "\"\""),
    (
        "\"\\u0061\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"a\\\"\\\\/\\u0008\\u000c\\n\\r\\t\"",
    ),
    ("\"\\u0000\"", "\"\\u0000\""),
    ("\"\\ud83e\\udd80\"", "\"\u{1f980}\""),
    ("\"\\uDBFF\\uDFFF\"", "\"\u{10ffff}\""),
    (
        "\"\u{7f}\u{80}\u{2028}\u{feff}\"",
        "\"\\u007f\u{80}\u{2028}\u{feff}\"",
    ),
    ("\"\u{1f980}\"", "\"\u{1f980}\""),
    ("[\"a\",[\"b\",[\"c\"]]]", "[\"a\",[\"b\",[\"c\"]]]"),
];

/// What does not, with line and column where that is said.
const REFUSES: &[(&str, &str)] = &[
    ("", "line 1, column 1"),
    (" \n ", "line 2, column 2"),
    ("nul", "line 1, column 1"),
    ("True", "line 1, column 1"),
    ("NaN", ""),
    ("Infinity", ""),
    ("-Infinity", ""),
    ("+1", "line 1, column 1"),
    ("01", ""),
    ("-", ""),
    ("-01", ""),
    ("1.", ""),
    (".5", ""),
    ("1.e1", ""),
    ("1e", ""),
    ("1e+", ""),
    ("0x10", ""),
    ("1_000", ""),
    ("1 2", "line 1, column 3"),
    ("1,", ""),
    ("[1,]", ""),
    ("[,1]", ""),
    ("[1 2]", ""),
    ("[1", ""),
    ("]", ""),
    ("[1}", ""),
    ("{\"a\":1,}", ""),
    ("{\"a\" 1}", ""),
    ("{\"a\":}", ""),
    ("{a:1}", "line 1, column 2"),
    ("{1:1}", ""),
    ("{\"a\":1", ""),
    ("{\"a\"}", ""),
    ("{\"a\":1 \"b\":2}", ""),
    ("'a'", "line 1, column 1"),
    ("\"a", ""),
    ("\"\\x41\"", ""),
    ("\"\\u12\"", ""),
    ("\"\\u12G4\"", ""),
    ("\"a\nb\"", ""),
    ("\"a\tb\"", ""),
    ("\"\u{0}\"", ""),
    ("\"\\ud800\"", ""),
    ("\"\\ud800x\"", ""),
    ("\"\\ud800\\u0061\"", ""),
    ("\"\\udc00\"", ""),
    ("\"\\udc00\\ud800\"", ""),
    ("// c\n1", ""),
    ("/* c */ 1", ""),
    ("1 // c", ""),
    ("{\"a\": \u{1f980}}", "line 1, column 7"),
    ("[\n  \"\u{fc}\u{1f980}\", x]", "line 2, column 9"),
    ("[1,\n 2,\n  oops]", "line 3, column 3"),
    (
        "18446744073709551616",
        "18446744073709551616 does not fit into 64 bits",
    ),
    ("[1,\n  -9223372036854775809]", "line 2, column 3"),
    ("1e400", "beyond what a 64-bit float can hold"),
    ("-1e999999999999", "beyond what a 64-bit float can hold"),
];

fn text(value: &Value, style: Style) -> Result<String, String> {
    match write(value, style) {
        Ok(text) => Ok(text.as_str().to_owned()),
        Err(problem) => Err(message(problem)),
    }
}

fn message(problem: Problem) -> String {
    match problem {
        Problem::Unfit(message) => message,
        Problem::Vm(error) => panic!("{error}"),
    }
}

fn value(json: &str) -> Value {
    read(json.as_bytes()).unwrap_or_else(|problem| panic!("{json}: {}", message(problem)))
}

#[test]
fn what_reads_is_written_as_the_same() {
    for (json, written) in READS {
        let compact = text(&value(json), Style::Compact);
        assert_eq!(compact.as_deref(), Ok(*written), "{json}");
        // What was written reads as the same once more, also with line breaks.
        let pretty = text(&value(written), Style::Pretty).expect("it was written before");
        assert_eq!(
            text(&value(&pretty), Style::Compact).as_deref(),
            Ok(*written)
        );
    }
}

#[test]
fn what_does_not_read_says_where() {
    for (json, said) in REFUSES {
        let problem = read(json.as_bytes()).map(|_| ()).expect_err(json);
        let message = message(problem);
        assert!(
            message.starts_with("no valid JSON at line "),
            "{json}: {message}"
        );
        assert!(message.contains(said), "{json}: {message}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    for bytes in [
        &b"\"\xff\""[..],
        b"\xff",
        b"\"\xc0\x80\"",
        b"\"\xed\xa0\x80\"",
        b"[\"a\xf0\x9f\"]",
        b"\xef\xbb",
        b"\x00",
    ] {
        assert!(read(bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn every_cut_of_a_text_is_refused_and_no_change_of_a_byte_panics() {
    let json = "{\"a\\u00e9\":[1,-2.5e3,true,null,\"\\ud83e\\udd80x\"],\"b\":{\"c\":18446744073709551615}}";
    let whole = text(&value(json), Style::Compact).expect("it can be written");
    for end in 0..json.len() {
        assert!(read(&json.as_bytes()[..end]).is_err(), "cut at {end}");
    }
    for at in 0..json.len() {
        for byte in 0..=255 {
            let mut bytes = json.as_bytes().to_vec();
            bytes[at] = byte;
            if let Ok(value) = read(&bytes) {
                let written = text(&value, Style::Compact).expect("what was read can be written");
                if byte == json.as_bytes()[at] {
                    assert_eq!(written, whole);
                }
            }
        }
    }
}

#[test]
fn depth_is_bounded_in_both_directions() {
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let deepest = value(&nested(MAX_DEPTH));
    assert_eq!(text(&deepest, Style::Compact), Ok(nested(MAX_DEPTH)));
    let problem = read(nested(MAX_DEPTH + 1).as_bytes()).expect_err("too deep");
    assert!(message(problem).contains("at most 128 nested"));
    let objects = format!(
        "{}1{}",
        "{\"a\":".repeat(MAX_DEPTH + 1),
        "}".repeat(MAX_DEPTH + 1)
    );
    assert!(read(objects.as_bytes()).is_err());
    // Text that never closes is no deeper than any other.
    assert!(read("[".repeat(10_000_000).as_bytes()).is_err());
    let mut deeper = alloc::Vec::new();
    deeper.try_push(deepest).expect("memory");
    let deeper = Value::vec(deeper).expect("memory");
    assert!(text(&deeper, Style::Compact)
        .expect_err("too deep")
        .contains("contains itself"));
}

#[test]
fn what_json_cannot_say_is_refused_by_path() {
    let object = |name: &str, value: Value| {
        let mut object = Object::new();
        let name = alloc::String::try_from(name).expect("memory");
        object.insert(name, value).expect("memory");
        Value::new(object).expect("memory")
    };
    let bytes = Value::new(Bytes::from_vec(alloc::Vec::new())).expect("memory");
    for (value, said) in [
        (object("a", Value::from(f64::NAN)), "`$.a`"),
        (object("a b", Value::from(f64::INFINITY)), "`$[\"a b\"]`"),
        (bytes, "JSON has no bytes"),
    ] {
        let message = text(&value, Style::Compact).expect_err("it has no JSON");
        assert!(message.contains(said), "{message}");
    }
}

#[test]
fn pretty_is_indented_by_two() {
    let written = text(&value("{\"a\":[1,{}],\"b\":[]}"), Style::Pretty);
    assert_eq!(
        written.as_deref(),
        Ok("{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}")
    );
}

#[test]
fn memory_is_the_scripts() {
    let json = format!("[{}\"\"]", "\"abcdefghijklmnop\",".repeat(10_000));
    let limited = |bytes| alloc::limit::with(bytes, || read(json.as_bytes()).is_ok()).call();
    assert!(limited(10 << 20));
    assert!(!limited(100 << 10));
    let value = value(&json);
    let written = alloc::limit::with(100 << 10, || write(&value, Style::Compact).is_ok()).call();
    assert!(!written);
}

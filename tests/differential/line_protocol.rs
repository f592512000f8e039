//! Line protocol as haflux reads it against InfluxDB's own parser, on bodies made to be misread.
//!
//! `HAFLUX_DIFFERENTIAL_CASES` says how many bodies are made up (default 4000), `HAFLUX_DIFFERENTIAL_SEED` repeats a run.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use bytes::Bytes;
use fastrand::Rng;
use haflux::influx::Precision;
use haflux::influx::line_protocol::{
    Ending, LineKind, LineShape, Lines, ending, in_nanoseconds, inspect, normalize, split,
};
use serde::Deserialize;

use crate::build;

use build::build;

/// The moment at which the original bodies arrive.
const NOW: i64 = 1_700_000_000_123_456_789;

/// The moment at which what haflux made of them arrives at a replica.
const LATER: i64 = NOW + 86_400_000_000_000 + 1_234_567_891_011;

const PRECISIONS: [Precision; 6] = [
    Precision::Nanoseconds,
    Precision::Microseconds,
    Precision::Milliseconds,
    Precision::Seconds,
    Precision::Minutes,
    Precision::Hours,
];

/// Bodies that once were, or could be, misread.
const NASTY: [&[u8]; 50] = [
    b"",
    b"\n",
    b"m v=1",
    b"m v=1 5\nn v=2\n",
    b"m v=1\r\nn v=2 5\r\n\r\n",
    b"# x=\"a\nm v=1\n",
    b"# c:\\\nm v=1\nn v=1",
    b"# c:\\",
    b"bad x=\"a\nm v=1\nn s=\"b\"\no v=1",
    b"m s=\"abc",
    b"m2 s=\"def\" 5",
    b"m3 s=\"ghi",
    b"m v=\"x\"\\",
    b"m v=\"x\"\\\n",
    b"m v=\"x\"\\\n\nn v=1",
    b"m v=\"x\"\\\"",
    b"m v=\"x\"\\\\",
    b"m v=\"x\"\\\\\\",
    b"m v=\"x\"\\ ",
    b"m v=\"x\"\\ 5",
    b"m v=\"x\"\\\\ 5",
    b"m v=\"a\"\\,b\"=5\"\\",
    b"m v=\"a\"\\,b\"=\"5\"\\",
    b" m=\" v=1",
    b" m=\" v=1\n",
    b" m=\" v=1 \nrest",
    b" m=\" v=1 \nx\" y\nn v=2",
    b" m=\" v=1 \nx\" 5\nn v=2",
    b"m\\\\ a=\" v=1 \nx\" y\nn v=2",
    b" m=\" v=\"x\"\n\n",
    b"m\\\\ v=1\nn v=1",
    b"m,a\\= =1 v=1",
    b"m,b=1,a=2,b=3 v=1",
    b"m,c=1,b=2,a=3 v=1",
    b"m a\\\\=1,b=2",
    b"m \t=1",
    b"m v=1 -\nm v=1 --5\nm v=1 5 6\nm v=1 +5\nm v=1 5\t\nm v=1 5 ",
    b"m v=1 9223372036854775806\nm v=1 9223372036854775807\nm v=1 99999999999999999999",
    b"m v=1e400\nm v=1e5e5\nm v=-e5\nm v=1.5i\nm v=1u\nm v=NaN\nm v=n",
    b"m v=t,w=T,x=True,y=FALSE\nm v=tRUE\nm v=t\\",
    b"m\0\t v=1 \0\t5\n\0 \tm v=2\n\0#\n",
    b"\xef\xbb\xbfm v=1\n\xff v=1",
    b"m v=\"\n#\n\n\",w=1\n\\",
    b"m v=1 5\n\\",
    // Most of these end the process of a real InfluxDB.
    b"5=\"x\" \t\\\\=\"=\"",
    b"m \\\\=\"=\" 5",
    b"m v=1,\\\\=\"=\" \t 5",
    b"n v=1\nm \\\\=\"=\"\no v=2\n",
    b" m=\" \\\\=\"=\" \nrest",
    b"m v=\"=\" 5\nm v=\"=\"",
];

const PARTS: [&[u8]; 78] = [
    b"\\",
    b"\\",
    b"\\",
    b"\"",
    b"\"",
    b"\"",
    b"\n",
    b"\n",
    b"\n",
    b" ",
    b" ",
    b" ",
    b",",
    b",",
    b"=",
    b"=",
    b"\t",
    b"\r",
    b"\0",
    b"#",
    b"\\\n",
    b"\\\"",
    b"\\\\",
    b"\\ ",
    b"\\,",
    b"\\=",
    b" \n",
    b"m",
    b"m v=1",
    b"m v=1 5",
    b"m v=1 -5\n",
    b"\nn v=2",
    b"\nn v=2\n",
    b"m,a=b v=1",
    b",a=b",
    b",c=d",
    b" v=1",
    b",v=1",
    b"v=",
    b"=\"x\"",
    b"\\\\=\"=\"",
    b" \\\\=\"=\" 5",
    b"=\"",
    b"\",w=\"",
    b"\" ",
    b"\\\" ",
    b"=1i",
    b"=t",
    b"=1e5",
    b"=-1.5",
    b"=.",
    b"1",
    b"5",
    b"-",
    b"e",
    b"i",
    b"T",
    b" 5",
    b" 123456789",
    b" 9223372036854775807",
    b"# c",
    b"\n# c=\"",
    b"# ",
    b" m=\"",
    b"m\\\\ a=\"",
    b"m\\ n",
    b"x",
    b" \t",
    b" \t\n",
    b"v=\"x\"\\",
    b"v=\"x\"abc",
    b"v=\"x\"\\\\",
    b"\"=5",
    b" m=\" v=1 \n",
    b"\xff",
    "µ".as_bytes(),
    b"N",
    b"+",
];

#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    lines: Vec<OracleLine>,
    points: Vec<String>,
    error: String,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase")]
struct OracleLine {
    start: usize,
    end: usize,
    has_timestamp: bool,
    is_unsafe: bool,
    error: String,
}

/// One body to be parsed at a time.
struct Question {
    time: i64,
    precision: Precision,
    body: Bytes,
}

fn at(time: i64, precision: Precision, body: impl Into<Bytes>) -> Question {
    Question {
        time,
        precision,
        body: body.into(),
    }
}

/// Builds the oracle once, and says where it is.
fn oracle() -> &'static Path {
    static ORACLE: OnceLock<PathBuf> = OnceLock::new();
    ORACLE.get_or_init(|| {
        let parser = "github.com/influxdata/influxdb/models/points.go";
        build(
            "line_protocol",
            (parser, "golang-github-influxdb-influxdb-dev"),
        )
    })
}

/// What InfluxDB makes of bodies, in order.
fn ask(questions: &[Question]) -> Vec<Answer> {
    let mut child = Command::new(oracle())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the oracle starts");
    let mut input = child.stdin.take().expect("its input");
    let output = BufReader::new(child.stdout.take().expect("its output"));
    let answers = std::thread::scope(|scope| {
        scope.spawn(move || {
            for question in questions {
                let mut request = question.time.to_be_bytes().to_vec();
                request.extend_from_slice(format!("{:2}", question.precision.v1_name()).as_bytes());
                request.extend_from_slice(
                    &u32::try_from(question.body.len())
                        .expect("a short body")
                        .to_be_bytes(),
                );
                request.extend_from_slice(&question.body);
                input.write_all(&request).expect("the oracle listens");
            }
        });
        let lines = output
            .lines()
            .map(|line| serde_json::from_str(&line.expect("a line")).expect("an answer"));
        lines.collect::<Vec<Answer>>()
    });
    assert!(child.wait().expect("the oracle ends").success());
    assert_eq!(answers.len(), questions.len());
    answers
}

/// Pieces of line protocol thrown together, or whole lines with a few bytes changed.
fn made_up(random: &mut Rng) -> Vec<u8> {
    let mut body = Vec::new();
    if random.bool() {
        for _ in 0..random.usize(0..14) {
            body.extend_from_slice(random.choice(PARTS).expect("a part"));
        }
        return body;
    }
    for _ in 0..random.usize(1..4) {
        let key = random.choice([
            &b"m"[..],
            b"m,a=b",
            b"m,b=1,a=2",
            b"m\\ x,a\\,=\\ ",
            b" m=\"",
            b"# m",
            b"m\\\\ a=\"",
            b"m,a=\"q",
        ]);
        let fields = random.choice([
            &b"v=1"[..],
            b"v=1i,w=t",
            b"v=\"a b\"",
            b"v=\"a\nb\\\"\",w=-1e5",
            b"v=\"x\"\\",
            b"v=\"\\\\\"",
            b"v=\"\"x",
        ]);
        let time = random.choice([
            &b""[..],
            b"",
            b" ",
            b" 5",
            b" -5",
            b" 1700000000000000000",
            b" \t",
            b" \0 7",
            b" x",
        ]);
        for section in [key, Some(&b" "[..]), fields, time, Some(&b"\n"[..])] {
            body.extend_from_slice(section.expect("a section"));
        }
    }
    if random.bool() {
        body.pop();
    }
    for _ in 0..random.usize(0..3) {
        let position = random.usize(0..body.len().max(1)).min(body.len());
        let end = (position + random.usize(0..3)).min(body.len());
        let part = random.choice(PARTS).expect("a part");
        body.splice(position..end, part.iter().copied());
    }
    body
}

/// The hand-made bodies, with and without a last newline, and then the made-up ones.
fn bodies() -> (Rng, Vec<Bytes>) {
    let from_environment = |name| {
        std::env::var(name)
            .ok()
            .map(|value| value.parse::<u64>().expect(name))
    };
    let cases = from_environment("HAFLUX_DIFFERENTIAL_CASES").unwrap_or(4000);
    let seed = from_environment("HAFLUX_DIFFERENTIAL_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("HAFLUX_DIFFERENTIAL_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let mut bodies: Vec<Bytes> = NASTY.into_iter().map(Bytes::from_static).collect();
    bodies.extend(NASTY.into_iter().map(|body| [body, b"\n"].concat().into()));
    bodies.extend((0..cases).map(|_| Bytes::from(made_up(&mut random))));
    (random, bodies)
}

#[test]
fn lines_and_their_shapes_are_influxdbs() {
    let (_, bodies) = bodies();
    let questions: Vec<_> = bodies
        .iter()
        .map(|body| at(NOW, Precision::Nanoseconds, body.clone()))
        .collect();
    let mut accepted = 0;
    for (body, answer) in bodies.iter().zip(ask(&questions)) {
        let ours: Vec<_> = Lines::new(body)
            .filter(|line| line.kind == LineKind::Line)
            .map(|line| line.text)
            .collect();
        let theirs: Vec<_> = answer
            .lines
            .iter()
            .map(|line| line.start..line.end)
            .collect();
        assert_eq!(ours, theirs, "{body:?}");
        for line in &answer.lines {
            let shape = inspect(&body[line.start..line.end]);
            if line.error.starts_with("time outside range ") {
                // Complained of before what follows the timestamp is looked at; left to InfluxDB.
                assert_ne!(
                    shape,
                    LineShape::Accepted {
                        has_timestamp: false
                    },
                    "{body:?}"
                );
                continue;
            }
            if line.is_unsafe {
                assert!(
                    matches!(shape, LineShape::Unsafe { .. }),
                    "{body:?} {line:?} {shape:?}"
                );
                continue;
            }
            let has_timestamp = line.has_timestamp;
            let is_accepted = line.error.is_empty();
            let expected = if is_accepted {
                LineShape::Accepted { has_timestamp }
            } else {
                LineShape::Refused
            };
            assert_eq!(shape, expected, "{body:?} {line:?}");
            accepted += usize::from(expected != LineShape::Refused);
        }
    }
    println!("{accepted} accepted lines");
    assert!(
        accepted * 4 > bodies.len(),
        "too few of the bodies hold points: {accepted}"
    );
}

#[test]
fn a_body_in_nanoseconds_holds_the_same_points() {
    let (mut random, bodies) = bodies();
    let mut questions = Vec::new();
    for body in &bodies {
        let precision = PRECISIONS[random.usize(..PRECISIONS.len())];
        let normalized = normalize(body.clone(), NOW, precision, 1000);
        if let Some(changed) = in_nanoseconds(&normalized.body, precision) {
            assert_eq!(normalized.ending, ending(&changed), "{body:?}");
            questions.push(at(LATER, precision, normalized.body));
            questions.push(at(LATER, Precision::Nanoseconds, changed));
        }
    }
    let answers = ask(&questions);
    let mut with_points = 0;
    for (question, answer) in questions.chunks(2).zip(answers.chunks(2)) {
        let [as_it_was, changed] = answer else {
            unreachable!("two of each")
        };
        assert_eq!(as_it_was.points, changed.points, "{:?}", question[0].body);
        assert_eq!(
            as_it_was.error.is_empty(),
            changed.error.is_empty(),
            "{:?}",
            question[0].body
        );
        with_points += usize::from(!changed.points.is_empty());
    }
    println!(
        "{with_points} of {} bodies in nanoseconds hold points",
        answers.len() / 2
    );
    assert!(with_points * 10 > bodies.len(), "too few: {with_points}");
}

#[test]
fn a_normalized_body_means_the_same_at_any_time() {
    let (mut random, bodies) = bodies();
    let mut questions = Vec::new();
    let (mut stamped, mut changed, mut defused) = (0, 0, Vec::new());
    for body in &bodies {
        let precision = PRECISIONS[random.usize(..PRECISIONS.len())];
        let normalized = normalize(body.clone(), NOW, precision, 1000);
        assert_eq!(normalized.ending, ending(&normalized.body), "{body:?}");
        stamped += normalized.stamped;
        changed += usize::from(normalized.body != body);
        defused.push(normalized.defused);
        questions.push(at(NOW, precision, body.clone()));
        questions.push(at(LATER, precision, normalized.body));
    }
    let unsafe_bodies = defused.iter().filter(|&&count| count > 0).count();
    println!("{stamped} lines stamped, {changed} bodies changed, {unsafe_bodies} unsafe");
    assert!(
        stamped * 8 > bodies.len() && unsafe_bodies > 5,
        "too few bodies of a kind"
    );
    let answers = ask(&questions);
    for ((questions, answers), defused) in questions.chunks(2).zip(answers.chunks(2)).zip(defused) {
        let ([original, normalized], [of_original, of_normalized]) = (questions, answers) else {
            unreachable!("two by two");
        };
        let context = format!(
            "{:?} became {:?}, {:?}",
            original.body, normalized.body, original.precision
        );
        assert_eq!(of_normalized.points, of_original.points, "{context}");
        assert!(
            of_normalized.lines.iter().all(|line| !line.is_unsafe),
            "{context}"
        );
        assert!(
            of_normalized
                .lines
                .iter()
                .all(|line| line.has_timestamp || !line.error.is_empty()),
            "{context}"
        );
        if defused == 0 {
            assert_eq!(of_normalized.error, of_original.error, "{context}");
        } else {
            let refusals = of_normalized
                .error
                .matches("is not safe for InfluxDB")
                .count();
            assert_eq!(refusals, defused, "{context}");
        }
    }
}

/// Asserts that parts, each on its own, mean what the whole means.
fn assert_parts_are_the_whole(
    whole: &Bytes,
    of_whole: &Answer,
    parts: &[Bytes],
    of_parts: &[Answer],
) {
    let context = format!("{whole:?} from {parts:?}");
    let points: Vec<_> = of_parts.iter().flat_map(|part| &part.points).collect();
    let errors: Vec<_> = of_parts
        .iter()
        .map(|part| part.error.as_str())
        .filter(|error| !error.is_empty())
        .collect();
    assert_eq!(
        of_whole.points.iter().collect::<Vec<_>>(),
        points,
        "{context}"
    );
    assert_eq!(of_whole.error, errors.join("\\n"), "{context}");
}

fn assert_wholes_and_parts(cases: &[(Bytes, Vec<Bytes>)]) {
    let ask_each = |bodies: Vec<&Bytes>| {
        ask(&bodies
            .into_iter()
            .map(|body| at(NOW, Precision::Nanoseconds, body.clone()))
            .collect::<Vec<_>>())
    };
    let of_wholes = ask_each(cases.iter().map(|(whole, _)| whole).collect());
    let mut of_parts = ask_each(cases.iter().flat_map(|(_, parts)| parts).collect()).into_iter();
    for ((whole, parts), of_whole) in cases.iter().zip(&of_wholes) {
        let of_parts: Vec<_> = of_parts.by_ref().take(parts.len()).collect();
        assert_parts_are_the_whole(whole, of_whole, parts, &of_parts);
    }
}

#[test]
fn closed_bodies_may_be_joined() {
    let (mut random, bodies) = bodies();
    let closed: Vec<_> = bodies
        .iter()
        .filter(|body| ending(body) == Ending::Closed)
        .collect();
    let mut cases = Vec::new();
    for body in &bodies {
        let before: Vec<_> = (0..random.usize(1..3))
            .map(|_| closed[random.usize(..closed.len())].clone())
            .collect();
        let parts = [&before[..], std::slice::from_ref(body)].concat();
        let whole = parts.join(&b"\n"[..]).into();
        cases.push((whole, parts));
    }
    assert_wholes_and_parts(&cases);
}

#[test]
fn pieces_of_a_body_are_the_body() {
    let (mut random, bodies) = bodies();
    let mut cases = Vec::new();
    let mut several = 0;
    for pair in bodies.windows(2) {
        let whole = Bytes::from(pair.join(&b"\n"[..]));
        let parts = split(&whole, random.usize(1..40));
        several += usize::from(parts.len() > 1);
        cases.push((whole, parts));
    }
    println!("{several} bodies of several pieces");
    assert!(several * 4 > cases.len(), "too few bodies are cut");
    assert_wholes_and_parts(&cases);
}

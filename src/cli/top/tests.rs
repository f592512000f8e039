//! The screen, drawn on ratatui's pretended terminal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::view::{Next, View};
use super::{delay, screen};
use crate::stats::Stats;
use crate::stats::snapshot::Snapshot;
use crate::stats::tests::{full, lab, now};

const SECOND: Duration = Duration::from_secs(1);

struct Fixture {
    view: View,
    start: Instant,
}

impl Fixture {
    fn of(stats: &Stats) -> Fixture {
        let mut fixture = Fixture {
            view: View::new(SECOND),
            start: Instant::now(),
        };
        assert!(fixture.view.asks(fixture.start));
        fixture.take(stats);
        fixture
    }

    fn take(&mut self, stats: &Stats) {
        let mut all = Snapshot::take(stats, now());
        all.version = "9.9.9".to_owned();
        all.pid = 4711;
        self.view.answer(Ok(Box::new(all)), self.start);
    }

    fn press(&mut self, codes: &[KeyCode]) {
        for code in codes {
            let key = KeyEvent::new(*code, KeyModifiers::NONE);
            assert_eq!(self.view.key(key), Next::GoOn);
        }
    }

    fn write(&mut self, letters: &str) {
        let codes: Vec<KeyCode> = letters.chars().map(KeyCode::Char).collect();
        self.press(&codes);
    }

    /// The screen of this size, so long after the start.
    fn at(&mut self, width: u16, height: u16, after: Duration) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let now = self.start + after;
        terminal
            .draw(|frame| screen::draw(frame, &mut self.view, now))
            .unwrap();
        terminal
    }

    /// Its lines, without spaces at their ends.
    fn lines(&mut self, width: u16, height: u16) -> Vec<String> {
        let terminal = self.at(width, height, Duration::ZERO);
        let buffer = terminal.backend().buffer();
        let cells = buffer.content().chunks(usize::from(width.max(1)));
        cells
            .map(|cells| {
                let line: String = cells.iter().map(|cell| cell.symbol()).collect();
                line.trim_end().to_owned()
            })
            .collect()
    }

    /// The chosen line.
    fn chosen(&mut self) -> String {
        let terminal = self.at(200, 60, Duration::ZERO);
        let buffer = terminal.backend().buffer();
        let is_chosen = |cells: &&[ratatui::buffer::Cell]| {
            cells[0]
                .modifier
                .contains(ratatui::style::Modifier::REVERSED)
        };
        let line = buffer.content().chunks(200).find(is_chosen);
        let cells = line.unwrap_or_default().iter();
        let text: String = cells.map(|cell| cell.symbol()).collect();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn text(&mut self) -> String {
        self.lines(200, 60).join("\n")
    }
}

#[test]
fn what_is_wrong_stands_first_and_everything_has_its_row() {
    let lines = Fixture::of(&lab()).lines(100, 24);
    assert_eq!(lines, EVERYTHING);
}

const EVERYTHING: [&str; 24] = [
    "haflux 9.9.9  process 4711  runs for 1 d 2 h                                               every 1 s",
    "Relay influx_relay takes no writes, and one thing more.",
    "everything",
    "SEVERITY  WHAT IS WRONG",
    "ERROR     Relay influx_relay takes no writes",
    "ERROR     Replica influxlab2 is DOWN",
    "",
    "FRONTEND      CONNECTIONS     REQ/S  REQUESTS   4XX  5XX  IN       OUT      BIND",
    "http_front    1 of 2,000      0      1,240      1    0    314 KiB  3.6 MiB  0.0.0.0:80",
    "influx_front  1,851 of 2,000  0      1,851,659  1    0    459 MiB  5.3 GiB  0.0.0.0:8086, [::]:8086",
    "",
    "BACKEND       STATE  SERVERS UP  UNDER WAY  REQ/S  REQUESTS   5XX  BALANCE",
    "influx_back   UP     1 of 2      1,732      0      1,732,650  0    roundrobin",
    "grafana_back  UP     1 of 1      1,732      0      1,732,650  0    roundrobin",
    "",
    "SERVER                  STATE     SINCE       WEIGHT  UNDER WAY  REQ/S  REQUESTS  LAST CHECK",
    "influx_back/influxlab   UP        1 d 2 h     1       866        0      866,325   L7OK 204 in 2 ms",
    "influx_back/influxlab2  DOWN      2 min 12 s  1       866        0      866,325   L4CON in < 1 ms",
    "grafana_back/influxlab  no check  1 d 2 h     1       0          0      0         -",
    "",
    "RELAY         FRESH   ONE NODE  BACKLOG   REQ/S  HEAD    ACKNOWLEDGED  REJECTED  DEAD LETTERS  ON DI",
    "influx_relay  1 of 2  304       89.0 KiB  0      59,504  59,500        0         0             96.0",
    "",
    "Enter in  Esc out  / filter  s sort  p pause  ? keys  q quit",
];

#[test]
fn a_replica_shows_its_lanes_and_every_figure() {
    let mut fixture = Fixture::of(&full());
    fixture.press(&[KeyCode::End, KeyCode::Enter]);
    assert_eq!(
        fixture.chosen().split(' ').next(),
        Some("influx_relay/influxlab")
    );
    fixture.press(&[KeyCode::Down, KeyCode::Enter]);
    assert_eq!(fixture.lines(100, 16), REPLICA);
    // Out again, to where it was.
    fixture.press(&[KeyCode::Esc]);
    assert_eq!(
        fixture.chosen().split(' ').next(),
        Some("influx_relay/influxlab2")
    );
    fixture.press(&[KeyCode::Left]);
    assert_eq!(fixture.chosen().split(' ').next(), Some("influx_relay"));
    fixture.press(&[KeyCode::Esc]);
    assert!(fixture.text().contains("\neverything\n"));
}

const REPLICA: [&str; 16] = [
    "haflux 9.9.9  process 4711  runs for 1 d 2 h                                               every 1 s",
    "Relay influx_relay takes no writes, and 2 things more.",
    "everything > relay influx_relay > replica influxlab2",
    "Last error, 9.0 s ago: it failed",
    "Lanes with records that have no verdict: 21; the slowest 1:",
    "",
    "DATABASE  RECORDS  UNDER WAY  WAITS FOR   HELD",
    "telegraf  300      12         2 min 12 s  yes",
    "",
    "FIGURE           VALUE                     MEANING",
    "name             influxlab2                The name of its server.",
    "version          1.6.7                     The release of InfluxDB that it named last, as the label",
    "status           down                      Whether it has applied everything, is catching up, cannot",
    "since            2025-12-31T23:57:48.250Z  Since when it is in this state.",
    "in_doubt         no                        Whether something that it was sent and did not answer may",
    "Enter in  Esc out  / filter  s sort  p pause  ? keys  q quit",
];

#[test]
fn a_problem_says_why_and_what_to_do() {
    let mut fixture = Fixture::of(&lab());
    fixture.press(&[KeyCode::Enter]);
    let text = fixture.text();
    assert!(text.contains("\neverything > what is wrong\n"), "{text}");
    assert!(text.contains("\n    $ haflux journal inspect\n"), "{text}");
    assert!(
        text.contains("\nERROR: Replica influxlab2 is DOWN\n"),
        "{text}"
    );
    // What is longer than the screen is scrolled.
    let first = "ERROR: Relay influx_relay takes no writes";
    assert_eq!(fixture.lines(60, 8)[3], first);
    fixture.press(&[KeyCode::Down]);
    assert_ne!(fixture.lines(60, 8)[3], first);
    fixture.press(&[KeyCode::PageDown, KeyCode::Home]);
    assert_eq!(fixture.lines(60, 8)[3], first);
}

#[test]
fn a_filter_leaves_the_rows_with_its_letters() {
    let mut fixture = Fixture::of(&lab());
    fixture.write("/GRAFANA");
    assert_eq!(fixture.lines(60, 9).last().unwrap(), "/GRAFANA");
    // While it is typed, letters are letters.
    fixture.write("q");
    fixture.press(&[KeyCode::Backspace, KeyCode::Enter]);
    let text = fixture.text();
    assert!(text.contains("\neverything  with /GRAFANA\n"), "{text}");
    assert!(text.contains("\ngrafana_back/influxlab "), "{text}");
    for gone in ["influx_front", "influx_back", "influx_relay"] {
        assert!(!text.contains(&format!("\n{gone}")), "{gone} in {text}");
    }
    fixture.write("/xyz");
    assert!(
        fixture
            .text()
            .contains("No row has the letters GRAFANAxyz.")
    );
    fixture.press(&[KeyCode::Esc]);
    assert!(fixture.text().contains("\ninflux_back "));
}

#[test]
fn a_table_is_sorted_by_each_of_its_columns_and_the_chosen_row_stays_chosen() {
    let mut fixture = Fixture::of(&lab());
    fixture.press(&[KeyCode::Down, KeyCode::Down]);
    assert!(fixture.chosen().starts_with("http_front "));
    let order = |fixture: &mut Fixture| {
        let text = fixture.text();
        let place = |name: &str| text.find(&format!("\n{name} ")).unwrap();
        place("http_front") < place("influx_front")
    };
    assert!(order(&mut fixture));
    // By name, connections, requests a second, requests: the larger first.
    fixture.write("ssss");
    assert!(fixture.text().contains("REQUESTS▼"));
    assert!(!order(&mut fixture));
    assert!(fixture.chosen().starts_with("http_front "));
    fixture.write("r");
    assert!(fixture.text().contains("REQUESTS▲"));
    assert!(order(&mut fixture));
    fixture.write("sssssr");
    assert!(fixture.text().contains("BIND▲"));
    assert!(!order(&mut fixture));
    // Behind the last column stands the order of the configuration.
    fixture.write("s");
    assert!(!fixture.text().contains('▲') && order(&mut fixture));
}

#[test]
fn a_row_that_is_gone_leaves_its_place_to_the_next_one() {
    let mut fixture = Fixture::of(&lab());
    fixture.press(&[KeyCode::Down]);
    assert_eq!(fixture.chosen(), "ERROR Replica influxlab2 is DOWN");
    let mut better = lab();
    let relay = Arc::get_mut(&mut better.relays[0]).unwrap();
    relay.journal = crate::stats::JournalStats::default();
    fixture.take(&better);
    assert_eq!(fixture.chosen(), "ERROR Replica influxlab2 is DOWN");
    relay_is_well(&mut better);
    fixture.take(&better);
    assert!(
        fixture
            .chosen()
            .contains("Server influx_back/influxlab2 is DOWN")
    );
}

fn relay_is_well(stats: &mut Stats) {
    let relay = Arc::get_mut(&mut stats.relays[0]).unwrap();
    relay.replicas.truncate(1);
}

#[test]
fn a_haflux_that_does_not_answer_is_told_and_goes_on_when_it_returns() {
    let mut fixture = Fixture {
        view: View::new(SECOND),
        start: Instant::now(),
    };
    assert!(fixture.view.asks(fixture.start));
    assert!(!fixture.view.asks(fixture.start), "one question at a time");
    let headline = |fixture: &mut Fixture, seconds| {
        let terminal = fixture.at(80, 5, SECOND * seconds);
        let cells = terminal.backend().buffer().content();
        let line: String = cells[80..160].iter().map(|cell| cell.symbol()).collect();
        line.trim_end().to_owned()
    };
    assert_eq!(headline(&mut fixture, 0), "");
    assert_eq!(headline(&mut fixture, 3), "no answer");
    let error = || Err("it is\u{1b}[2J away".to_owned());
    fixture.view.answer(error(), fixture.start);
    assert_eq!(headline(&mut fixture, 0), "no answer: it is\\u{1b}[2J away");
    fixture.take(&lab());
    let well = "Relay influx_relay takes no writes, and one thing more.";
    assert_eq!(headline(&mut fixture, 60), well);
    assert!(fixture.view.asks(fixture.start + 60 * SECOND));
    assert_eq!(headline(&mut fixture, 62), well);
    let silent = "no answer since 2026-01-01T00:00:00Z";
    assert_eq!(headline(&mut fixture, 63), format!("{silent} (1 min 3 s)"));
    fixture.view.answer(error(), fixture.start);
    assert_eq!(
        headline(&mut fixture, 12),
        format!("{silent} (12 s): it is\\u{{1b}}[2J away")
    );
    // What was seen last stays.
    assert!(fixture.text().contains("\ninflux_front "));
    fixture.take(&lab());
    assert_eq!(headline(&mut fixture, 12), well);
}

#[test]
fn what_is_paused_stays_as_it_is() {
    let mut fixture = Fixture::of(&lab());
    fixture.write("p");
    assert!(fixture.lines(80, 9)[0].ends_with(" paused"));
    assert!(!fixture.view.asks(fixture.start), "nothing is asked");
    let mut other = lab();
    relay_is_well(&mut other);
    fixture.take(&other);
    assert!(fixture.text().contains("Replica influxlab2 is DOWN"));
    fixture.write(" ");
    assert!(fixture.lines(80, 9)[0].ends_with(" every 1 s"));
    assert!(fixture.view.asks(fixture.start));
    fixture.take(&other);
    assert!(!fixture.text().contains("Replica influxlab2 is DOWN"));
}

#[test]
fn names_do_not_steer_the_terminal() {
    let mut stats = full();
    let hostile = "a\u{1b}]0;title\u{7}\u{9b}2J\nb";
    for frontend in &mut stats.frontends {
        Arc::get_mut(frontend).unwrap().name = hostile.to_owned();
    }
    let relay = Arc::get_mut(&mut stats.relays[0]).unwrap();
    relay.name = hostile.to_owned();
    for replica in &mut relay.replicas {
        let replica = Arc::get_mut(replica).unwrap();
        replica.name = hostile.to_owned();
        replica.lanes.store(Arc::new(crate::stats::LanesReading {
            waiting: 1,
            slowest: vec![crate::stats::LaneReading {
                database: hostile.to_owned(),
                records: 1,
                under_way: 0,
                since: now(),
                is_held: false,
            }],
        }));
    }
    let mut fixture = Fixture::of(&stats);
    for keys in [
        &[][..],
        &[KeyCode::Enter],
        &[KeyCode::Esc, KeyCode::End, KeyCode::Enter],
        &[KeyCode::Enter],
    ] {
        fixture.press(keys);
        let lines = fixture.lines(200, 60);
        let text = lines.concat();
        assert!(text.contains("a\\u{1b}]0;title"), "{text}");
        assert!(!text.contains(char::is_control), "{text}");
    }
}

#[test]
fn no_terminal_is_too_small() {
    for stats in [full(), lab(), crate::stats::tests::nothing()] {
        for keys in ["", "?", "/x", "l", "Gl", "Gll", "ss"] {
            let mut fixture = Fixture::of(&stats);
            fixture.write(keys);
            for (width, height) in [
                (0, 0),
                (1, 1),
                (0, 9),
                (9, 0),
                (3, 2),
                (5, 5),
                (20, 6),
                (300, 3),
            ] {
                fixture.at(width, height, 90 * SECOND);
            }
        }
    }
}

#[test]
fn keys_are_listed_and_end_it() {
    let mut fixture = Fixture::of(&lab());
    fixture.write("?");
    assert!(fixture.text().contains("  q, Ctrl-C "));
    fixture.write("x");
    assert!(!fixture.text().contains("  q, Ctrl-C "));
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(fixture.view.key(control_c), Next::Leave);
    fixture.write("?");
    let q = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
    assert_eq!(fixture.view.key(q), Next::Leave);
}

#[test]
fn a_delay_is_a_number_of_seconds() {
    assert_eq!(delay("0.5"), Ok(Duration::from_millis(500)));
    for wrong in ["", "0", "-1", "1s", "NaN", "inf", "3601"] {
        assert_eq!(delay(wrong), Err("expected 0.1 to 3600 seconds".to_owned()));
    }
}

use super::*;
use crate::influx::read_started;

const MIN: Duration = Duration::from_millis(100);
const MAX: Duration = Duration::from_secs(10);

fn wait(link: &Link, now: Instant) -> Duration {
    link.away_until().expect("it is away") - now
}

#[test]
fn the_wait_grows_until_something_is_applied_and_repeats_are_told_once_per_growth() {
    let now = Instant::now();
    let mut link = Link::new(now, MIN, MAX);
    let mut told = 0;
    for _ in 0..20 {
        link.linked(now);
        told += usize::from(link.lose(now, None).is_news);
    }
    assert!((5..=9).contains(&told), "{told}");
    assert!(wait(&link, now) >= MAX / 2);
    link.linked(now);
    link.applied();
    let loss = link.lose(now, None);
    assert!(loss.is_news && loss.was_linked);
    assert!(wait(&link, now) <= MIN);
    assert!(!link.lose(now, None).is_news, "it was lost already");
}

#[test]
fn a_link_that_was_well_for_long_begins_with_the_shortest_wait() {
    let now = Instant::now();
    let mut link = Link::new(now, MIN, MAX);
    for _ in 0..20 {
        link.lose(now, None);
    }
    link.linked(now);
    link.lose(now + MAX, None);
    assert!(wait(&link, now + MAX) <= MIN);
}

#[test]
fn what_a_node_asks_for_is_kept_to_within_bounds() {
    let now = Instant::now();
    let mut link = Link::new(now, MIN, MAX);
    link.lose(now, Some(Duration::from_secs(5)));
    assert_eq!(wait(&link, now), Duration::from_secs(5));
    link.lose(now, Some(Duration::from_secs(3600)));
    assert_eq!(wait(&link, now), MAX);
    link.hurry(now);
    assert_eq!(wait(&link, now), Duration::ZERO);
}

#[test]
fn a_limit_of_the_node_is_forgotten_with_the_link() {
    let now = Instant::now();
    let mut link = Link::new(now, MIN, MAX);
    assert!(link.refused_as_too_large(1000));
    assert!(!link.refused_as_too_large(400));
    assert_eq!(link.largest(), 200);
    link.linked(now);
    assert_eq!(link.largest(), usize::MAX);
}

#[test]
fn another_process_is_told_from_the_same_one() {
    let now = Instant::now();
    let started =
        |text: &str| read_started(format!("{{\"system\":{{\"started\":\"{text}\"}}}}").as_bytes());
    let mut link = Link::new(now, MIN, MAX);
    assert!(
        !link.trust(started("2026-01-01T00:00:00Z")),
        "the first one"
    );
    assert!(!link.trust(started("2026-01-01T00:00:00Z")));
    assert!(link.trust(started("2026-01-01T00:00:01Z")));
    assert!(!link.trust(None), "it does not say");
    link.trust(started("2026-01-01T00:00:02Z"));
    link.forget(now);
    assert!(!link.trust(started("2026-01-01T00:00:03Z")));
}

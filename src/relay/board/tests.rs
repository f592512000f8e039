use super::statements::tests::fixture;
use super::*;
use crate::config::model::Ack;
use crate::journal::Kind;

#[test]
fn ahead_is_who_answers_and_has_more() {
    let board = fixture(Ack::Any).board;
    let at = Sequence::new;
    board.report(0, &[], at(10));
    board.report(1, &[], at(11));
    assert!(board.another_is_ahead(0, at(10)));
    assert!(!board.another_is_ahead(0, at(11)), "as far as itself");
    assert!(!board.another_is_ahead(1, at(11)));
    board.meet(1, false);
    assert!(!board.another_is_ahead(0, at(10)), "it does not answer");
}

#[test]
fn the_journal_alone_vouches_for_no_stranger() {
    for ack in [Ack::Any, Ack::Journal] {
        let fixture = fixture(ack);
        let board = &fixture.board;
        let open = |sender| {
            let append = || fixture.journal.append(Kind(1), vec![]);
            board.open(sender, append).expect("room")
        };
        let (_, mut known) = open(Sender::Known);
        let (append, mut stranger) = open(Sender::Stranger);
        for replica in 0..2 {
            board.set_reachable(replica, false);
        }
        let vouched = Ok(Outcome::Acknowledged { applied: 0 });
        assert_eq!(known.try_recv(), vouched);
        assert!(stranger.try_recv().is_err(), "nobody has judged it");
        let refused = Report::Refused(Refusal::new(401, "no"));
        for replica in 0..2 {
            let report = [(append.sequence, refused.clone())];
            board.report(replica, &report, append.sequence);
        }
        assert!(matches!(stranger.try_recv(), Ok(Outcome::Refused(_))));
    }
}

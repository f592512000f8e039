use super::statements::tests::fixture;
use super::*;
use crate::config::model::Ack;

#[test]
fn ahead_is_who_answers_and_has_more() {
    let board = fixture(Ack::Any).board;
    let at = Sequence::new;
    board.report(0, &[], at(10));
    board.report(1, &[], at(11));
    assert!(board.another_is_ahead(0, at(10)));
    assert!(!board.another_is_ahead(0, at(11)), "as far as itself");
    assert!(!board.another_is_ahead(1, at(11)));
    board.set_reach(1, Reach::Away);
    assert!(!board.another_is_ahead(0, at(10)), "it does not answer");
}

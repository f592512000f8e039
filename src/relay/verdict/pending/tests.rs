use super::statements::tests::fixture;
use super::*;
use crate::config::model::Ack;

#[test]
fn ahead_is_who_answers_and_has_more() {
    let pending_clients = fixture(Ack::Any).pending_clients;
    let at = Sequence::new;
    pending_clients.report(0, &[], at(10));
    pending_clients.report(1, &[], at(11));
    assert!(pending_clients.another_is_ahead(0, at(10)));
    assert!(
        !pending_clients.another_is_ahead(0, at(11)),
        "as far as itself"
    );
    assert!(!pending_clients.another_is_ahead(1, at(11)));
    pending_clients.set_reach(1, Reach::Away);
    assert!(
        !pending_clients.another_is_ahead(0, at(10)),
        "it does not answer"
    );
}

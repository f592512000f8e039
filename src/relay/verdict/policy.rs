//! When a write is answered, and with what: a pure decision over the verdicts that are in.
//!
//! Rules W2 and W5 of the design: any acceptance wins; a client hears a refusal only when every reachable replica refused;
//! what cannot meet the policy is turned away before the append, so that after it there is only 2xx, a refusal, or 504.

use crate::config::model::{Ack, OnUnavailable};

/// What is known of one record at one replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No verdict yet.
    Unknown,
    /// The replica applied it.
    Applied,
    /// The replica refused it for good.
    Refused,
    /// The replica refused it in the words that it has for what it carried out before, which it may have.
    Repeated,
    /// The replica refused it as things are now (schema or rights are missing) and will be asked again.
    Held,
    /// The replica left it without a verdict too often: it is not sent there again.
    SetAside,
}

impl Standing {
    fn is_refusal(self) -> bool {
        matches!(self, Standing::Refused | Standing::Held)
    }
}

/// What decides when a write is acknowledged.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// `ack`.
    pub ack: Ack,
    /// `on_unavailable`; it matters for [`Ack::Any`] only: the other policies name replicas that must have applied.
    pub on_unavailable: OnUnavailable,
}

/// What becomes of a waiting client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Answer 204; so many replicas have applied it.
    Acknowledge {
        /// How many.
        applied: usize,
    },
    /// Answer with a replica's refusal.
    Refuse,
    /// The policy can no longer be met: some replicas applied it, others refused it for good.
    Unmet {
        /// How many applied it.
        applied: usize,
    },
    /// Wait for more verdicts.
    Wait,
}

impl Policy {
    /// Replicas of `replicas` that must have applied a record.
    pub fn needed(&self, replicas: usize) -> usize {
        match self.ack {
            Ack::Any => 1.min(replicas),
            Ack::Quorum => replicas / 2 + 1,
            Ack::All => replicas,
            Ack::Journal => 0,
        }
    }

    /// Rule W5: whether a write may be taken at all while `reachable` of `replicas` can apply it now.
    pub fn admits(&self, reachable: usize, replicas: usize) -> bool {
        match (self.ack, self.on_unavailable) {
            (Ack::Any | Ack::Journal, OnUnavailable::Accept) => true,
            (Ack::Any | Ack::Journal, OnUnavailable::Reject) => reachable > 0,
            (Ack::Quorum | Ack::All, _) => reachable >= self.needed(replicas),
        }
    }

    /// Replicas that must have carried out a statement before its client is answered: at least one, for the answer is its.
    fn needed_for_statement(&self, replicas: usize) -> usize {
        self.needed(replicas).max(1)
    }

    /// Rules W5 and S6: whether a statement may be taken while `reachable` of `replicas` can carry it out now. Somebody must
    /// answer at all; `any` and `journal` may wait for one that is busy.
    pub fn admits_statement(&self, reachable: usize, replicas: usize) -> bool {
        match self.ack {
            Ack::Any | Ack::Journal => true,
            Ack::Quorum | Ack::All => reachable >= self.needed_for_statement(replicas),
        }
    }

    /// What the verdicts on a statement so far mean. `awaited`: its verdict will be in soon.
    pub fn decide_statement(&self, standings: &[Standing], awaited: &[bool]) -> Decision {
        let needed = self.needed_for_statement(standings.len());
        weigh(needed, standings, awaited, Decision::Wait)
    }

    /// What the verdicts so far mean. `standings` and `reachable` have one entry a replica, in the same order.
    pub fn decide(&self, standings: &[Standing], reachable: &[bool]) -> Decision {
        let unheard = match (self.ack, self.on_unavailable) {
            (Ack::Any, OnUnavailable::Accept) | (Ack::Journal, _) => {
                Decision::Acknowledge { applied: 0 }
            }
            _ => Decision::Wait,
        };
        weigh(self.needed(standings.len()), standings, reachable, unheard)
    }
}

/// The decision where `needed` replicas must have applied a record, and those that are `awaited` will judge it soon; `unheard` if
/// nobody has judged it and nobody will.
fn weigh(needed: usize, standings: &[Standing], awaited: &[bool], unheard: Decision) -> Decision {
    let count = |wanted: Standing| standings.iter().filter(|known| **known == wanted).count();
    let known = count(Standing::Applied);
    if known >= needed {
        return Decision::Acknowledge { applied: known };
    }
    let mut open = standings.iter().zip(awaited);
    if open.any(|(standing, awaited)| *awaited && *standing == Standing::Unknown) {
        return Decision::Wait;
    }
    let refused = standings.iter().any(|standing| standing.is_refusal());
    // Whether it was carried out where it was repeated, those tell that heard of it once.
    let repeated = count(Standing::Repeated);
    let applied = match known == 0 && refused {
        true => 0,
        false => known + repeated,
    };
    if repeated > 0 && applied >= needed {
        return Decision::Acknowledge { applied };
    }
    let final_ones = known + repeated + count(Standing::Refused) + count(Standing::SetAside);
    match (applied, refused) {
        (0, true) => Decision::Refuse,
        _ if final_ones == standings.len() => Decision::Unmet { applied },
        (0, false) => unheard,
        _ => Decision::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Standing::{Applied, Held, Refused, Repeated, SetAside, Unknown};

    fn policy(ack: Ack) -> Policy {
        Policy {
            ack,
            on_unavailable: OnUnavailable::Accept,
        }
    }

    #[test]
    fn any_acceptance_wins_over_an_earlier_refusal() {
        let any = policy(Ack::Any);
        assert_eq!(
            any.decide(&[Refused, Unknown], &[true, true]),
            Decision::Wait
        );
        assert_eq!(
            any.decide(&[Refused, Applied], &[true, true]),
            Decision::Acknowledge { applied: 1 }
        );
        assert_eq!(
            any.decide(&[Refused, Refused], &[true, true]),
            Decision::Refuse
        );
    }

    #[test]
    fn a_refusal_does_not_wait_for_a_replica_that_cannot_be_reached() {
        assert_eq!(
            policy(Ack::Any).decide(&[Refused, Unknown], &[true, false]),
            Decision::Refuse
        );
    }

    #[test]
    fn with_no_replica_in_reach_the_configuration_decides() {
        let accept = policy(Ack::Any);
        assert_eq!(
            accept.decide(&[Unknown, Unknown], &[false, false]),
            Decision::Acknowledge { applied: 0 }
        );
        let reject = Policy {
            ack: Ack::Any,
            on_unavailable: OnUnavailable::Reject,
        };
        assert_eq!(
            reject.decide(&[Unknown, Unknown], &[false, false]),
            Decision::Wait
        );
    }

    #[test]
    fn quorum_and_all_count_replicas() {
        assert_eq!(policy(Ack::Quorum).needed(2), 2);
        assert_eq!(policy(Ack::Quorum).needed(3), 2);
        let quorum = policy(Ack::Quorum);
        assert_eq!(
            quorum.decide(&[Applied, Unknown, Unknown], &[true; 3]),
            Decision::Wait
        );
        assert_eq!(
            quorum.decide(&[Applied, Refused, Applied], &[true; 3]),
            Decision::Acknowledge { applied: 2 }
        );
        let all = policy(Ack::All);
        assert_eq!(
            all.decide(&[Applied, Unknown], &[true, false]),
            Decision::Wait
        );
        assert_eq!(
            all.decide(&[Applied, Refused], &[true, true]),
            Decision::Unmet { applied: 1 }
        );
        assert_eq!(
            all.decide(&[Applied, Applied], &[true, true]),
            Decision::Acknowledge { applied: 2 }
        );
    }

    #[test]
    fn admission_asks_only_for_what_the_policy_needs() {
        assert!(policy(Ack::Any).admits(0, 2));
        assert!(
            !Policy {
                ack: Ack::Any,
                on_unavailable: OnUnavailable::Reject
            }
            .admits(0, 2)
        );
        assert!(!policy(Ack::All).admits(1, 2));
        assert!(policy(Ack::All).admits(2, 2));
        assert!(!policy(Ack::Quorum).admits(1, 3));
        assert!(policy(Ack::Quorum).admits(2, 3));
    }

    #[test]
    fn a_held_record_is_refused_to_the_client_but_may_still_meet_the_policy() {
        assert_eq!(
            policy(Ack::Any).decide(&[Held, Held], &[true, true]),
            Decision::Refuse
        );
        assert_eq!(
            policy(Ack::All).decide(&[Held, Applied], &[true, true]),
            Decision::Wait
        );
    }

    #[test]
    fn a_statement_waits_for_an_answer_whatever_the_policy_for_writes() {
        let here = [true, true];
        for ack in [Ack::Any, Ack::Journal] {
            let policy = policy(ack);
            let decide =
                |standings, awaited: [bool; 2]| policy.decide_statement(standings, &awaited);
            assert_eq!(decide(&[Unknown, Unknown], [false, false]), Decision::Wait);
            assert_eq!(decide(&[Refused, Unknown], here), Decision::Wait);
            assert_eq!(decide(&[Refused, Unknown], [true, false]), Decision::Refuse);
            assert_eq!(decide(&[Refused, Held], here), Decision::Refuse);
            assert_eq!(
                decide(&[Refused, Applied], here),
                Decision::Acknowledge { applied: 1 }
            );
        }
        let all = policy(Ack::All);
        assert_eq!(
            all.decide_statement(&[Applied, Unknown], &here),
            Decision::Wait
        );
        assert_eq!(
            all.decide_statement(&[Applied, Refused], &here),
            Decision::Unmet { applied: 1 }
        );
        assert!(!all.admits_statement(1, 2) && policy(Ack::Journal).admits_statement(0, 2));
    }

    #[test]
    fn what_was_repeated_was_carried_out_unless_others_refuse_it() {
        let here = [true, true];
        let any = policy(Ack::Any);
        let decide = |standings, awaited: [bool; 2]| any.decide_statement(standings, &awaited);
        let carried_out = |applied| Decision::Acknowledge { applied };
        assert_eq!(decide(&[Repeated, Unknown], here), Decision::Wait);
        assert_eq!(decide(&[Repeated, Unknown], [true, false]), carried_out(1));
        assert_eq!(decide(&[Repeated, Refused], here), Decision::Refuse);
        assert_eq!(decide(&[Repeated, Held], here), Decision::Refuse);
        assert_eq!(decide(&[Repeated, Applied], here), carried_out(1));
        assert_eq!(decide(&[Repeated, Repeated], here), carried_out(2));
        let all = policy(Ack::All);
        let decide = |standings| all.decide_statement(standings, &here);
        assert_eq!(decide(&[Repeated, Applied]), carried_out(2));
        assert_eq!(decide(&[Repeated, Refused]), Decision::Refuse);
        assert_eq!(
            decide(&[Repeated, SetAside]),
            Decision::Unmet { applied: 1 }
        );
    }

    #[test]
    fn what_is_set_aside_is_neither_applied_nor_refused() {
        let any = policy(Ack::Any);
        let here = [true, true];
        let decide = |standings| any.decide(standings, &here);
        assert_eq!(
            decide(&[SetAside, SetAside]),
            Decision::Unmet { applied: 0 }
        );
        assert_eq!(decide(&[SetAside, Refused]), Decision::Refuse);
        assert_eq!(decide(&[SetAside, Unknown]), Decision::Wait);
        let applied = Decision::Acknowledge { applied: 1 };
        assert_eq!(decide(&[SetAside, Applied]), applied);
        let all = policy(Ack::All);
        assert_eq!(
            all.decide(&[SetAside, Applied], &here),
            Decision::Unmet { applied: 1 }
        );
    }

    #[test]
    fn journal_waits_for_nobody() {
        let policy = policy(Ack::Journal);
        let unheard = Decision::Acknowledge { applied: 0 };
        assert_eq!(policy.decide(&[Unknown, Refused], &[true, true]), unheard);
        assert_eq!(policy.decide(&[Unknown, Unknown], &[false, false]), unheard);
    }
}

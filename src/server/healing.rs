//! What the control socket may ask of the works that make nodes hold the same.

use std::sync::Arc;

use async_trait::async_trait;

use crate::control::{ControlError, HealOrder, HealReport, Healing};
use crate::heal::{HealError, Healer};

/// The works of all relays.
pub(super) struct AllHealers {
    pub(super) healers: Vec<Arc<Healer>>,
}

impl AllHealers {
    /// The relay that is meant; the only one if none is named.
    fn find(&self, relay: Option<&str>) -> Result<&Arc<Healer>, ControlError> {
        let name = |healer: &Arc<Healer>| healer.relay().stats().name.clone();
        let names = || self.healers.iter().map(name).collect::<Vec<_>>().join(", ");
        let invalid = |reason| Err(ControlError::Invalid { reason });
        match (relay, self.healers.as_slice()) {
            (None, [only]) => Ok(only),
            (None, []) => invalid("there is no relay".to_owned()),
            (None, _) => invalid(format!(
                "there are several relays: say --relay and one of: {}",
                names()
            )),
            (Some(relay), healers) => match healers.iter().find(|healer| name(healer) == relay) {
                Some(healer) => Ok(healer),
                None => invalid(format!(
                    "there is no relay {relay:?}; there are: {}",
                    names()
                )),
            },
        }
    }
}

#[async_trait]
impl Healing for AllHealers {
    async fn heal(
        &self,
        relay: Option<&str>,
        order: HealOrder,
    ) -> Result<Box<HealReport>, ControlError> {
        let healer = self.find(relay)?;
        healer.order(order).map(Box::new).map_err(refusal)
    }

    async fn lacking_users(
        &self,
        relay: Option<&str>,
        target: &str,
        source: Option<&str>,
    ) -> Result<Vec<String>, ControlError> {
        let users = self.find(relay)?.lacking_users(target, source).await;
        users.map_err(refusal)
    }
}

fn refusal(error: HealError) -> ControlError {
    let reason = error.to_string();
    match error {
        HealError::UnderWay(_) | HealError::Ending(_) | HealError::Nothing => {
            ControlError::NotNow { reason }
        }
        HealError::UnknownNode { .. } => ControlError::Invalid { reason },
        HealError::Password(_) | HealError::Thread(_) | HealError::Unanswered(_) => {
            ControlError::Failed { reason }
        }
    }
}

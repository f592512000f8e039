//! What a run is told from outside.

use std::fmt::Display;
use std::time::Duration;

use crate::support::lab::Lab;

/// How long nodes may take to catch up in the end, and as long as there was trouble besides.
pub const CATCH_UP: Duration = Duration::from_secs(60);

/// How long, and which.
pub struct Plan {
    /// How long there is trouble.
    pub trouble: Duration,
    /// Seeds all choices.
    pub seed: u64,
}

impl Plan {
    /// What the environment says, told once more to whoever reads the output of the run called `name`.
    pub fn from_environment(name: &str) -> Plan {
        Plan::from_environment_or(name, 15)
    }

    /// The same of a run that lasts `seconds` unless it is told.
    pub fn from_environment_or(name: &str, seconds: u64) -> Plan {
        let plan = Plan {
            trouble: Duration::from_secs(number("HAFLUX_SOAK_SECONDS").unwrap_or(seconds)),
            seed: number("HAFLUX_SOAK_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000)),
        };
        println!(
            "{name} run: {:?} of trouble, HAFLUX_SOAK_SEED={}",
            plan.trouble, plan.seed
        );
        plan
    }

    /// So that all that happened can be told.
    pub fn is_short(&self) -> bool {
        self.trouble < Duration::from_secs(120)
    }

    /// Ends a run that has found something.
    pub fn fail(&self, lab: &mut Lab, violations: &impl Display) -> ! {
        let folder = lab.keep();
        panic!(
            "HAFLUX_SOAK_SEED={}; everything is kept in {}\n{violations}",
            self.seed,
            folder.display()
        );
    }
}

/// The number that a variable holds, if it is there.
pub fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

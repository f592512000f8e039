//! Line protocol as `models.ParsePointsWithPrecision` really reads it; that code is the same in InfluxDB 1.6 to 1.12.
//!
//! InfluxDB reads a body twice with two sets of rules, and both matter here:
//!
//! 1. [`scan`]: one pass finds the ends of lines. A quote may carry a line across newlines, a backslash hides the byte behind
//!    it, and both work in comments and in broken lines too. **Never split a body at `\n` first.**
//! 2. [`parse`]: each line is then taken apart by other rules (a space ends the key unless the byte before it is a backslash,
//!    however many backslashes there are), so the two passes can disagree about one line, and clients can make them.
//!
//! On these stand [`normalize()`], which makes a body mean the same on every node and at every time, and [`split()`], which cuts
//! one between lines; [`nanoseconds`] gives bodies of different precisions a common one; [`point`] names a point of a body, so
//! that a node can be asked for it; [`measurements`] tells whether all lines are of measurements that their sender may write to. What can go wrong, and what prevents it:
//!
//! | danger | prevented by |
//! | --- | --- |
//! | two bodies are joined, and the end of one swallows the beginning of the other | [`Ending`]: joined only if each is `Closed` |
//! | a stamp turns a refused line into a point, or spoils an error's text | stamped only if [`inspect`] accepts the line |
//! | a stamp is escaped into a string by a last `\` | that byte is never stored, so it is replaced first ([`normalize()`]) |
//! | a line ends InfluxDB's process when it is stored, again at each repetition | [`LineShape::Unsafe`] is made an error |
//! | a line has no place for a stamp | the same |
//! | a node sorts the tags of a line for minutes | [`TagBudget`]: the line is made an error that is found before the sort |
//! | dropping a comment changes how the next line is read | only whole lines by rule 1 are dropped; each line starts anew |

pub mod measurements;
pub mod nanoseconds;
pub mod normalize;
pub mod parse;
pub mod point;
pub mod scan;
pub mod split;
pub mod tags;
mod value;

#[cfg(test)]
mod tests;

pub use measurements::{MeasurementCheck, OtherMeasurement, check_measurements};
pub use nanoseconds::in_nanoseconds;
pub use normalize::{Normalized, Normalizer, normalize};
pub use parse::{LineShape, inspect};
pub use point::{Point, first_point};
pub use scan::{Ending, Line, LineKind, Lines, ending};
pub use split::{closed_prefix, split};
pub use tags::TagBudget;

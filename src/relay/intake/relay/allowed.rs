//! Whether the lines of a body are of measurements that its sender may write to, before any of it is appended.

use bytes::Bytes;

use super::{Admitted, Relay};
use crate::config::model::AllowedMeasurements;
use crate::influx::{
    Answer, MeasurementCheck, OtherMeasurement, UnpackError, Unpacker, WriteEndpoint, WriteRequest,
    check_measurements,
};
use crate::offload::offload;
use crate::pieces::Pieces;

/// Why nothing of a body is stored, or not all of it.
pub(super) enum NotStored {
    /// The client is told this.
    Answer(Answer),
    /// A line is of a measurement that is not allowed.
    Other(OtherMeasurement),
}

impl From<Answer> for NotStored {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

impl From<OtherMeasurement> for NotStored {
    fn from(other: OtherMeasurement) -> Self {
        Self::Other(other)
    }
}

/// Checks the lines of a whole body.
///
/// # Errors
/// A line that is not allowed. Of Prometheus' writes, whose names stand in packed bytes, none is.
pub(super) fn check(
    request: &WriteRequest,
    body: &[u8],
    allowed: Option<&AllowedMeasurements>,
) -> Result<(), OtherMeasurement> {
    match allowed {
        None => Ok(()),
        Some(_) if request.endpoint == WriteEndpoint::Prometheus => {
            Err(OtherMeasurement { name: None })
        }
        Some(allowed) => check_measurements(body, |name| allowed.allow(name)),
    }
}

impl Relay {
    /// Checks all lines of a body before any of it is appended. What is held beside it, a long line at most, is in the room for the
    /// records to come.
    pub(super) async fn check_pieces(
        &self,
        admitted: &Admitted,
        body: Pieces,
    ) -> Result<Pieces, NotStored> {
        let Some(allowed) = admitted.measurements.clone() else {
            return Ok(body);
        };
        let checked = offload(move || {
            let mut check = MeasurementCheck::new(|name| allowed.allow(name), body.length());
            let checked = body.parts().try_for_each(|piece| check.piece(piece));
            (checked.and_then(|()| check.finish()), body)
        });
        match checked.await {
            Some((Ok(()), body)) => Ok(body),
            Some((Err(other), _)) => Err(other.into()),
            None => Err(self.not_done(admitted, 0).into()),
        }
    }

    /// The same for a gzip body that unfolds to `length` bytes.
    pub(super) async fn check_packed(
        &self,
        admitted: &Admitted,
        body: Bytes,
        length: usize,
    ) -> Result<(), NotStored> {
        let Some(allowed) = admitted.measurements.clone() else {
            return Ok(());
        };
        let checked = offload(move || {
            let mut check = MeasurementCheck::new(|name| allowed.allow(name), length);
            let mut unpacker = Unpacker::new(body, length);
            while let Some(piece) = unpacker.next_piece()? {
                if let Err(other) = check.piece(piece) {
                    return Ok(Err(other));
                }
            }
            Ok::<_, UnpackError>(check.finish())
        });
        match checked.await {
            Some(Ok(checked)) => Ok(checked?),
            Some(Err(error)) => Err(self.refuse(admitted, &error.into()).into()),
            None => Err(self.not_done(admitted, 0).into()),
        }
    }
}

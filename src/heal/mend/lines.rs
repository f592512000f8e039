//! Points that are held as series, and lines of them.

use bstr::BStr;

use super::plan::Held;
use crate::heal::node::{Series, append_lines};
use crate::heal::place::{Fields, Tags};

/// Points of a series, each with columns of its own.
pub(super) fn series_of<'held>(
    tags: &Tags,
    points: impl Iterator<Item = (&'held i64, &'held Fields)>,
) -> Series {
    let mut series = Series {
        tags: tags.clone(),
        ..Series::default()
    };
    for (time, fields) in points {
        let mut row = vec![None; series.fields.len()];
        for (name, value) in fields {
            match series.fields.iter().position(|known| known == name) {
                Some(at) => {
                    if let Some(place) = row.get_mut(at) {
                        *place = Some(value.clone());
                    }
                }
                None => {
                    series.fields.push(name.clone());
                    row.push(Some(value.clone()));
                }
            }
        }
        series.rows.push((*time, row));
    }
    series
}

/// Lines of points, and how many values no line can express.
pub(super) fn lines_of(measurement: &BStr, tags: &Tags, held: &Held) -> (Vec<u8>, u64) {
    let mut lines = Vec::new();
    let series = series_of(tags, held.iter());
    let left_out = append_lines(&mut lines, measurement, &series);
    (lines, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heal::node::Value;

    #[test]
    fn points_with_other_fields_keep_them() {
        let fields = |of: &[&str]| -> Fields {
            let of = of.iter();
            of.map(|name| ((*name).into(), Value::Boolean(true)))
                .collect()
        };
        let held = Held::from([
            (1, fields(&["a"])),
            (2, fields(&["b", "c"])),
            (3, fields(&["a", "c"])),
        ]);
        let (lines, left_out) = lines_of("m".into(), &Tags::new(), &held);
        assert_eq!(left_out, 0);
        assert_eq!(
            String::from_utf8_lossy(&lines),
            "m a=true 1\nm b=true,c=true 2\nm a=true,c=true 3\n"
        );
    }
}

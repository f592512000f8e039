//! MessagePack as InfluxDB writes it (`tinylib/msgp` 1.0.2 to 1.2, which write alike): the shortest form of lengths and of
//! unsigned integers, but signed forms for signed integers (200 takes three bytes), and times as extension 5.

mod reader;

pub(crate) use reader::{Extent, Form, Malformed, Reader};

/// Grows an encoded text.
#[derive(Debug, Default)]
pub(super) struct Packer {
    packed: Vec<u8>,
}

impl Packer {
    pub(super) fn finish(self) -> Vec<u8> {
        self.packed
    }

    pub(super) fn map(&mut self, entries: usize) {
        self.container(0x80, 0xde, 0xdf, entries);
    }

    pub(super) fn array(&mut self, elements: usize) {
        self.container(0x90, 0xdc, 0xdd, elements);
    }

    pub(super) fn string(&mut self, text: &str) {
        match length(text.len()).to_be_bytes() {
            [0, 0, 0, short] if short < 32 => self.packed.push(0xa0 | short),
            [0, 0, 0, byte] => self.packed.extend_from_slice(&[0xd9, byte]),
            [0, 0, high, low] => self.packed.extend_from_slice(&[0xda, high, low]),
            [a, b, c, d] => self.packed.extend_from_slice(&[0xdb, a, b, c, d]),
        }
        self.packed.extend_from_slice(text.as_bytes());
    }

    pub(super) fn integer(&mut self, value: i64) {
        if let Ok(tiny) = i8::try_from(value) {
            // Not negative, or -32 and above: the byte is the value. There is no positive form of two bytes.
            if tiny < -32 {
                self.packed.push(0xd0);
            }
            self.packed.extend_from_slice(&tiny.to_be_bytes());
        } else if let Ok(small) = i16::try_from(value) {
            self.packed.push(0xd1);
            self.packed.extend_from_slice(&small.to_be_bytes());
        } else if let Ok(medium) = i32::try_from(value) {
            self.packed.push(0xd2);
            self.packed.extend_from_slice(&medium.to_be_bytes());
        } else {
            self.packed.push(0xd3);
            self.packed.extend_from_slice(&value.to_be_bytes());
        }
    }

    pub(super) fn unsigned(&mut self, value: u64) {
        match value.to_be_bytes() {
            [0, 0, 0, 0, 0, 0, 0, tiny] if tiny < 0x80 => self.packed.push(tiny),
            [0, 0, 0, 0, 0, 0, 0, byte] => self.packed.extend_from_slice(&[0xcc, byte]),
            [0, 0, 0, 0, 0, 0, high, low] => self.packed.extend_from_slice(&[0xcd, high, low]),
            [0, 0, 0, 0, a, b, c, d] => self.packed.extend_from_slice(&[0xce, a, b, c, d]),
            all => {
                self.packed.push(0xcf);
                self.packed.extend_from_slice(&all);
            }
        }
    }

    pub(super) fn float(&mut self, value: f64) {
        self.packed.push(0xcb);
        self.packed.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn boolean(&mut self, value: bool) {
        self.packed.push(if value { 0xc3 } else { 0xc2 });
    }

    pub(super) fn nil(&mut self) {
        self.packed.push(0xc0);
    }

    /// An instant: seconds since 1970 and nanoseconds of the second.
    pub(super) fn time(&mut self, seconds: i64, nanoseconds: u32) {
        self.packed.extend_from_slice(&[0xc7, 12, 5]);
        self.packed.extend_from_slice(&seconds.to_be_bytes());
        self.packed.extend_from_slice(&nanoseconds.to_be_bytes());
    }

    fn container(&mut self, short_form: u8, form_16: u8, form_32: u8, size: usize) {
        match length(size).to_be_bytes() {
            [0, 0, 0, short] if short < 16 => self.packed.push(short_form | short),
            [0, 0, high, low] => self.packed.extend_from_slice(&[form_16, high, low]),
            [a, b, c, d] => self.packed.extend_from_slice(&[form_32, a, b, c, d]),
        }
    }
}

/// MessagePack counts in 32 bits.
fn length(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(pack: impl FnOnce(&mut Packer)) -> Vec<u8> {
        let mut packer = Packer::default();
        pack(&mut packer);
        packer.finish()
    }

    #[test]
    fn lengths() {
        let strings: [(usize, &[u8]); 6] = [
            (31, &[0xbf]),
            (32, &[0xd9, 32]),
            (255, &[0xd9, 255]),
            (256, &[0xda, 1, 0]),
            (65_535, &[0xda, 255, 255]),
            (65_536, &[0xdb, 0, 1, 0, 0]),
        ];
        for (length, head) in strings {
            let packed = packed(|packer| packer.string(&"x".repeat(length)));
            assert!(packed.starts_with(head), "{length}");
            assert_eq!(packed.len(), head.len() + length);
        }
        let containers: [(usize, &[u8], &[u8]); 4] = [
            (15, &[0x9f], &[0x8f]),
            (16, &[0xdc, 0, 16], &[0xde, 0, 16]),
            (65_535, &[0xdc, 255, 255], &[0xde, 255, 255]),
            (65_536, &[0xdd, 0, 1, 0, 0], &[0xdf, 0, 1, 0, 0]),
        ];
        for (size, array, map) in containers {
            assert_eq!(packed(|packer| packer.array(size)), array);
            assert_eq!(packed(|packer| packer.map(size)), map);
        }
    }

    #[test]
    fn numbers() {
        let integers: [(i64, &[u8]); 14] = [
            (0, &[0]),
            (127, &[0x7f]),
            (128, &[0xd1, 0, 128]),
            (32_767, &[0xd1, 0x7f, 0xff]),
            (32_768, &[0xd2, 0, 0, 0x80, 0]),
            (2_147_483_647, &[0xd2, 0x7f, 0xff, 0xff, 0xff]),
            (2_147_483_648, &[0xd3, 0, 0, 0, 0, 0x80, 0, 0, 0]),
            (-1, &[0xff]),
            (-32, &[0xe0]),
            (-33, &[0xd0, 0xdf]),
            (-128, &[0xd0, 0x80]),
            (-129, &[0xd1, 0xff, 0x7f]),
            (-32_769, &[0xd2, 0xff, 0xff, 0x7f, 0xff]),
            (i64::MIN, &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (value, expected) in integers {
            assert_eq!(packed(|packer| packer.integer(value)), expected, "{value}");
        }
        let unsigned: [(u64, &[u8]); 6] = [
            (127, &[0x7f]),
            (128, &[0xcc, 128]),
            (256, &[0xcd, 1, 0]),
            (65_536, &[0xce, 0, 1, 0, 0]),
            (1 << 32, &[0xcf, 0, 0, 0, 1, 0, 0, 0, 0]),
            (u64::MAX, &[0xcf, 255, 255, 255, 255, 255, 255, 255, 255]),
        ];
        for (value, expected) in unsigned {
            assert_eq!(packed(|packer| packer.unsigned(value)), expected, "{value}");
        }
        assert_eq!(
            packed(|packer| packer.float(1.5)),
            [0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(
            packed(|packer| packer.time(-1, 2)),
            [
                0xc7, 12, 5, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 2
            ]
        );
    }
}

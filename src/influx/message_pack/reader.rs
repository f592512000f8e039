//! Reads MessagePack, value by value, from a text that may still be growing.

/// Why it cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// It holds a byte that MessagePack does not know.
    #[error("MessagePack with the unknown form {0:#04x}")]
    Form(u8),
    /// It has a value of another kind than InfluxDB writes there.
    #[error("MessagePack without {0} where InfluxDB writes one")]
    Expected(&'static str),
    /// It ends inside of a value.
    #[error("MessagePack that ends early")]
    Short,
}

/// The first bytes of a value: all of a number; of others how long they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Form {
    /// No value.
    Nil,
    /// `true` or `false`.
    Boolean(bool),
    /// 0 to 127, written alike by signed and unsigned integers.
    Small(u8),
    /// A signed integer.
    Integer(i64),
    /// An unsigned integer.
    Unsigned(u64),
    /// A floating-point number.
    Float(f64),
    /// A text of so many bytes.
    Text(u32),
    /// Bytes, or an extension, of so many bytes.
    Bytes(u32),
    /// So many values.
    Array(u32),
    /// So many pairs of values.
    Map(u32),
}

impl Form {
    /// Bytes behind the form, and values behind those.
    fn follows(self) -> (usize, u64) {
        match self {
            Form::Text(length) | Form::Bytes(length) => {
                (usize::try_from(length).unwrap_or(usize::MAX), 0)
            }
            Form::Array(values) => (0, u64::from(values)),
            Form::Map(pairs) => (0, 2 * u64::from(pairs)),
            _ => (0, 0),
        }
    }
}

/// Takes the form at the beginning; `None` if more bytes are needed. What is left is behind the form.
fn form(bytes: &[u8]) -> Result<Option<(Form, &[u8])>, Malformed> {
    fn number<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
        bytes
            .split_first_chunk::<N>()
            .map(|(number, rest)| (*number, rest))
    }
    let Some((first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let one = || number::<1>(rest);
    let two = || number::<2>(rest);
    let four = || number::<4>(rest);
    let eight = || number::<8>(rest);
    let length_1 = || one().map(|([byte], rest)| (u32::from(byte), rest));
    let length_2 = || two().map(|(bytes, rest)| (u32::from(u16::from_be_bytes(bytes)), rest));
    let length_4 = || four().map(|(bytes, rest)| (u32::from_be_bytes(bytes), rest));
    let with = |make: fn(u32) -> Form, length: Option<(u32, _)>| {
        length.map(|(length, rest)| (make(length), rest))
    };
    // An extension has one more byte, its kind.
    let extension: fn(u32) -> Form = |length| Form::Bytes(length.saturating_add(1));
    Ok(match *first {
        small @ 0x00..=0x7f => Some((Form::Small(small), rest)),
        byte @ 0x80..=0x8f => Some((Form::Map(u32::from(byte & 0x0f)), rest)),
        byte @ 0x90..=0x9f => Some((Form::Array(u32::from(byte & 0x0f)), rest)),
        byte @ 0xa0..=0xbf => Some((Form::Text(u32::from(byte & 0x1f)), rest)),
        0xc0 => Some((Form::Nil, rest)),
        0xc2 => Some((Form::Boolean(false), rest)),
        0xc3 => Some((Form::Boolean(true), rest)),
        0xc4 => with(Form::Bytes, length_1()),
        0xc5 => with(Form::Bytes, length_2()),
        0xc6 => with(Form::Bytes, length_4()),
        0xc7 => with(extension, length_1()),
        0xc8 => with(extension, length_2()),
        0xc9 => with(extension, length_4()),
        0xca => four().map(|(bytes, rest)| (Form::Float(f32::from_be_bytes(bytes).into()), rest)),
        0xcb => eight().map(|(bytes, rest)| (Form::Float(f64::from_be_bytes(bytes)), rest)),
        0xcc => one().map(|([byte], rest)| (Form::Unsigned(byte.into()), rest)),
        0xcd => two().map(|(bytes, rest)| (Form::Unsigned(u16::from_be_bytes(bytes).into()), rest)),
        0xce => {
            four().map(|(bytes, rest)| (Form::Unsigned(u32::from_be_bytes(bytes).into()), rest))
        }
        0xcf => eight().map(|(bytes, rest)| (Form::Unsigned(u64::from_be_bytes(bytes)), rest)),
        0xd0 => one().map(|(bytes, rest)| (Form::Integer(i8::from_be_bytes(bytes).into()), rest)),
        0xd1 => two().map(|(bytes, rest)| (Form::Integer(i16::from_be_bytes(bytes).into()), rest)),
        0xd2 => four().map(|(bytes, rest)| (Form::Integer(i32::from_be_bytes(bytes).into()), rest)),
        0xd3 => eight().map(|(bytes, rest)| (Form::Integer(i64::from_be_bytes(bytes)), rest)),
        byte @ 0xd4..=0xd8 => Some((extension(1 << (byte - 0xd4)), rest)),
        0xd9 => with(Form::Text, length_1()),
        0xda => with(Form::Text, length_2()),
        0xdb => with(Form::Text, length_4()),
        0xdc => with(Form::Array, length_2()),
        0xdd => with(Form::Array, length_4()),
        0xde => with(Form::Map, length_2()),
        0xdf => with(Form::Map, length_4()),
        byte @ 0xe0..=0xff => {
            let [negative] = [byte].map(|byte| i8::from_be_bytes([byte]));
            Some((Form::Integer(negative.into()), rest))
        }
        byte @ 0xc1 => return Err(Malformed::Form(byte)),
    })
}

/// How far a value that is still coming has come. Each byte is looked at once, however often more come.
#[derive(Debug)]
pub(crate) struct Extent {
    at: usize,
    missing: u64,
}

impl Extent {
    /// Of a value of which nothing was looked at.
    pub(crate) fn new() -> Extent {
        Extent { at: 0, missing: 1 }
    }

    /// The value's length, if it is whole in these bytes, which begin with the value and have only grown since the last call.
    ///
    /// # Errors
    /// It is no MessagePack.
    pub(crate) fn whole(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        while self.missing > 0 {
            let behind = bytes.get(self.at..).unwrap_or_default();
            let Some((form, rest)) = form(behind)? else {
                return Ok(None);
            };
            let (payload, values) = form.follows();
            if rest.len() < payload {
                return Ok(None);
            }
            self.at = bytes.len() - rest.len() + payload;
            self.missing = (self.missing - 1).saturating_add(values);
        }
        Ok(Some(self.at))
    }
}

/// Reads values that are whole.
#[derive(Debug)]
pub(crate) struct Reader<'bytes> {
    rest: &'bytes [u8],
}

impl<'bytes> Reader<'bytes> {
    /// From the first of these bytes on.
    pub(crate) fn new(bytes: &'bytes [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// The next value's form.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn form(&mut self) -> Result<Form, Malformed> {
        let (form, rest) = form(self.rest)?.ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(form)
    }

    /// The bytes behind a form of that length.
    ///
    /// # Errors
    /// So many do not follow.
    pub(crate) fn bytes(&mut self, length: u32) -> Result<&'bytes [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed::Short)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// The next value, a text of UTF-8.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn text(&mut self) -> Result<&'bytes str, Malformed> {
        std::str::from_utf8(self.raw_text()?).map_err(|_| Malformed::Expected("a text of UTF-8"))
    }

    /// The next value, a text of any bytes.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn raw_text(&mut self) -> Result<&'bytes [u8], Malformed> {
        match self.form()? {
            Form::Text(length) => self.bytes(length),
            _ => Err(Malformed::Expected("a text")),
        }
    }

    /// How many values the next value, an array, has.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn array(&mut self) -> Result<u32, Malformed> {
        match self.form()? {
            Form::Array(values) => Ok(values),
            Form::Nil => Ok(0),
            _ => Err(Malformed::Expected("an array")),
        }
    }

    /// How many pairs the next value, a map, has.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn map(&mut self) -> Result<u32, Malformed> {
        match self.form()? {
            Form::Map(pairs) => Ok(pairs),
            _ => Err(Malformed::Expected("a map")),
        }
    }

    /// The next value, `true` or `false`.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn boolean(&mut self) -> Result<bool, Malformed> {
        match self.form()? {
            Form::Boolean(is) => Ok(is),
            _ => Err(Malformed::Expected("a boolean")),
        }
    }

    /// Passes over the next value.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn skip(&mut self) -> Result<(), Malformed> {
        let length = Extent::new().whole(self.rest)?.ok_or(Malformed::Short)?;
        self.rest = self.rest.get(length..).ok_or(Malformed::Short)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Packer;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_is_whole_at_its_last_byte_and_not_before() {
        let mut packer = Packer::default();
        packer.map(2);
        packer.string("long");
        packer.string(&"x".repeat(300));
        packer.string("all");
        packer.array(8);
        packer.integer(i64::MIN);
        packer.integer(-1);
        packer.unsigned(u64::MAX);
        packer.float(0.5);
        packer.boolean(true);
        packer.nil();
        packer.time(1, 2);
        packer.array(0);
        let packed = packer.finish();
        let mut growing = Extent::new();
        for end in 0..packed.len() {
            assert_eq!(growing.whole(&packed[..end]), Ok(None), "{end}");
            assert_eq!(Extent::new().whole(&packed[..end]), Ok(None), "{end}");
        }
        let more = [packed.as_slice(), b"\x01"].concat();
        assert_eq!(growing.whole(&more), Ok(Some(packed.len())));
        let mut reader = Reader::new(&packed);
        assert_eq!(reader.map(), Ok(2));
        assert_eq!(reader.text(), Ok("long"));
        assert_eq!(reader.text().map(str::len), Ok(300));
        reader.skip().unwrap();
        assert_eq!(reader.array(), Ok(8));
        for form in [
            Form::Integer(i64::MIN),
            Form::Integer(-1),
            Form::Unsigned(u64::MAX),
            Form::Float(0.5),
            Form::Boolean(true),
            Form::Nil,
        ] {
            assert_eq!(reader.form(), Ok(form));
        }
        reader.skip().unwrap();
        reader.skip().unwrap();
        assert_eq!(reader.form(), Err(Malformed::Short));
    }

    proptest! {
        #[test]
        fn integers_come_back(number: i64, unsigned: u64) {
            let mut packer = Packer::default();
            packer.integer(number);
            packer.unsigned(unsigned);
            let packed = packer.finish();
            let mut reader = Reader::new(&packed);
            match reader.form().unwrap() {
                Form::Small(small) => prop_assert_eq!(i64::from(small), number),
                form => prop_assert_eq!(form, Form::Integer(number)),
            }
            match reader.form().unwrap() {
                Form::Small(small) => prop_assert_eq!(u64::from(small), unsigned),
                form => prop_assert_eq!(form, Form::Unsigned(unsigned)),
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Extent::new().whole(&bytes);
            let _ = Reader::new(&bytes).skip();
        }
    }
}

//! Names and texts in statements of haflux's own. InfluxQL knows the escapes `\n`, `\\`, `\"` and `\'`, and no others.

/// `"text"`: a name.
pub fn identifier(text: &str) -> String {
    quoted(text, '"')
}

/// `'text'`: a string.
pub fn string(text: &str) -> String {
    quoted(text, '\'')
}

fn quoted(text: &str, quote: char) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(quote);
    for character in text.chars() {
        match character {
            '\n' => quoted.push_str("\\n"),
            '\\' => quoted.push_str("\\\\"),
            _ if character == quote => {
                quoted.push('\\');
                quoted.push(quote);
            }
            _ => quoted.push(character),
        }
    }
    quoted.push(quote);
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_quotes() {
        assert_eq!(identifier("plain"), "\"plain\"");
        assert_eq!(
            identifier("a\"; DROP DATABASE x; --\\"),
            "\"a\\\"; DROP DATABASE x; --\\\\\""
        );
        assert_eq!(identifier("it's\nso"), "\"it's\\nso\"");
        assert_eq!(string("it's \"so\"\\"), "'it\\'s \"so\"\\\\'");
    }
}

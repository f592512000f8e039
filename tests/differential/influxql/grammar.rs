//! Generates InfluxQL: every statement of the grammar, with all that misleads a reader of it. Some are of 1.11 and newer.

use fastrand::Rng;

const PLAIN: &[&str] = &[
    "cpu", "m", "_x", "value", "autogen", "db1", "Telegraf", "fill_in", "intox", "xdrop", "time2",
    "a1",
];
/// Reserved words of 1.11 and newer, and names before.
const RESERVED: &[&str] = &["verbose", "Past", "FUTURE"];
const QUOTED: &[&str] = &[
    r#""cpu""#,
    r#""into""#,
    r#""DROP DATABASE x""#,
    r#""a;b""#,
    r#""x -- y""#,
    r#""/* no""#,
    r#""it's""#,
    r#""q\"uote""#,
    r#""back\\""#,
    r#""né µ""#,
    r#""_internal""#,
    r#""SELECT""#,
    r#""new\nline""#,
    r#""db.rp.m""#,
    r#""/""#,
    r#"glued"name""#,
    r#"into"name""#,
    r#""""#,
];
const STRINGS: &[&str] = &[
    "'x'",
    "'into'",
    "'; DROP DATABASE x'",
    "'it\\'s'",
    "'-- no comment'",
    "'/* neither'",
    "'\"'",
    "'back\\\\'",
    "''",
    "'µ'",
    "'2020-01-01'",
    "'2020-01-01T00:00:00Z'",
    "'/x/'",
];
const REGEXES: &[&str] = &[
    "/x/",
    "/.*/",
    "/a\\/b/",
    "/a\\\\/b/",
    "/;DROP/",
    "/ into /",
    "/it's/",
    "/say \"hi/",
    "/--/",
    "/[/]*]/",
    "/x\\d+\\/;/",
    "/^cpu$/",
    "/ INTO x; DROP DATABASE y /",
    "/é/",
];
const BLANKS: &[&str] = &[" ", "  ", "\t", "\n", "\r\n", "\r", " \t\n"];
const COMMENTS: &[&str] = &[
    " /* into */ ",
    " -- DROP DATABASE x\n",
    " /* ; ' \" */ ",
    " -- it's ;\r",
    " /***/ ",
    " /* / */ ",
    " -- /*\n",
    " /* -- */ ",
];
/// Most of these parse nowhere. A parameter with a regular expression before a comment is taken for the last part.
const BEHIND_PARTS: &[&str] = &[
    "$regex/**/",
    "$regex/* x */ ",
    " $regex/**/",
    "$name/**/",
    "$text/**/",
    "/**/$regex/**/",
];
const FUNCTIONS: &[&str] = &[
    "mean",
    "count",
    "MAX",
    "first",
    "derivative",
    "distinct",
    "\"sum\"",
    "top",
    "Median",
];
const DURATIONS: &[&str] = &[
    "1h", "30m", "1h30m", "10s", "1w", "5ms", "7u", "3µ", "9ns", "1d", "2w3d",
];

/// Text under construction; tokens are separated by what separates tokens.
struct Text<'rng> {
    rng: &'rng mut Rng,
    text: String,
    /// Whether comments are among the separators; where InfluxDB looks for a regular expression they do not parse.
    comments: bool,
}

impl Text<'_> {
    fn blank(&mut self) {
        if self.comments && self.rng.u8(..24) == 0 {
            self.glue_of(COMMENTS);
        } else if self.rng.u8(..6) == 0 {
            self.glue_of(BLANKS);
        } else {
            self.text.push(' ');
        }
    }

    /// Words, in some case, each behind a blank.
    fn words(&mut self, words: &str) {
        for word in words.split(' ') {
            self.blank();
            let style = self.rng.u8(..4);
            for character in word.chars() {
                let lower = style == 0 || (style == 1 && self.rng.bool());
                self.text.push(if lower {
                    character.to_ascii_lowercase()
                } else {
                    character
                });
            }
        }
    }

    /// Text right behind what is there.
    fn glue(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Text behind a blank.
    fn put(&mut self, text: &str) {
        self.blank();
        self.text.push_str(text);
    }

    fn words_of(&mut self, choices: &[&str]) {
        let words = pick(self.rng, choices);
        self.words(words);
    }

    fn glue_of(&mut self, choices: &[&str]) {
        let text = pick(self.rng, choices);
        self.glue(text);
    }

    fn put_of(&mut self, choices: &[&str]) {
        let text = pick(self.rng, choices);
        self.put(text);
    }

    fn sometimes(&mut self, of: u8) -> bool {
        self.rng.u8(..of) == 0
    }

    fn name(&mut self) -> &'static str {
        match self.rng.u8(..120) {
            0 => pick(self.rng, RESERVED),
            1..=40 => pick(self.rng, QUOTED),
            _ => pick(self.rng, PLAIN),
        }
    }

    fn identifier(&mut self) {
        let name = self.name();
        self.put(name);
    }

    fn on(&mut self) {
        if self.rng.bool() {
            self.words("ON");
            self.identifier();
        }
    }

    fn integer(&mut self) {
        let number = self.rng.u16(..).to_string();
        self.put(&number);
    }

    fn duration(&mut self) {
        self.put_of(DURATIONS);
    }

    fn string(&mut self) {
        self.put_of(STRINGS);
    }

    /// A measurement: `m`, `rp.m`, `db.rp.m`, `db..m`, or a regular expression in the last place.
    fn source(&mut self) {
        if self.sometimes(5) {
            self.regex_after_blank();
            return;
        }
        self.identifier();
        let (style, second, third) = (self.rng.u8(..8), self.name(), self.name());
        let regex = pick(self.rng, REGEXES);
        match style {
            0 => self.glue(&format!(".{second}")),
            1 => self.glue(&format!(".{second}.{third}")),
            2 => self.glue(&format!("..{third}")),
            3 => self.glue(&format!(".{regex}")),
            4 => self.glue(&format!(".{second}.{regex}")),
            5 => self.glue(&format!("..{regex}")),
            6 if self.sometimes(3) => self.glue(&format!(".$name.{third}")),
            _ => {}
        }
        if self.sometimes(30) {
            self.glue_of(BEHIND_PARTS);
        }
    }

    fn regex_after_blank(&mut self) {
        self.glue_of(&[" ", "", "\n", "\t"]);
        if self.text.ends_with('/') {
            self.text.push(' ');
        }
        self.glue_of(REGEXES);
    }

    fn from(&mut self) {
        self.words("FROM");
        self.source();
        while self.sometimes(5) {
            self.glue(" ,");
            self.source();
        }
    }

    fn sources(&mut self, depth: u8) {
        self.words("FROM");
        loop {
            if depth > 0 && self.sometimes(4) {
                self.put("(");
                self.select(false, depth - 1);
                self.put(")");
            } else {
                self.source();
            }
            if !self.sometimes(6) {
                return;
            }
            self.glue(" ,");
        }
    }

    fn operand(&mut self, depth: u8) {
        match self.rng.u8(..14) {
            0 => self.put("2"),
            1 => self.put(".5"),
            2 => self.put("1."),
            3 => self.duration(),
            4 => self.string(),
            5 => {
                self.identifier();
                self.glue("::field");
            }
            6 => {
                self.identifier();
                self.glue_of(&["::tag", "::float", ".y", "..z"]);
            }
            7 if depth > 0 => {
                self.put("(");
                self.expression(depth - 1);
                self.put(")");
            }
            8 if depth > 0 => {
                self.put("-");
                self.identifier();
            }
            9 => self.put_of(&["$count", "$\"count\"", "$name", "$text"]),
            10 => self.put_of(&["TRUE", "false"]),
            11 => self.call(depth),
            _ => self.identifier(),
        }
    }

    fn call(&mut self, depth: u8) {
        let function = pick(self.rng, FUNCTIONS);
        self.put(function);
        self.glue("(");
        match self.rng.u8(..6) {
            0 => self.regex_after_blank(),
            1 if depth > 0 => self.call(depth - 1),
            2 => self.put("*"),
            _ => self.identifier(),
        }
        if self.sometimes(4) {
            self.glue(",");
            self.integer();
        }
        self.glue(")");
    }

    fn expression(&mut self, depth: u8) {
        self.operand(depth);
        while self.sometimes(3) {
            let operator = pick(
                self.rng,
                &["+", "-", "*", "/", "/", "/", "%", "&", "|", "^"],
            );
            let glued = self.rng.bool() && operator != "-" && !self.text.ends_with('.');
            if glued {
                self.glue(operator)
            } else {
                self.put(operator)
            }
            self.operand(depth);
        }
    }

    fn fields(&mut self, aggregate: bool) {
        loop {
            match self.rng.u8(..8) {
                _ if aggregate => self.call(1),
                0 => self.regex_after_blank(),
                1 => self.put_of(&["*", "*::field", "*::tag"]),
                2 | 3 => self.call(2),
                _ => self.expression(2),
            }
            if self.sometimes(4) {
                self.words("AS");
                self.identifier();
            }
            if !self.sometimes(4) {
                return;
            }
            self.glue(",");
        }
    }

    fn comparison(&mut self) {
        match self.rng.u8(..5) {
            0 => {
                self.identifier();
                self.put_of(&["=~", "!~"]);
                self.regex_after_blank();
            }
            1 => {
                self.identifier();
                self.put("=");
                self.string();
            }
            2 => self.time_comparison(),
            _ => {
                self.expression(1);
                self.put_of(&["=", "!=", "<>", "<", "<=", ">", ">="]);
                self.expression(1);
            }
        }
    }

    fn time_comparison(&mut self) {
        let time = pick(self.rng, &["time", "TIME", "\"time\""]);
        let operator = pick(self.rng, &["<", "<=", ">", ">=", ">", ">=", "="]);
        if self.rng.bool() {
            self.put(time);
            self.put(operator);
            self.instant();
        } else {
            self.instant();
            self.put(operator);
            self.put(time);
        }
    }

    fn instant(&mut self) {
        let now = pick(
            self.rng,
            &[
                "now()",
                "NOW()",
                "\"now\"()",
                "now( )",
                "(now())",
                "now()",
                "now()",
                "$now()",
            ],
        );
        match self.rng.u8(..10) {
            0 => self.put("'2020-01-01T00:00:00Z'"),
            1 => self.put("1500000000000000000"),
            2 => {
                self.put("(");
                self.put(now);
                self.put("-");
                self.duration();
                self.put(")");
            }
            3 => {
                self.duration();
                self.put("+");
                self.put(now);
            }
            4 => self.put("$count"),
            5 | 6 => self.put(now),
            _ => {
                self.put(now);
                self.put_of(&["-", "+"]);
                self.duration();
            }
        }
    }

    fn condition(&mut self) {
        self.words("WHERE");
        self.conditions(2);
    }

    fn conditions(&mut self, depth: u8) {
        if depth > 0 && self.sometimes(4) {
            self.put("(");
            self.conditions(depth - 1);
            self.put(")");
        } else {
            self.comparison();
        }
        while self.sometimes(3) {
            self.words_of(&["AND", "OR"]);
            self.comparison();
        }
    }

    fn maybe_condition(&mut self) {
        if self.rng.bool() {
            self.condition();
        }
    }

    fn limits(&mut self) {
        for word in ["LIMIT", "OFFSET"] {
            if self.sometimes(5) {
                self.words(word);
                self.integer();
            }
        }
    }

    fn interval(&mut self) {
        self.put_of(&["time(", "TIME(", "\"time\"("]);
        self.duration();
        match self.rng.u8(..8) {
            0 => {
                self.glue(",");
                self.duration();
            }
            1 | 2 => {
                self.glue(",");
                self.put_of(&[
                    "now()",
                    "NOW( )",
                    "now() - 10m",
                    "(now())",
                    "'2020-01-01T00:00:01Z'",
                ]);
            }
            _ => {}
        }
        self.put(")");
    }

    fn dimensions(&mut self, interval: bool) {
        self.words("GROUP BY");
        let mut interval = interval;
        loop {
            match self.rng.u8(..5) {
                _ if interval => self.interval(),
                0 => self.put("*"),
                1 => self.regex_after_blank(),
                _ => self.identifier(),
            }
            interval = false;
            if !self.sometimes(3) {
                break;
            }
            self.glue(",");
        }
    }

    fn select(&mut self, into: bool, depth: u8) {
        let grouped = self.rng.bool();
        self.words("SELECT");
        self.fields(grouped);
        if into {
            self.words("INTO");
            self.identifier();
            let (second, third) = (self.name(), self.name());
            match self.rng.u8(..5) {
                0 => self.glue(&format!(".{second}.{third}")),
                1 => self.glue(&format!(".{second}.:MEASUREMENT")),
                2 => self.glue(&format!(".{second}")),
                _ => {}
            }
        }
        self.sources(depth);
        if self.sometimes(3) {
            self.condition();
        }
        if grouped {
            let interval = self.rng.u8(..4) > 0;
            self.dimensions(interval);
            if self.sometimes(3) {
                self.put_of(&[
                    "fill(0)",
                    "FILL(previous)",
                    "fill(none)",
                    "fill(-1.5)",
                    "fill(linear)",
                ]);
            }
        }
        if self.sometimes(6) {
            self.words_of(&["ORDER BY DESC", "ORDER BY ASC"]);
        }
        self.limits();
        if self.sometimes(10) {
            self.put_of(&["tz('UTC')", "TZ('UTC')"]);
        }
    }

    fn show(&mut self) {
        self.words("SHOW");
        match self.rng.u8(..22) {
            0 => self.words("CONTINUOUS QUERIES"),
            1 => self.words("DATABASES"),
            2 => self.words("DIAGNOSTICS"),
            3 => self.words("QUERIES"),
            4 => self.words("SHARD GROUPS"),
            5 => self.words("SHARDS"),
            6 => {
                self.words("STATS");
                if self.rng.bool() {
                    self.words("FOR");
                    self.string();
                }
            }
            7 => self.words("SUBSCRIPTIONS"),
            8 => self.words("USERS"),
            9 => {
                self.words("GRANTS FOR");
                self.identifier();
            }
            10 => {
                self.words("RETENTION POLICIES");
                self.on();
            }
            11 => {
                self.words("MEASUREMENTS");
                match self.rng.u8(..6) {
                    0 => {
                        self.words("ON");
                        self.put_of(&["*", "*.*", "* . *", "*.rp", "*.\"r p\""]);
                    }
                    1 => {
                        self.words("ON");
                        self.identifier();
                        self.glue_of(&[".*", " . *", ".rp", ".\"r p\""]);
                    }
                    _ => self.on(),
                }
                if self.rng.bool() {
                    self.words("WITH MEASUREMENT");
                    self.put_of(&["=", "=~"]);
                    self.source();
                }
                self.maybe_condition();
                self.limits();
            }
            12 => {
                self.words("FIELD KEYS");
                self.shown_sources();
                self.limits();
            }
            13 => {
                self.words("SERIES");
                self.shown_sources();
                self.maybe_condition();
                self.limits();
            }
            14 => {
                self.words("TAG KEYS");
                self.shown_sources();
                if self.sometimes(4) {
                    self.with_key();
                }
                self.maybe_condition();
                self.limits();
            }
            15 | 16 => {
                self.words("TAG VALUES");
                self.shown_sources();
                self.with_key();
                self.maybe_condition();
                self.limits();
            }
            17 => {
                self.words_of(&["TAG VALUES EXACT CARDINALITY", "TAG VALUES CARDINALITY"]);
                self.shown_sources();
                self.with_key();
                self.maybe_condition();
            }
            _ => {
                self.words_of(&["FIELD KEY", "TAG KEY", "SERIES", "MEASUREMENT"]);
                self.words_of(&["EXACT CARDINALITY", "CARDINALITY"]);
                self.shown_sources();
                self.maybe_condition();
            }
        }
    }

    fn shown_sources(&mut self) {
        self.on();
        if self.rng.bool() {
            self.from();
        }
    }

    /// Limits of a retention policy (1.12).
    fn write_limits(&mut self) {
        for words in ["FUTURE LIMIT", "PAST LIMIT"] {
            if self.sometimes(6) {
                self.words(words);
                self.duration();
            }
        }
    }

    /// What a DELETE is from: a measurement, or one of a policy (1.12).
    fn deleted(&mut self) {
        self.identifier();
        if self.sometimes(4) {
            let name = self.name();
            self.glue(&format!(".{name}"));
        }
    }

    fn with_key(&mut self) {
        self.words("WITH KEY");
        match self.rng.u8(..4) {
            0 => {
                self.words("IN");
                self.put("(");
                self.identifier();
                self.glue(",");
                self.identifier();
                self.put(")");
            }
            1 => {
                self.put_of(&["=~", "!~"]);
                self.regex_after_blank();
            }
            _ => {
                self.put_of(&["=", "!="]);
                self.identifier();
            }
        }
    }

    fn change(&mut self) {
        match self.rng.u8(..22) {
            0..=2 => self.select(true, 2),
            3 => {
                self.words("CREATE DATABASE");
                self.identifier();
                if self.rng.bool() {
                    self.words("WITH DURATION 3d REPLICATION 1 SHARD DURATION 1h");
                    self.write_limits();
                    self.words("NAME");
                    self.identifier();
                }
            }
            4 => {
                self.words("CREATE RETENTION POLICY");
                self.identifier();
                self.words("ON");
                self.identifier();
                self.words("DURATION inf REPLICATION 1 SHARD DURATION 1h DEFAULT");
                self.write_limits();
            }
            5 => {
                self.words("CREATE CONTINUOUS QUERY");
                self.identifier();
                self.words("ON");
                self.identifier();
                if self.rng.bool() {
                    self.words("RESAMPLE EVERY 10s FOR 2m");
                }
                self.words("BEGIN SELECT");
                self.put("mean(v)");
                self.words("INTO");
                self.identifier();
                self.words("FROM");
                self.identifier();
                if self.rng.bool() {
                    self.words("WHERE");
                    self.put("time > now() - 1h");
                }
                self.words("GROUP BY");
                self.put("time(1m)");
                self.words("END");
            }
            6 => {
                self.words_of(&["CREATE SUBSCRIPTION", "DROP SUBSCRIPTION"]);
                let create = self.text.to_ascii_uppercase().contains("CREATE");
                self.identifier();
                self.words("ON");
                self.identifier();
                let policy = self.name();
                self.glue(&format!(".{policy}"));
                if create {
                    self.words("DESTINATIONS ALL");
                    self.string();
                }
            }
            7 => {
                self.words("CREATE USER");
                self.identifier();
                self.words("WITH PASSWORD");
                self.string();
                if self.rng.bool() {
                    self.words("WITH ALL PRIVILEGES");
                }
            }
            8 => {
                self.words("ALTER RETENTION POLICY");
                self.identifier();
                self.words("ON");
                self.identifier();
                self.words("DEFAULT");
                self.write_limits();
            }
            9 => {
                self.words_of(&["DROP DATABASE", "DROP MEASUREMENT", "DROP USER"]);
                self.identifier();
            }
            10 => {
                self.words_of(&["DROP RETENTION POLICY", "DROP CONTINUOUS QUERY"]);
                self.identifier();
                self.words("ON");
                self.identifier();
            }
            11 | 12 => {
                self.words_of(&["DROP SERIES", "DELETE"]);
                if self.rng.bool() {
                    self.words("FROM");
                    self.deleted();
                    self.maybe_condition();
                } else {
                    self.condition();
                }
            }
            13 => {
                self.words("GRANT");
                self.words_of(&["ALL", "ALL PRIVILEGES"]);
                self.words("TO");
                self.identifier();
            }
            14 => {
                self.words("GRANT");
                self.words_of(&["READ", "WRITE", "ALL"]);
                self.words("ON");
                self.identifier();
                self.words("TO");
                self.identifier();
            }
            15 => {
                self.words("REVOKE ALL FROM");
                self.identifier();
            }
            16 => {
                self.words("REVOKE");
                self.words_of(&["READ", "WRITE", "ALL PRIVILEGES"]);
                self.words("ON");
                self.identifier();
                self.words("FROM");
                self.identifier();
            }
            17 => {
                self.words("SET PASSWORD FOR");
                self.identifier();
                self.put("=");
                self.string();
            }
            18 => {
                self.words("DROP SHARD");
                self.integer();
            }
            19 => {
                self.words("KILL QUERY");
                self.integer();
                self.on();
            }
            _ => self.select(true, 1),
        }
    }

    fn statement(&mut self) {
        match self.rng.u8(..10) {
            0..=3 => self.select(false, 2),
            4..=6 => self.show(),
            7 => {
                self.words_of(&["EXPLAIN", "EXPLAIN ANALYZE"]);
                if self.sometimes(4) {
                    self.words("VERBOSE");
                }
                let into = self.sometimes(3);
                self.select(into, 1);
            }
            _ => self.change(),
        }
    }
}

fn pick<'list>(rng: &mut Rng, list: &'list [&'list str]) -> &'list str {
    list[rng.usize(..list.len())]
}

fn text(rng: &mut Rng) -> Text<'_> {
    let comments = rng.u8(..3) == 0;
    Text {
        rng,
        text: String::new(),
        comments,
    }
}

/// One or more statements, well-formed but for what the grammar forbids in places.
pub fn query(rng: &mut Rng) -> String {
    let mut text = text(rng);
    loop {
        if text.sometimes(20) {
            text.put(";");
        }
        if !text.sometimes(50) {
            text.statement();
        }
        if !text.sometimes(4) {
            break;
        }
        text.put(";");
    }
    if text.sometimes(6) {
        text.put(";");
    }
    text.text
}

/// A query that depends on its time.
pub fn timed(rng: &mut Rng) -> String {
    let mut text = text(rng);
    if text.sometimes(5) {
        text.words("DELETE FROM");
        text.deleted();
        text.condition();
    } else {
        text.select(true, 2);
    }
    if text.sometimes(8) {
        text.put(";");
        text.statement();
    }
    text.text
}

/// A query with something wrong in it, or something that looks wrong.
pub fn broken(rng: &mut Rng) -> Vec<u8> {
    const PIECES: &[&[u8]] = &[
        b"\0",
        b"\r",
        b"\n",
        b"/",
        b"'",
        b"\"",
        b"\\",
        b";",
        b"--",
        b"/*",
        b"*/",
        b".",
        b"$",
        b"(",
        b")",
        b" ",
        b"INTO x ",
        b",",
        b";DROP DATABASE x;",
        b"SELECT ",
        b"\xff",
        b"\xc2\xb5",
        b"\\/",
        b"\\\\/",
        b"./",
        b"=",
        b"=~",
        b"1.",
        b"FROM ",
        b"::",
        b"KILL QUERY 1;",
        b"; DROP SHARD 1",
        b"EXPLAIN ",
        b"ON ",
        b"$name",
    ];
    let mut bytes = query(rng).into_bytes();
    for _ in 0..1 + rng.usize(..5) / 4 {
        let at = rng.usize(..=bytes.len());
        match rng.u8(..6) {
            0 if at < bytes.len() => {
                bytes.remove(at);
            }
            1 if at < bytes.len() => bytes[at] = rng.u8(..),
            2 => {
                let other = query(rng).into_bytes();
                let from = rng.usize(..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {
                let piece = PIECES[rng.usize(..PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes
}

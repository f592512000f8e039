//! Which lines of HAProxy's CSV are asked for.

use super::servers::StatFilter;

/// The lines of `csv`, whose first names the columns, that the filter leaves; nothing if it names a proxy that has none.
pub(super) fn filtered(csv: &str, filter: &StatFilter) -> Option<String> {
    let mut lines = csv.split_inclusive('\n');
    let header = lines.next().unwrap_or_default();
    let names = fields(header.trim_start_matches("# "));
    let column = |name: &str| names.iter().position(|column| *column == name);
    let (proxy, kind) = (column("pxname"), column("type"));
    let (id, server) = (column("iid"), column("sid"));
    let mut is_known = filter.proxy.is_none();
    let mut text = header.to_owned();
    for line in lines {
        let fields = fields(line);
        let of = |column: Option<usize>| column.and_then(|column| fields.get(column).copied());
        if let Some(wanted) = &filter.proxy {
            let wanted = Some(wanted.as_str());
            if of(proxy) != wanted && of(id) != wanted {
                continue;
            }
        }
        is_known = true;
        let bit = of(kind)
            .and_then(|kind| kind.parse().ok())
            .and_then(|kind| 1_u32.checked_shl(kind));
        let is_kind = filter
            .kinds
            .is_none_or(|kinds| bit.is_some_and(|bit| kinds & bit != 0));
        let number = of(server).and_then(|number| number.parse().ok());
        let is_server = filter.server.is_none_or(|wanted| number == Some(wanted));
        if is_kind && is_server {
            text.push_str(line);
        }
    }
    is_known.then_some(text)
}

/// The fields of a line. A quoted one may hold commas; it stays quoted.
fn fields(line: &str) -> Vec<&str> {
    let mut is_quoted = false;
    line.trim_end()
        .split(|one: char| {
            is_quoted ^= one == '"';
            one == ',' && !is_quoted
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str = "\
# pxname,svname,text,iid,sid,type,
front,FRONTEND,\"a,b\",1,0,0,
back,one,,2,1,2,
back,two,,2,2,2,
back,BACKEND,,2,0,1,
";

    fn names(proxy: Option<&str>, kinds: Option<u32>, server: Option<u32>) -> Option<Vec<String>> {
        let filter = StatFilter {
            proxy: proxy.map(str::to_owned),
            kinds,
            server,
        };
        let text = filtered(CSV, &filter)?;
        assert!(text.starts_with("# pxname,"));
        let lines = text.lines().skip(1);
        Some(lines.map(|line| fields(line)[1].to_owned()).collect())
    }

    #[test]
    fn lines_are_chosen_as_haproxy_does() {
        let some = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        let all = ["FRONTEND", "one", "two", "BACKEND"];
        assert_eq!(names(None, None, None), some(&all));
        assert_eq!(names(Some("back"), None, None), some(&all[1..]));
        assert_eq!(names(Some("2"), Some(4), None), some(&["one", "two"]));
        assert_eq!(names(None, Some(3), None), some(&["FRONTEND", "BACKEND"]));
        assert_eq!(names(None, Some(4), Some(2)), some(&["two"]));
        assert_eq!(names(Some("nowhere"), None, None), None);
    }
}

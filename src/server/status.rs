//! The views of what is counted behind a frontend's `stats_uri` and `metrics_uri`.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::StatusCode;

use crate::influx::Parameters;
use crate::proxy::{PageOrderError, PageRequest, Rendered, ServerOrders, ServerPlace, StatusPage};
use crate::random;
use crate::secret::Secret;
use crate::stats::AdminState;
use crate::stats::page::{Shown, View};
use crate::stats::snapshot::Snapshot;
use crate::stats::{self, Stats};

/// The answer to options that ask for a view that there is not.
///
/// HAProxy answers them with its page and 200, so that a program which asks for a view that its HAProxy lacks reads HTML.
const UNKNOWN: &str = "There is no such view. Behind stats_uri haflux has: nothing or ;norefresh (the page), ;csv, ;json.\n";

/// HAProxy's options of its page, which are right here too: `;up` and `;no-maint` leave servers out there, `;st` and `;scope` come
/// from its forms.
const PAGE_OPTIONS: [&str; 4] = ["", "norefresh", "up", "no-maint"];
const PAGE_OPTIONS_WITH_VALUE: [&str; 2] = ["st=", "scope="];

/// Bytes of a token and of a nonce.
const RANDOM: usize = 16;

/// Gives orders to servers.
pub(super) trait GivesOrders: Send + Sync {
    /// Orders this of a server of a backend.
    ///
    /// # Errors
    ///
    /// Why not, for a person.
    fn give(&self, backend: &str, server: &str, order: AdminState) -> Result<(), String>;
}

impl GivesOrders for ServerOrders {
    fn give(&self, backend: &str, server: &str, order: AdminState) -> Result<(), String> {
        // An order that could not be kept counts, and the log says that it ends with the process.
        self.set_state(ServerPlace { backend, server }, order)
            .map(|_| ())
            .map_err(|error| error.to_string())
    }
}

/// The page: HTML, its inside for its script (`;inside`), or JSON (`;json`).
pub(super) struct Page {
    orders: Option<Arc<dyn GivesOrders>>,
    /// What the forms of this process's pages bear.
    token: String,
    token_hash: Secret,
}

impl Page {
    /// With a token of its own. Orders are taken if somebody gives them.
    ///
    /// # Errors
    ///
    /// The system has nothing random to say.
    pub(super) fn new(orders: Option<Arc<dyn GivesOrders>>) -> io::Result<Page> {
        let token = random_text()?;
        Ok(Page {
            orders,
            token_hash: Secret::new(token.as_bytes()),
            token,
        })
    }

    fn snapshot(stats: &Stats) -> Snapshot {
        Snapshot::take(stats, SystemTime::now())
    }

    fn html(&self, stats: &Stats, asked: &PageRequest<'_>, nonce: &str, shown: Shown) -> Rendered {
        let is_still = has(asked.options, "norefresh");
        let view = View {
            uri: asked.uri,
            refresh: (!is_still).then_some(asked.refresh),
            nonce,
            token: (asked.admin && self.orders.is_some()).then_some(self.token.as_str()),
        };
        let page = stats::page::html(stats, SystemTime::now(), view, shown);
        Rendered {
            status: StatusCode::OK,
            content_type: "text/html; charset=utf-8",
            policy: Some(policy(nonce)),
            body: Bytes::from(page),
        }
    }
}

impl StatusPage for Page {
    /// Options may follow each other; the first that names a view decides, as in HAProxy.
    fn render(&self, stats: &Stats, asked: &PageRequest<'_>) -> Rendered {
        for option in asked.options.split(';') {
            match option {
                "csv" => {
                    let text = stats::csv::csv(&Self::snapshot(stats));
                    return rendered(StatusCode::OK, stats::csv::CONTENT_TYPE, text);
                }
                "json" => {
                    let text = stats::json::json(stats);
                    return rendered(StatusCode::OK, "application/json", text);
                }
                "inside" => return self.html(stats, asked, "", Shown::Inside),
                other if is_of_the_page(other) => {}
                _ => return rendered(StatusCode::NOT_FOUND, "text/plain", UNKNOWN),
            }
        }
        // Without anything random the page comes without style and script, and is as complete.
        self.html(
            stats,
            asked,
            &random_text().unwrap_or_default(),
            Shown::Page,
        )
    }

    fn metrics(&self, stats: &Stats) -> Rendered {
        let text = stats::prometheus::text(&Self::snapshot(stats));
        rendered(StatusCode::OK, stats::prometheus::CONTENT_TYPE, text)
    }

    fn order(&self, form: &[u8]) -> Result<(), PageOrderError> {
        let form = std::str::from_utf8(form).unwrap_or_default();
        let form = Parameters::parse(form);
        let token = form.first_bytes("token").unwrap_or_default();
        if !self.token_hash.is(token) {
            return Err(PageOrderError::NotFromPage);
        }
        let order = form.first("order").ok_or(PageOrderError::NoOrder)?;
        let (word, place) = order.split_once(' ').ok_or(PageOrderError::NoOrder)?;
        let (backend, server) = place.split_once('/').ok_or(PageOrderError::NoOrder)?;
        let order = AdminState::of(word).ok_or(PageOrderError::NoOrder)?;
        let given = match &self.orders {
            Some(orders) => orders.give(backend, server, order),
            None => Err("this haflux takes no orders".to_owned()),
        };
        given.map_err(|reason| PageOrderError::Refused { reason })
    }
}

fn is_of_the_page(option: &str) -> bool {
    let mut with_value = PAGE_OPTIONS_WITH_VALUE.iter();
    PAGE_OPTIONS.contains(&option) || with_value.any(|name| option.starts_with(name))
}

fn rendered(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Rendered {
    Rendered {
        status,
        content_type,
        policy: None,
        body: body.into(),
    }
}

/// Whether one of the options is this.
fn has(options: &str, wanted: &str) -> bool {
    options.split(';').any(|option| option == wanted)
}

/// What a browser may do with the page: only its own style and script, only with this haflux, in no other page's frame.
fn policy(nonce: &str) -> String {
    let own = match nonce {
        "" => String::new(),
        nonce => format!("; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'"),
    };
    format!(
        "default-src 'none'{own}; img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// Random bytes as text, in hexadecimal digits.
fn random_text() -> io::Result<String> {
    let bytes = random::bytes::<RANDOM>()?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::stats::tests::nothing;

    #[derive(Default)]
    struct Given(Mutex<Vec<(String, String, AdminState)>>);

    impl GivesOrders for Given {
        fn give(&self, backend: &str, server: &str, order: AdminState) -> Result<(), String> {
            if server == "none" {
                return Err("no such server".to_owned());
            }
            let order = (backend.to_owned(), server.to_owned(), order);
            self.0.lock().push(order);
            Ok(())
        }
    }

    fn page() -> (Page, Arc<Given>) {
        let given = Arc::new(Given::default());
        let orders = Arc::clone(&given) as Arc<dyn GivesOrders>;
        let page = Page::new(Some(orders)).unwrap();
        (page, given)
    }

    fn asked(options: &str) -> PageRequest<'_> {
        PageRequest {
            uri: "/haproxy?stats",
            options,
            refresh: std::time::Duration::from_secs(7),
            admin: true,
        }
    }

    #[test]
    fn an_order_needs_the_token_of_this_process() {
        let (page, given) = page();
        let (other, _) = super::tests::page();
        let order = |token: &str, order: &str| {
            page.order(format!("token={token}&order={order}").as_bytes())
        };
        let shown = page.render(&nothing(), &asked(""));
        let shown = String::from_utf8(shown.body.to_vec()).unwrap();
        assert!(shown.contains(&format!(r#"name="token" value="{}""#, page.token)));
        let good = "drain+pool%2Fone";
        for wrong in [
            "",
            "x",
            &other.token,
            &page.token[1..],
            &format!("{}0", page.token),
        ] {
            assert_eq!(
                order(wrong, good),
                Err(PageOrderError::NotFromPage),
                "{wrong}"
            );
        }
        assert_eq!(
            page.order(b"order=drain+pool%2Fone"),
            Err(PageOrderError::NotFromPage)
        );
        for no_order in ["", "drain", "drain+one", "stop+pool%2Fone", "%ff"] {
            assert_eq!(
                order(&page.token, no_order),
                Err(PageOrderError::NoOrder),
                "{no_order}"
            );
        }
        let refused = order(&page.token, "maint+pool%2Fnone");
        assert!(matches!(refused, Err(PageOrderError::Refused { .. })));
        assert!(given.0.lock().is_empty());

        for (text, meant) in [
            ("drain", AdminState::Drain),
            ("maint", AdminState::Maint),
            ("ready", AdminState::Ready),
        ] {
            assert_eq!(order(&page.token, &format!("{text}+pool%2Fone")), Ok(()));
            let last = given.0.lock().pop();
            assert_eq!(last, Some(("pool".to_owned(), "one".to_owned(), meant)));
        }
    }

    #[test]
    fn the_policy_bears_the_nonce_of_its_page_alone() {
        let (page, _) = page();
        let nonce_of = |answer: &Rendered| {
            let policy = answer.policy.clone().unwrap();
            let (_, rest) = policy.split_once("script-src 'nonce-").unwrap();
            rest.split_once('\'').unwrap().0.to_owned()
        };
        let (one, other) = (
            page.render(&nothing(), &asked("")),
            page.render(&nothing(), &asked("")),
        );
        let nonce = nonce_of(&one);
        assert_ne!(nonce, nonce_of(&other));
        let shown = String::from_utf8(one.body.to_vec()).unwrap();
        assert_eq!(shown.matches(&format!(r#"nonce="{nonce}""#)).count(), 2);
        assert!(shown.contains(r#"<meta http-equiv="refresh" content="7">"#));
        let still = page.render(&nothing(), &asked(";norefresh"));
        assert!(
            !String::from_utf8(still.body.to_vec())
                .unwrap()
                .contains("http-equiv")
        );
        let inside = page.render(&nothing(), &asked(";inside"));
        assert!(inside.body.starts_with(b"<main"));
        assert_eq!(
            page.render(&nothing(), &asked(";json")).content_type,
            "application/json"
        );
    }
}

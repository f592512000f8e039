//! Which lists of revoked certificates count: several of one authority, and those of authorities that share a name.

use std::fs;

use super::tls::{Site, key};
use crate::support::authority::Authority;

/// A frontend that wants a certificate of the clients that `authority` has signed, by the list in `crl.pem`.
fn site(clients: &[&str], list: impl FnOnce(&Authority) -> Vec<u8>) -> Site {
    Site::start(|authority| {
        authority.sign("site.pem", "localhost", 90);
        for client in clients {
            authority.sign(client, client, 90);
        }
        let file = authority.file("crl.pem");
        fs::write(&file, list(authority)).expect("a file");
        format!(
            "client_certificate = \"required\", {}, {}, {}",
            key("certificate", &authority.file("site.pem")),
            key("client_ca", &authority.file("ca.pem")),
            key("client_crl", &file),
        )
    })
}

/// Whether the client with this certificate is let in.
fn is_let_in(site: &Site, certificate: &str) -> bool {
    let (said, _) = site.curl("localhost", "/", &["--cert", certificate]);
    said == "https"
}

#[test]
fn the_newest_list_of_an_authority_counts_wherever_it_stands() {
    let of = |authority: &Authority| {
        let older = authority.list("09", &["back.pem"]);
        (older, authority.list("0A", &["revoked.pem"]))
    };
    let clients = ["good.pem", "back.pem", "revoked.pem"];
    let site = site(&clients, |authority| {
        let (older, newer) = of(authority);
        [older, newer].concat()
    });
    let assert_all = |order: &str| {
        for (client, expected) in clients.iter().zip([true, true, false]) {
            let is_in = is_let_in(&site, &site.authority.file(client));
            assert_eq!(is_in, expected, "{order}: {client}");
        }
    };
    assert_all("the older one first");
    let (older, newer) = of(&site.authority);
    let lists = [newer, older].concat();
    fs::write(site.authority.file("crl.pem"), lists).expect("a file");
    site.haflux.order(&["reload"]);
    assert_all("the newer one first");
}

#[test]
fn authorities_that_share_a_name_are_judged_by_their_own_lists() {
    let clients = ["good.pem", "revoked.pem"];
    let site = site(&clients, |authority| authority.list("01", &["revoked.pem"]));
    let old = &site.authority;
    let new = Authority::new(&site.haflux.folder().join("new"));
    for client in clients {
        new.sign(client, client, 90);
    }
    let read = |file: &str| fs::read(file).expect("a file");
    // Whoever shows how the old key vouches for the new one is judged like the others.
    let through_old = new.file("through_old.pem");
    let shown = [read(&new.file("revoked.pem")), old.sign_authority(&new)];
    fs::write(&through_old, shown.concat()).expect("a file");
    let both = [read(&old.certificate()), read(&new.certificate())];
    // Not where the frontend's own certificate is verified by it.
    let authorities = old.file("both.pem");
    fs::write(&authorities, both.concat()).expect("a file");
    site.haflux.edit(&[("/ca.pem\"", "/both.pem\"")]);

    let old_list = || old.list("01", &["revoked.pem"]);
    let new_list = || new.list("01", &["revoked.pem"]);
    for (lists, has_old, has_new) in [
        (vec![old_list(), new_list()], true, true),
        (vec![new_list(), old_list()], true, true),
        (vec![old_list()], true, false),
        (vec![new_list()], false, true),
    ] {
        fs::write(old.file("crl.pem"), lists.concat()).expect("a file");
        site.haflux.order(&["check"]);
        site.haflux.order(&["reload"]);
        for (certificate, is_good) in [
            (old.file("good.pem"), true),
            (old.file("revoked.pem"), !has_old),
            (new.file("good.pem"), true),
            (new.file("revoked.pem"), !has_new),
            (through_old.clone(), !has_new),
        ] {
            assert_eq!(
                is_let_in(&site, &certificate),
                is_good,
                "{certificate}, lists of the old one: {has_old}, of the new one: {has_new}"
            );
        }
    }
}

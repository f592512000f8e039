//! The folder of the journals is nobody else's, nor is the way to it.
//!
//! Only root can make something that is another user's. Without root the tests show what others may write, which is most of it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::Path;

use super::with;
use crate::config::Config;
use crate::identity::Identity;

const SOMEBODY: u32 = 65534;

/// What is said of a configuration with that `data_dir`, and with these keys of `[server]`; nothing if it is right.
fn said(folder: &Path, data_dir: &Path, keys: &str) -> String {
    let file = folder.join("haflux.toml");
    let text = format!(
        "[server]\ndata_dir = {:?}\n{keys}\n{}",
        data_dir.display().to_string(),
        with("", "", "", "")
    );
    fs::write(&file, text).unwrap();
    let errors = Config::load(&file).err();
    errors.map_or_else(String::new, |errors| errors.to_string())
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn is_root() -> bool {
    Identity::current().unwrap().user() == 0
}

#[test]
fn a_folder_that_others_can_write_is_refused_wherever_it_is_on_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (above, data) = (folder.join("above"), folder.join("above/data"));
    fs::create_dir_all(&data).unwrap();
    assert_eq!(said(folder, &data, ""), "");
    for place in [&above, &data] {
        mode(place, 0o757);
        let wrong = said(folder, &data, "");
        let place_said = format!(
            "server.data_dir: {} can be written by everybody, who could replace what haflux keeps there: \"chmod go-w {}\"",
            place.display(),
            place.display()
        );
        assert!(wrong.contains(&place_said), "{wrong}");
        mode(place, 0o755);
        assert_eq!(said(folder, &data, ""), "");
    }
    // In a sticky folder only owners rename.
    mode(&above, 0o1777);
    assert_eq!(said(folder, &data, ""), "");
    assert!(said(folder, &above, "").contains("can be written by everybody"));
    // haflux's own group is haflux.
    mode(&above, 0o770);
    assert_eq!(said(folder, &data, ""), "");
}

#[test]
fn links_are_followed_and_what_they_lead_to_counts() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let open = folder.join("open");
    fs::create_dir_all(open.join("data")).unwrap();
    fs::create_dir(folder.join("links")).unwrap();
    symlink("../open/data", folder.join("links/relative")).unwrap();
    symlink(open.join("data"), folder.join("links/absolute")).unwrap();
    symlink("round", folder.join("links/round")).unwrap();
    for name in ["relative", "absolute"] {
        let link = folder.join("links").join(name);
        mode(&open, 0o755);
        assert_eq!(said(folder, &link, ""), "");
        mode(&open, 0o777);
        let wrong = said(folder, &link, "");
        let expected = format!("{} can be written by everybody", open.display());
        assert!(wrong.contains(&expected), "{wrong}");
    }
    let wrong = said(folder, &folder.join("links/round"), "");
    assert!(
        wrong.contains("leads through more than 40 symbolic links"),
        "{wrong}"
    );
}

#[test]
fn what_belongs_to_somebody_else_is_refused() {
    if !is_root() {
        eprintln!("not tried, because only root can give files away");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (above, data) = (folder.join("above"), folder.join("above/data"));
    fs::create_dir_all(&data).unwrap();
    for place in [&above, &data] {
        chown(place, Some(SOMEBODY), None).unwrap();
        let wrong = said(folder, &data, "");
        let place_said = format!("{} belongs to nobody, who could replace", place.display());
        assert!(wrong.contains(&place_said), "{wrong}");
        assert!(
            wrong.contains(&format!("\"chown 0:0 {}\"", place.display())),
            "{wrong}"
        );
        chown(place, Some(0), None).unwrap();
    }
    // Root may ask for whom the folder belongs to.
    chown(&data, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    let checked = Config::load_to_check(&folder.join("haflux.toml"), |_| Ok(())).unwrap();
    let warnings = format!("{}", checked.warnings[0]);
    assert!(
        warnings.contains("belongs to nobody, so this is what haflux finds that runs as nobody"),
        "{warnings}"
    );
    chown(&data, Some(0), Some(0)).unwrap();
    chown(&above, None, Some(SOMEBODY)).unwrap();
    mode(&above, 0o775);
    let wrong = said(folder, &data, "");
    assert!(
        wrong.contains("above can be written by the group nogroup"),
        "{wrong}"
    );
    mode(&above, 0o755);
    let link = folder.join("link");
    symlink(&data, &link).unwrap();
    assert_eq!(said(folder, &link, ""), "");
    lchown(&link, Some(SOMEBODY), None).unwrap();
    let wrong = said(folder, &link, "");
    assert!(
        wrong.contains("link is a symbolic link of nobody"),
        "{wrong}"
    );
}

#[test]
fn a_haflux_that_becomes_somebody_is_judged_as_that_user() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (keys, wrong) in [
        (
            "user = \"no such user\"",
            "server.user: this machine knows no user",
        ),
        ("group = \"daemon\"", "server.group: needs user beside it"),
        ("user = \"root\"", "server.user: \"root\" is root"),
        (
            "user = \"a:b\"",
            "server.user: expected the name or the number of a user",
        ),
        (
            "user = \"nobody\"\ngroup = \"no such group\"",
            "knows no group",
        ),
    ] {
        let said = said(folder, &folder.join("data"), keys);
        assert!(said.contains(wrong), "{keys}: {said}");
    }
    if !is_root() {
        eprintln!("not tried any further, because only root can give files away");
        return;
    }
    let data = folder.join("data");
    let keys = "user = \"nobody\"";
    assert_eq!(said(folder, &data, keys), "", "it is made for that user");
    fs::create_dir(&data).unwrap();
    let wrong = said(folder, &data, keys);
    let expected = format!(
        "the folder {} belongs to root, and haflux becomes nobody: \"chown -R 65534:65534 {}\"",
        data.display(),
        data.display()
    );
    assert!(wrong.contains(&expected), "{wrong}");
    chown(&data, Some(SOMEBODY), None).unwrap();
    assert_eq!(said(folder, &data, keys), "");
}

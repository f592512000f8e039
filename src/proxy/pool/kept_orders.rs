//! The orders for servers that outlive the process: which of them are not as the configuration has them.
//!
//! The file `server-states.json` in `data_dir` names only servers with an order, by `backend/server`, so it fits whatever else of
//! the configuration changes. It is [replaced](crate::durable_file) as a whole, and a checksum shows damage. A damaged file is
//! set aside as `server-states.json.damaged`, with an error in the log, and stops nothing: every server is ready then, and its
//! checks say whether it can serve.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use log::error;
use serde::{Deserialize, Serialize};

use crate::durable_file;
use crate::stats::AdminState;

const FILE: &str = "server-states.json";
const DAMAGED: &str = "server-states.json.damaged";

/// What is ordered for one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct KeptOrder {
    #[serde(default)]
    pub(super) state: AdminState,
    /// Nothing where the configuration's weight counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) weight: Option<u32>,
}

type Orders = BTreeMap<String, KeptOrder>;

#[derive(Debug, Serialize, Deserialize)]
struct Written {
    /// CRC32C of the servers as JSON without spaces.
    checksum: u32,
    servers: Orders,
}

/// The orders of all servers, and the file where they are kept.
#[derive(Debug)]
pub(super) struct KeptOrders {
    /// Nothing where they are not kept.
    folder: Option<PathBuf>,
    orders: Orders,
}

impl KeptOrders {
    /// Reads the orders that this folder keeps. Without a folder none are kept.
    pub(super) fn open(folder: Option<&Path>) -> KeptOrders {
        KeptOrders {
            orders: folder.map(read).unwrap_or_default(),
            folder: folder.map(Path::to_owned),
        }
    }

    /// What is ordered for this server.
    pub(super) fn order(&self, backend: &str, server: &str) -> KeptOrder {
        let order = self.orders.get(&key(backend, server));
        order.copied().unwrap_or_default()
    }

    /// Remembers what is ordered for this server. What cannot be written counts all the same as long as the process lives.
    ///
    /// # Errors
    /// It is not on disk.
    pub(super) fn keep(&mut self, backend: &str, server: &str, order: KeptOrder) -> io::Result<()> {
        let key = key(backend, server);
        if order == KeptOrder::default() {
            self.orders.remove(&key);
        } else {
            self.orders.insert(key, order);
        }
        self.write()
    }

    /// Forgets the orders for servers that there are no longer: one that comes under the same name is another one.
    pub(super) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        let before = self.orders.len();
        self.orders.retain(|key, _| is_there(key));
        if self.orders.len() < before
            && let Err(error) = self.write()
        {
            error!("the orders for servers are not written: {error}");
        }
    }

    fn write(&self) -> io::Result<()> {
        let Some(folder) = &self.folder else {
            return Err(io::Error::other("there is no data_dir to keep it in"));
        };
        let written = Written {
            checksum: checksum(&self.orders)?,
            servers: self.orders.clone(),
        };
        let text = serde_json::to_vec_pretty(&written).map_err(io::Error::other)?;
        durable_file::replace(&folder.join(FILE), &[&text])
    }
}

/// How the file names a server.
pub(super) fn key(backend: &str, server: &str) -> String {
    format!("{backend}/{server}")
}

fn read(folder: &Path) -> Orders {
    let file = folder.join(FILE);
    let error = match fs::read(&file) {
        Ok(text) => match decode(&text) {
            Ok(orders) => return orders,
            Err(error) => error,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Orders::new(),
        Err(error) => error,
    };
    let shown = file.display();
    match fs::rename(&file, folder.join(DAMAGED)) {
        Ok(()) => error!(
            "{shown} cannot be read ({error}) and was set aside as {DAMAGED}: no server is in drain or maint, and weights are the configuration's. Give the orders again: haflux server"
        ),
        Err(second) => error!(
            "{shown} cannot be read ({error}) nor set aside ({second}): no server is in drain or maint, and weights are the configuration's. Remove it, and give the orders again: haflux server"
        ),
    }
    Orders::new()
}

fn decode(text: &[u8]) -> io::Result<Orders> {
    let written: Written = serde_json::from_slice(text).map_err(io::Error::other)?;
    if checksum(&written.servers)? != written.checksum {
        return Err(io::Error::other("its checksum is wrong"));
    }
    Ok(written.servers)
}

fn checksum(orders: &Orders) -> io::Result<u32> {
    let text = serde_json::to_vec(orders).map_err(io::Error::other)?;
    Ok(crc32c::crc32c(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAINED: KeptOrder = KeptOrder {
        state: AdminState::Drain,
        weight: Some(7),
    };

    #[test]
    fn a_restart_knows_the_orders() {
        let folder = tempfile::tempdir().unwrap();
        let mut kept = KeptOrders::open(Some(folder.path()));
        kept.keep("back", "one", DRAINED).unwrap();
        kept.keep("back", "two", DRAINED).unwrap();
        kept.keep("back", "two", KeptOrder::default()).unwrap();
        let mut again = KeptOrders::open(Some(folder.path()));
        assert_eq!(again.order("back", "one"), DRAINED);
        assert_eq!(again.order("back", "two"), KeptOrder::default());
        assert_eq!(again.order("other", "one"), KeptOrder::default());
        again.retain(|key| key == "back/two");
        let last = KeptOrders::open(Some(folder.path()));
        assert_eq!(last.order("back", "one"), KeptOrder::default());
    }

    #[test]
    fn a_damaged_file_is_set_aside_whatever_bit_it_lost() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        KeptOrders::open(Some(folder.path()))
            .keep("back", "one", DRAINED)
            .unwrap();
        let sound = fs::read(&file).unwrap();
        for index in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[index] ^= 1;
            fs::write(&file, &damaged).unwrap();
            let order = KeptOrders::open(Some(folder.path())).order("back", "one");
            assert!(
                [DRAINED, KeptOrder::default()].contains(&order),
                "byte {index}: {order:?}"
            );
        }
        fs::write(&file, &sound[..sound.len() / 2]).unwrap();
        let kept = KeptOrders::open(Some(folder.path()));
        assert_eq!(kept.order("back", "one"), KeptOrder::default());
        assert!(!file.exists() && folder.path().join(DAMAGED).exists());
    }

    #[test]
    fn without_a_folder_an_order_counts_and_is_not_kept() {
        let mut kept = KeptOrders::open(None);
        kept.keep("back", "one", DRAINED).unwrap_err();
        assert_eq!(kept.order("back", "one"), DRAINED);
    }
}

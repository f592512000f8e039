//! One node behind two frontends with the same keys, and the figures of these.

use std::path::Path;

use super::{Haflux, Influxd, status};

/// Frontends `front`, of a replicated pool, and `plain`, each with `keys`; and `page`, for the figures, without them.
pub fn before(node: &Influxd, folder: &Path, keys: &str) -> Haflux {
    let address = node.address();
    let configuration = format!(
        "[server]\ndata_dir = \"FOLDER/data\"\n\
         [[frontend]]\nname = \"page\"\nbind = \"127.0.0.1:PORT(page)\"\nstats_uri = \"/haproxy?stats\"\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"back\"\n{keys}\n\
         [[relay]]\nname = \"relay\"\nreplicate_to = \"back\"\n\
         [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"{address}\" }}]\n\
         [[frontend]]\nname = \"plain\"\nbind = \"127.0.0.1:PORT(plain)\"\ndefault_backend = \"plain_back\"\n{keys}\n\
         [[backend]]\nname = \"plain_back\"\nservers = [{{ name = \"one\", address = \"{address}\" }}]\n"
    );
    Haflux::start(&folder.join("haflux"), &configuration)
}

/// What a counter of a frontend says.
pub fn counted(haflux: &Haflux, frontend: &str, counter: &str) -> u64 {
    let view = status::frontend(&haflux.url("page"), frontend);
    view[counter].as_u64().expect("a number")
}

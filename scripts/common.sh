# What the scripts share; sourced, never run.
# shellcheck shell=bash

# A step, in one short line.
say() {
	printf '==> %s\n' "$*"
}

# What went wrong, in one line; ends the script.
fail() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

as_root() {
	if [[ $EUID -eq 0 ]]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		return 1
	fi
}

# install_missing WANTED...: installs Debian packages that are not there. WANTED is `command=package` (needed when there is no
# such command) or `=package` (needed when it is not installed). The packages that were installed are left in INSTALLED.
install_missing() {
	local wanted command package missing=()
	INSTALLED=()
	for wanted in "$@"; do
		command=${wanted%%=*} package=${wanted#*=}
		if [[ -n $command ]]; then
			command -v "$command" >/dev/null && continue
		else
			dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' && continue
		fi
		missing+=("$package")
	done
	((${#missing[@]})) || return 0
	command -v apt-get >/dev/null ||
		fail "missing here: ${missing[*]} (Debian's names); this is not Debian, so please install them and start again"
	say "installing ${missing[*]}"
	{
		as_root apt-get update -q &&
			as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
	} >/dev/null ||
		fail "cannot install ${missing[*]}: run 'apt-get install ${missing[*]}' as root and start again"
	# shellcheck disable=SC2034 # read by the scripts that source this
	INSTALLED=("${missing[@]}")
}

need_rust() {
	command -v cargo >/dev/null || fail 'Rust is missing: install it from https://rustup.rs and start again'
	# Without a network, rustup cannot fetch the version that rust-toolchain.toml names: the stable one that is here must do.
	cargo --version >/dev/null 2>&1 || export RUSTUP_TOOLCHAIN=stable
}

# need_pythons_influxdb: InfluxDB's client for some Python that the tests find.
need_pythons_influxdb() {
	local python
	# A Python that is not Debian's does not see Debian's packages.
	python3 -c 'import influxdb' 2>/dev/null || install_missing '=python3-influxdb'
	for python in python3 /usr/bin/python3; do
		! "$python" -c 'import influxdb' 2>/dev/null || return 0
	done
	fail 'no python3 here can import influxdb'
}

# need_cargo_deny: the tool that judges dependencies.
need_cargo_deny() {
	cargo deny --version >/dev/null 2>&1 && return
	say 'installing cargo-deny'
	cargo install --quiet --locked cargo-deny@0.20.2 || fail 'cannot install cargo-deny: run "cargo install --locked cargo-deny" and start again'
}

# source_of MODULE: the folder of a Go module's source.
source_of() {
	go mod download "$1" && printf '%s/%s' "$(go env GOMODCACHE)" "$1"
}

# The newest InfluxDB that is tried, as a Go module, and what builds its Flux.
newest_influxdb=github.com/influxdata/influxdb@v1.13.2
pkg_config=github.com/influxdata/pkg-config@v0.2.7

# with_flux FOLDER: prepares the environment for a Go build of that InfluxDB; for a subshell. Flux is a library in Rust, which pkg-config
# builds: InfluxData's, which goes to FOLDER, before the system's. Flux names a Rust of its own.
with_flux() {
	local toolchain
	GOBIN=$1 go install "$pkg_config" || return
	if command -v rustup >/dev/null; then
		toolchain=$(rustup show active-toolchain) && export RUSTUP_TOOLCHAIN=${toolchain%% *}
	fi
	export PATH=$1:$PATH GOFLAGS=-mod=mod RUSTFLAGS='--cap-lints allow'
}

# build_newest_influxdb FOLDER: builds influx-1.13.2 and influxd-1.13.2 there.
build_newest_influxdb() (
	version=${newest_influxdb##*@v}
	source=$(source_of "$newest_influxdb") && with_flux "$1/bin" && cd "$source" || exit
	for program in influx influxd; do
		go build -ldflags "-X main.version=$version" -o "$1/$program-$version" "./cmd/$program" || exit
	done
)

# build_release FOLDER: builds the program that is shipped, with FOLDER for all that is built. The same source and compilers give the same
# bytes, wherever they lie: paths of this machine are replaced, by rustc and by the compilers of what is written in C.
build_release() {
	local target=$1 cargo_home=${CARGO_HOME:-$HOME/.cargo}
	local source=$PWD
	SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)} \
		CARGO_INCREMENTAL=0 CARGO_TARGET_DIR=$target \
		RUSTFLAGS="--remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$target=/target --remap-path-prefix=$source=/haflux" \
		CFLAGS="${CFLAGS:-} -ffile-prefix-map=$cargo_home=/cargo -ffile-prefix-map=$target=/target -ffile-prefix-map=$source=/haflux" \
		cargo build --release --locked --bin haflux
}

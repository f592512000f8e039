# What makes nodes hold the same; sourced, never run.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

TITLE[heal]='compare, compare --full and replica rebuild of 1, 4 and 16 million points, against the same lines written to one influxd'

# Lines of 1,000 series, one a second of each, in bodies of 10,000 lines.
make_bodies() { # MILLIONS
	rm -rf "$folder/bodies"
	mkdir "$folder/bodies"
	awk -v points="$(($1 * 1000000))" 'BEGIN {
		for (n = 0; n < points; n++)
			printf "cpu,host=h%d,region=r%d usage=%.2f,load=%.3f,steps=%di %d\n",
				n % 1000, n % 7, n % 9973 / 100, n % 7919 / 31, n, 1600000000 + int(n / 1000)
	}' | split --lines 10000 --suffix-length 6 - "$folder/bodies/"
}

# One connection, one body behind the other.
write_bodies() { # PORT
	local body
	for body in "$folder"/bodies/*; do
		printf 'next\nurl = "http://127.0.0.1:%s/write?db=bench&precision=s"\ndata-binary = "@%s"\nfail\nsilent\nshow-error\n' \
			"$1" "$body"
	done | sed '1d' | curl --config - || fail 'lines are not taken'
}

# healing POINTS WHAT PEER_RATE NODES COMMAND...: its rate is left in REPLY. CPU is that of the nodes, a point.
healing() {
	local points=$1 what=$2 peer=$3 node begun took before after
	local -a nodes
	read -ra nodes <<<"$4"
	before=$(for node in "${nodes[@]}"; do cpu_of "$node"; done)
	begun=$(now)
	"${@:5}" >"$folder/healing" 2>&1 || fail "${*:5}: $(<"$folder/healing")"
	took=$(($(now) - begun))
	after=$(for node in "${nodes[@]}"; do cpu_of "$node"; done)
	REPLY=$(printf '%s\n' "$before" - "$after" | awk -v points="$points" -v ms="$took" -v peer="$peer" -v cores="$(nproc)" '
		$1 == "-" { sign = 1; next }
		{ user += (sign ? 1 : -1) * $1; kernel += (sign ? 1 : -1) * $2 }
		END {
			rate = points * 1000 / (ms ? ms : 1)
			printf "points/s\t%.0f\t%.0f\t%.0f\t%s\t%.2f\t%.2f\t-\t-\t-\t%.1f\t%.0f", rate, rate, rate, peer ? sprintf("%.2f", rate / peer) : "-",
				user * 10000 / points, kernel * 10000 / points, ms / 1000, (user + kernel) * 1000 / (ms ? ms : 1) / cores
		}')
	result heal "$(printf '%s: %s (%s s, %s %% of the cores is the nodes'\'')' \
		"$((points / 1000000)) million points" "$what" "$(cut -f 11 <<<"$REPLY")" "$(cut -f 12 <<<"$REPLY")")" "$(cut -f 1-10 <<<"$REPLY")"
	REPLY=$(cut -f 2 <<<"$REPLY")
}

row_heal() {
	local millions points peer
	for millions in ${HAFLUX_BENCH_POINTS:-1 4 16}; do
		points=$((millions * 1000000))
		say "making $millions million lines"
		make_bodies "$millions"
		start_nodes n1=one n2=two alone=alone_port
		healing "$points" 'influxd alone, written to' 0 alone write_bodies "$alone_port"
		peer=$REPLY
		write_bodies "$one"
		write_bodies "$two"
		rm -rf "$folder/bodies"
		start_haflux "$one" "$two"
		until_true 600 'nodes that haflux has not seen are compared' relay_state '.compared.last != null'
		healing "$points" 'haflux compare' "$peer" 'n1 n2' "$binary" compare --config "$folder/haflux.toml"
		healing "$points" 'haflux compare --full' "$peer" 'n1 n2' "$binary" compare --full --config "$folder/haflux.toml"
		healing "$points" 'haflux replica rebuild' "$peer" 'n1 n2' \
			"$binary" replica rebuild n2 --from n1 --yes --config "$folder/haflux.toml"
		say "$(grep --only-matching '[0-9,]* points were copied in .*' "$folder/healing") (the rest of its time: what was sent before ends within rewind; proof)"
		stop haflux
		stop n1
		stop n2
		stop alone
		rm -rf "$folder/n1" "$folder/n2" "$folder/alone"
	done
}

# A node that is down, and its return; sourced, never run.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

TITLE[away]='1-line writes with one influxd down, against both up'
TITLE[catch-up]='records a second that a returning influxd takes, against the same writes sent to one directly'

# Each round has a down and an up: the node has caught up before the next one begins.
row_away() {
	local n
	start_nodes node1=one node2=two
	start_haflux "$one" "$two"
	write_command 64 "$relay_port" 1
	arm 'one down' haflux "${COMMAND[@]}"
	arm 'both up' haflux "${COMMAND[@]}"
	for ((n = 0; n < rounds; n++)); do
		round 'both up'
		stop node2
		round 'one down'
		start_influxd node2 "$two"
		until_true 120 'both nodes have everything' relay_state '[.replicas[] | .status == "fresh" and .lag.records == 0] | all'
	done
	alternate away '1-line writes' 0
	stop haflux
	stop node1
	stop node2
}

row_catch-up() {
	local gathered begun took peer n rates=()
	start_nodes node1=one node2=two alone=alone_port
	start_haflux "$one" "$two"
	write_command 64 "$alone_port" 1
	arm 'influxd alone' alone "${COMMAND[@]}"
	for ((n = 0; n < rounds; n++)); do
		stop node2
		write_command 64 "$relay_port" 1
		"${COMMAND[@]}" >"$folder/gather" || fail "$(<"$folder/gather")"
		until_true 30 'node one has everything' relay_state '.replicas[0].lag.records == 0'
		gathered=$(relay_state '.replicas[1].lag.records')
		start_influxd node2 "$two"
		until_true 60 'haflux greets it' relay_state '.replicas[1].status != "down"'
		begun=$(now)
		until_true 120 'node two has everything' relay_state '.replicas[1].lag.records == 0'
		took=$(($(now) - begun))
		rates+=("$((gathered * 1000 / (took ? took : 1)))")
		round 'influxd alone'
	done
	peer=$(medians 0 <<<"${ARM_ROUNDS['influxd alone']}" | cut -f 2)
	result catch-up 'catch-up of 1-line records: haflux' "$(printf '%s 0 0 0 0 0 0 0 0\n' "${rates[@]}" | medians "$peer")"
	alternate catch-up 'catch-up of 1-line records' 0
	stop haflux
	stop node1
	stop node2
	stop alone
}

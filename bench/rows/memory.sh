# Memory; sourced, never run.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

TITLE[idle]='resident memory at rest, against HAProxy'
TITLE[connection]='memory of a connection that is idle after one request, against HAProxy'
TITLE[tunnel]='memory of an idle WebSocket tunnel, against HAProxy'
TITLE[backlog]='most resident memory while a backlog of HAFLUX_BENCH_BACKLOG GiB gathers'

start_both() { # PORT...
	start_haflux "$@"
	start_haproxy "$@"
}

row_idle() {
	start_replicas 2
	start_both "${replica_ports[@]}"
	size idle 'memory at rest: HAProxy' "$(memory_of haproxy VmRSS)" -
	size idle 'memory at rest: haflux' "$(memory_of haflux VmRSS)" "$(memory_of haproxy VmRSS)"
	stop haproxy
	stop haflux
	stop replicas
}

# each_connection NAME PORT COUNT [REQUEST]: kB of one of so many is left in REPLY.
each_connection() {
	local before
	before=$(memory_of "$1" VmRSS)
	open_connections "${@:3:1}" "$2" "${@:4}"
	REPLY=$(awk -v kb="$(($(memory_of "$1" VmRSS) - before))" -v count="$3" 'BEGIN { printf "%.1f", kb / count }')
	close_connections
}

row_connection() {
	local peer
	start_replicas 2
	start_both "${replica_ports[@]}"
	each_connection haproxy "$haproxy_port" 1000
	peer=$REPLY
	each_connection haflux "$plain_port" 1000
	size connection 'memory of an idle connection: HAProxy' "$peer" -
	size connection 'memory of an idle connection: haflux' "$REPLY" "$peer"
	stop haproxy
	stop haflux
	stop replicas
}

row_tunnel() {
	local port peer upgrade='GET / HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
	free_port && port=$REPLY
	start upgrading python3 bench/upgrading.py "$port"
	until_true 10 'the stand-in answers' answers "$port" /ping
	start_haproxy "$port"
	start_replicas 2
	plain_servers="{ name = \"upgrading\", address = \"127.0.0.1:$port\" }" start_haflux "${replica_ports[@]}"
	each_connection haproxy "$haproxy_port" 500 "$upgrade"
	peer=$REPLY
	each_connection haflux "$plain_port" 500 "$upgrade"
	size tunnel 'memory of a tunnel: HAProxy' "$peer" -
	size tunnel 'memory of a tunnel: haflux' "$REPLY" "$peer"
	stop haproxy
	stop haflux
	stop replicas
	stop upgrading
}

row_backlog() {
	local gibibytes=${HAFLUX_BENCH_BACKLOG:-1} ports
	start_replicas 1
	ports=("${replica_ports[@]}")
	start_replicas 1 away
	start_haflux "${ports[@]}" "${replica_ports[@]}"
	stop away
	write_command 64 "$relay_port" 100
	until relay_state ".replicas[1].lag.bytes >= $gibibytes * 1073741824" >/dev/null; do
		"${COMMAND[@]}" >"$folder/backlog" || fail "$(<"$folder/backlog")"
	done
	size backlog "most memory, $gibibytes GiB of backlog: haflux" "$(memory_of haflux VmHWM)" -
	stop haflux
	stop replicas
}

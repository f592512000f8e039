# Reads; sourced, never run.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

TITLE[reads]='300-byte reads through a replicated pool, against HAProxy'
TITLE[plain]='300-byte reads through a plain pool, against HAProxy'
TITLE[large]='1 MB reads, 16 connections, both pools, against HAProxy'
TITLE[crowd]='300-byte reads with 2,000 idle connections beside, against none'

read_command() { # CONNECTIONS PORT PATH
	COMMAND=(wrk --threads 1 --connections "$1" --duration "${seconds}s" --latency --script bench/wrk/read.lua "http://127.0.0.1:$2$3")
}

compare_reads() { # ROW CONNECTIONS PATH POOL...
	local pool port
	start_replicas 2
	start_haflux "${replica_ports[@]}"
	start_haproxy "${replica_ports[@]}"
	for pool in "${@:4}"; do
		port=$relay_port
		[[ $pool == replicated ]] || port=$plain_port
		read_command "$2" "$port" "$3"
		arm "haflux, $pool pool" haflux "${COMMAND[@]}"
	done
	read_command "$2" "$haproxy_port" "$3"
	arm HAProxy haproxy "${COMMAND[@]}"
	alternate "$1" "${TITLE[$1]%%, against*}"
	stop haproxy
	stop haflux
	stop replicas
}

query='/query?db=bench&q=SELECT+v+FROM+cpu'
row_reads() { compare_reads reads 64 "$query" replicated; }
row_plain() { compare_reads plain 64 "$query" plain; }
row_large() { compare_reads large 16 /large replicated plain; }

row_crowd() {
	local n
	start_replicas 2
	start_haflux "${replica_ports[@]}"
	for ((n = 0; n < rounds; n++)); do
		read_command 64 "$relay_port" "$query"
		((n)) || arm 'with 2,000 idle' haflux "${COMMAND[@]}"
		((n)) || arm 'without' haflux "${COMMAND[@]}"
		open_connections 2000 "$relay_port"
		round 'with 2,000 idle'
		close_connections
		sleep 0.2
		round without
	done
	alternate crowd '300-byte reads' 0
	stop haflux
	stop replicas
}

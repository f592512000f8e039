# Writes; sourced, never run.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

TITLE[instant]='1-line writes, replicas that answer at once, against a bare Pingora'
TITLE[instant100]='100-line writes, replicas that answer at once, against a bare Pingora'
TITLE[nodes]='1-line writes on two influxd at 1, 8, 64, 256 connections, against one influxd'
TITLE[nodes100]='100-line writes on two influxd, against one influxd'
TITLE[nodes5000]='5,000-line writes on two influxd, against one influxd'

write_command() { # CONNECTIONS PORT LINES
	COMMAND=(wrk --threads 1 --connections "$1" --duration "${seconds}s" --latency --script bench/wrk/write.lua
		"http://127.0.0.1:$2/write?db=bench" -- "$3")
}

compare_instant() { # ROW LINES
	free_port && bare_port=$REPLY
	start bare "$examples/bare_pingora" "$bare_port" 2
	until_true 10 'the bare Pingora answers' answers "$bare_port" /ping
	start_replicas 2
	start_haflux "${replica_ports[@]}"
	write_command 64 "$relay_port" "$2"
	arm haflux haflux "${COMMAND[@]}"
	write_command 64 "$bare_port" "$2"
	arm 'bare Pingora' bare "${COMMAND[@]}"
	alternate "$1" "${TITLE[$1]%%, against*}"
	stop haflux
	stop replicas
	stop bare KILL
}

row_instant() { compare_instant instant 1; }
row_instant100() { compare_instant instant100 100; }

compare_nodes() { # ROW LINES CONNECTIONS...
	local connections
	start_nodes node1=one node2=two alone=alone_port
	start_haflux "$one" "$two"
	for connections in "${@:3}"; do
		write_command "$connections" "$relay_port" "$2"
		arm haflux haflux "${COMMAND[@]}"
		write_command "$connections" "$alone_port" "$2"
		arm 'influxd alone' alone "${COMMAND[@]}"
		alternate "$1" "$2-line writes, two influxd, $connections connections"
	done
	stop haflux
	stop node1
	stop node2
	stop alone
}

row_nodes() { compare_nodes nodes 1 1 8 64 256; }
row_nodes100() { compare_nodes nodes100 100 64; }
row_nodes5000() { compare_nodes nodes5000 5000 16; }

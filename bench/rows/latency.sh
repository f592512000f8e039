# Latency at a fixed rate; sourced, never run.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

TITLE[added-writes]='latency of 1,000 writes/s, two influxd, against one influxd'
TITLE[added-reads]='latency of 1,000 reads/s while 200 writes/s flow, two influxd, against HAProxy'

paced() { # NAME PORT write|read PATH PROCESS
	arm "$1" "$5" "$examples/paced" "127.0.0.1:$2" "$3" "$4" 1000 "${connections:-8}" "$seconds"
}

row_added-writes() {
	local connections
	start_nodes node1=one node2=two alone=alone_port
	start_haflux "$one" "$two"
	for connections in 1 8; do
		paced haflux "$relay_port" write '/write?db=bench' haflux
		paced 'influxd alone' "$alone_port" write '/write?db=bench' alone
		alternate added-writes "1,000 writes/s, $connections connections"
	done
	stop haflux
	stop node1
	stop node2
	stop alone
}

# Both read the same two nodes, and the writes beside go through haflux in both arms.
row_added-reads() {
	local path='/query?db=bench&q=SELECT+last(v)+FROM+cpu'
	start_nodes node1=one node2=two
	start_haflux "$one" "$two"
	start_haproxy "$one" "$two"
	start writer "$examples/paced" "127.0.0.1:$relay_port" write '/write?db=bench' 200 4 3600
	paced haflux "$relay_port" read "$path" haflux
	paced HAProxy "$haproxy_port" read "$path" haproxy
	alternate added-reads '1,000 reads/s, 8 connections, while 200 writes/s flow'
	stop writer
	stop haproxy
	stop haflux
	stop node1
	stop node2
}

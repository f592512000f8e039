# How cost grows; sourced, never run. `what` is NUMBER: the plots are made from these rows.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

TITLE[by-connections]='reads and 1-line writes at 1 to 4,096 connections'
TITLE[by-databases]='1-line writes to 1 to 1,000 databases'
TITLE[by-replicas]='1-line writes to 2, 3 and 5 replicas'
TITLE[by-threads]='reads and 1-line writes with 1 to 8 threads'

# One round at each size: the curve is what counts.
grow() { # ROW SIZE CONNECTIONS
	read_command "$3" "$relay_port" "$query"
	arm reads haflux "${COMMAND[@]}"
	write_command "$3" "$relay_port" 1
	arm writes haflux "${COMMAND[@]}"
	alternate "$1" "$2" 1
}

row_by-connections() {
	local connections
	start_replicas 2
	start_haflux "${replica_ports[@]}"
	for connections in 1 4 16 64 256 1024 4096; do
		grow by-connections "$connections" "$connections"
	done
	stop haflux
	stop replicas
}

row_by-databases() {
	local databases
	start_replicas 2
	start_haflux "${replica_ports[@]}"
	for databases in 1 10 100 1000; do
		write_command 64 "$relay_port" 1
		arm writes haflux "${COMMAND[@]}" "$databases"
		alternate by-databases "$databases" 1
	done
	stop haflux
	stop replicas
}

row_by-replicas() {
	local count
	for count in 2 3 5; do
		start_replicas "$count"
		start_haflux "${replica_ports[@]}"
		grow by-replicas "$count" 64
		stop haflux
		stop replicas
	done
}

row_by-threads() {
	local threads
	for ((threads = 1; threads <= 8 && threads <= $(nproc) * 2; threads *= 2)); do
		start_replicas 2
		start_haflux "${replica_ports[@]}"
		grow by-threads "$threads" 64
		stop haflux
		stop replicas
	done
}

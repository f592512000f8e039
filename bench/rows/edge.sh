# TLS, HTTP/2, and what is asked of each request at the edge; sourced, never run.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

TITLE[secure]='300-byte reads inside TLS, against HAProxy'
TITLE[handshakes]='300-byte reads inside TLS, a connection each, against HAProxy'
TITLE[http2]='300-byte reads over HTTP/2 inside TLS, 8 connections of 8 streams, against HAProxy'
TITLE[guarded]='300-byte reads with rules, limits and query guards, against none'

# Both speak TLS with the same certificate.
start_secure() {
	certificate=$folder/site.pem
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
		-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$folder/site.key" -out "$folder/site.crt" 2>/dev/null
	cat "$folder/site.crt" "$folder/site.key" >"$certificate"
	free_port && secure_port=$REPLY
	free_port && haproxy_secure_port=$REPLY
	start_replicas 2
	further_haflux="
[[frontend]]
name = \"secure\"
bind = \"127.0.0.1:$secure_port\"
maxconn = 10000
maxconn_per_source = 10000
default_backend = \"nodes\"
[frontend.tls]
certificate = \"$certificate\"
alpn = [\"h2\", \"http/1.1\"]"
	start_haflux "${replica_ports[@]}"
	haproxy_bind="
    bind 127.0.0.1:$haproxy_secure_port ssl crt $certificate alpn h2,http/1.1"
	start_haproxy "${replica_ports[@]}"
	further_haflux="" haproxy_bind=""
}

compare_secure() { # ROW COMMAND...: a command that takes a port
	start_secure
	arm haflux haflux "${@:2}" "$secure_port"
	arm HAProxy haproxy "${@:2}" "$haproxy_secure_port"
	alternate "$1" "${TITLE[$1]%%, against*}"
	stop haproxy
	stop haflux
	stop replicas
}

read_secure() { # PORT
	wrk --threads 1 --connections 64 --duration "${seconds}s" --latency --script bench/wrk/read.lua "https://127.0.0.1:$1$query"
}

# wrk resumes no session, so each handshake is a whole one.
read_by_handshakes() { # PORT
	wrk --threads 1 --connections 16 --duration "${seconds}s" --latency --script bench/wrk/read.lua \
		--header 'Connection: close' "https://127.0.0.1:$1$query"
}

# h2load's log has a line for each answer: when it began, its status, how many microseconds it took.
read_by_http2() { # PORT
	local log=$folder/h2load
	rm -f "$log"
	h2load --duration "$seconds" --clients 8 --max-concurrent-streams 8 --threads 1 --log-file "$log" "https://127.0.0.1:$1$query" >"$folder/h2load.out"
	sort --numeric-sort --key 3 "$log" | awk -v seconds="$seconds" '
		{ took[NR] = $3; errors += $2 < 200 || $2 > 399 }
		function percentile(part) { return took[int((NR - 1) * part / 100) + 1] / 1000 }
		END { if (NR) printf "RESULT %.0f %.2f %.2f %d %d\n", NR / seconds, percentile(50), percentile(99), NR, errors }'
}

row_secure() { compare_secure secure read_secure; }
row_handshakes() { compare_secure handshakes read_by_handshakes; }
row_http2() { compare_secure http2 read_by_http2; }

# A query that is bounded, so that nothing is refused.
row_guarded() {
	local bounded='/query?db=bench&q=SELECT+v+FROM+cpu+WHERE+time+%3E+now()+-+1h'
	start_replicas 2
	free_port && guarded_port=$REPLY
	further_haflux="
[[frontend]]
name = \"guarded\"
bind = \"127.0.0.1:$guarded_port\"
maxconn = 10000
maxconn_per_source = 10000
allow = [\"127.0.0.0/8\", \"10.0.0.0/8\"]
rules = [{ read = [\"telegraf\", \"bench*\"], deny_statements = [\"drop\", \"user_management\"] }]
queries = { max_running = 1000, max_running_per_user = 1000, max_time = \"1m\", unbounded = \"refuse\", slow = \"5s\" }
rate_limit = { requests = 1000000, burst = 1000000 }
bandwidth = { in_per_source = \"1GiB\", out_per_source = \"1GiB\" }
http_request = [{ deny = 403, if = { path_beg = \"/debug\" } }, { set_header = { X-Edge = \"bench\" } }]
default_backend = \"nodes\""
	start_haflux "${replica_ports[@]}"
	further_haflux=""
	read_command 64 "$guarded_port" "$bounded"
	arm guarded haflux "${COMMAND[@]}"
	read_command 64 "$relay_port" "$bounded"
	arm 'not guarded' haflux "${COMMAND[@]}"
	alternate guarded "${TITLE[guarded]%%, against*}"
	stop haflux
	stop replicas
}

# The programs that are measured, and what stands behind them; sourced, never run. The caller sets `folder` and `binary`.
# shellcheck shell=bash
# shellcheck disable=SC2154

answers() { # PORT PATH
	curl --silent --fail --max-time 2 --output "$folder/answer" "http://127.0.0.1:$1$2"
}

# start_haflux PORT...: before these servers, or with its plain pool before those of plain_servers; its own ports are left in relay_port and
# plain_port. What stands in further_haflux is configured, too.
start_haflux() {
	local port servers= count=0
	for port in "$@"; do
		count=$((count + 1))
		servers+="{ name = \"n$count\", address = \"127.0.0.1:$port\" }, "
	done
	free_port && relay_port=$REPLY
	free_port && plain_port=$REPLY
	replicas=$count
	cat >"$folder/haflux.toml" <<END
[server]
data_dir = "$folder/haflux"
access_log = false
threads = ${threads:-$(nproc)}
[[frontend]]
name = "influx"
bind = "127.0.0.1:$relay_port"
maxconn = 10000
maxconn_per_source = 10000
stats_uri = "/stats"
use_backend = [{ backend = "relay", if = { path_beg = "/write" } }]
default_backend = "nodes"
[[frontend]]
name = "plain"
bind = "127.0.0.1:$plain_port"
maxconn = 10000
maxconn_per_source = 10000
default_backend = "servers"
[[relay]]
name = "relay"
replicate_to = "nodes"
ack = "any"
sync = "always"
[[backend]]
name = "nodes"
balance = "roundrobin"
check = { http = "/ping", interval = "1s" }
servers = [$servers]
[[backend]]
name = "servers"
balance = "roundrobin"
servers = [${plain_servers:-$servers}]
${further_haflux:-}
END
	rm -rf "$folder/haflux"
	start haflux "$binary" run --config "$folder/haflux.toml"
	until_true 20 'all replicas are fresh' replicas_are_fresh
}

relay_state() { # JQ_EXPRESSION
	curl --silent --fail --max-time 2 "http://127.0.0.1:$relay_port/stats;json" | jq --exit-status --raw-output ".relays[0] | $1"
}

replicas_are_fresh() {
	relay_state ".replicas_fresh == $replicas"
}

# start_haproxy PORT...: two threads; its port is left in haproxy_port. What stands in haproxy_bind is configured, too.
start_haproxy() {
	local port count=0
	free_port && haproxy_port=$REPLY
	{
		cat <<END
global
    maxconn 5000
    nbthread 2
defaults
    mode http
    timeout connect 5s
    timeout client 50s
    timeout server 50s
    timeout tunnel 1h
frontend front
    bind 127.0.0.1:$haproxy_port${haproxy_bind:-}
    default_backend servers
backend servers
    balance roundrobin
END
		for port in "$@"; do
			count=$((count + 1))
			echo "    server n$count 127.0.0.1:$port"
		done
	} >"$folder/haproxy.cfg"
	start haproxy haproxy -db -f "$folder/haproxy.cfg"
	until_true 10 'HAProxy answers' answers "$haproxy_port" /ping
}

# start_replicas COUNT [NAME]: an nginx that answers as InfluxDB does, at once; its ports are left in replica_ports. Writes and pings get
# 204, /large 1 MB, anything else 300 bytes of JSON.
start_replicas() {
	local n name=${2:-replicas} home listen= padding
	home=$folder/$name
	replica_ports=()
	for ((n = 0; n < $1; n++)); do
		free_port
		replica_ports+=("$REPLY")
		listen+="listen 127.0.0.1:$REPLY backlog=4096; "
	done
	mkdir -p "$home"
	head --bytes 1000000 /dev/zero | tr '\0' ' ' >"$home/large"
	printf -v padding %286s ''
	cat >"$home/nginx.conf" <<END
daemon off;
worker_processes 2;
user $(id -un);
pid $home/pid;
error_log stderr;
worker_rlimit_nofile 20000;
events { worker_connections 9000; }
http {
	access_log off;
	default_type application/json;
	client_body_temp_path $home/body;
	proxy_temp_path $home/proxy;
	fastcgi_temp_path $home/fastcgi;
	uwsgi_temp_path $home/uwsgi;
	scgi_temp_path $home/scgi;
	client_max_body_size 0;
	keepalive_requests 1000000000;
	keepalive_timeout 1h;
	sendfile on;
	server {
		$listen
		root $home;
		location / {
			add_header X-Influxdb-Version 1.8.10;
			return 200 '{"results":[$padding]}';
		}
		location = /write {
			add_header X-Influxdb-Version 1.8.10;
			return 204;
		}
		location = /ping {
			add_header X-Influxdb-Version 1.8.10;
			return 204;
		}
		location = /large { }
	}
}
END
	start "$name" nginx -p "$home" -c "$home/nginx.conf"
	until_true 10 'nginx answers' answers "${replica_ports[0]}" /ping
}

start_influxd() { # NAME PORT
	local home=$folder/$1
	mkdir -p "$home"
	free_port
	cat >"$home/influxdb.conf" <<END
reporting-disabled = true
bind-address = "127.0.0.1:$REPLY"
[meta]
dir = "$home/meta"
[data]
dir = "$home/data"
wal-dir = "$home/wal"
[monitor]
store-enabled = false
[http]
bind-address = "127.0.0.1:$2"
log-enabled = false
END
	start "$1" influxd -config "$home/influxdb.conf"
}

# start_nodes NAME=VARIABLE...: each one's port is left in the variable, and it has a database `bench`.
start_nodes() {
	local wanted name variable
	for wanted in "$@"; do
		name=${wanted%%=*} variable=${wanted#*=}
		free_port
		printf -v "$variable" %s "$REPLY"
		start_influxd "$name" "$REPLY"
	done
	for wanted in "$@"; do
		variable=${wanted#*=}
		until_true 30 'influxd answers' answers "${!variable}" /ping
		curl --silent --fail --output "$folder/answer" --data-urlencode 'q=CREATE DATABASE bench' \
			"http://127.0.0.1:${!variable}/query"
	done
}

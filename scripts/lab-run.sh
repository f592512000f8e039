# `scripts/lab`: runs until Ctrl-C. Sourced by scripts/lab.
# shellcheck shell=bash disable=SC2154 # its variables are set there

start_grafana() {
	local home=/usr/share/grafana
	mkdir -p "$folder/grafana"/{data,provisioning/datasources,provisioning/dashboards}
	# The lab's authority is no one that Grafana knows.
	sed -e "s|http://haflux:8086|$influx_url|" -e 's|^    jsonData:|&\n      tlsSkipVerify: true|' deploy/grafana/provisioning/datasources/influxdb.yaml \
		>"$folder/grafana/provisioning/datasources/influxdb.yaml"
	sed "s|/etc/grafana/dashboards|$PWD/deploy/grafana/dashboards|" deploy/grafana/provisioning/dashboards/files.yaml \
		>"$folder/grafana/provisioning/dashboards/files.yaml"
	printf '%s\n' grafana-server --homepath "$home" \
		"cfg:default.paths.data=$folder/grafana/data" \
		"cfg:default.paths.logs=$folder/grafana/data" \
		"cfg:default.paths.provisioning=$folder/grafana/provisioning" \
		"cfg:default.server.http_addr=$host" \
		"cfg:default.server.http_port=$grafana_port" \
		cfg:default.auth.anonymous.enabled=true \
		cfg:default.analytics.reporting_enabled=false \
		cfg:default.analytics.check_for_updates=false >"$folder/grafana.command"
	launch grafana
	wait_until 120 'Grafana to answer' answers grafana "http://$host:$grafana_port/api/health"
}

if command -v grafana-server >/dev/null; then
	say 'starting Grafana'
	start_grafana
	grafana="Grafana           $http_url"
else
	grafana="Grafana           $http_url is DOWN: no grafana-server is installed here. haflux answers:"
	grafana+=$'\n'$(curl -sS -i --noproxy '*' --max-time 10 "$http_url/" | tr -d '\r' | sed 's/^/    | /' | head -n 12)
fi

secure='' influx_tls=''
if [[ $scheme == https ]]; then
	secure=$'\n'"Everything speaks TLS. For curl:"$'\n\n'"  export CURL_CA_BUNDLE=$folder/tls/ca.pem"$'\n'
	influx_tls=' -ssl -unsafeSsl'
fi

trap 'echo; say stopping; exit 0' INT TERM

cat <<TEXT

The lab runs. InfluxDB's clients see one node:

  InfluxDB          $influx_url
  status            $influx_url/haproxy?stats
  $grafana
  nodes behind it   influxlab $node1, influxlab2 $node2
  files and logs    $folder

$secure
Try, in another terminal:

  curl -G '$influx_url/query' --data-urlencode 'db=$database' --data-urlencode 'q=SELECT last(load1) FROM system'
  curl -i '$influx_url/write?db=$database' --data-binary 'mine,host=me value=42'
  influx$influx_tls -host $host -port $influx_port -database $database
  curl '$influx_url/query' --data-urlencode 'q=CREATE DATABASE mine'    # on both nodes
  scripts/lab kill influxlab2     # writes and queries go on; see the status page
  scripts/lab start influxlab2    # it gets what it missed

Ctrl-C stops everything.

TEXT

# ------------------------------------------------------------------------------------------------------- a trickle of metrics

# Lines as Telegraf's plugins for system, mem, cpu and net write them.
tag=host=$(hostname | tr -dc 'A-Za-z0-9._-')
busy_before=0 all_before=0
gather() { # sets `body`
	local load1 load5 load15 rest user nice system idle iowait irq softirq steal busy all value
	read -r load1 load5 load15 rest </proc/loadavg
	read -r rest user nice system idle iowait irq softirq steal rest </proc/stat
	busy=$((user + nice + system + irq + softirq + steal)) all=$((busy + idle + iowait))
	body="system,$tag load1=$load1,load5=$load5,load15=$load15"$'\n'
	body+=$(awk -v tag="$tag" '/^MemTotal:/ { total = $2 } /^MemAvailable:/ { available = $2 } END {
		printf "mem,%s total=%.0fi,available=%.0fi,available_percent=%.1f", tag, total * 1024, available * 1024, 100 * available / total
	}' /proc/meminfo)$'\n'
	if ((all > all_before && all_before > 0)); then
		value=$((1000 * (busy - busy_before) / (all - all_before)))
		body+="cpu,$tag,cpu=cpu-total usage_active=$((value / 10)).$((value % 10))"$'\n'
	fi
	busy_before=$busy all_before=$all
	body+=$(awk -v tag="$tag" 'NR > 2 {
		sub(/:/, " "); printf "net,%s,interface=%s bytes_recv=%.0fi,bytes_sent=%.0fi\n", tag, $1, $2, $10
	}' /proc/net/dev)
}

taken_writes=0 lost_writes=0 was_down=' '
while true; do
	gather
	status=$(put "$body")
	if [[ $status == 204 ]]; then
		taken_writes=$((taken_writes + 1))
	else
		lost_writes=$((lost_writes + 1))
		echo "$(date +%T)  a write was answered $status: $(<"$folder/answer.log")"
	fi
	for name in influxlab influxlab2 haflux; do
		if running "$name"; then
			[[ $was_down != *" $name "* ]] || echo "$(date +%T)  $name runs again"
			was_down=${was_down/ $name / }
		elif [[ $was_down != *" $name "* ]]; then
			echo "$(date +%T)  $name is gone; 'scripts/lab start $name' brings it back"
			was_down+="$name "
		fi
	done
	if ((taken_writes % 30 == 1)); then
		echo "$(date +%T)  $taken_writes writes acknowledged, $lost_writes not"
	fi
	sleep 1
done

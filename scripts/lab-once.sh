# `scripts/lab --once`: what the lab promises, tried. Sourced by scripts/lab.
# shellcheck shell=bash disable=SC2154 # its variables are set there

database_hosts=(web1 web2 db1)
acknowledged=0
lines=0

# write_on HOW_MANY: requests of some lines each, and one line that overwrites a point of the request before. Ends the script
# if one is not acknowledged.
write_on() {
	local request status body host_name
	for ((request = 0; request < $1; request++)); do
		body=
		for host_name in "${database_hosts[@]}"; do
			# With times of their own, and without: those are stamped by haflux, alike for both nodes.
			body+="cpu,host=$host_name value=$((RANDOM % 100)),load=${RANDOM}i $((1700000000000000000 + lines * 1000000))"$'\n'
			lines=$((lines + 1))
		done
		body+="stamped,request=$((acknowledged)) value=$RANDOM"$'\n'
		body+="overwritten,host=web1 value=$((RANDOM + acknowledged * 40000)) 1700000000000000000"
		status=$(put "$body")
		[[ $status == 204 ]] || fail "write $((acknowledged + 1)) was answered $status: $(<"$folder/answer.log")"
		acknowledged=$((acknowledged + 1))
	done
}

# Every read through haflux must be answered, whoever is down.
read_on() {
	local request answer
	for ((request = 0; request < 6; request++)); do
		answer=$(ask "$influx_url" 'SELECT count(value) FROM cpu') || fail "a read through haflux failed: $answer"
		[[ $answer == *'"count"'* ]] || fail "a read through haflux was answered $answer"
		[[ ${1:-} != exact || $answer == *",$lines]]"* ]] || fail "$lines points are acknowledged, a read was answered $answer"
	done
}

points_of() { # NODE MEASUREMENT
	local answer
	answer=$(ask "$1" "SELECT count(value) FROM $2" 2>/dev/null) || return 1
	[[ $answer =~ ,([0-9]+)\]\]\} ]] && echo "${BASH_REMATCH[1]}"
}

# Both nodes hold every acknowledged point, and the last overwriting of the one that is overwritten.
caught_up() {
	local node last
	for node in "$node1" "$node2"; do
		[[ $(points_of "$node" cpu) == "$lines" && $(points_of "$node" stamped) == "$acknowledged" ]] || return 1
	done
	last='SELECT value FROM overwritten; SELECT count(value) FROM copied; SHOW RETENTION POLICIES ON second; SHOW SERIES FROM dropped'
	[[ $(ask "$node1" "$last") == "$(ask "$node2" "$last")" ]]
}

differences=0
compare() { # QUERY
	local one other shown
	one=$(ask "$node1" "$1") other=$(ask "$node2" "$1")
	if [[ $one != "$other" ]]; then
		differences=$((differences + 1))
		printf '  DIFFERENT  %s\n' "$1"
		diff <(tr ']' '\n' <<<"$one") <(tr ']' '\n' <<<"$other") | head -n 20 || true
	elif [[ $one == *'"error"'* || $one != *'"series"'* ]]; then
		differences=$((differences + 1))
		printf '  NOTHING    %s: %s\n' "$1" "$one"
	else
		shown="$(wc -c <<<"$one") bytes"
		printf '  same  %-58s %s\n' "$1" "$shown"
	fi
}

compare_all() {
	local name
	compare 'SHOW MEASUREMENTS'
	compare 'SHOW SERIES'
	compare 'SHOW TAG VALUES WITH KEY = host'
	compare 'SHOW FIELD KEYS'
	compare 'SHOW RETENTION POLICIES'
	compare 'SELECT count(*) FROM /.*/'
	compare 'SELECT sum(*) FROM /.*/'
	compare 'SELECT last(*) FROM /.*/'
	compare 'SELECT first(value), last(value) FROM cpu GROUP BY host'
	compare 'SELECT value FROM overwritten'
	compare 'SELECT * FROM copied GROUP BY *'
	compare 'SHOW SERIES FROM dropped'
	compare 'SHOW RETENTION POLICIES ON second'
	compare 'SELECT * FROM stamped GROUP BY *'
	for name in "${database_hosts[@]}" command; do
		compare "SELECT * FROM cpu WHERE host = '$name'"
	done
	compare 'SELECT * FROM /.*/ GROUP BY *'
}

equal_in_the_end() {
	within 120 caught_up && return
	say "after 120 s the nodes do not hold every acknowledged point ($lines of cpu, $acknowledged stamped):"
	compare_all
	fail 'the nodes do not hold the same'
}

if [[ $scheme == https ]]; then
	say 'who speaks plain HTTP, or does not believe the authority, gets nothing'
	! curl -sS --noproxy '*' --max-time 5 "http://$host:$influx_port/ping" 2>>"$folder/client.log" ||
		fail 'plain HTTP was answered on an address that speaks TLS'
	! env -u CURL_CA_BUNDLE curl -sS --noproxy '*' --max-time 5 "$influx_url/ping" 2>>"$folder/client.log" ||
		fail 'a certificate of an unknown authority was believed'
	spoken=$(openssl s_client -connect "$host:$influx_port" -CAfile "$folder/tls/ca.pem" -verify_return_error </dev/null 2>&1 |
		grep -E '^(New|Verif)' | sort -u | paste -sd ' ')
	[[ $spoken == *'Verification: OK'* ]] || fail "openssl says: $spoken"
	echo "  $spoken"
fi

say 'both nodes up: writing'
write_on 60
read_on exact
echo "  $acknowledged writes acknowledged, and each read has all of them"

say 'kill -9 influxlab2: writing on, with statements in between'
kill_hard influxlab2
write_on 30
state 'CREATE DATABASE second'
state 'SELECT value INTO copied FROM cpu'
[[ $(put 'dropped,by=statement value=1 1') == 204 ]] || fail 'a write was not taken'
state 'DROP MEASUREMENT dropped'
[[ $(put 'dropped,after=it value=2 2') == 204 ]] || fail 'a write was not taken'
write_on 30
read_on exact
echo "  $acknowledged writes acknowledged, and each read has all of them"

say 'kill -9 haflux while influxlab2 is down, start it again: writing on'
kill_hard haflux
start_haflux
write_on 20
read_on
echo "  $acknowledged writes acknowledged"

say 'influxlab2 starts again: waiting until both hold every acknowledged point'
start_node influxlab2
equal_in_the_end

say 'kill -9 influxlab, the other one: writing on'
kill_hard influxlab
write_on 60
read_on
echo "  $acknowledged writes acknowledged"

say 'influxlab starts again: waiting until both hold every acknowledged point'
start_node influxlab
equal_in_the_end

say "the influx command through haflux"
through_haflux=(influx -host "$host" -port "$influx_port" -database "$database")
# The lab's authority is no one that the system knows.
[[ $scheme == http ]] || through_haflux+=(-ssl -unsafeSsl)
timeout 20 "${through_haflux[@]}" -execute 'INSERT cpu,host=command value=1,load=2i 1800000000000000000' >"$folder/answer.log" 2>&1 ||
	fail "influx could not write: $(<"$folder/answer.log")"
lines=$((lines + 1))
equal_in_the_end
counted=$(timeout 20 "${through_haflux[@]}" -format csv -execute 'SELECT count(value) FROM cpu' | tail -n 1)
[[ $counted == "cpu,0,$lines" ]] || fail "influx counted '$counted', not 'cpu,0,$lines'"
echo "  wrote a point, and counted $lines"

say 'comparing the nodes, query by query, byte by byte'
compare_all
((differences == 0)) || fail "the nodes differ in $differences of the queries"
say "all is well: $acknowledged writes acknowledged, $((lines + acknowledged + 2)) points besides copies, the same on both nodes"

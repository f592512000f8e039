# What the measurements share; sourced, never run. The caller sets `folder`, where everything is kept.
# shellcheck shell=bash
# shellcheck disable=SC2154

# Loopback ports that nobody listens on, below the range that outgoing connections are made from.
free_port() {
	local port
	while :; do
		port=$((10240 + RANDOM % 22000))
		[[ " ${taken_ports:-} " == *" $port "* ]] && continue
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && continue
		taken_ports="${taken_ports:-} $port"
		REPLY=$port
		return
	done
}

# start NAME COMMAND...: its process id is left in PROCESS[NAME], its output in a file of that name.
declare -A PROCESS=()
start() {
	local name=$1
	shift
	"$@" >>"$folder/$name.log" 2>&1 </dev/null &
	PROCESS[$name]=$!
}

# stop NAME [SIGNAL]: ends one of them and waits for it.
stop() {
	local process=${PROCESS[$1]:-}
	[[ -n $process ]] || return 0
	unset "PROCESS[$1]"
	kill "-${2:-TERM}" "$process" 2>/dev/null || true
	wait "$process" 2>/dev/null || true
}

stop_all() {
	local name
	for name in "${!PROCESS[@]}"; do
		stop "$name" KILL
	done
}

# until_true SECONDS WHAT COMMAND...
until_true() {
	local seconds=$1 what=$2 end
	shift 2
	end=$(($(now) + seconds * 1000))
	until "$@" >/dev/null 2>&1; do
		(($(now) < end)) || fail "waited $seconds s in vain: $what (see $folder)"
		sleep 0.05
	done
}

# Milliseconds.
now() {
	REPLY=$EPOCHREALTIME
	REPLY=${REPLY/[.,]/}
	echo "$((REPLY / 1000))"
}

# CPU time of a process so far, user and system, in ticks of 10 ms.
cpu_of() { # NAME
	local stat
	local -a fields
	stat=$(<"/proc/${PROCESS[$1]}/stat")
	read -ra fields <<<"${stat##*) }"
	echo "$((fields[11] + fields[12]))"
}

# Resident memory of a process in MB: VmRSS, or VmHWM for the most it ever was.
memory_of() { # NAME FIELD
	awk -v field="$2:" '$1 == field { printf "%.0f", $2 / 1024 }' "/proc/${PROCESS[$1]}/status"
}

influxd_configuration() { # FOLDER PORT RPC_PORT
	cat <<END
reporting-disabled = true
bind-address = "127.0.0.1:$3"
[meta]
dir = "$1/meta"
[data]
dir = "$1/data"
wal-dir = "$1/wal"
[monitor]
store-enabled = false
[http]
bind-address = "127.0.0.1:$2"
log-enabled = false
END
}

# ----------------------------------------------------------------------------------------------------------------- the table

ROWS=()
COMMANDS=()

# command_number COMMAND: its number is left in REPLY; equal commands have one.
command_number() {
	local number
	for number in "${!COMMANDS[@]}"; do
		if [[ ${COMMANDS[number]} == "$1" ]]; then
			REPLY=$((number + 1))
			return
		fi
	done
	COMMANDS+=("$1")
	REPLY=${#COMMANDS[@]}
}

# row WHAT RATE P50 P99 CPU MEMORY ERRORS COMMAND
row() {
	command_number "$8"
	ROWS+=("$1|$2|$3|$4|$5|$6|$7|[$REPLY]")
	say "$1: $2/s, p50 $3 ms, p99 $4 ms, $5 us of CPU each, $6 MB, $7 errors" >&2
}

print_table() {
	local number
	{
		echo 'what|per s|p50 ms|p99 ms|CPU us each|RSS MB|errors|command'
		echo '---|---|---|---|---|---|---|---'
		printf '%s\n' "${ROWS[@]}"
	} | awk -F '|' '
		{ for (i = 1; i <= NF; i++) { cell[NR, i] = $i; if (length($i) > width[i]) width[i] = length($i) }; columns = NF }
		END {
			for (r = 1; r <= NR; r++) {
				line = "|"
				for (i = 1; i <= columns; i++) {
					pad = width[i] - length(cell[r, i])
					fill = sprintf("%" pad "s", ""); if (r == 2) gsub(/ /, "-", fill)
					line = line " " (i == 1 || r == 2 ? cell[r, i] fill : fill cell[r, i]) " |"
				}
				print line
			}
		}'
	echo
	for number in "${!COMMANDS[@]}"; do
		echo "[$((number + 1))] ${COMMANDS[number]}"
	done
}

# ---------------------------------------------------------------------------------------------------------------- measuring

# Results of each arm, one line a round: rate, p50, p99, requests, errors, CPU in ticks.
declare -A RESULTS=()

# round ARM NAME COMMAND...: runs wrk once; CPU is that of process NAME, or nobody's if it is empty.
round() {
	local arm=$1 name=$2 before=0 after=0 output result
	shift 2
	[[ -z $name ]] || before=$(cpu_of "$name")
	output=$("$@" 2>&1) || fail "$*: $output"
	[[ -z $name ]] || after=$(cpu_of "$name")
	result=$(sed -n 's/^RESULT //p' <<<"$output")
	[[ -n $result ]] || fail "$*: $output"
	RESULTS[$arm]+="$result $((after - before))"$'\n'
}

# summarise ARM WHAT NAME COMMAND: a row of the medians of all rounds; errors are summed.
summarise() {
	local rate p50 p99 cpu errors memory=-
	read -r rate p50 p99 cpu errors < <(awk '
		NF { n++; rate[n] = $1; p50[n] = $2; p99[n] = $3; cpu[n] = $4 ? $6 * 10000 / $4 : 0; errors += $5 }
		function median(list,   i, j, swap) {
			for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (list[j] < list[i]) { swap = list[i]; list[i] = list[j]; list[j] = swap }
			return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
		}
		END { printf "%.0f %.2f %.2f %.1f %d\n", median(rate), median(p50), median(p99), median(cpu), errors }' <<<"${RESULTS[$1]}")
	if [[ -n $3 ]]; then
		memory=$(memory_of "$3" VmRSS)
	else
		cpu=-
	fi
	row "$2" "$rate" "$p50" "$p99" "$cpu" "$memory" "$errors" "$4"
}

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

# An nginx that is killed leaves its workers behind, so it is asked to end.
stop_all() {
	local name
	for name in "${!PROCESS[@]}"; do
		case $name in
		replicas | away) stop "$name" ;;
		*) stop "$name" KILL ;;
		esac
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

# CPU time of a process so far, "USER SYSTEM", in ticks of 10 ms.
cpu_of() { # NAME
	local stat
	local -a fields
	stat=$(<"/proc/${PROCESS[$1]}/stat")
	read -ra fields <<<"${stat##*) }"
	echo "${fields[11]} ${fields[12]}"
}

# Resident memory of a process in kB: VmRSS, or VmHWM for the most it ever was.
memory_of() { # NAME FIELD
	awk -v field="$2:" '$1 == field { print $2 }' "/proc/${PROCESS[$1]}/status"
}

# open_connections COUNT PORT [REQUEST]: connections that stay, each after the answer to one request. A process of their own holds them,
# because wrk gives up on sockets whose numbers lie above its own many, which it would have behind inherited ones.
open_connections() {
	local line
	coproc HOLDER { hold_connections "$@"; }
	holder=$HOLDER_PID
	IFS= read -r line <&"${HOLDER[0]}" || line='no answer'
	[[ $line == open ]] || fail "connections are not open: $line"
}

hold_connections() {
	local n file line request=${3:-'GET /ping HTTP/1.1\r\nHost: bench\r\n'}
	for ((n = 0; n < $1; n++)); do
		exec {file}<>"/dev/tcp/127.0.0.1/$2"
		printf '%b\r\n' "$request" >&"$file"
		IFS= read -r line <&"$file"
		if [[ $line != 'HTTP/1.1 '[12]0[14]* ]]; then
			echo "a request was answered with $line"
			return
		fi
	done
	echo open
	read -r line
}

close_connections() {
	echo >&"${HOLDER[1]}"
	wait "$holder"
}

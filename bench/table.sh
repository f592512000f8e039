# Rounds of arms that alternate, and the table of them; sourced, never run. The caller sets `folder`, `results`, `rounds`.
# shellcheck shell=bash
# shellcheck disable=SC2154

# The arms of the comparison that is being made, in order, the peer last.
ARMS=()
declare -A ARM_PROCESS=() ARM_COMMAND=() ARM_ROUNDS=()

# arm NAME PROCESS COMMAND...: COMMAND prints a line `RESULT rate p50 p99 requests errors`; CPU is that of PROCESS.
arm() {
	ARMS+=("$1")
	ARM_PROCESS[$1]=$2
	ARM_COMMAND[$1]=$(printf '%q ' "${@:3}")
	ARM_ROUNDS[$1]=
}

# alternate ROW WHAT [ROUNDS]: runs each arm once a round, writes a line of each one to the results, and forgets them.
alternate() {
	local n name peer=${ARMS[-1]} peer_rate
	for ((n = 0; n < ${3:-$rounds}; n++)); do
		for name in "${ARMS[@]}"; do
			round "$name"
		done
	done
	peer_rate=$(medians 0 <<<"${ARM_ROUNDS[$peer]}" | cut -f 2)
	for name in "${ARMS[@]}"; do
		result "$1" "$2: $name" "$(medians "$peer_rate" <<<"${ARM_ROUNDS[$name]}")"
	done
	ARMS=()
}

round() { # ARM
	local output line before after
	before=$(cpu_of "${ARM_PROCESS[$1]}")
	output=$(eval "${ARM_COMMAND[$1]}" 2>&1) || fail "${ARM_COMMAND[$1]}: $output"
	after=$(cpu_of "${ARM_PROCESS[$1]}")
	line=$(sed -n 's/^RESULT //p' <<<"$output")
	[[ -n $line ]] || fail "${ARM_COMMAND[$1]}: $output"
	ARM_ROUNDS[$1]+="$line $before $after"$'\n'
}

# medians PEER_RATE <ROUNDS: unit, median rate, least, most, ratio, user and system us a request, p50, p99, errors.
medians() {
	awk -v peer="$1" '
		NF { n++; rate[n] = $1; p50[n] = $2; p99[n] = $3; errors += $5
			user[n] = $4 ? ($8 - $6) * 10000 / $4 : 0; kernel[n] = $4 ? ($9 - $7) * 10000 / $4 : 0 }
		function sort(list,   i, j, swap) {
			for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (list[j] < list[i]) { swap = list[i]; list[i] = list[j]; list[j] = swap }
		}
		function median(list) { sort(list); return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2 }
		END {
			middle = median(rate)
			printf "/s\t%.0f\t%.0f\t%.0f\t%s\t%.1f\t%.1f\t%.2f\t%.2f\t%d\n", middle, rate[1], rate[n],
				peer ? sprintf("%.2f", middle / peer) : "-", median(user), median(kernel), median(p50), median(p99), errors
		}'
}

# result ROW WHAT FIELDS
result() {
	printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$results.tsv"
	say "$2: $(cut -f 2 <<<"$3") $(cut -f 1 <<<"$3"), ratio $(cut -f 5 <<<"$3")" >&2
}

# size ROW WHAT KB PEER_KB: memory, in kB; `-` where there is no peer.
size() {
	result "$1" "$2" "$(awk -v kb="$3" -v peer="$4" 'BEGIN {
		printf "kB\t%s\t%s\t%s\t%s\t-\t-\t-\t-\t-", kb, kb, kb, peer + 0 ? sprintf("%.2f", kb / peer) : "-" }')"
}

print_table() {
	echo '| row | what | unit | median | least | most | ratio to the peer | user µs | system µs | p50 ms | p99 ms | errors |'
	echo '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |'
	sed '1d; s/\t/ | /g; s/^/| /; s/$/ |/' "$results.tsv"
}

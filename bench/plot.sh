# The growth rows as SVG; sourced, never run.
# shellcheck shell=bash

# plots TSV FOLDER: a plot of each row `by-…` that the results have.
plots() {
	local row
	mkdir -p "$2"
	for row in $(cut -f 1 "$1" | grep '^by-' | sort -u); do
		awk -F '\t' -v row="$row" -f bench/plot.awk "$1" >"$2/$row.svg"
	done
}

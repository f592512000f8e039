# One SVG of one growth row: requests a second over its size, a curve an arm. `what` is "SIZE: ARM". The sizes stand at equal
# distances, because they grow by factors.
$1 == row {
	split($2, part, ": ")
	size = part[1]; arm = part[2]
	if (!(size in column)) { column[size] = columns++; label[columns - 1] = size }
	if (!(arm in curve)) { curve[arm] = curves++; name[curves - 1] = arm }
	rate[curve[arm], column[size]] = $4
	if ($4 > most) most = $4
}
function x(c) { return 70 + (columns > 1 ? c * 500 / (columns - 1) : 250) }
function y(r) { return 280 - r * 230 / top }
END {
	step = 10 ^ int(log(most) / log(10)); while (most / step < 4) step /= 2
	top = step * (int(most / step) + 1)
	colour[0] = "#1f77b4"; colour[1] = "#d9660a"
	print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 340\" font-family=\"sans-serif\" font-size=\"12\">"
	print "<rect width=\"640\" height=\"340\" fill=\"white\"/>"
	printf "<text x=\"70\" y=\"24\" font-size=\"14\">requests a second, %s</text>\n", row
	for (r = 0; r <= top; r += step) {
		printf "<line x1=\"70\" x2=\"570\" y1=\"%d\" y2=\"%d\" stroke=\"#ddd\"/>", y(r), y(r)
		printf "<text x=\"62\" y=\"%d\" text-anchor=\"end\">%d</text>\n", y(r) + 4, r
	}
	for (c = 0; c < columns; c++) printf "<text x=\"%d\" y=\"300\" text-anchor=\"middle\">%s</text>\n", x(c), label[c]
	for (k = 0; k < curves; k++) {
		points = ""
		for (c = 0; c < columns; c++) if ((k, c) in rate) {
			points = points sprintf(" %d,%d", x(c), y(rate[k, c]))
			printf "<circle cx=\"%d\" cy=\"%d\" r=\"3\" fill=\"%s\"/>", x(c), y(rate[k, c]), colour[k]
		}
		printf "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n", points, colour[k]
		printf "<text x=\"%d\" y=\"326\" fill=\"%s\">%s</text>\n", 70 + k * 120, colour[k], name[k]
	}
	print "</svg>"
}

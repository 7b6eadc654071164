# One row of attention or of hidden attention, read from the numbers of a dump, as JSON for drive.js: its largest value,
# the cell that has it, and the colours that some of its cells have. The values of all wanted heads follow each other on
# stdin, T for each.
#
#   awk -f row.awk -v tile=... -v y=.. -v x=.. (the cell in cells of 16 px) -v size=.. (px a cell) -v h=.. -v w=.. \
#       -v window=.. -v scan=0|1 -v top=.. (the end of the colour bar) -v table=FILE (the colour table)
# The share of an arm of the colour table at so many octaves above even, of so many that the bar has.
function arm(e, all) { return e < -2 ? -0.36 : e < 0 ? 0.18 * e : e < 1 ? 0.3 * e : e < all ? 0.3 + 0.7 * (e - 1) / (all - 1) : 1 }
BEGIN {
    while ((getline line < table) > 0)
        if (split(line, part, /[^0-9]+/) >= 4 && line ~ /^{/) colour[rows++] = "[" part[2] "," part[3] "," part[4] ",255]"
    T = window * window
    at_y = int(y * 16 / size); at_x = int(x * 16 / size)
    top_y = int(at_y / window) * window; top_x = int(at_x / window) * window
    token = (at_y - top_y) * window + at_x - top_x
}
{ v[n % T] += $1; n++ }
END {
    heads = n / T
    for (j = 0; j < T; j++) { v[j] /= heads; sum += v[j] }
    for (j = 0; j < T; j++) {
        v[j] *= scan ? (token + 1) / sum : T
        cy = top_y + int(j / window); cx = top_x + j % window
        real[j] = cy < h && cx < w && (!scan || j <= token)
        if (real[j] && v[j] > most) { most = v[j]; best = cy "," cx }
    }
    printf "{\"tile\":\"%s\",\"y\":%d,\"x\":%d,\"h\":%d,\"w\":%d,\"cell\":%d,\"most\":%.9g,\"best\":\"%s\",\"cells\":[", \
        tile, y, x, h, w, size, most, best
    for (j = 0; j < T; j++) {
        cy = top_y + int(j / window); cx = top_x + j % window
        # Large enough that its code is exact to a colour, and not below the outline of the query.
        if (!real[j] || v[j] < most / 10 || (cy == at_y && cx == at_x) || count >= 40) continue
        place = 255 * (0.5 + 0.5 * arm(log(v[j]) / log(2), log(top) / log(2)))
        steepest = 0.7 / (log(top) / log(2) - 1); steepest = steepest > 0.3 ? steepest : 0.3
        slack = 0.004 * most / v[j] * steepest / log(2) * 127.5
        printf "%s{\"y\":%d,\"x\":%d,\"colours\":[", count++ ? "," : "", cy, cx
        for (i = int(place - slack + 0.5); i <= place + slack + 0.5; i++)
            if (i in colour) printf "%s%s", i == int(place - slack + 0.5) ? "" : ",", colour[i]
        printf "]}"
    }
    printf "]}"
}

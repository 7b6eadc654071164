# One row of attention or of hidden attention, read from the numbers of a dump, as JSON for drive.js: its largest value,
# the cell that has it, and the colours that some of its cells have. The values of all wanted heads follow each other on
# stdin, T for each.
#
#   awk -f row.awk -v tile=... -v y=.. -v x=.. (the cell in cells of 16 px) -v size=.. (px a cell) -v h=.. -v w=.. \
#       -v window=.. -v scan=0|1 -v top=.. (the end of the colour bar) -v table=FILE (the colour table)
function clamp(v) { return v < -1 ? -1 : v > 1 ? 1 : v }
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
        place = 255 * (0.5 + 0.5 * clamp(log(v[j]) / log(top)))
        slack = 0.004 * most / v[j] / log(top) * 127.5
        printf "%s{\"y\":%d,\"x\":%d,\"colours\":[", count++ ? "," : "", cy, cx
        for (i = int(place - slack + 0.5); i <= place + slack + 0.5; i++)
            if (i in colour) printf "%s%s", i == int(place - slack + 0.5) ? "" : ",", colour[i]
        printf "]}"
    }
    printf "]}"
}

/* What `bench` tells: a table, JSON lines, a page.
 */
#ifndef BENCHMARK_OUT_H
#define BENCHMARK_OUT_H

#include "cmd/benchmark.h"
#include "cmd/command.h"

/* Characters of the columns that hold names. */
typedef struct {
    int model, device;
} bench_widths;

enum { BENCH_NAME = 32 }; /* a longer name is shortened in the table and on the page */

/* Makes room for a name, or a device's name. */
void bench_widen(bench_widths *w, const char *model, const char *device);

/* Prints a row with its captures and its profile, under headings if it is the first; as a line of JSON, or as text. */
mv_status bench_print(bench_row *row, const bench_widths *w, bool first, bool json, mv_error *e);

/* What a reader of the rows may ask, below the table: nothing where there is nothing to explain. */
void bench_print_notes(const bench_row *rows, int n);
extern const char bench_beyond_note[], bench_fp8_note[];

/* Draws the page of all rows, or of as many as it shows: it says how many are left out. */
mv_status bench_page(const call *c, bench_row *rows, int n, const char *path, mv_error *e);

#endif

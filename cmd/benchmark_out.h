/* What `bench` tells: a table, JSON lines, a page.
 */
#ifndef BENCHMARK_OUT_H
#define BENCHMARK_OUT_H

#include "cmd/benchmark.h"
#include "cmd/command.h"

/* Prints a row with its captures and its profile, under headings if it is the first; as a line of JSON, or as text. */
mv_status bench_print(bench_row *row, bool first, bool json, mv_error *e);

/* Draws the page of all rows. */
mv_status bench_page(const call *c, bench_row *rows, int n, const char *path, mv_error *e);

#endif

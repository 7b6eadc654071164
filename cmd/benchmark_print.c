#include <string.h>

#include "cmd/benchmark_out.h"
#include "cmd/reply.h"
#include "cmd/talk.h"
#include "src/base/text.h"

const char bench_beyond_note[] =
    "Above 100 % of the floor: what stays in the cache is faster than the large matrices by which the floor is "
    "measured, or the machine was busier while those were.";
const char bench_fp8_note[] = "The floor of fp8 takes every product as one of fp8 and every weight as a byte: "
                              "convolutions and small layers, which "
                              "stay fp16, keep a pass above it.";

/* ---- text */

static void print_capture(const char *what, double seconds, double beside)
{
    if (seconds < 0)
        printf("  %s: does not fit", what);
    else
        printf("  %s %+.1f %%", what, (seconds / beside - 1) * 100);
}

static void print_profile(bench_row *row)
{
    int n;
    const mv_profile_row *op = mv_profile_rows(row->profile, &n);
    double all = 0, floors = 0;
    for (int i = 0; i < n; i++)
        all += op[i].seconds, floors += bench_floor_of(row, &op[i]);
    printf("\n  %-11s  %-40s  %-7s  %5s  %9s  %8s  %8s  %6s  %6s\n", "operation", "shape", "part", "calls", "ms",
           "GB/s", "GFLOP/s", "floor", "share");
    for (int i = 0; i < n; i++) {
        double s = op[i].seconds > 0 ? op[i].seconds : 1e-12;
        printf("  %-11s  %-40s  %-7s  %5d  %9.3f  %8.1f  %8.1f  %4.0f %%  %4.1f %%\n", op[i].op, op[i].shape,
               bench_part_name(bench_part_of(&op[i])), op[i].calls, s * 1e3, op[i].bytes * op[i].calls / s * 1e-9,
               op[i].flops * op[i].calls / s * 1e-9, bench_floor_of(row, &op[i]) / s * 100,
               all > 0 ? s / all * 100 : 0);
    }
    if (mv_profile_left_out(row->profile))
        printf("  %d calls of further shapes are left out\n", mv_profile_left_out(row->profile));
    printf("  all operations: %.3f ms, their floors %.3f ms\n\n", all * 1e3, floors * 1e3);
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

void bench_widen(bench_widths *w, const char *model, const char *device)
{
    char text[4 * BENCH_NAME + 1];
    w->model = larger(larger(w->model, 11), mv_text_shorten(text, sizeof text, BENCH_NAME, model));
    w->device = larger(larger(w->device, 10), (int)strlen(device));
}

static void print_text(bench_row *row, const bench_widths *w, bool first)
{
    char model[4 * BENCH_NAME + 1];
    if (first)
        printf("%-*s  %-*s  %-9s  %5s  %9s  %10s  %13s  %10s  %8s  %9s\n", w->model, "model", w->device, "device",
               "precision", "batch", "images/s", "ms a batch", "quartiles", "floor ms", "of floor", "memory MB");
    int wide = mv_text_shorten(model, sizeof model, BENCH_NAME, row->model);
    printf("%s%*s  %-*s  %-9s  %5d  ", model, larger(w->model - wide, 0), "", w->device, row->device, row->precision,
           row->batch);
    if (!row->fits) {
        printf("does not fit into the memory\n");
        return;
    }
    printf("%9.1f  %10.3f  %+5.1f %+5.1f %%  %10.3f  %6.0f %%  %9.1f\n", row->batch / row->seconds, row->seconds * 1e3,
           (row->low / row->seconds - 1) * 100, (row->high / row->seconds - 1) * 100, row->floor * 1e3,
           row->floor / row->seconds * 100, (double)row->scratch * 1e-6);
    for (int i = 0; i < row->captures; i++) {
        const bench_capture *c = &row->capture[i];
        printf("  with %s:", c->sites);
        print_capture("computed", c->computed, c->beside_computed);
        print_capture("delivered", c->delivered, c->beside_delivered);
        printf("\n");
    }
    if (row->profile)
        print_profile(row);
}

void bench_print_notes(const bench_row *rows, int n)
{
    bool beyond = false, fp8 = false;
    for (int i = 0; i < n; i++) {
        beyond = beyond || bench_is_beyond(&rows[i]);
        fp8 = fp8 || bench_is_fp8(&rows[i]);
    }
    if (beyond)
        printf("\n%s\n", bench_beyond_note);
    if (fp8)
        printf("\n%s\n", bench_fp8_note);
}

/* ---- JSON */

static json_t *capture_json(const bench_capture *c)
{
    json_t *o = json_pack("{s:s}", "sites", c->sites);
    bool good = reply_set(o, "computed_ms", c->computed < 0 ? json_null() : json_real(c->computed * 1e3)) &&
                reply_set(o, "delivered_ms", c->delivered < 0 ? json_null() : json_real(c->delivered * 1e3));
    if (good && c->computed >= 0)
        good = reply_set(o, "computed_times", json_real(c->computed / c->beside_computed));
    if (good && c->delivered >= 0)
        good = reply_set(o, "delivered_times", json_real(c->delivered / c->beside_delivered));
    if (good)
        return o;
    json_decref(o);
    return NULL;
}

static json_t *profile_json(bench_row *row)
{
    int n;
    const mv_profile_row *op = mv_profile_rows(row->profile, &n);
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        if (!reply_append(list, json_pack("{s:s,s:s,s:s,s:i,s:f,s:f,s:f,s:f}", "op", op[i].op, "shape", op[i].shape,
                                          "part", bench_part_name(bench_part_of(&op[i])), "calls", op[i].calls, "ms",
                                          op[i].seconds * 1e3, "floor_ms", bench_floor_of(row, &op[i]) * 1e3, "flops",
                                          op[i].flops * op[i].calls, "bytes", op[i].bytes * op[i].calls))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *row_json(bench_row *row)
{
    json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:[i,i],s:i,s:b}", "model", row->model, "device", row->device, "about",
                          row->about, "precision", row->precision, "version", MV_VERSION, "size", row->h, row->w,
                          "batch", row->batch, "fits", row->fits);
    if (!row->fits)
        return o;
    json_t *captures = json_array();
    bool good = captures != NULL;
    for (int i = 0; i < row->captures && good; i++)
        good = reply_append(captures, capture_json(&row->capture[i]));
    json_t *numbers =
        json_pack("{s:f,s:f,s:f,s:f,s:i,s:f,s:f,s:f,s:f,s:f,s:i,s:I}", "images_per_second", row->batch / row->seconds,
                  "ms", row->seconds * 1e3, "quartile_low_ms", row->low * 1e3, "quartile_high_ms", row->high * 1e3,
                  "passes", row->passes, "floor_ms", row->floor * 1e3, "share_of_floor", row->floor / row->seconds,
                  "macs", row->macs, "macs_per_second", row->mac_rate, "bytes_per_second", row->byte_rate, "yardstick",
                  row->side, "scratch_bytes", (json_int_t)row->scratch);
    good = good && o && numbers && json_object_update(o, numbers) == 0;
    json_decref(numbers);
    if (!good)
        json_decref(captures);
    good = good && reply_set(o, "captures", captures) && (!row->profile || reply_set(o, "profile", profile_json(row)));
    if (good)
        return o;
    json_decref(o);
    return NULL;
}

mv_status bench_print(bench_row *row, const bench_widths *w, bool first, bool json, mv_error *e)
{
    if (json)
        return reply_print(row_json(row), stdout, "bench", e);
    print_text(row, w, first);
    flush_results();
    return MV_OK;
}

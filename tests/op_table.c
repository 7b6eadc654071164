/* The cases of both passes as one table, and what a result is compared with. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/op_cases_impl.h"

static op_case case_at(int i, const op_kind **kind)
{
    bool forward = i < op_forward_cases();
    op_case c = forward ? op_forward_case_at(i) : op_back_case_at(i - op_forward_cases());
    *kind = (forward ? op_forward_kinds : op_back_kinds) + c.op;
    return c;
}

static bool has(const mv_backend *b, const op_kind *kind)
{
    mv_status (*op)(void) = NULL;
    if (kind->at)
        memcpy(&op, (const char *)b + kind->at, sizeof op);
    return !kind->at || op;
}

int op_cases(void)
{
    return op_forward_cases() + op_back_cases();
}

int op_cases_without(const mv_backend *b)
{
    int n = 0;
    const op_kind *kind, *last = NULL;
    for (int i = 0; i < op_cases(); i++) {
        case_at(i, &kind);
        if (has(b, kind))
            continue;
        n++;
        if (kind != last)
            print_message("           %s has no %s: its cases are skipped\n", b->name, kind->name);
        last = kind;
    }
    return n;
}

const char *op_case_name(int i)
{
    static const char *const acts[] = {"", " relu", " gelu", " gelu_tanh"};
    static const char *const flags[] = {" residual", " onto",   " gamma",  " fp32",    " nobias", " dt",
                                        " kept",     " scaled", " signed", " one",     " shares", " skewed",
                                        " nans",     " held",   " row",    " positive"};
    static char name[128];
    const op_kind *kind;
    op_case c = case_at(i, &kind);
    size_t at = (size_t)snprintf(name, sizeof name, "%s", kind->name);
    for (int k = 0; kind->letters[k]; k++)
        at += (size_t)snprintf(name + at, sizeof name - at, " %c%d", kind->letters[k], c.d[k]);
    at += (size_t)snprintf(name + at, sizeof name - at, "%s", acts[c.act]);
    for (unsigned k = 0; k < sizeof flags / sizeof *flags; k++)
        if (c.flags >> k & 1)
            at += (size_t)snprintf(name + at, sizeof name - at, "%s", flags[k]);
    return name;
}

void op_case_run(int i, mv_backend *b, uint64_t seed, op_result *r)
{
    const op_kind *kind;
    op_case c = case_at(i, &kind);
    stage s;
    stage_open(&s, b, seed + (uint64_t)i * 0x9E3779B97F4A7C15u);
    s.skew = c.flags & SKEWED ? 1 : 0;
    if (has(b, kind))
        kind->run(&s, &c);
    stage_close(&s, r);
}

void op_result_free(op_result *r)
{
    for (int i = 0; i < OP_OUTPUTS; i++) {
        free(r->output[i].got);
        free(r->output[i].want);
        r->output[i] = (op_output){0};
    }
}

op_distance op_output_distance(const op_output *o, double absolute, double relative)
{
    op_distance d = {.excess = -1};
    double error = 0, power = 0;
    for (size_t i = 0; i < o->n; i++) {
        if (isnan(o->got[i]) && isnan(o->want[i]))
            continue;
        double by = fabs((double)o->got[i] - o->want[i]), excess = by / (absolute + relative * fabs(o->want[i]));
        if (isnan(excess)) /* NaN, or no difference with bounds of 0 */
            excess = by == 0 ? 0 : INFINITY;
        if (excess > d.excess) {
            d.excess = excess;
            d.at = i;
        }
        error += by * by;
        power += o->want[i] * o->want[i];
    }
    d.nmse = error == 0 ? 0 : isnan(error) ? INFINITY : error / power;
    return d;
}

#include "src/run/keep.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 256 };

static mv_tensor shape_of(mv_view v)
{
    mv_tensor t = {.type = MV_F32, .nd = v.nd};
    memcpy(t.dim, v.dim, sizeof t.dim);
    return t;
}

static void forget(mv_run *r, mv_lane *l)
{
    for (int i = 0; i < l->n; i++)
        free(l->parcel[i].site);
    l->n = 0;
    l->used = l->asked = 0;
    if (l->pass)
        r->b->forget(r->b, l->pass);
    l->pass = NULL;
}

bool mv_lane_ready(mv_run *r, mv_lane *l)
{
    mv_backend *b = r->b;
    forget(r, l);
    if (!b->tray_new)
        return true;
    if (r->wanted > l->tray.size && r->wanted <= r->most) {
        mv_error full = {0};
        b->tray_free(b, &l->tray);
        if (b->tray_new(b, &l->tray, r->wanted, &full))
            r->most = 0; /* no memory for trays: reading at once needs none */
    }
    return r->wanted <= l->tray.size;
}

/* ---- keeping */

/* A value that is handed on at once */
static float *piece(mv_run *r, size_t bytes)
{
    if (bytes > r->piece_room) {
        free(r->piece);
        r->piece = malloc(bytes);
        r->piece_room = r->piece ? bytes : 0;
    }
    return r->piece;
}

/* Into the lane's tray, if it has the room */
static bool shelve(mv_run *r, mv_probe *p, const char *site, int part, mv_view v)
{
    mv_lane *l = r->way;
    size_t bytes = (mv_view_count(v) * sizeof(float) + ALIGN - 1) / ALIGN * ALIGN;
    l->asked += bytes;
    if (l->asked > r->wanted)
        r->wanted = l->asked;
    if (bytes > l->tray.size - l->used)
        return false;
    if (l->n == l->room) {
        int room = l->room ? 2 * l->room : 16;
        mv_parcel *more = realloc(l->parcel, (size_t)room * sizeof *more);
        if (!more)
            return false;
        l->parcel = more;
        l->room = room;
    }
    char *name = strdup(site);
    if (!name)
        return false;
    l->parcel[l->n++] = (mv_parcel){.probe = p, .site = name, .part = part, .value = shape_of(v), .at = l->used};
    r->b->tray_put(r->b, &l->tray, l->used, v, &r->error);
    l->used += bytes;
    return true;
}

void mv_run_keep(mv_run *r, mv_probe *p, const char *site, int part, mv_view v)
{
    if (r->error.code || shelve(r, p, site, part, v))
        return;
    mv_tensor value = shape_of(v);
    value.data = piece(r, mv_view_count(v) * sizeof(float));
    if (!value.data)
        mv_run_fail(r, MV_ENOMEM, "%s: out of memory for %zu captured values", site, mv_view_count(v));
    else if (mv_run_read(r, v, value.data))
        p->kept(p, r, site, part, value);
}

void mv_keep_logits(mv_run *r, mv_tensor logits)
{
    if (!r->error.code && !shelve(r, NULL, "head", 0, mv_view_of(logits)) && r->way->logits)
        mv_run_read(r, mv_view_of(logits), r->way->logits);
}

/* ---- delivery */

void mv_lane_send(mv_run *r, mv_lane *l)
{
    if (r->error.code || l->used == 0)
        return;
    l->first = r->first;
    l->pictures = r->pictures;
    l->sent = !r->b->tray_send(r->b, &l->tray, l->used, &r->error);
}

void mv_lane_deliver(mv_run *r, mv_lane *l)
{
    int first = r->first, pictures = r->pictures;
    if (!l->sent)
        return;
    l->sent = false;
    bool failed = r->error.code; /* the first failure stays; what is on its way must land all the same */
    mv_error later = {0};
    if (r->b->tray_wait(r->b, &l->tray, failed ? &later : &r->error) || failed)
        return;
    r->first = l->first;
    r->pictures = l->pictures;
    for (int i = 0; i < l->n && !r->error.code; i++) {
        const mv_parcel *p = &l->parcel[i];
        mv_tensor value = p->value;
        value.data = (char *)l->tray.host + p->at;
        if (p->probe)
            p->probe->kept(p->probe, r, p->site, p->part, value);
        else if (l->logits)
            memcpy(l->logits, value.data, mv_tensor_bytes(value));
    }
    r->first = first;
    r->pictures = pictures;
}

void mv_lanes_free(mv_run *r)
{
    for (int i = 0; i < MV_LANES; i++) {
        mv_lane *l = &r->lane[i];
        forget(r, l);
        free(l->parcel);
        if (r->b->tray_new)
            r->b->tray_free(r->b, &l->tray);
    }
    free(r->piece);
}

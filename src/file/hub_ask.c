/* Asking the hub, asking again, and what its refusals mean. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "src/base/clock.h"
#include "src/file/hub_impl.h"
#include "src/file/kind.h"

enum { LONGEST_WAIT = 300 }; /* seconds that a busy server may ask for */

bool mv_hub_stop_asked(const mv_hub_pulling *p)
{
    return p->s->stop && p->s->stop(p->s->context);
}

void mv_hub_say(const mv_hub_pulling *p, const char *format, ...)
{
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (p->s->say)
        p->s->say(p->s->context, text);
}

mv_status mv_hub_interrupted(mv_hub_pulling *p, mv_error *e)
{
    p->out->stopped = true;
    return mv_fail(e, MV_EIO, "%s: interrupted", p->name->id);
}

/* ---- asking, and asking again */

/* Pauses before try number `try` + 1: as long as the server wants, or 0.5, 1, 2, ... seconds. */
static mv_status pause_before(mv_hub_pulling *p, int try, const mv_answer *a, const char *why, mv_error *e)
{
    static const struct timespec step = {.tv_nsec = 50000000};
    double seconds = try < 6 ? 0.5 * (1 << try) : 30;
    if (a->wait >= 0)
        seconds = a->wait;
    if (seconds > LONGEST_WAIT)
        return mv_fail(e, MV_EIO, "%s: wants to be left alone for %d seconds (status %d)", a->url, a->wait, a->status);
    mv_hub_say(p, "%s; trying again in %.3g s", why, seconds);
    double end = mv_clock_now() + seconds;
    do {
        if (mv_hub_stop_asked(p))
            return mv_hub_interrupted(p, e);
        nanosleep(&step, NULL);
    } while (mv_clock_now() < end);
    return MV_OK;
}

mv_status mv_hub_refuse(mv_hub_pulling *p, const mv_answer *a, const char *file, mv_error *e)
{
    const char *id = p->name->id;
    bool token = p->s->token != NULL;
    switch (a->status) {
    case 401:
        p->out->unknown = true;
        if (token)
            return mv_fail(e, MV_EINPUT,
                           "%s: the hub does not accept the token (401), or there is no such repository; HF_TOKEN, or "
                           "the file that HF_TOKEN_PATH names, has it",
                           id);
        return mv_fail(
            e, MV_EINPUT,
            "%s: the hub shows no such repository without a token (401): the name is wrong, or it is private "
            "or gated and needs HF_TOKEN",
            id);
    case 403:
        if (strcmp(a->code, "GatedRepo") == 0)
            return mv_fail(e, MV_EINPUT,
                           "%s: is gated (403): accept its terms at %s/%s, then give the token of that "
                           "account as HF_TOKEN",
                           id, p->s->endpoint, id);
        return mv_fail(e, MV_EINPUT, "%s: may not be read (403)%s", id,
                       token ? ": the token lacks the permission" : "; HF_TOKEN gives a token");
    case 404:
        if (strcmp(a->code, "RevisionNotFound") == 0)
            return mv_fail(e, MV_EINPUT, "%s: has no revision '%s' (404)", id, p->name->revision);
        if (file)
            return mv_fail(e, MV_EINPUT, "%s: has no file %s at commit %s (404)", id, file, p->out->commit);
        p->out->unknown = true;
        return mv_fail(e, MV_EINPUT, "%s: the hub has no such repository (404)", id);
    case 429: return mv_fail(e, MV_EIO, "%s: too many requests (429); try later, or with HF_TOKEN", a->url);
    default: return mv_fail(e, MV_EIO, "%s: found status %d, expected 200", a->url, a->status);
    }
}

mv_status mv_hub_ask(mv_hub_pulling *p, const char *url, mv_request *r, mv_answer *a, bool (*before)(mv_request *r),
                     mv_error *e)
{
    for (int try = 0;; try++) {
        mv_error now = {0};
        char why[600];
        mv_status s = mv_fetch_ask(p->fetch, url, r, a, &now);
        if (a->stopped)
            return mv_hub_interrupted(p, e);
        if (!a->again)
            return s ? mv_fail(e, s, "%s", now.text) : MV_OK;
        if (before && before(r))
            try = 0;
        if (s)
            snprintf(why, sizeof why, "%s", now.text);
        else
            snprintf(why, sizeof why, "%s: found status %d", a->url, a->status);
        if (try >= p->s->retries)
            return s ? mv_fail(e, s, "%s", now.text) : MV_OK;
        if (pause_before(p, try, a, why, e))
            return e->code;
    }
}

mv_status mv_hub_fail_page(const mv_answer *a, const void *bytes, size_t n, const char *expected, mv_error *e)
{
    char what[MV_KIND_TEXT];
    if (n > 0)
        mv_kind_what(what, bytes, n < MV_KIND_BYTES ? n : MV_KIND_BYTES);
    else if (strstr(a->type, "html"))
        snprintf(what, sizeof what, "a web page");
    else
        snprintf(what, sizeof what, "an answer of type '%s'", a->type);
    return mv_fail(e, MV_EINPUT,
                   "%s: found %s, expected %s; is HF_ENDPOINT right, or is a proxy or a log-in page in between?",
                   a->url, what, expected);
}

char *mv_hub_url(const mv_hub_pulling *p, const char *file)
{
    char *url;
    return asprintf(&url, "%s/%s/resolve/%s/%s", p->s->endpoint, p->name->id, p->out->commit, file) < 0 ? NULL : url;
}

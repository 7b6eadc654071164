#include "src/file/fetch.h"

#define CURL_DISABLE_TYPECHECK /* its macros want the functions' own names */
#include <curl/curl.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/base/library.h"
#include "src/base/text.h"

enum {
    MOST_REDIRECTS = 10,
    MOST_HEADERS = 64 << 10, /* bytes of all headers of an answer */
    MOST_REFUSAL = 1 << 20,  /* bytes of a body that nobody reads: an error's page, a redirect's */
    CONNECT_S = 30,
    PIECE = 256 << 10, /* bytes that come at a time */
    MIN_RATE = 16      /* bytes a second: less is a stall */
};

/* The library is loaded when something is to be fetched: with its 20 others it would take a tenth of the time in which
 * the program starts, and the program runs without it. */
#define FUNCTIONS(X)                                                                                                   \
    X(curl_global_init)                                                                                                \
    X(curl_global_cleanup)                                                                                             \
    X(curl_easy_init)                                                                                                  \
    X(curl_easy_cleanup)                                                                                               \
    X(curl_easy_reset)                                                                                                 \
    X(curl_easy_setopt)                                                                                                \
    X(curl_easy_perform)                                                                                               \
    X(curl_easy_getinfo)                                                                                               \
    X(curl_easy_strerror)                                                                                              \
    X(curl_slist_append)                                                                                               \
    X(curl_slist_free_all)                                                                                             \
    X(curl_url)                                                                                                        \
    X(curl_url_cleanup)                                                                                                \
    X(curl_url_get)                                                                                                    \
    X(curl_url_set)                                                                                                    \
    X(curl_free)

struct mv_fetch {
#define POINTER(name) __typeof__(name) *name;
    FUNCTIONS(POINTER)
    mv_fetch_settings s;
    CURL *curl;
    CURLU *origin, *at; /* of the token; the URL at hand */
};

/* One exchange: a request's hop. */
typedef struct {
    mv_fetch *f;
    const mv_request *request;
    mv_answer *a;
    mv_error *e;
    char location[MV_FETCH_URL];
    char linked[MV_FETCH_WORD]; /* X-Linked-Etag, which counts before ETag */
    int64_t linked_size, length;
    size_t headers, refused;
    bool begun, failed;
    bool own;        /* the answer is the origin's own: it may have the token */
    bool hub;        /* it is the origin's or the public hub's: its words on a file count */
    const char *why; /* a limit that ended the transfer */
} hop;

/* ---- headers */

static bool header_is(const char *line, size_t n, const char *name, char *value, size_t room)
{
    size_t k = strlen(name);
    if (n <= k || strncasecmp(line, name, k) || line[k] != ':')
        return false;
    const char *from = line + k + 1, *end = line + n;
    while (from < end && (*from == ' ' || *from == '\t'))
        from++;
    while (end > from && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
        end--;
    size_t m = (size_t)(end - from);
    if (m >= room || memchr(from, 0, m)) /* too long for what it may be: as if it were not there */
        return false;
    memcpy(value, from, m);
    value[m] = 0;
    return true;
}

/* W/"abc" and "abc" are abc. */
static void bare_etag(char *text)
{
    char *from = strncmp(text, "W/", 2) == 0 ? text + 2 : text;
    if (*from == '"')
        from++;
    memmove(text, from, strlen(from) + 1);
    text[strcspn(text, "\"")] = 0;
}

static int64_t number_of(const char *text)
{
    char *end;
    long long v = strtoll(text, &end, 10);
    return end > text && v >= 0 && v < (1LL << 60) ? v : -1;
}

/* "bytes 100-199/200" */
static void content_range(mv_answer *a, const char *text)
{
    long long from, to, all;
    if (sscanf(text, "bytes %lld-%lld/%lld", &from, &to, &all) == 3 && from >= 0 && to >= from && all > to)
        a->from = from, a->size = all;
}

/* RateLimit: "api";r=0;t=55: seconds until there is room again. */
static void rate_limit(mv_answer *a, const char *text)
{
    const char *t = strstr(text, "t=");
    if (strstr(text, "r=0") && t && number_of(t + 2) >= 0)
        a->wait = (int)(number_of(t + 2) < 1000000 ? number_of(t + 2) : 1000000);
}

static size_t on_header(char *line, size_t one, size_t n, void *hop_)
{
    hop *h = hop_;
    mv_answer *a = h->a;
    char value[MV_FETCH_URL], word[MV_FETCH_WORD];
    n *= one;
    if ((h->headers += n) > MOST_HEADERS) {
        h->why = "more than 64 kB of headers";
        return 0;
    }
    if (n >= 5 && strncmp(line, "HTTP/", 5) == 0) { /* another head: what came before it was an interim one */
        h->length = h->linked_size = -1;
        *h->location = *h->linked = 0;
        a->from = -1;
    }
    if (header_is(line, n, "location", value, sizeof value))
        memcpy(h->location, value, sizeof value);
    else if (header_is(line, n, "content-range", word, sizeof word))
        content_range(a, word);
    else if (header_is(line, n, "content-length", word, sizeof word))
        h->length = number_of(word);
    else if (header_is(line, n, "ratelimit", word, sizeof word))
        rate_limit(a, word);
    if (!h->hub) /* what another server says of a file is nothing that the hub says */
        return n;
    if (header_is(line, n, "x-linked-etag", word, sizeof word))
        memcpy(h->linked, word, sizeof word), memcpy(a->etag, word, sizeof word), bare_etag(a->etag);
    else if (header_is(line, n, "etag", word, sizeof word) && !*h->linked)
        memcpy(a->etag, word, sizeof word), bare_etag(a->etag);
    else if (header_is(line, n, "x-linked-size", word, sizeof word))
        h->linked_size = number_of(word);
    else if (header_is(line, n, "x-repo-commit", word, sizeof word))
        memcpy(a->commit, word, sizeof word);
    else if (header_is(line, n, "x-error-code", word, sizeof word))
        memcpy(a->code, word, sizeof word);
    return n;
}

/* ---- the body */

static void note_answer(hop *h)
{
    long status = 0;
    curl_off_t wait = 0;
    char *type = NULL;
    h->f->curl_easy_getinfo(h->f->curl, CURLINFO_RESPONSE_CODE, &status);
    h->f->curl_easy_getinfo(h->f->curl, CURLINFO_CONTENT_TYPE, &type);
    h->f->curl_easy_getinfo(h->f->curl, CURLINFO_RETRY_AFTER, &wait);
    h->a->status = (int)status;
    snprintf(h->a->type, sizeof h->a->type, "%.*s", (int)strcspn(type ? type : "", "; "), type ? type : "");
    if (wait > 0)
        h->a->wait = wait < 1000000 ? (int)wait : 1000000;
    if (h->a->from < 0)
        h->a->size = h->linked_size >= 0 ? h->linked_size : h->length;
}

static bool is_good(const mv_answer *a)
{
    return a->status >= 200 && a->status < 300;
}

static bool begin(hop *h)
{
    if (h->begun)
        return true;
    h->begun = true;
    note_answer(h);
    if (is_good(h->a) && !h->request->head && h->request->begin)
        h->failed = h->request->begin(h->request->sink, h->a, h->e) != MV_OK;
    return !h->failed;
}

static size_t on_body(char *bytes, size_t one, size_t n, void *hop_)
{
    hop *h = hop_;
    n *= one;
    if (!begin(h))
        return 0;
    if (!is_good(h->a)) {
        if ((h->refused += n) <= MOST_REFUSAL)
            return n;
        h->why = "more than 1 MB of an error's or a redirect's page";
        return 0;
    }
    h->failed = h->request->write(h->request->sink, bytes, n, h->e) != MV_OK;
    return h->failed ? 0 : n;
}

static int on_progress(void *hop_, curl_off_t all, curl_off_t now, curl_off_t sent_all, curl_off_t sent)
{
    hop *h = hop_;
    (void)all, (void)now, (void)sent_all, (void)sent;
    h->a->stopped = h->a->stopped || (h->f->s.stop && h->f->s.stop(h->f->s.context));
    return h->a->stopped;
}

/* ---- URLs */

static char *part_of(const mv_fetch *f, CURLU *u, CURLUPart part)
{
    char *text = NULL;
    return f->curl_url_get(u, part, &text, part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0) ? NULL : text;
}

static bool same_part(const mv_fetch *f, CURLU *a, CURLU *b, CURLUPart part)
{
    char *x = part_of(f, a, part), *y = part_of(f, b, part);
    bool same = x && y && strcasecmp(x, y) == 0;
    f->curl_free(x);
    f->curl_free(y);
    return same;
}

static bool is_origin(const mv_fetch *f)
{
    return same_part(f, f->at, f->origin, CURLUPART_SCHEME) && same_part(f, f->at, f->origin, CURLUPART_HOST) &&
           same_part(f, f->at, f->origin, CURLUPART_PORT);
}

/* A mirror may send to the public hub what it does not have. */
static bool is_public_hub(const mv_fetch *f)
{
    char *scheme = part_of(f, f->at, CURLUPART_SCHEME), *host = part_of(f, f->at, CURLUPART_HOST);
    bool is = scheme && host && strcmp(scheme, "https") == 0 && strcasecmp(host, "huggingface.co") == 0;
    f->curl_free(scheme);
    f->curl_free(host);
    return is;
}

/* The URL at hand for messages, without its query, which may hold signatures. False without memory. */
static bool show_url(const mv_fetch *f, char *out, size_t room)
{
    char *scheme = part_of(f, f->at, CURLUPART_SCHEME), *host = part_of(f, f->at, CURLUPART_HOST);
    char *path = part_of(f, f->at, CURLUPART_PATH), *raw = NULL, *safe = NULL;
    if (asprintf(&raw, "%s://%s%s", scheme ? scheme : "", host ? host : "", path ? path : "") < 0)
        raw = NULL;
    safe = raw ? mv_text_escape(raw) : NULL;
    if (safe)
        mv_text_print(out, room, "%.300s", safe);
    f->curl_free(scheme);
    f->curl_free(host);
    f->curl_free(path);
    free(raw);
    free(safe);
    return safe != NULL;
}

/* Goes to `url`, which may be relative to the one at hand. */
static mv_status go(mv_fetch *f, const char *url, mv_answer *a, mv_error *e)
{
    CURLUcode bad = f->curl_url_set(f->at, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
    if (bad == CURLUE_OUT_OF_MEMORY)
        return mv_fail_memory(e, "download");
    if (bad)
        return mv_fail(e, MV_EINPUT, "%s: found a redirect to something that is not a URL",
                       *a->url ? a->url : "download");
    char from[sizeof a->url];
    memcpy(from, a->url, sizeof from);
    if (!show_url(f, a->url, sizeof a->url))
        return mv_fail_memory(e, "download");
    char *scheme = part_of(f, f->at, CURLUPART_SCHEME);
    bool fine = scheme && (strcmp(scheme, "https") == 0 || (f->s.plain && strcmp(scheme, "http") == 0));
    f->curl_free(scheme);
    return fine
               ? MV_OK
               : mv_fail(e, MV_EINPUT, "%s: found a redirect to %s, expected https", *from ? from : "download", a->url);
}

/* ---- one exchange */

static const char *why_of(const mv_fetch *f, CURLcode code, const char *text)
{
    return *text ? text : f->curl_easy_strerror(code);
}

static bool may_pass(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_HTTP3: return true;
    default: return false;
    }
}

static mv_status fail_transfer(hop *h, CURLcode code, const char *text)
{
    mv_answer *a = h->a;
    if (h->failed)
        return h->e->code;
    if (a->stopped)
        return mv_fail(h->e, MV_EIO, "%s: interrupted", a->url);
    if (code == CURLE_OUT_OF_MEMORY)
        return mv_fail_memory(h->e, a->url);
    if (h->why)
        return mv_fail(h->e, MV_EINPUT, "%s: found %s", a->url, h->why);
    a->again = may_pass(code);
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
        return mv_fail(h->e, MV_EIO,
                       "%s: its certificate is not trusted: %s; SSL_CERT_FILE names a file of trusted authorities",
                       a->url, why_of(h->f, code, text));
    if (code == CURLE_UNSUPPORTED_PROTOCOL)
        return mv_fail(h->e, MV_EINPUT, "%s: found a protocol other than https", a->url);
    return mv_fail(h->e, MV_EIO, "%s: the transfer failed: %s", a->url, why_of(h->f, code, text));
}

static bool add_header(const mv_fetch *f, struct curl_slist **list, const char *line)
{
    struct curl_slist *next = f->curl_slist_append(*list, line);
    *list = next ? next : *list;
    return next != NULL;
}

/* The request's headers; NULL without memory. */
static struct curl_slist *headers_of(const hop *h)
{
    struct curl_slist *list = NULL;
    char *line = NULL;
    bool good = add_header(h->f, &list, "Accept-Encoding: identity");
    if (good && h->own && h->f->s.token) {
        good = asprintf(&line, "Authorization: Bearer %s", h->f->s.token) >= 0 && add_header(h->f, &list, line);
        if (line)
            explicit_bzero(line, strlen(line));
        free(line);
    }
    if (good)
        return list;
    h->f->curl_slist_free_all(list);
    return NULL;
}

/* The first failure, such as want of memory for a text: a transfer without all options could go where it must not. */
static CURLcode set_options(hop *h, const char *url, struct curl_slist *headers, char *text)
{
#define SET(option, value) code = code ? code : f->curl_easy_setopt(f->curl, option, value)
    CURLcode code = CURLE_OK;
    const mv_fetch *f = h->f;
    const mv_fetch_settings *s = &f->s;
    f->curl_easy_reset(f->curl); /* keeps connections */
    SET(CURLOPT_URL, url);
    SET(CURLOPT_PROTOCOLS_STR, s->plain ? "https,http" : "https");
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_USERAGENT, "mvscope/" MV_VERSION);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_NOBODY, h->request->head ? 1L : 0L);
    SET(CURLOPT_BUFFERSIZE, (long)PIECE);
    SET(CURLOPT_CONNECTTIMEOUT, (long)(s->stall < CONNECT_S ? s->stall : CONNECT_S));
    SET(CURLOPT_LOW_SPEED_LIMIT, (long)MIN_RATE);
    SET(CURLOPT_LOW_SPEED_TIME, (long)s->stall);
    SET(CURLOPT_TIMEOUT, (long)h->request->seconds);
    SET(CURLOPT_ERRORBUFFER, text);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, h);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, h);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, h);
    SET(CURLOPT_NOPROGRESS, 0L);
    if (s->certificates)
        SET(CURLOPT_CAINFO, s->certificates);
    char range[32];
    snprintf(range, sizeof range, "%llu-", (unsigned long long)h->request->from);
    if (h->request->from > 0 && !h->request->head)
        SET(CURLOPT_RANGE, range);
    return code;
}

static mv_status exchange(hop *h)
{
    char text[CURL_ERROR_SIZE] = "", *url = part_of(h->f, h->f->at, CURLUPART_URL);
    struct curl_slist *headers = headers_of(h);
    mv_status s = url && headers ? MV_OK : mv_fail_memory(h->e, h->a->url);
    if (!s) {
        CURLcode code = set_options(h, url, headers, text);
        code = code ? code : h->f->curl_easy_perform(h->f->curl);
        if (code)
            s = fail_transfer(h, code, text);
        else if (!begin(h)) /* an empty body has no first byte */
            s = h->e->code;
        h->f->curl_easy_setopt(h->f->curl, CURLOPT_HTTPHEADER, NULL);
    }
    h->f->curl_slist_free_all(headers);
    h->f->curl_free(url);
    return s;
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

mv_status mv_fetch_ask(mv_fetch *f, const char *url, const mv_request *r, mv_answer *a, mv_error *e)
{
    *a = (mv_answer){.wait = -1, .size = -1, .from = -1};
    mv_status s = go(f, url, a, e);
    while (!s) {
        hop h = {.f = f, .request = r, .a = a, .e = e, .own = is_origin(f), .linked_size = -1, .length = -1};
        h.hub = h.own || is_public_hub(f);
        a->status = 0;
        a->size = a->from = -1;
        s = exchange(&h);
        if (s || !is_redirect(a->status))
            break;
        if (!*h.location)
            return mv_fail(e, MV_EINPUT, "%s: found a redirect without a target", a->url);
        if (++a->redirects > MOST_REDIRECTS)
            return mv_fail(e, MV_EINPUT, "%s: found more than %d redirects", a->url, MOST_REDIRECTS);
        int64_t size = h.linked_size;
        s = go(f, h.location, a, e);
        if (!s && r->head && *a->commit && *a->etag && !is_origin(f) &&
            !is_public_hub(f)) { /* all that HEAD is asked for is known */
            a->size = size;
            a->status = 200;
            break;
        }
    }
    if (!s && (a->status == 408 || a->status == 429 || a->status >= 500))
        a->again = true;
    return s;
}

/* It stays loaded: what it has started in the process cannot be taken back. */
static mv_status load(mv_fetch *f, mv_error *e)
{
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", NULL};
    mv_error why = {0};
    void *library = mv_library_load(names, RTLD_NOW | RTLD_LOCAL, &why);
    bool whole = library;
#define FIND(name) whole = whole && (*(void **)&f->name = dlsym(library, #name));
    FUNCTIONS(FIND)
    if (whole)
        return MV_OK;
    return mv_fail(e, MV_EIO, "libcurl, by which files are fetched: %s; install libcurl4",
                   library ? "the one that is installed is too old" : why.text);
}

mv_fetch *mv_fetch_new(const mv_fetch_settings *s, mv_error *e)
{
    mv_fetch *f = calloc(1, sizeof *f);
    if (!f || load(f, e) || f->curl_global_init(CURL_GLOBAL_DEFAULT)) {
        if (!f)
            mv_fail_memory(e, "download");
        mv_fail(e, MV_EIO, "libcurl: cannot start");
        free(f);
        return NULL;
    }
    f->s = *s;
    f->curl = f->curl_easy_init();
    f->origin = f->curl_url();
    f->at = f->curl_url();
    CURLUcode bad = f->origin ? f->curl_url_set(f->origin, CURLUPART_URL, s->origin, 0) : CURLUE_OUT_OF_MEMORY;
    if (f->curl && f->at && !bad)
        return f;
    if (f->curl && f->at && bad != CURLUE_OUT_OF_MEMORY)
        mv_fail(e, MV_EINPUT, "%.200s: is no URL", s->origin);
    else
        mv_fail_memory(e, "download");
    mv_fetch_free(f);
    return NULL;
}

void mv_fetch_free(mv_fetch *f)
{
    if (!f)
        return;
    f->curl_easy_cleanup(f->curl);
    f->curl_url_cleanup(f->origin);
    f->curl_url_cleanup(f->at);
    f->curl_global_cleanup();
    free(f);
}

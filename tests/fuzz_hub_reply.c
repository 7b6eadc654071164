/* Any bytes as what the hub answers, by a double of libcurl that makes answers of them: nothing is written outside the
 * cache, and the token goes to the hub alone. URLs are parsed by libcurl itself.
 *
 *     an answer   lines: the status line and headers as they are; "|TEXT" is a piece of the body, of which \n is part;
 *                 "!N" ends it by error N of libcurl, an empty line without one
 *
 * Covers: src/file/hub.c src/file/hub_ask.c src/file/hub_blob.c src/file/fetch.c src/file/hub_cache.c
 *         src/file/hub_files.c src/file/digest.c
 */
#include <curl/curl.h>
#include <dlfcn.h>
#include <stdarg.h>

#include "src/base/library.h"
#include "src/file/hub.h"
#include "tests/fuzz.h"

static void *double_dlsym(void *library, const char *name);
static void *double_load(const char *const names[], int flags, mv_error *why)
{
    (void)names, (void)flags, (void)why;
    return &fuzz_home;
}

/* The file by whose pointers libcurl is called, with the double's. */
#define mv_library_load double_load
#define dlsym           double_dlsym
#include "src/file/fetch.c"
#undef mv_library_load
#undef dlsym

static struct {
    fuzz_bytes left;
    curl_write_callback on_header, on_body;
    void *header_data, *body_data;
    bool head;
    long status;
    curl_off_t wait;
    char type[64], line[MV_FETCH_URL + 64], url[2 * MV_FETCH_URL], scheme[8];
    const struct curl_slist *headers;
} one;

static CURL *double_easy_init(void)
{
    return &one;
}

static void double_easy_cleanup(CURL *c)
{
    (void)c;
}

static void double_easy_reset(CURL *c)
{
    (void)c;
    one.on_header = one.on_body = NULL;
    one.head = false;
}

static CURLcode double_easy_setopt(CURL *c, CURLoption option, ...)
{
    va_list args;
    (void)c;
    va_start(args, option);
    switch ((int)option) {
    case CURLOPT_HEADERFUNCTION: one.on_header = va_arg(args, curl_write_callback); break;
    case CURLOPT_WRITEFUNCTION: one.on_body = va_arg(args, curl_write_callback); break;
    case CURLOPT_HEADERDATA: one.header_data = va_arg(args, void *); break;
    case CURLOPT_WRITEDATA: one.body_data = va_arg(args, void *); break;
    case CURLOPT_URL: snprintf(one.url, sizeof one.url, "%s", va_arg(args, const char *)); break;
    case CURLOPT_HTTPHEADER: one.headers = va_arg(args, const struct curl_slist *); break;
    case CURLOPT_NOBODY: one.head = va_arg(args, long) != 0; break;
    default: break;
    }
    va_end(args);
    return CURLE_OK;
}

static CURLcode double_easy_getinfo(CURL *c, CURLINFO info, ...)
{
    va_list args;
    (void)c;
    va_start(args, info);
    if (info == CURLINFO_RESPONSE_CODE)
        *va_arg(args, long *) = one.status;
    else if (info == CURLINFO_CONTENT_TYPE)
        *va_arg(args, char **) = *one.type ? one.type : NULL;
    else if (info == CURLINFO_RETRY_AFTER)
        *va_arg(args, curl_off_t *) = one.wait;
    va_end(args);
    return CURLE_OK;
}

/* One line as a header; what libcurl itself understands of it is kept. */
static bool header(char *line)
{
    size_t n = strlen(line);
    if (strncmp(line, "HTTP/", 5) == 0)
        one.status = strchr(line, ' ') ? strtol(strchr(line, ' '), NULL, 10) : 0;
    if (strncasecmp(line, "Content-Type: ", 14) == 0)
        snprintf(one.type, sizeof one.type, "%s", line + 14);
    if (strncasecmp(line, "Retry-After: ", 13) == 0)
        one.wait = strtol(line + 13, NULL, 10);
    line[n++] = '\r';
    line[n++] = '\n';
    return !one.on_header || one.on_header(line, 1, n, one.header_data) == n;
}

static bool is_part(CURLU *u, CURLUPart part, const char *expected)
{
    char *text = NULL;
    bool is = curl_url_get(u, part, &text, 0) == CURLUE_OK && strcasecmp(text, expected) == 0;
    curl_free(text);
    return is;
}

static void check_token(void)
{
    CURLU *u = curl_url();
    bool secret = false;
    for (const struct curl_slist *h = one.headers; h; h = h->next)
        secret |= strncasecmp(h->data, "Authorization", 13) == 0;
    fuzz_expect(u && curl_url_set(u, CURLUPART_URL, one.url, 0) == CURLUE_OK);
    fuzz_expect(!secret || (is_part(u, CURLUPART_SCHEME, one.scheme) && is_part(u, CURLUPART_HOST, "hub.test")));
    curl_url_cleanup(u);
}

static CURLcode double_easy_perform(CURL *c)
{
    (void)c;
    check_token();
    one.status = 0;
    one.wait = 0;
    *one.type = 0;
    while (one.left.left) {
        fuzz_line(&one.left, one.line, sizeof one.line - 2);
        size_t n = strlen(one.line);
        if (!n)
            return CURLE_OK;
        if (*one.line == '!')
            return (CURLcode)(strtoul(one.line + 1, NULL, 10) % CURL_LAST);
        if (*one.line != '|') {
            if (!header(one.line))
                return CURLE_WRITE_ERROR;
            continue;
        }
        one.line[n] = '\n';
        if (!one.head && one.on_body && one.on_body(one.line + 1, 1, n, one.body_data) != n)
            return CURLE_WRITE_ERROR;
    }
    return CURLE_COULDNT_CONNECT;
}

static void *double_dlsym(void *library, const char *name)
{
    static const struct {
        const char *name;
        void (*function)(void);
    } doubles[] = {{"curl_easy_init", (void (*)(void))double_easy_init},
                   {"curl_easy_cleanup", (void (*)(void))double_easy_cleanup},
                   {"curl_easy_reset", (void (*)(void))double_easy_reset},
                   {"curl_easy_setopt", (void (*)(void))double_easy_setopt},
                   {"curl_easy_getinfo", (void (*)(void))double_easy_getinfo},
                   {"curl_easy_perform", (void (*)(void))double_easy_perform},
                   {"curl_url", (void (*)(void))curl_url}};
    void *function;
    (void)library;
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++)
        if (strcmp(doubles[i].name, name) == 0) {
            memcpy(&function, &doubles[i].function, sizeof function);
            return function;
        }
    return dlsym(RTLD_DEFAULT, name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char cache[PATH_MAX];
    mv_error e = {0};
    mv_hub_name name;
    mv_hub_snapshot out;
    if (size < 2)
        return 0;
    one.left = (fuzz_bytes){data + 1, size - 1};
    const mv_hub_settings s = {.cache = fuzz_path(cache, "hub"),
                               .endpoint = data[0] & 1 ? "https://hub.test" : "http://hub.test",
                               .token = data[0] & 2 ? "secret" : NULL,
                               .stall = 1,
                               .force = data[0] & 4};
    snprintf(one.scheme, sizeof one.scheme, "%s", data[0] & 1 ? "https" : "http");
    fuzz_expect(mv_hub_name_parse(&name, "owner/name", &e) == MV_OK);
    if (fuzz_refused(mv_hub_pull(&s, &name, &out, &e), &e))
        fuzz_expect(!out.folder);
    else
        for (int i = 0; i < out.n; i++)
            fuzz_expect(*out.file[i].name && !strchr(out.file[i].name, '/'));
    mv_hub_snapshot_free(&out);
    fuzz_expect(fuzz_count(fuzz_folder()) <= 1);
    fuzz_empty(fuzz_folder());
    return 0;
}

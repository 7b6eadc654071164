/* A double of the Hugging Face hub on this machine, for tests/cli/with_hub: repositories are folders, faults are asked
 * for.
 *
 *     double_hub FOLDER LOG PORT      serves FOLDER/OWNER/NAME/FILE until it is killed; writes its port to the file
 * PORT
 *
 * As the hub does, it describes a repository at /api/models/.../revision/..., answers /OWNER/NAME/resolve/REV/FILE for
 * small files by a redirect to itself, whose answer has the git blob's name as ETag, and for .safetensors and .bin by a
 * redirect to another host (localhost instead of 127.0.0.1) with X-Linked-Etag (the SHA-256), X-Linked-Size and
 * X-Repo-Commit. LOG gets a line for each request: method, host, path, range and token.
 *
 * A file .faults in a repository's folder asks for faults, "NAME" or "NAME=VALUE", with ":TIMES" for the first TIMES
 * requests only:
 *
 *     status=CODE       of the answer for weights; api=CODE: of the repository's description; wait=S: with Retry-After
 *     drop=BYTES        the connection ends after so many bytes of the body; stall=BYTES: nothing more comes
 *     norange badrange  Range is ignored; the part that comes is another one
 *     size=N length=N   X-Linked-Size and Content-Length say so
 *     flip              a byte in the middle is another one
 *     etag=TEXT         is the X-Linked-Etag
 *     page portal       a web page comes instead of the weights; instead of everything
 *     endless headers loop    a body, headers, redirects without an end
 *     gated private     403; 401 without the token "secret"
 *     away=URL          the redirect leads there
 *     slow=BYTES        a second
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *root;
static FILE *journal;
static int port;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char key[200];
    int times;
} used[256];

typedef struct {
    int fd;
    char method[8], path[1024], host[128], token[128];
    long long from; /* of Range; -1: none */
    char repository[256], file[256], faults[512];
} request;

/* ---- faults */

/* True if the fault is asked for and not used up; its value goes to `value`. */
static bool fault(const request *r, const char *name, char value[256])
{
    char copy[512], *rest;
    snprintf(copy, sizeof copy, "%s", r->faults);
    for (char *word = strtok_r(copy, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
        size_t n = strcspn(word, "=:");
        if (n != strlen(name) || strncmp(word, name, n))
            continue;
        char *times = strrchr(word + n, ':');
        int most = times && strspn(times + 1, "0123456789") == strlen(times + 1) && times[1] ? atoi(times + 1) : -1;
        if (most >= 0)
            *times = 0;
        snprintf(value, 256, "%s", word[n] == '=' ? word + n + 1 : "");
        if (most < 0)
            return true;
        char key[200];
        snprintf(key, sizeof key, "%.150s %.40s", r->repository, name);
        pthread_mutex_lock(&lock);
        int i = 0;
        while (used[i].key[0] && strcmp(used[i].key, key))
            i++;
        memcpy(used[i].key, key, sizeof key);
        bool left = used[i].times++ < most;
        pthread_mutex_unlock(&lock);
        return left;
    }
    return false;
}

static long long fault_number(const request *r, const char *name, long long otherwise)
{
    char value[256];
    return fault(r, name, value) ? atoll(value) : otherwise;
}

/* ---- answers */

static bool put(int fd, const void *bytes, size_t n)
{
    for (const char *at = bytes; n;) {
        ssize_t k = send(fd, at, n, MSG_NOSIGNAL);
        if (k <= 0)
            return false;
        at += k, n -= (size_t)k;
    }
    return true;
}

__attribute__((format(printf, 2, 3))) static bool put_text(int fd, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return put(fd, text, (size_t)n);
}

static void answer(const request *r, const char *status, const char *headers, const char *body)
{
    put_text(r->fd, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", status, strlen(body), headers);
    if (strcmp(r->method, "HEAD"))
        put(r->fd, body, strlen(body));
}

static void answer_page(const request *r)
{
    answer(r, "200 OK", "Content-Type: text/html; charset=utf-8\r\n", "<!doctype html><title>Log in</title>");
}

static void hold(double seconds)
{
    nanosleep(
        &(struct timespec){.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)},
        NULL);
}

/* Sends n bytes of a body of weights, as the faults want it. */
static void send_body(const request *r, const char *bytes, size_t n)
{
    long long drop = fault_number(r, "drop", -1), stall = fault_number(r, "stall", -1),
              slow = fault_number(r, "slow", -1);
    char value[256];
    if (drop >= 0 && (size_t)drop < n)
        n = (size_t)drop;
    if (stall >= 0 && (size_t)stall < n)
        n = (size_t)stall;
    for (size_t at = 0; at < n;) {
        size_t part = slow > 0 ? (size_t)slow / 20 + 1 : 65536;
        part = part < n - at ? part : n - at;
        if (!put(r->fd, bytes + at, part))
            return;
        at += part;
        if (slow > 0)
            hold(0.05);
    }
    if (stall >= 0)
        hold(60);
    while (fault(r, "endless", value) && put(r->fd, bytes, n))
        ;
}

/* ---- files */

static char *load(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    struct stat st;
    fstat(fileno(f), &st);
    char *bytes = malloc((size_t)st.st_size + 1);
    *n = fread(bytes, 1, (size_t)st.st_size, f);
    bytes[*n] = 0;
    fclose(f);
    return bytes;
}

static void hex(const uint8_t *bytes, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        sprintf(out + 2 * i, "%02x", bytes[i]);
}

static void commit_of(const request *r, char out[41])
{
    struct sha1_ctx c;
    uint8_t d[SHA1_DIGEST_SIZE];
    sha1_init(&c);
    sha1_update(&c, strlen(r->repository), (const uint8_t *)r->repository);
    sha1_digest(&c, sizeof d, d);
    hex(d, sizeof d, out);
}

static void etag_of(bool large, const char *bytes, size_t n, char out[65])
{
    uint8_t d[SHA256_DIGEST_SIZE];
    if (large) {
        struct sha256_ctx c;
        sha256_init(&c);
        sha256_update(&c, n, (const uint8_t *)bytes);
        sha256_digest(&c, SHA256_DIGEST_SIZE, d);
        hex(d, SHA256_DIGEST_SIZE, out);
    } else {
        char head[40];
        struct sha1_ctx c;
        int k = sprintf(head, "blob %zu", n);
        sha1_init(&c);
        sha1_update(&c, (size_t)k + 1, (const uint8_t *)head);
        sha1_update(&c, n, (const uint8_t *)bytes);
        sha1_digest(&c, SHA1_DIGEST_SIZE, d);
        hex(d, SHA1_DIGEST_SIZE, out);
    }
}

static bool is_large(const char *file)
{
    const char *end = strrchr(file, '.');
    return end && (!strcmp(end, ".safetensors") || !strcmp(end, ".bin") || !strcmp(end, ".pth"));
}

/* ---- what is asked for */

static void describe(request *r, const char *revision)
{
    char path[600], commit[41], body[65536];
    snprintf(path, sizeof path, "%s/%s", root, r->repository);
    DIR *d = opendir(path);
    long long code = fault_number(r, "api", 0);
    char value[256];
    if (code) {
        char status[32], wait[64] = "";
        long long seconds = fault_number(r, "wait", -1);
        if (seconds >= 0)
            snprintf(wait, sizeof wait, "Retry-After: %lld\r\n", seconds);
        snprintf(status, sizeof status, "%lld Fault", code);
        answer(r, status, wait, "a fault");
    } else if (fault(r, "gated", value))
        answer(r, "403 Forbidden", "X-Error-Code: GatedRepo\r\n", "");
    else if (!d || (fault(r, "private", value) && strcmp(r->token, "secret")))
        answer(r, *r->token && !d ? "404 Not Found" : "401 Unauthorized",
               *r->token && d ? "X-Error-Message: Invalid credentials\r\n" : "X-Error-Code: RepoNotFound\r\n", "");
    else {
        commit_of(r, commit);
        if (strcmp(revision, "main") && strcmp(revision, "v%2F1") && strcmp(revision, commit))
            answer(r, "404 Not Found", "X-Error-Code: RevisionNotFound\r\n", "");
        else {
            int n = snprintf(body, sizeof body, "{\"id\":\"%s\",\"sha\":\"%s\",\"siblings\":[", r->repository, commit);
            for (struct dirent *e; (e = readdir(d));)
                if (*e->d_name != '.')
                    n += snprintf(body + n, sizeof body - (size_t)n, "{\"rfilename\":\"%s\"},", e->d_name);
            snprintf(body + n, sizeof body - (size_t)n, "{\"rfilename\":\"a/b.c\"}]}");
            answer(r, "200 OK", "Content-Type: application/json\r\n", body);
        }
    }
    if (d)
        closedir(d);
}

/* The file itself: from the hub with git's hash, from the other host with one of its own. */
static void serve(request *r, bool hub)
{
    char path[1024], etag[65], commit[41], value[256];
    size_t n;
    snprintf(path, sizeof path, "%s/%s/%s", root, r->repository, r->file);
    char *bytes = load(path, &n);
    if (!bytes) {
        answer(r, "404 Not Found", "X-Error-Code: EntryNotFound\r\n", "");
        return;
    }
    commit_of(r, commit);
    etag_of(!hub, bytes, n, etag);
    bool large = is_large(r->file);
    if (large && n > 1 && fault(r, "flip", value))
        bytes[n / 2] ^= 1;
    long long from = large && fault(r, "norange", value) ? -1 : r->from;
    if (large && fault(r, "page", value))
        answer_page(r);
    else if (from >= 0 && (size_t)from >= n)
        answer(r, "416 Range Not Satisfiable", "", "");
    else {
        size_t at = from > 0 ? (size_t)from : 0;
        long long length = large ? fault_number(r, "length", (long long)(n - at)) : (long long)(n - at);
        put_text(r->fd, "HTTP/1.1 %s\r\nConnection: close\r\nETag: \"%s%s\"\r\n",
                 from >= 0 ? "206 Partial Content" : "200 OK", hub ? "" : "cdn", etag);
        if (hub)
            put_text(r->fd, "X-Repo-Commit: %s\r\n", commit);
        if (!large || !fault(r, "endless", value))
            put_text(r->fd, "Content-Length: %lld\r\n", length);
        if (from >= 0)
            put_text(r->fd, "Content-Range: bytes %zu-%zu/%zu\r\n", fault(r, "badrange", value) ? at / 2 : at, n - 1,
                     n);
        put_text(r->fd, "\r\n");
        if (large)
            send_body(r, bytes + at, n - at);
        else if (strcmp(r->method, "HEAD"))
            put(r->fd, bytes + at, n - at);
    }
    free(bytes);
}

/* /OWNER/NAME/resolve/REV/FILE */
static void resolve(request *r)
{
    char path[1024], where[1200], etag[256], commit[41], headers[2048], value[256];
    size_t n;
    commit_of(r, commit);
    if (!is_large(r->file)) {
        snprintf(headers, sizeof headers, "Location: /api/resolve-cache/models/%s/%s/%s\r\nX-Repo-Commit: %s\r\n",
                 r->repository, commit, r->file, commit);
        answer(r, "307 Temporary Redirect", headers, "moved");
        return;
    }
    long long code = fault_number(r, "status", 0), wait = fault_number(r, "wait", -1);
    snprintf(path, sizeof path, "%s/%s/%s", root, r->repository, r->file);
    char *bytes = load(path, &n);
    if (code || !bytes) {
        char status[32];
        snprintf(status, sizeof status, "%lld Fault", bytes ? code : 404);
        snprintf(headers, sizeof headers, "Retry-After: %lld\r\n", wait);
        answer(r, status, wait >= 0 ? headers : "X-Error-Code: EntryNotFound\r\n", "no");
        free(bytes);
        return;
    }
    etag_of(true, bytes, n, etag);
    if (fault(r, "etag", value))
        snprintf(etag, sizeof etag, "%s", value);
    snprintf(where, sizeof where, "http://localhost:%d/cdn/%s/%s?signature=secret", port, r->repository, r->file);
    if (fault(r, "loop", value))
        snprintf(where, sizeof where, "%s", r->path);
    if (fault(r, "away", value))
        snprintf(where, sizeof where, "%s", value);
    snprintf(
        headers, sizeof headers,
        "Location: %s\r\nX-Linked-Etag: \"%s\"\r\nX-Linked-Size: %lld\r\nX-Repo-Commit: %s\r\nETag: W/\"other\"\r\n",
        where, etag, fault_number(r, "size", (long long)n), commit);
    answer(r, "302 Found", headers, "found");
    free(bytes);
}

static void read_faults(request *r)
{
    char path[600];
    size_t n = 0;
    snprintf(path, sizeof path, "%s/%s/.faults", root, r->repository);
    char *text = load(path, &n);
    snprintf(r->faults, sizeof r->faults, "%s", text ? text : "");
    free(text);
}

static void dispatch(request *r)
{
    char owner[128], name[128], revision[200], value[256];
    bool cdn = sscanf(r->path, "/cdn/%127[^/]/%127[^/]/%255[^?]", owner, name, r->file) == 3;
    bool api = !cdn && sscanf(r->path, "/api/models/%127[^/]/%127[^/]/revision/%199[^?]", owner, name, revision) == 3;
    bool cache =
        !cdn && !api &&
        sscanf(r->path, "/api/resolve-cache/models/%127[^/]/%127[^/]/%*[^/]/%255[^?]", owner, name, r->file) == 3;
    bool file = !cdn && !api && !cache &&
                sscanf(r->path, "/%127[^/]/%127[^/]/resolve/%199[^/]/%255[^?]", owner, name, revision, r->file) == 4;
    if (!cdn && !api && !cache && !file) {
        answer(r, "404 Not Found", "", "");
        return;
    }
    snprintf(r->repository, sizeof r->repository, "%s/%s", owner, name);
    read_faults(r);
    if (fault(r, "portal", value))
        answer_page(r);
    else if (fault(r, "headers", value)) {
        put_text(r->fd, "HTTP/1.1 200 OK\r\n");
        while (put_text(r->fd, "X-Filler: %0200d\r\n", 0))
            ;
    } else if (api)
        describe(r, revision);
    else if (file)
        resolve(r);
    else
        serve(r, cache);
}

static void *talk(void *fd_)
{
    request r = {.fd = (int)(intptr_t)fd_, .from = -1};
    char head[8192], *line, *rest;
    size_t n = 0;
    for (ssize_t k; n < sizeof head - 1 && (k = recv(r.fd, head + n, sizeof head - 1 - n, 0)) > 0;) {
        head[n += (size_t)k] = 0;
        if (strstr(head, "\r\n\r\n"))
            break;
    }
    line = strtok_r(head, "\r\n", &rest);
    if (line && sscanf(line, "%7s %1023s", r.method, r.path) == 2) {
        while ((line = strtok_r(NULL, "\r\n", &rest))) {
            if (strncasecmp(line, "host: ", 6) == 0)
                snprintf(r.host, sizeof r.host, "%.*s", (int)strcspn(line + 6, ":"), line + 6);
            else if (strncasecmp(line, "authorization: bearer ", 22) == 0)
                snprintf(r.token, sizeof r.token, "%s", line + 22);
            else if (strncasecmp(line, "range: bytes=", 13) == 0)
                r.from = atoll(line + 13);
        }
        pthread_mutex_lock(&lock);
        fprintf(journal, "%s %s %s range=%lld token=%s\n", r.method, r.host, r.path, r.from,
                *r.token ? r.token : "none");
        fflush(journal);
        pthread_mutex_unlock(&lock);
        dispatch(&r);
    }
    shutdown(r.fd, SHUT_WR);
    while (recv(r.fd, head, sizeof head, 0) > 0)
        ;
    close(r.fd);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: double_hub FOLDER LOG PORT\n");
        return 2;
    }
    root = argv[1];
    journal = fopen(argv[2], "a");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (!journal || listener < 0 || bind(listener, (struct sockaddr *)&here, size) || listen(listener, 64) ||
        getsockname(listener, (struct sockaddr *)&here, &size)) {
        perror("double_hub");
        return 1;
    }
    port = ntohs(here.sin_port);
    FILE *told = fopen(argv[3], "w");
    if (!told)
        return 1;
    fprintf(told, "%d\n", port);
    fclose(told);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        pthread_t thread;
        if (fd >= 0 && pthread_create(&thread, NULL, talk, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
    }
}

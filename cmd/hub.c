#include "cmd/hub.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/talk.h"
#include "src/base/text.h"

enum { STALL_S = 30, RETRIES = 5, MOST_TOKEN = 4096 };

/* ---- the environment */

/* NULL if it is not set, or empty. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* As huggingface_hub reads its switches. */
static bool is_true(const char *name)
{
    static const char *const words[] = {"1", "on", "yes", "true"};
    const char *value = variable(name);
    for (size_t i = 0; value && i < sizeof words / sizeof *words; i++)
        if (strcasecmp(value, words[i]) == 0)
            return true;
    return false;
}

/* A path with "~/" at its beginning replaced, and without a slash at its end. */
static char *home_path(const char *path)
{
    const char *home = variable("HOME");
    char *out = NULL;
    bool tilde = path[0] == '~' && path[1] == '/' && home;
    if (asprintf(&out, "%s%s", tilde ? home : "", tilde ? path + 1 : path) < 0)
        out = NULL;
    out = must(out);
    for (size_t n = strlen(out); n > 1 && out[n - 1] == '/'; n--)
        out[n - 1] = 0;
    return out;
}

static char *joined(const char *folder, const char *name)
{
    char *out = NULL;
    if (asprintf(&out, "%s/%s", folder, name) < 0)
        out = NULL;
    return must(out);
}

/* $HF_HOME, $XDG_CACHE_HOME/huggingface or ~/.cache/huggingface */
static char *hub_home(void)
{
    if (variable("HF_HOME"))
        return home_path(variable("HF_HOME"));
    char *cache = home_path(variable("XDG_CACHE_HOME") ? variable("XDG_CACHE_HOME") : "~/.cache");
    if (*cache == '~')
        die(EXIT_FAILED, "the hub's cache: found no HOME, expected HOME or HF_HOME in the environment");
    char *home = joined(cache, "huggingface");
    free(cache);
    return home;
}

static char *hub_cache(void)
{
    static const char *const names[] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (variable(names[i]))
            return home_path(variable(names[i]));
    char *home = hub_home(), *cache = joined(home, "hub");
    free(home);
    return cache;
}

/* A token without the blanks around it; NULL if nothing is left. It goes into a header, so it is one printable word. */
static char *clean_token(const char *text, const char *place)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t n = strlen(text);
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        n--;
    for (size_t i = 0; i < n; i++)
        if (!isgraph((unsigned char)text[i]))
            die(EXIT_FAILED, "%s: found a blank or a control character inside the token, expected one word", place);
    return n ? must(strndup(text, n)) : NULL;
}

static char *token_of_file(void)
{
    char *home = variable("HF_TOKEN_PATH") ? NULL : hub_home();
    char *path = home ? joined(home, "token") : home_path(variable("HF_TOKEN_PATH"));
    char text[MOST_TOKEN];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
        warn("%s: the token cannot be read: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    char *token = clean_token(text, path);
    free(path);
    free(home);
    return token;
}

static char *hub_token(void)
{
    static const char *const names[] = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"};
    if (is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
        return NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (variable(names[i]))
            return clean_token(variable(names[i]), names[i]);
    return token_of_file();
}

static int seconds_of(const char *name, int otherwise)
{
    const char *value = variable(name);
    char *end;
    long n = value ? strtol(value, &end, 10) : otherwise;
    if (value && (*end || n < 1 || n > 86400))
        die(EXIT_FAILED, "%s: found '%s', expected 1 to 86400 seconds", name, value);
    return (int)n;
}

/* libcurl looks for the authorities where they were on the system that built it; other systems keep them elsewhere. */
static const char *certificates(void)
{
    static const char *const places[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                         "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};
    if (variable("SSL_CERT_FILE"))
        return variable("SSL_CERT_FILE");
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (access(places[i], R_OK) == 0)
            return i == 0 ? NULL : places[i];
    return NULL;
}

void hub_settings(mv_hub_settings *s, hub_strings *own)
{
    const char *endpoint = variable("HF_ENDPOINT") ? variable("HF_ENDPOINT") : "https://huggingface.co";
    if (strncmp(endpoint, "https://", 8) && strncmp(endpoint, "http://", 7))
        die(EXIT_FAILED, "HF_ENDPOINT: found '%s', expected https://...", endpoint);
    own->cache = hub_cache();
    own->endpoint = home_path(endpoint);
    own->token = hub_token();
    *s = (mv_hub_settings){.cache = own->cache,
                           .endpoint = own->endpoint,
                           .token = own->token,
                           .certificates = certificates(),
                           .stall = seconds_of("HF_HUB_DOWNLOAD_TIMEOUT", STALL_S),
                           .retries = RETRIES,
                           .offline = is_true("HF_HUB_OFFLINE")};
}

void hub_settings_free(hub_strings *own)
{
    free(own->cache);
    free(own->endpoint);
    if (own->token)
        explicit_bzero(own->token, strlen(own->token));
    free(own->token);
}

/* ---- names */

mv_status hub_name(mv_hub_name *out, const char *text, mv_error *e)
{
    mv_config variant;
    char name[sizeof out->id], repository[MV_CONFIG_REPOSITORY];
    size_t n = strcspn(text, "@");
    snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : 0), text);
    if (!mv_config_lookup(name, &variant))
        return mv_hub_name_parse(out, text, e);
    mv_status s = mv_hub_name_parse(out, mv_config_repository(&variant, repository), e);
    return s || !text[n] ? s : mv_hub_revision_set(out, text + n + 1, name, e);
}

const mv_config *hub_nearest(const char *text)
{
    enum { MOST = 32 };
    char repositories[MOST][MV_CONFIG_REPOSITORY];
    const char *names[2 * MOST], *near;
    const mv_config *v;
    int n = 0;
    for (; n < MOST && (v = mv_config_at(n)); n++) {
        names[2 * n] = v->name;
        names[2 * n + 1] = mv_text_base_name(mv_config_repository(v, repositories[n]));
    }
    const char *base = mv_text_base_name(text);
    near = strlen(base) < 3 ? NULL : mv_text_nearest(base, 2 * n, names); /* shorter ones are near to everything */
    for (int i = 0; near && i < 2 * n; i++)
        if (names[i] == near)
            return mv_config_at(i / 2);
    return NULL;
}

char *hub_find(const char *text, char lacks[512])
{
    mv_hub_name name;
    mv_error e = {0};
    *lacks = 0;
    if (hub_name(&name, text, NULL))
        return NULL;
    char *cache = hub_cache(), *folder = mv_hub_find(cache, &name, lacks, &e);
    free(cache);
    if (e.code)
        die_of(&e, false);
    return folder;
}

/* True for OWNER/NAME that cannot be meant as a path: there is no folder OWNER, and NAME is no name of a file of
 * weights. */
static bool is_repository(const char *text)
{
    static const char *const endings[] = {".safetensors", ".json", ".pth", ".tar", ".pt", ".bin", ".ckpt"};
    struct stat st;
    char owner[256];
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (mv_text_ends_in(text, endings[i]))
            return false;
    snprintf(owner, sizeof owner, "%.*s", (int)strcspn(text, "/"), text);
    return stat(owner, &st) != 0;
}

char *hub_model(const char *text, mv_config *variant, char lacks[512])
{
    struct stat st;
    char names[MV_CONFIG_NAMES];
    if (stat(text, &st) == 0)
        return must(strdup(text));
    char *path = hub_find(text, lacks);
    if (path || mv_config_lookup(text, variant))
        return path;
    if (*lacks && is_repository(text))
        die(EXIT_FAILED, "%s: found no file of that name, and %s; 'mvscope pull %s' fetches it", text, lacks, text);
    if (!strchr(text, '/') && !strchr(text, '.'))
        die(EXIT_FAILED,
            "%s: found neither a file nor a variant of that name; variants are %s; OWNER/NAME is a repository that "
            "'mvscope pull' has fetched",
            text, mv_config_names(names));
    return must(strdup(text)); /* opening it says why it cannot be opened */
}

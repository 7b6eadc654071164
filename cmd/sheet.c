#include "cmd/sheet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cmd/inputs.h"
#include "cmd/options.h"

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Whether -o names a folder: it ends in /, there is one, or many pages want one. */
static bool wants_folder(bool many)
{
    size_t n = shared.out ? strlen(shared.out) : 0;
    return n && (shared.out[n - 1] == '/' || is_folder(shared.out) || many);
}

void sheet_check(bool many)
{
    mv_error e = {0};
    mv_canvas_kind kind;
    bool to_stdout = shared.out && strcmp(shared.out, "-") == 0;
    if (to_stdout && many)
        die(EXIT_MISUSE, "-o: found '-' for several pages, expected a folder");
    if (to_stdout && shared.json)
        die(EXIT_MISUSE, "-o: found '-' with --json, which writes to standard output too");
    if (shared.out && many && !is_folder(shared.out) && !mv_canvas_kind_of(&kind, shared.out, &e))
        die(EXIT_MISUSE, "-o: found '%s' for several pages, expected a folder", shared.out);
    if (shared.out && strcmp(shared.out, "-") && !wants_folder(many) && mv_canvas_kind_of(&kind, shared.out, &e))
        die(EXIT_MISUSE, "-o: %s", e.text);
}

void sheet_place(char path[4096], const char *source, const char *suffix, bool many)
{
    const char *out = shared.out;
    char stem[256];
    size_t n = out ? strlen(out) : 0;
    bool folder = wants_folder(many);
    if (folder && !is_folder(out) && mkdir(out, 0777) && errno != EEXIST) {
        mv_error e = {0};
        mv_fail_errno(&e, out, "cannot be made");
        die_of(&e);
    }
    picture_stem(source, stem, sizeof stem);
    int length;
    if (folder)
        length = snprintf(path, 4096, "%s%s%s-%s.png", out, out[n - 1] == '/' ? "" : "/", stem, suffix);
    else if (out)
        length = snprintf(path, 4096, "%s", strcmp(out, "-") ? out : "/dev/stdout");
    else
        length = snprintf(path, 4096, "%s-%s.png", stem, suffix);
    if (length >= 4096)
        die(EXIT_FAILED, "%.60s...: found a path of %d letters, expected at most 4095", path, length);
}

static mv_status put(void *context, const void *bytes, size_t n)
{
    return mv_output_write(context, bytes, n);
}

/* The date that SOURCE_DATE_EPOCH asks for; none otherwise, so that the same page is the same bytes. */
static const char *date_of(char text[32])
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    char *end;
    if (!epoch || !*epoch)
        return NULL;
    long long seconds = strtoll(epoch, &end, 10);
    time_t t = (time_t)seconds;
    struct tm tm;
    if (*end || !gmtime_r(&t, &tm) || strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        warn("SOURCE_DATE_EPOCH: found '%s', expected seconds since 1970; no date is written", epoch);
        return NULL;
    }
    return text;
}

bool sheet_open(sheet *s, session *with, const char *path, const char *source, const char *verb, const char *method,
                double lo, double hi)
{
    mv_error e = {0};
    const char *slash = strrchr(source, '/'), *base = slash ? slash + 1 : source, *hash = session_hash(with);
    char pipeline[64];
    *s = (sheet){0};
    snprintf(s->path, sizeof s->path, "%s", path);
    bool out = strcmp(path, "/dev/stdout") == 0;
    if (!out && mv_canvas_kind_of(&s->target.kind, path, &e)) {
        complain("%s", e.text);
        return false;
    }
    s->file = mv_output_open(path, &e);
    if (!s->file) {
        complain("%s", e.text);
        return false;
    }
    snprintf(s->text[0], sizeof *s->text, "mvscope %s%s %s", verb, options_given(), base);
    snprintf(s->text[1], sizeof *s->text, "model %s %.6s", with->name, hash);
    snprintf(s->text[2], sizeof *s->text, "%s", method);
    snprintf(s->text[3], sizeof *s->text, "%s", session_pipeline(with, pipeline));
    snprintf(s->text[4], sizeof *s->text, "%s %s", session_precision(with), session_device(with));
    snprintf(s->text[5], sizeof *s->text, "%s", MV_VERSION);
    snprintf(s->text[6], sizeof *s->text, "mvscope %s", MV_VERSION);
    snprintf(s->range, sizeof s->range, "%.9g to %.9g", lo, hi);
    for (int i = 0; i < 6; i++)
        if (*s->text[i])
            s->item[s->recipe.count++] = s->text[i];
    s->recipe.items = s->item;
    const mv_note notes[] = {{"Software", s->text[6]}, {"Command", s->text[0]},        {"Source", base},
                             {"Model", with->name},    {"Model hash", hash},           {"Method", s->text[2]},
                             {"Range", s->range},      {"Pre-processing", s->text[3]}, {"Device", s->text[4]}};
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
        if (*notes[i].value)
            s->note[s->target.note_count++] = notes[i];
    s->target.notes = s->note;
    s->target.write = put;
    s->target.ctx = s->file;
    s->target.date = date_of(s->date);
    return true;
}

bool sheet_close(sheet *s, mv_status status, const mv_error *drawing)
{
    mv_error e = {0};
    const mv_error *writing = mv_output_error(s->file);
    if (status) {
        complain("%s", writing->code ? writing->text : drawing->text);
        mv_output_discard(s->file);
        return false;
    }
    if (mv_output_commit(s->file, &e)) {
        complain("%s", e.text);
        return false;
    }
    return true;
}

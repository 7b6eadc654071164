#include "src/base/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool mv_text_ends_in(const char *text, const char *ending)
{
    size_t n = strlen(text), m = strlen(ending);
    return n >= m && strcasecmp(text + n - m, ending) == 0;
}

const char *mv_text_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ---- spelling */

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* One row of the table at a time: row[i] is the distance of the word so far from the first i bytes of the text. */
int mv_text_distance(const char *word, size_t n, const char *text)
{
    int row[MV_TEXT_DISTANCE_MAX + 1];
    size_t m = strlen(text);
    if (m > MV_TEXT_DISTANCE_MAX)
        return MV_TEXT_DISTANCE_MAX;
    for (size_t i = 0; i <= m; i++)
        row[i] = (int)i;
    for (size_t k = 0; k < n; k++) {
        int gap = word[k] == '*' ? 0 : 1, diagonal = row[0];
        row[0] += gap;
        for (size_t i = 1; i <= m; i++) {
            int above = row[i], change = diagonal + (word[k] != text[i - 1]);
            row[i] = least(least(above, row[i - 1]) + gap, change);
            diagonal = above;
        }
    }
    return row[m];
}

const char *mv_text_nearest(const char *word, int n, const char *const words[])
{
    size_t length = strlen(word);
    if (length == 0 || length > MV_TEXT_DISTANCE_MAX)
        return NULL;
    for (int i = 0; i < n; i++)
        if (words[i] && strncmp(words[i], word, length) == 0)
            return words[i];
    const char *best = NULL;
    int most = (int)length / 2 + 1;
    for (int i = 0; i < n; i++) {
        int d = words[i] ? mv_text_distance(word, length, words[i]) : MV_TEXT_DISTANCE_MAX;
        if (d < most || (d == most && !best)) {
            best = words[i];
            most = d;
        }
    }
    return best;
}

/* ---- text that is printed into memory */

bool mv_text_close(FILE *stream, char **text)
{
    bool good = !ferror(stream);
    good = fclose(stream) == 0 && good && *text;
    if (!good) {
        free(*text);
        *text = NULL;
    }
    return good;
}

/* ---- text that is safe to print */

/* Bytes of the character at p that may stay as they are; 0 if its first byte must be escaped. The ranges are those of
 * table 3-7 of the Unicode Standard; the NUL at the end is below every range of a following byte. */
static size_t clean_length(const uint8_t *p)
{
    if (p[0] < 0x80)
        return p[0] >= 0x20 && p[0] != 0x7F && p[0] != '\\';
    if (p[0] < 0xC2 || p[0] > 0xF4)
        return 0;
    size_t n = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    uint8_t lo = p[0] == 0xC2 ? 0xA0 /* C1 controls */ : p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : 0x80;
    uint8_t hi = p[0] == 0xED ? 0x9F /* surrogates */ : p[0] == 0xF4 ? 0x8F : 0xBF;
    if (p[1] < lo || p[1] > hi)
        return 0;
    for (size_t i = 2; i < n; i++)
        if (p[i] < 0x80 || p[i] > 0xBF)
            return 0;
    if (p[0] == 0xEF && p[1] == 0xBF && p[2] >= 0xBE) /* U+FFFE, U+FFFF */
        return 0;
    if (p[0] == 0xE2 && p[1] == 0x80 && p[2] >= 0xA8 && p[2] <= 0xAE) /* line ends, and text turned round */
        return 0;
    if (p[0] == 0xE2 && p[1] == 0x81 && p[2] >= 0xA6 && p[2] <= 0xA9)
        return 0;
    if (p[0] == 0xE2 && p[1] == 0x80 && (p[2] & 0xFE) == 0x8E) /* U+200E and U+200F: marks of direction */
        return 0;
    if (p[0] == 0xD8 && p[1] == 0x9C) /* U+061C: one more */
        return 0;
    return n;
}

char *mv_text_escape(const char *bytes)
{
    static const char digit[] = "0123456789abcdef";
    enum { ESCAPED = 4 }; /* bytes of \xHH */
    char *text = malloc(ESCAPED * strlen(bytes) + 1), *out = text;
    if (!text)
        return NULL;
    for (const uint8_t *p = (const uint8_t *)bytes; *p;) {
        size_t n = clean_length(p);
        if (n) {
            memcpy(out, p, n);
            out += n;
            p += n;
            continue;
        }
        *out++ = '\\';
        if (*p == '\\')
            *out++ = '\\';
        else {
            *out++ = 'x';
            *out++ = digit[*p >> 4];
            *out++ = digit[*p & 15];
        }
        p++;
    }
    *out = 0;
    return text;
}

bool mv_text_is_clean(const char *bytes)
{
    for (const uint8_t *p = (const uint8_t *)bytes; *p;) {
        size_t n = clean_length(p);
        if (!n)
            return false;
        p += n;
    }
    return true;
}

bool mv_text_is_safe(const char *bytes)
{
    for (const uint8_t *p = (const uint8_t *)bytes; *p;) {
        size_t n = *p == '\\' ? 1 : clean_length(p);
        if (!n)
            return false;
        p += n;
    }
    return true;
}

char *mv_text_escape_once(const char *sentence)
{
    return mv_text_is_safe(sentence) ? strdup(sentence) : mv_text_escape(sentence);
}

int mv_text_said(const char *words)
{
    size_t n = strlen(words);
    while (n && strchr(" \t\n\v\f\r", words[n - 1]))
        n--;
    return (int)n;
}

uint64_t mv_text_hash(const char *text)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 0x100000001b3u;
    return h;
}

int mv_text_print(char *to, size_t size, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(to, size, format, values);
    va_end(values);
    char *out = to;
    for (const char *p = to; *p;) {
        uint8_t first = (uint8_t)*p;
        size_t whole = first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4, n = 1;
        while (n < whole && ((uint8_t)p[n] & 0xC0) == 0x80)
            n++;
        if (n == whole) {
            memmove(out, p, n);
            out += n;
        }
        p += n;
    }
    *out = '\0';
    return (int)(out - to);
}

/* Bytes of what begins at p and is not to be cut: a character or an escape; *characters receives how many it shows. */
static size_t piece(const char *p, int *characters)
{
    *characters = 1;
    if (p[0] == '\\' && p[1])
        return (size_t)(*characters = p[1] == 'x' && p[2] && p[3] ? 4 : 2);
    size_t n = 1;
    while (((uint8_t)p[n] & 0xC0) == 0x80)
        n++;
    return n;
}

int mv_text_shorten(char *to, size_t size, int most, const char *text)
{
    static const char dots[] = "\xe2\x80\xa6";
    size_t bytes = strlen(text), head = 0, tail, n;
    int characters = 0, shown = 1, more;
    for (const char *p = text; *p; p += n, characters += more)
        n = piece(p, &more);
    if (characters <= most && bytes < size) {
        memcpy(to, text, bytes + 1);
        return characters;
    }
    size_t room = size < sizeof dots ? 0 : size - sizeof dots, half = room / 2;
    for (; (n = piece(text + head, &more), head + n <= half && shown - 1 + more <= (most - 1) / 2); head += n)
        shown += more;
    int rest = characters - (shown - 1);
    for (tail = head; bytes - tail > room - head || shown + rest > most; tail += n, rest -= more)
        n = piece(text + tail, &more);
    memcpy(to, text, head);
    memcpy(to + head, dots, sizeof dots - 1);
    memcpy(to + head + sizeof dots - 1, text + tail, bytes - tail + 1);
    return shown + rest;
}

const char *mv_text_capital(char *to, size_t size, const char *text)
{
    mv_text_print(to, size, "%s", text);
    if (to[0] >= 'a' && to[0] <= 'z')
        to[0] = (char)(to[0] - 'a' + 'A');
    return to;
}

/* Small functions on text: endings and base names of paths, spelling suggestions, and names that are safe to print.
 *
 * Text is NUL-terminated. Functions that return a pointer into their argument own nothing.
 */
#ifndef MV_TEXT_H
#define MV_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* True if `text` ends in `ending`. The case of ASCII letters is ignored: "A.PNG" ends in ".png". */
bool mv_text_ends_in(const char *text, const char *ending);

/* The last component of a path: what follows the last '/', or the whole path. Points into `path`; empty if the path
 * ends in '/'. */
const char *mv_text_base_name(const char *path);

enum { MV_TEXT_DISTANCE_MAX = 128 };

/* Levenshtein's distance between a word of n bytes and `text`. A '*' in the word stands for any run of bytes and costs
 * nothing, so a pattern can be compared as well. MV_TEXT_DISTANCE_MAX if `text` is longer than that. */
int mv_text_distance(const char *word, size_t n, const char *text);

/* The word that was probably meant: the first one that begins with `word`, else the nearest one that differs in at most
 * half of its letters. Points into `words`, whose entries may be NULL; NULL if there is none. */
const char *mv_text_nearest(const char *word, int n, const char *const words[]);

/* As snprintf, for text that is UTF-8: a character that a precision ("%.80s") or the size cuts is left out as a whole.
 * Returns the length of what is in `to`. */
int mv_text_print(char *to, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Copies a name that mv_text_escape has returned: at most `most` characters (4 or more) in size - 1 bytes. Of a longer
 * name the beginning and the end, where names differ, are joined by an ellipsis; no character and no \xHH is cut.
 * Returns the number of characters in `to`. */
int mv_text_shorten(char *to, size_t size, int most, const char *text);

/* The length of what another library said without the white space at its end, such as a line end: for "%.*s". */
int mv_text_said(const char *words);

/* Copies `text`, cut to size - 1 bytes as by mv_text_print, with a capital first letter if it is an ASCII one:
 * "Church". Returns `to`. */
const char *mv_text_capital(char *to, size_t size, const char *text);

/* Closes a stream of open_memstream, whose result is *text. False without memory for all that was printed; *text is
 * NULL then. fclose alone does not tell: glibc's returns 0 where the last request fails. */
bool mv_text_close(FILE *stream, char **text);

/* FNV-1a, 64 bits, for sets of names that are too large to store. */
uint64_t mv_text_hash(const char *text);

/* A copy of bytes that somebody else chose, such as a file name, as text that is safe to print and to store: valid
 * UTF-8 on one line, without control characters. These bytes become \xHH, with two lower-case hexadecimal digits:
 * - bytes that are not part of well-formed UTF-8 (overlong forms, surrogates, values above U+10FFFF),
 * - control characters: U+0000 to U+001F, DEL, and U+0080 to U+009F,
 * - U+FFFE and U+FFFF, which XML does not allow,
 * - U+2028 and U+2029, which end a line,
 * - U+202A to U+202E, U+2066 to U+2069, U+200E, U+200F and U+061C, which set the direction of what is beside them.
 * A backslash becomes two, so that different names stay different. Everything else is copied unchanged. The result is
 * the caller's to free; NULL without memory. */
char *mv_text_escape(const char *bytes);

/* True if mv_text_escape returns the bytes unchanged. */
bool mv_text_is_clean(const char *bytes);

/* The same, but a backslash may stay one: true for whatever mv_text_escape has returned. */
bool mv_text_is_safe(const char *bytes);

/* A copy of a sentence in which names may have been escaped already: unchanged if it is safe, else escaped as a whole.
 * The caller's to free; NULL without memory. */
char *mv_text_escape_once(const char *sentence);

#endif

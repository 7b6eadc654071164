/* Patterns that choose sites by name: `*` within a dot-separated segment, `**` across segments, `?` one letter, `[23]`
 * and `[2-5]` sets, `[!3]` a complement; commas join patterns: "levels.3.**.attn", "**.dt,head",
 * "levels.[23].blocks.*".
 */
#ifndef MV_PATTERN_H
#define MV_PATTERN_H

#include <stdbool.h>

#include "src/base/status.h"

/* True if `site` matches at least one of the comma-separated patterns. Time is bounded by the product of the lengths.
 */
bool mv_pattern_match(const char *patterns, const char *site);

/* Checks every pattern of a comma-separated list against the n sites. MV_EINPUT for a pattern that matches none of them
 * (the message names the nearest sites, or a pattern that would match), for an empty pattern and for a set without a
 * closing bracket. `place` begins the message: "--site". */
mv_status mv_pattern_check(const char *patterns, int n, const char *const sites[], const char *place, mv_error *e);

#endif

#include "src/base/number.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MINUS "\xe2\x88\x92" /* U+2212 */

const char *mv_number_text(char text[32], double value, int decimals, bool sign)
{
    if (!isfinite(value)) {
        snprintf(text, 32, "not finite");
        return text;
    }
    char number[32];
    if (fabs(value) >= 1e9)
        snprintf(number, sizeof number, "%.1e", fabs(value));
    else
        snprintf(number, sizeof number, "%.*f", decimals < 0 ? 0 : decimals > 9 ? 9 : decimals, fabs(value));
    bool zero = strspn(number, "0.") == strlen(number);
    snprintf(text, 32, "%s%.24s", value < 0 && !zero ? MINUS : sign ? "+" : "", number);
    return text;
}

const char *mv_power_text(char text[32], double value, bool sign)
{
    if (value == 0 || !isfinite(value))
        return mv_number_text(text, value, 0, sign);
    snprintf(text, 32, "%s%.1e", value < 0 ? MINUS : sign ? "+" : "", fabs(value));
    return text;
}

bool mv_number_vanishes(double value, int decimals)
{
    return value != 0 && fabs(value) < 0.5 * pow(10, -decimals);
}

const char *mv_count_text(char text[48], int n, const char *noun)
{
    snprintf(text, 48, "%d %.30s%s", n, noun, n == 1 ? "" : "s");
    return text;
}

/* How numbers are written for people, the same in captions, proofs and tables. */
#ifndef MV_NUMBER_H
#define MV_NUMBER_H

#include <stdbool.h>

/* The number with `decimals` (0 to 9) digits after the point, a true minus sign, and with `sign` a + before what is not
 * negative: "4.371", "+4.371". Never minus zero; "1.2e+09" from 1e9 on; "not finite" for infinities and NaN. Returns
 * text. */
const char *mv_number_text(char text[32], double value, int decimals, bool sign);

/* With an exponent: "+7.2e-05"; "+0" and "not finite" have none. Returns text. */
const char *mv_power_text(char text[32], double value, bool sign);

/* True for a number other than 0 of which `decimals` digits after the point show zeros alone. */
bool mv_number_vanishes(double value, int decimals);

/* "1 cell", "49 cells": a count and its noun, of which the plural ends in s. Returns text. */
const char *mv_count_text(char text[48], int n, const char *noun);

#endif

/* The colour scale of lattice pictures: dark blue over green to yellow, even steps in lightness, readable with every
 * kind of colour blindness and in grey (the stops are samples of matplotlib's public-domain "viridis"). Nine stops,
 * linear in between. Lattices of 0 and 1 use two colours far apart in lightness instead. */
#ifndef LG_RECORD_COLOURS_H
#define LG_RECORD_COLOURS_H

enum { LG_COLOUR_STOPS = 9 };

static const unsigned char lg_colour_stop[LG_COLOUR_STOPS][3] = {
    {68, 1, 84},    {71, 45, 123}, {59, 82, 139},  {44, 114, 142}, {33, 145, 140},
    {40, 174, 128}, {94, 201, 98}, {173, 220, 48}, {253, 231, 37},
};

static const unsigned char lg_colour_binary[2][3] = {{240, 240, 240}, {0, 90, 160}};

#endif

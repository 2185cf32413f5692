/* Inside of struct cm_json, for the parsers that build it (JSON, YAML). */
#pragma once

#include "codec/node.h"

struct cm_json {
    enum cm_json_type type;
    bool truth;
    struct cm_str key; /* of a member of an object */
    struct cm_str str; /* a string's value; a number's text */
    double num;
    bool is_int; /* then integer is the exact value */
    int64_t integer;
    struct cm_json *items; /* of an array or object */
    size_t n;
};

/* The shortest text that reads back as the same number; integers without exponent. */
void cm_json_number_text(double v, char out[32]);

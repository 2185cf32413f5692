/* Rows for people, or JSON for programs, on stdout. */
#pragma once

#include "base/buf.h"
#include "cli.h"

/* A list of rows that knows its columns by the names that -c takes. */
struct ui_table;

struct ui_table *ui_table_new(struct cm_arena *a, const char *columns); /* "id|name|last used" */
/* Starts a row; then one cell for each column, in their order. Texts are copied. */
void ui_table_row(struct ui_table *t);
void ui_table_cell(struct ui_table *t, struct cm_str text);
void ui_table_cellf(struct ui_table *t, const char *fmt, ...) CM_PRINTF(2, 3);
/* More text in the cell that was given last. */
void ui_table_append(struct ui_table *t, const char *fmt, ...) CM_PRINTF(2, 3);
/* The rest of the row is empty. */
void ui_table_rest(struct ui_table *t);
/* In a frame, a line goes between the last row and the next. */
void ui_table_rule(struct ui_table *t);
/* Prints all columns without heads. */
void ui_table_print_bare(const struct ui_table *t);
/* Prints all columns as [{"first_column":"...", ...}, ...]. */
void ui_table_print_json(const struct ui_table *t);
/* Prints all columns in a frame, under upper case heads and, unless NULL, a title. */
void ui_table_frame(const struct ui_table *t, const char *title);
/* Prints the chosen columns, upper case heads, two spaces between; nothing for no rows. */
void ui_table_print(const struct ui_table *t, const struct cm_conf_list *chosen);

/* Prints compact JSON of our own encoder with an indent of two spaces. */
void ui_json_print(struct cm_str json);
bool ui_wants_json(const struct cli *cli);

/* "succeeded" as "Succeeded". */
const char *ui_title(struct cm_arena *a, const char *word);
/* RFC 3339 in whole seconds, UTC. */
const char *ui_time(struct cm_arena *a, struct cm_time t);
/* "November 3, 2026", UTC. */
const char *ui_date(struct cm_arena *a, struct cm_time t);
/* "Nov 23 18:52:34", local time, for sentences. */
const char *ui_now(struct cm_arena *a);
/* The same of another moment than now, UTC. */
const char *ui_stamp(struct cm_arena *a, struct cm_time t);
/* How long ago something was, as ui_duration. */
const char *ui_ago(struct cm_arena *a, struct cm_time t);
/* In whole minutes, and over a day in whole hours, without what is zero: "8h", "1h30m", "2d3h";
 * "<1m".
 */
const char *ui_duration(struct cm_arena *a, cm_usec d);

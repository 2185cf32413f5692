/* Questions to the person at the terminal, or to whatever is piped in. Questions go to stderr. */
#pragma once

#include "cli.h"

struct ui_question {
    const char *text;
    const char *def; /* taken for an empty answer; NULL: none */
    bool secret;     /* no echo */
    /* Refuses an answer with a reason, after which the question is put again (at a terminal). May
     * be NULL. */
    enum cm_code (*check)(void *ctx, const char *answer, struct cm_err *err);
    void *ctx;
};

/* The answer, in the arena. End of input is "EOF"; CM_CANCELED without text when the person gave
 * up. */
CM_MUST_USE enum cm_code ui_ask(struct cli *cli, const struct ui_question *q, const char **ret,
                                struct cm_err *err);
/* Yes or no; -y answers by itself. No is CM_CANCELED without text. */
CM_MUST_USE enum cm_code ui_confirm(struct cli *cli, const char *text, bool default_yes,
                                    struct cm_err *err);
/* One of n texts: at a terminal by the arrow keys or by typing how it begins, else by its number or
 * text. *ret comes with the one that Enter alone takes. */
CM_MUST_USE enum cm_code ui_select(struct cli *cli, const char *text, const char *const *options,
                                   size_t n, size_t *ret, struct cm_err *err);
/* Any of them: Space marks at a terminal; else their numbers or texts, separated by commas.
 * marked[n] comes with what Enter alone takes. */
CM_MUST_USE enum cm_code ui_select_many(struct cli *cli, const char *text,
                                        const char *const *options, size_t n, bool *marked,
                                        struct cm_err *err);
/* Is there somebody to ask? */
bool ui_interactive(const struct cli *cli);

#include "ui/prompt.h"

#include <errno.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#define ANSWER_MAX ((size_t)64 << 10)
#define TRIES_MAX  100
#define CTRL_C     '\003'

bool ui_interactive(const struct cli *cli)
{
    return cli->stdin_tty || cli->g.force_tty;
}

/* Reads a line byte by byte: what follows belongs to the next question. */
static enum cm_code read_line(bool terminal, struct cm_buf *line, struct cm_err *err)
{
    char c;

    for (;;) {
        ssize_t n = read(0, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cm_err_errno(err, CM_IO, "read standard input");
        if (n == 0 && line->len == 0)
            return cm_err_set(err, CM_END, "EOF");
        if (n == 0 || c == '\n')
            break;
        if (terminal && c == CTRL_C)
            return cm_err_set(err, CM_CANCELED, "%s", "");
        cm_buf_char(line, c);
    }
    if (line->len && line->ptr[line->len - 1] == '\r') {
        line->len--;
        line->ptr[line->len] = '\0';
    }
    return cm_buf_check(line, "the answer", err);
}

static enum cm_code put_question(const struct cli *cli, const struct ui_question *q,
                                 struct cm_buf *line, struct cm_err *err)
{
    struct termios saved, asking;
    bool terminal = cli->stdin_tty && tcgetattr(0, &saved) == 0;

    line->wipe = q->secret;
    if (terminal) {
        /* Ctrl-C ends the line instead of this process, which has to leave the terminal as it was.
         */
        asking = saved;
        asking.c_lflag &= ~(tcflag_t)(ISIG | (q->secret ? ECHO : 0));
        asking.c_cc[VEOL] = CTRL_C;
        tcsetattr(0, q->secret ? TCSAFLUSH : TCSADRAIN, &asking);
    }
    /* After that, so that nothing of an early answer shows. */
    fflush(stdout);
    fprintf(stderr, "> %s ", q->text);
    if (q->def && *q->def)
        fprintf(stderr, "(%s) ", q->def);
    enum cm_code code = read_line(terminal, line, err);
    if (terminal)
        tcsetattr(0, q->secret ? TCSAFLUSH : TCSADRAIN, &saved);
    if (terminal && q->secret && code == CM_OK)
        fputc('\n', stderr);
    return code;
}

enum cm_code ui_ask(struct cli *cli, const struct ui_question *q, const char **ret,
                    struct cm_err *err)
{
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        CM_AUTOBUF struct cm_buf line = CM_BUF_INIT(ANSWER_MAX);
        if (put_question(cli, q, &line, err) != CM_OK) {
            fputc('\n', stderr);
            if (err->code == CM_END)
                cm_err_set(err, CM_END, "EOF: \"%s\" needs an answer, and the input has none",
                           q->text);
            return err->code;
        }
        const char *answer =
            line.len || !q->def ? cm_arena_cstr(cli->arena, cm_buf_view(&line)) : q->def;
        if (!q->check || q->check(q->ctx, answer, err) == CM_OK) {
            *ret = answer;
            return CM_OK;
        }
        fprintf(stderr, "%s\n", err->text);
    }
    return err->code;
}

static enum cm_code check_yes_no(void *ctx, const char *answer, struct cm_err *err)
{
    (void)ctx;
    static const char *const words[] = {"yes", "y", "no", "n"};
    for (size_t i = 0; i < CM_COUNT_OF(words); i++)
        if (cm_str_eq_nocase(cm_str_trim(cm_str(answer)), cm_str(words[i])))
            return CM_OK;
    return cm_err_set(err, CM_INVALID, "please answer yes or no");
}

enum cm_code ui_confirm(struct cli *cli, const char *text, bool default_yes, struct cm_err *err)
{
    struct ui_question q = {.text = cm_arena_printf(cli->arena, "%s (yes/no)", text),
                            .def = default_yes ? "yes" : "no",
                            .check = check_yes_no};
    const char *answer = NULL;

    if (cli->yes)
        return CM_OK;
    if (ui_ask(cli, &q, &answer, err) != CM_OK) {
        if (err->code == CM_END && cli->command->uses & USES_YES)
            cli->hint = "-y confirms without a question.";
        return err->code;
    }
    if (cm_str_starts_nocase(cm_str_trim(cm_str(answer)), CM_STR("y")))
        return CM_OK;
    return cm_err_set(err, CM_CANCELED, "%s", "");
}

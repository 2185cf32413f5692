/* Choosing from a list. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "ui/prompt.h"

#define ROWS_MAX     12
#define COLUMNS_MIN  20
#define ESCAPE_WAITS 50 /* ms: what follows ESC in a key's sequence comes at once */
#define TYPED_MAX    64

enum key { KEY_NONE, KEY_UP, KEY_DOWN, KEY_ENTER, KEY_CANCEL, KEY_END, KEY_BACK, KEY_TEXT };

struct menu {
    const char *text;
    const char *const *options;
    size_t n, at, top, rows, columns;
    bool *marked; /* NULL: one is chosen */
    char typed[TYPED_MAX];
    size_t n_typed;
};

static bool read_byte(char *c, int wait_ms)
{
    struct pollfd p = {.fd = 0, .events = POLLIN};
    ssize_t n;

    if (wait_ms >= 0 && poll(&p, 1, wait_ms) <= 0)
        return false;
    do
        n = read(0, c, 1);
    while (n < 0 && errno == EINTR);
    return n == 1;
}

static enum key read_escape(void)
{
    char c = 0;

    if (!read_byte(&c, ESCAPE_WAITS))
        return KEY_NONE;
    if (c == '[' || c == 'O')
        do /* parameters come before the letter */
            if (!read_byte(&c, ESCAPE_WAITS))
                return KEY_NONE;
        while ((c >= '0' && c <= '9') || c == ';');
    return c == 'A' ? KEY_UP : c == 'B' ? KEY_DOWN : KEY_NONE;
}

static enum key read_key(char *c)
{
    if (!read_byte(c, -1))
        return KEY_END;
    switch (*c) {
    case '\033':
        return read_escape();
    case '\r':
    case '\n':
        return KEY_ENTER;
    case 'P' - '@':
        return KEY_UP;
    case 'N' - '@':
        return KEY_DOWN;
    case 'C' - '@':
        return KEY_CANCEL;
    case 'D' - '@':
        return KEY_END;
    case '\b':
    case 0x7f:
        return KEY_BACK;
    default:
        return (unsigned char)*c >= ' ' ? KEY_TEXT : KEY_NONE;
    }
}

/* As much of it as fits, without cutting a character in two. */
static int fitting(const char *s, size_t columns)
{
    size_t i = 0, seen = 0;

    for (; s[i]; i++) {
        if (((unsigned char)s[i] & 0xc0) != 0x80 && ++seen > columns)
            break;
        if ((unsigned char)s[i] < ' ')
            break;
    }
    return (int)i;
}

static void draw(struct menu *m)
{
    if (m->at < m->top)
        m->top = m->at;
    if (m->at >= m->top + m->rows)
        m->top = m->at - m->rows + 1;
    for (size_t i = m->top; i < m->top + m->rows; i++)
        fprintf(stderr, "\r\033[K%s%s%.*s\n", i == m->at ? "> " : "  ",
                !m->marked     ? ""
                : m->marked[i] ? "[x] "
                               : "[ ] ",
                fitting(m->options[i], m->columns - 7), m->options[i]);
    fprintf(stderr, "\033[%zuA", m->rows);
    fflush(stderr);
}

/* To the option that begins like what was typed, or has that number. */
static void jump(struct menu *m)
{
    struct cm_str typed = cm_str_n(m->typed, m->n_typed);
    int64_t number;

    for (size_t i = 0; m->n_typed && i < m->n; i++) {
        if (cm_str_starts_nocase(cm_str(m->options[i]), typed)) {
            m->at = i;
            return;
        }
    }
    if (cm_str_to_i64(typed, &number) && number >= 1 && (size_t)number <= m->n)
        m->at = (size_t)number - 1;
}

static void on_text(struct menu *m, char c)
{
    if (m->marked && c == ' ') {
        m->marked[m->at] = !m->marked[m->at];
        m->n_typed = 0;
    } else if (m->n_typed < sizeof(m->typed)) {
        m->typed[m->n_typed++] = c;
        jump(m);
    }
}

/* True: that was the last key. */
static bool on_key(struct menu *m, enum key key, char c)
{
    if (key == KEY_UP || key == KEY_DOWN)
        m->n_typed = 0;
    switch (key) {
    case KEY_UP:
        m->at = (m->at + m->n - 1) % m->n;
        return false;
    case KEY_DOWN:
        m->at = (m->at + 1) % m->n;
        return false;
    case KEY_TEXT:
        on_text(m, c);
        return false;
    case KEY_BACK:
        m->n_typed -= m->n_typed > 0;
        jump(m);
        return false;
    case KEY_NONE:
        return false;
    case KEY_ENTER:
    case KEY_CANCEL:
    case KEY_END:
        break;
    }
    return true;
}

static void print_chosen(const struct menu *m)
{
    bool first = true;

    for (size_t i = 0; i < m->n; i++) {
        if (m->marked ? !m->marked[i] : i != m->at)
            continue;
        fprintf(stderr, "%s%s", first ? "" : ", ", m->options[i]);
        first = false;
    }
    fputc('\n', stderr);
}

static enum cm_code at_terminal(struct menu *m, struct cm_err *err)
{
    struct winsize w = {0};
    struct termios saved, choosing;
    enum key key = KEY_END;
    char c = 0;

    cm_ignore(ioctl(2, TIOCGWINSZ, &w) != 0, "a usual size then");
    m->columns = CM_MAX(w.ws_col ? (size_t)w.ws_col : 80, (size_t)COLUMNS_MIN);
    m->rows = CM_MIN(m->n, CM_MAX(CM_MIN((size_t)w.ws_row, (size_t)ROWS_MAX + 3), (size_t)6) - 3);
    if (tcgetattr(0, &saved) != 0)
        return cm_err_errno(err, CM_IO, "read the terminal's settings");
    choosing = saved;
    choosing.c_lflag &= ~(tcflag_t)(ISIG | ICANON | ECHO);
    tcsetattr(0, TCSADRAIN, &choosing);
    fflush(stdout);
    fprintf(stderr, "> %s\n\033[?25l", m->text); /* the cursor is in the way */
    do {
        draw(m);
        key = read_key(&c);
    } while (!on_key(m, key, c));
    /* The list makes room for the answer. */
    fprintf(stderr, "\033[1A\r\033[J\033[?25h> %s ", m->text);
    tcsetattr(0, TCSADRAIN, &saved);
    if (key != KEY_ENTER) {
        fputc('\n', stderr);
        return key == KEY_CANCEL ? cm_err_set(err, CM_CANCELED, "%s", "")
                                 : cm_err_set(err, CM_END, "EOF: \"%s\" needs an answer", m->text);
    }
    print_chosen(m);
    return CM_OK;
}

/* --- without a terminal: a line --- */

static bool find(const struct menu *m, struct cm_str answer, size_t *ret)
{
    int64_t number;

    for (size_t i = 0; i < m->n; i++) {
        if (cm_str_eq_c(answer, m->options[i])) {
            *ret = i;
            return true;
        }
    }
    if (!cm_str_to_i64(answer, &number) || number < 1 || (size_t)number > m->n)
        return false;
    *ret = (size_t)number - 1;
    return true;
}

static enum cm_code check_line(void *ctx, const char *answer, struct cm_err *err)
{
    struct menu *m = ctx;
    struct cm_str rest = cm_str(answer), one;
    size_t i = 0;

    if (m->marked && *answer)
        memset(m->marked, 0, m->n * sizeof(*m->marked));
    while (rest.len) {
        if (m->marked) {
            rest = cm_str_split(rest, ',', &one);
        } else {
            one = rest;
            rest = CM_STR_NONE;
        }
        if (!find(m, cm_str_trim(one), &i))
            return cm_err_set(err, CM_INVALID,
                              "please answer with one of the texts, or a number from 1 to %zu",
                              m->n);
        if (m->marked)
            m->marked[i] = true;
        else
            m->at = i;
    }
    return CM_OK;
}

static enum cm_code choose(struct cli *cli, struct menu *m, struct cm_err *err)
{
    struct ui_question q = {.text = m->text, .check = check_line, .ctx = m};
    const char *answer = NULL;

    if (!m->n)
        return cm_err_set(err, CM_NOT_FOUND, "there is nothing to choose from");
    if (cli->stdin_tty && cli->stderr_tty)
        return at_terminal(m, err);
    for (size_t i = 0; i < m->n; i++)
        fprintf(stderr, "  %zu. %s\n", i + 1, m->options[i]);
    if (!m->marked)
        q.def = m->options[m->at];
    return ui_ask(cli, &q, &answer, err);
}

enum cm_code ui_select(struct cli *cli, const char *text, const char *const *options, size_t n,
                       size_t *ret, struct cm_err *err)
{
    struct menu m = {.text = text, .options = options, .n = n, .at = *ret};

    if (choose(cli, &m, err) != CM_OK)
        return err->code;
    *ret = m.at;
    return CM_OK;
}

enum cm_code ui_select_many(struct cli *cli, const char *text, const char *const *options, size_t n,
                            bool *marked, struct cm_err *err)
{
    struct menu m = {.text = text, .options = options, .n = n, .marked = marked};

    return choose(cli, &m, err);
}

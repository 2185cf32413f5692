#include "ui/browser.h"

#include "sys/child.h"

static const char *env_or_empty(const char *name)
{
    const char *value = cm_conf_getenv(name);
    return value ? value : "";
}

bool ui_open_browser(struct cli *cli, const char *url)
{
    const char *browser = cm_conf_getenv("BROWSER");
    const char *const openers[] = {browser && *browser ? browser : "xdg-open", "sensible-browser"};

    bool screen =
        (browser && *browser) || *env_or_empty("DISPLAY") || *env_or_empty("WAYLAND_DISPLAY");

    /* Without a screen an opener would start a browser in this terminal, or fail after all. */
    if (cli->g.no_open || !screen)
        return false;
    for (size_t i = 0; i < CM_COUNT_OF(openers); i++) {
        const char *const argv[] = {openers[i], url, NULL};
        struct cm_child_spec spec = {.argv = argv, .new_session = true};
        struct cm_child *c = NULL;
        if (cm_child_start(&spec, &c, NULL) == CM_OK) {
            cm_child_detach(c);
            return true;
        }
    }
    return false;
}

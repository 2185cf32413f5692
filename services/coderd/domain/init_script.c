#include "domain/init_script.h"

#include "base/str.h"

const char *const init_script_pairs[][2] = {
    {"linux", "amd64"}, {"linux", "arm64"}, {"linux", "armv7"}, {NULL, NULL}};

#define LINUX_SCRIPT(arch)                                                                         \
    "#!/usr/bin/env sh\n"                                                                          \
    "set -eux\n"                                                                                   \
    "# Whatever goes wrong is kept on the screen for a day, since containers take their logs "     \
    "with them.\n"                                                                                 \
    "waitonexit() {\n"                                                                             \
    "  echo \"=== The agent's start script has ended with code $?. The workspace cannot be "       \
    "reached.\"\n"                                                                                 \
    "  sleep 86400\n"                                                                              \
    "}\n"                                                                                          \
    "trap waitonexit EXIT\n"                                                                       \
    "BINARY_DIR=\"${BINARY_DIR:-$(mktemp -d -t coder.XXXXXX)}\"\n"                                 \
    "BINARY_NAME=coder\n"                                                                          \
    "BINARY_URL=${ACCESS_URL}bin/coder-linux-" arch "\n"                                           \
    "cd \"$BINARY_DIR\"\n"                                                                         \
    "while :; do\n"                                                                                \
    "  status=0\n"                                                                                 \
    "  if command -v curl >/dev/null 2>&1; then\n"                                                 \
    "    curl -fsSL --compressed \"$BINARY_URL\" -o \"$BINARY_NAME\" && break\n"                   \
    "    status=$?\n"                                                                              \
    "  elif command -v wget >/dev/null 2>&1; then\n"                                               \
    "    wget -q \"$BINARY_URL\" -O \"$BINARY_NAME\" && break\n"                                   \
    "    status=$?\n"                                                                              \
    "  elif command -v busybox >/dev/null 2>&1; then\n"                                            \
    "    busybox wget -q \"$BINARY_URL\" -O \"$BINARY_NAME\" && break\n"                           \
    "    status=$?\n"                                                                              \
    "  else\n"                                                                                     \
    "    echo \"error: no download tool found; install curl, wget or busybox in the workspace\"\n" \
    "    exit 127\n"                                                                               \
    "  fi\n"                                                                                       \
    "  echo \"error: downloading the agent from $BINARY_URL failed with code $status; trying "     \
    "again in 30 seconds\"\n"                                                                      \
    "  sleep 30\n"                                                                                 \
    "done\n"                                                                                       \
    "if ! chmod +x \"$BINARY_NAME\"; then\n"                                                       \
    "  echo \"error: the agent cannot be made executable in $BINARY_DIR\"\n"                       \
    "  exit 1\n"                                                                                   \
    "fi\n"                                                                                         \
    "if [ \"${CODER_AGENT_NET_ADMIN:-}\" ] && command -v setcap >/dev/null 2>&1; then\n"           \
    "  sudo -n setcap CAP_NET_ADMIN=+ep \"$BINARY_NAME\" || true\n"                                \
    "fi\n"                                                                                         \
    "# A log-in page of a proxy may have come instead of the program.\n"                           \
    "output=$(./\"$BINARY_NAME\" --version | head -n1) || true\n"                                  \
    "case \"$output\" in\n"                                                                        \
    "  *Coder*) ;;\n"                                                                              \
    "  *) echo \"error: what came from $BINARY_URL is not the agent: $output\"; exit 2 ;;\n"       \
    "esac\n"                                                                                       \
    "export CODER_AGENT_AUTH=\"${AUTH_TYPE}\"\n"                                                   \
    "export CODER_AGENT_URL=\"${ACCESS_URL}\"\n"                                                   \
    "exec ./\"$BINARY_NAME\" agent\n"

static const char *const scripts[] = {LINUX_SCRIPT("amd64"), LINUX_SCRIPT("arm64"),
                                      LINUX_SCRIPT("armv7")};

const char *init_script(struct cm_str os, struct cm_str arch)
{
    for (size_t i = 0; init_script_pairs[i][0]; i++) {
        if (cm_str_eq_c(os, init_script_pairs[i][0]) && cm_str_eq_c(arch, init_script_pairs[i][1]))
            return scripts[i];
    }
    return NULL;
}

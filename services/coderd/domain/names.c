#include "domain/names.h"

#include "base/random.h"

static const char *const adjectives[] = {
    "amber", "brave",  "brisk", "calm",  "clear", "crisp", "eager", "fair",
    "fleet", "gentle", "glad",  "keen",  "kind",  "light", "lucid", "merry",
    "neat",  "noble",  "quick", "quiet", "ready", "sharp", "solid", "sunny",
    "swift", "tidy",   "vivid", "warm",  "wise",  "witty", "young", "zesty"};
static const char *const nouns[] = {
    "badger", "beacon",  "birch", "bridge", "canyon", "cedar",  "comet",  "coral",
    "crane",  "delta",   "ember", "falcon", "fjord",  "garnet", "harbor", "heron",
    "island", "juniper", "lark",  "maple",  "meadow", "otter",  "pine",   "quartz",
    "raven",  "reef",    "river", "spruce", "summit", "tern",   "valley", "willow"};

struct cm_str name_make(struct cm_arena *a)
{
    return cm_arena_fmt(a, "%s_%s%u", adjectives[cm_random_below(CM_COUNT_OF(adjectives))],
                        nouns[cm_random_below(CM_COUNT_OF(nouns))], (unsigned)cm_random_below(100));
}

#include "domain/password.h"

#include <ctype.h>
#include <math.h>
#include <semaphore.h>
#include <pthread.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/enc.h"
#include "base/random.h"
#include "base/secret.h"

/* RFC 7914 parameters: 2^15, 8, 1 is 32 MiB. They stand in each hash, so they can be raised later.
 */
#define COST_N   32768
#define COST_R   8
#define COST_P   1
#define SALT_LEN 16
#define KEY_LEN  32
#define MEM_MAX  ((uint64_t)64 * 1024 * 1024)

#define ENTROPY_MIN 52.0
#define LENGTH_MAX  64

static const char *const runs[] = {
    "0123456789", "qwertyuiop", "asdfghjkl", "zxcvbnm", "abcdefghijklmnopqrstuvwxyz",
    "9876543210", "poiuytrewq", "lkjhgfdsa", "mnbvcxz", "zyxwvutsrqponmlkjihgfedcba",
};

/* Leaves two characters of each stretch of s that goes along run, or of one repeated character when
 * run is NULL; returns what is left. */
static size_t shorten(char *s, size_t n, const char *run)
{
    size_t kept = 0, stretch = 1;
    char prev = '\0';
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        const char *at = run && prev ? strchr(run, prev) : NULL;
        bool goes_on = i && (run ? at && c && at[1] == c : c == prev);
        stretch = goes_on ? stretch + 1 : 1;
        prev = c;
        if (stretch <= 2)
            s[kept++] = c;
    }
    return kept;
}

/* The length that counts: of a run of one character, or of an ordered run, two at most. One run
 * after the other, since they share letters: "fgh" is in the alphabet and on the keyboard. */
static size_t effective_length(struct cm_str p)
{
    char s[LENGTH_MAX];
    cm_assert(p.len <= sizeof(s));
    for (size_t i = 0; i < p.len; i++)
        s[i] = (char)tolower((unsigned char)p.ptr[i]);
    size_t n = shorten(s, p.len, NULL);
    for (size_t i = 0; i < CM_COUNT_OF(runs); i++)
        n = shorten(s, n, runs[i]);
    return n;
}

static unsigned base_of(struct cm_str p)
{
    static const struct {
        const char *set;
        unsigned size;
    } classes[] = {{"abcdefghijklmnopqrstuvwxyz", 26},
                   {"ABCDEFGHIJKLMNOPQRSTUVWXYZ", 26},
                   {"0123456789", 10},
                   {"!@$&*", 5},
                   {"_-., ", 5},
                   {"\"#%'()+/:;<=>?[\\]^`{|}~", 22}};
    unsigned base = 0;
    for (size_t k = 0; k < CM_COUNT_OF(classes); k++) {
        for (size_t i = 0; i < p.len; i++) {
            if (p.ptr[i] && strchr(classes[k].set, p.ptr[i])) {
                base += classes[k].size;
                break;
            }
        }
    }
    bool seen[256] = {false};
    for (size_t i = 0; i < p.len; i++) {
        unsigned char c = (unsigned char)p.ptr[i];
        if ((c >= 0xc0 || c < 0x20) && !seen[c]) { /* lead bytes stand for other characters */
            seen[c] = true;
            base++;
        }
    }
    return base;
}

const char *password_weakness(struct cm_str password)
{
    if (password.len > LENGTH_MAX)
        return "The password is longer than 64 bytes.";
    unsigned base = base_of(password);
    if (!base || (double)effective_length(password) * log2(base) < ENTROPY_MIN)
        return "The password is too easy to guess. Make it longer, or add capitals, digits and "
               "other characters.";
    return NULL;
}

static sem_t slots;
static pthread_once_t slots_once = PTHREAD_ONCE_INIT;

static void slots_init(void)
{
    sem_init(&slots, 0, 2);
}

static void derive(struct cm_str password, const uint8_t *salt, size_t salt_len, uint64_t n,
                   uint64_t r, uint64_t p, uint8_t *key)
{
    pthread_once(&slots_once, slots_init);
    while (sem_wait(&slots) != 0) {
    }
    int ok = EVP_PBE_scrypt(password.ptr ? password.ptr : "", password.len, salt, salt_len, n, r, p,
                            MEM_MAX, key, KEY_LEN);
    sem_post(&slots);
    cm_assert(ok == 1);
}

char *password_hash(struct cm_arena *a, struct cm_str password)
{
    uint8_t salt[SALT_LEN], key[KEY_LEN];
    cm_random_bytes(salt, sizeof(salt));
    derive(password, salt, sizeof(salt), COST_N, COST_R, COST_P, key);
    CM_AUTOBUF struct cm_buf b = CM_BUF_INIT(256);
    cm_buf_printf(&b, "$scrypt$%d,%d,%d$", COST_N, COST_R, COST_P);
    cm_base64_encode(&b, CM_BASE64_STD_NOPAD, salt, sizeof(salt));
    cm_buf_char(&b, '$');
    cm_base64_encode(&b, CM_BASE64_STD_NOPAD, key, sizeof(key));
    cm_secret_wipe(key, sizeof(key));
    return cm_arena_cstr(a, cm_buf_view(&b));
}

bool password_verify(struct cm_str hash, struct cm_str password)
{
    static const char made_up[] =
        "$scrypt$32768,8,1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    bool real = hash.len > 0;
    struct cm_str rest = cm_str_sub(real ? hash : cm_str(made_up), 1, SIZE_MAX), kind, cost,
                  salt_text, one;
    rest = cm_str_split(rest, '$', &kind);
    rest = cm_str_split(rest, '$', &cost);
    rest = cm_str_split(rest, '$', &salt_text);
    int64_t n[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        cost = cm_str_split(cost, ',', &one);
        if (!cm_str_to_i64(one, &n[i]) || n[i] < 1 || n[i] > 1 << 20)
            return false;
    }
    CM_AUTOBUF struct cm_buf salt = CM_BUF_INIT(64), want = CM_BUF_INIT(64);
    if (!cm_str_eq_c(kind, "scrypt") || !cm_base64_decode(&salt, CM_BASE64_STD_NOPAD, salt_text) ||
        !cm_base64_decode(&want, CM_BASE64_STD_NOPAD, rest) || want.len != KEY_LEN)
        return false;
    uint8_t key[KEY_LEN];
    derive(password, (const uint8_t *)salt.ptr, salt.len, (uint64_t)n[0], (uint64_t)n[1],
           (uint64_t)n[2], key);
    bool equal = cm_secret_eq(key, want.ptr, KEY_LEN);
    cm_secret_wipe(key, sizeof(key));
    return real && equal;
}

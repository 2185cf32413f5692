/* Small texts that come from everywhere: times, durations, ids, encodings. What can be read can be
 * written and read again. The first byte chooses. */
#include <stdint.h>

#include "base/enc.h"
#include "base/time.h"
#include "base/uuid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void times(struct cm_str in)
{
    struct cm_time t, again;
    char text[CM_TIME_TEXT];
    if (cm_time_parse(in, &t)) {
        cm_assert(strlen(cm_time_format(t, text)) < sizeof(text));
        /* Years that an offset moves out of what the text can say are shown as the nearest. */
        cm_assert(cm_time_parse(cm_str(text), &again));
    }
    int64_t any = 0;
    memcpy(&any, in.ptr, CM_MIN(in.len, sizeof(any)));
    cm_assert(strlen(cm_time_format((struct cm_time){any}, text)) < sizeof(text));
}

static void durations(struct cm_str in)
{
    cm_usec d, again;
    if (!cm_duration_parse(in, &d))
        return;
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(64);
    cm_duration_format(&text, d);
    cm_assert(!text.failed && cm_duration_parse(cm_buf_view(&text), &again));
    cm_assert((d < 0) == (again < 0) || again == 0);
}

static void encodings(struct cm_str in)
{
    CM_AUTOBUF struct cm_buf text = CM_BUF_INIT(in.len * 4 + 8), back = CM_BUF_INIT(in.len + 8);
    enum cm_base64 kind = (enum cm_base64)(in.len % 3);
    if (cm_base64_decode(&back, kind, in)) {
        cm_base64_encode(&text, kind, back.ptr, back.len);
        cm_assert(cm_str_eq(cm_buf_view(&text), in));
    }
    cm_buf_reset(&text);
    cm_buf_reset(&back);
    if (cm_percent_decode(&back, in, in.len % 2)) {
        CM_AUTOBUF struct cm_buf again = CM_BUF_INIT(in.len + 8);
        cm_percent_encode(&text, cm_buf_view(&back), "");
        if (!memchr(back.ptr ? back.ptr : "", '\0', back.len))
            cm_assert(cm_percent_decode(&again, cm_buf_view(&text), false) &&
                      cm_str_eq(cm_buf_view(&again), cm_buf_view(&back)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cm_uuid id, again;
    if (size < 1 || size > 4096)
        return 0;
    struct cm_str in = cm_str_n(data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        times(in);
        break;
    case 1:
        durations(in);
        break;
    case 2:
        encodings(in);
        break;
    default:
        if (cm_uuid_parse(in, &id))
            cm_assert(cm_uuid_parse(cm_str(cm_uuid_text(id).s), &again) && cm_uuid_eq(id, again));
    }
    return 0;
}

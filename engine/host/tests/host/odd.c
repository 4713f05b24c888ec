/* A plugin with odd manners, chosen by its parameter, and a trainer that learns to add one number. */
#include <isoscan.h>

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char DESCRIPTOR[] =
    "{\"id\": \"odd\", \"version\": \"1.2.3\", \"name\": \"Odd\", \"family\": \"test\", \"summary\": \"Odd on demand\","
    " \"inputs\": [{\"name\": \"image\", \"modalities\": [], \"units\": [], \"spacing_mm\": null, \"range\": null,"
    "   \"optional\": false, \"text\": \"the image\"}],"
    " \"output\": {\"modality\": null, \"unit\": null, \"text\": \"the image\"},"
    " \"patching\": {\"axes\": \"volume\", \"size\": [0, 0, 0], \"multiple\": [1, 1, 1], \"halo\": [0, 0, 0],"
    "   \"max_batch\": 1},"
    " \"params\": [{\"id\": \"manner\", \"type\": \"choice\", \"choices\": [\"none\"], \"default\": \"none\","
    "   \"unit\": \"\", \"text\": \"which\"}],"
    " \"deterministic\": true, \"synthetic\": false}";

static IsoStr describe(void) { return iso_str(DESCRIPTOR); }

static IsoStatus create(const IsoHost *host, IsoStr config, void **instance) {
    (void)host;
    (void)config;
    *instance = NULL;
    return ISO_STATUS_OK;
}

static void destroy(void *instance) { (void)instance; }

static int asked(const IsoCall *call, const char *manner) {
    char expected[64];
    snprintf(expected, sizeof expected, "{\"manner\":\"%s\"}", manner);
    return call->params.len == strlen(expected) && memcmp(call->params.ptr, expected, call->params.len) == 0;
}

static int nest(int depth) {
    volatile char frame[1 << 16];
    frame[0] = (char)depth;
    return depth == INT_MAX ? 0 : nest(depth + 1) + frame[0];
}

static IsoStatus run(void *instance, const IsoHost *host, const IsoCall *call) {
    (void)instance;
    const float *image = call->inputs->data;
    float *output = call->outputs->data;
    uint64_t count = call->outputs->byte_len / sizeof(float);
    for (uint64_t i = 0; i < count; i++) {
        if (output[i] != 0.0f) {
            host->set_error(host->ctx, iso_str("the output was not zeroed"));
            return ISO_STATUS_FAILED;
        }
        output[i] = image[i];
    }
    if (asked(call, "nan")) {
        output[0] = NAN;
        output[1] = INFINITY;
    }
    if (asked(call, "past-end")) {
        output[count] = 1.0f;
    }
    if (asked(call, "before-start")) {
        output[-1] = 1.0f;
    }
    if (asked(call, "write-input")) {
        ((float *)call->inputs->data)[0] = 1.0f;
    }
    if (asked(call, "silent")) {
        return ISO_STATUS_FAILED;
    }
    if (asked(call, "talk")) {
        for (int i = 0; i < 20000; i++) {
            printf("line %d of standard output\n", i);
        }
        fflush(stdout);
        host->log(host->ctx, 2, iso_str("a warning"));
    }
    if (asked(call, "last-words")) {
        fprintf(stderr, "out of luck\n");
        abort();
    }
    if (asked(call, "polite")) {
        for (float done = 0.0f; host->progress(host->ctx, done) == 0; done = 0.5f) {
            usleep(500);
        }
        host->set_error(host->ctx, iso_str("stopped as asked"));
        return ISO_STATUS_CANCELLED;
    }
    if (asked(call, "babble")) {
        for (;;) {
            host->log(host->ctx, 3, iso_str("and another thing"));
            printf("and another thing\n");
        }
    }
    if (asked(call, "stubborn")) {
        host->progress(host->ctx, 0.5f);
        for (;;) {
            pause();
        }
    }
    if (asked(call, "close")) {
        for (int fd = 3; fd < 100; fd++) {
            close(fd);
        }
        for (;;) {
            pause();
        }
    }
    if (asked(call, "lie")) {
        for (int fd = 3; fd < 100; fd++) {
            if (write(fd, "no message of the protocol", 26) == 26) {
                break;
            }
        }
    }
    if (asked(call, "nested")) {
        return nest((int)count) & 1;
    }
    return ISO_STATUS_OK;
}

struct session {
    float shift;
    uint64_t steps;
};

static IsoStatus begin(const IsoHost *host, IsoStr config, uint64_t *first_step, void **session) {
    static const char RESUMED[] = "\"resume\":\"";
    char text[1024] = {0};
    memcpy(text, config.ptr, config.len < sizeof text ? config.len : sizeof text - 1);
    struct session *s = calloc(1, sizeof *s);
    const char *resumed = strstr(text, RESUMED);
    if (resumed != NULL) {
        char *path = strdup(resumed + strlen(RESUMED));
        *strchr(path, '"') = '\0';
        char file[1200];
        snprintf(file, sizeof file, "%s/shift", path);
        FILE *in = fopen(file, "r");
        if (in == NULL || fscanf(in, "%lu %f", &s->steps, &s->shift) != 2) {
            host->set_error(host->ctx, iso_str("no checkpoint there"));
            return ISO_STATUS_INVALID;
        }
        fclose(in);
        free(path);
    }
    *first_step = s->steps;
    *session = s;
    return ISO_STATUS_OK;
}

/* Moves the shift half of the way to the mean difference. Step 1000 loses itself, step 1001 crashes, and a step beyond
   takes as many MiB as it is beyond. */
static IsoStatus step(void *session, const IsoHost *host, uint64_t number, const IsoTensor *source,
                      const IsoTensor *target, const IsoLossSink *losses) {
    (void)host;
    struct session *s = session;
    const float *from = source->data, *to = target->data;
    uint64_t count = source->byte_len / sizeof(float);
    double sum = 0.0;
    for (uint64_t i = 0; i < count; i++) {
        sum += to[i] - from[i] - s->shift;
    }
    char text[64];
    snprintf(text, sizeof text, "{\"shift\":%.17g}", sum / (double)count);
    if (number > 1001) {
        memset(malloc((number - 1001) << 20), 1, (number - 1001) << 20);
    }
    if (number == 1001) {
        abort();
    }
    losses->report(losses->ctx, iso_str(number == 1000 ? "{\"shift\":null}" : text));
    s->shift += 0.5f * (float)(sum / (double)count);
    s->steps = number + 1;
    return ISO_STATUS_OK;
}

static IsoStatus translate(void *session, const IsoHost *host, const IsoTensor *source, const IsoTensor *output) {
    (void)host;
    const struct session *s = session;
    for (uint64_t i = 0; i < source->byte_len / sizeof(float); i++) {
        ((float *)output->data)[i] = ((const float *)source->data)[i] + s->shift;
    }
    return ISO_STATUS_OK;
}

static IsoStatus save(void *session, const IsoHost *host, IsoStr dir, uint32_t checkpoint) {
    const struct session *s = session;
    char file[1200];
    snprintf(file, sizeof file, "%.*s/%s", (int)dir.len, (const char *)dir.ptr, checkpoint ? "shift" : "weights");
    FILE *out = fopen(file, "w");
    if (out == NULL) {
        host->set_error(host->ctx, iso_str("cannot write there"));
        return ISO_STATUS_FAILED;
    }
    fprintf(out, "%lu %.9g\n", (unsigned long)s->steps, (double)s->shift);
    fclose(out);
    return ISO_STATUS_OK;
}

static void end(void *session) { free(session); }

static const void *get_extension(IsoStr id) {
    static const IsoTrain TRAIN = {begin, step, translate, save, end};
    size_t len = strlen(ISO_EXTENSION_TRAIN);
    return id.len == len && memcmp(id.ptr, ISO_EXTENSION_TRAIN, len) == 0 ? &TRAIN : NULL;
}

const IsoEntry isoscan_plugin_entry = {
    .magic = ISO_MAGIC,
    .abi_major = ISO_ABI_MAJOR,
    .abi_minor_needed = 0,
    .abi_hash = ISO_ABI_HASH,
    .describe = describe,
    .create = create,
    .destroy = destroy,
    .run = run,
    .get_extension = get_extension,
};

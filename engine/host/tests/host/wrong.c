/* A smoothing that keeps the contract, unless it is built with -DBREAKS_... : then it breaks one rule of the checker. */
#include "../../../../examples/c-plugin/checked.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>
#include <unistd.h>

#ifdef BREAKS_OPTIONAL
#define FURTHER                                                                                                        \
    ", {\"name\": \"mask\", \"modalities\": [], \"units\": [], \"spacing_mm\": null, \"range\": null,"                 \
    "   \"optional\": true, \"text\": \"where\"}"
#define DECLARED 2
#else
#define FURTHER ""
#define DECLARED 1
#endif

#define DESCRIPTOR                                                                                                     \
    "{\"id\": \"wrong\", \"version\": \"1.0.0\", \"name\": \"Wrong\", \"family\": \"test\", \"summary\": \"Smooths\"," \
    " \"inputs\": [{\"name\": \"image\", \"modalities\": [\"CT\"], \"units\": [\"HU\"], \"spacing_mm\": null,"         \
    "   \"range\": null, \"optional\": false, \"text\": \"the image\"}" FURTHER "],"                                   \
    " \"output\": {\"modality\": null, \"unit\": null, \"text\": \"the smoothed image\"},"                             \
    " \"patching\": {\"axes\": \"patches\", \"size\": [64, 64, 8], \"multiple\": [1, 1, 1], \"halo\": [1, 0, 0],"      \
    "   \"max_batch\": 4},"                                                                                            \
    " \"params\": ["                                                                                                   \
    "   {\"id\": \"gain\", \"type\": \"float\", \"min\": 0.5, \"max\": 2, \"default\": 1, \"unit\": \"\","             \
    "    \"text\": \"factor\"},"                                                                                       \
    "   {\"id\": \"times\", \"type\": \"int\", \"min\": 1, \"max\": 3, \"default\": 1, \"unit\": \"\","                \
    "    \"text\": \"how often the factor acts\"},"                                                                    \
    "   {\"id\": \"smooth\", \"type\": \"bool\", \"default\": true, \"unit\": \"\", \"text\": \"whether at all\"},"    \
    "   {\"id\": \"sign\", \"type\": \"choice\", \"choices\": [\"plus\", \"minus\"], \"default\": \"plus\","           \
    "    \"unit\": \"\", \"text\": \"sign of the output\"}],"                                                          \
    " \"deterministic\": true, \"synthetic\": true}"

static IsoStr describe(void) {
#ifdef BREAKS_DESCRIBE
    static int calls;
    return iso_str(calls++ == 0 ? DESCRIPTOR : DESCRIPTOR " ");
#else
    return iso_str(DESCRIPTOR);
#endif
}

#ifdef BREAKS_LOADING
__attribute__((constructor)) static void fall_over(void) { abort(); }
#endif

struct instance {
    float shift;
};

#if defined(BREAKS_DESTROY) || defined(BREAKS_MEMORY)
/* What nobody frees. */
static void *volatile kept;
#endif

static inline int contains(IsoStr text, const char *word) {
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= text.len; i++) {
        if (memcmp(text.ptr + i, word, len) == 0) {
            return 1;
        }
    }
    return 0;
}

static IsoStatus create(const IsoHost *host, IsoStr config, void **place) {
    (void)host;
    (void)config;
    struct instance *instance = calloc(1, sizeof *instance);
#ifdef BREAKS_CREATE
    return checked_refusal(host, "there are no weights");
#endif
#ifdef BREAKS_THREADS_AGREE
    instance->shift = contains(config, "\"threads\":2") ? 1.0f : 0.0f;
#endif
#ifdef BREAKS_DESTROY
    kept = memset(malloc(1 << 16), 1, 1 << 16);
#endif
    *place = instance;
    return ISO_STATUS_OK;
}

static void destroy(void *instance) { free(instance); }

#ifdef BREAKS_THREADS_END
static sem_t never;
static void *wait_for_ever(void *nothing) {
    sem_wait(&never);
    return nothing;
}
#endif

/* What is done beside the work, a few times only where each time costs memory. */
static void leave_things_behind(void) {
    static int calls;
    calls++;
#ifdef BREAKS_MEMORY
    kept = memset(malloc(4096), 1, 4096);
#endif
#ifdef BREAKS_THREADS_END
    pthread_t thread;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 1 << 16);
    if (calls % 32 == 0) {
        pthread_create(&thread, &small, wait_for_ever, NULL);
    }
#endif
#ifdef BREAKS_FILES
    if (calls % 32 == 0 && open("/dev/null", O_RDONLY) < 0) {
        abort();
    }
#endif
}

static IsoStatus refuse(const IsoHost *host, const char *message) {
#ifdef BREAKS_MESSAGES
    (void)host;
    (void)message;
    return ISO_STATUS_INVALID;
#else
    return checked_refusal(host, message);
#endif
}

/* True for a call that the variant takes although it should not. */
static int is_wrongly_taken(const IsoCall *call) {
    (void)call;
#if defined(BREAKS_MISSING)
    return call->input_count == 0;
#elif defined(BREAKS_EXTRA)
    return call->input_count > DECLARED;
#elif defined(BREAKS_TYPE)
    return call->input_count > 0 && (call->inputs->dtype != ISO_DTYPE_F32 || call->outputs->dtype != ISO_DTYPE_F32);
#elif defined(BREAKS_DIMENSIONS)
    return call->input_count > 0 && call->outputs->ndim == 4;
#elif defined(BREAKS_STRIDES)
    return call->input_count > 0 && call->inputs->stride[4] == 2;
#elif defined(BREAKS_BYTES)
    return call->input_count > 0 && call->outputs->byte_len % 4 != 0;
#elif defined(BREAKS_EMPTY)
    return call->input_count > 0 && call->inputs->shape[4] * call->outputs->shape[4] == 0;
#elif defined(BREAKS_OUTPUT_SHAPE)
    return call->input_count > 0 && call->outputs->shape[4] > call->inputs->shape[4] && call->inputs->shape[4] > 0;
#elif defined(BREAKS_RANGE)
    return contains(call->params, "\"times\":4");
#elif defined(BREAKS_VALUE_TYPE)
    return contains(call->params, "\"smooth\":1");
#elif defined(BREAKS_NAMES)
    return contains(call->params, "no-such-parameter");
#else
    return 0;
#endif
}

static float smoothed(const float *row, uint64_t x, uint64_t nx) {
#ifdef BREAKS_HALO
    const uint64_t reach = 2;
#else
    const uint64_t reach = 1;
#endif
    uint64_t before = x < reach ? 0 : x - reach, after = x + reach < nx ? x + reach : nx - 1;
    return (row[before] + row[x] + row[after]) / 3.0f;
}

static IsoStatus run(void *place, const IsoHost *host, const IsoCall *call) {
    static const char *const SIGNS[] = {"plus", "minus", NULL};
    const struct instance *instance = place;
    CheckedParam params[] = {
        {"gain", CHECKED_FLOAT, 0.5, 2.0, NULL, 1.0},
        {"times", CHECKED_INT, 1.0, 3.0, NULL, 1.0},
        {"smooth", CHECKED_BOOL, 0.0, 0.0, NULL, 1.0},
        {"sign", CHECKED_CHOICE, 0.0, 0.0, SIGNS, 0.0},
    };
    char message[160];
    leave_things_behind();
    if (is_wrongly_taken(call)) {
        return ISO_STATUS_OK;
    }
    const char *wrong = checked_tensors(call, 1, DECLARED);
    if (wrong != NULL) {
        return refuse(host, wrong);
    }
    if (!checked_params(call->params, params, 4, message, sizeof message)) {
        return refuse(host, message);
    }
#ifdef BREAKS_DEFAULTS
    return refuse(host, "not today");
#endif
#ifdef BREAKS_ENDS
    if (params[3].value == 1.0) {
        return refuse(host, "only plus works");
    }
#endif
#ifdef BREAKS_OPTIONAL
    if (call->input_count == 1) {
        return refuse(host, "the mask is missing");
    }
#endif
    const float *image = call->inputs->data;
    float *output = call->outputs->data;
    uint64_t nx = call->inputs->shape[4], count = checked_voxels(call->inputs);
    uint64_t entry = count / call->inputs->shape[0];
#if defined(BREAKS_CANCEL) || defined(SLOW)
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    now = start;
    while (count > 100000 && now.tv_sec - start.tv_sec < 4) {
        clock_gettime(CLOCK_MONOTONIC, &now);
#ifdef SLOW
        if (host->progress(host->ctx, 0.0f) != 0) {
            host->set_error(host->ctx, iso_str("cancelled by the host"));
            return ISO_STATUS_CANCELLED;
        }
#endif
    }
#endif
    float shift = instance->shift;
    (void)entry;
#ifdef BREAKS_SAME_BYTES
    static float calls;
    shift += (calls += 1.0f);
#endif
#ifdef BREAKS_HISTORY
    static float last;
    shift += last;
    last = image[0];
#endif
#ifdef BREAKS_PATCHES
    shift += (float)nx;
#endif
#ifdef BREAKS_NAN
    float sum = 0.0f;
    for (uint64_t i = 0; i < count; i++) {
        sum += image[i];
    }
    shift += 0.0f * sum;
#endif
    int is_constant = 1;
    for (uint64_t i = 0; i < count; i++) {
        is_constant &= image[i] == image[0];
#ifdef BREAKS_NAN_CRASH
        if (isnan(image[i])) {
            abort();
        }
#endif
    }
    double gain = params[3].value == 0.0 ? 1.0 : -1.0;
    for (int i = 0; i < (int)params[1].value; i++) {
        gain *= params[0].value;
    }
    for (uint64_t i = 0; i < count; i++) {
        float value = params[2].value == 0.0 ? image[i] : smoothed(image + i - i % nx, i % nx, nx);
        value = (float)gain * value + shift;
#ifdef BREAKS_FILLED
        if (value < 0.0f) {
            continue;
        }
#endif
#ifdef BREAKS_ZEROED
        value += output[i];
#endif
#ifdef BREAKS_BATCH
        value += (float)(i / entry);
#endif
#ifdef BREAKS_EXTREMES
        value = image[i] >= 3071.0f && !is_constant ? INFINITY : value;
#endif
#ifdef BREAKS_CONSTANT
        value = is_constant ? NAN : value;
#endif
        output[i] = value;
    }
#ifdef BREAKS_AFTER
    if (count % 2 == 1) {
        output[count] = 1.0f;
    }
#endif
#ifdef BREAKS_BEFORE
    if (count % 2 == 1) {
        output[-1] = 1.0f;
    }
#endif
#ifdef BREAKS_READING
    if (count % 2 == 1) {
        output[0] += image[count];
    }
#endif
    return ISO_STATUS_OK;
}

static const void *get_extension(IsoStr id) {
    (void)id;
    return NULL;
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

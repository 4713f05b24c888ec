/* A version of a plugin that adds the middle number of its version, 1.N.0 with six digits, to every voxel. The tests
   compile it once per behaviour and write N into the library. An input whose first voxel is TRIGGER has manners. */
#include <isoscan.h>

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define TRIGGER 12345.0f
#ifndef OFFSET
#define OFFSET 0.0f
#endif

static const char DESCRIPTOR[] =
    "{\"id\": \"version\", \"version\": \"1.100000.0\", \"name\": \"Version\", \"family\": \"test\", \"summary\": \"\","
    " \"inputs\": [{\"name\": \"image\", \"modalities\": [], \"units\": [], \"spacing_mm\": null, \"range\": null,"
    "   \"optional\": false, \"text\": \"the image\"}],"
    " \"output\": {\"modality\": null, \"unit\": null, \"text\": \"the image\"},"
    " \"patching\": {\"axes\": \"volume\", \"size\": [0, 0, 0], \"multiple\": [1, 1, 1], \"halo\": [0, 0, 0],"
    "   \"max_batch\": 1},"
    " \"params\": [], \"deterministic\": true, \"synthetic\": false}";

static float number(void) {
    const char *volatile text = strstr(DESCRIPTOR, "\"1.") + 3;
    return (float)atoi(text);
}

static IsoStr describe(void) { return iso_str(DESCRIPTOR); }

static IsoStatus create(const IsoHost *host, IsoStr config, void **instance) {
    (void)host;
    (void)config;
#ifdef CRASH_IN_CREATE
    abort();
#endif
    *instance = NULL;
    return ISO_STATUS_OK;
}

static void destroy(void *instance) { (void)instance; }

static IsoStatus run(void *instance, const IsoHost *host, const IsoCall *call) {
    (void)instance;
    (void)host;
    const float *image = call->inputs->data;
    float *output = call->outputs->data;
    uint64_t count = call->outputs->byte_len / sizeof(float);
#ifdef CRASH
    abort();
#endif
    if (image[0] == TRIGGER) {
#ifdef CRASH_IN_SERVICE
        *(volatile int *)NULL = 1;
#endif
#ifdef NAN_IN_SERVICE
        output[0] = NAN;
        return ISO_STATUS_OK;
#endif
#ifdef SLOW_US
        usleep(SLOW_US);
#endif
    }
#ifdef RANDOM
    static float drawn;
    drawn += (float)getpid();
    output[0] = drawn;
    return ISO_STATUS_OK;
#endif
    for (uint64_t i = 0; i < count; i++) {
        output[i] = image[i] + number() + OFFSET;
    }
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

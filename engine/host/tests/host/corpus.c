/* Adds gain to every voxel, unless it is built with a macro that makes a bad library of it. */
#include <isoscan.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef ID
#define ID "org.corpus.bad"
#endif
#ifndef VERSION
#define VERSION "1.0.0"
#endif
#ifndef MAX
#define MAX "2"
#endif
#ifndef INPUT
#define INPUT "image"
#endif
#ifndef DETERMINISTIC
#define DETERMINISTIC "true"
#endif
#ifndef MAGIC
#define MAGIC ISO_MAGIC
#endif
#ifndef MAJOR
#define MAJOR ISO_ABI_MAJOR
#endif
#ifndef MINOR
#define MINOR 0
#endif
#ifndef DRIFT
#define DRIFT 0
#endif

__attribute__((unused)) static const char DESCRIPTOR[] =
#ifdef DESCRIPTION
    DESCRIPTION;
#else
    "{\"id\": \"" ID "\", \"version\": \"" VERSION "\", \"name\": \"Corpus\", \"family\": \"test\", \"summary\": \"Adds\","
    " \"inputs\": [{\"name\": \"" INPUT "\", \"modalities\": [], \"units\": [], \"spacing_mm\": null, \"range\": null,"
    "   \"optional\": false, \"text\": \"the image\"}],"
    " \"output\": {\"modality\": null, \"unit\": null, \"text\": \"the image\"},"
    " \"patching\": {\"axes\": \"volume\", \"size\": [0, 0, 0], \"multiple\": [1, 1, 1], \"halo\": [0, 0, 0],"
    "   \"max_batch\": 1},"
    " \"params\": [{\"id\": \"gain\", \"type\": \"float\", \"min\": 0, \"max\": " MAX ", \"default\": 1, \"unit\": \"\","
    "   \"text\": \"what is added\"}],"
    " \"deterministic\": " DETERMINISTIC ", \"synthetic\": false}";
#endif

static float gain = 1.0f;

#ifdef LOADING
__attribute__((constructor)) static void loading(void) { LOADING; }
#endif

static IsoStr describe(void) {
#ifdef DESCRIBING
    DESCRIBING;
#endif
    return iso_str(DESCRIPTOR);
}

static IsoStatus create(const IsoHost *host, IsoStr config, void **instance) {
    (void)host;
    (void)config;
    *instance = NULL;
#ifdef CREATING
    CREATING;
#endif
    return ISO_STATUS_OK;
}

static void destroy(void *instance) { (void)instance; }

static IsoStatus run(void *instance, const IsoHost *host, const IsoCall *call) {
    (void)instance;
    (void)host;
    const float *image = call->inputs->data;
    float *output = call->outputs->data;
    uint64_t count = call->outputs->byte_len / sizeof(float);
    for (uint64_t i = 0; i < count; i++) {
        output[i] = image[i] + gain;
    }
#ifdef RUNNING
    RUNNING;
#endif
    return ISO_STATUS_OK;
}

static const void *get_extension(IsoStr id) {
    (void)id;
    return NULL;
}

#ifdef NAMELESS
static const IsoEntry another __attribute__((used)) = {
#else
const IsoEntry isoscan_plugin_entry = {
#endif
    .magic = MAGIC,
    .abi_major = MAJOR,
    .abi_minor_needed = MINOR,
    .abi_hash = ISO_ABI_HASH ^ DRIFT,
    .describe = describe,
    .create = create,
    .destroy = destroy,
    .run = run,
    .get_extension = get_extension,
};

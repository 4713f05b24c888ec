/* Makes calls to the plugin as the host does, without Isoscan. */
#include <isoscan.h>

#include <stdio.h>

static char message[256];

static int32_t progress(void *ctx, float fraction) {
    (void)ctx;
    return fraction > 2.0f;
}

static void set_error(void *ctx, IsoStr text) {
    (void)ctx;
    snprintf(message, sizeof message, "%.*s", (int)text.len, (const char *)text.ptr);
}

static void log_line(void *ctx, uint32_t level, IsoStr text) {
    (void)ctx;
    printf("log %u: %.*s\n", (unsigned)level, (int)text.len, (const char *)text.ptr);
}

static const void *host_extension(void *ctx, IsoStr id) {
    (void)ctx;
    (void)id;
    return NULL;
}

/* Translates 3 x 3 voxels. */
static IsoStatus run(float *image, float *output, const char *params) {
    const IsoHost host = {NULL, progress, set_error, log_line, host_extension};
    const uint64_t bytes = 9 * sizeof(float);
    const IsoTensor input = {image, bytes, ISO_DTYPE_F32, 5, {1, 1, 1, 3, 3}, {9, 9, 9, 3, 1}};
    const IsoTensor result = {output, bytes, ISO_DTYPE_F32, 5, {1, 1, 1, 3, 3}, {9, 9, 9, 3, 1}};
    const IsoCall call = {&input, &result, 1, 1, iso_str(params), iso_str("{}")};
    void *instance = NULL;
    message[0] = '\0';
    IsoStatus status = isoscan_plugin_entry.create(&host, iso_str("{\"bundle\": \".\", \"threads\": 1}"), &instance);
    if (status == ISO_STATUS_OK) {
        status = isoscan_plugin_entry.run(instance, &host, &call);
        isoscan_plugin_entry.destroy(instance);
    }
    return status;
}

static int failures;

static void expect(int holds, const char *what) {
    printf("%s  %s%s%s\n", holds ? "PASS" : "FAIL", what, message[0] ? "; message: " : "", message);
    failures += !holds;
}

int main(void) {
    float spike[9] = {0, 0, 0, 0, 9, 0, 0, 0, 0}, output[9] = {0};
    IsoStatus status = run(spike, output, "{\"strength\": 1.0}");
    expect(status == ISO_STATUS_OK && output[0] == 1.0f && output[4] == 1.0f, "a bright voxel is spread evenly");
    status = run(spike, output, "{\"strength\": 0}");
    expect(status == ISO_STATUS_OK && memcmp(output, spike, sizeof spike) == 0, "strength 0 changes nothing");
    status = run(spike, output, "{\"strength\": 2}");
    expect(status == ISO_STATUS_INVALID && message[0] != '\0', "a strength outside its range is refused");
    status = run(spike, output, "{\"strenght\": 1}");
    expect(status == ISO_STATUS_INVALID && message[0] != '\0', "an unknown parameter is refused");
    return failures;
}

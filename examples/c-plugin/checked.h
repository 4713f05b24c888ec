/* What a plugin must look at before it reads a call: tensors and parameters. C11 and C++17; copy it into yours. */
#ifndef CHECKED_H
#define CHECKED_H

#include <isoscan.h>

#include <stdio.h>
#include <stdlib.h>

/* What a parameter may be; the same numbers stand in the descriptor. */
typedef enum CheckedType { CHECKED_FLOAT, CHECKED_INT, CHECKED_BOOL, CHECKED_CHOICE } CheckedType;

/* One parameter: set everything up to choices, and value to the default. */
typedef struct CheckedParam {
    const char *id;
    CheckedType type;
    double low, high;           /* of a float or int */
    const char *const *choices; /* of a choice, ended by NULL */
    double value;               /* number, 0 or 1, or place among the choices */
} CheckedParam;

/* Gives the host a message and returns the status for an unacceptable call. */
static inline IsoStatus checked_refusal(const IsoHost *host, const char *message) {
    host->set_error(host->ctx, iso_str(message));
    return ISO_STATUS_INVALID;
}

/* The number of voxels of a dense f32 tensor [batch, channel, z, y, x]; 0 for any other tensor. */
static inline uint64_t checked_voxels(const IsoTensor *tensor) {
    if (tensor->data == NULL || tensor->dtype != ISO_DTYPE_F32 || tensor->ndim != ISO_MAX_DIMS) {
        return 0;
    }
    uint64_t count = 1;
    for (int axis = ISO_MAX_DIMS - 1; axis >= 0; axis--) {
        uint64_t extent = tensor->shape[axis];
        if (extent == 0 || extent > INT64_MAX / sizeof(float) / count) {
            return 0;
        }
        if (extent != 1 && tensor->stride[axis] != (int64_t)count) {
            return 0;
        }
        count *= extent;
    }
    return tensor->byte_len >= count * sizeof(float) ? count : 0;
}

/* NULL when the call has at least required and at most declared dense inputs and one dense output on the grid of the
   first; otherwise what is wrong. */
static inline const char *checked_tensors(const IsoCall *call, uint32_t required, uint32_t declared) {
    if (call->input_count < required || call->input_count > declared || call->output_count != 1) {
        return "expected the declared inputs and one output";
    }
    for (uint32_t i = 0; i < call->input_count; i++) {
        if (checked_voxels(&call->inputs[i]) == 0) {
            return "expected inputs that are dense f32 tensors of 5 dimensions with voxels";
        }
    }
    if (checked_voxels(call->outputs) == 0) {
        return "expected an output that is a dense f32 tensor of 5 dimensions with voxels";
    }
    for (int axis = 0; axis < ISO_MAX_DIMS; axis++) {
        if (axis != 1 && call->outputs->shape[axis] != call->inputs->shape[axis]) {
            return "expected an output on the grid of the first input";
        }
    }
    return NULL;
}

static inline const char *checked_space(const char *at) {
    while (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r') {
        at++;
    }
    return at;
}

/* Reads a JSON text without escapes into word; gives what follows, or NULL. */
static inline const char *checked_word(const char *at, char *word, size_t size) {
    size_t len = 0;
    if (*at++ != '"') {
        return NULL;
    }
    while (*at != '"') {
        if (*at == '\0' || *at == '\\' || len + 1 == size) {
            return NULL;
        }
        word[len++] = *at++;
    }
    word[len] = '\0';
    return at + 1;
}

/* Reads one JSON value of the parameter's type; gives what follows, or NULL when it has another type or range. */
static inline const char *checked_value(const char *at, CheckedParam *param) {
    char word[64];
    if (param->type == CHECKED_BOOL) {
        param->value = *at == 't';
        return strncmp(at, "true", 4) == 0 ? at + 4 : strncmp(at, "false", 5) == 0 ? at + 5 : NULL;
    }
    if (param->type == CHECKED_CHOICE) {
        at = checked_word(at, word, sizeof word);
        for (int i = 0; at != NULL && param->choices[i] != NULL; i++) {
            if (strcmp(word, param->choices[i]) == 0) {
                param->value = i;
                return at;
            }
        }
        return NULL;
    }
    size_t len = strspn(at, param->type == CHECKED_INT ? "-0123456789" : "-+.eE0123456789");
    if (len == 0 || len >= sizeof word || *at == '+' || *at == '.') {
        return NULL;
    }
    memcpy(word, at, len);
    word[len] = '\0';
    char *end;
    param->value = strtod(word, &end);
    return *end == '\0' && param->value >= param->low && param->value <= param->high ? at + len : NULL;
}

/* Reads the JSON object of a call's parameters into their values. Gives 1, or 0 with a message about a value of another
   type or outside its range, an unknown parameter, or a text that is no object. */
static inline int checked_params(IsoStr json, CheckedParam *params, size_t count, char *message, size_t size) {
    char text[4096], id[64];
    if (json.len >= sizeof text) {
        snprintf(message, size, "the parameters take more than %d bytes", (int)sizeof text);
        return 0;
    }
    memcpy(text, json.ptr, json.len);
    text[json.len] = '\0';
    const char *at = checked_space(text);
    const char *key = *at == '{' ? checked_space(at + 1) : NULL;
    int is_first = 1;
    while (key != NULL && !(is_first && *key == '}')) {
        const char *after = checked_word(key, id, sizeof id);
        after = after == NULL ? NULL : checked_space(after);
        if (after == NULL || *after != ':') {
            key = NULL;
            break;
        }
        size_t i = 0;
        while (i < count && strcmp(params[i].id, id) != 0) {
            i++;
        }
        if (i == count) {
            snprintf(message, size, "there is no parameter '%s'", id);
            return 0;
        }
        after = checked_value(checked_space(after + 1), &params[i]);
        after = after == NULL ? NULL : checked_space(after);
        if (after == NULL || (*after != ',' && *after != '}')) {
            snprintf(message, size, "parameter '%s' must be one of the values that the descriptor allows", id);
            return 0;
        }
        is_first = 0;
        key = *after == '}' ? after : checked_space(after + 1);
        if (*after == '}') {
            break;
        }
    }
    if (key == NULL || *key != '}' || *checked_space(key + 1) != '\0') {
        snprintf(message, size, "the parameters must be a JSON object");
        return 0;
    }
    return 1;
}

#endif

/* The functions the Python side calls: those of the widest variant that was built and that this processor has. */
#include "kernel.h"

typedef struct {
  const char *name;
  float (*forward)(const kernel_shape *, const float *, const float *, float *);
  void (*jacobian)(const kernel_shape *, const float *, const float *, float *, float *);
  void (*adam)(long, const kernel_adam_rates *, const float *, const float *, float *);
} kernel_variant;

#define VARIANT_OF(v) {#v, kernel_forward_##v, kernel_jacobian_##v, kernel_adam_##v}

static kernel_variant chosen(void) {
#if defined(HAVE_V4)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd"))
    return (kernel_variant)VARIANT_OF(v4);
#endif
#if defined(HAVE_V3)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
    return (kernel_variant)VARIANT_OF(v3);
#endif
  return (kernel_variant)VARIANT_OF(plain);
}

static kernel_variant variant;

__attribute__((constructor)) static void choose_variant(void) {
#if defined(HAVE_V3) || defined(HAVE_V4)
  __builtin_cpu_init();
#endif
  variant = chosen();
}

const char *kernel_variant_name(void) { return variant.name; }

/* floats of scratch: the activations of every layer, then what the way back needs */
long kernel_scratch_floats(const kernel_shape *shape) {
  const long T = shape->window, W = KERNEL_MAX_WIDTH;
  long n = T * 4 * W + T * W + 8 * W * W;
  for (int l = 0; l < shape->layers; l++) n += T * 4 * shape->width[l] + 2 * (T + 1) * shape->width[l];
  return n;
}

float kernel_forward(const kernel_shape *shape, const float *weights, const float *window, float *scratch) {
  return variant.forward(shape, weights, window, scratch);
}

void kernel_jacobian(const kernel_shape *shape, const float *weights, const float *window, float *scratch, float *jacobian) {
  variant.jacobian(shape, weights, window, scratch, jacobian);
}

void kernel_adam(long n, const kernel_adam_rates *rates, const float *jacobian, const float *in, float *out) {
  variant.adam(n, rates, jacobian, in, out);
}

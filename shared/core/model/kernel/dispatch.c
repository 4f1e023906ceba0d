/* The functions that Python calls. When the library is loaded it chooses the variant with the
 * widest vectors that was built and that this processor has. All compute the same bits. */
#include "kernel.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

typedef struct {
  const char *name;
  float (*forward)(const kernel_shape *, const float *, const float *, float *);
  void (*jacobian)(const kernel_shape *, const float *, const float *, float *, float *);
  int (*adam)(long, const kernel_adam_rates *, const float *, const float *, float *);
  void (*batch_forward)(const kernel_shape *, const float *, const kernel_batch *, float *,
                        float *);
  void (*batch_gradient)(const kernel_shape *, const float *, const kernel_batch *, float *,
                         float *, float *);
  float (*hidden)(const kernel_shape *, const float *, const float *, float *, float *);
  void (*batch_hidden)(const kernel_shape *, const float *, const kernel_batch *, float *, float *,
                       float *);
  double (*dot)(long, const double *, const double *);
  int (*rls)(const kernel_observation *, double *);
} kernel_variant;

#define VARIANT_OF_(v)       \
  {#v,                       \
   kernel_forward_##v,       \
   kernel_jacobian_##v,      \
   kernel_adam_##v,          \
   kernel_batch_forward_##v, \
   kernel_batch_gradient_##v, \
   kernel_hidden_##v,        \
   kernel_batch_hidden_##v,  \
   kernel_dot_##v,           \
   kernel_rls_##v}
#define VARIANT_OF(v) VARIANT_OF_(v)

#if !defined(ONLY)
/* Return the widest x86-64 level, 4 or 3, whose vectors the processor has and whose registers the
 * operating system saves; 0 if neither.
 *
 * It reads cpuid itself because __builtin_cpu_supports returns 0 for everything under some clangs.
 */
static int vector_level(void) {
#if defined(__x86_64__)
  const unsigned fma = 1u << 12, osxsave = 1u << 27; /* leaf 1, ecx */
  const unsigned v3 = 1u << 5 | 1u << 8;             /* leaf 7, ebx: AVX2 BMI2 */
  const unsigned v4 =
      1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31; /* AVX-512 F DQ CD BW VL */
  unsigned a, b, c, d, saved;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & (fma | osxsave)) != (fma | osxsave)) return 0;
  __asm__("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & v3) != v3 || (saved & 0x06) != 0x06)
    return 0;
  return (b & v4) == v4 && (saved & 0xe6) == 0xe6 ? 4 : 3;
#else
  return 0;
#endif
}
#endif

static kernel_variant choose(void) {
#if defined(ONLY) /* for tests: the only variant built */
  return (kernel_variant)VARIANT_OF(ONLY);
#else
  const int level = vector_level();
  (void)level;
#if defined(HAVE_V4)
  if (level >= 4) return (kernel_variant)VARIANT_OF(v4);
#endif
#if defined(HAVE_V3)
  if (level >= 3) return (kernel_variant)VARIANT_OF(v3);
#endif
  return (kernel_variant)VARIANT_OF(plain);
#endif
}

static kernel_variant variant;

__attribute__((constructor)) static void choose_variant(void) { variant = choose(); }

const char *kernel_variant_name(void) { return variant.name; }

/* Return the size of the scratch memory that kernel.c takes: weights and activations of each layer,
 * the arrays of the backward pass and one Jacobian, each array at a cache line. */
long kernel_scratch_floats(const kernel_shape *shape) {
  const long T = shape->window, W = KERNEL_MAX_WIDTH, line = 16;
  long n = T * 4 * W + T * W + 4 * W * W + kernel_weight_count(shape) + 4 * line,
       inputs = shape->features;
  for (int l = 0; l < shape->layers; l++) {
    const long H = shape->width[l];
    n += (inputs + H + 1) * 4 * H + T * 4 * H + (3 * T + 2) * H + 7 * line;
    inputs = H;
  }
  return n;
}

float kernel_forward(const kernel_shape *shape, const float *weights, const float *window,
                     float *scratch) {
  return variant.forward(shape, weights, window, scratch);
}

void kernel_jacobian(const kernel_shape *shape, const float *weights, const float *window,
                     float *scratch, float *jacobian) {
  variant.jacobian(shape, weights, window, scratch, jacobian);
}

void kernel_batch_forward(const kernel_shape *shape, const float *weights,
                          const kernel_batch *batch, float *scratch, float *outputs) {
  variant.batch_forward(shape, weights, batch, scratch, outputs);
}

void kernel_batch_gradient(const kernel_shape *shape, const float *weights,
                           const kernel_batch *batch, float *scratch, float *outputs,
                           float *gradient) {
  variant.batch_gradient(shape, weights, batch, scratch, outputs, gradient);
}

int kernel_adam(long n, const kernel_adam_rates *rates, const float *jacobian, const float *in,
                float *out) {
  return variant.adam(n, rates, jacobian, in, out);
}

float kernel_hidden(const kernel_shape *shape, const float *weights, const float *window,
                    float *scratch, float *hidden) {
  return variant.hidden(shape, weights, window, scratch, hidden);
}

void kernel_batch_hidden(const kernel_shape *shape, const float *weights, const kernel_batch *batch,
                         float *scratch, float *outputs, float *hidden) {
  variant.batch_hidden(shape, weights, batch, scratch, outputs, hidden);
}

double kernel_dot(long n, const double *a, const double *b) { return variant.dot(n, a, b); }

int kernel_rls(const kernel_observation *observation, double *head) {
  return variant.rls(observation, head);
}

/* Mix numbers into four lanes, each as the rounds of XXH64 (Collet 2012) do. A round is a bijection
 * of its lane, so numbers that differ in one place always give other lanes. Whole numbers alone:
 * there is nothing that a variant could compute otherwise. */
void kernel_fingerprint(const void *data, long bytes, uint64_t *lanes) {
  const uint64_t prime_1 = 0x9E3779B185EBCA87u, prime_2 = 0xC2B2AE3D27D4EB4Fu;
  const unsigned char *at = data;
  uint64_t lane[4], word[4];
  memcpy(lane, lanes, sizeof lane);
  for (; bytes > 0; bytes -= (long)sizeof word, at += sizeof word) {
    if (bytes < (long)sizeof word) memset(word, 0, sizeof word);
    memcpy(word, at, bytes < (long)sizeof word ? (size_t)bytes : sizeof word);
    for (int i = 0; i < 4; i++) {
      const uint64_t sum = lane[i] + word[i] * prime_2;
      lane[i] = (sum << 31 | sum >> 33) * prime_1;
    }
  }
  memcpy(lanes, lane, sizeof lane);
}

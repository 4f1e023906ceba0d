/* What kernel.c gives; the Python side of it is network.py. */
#ifndef ULSTM_KERNEL_H
#define ULSTM_KERNEL_H

enum { KERNEL_MAX_LAYERS = 3, KERNEL_MAX_WIDTH = 128 };

typedef struct {
  int window, features, layers, width[KERNEL_MAX_LAYERS];
} kernel_shape;

/* alpha = rate * sqrt(1 - beta_2**t) / (1 - beta_1**t), as Keras has it; factor = d(loss)/d(output) */
typedef struct {
  float factor, alpha, one_minus_beta_1, one_minus_beta_2, epsilon;
} kernel_adam_rates;

/* n windows, each [window][features], and the labels of their outputs. The loss is the squared error; beyond huber_delta it goes
 * on as a straight line. */
typedef struct {
  long n;
  float huber_delta;
  const float *windows, *labels;
} kernel_batch;

static inline long kernel_weight_count(const kernel_shape *shape) {
  long n = 0, inputs = shape->features;
  for (int l = 0; l < shape->layers; l++) {
    n += (inputs + shape->width[l] + 1) * 4 * shape->width[l];
    inputs = shape->width[l];
  }
  return n + inputs + 1;
}

/* Functions of one variant; dispatch.c holds one of them. Scratch: kernel_scratch_floats(shape) floats. */
#define KERNEL_FUNCTIONS(variant)                                                                                       \
  float kernel_forward_##variant(const kernel_shape *, const float *weights, const float *window, float *scratch);     \
  void kernel_jacobian_##variant(const kernel_shape *, const float *weights, const float *window, float *scratch,      \
                                 float *jacobian);                                                                     \
  int kernel_adam_##variant(long n, const kernel_adam_rates *, const float *jacobian, const float *in, float *out);      \
  void kernel_batch_forward_##variant(const kernel_shape *, const float *weights, const kernel_batch *, float *scratch,  \
                                      float *outputs);                                                                  \
  void kernel_batch_gradient_##variant(const kernel_shape *, const float *weights, const kernel_batch *, float *scratch, \
                                       float *outputs, float *gradient);

KERNEL_FUNCTIONS(plain)
KERNEL_FUNCTIONS(v3)
KERNEL_FUNCTIONS(v4)

#endif

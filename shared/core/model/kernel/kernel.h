/* The kernel's functions and structures; library.py declares them for Python. */
#ifndef ULSTM_KERNEL_H
#define ULSTM_KERNEL_H

#include <stdint.h>

enum { KERNEL_MAX_LAYERS = 3, KERNEL_MAX_WIDTH = 128, KERNEL_MAX_INPUTS = 256 };

/* LSTM layers of these widths, then a dense layer of one unit, over [window][features]. */
typedef struct {
  int window, features, layers, width[KERNEL_MAX_LAYERS];
} kernel_shape;

/* One step of Adam (Kingma and Ba 2015, end of section 2; so does Keras).
 *
 *   factor  the gradient is factor * jacobian, factor = d(loss)/d(output)
 *   alpha   rate * sqrt(1 - beta_2**t) / (1 - beta_1**t), which corrects the bias of both moments
 */
typedef struct {
  float factor, alpha, one_minus_beta_1, one_minus_beta_2, epsilon;
} kernel_adam_rates;

/* n windows, each [window][features], and the label of each. The loss is the squared error;
 * beyond huber_delta it is a straight line of the same slope. */
typedef struct {
  long n;
  float huber_delta;
  const float *windows, *labels;
} kernel_batch;

/* One observation of a linear regression, label = weights . inputs + noise of variance 1.
 *
 *   n              inputs, at most KERNEL_MAX_INPUTS
 *   forgetting     factor of what was known before, above 0 and at most 1
 *   largest_error  errors beyond +-largest_error count as this much
 *   inputs         [n]
 */
typedef struct {
  int n;
  double forgetting, label, largest_error;
  const double *inputs;
} kernel_observation;

/* Number of floats in the weights. */
static inline long kernel_weight_count(const kernel_shape *shape) {
  long n = 0, inputs = shape->features;
  for (int l = 0; l < shape->layers; l++) {
    n += (inputs + shape->width[l] + 1) * 4 * shape->width[l];
    inputs = shape->width[l];
  }
  return n + inputs + 1;
}

/* The functions of one variant, that is of one vector width; dispatch.c chooses one.
 *
 *   scratch    kernel_scratch_floats(shape) floats; one call at a time may use them
 *   jacobian   must follow a forward pass with the same weights, window and scratch
 *   hidden     forward, and the outputs of the top layer at the last step: [width]; for a batch
 *              [n][width]
 *   adam       in and out: [3][n] weights, first moments, second moments; returns whether every
 *              number of out is finite
 *   rls        head, changed in place: [n] weights, [n] variances, [n (n - 1) / 2] factors;
 *              returns whether every number of it is finite
 */
#define KERNEL_FUNCTIONS(variant)                                                                 \
  float kernel_forward_##variant(const kernel_shape *, const float *weights, const float *window, \
                                 float *scratch);                                                 \
  void kernel_jacobian_##variant(const kernel_shape *, const float *weights, const float *window, \
                                 float *scratch, float *jacobian);                                \
  int kernel_adam_##variant(long n, const kernel_adam_rates *, const float *jacobian,             \
                            const float *in, float *out);                                         \
  void kernel_batch_forward_##variant(const kernel_shape *, const float *weights,                 \
                                      const kernel_batch *, float *scratch, float *outputs);      \
  void kernel_batch_gradient_##variant(const kernel_shape *, const float *weights,                \
                                       const kernel_batch *, float *scratch, float *outputs,      \
                                       float *gradient);                                          \
  float kernel_hidden_##variant(const kernel_shape *, const float *weights, const float *window,  \
                                float *scratch, float *hidden);                                   \
  void kernel_batch_hidden_##variant(const kernel_shape *, const float *weights,                  \
                                     const kernel_batch *, float *scratch, float *outputs,        \
                                     float *hidden);                                              \
  double kernel_dot_##variant(long n, const double *a, const double *b);                          \
  int kernel_rls_##variant(const kernel_observation *, double *head);

KERNEL_FUNCTIONS(plain)
KERNEL_FUNCTIONS(v3)
KERNEL_FUNCTIONS(v4)

#endif

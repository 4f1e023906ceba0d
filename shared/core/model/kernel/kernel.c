/* The online step's arithmetic: one symbol, one call.
 *
 *   forward   output = Dense(1)(LSTM(..)(..LSTM(window)))   (Hochreiter and Schmidhuber 1997)
 *   jacobian  d(output)/d(weights) by back-propagation through time, after a forward pass with the
 *             same weights and window
 *   hidden    the inputs of that dense layer, beside its output
 *   adam      one step of the optimiser for the gradient factor * jacobian
 *   rls       one step of recursive least squares for a linear layer, in float64
 *
 * For training the first three also run over a batch of windows, one after the other.
 *
 * The bits are the same on every processor and under every compiler, because
 *
 *   1. vector lanes run over outputs, so each output is summed in one fixed order whatever the
 *      vector width;
 *   2. every fused multiply-add is written as one, and the compiler may form no others
 *      (-ffp-contract=off, never -ffast-math);
 *   3. exp, sigmoid and tanh are computed here from + - * / alone: those of a library differ in
 *      their last bits from one library and processor to another.
 *
 * This file is compiled once for each vector width; dispatch.c chooses when it is loaded.
 *
 * Weights are laid out as in Keras: for each layer the kernel [inputs][4 width], the recurrent
 * kernel [width][4 width] and the bias [4 width], gates in the order i f g o; then the dense kernel
 * [width] and its bias. Widths are multiples of 8.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "kernel.h"

#ifndef VARIANT
#define VARIANT plain
#endif
#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(f) JOIN(f, VARIANT)

#define INLINE static inline __attribute__((always_inline))

/* How many outputs a block keeps in registers, as rows x vectors, by the registers there are.
 *
 *   LANES      floats in a vector
 *   ROWS       rows of a block of `product`
 *   VECTORS    vectors of a block of `product`
 *   GROUPS     vectors of units in a block of `recurrence`, for each of the four gates
 *   BACK_ROWS  rows of a block of `product_back`, which keeps four partial sums of each output
 */
#if defined(__AVX512F__)
enum { LANES = 16, ROWS = 4, VECTORS = 4, GROUPS = 2, BACK_ROWS = 3 };
#elif defined(__AVX2__)
enum { LANES = 8, ROWS = 4, VECTORS = 2, GROUPS = 2, BACK_ROWS = 1 };
#else
enum { LANES = 4, ROWS = 4, VECTORS = 2, GROUPS = 2, BACK_ROWS = 1 };
#endif
enum { BLOCK_MAX = 16, GROUPS_MAX = 2 };

#if defined(__AVX512F__)
#define N 8 /* for the last 8 units of a width that is no multiple of 16 */
#include "vector.h"
#define N 16
#include "vector.h"
#define WIDE(f) f##_16
#define NARROW(f) f##_8
#elif defined(__AVX2__)
#define N 8
#include "vector.h"
#define WIDE(f) f##_8
#define NARROW(f) f##_8
#else
#define N 4
#include "vector.h"
#define WIDE(f) f##_4
#define NARROW(f) f##_4
#endif

/* out[r] = start[r] + x[r] m for every row; columns is a multiple of 32.
 * Each output is summed in the same order, whatever block it is in. */
static void product(int rows, float *out, long out_row, const float *start, long start_row,
                    const float *x, long x_row, long x_next, int n, const float *m, int columns) {
  for (int j = 0; j < columns;) {
    const int whole = j + VECTORS * LANES <= columns;
    int r = 0;
    const float *s = start + j, *mj = m + j;
#define BLOCK(rows, vectors)                                                                       \
  WIDE(product_block)(rows, vectors, out + r * out_row + j, out_row, s + r * start_row, start_row, \
                      x + r * x_row, x_row, x_next, n, mj, columns)
    if (whole) {
      for (; r + ROWS <= rows; r += ROWS) BLOCK(ROWS, VECTORS);
      for (; r < rows; r++) BLOCK(1, VECTORS);
    } else {
      for (; r + ROWS <= rows; r += ROWS) BLOCK(ROWS, 2);
      for (; r < rows; r++) BLOCK(1, 2);
    }
#undef BLOCK
    j += (whole ? VECTORS : 2) * LANES;
  }
}

/* out[r] = d[r] m for every row; m is [n][columns], n a multiple of 4, columns of 8. */
INLINE void product_back(int rows, float *out, const float *d, int n, const float *m, int columns) {
  int j = 0;
#define BACK(f, rows, vectors)                                                                     \
  f(back_block)(rows, vectors, out + (long)r * columns + j, columns, d + (long)r * n, n, n, m + j, \
                columns)
  for (; j + 2 * LANES <= columns; j += 2 * LANES) {
    int r = 0;
    if (BACK_ROWS > 1)
      for (; r + BACK_ROWS <= rows; r += BACK_ROWS) BACK(WIDE, BACK_ROWS, 2);
    for (; r < rows; r++) BACK(WIDE, 1, 2);
  }
  for (; j + LANES <= columns; j += LANES)
    for (int r = 0; r < rows; r++) BACK(WIDE, 1, 1);
  if (j < columns)
    for (int r = 0; r < rows; r++) BACK(NARROW, 1, 1);
#undef BACK
}

/* out[columns][rows] = m[rows][columns], transposed. */
static void transpose(float *out, const float *m, int rows, int columns) {
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < columns; j++) out[(long)j * rows + i] = m[(long)i * columns + j];
}

/* Where a layer's inputs, weights and activations are. T: window length, H: width, G = 4 H. */
typedef struct {
  int T, H, G, inputs;
  const float *x;   /* [T][inputs] */
  float *W, *U, *b; /* [inputs][G] [H][G] [G], copied so that they start at a cache line */
  float *gates;     /* [T][G] activations i f g o */
  float *h, *c;     /* [T+1][H] row 0 is the zero state */
  float *tanh_c;    /* [T][H] */
  long at;          /* offset of W in the weights */
} layer;

/* Take n floats of the scratch memory, from the next cache line on. */
static float *take(float **scratch, long n) {
  float *at = (float *)(((uintptr_t)*scratch + 63) & ~(uintptr_t)63);
  *scratch = at + n;
  return at;
}

/* Lay out the layers in the scratch memory; return the dense kernel's offset in the weights. */
static long lay_out(const kernel_shape *shape, const float *window, float **scratch, layer *out) {
  long at = 0;
  int inputs = shape->features;
  const float *x = window;
  for (int l = 0; l < shape->layers; l++) {
    const int T = shape->window, H = shape->width[l], G = 4 * H;
    layer *y = out + l;
    *y = (layer){.T = T, .H = H, .G = G, .inputs = inputs, .x = x, .at = at};
    y->W = take(scratch, (long)inputs * G);
    y->U = take(scratch, (long)H * G);
    y->b = take(scratch, G);
    y->gates = take(scratch, (long)T * G);
    y->h = take(scratch, (long)(T + 1) * H);
    y->c = take(scratch, (long)(T + 1) * H);
    y->tanh_c = take(scratch, (long)T * H);
    at += (long)(inputs + H + 1) * G;
    inputs = H;
    x = y->h + H;
  }
  return at;
}

/* Run a layer over time. gates[t] holds x[t] W + b and becomes the activations:
 *
 *   i f o = sigmoid(.), g = tanh(.), c[t] = f c[t-1] + i g, h[t] = o tanh(c[t])
 */
INLINE void recurrence(const layer *y, int H) {
  const int G = 4 * H;
  for (int t = 0; t < y->T; t++) {
    const float *h0 = y->h + (long)t * H, *c0 = y->c + (long)t * H;
    float *a = y->gates + (long)t * G, *tanh_c = y->tanh_c + (long)t * H;
    float *h1 = y->h + (long)(t + 1) * H, *c1 = y->c + (long)(t + 1) * H;
    int j = 0;
#define CELL(f, groups) f(cell)(groups, H, a + j, h0, y->U + j, c0 + j, c1 + j, tanh_c + j, h1 + j)
    for (; j + GROUPS * LANES <= H; j += GROUPS * LANES) CELL(WIDE, GROUPS);
    for (; j + LANES <= H; j += LANES) CELL(WIDE, 1);
    if (j < H) CELL(NARROW, 1);
#undef CELL
  }
}

/* The inputs' part of all steps is one product; only the recurrent part goes step by step. */
static void layer_forward(const layer *y, const float *weights) {
  const long W = (long)y->inputs * y->G, U = (long)y->H * y->G;
  memcpy(y->W, weights + y->at, sizeof(float) * W);
  memcpy(y->U, weights + y->at + W, sizeof(float) * U);
  memcpy(y->b, weights + y->at + W + U, sizeof(float) * y->G);
  memset(y->h, 0, sizeof(float) * y->H);
  memset(y->c, 0, sizeof(float) * y->H);
  product(y->T, y->gates, y->G, y->b, 0, y->x, y->inputs, 1, y->inputs, y->W, y->G);
  switch (y->H) { /* common widths are constants to the compiler */
    case 16: recurrence(y, 16); break;
    case 32: recurrence(y, 32); break;
    case 64: recurrence(y, 64); break;
    default: recurrence(y, y->H);
  }
}

float NAME(kernel_forward)(const kernel_shape *shape, const float *weights, const float *window,
                           float *scratch) {
  layer y[KERNEL_MAX_LAYERS];
  const long dense = lay_out(shape, window, &scratch, y);
  for (int l = 0; l < shape->layers; l++) layer_forward(y + l, weights);
  const layer *top = y + shape->layers - 1;
  const float *h = top->h + (long)top->T * top->H, *w = weights + dense;
  float output = w[top->H];
  for (int j = 0; j < top->H; j++) output = fmaf(h[j], w[j], output);
  return output;
}

/* Back-propagation through time.
 *
 *   Ut  in: the recurrent kernel, transposed
 *   dX  in: [T][H], d(output)/d(h[t]) by way of the layer above, or of the dense layer
 *   D   out: [T][G], d(output)/d(what each gate's activation is applied to)
 */
INLINE void recurrence_back(const layer *y, int H, const float *Ut, const float *dX, float *D) {
  const int G = 4 * H;
  float dh[KERNEL_MAX_WIDTH] = {0}, dc[KERNEL_MAX_WIDTH] = {0};
  for (int t = y->T - 1; t >= 0; t--) {
    const float *a = y->gates + (long)t * G, *c0 = y->c + (long)t * H,
                *tanh_c = y->tanh_c + (long)t * H;
    const float *dx = dX + (long)t * H;
    float *d = D + (long)t * G;
    int j = 0;
    for (; j + LANES <= H; j += LANES)
      WIDE(cell_back)(H, a + j, c0 + j, tanh_c + j, dh + j, dx + j, dc + j, d + j);
    if (j < H) NARROW(cell_back)(H, a + j, c0 + j, tanh_c + j, dh + j, dx + j, dc + j, d + j);
    product_back(1, dh, d, G, Ut, H);
  }
}

static void layer_back(const layer *y, const float *Ut, const float *dX, float *D) {
  switch (y->H) {
    case 16: recurrence_back(y, 16, Ut, dX, D); break;
    case 32: recurrence_back(y, 32, Ut, dX, D); break;
    case 64: recurrence_back(y, 64, Ut, dX, D); break;
    default: recurrence_back(y, y->H, Ut, dX, D);
  }
}

/* dW = x^T D, dU = h^T D, db = sum D. Each sum runs over time, oldest first. */
static void weight_gradients(const layer *y, const float *D, float *gradient) {
  const float zeros[4 * KERNEL_MAX_WIDTH] = {0}, one = 1.f;
  float *dW = gradient + y->at, *dU = dW + (long)y->inputs * y->G, *db = dU + (long)y->H * y->G;
  product(y->inputs, dW, y->G, zeros, 0, y->x, 1, y->inputs, y->T, D, y->G);
  product(y->H, dU, y->G, zeros, 0, y->h, 1, y->H, y->T, D, y->G);
  product(1, db, y->G, zeros, 0, &one, 0, 0, y->T, D, y->G);
}

void NAME(kernel_jacobian)(const kernel_shape *shape, const float *weights, const float *window,
                           float *scratch, float *jacobian) {
  layer y[KERNEL_MAX_LAYERS];
  const long dense = lay_out(shape, window, &scratch, y);
  const layer *top = y + shape->layers - 1;
  const int T = shape->window, W = KERNEL_MAX_WIDTH;
  float *D = take(&scratch, (long)T * 4 * W), *dX = take(&scratch, (long)T * W),
        *Ut = take(&scratch, 4 * W * W);

  /* 1. The dense layer: output = h w + b, of the last step's h alone. */
  memcpy(jacobian + dense, top->h + (long)T * top->H, sizeof(float) * top->H);
  jacobian[dense + top->H] = 1.f;
  memset(dX, 0, sizeof(float) * T * top->H);
  memcpy(dX + (long)(T - 1) * top->H, weights + dense, sizeof(float) * top->H);
  /* 2. Each layer from the top: through time, then on to the inputs, which are the h below. */
  for (int l = shape->layers - 1; l >= 0; l--) {
    const layer *z = y + l;
    transpose(Ut, z->U, z->H, z->G);
    layer_back(z, Ut, dX, D);
    if (l > 0) {
      float *Wt = Ut; /* [G][inputs]; Ut is not needed any more */
      transpose(Wt, z->W, z->inputs, z->G);
      product_back(T, dX, D, z->G, Wt, z->inputs);
    }
    weight_gradients(z, D, jacobian);
  }
}

void NAME(kernel_batch_forward)(const kernel_shape *shape, const float *weights,
                                const kernel_batch *batch, float *scratch, float *outputs) {
  const long size = (long)shape->window * shape->features;
  for (long k = 0; k < batch->n; k++)
    outputs[k] = NAME(kernel_forward)(shape, weights, batch->windows + k * size, scratch);
}

float NAME(kernel_hidden)(const kernel_shape *shape, const float *weights, const float *window,
                          float *scratch, float *hidden) {
  layer y[KERNEL_MAX_LAYERS];
  const float output = NAME(kernel_forward)(shape, weights, window, scratch);
  lay_out(shape, window, &scratch, y);
  const layer *top = y + shape->layers - 1;
  memcpy(hidden, top->h + (long)top->T * top->H, sizeof(float) * top->H);
  return output;
}

void NAME(kernel_batch_hidden)(const kernel_shape *shape, const float *weights,
                               const kernel_batch *batch, float *scratch, float *outputs,
                               float *hidden) {
  const long size = (long)shape->window * shape->features, width = shape->width[shape->layers - 1];
  for (long k = 0; k < batch->n; k++)
    outputs[k] = NAME(kernel_hidden)(shape, weights, batch->windows + k * size, scratch,
                                     hidden + k * width);
}

/* d(loss)/d(output) of the clipped squared error. NaN stays NaN. */
INLINE float slope(float error, float huber_delta) {
  return 2.f * (error > huber_delta ? huber_delta : error < -huber_delta ? -huber_delta : error);
}

/* gradient = sum over the windows, in their order, of slope * jacobian. */
void NAME(kernel_batch_gradient)(const kernel_shape *shape, const float *weights,
                                 const kernel_batch *batch, float *scratch, float *outputs,
                                 float *restrict gradient) {
  const long size = (long)shape->window * shape->features, count = kernel_weight_count(shape);
  float *restrict jacobian = take(&scratch, count);
  memset(gradient, 0, sizeof(float) * count);
  for (long k = 0; k < batch->n; k++) {
    const float *window = batch->windows + k * size;
    outputs[k] = NAME(kernel_forward)(shape, weights, window, scratch);
    NAME(kernel_jacobian)(shape, weights, window, scratch, jacobian);
    const float factor = slope(outputs[k] - batch->labels[k], batch->huber_delta);
    for (long i = 0; i < count; i++) gradient[i] += factor * jacobian[i];
  }
}

/* Set the top bit for infinity and NaN: their exponent is all ones, so that adding one to it
 * carries into the sign. */
INLINE unsigned beyond_float(float x) {
  unsigned bits;
  memcpy(&bits, &x, sizeof bits);
  return (bits & 0x7fffffff) + 0x00800000;
}

/* m += (g - m)(1 - beta_1), v += (g**2 - v)(1 - beta_2), w -= m alpha / (sqrt(v) + epsilon):
 * Keras' form of the formulas of Kingma and Ba. IEEE 754 rounds sqrtf correctly everywhere. */
int NAME(kernel_adam)(long n, const kernel_adam_rates *rates, const float *restrict jacobian,
                      const float *restrict in, float *restrict out) {
  const kernel_adam_rates r = *rates;
  const float *w = in, *m = in + n, *v = in + 2 * n;
  float *restrict w1 = out, *restrict m1 = out + n, *restrict v1 = out + 2 * n;
  unsigned beyond = 0;
  for (long i = 0; i < n; i++) {
    const float g = r.factor * jacobian[i];
    const float mi = m[i] + (g - m[i]) * r.one_minus_beta_1,
                vi = v[i] + (g * g - v[i]) * r.one_minus_beta_2;
    const float wi = w[i] - mi * r.alpha / (sqrtf(vi) + r.epsilon);
    m1[i] = mi;
    v1[i] = vi;
    w1[i] = wi;
    beyond |= beyond_float(wi) | beyond_float(mi) | beyond_float(vi);
  }
  return !(beyond >> 31);
}

/* a . b: eight partial sums, by index modulo 8, added in pairs at the end. */
double NAME(kernel_dot)(long n, const double *a, const double *b) {
  double sum[8] = {0};
  long i = 0;
  for (; i + 8 <= n; i += 8)
    for (int k = 0; k < 8; k++) sum[k] = fma(a[i + k], b[i + k], sum[k]);
  for (int k = 0; i < n; i++, k++) sum[k] = fma(a[i], b[i], sum[k]);
  return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

/* As beyond_float, for a double. */
INLINE uint64_t beyond_double(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return (bits & 0x7fffffffffffffff) + 0x0010000000000000;
}

/* One step of recursive least squares: Bierman's measurement update of a U-D factorisation
 * (Automatica 12, 1976), with exponential forgetting.
 *
 * The covariance of the weights is P = U D U^T, U unit upper triangular and stored column after
 * column above its diagonal, D diagonal. So P is symmetric and positive definite by its form,
 * whatever was rounded. In terms of P the step is
 *
 *   s = forgetting + x . P x,  w += P x (label - w . x) / s,  P = (P - P x x^T P / s) / forgetting
 */
int NAME(kernel_rls)(const kernel_observation *observation, double *head) {
  const int n = observation->n;
  const double *x = observation->inputs, forgetting = observation->forgetting,
               limit = observation->largest_error;
  double *w = head, *variances = head + n, *factors = head + 2 * n;
  double gain[KERNEL_MAX_INPUTS]; /* becomes P x */
  uint64_t beyond = 0;
  /* 1. The error of the weights before the step. NaN stays NaN. */
  double error = observation->label - NAME(kernel_dot)(n, w, x);
  error = error > limit ? limit : error < -limit ? -limit : error;
  /* 2. U and D, column by column; s grows by each column's part of x . P x. */
  double s = forgetting;
  for (int j = 0; j < n; factors += j++) {
    double *restrict u = factors, *restrict g = gain;
    const double f = x[j] + NAME(kernel_dot)(j, u, x), v = variances[j] * f, before = s;
    const double lambda = -f / before;
    s = fma(v, f, before);
    for (int i = 0; i < j; i++) {
      const double ui = u[i], gi = g[i];
      u[i] = fma(lambda, gi, ui);
      g[i] = fma(v, ui, gi);
      beyond |= beyond_double(u[i]);
    }
    g[j] = v;
    variances[j] *= before / (s * forgetting);
    beyond |= beyond_double(variances[j]);
  }
  /* 3. The weights. */
  error /= s;
  for (int i = 0; i < n; i++) {
    w[i] = fma(gain[i], error, w[i]);
    beyond |= beyond_double(w[i]);
  }
  return !(beyond >> 63);
}

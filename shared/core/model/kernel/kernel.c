/* The online step's arithmetic: one symbol, one call.
 *
 *   forward   output = Dense(1)(LSTM(..)(..LSTM(window)))
 *   jacobian  d(output)/d(weights), after a forward pass over the same weights and window
 *   adam      one step of the optimiser for the gradient  factor * jacobian; says whether all it gives is finite
 *
 * and, for training, the first two over a batch of windows, one after the other.
 *
 * The bits are the same on every processor and under every compiler, because
 *   - vector lanes run over outputs, so each output is summed in one fixed order;
 *   - every fused multiply-add is written as one (compile with -ffp-contract=off, never -ffast-math);
 *   - exp, sigmoid and tanh are made here of + - * / alone.
 * This file is compiled once per vector width; dispatch.c chooses at run time.
 *
 * Weights lie as Keras has them: per layer kernel [inputs][4 width], recurrent kernel [width][4 width], bias [4 width],
 * gates in the order i f g o; then the dense kernel [width] and its bias. Widths are multiples of 8.
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

/* Blocks kept in registers, as rows x vectors: of products over many rows and over one, and of those back (times four sums). */
#if defined(__AVX512F__)
enum { LANES = 16, ROWS = 4, VECTORS = 4, GROUPS = 2, BACK_ROWS = 3 };
#elif defined(__AVX2__)
enum { LANES = 8, ROWS = 4, VECTORS = 2, GROUPS = 2, BACK_ROWS = 1 };
#else
enum { LANES = 4, ROWS = 4, VECTORS = 2, GROUPS = 2, BACK_ROWS = 1 };
#endif
enum { BLOCK_MAX = 16, GROUPS_MAX = 2 };

#if defined(__AVX512F__)
#define N 8 /* widths are multiples of 8: what 16 lanes leave over */
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

/* out[r] = start[r] + x[r] m for every row; columns is a multiple of 32. Each output's sum has the same order in every block. */
static void product(int rows, float *out, long out_row, const float *start, long start_row, const float *x, long x_row,
                    long x_next, int n, const float *m, int columns) {
  for (int j = 0; j < columns;) {
    const int whole = j + VECTORS * LANES <= columns;
    int r = 0;
    const float *s = start + j, *mj = m + j;
#define BLOCK(rows, vectors)                                                                                           \
  WIDE(product_block)(rows, vectors, out + r * out_row + j, out_row, s + r * start_row, start_row, x + r * x_row, x_row, \
                      x_next, n, mj, columns)
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

/* out[r] = d[r] m for every row, m [n][columns], n a multiple of 4, columns of 8 */
INLINE void product_back(int rows, float *out, const float *d, int n, const float *m, int columns) {
  int j = 0;
#define BACK(f, rows, vectors) f(back_block)(rows, vectors, out + (long)r * columns + j, columns, d + (long)r * n, n, n, m + j, columns)
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

static void transpose(float *out, const float *m, int rows, int columns) {
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < columns; j++) out[(long)j * rows + i] = m[(long)i * columns + j];
}

/* One layer: where its inputs, weights and activations lie. T = window length, H = width, G = 4 H. */
typedef struct {
  int T, H, G, inputs;
  const float *x;   /* [T][inputs] */
  float *W, *U, *b; /* [inputs][G] [H][G] [G], copies that start at a cache line, as everything in the scratch memory does */
  float *gates;     /* [T][G]   activations i f g o */
  float *h, *c;     /* [T+1][H] row 0 is the zero state */
  float *tanh_c;    /* [T][H] */
  long at;          /* where W starts in the weights */
} layer;

/* Takes n floats of the scratch memory. */
static float *taken(float **scratch, long n) {
  float *at = (float *)(((uintptr_t)*scratch + 63) & ~(uintptr_t)63);
  *scratch = at + n;
  return at;
}

/* Returns where the dense kernel starts in the weights. */
static long layers_of(const kernel_shape *shape, const float *window, float **scratch, layer *out) {
  long at = 0;
  int inputs = shape->features;
  const float *x = window;
  for (int l = 0; l < shape->layers; l++) {
    const int T = shape->window, H = shape->width[l], G = 4 * H;
    layer *y = out + l;
    *y = (layer){.T = T, .H = H, .G = G, .inputs = inputs, .x = x, .at = at};
    y->W = taken(scratch, (long)inputs * G);
    y->U = taken(scratch, (long)H * G);
    y->b = taken(scratch, G);
    y->gates = taken(scratch, (long)T * G);
    y->h = taken(scratch, (long)(T + 1) * H);
    y->c = taken(scratch, (long)(T + 1) * H);
    y->tanh_c = taken(scratch, (long)T * H);
    at += (long)(inputs + H + 1) * G;
    inputs = H;
    x = y->h + H;
  }
  return at;
}

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

static void layer_forward(const layer *y, const float *weights) {
  const long W = (long)y->inputs * y->G, U = (long)y->H * y->G;
  memcpy(y->W, weights + y->at, sizeof(float) * W);
  memcpy(y->U, weights + y->at + W, sizeof(float) * U);
  memcpy(y->b, weights + y->at + W + U, sizeof(float) * y->G);
  memset(y->h, 0, sizeof(float) * y->H);
  memset(y->c, 0, sizeof(float) * y->H);
  product(y->T, y->gates, y->G, y->b, 0, y->x, y->inputs, 1, y->inputs, y->W, y->G);
  switch (y->H) { /* common widths have code of their own */
    case 16: recurrence(y, 16); break;
    case 32: recurrence(y, 32); break;
    case 64: recurrence(y, 64); break;
    default: recurrence(y, y->H);
  }
}

float NAME(kernel_forward)(const kernel_shape *shape, const float *weights, const float *window, float *scratch) {
  layer y[KERNEL_MAX_LAYERS];
  const long dense = layers_of(shape, window, &scratch, y);
  for (int l = 0; l < shape->layers; l++) layer_forward(y + l, weights);
  const layer *top = y + shape->layers - 1;
  const float *h = top->h + (long)top->T * top->H, *w = weights + dense;
  float output = w[top->H];
  for (int j = 0; j < top->H; j++) output = fmaf(h[j], w[j], output);
  return output;
}

/* Back through time. Ut: the recurrent kernel transposed. dX[t]: what the layer above or the output asks of h at t.
 * Out: D[t], the gradients before the activations. */
INLINE void recurrence_back(const layer *y, int H, const float *Ut, const float *dX, float *D) {
  const int G = 4 * H;
  float dh[KERNEL_MAX_WIDTH] = {0}, dc[KERNEL_MAX_WIDTH] = {0};
  for (int t = y->T - 1; t >= 0; t--) {
    const float *a = y->gates + (long)t * G, *c0 = y->c + (long)t * H, *tanh_c = y->tanh_c + (long)t * H;
    const float *dx = dX + (long)t * H;
    float *d = D + (long)t * G;
    int j = 0;
    for (; j + LANES <= H; j += LANES) WIDE(cell_back)(H, a + j, c0 + j, tanh_c + j, dh + j, dx + j, dc + j, d + j);
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

/* dW = x^T D, dU = h^T D, db = sum D: each sum runs over time ascending */
static void weight_gradients(const layer *y, const float *D, float *gradient) {
  const float zeros[4 * KERNEL_MAX_WIDTH] = {0}, one = 1.f;
  float *dW = gradient + y->at, *dU = dW + (long)y->inputs * y->G, *db = dU + (long)y->H * y->G;
  product(y->inputs, dW, y->G, zeros, 0, y->x, 1, y->inputs, y->T, D, y->G);
  product(y->H, dU, y->G, zeros, 0, y->h, 1, y->H, y->T, D, y->G);
  product(1, db, y->G, zeros, 0, &one, 0, 0, y->T, D, y->G);
}

void NAME(kernel_jacobian)(const kernel_shape *shape, const float *weights, const float *window, float *scratch, float *jacobian) {
  layer y[KERNEL_MAX_LAYERS];
  const long dense = layers_of(shape, window, &scratch, y);
  const layer *top = y + shape->layers - 1;
  const int T = shape->window, W = KERNEL_MAX_WIDTH;
  float *D = taken(&scratch, (long)T * 4 * W), *dX = taken(&scratch, (long)T * W), *Ut = taken(&scratch, 4 * W * W);

  memcpy(jacobian + dense, top->h + (long)T * top->H, sizeof(float) * top->H);
  jacobian[dense + top->H] = 1.f;
  memset(dX, 0, sizeof(float) * T * top->H);
  memcpy(dX + (long)(T - 1) * top->H, weights + dense, sizeof(float) * top->H); /* the output sees the last step alone */
  for (int l = shape->layers - 1; l >= 0; l--) {
    const layer *z = y + l;
    transpose(Ut, z->U, z->H, z->G);
    layer_back(z, Ut, dX, D);
    if (l > 0) {
      float *Wt = Ut; /* [G][inputs] */
      transpose(Wt, z->W, z->inputs, z->G);
      product_back(T, dX, D, z->G, Wt, z->inputs);
    }
    weight_gradients(z, D, jacobian);
  }
}

void NAME(kernel_batch_forward)(const kernel_shape *shape, const float *weights, const kernel_batch *batch, float *scratch,
                                float *outputs) {
  const long size = (long)shape->window * shape->features;
  for (long k = 0; k < batch->n; k++) outputs[k] = NAME(kernel_forward)(shape, weights, batch->windows + k * size, scratch);
}

/* d(loss)/d(output); what is not a number stays so */
INLINE float slope(float error, float huber_delta) {
  return 2.f * (error > huber_delta ? huber_delta : error < -huber_delta ? -huber_delta : error);
}

/* gradient = sum over the windows, in their order, of slope * jacobian */
void NAME(kernel_batch_gradient)(const kernel_shape *shape, const float *weights, const kernel_batch *batch, float *scratch,
                                 float *outputs, float *restrict gradient) {
  const long size = (long)shape->window * shape->features, count = kernel_weight_count(shape);
  float *restrict jacobian = taken(&scratch, count);
  memset(gradient, 0, sizeof(float) * count);
  for (long k = 0; k < batch->n; k++) {
    const float *window = batch->windows + k * size;
    outputs[k] = NAME(kernel_forward)(shape, weights, window, scratch);
    NAME(kernel_jacobian)(shape, weights, window, scratch, jacobian);
    const float factor = slope(outputs[k] - batch->labels[k], batch->huber_delta);
    for (long i = 0; i < count; i++) gradient[i] += factor * jacobian[i];
  }
}

/* the top bit is set for infinity and for what is not a number: there one more in the exponent carries into the sign */
INLINE unsigned beyond_float(float x) {
  unsigned bits;
  memcpy(&bits, &x, sizeof bits);
  return (bits & 0x7fffffff) + 0x00800000;
}

int NAME(kernel_adam)(long n, const kernel_adam_rates *rates, const float *restrict jacobian, const float *restrict in,
                      float *restrict out) {
  const kernel_adam_rates r = *rates;
  const float *w = in, *m = in + n, *v = in + 2 * n;
  float *restrict w1 = out, *restrict m1 = out + n, *restrict v1 = out + 2 * n;
  unsigned beyond = 0;
  for (long i = 0; i < n; i++) {
    const float g = r.factor * jacobian[i];
    const float mi = m[i] + (g - m[i]) * r.one_minus_beta_1, vi = v[i] + (g * g - v[i]) * r.one_minus_beta_2;
    const float wi = w[i] - mi * r.alpha / (sqrtf(vi) + r.epsilon);
    m1[i] = mi;
    v1[i] = vi;
    w1[i] = wi;
    beyond |= beyond_float(wi) | beyond_float(mi) | beyond_float(vi);
  }
  return !(beyond >> 31);
}

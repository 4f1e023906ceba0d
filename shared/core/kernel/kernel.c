/* The online step's arithmetic: one symbol, one call.
 *
 *   forward   output = Dense(1)(LSTM(..)(..LSTM(window)))
 *   jacobian  d(output)/d(weights), after a forward pass over the same weights and window
 *   adam      one step of the optimiser for the gradient  factor * jacobian
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
#include <string.h>

#include "kernel.h"

#ifndef VARIANT
#define VARIANT plain
#endif
#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(f) JOIN(f, VARIANT)

#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX2__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif
enum {
  HALF = LANES > 8 ? 8 : LANES, /* widths are multiples of 8, so element-wise code takes 8 lanes at most */
  TILE = 4                      /* vectors of outputs kept in registers at once */
};

/* aligned(4): rows lie wherever the caller's array starts */
typedef float vf __attribute__((vector_size(LANES * 4), aligned(4)));
typedef float hf __attribute__((vector_size(HALF * 4), aligned(4)));
typedef int hi __attribute__((vector_size(HALF * 4), aligned(4)));

static inline vf vf_all(float s) {
  vf r;
  for (int i = 0; i < LANES; i++) r[i] = s;
  return r;
}
static inline hf hf_all(float s) {
  hf r;
  for (int i = 0; i < HALF; i++) r[i] = s;
  return r;
}
static inline vf vf_fma(vf a, vf b, vf c) {
#if defined(__clang__)
  return __builtin_elementwise_fma(a, b, c);
#else
  vf r;
#pragma GCC unroll 16
  for (int i = 0; i < LANES; i++) r[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return r;
#endif
}
static inline hf hf_fma(hf a, hf b, hf c) {
#if defined(__clang__)
  return __builtin_elementwise_fma(a, b, c);
#else
  hf r;
#pragma GCC unroll 8
  for (int i = 0; i < HALF; i++) r[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return r;
#endif
}
static inline hf choose(hi where, hf yes, hf no) { return (hf)((where & (hi)yes) | (~where & (hi)no)); }

/* e**x, about 1 ulp: x = n ln2 + r, polynomial in r (Cephes expf), times 2**n; x is clamped to where 2**n is normal. */
static inline hf exp_(hf x) {
  const float magic = 12582912.f; /* 1.5 * 2**23: adding and taking it away rounds to a whole number */
  x = choose(x < -87.f, hf_all(-87.f), x);
  x = choose(x > 88.f, hf_all(88.f), x);
  hf n = (x * 1.44269504f + magic) - magic;
  hf r = hf_fma(n, hf_all(-0.693359375f), x);
  r = hf_fma(n, hf_all(2.12194440e-4f), r);
  hf p = hf_fma(r, hf_all(1.9875691500e-4f), hf_all(1.3981999507e-3f));
  p = hf_fma(p, r, hf_all(8.3334519073e-3f));
  p = hf_fma(p, r, hf_all(4.1665795894e-2f));
  p = hf_fma(p, r, hf_all(1.6666665459e-1f));
  p = hf_fma(p, r, hf_all(5.0000001201e-1f));
  p = hf_fma(p * r, r, r) + 1.f;
  hi bits = (__builtin_convertvector(n, hi) + 127) << 23;
  return p * (hf)bits;
}
static inline hf sigmoid(hf x) { return 1.f / (1.f + exp_(-x)); }

/* tanh (Cephes tanhf): an odd polynomial near 0, where 1 - 2 / (e**2x + 1) would lose its digits. */
static inline hf tanh_(hf x) {
  hf size = (hf)((hi)x & 0x7fffffff), z = x * x;
  hf far = 1.f - 2.f / (exp_(2.f * size) + 1.f);
  far = (hf)((hi)far | ((hi)x & (int)0x80000000));
  hf p = hf_fma(z, hf_all(-5.70498872745e-3f), hf_all(2.06390887954e-2f));
  p = hf_fma(p, z, hf_all(-5.37397155531e-2f));
  p = hf_fma(p, z, hf_all(1.33314422036e-1f));
  p = hf_fma(p, z, hf_all(-3.33332819422e-1f));
  return choose(size < 0.625f, hf_fma(p * z, x, x), far);
}

/* out[j] += sum over i ascending of x[i * stride] * m[i][j], for the `tiles` vectors of outputs that start at j */
static inline __attribute__((always_inline)) void add_product_tile(float *out, const float *x, int stride, int n, const float *m,
                                                                  int row, int tiles) {
  vf acc[TILE];
#pragma GCC unroll 4
  for (int k = 0; k < tiles; k++) acc[k] = *(const vf *)(out + k * LANES);
  for (int i = 0; i < n; i++) {
    const vf s = vf_all(x[(long)i * stride]);
    const float *w = m + (long)i * row;
#pragma GCC unroll 4
  for (int k = 0; k < tiles; k++) acc[k] = vf_fma(s, *(const vf *)(w + k * LANES), acc[k]);
  }
#pragma GCC unroll 4
  for (int k = 0; k < tiles; k++) *(vf *)(out + k * LANES) = acc[k];
}

/* out[columns] += x[n] m[n][columns]; columns is a multiple of 32. Each output's sum has the same order in every tile width. */
static void add_product(float *out, const float *x, int stride, int n, const float *m, int columns) {
  int j = 0;
  for (; j + TILE * LANES <= columns; j += TILE * LANES) add_product_tile(out + j, x, stride, n, m + j, columns, TILE);
  for (; j < columns; j += LANES) add_product_tile(out + j, x, stride, n, m + j, columns, 1);
}

/* out[width] = d[n] m[n][width], n a multiple of 4: four partial sums (by row modulo 4), added pairwise, hide the latency */
static void row_times_matrix(float *out, const float *d, int n, const float *m, int width) {
  for (int j = 0; j < width; j += HALF) {
    hf s[4];
    for (int k = 0; k < 4; k++) s[k] = hf_all(0.f);
    for (int i = 0; i < n; i += 4)
      for (int k = 0; k < 4; k++) s[k] = hf_fma(hf_all(d[i + k]), *(const hf *)(m + (long)(i + k) * width + j), s[k]);
    *(hf *)(out + j) = (s[0] + s[1]) + (s[2] + s[3]);
  }
}

static void transpose(float *out, const float *m, int rows, int columns) {
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < columns; j++) out[(long)j * rows + i] = m[(long)i * columns + j];
}

/* One layer: where its inputs, weights and activations lie. T = window length, H = width, G = 4 H. */
typedef struct {
  int T, H, G, inputs;
  const float *x;         /* [T][inputs] */
  const float *W, *U, *b; /* [inputs][G] [H][G] [G] */
  float *gates;           /* [T][G]   activations i f g o */
  float *h, *c;           /* [T+1][H] row 0 is the zero state */
  long at;                /* where W starts in the weights */
} layer;

static long layers_of(const kernel_shape *shape, const float *weights, const float *window, float *scratch, layer *out) {
  long at = 0;
  int inputs = shape->features;
  const float *x = window;
  for (int l = 0; l < shape->layers; l++) {
    const int T = shape->window, H = shape->width[l], G = 4 * H;
    layer *y = out + l;
    *y = (layer){.T = T, .H = H, .G = G, .inputs = inputs, .x = x, .at = at};
    y->W = weights + at;
    y->U = y->W + (long)inputs * G;
    y->b = y->U + (long)H * G;
    y->gates = scratch;
    y->h = y->gates + (long)T * G;
    y->c = y->h + (long)(T + 1) * H;
    scratch = y->c + (long)(T + 1) * H;
    at += (long)(inputs + H + 1) * G;
    inputs = H;
    x = y->h + H;
  }
  return at; /* where the dense kernel starts */
}

static void layer_forward(const layer *y) {
  memset(y->h, 0, sizeof(float) * y->H);
  memset(y->c, 0, sizeof(float) * y->H);
  for (int t = 0; t < y->T; t++) {
    float *a = y->gates + (long)t * y->G;
    memcpy(a, y->b, sizeof(float) * y->G);
    add_product(a, y->x + (long)t * y->inputs, 1, y->inputs, y->W, y->G);
  }
  for (int t = 0; t < y->T; t++) {
    float *a = y->gates + (long)t * y->G, *h1 = y->h + (long)(t + 1) * y->H, *c1 = y->c + (long)(t + 1) * y->H;
    const float *c0 = y->c + (long)t * y->H;
    add_product(a, y->h + (long)t * y->H, 1, y->H, y->U, y->G);
    for (int j = 0; j < y->H; j += HALF) {
      hf *ai = (hf *)(a + j), *af = (hf *)(a + y->H + j), *ag = (hf *)(a + 2 * y->H + j), *ao = (hf *)(a + 3 * y->H + j);
      const hf i = sigmoid(*ai), f = sigmoid(*af), g = tanh_(*ag), o = sigmoid(*ao);
      const hf c = f * *(const hf *)(c0 + j) + i * g;
      *ai = i, *af = f, *ag = g, *ao = o;
      *(hf *)(c1 + j) = c;
      *(hf *)(h1 + j) = o * tanh_(c);
    }
  }
}

float NAME(kernel_forward)(const kernel_shape *shape, const float *weights, const float *window, float *scratch) {
  layer y[KERNEL_MAX_LAYERS];
  const long dense = layers_of(shape, weights, window, scratch, y);
  for (int l = 0; l < shape->layers; l++) layer_forward(y + l);
  const layer *top = y + shape->layers - 1;
  const float *h = top->h + (long)top->T * top->H, *w = weights + dense;
  float output = w[top->H];
  for (int j = 0; j < top->H; j++) output = fmaf(h[j], w[j], output);
  return output;
}

/* Back through the gates at one step. In: dh, dc of this step. Out: d (gradients before the activations), dc of the step before. */
static void gate_gradients(const layer *y, int t, const float *dh, float *dc, float *d) {
  const int H = y->H;
  const float *a = y->gates + (long)t * y->G, *c0 = y->c + (long)t * H, *c1 = y->c + (long)(t + 1) * H;
  for (int j = 0; j < H; j += HALF) {
    const hf i = *(const hf *)(a + j), f = *(const hf *)(a + H + j), g = *(const hf *)(a + 2 * H + j), o = *(const hf *)(a + 3 * H + j);
    const hf tc = tanh_(*(const hf *)(c1 + j)), dhj = *(const hf *)(dh + j);
    const hf dcj = *(const hf *)(dc + j) + dhj * o * (1.f - tc * tc);
    *(hf *)(d + j) = dcj * g * i * (1.f - i);
    *(hf *)(d + H + j) = dcj * *(const hf *)(c0 + j) * f * (1.f - f);
    *(hf *)(d + 2 * H + j) = dcj * i * (1.f - g * g);
    *(hf *)(d + 3 * H + j) = dhj * tc * o * (1.f - o);
    *(hf *)(dc + j) = dcj * f;
  }
}

/* dW = x^T D, dU = h^T D, db = sum D: each sum runs over time ascending */
static void weight_gradients(const layer *y, const float *D, float *gradient) {
  float *dW = gradient + y->at, *dU = dW + (long)y->inputs * y->G, *db = dU + (long)y->H * y->G;
  memset(dW, 0, sizeof(float) * (y->inputs + y->H + 1) * (long)y->G);
  for (int i = 0; i < y->inputs; i++) add_product(dW + (long)i * y->G, y->x + i, y->inputs, y->T, D, y->G);
  for (int i = 0; i < y->H; i++) add_product(dU + (long)i * y->G, y->h + i, y->H, y->T, D, y->G);
  const float one = 1.f;
  add_product(db, &one, 0, y->T, D, y->G);
}

void NAME(kernel_jacobian)(const kernel_shape *shape, const float *weights, const float *window, float *scratch, float *jacobian) {
  layer y[KERNEL_MAX_LAYERS];
  const long dense = layers_of(shape, weights, window, scratch, y);
  const layer *top = y + shape->layers - 1;
  float *free_ = top->c + (long)(top->T + 1) * top->H;
  const int T = shape->window, W = KERNEL_MAX_WIDTH;
  float *D = free_, *dX = D + (long)T * 4 * W, *Ut = dX + (long)T * W, *Wt = Ut + 4 * W * W; /* [T][G] [T][H] [G][H] [G][inputs] */
  float dh[KERNEL_MAX_WIDTH], dc[KERNEL_MAX_WIDTH];

  memcpy(jacobian + dense, top->h + (long)T * top->H, sizeof(float) * top->H);
  jacobian[dense + top->H] = 1.f;
  memset(dX, 0, sizeof(float) * T * top->H);
  memcpy(dX + (long)(T - 1) * top->H, weights + dense, sizeof(float) * top->H); /* the output sees the last step alone */
  for (int l = shape->layers - 1; l >= 0; l--) {
    const layer *z = y + l;
    transpose(Ut, z->U, z->H, z->G);
    if (l > 0) transpose(Wt, z->W, z->inputs, z->G);
    memset(dh, 0, sizeof dh);
    memset(dc, 0, sizeof dc);
    for (int t = T - 1; t >= 0; t--) {
      float *d = D + (long)t * z->G;
      for (int j = 0; j < z->H; j += HALF) *(hf *)(dh + j) += *(const hf *)(dX + (long)t * z->H + j);
      gate_gradients(z, t, dh, dc, d);
      row_times_matrix(dh, d, z->G, Ut, z->H);
    }
    if (l > 0)
      for (int t = 0; t < T; t++) row_times_matrix(dX + (long)t * z->inputs, D + (long)t * z->G, z->G, Wt, z->inputs);
    weight_gradients(z, D, jacobian);
  }
}

void NAME(kernel_adam)(long n, const kernel_adam_rates *rates, const float *jacobian, const float *in, float *out) {
  const float *w = in, *m = in + n, *v = in + 2 * n;
  float *w1 = out, *m1 = out + n, *v1 = out + 2 * n;
  for (long i = 0; i < n; i++) {
    const float g = rates->factor * jacobian[i];
    m1[i] = m[i] + (g - m[i]) * rates->one_minus_beta_1;
    v1[i] = v[i] + (g * g - v[i]) * rates->one_minus_beta_2;
    w1[i] = w[i] - m1[i] * rates->alpha / (sqrtf(v1[i]) + rates->epsilon);
  }
}
